"""Looks for many strings at once in many bytes: one pass over a block, whatever the number of strings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from wilk.care.forgetting.needles import Needles, forms

if TYPE_CHECKING:
    from numpy import uint8, uint32
    from numpy.typing import NDArray

BLOCK = 1 << 20
_WINDOW = 8
_BITS = 22


class Search:
    """Strings in all their forms. A string is known by the last bytes of it: ids that were made one after
    another begin alike."""

    def __init__(self, needles: Needles) -> None:
        import numpy as np

        self._by_end: dict[bytes, dict[int, dict[bytes, str | bytes]]] = {}
        self.longest = _WINDOW
        for text in needles.strings:
            for form in forms(text):
                self._add(form, text)
        for raw in needles.raw:
            self._add(raw, raw)
        self._table = np.zeros(1 << _BITS, np.bool_)
        if self._by_end:
            ends = np.frombuffer(b"".join(self._by_end), np.uint8)
            self._table[_hashed(ends)[::_WINDOW]] = True

    def _add(self, form: bytes, needle: str | bytes) -> None:
        if len(form) >= _WINDOW:
            self._by_end.setdefault(form[-_WINDOW:], {}).setdefault(len(form), {})[form] = needle
            self.longest = max(self.longest, len(form))

    def __bool__(self) -> bool:
        return bool(self._by_end)

    def block(self, data: bytes) -> set[str | bytes]:
        """Which of the strings are in some bytes."""
        import numpy as np

        found: set[str | bytes] = set()
        if len(data) < _WINDOW or not self._by_end:
            return found
        hashed = _hashed(np.frombuffer(data, np.uint8))
        for place in np.nonzero(self._table[hashed])[0].tolist():
            end = place + _WINDOW
            for length, some in self._by_end.get(data[place:end], {}).items():
                if end >= length and (needle := some.get(data[end - length : end])) is not None:
                    found.add(needle)
        return found

    def stream(self, pieces: Iterable[bytes]) -> set[str | bytes]:
        """Which of the strings are in bytes that come in pieces."""
        found: set[str | bytes] = set()
        before = b""
        for piece in pieces:
            data = before + piece
            found |= self.block(data)
            before = data[-(self.longest - 1) :]
        return found


def blocks(opened: BinaryIO) -> Iterator[bytes]:
    """A file's bytes in pieces."""
    while piece := opened.read(BLOCK):
        yield piece


def _hashed(data: NDArray[uint8]) -> NDArray[uint32]:
    """A number for each run of eight bytes."""
    import numpy as np

    wide = data.astype(np.uint32)
    four = wide[:-3] | wide[1:-2] << 8 | wide[2:-1] << 16 | wide[3:] << 24
    mixed = four[:-4] * np.uint32(2654435761) ^ four[4:] * np.uint32(2246822519)
    return np.asarray((mixed ^ (mixed >> np.uint32(15))) & np.uint32((1 << _BITS) - 1), np.uint32)
