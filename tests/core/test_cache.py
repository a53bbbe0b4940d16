"""Caches: values under keys, each for a time; policies, tags, statistics, refresh ahead, sweeping."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.caches import caches as caches_module
from wilk.caches import policy
from wilk.caches.cache import Cache
from wilk.caches.disk import Disk

VALUES = [
    None,
    True,
    0,
    1.5,
    "",
    "ü\0\ud800",
    b"",
    b"\0\xff",
    [],
    {"a": [1, {"b": None}]},
    2**70,
    {"$wilk": 1},
]


@pytest.fixture
def timed(home: Path, _new_database: Path, clock: wilk.Clock) -> Iterator[wilk.Store]:
    """A store whose time stands still, over a database that was migrated before."""
    home.mkdir(mode=0o700)
    shutil.copy(_new_database, home / "wilk.db")
    with wilk.open_store(home=home, clock=clock) as opened:
        yield opened


@pytest.fixture(params=["disk", "memory"])
def cache(request: pytest.FixtureRequest, tmp_path: Path, clock: wilk.Clock) -> Iterator[Any]:
    """A cache over each of the tiers: that on disk, and none at all."""
    found = policy.policy("x", {})
    storage = Disk(tmp_path / "x.db", found, timeout=5) if request.param == "disk" else None
    made = Cache("x", found, storage, clock, lambda _key, _job: False)
    yield made
    made._close()


def forget_memory(cache: Any) -> None:
    """Let the next read come from the disk."""
    cache._memory.clear()


class TestValues:
    @pytest.mark.parametrize("value", VALUES, ids=repr)
    def test_come_back_as_they_were(self, cache: Any, value: Any) -> None:
        cache.set("key", value)
        assert cache.get("key", "default") == value
        assert type(cache.get("key")) is type(value)

    @pytest.mark.parametrize("value", VALUES, ids=repr)
    def test_come_back_from_disk(self, timed: wilk.Store, value: Any) -> None:
        cache = timed.cache("x")
        cache.set("key", value)
        forget_memory(cache)
        assert cache.get("key", "default") == value
        assert cache.get("key", "default") == value

    def test_are_copies_that_each_caller_may_change(self, cache: Any) -> None:
        given = {"a": [1]}
        cache.set("key", given)
        given["a"].append(2)
        cache.get("key")["a"].append(3)
        assert cache.get("key") == {"a": [1]}

    def test_that_json_cannot_hold_are_refused_with_their_path(self, cache: Any) -> None:
        cache.set("key", "old")
        with pytest.raises(wilk.NotStorable, match="a.0: object has no JSON form"):
            cache.set("key", {"a": [object()]})
        assert cache.get("key") == "old"

    def test_are_never_pickled(self, timed: wilk.Store, home: Path) -> None:
        for name, value in (("responses", {"a": 1}), ("context", b"vector")):
            timed.cache(name).set("key", value)
            blob, _, _ = timed.cache(name)._storage.get("key", timed._engine.clock.now())  # type: ignore[union-attr, misc]
            assert blob in (b'J{"a":1}', b"Bvector")

    def test_of_a_binary_cache_are_bytes(self, timed: wilk.Store) -> None:
        cache = timed.cache("context")
        cache.set("key", memoryview(b"abc"))
        assert cache.get("key") == b"abc"
        with pytest.raises(wilk.Invalid, match="this cache keeps bytes"):
            cache.set("key", [1.0])

    def test_are_compressed_where_that_is_shorter(self, timed: wilk.Store) -> None:
        cache = timed.cache("responses")
        cache.set("long", "word " * 10_000)
        cache.set("short", "word")
        assert cache.statistics().bytes < 5000
        forget_memory(cache)
        assert (cache.get("long"), cache.get("short")) == ("word " * 10_000, "word")


class TestKeys:
    @pytest.mark.parametrize(
        "key", ["", "ü", "a\0b", "\ud800", "x" * 100_000, "\U0001f43a" * 300, "../up", "%_"]
    )
    def test_are_any_text(self, cache: Any, key: str) -> None:
        cache.set(key, 1)
        assert cache.get(key) == 1
        assert cache.get(key + "x") is None
        assert cache.delete(key)

    def test_that_are_long_are_told_apart(self, cache: Any) -> None:
        cache.set("x" * 5000 + "a", 1)
        cache.set("x" * 5000 + "b", 2)
        assert cache.get("x" * 5000 + "a") == 1
        assert cache.clear(prefix="x" * 20) == 2

    def test_that_are_no_text_are_refused(self, cache: Any) -> None:
        for verb in (cache.get, cache.delete, lambda key: cache.set(key, 1)):
            with pytest.raises(wilk.Invalid, match="key 1: a text is wanted"):
                verb(1)


class TestTimes:
    def test_an_entry_lasts_as_its_policy_says(self, cache: Any, now: Any) -> None:
        cache.set("key", 1)
        now.pass_by(seconds=59.999)
        assert cache.get("key") == 1
        now.pass_by(seconds=0.001)
        assert cache.get("key") is None

    @pytest.mark.parametrize("ttl", ["10m", timedelta(minutes=10)])
    def test_or_as_is_said_with_it(self, cache: Any, now: Any, ttl: Any) -> None:
        cache.set("key", 1, ttl=ttl)
        now.pass_by(seconds=599)
        assert cache.get("key") == 1
        now.pass_by(seconds=1)
        assert cache.get("key") is None

    def test_none_is_for_ever(self, cache: Any, now: Any) -> None:
        cache.set("key", 1, ttl=None)
        now.pass_by(days=36_500)
        assert cache.get("key") == 1

    @pytest.mark.parametrize("ttl", [0, "0s", timedelta(0)])
    def test_zero_has_expired_already(self, cache: Any, ttl: Any) -> None:
        cache.set("key", "old")
        cache.set("key", "new", ttl=ttl)
        assert cache.get("key") is None
        assert cache.statistics().entries == 0

    @pytest.mark.parametrize("ttl", [60, 1.5, "60", "-1s", True, timedelta(-1), object()])
    def test_a_number_without_a_unit_is_refused(self, cache: Any, ttl: Any) -> None:
        with pytest.raises(wilk.Invalid, match="ttl .*a span of time"):
            cache.set("key", 1, ttl=ttl)

    def test_touching_lets_it_last_anew(self, cache: Any, now: Any) -> None:
        cache.set("key", 1, ttl="10s")
        now.pass_by(seconds=9)
        assert cache.touch("key", ttl="10s")
        now.pass_by(seconds=9)
        assert cache.get("key") == 1
        now.pass_by(seconds=1)
        assert not cache.touch("key")
        assert cache.get("key") is None

    def test_touching_with_zero_removes(self, cache: Any) -> None:
        cache.set("key", 1)
        assert cache.touch("key", ttl=0)
        assert cache.get("key") is None

    def test_an_entry_of_a_clock_that_was_wrong_is_none(self, timed: wilk.Store, now: Any) -> None:
        cache = timed.cache("x")
        cache.set("key", 1, ttl=None)
        now.pass_by(days=-30)
        forget_memory(cache)
        assert cache.get("key") is None

    def test_a_very_long_time_is_kept(self, cache: Any) -> None:
        cache.set("key", 1, ttl=timedelta.max)
        assert cache.get("key") == 1


class TestRemoving:
    def test_delete_tells_whether_there_was_something(self, cache: Any) -> None:
        cache.set("key", None)
        assert cache.delete("key")
        assert not cache.delete("key")

    def test_clear_takes_all_a_prefix_or_a_tag(self, cache: Any) -> None:
        cache.set("user:1", 1, tags=["a", "b"])
        cache.set("user:2", 2, tags=["b"])
        cache.set("other", 3)
        assert cache.clear(tag="a") == 1
        assert cache.clear(prefix="user:") == 1
        assert (cache.get("user:2"), cache.get("other")) == (None, 3)
        assert cache.clear() == 1

    @pytest.mark.parametrize("tags", ["text", [1], [""], ["a\x1fb"], ["\ud800"], 5])
    def test_tags_are_texts_in_a_list(self, cache: Any, tags: Any) -> None:
        with pytest.raises(wilk.Invalid, match="tags"):
            cache.set("key", 1, tags=tags)

    def test_clear_takes_one_of_the_two(self, cache: Any) -> None:
        with pytest.raises(wilk.Invalid, match="not both"):
            cache.clear(prefix="a", tag="b")


class TestTiers:
    def test_what_is_read_from_disk_is_promoted(self, timed: wilk.Store) -> None:
        cache = timed.cache("x")
        cache.set("key", [1])
        forget_memory(cache)
        assert cache.get("key") == cache.get("key") == [1]
        assert (cache.statistics().hits, cache.statistics().memory_hits) == (2, 1)

    def test_memory_is_bounded_by_bytes_of_its_own(self, tmp_path: Path) -> None:
        settings = wilk.Settings(
            home=tmp_path, url=f"sqlite:///{tmp_path}/wilk.db", caches={"x": {"memory_bytes": "10KB"}}
        )
        with wilk.open_store(settings=settings) as store:
            cache = store.cache("x")
            for number in range(100):
                cache.set(str(number), "x" * 1000)
            found = cache.statistics()
            assert found.memory_bytes <= 10_000
            assert (found.entries, found.memory_entries) == (100, 7)
            assert all(cache.get(str(number)) for number in range(100))

    def test_what_is_hot_in_memory_is_not_the_first_to_go_on_disk(
        self, tmp_path: Path, clock: Any, now: Any
    ) -> None:
        settings = wilk.Settings(
            home=tmp_path,
            url=f"sqlite:///{tmp_path}/wilk.db",
            caches={"x": {"max_bytes": "5KB", "ttl": None}},
        )
        with wilk.open_store(settings=settings, clock=clock) as store:
            cache = store.cache("x")
            cache.set("hot", "x")
            for number in range(20):
                now.pass_by(seconds=1)
                assert cache.get("hot") == "x"
                cache.sweep()
                cache.set(str(number), "x" * 800)
            forget_memory(cache)
            assert cache.get("hot") == "x"
            assert cache.get("0") is None

    def test_a_value_larger_than_the_cache_is_not_kept_and_told_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings = wilk.Settings(
            home=tmp_path, url=f"sqlite:///{tmp_path}/wilk.db", caches={"x": {"max_bytes": "1KB"}}
        )
        with wilk.open_store(settings=settings) as store:
            cache = store.cache("x")
            cache.set("key", "old")
            for _ in range(3):
                cache.set("key", "x" * 5000)
            assert cache.get("key") is None
            assert cache.get_or_compute("key", lambda: "y" * 5000) == "y" * 5000
        assert caplog.text.count("is larger than the cache") == 1

    def test_entries_outlive_the_store(self, timed: wilk.Store, home: Path, clock: Any) -> None:
        timed.cache("models").set("key", b"weights")
        timed.close()
        with wilk.open_store(home=home, clock=clock) as again:
            assert again.cache("models").get("key") == b"weights"

    def test_a_closed_store_says_so(self, store: wilk.Store) -> None:
        cache = store.cache("x")
        cache.set("key", 1)
        store.close()
        for verb in (
            lambda: cache.get("key"),
            lambda: cache.set("key", 1),
            lambda: store.cache("y"),
            cache.clear,
        ):
            with pytest.raises(wilk.Closed):
                verb()

    def test_the_same_name_gives_the_same_cache(self, store: wilk.Store) -> None:
        assert store.cache("x") is store.cache("x")


class TestStatistics:
    def test_count_hits_misses_bytes_and_evictions(self, tmp_path: Path) -> None:
        settings = wilk.Settings(
            home=tmp_path, url=f"sqlite:///{tmp_path}/wilk.db", caches={"x": {"max_bytes": "3KB"}}
        )
        with wilk.open_store(settings=settings) as store:
            cache = store.cache("x")
            for number in range(4):
                cache.set(str(number), "x" * 800)
            cache.get("3")
            cache.get("none")
            found = cache.statistics()
            assert found[:4] == ("x", 2, 2 * (800 + 3 + 1 + 200), 3000)
            assert (found.hits, found.misses, found.evictions) == (1, 1, 2)

    def test_are_those_of_all_processes_and_outlive_them(self, store: wilk.Store, home: Path) -> None:
        store.cache("x").get("none")
        with wilk.open_store(home=home) as other:
            other.cache("x").get("none")
        assert store.cache("x").statistics().misses == 2


class TestPolicies:
    def test_are_those_of_the_seed(self) -> None:
        found = {
            name: policy.policy(name, {}) for name in ("responses", "context", "models", "registry", "x")
        }
        assert {name: one.ttl for name, one in found.items()} == {
            "responses": timedelta(hours=1),
            "context": timedelta(hours=24),
            "models": timedelta(weeks=1),
            "registry": timedelta(hours=1),
            "x": timedelta(minutes=1),
        }
        assert [found[name].max_bytes for name in ("responses", "context", "registry")] == [
            50_000_000,
            100_000_000,
            10_000_000,
        ]
        assert [name for name, one in found.items() if one.compression] == ["responses"]
        assert [name for name, one in found.items() if one.format == "binary"] == ["context", "models"]
        assert [name for name, one in found.items() if one.refresh] == ["registry"]
        assert all(one.persistent for one in found.values())

    def test_are_changed_by_the_configuration(self, home: Path) -> None:
        home.mkdir()
        (home / "config.yaml").write_text(
            "caches:\n  responses: {ttl: 2h, max_bytes: 100MB}\n  mine: {ttl: null, format: binary, memory_bytes: 0}\n"
        )
        with wilk.open_store() as store:
            responses, mine = store.cache("responses").policy, store.cache("mine").policy
            assert (responses.ttl, responses.max_bytes, responses.compression) == (
                timedelta(hours=2),
                10**8,
                True,
            )
            assert (mine.ttl, mine.format, mine.memory_bytes) == (None, "binary", 0)
            store.cache("mine").set("key", b"1")
            assert store.cache("mine").get("key") == b"1"

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("responses: {ttl: 30}", "caches: responses: ttl 30: a span of time"),
            ("responses: {max_bytes: much}", "responses: max_bytes 'much': a size"),
            ("responses: {tll: 1h}", "there is no 'tll'; did you mean 'ttl'?"),
            ("responses: {format: pickle}", "format 'pickle': one of json, binary"),
            ("responses: {compression: zlib}", "compression 'zlib': true or false"),
            ("responses: {refresh: soon}", "refresh 'soon': a span"),
            ("responses: 5", "responses: 5: a mapping"),
            ("a/b: {}", "cache id 'a/b'"),
        ],
    )
    def test_that_are_wrong_are_told_when_settings_are_read(self, home: Path, text: str, says: str) -> None:
        home.mkdir()
        (home / "config.yaml").write_text(f"caches:\n  {text}\n")
        with pytest.raises(wilk.SettingsError) as raised:
            wilk.open_store()
        assert says in str(raised.value)
        assert "config.yaml" in str(raised.value)

    def test_that_a_program_gives_are_checked_when_the_cache_is_asked_for(self) -> None:
        settings = wilk.Settings(url="sqlite:///:memory:", caches={"x": {"ttl": 5}})
        with wilk.open_store(settings=settings) as store, pytest.raises(wilk.SettingsError, match="x: ttl 5"):
            store.cache("x")

    @pytest.mark.parametrize("name", ["", "../x", "a b", "x" * 101, ".x"])
    def test_names_that_are_no_file_names_are_refused(self, store: wilk.Store, name: str) -> None:
        with pytest.raises(wilk.Invalid, match="cache id"):
            store.cache(name)

    @pytest.mark.parametrize("name", [5, None, b"x"])
    def test_a_name_is_a_text(self, store: wilk.Store, name: Any) -> None:
        with pytest.raises(wilk.Invalid, match="a name is wanted"):
            store.cache(name)

    def test_a_tier_that_there_is_not_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WILK_CACHE_TIER", "tape")
        with wilk.open_store() as store, pytest.raises(wilk.PluginError, match="'tape'"):
            store.cache("x")


class TestRefreshAhead:
    @pytest.fixture
    def cache(self, tmp_path: Path, clock: Any) -> Any:
        settings = wilk.Settings(
            home=tmp_path, url=f"sqlite:///{tmp_path}/wilk.db", caches={"x": {"ttl": "1h", "refresh": "10m"}}
        )
        with wilk.open_store(settings=settings, clock=clock) as store:
            store.cache("x").store = store  # type: ignore[attr-defined]
            yield store.cache("x")

    def test_gives_the_old_value_and_computes_the_new_one_behind(self, cache: Any, now: Any) -> None:
        cache.set("key", "old")
        assert cache.get_or_compute("key", lambda: "new") == "old"
        now.pass_by(seconds=600)
        assert cache.get_or_compute("key", lambda: "new") == "old"
        cache.store.settle()
        assert cache.get("key") == "new"
        now.pass_by(seconds=3599)
        assert cache.get("key") == "new"

    def test_that_fails_leaves_the_old_value_and_is_not_tried_at_once(
        self, cache: Any, now: Any, caplog: Any
    ) -> None:
        tried = []

        def fail() -> None:
            tried.append(1)
            raise OSError("no network")

        cache.set("key", "old")
        now.pass_by(seconds=700)
        for _ in range(5):
            assert cache.get_or_compute("key", fail) == "old"
            cache.store.settle()
        assert len(tried) == 1
        assert "no network" in caplog.text

    def test_is_not_done_again_by_another_store_that_comes_to_it_later(
        self, cache: Any, now: Any, clock: Any
    ) -> None:
        computed = []
        free = threading.Event()
        with wilk.open_store(settings=cache.store.settings, clock=clock) as other:
            cache.set("key", "old")
            now.pass_by(seconds=700)
            other._caches._refresher.submit("busy", lambda: free.wait(30))
            for one in (other.cache("x"), cache):
                assert one.get_or_compute("key", lambda: computed.append(1) or "new") == "old"
            cache.store.settle()
            free.set()
            other.settle()
            assert other.cache("x").get("key") == "new"
        assert computed == [1]

    def test_does_not_bring_back_what_was_deleted(self, cache: Any, now: Any) -> None:
        free = threading.Event()
        cache.set("key", "old")
        now.pass_by(seconds=700)
        cache.store._caches._refresher.submit("busy", lambda: free.wait(30))
        assert cache.get_or_compute("key", lambda: "new") == "old"
        cache.delete("key")
        free.set()
        cache.store.settle()
        assert cache.get("key") is None

    def test_that_is_slow_holds_up_no_other_work_of_the_store(self, cache: Any, now: Any) -> None:
        free, done = threading.Event(), threading.Event()
        cache.set("key", "old")
        now.pass_by(seconds=700)
        cache.get_or_compute("key", lambda: free.wait(30))
        cache.store._worker.submit("compaction", done.set)
        assert done.wait(30)
        assert not cache.store.settle(0.01)
        free.set()
        assert cache.store.settle()

    def test_that_is_slow_holds_up_no_closing(
        self, cache: Any, now: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(caches_module, "PATIENCE", 0.01)
        free, begun, other = threading.Event(), threading.Event(), threading.Event()
        for key in "ab":
            cache.set(key, "old")
        now.pass_by(seconds=700)
        cache.get_or_compute("a", lambda: begun.set() or free.wait(30))
        cache.get_or_compute("b", other.set)
        assert begun.wait(30)
        cache.store.close()
        free.set()
        assert not other.is_set()

    def test_that_wants_to_exit_only_fails(self, cache: Any, now: Any) -> None:
        def leave() -> None:
            raise SystemExit(1)

        for key in "ab":
            cache.set(key, "old")
        now.pass_by(seconds=700)
        cache.get_or_compute("a", leave)
        cache.get_or_compute("b", lambda: "new")
        assert cache.store.settle(30)
        assert cache.get("b") == "new"


class TestSweeping:
    def test_goes_on_by_itself(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        with wilk.open_store() as first:
            first.cache("abandoned").set("key", 1, ttl="0.05s")
        monkeypatch.setattr(caches_module, "SWEEP", 0.02)
        with wilk.open_store() as store:
            cache = store.cache("x")
            cache.set("key", 1, ttl="0.05s")
            deadline = time.monotonic() + 20
            while any(one.entries or one.memory_entries for one in store._caches.statistics()):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert {one.namespace for one in store._caches.statistics()} == {"abandoned", "x"}

    def test_leaves_files_alone_that_are_no_caches(self, store: wilk.Store, home: Path) -> None:
        store.cache("x").set("key", 1)
        (home / "cache" / "not a cache.db").write_text("mine")
        assert store._caches.namespaces() == ["x"]
        store._caches.sweep()
        assert (home / "cache" / "not a cache.db").read_text() == "mine"

    def test_a_write_takes_some_of_what_has_expired_along(self, timed: wilk.Store, now: Any) -> None:
        cache = timed.cache("x")
        for number in range(60):
            cache.set(str(number), number)
        now.pass_by(seconds=61)
        for number in range(64):
            cache.set(f"new-{number}", number)
        assert cache.statistics().entries == 64

    def test_what_was_cleared_gives_its_space_back(self, store: wilk.Store, home: Path) -> None:
        cache = store.cache("models")
        for number in range(100):
            cache.set(str(number), bytes(100_000))
        cache.clear()
        cache._storage._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # type: ignore[union-attr]
        assert (home / "cache" / "models.db").stat().st_size < 1_000_000


def test_reads_that_overtake_a_write_leave_nothing_old_in_memory(store: wilk.Store) -> None:
    cache = store.cache("x")
    cache.set("key", "old")
    forget_memory(cache)
    storage: Any = cache._storage
    read, written = threading.Event(), threading.Event()
    real: Callable[..., Any] = storage.get

    def slow(key: str, now: int) -> Any:
        found = real(key, now)
        read.set()
        assert written.wait(20)
        return found

    storage.get = slow
    reader = threading.Thread(target=cache.get, args=("key",))
    reader.start()
    assert read.wait(20)
    cache.set("key", "new")
    written.set()
    reader.join()
    assert cache.get("key") == "new"


def test_threads_that_write_at_once_lose_nothing(cache: Any) -> None:
    def write(thread: int) -> None:
        for number in range(50):
            cache.set(f"{thread}-{number}", number)
            cache.touch(f"{thread}-{number}", ttl="1h")

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [cache.get(f"{thread}-{number}") for thread in range(8) for number in range(50)] == [
        *range(50)
    ] * 8


def test_what_had_to_make_room_on_disk_is_gone_from_memory_when_it_is_touched(tmp_path: Path) -> None:
    small = {"ttl": "1h", "max_bytes": "20KB", "memory_bytes": "20KB"}
    settings = wilk.Settings(home=tmp_path, url=f"sqlite:///{tmp_path}/wilk.db", caches={"x": small})
    with wilk.open_store(settings=settings) as store:
        cache = store.cache("x")
        cache.set("key", 1)
        for number in range(60):
            cache.set(str(number), "y" * 300)
            assert cache.get("key") == 1
        assert not cache.touch("key")
        assert cache.get("key") is None


def test_tags_take_room_in_memory_too(tmp_path: Path) -> None:
    small = {"ttl": "1h", "max_bytes": "20KB", "persistent": False}
    settings = wilk.Settings(home=tmp_path, url=f"sqlite:///{tmp_path}/wilk.db", caches={"x": small})
    with wilk.open_store(settings=settings) as store:
        cache = store.cache("x")
        cache.set("key", 1, tags=[f"{number:0250}" for number in range(100)])
        assert cache.get("key") is None
        assert cache.statistics().memory_bytes == 0


def test_sweeping_removes_the_locks_of_the_dead_whatever_else_lies_there(
    store: wilk.Store, home: Path
) -> None:
    store.cache("x").get_or_compute("key", lambda: 1)
    folder = home / "cache" / "x.locks"
    for number in range(8):
        (folder / f"folder {number}").mkdir()
        (folder / f"lock {number}").touch()
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    store.cache("x").sweep()
    assert sorted(path.name for path in folder.iterdir()) == [f"folder {number}" for number in range(8)]
