"""Summaries by plugins: an installed one is asked when a session is compacted."""

from __future__ import annotations

import wilk

from .distributions import Site, others


class Counting:
    """Says how many messages it was asked to summarize."""

    @wilk.hookimpl
    def summarize(self, store: wilk.Store, messages: list[object]) -> str:
        assert not store._engine.in_transaction  # it may take its time, and read
        return f"{len(messages)} times about wolves"


def test_one_is_asked_behind_an_append() -> None:
    host = wilk.Host(Counting(), disabled=others())
    with wilk.open_store("sqlite:///:memory:", host=host) as store:
        session = store.sessions.create(max_tokens=50).id
        store.messages.extend(session, [{"role": "user", "text": "tell me everything about wolves"}] * 8)
        assert store.settle()
        assert [one.text for one in store.summaries.list(session)] == ["6 times about wolves"]


def test_an_installed_package_is_asked(site: Site) -> None:
    source = """
        from wilk import hookimpl

        @hookimpl
        def summarize(messages):
            return f"{messages[0].sequence} to {messages[-1].sequence}, of wolves"
    """
    site.add("brief", source)
    code = """
import wilk
with wilk.open_store("sqlite:///:memory:") as store:
    session = store.sessions.create(max_tokens=50).id
    store.messages.extend(session, [{"role": "user", "text": "tell me everything about wolves"}] * 8)
    store.settle()
    tell([[one.text, one.method] for one in store.summaries.list(session)])
"""
    assert site.python(code) == [["1 to 6, of wolves", "plugin"]]
