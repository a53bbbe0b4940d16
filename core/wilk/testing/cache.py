"""What every tier of caches must do: the contract behind ``register_caches``.

::

    class TestMine(CacheSuite):
        @pytest.fixture
        def tier(self):
            return CacheTier("mine", open_mine)

``tier.open`` must give the same entries each time for one namespace: what one storage keeps, the next reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from wilk.contracts import CacheStorage, CacheTier
from wilk.hookspecs import hookimpl
from wilk.host import Host
from wilk.settings import Settings
from wilk.store import Store, open_store
from wilk.testing.faults.cache import CacheFaults

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
KEYS = ("key", "", "two words", "ü \U0001f43a", "NUL \0 and %_*?[", "x" * 1000)


class CacheSuite(CacheFaults):
    """Subclass it with a fixture ``tier``."""

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("value", [b"", b"\0\xff", b"x" * 100_000], ids=["empty", "bytes", "long"])
    def test_a_value_comes_back_with_its_times(self, storage: CacheStorage, key: str, value: bytes) -> None:
        storage.set(key, value, now=NOW, expires_at=NOW + SECOND)
        assert storage.get(key, NOW) == (value, NOW, NOW + SECOND)
        assert storage.get(key + "." if len(key) < 1000 else "x" * 999, NOW) is None

    def test_an_entry_replaces_another_with_its_tags(self, storage: CacheStorage) -> None:
        storage.set("key", b"old", now=NOW, expires_at=None, tags=["old"])
        storage.set("key", b"new", now=NOW + 1, expires_at=None, tags=["new"])
        assert storage.get("key", NOW) == (b"new", NOW + 1, None)
        assert storage.clear(tag="old") == 0
        assert storage.clear(tag="new") == 1

    def test_an_entry_expires_at_its_moment_and_not_before(self, storage: CacheStorage) -> None:
        storage.set("key", b"1", now=NOW, expires_at=NOW + SECOND)
        assert storage.get("key", NOW + SECOND - 1) is not None
        assert storage.get("key", NOW + SECOND) is None

    def test_without_a_moment_it_never_does(self, storage: CacheStorage) -> None:
        storage.set("key", b"1", now=NOW, expires_at=None)
        assert storage.get("key", 2**62) is not None

    def test_touching_gives_another_time_of_expiry(self, storage: CacheStorage) -> None:
        storage.set("key", b"1", now=NOW, expires_at=NOW + SECOND)
        assert storage.touch("key", now=NOW, expires_at=NOW + 9 * SECOND)
        assert storage.get("key", NOW + 5 * SECOND) == (b"1", NOW, NOW + 9 * SECOND)
        assert not storage.touch("other", now=NOW, expires_at=None)

    def test_what_has_expired_is_not_touched(self, storage: CacheStorage) -> None:
        storage.set("key", b"1", now=NOW, expires_at=NOW + SECOND)
        assert not storage.touch("key", now=NOW + SECOND, expires_at=None)
        assert storage.get("key", NOW + SECOND) is None

    def test_delete_counts_what_there_was(self, storage: CacheStorage) -> None:
        for key in "abc":
            storage.set(key, b"1", now=NOW, expires_at=None)
        assert storage.delete(["a", "b", "d"]) == 2
        assert [storage.get(key, NOW) is None for key in "abc"] == [True, True, False]

    def test_clear_takes_all_or_a_prefix_or_a_tag(self, storage: CacheStorage) -> None:
        for key in ("a", "a%", "ab", "aü", "a\U0010ffffz", "b"):
            storage.set(key, b"1", now=NOW, expires_at=None, tags=["x", key])
        assert storage.clear(prefix="a%") == 1
        assert storage.clear(tag="ab") == 1
        assert storage.clear(prefix="a") == 3
        assert storage.clear(tag="%") == 0
        storage.set("c", b"1", now=NOW, expires_at=None)
        assert storage.clear(tag="x") == 1
        assert storage.clear() == 1
        assert storage.statistics()["entries"] == 0

    def test_sweeping_removes_what_has_expired_and_nothing_else(self, storage: CacheStorage) -> None:
        for number in range(20):
            storage.set(str(number), b"1", now=NOW, expires_at=NOW + number * SECOND if number else None)
        assert storage.sweep(NOW + 10 * SECOND) == 10
        assert storage.statistics()["entries"] == 10
        assert storage.get("0", NOW) is not None

    def test_its_bytes_stay_within_the_limit(self, opened: Callable[..., CacheStorage]) -> None:
        storage = opened(max_bytes=20_000)
        for number in range(200):
            storage.set(str(number), bytes(300), now=NOW + number, expires_at=None)
            assert storage.statistics()["bytes"] <= 20_000
        assert storage.get("199", NOW) is not None
        assert storage.get("0", NOW) is None
        assert storage.statistics()["evictions"] >= 100

    def test_the_least_recently_used_go_first(self, opened: Callable[..., CacheStorage]) -> None:
        storage = opened(max_bytes=10_000)
        for number in range(3):
            storage.set(str(number), bytes(2500), now=NOW + number, expires_at=None)
        assert storage.get("0", NOW + 10) is not None
        storage.noted(["1"], now=NOW + 11, hits=1, misses=0)
        storage.set("3", bytes(2500), now=NOW + 20, expires_at=None)
        assert [storage.get(key, NOW) is not None for key in "0123"] == [True, True, False, True]

    def test_a_value_above_the_limit_leaves_nothing_under_its_key(
        self, opened: Callable[..., CacheStorage]
    ) -> None:
        storage = opened(max_bytes=10_000)
        storage.set("key", b"old", now=NOW, expires_at=None)
        storage.set("other", b"1", now=NOW, expires_at=None)
        storage.set("key", bytes(20_000), now=NOW, expires_at=None)
        assert storage.get("key", NOW) is None
        assert storage.get("other", NOW) is not None

    def test_entries_outlive_their_storage_and_are_seen_by_others(
        self, opened: Callable[..., CacheStorage]
    ) -> None:
        one, other = opened(), opened()
        one.set("key", b"1", now=NOW, expires_at=None)
        assert other.get("key", NOW) is not None
        one.close()
        assert opened().get("key", NOW) is not None

    def test_namespaces_keep_apart(self, opened: Callable[..., CacheStorage]) -> None:
        one, other = opened("one"), opened("other")
        one.set("key", b"1", now=NOW, expires_at=None)
        assert other.get("key", NOW) is None
        assert other.clear() == 0

    def test_changes_by_others_make_another_version_and_reading_does_not(
        self, opened: Callable[..., CacheStorage]
    ) -> None:
        one, other = opened(), opened()
        one.set("key", b"1", now=NOW, expires_at=None)
        other.get("key", NOW)
        before = one.version()
        if before is None:
            return  # it cannot tell, and memory is trusted for a second only
        other.get("key", NOW)
        assert one.version() == before
        for change in (
            lambda: other.set("key", b"2", now=NOW, expires_at=None),
            lambda: other.touch("key", now=NOW, expires_at=NOW + SECOND),
            lambda: other.delete(["key"]),
        ):
            before = one.version()
            change()
            assert one.version() != before

    def test_hits_and_misses_are_counted_for_all(self, opened: Callable[..., CacheStorage]) -> None:
        one, other = opened(), opened()
        one.noted([], now=NOW, hits=3, misses=1)
        other.noted(["nothing"], now=NOW, hits=1, misses=1)
        found = one.statistics()
        assert (found["hits"], found["misses"]) == (4, 2)

    def test_one_at_a_time_computes_a_key(self, opened: Callable[..., CacheStorage]) -> None:
        one, other = opened(), opened()
        with one.computing("key", 1.0) as first, other.computing("key", 0.0) as second:
            assert (first, second) == (True, False)
            with other.computing("another", 0.0) as apart:
                assert apart
        with other.computing("key", 0.0) as third:
            assert third

    def test_computations_of_many_threads_keep_each_other_out(self, storage: CacheStorage) -> None:
        inside, most = 0, 0

        def turn() -> None:
            nonlocal inside, most
            for _ in range(5):
                with storage.computing("key", 30.0):
                    inside += 1
                    most = max(most, inside)
                    inside -= 1

        threads = [threading.Thread(target=turn) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == 1

    def test_a_store_keeps_its_caches_there(self, tier: CacheTier, settings: Settings) -> None:
        from dataclasses import replace

        class Plugin:
            @hookimpl
            def register_caches(self) -> Iterator[CacheTier]:
                yield tier

        chosen = replace(settings, cache_tier=tier.name, choose={f"caches.{tier.name}": "mine"})

        def store() -> Store:
            host = Host(disabled=settings.disabled_plugins, prefer=chosen.choose)
            host.register(Plugin(), "mine")
            return open_store(settings=chosen, host=host)

        with store() as first:
            first.cache("suite").set("key", {"a": [1, None]})
        with store() as second:
            assert second.cache("suite").get("key") == {"a": [1, None]}
            assert second.cache("suite").statistics().hits == 1
            assert second.cache("suite").clear() == 1
