"""A window that slides over a stream of bytes, so that a reader may look ahead without holding the file."""

from __future__ import annotations

from typing import BinaryIO

CHUNK = 1 << 20


class Window:
    """The bytes of a file from :attr:`offset` on, as far as they have been asked for.

    ``data`` are those bytes and ``at`` is the place in them that comes next. :meth:`more` reads on; what lies
    before ``at`` is dropped when it does, so places in ``data`` are good until then.
    """

    __slots__ = ("_file", "at", "data", "ended", "offset")

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.data = b""
        self.at = 0
        self.offset = 0
        self.ended = False

    @property
    def here(self) -> int:
        """Where in the file the next byte stands."""
        return self.offset + self.at

    def more(self) -> bool:
        """Read on, at least as much again as there is; False at the end of the file."""
        if self.ended:
            return False
        kept = self.data[self.at :]
        read = self._file.read(max(CHUNK, len(kept)))
        self.offset += self.at
        self.at = 0
        self.data = kept + read
        self.ended = not read
        return not self.ended

    def has(self, size: int) -> bool:
        """Whether that many bytes are still to come; they are in ``data`` then."""
        while len(self.data) - self.at < size:
            if not self.more():
                return False
        return True
