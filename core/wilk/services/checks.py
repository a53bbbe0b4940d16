"""Checks of what verbs take: numbers, choices, texts, ids, times. An error names field, value and range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from wilk import clock, codec
from wilk.errors import Invalid

_SHOWN = 80


def limit(n: int) -> int:
    """Return how many records are wanted, or raise Invalid."""
    return whole("limit", n)


def days_ago(now: int, days: float) -> int:
    """The moment so many days before ``now``, in microseconds; the beginning of time at the earliest."""
    if isinstance(days, bool) or not isinstance(days, (int, float)) or not days >= 0:
        raise _wrong("days", days, "a number from 0 is wanted")
    try:
        return max(0, now - timedelta(days=days) // timedelta(microseconds=1))
    except OverflowError:
        return 0


def identifier(name: str, value: Any, *, longest: int = 1000) -> str:
    """Return a text that every engine can keep as a key, or raise Invalid."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise _wrong(name, value, f"a text of 1 to {longest} characters is wanted")
    return _storable(name, value)


def optional(name: str, value: Any) -> str | None:
    """Return an :func:`identifier`, or None where none is given."""
    return None if value is None else identifier(name, value)


def fraction(name: str, value: Any) -> float:
    """Return a number from 0.0 to 1.0, such as a confidence, or raise Invalid."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise _wrong(name, value, "a number from 0.0 to 1.0 is wanted")
    return float(value)


def seconds(name: str, value: Any, *, most: float = 3600.0) -> float:
    """Return a number of seconds above 0, or raise Invalid."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value <= most:
        raise _wrong(name, value, f"a number of seconds above 0, at most {most:g}, is wanted")
    return float(value)


def whole(name: str, value: Any, *, least: int = 0) -> int:
    """Return a whole number that is not below ``least``, or raise Invalid."""
    if type(value) is not int or not least <= value < 2**63:
        raise _wrong(name, value, f"a whole number from {least} is wanted")
    return value


def flag(name: str, value: Any) -> bool:
    """Return True or False, or raise Invalid."""
    if not isinstance(value, bool):
        raise _wrong(name, value, "True or False is wanted")
    return value


def filled(name: str, value: Any) -> str:
    """Return a text that is not blank, or raise Invalid."""
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, value, "a text that is not blank is wanted")
    return _storable(name, value)


def text(name: str, value: Any) -> str | None:
    """Return a text or None, or raise Invalid."""
    if value is not None and not isinstance(value, str):
        raise _wrong(name, value, "a text is wanted")
    return None if value is None else _storable(name, value)


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of the choices, or raise Invalid with all of them."""
    if value not in choices:
        raise _wrong(name, value, f"one of {', '.join(choices)} is wanted")
    return str(value)


def sequence(name: str, value: Any) -> list[Any]:
    """Return a list of what can be walked through, or raise Invalid; a text is none, nor is an object."""
    if isinstance(value, (str, bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        raise _wrong(name, value, "a list is wanted")
    return list(value)


def texts(name: str, value: Any) -> list[str]:
    """Return a list of texts that are not blank, or raise Invalid with the place of one that is."""
    return [filled(f"{name}.{i}", item) for i, item in enumerate(sequence(name, value))]


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Return an object as a dict, or raise Invalid; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(name, value, "an object is wanted")
    return dict(value)


def moment(name: str, value: Any) -> datetime:
    """Return an aware time in UTC from a datetime or ISO 8601 text with a zone, or raise Invalid."""
    found = value
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise _wrong(
            name,
            value,
            "an aware datetime or ISO 8601 text with a zone is wanted, such as 2026-01-31T12:00:00Z",
        )
    try:
        found = found.astimezone(UTC)
    except OverflowError:
        raise _wrong(name, value, "a time from year 1 to 9999 in UTC is wanted") from None
    return clock.to_datetime(clock.to_microseconds(found))


def _storable(name: str, value: str) -> str:
    if codec.storable_text(value)[1] is not None:
        raise _wrong(name, value, "a text without NUL and lone surrogates is wanted")
    return value


def _wrong(name: str, value: Any, wanted: str) -> Invalid:
    """The error about a value, of which no more than its beginning is shown."""
    return Invalid(f"{name} {shown(value)}: {wanted}")


def shown(value: Any) -> str:
    """The beginning of a value for an error, whatever it is."""
    try:
        text = repr(value[:_SHOWN] if isinstance(value, (str, bytes)) else value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply to be shown"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
