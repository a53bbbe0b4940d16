"""What a row of a table looks like: its columns, and whether a record can be one of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, NamedTuple

from wilk.care.recovering.pages import LOST, BadText, Cut

_NUMBERS = (int, float)


class Column(NamedTuple):
    """A column: its name, affinity (text, integer, real, any), and what its rows must or may have."""

    name: str
    kind: str
    declared: str
    filled: bool
    default: Any
    key: int


class Index(NamedTuple):
    """An index: the columns of its entries, and whether every row of the table has one."""

    name: str
    columns: tuple[str | None, ...]
    unique: bool
    whole: bool
    rising: bool


class Parent(NamedTuple):
    """A foreign key of one column."""

    column: str
    table: str
    referred: str


class Layout:
    """A table. ``number`` is the place of the column that is the row's number itself, where there is one."""

    def __init__(
        self,
        name: str,
        columns: Sequence[Column],
        indexes: Sequence[Index],
        parents: Sequence[Parent],
        *,
        rowless: bool,
    ) -> None:
        self.name = name
        self.columns = list(columns)
        self.indexes = list(indexes)
        self.parents = list(parents)
        self.rowless = rowless  # a table WITHOUT ROWID
        self.json = {column.name for column in columns if column.declared == "JSON"}
        keys = sorted((column.key, n) for n, column in enumerate(columns) if column.key)
        self.keys = [n for _, n in keys]
        alone = len(keys) == 1 and columns[keys[0][1]].declared == "INTEGER" and not rowless
        self.number = keys[0][1] if alone else None
        order = list(range(len(columns)))
        if rowless:
            order = [*self.keys, *(n for n in order if n not in self.keys)]
        self.order = order

    def row(self, number: int, values: Sequence[Any]) -> list[Any] | None:
        """The values of a record by column, those it has not by their defaults; None when it is no row of
        this table."""
        if len(values) > len(self.columns):
            return None
        row: list[Any] = [column.default for column in self.columns]
        for place, value in zip(self.order, values, strict=False):
            if not self._fits(place, value):
                return None
            row[place] = value
        for place in self.order[len(values) :]:
            column = self.columns[place]
            if column.filled and column.default is None:
                return None
        if self.number is not None:
            if row[self.number] is not None and row[self.number] is not LOST:
                return None
            row[self.number] = number
        return row

    def has_entry(self, index: Index, entry: Sequence[Any]) -> bool:
        """Whether an entry can be one of an index of this table: the values of its columns, then the row."""
        if len(entry) != len(index.columns) + 1 or not isinstance(entry[-1], int):
            return False
        places = {column.name: n for n, column in enumerate(self.columns)}
        return all(
            name is None or places.get(name) == self.number or self._fits(places[name], value)
            for name, value in zip(index.columns, entry, strict=False)
        )

    def _fits(self, place: int, value: Any) -> bool:
        column = self.columns[place]
        if value is LOST or isinstance(value, Cut):
            return True
        if value is None:
            return not column.filled or place == self.number
        if column.kind == "text":
            return isinstance(value, (str, BadText))
        if column.kind == "integer":
            return isinstance(value, int)
        if column.kind == "real":
            return isinstance(value, _NUMBERS)
        return True


Json = Mapping[str, Collection[str]]
"""The columns of each table that hold JSON; SQLite takes them for text."""


class Known(NamedTuple):
    """The tables of a database of today, the names of its virtual ones, and which columns hold JSON."""

    layouts: Mapping[str, Layout]
    virtual: Sequence[str]
    json: Json


def known_of(connection: sqlite3.Connection, json: Json) -> Known:
    """What an open database has."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    return Known(of_database(connection, json), [name for name, sql in rows if _is_virtual(sql)], json)


def layouts(statements: Iterable[str], json: Json) -> dict[str, Layout]:
    """The tables that statements make, as SQLite understands them; statements that fail are left out."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in statements:
            with suppress(sqlite3.Error, sqlite3.Warning):
                connection.execute(statement)
        return of_database(connection, json)


def of_database(connection: sqlite3.Connection, json: Json) -> dict[str, Layout]:
    """The tables of an open database, without SQLite's own, virtual ones, and what these keep."""
    found = {}
    names = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    virtual = [name for name, sql in names if _is_virtual(sql)]
    for name, sql in names:
        if not is_derived(name, virtual) and not _is_virtual(sql):
            with suppress(sqlite3.Error):
                found[name] = _layout(connection, name, sql)
                found[name].json.update(json.get(name, ()))
    return found


def is_derived(name: str, virtual: Sequence[str]) -> bool:
    """Whether a table belongs to SQLite, or keeps what a virtual table makes of others."""
    return name.startswith("sqlite_") or any(name.startswith(f"{one}_") for one in virtual)


def _is_virtual(sql: str | None) -> bool:
    return (sql or "").lstrip().upper().startswith("CREATE VIRTUAL")


def _layout(connection: sqlite3.Connection, name: str, sql: str) -> Layout:
    columns = []
    for _, column, declared, filled, default, key, hidden in connection.execute(
        f"PRAGMA table_xinfo({quoted(name)})"
    ):
        if hidden:
            continue
        value = None
        if default is not None:
            with suppress(sqlite3.Error):
                ((value,),) = connection.execute(f"SELECT {default}")
        columns.append(Column(column, _affinity(declared), declared.upper(), bool(filled), value, key))
    indexes = []
    for _, index, unique, _, partial in connection.execute(f"PRAGMA index_list({quoted(name)})").fetchall():
        parts = connection.execute(f"PRAGMA index_xinfo({quoted(index)})").fetchall()
        named = tuple(part[2] for part in parts if part[5])
        rising = not any(part[3] for part in parts)
        indexes.append(Index(index, named, bool(unique), not partial, rising))
    parents: dict[int, list[Parent]] = {}
    for number, _, table, column, referred, *_ in connection.execute(
        f"PRAGMA foreign_key_list({quoted(name)})"
    ):
        parents.setdefault(number, []).append(Parent(column, table, referred or "id"))
    single = [one for (one, *others) in parents.values() if not others]
    rowless = sql.rstrip().rstrip(";").upper().endswith("WITHOUT ROWID")
    return Layout(name, columns, indexes, single, rowless=rowless)


def _affinity(declared: str) -> str:
    """By the rules of SQLite's documentation, section 3.1 of "Datatypes"."""
    declared = declared.upper()
    if "INT" in declared:
        return "integer"
    if any(part in declared for part in ("CHAR", "CLOB", "TEXT")):
        return "text"
    return "real" if any(part in declared for part in ("REAL", "FLOA", "DOUB")) else "any"


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
