"""What an endpoint says of its limits: how long to wait, in headers that OpenAI-compatible servers send."""

from __future__ import annotations

import email.utils
import re
import threading
import time
from collections.abc import Callable, Mapping

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_LONGEST = 3600.0  # seconds after which it is tried again, whatever an answer said
_A_DATE = 1_000_000_000  # a number of seconds this large is a time since 1970


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number or a date (RFC 9110 section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


def duration(value: str) -> float | None:
    """Seconds from ``6m0s``, ``20ms``, ``1.5s``, ``12`` or a time since 1970; None for anything else."""
    text = value.strip().lower()
    try:
        number = float(text)
    except ValueError:
        found = _DURATION.fullmatch(text)
        if not text or found is None:
            return None
        days, hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds + milliseconds / 1000
    if not 0 <= number < float("inf"):
        return None
    if number >= 1000 * _A_DATE:
        number /= 1000  # in milliseconds
    return max(0.0, number - time.time()) if number >= _A_DATE else number


class Allowance:
    """What is left of a rate limit: when the next request may be sent. Several threads may ask."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._not_before = 0.0

    def heed(self, headers: Mapping[str, str]) -> None:
        """Take note of an answer's headers: when nothing remains, the next request waits for the reset."""
        used_up = [
            what
            for what in ("-requests", "-tokens", "")
            if headers.get(f"x-ratelimit-remaining{what}", "").strip() in ("0", "0.0")
        ]
        waits = [duration(headers.get(f"x-ratelimit-reset{what}", "")) or 0.0 for what in used_up]
        with self._lock:
            self._not_before = max(self._not_before, self._now() + min(_LONGEST, max(waits, default=0.0)))

    def wait(self) -> float:
        """Seconds until the next request may be sent."""
        with self._lock:
            return max(0.0, self._not_before - self._now())
