"""How values are written: JSON or bytes, compressed where that is shorter; never pickle.

The first byte says which: ``J`` and ``B``, or ``j`` and ``b`` for the compressed ones.
"""

from __future__ import annotations

import zlib
from typing import Any

from wilk import codec
from wilk.contracts import CachePolicy
from wilk.errors import Invalid

_SHORTEST = 200
_FIXED = frozenset({str, int, float, bool, bytes, type(None)})


class Entry:
    """What memory keeps of an entry: a value that cannot be changed as it is, any other as JSON."""

    __slots__ = ("epoch", "expires_at", "fixed", "kept", "read", "size", "tags", "written")

    def __init__(self, kept: Any, *, fixed: bool, size: int, written: int, expires_at: int | None) -> None:
        self.kept = kept
        self.fixed = fixed
        self.size = size
        self.written = written
        self.expires_at = expires_at
        self.epoch = 0
        self.read = False
        self.tags: frozenset[str] = frozenset()

    @property
    def value(self) -> Any:
        """The value, of which each caller has its own."""
        return self.kept if self.fixed else codec.loads(self.kept)


def packed(value: Any, policy: CachePolicy) -> bytes:
    """Write a value; raises NotStorable for what JSON cannot hold, and Invalid where bytes are wanted."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        kind, data = b"B", bytes(value)
    elif policy.format == "binary":
        raise Invalid(
            f"value: {type(value).__name__}: this cache keeps bytes; set format: json for it in the setting "
            "caches, or turn the value into bytes"
        )
    else:
        kind, data = b"J", codec.dumps(value).encode()
    if policy.compression and len(data) > _SHORTEST:
        shorter = zlib.compress(data, 1)
        if len(shorter) < len(data):
            return kind.lower() + shorter
    return kind + data


def entry(blob: bytes, *, written: int, expires_at: int | None) -> Entry:
    """Read what :func:`packed` wrote; raises ValueError when it is something else."""
    kind, data = blob[:1], blob[1:]
    try:
        if kind in (b"j", b"b"):
            data = zlib.decompress(data)
            kind = kind.upper()
        if kind == b"B":
            return Entry(data, fixed=True, size=len(data), written=written, expires_at=expires_at)
        if kind != b"J":
            raise ValueError(f"a value of the unknown kind {kind!r}")
        value = codec.loads(data)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    fixed = type(value) in _FIXED
    size = len(data) if type(value) is not str or value.isascii() else 4 * len(value)
    return Entry(value if fixed else data, fixed=fixed, size=size, written=written, expires_at=expires_at)
