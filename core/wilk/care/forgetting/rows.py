"""One database as plain SQL: a store's own, or a copy in a SQLite file, by whatever schema it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wilk import models

if TYPE_CHECKING:
    from wilk.store import Store

CHUNK = 400
_PAGE = 500

Row = tuple[Any, ...]


class Rows:
    """A database: ``columns`` are those of each table, ``keys`` its key; ``mark`` stands for a value."""

    def __init__(
        self,
        execute: Callable[..., list[Row]],
        many: Callable[[str, Sequence[Sequence[Any]]], object],
        columns: Mapping[str, Sequence[str]],
        keys: Mapping[str, Sequence[str]],
        mark: str = "?",
    ) -> None:
        self.execute = execute
        self.many = many
        self.columns = columns
        self.keys = keys
        self.mark = mark

    def has(self, table: str, *columns: str) -> bool:
        """Whether there is such a table, with these columns."""
        return table in self.columns and all(column in self.columns[table] for column in columns)

    def where(
        self, table: str, wanted: Sequence[str], column: str, values: Iterable[Any], also: str = ""
    ) -> Iterator[Row]:
        """The wanted columns of rows whose ``column`` is one of the values."""
        for some in chunks(values):
            marks = ", ".join([self.mark] * len(some))
            yield from self.execute(
                f"SELECT {names(wanted)} FROM {name(table)} WHERE {name(column)} IN ({marks}){also}",
                list(some),
            )

    def pages(
        self, table: str, wanted: Sequence[str], key: Sequence[str], also: str = "1 = 1"
    ) -> Iterator[Row]:
        """The wanted columns of all rows, a page at a time in the order of their key."""
        ordered = names(key)
        last: Sequence[Any] | None = None
        width = len(key)
        while True:
            marks = ", ".join([self.mark] * width)
            behind = "" if last is None else f" AND ({ordered}) > ({marks})"
            rows = self.execute(
                f"SELECT {names([*key, *wanted])} FROM {name(table)} WHERE {also}{behind} "
                f"ORDER BY {ordered} LIMIT {_PAGE}",
                [] if last is None else list(last),
            )
            yield from rows
            if len(rows) < _PAGE:
                return
            last = rows[-1][:width]

    def distinct(self, table: str, column: str) -> Iterator[Any]:
        """The values that a column has."""
        sql = f"SELECT DISTINCT {name(column)} FROM {name(table)} WHERE {name(column)} IS NOT NULL"
        for (value,) in self.execute(sql):
            yield value


def of_store(store: Store) -> Rows:
    """The tables of a store, those of plugins among them."""
    engine = store._engine
    made = [*models.every(), *(model for one in store.host.model_sets() for model in one.models())]
    columns = {
        model._meta.table_name: [field.column_name for field in model._meta.sorted_fields] for model in made
    }
    keys = {
        model._meta.table_name: [field.column_name for field in model._meta.get_primary_keys()]
        for model in made
    }
    return Rows(engine.execute, engine.execute_many, columns, keys, engine.database.param)


def chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Values in pieces that a statement takes."""
    some: list[Any] = []
    for value in values:
        some.append(value)
        if len(some) == CHUNK:
            yield some
            some = []
    if some:
        yield some


def name(one: str) -> str:
    """A name in SQL."""
    return '"' + one.replace('"', '""') + '"'


def names(some: Sequence[str]) -> str:
    """Names in SQL, with commas."""
    return ", ".join(map(name, some))
