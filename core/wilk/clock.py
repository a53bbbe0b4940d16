"""Time and ids: microseconds since 1970 in UTC, and UUIDv7 strings. Tests replace both."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_datetime(microseconds: int) -> datetime:
    """Turn microseconds since 1970 into an aware UTC datetime, exactly."""
    return EPOCH + microseconds * _MICROSECOND


def to_microseconds(moment: datetime) -> int:
    """Turn an aware datetime into microseconds since 1970, exactly.

    Raises ValueError for a naive one: its zone would be a guess.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; use datetime.now(UTC)")
    return (moment - EPOCH) // _MICROSECOND


def _random(bits: int) -> int:
    return int.from_bytes(os.urandom(8), "big") >> (64 - bits)


class Clock:
    """Gives the time and new ids to one store.

    ``now()`` is microseconds since 1970; ``new_id()`` a UUIDv7 in text (RFC 9562 section 5.7),
    which sorts by creation: 48 bits of milliseconds, then a 12-bit counter that makes ids of
    one process strictly increasing, then 62 random bits.
    """

    def __init__(self, now: Callable[[], int] | None = None) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._stamp = 0

    def forked(self) -> None:
        """In a forked child: the lock may have been held by a thread that is not there any more."""
        self._lock = threading.Lock()

    def now(self) -> int:
        if self._now is not None:
            return self._now()
        return time.time_ns() // 1000

    def new_id(self) -> str:
        now = self.now()
        with self._lock:
            # 60 bits: milliseconds over a counter that starts from the sub-millisecond part.
            stamp = max((now // 1000 << 12) + (now % 1000 << 2), self._stamp + 1)
            self._stamp = stamp
        text = f"{stamp >> 12:012x}7{stamp & 0xFFF:03x}{_random(62) | 1 << 63:016x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
