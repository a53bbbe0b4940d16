"""One end of a move: an open database, and its tables a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wilk.contracts import Opened
from wilk.engine import Engine
from wilk.errors import BackendError
from wilk.transfer.moves.tables import Key, Row, Statements, Table

_FEWEST, _MOST = 1, 500
_BYTES = 2_000_000


class End:
    """A database that rows come from or go to. ``address`` is its URL without a password."""

    def __init__(self, engine: Engine, opened: Opened, address: str) -> None:
        self.engine = engine
        self.address = address
        self._opened = opened
        self._statements: dict[str, Statements] = {}

    @property
    def identity(self) -> str:
        """What no other database has in common with this one."""
        return self.address if self._opened.identity is None else self._opened.identity(self.engine.execute)

    def statements(self, table: Table) -> Statements:
        """The SQL for a table."""
        found = self._statements.get(table.name)
        if found is None:
            found = self._statements[table.name] = Statements(self.engine, table)
        return found

    def count(self, table: Table) -> int:
        """How many rows a table has."""
        ((rows,),) = self.engine.execute(self.statements(table).count.sql)
        return int(rows)

    def page(self, table: Table, after: Key | None, limit: int) -> list[Row]:
        """The next rows behind a key, in the order of their keys, which all engines have in common."""
        statements = self.statements(table)
        if after is None:
            rows = self.engine.execute(statements.first.sql, (limit,))
        else:
            rows = self.engine.execute(statements.next.sql, (*table.given_key(after), limit))
        taken = table.taken(rows)
        self._check_order(table, after, taken)
        return taken

    def renumber(self, table: Table) -> None:
        """Let new rows get numbers behind those that the table has; within a transaction."""
        if table.counter is not None and self._opened.renumber is not None:
            self._opened.renumber(self.engine.execute, table.name, table.counter)

    def echo(self, value: Any) -> Any:
        """Have the engine give a value back, or raise what it has against it."""
        ((found,),) = self.engine.execute(f"SELECT {self.engine.database.param}", (value,))
        return found

    def tables(self) -> list[str]:
        """The names of all tables that the database has."""
        with self.engine.pinned():
            found: list[str] = self.engine.database.get_tables()
        return found

    def _check_order(self, table: Table, after: Key | None, rows: Sequence[Row]) -> None:
        """Two databases are compared by walking along their keys, so that these must mean the same order."""
        last = after
        for row in rows:
            key = table.key(row)
            if last is not None and not last < key:
                raise BackendError(
                    f"{self.address} does not sort the keys of {table.name} by code points "
                    f"({table.shown(last)} before {table.shown(key)}), so that it cannot be compared"
                )
            last = key


class Pace:
    """How many rows to read at once: as many as are about two megabytes, by those read last."""

    def __init__(self) -> None:
        self.rows = 50

    def learn(self, rows: int, size: int) -> None:
        """Take note of how large a page was."""
        if rows:
            fitting = _BYTES // max(size // rows, 1)
            self.rows = max(_FEWEST, min(_MOST, fitting, self.rows * 2))
