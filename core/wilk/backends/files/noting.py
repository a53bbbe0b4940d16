"""Notes of changed rows: triggers of each writing connection write down which files a transaction concerns.

They are temporary, as are the notes, and share the fate of the transaction: what is rolled back, be it to
a savepoint, leaves none. Migrations run without them; the whole tree is looked through after those.
"""

from __future__ import annotations

from typing import Any

from wilk.backends.files.layout import DERIVED
from wilk.backends.files.rows import Execute, Table, quoted, tables

NOTED = "temp.wilk_noted"
_PLACES = 3


class Noting:
    """What one connection notes, and the tables as it last knew them."""

    def __init__(self) -> None:
        self._version: int | None = None
        self.tables: dict[str, Table] = {}

    def prepare(self, connection: Any) -> None:
        """See to it that all tables are followed; costs one small query when they are."""
        (version,) = connection.execute("PRAGMA main.schema_version").fetchone()
        if version == self._version:
            return

        def execute(sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
            return list(connection.execute(sql, parameters))

        self.tables = followed(execute)
        execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {NOTED.partition('.')[2]} (name TEXT, a, b, c, o)"  # own name
        )
        for name in [row[0] for row in execute("SELECT name FROM temp.sqlite_master WHERE type = 'trigger'")]:
            if name.startswith("wilk_note_"):
                execute(f"DROP TRIGGER temp.{quoted(name)}")
        for number, table in enumerate(self.tables.values()):
            for trigger in _triggers(number, table):
                execute(trigger)
        self._version = version


def followed(execute: Execute) -> dict[str, Table]:
    """The tables of an index whose rows lie in files."""
    return {name: table for name, table in tables(execute).items() if name not in DERIVED}


def _triggers(number: int, table: Table) -> list[str]:
    place = table.placement
    made = []
    for event, rows in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
        notes = "".join(
            f" INSERT INTO wilk_noted VALUES ({_literal(table.name)}, {_values(place.group, row)}, "
            f"{f'{row}.{quoted(place.order)}' if place.order else 'NULL'});"
            for row in rows
        )
        made.append(
            f"CREATE TEMP TRIGGER wilk_note_{number}_{event.lower()} AFTER {event} "
            f"ON main.{quoted(table.name)} BEGIN{notes} END"
        )
    return made


def _values(group: tuple[str, ...], row: str) -> str:
    values = [f"{row}.{quoted(name)}" for name in group]
    return ", ".join(values + ["NULL"] * (_PLACES - len(values)))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
