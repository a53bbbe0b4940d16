"""State under keys, and the cache, whose entries end when they were said to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk

pytestmark = pytest.mark.backends


def rows(store: wilk.Store) -> int:
    count: int = store._engine.execute("SELECT COUNT(*) FROM cache_entries")[0][0]
    return count


class TestState:
    def test_comes_back_as_it_came(self, store: wilk.Store) -> None:
        kept = store.state.set("timeline_state_a", {"z": [None], "a": 1})
        assert store.state.get("timeline_state_a") == kept
        assert list(kept.data) == ["z", "a"]

    def test_setting_again_replaces(self, timed: wilk.Store, now: Any) -> None:
        first = timed.state.set("k", 1)
        now.pass_by(seconds=1)
        second = timed.state.set("k", 2)
        assert timed.state.list() == [second]
        assert (second.created_at, second.updated_at > first.updated_at) == (first.created_at, True)

    def test_a_prefix_is_meant_as_it_is_spelled(self, store: wilk.Store) -> None:
        for key in ("a_b", "a_c", "axb", "A_b", "a%", "a%_", "äb"):
            store.state.set(key, key)
        assert [one.key for one in store.state.list(prefix="a_")] == ["a_b", "a_c"]
        assert [one.key for one in store.state.list(prefix="a%")] == ["a%", "a%_"]
        assert [one.key for one in store.state.list(prefix="ä")] == ["äb"]

    @given(
        keys=st.sets(st.text("aAé_%\\*[ ", min_size=1, max_size=4)), prefix=st.text("aAé_%\\*[ ", max_size=2)
    )
    def test_a_prefix_finds_what_begins_with_it_and_nothing_else(
        self, store: wilk.Store, keys: set[str], prefix: str
    ) -> None:
        for state in store.state.list(limit=1000):
            store.state.remove(state.key)
        for key in keys:
            store.state.set(key, 1)
        found = {state.key for state in store.state.list(prefix=prefix)}
        assert found == {key for key in keys if key.startswith(prefix)}

    def test_pages_go_by_key(self, store: wilk.Store) -> None:
        for key in "dbca":
            store.state.set(key, 1)
        assert [one.key for one in store.state.list(after="a", limit=2)] == ["b", "c"]

    def test_removed_state_is_archived(self, store: wilk.Store) -> None:
        store.state.set("k", {"a": 1})
        assert store.state.remove("k").data == {"a": 1}
        assert store.state.find("k") is None
        assert [entry.record_id for entry in store.archive.list(kind="system_state")] == ["k"]
        with pytest.raises(wilk.NotFound, match="no state 'k'"):
            store.state.get("k")


class TestCacheEntries:
    def test_without_an_end_stay(self, timed: wilk.Store, now: Any) -> None:
        timed._cache_entries.set("n", "k", {"a": 1})
        now.pass_by(days=10_000)
        assert timed._cache_entries.get("n", "k") == {"a": 1}

    def test_end_when_they_were_said_to(self, timed: wilk.Store, now: Any) -> None:
        timed._cache_entries.set("n", "k", 1, ttl=2)
        now.pass_by(seconds=1.9)
        assert timed._cache_entries.get("n", "k") == 1
        now.pass_by(seconds=0.1)
        assert timed._cache_entries.get("n", "k") is None

    def test_of_no_seconds_have_ended_at_once(self, timed: wilk.Store) -> None:
        timed._cache_entries.set("n", "k", 1, ttl=0)
        assert timed._cache_entries.get("n", "k") is None

    def test_are_replaced_with_their_end(self, timed: wilk.Store) -> None:
        timed._cache_entries.set("n", "k", 1, ttl=0)
        timed._cache_entries.set("n", "k", 2)
        assert timed._cache_entries.get("n", "k") == 2

    def test_keys_that_look_alike_do_not_collide(self, store: wilk.Store) -> None:
        for namespace, key in (("n", "a/b"), ("n", "a_b"), ("n", "A_b"), ("m", "a/b")):
            store._cache_entries.set(namespace, key, [namespace, key])
        assert store._cache_entries.get("n", "a/b") == ["n", "a/b"]
        assert rows(store) == 4

    def test_that_ended_go_with_the_next_write(self, timed: wilk.Store, now: Any) -> None:
        for n in range(3):
            timed._cache_entries.set(str(n), "k", n, ttl=1)
        timed._cache_entries.set("stays", "k", 1, ttl=9)
        now.pass_by(seconds=2)
        timed._cache_entries.set("new", "k", 1)
        assert rows(timed) == 2
        assert timed.archive.list() == []

    def test_a_write_takes_only_so_many_along(self, timed: wilk.Store, now: Any) -> None:
        with timed.transaction():
            for n in range(60):
                timed._cache_entries.set("n", str(n), n, ttl=1)
        now.pass_by(seconds=2)
        timed._cache_entries.set("new", "k", 1)
        assert rows(timed) == 11

    @pytest.mark.parametrize("ttl", [-1, float("nan"), True, "1"])
    def test_an_end_that_makes_no_sense_is_refused(self, store: wilk.Store, ttl: Any) -> None:
        with pytest.raises(wilk.Invalid, match="ttl"):
            store._cache_entries.set("n", "k", 1, ttl=ttl)

    def test_may_last_longer_than_time(self, store: wilk.Store) -> None:
        store._cache_entries.set("n", "k", 1, ttl=1e300)
        store._cache_entries.set("n", "l", 1, ttl=float("inf"))
        assert store._cache_entries.get("n", "k") == store._cache_entries.get("n", "l") == 1
