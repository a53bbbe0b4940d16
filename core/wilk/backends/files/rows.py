"""Rows as JSON in a file, and back: exact, readable, and with an error that tells what is wrong.

JSON columns are part of the file as they are, times are ISO 8601 in UTC with microseconds, bytes base64.
Columns without a value are left out. What has no such form is an object with the one key ``$wilk``.
"""

from __future__ import annotations

import binascii
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from wilk import codec
from wilk.backends.files.layout import METADATA, TIMES, Placement, placement
from wilk.clock import to_datetime, to_microseconds
from wilk.errors import Invalid, NotStorable

Execute = Callable[..., list[tuple[Any, ...]]]

_LATE = 10**14
"""Microseconds since 1970 from which a number in a column of times is written as a time (in 1973)."""


class Column(NamedTuple):
    """A column as the index has it. ``kind`` is json, flag, time, text, whole, real or bytes."""

    name: str
    kind: str
    wanted: bool
    key: int


class Problem(NamedTuple):
    """What is wrong with a file: which row and column, for the line, and what to do."""

    row: int | None
    column: str | None
    text: str


class Row(NamedTuple):
    """A row as a file has it: the values of all columns, and keys that no column has. ``missing`` are columns
    without a value that must have one."""

    values: tuple[Any, ...]
    extras: dict[str, Any]
    missing: tuple[str, ...]


class Table:
    """A table of the index: its columns, and how its rows lie in files."""

    def __init__(self, name: str, information: Sequence[tuple[Any, ...]]) -> None:
        keys = sorted((row[5], row[1], row[2]) for row in information if row[5])
        self.name = name
        self.key = tuple(key for _, key, _ in keys)
        counted = len(keys) == 1 and keys[0][2].upper() == "INTEGER"
        self.counted = self.key[0] if counted else None
        self.placement: Placement = placement(name, self.key, counted)
        self.columns = [
            Column(row[1], _kind(self.placement, row[1], row[2]), bool(row[3]) and row[4] is None, row[5])
            for row in information
        ]
        if self.placement.order == "rowid":
            self.columns.insert(0, Column("rowid", "whole", True, 1))
            self.key = ("rowid",)
        self.names = [column.name for column in self.columns]
        self.place = {name: place for place, name in enumerate(self.names)}
        self.selected = ", ".join(map(quoted, self.names))

    def group_of(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """What names the file of a row."""
        return tuple(values[self.place[name]] for name in self.placement.group)

    def key_of(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The primary key of a row."""
        return tuple(values[self.place[name]] for name in self.key)

    # -- to a file ------------------------------------------------------------------------

    def written(self, values: Sequence[Any], extras: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A row as JSON."""
        row = {
            column.name: _written(column, value)
            for column, value in zip(self.columns, values, strict=True)
            if value is not None
        }
        row.update(extras or {})
        spread = self.placement.spread
        if spread is None:
            return row
        data = row.get(spread)
        if isinstance(data, dict) and data and METADATA not in data and "$wilk" not in data:
            del row[spread]
            return {**data, METADATA: row}
        return {METADATA: row}

    # -- from a file ----------------------------------------------------------------------

    def read(self, row: Any, place: int | None, problems: list[Problem]) -> Row:
        """A row of a file; what is wrong with it goes to ``problems``."""
        if not isinstance(row, dict):
            problems.append(Problem(place, None, f"an object is wanted here, not {_named(row)}"))
            return Row((), {}, ())
        if self.placement.spread is not None:
            row = self._gathered(row, place, problems)
        values: list[Any] = []
        missing = []
        for column in self.columns:
            if column.name not in row:
                values.append(None)
                if column.wanted:
                    missing.append(column.name)
                continue
            try:
                value = _read(column, row[column.name])
            except (Invalid, NotStorable) as error:
                problems.append(Problem(place, column.name, f"{column.name}: {error}"))
                value = None
            else:
                if value is None and column.wanted:
                    missing.append(column.name)
            values.append(value)
        extras = {name: value for name, value in row.items() if name not in self.place}
        return Row(tuple(values), extras, tuple(missing))

    def _gathered(self, row: dict[str, Any], place: int | None, problems: list[Problem]) -> dict[str, Any]:
        """The columns of a row whose data are the file's own keys."""
        spread = str(self.placement.spread)
        columns = row.get(METADATA, {})
        if not isinstance(columns, dict):
            problems.append(Problem(place, METADATA, f"{METADATA}: an object is wanted"))
            return {}
        data = {name: value for name, value in row.items() if name != METADATA}
        if data or METADATA not in row:
            columns = {**columns, spread: data}
        return columns


def tables(execute: Execute) -> dict[str, Table]:
    """The tables of an index that hold rows; not what SQLite and the full-text index keep for themselves."""
    columns = execute(
        'SELECT m.name, p.cid, p.name, p.type, p."notnull", p.dflt_value, p.pk '
        "FROM main.sqlite_master m JOIN pragma_table_info(m.name, 'main') p "
        "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "AND m.name NOT LIKE '%\\_fts%' ESCAPE '\\' AND m.name NOT LIKE '%\\_migrations' ESCAPE '\\' "
        "ORDER BY m.name, p.cid"
    )
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name, *column in columns:
        found.setdefault(name, []).append(tuple(column))
    return {name: Table(name, information) for name, information in found.items()}


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _kind(place: Placement, name: str, declared: str) -> str:
    if place.is_json(name):
        return "json"
    if place.is_flag(name):
        return "flag"
    declared = declared.upper()
    if "INT" in declared:
        return "time" if TIMES.match(name) else "whole"
    if "BLOB" in declared:
        return "bytes"
    if any(word in declared for word in ("REAL", "FLOA", "DOUB")):
        return "real"
    return "text"


def _written(column: Column, value: Any) -> Any:
    """A value that is not NULL, as a file has it."""
    kind = column.kind
    if isinstance(value, str):
        if kind == "json":
            return {"$wilk": ["json", value]} if value == "null" else codec.embedded(value)
        return value if kind == "text" else {"$wilk": ["str", value]}
    if isinstance(value, int):
        if kind == "flag" and value in (0, 1):
            return bool(value)
        if kind == "time" and value >= _LATE:
            try:
                return to_datetime(value).isoformat(timespec="microseconds").replace("+00:00", "Z")
            except OverflowError:
                return value
        return value if kind in ("whole", "time", "flag") else {"$wilk": ["whole", value]}
    if isinstance(value, float):
        if not math.isfinite(value):
            return {"$wilk": ["real", repr(value)]}
        return value if kind == "real" else {"$wilk": ["real", value]}
    text = b64encode(value).decode()
    return text if kind == "bytes" else {"$wilk": ["bytes", text]}


def _read(column: Column, value: Any) -> Any:
    """A value as the index holds it; raises Invalid, saying what is wanted."""
    if value is None:
        return None
    if _is_tag(value):
        kind, value = value["$wilk"]
        return _READERS[kind](value)
    return _READERS[column.kind](value)


def _is_tag(value: Any) -> bool:
    """Whether a value is of another kind than its column's; JSON has tags of its own, by other names."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    tag = value.get("$wilk")
    return isinstance(tag, list) and len(tag) == 2 and tag[0] in ("str", "whole", "real", "bytes")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(f"a text is wanted, not {_named(value)}")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise Invalid("a text with a lone surrogate cannot be kept here")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"a whole number is wanted, not {_named(value)}")
    if not -(2**63) <= value < 2**63:
        raise Invalid(f"{value} has more than 64 bits")
    return value


def _flag(value: Any) -> int:
    if not isinstance(value, int) or value not in (0, 1):
        raise Invalid(f"true or false is wanted, not {_named(value)}")
    return int(value)


def _real(value: Any) -> float:
    if value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Invalid(f"a number is wanted, not {_named(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise Invalid(f"{value} is too large") from error


def _time(value: Any) -> int:
    if not isinstance(value, str):
        return _whole(value)
    try:
        return to_microseconds(datetime.fromisoformat(value))
    except ValueError as error:
        raise Invalid(f"{value!r}: a time such as 2026-02-28T23:59:59.000000Z is wanted") from error


def _bytes(value: Any) -> bytes:
    try:
        return b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise Invalid("bytes in base64 are wanted") from error


_READERS: dict[str, Callable[[Any], Any]] = {
    "json": codec.lifted, "text": _text, "str": _text, "whole": _whole, "flag": _flag, "real": _real,
    "time": _time, "bytes": _bytes,
}  # fmt: skip


def _named(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "true or false", str: "a text", int: "a number", float: "a number", list: "a list",
             dict: "an object"}  # fmt: skip
    return kinds.get(type(value), type(value).__name__)
