"""Tiers of caches by plugins, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

import wilk


class Shelf:
    """A tier of a plugin: keeps everything in a dictionary, and does as it is told."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, int, int | None]] = {}
        self.broken = self.closed = False
        self.changes: int | None = 0
        self.reads = 0

    @wilk.hookimpl
    def register_caches(self) -> Any:
        yield wilk.CacheTier("shelf", lambda *_: self, "a shelf", lambda *_: ["x"])

    def check(self) -> None:
        if self.broken:
            raise wilk.BackendError("the shelf fell down")

    def get(self, key: str, now: int) -> Any:
        self.check()
        self.reads += 1
        return self.kept.get(key)

    def set(self, key: str, value: bytes, *, now: int, expires_at: int | None, tags: Any = ()) -> None:
        self.check()
        self.kept[key] = (value, now, expires_at)

    def touch(self, key: str, *, now: int, expires_at: int | None) -> bool:
        self.check()
        return key in self.kept

    def delete(self, keys: Any) -> int:
        self.check()
        return sum(self.kept.pop(key, None) is not None for key in keys)

    def clear(self, *, prefix: str | None = None, tag: str | None = None) -> int:
        self.check()
        count = len(self.kept)
        self.kept.clear()
        return count

    def sweep(self, now: int) -> int:
        self.check()
        return 0

    def version(self) -> int | None:
        self.check()
        return self.changes

    def noted(self, keys: Any, *, now: int, hits: int, misses: int) -> None:
        self.check()

    def statistics(self) -> dict[str, int]:
        self.check()
        return {"entries": len(self.kept), "bytes": 0, "evictions": 0, "hits": 0, "misses": 0}

    def computing(self, key: str, timeout: float) -> Any:
        return nullcontext(True)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def store(plugged: Callable[..., wilk.Store], shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> wilk.Store:
    monkeypatch.setenv("WILK_CACHE_TIER", "shelf")
    return plugged(shelf)


def test_a_plugin_may_keep_entries_elsewhere(store: wilk.Store, shelf: Shelf) -> None:
    store.cache("x").set("key", [1])
    assert shelf.kept["key"][0] == b"J[1]"
    store.cache("x")._memory.clear()
    assert store.cache("x").get("key") == [1]
    assert store._caches.statistics()[0].entries == 1
    store.close()
    assert shelf.closed


def test_memory_is_read_as_long_as_nobody_else_changed_anything(store: wilk.Store, shelf: Shelf) -> None:
    cache = store.cache("x")
    cache.set("key", 1)
    cache._due = 0
    assert (cache.get("key"), shelf.reads) == (1, 0)
    shelf.kept["key"] = (b"J2", shelf.kept["key"][1], None)
    shelf.changes = 1
    cache._due = 0
    assert (cache.get("key"), shelf.reads) == (2, 1)


def test_one_that_cannot_tell_is_asked_again_after_a_second(store: wilk.Store, shelf: Shelf) -> None:
    shelf.changes = None
    cache = store.cache("x")
    cache.set("key", 1)
    assert (cache.get("key"), shelf.reads) == (1, 0)
    cache._due = 0
    assert (cache.get("key"), shelf.reads) == (1, 1)


def test_one_that_fails_makes_misses(
    store: wilk.Store, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    cache = store.cache("x")
    cache.set("old", 1)
    shelf.broken = True
    cache._memory.clear()
    assert cache.get("old", "miss") == "miss"
    cache.set("key", 2)
    cache._due = 0
    assert cache.get("key") == 2
    assert cache.get_or_compute("other", lambda: 3) == 3
    assert cache.touch("key")
    assert cache.sweep() == 0
    assert cache.statistics().memory_entries == 2
    assert caplog.text.count("the shelf fell down") == 1
    for verb in (lambda: cache.delete("old"), cache.clear):
        with pytest.raises(wilk.BackendError, match="fell down"):
            verb()  # who wants something gone must hear that it is not


def test_what_could_not_be_replaced_is_not_read_again(store: wilk.Store, shelf: Shelf) -> None:
    cache = store.cache("x")
    cache.set("key", "old")
    shelf.broken = True
    cache.set("key", "new")
    shelf.broken = False
    cache._memory.clear()
    assert cache.get("key") is None
    cache.set("key", "newer")
    cache._memory.clear()
    assert cache.get("key") == "newer"


def test_one_that_takes_nothing_for_long_is_left_alone(
    store: wilk.Store, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("wilk.caches.cache._DISTRUSTED", 5)
    cache = store.cache("x")
    shelf.broken = True
    for number in range(7):
        cache.set(str(number), number)
    assert shelf.closed
    assert "it goes on in memory alone" in caplog.text
    assert [cache.get(str(number)) for number in range(7)] == list(range(7))
    assert cache.clear() == 7


def test_clearing_trusts_it_again(store: wilk.Store, shelf: Shelf) -> None:
    cache = store.cache("x")
    shelf.broken = True
    cache.set("key", 1)
    shelf.broken = False
    cache.clear()
    assert cache._distrusted == set()


def test_one_that_cannot_be_opened_leaves_memory(
    plugged: Callable[..., wilk.Store], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Closed:
        @wilk.hookimpl
        def register_caches(self) -> Any:
            def fail(*_: Any) -> Any:
                raise wilk.BackendError("no server")

            yield wilk.CacheTier("closed", fail)

    monkeypatch.setenv("WILK_CACHE_TIER", "closed")
    store = plugged(Closed())
    store.cache("x").set("key", 1)
    assert store.cache("x").get("key") == 1
    assert "caches lie in memory alone: no server" in caplog.text
