"""A server that is killed, hangs, or was never there: stores go on, say so once, and serve nothing old."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.servers.valkey import ValkeyServer

import wilk

Machines = Callable[..., wilk.Store]


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def back(store: wilk.Store) -> None:
    """Wait until a store has found the server again."""
    wait_until(lambda: store._caches._shelter is not None and not store._caches._shelter.away)


class TestAServerThatIsKilled:
    def test_costs_no_error_and_the_caches_go_on(self, own_server: ValkeyServer, machines: Machines) -> None:
        store = machines("a", own_server.url)
        cache = store.cache("x")
        cache.set("before", 1)
        own_server.stop(signal.SIGKILL)
        assert cache.get("before") == 1, "it lies in memory"
        cache.set("meanwhile", 2, tags=["t"])
        cache.set("gone", 3)
        assert cache.delete("gone")
        assert cache.get("meanwhile") == 2
        assert cache.get("gone") is None
        assert cache.get("nothing") is None
        assert cache.get_or_compute("computed", lambda: 4) == 4
        assert cache.touch("meanwhile", ttl="1h")
        assert cache.clear(tag="t") == 1
        assert cache.get("meanwhile") is None
        assert cache.get("computed") == 4
        assert cache.statistics().entries >= 1
        assert cache.sweep() >= 0
        assert "x" in [one.namespace for one in store._caches.statistics()]

    def test_is_told_once_and_so_is_its_return(
        self, own_server: ValkeyServer, machines: Machines, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = machines("a", own_server.url)
        for name in ("x", "y", "z"):
            store.cache(name).set("key", 1)
        own_server.stop(signal.SIGKILL)
        for _ in range(50):
            for name in ("x", "y", "z", "new"):
                store.cache(name).set("key", 2)
                store.cache(name).get("other")
        own_server.start()
        back(store)
        said = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert [record.name for record in said] == ["wilk.caches"] * 2
        assert "is away" in said[0].getMessage()
        assert "is dropped when it is back" in said[0].getMessage()
        assert "is back" in said[1].getMessage()

    def test_amid_the_work_of_many_threads_costs_no_error(
        self, own_server: ValkeyServer, machines: Machines
    ) -> None:
        store = machines("a", own_server.url)
        cache = store.cache("x")
        failures: list[BaseException] = []
        over = threading.Event()

        def work(number: int) -> None:
            turn = 0
            while not over.is_set():
                turn += 1
                key = f"{number}-{turn % 7}"
                try:
                    cache.set(key, turn)
                    assert cache.get(key) in (turn, None)
                    assert cache.get_or_compute(f"c{turn % 5}", lambda: "c") == "c"
                    if turn % 3 == 0:
                        cache.delete(key)
                        assert cache.get(key) is None
                except BaseException as error:
                    failures.append(error)
                    return

        threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(0.1)
            own_server.stop(signal.SIGKILL)
            time.sleep(0.1)
            own_server.start()
        over.set()
        for thread in threads:
            thread.join()
        assert failures == []

    def test_while_it_is_away_processes_of_one_machine_share_files(
        self, own_server: ValkeyServer, machines: Machines
    ) -> None:
        one, other = machines("a", own_server.url), machines("a", own_server.url)
        own_server.stop(signal.SIGKILL)
        other.cache("x").get("anything")
        one.cache("x").set("key", 1)
        assert other.cache("x").get("key") == 1
        assert one.cache("x").get_or_compute("once", lambda: "of the one") == "of the one"
        assert other.cache("x").get_or_compute("once", lambda: "of the other") == "of the one"


class TestAfterIt:
    """The server keeps its data here: it is stopped in order, with a snapshot on disk."""

    @pytest.fixture
    def kept(self, own_server: ValkeyServer) -> ValkeyServer:
        own_server.ask("CONFIG", "SET", "save", "3600 1000000")
        return own_server

    def test_what_changed_meanwhile_is_not_served_old(self, kept: ValkeyServer, machines: Machines) -> None:
        one, other = machines("a", kept.url), machines("b", kept.url)
        cache = one.cache("x")
        for key in ("set", "deleted", "untouched", "p:1", "p:2", "tagged"):
            cache.set(key, "old", ttl="1h", tags=["t"] if key == "tagged" else [])
        kept.stop()
        cache.set("set", "new", ttl="1h")
        cache.delete("deleted")
        cache.clear(prefix="p:")
        cache.clear(tag="t")
        kept.start()
        assert kept.ask("DBSIZE") != ":0", "what was there before is there again"
        back(one)
        seen = {
            key: other.cache("x").get(key) for key in ("set", "deleted", "untouched", "p:1", "p:2", "tagged")
        }
        assert seen == {
            "set": None,
            "deleted": None,
            "untouched": "old",
            "p:1": None,
            "p:2": None,
            "tagged": None,
        }
        assert cache.get("set") is None, "others may have set something since"
        assert cache.get("untouched") == "old"

    def test_a_cache_that_was_cleared_is_empty(self, kept: ValkeyServer, machines: Machines) -> None:
        one, other = machines("a", kept.url), machines("b", kept.url)
        one.cache("x").set("key", 1, ttl="1h")
        kept.stop()
        one.cache("x").clear()
        one.cache("x").set("key", 2, ttl="1h")
        kept.start()
        back(one)
        assert other.cache("x").get("key") is None

    def test_what_a_process_changed_that_was_killed_meanwhile_is_removed_by_the_next(
        self, kept: ValkeyServer, machines: Machines, tmp_path: Path
    ) -> None:
        machines("a", kept.url).cache("x").set("key", "old", ttl="1h")
        kept.stop()
        code = (
            "import os, pathlib, signal, sys, wilk\n"
            "home, url, prefix = sys.argv[1:]\n"
            "store = wilk.open_store(settings=wilk.Settings(home=pathlib.Path(home), "
            "url=f'sqlite:///{home}/wilk.db', cache_tier='redis', "
            "plugins={'redis': {'url': url, 'prefix': prefix}}))\n"
            "store.cache('x').set('key', 'new')\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "a"), kept.url, tmp_path.name]
        assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
        kept.start()
        next_one, other = machines("a", kept.url), machines("b", kept.url)
        assert next_one.cache("x").get("key") is None
        assert other.cache("x").get("key") is None

    def test_what_was_kept_meanwhile_does_not_come_back_in_the_next_outage(
        self, kept: ValkeyServer, machines: Machines
    ) -> None:
        one, other = machines("a", kept.url), machines("b", kept.url)
        kept.stop()
        one.cache("x").set("key", "first outage", ttl="1h")
        kept.start()
        back(one)
        other.cache("x").set("key", "between", ttl="1h")
        kept.stop()
        assert one.cache("x").get("key") is None


class TestAServerThatHangs:
    def test_is_waited_for_once(self, own_server: ValkeyServer, machines: Machines) -> None:
        store = machines("a", own_server.url)
        cache = store.cache("x")
        cache.set("key", 1)
        own_server.hang()
        begun = time.monotonic()
        for number in range(200):
            cache.set(f"key {number}", number)
            assert cache.get(f"key {number}") == number
        assert time.monotonic() - begun < 10, "each of 400 calls would wait for 0.3 s otherwise"
        own_server.go_on()
        back(store)
        cache.set("key", 2)
        assert cache.get("key") == 2

    @pytest.mark.slow
    def test_does_not_hold_up_closing_for_a_long_time_limit(
        self, own_server: ValkeyServer, machines: Machines
    ) -> None:
        store = machines("a", own_server.url, bus=own_server.url, cache_tier="disk", redis={"timeout": 60})
        cache = store.cache("x")
        bus: Any = store._joined._bus if store._joined is not None else None
        wait_until(lambda: bus._subscribed is not None)
        own_server.hang()
        try:
            cache.set("key", 1)
            closing = threading.Thread(target=store.close)
            closing.start()
            closing.join(30)
            assert not closing.is_alive()
        finally:
            own_server.go_on()

    def test_holds_up_no_closing(self, own_server: ValkeyServer, machines: Machines) -> None:
        store = machines("a", own_server.url, bus=own_server.url)
        store.cache("x").set("key", 1)
        own_server.hang()
        begun = time.monotonic()
        store.close()
        assert time.monotonic() - begun < 10


def test_a_store_opens_while_there_is_no_server_and_finds_it_later(
    own_server: ValkeyServer, machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.stop(signal.SIGKILL)
    store = machines("a", own_server.url)
    store.cache("x").set("key", 1)
    assert store.cache("x").get("key") == 1
    assert caplog.text.count("is away") == 1
    own_server.start()
    back(store)
    store.cache("x").set("key", 2)
    assert machines("b", own_server.url).cache("x").get("key") == 2


def test_a_server_that_was_only_restarted_costs_nothing_but_what_it_held(
    own_server: ValkeyServer, machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    store = machines("a", own_server.url)
    store.cache("x").set("key", 1)
    own_server.stop()
    own_server.start()
    store.cache("x").set("other", 2)
    assert store.cache("x").get("other") == 2
    assert machines("b", own_server.url).cache("x").get("other") == 2
    assert "is away" not in caplog.text


def test_a_store_without_a_folder_goes_on_in_memory(own_server: ValkeyServer) -> None:
    settings = wilk.Settings(
        url="sqlite:///:memory:",
        cache_tier="redis",
        plugins={"redis": {"url": own_server.url, "prefix": "p"}},
    )
    with wilk.open_store(settings=settings) as store:
        store.cache("x").set("key", 1)
        own_server.stop(signal.SIGKILL)
        store.cache("x").set("key", 2)
        assert store.cache("x").get("key") == 2
        assert store.cache("x").delete("nothing") is False


def test_a_server_that_is_full_is_one_that_is_away(
    own_server: ValkeyServer, machines: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    store = machines("a", own_server.url)
    cache = store.cache("x")
    cache.set("key", 1)
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    own_server.ask("CONFIG", "SET", "maxmemory", "1mb")
    for number in range(20):
        cache.set(str(number), "x" * 1000)
        assert cache.get(str(number)) == "x" * 1000
        time.sleep(0.02)
    assert caplog.text.count("is away") == 1
    own_server.ask("CONFIG", "SET", "maxmemory", "0")
    back(store)
    cache.set("key", 2)
    assert machines("b", own_server.url).cache("x").get("key") == 2
