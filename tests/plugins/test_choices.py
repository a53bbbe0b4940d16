"""Choices: plugins are asked one after another, and the first answer counts."""

from __future__ import annotations

from typing import Any

import pytest

import wilk

from .distributions import Site, others


class Scorer:
    """Answers what it is told to, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    @wilk.hookimpl
    def score_importance(self, store: wilk.Store, role: str, text: str, score: float) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def scored(*plugins: Scorer) -> float:
    host = wilk.Host(*plugins, disabled=others())
    with wilk.open_store("sqlite:///:memory:", host=host) as store:
        return store.messages.append(store.sessions.create().id, "user", "hello").importance


def test_the_first_answer_counts_and_the_others_are_not_asked() -> None:
    # The last that was registered is the first that is asked, as pluggy has it.
    last, first = Scorer(0.25), Scorer(0.75)
    assert scored(last, first) == 0.75
    assert (first.asked, last.asked) == (1, 0)


def test_one_that_has_no_answer_leaves_it_to_the_next() -> None:
    assert scored(Scorer(0.25), Scorer(None)) == 0.25


@pytest.mark.parametrize("bad", [ZeroDivisionError("by the test"), 7, "high"], ids=repr)
def test_one_that_fails_is_logged_and_the_next_is_asked(bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert scored(Scorer(0.25), Scorer(bad)) == 0.25
    assert "Scorer" in caplog.text
    assert "score_importance" in caplog.text


def test_without_an_answer_the_table_counts() -> None:
    assert scored(Scorer(None), Scorer(None)) == 0.6


def test_an_installed_package_is_asked_and_imported_by_the_first_message(site: Site) -> None:
    source = """
        from wilk import hookimpl

        @hookimpl
        def score_importance(text):
            return len(text) / 8
    """
    module = site.add("scorer", source)
    code = f"""
import sys, wilk
with wilk.open_store("sqlite:///:memory:") as store:
    session = store.sessions.create().id
    before = {module!r} in sys.modules
    tell([before, store.messages.append(session, "user", "hello").importance])
"""
    assert site.python(code) == [False, 0.625]
