"""What verbs have in common about their arguments."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Final

from wilk import codec
from wilk.errors import Invalid


class Unset(Enum):
    """The type of :data:`UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""Stands for an argument that was not given: the field stays as it is, as it would not with None."""


def limit(n: int) -> int:
    """Return how many records are wanted, or raise Invalid."""
    if type(n) is not int or n < 0:
        raise Invalid(f"limit {n!r}: a whole number from 0 is wanted")
    return n


def text(name: str, value: str) -> str:
    """Return a text that says something and that every database takes, or raise Invalid."""
    if not isinstance(value, str) or not value.strip():
        raise Invalid(f"{name} {value!r}: a text that is not empty is wanted")
    if codec.storable_text(value)[1] is not None:
        raise Invalid(f"{name} {value!r}: a text without NUL and lone surrogates is wanted")
    return value


def days_ago(now: int, days: float) -> int:
    """The moment so many days before ``now``, in microseconds; the beginning of time at the earliest."""
    if isinstance(days, bool) or not isinstance(days, (int, float)) or not days >= 0:
        raise Invalid(f"days {days!r}: a number from 0 is wanted")
    try:
        return max(0, now - timedelta(days=days) // timedelta(microseconds=1))
    except OverflowError:
        return 0


def identifier(name: str, value: str, *, longest: int = 1000) -> str:
    """Return a text that every engine can keep as a key, or raise Invalid with the argument's name."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise Invalid(f"{name} {value!r}: a text of 1 to {longest} characters is wanted")
    if codec.storable_text(value)[1] is not None:
        raise Invalid(f"{name} {value!r}: a text without NUL and lone surrogates is wanted")
    return value


def optional(name: str, value: str | None) -> str | None:
    """An :func:`identifier`, or None where none is given."""
    return None if value is None else identifier(name, value)
