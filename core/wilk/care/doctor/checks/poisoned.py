"""Poisoned rows: values that the column's kind cannot be, and JSON that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wilk import clock, codec
from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient, key_of, shown_key
from wilk.errors import WilkError
from wilk.models.base import JsonField, TimeField
from wilk.records.doctor import Finding
from wilk.transfer.moves.tables import Table


def _look(patient: Patient) -> Iterator[Found]:
    for table in patient.tables:
        bad: list[tuple[dict[str, Any], dict[str, Any]]] = []
        columns: dict[str, None] = {}
        for row in patient.rows(table):
            if values := _mended(table, row):
                bad.append((row, values))
                columns.update(dict.fromkeys(values))
        if bad:
            yield _found(table, bad, columns)


def _found(table: Table, bad: list[tuple[dict[str, Any], dict[str, Any]]], columns: dict[str, None]) -> Found:
    in_key = any(name in key_of(table) for name in columns)

    def mend(work: Mending) -> None:
        for row, values in bad:
            work.change(table, row, values, "its value could not be read")

    finding = Finding(
        "poisoned", "error", len(bad),
        f"{len(bad):,} of {table.name} hold what cannot be read, in {', '.join(columns)}",
        None if in_key else "put what can be read of it in its place; "
        "the value as it is stays with the repair",
        [shown_key(table, row) for row, _ in bad[:SHOWN]],
    )  # fmt: skip
    return Found(finding, None if in_key else mend)


def _mended(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """What is to be in the place of values that cannot be read."""
    found: dict[str, Any] = {}
    for field, column in zip(table.fields, table.columns, strict=True):
        value = row[column.name]
        if value is None:
            continue
        if isinstance(field, JsonField):
            if not _readable(field, value):
                found[column.name] = codec.dumps(_unreadable(field, value))
        elif isinstance(field, TimeField):
            if type(value) is not int or not _is_time(value):
                found[column.name] = None if field.null else 0
        elif column.kind is not object and not _fits(column.kind, value):
            found[column.name] = _converted(column.kind, value, null=field.null)
    return found


def _readable(field: JsonField, value: Any) -> bool:
    """Whether a value is JSON, and of the kind that the column's empty value has."""
    try:
        loaded = codec.loads(value)
    except (WilkError, ValueError, TypeError, LookupError, RecursionError):
        return False
    return field.empty is None or isinstance(loaded, type(field.empty()))


def _unreadable(field: JsonField, value: Any) -> Any:
    text = value if isinstance(value, str) else repr(value)
    return [{"unreadable": text}] if field.empty is list else {"unreadable": text}


def _is_time(value: int) -> bool:
    try:
        clock.to_datetime(value)
    except (OverflowError, ValueError):
        return False
    return True


def _fits(kind: type, value: Any) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is bool:
        return value in (0, 1)
    if kind is int:
        return type(value) is int
    return isinstance(value, kind)


def _converted(kind: type, value: Any, *, null: bool) -> Any:
    """The value as the column's kind has it, if it means one; else nothing."""
    try:
        if kind is str:
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if kind is bytes:
            return str(value).encode()
        if kind is bool:
            return bool(int(value))
        return kind(value)
    except (ValueError, TypeError, OverflowError):
        return None if null else kind()


CHECK = Check("poisoned", "values that cannot be read", _look)
