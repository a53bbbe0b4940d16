"""A private copy of a damaged database as one plain file: its log taken over, its header mended."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
from pathlib import Path

from wilk.care.recovering import log
from wilk.care.recovering.pages import fills, parse
from wilk.errors import BackendError, Conflict

MAGIC = b"SQLite format 3\0"
_SIZES = (4096, 1024, 2048, 8192, 16384, 32768, 65536, 512)
_ENCODINGS = {1: "utf-8", 2: "utf-16-le", 3: "utf-16-be"}
_GUESSES = 400
"""Pages that are looked at to find out how large they are."""
_LIKELY = 8
"""Pages that must look like pages where nothing says that a file is a database."""


class Image:
    """The pages of a database file. ``notes`` tell what was found of its header, a sentence each."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.notes: list[str] = []
        self._opened = file.open("rb")
        length = os.fstat(self._opened.fileno()).st_size
        self._map = mmap.mmap(self._opened.fileno(), 0, access=mmap.ACCESS_READ) if length else b""
        self.length = length
        self.encoding = "utf-8"
        self.size = self.usable = 4096
        self.count = 0
        self.vacuum = False
        self.free_head = self.free_count = 0
        self.sound_header = False
        self._read_header()

    def page(self, number: int) -> bytes | None:
        start = (number - 1) * self.size
        if number < 1 or start + self.size > self.length:
            return None
        return bytes(self._map[start : start + self.size])

    def close(self) -> None:
        if isinstance(self._map, mmap.mmap):
            self._map.close()
        self._opened.close()

    def head(self) -> bytes:
        """The first hundred bytes."""
        return bytes(self._map[:100])

    def _read_header(self) -> None:
        head = self.head()
        size = struct.unpack_from(">H", head, 16)[0] if len(head) == 100 else 0
        size = 65536 if size == 1 else size
        reserved = head[20] if len(head) == 100 else 0
        if head[:16] == MAGIC and size in _SIZES and head[21:24] == b"\x40\x20\x20" and reserved <= 32:
            self._set(size, reserved)
            self.sound_header = True
            self.encoding = _ENCODINGS.get(struct.unpack_from(">I", head, 56)[0], "utf-8")
            self.free_head, self.free_count = struct.unpack_from(">II", head, 32)
            self.vacuum = struct.unpack_from(">I", head, 52)[0] != 0
            return
        self.notes.append(
            "the header of the file is destroyed; the size of its pages was found from the pages"
        )
        likely = max(_SIZES, key=self._likely)
        self._set(likely, 0)
        self.found = self._likely(likely)

    def _set(self, size: int, reserved: int) -> None:
        self.size, self.usable = size, size - reserved
        self.count = self.length // size
        self.found = self.count

    def _likely(self, size: int) -> int:
        """How many pages are filled to their ends, as pages of the right size are."""
        self._set(size, 0)
        step = max(1, self.count // _GUESSES)
        found = 0
        for number in range(2, self.count + 1, step):
            page = parse(self, number)
            found += page is not None and bool(page.cells) and fills(self, page)
        return found * step

    @property
    def is_database(self) -> bool:
        """Whether this is an SQLite file, as far as anything of it tells."""
        if self.sound_header:
            return True
        enough = min(_LIKELY, max(1, self.count // 4))
        return bool(self.count) and self.found >= enough


def copied(damaged: Path, folder: Path) -> Path:
    """Copy a database and what lies beside it into a private folder; nothing is opened for writing there.

    Raises BackendError when it cannot be read, and Conflict when it was written meanwhile.
    """
    target = folder / "damaged.db"
    names = ("", "-wal", "-journal")
    try:
        before = [_state(damaged, name) for name in names]
        for name, state in zip(names, before, strict=True):
            if state is not None:
                shutil.copyfile(_beside(damaged, name), _beside(target, name))
        after = [_state(damaged, name) for name in names]
    except OSError as error:
        raise BackendError(f"{damaged} cannot be copied: {error.strerror or error}") from error
    if before != after:
        raise Conflict(f"{damaged} was written while it was copied; close every program that has it open")
    return target


def apply_log(file: Path, wal: log.Log, target: Path) -> None:
    """Write a copy of a file with the pages of its log in their places."""
    shutil.copyfile(file, target)
    with target.open("r+b") as opened:
        for number, data in wal.pages():
            opened.seek((number - 1) * wal.size)
            opened.write(data)
        opened.truncate(wal.pages_in_all * wal.size)


def make_plain(file: Path) -> None:
    """Let a file that is in WAL mode be one without a log."""
    with file.open("r+b") as opened:
        if opened.read(16) == MAGIC:
            opened.seek(18)
            if opened.read(2) == b"\x02\x02":
                opened.seek(18)
                opened.write(b"\x01\x01")


def _beside(file: Path, name: str) -> Path:
    return file.with_name(file.name + name)


def _state(file: Path, name: str) -> tuple[int, int] | None:
    try:
        found = _beside(file, name).stat()
    except FileNotFoundError:
        if not name:
            raise
        return None
    return found.st_size, found.st_mtime_ns
