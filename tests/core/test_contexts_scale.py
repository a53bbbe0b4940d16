"""What a build reads depends on the budget, and not on the session's length or the store's size."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.host import Host

from .test_contexts import pin, summary

SHORT, LONG, WHOLE = 10, 100_000, 1_000_000
TEXT = "the same for every message, so that as many fit whatever the session's length"


class Counted:
    """Counts the statements of a store, and the rows that each of them gave."""

    def __init__(self, store: wilk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements = 0
        self.rows: Counter[str] = Counter()
        connections = store._engine._connections
        cursor = connections.cursor

        def counted(sql: str, parameters: Any) -> Any:
            self.statements += 1
            return _Rows(cursor(sql, parameters), sql, self.rows)

        monkeypatch.setattr(connections, "cursor", counted)


class _Rows:
    """A cursor that counts what is fetched from it."""

    def __init__(self, cursor: Any, sql: str, rows: Counter[str]) -> None:
        self._cursor, self._sql, self._rows = cursor, sql, rows
        self.description = cursor.description

    def fetchone(self) -> Any:
        row = self._cursor.fetchone()
        self._rows[self._sql] += row is not None
        return row

    def fetchall(self) -> Any:
        rows = self._cursor.fetchall()
        self._rows[self._sql] += len(rows)
        return rows

    def close(self) -> None:
        self._cursor.close()


def fill(file: Path, session: str, first: int, last: int) -> None:
    """Write messages straight into the table; the full-text index is left as it is."""
    with closing(sqlite3.connect(file)) as connection:
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'messages'"
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.executemany(
            "INSERT INTO messages (id, session_id, sequence, role, text, tokens, importance, created_at) "
            f"VALUES (?, ?, ?, ?, '{TEXT.replace(chr(39), chr(39) * 2)}', 20, ?, 0)",
            (
                (f"{session}-{n}", session, n, "assistant" if n % 2 else "user", 0.9 if n in (2, 4) else 0.5)
                for n in range(first, last + 1)
            ),
        )
        connection.execute(
            "UPDATE sessions SET last_sequence = ?, message_count = ?, token_count = ? WHERE id = ?",
            (last, last, 20 * last, session),
        )
        for _, sql in triggers:
            connection.execute(sql)
        connection.commit()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wilk.Store]:
    """A store of a million messages with a session of ten and one of a hundred thousand."""
    file = tmp_path_factory.mktemp("large") / "large.db"
    chosen = wilk.Settings(url=f"sqlite:///{file}", tokenizer="heuristic", max_tokens=8192)
    with wilk.open_store(settings=chosen, host=Host(disabled=["wilk-audit", "wilk-tokens"])) as store:
        sizes = {"short": SHORT, "long": LONG, "rest": WHOLE - SHORT - LONG}
        for name in sizes:
            store.sessions.create(id=name)
        for name, size in sizes.items():
            fill(file, name, 1, size)
        for name in ("short", "long"):
            pin(store, name, "a pin")
            summary(store, name, 1, 3, "a summary", 0.5)
        yield store


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["discard", "summarize", "hybrid"])
def test_as_much_is_read_for_ten_messages_as_for_a_hundred_thousand(large: wilk.Store, strategy: str) -> None:
    counts, contexts = {}, {}
    for session in ("short", "long"):
        with pytest.MonkeyPatch.context() as patch:
            counted = Counted(large, patch)
            contexts[session] = large.contexts.build(session, strategy=strategy, max_tokens=150)
            counts[session] = (counted.statements, counted.rows)
    assert counts["short"] == counts["long"]
    assert counts["long"][0] <= 12
    short, long = contexts["short"], contexts["long"]
    assert short.total_tokens == pytest.approx(long.total_tokens, abs=2)
    assert [item.kind for item in short.items] == [item.kind for item in long.items]
    assert long.last_sequence == LONG


@pytest.mark.slow
def test_a_budget_that_doubles_reads_twice_as_many_rows_and_no_more_statements(large: wilk.Store) -> None:
    found = []
    for tokens in (1000, 2000):
        with pytest.MonkeyPatch.context() as patch:
            counted = Counted(large, patch)
            items = large.contexts.build("long", strategy="discard", max_tokens=tokens).items
            found.append((counted.statements, sum(counted.rows.values()) - len(items)))
    assert found[0] == found[1]
