"""Stores tell each other of changes: caches and watchers follow what others did, and a bus may fail."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import BESIDE
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer

import wilk
from wilk.host import Host
from wilk.records.definitions import SyncReport

pytestmark = pytest.mark.sqlite


class Hall:
    """A bus of a plugin: everybody in the hall hears at once what is said."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[str, str], None]] = []
        self.said: list[tuple[str, str]] = []
        self.broken = False
        self.opened = self.closed = 0
        self.changes: list[list[Any]] = []

    @wilk.hookimpl
    def register_buses(self) -> Any:
        yield wilk.BusKind("hall", self._open, "a hall")

    def _open(self, url: str, settings: wilk.Settings, folder: Path | None) -> Any:
        self.opened += 1
        return self

    def publish(self, topic: str, text: str) -> None:
        if self.broken:
            raise RuntimeError("nobody can speak here")
        self.said.append((topic, text))
        for listener in list(self.listeners):
            listener(topic, text)

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        self.listeners.append(listener)

    def close(self) -> None:
        self.closed += 1


class Listener:
    """A plugin that remembers the definitions it hears of."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str, int]] = []

    @wilk.hookimpl
    def definition_synced(self, change: Any) -> None:
        self.heard.append((change.kind, change.id, change.action, change.revision))


@pytest.fixture
def hall() -> Hall:
    return Hall()


Open = Callable[..., wilk.Store]


@pytest.fixture
def opened(hall: Hall, tmp_path: Path) -> Iterator[Open]:
    """Opens stores on machines: ``opened("a", plugin, …)``; all are over one database."""
    with ExitStack() as stack:

        def open_one(machine: str | None, *plugins: object, **settings: Any) -> wilk.Store:
            home = None if machine is None else tmp_path / machine
            if home is not None:
                home.mkdir(exist_ok=True, mode=0o700)
            chosen = {"url": f"sqlite:///{tmp_path}/shared.db", "bus": "hall://here", **settings}
            return stack.enter_context(
                wilk.open_store(
                    settings=wilk.Settings(home=home, disabled_plugins=BESIDE, **chosen),
                    host=Host(hall, *plugins, disabled=BESIDE),
                )
            )

        yield open_one


def settled(*stores: wilk.Store) -> None:
    for store in stores:
        assert store.settle(30)


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


NONSENSE = (
    "", "{", "null", "[]", '["x"]', '["x","x"]', '["x","x",1,"set","key"]', '["x",1,null,"set","key"]',
    '["x","x","p","set",1]', '["x","x","p","clear","all"]', '["x","x","p","clear",[1,2]]',
    '["x","x","p","eat","key"]', '["x","prompts","id","created","../../x",1,null]',
    '["x","prompts","../../../etc/passwd","created","p",1,null]', '["x","nothing","id","created","p",1,null]',
    '["x","prompts","id","created","p","1",null]',
)  # fmt: skip
PROMPT = {"name": "Greeting", "system": "hello"}


class TestCachesOfTwoMachines:
    """Each has a disk of its own below its memory."""

    @pytest.fixture
    def caches(self, opened: Open) -> list[Any]:
        return [opened(machine).cache("x") for machine in ("a", "b")]

    def test_what_one_sets_anew_is_not_served_old_by_the_other(self, caches: list[Any]) -> None:
        one, other = caches
        other.set("key", "old", ttl="1h")
        one.set("key", "new", ttl="1h")
        assert other.get("key") is None
        assert one.get("key") == "new"

    def test_what_one_deletes_is_gone_in_the_other(self, caches: list[Any]) -> None:
        one, other = caches
        other.set("key", 1, ttl="1h")
        one.delete("key")
        assert other.get("key") is None

    @pytest.mark.parametrize("chosen", [{}, {"prefix": "ke"}, {"tag": "t"}])
    def test_what_one_clears_is_gone_in_the_other(self, caches: list[Any], chosen: dict[str, str]) -> None:
        one, other = caches
        other.set("key", 1, ttl="1h", tags=["t"])
        other.set("left", 2, ttl="1h")
        one.clear(**chosen)
        assert other.get("key") is None
        assert other.get("left") == (2 if chosen else None)

    def test_computed_values_stay_where_they_are(self, caches: list[Any]) -> None:
        one, other = caches
        assert other.get_or_compute("key", lambda: "of the other") == "of the other"
        assert one.get_or_compute("key", lambda: "of the one") == "of the one"
        assert other.get_or_compute("key", lambda: "computed again") == "of the other"

    def test_that_an_entry_lasts_longer_in_one_makes_none_old(self, caches: list[Any]) -> None:
        one, other = caches
        for cache in caches:
            cache.get_or_compute("key", lambda: 1, ttl="1h")
        assert one.touch("key", ttl="2h")
        assert other.get("key") == 1
        assert one.touch("key", ttl=0)
        assert other.get("key") is None

    def test_a_cache_that_the_other_has_not_opened_loses_its_old_entry_too(self, opened: Open) -> None:
        with opened("b") as before:
            before.cache("x").set("key", "old", ttl="1h")
        one, other = opened("a"), opened("b")
        other.cache("another")
        one.cache("x").delete("key")
        assert other.cache("x").get("key") is None

    @pytest.mark.parametrize("key", ["NUL \0", "ü \U0001f43a", "x" * 3000, "\ud800"])
    def test_any_key_arrives(self, caches: list[Any], key: str) -> None:
        one, other = caches
        other.set(key, 1, ttl="1h")
        one.delete(key)
        assert other.get(key) is None

    def test_an_async_store_tells_and_hears(
        self, opened: Open, run: Callable[[Any], Any], tmp_path: Path
    ) -> None:
        from wilk.aio.store import AsyncStore

        one, other = opened("a"), opened("b")
        other.cache("x").set("key", 1, ttl="1h")

        async def work() -> Any:
            async with AsyncStore(one) as store:
                await store.cache("x").set("key", 2, ttl="1h")
                first = other.cache("x").get("key")
                other.cache("x").set("key", 3, ttl="1h")
                return first, await store.cache("x").get("key")

        assert run(work()) == (None, None)


class TestCachesOfOneMachine:
    def test_over_one_disk_nothing_is_removed_below(self, opened: Open) -> None:
        one, other = opened("a").cache("x"), opened("a").cache("x")
        one.set("key", 1, ttl="1h")
        assert other.get("key") == 1
        one.set("key", 2, ttl="1h")
        time.sleep(0.01)
        assert (one.get("key"), other.get("key")) == (2, 2)
        one.touch("key", ttl="2h")
        assert other.get("key") == 2

    def test_in_memory_alone_they_follow_each_other(self, opened: Open) -> None:
        settings = {"caches": {"x": {"persistent": False}}}
        one, other = opened("a", **settings).cache("x"), opened("a", **settings).cache("x")
        for key in ("set", "deleted", "p:1", "left"):
            other.set(key, "old", ttl="1h")
        one.set("set", "new", ttl="1h")
        one.delete("deleted")
        one.clear(prefix="p:")
        one.touch("left", ttl="2h")
        assert [other.get(key) for key in ("set", "deleted", "p:1", "left")] == [None, None, None, "old"]

    def test_its_own_messages_change_nothing(self, opened: Open) -> None:
        cache = opened("a").cache("x")
        cache.set("key", 1, ttl="1h")
        assert cache.statistics().memory_entries == 1

    def test_after_a_gap_memory_is_empty_and_the_disk_is_not(self, opened: Open, hall: Hall) -> None:
        cache = opened("a").cache("x")
        cache.set("key", 1, ttl="1h")
        hall.publish("lost", "")
        assert cache.statistics().memory_entries == 0
        assert cache.get("key") == 1


class TestDefinitions:
    def test_others_hear_of_what_one_saves_and_removes(self, opened: Open) -> None:
        plugin, reports = Listener(), list[SyncReport]()
        one, other = opened(None), opened("b", plugin)
        other.watch(reports.append)
        one.prompts.save("greeting", PROMPT)
        one.prompts.save("greeting", {**PROMPT, "system": "hi"})
        one.prompts.remove("greeting")
        settled(other)
        wanted = [
            ("prompts", "greeting", *what) for what in (("created", 1), ("updated", 2), ("archived", 2))
        ]
        assert plugin.heard == wanted
        assert [(c.kind, c.id, c.action, c.revision) for r in reports for c in r.changes] == wanted

    def test_others_hear_of_what_one_takes_over_from_its_files(self, opened: Open, tmp_path: Path) -> None:
        plugin = Listener()
        one = opened("a")
        other = opened(None, plugin)
        folder = tmp_path / "a" / "prompts"
        folder.mkdir()
        (folder / "greeting.yaml").write_text("name: Greeting\nsystem: hello\n")
        one.sync()
        settled(other)
        assert plugin.heard == [("prompts", "greeting", "created", 1)]

    def test_one_hears_of_its_own_once(self, opened: Open) -> None:
        plugin, reports = Listener(), list[SyncReport]()
        one = opened("a", plugin)
        one.watch(reports.append)
        one.prompts.save("greeting", PROMPT)
        settled(one)
        assert plugin.heard == [("prompts", "greeting", "created", 1)]
        assert reports == []

    def test_what_is_undone_is_not_told(self, opened: Open, hall: Hall) -> None:
        one = opened(None)
        with suppress(ZeroDivisionError), one.transaction():
            one.prompts.save("greeting", PROMPT)
            raise ZeroDivisionError
        assert hall.said == []
        with one.transaction():
            one.prompts.save("greeting", PROMPT)
            assert hall.said == []
        assert len(hall.said) == 1

    def test_a_store_without_a_folder_can_watch(self, opened: Open) -> None:
        reports = list[SyncReport]()
        one, other = opened("a"), opened(None)
        watcher = other.watch(reports.append)
        assert (watcher.alive, watcher.mode) == (True, "bus")
        one.prompts.save("greeting", PROMPT)
        settled(other)
        assert [change.id for report in reports for change in report.changes] == ["greeting"]
        watcher.stop()
        assert (watcher.alive, watcher.mode, watcher.join(0)) == (False, "stopped", True)
        one.prompts.remove("greeting")
        settled(other)
        assert len(reports) == 1

    def test_after_a_gap_they_hear_of_what_was_missed(self, opened: Open, hall: Hall) -> None:
        reports = list[SyncReport]()
        one, other = opened(None), opened(None)
        for id in ("updated", "archived", "restored", "same"):
            one.prompts.save(id, {**PROMPT, "name": id})
        one.prompts.remove("restored")
        other.watch(reports.append)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hall, "listeners", [])
            one.prompts.save("updated", {**PROMPT, "name": "updated", "system": "hi"})
            one.prompts.remove("archived")
            one.prompts.save("restored", {**PROMPT, "name": "restored"})
            one.prompts.save("created", {**PROMPT, "name": "created"})
            one.prompts.save("passing", {**PROMPT, "name": "passing"})
            one.prompts.remove("passing")
        settled(other)
        assert reports == []
        hall.publish("lost", "")
        settled(other)
        told = {(change.id, change.action) for report in reports for change in report.changes}
        assert told == {
            ("updated", "updated"), ("archived", "archived"), ("restored", "restored"), ("created", "created")
        }  # fmt: skip
        hall.publish("lost", "")
        settled(other)
        assert len(reports) == 1

    def test_what_was_missed_is_told_once_it_can_be_read(
        self, opened: Open, hall: Hall, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A bus may be back before its database is."""
        monkeypatch.setattr("wilk.buses._AGAIN", 0.05)
        reports = list[SyncReport]()
        one, other = opened(None), opened(None)
        other.watch(reports.append)
        read = other.catalog.states
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hall, "listeners", [])
            one.prompts.save("greeting", PROMPT)
        with pytest.MonkeyPatch.context() as patch:
            tried = list[int]()

            def away() -> Any:
                tried.append(1)
                raise wilk.BackendError("the server is not there yet")

            patch.setattr(other.catalog, "states", away)
            hall.publish("lost", "")
            wait_until(lambda: len(tried) > 2)
            one.prompts.save("greeting", {**PROMPT, "system": "hi"})
        assert other.catalog.states() == read()
        wait_until(lambda: reports)
        told = [(change.id, change.revision) for report in reports for change in report.changes]
        assert told[-1] == ("greeting", 2)
        assert caplog.text.count("cannot be read now") == 1
        settled(other)
        wait_until(lambda: not other._worker._repeated)

    def test_what_is_heard_while_a_store_begins_to_watch_is_told(
        self, opened: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reports = list[SyncReport]()
        one, other = opened(None), opened(None)
        read = other.catalog.states

        def slowly() -> Any:
            found = read()
            if not one.prompts.list():
                one.prompts.save("greeting", PROMPT)  # what was found is old by now
            return found

        monkeypatch.setattr(other.catalog, "states", slowly)
        other.watch(reports.append)
        settled(other)
        assert [change.id for report in reports for change in report.changes] == ["greeting"]

    def test_a_file_that_says_something_else_stays_and_is_told_of(
        self, opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        one, other = opened(None), opened("b")
        other.prompts.save("greeting", PROMPT)
        before = (tmp_path / "b" / "prompts" / "greeting.yaml").read_bytes()
        other.watch()
        one.prompts.save("greeting", {**PROMPT, "system": "of the other machine"})
        settled(other)
        assert (tmp_path / "b" / "prompts" / "greeting.yaml").read_bytes() == before
        assert "prompts/greeting.yaml of this machine says something else" in caplog.text
        assert other.prompts.get("greeting").system == "of the other machine"
        (tmp_path / "b" / "prompts" / "greeting.yaml").write_bytes(before + b"description: edited\n")
        other.sync()
        assert one.prompts.get("greeting").description == "edited"

    def test_a_file_that_says_the_same_is_not_told_of(
        self, opened: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        one, other = opened("a"), opened("a")
        other.watch()
        one.prompts.save("greeting", PROMPT)
        settled(other)
        assert "says something else" not in caplog.text


class TestABusThatFails:
    def test_costs_no_verb_an_error(self, opened: Open, hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
        store = opened("a")
        hall.broken = True
        store.cache("x").set("key", 1, ttl="1h")
        assert store.cache("x").get("key") == 1
        assert store.prompts.save("greeting", PROMPT).revision == 1
        assert "other stores do not hear of a change" in caplog.text

    def test_what_makes_no_sense_is_passed_over(self, opened: Open, hall: Hall) -> None:
        store = opened("a")
        store.watch()
        store.cache("x").set("key", 1, ttl="1h")
        for topic in ("cache", "definitions", "of another program"):
            for text in NONSENSE:
                hall.publish(topic, text)
        settled(store)
        assert store.cache("x").get("key") == 1

    def test_a_listener_that_fails_keeps_no_other_from_hearing(self, opened: Open) -> None:
        def fail(report: SyncReport) -> None:
            raise RuntimeError

        reports = list[SyncReport]()
        one, other = opened(None), opened(None)
        other.watch(fail)
        other.watch(reports.append)
        one.prompts.save("greeting", PROMPT)
        settled(other)
        assert len(reports) == 1


class TestTheSetting:
    def test_without_a_bus_there_is_nothing_of_it(self, tmp_path: Path) -> None:
        code = (
            "import sys, threading, wilk\n"
            "with wilk.open_store() as store:\n"
            "    store.cache('x').set('key', 1)\n"
            "    store.prompts.save('p', {'name': 'p', 'system': 's'})\n"
            "    assert store._joined is None\n"
            "    assert 'wilk.buses' not in sys.modules and 'redis' not in sys.modules\n"
            "    names = {thread.name for thread in threading.enumerate()}\n"
            "    assert not [name for name in names if 'bus' in name or 'redis' in name], names\n"
        )
        assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0

    def test_a_bus_is_opened_when_there_is_something_to_hear(self, opened: Open, hall: Hall) -> None:
        with opened("a") as store:
            store.messages.append(store.sessions.create().id, "user", "hello")
            assert hall.opened == 0
            store.cache("x")
            store.cache("y")
            assert hall.opened == 1
        assert hall.closed == 1

    def test_an_address_that_nobody_offers_is_told_at_once(self, home: Path, monkeypatch: Any) -> None:
        monkeypatch.setenv("WILK_BUS", "carrier-pigeon://roof")
        with pytest.raises(wilk.PluginError, match="no plugin offers the bus 'carrier-pigeon'"):
            wilk.open_store()

    @pytest.mark.parametrize("value", ["", "redis", "://x", "redis://", "always"])
    def test_anything_else_is_refused(self, home: Path, monkeypatch: Any, value: str) -> None:
        monkeypatch.setenv("WILK_BUS", value)
        with pytest.raises(wilk.SettingsError, match="auto, none, or an address"):
            wilk.open_store()

    def test_none_leaves_the_bus_of_the_database_alone(self, postgres: PostgresServer) -> None:
        with postgres.database("migrated") as url:
            for bus, joined in (("none", False), ("auto", True)):
                with wilk.open_store(settings=wilk.Settings(url=url, bus=bus)) as store:
                    assert (store._joined is not None) == joined


# -- real servers, and processes ------------------------------------------------------------


class Process:
    """A store in a process of its own; see ``bus_worker.py``."""

    def __init__(self, **settings: Any) -> None:
        script = str(Path(__file__).with_name("bus_worker.py"))
        command = [sys.executable, script, json.dumps({"disabled_plugins": BESIDE, **settings})]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._read()

    def __call__(self, *words: Any) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process has ended"
        return json.loads(line)

    def end(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            return self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()


@pytest.fixture(params=["redis", "postgresql"])
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts processes that share a bus: of Redis over one SQLite file, or of PostgreSQL."""
    with ExitStack() as stack:
        settings: dict[str, Any]
        if request.param == "redis":
            server: ValkeyServer = request.getfixturevalue("valkey")
            settings = {
                "url": f"sqlite:///{tmp_path}/shared.db",
                "bus": server.url,
                "plugins": {"redis": {"prefix": tmp_path.name, "timeout": 5}},
            }
        else:
            postgres: PostgresServer = request.getfixturevalue("postgres")
            settings = {"url": stack.enter_context(postgres.database("migrated"))}
        started: list[Process] = []
        stack.callback(lambda: [process.end() for process in started])

        def start(machine: str | None = None) -> Process:
            home = None if machine is None else str(tmp_path / machine)
            started.append(Process(**settings, home=home))
            return started[-1]

        yield start


@pytest.mark.slow
def test_processes_of_two_machines_follow_each_other(processes: Callable[..., Process]) -> None:
    one, other = processes("a"), processes("b")
    other("set", "key", "old")
    one("get", "anything")

    def old_is_gone() -> bool:
        one("set", "key", "new")  # again, until the other has begun to listen
        return other("get", "key") is None

    wait_until(old_is_gone)
    other("set", "second", 1)
    one("clear")
    wait_until(lambda: other("get", "second") is None)
    watching, plugged = processes("c"), processes()
    watching("watch")
    plugged("heard")
    wanted = []
    for text, revision in (("hello", 1), ("hi", 2)):
        assert one("save", "greeting", {"name": "Greeting", "system": text}) == revision
        wanted.append(["prompts", "greeting", "created" if revision == 1 else "updated", revision])
    wait_until(lambda: watching("reports") == wanted)
    wait_until(lambda: plugged("heard") == wanted)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["redis", "postgresql"])
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_hears_and_tells(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with ExitStack() as stack:
        settings: dict[str, Any] = {"caches": {"x": {"persistent": False}}, "disabled_plugins": BESIDE}
        if kind == "redis":
            settings["bus"] = request.getfixturevalue("valkey").url
            settings["plugins"] = {"redis": {"prefix": tmp_path.name, "timeout": 5}}
            settings["url"] = f"sqlite:///{tmp_path}/shared.db"
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            settings["url"] = stack.enter_context(server.database("migrated"))
        store = stack.enter_context(wilk.open_store(settings=wilk.Settings(**settings)))
        cache = store.cache("x")
        heard = threading.Event()
        assert store._joined is not None
        bus = store._joined._bus
        assert bus is not None
        bus.subscribe(lambda topic, text: heard.set())

        def hears() -> bool:
            bus.publish("nothing", "[]")  # it may be connected already, and have told so
            return heard.is_set()

        wait_until(hears)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                deadline = time.monotonic() + 30
                cache.set("of the child", 1, ttl="1h")
                cache.set("key", "old", ttl="1h")
                os.write(writing, b".")
                while cache.get("key") is not None and time.monotonic() < deadline:
                    time.sleep(0.02)
                    cache.set("of the child", 1, ttl="1h")
                os._exit(0 if cache.get("key") is None else 1)
            finally:
                os._exit(2)
        cache.set("of the child", "old", ttl="1h")
        os.read(reading, 1)
        os.close(reading)
        os.close(writing)
        wait_until(lambda: cache.get("of the child") is None)
        status: list[int] = []

        def tell() -> bool:
            cache.set("key", "new", ttl="1h")
            done, code = os.waitpid(child, os.WNOHANG)
            status.extend([code] if done else [])
            return bool(done)

        wait_until(tell)
        assert status == [0]


@pytest.mark.slow
def test_a_bus_that_was_away_tells_what_was_missed(
    tmp_path: Path, valkey: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    own = ValkeyServer(valkey.program).start()
    try:
        settings = wilk.Settings(
            url=f"sqlite:///{tmp_path}/shared.db", bus=own.url, disabled_plugins=BESIDE,
            plugins={"redis": {"prefix": "p"}}, caches={"x": {"persistent": False}},
        )  # fmt: skip
        reports = list[SyncReport]()
        with wilk.open_store(settings=settings) as one, wilk.open_store(settings=settings) as other:
            other.watch(reports.append)
            other.cache("x").set("key", "old", ttl="1h")
            wait_until(lambda: own.ask("PUBSUB", "NUMSUB", "wilk:{p}:bus") != "" and other.settle())
            own.stop(9)
            one.prompts.save("greeting", PROMPT)
            one.cache("x").set("key", "new", ttl="1h")
            assert one.prompts.get("greeting").revision == 1
            own.start()
            wait_until(lambda: [c.id for r in reports for c in r.changes] == ["greeting"])
            wait_until(lambda: other.cache("x").get("key") is None)
            again = "is there again"
            wait_until(lambda: sum(one.getMessage().endswith(again) for one in list(caplog.records)) >= 2)
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert sum("is away" in text for text in said) == 2, "each of the two stores says it once"
        assert sum(text.endswith("is there again") for text in said) == 2
    finally:
        own.remove()
