"""What verbs have in common about their arguments."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Final

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


def days_ago(now: int, days: float) -> int:
    """The moment so many days before ``now``, in microseconds; the beginning of time at the earliest."""
    if isinstance(days, bool) or not isinstance(days, (int, float)) or not days >= 0:
        raise Invalid(f"days {days!r}: a number from 0 is wanted")
    try:
        return max(0, now - timedelta(days=days) // timedelta(microseconds=1))
    except OverflowError:
        return 0
