"""The form: which tables are in it, what a row is as JSON, and by what a row is known in another store.

A line is a JSON object: ``{"header": …}`` first, ``{"table": NAME, "row": {…}}`` for each row,
``{"file": PATH, …}`` for each definition file, and ``{"trailer": …}`` last.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from wilk import clock, codec
from wilk.errors import Invalid
from wilk.models.base import BytesField, JsonField, TimeField
from wilk.transfer.moves.tables import Row, Table, tables
from wilk.transfer.own.meaning import about_column, about_table

if TYPE_CHECKING:
    from wilk.contracts import ModelSet

FORMAT = "wilk"
VERSION = 1

DERIVED = {
    "cache_entries": "values that can be computed again",
    "definition_files": "what was last seen of the definition files, of which each store keeps its own",
    "indexed_kinds": "how far the search index is",
    "passages": "the text that is searched, made of the records",
    "pending_vectors": "records whose vectors are still to be made",
    "registry_packages": "what registries offer, fetched again",
    "vector_tags": "what vectors are filtered by, made of their metadata",
}
"""Tables that are left out, because what they hold is made again."""

_IDENTITIES = {
    "actions": ("interaction_id", "position"),
    "archive": ("kind", "record_id", "archived_at", "batch"),
    "raw_messages": ("conversation_id", "position"),
    "vector_spaces": ("token",),
    "vectors": ("space_id", "record_id", "part"),
}
"""By what a row is known where its number may be another one elsewhere; else by ``id``."""

_TAG = "$wilk"
_KINDS = {"text": str, "integer": int, "real": float, "bytes": bytes}


class Shape(NamedTuple):
    """A table in the form: ``kinds`` are those of its columns, ``identity`` the places of the columns by
    which a row is known, ``own`` the name of the plugin whose table it is."""

    table: Table
    names: list[str]
    kinds: list[str]
    identity: tuple[int, ...]
    own: str | None

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def counter(self) -> int | None:
        """The place of the number that the engine gives, if it does."""
        return None if self.table.counter is None else self.names.index(self.table.counter)

    def known_by(self, row: Row) -> tuple[Any, ...]:
        """What tells a row from the others, in any store."""
        return tuple([row[place] for place in self.identity])

    def header(self) -> dict[str, Any]:
        """What the first line of a file tells of the table."""
        columns = [
            {"name": name, "type": kind, "about": about_column(self.name, name)}
            | ({"optional": True} if field.null else {})
            for name, kind, field in zip(self.names, self.kinds, self.table.fields, strict=True)
        ]
        key = [self.names[place] for place in self.identity]
        found = {"name": self.name, "about": about_table(self.name), "key": key, "columns": columns}
        return found if self.own is None else {**found, "plugin": self.own}


def shapes(sets: Iterable[ModelSet]) -> dict[str, Shape]:
    """The tables of the form by name, each behind those that it refers to."""
    sets = tuple(sets)
    owners = {model: one.name for one in sets for model in one.models()}
    return {
        table.name: _shape(table, owners.get(table.model))
        for table in tables(sets)
        if table.name not in DERIVED
    }


def _shape(table: Table, own: str | None) -> Shape:
    names = [column.name for column in table.columns]
    kinds = [_kind(field) for field in table.fields]
    return Shape(table, names, kinds, _identity(table, names), own)


def _identity(table: Table, names: list[str]) -> tuple[int, ...]:
    if table.name in _IDENTITIES:
        return tuple([names.index(name) for name in _IDENTITIES[table.name]])
    if table.counter is None:
        return tuple(table.key_places)
    for index in table.model._meta.fields_to_index():
        columns = [one.column_name for one in index._expressions if isinstance(one, peewee.Field)]
        if index._unique and index._where is None and columns and table.counter not in columns:
            return tuple([names.index(name) for name in columns])
    return tuple(table.key_places)


def _kind(field: Any) -> str:
    meant = field
    while isinstance(meant, peewee.ForeignKeyField):
        meant = meant.rel_field
    if isinstance(meant, JsonField):
        return "json"
    if isinstance(meant, TimeField):
        return "time"
    if isinstance(meant, peewee.BooleanField):
        return "boolean"
    if isinstance(meant, (BytesField, peewee.BlobField)):
        return "bytes"
    if isinstance(meant, (peewee.FloatField, peewee.DoubleField)):
        return "real"
    if isinstance(meant, (peewee.IntegerField, peewee.BigIntegerField, peewee.SmallIntegerField)):
        return "integer"
    return "text" if isinstance(meant, (peewee.TextField, peewee.CharField)) else "other"


# -- rows -----------------------------------------------------------------------------------


def line_of(shape: Shape, row: Row) -> bytes:
    """A row as a line of a file."""
    values = {
        name: _outward(kind, value)
        for name, kind, value in zip(shape.names, shape.kinds, row, strict=True)
        if value is not None
    }
    try:
        return line({"table": shape.name, "row": values})
    except TypeError:  # JSON as deep as can be has no room in a row, but its text has
        kept = {
            name: {_TAG: ["json", value]}
            for name, kind, value in zip(shape.names, shape.kinds, row, strict=True)
            if kind == "json" and isinstance(value, str)
        }
        return line({"table": shape.name, "row": {**values, **kept}})


def line(value: Any) -> bytes:
    """A value as a line of a file."""
    return codec.file_text(value, indent=False) + b"\n"


def row_of(shape: Shape, values: Mapping[str, Any]) -> Row:
    """The row that was written as ``values``; raises Invalid with the column that is none."""
    row: list[Any] = []
    for name, kind, column in zip(shape.names, shape.kinds, shape.table.columns, strict=True):
        if name not in values:
            row.append(None)
            continue
        try:
            row.append(_inward(kind, values[name], column.inward))
        except (Invalid, ValueError, TypeError, LookupError, NotBase64, ArithmeticError) as error:
            raise Invalid(f"{name}: {type(values[name]).__name__} is no {kind} of this form") from error
    return tuple(row)


def _outward(kind: str, value: Any) -> Any:
    if kind == "json":
        return codec.embedded(value) if type(value) is str else _odd(value)
    if kind == "time":
        return _moment(value) if type(value) is int else _odd(value)
    if kind == "bytes":
        return b64encode(value).decode() if isinstance(value, bytes) else _odd(value)
    if kind == "boolean" and type(value) is bool:
        return value
    if kind == "other" and not isinstance(value, (str, int, float, bytes)):
        return {_TAG: ["other", str(value)]}
    if type(value) is not _KINDS.get(kind, type(value)):
        return _odd(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: ["float", repr(value)]}
    if isinstance(value, str) and not _is_plain(value):
        return _odd(value)
    return _odd(value) if isinstance(value, bytes) else value


def _odd(value: Any) -> Any:
    """A value that its column is not made for, as somebody wrote it past wilk."""
    kind = next(name for name, one in _KINDS.items() if isinstance(value, one))
    if isinstance(value, bytes):
        return {_TAG: ["raw", kind, b64encode(value).decode()]}
    return {_TAG: ["raw", kind, _text(value) if isinstance(value, str) else repr(value)]}


def _inward(kind: str, value: Any, other: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_TAG), list):
        tag = value[_TAG]
        if tag and tag[0] == "raw":
            _, name, text = tag
            if name == "bytes":
                return b64decode(text, validate=True)
            return codec.original_text(text) if name == "text" else _KINDS[name](text)
        if tag and tag[0] == "float" and kind in ("real", "other"):
            return float(tag[1])
        if tag and tag[0] == "other":
            return other(tag[1]) if other else tag[1]
    if kind == "json":
        return codec.lifted(value)
    if kind == "time":
        return clock.to_microseconds(datetime.fromisoformat(value)) if isinstance(value, str) else int(value)
    if kind == "bytes":
        return b64decode(value, validate=True)
    if kind == "boolean":
        wanted: Any = bool
    else:
        wanted = _KINDS.get(kind)
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is not None and type(value) is not wanted:
        raise Invalid(f"{type(value).__name__} stands where {kind} is wanted")
    return value


def _moment(value: int) -> Any:
    try:
        return clock.to_datetime(value).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return value  # microseconds since 1970, of no year that has a date


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(text: str) -> str:
    """A text as a JSON string, whatever is in it."""
    return codec.storable_text(text)[1] or codec.pretty(text)
