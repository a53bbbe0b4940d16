"""Embedders and vector indexes that fail, in whatever way: words find on, and the store closes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.embedding import Bag

import wilk
from wilk import store as store_module

from .indexed import WAIT, Gate, opened, pending, status, until


class Index:
    """Holds nothing, and fails in one of its verbs."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.last = 0

    def _do(self, what: str) -> None:
        if what == self.where:
            raise RuntimeError("a fault of the plugin")

    def add(self, numbers: Any, vectors: Any) -> None:
        self._do("add")
        self.last = int(numbers[-1])

    def remove(self, numbers: Any) -> None:
        self._do("remove")

    def search(self, query: Any, k: int, among: Any) -> Any:
        import numpy as np

        self._do("search")
        return np.empty(0, np.int64), np.empty(0, np.float32)

    def __len__(self) -> int:
        return 0

    def save(self) -> None:
        self._do("save")

    def close(self) -> None:
        self._do("close")


class Faulty(Bag):
    """Offers an index that fails where it is told to."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    @wilk.hookimpl
    def register_vector_indexes(self) -> list[wilk.VectorIndex]:
        return [wilk.VectorIndex("faulty", self.open_index, work=self.work if self.where == "work" else None)]

    def open_index(self, rows: Any, settings: Any) -> Any:
        if self.where == "open":
            raise OSError("no such device")
        return Index(self.where)

    def work(self, index: Any) -> bool:
        raise RuntimeError("a fault of the plugin")


@pytest.mark.parametrize("where", ["open", "add", "search", "save", "close", "work"])
def test_an_index_that_fails_leaves_the_words(home: Path, where: str) -> None:
    store = opened(home, Faulty(where), vector_index="faulty")
    store.memories.add("a wolf howls")
    assert store.settle()
    assert [one.snippet for one in store.search("wolf")] == ["a wolf howls"]
    store.close()
    with pytest.raises(wilk.Closed):
        store._engine.execute("SELECT 1")


@pytest.mark.parametrize("where", ["open", "add", "search"])
def test_vectors_tell_which_index_fails_and_how(home: Path, where: str) -> None:
    with opened(home, Faulty(where), vector_index="faulty") as store:
        store.vectors.add("mine", "a", [1.0, 2.0])
        with pytest.raises(wilk.BackendError, match=rf"index 'faulty' failed \({where}\): \w+Error"):
            store.vectors.search("mine", [1.0, 2.0])


def _raises(*_: Any) -> Any:
    raise OSError("no such device")


@pytest.mark.parametrize(
    ("open_it", "told"),
    [
        (_raises, "OSError: no such device"),
        (lambda *_: None, "'NoneType' object has no attribute"),
        (lambda *_: type("Open", (), {"model": "m", "batch": None, "longest": 9})(), "batch None"),
    ],
)
def test_an_embedder_that_cannot_be_opened_leaves_the_records_waiting(
    home: Path, open_it: Callable[..., Any], told: str
) -> None:
    plugin = Bag()
    plugin.open = open_it  # type: ignore[method-assign]
    with opened(home, plugin) as store:
        store.memories.add("a wolf howls")
        store.settle()
        assert len(store.search("wolf")) == len(pending(store)) == 1
        assert told in str(status(store, "memory").error)
        with pytest.raises(wilk.BackendError, match="failed to open"):
            store.index.update()


def test_a_model_that_cannot_be_closed_is_told_of_and_the_store_closes(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(home, Bag())
    store.memories.add("a wolf howls")
    assert store.settle()
    embedding: Any = store._indexing.embedders.chosen()
    embedding.close = _raises
    store.close()
    assert "cannot be closed: no such device" in caplog.text
    with pytest.raises(wilk.Closed):
        store._engine.execute("SELECT 1")


def test_one_that_answers_never_does_not_keep_the_store_from_closing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PATIENCE", 0.1)
    plugin = Bag()
    store = opened(home, plugin)
    store.memories.add("a wolf howls")
    assert store.settle()
    gate = Gate(plugin)
    embedding: Any = store._indexing.embedders.chosen()
    close = embedding.close

    def interrupt() -> None:
        plugin.error = wilk.BackendError("given up, for the embedder was closed")
        close()
        gate.open.set()

    embedding.close = interrupt
    store.memories.add("another wolf")
    assert gate.reached.wait(WAIT)
    closing = threading.Thread(target=store.close)
    closing.start()
    closing.join(WAIT)
    assert not closing.is_alive()
    plugin.error = None
    with opened(home, plugin) as store:
        store.index.update()
        assert status(store, "memory").embedded == 2


class TestQueries:
    def test_one_that_failed_for_long_is_not_waited_for_again_at_once(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        from wilk.services.embedding import indexing

        plugin = Bag()
        with opened(home, plugin) as store:
            store.memories.add("a wolf howls")
            assert store.settle()
            monkeypatch.setattr(indexing, "_LONG", -1.0)
            plugin.error = wilk.BackendError("no answer")
            before = len(plugin.calls)
            with caplog.at_level(logging.ERROR):
                for n in range(3):
                    assert len(store.search(f"wolf {n}")) == 1
            assert len(plugin.calls) == before + 1
            plugin.error = None
            monkeypatch.setattr(indexing, "monotonic", lambda: store._indexing._no_query_before + 1)
            assert {one.by for one in store.search("wolf")[0].reasons} == {"text", "vector"}

    def test_one_that_is_refused_is_asked_once(self, home: Path) -> None:
        plugin = Bag()
        with opened(home, plugin) as store:
            store.memories.add("a wolf howls")
            assert store.settle()
            plugin.refuses = "wolf"
            before = len(plugin.calls)
            assert len(store.search("wolf")) == 1
            assert len(plugin.calls) == before + 1

    def test_of_a_very_long_one_the_beginning_is_asked(self, home: Path) -> None:
        plugin = Bag(longest=1000)
        with opened(home, plugin) as store:
            store.memories.add("a wolf howls")
            assert store.settle()
            assert len(store.search("wolf " * 1_000_000)) == 1
            until(lambda: bool(plugin.asked))
            assert sum(map(len, plugin.asked)) <= 10_000
