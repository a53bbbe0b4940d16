"""The write-ahead log of an SQLite file: its frames up to the last commit, each checked.

Source: "Database File Format", section 4; "WAL-mode File Format", section 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
_VERSION = 3007000
_SIZES = {512 << n for n in range(8)}


class Log:
    """A log. ``ignored`` frames come behind the last commit that can be read, or are damaged; ``problem``
    says why nothing of the log can be used. ``pages_in_all``: of the database after its last commit."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._frames: dict[int, int] = {}
        self.size = 0
        self.pages_in_all = 0
        self.ignored = 0
        self.problem = ""
        with file.open("rb") as opened:
            head = opened.read(32)
            if not any(head):
                return  # one that was never begun, or was taken over and cut
            self._read(head, opened)

    def __bool__(self) -> bool:
        return bool(self._frames)

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """The newest state of each page that was committed."""
        with self._file.open("rb") as opened:
            for number, place in sorted(self._frames.items()):
                if number <= self.pages_in_all:
                    opened.seek(place)
                    yield number, opened.read(self.size)

    def _read(self, head: bytes, opened: object) -> None:
        read = opened.read  # type: ignore[attr-defined]
        length = self._file.stat().st_size
        if len(head) < 32:
            self.problem = "it is cut off in its head"
            return
        magic, version, size, _, salt, other, one, two = struct.unpack(">8I", head)
        order = _MAGIC.get(magic)
        if order is None or version != _VERSION or size not in _SIZES:
            self.problem = "its head is not that of a log"
            return
        sums = _checksum(head[:24], (0, 0), order)
        if sums != (one, two):
            self.problem = "the checksum of its head is wrong"
            return
        self.size = size
        place, frames = 32, (length - 32) // (size + 24)
        pending: dict[int, int] = {}
        good = seen = 0
        while seen < frames:
            frame = read(24)
            data = read(size)
            number, commit, first, second, one, two = struct.unpack(">6I", frame)
            sums = _checksum(data, _checksum(frame[:8], sums, order), order)
            if (first, second) != (salt, other):
                break  # what an earlier round of the log has left
            if sums != (one, two) or not number:
                self.ignored = _of_this_round(self._file, place, size, (salt, other)) + seen - good
                return
            seen += 1
            pending[number] = place + 24
            place += 24 + size
            if commit:
                self._frames.update(pending)
                pending.clear()
                self.pages_in_all, good = commit, seen
        self.ignored = seen - good


def _of_this_round(file: Path, place: int, size: int, salts: tuple[int, int]) -> int:
    """How many frames from here on carry the salts of the log's head: they were lost with the one here."""
    found = 1
    with file.open("rb") as opened:
        place += 24 + size
        while True:
            opened.seek(place)
            frame = opened.read(24)
            if len(frame) < 24 or struct.unpack(">6I", frame)[2:4] != salts:
                return found
            found += 1
            place += 24 + size


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    numbers = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one in numbers:
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + next(numbers) + first) & 0xFFFFFFFF
    return first, second
