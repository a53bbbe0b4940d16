"""Plugins that choose what goes into a context, and plugins that hear of contexts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import wilk
from wilk.context.packing import Packing
from wilk.records.context import Context

Plugged = Callable[..., wilk.Store]


class Questions:
    """A strategy that takes only what was asked."""

    @wilk.hookimpl
    def register_strategies(self) -> Iterator[wilk.Strategy]:
        yield wilk.Strategy("questions", self.fill, "what was asked, without the answers")

    def fill(self, packing: Packing) -> None:
        for unit in packing.recent():
            if unit.text.endswith("?"):
                if not packing.take(unit, "it is a question"):
                    return
            else:
                packing.leave(unit, "it is no question")


class Heard:
    """Remembers the contexts that it is told of, and whether their receipt is there."""

    def __init__(self) -> None:
        self.contexts: list[Context] = []
        self.kept: list[bool] = []

    @wilk.hookimpl
    def context_built(self, store: wilk.Store, context: Context) -> None:
        self.contexts.append(context)
        self.kept.append(context.manifest is not None and bool(store.contexts.replay(context.manifest)))


def talk(store: wilk.Store, **options: Any) -> str:
    session = store.sessions.create(**options).id
    for text in ("why?", "because", "and how?", "like this", "thanks"):
        store.messages.append(session, "user", text)
    return session


def test_a_strategy_of_a_plugin_fills_contexts(plugged: Plugged) -> None:
    store = plugged(Questions())
    context = store.contexts.build(talk(store, context_strategy="questions"))
    assert [item.text for item in context.items] == ["why?", "and how?", "thanks"]
    assert [(one.first, one.rule) for one in context.left_out] == [
        (2, "it is no question"), (4, "it is no question"),
    ]  # fmt: skip


def test_strategies_that_ship_come_in_as_any_plugin_does(plugged: Plugged) -> None:
    host = plugged(Questions()).host
    assert [one.name for one in host.strategies()] == ["discard", "hybrid", "questions", "summarize"]
    (plugin,) = [one for one in host.plugins() if "strategies.hybrid" in one.offers]
    assert plugin.distribution == "wilk"


def test_two_plugins_with_one_name_are_a_clash(plugged: Plugged) -> None:
    store = plugged(Questions(), Questions())
    session = talk(store)
    with pytest.raises(wilk.PluginError, match=r"strategies\.questions is offered by"):
        store.contexts.build(session, strategy="questions")


def test_every_build_is_told_of(plugged: Plugged) -> None:
    heard = Heard()
    store = plugged(heard)
    session = talk(store)
    built = [store.contexts.build(session), store.contexts.build(session, manifest=True)]
    assert heard.contexts == built
    assert heard.kept == [False, True]


def test_a_kept_one_is_told_of_once_it_is_committed(plugged: Plugged) -> None:
    heard = Heard()
    store = plugged(heard)
    session = talk(store)
    with store.transaction():
        store.contexts.build(session, manifest=True)
        assert heard.contexts == []
    assert heard.kept == [True]
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.contexts.build(session, manifest=True)
        raise ZeroDivisionError
    assert len(heard.contexts) == 1


def test_a_listener_that_fails_breaks_no_build(plugged: Plugged, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        @wilk.hookimpl
        def context_built(self, context: Context) -> None:
            raise ZeroDivisionError

    store = plugged(Broken())
    with caplog.at_level(logging.ERROR):
        assert len(store.contexts.build(talk(store)).items) == 5
    assert "context_built" in caplog.text
