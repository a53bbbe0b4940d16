"""Turns rows, as an engine holds them, into records: by the records' own annotations.

A ``datetime`` is microseconds there, a ``bool`` an integer, a mapping or a list JSON text (NULL when
it is empty), ``Any`` JSON text as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, get_args, get_origin

from wilk import codec
from wilk.clock import EPOCH, to_datetime

logger = logging.getLogger("wilk.records")

_R = TypeVar("_R")


def decoder(
    record: type[_R], *, original: str | None = None
) -> Callable[[Iterable[Sequence[Any]]], list[_R]]:
    """Make the function that turns rows in the order of a record's attributes into records.

    ``original`` is the attribute whose text not every engine can hold: rows have one value more, which is the
    text as it came where that is another one (:func:`wilk.codec.storable_text`).

    A value that is none of its column, because somebody wrote it past wilk or the file is damaged, hides no
    other row: JSON comes marked (:func:`wilk.codec.kept`), a time as the beginning of 1970, a text as far as
    it can be read.
    """
    made: Any = record
    place_of_original = None if original is None else made._fields.index(original)
    conversions = [
        (place, conversion)
        for place, annotation in enumerate(made.__annotations__.values())
        if (conversion := _conversion(annotation)) is not None
    ]

    def decode(rows: Iterable[Sequence[Any]]) -> list[_R]:
        records = []
        for row in rows:
            values = list(row)
            if place_of_original is not None and (text := values.pop()) is not None:
                values[place_of_original] = codec.original_text(text)
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
        return _time if optional else _moment
    if kind is str:
        return _text
    if kind is bool:
        return _flag if optional else bool
    if kind is Any or (optional and origin is Sequence):
        return _json
    if origin is list:
        return _list
    return _object if origin is Mapping else None


def _text(value: Any) -> Any:
    if value is None or type(value) is str:
        return value
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _moment(value: Any) -> datetime:
    try:
        return to_datetime(value)
    except (TypeError, OverflowError):
        logger.warning("a time that is none, %r, is shown as %s", value, EPOCH)
        return EPOCH


def _time(value: Any) -> datetime | None:
    return None if value is None else _moment(value)


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _json(value: str | None) -> Any:
    return None if value is None else codec.kept(value)


def _list(value: str | None) -> list[Any]:
    found: list[Any] = codec.kept(value, list) if value else []
    return found


def _object(value: str | None) -> dict[str, Any]:
    found: dict[str, Any] = codec.kept(value, dict) if value else {}
    return found
