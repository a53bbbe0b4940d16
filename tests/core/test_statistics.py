"""Statistics: rows, bytes and growth by kind, the largest sessions, and what lies in folders."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Time
from tests.servers.postgres import PostgresServer

import wilk
from wilk import hookimpl
from wilk.backends import sqlite
from wilk.records.care import KindStatistics

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(autouse=True)
def _as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages stay where they are, however many there are."""
    monkeypatch.setenv("WILK_COMPACTION", "manual")


def of(store: wilk.Store, kind: str, **options: Any) -> KindStatistics:
    return next(one for one in store.statistics(**options).kinds if one.kind == kind)


class Silent:
    """SQLite that tells nothing of itself, as a backend may."""

    @hookimpl
    def register_backends(self) -> Iterator[wilk.Backend]:
        def opened(url: str, settings: wilk.Settings) -> wilk.Opened:
            return replace(sqlite.open_sqlite(url.replace("silent", "sqlite", 1), settings), figures=None)

        yield wilk.Backend("silent", opened)


class TestRows:
    @pytest.mark.backends
    def test_are_counted_by_kind_and_in_all(self, store: wilk.Store) -> None:
        before = store.statistics().rows
        store.sessions.create(id="s")
        store.messages.extend("s", [{"role": "user", "text": str(n)} for n in range(7)])
        found = store.statistics()
        assert {one.kind: one.rows for one in found.kinds if one.kind in ("message", "session")} == {
            "message": 7,
            "session": 1,
        }
        assert found.rows == before + 8

    def test_of_the_transaction_count(self, store: wilk.Store) -> None:
        with store.transaction():
            store.sessions.create(id="s")
            assert of(store, "session").rows == 1

    def test_of_every_table_are_counted(self, store: wilk.Store) -> None:
        with store._engine.pinned():
            tables = set(store._engine.database.get_tables())
        counted = {one.table for one in store.statistics().kinds}
        parts = ("_fts", "_words", "_migrations")  # of full text, and what was migrated
        assert {name for name in tables - counted if not any(part in name for part in parts)} == set()

    def test_of_what_was_removed_are_those_of_the_archive(self, store: wilk.Store) -> None:
        store.sessions.create(id="s")
        store.sessions.remove("s")
        assert (of(store, "session").rows, of(store, "archive_entry").rows) == (0, 1)

    @pytest.mark.sqlite
    def test_of_a_plugins_tables_stand_under_its_name(
        self, plugged: Callable[..., wilk.Store], tmp_path: Path
    ) -> None:
        from peewee import IntegerField

        class Note(wilk.Model):
            size = IntegerField()

        (tmp_path / "0001_note.py").write_text(
            "def up(migrator, database):\n    database.execute_sql('CREATE TABLE note (id INTEGER PRIMARY KEY, size)')\n"
        )

        class Plugin:
            @hookimpl
            def register_models(self) -> Iterator[wilk.contracts.ModelSet]:  # type: ignore[name-defined]
                yield wilk.ModelSet("notes", lambda: [Note], tmp_path)

        store = plugged(Plugin())
        with store.transaction():
            Note.create(size=1)
        found = of(store, "notes.note")
        assert (found.table, found.rows, found.per_day_7) == ("note", 1, None)


class TestBytes:
    @pytest.mark.backends
    def test_of_a_kind_grow_with_what_is_kept(self, store: wilk.Store) -> None:
        store.sessions.create(id="s")
        before = of(store, "message").bytes or 0
        texts = [f"{number} {'wolf ' * 200}" for number in range(400)]  # 400 KB
        store.messages.extend("s", [{"role": "user", "text": text} for text in texts])
        grown = (of(store, "message").bytes or 0) - before
        least = 100_000 if store.settings.url.startswith("postgresql") else 400_000  # which may compress
        assert least <= grown < 1_200_000

    @pytest.mark.sqlite
    def test_are_measured_page_by_page(self, store: wilk.Store, home: Path) -> None:
        found = store.statistics()
        assert found.measured_by == "dbstat"
        parts = sum((one.bytes or 0) + (one.index_bytes or 0) for one in found.kinds)
        store.close()
        whole = (home / "wilk.db").stat().st_size
        assert whole * 0.9 < parts <= whole

    @pytest.mark.sqlite
    def test_of_full_text_are_the_indexes_of_its_table(self, store: wilk.Store) -> None:
        store.sessions.create(id="s")
        before = of(store, "message").index_bytes or 0
        words = " ".join(f"word{number}" for number in range(5000))
        store.messages.append("s", "user", words)
        assert (of(store, "message").index_bytes or 0) - before > 20_000

    @pytest.mark.sqlite
    def test_that_are_free_will_be_used_again(self, store: wilk.Store) -> None:
        assert store.statistics().free_bytes == 0
        store.state.set("big", "x" * 500_000)
        store.state.set("big", "")
        free = store.statistics().free_bytes
        assert free is not None
        assert free > 400_000

    @pytest.mark.sqlite
    def test_are_estimated_where_the_engine_tells_none(self, tmp_path: Path) -> None:
        with wilk.open_store(f"silent:///{tmp_path}/t.db", host=wilk.Host(Silent())) as store:
            store.sessions.create(id="s")
            store.messages.extend("s", [{"role": "user", "text": "wolf " * (n % 50)} for n in range(2000)])
            guessed = store.statistics()
            message = of(store, "message")
        with wilk.open_store(f"sqlite:///{tmp_path}/t.db") as store:
            real = of(store, "message")
        assert guessed.measured_by == "estimate"
        assert message.index_bytes is None
        assert real.bytes
        assert message.bytes
        assert 0.6 < message.bytes / real.bytes < 1.6

    def test_are_left_out_when_it_must_be_quick(self, store: wilk.Store) -> None:
        store.sessions.create(id="s")
        found = store.statistics(quick=True)
        session = of(store, "session", quick=True)
        assert (session.rows, session.bytes, session.per_day_7, found.measured_by) == (1, None, None, "")
        assert found.bytes

    @pytest.mark.sqlite
    def test_of_a_server_are_its_own(self, postgres: PostgresServer) -> None:
        with postgres.database("migrated") as url, wilk.open_store(url) as store:
            found = store.statistics()
            total = sum((one.bytes or 0) + (one.index_bytes or 0) for one in found.kinds)
        assert found.measured_by == "pg_total_relation_size"
        assert found.bytes is not None
        assert 0 < total <= found.bytes

    @pytest.mark.sqlite
    def test_of_partitions_are_those_of_their_table(self, postgres: PostgresServer) -> None:
        with postgres.database("migrated") as url, wilk.open_store(url) as store:
            database = url.rpartition("/")[2]
            postgres.execute("ALTER TABLE feedback RENAME TO feedback_old", database)
            postgres.execute("CREATE TABLE feedback (LIKE feedback_old) PARTITION BY HASH (id)", database)
            postgres.execute(
                "CREATE TABLE feedback_0 PARTITION OF feedback FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
                database,
            )
            before = of(store, "feedback").bytes or 0
            for number in range(50):
                store.feedback.add("note", f"{number} {'x' * 1000}")
            assert (of(store, "feedback").bytes or 0) > before + 40_000


class TestGrowth:
    def test_is_rows_a_day_over_a_week_and_a_month(self, timed: wilk.Store, now: Time) -> None:
        timed.sessions.create(id="s")
        for days, count in ((40, 60), (15, 30), (10, 14)):
            timed.messages.extend("s", [{"role": "user", "text": "x"}] * count)
            now.pass_by(days=days)
        found = of(timed, "message")  # 65, 25 and 10 days ago
        assert (found.per_day_7, found.per_day_30) == (0.0, 44 / 30)
        timed.messages.extend("s", [{"role": "user", "text": "x"}] * 21)
        assert of(timed, "message").per_day_7 == 3.0

    def test_is_known_of_kinds_by_other_names_of_their_time(self, store: wilk.Store) -> None:
        store.facts.add("Ann", "reads", "code")
        assert of(store, "fact").per_day_7 == 1 / 7


class TestSessions:
    @pytest.mark.backends
    def test_with_the_most_messages_come_first(self, store: wilk.Store) -> None:
        for id, count in (("small", 1), ("large", 5), ("empty", 0), ("middle", 3)):
            store.sessions.create(id=id, name=id.title())
            store.messages.extend(id, [{"role": "user", "text": "äöü"}] * count)
        found = store.statistics().sessions
        assert [(one.id, one.name, one.messages, one.characters) for one in found] == [
            ("large", "Large", 5, 15),
            ("middle", "Middle", 3, 9),
            ("small", "Small", 1, 3),
        ]

    def test_are_ten_at_most(self, store: wilk.Store) -> None:
        for number in range(12):
            store.sessions.create(id=f"s{number}")
            store.messages.append(f"s{number}", "user", "x")
        assert len(store.statistics().sessions) == 10


class TestFolders:
    def test_tell_of_caches_and_indexes(self, store: wilk.Store, home: Path) -> None:
        store.cache("responses").set("key", "x" * 5000)
        store.vectors.add("notes", "a", [1.0, 0.0], model="m")
        store.vectors.search("notes", [1.0, 0.0])
        (home / "archive").mkdir()
        (home / "archive" / "one.jsonl").write_bytes(b"x" * 123)
        found = {one.what: one for one in store.statistics().folders}
        assert found["caches"].bytes > 5000
        assert found["caches"].folder == str(home / "cache")
        assert (found["archived rows"].files, found["archived rows"].bytes) == (1, 123)


class TestArguments:
    @pytest.mark.parametrize("quick", ["yes", 1, None])
    def test_that_are_none_are_refused(self, store: wilk.Store, quick: Any) -> None:
        with pytest.raises(wilk.Invalid, match="quick"):
            store.statistics(quick=quick)

    def test_of_a_store_that_is_closed(self, store: wilk.Store) -> None:
        store.close()
        with pytest.raises(wilk.Closed):
            store.statistics()

    def test_awaited_gives_the_same(self, store: wilk.Store, run: Run) -> None:
        async def scenario() -> wilk.records.care.Statistics:  # type: ignore[name-defined]
            async with wilk.open_async_store() as opened:
                return await opened.statistics(quick=True)

        store.sessions.create(id="s")
        assert run(scenario()).kinds == store.statistics(quick=True).kinds


@pytest.mark.sqlite
def test_a_sqlite_without_dbstat_is_estimated(store: wilk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from wilk.backends import sqlite_figures

    def without(_: Any) -> Any:
        raise wilk.BackendError("OperationalError: no such table: dbstat")

    monkeypatch.setattr(sqlite_figures, "_measured", without)
    with closing(store):
        store.sessions.create(id="s")
        found = store.statistics()
    assert found.measured_by == "estimate"
    assert next(one.bytes for one in found.kinds if one.kind == "session")
