"""The baseline: sqlite3 code written by hand over the tables, indexes and triggers that wilk made.

It takes the pragmas of wilk's own connection (WAL, ``synchronous`` NORMAL, foreign keys) and writes
the same rows in the same transactions: the session's counters first, then the message, which a
trigger takes into the full-text index. sqlite3 keeps its statements prepared. It makes no ids,
counts no tokens, checks nothing and builds no records: rows come ready made, and ``fetchall`` is
what reading returns.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import wilk
from benchmarks import material

_PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint", "cache_size", "mmap_size")


class Raw:
    """An open database of wilk's schema, used by hand."""

    def __init__(self, file: Path, *, timeout: float = 30) -> None:
        self.connection = sqlite3.connect(file, isolation_level=None, timeout=timeout, cached_statements=256)
        for name, value in _pragmas(file).items():
            self.connection.execute(f"PRAGMA {name} = {value}")
        names = [row[1] for row in self.connection.execute("PRAGMA table_info(messages)") if row[1] != "pk"]
        self.columns = names
        columns = ", ".join(names)
        self._insert = f"INSERT INTO messages ({columns}) VALUES ({', '.join('?' * len(names))})"
        self._last = f"SELECT {columns} FROM messages WHERE session_id = ? ORDER BY sequence DESC LIMIT ?"
        self._advance = (
            "UPDATE sessions SET last_sequence = last_sequence + ?, message_count = message_count + ?, "
            "token_count = token_count + ?, updated_at = ? WHERE id = ? RETURNING last_sequence"
        )
        self._sequence = names.index("sequence")
        self._tokens = names.index("tokens")

    def append(self, session: str, row: list[Any]) -> None:
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        counts = (1, 1, row[self._tokens], time.time_ns() // 1000, session)
        row[self._sequence] = execute(self._advance, counts).fetchall()[0][0]
        execute(self._insert, row)
        execute("COMMIT")

    def extend(self, session: str, rows: list[list[Any]], *, at_once: int = 1) -> None:
        """Write rows with ``executemany``, or ``at_once`` of them with each statement."""
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        n = len(rows)
        tokens = sum(row[self._tokens] for row in rows)
        [(last,)] = execute(self._advance, (n, n, tokens, time.time_ns() // 1000, session)).fetchall()
        for sequence, row in enumerate(rows, last - n + 1):
            row[self._sequence] = sequence
        whole = 0 if at_once == 1 else n - n % at_once
        many = self._insert + f", ({', '.join('?' * len(self.columns))})" * (at_once - 1)
        for begin in range(0, whole, at_once):
            execute(many, list(chain.from_iterable(rows[begin : begin + at_once])))
        self.connection.executemany(self._insert, rows[whole:])
        execute("COMMIT")

    def last(self, session: str, n: int) -> list[tuple[Any, ...]]:
        return self.connection.execute(self._last, (session, n)).fetchall()

    def rows(self, session: str, texts: Sequence[str]) -> list[list[Any]]:
        """Make the rows of messages as wilk would write them, apart from their place."""
        clock = wilk.Clock()
        ready = []
        for number, text in enumerate(texts):
            values = {
                "id": clock.new_id(),
                "session_id": session,
                "sequence": 0,
                "role": material.role(number),
                "text": text,
                "tokens": len(text) // 4,
                "importance": 0.5,
                "created_at": clock.now(),
            }
            ready.append([values.get(name) for name in self.columns])
        return ready

    def close(self) -> None:
        self.connection.close()


def _pragmas(file: Path) -> dict[str, Any]:
    """What wilk sets on its own connection to a database."""
    with wilk.open_store(f"sqlite:///{file}") as store:
        return {name: store._engine.execute(f"PRAGMA {name}")[0][0] for name in _PRAGMAS}


def new_database(file: Path, *, sessions: int = 1, messages: int = 0) -> list[str]:
    """Make a database with wilk, fill each session with messages, and return the sessions' ids."""
    with wilk.open_store(f"sqlite:///{file}") as store:
        ids = [store.sessions.create(name=f"session {number}").id for number in range(sessions)]
        for number, session in enumerate(ids if messages else ()):
            made = enumerate(material.texts(messages, seed=number))
            store.messages.extend(session, ({"role": material.role(n), "text": text} for n, text in made))
    return ids
