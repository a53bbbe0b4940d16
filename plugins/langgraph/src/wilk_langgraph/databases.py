"""LangGraph's databases among the files of a source, known by the columns of their tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from wilk import Invalid, Source

CHECKPOINTS = ("thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "type", "checkpoint")
WRITES = ("thread_id", "checkpoint_ns", "checkpoint_id", "task_id", "idx", "channel", "type", "value")
STORE = ("prefix", "key", "value", "created_at", "updated_at")
VECTORS = ("prefix", "key", "field_name", "embedding")
OWN = {"checkpoints", "writes", "store", "store_vectors", "store_migrations", "vector_migrations"}

Row = dict[str, Any]


class Database:
    """One open database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        self._connection = connection
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        self.tables = {
            name: {
                row[1]
                for row in connection.execute(f'PRAGMA table_info("{name.replace(chr(34), chr(34) * 2)}")')
            }
            for (name,) in names.fetchall()
            if not name.startswith("sqlite_")
        }

    def has(self, table: str, columns: tuple[str, ...]) -> bool:
        """Whether there is such a table with these columns."""
        return set(columns) <= self.tables.get(table, set())

    def rows(self, query: str, *given: Any) -> Iterator[Row]:
        """Rows by the names of their columns, one at a time."""
        cursor = self._connection.execute(query, given)
        names = [one[0] for one in cursor.description]
        for row in cursor:
            yield dict(zip(names, row, strict=True))

    def count(self, table: str) -> int:
        """How many rows a table has."""
        name = table.replace('"', '""')
        return int(next(iter(self._connection.execute(f'SELECT count(*) FROM "{name}"')))[0])  # noqa: S608 - quoted

    @property
    def fits(self) -> bool:
        """Whether it is one of LangGraph's."""
        return self.has("checkpoints", CHECKPOINTS) or self.has("store", STORE)


def recognize(source: Source) -> str | None:
    """Tell checkpoints and stores of LangGraph."""
    for file in source.databases():
        try:
            with source.database(file) as connection:
                found = Database(connection)
                if found.has("checkpoints", CHECKPOINTS):
                    return "checkpoints of LangGraph"
                if found.fits:
                    return "a store of LangGraph"
        except Invalid:
            continue
    return None
