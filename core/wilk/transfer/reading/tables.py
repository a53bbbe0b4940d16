"""Tables of other programs' SQLite databases: known by their columns, read row by row."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wilk.errors import Invalid

if TYPE_CHECKING:
    import sqlite3

    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

Row = dict[str, Any]

_OWN = ("sqlite_",)
_SHADOWS = ("_data", "_idx", "_content", "_docsize", "_config")


class Tables:
    """The tables of one open database. ``columns`` are those of each, by name, in their order."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Text that is no UTF-8 stays readable, and can be told from what it is replaced by.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name")
        tables = [(name, sql or "") for name, sql in found if not name.startswith(_OWN)]
        virtual = [name for name, sql in tables if sql.upper().startswith("CREATE VIRTUAL TABLE")]
        shadows = {name + end for name in virtual for end in _SHADOWS}
        self._without_numbers = {name for name, sql in tables if "WITHOUT ROWID" in sql.upper()}
        self.columns: dict[str, tuple[str, ...]] = {}
        self._binary: dict[str, frozenset[str]] = {}
        for name, _ in tables:
            if name not in shadows and name not in virtual:
                rows = list(connection.execute(f"PRAGMA table_info({quoted(name)})"))
                self.columns[name] = tuple(row[1] for row in rows)
                self._binary[name] = frozenset(row[1] for row in rows if "BLOB" in row[2].upper())

    def has(self, table: str, *columns: str) -> bool:
        """Whether there is such a table with at least these columns."""
        return table in self.columns and set(columns) <= set(self.columns[table])

    def fitting(self, *columns: str, without: Collection[str] = ()) -> list[str]:
        """The tables that have these columns, and none of ``without``."""
        return [
            name
            for name, there in self.columns.items()
            if set(columns) <= set(there) and not set(without) & set(there)
        ]

    def references(self, table: str) -> list[str]:
        """The tables that a table refers to by foreign keys."""
        rows = self._connection.execute(f"PRAGMA foreign_key_list({quoted(table)})")
        return list(dict.fromkeys(row[2] for row in rows))

    def count(self, table: str) -> int:
        """How many rows a table has."""
        ((number,),) = self._connection.execute(f"SELECT count(*) FROM {quoted(table)}")  # noqa: S608 - quoted
        return int(number)

    def rows(
        self, table: str, *, where: str = "", given: Sequence[Any] = (), order: str = "rowid"
    ) -> Iterator[Row]:
        """Rows of a table, one at a time; of a table that is not there, none. ``where`` and ``order`` are
        SQL, whose columns must be there. Bytes come from columns of the type BLOB alone; what others hold
        is a text."""
        if table not in self.columns:
            return
        if table in self._without_numbers:
            order = re.sub(r"\browid\b", "1", order)  # by the first column
        query = f"SELECT * FROM {quoted(table)}"  # noqa: S608 - quoted
        query += (f" WHERE {where}" if where else "") + (f" ORDER BY {order}" if order else "")
        try:
            cursor = self._connection.execute(query, [_bound(value) for value in given])
            names = [one[0] for one in cursor.description]
            binary = self._binary[table]
            for values in cursor:
                row = dict(zip(names, values, strict=True))
                for name, value in row.items():
                    if isinstance(value, bytes) and name not in binary:
                        row[name] = value.decode("utf-8", "surrogateescape")
                yield row
        except self._connection.DatabaseError as error:
            # Rows are read wherever they are wanted, far from where the database was opened.
            raise Invalid(f"the table {table} cannot be read on: {error}") from error

    def one(self, table: str, where: str, *given: Any) -> Row | None:
        """The first row that meets a condition, or None."""
        return next(self.rows(table, where=where, given=given, order=""), None)

    def numbered(self, table: str) -> bool:
        """Whether rows of a table have a number of their own."""
        return table not in self._without_numbers

    def grouped(self, table: str, by: str, order: str = "rowid") -> Groups:
        """The rows of a table by the value of a column."""
        return Groups(self, self._connection, table, by, order)

    def tell_others(self, reading: Reading, known: Iterable[str]) -> None:
        """Count the rows of tables that are not read, so that nothing is left behind unsaid."""
        for name in sorted(self.columns.keys() - set(known)):
            if number := self.count(name):
                reading.lost(f"table {name}", number)


class Groups:
    """Rows by the value of a column, each group as often as it is wanted.

    Where no index helps, the numbers of the rows are noted once, 8 bytes a row.
    """

    def __init__(
        self, tables: Tables, connection: sqlite3.Connection, table: str, by: str, order: str
    ) -> None:
        self._tables = tables
        self._connection = connection
        self._table = table
        self._by = by
        self._order = order
        self._numbers: dict[Any, array[int]] | None = None
        self._indexed = table not in tables.columns or not tables.numbered(table) or self._has_index()

    def of(self, value: Any) -> Iterator[Row]:
        """The rows of one group, in their order."""
        if self._indexed:
            # Text that is no UTF-8 is bound as bytes, and is text again here.
            odd = isinstance(value, str) and isinstance(_bound(value), bytes)
            where = f"{quoted(self._by)} IS {'CAST(? AS TEXT)' if odd else '?'}"
            yield from self._tables.rows(self._table, where=where, given=(value,), order=self._order)
            return
        if self._numbers is None:
            self._numbers = self._noted()
        for number in self._numbers.get(value, ()):
            yield from self._tables.rows(self._table, where="rowid = ?", given=(number,), order="")

    def values(self) -> Iterator[Any]:
        """The values that there are, each once."""
        if self._table in self._tables.columns:
            name = quoted(self._by)
            query = f"SELECT DISTINCT {name} FROM {quoted(self._table)} ORDER BY {name}"  # noqa: S608 - quoted
            for (value,) in self._connection.execute(query):
                yield value

    def _has_index(self) -> bool:
        names = [row[1] for row in self._connection.execute(f"PRAGMA index_list({quoted(self._table)})")]
        for name in names:
            first = self._connection.execute(f"PRAGMA index_info({quoted(name)})").fetchone()
            if first is not None and first[2] == self._by:
                return True
        return False

    def _noted(self) -> dict[Any, array[int]]:
        found: dict[Any, array[int]] = {}
        by, table = quoted(self._by), quoted(self._table)
        query = f"SELECT {by}, rowid FROM {table} ORDER BY {self._order}"  # noqa: S608 - quoted
        try:
            for value, number in self._connection.execute(query):
                found.setdefault(value, array("q")).append(number)
        except self._connection.DatabaseError as error:
            raise Invalid(f"the table {self._table} cannot be read: {error}") from error
        return found


@contextmanager
def opened(source: Source, file: SourceFile) -> Generator[Tables, None, None]:
    """The tables of a database of a source, for reading only."""
    with source.database(file) as connection:
        yield Tables(connection)


def recognized(source: Source, fits: Callable[[Tables], bool], what: Callable[[Tables], str]) -> str | None:
    """What the first database that fits is, in a few words; None when there is none."""
    for file in source.databases():
        try:
            with opened(source, file) as tables:
                if fits(tables):
                    return what(tables)
        except Invalid:
            continue
    return None


def matching(source: Source, fits: Callable[[Tables], bool]) -> list[SourceFile]:
    """The databases that fit; what cannot be read as one does not."""
    found = []
    for file in source.databases():
        try:
            with opened(source, file) as tables:
                if fits(tables):
                    found.append(file)
        except Invalid:
            continue
    return found


def chosen(source: Source, fits: Callable[[Tables], bool], wanted: str) -> list[SourceFile]:
    """The databases that fit; raises Invalid, with the tables seen, when there is none."""
    found, seen = [], []
    for file in source.databases():
        with opened(source, file) as tables:
            if fits(tables):
                found.append(file)
            else:
                seen.append(f"{file.name} has the tables {', '.join(tables.columns) or 'none'}")
    if not found:
        told = "; ".join(seen) or f"{source.text} is {source.describe()}"
        raise Invalid(f"{wanted} wanted, and not found: {told}")
    return found


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def as_bytes(value: Any) -> bytes | None:
    """The bytes of a BLOB; of what a program has put there instead, those of its text."""
    if value is None or isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogateescape")


def _bound(value: Any) -> Any:
    """A value as SQLite takes it: text with bytes that are no UTF-8 as bytes."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
    return value


def rest(row: Mapping[str, Any], *used: str) -> dict[str, Any]:
    """The columns that have no place of their own, as JSON can hold them; NULLs are left out."""
    return {name: plain(value) for name, value in row.items() if name not in used and value is not None}


def plain(value: Any) -> Any:
    """A value of SQLite as JSON has it: bytes as ``{"base64": …}``."""
    if isinstance(value, bytes):
        from base64 import b64encode

        return {"base64": b64encode(value).decode()}
    return value
