"""Health: what it tells of a store that is well, and of each way not to be; it never raises and never waits long."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.servers.postgres import PostgresServer, wheel

import wilk
from wilk import CacheTier, hookimpl

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def state_rows(store: wilk.Store) -> int:
    return sum(one.rows for one in store.statistics(quick=True).kinds if one.kind == "system_state")


@contextmanager
def another_writer(file: Path) -> Iterator[None]:
    """Hold SQLite's lock for writing, as another process would."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class TestAStoreThatIsWell:
    @pytest.mark.backends
    def test_is_ok_without_a_reason(self, store: wilk.Store) -> None:
        found = store.health()
        assert (found.status, found.reasons) == ("ok", ())

    @pytest.mark.backends
    def test_tells_what_one_read_and_one_write_took(self, store: wilk.Store) -> None:
        found = store.health()
        assert found.read_seconds is not None
        assert found.write_seconds is not None
        assert 0 < found.read_seconds < 60
        assert 0 < found.write_seconds < 60

    @pytest.mark.backends
    def test_keeps_nothing_of_the_write(self, store: wilk.Store) -> None:
        before = store.statistics(quick=True).rows
        assert store.health().write_seconds is not None
        assert store.statistics(quick=True).rows == before
        assert state_rows(store) == 0

    @pytest.mark.backends
    def test_tells_its_backend_its_engine_and_its_schema(self, store: wilk.Store) -> None:
        found = store.health()
        assert found.backend == store.settings.url.partition("://")[0]
        assert found.schema is not None
        assert found.schema >= "0003_search"
        assert found.full_text

    @pytest.mark.sqlite
    def test_tells_its_journal_and_that_nobody_writes(self, store: wilk.Store) -> None:
        store.sessions.create(id="s")
        found = store.health()
        assert (found.engine, found.version, found.writing) == ("SQLite", sqlite3.sqlite_version, False)
        assert found.wal_bytes

    @pytest.mark.sqlite
    def test_tells_the_room_on_its_disk(self, store: wilk.Store, home: Path) -> None:
        disk = store.health().disk
        assert disk is not None
        assert (disk.folder, disk.total_bytes) == (str(home), shutil.disk_usage(home).total)
        assert 0 < disk.free_bytes <= disk.total_bytes

    @pytest.mark.backends
    def test_that_is_only_read_is_not_written(self, store: wilk.Store) -> None:
        with wilk.open_store(home=store.home, readonly=True) as reader:
            found = reader.health()
        assert (found.status, found.readonly, found.write_seconds) == ("ok", True, None)

    @pytest.mark.backends
    def test_is_not_written_within_the_callers_transaction(self, store: wilk.Store) -> None:
        with store.transaction():
            store.sessions.create(id="s")
            found = store.health()
        assert (found.status, found.write_seconds) == ("ok", None)
        assert store.sessions.find("s") is not None

    @pytest.mark.sqlite
    def test_in_memory_answers_within_a_transaction_too(self) -> None:
        with wilk.open_store("sqlite:///:memory:") as store, store.transaction():
            assert store.health().status == "ok"

    @pytest.mark.sqlite
    def test_tells_nothing_of_an_engine_that_tells_nothing(self, plugged: Callable[..., wilk.Store]) -> None:
        from dataclasses import replace

        from wilk.backends import sqlite

        class Silent:
            @hookimpl
            def register_backends(self) -> Iterator[wilk.Backend]:
                def opened(url: str, settings: wilk.Settings) -> wilk.Opened:
                    return replace(
                        sqlite.open_sqlite(url.replace("silent", "sqlite", 1), settings), figures=None
                    )

                yield wilk.Backend("silent", opened)

        host = wilk.Host(Silent())
        with wilk.open_store("silent:///:memory:", host=host) as store:
            found = store.health()
        assert (found.status, found.engine, found.version) == ("ok", None, None)
        assert found.write_seconds is not None

    @pytest.mark.parametrize("timeout", [0, -1, "5", True, float("nan"), 1e9])
    def test_wants_a_time_limit_that_is_one(self, store: wilk.Store, timeout: Any) -> None:
        with pytest.raises(wilk.Invalid, match="timeout"):
            store.health(timeout=timeout)


@pytest.mark.sqlite
class TestAStoreThatIsNot:
    def test_is_degraded_while_another_writer_holds_it(self, store: wilk.Store, home: Path) -> None:
        with another_writer(home / "wilk.db"):
            found = store.health(timeout=0.4)
        assert (found.status, found.writing, found.write_seconds) == ("degraded", True, None)
        assert "writing got no turn" in found.reasons[0]
        assert store.health().status == "ok"

    def test_is_degraded_while_another_thread_writes(self, store: wilk.Store) -> None:
        inside, leave = threading.Event(), threading.Event()

        def write() -> None:
            with store.transaction():
                inside.set()
                leave.wait(30)

        writer = threading.Thread(target=write)
        writer.start()
        inside.wait(30)
        try:
            found = store.health(timeout=0.3)
            again = store.health(timeout=0.1)
        finally:
            leave.set()
            writer.join()
        assert (found.status, found.writing) == ("degraded", True)
        assert "another writer holds the store" in found.reasons[0]
        assert "an earlier check still waits" in again.reasons[0]
        assert store.health().status == "ok"

    def test_fails_when_its_file_is_gone(self, store: wilk.Store, home: Path) -> None:
        for file in home.glob("wilk.db*"):
            file.unlink()
        found = store.health()
        assert found.status == "failing"
        assert "is gone" in found.reasons[0]

    def test_fails_when_another_file_took_its_place(self, store: wilk.Store, home: Path) -> None:
        shutil.copy(home / "wilk.db", home / "other.db")
        (home / "other.db").replace(home / "wilk.db")
        found = store.health()
        assert found.status == "failing"
        assert "another file has taken the place" in found.reasons[0]

    def test_fails_when_its_pages_are_damaged(self, store: wilk.Store, home: Path) -> None:
        store.close()
        file = home / "wilk.db"
        whole = file.read_bytes()
        with closing(sqlite3.connect(file)) as raw:
            (page,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages'").fetchone()
        file.write_bytes(whole[: (page - 1) * 4096] + b"\xff" * 4096 + whole[page * 4096 :])
        with wilk.open_store() as damaged:
            found = damaged.health()
        assert found.status == "failing"
        assert "cannot be read" in found.reasons[0]

    def test_fails_when_it_cannot_be_written(self, store: wilk.Store) -> None:
        store._engine.execute(
            "CREATE TRIGGER no BEFORE INSERT ON system_state BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        found = store.health()
        assert found.status == "failing"
        assert "cannot be written" in found.reasons[0]

    def test_fails_when_it_is_closed(self, store: wilk.Store) -> None:
        store.close()
        found = store.health()
        assert found.status == "failing"
        assert "has been closed" in found.reasons[0]

    def test_gives_no_answer_in_time_while_a_thread_has_memory_to_itself(self) -> None:
        inside, leave = threading.Event(), threading.Event()
        with wilk.open_store("sqlite:///:memory:") as store:

            def hold() -> None:
                with store.transaction():
                    inside.set()
                    leave.wait(30)

            holder = threading.Thread(target=hold)
            holder.start()
            inside.wait(30)
            try:
                found = store.health(timeout=0.2)
            finally:
                leave.set()
                holder.join()
            assert "reading got no answer within 0.2 s" in found.reasons
            assert found.status == "failing"
            assert store.health().status == "ok"

    def test_is_degraded_when_its_cache_tier_is_away(
        self, plugged: Callable[..., wilk.Store], hurried: None
    ) -> None:
        class Away:
            @hookimpl
            def register_caches(self) -> Iterator[CacheTier]:
                def nobody(*_: object) -> Any:
                    raise ConnectionError("nobody listens")

                yield CacheTier("away", open=nobody, namespaces=nobody)

        from dataclasses import replace

        store = plugged(Away())
        store.settings = replace(store.settings, cache_tier="away")
        found = store.health()
        assert found.status == "degraded"
        assert found.reasons == (
            "the cache tier 'away' is away, and caches go on without it: ConnectionError: nobody listens",
        )

    def test_is_degraded_when_the_server_of_its_caches_is_away(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        class Away:
            @hookimpl
            def register_caches(self) -> Iterator[CacheTier]:
                def nobody(*_: object) -> Any:
                    raise wilk.BackendError("nobody listens")

                yield CacheTier("away", open=nobody, namespaces=nobody, remote=True)

        from dataclasses import replace

        store = plugged(Away())
        store.settings = replace(store.settings, cache_tier="away")
        store.cache("notes").set("key", 1)
        found = store.health()
        assert found.status == "degraded"
        assert found.caches is not None
        assert (found.caches.tier, found.caches.error) == ("away", "its server cannot be reached")
        assert store.cache("notes").get("key") == 1

    def test_is_degraded_when_a_plugin_is_quarantined(self, store: wilk.Store) -> None:
        from wilk.discovery import Entry

        store.host._plugins.append(
            store.host._discovered(Entry("torn", "no.such.module", "wilk-torn", "1.0"))
        )
        store.host.plugins()
        found = store.health()
        assert found.status == "degraded"
        assert [(one.name, one.distribution) for one in found.quarantined] == [("torn", "wilk-torn")]

    def test_tells_records_that_wait_for_vectors(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WILK_EMBEDDER", "nobody's")
        with wilk.open_store() as store:
            store.memories.add("remember")
            store.settle(10)
            embedding = store.health().embedding
        assert embedding is not None
        assert (embedding.embedder, embedding.pending, embedding.failed) == ("nobody's", 1, 0)


class TestAwaited:
    @pytest.mark.backends
    def test_answers_as_the_other_one(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                assert (await store.health()).status == "ok"
                async with store.transaction():
                    found = await store.health()
                    assert (found.status, found.write_seconds) == ("ok", None)
            assert (await store.health()).status == "failing"

        run(scenario())


@pytest.mark.sqlite
class TestOnAServer:
    """PostgreSQL, whatever backend the other tests run on."""

    @pytest.fixture
    def served(self, postgres: PostgresServer) -> Iterator[wilk.Store]:
        with postgres.database("migrated") as url, wilk.open_store(url) as store:
            yield store

    def test_tells_the_connections_of_the_pool(self, served: wilk.Store) -> None:
        pool = served.health().pool
        assert pool is not None
        assert (pool.in_use, pool.waiting, pool.largest) == (0, 0, 10)
        assert pool.size == pool.idle > 0

    def test_tells_who_writes_and_who_waits(self, served: wilk.Store) -> None:
        inside, leave = threading.Event(), threading.Event()
        with wilk.open_store(served.settings.url) as other:

            def hold() -> None:
                with other.transaction():
                    other.sessions.create(id="held")
                    inside.set()
                    leave.wait(30)

            def wait() -> None:
                served.sessions.create(id="waits")

            threads = [threading.Thread(target=hold), threading.Thread(target=wait)]
            threads[0].start()
            inside.wait(30)
            threads[1].start()
            try:
                deadline = time.monotonic() + 30
                found = served.health(timeout=1)
                while not any(one.waits for one in found.locks) and time.monotonic() < deadline:
                    found = served.health(timeout=1)
            finally:
                leave.set()
                for thread in threads:
                    thread.join()
        assert (found.status, found.writing) == ("degraded", True)
        assert "writing got no turn" in found.reasons[0]
        writes, waits = found.locks
        assert (writes.what, writes.waits) == ("writes", False)
        assert waits.waits
        assert waits.what == f"waits for {writes.who.partition(' (')[0]}"

    def test_puts_the_connections_own_limits_back(self, served: wilk.Store) -> None:
        limits = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
        before = served._engine.execute(limits)
        served.health(timeout=1)
        assert served._engine.execute(limits) == before

    @pytest.mark.slow
    def test_tells_the_standbys_and_fails_when_the_server_dies(self) -> None:
        programs = wheel()
        assert programs is not None
        server, standby = PostgresServer(programs), None
        try:
            server.start()
            with wilk.open_store(server.url("postgres")) as store:
                standby = PostgresServer(programs, standby_of=server)
                standby.start()
                deadline = time.monotonic() + 30
                found = store.health()
                while not found.replicas and time.monotonic() < deadline:
                    time.sleep(0.1)
                    found = store.health()
                (replica,) = found.replicas
                assert found.status == "ok"
                assert replica.state == "streaming"
                assert replica.lag_bytes is not None
                server.stop(signal.SIGKILL)
                begun = time.monotonic()
                found = store.health(timeout=2)
                assert time.monotonic() - begun < 30  # and not for as long as a connection is waited for
                assert found.status == "failing"
                assert any("no connection to PostgreSQL" in reason for reason in found.reasons)
        finally:
            for one in (standby, server):
                if one is not None:
                    one.remove()
