"""Caches on a server: shared by machines, computed once by all, apart from other stores, and bounded."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.servers.valkey import ValkeyServer

import wilk
from wilk import CachePolicy, Settings, SettingsError
from wilk_redis import locks, tier
from wilk_redis.options import options_of
from wilk_redis.prefixes import prefix_of

Machines = Callable[..., wilk.Store]


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def storage(server: ValkeyServer, tmp_path: Path, max_bytes: int = 1_000_000) -> tier.SharedCache:
    settings = Settings(plugins={"redis": {"url": server.url, "prefix": tmp_path.name, "timeout": 5}})
    made = tier.open_cache(settings, None, "x", CachePolicy(None, max_bytes, max_bytes // 5))
    assert made is not None
    return made


class TestSharing:
    def test_what_one_machine_sets_another_reads(self, server: ValkeyServer, machines: Machines) -> None:
        one, other = machines("a", server.url), machines("b", server.url)
        one.cache("x").set("key", {"a": [1, None]}, ttl="1h")
        assert other.cache("x").get("key") == {"a": [1, None]}
        assert other.cache("x").statistics().hits == 1

    def test_a_change_reaches_the_memory_of_another_machine(
        self, server: ValkeyServer, machines: Machines
    ) -> None:
        one, other = machines("a", server.url), machines("b", server.url)
        one.cache("x").set("key", 1)
        assert other.cache("x").get("key") == 1
        one.cache("x").set("key", 2)
        wait_until(lambda: other.cache("x").get("key") == 2)
        one.cache("x").delete("key")
        wait_until(lambda: other.cache("x").get("key") is None)

    def test_own_changes_leave_memory_as_it_is(self, server: ValkeyServer, machines: Machines) -> None:
        cache = machines("a", server.url).cache("x")
        for number in range(20):
            cache.set(str(number), number)
            time.sleep(0.006)
        before = cache.statistics().memory_hits
        assert [cache.get(str(number)) for number in range(20)] == list(range(20))
        assert cache.statistics().memory_hits == before + 20

    def test_the_namespaces_of_a_store_are_known_to_all(
        self, server: ValkeyServer, machines: Machines
    ) -> None:
        machines("a", server.url).cache("one").set("key", 1)
        (found,) = machines("b", server.url)._caches.statistics()
        assert (found.namespace, found.entries) == ("one", 1)

    def test_an_async_store_shares_them_as_well(
        self, server: ValkeyServer, machines: Machines, tmp_path: Path
    ) -> None:
        machines("a", server.url).cache("x").set("key", 1)
        home = tmp_path / "b"
        settings = Settings(
            home=home,
            url=f"sqlite:///{home}/wilk.db",
            cache_tier="redis",
            plugins={"redis": {"url": server.url, "prefix": tmp_path.name}},
        )

        async def read() -> list[object]:
            async with wilk.open_async_store(settings=settings) as store:
                cache = store.cache("x")

                async def compute() -> int:
                    await asyncio.sleep(0.01)
                    return 2

                found = [await cache.get("key"), await cache.get_or_compute("other", compute)]
                return [*found, await cache.delete("key")]

        assert asyncio.run(read()) == [1, 2, True]

    @pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
    def test_a_forked_child_uses_connections_of_its_own(
        self, server: ValkeyServer, machines: Machines
    ) -> None:
        store = machines("a", server.url)
        cache = store.cache("x")
        cache.set("key", 1)
        child = os.fork()
        if child == 0:
            fine = cache.get("key") == 1 and cache.get_or_compute("child", lambda: 2) == 2
            os._exit(0 if fine else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert cache.get("key") == 1
        assert cache.get("child") == 2


class TestKeepingApart:
    def test_two_stores_on_one_server_do_not_mix(self, server: ValkeyServer, machines: Machines) -> None:
        own = {"prefix": ""}
        one, other = machines("a", server.url, redis=own), machines("b", server.url, redis=own)
        one.cache("x").set("key", 1)
        assert other.cache("x").get("key") is None
        assert other.cache("x").clear() == 0
        one.close()
        assert machines("a", server.url, redis=own).cache("x").get("key") == 1

    def test_stores_over_one_database_of_a_server_have_one_prefix(self, tmp_path: Path) -> None:
        first = prefix_of(Settings(url="postgresql://a:secret@Host:5432/db?pool_size=3"), tmp_path, "")
        assert first == prefix_of(Settings(url="postgresql://host/db"), None, "")
        assert first != prefix_of(Settings(url="postgresql://host/other"), tmp_path, "")
        assert first != prefix_of(Settings(url="postgresql://host/db?schema=mine"), tmp_path, "")

    def test_a_copy_of_a_folder_is_another_store(self, tmp_path: Path) -> None:
        settings = Settings(url="sqlite:///x.db")
        first = prefix_of(settings, tmp_path / "a", "")
        assert prefix_of(settings, tmp_path / "a", "") == first
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        assert prefix_of(settings, tmp_path / "b", "") != first
        (tmp_path / "a").rename(tmp_path / "c")
        assert prefix_of(settings, tmp_path / "c", "") == first

    def test_clearing_leaves_what_others_keep_on_the_server(
        self, server: ValkeyServer, machines: Machines
    ) -> None:
        client: Any = redis.Redis.from_url(server.url)
        client.set("of somebody else", "1")
        cache = machines("a", server.url).cache("x")
        cache.set("key", 1)
        machines("b", server.url, redis={"prefix": "another"}).cache("x").set("key", 2)
        assert cache.clear() == 1
        assert client.get("of somebody else") == b"1"
        assert machines("c", server.url, redis={"prefix": "another"}).cache("x").get("key") == 2
        client.close()


class TestComputingOnce:
    @pytest.mark.slow
    def test_of_many_processes_and_machines_one_computes(self, server: ValkeyServer, tmp_path: Path) -> None:
        code = (
            "import pathlib, sys, time, wilk\n"
            "home, url, prefix, log = sys.argv[1:]\n"
            "def compute():\n"
            "    with open(log, 'a') as file: file.write('computed\\n')\n"
            "    time.sleep(0.5)\n"
            "    return 'value'\n"
            "settings = wilk.Settings(home=pathlib.Path(home), url=f'sqlite:///{home}/wilk.db', "
            "cache_tier='redis', plugins={'redis': {'url': url, 'prefix': prefix, 'timeout': 5}})\n"
            "with wilk.open_store(settings=settings) as store:\n"
            "    assert store.cache('x').get_or_compute('key', compute) == 'value'\n"
        )
        log = tmp_path / "log"
        children = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path / str(number)), server.url, tmp_path.name, str(log)]
            )
            for number in range(5)
        ]
        assert [child.wait(60) for child in children] == [0] * 5
        assert log.read_text() == "computed\n"

    @pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
    def test_a_lock_is_free_some_time_after_its_holder_died(
        self, server: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locks, "LASTS", 0.5)
        held = storage(server, tmp_path)
        child = os.fork()
        if child == 0:
            guard = held.computing("key", 1.0)
            guard.__enter__()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        with held.computing("key", 0.0) as mine:
            assert not mine
        with held.computing("key", 10.0) as mine:
            assert mine
        held.close()

    def test_a_long_computation_keeps_its_lock(
        self, server: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locks, "LASTS", 0.5)
        monkeypatch.setattr(locks, "_RENEWED", 0.05)
        one, other = storage(server, tmp_path), storage(server, tmp_path)
        with one.computing("key", 1.0) as mine:
            assert mine
            with other.computing("key", 1.5) as second:
                assert not second
        one.close()
        other.close()

    def test_a_lock_that_another_has_taken_since_is_not_let_go(
        self, server: ValkeyServer, tmp_path: Path
    ) -> None:
        one, other = storage(server, tmp_path), storage(server, tmp_path)
        client: Any = redis.Redis.from_url(server.url)
        with one.computing("key", 1.0):
            (name,) = client.keys(f"wilk:{{{tmp_path.name}:x}}:lock:*")
            client.set(name, "of another")
        assert client.get(name) == b"of another"
        with other.computing("key", 0.0) as mine:
            assert not mine
        for made in (one, other, client):
            made.close()


class TestWhatTheServerKeeps:
    def test_the_server_itself_removes_what_has_expired(self, server: ValkeyServer, tmp_path: Path) -> None:
        kept = storage(server, tmp_path)
        kept.set("key", b"1", now=1000, expires_at=5_000_000 + 1000)
        kept.set("ever", b"1", now=1000, expires_at=None)
        client: Any = redis.Redis.from_url(server.url)
        lasts = client.pttl(f"wilk:{{{tmp_path.name}:x}}:e:key")
        assert 5000 < lasts <= 5000 + tier.LINGER
        assert client.pttl(f"wilk:{{{tmp_path.name}:x}}:e:ever") == -1
        kept.touch("key", now=1000, expires_at=None)
        assert client.pttl(f"wilk:{{{tmp_path.name}:x}}:e:key") == -1
        client.close()
        kept.close()

    def test_the_limit_is_about_what_the_server_needs(self, server: ValkeyServer, tmp_path: Path) -> None:
        kept = storage(server, tmp_path, 10_000_000)
        client: Any = redis.Redis.from_url(server.url)
        before = int(client.info("memory")["used_memory"])
        for number in range(5000):
            kept.set(f"key {number}", bytes(200), now=number, expires_at=10**15, tags=["tag"])
        counted = kept.statistics()["bytes"]
        needed = int(client.info("memory")["used_memory"]) - before
        assert 0.5 < needed / counted < 1.3
        client.close()
        kept.close()

    def test_clearing_gives_back_everything(self, server: ValkeyServer, tmp_path: Path) -> None:
        kept = storage(server, tmp_path)
        for number in range(1500):
            kept.set(str(number), b"1", now=number, expires_at=None, tags=["tag"])
        assert kept.clear() == 1500
        client: Any = redis.Redis.from_url(server.url)
        left = {name.rpartition(b":")[2] for name in client.keys(f"wilk:{{{tmp_path.name}:x}}:*")}
        assert left <= {b"gen", b"version", b"totals"}
        client.close()
        kept.close()

    @pytest.mark.parametrize("lost", ["used", "gen", "sizes", "totals"])
    def test_after_the_server_threw_away_what_is_known_of_entries_clearing_still_clears(
        self, server: ValkeyServer, tmp_path: Path, lost: str
    ) -> None:
        kept = storage(server, tmp_path)
        for number in range(10):
            kept.set(str(number), b"old", now=number, expires_at=None)
        client: Any = redis.Redis.from_url(server.url)
        client.delete(f"wilk:{{{tmp_path.name}:x}}:{lost}")
        kept.set("new", b"new", now=20, expires_at=None)
        kept.clear()
        assert [kept.get(key, 30) for key in ("0", "9", "new")] == [None, None, None]
        kept.set("new", b"new", now=40, expires_at=None)
        assert kept.statistics()["entries"] == 1
        client.close()
        kept.close()

    def test_entries_that_the_server_evicted_are_not_counted_for_ever(
        self, server: ValkeyServer, tmp_path: Path
    ) -> None:
        kept = storage(server, tmp_path)
        for number in range(10):
            kept.set(str(number), b"1", now=number, expires_at=None)
        client: Any = redis.Redis.from_url(server.url)
        client.delete(*(f"wilk:{{{tmp_path.name}:x}}:e:{number}" for number in range(4)))
        kept.sweep(100)
        assert kept.statistics()["entries"] == 6
        client.close()
        kept.close()

    def test_what_somebody_else_wrote_is_no_value(
        self, server: ValkeyServer, machines: Machines, tmp_path: Path
    ) -> None:
        cache = machines("a", server.url).cache("x")
        cache.set("key", 1)
        client: Any = redis.Redis.from_url(server.url)
        (name,) = client.keys(f"wilk:{{{tmp_path.name}:x}}:e:key")
        head = client.get(name)[:55]
        for value in (b"", b"cos\nsystem\n(S'ls'\ntR.", head[:30], head + b"Jno json", head + b"?"):
            client.set(name, value)
            cache._memory.clear()
            assert cache.get("key") is None
        client.close()


class TestSettings:
    @pytest.mark.parametrize(
        ("section", "said"),
        [
            ({"url": "http://x"}, "plugins.redis.url"),
            ({"url": "redis://:hidden@"}, "plugins.redis.url"),
            ({"url": 3}, "plugins.redis.url"),
            ({"prefix": "a b"}, "plugins.redis.prefix"),
            ({"timeout": 0}, "plugins.redis.timeout"),
            ({"timeout": "soon"}, "plugins.redis.timeout"),
            ({"adress": "x"}, "there is no 'adress'"),
            ([1], "is not a mapping"),
        ],
    )
    def test_a_fault_is_named_without_the_password(self, section: object, said: str) -> None:
        with pytest.raises(SettingsError, match=said) as caught:
            options_of(Settings(plugins={"redis": section}))  # type: ignore[dict-item]
        assert "hidden" not in str(caught.value)

    def test_variables_go_before_the_section(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WILK_REDIS_URL", "redis://elsewhere/1")
        monkeypatch.setenv("WILK_REDIS_PREFIX", "mine")
        monkeypatch.setenv("WILK_REDIS_TIMEOUT", "2")
        found = options_of(Settings(plugins={"redis": {"url": "redis://here"}}))
        assert (found.url, found.prefix, found.timeout) == ("redis://elsewhere/1", "mine", 2.0)

    def test_a_wrong_password_is_told_without_it(
        self, server: ValkeyServer, machines: Machines, caplog: pytest.LogCaptureFixture
    ) -> None:
        url = server.url.replace("redis://", "redis://nobody:hidden@")
        machines("a", url).cache("x").set("key", 1)
        assert "is away" in caplog.text
        assert "hidden" not in caplog.text

    def test_a_store_in_memory_has_its_caches_there(self, server: ValkeyServer) -> None:
        settings = Settings(
            url="sqlite:///:memory:", cache_tier="redis", plugins={"redis": {"url": server.url}}
        )
        with wilk.open_store(settings=settings) as one, wilk.open_store(settings=settings) as other:
            one.cache("x").set("key", 1)
            assert one.cache("x").get("key") == 1
            assert other.cache("x").get("key") is None


def test_threads_of_one_process_read_and_write_at_once(server: ValkeyServer, machines: Machines) -> None:
    cache = machines("a", server.url, redis={"timeout": 10}).cache("x")
    failures = []

    def work(number: int) -> None:
        for turn in range(30):
            cache.set(f"{number}:{turn}", [number, turn])
            if cache.get(f"{number}:{turn}") != [number, turn]:
                failures.append((number, turn))

    threads = [threading.Thread(target=work, args=[number]) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert cache.statistics().entries == 24 * 30
