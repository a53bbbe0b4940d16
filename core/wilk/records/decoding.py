"""Turns rows, as an engine holds them, into records: by the records' own annotations.

A ``datetime`` is microseconds there, a ``bool`` an integer, a mapping or a list JSON text (NULL when
it is empty), ``Any`` JSON text as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, get_args, get_origin

from wilk import codec
from wilk.clock import to_datetime

_R = TypeVar("_R")


def decoder(record: type[_R]) -> Callable[[Iterable[Sequence[Any]]], list[_R]]:
    """Make the function that turns rows in the order of a record's attributes into records."""
    made: Any = record
    conversions = [
        (place, conversion)
        for place, annotation in enumerate(made.__annotations__.values())
        if (conversion := _conversion(annotation)) is not None
    ]

    def decode(rows: Iterable[Sequence[Any]]) -> list[_R]:
        records = []
        for row in rows:
            values = list(row)
            for place, convert in conversions:
                values[place] = convert(values[place])
            records.append(made._make(values))
        return records

    return decode


def _conversion(annotation: Any) -> Callable[[Any], Any] | None:
    choices = get_args(annotation) if get_origin(annotation) not in (list, Mapping, Sequence) else ()
    kinds = [kind for kind in choices or (annotation,) if kind is not type(None)]
    optional = len(kinds) < len(choices)
    (kind,) = kinds
    origin = get_origin(kind)
    if kind is datetime:
        return _time if optional else to_datetime
    if kind is bool:
        return _flag if optional else bool
    if kind is Any or (optional and origin is Sequence):
        return _json
    if origin is list:
        return _list
    return _object if origin is Mapping else None


def _time(value: int | None) -> datetime | None:
    return None if value is None else to_datetime(value)


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _json(value: str | None) -> Any:
    return None if value is None else codec.loads(value)


def _list(value: str | None) -> list[Any]:
    found: list[Any] = codec.loads(value) if value else []
    return found


def _object(value: str | None) -> dict[str, Any]:
    found: dict[str, Any] = codec.loads(value) if value else {}
    return found
