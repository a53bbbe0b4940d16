"""Checks of the values that verbs take: ranges, choices, texts, times. An error names field, value, range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wilk import clock, codec
from wilk.errors import Invalid


def fraction(name: str, value: Any) -> float:
    """Return a number from 0.0 to 1.0, such as a confidence, or raise Invalid."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
        raise Invalid(f"{name} {value!r}: a number from 0.0 to 1.0 is wanted")
    return float(value)


def whole(name: str, value: Any, *, least: int = 0) -> int:
    """Return a whole number that is not below ``least``, or raise Invalid."""
    if type(value) is not int or not least <= value < 2**63:
        raise Invalid(f"{name} {value!r}: a whole number from {least} is wanted")
    return value


def flag(name: str, value: Any) -> bool:
    """Return True or False, or raise Invalid."""
    if not isinstance(value, bool):
        raise Invalid(f"{name} {value!r}: True or False is wanted")
    return value


def filled(name: str, value: Any) -> str:
    """Return a text that is not blank, or raise Invalid."""
    if not isinstance(value, str) or not value.strip():
        raise Invalid(f"{name} {value!r}: a text that is not blank is wanted")
    return _storable(name, value)


def text(name: str, value: Any) -> str | None:
    """Return a text or None, or raise Invalid."""
    if value is not None and not isinstance(value, str):
        raise Invalid(f"{name} {value!r}: a text is wanted")
    return None if value is None else _storable(name, value)


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of the choices, or raise Invalid with all of them."""
    if value not in choices:
        raise Invalid(f"{name} {value!r}: one of {', '.join(choices)} is wanted")
    return str(value)


def sequence(name: str, value: Any) -> list[Any]:
    """Return a list, or raise Invalid; a text is none."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
        raise Invalid(f"{name} {value!r}: a list is wanted")
    return list(value)


def texts(name: str, value: Any) -> list[str]:
    """Return a list of texts that are not blank, or raise Invalid with the place of one that is."""
    return [filled(f"{name}.{i}", item) for i, item in enumerate(sequence(name, value))]


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Return an object as a dict, or raise Invalid; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid(f"{name} {value!r}: an object is wanted")
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
        raise Invalid(
            f"{name} {value!r}: an aware datetime or ISO 8601 text with a zone is wanted, "
            "such as 2026-01-31T12:00:00Z"
        )
    try:
        found = found.astimezone(UTC)
    except OverflowError:
        raise Invalid(f"{name} {value!r}: a time from year 1 to 9999 in UTC is wanted") from None
    return clock.to_datetime(clock.to_microseconds(found))


def _storable(name: str, value: str) -> str:
    if codec.storable_text(value)[1] is not None:
        raise Invalid(f"{name} {value!r}: a text without NUL and lone surrogates is wanted")
    return value
