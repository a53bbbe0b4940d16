"""Amounts as people write them: spans of time such as ``30d`` and sizes such as ``50MB``.

Strict: a unit is always wanted, because 30 alone may be seconds or days.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from wilk.errors import Invalid

_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SIZES = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
_AMOUNT = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]{1,3})", re.ASCII)


def span(value: Any) -> timedelta:
    """Return a span of time: a timedelta, or a text such as ``30d``, ``12h``, ``90m``, ``2w``."""
    if isinstance(value, timedelta):
        if value < timedelta(0):
            raise Invalid(f"{value!r}: a span of time from 0 is wanted")
        return value
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in _SPANS:
        raise Invalid(f"{value!r}: a span of time is wanted, such as 30d, 12h, 90m, 45s or 2w")
    try:
        return timedelta(seconds=float(found[1]) * _SPANS[found[2]])
    except OverflowError:
        raise Invalid(f"{value!r}: that is longer than time is counted") from None


def size(value: Any) -> int:
    """Return bytes: a whole number, or a text such as ``50MB`` (10**6 each) or ``50MiB`` (2**20)."""
    if type(value) is int and value >= 0:
        return value
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2].upper() not in _SIZES:
        raise Invalid(f"{value!r}: a size is wanted, such as 50MB, 512KiB or a whole number of bytes")
    return int(float(found[1]) * _SIZES[found[2].upper()])


def written_size(value: int) -> str:
    """Write bytes for people, by thousands: ``1.2 MB``."""
    amount = float(value)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{value} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def written_span(value: timedelta) -> str:
    """Write a span of time as :func:`span` reads it, in the largest unit that leaves no rest."""
    seconds = value.total_seconds()
    for unit in ("w", "d", "h", "m"):
        if seconds and seconds % _SPANS[unit] == 0:
            return f"{seconds // _SPANS[unit]:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"
