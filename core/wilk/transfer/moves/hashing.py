"""Rows as canonical bytes, and the hash of a table whatever the order in which its rows are read."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from json import JSONEncoder
from typing import Any

_RANGE = 2**256


def _other(value: Any) -> Any:
    """What JSON has no form for: bytes, and what the fields of plugins make of a column."""
    if isinstance(value, (bytes, memoryview)):
        return {"base64": b64encode(value).decode()}
    return {type(value).__name__: str(value)}


_encoded = JSONEncoder(separators=(",", ":"), default=_other).encode


class Tally:
    """Rows counted, and the sum of their SHA-256 modulo 2^256."""

    __slots__ = ("rows", "size", "sum")

    def __init__(self, rows: int = 0, state: str = "0") -> None:
        self.rows = rows
        self.sum = int(state, 16)
        self.size = 0

    @property
    def state(self) -> str:
        """The sum as text."""
        return f"{self.sum:064x}"

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Count rows in."""
        total = self.sum
        for row in rows:
            line = _encoded(row).encode()
            self.size += len(line)
            self.rows += 1
            total += int.from_bytes(sha256(line).digest(), "big")
        self.sum = total % _RANGE

    def take(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Count rows out again."""
        other = Tally()
        other.add(rows)
        self.rows -= other.rows
        self.sum = (self.sum - other.sum) % _RANGE

    def join(self, other: Tally) -> None:
        """Count in what another has counted."""
        self.rows += other.rows
        self.size += other.size
        self.sum = (self.sum + other.sum) % _RANGE

    def same(self, other: Tally) -> bool:
        """Whether both have counted the same rows."""
        return (self.rows, self.sum) == (other.rows, other.sum)
