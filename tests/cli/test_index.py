"""``wilk index``: how far passages and vectors are, and making them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.embedding import Bag

from wilk import BackendError
from wilk.host import Host

from .conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Bag:
    """An embedder that is installed and chosen."""
    plugin = Bag()
    monkeypatch.setattr("wilk.host.Host", lambda **options: Host(plugin, **options))
    monkeypatch.setenv("WILK_EMBEDDER", "bag")
    return plugin


def of(result: Result, kind: str) -> Any:
    return next(one for one in result.json if one["kind"] == kind)


def test_without_an_embedder_the_status_says_so(good: Run) -> None:
    out = good("index", "status").out
    assert out.splitlines()[0].split()[:3] == ["KIND", "STATE", "RECORDS"]
    assert out.splitlines()[1].split() == ["message", "none", "0", "0", "0", "0"]
    assert "the setting embedder is none" in out
    assert "no vectors are made" in good("index", "update").out


def test_a_command_that_writes_loads_no_model(good: Run, plugin: Bag) -> None:
    good("memories", "add", "a wolf")
    good("memories", "add", "a bear")
    assert (plugin.opened, plugin.calls) == ([], [])
    shown = good("index", "status")
    assert "2 records wait" in shown.out + shown.err
    assert plugin.opened == []


def test_a_search_finds_by_meaning_what_the_command_before_it_wrote(good: Run, plugin: Bag) -> None:
    good("memories", "add", "a grey wolf")
    (found,) = good("search", "grey", "--json").json
    assert {one["by"] for one in found["reasons"]} == {"text", "vector"}
    assert plugin.opened == ["bag-1"]
    assert of(good("index", "status", "--json"), "memory")["pending"] == 0
    assert plugin.opened == ["bag-1"]


def test_the_status_names_the_model(good: Run, plugin: Bag) -> None:
    good("memories", "add", "a wolf")
    good("index", "update")
    found = of(good("index", "status", "--json"), "memory")
    assert (found["state"], found["embedded"], found["pending"]) == ("active", 1, 0)
    assert (found["model"], found["dimension"]) == ("bag-1", 64)
    assert "bag-1" in good("index", "status").out
    assert good("index", "update").out == "nothing waits\n"


def test_update_makes_what_is_missing(
    good: Run, wilk: Run, plugin: Bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILK_EMBEDDER", "none")
    good("memories", "add", "a wolf")
    good("memories", "add", "a bear")
    monkeypatch.setenv("WILK_EMBEDDER", "bag")
    plugin.error = BackendError("away")
    assert "vectors of records cannot be made now: away" in wilk("search", "wolf").err
    plugin.error = None
    assert good("index", "update").out == "2 records looked at\n"
    assert of(good("index", "update", "--json"), "memory")["embedded"] == 2


def test_update_tells_why_it_cannot(good: Run, wilk: Run, plugin: Bag) -> None:
    good("memories", "add", "a wolf")
    good("index", "update")
    plugin.error = BackendError("the server is away")
    wilk("memories", "add", "a bear")
    result = wilk("index", "update")
    assert result.code == 1
    assert result.err.endswith("wilk: error: the server is away\n")
    shown = wilk("index", "status").out
    assert "memory: the server is away" in shown


def test_rebuild_makes_vectors_of_some_kinds_anew(good: Run, plugin: Bag) -> None:
    good("memories", "add", "a wolf")
    good("facts", "add", "wolf", "eats", "meat")
    good("index", "update")
    plugin.texts.clear()
    (found,) = good("index", "rebuild", "memory", "--json").json
    assert (found["kind"], found["embedded"]) == ("memory", 1)
    assert [text for text in plugin.texts if text != "wilk"] == ["a wolf"]


def test_an_unknown_kind_is_told_with_those_there_are(wilk: Run, good: Run) -> None:
    good("index", "status")
    result = wilk("index", "rebuild", "memories")
    assert result.code == 1
    assert "kind 'memories': one of message, memory, pin" in result.err


def test_a_person_sees_how_far_it_is(
    good: Run, wilk: Run, plugin: Bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        good("memories", "add", f"memory {n}")
    monkeypatch.setattr("wilk.cli.index.is_terminal", lambda stream: stream is sys.stderr)
    assert wilk("index", "rebuild").err == "\r3 of 3 records\n"
    assert wilk("index", "rebuild", "--quiet").err == ""


def test_the_status_names_the_index_that_finds_the_nearest_vectors(
    good: Run, plugin: Bag, backend: str
) -> None:
    used = "pgvector" if backend == "postgresql" else "exact"
    assert of(good("index", "status", "--json"), "memory")["searched_by"] is None
    good("memories", "add", "a wolf")
    good("index", "update")
    assert of(good("index", "status", "--json"), "memory")["searched_by"] == used
    header, *rows = good("index", "status").out.splitlines()
    assert header.split()[-1] == "INDEX"
    assert next(row for row in rows if row.startswith("memory")).split()[-1] == used
