"""What a verb costs, in statements and rows: counts, which no busy machine can change."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.backends import sqlite as backend

pytestmark = pytest.mark.sqlite  # it counts what SQLite is asked

Trace = Callable[[wilk.Store], list[str]]


@pytest.fixture
def trace() -> Iterator[Trace]:
    """Note every statement that SQLite runs on this thread's connection, as SQLite sees it."""
    traced: list[sqlite3.Connection] = []

    def begin(store: wilk.Store) -> list[str]:
        statements: list[str] = []
        store.sessions.find("warm up")
        traced.append(store._engine.database.connection())
        traced[-1].set_trace_callback(statements.append)
        return statements

    yield begin
    for connection in traced:
        connection.set_trace_callback(None)


def verbs_of(statements: list[str]) -> list[str]:
    """The first words of statements, without what triggers and the full-text index run inside of them."""
    own = [line for line in statements if not line.startswith("--") and "'main'" not in line]
    # SQLite names the statement once more for each trigger that it sets off.
    return [" ".join(line.split()[:2]) for line, _ in groupby(own)]


class TestAppend:
    def test_runs_two_statements_in_a_transaction(
        self, store: wilk.Store, session: str, trace: Trace
    ) -> None:
        store.messages.append(session, "user", "warm up")
        ran = trace(store)
        store.messages.append(session, "user", "hello")
        assert verbs_of(ran) == ["BEGIN IMMEDIATE", 'UPDATE "sessions"', "INSERT INTO", "COMMIT"]

    def test_with_a_key_looks_it_up_once(self, store: wilk.Store, session: str, trace: Trace) -> None:
        store.messages.append(session, "user", "warm up")
        ran = trace(store)
        store.messages.append(session, "user", "hello", key="k")
        assert len(verbs_of(ran)) == 5

    def test_writes_one_row_and_changes_one(self, store: wilk.Store, session: str) -> None:
        connection = store._engine.database.connection()
        store.messages.append(session, "user", "warm up")

        def rows() -> dict[str, int]:
            return {
                table: store._engine.execute(f"SELECT COUNT(*) FROM {table}")[0][0]
                for table in ("sessions", "messages", "tool_calls", "archive", "users")
            }

        before, changes = rows(), connection.total_changes
        store.messages.append(session, "user", "hello")
        assert rows() == {**before, "messages": before["messages"] + 1}
        # The message, its session, and a few of the full-text index (its own tables).
        assert connection.total_changes - changes <= 12

    def test_costs_the_same_in_a_long_session(self, store: wilk.Store, session: str, trace: Trace) -> None:
        store.messages.append(session, "user", "warm up")
        ran = trace(store)
        store.messages.append(session, "user", "hello")
        short = len(verbs_of(ran))
        store.messages.extend(session, [{"role": "user", "text": "more"}] * 500)
        ran.clear()
        store.messages.append(session, "user", "hello")
        assert len(verbs_of(ran)) == short


class TestExtend:
    def test_runs_as_many_statements_for_many_as_for_few(
        self, store: wilk.Store, session: str, trace: Trace
    ) -> None:
        store.messages.append(session, "user", "warm up")
        ran = trace(store)
        counts = []
        for many in (2, 200):
            ran.clear()
            store.messages.extend(session, [{"role": "user", "text": "x"}] * many)
            counts.append(len([verb for verb in verbs_of(ran) if not verb.startswith("INSERT")]))
        assert counts[0] == counts[1]


class TestReading:
    @pytest.mark.parametrize(
        "read",
        [
            lambda store, session: store.messages.last(session, 50),
            lambda store, session: store.messages.page(session, limit=50),
            lambda store, session: store.messages.search("text"),
            lambda store, session: store.sessions.recent(),
            lambda store, session: store.sessions.list(),
            lambda store, session: store.messages.usage(),
            lambda store, session: store.messages.count(session),
        ],
        ids=["last", "page", "search", "recent", "list", "usage", "count"],
    )
    def test_is_one_statement_however_many_rows(
        self, store: wilk.Store, session: str, trace: Trace, read: Callable[[wilk.Store, str], Any]
    ) -> None:
        store.messages.extend(session, [{"role": "user", "text": "text", "agent": "a"}] * 40)
        for _ in range(10):
            store.sessions.create()
        ran = trace(store)
        read(store, session)
        assert len(verbs_of(ran)) == 1

    @pytest.mark.parametrize(
        "read",
        ["last", "page", "usage", "by key"],
    )
    def test_uses_an_index_instead_of_reading_the_table(
        self, store: wilk.Store, session: str, trace: Trace, read: str
    ) -> None:
        store.messages.extend(session, [{"role": "user", "text": "text", "agent": "a"}] * 40)
        ran = trace(store)
        if read == "usage":
            store.messages.usage()
        elif read == "by key":
            store.messages.append(session, "user", key="k")
        else:
            getattr(store.messages, read)(session)
        query = next(line for line in ran if line.startswith("SELECT"))
        plan = " ".join(row[3] for row in store._engine.execute(f"EXPLAIN QUERY PLAN {query}"))
        assert "USING INDEX" in plan or "USING COVERING INDEX" in plan
        assert read == "usage" or "TEMP B-TREE" not in plan


class TestCompacted:
    """A session of forty messages, of which thirty lie in the archive."""

    @pytest.fixture
    def compacted(self, store: wilk.Store, session: str) -> str:
        store.messages.extend(session, [{"role": "user", "text": "text", "key": str(n)} for n in range(40)])
        assert store.memory.compact(session, keep_messages=10)
        return session

    @pytest.mark.parametrize(
        "read",
        [
            lambda messages, session: messages.last(session, 10),
            lambda messages, session: messages.page(session, after=30),
            lambda messages, session: messages.page(session, before=36, limit=5),
            lambda messages, session: messages.count(session),
        ],
        ids=["last", "after", "before", "count"],
    )
    def test_reading_what_is_live_is_one_statement(
        self, store: wilk.Store, compacted: str, trace: Trace, read: Callable[[Any, str], Any]
    ) -> None:
        ran = trace(store)
        read(store.messages, compacted)
        assert len(verbs_of(ran)) == 1

    def test_appending_costs_what_it_costs_elsewhere(
        self, store: wilk.Store, compacted: str, trace: Trace
    ) -> None:
        store.messages.append(compacted, "user", "warm up")
        ran = trace(store)
        store.messages.append(compacted, "user", "hello", key="new")
        assert len(verbs_of(ran)) == 5

    def test_what_is_due_costs_the_appender_no_statement(self, store: wilk.Store, trace: Trace) -> None:
        session = store.sessions.create(max_tokens=1).id
        store.messages.append(session, "user", "warm up")
        ran = trace(store)
        store.messages.append(session, "user", "hello to everybody")
        assert len(verbs_of(ran)) == 4

    @pytest.mark.parametrize("read", ["last", "after", "before", "find", "by key"])
    def test_reading_the_archive_uses_an_index(
        self, store: wilk.Store, compacted: str, trace: Trace, read: str
    ) -> None:
        id = store.messages.page(compacted)[3].id
        ran = trace(store)
        if read == "find":
            store.messages.find(id)
        elif read == "by key":
            store.messages.append(compacted, "user", "text", key="3")
        elif read == "last":
            store.messages.last(compacted, 20)
        else:
            store.messages.page(compacted, **{read: 5})
        query = next(line for line in ran if line.startswith("SELECT") and '"archive"' in line)
        plan = " ".join(row[3] for row in store._engine.execute(f"EXPLAIN QUERY PLAN {query}"))
        assert "SCAN" not in plan
        assert "TEMP B-TREE FOR ORDER BY" not in plan


class TestOpening:
    def ran(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Every statement that opening runs, on whatever connection."""
        statements: list[str] = []

        class Traced(backend._Connection):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                self.set_trace_callback(statements.append)

        with monkeypatch.context() as patch:
            patch.setattr(backend, "_Connection", Traced)
            with wilk.open_store(home=home):
                return list(statements)

    def test_runs_as_many_statements_for_a_full_store_as_for_an_empty_one(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with wilk.open_store(home=home):
            pass
        empty = self.ran(home, monkeypatch)
        with wilk.open_store(home=home) as store:
            for _ in range(20):
                store.messages.extend(store.sessions.create().id, [{"role": "user", "text": "x"}] * 50)
        full = self.ran(home, monkeypatch)
        assert empty == full
        assert 0 < len(full) <= 6, full

    def test_writes_nothing(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with wilk.open_store(home=home):
            pass
        ran = self.ran(home, monkeypatch)
        assert {line.split()[0] for line in ran} <= {"PRAGMA", "SELECT"}
