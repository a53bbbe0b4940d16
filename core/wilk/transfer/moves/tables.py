"""The tables that a move carries, found from the models: their order, their SQL, and rows in one form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from wilk import models
from wilk.engine import Engine
from wilk.models.base import BytesField, JsonField, TimeField
from wilk.models.statements import Statement, compiled, param

if TYPE_CHECKING:
    from wilk.contracts import ModelSet

Row = tuple[Any, ...]
Key = tuple[Any, ...]

_TEXTS = (peewee.TextField, peewee.CharField, peewee.FixedCharField, JsonField)
_WHOLE = (peewee.IntegerField, peewee.BigIntegerField, peewee.SmallIntegerField, TimeField)


class Column(NamedTuple):
    """A column: how a value that an engine gave becomes the one form that rows have on their way, and how
    that is handed to an engine. Either is None where nothing is to be done."""

    name: str
    kind: type
    inward: Callable[[Any], Any] | None
    outward: Callable[[Any], Any] | None


class Table:
    """A table as all engines have it. A row is the values of its columns, in the models' order.

    Text and JSON are the text as it is, times and whole numbers integers, flags booleans, bytes bytes.
    """

    def __init__(self, model: Any) -> None:
        meta = model._meta
        self.model = model
        self.name: str = meta.table_name
        self.fields: list[Any] = list(meta.sorted_fields)
        self.columns = [_column(field) for field in self.fields]
        names = [column.name for column in self.columns]
        self.keys: list[Any] = list(meta.get_primary_keys())
        self.key_places = [names.index(field.column_name) for field in self.keys]
        counted = meta.primary_key
        self.counter: str | None = counted.column_name if isinstance(counted, peewee.AutoField) else None
        # References that a row may have before what they name is there: to later rows of the table itself,
        # or within a circle of tables.
        self.late: list[int] = []
        self.unique = _unique_texts(model, self.fields)
        self._inward = [(n, column.inward) for n, column in enumerate(self.columns) if column.inward]
        self._outward = [(n, column.outward) for n, column in enumerate(self.columns) if column.outward]

    def key(self, row: Row) -> Key:
        """The primary key of a row."""
        return tuple([row[place] for place in self.key_places])

    def taken(self, rows: Iterable[Row]) -> list[Row]:
        """Rows of an engine in the one form."""
        if not self._inward:
            return list(map(tuple, rows))
        return [_changed(row, self._inward) for row in rows]

    def given(self, rows: Iterable[Row]) -> list[Row]:
        """Rows in the form in which an engine is given them."""
        return [_changed(row, self._outward) for row in rows] if self._outward else list(rows)

    def given_key(self, key: Key) -> Key:
        """A key in the form in which an engine is given it."""
        outward = [self.columns[place].outward for place in self.key_places]
        return tuple([change(value) if change else value for change, value in zip(outward, key, strict=True)])

    def shown(self, key: Key) -> str:
        """A key for people."""
        return "/".join(map(str, key))


class Writing(NamedTuple):
    """A statement that writes rows, and the order in which it takes a row's values."""

    statement: Statement
    order: list[int]

    def parameters(self, rows: Iterable[Row]) -> list[list[Any]]:
        """The values of rows, which are in an engine's form, as the statement takes them."""
        return [[row[place] for place in self.order] for row in rows]


class Statements:
    """The SQL by which one engine reads and writes one table."""

    def __init__(self, engine: Engine, table: Table) -> None:
        self._database = engine.database
        self._table = table
        model, keys = table.model, table.keys
        read = model.select(*table.fields).order_by(*keys)
        behind = _wide(keys) > _wide([param(f"key {n}") for n in range(len(keys))])
        self.first = compiled(self._database, read.limit(param("limit")))
        self.next = compiled(self._database, read.where(behind).limit(param("limit")))
        self.count = compiled(self._database, model.select(peewee.fn.COUNT(peewee.SQL("*"))))

        values = {
            field: param(column.name) for field, column in zip(table.fields, table.columns, strict=True)
        }
        named = {field.name for field in keys}  # `in keys` would ask Peewee's ==, which makes a condition
        others = {field: value for field, value in values.items() if field.name not in named}
        this = _all(key == param(f"key {n}") for n, key in enumerate(keys))
        self.insert = self._writing(model.insert(values))
        self.update = self._writing(model.update(others).where(this)) if others else None
        self.remove = self._writing(model.delete().where(this))

    def _writing(self, query: Any) -> Writing:
        statement = compiled(self._database, query)
        table = self._table
        places = {column.name: n for n, column in enumerate(table.columns)}
        places |= {f"key {n}": place for n, place in enumerate(table.key_places)}
        return Writing(statement, [places[name] for name in statement.names])


def tables(sets: Iterable[ModelSet]) -> list[Table]:
    """Every table of wilk's models and of plugins', each behind those that it refers to.

    ``moves`` is left out: it tells of the database that it lies in.
    """
    found = [Table(model) for model in models.every() if model is not models.Move]
    found += [Table(model) for one in sets for model in one.models()]
    ordered: list[Table] = []
    there: set[Any] = set()
    of = {table.model for table in found}
    waiting = found
    while waiting:
        ready = [table for table in waiting if _needs(table) & of <= there]
        if not ready:  # a circle: begin with a table that can wait for what it refers to
            ready = [next((one for one in waiting if _can_wait(one, of - there)), waiting[0])]
        for table in ready:
            table.late = [
                place
                for place, field in enumerate(table.fields)
                if isinstance(field, peewee.ForeignKeyField)
                and field.null
                and (field.rel_model is table.model or field.rel_model in of - there)
            ]
        ordered += ready
        there.update(table.model for table in ready)
        waiting = [table for table in waiting if table.model not in there]
    return ordered


def _needs(table: Table) -> set[Any]:
    references = {field.rel_model for field in table.fields if isinstance(field, peewee.ForeignKeyField)}
    return references - {table.model}


def _can_wait(table: Table, missing: set[Any]) -> bool:
    return all(
        field.null
        for field in table.fields
        if isinstance(field, peewee.ForeignKeyField) and field.rel_model in missing
    )


def _unique_texts(model: Any, fields: Sequence[Any]) -> list[int]:
    """The places of texts of which no two rows may have the same, but for keys and references."""
    found = {
        part.name
        for index in model._meta.fields_to_index()
        if index._unique
        for part in index._expressions
        if isinstance(part, peewee.Field)
    }
    found -= {field.name for field in model._meta.get_primary_keys()}
    texts = (peewee.TextField, peewee.CharField)
    return [n for n, field in enumerate(fields) if field.name in found and isinstance(field, texts)]


def _column(field: Any) -> Column:
    name, meant = field.column_name, field
    while isinstance(meant, peewee.ForeignKeyField):
        meant = meant.rel_field
    if isinstance(meant, peewee.BooleanField):
        return Column(name, bool, lambda value: None if value is None else bool(value), None)
    if isinstance(meant, (peewee.FloatField, peewee.DoubleField)):
        return Column(name, float, _real, None)
    if isinstance(meant, (BytesField, peewee.BlobField)):
        return Column(name, bytes, lambda value: None if value is None else bytes(value), None)
    if isinstance(meant, _TEXTS):
        return Column(name, str, None, None)
    if isinstance(meant, _WHOLE):
        return Column(name, int, None, None)
    # A field of some other library, or of Peewee's that wilk has no use for: its own way is the one form.
    return Column(name, object, meant.python_value, meant.db_value)


def _real(value: Any) -> Any:
    """A float; engines that keep whole floats as integers know no sign of zero."""
    if value is None or not isinstance(value, (int, float)):
        return value
    return math.nan if math.isnan(value) else float(value) + 0.0


def _changed(row: Row, changes: Sequence[tuple[int, Callable[[Any], Any]]]) -> Row:
    values = list(row)
    for place, change in changes:
        values[place] = change(values[place])
    return tuple(values)


def _wide(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else peewee.Tuple(*parts)


def _all(conditions: Iterable[Any]) -> Any:
    first, *others = conditions
    for other in others:
        first = first & other
    return first
