"""The archive in files: compressed JSON lines in the home folder, ``archive/000001.jsonl.gz`` and so on.

Files only grow, but for what is forgotten, and plain ``zcat`` reads them. What is handed over in one go makes
one gzip member, so that reading a row unpacks that member alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import takewhile
from pathlib import Path
from zlib import crc32

from wilk.amounts import size
from wilk.archives.locking import locked
from wilk.archives.members import offsets, packed, unpacked
from wilk.contracts import Archive
from wilk.errors import BackendError, Invalid, SettingsError
from wilk.files import private_folder, sync_folder
from wilk.hookspecs import hookimpl
from wilk.settings import Settings

_FILE_SIZE = "64MB"
_LINES = 500
_NAME = re.compile(r"(\d{6,18})\.jsonl\.gz", re.ASCII)


class Jsonl:
    """The files of one folder.

    A place is ``FILE:OFFSET:LINE:CRC``: file number, byte of the member, line in it, and the line's
    checksum. By that another row is never taken for this one, as could be when a file was lost and
    its number given again.
    """

    def __init__(self, folder: Path, *, file_size: int, timeout: float) -> None:
        self._folder = folder
        self._file_size = file_size
        self._timeout = timeout
        self._known = (0, 0, 0)  # the newest file: its number, its last member's offset and end
        self._member: tuple[tuple[int, int], list[bytes]] = ((0, 0), [])  # what was read last

    @property
    def folder(self) -> Path:
        """Where the files lie, which backups take along."""
        return self._folder

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other threads and processes from appending while the block runs; raises Busy."""
        return locked(self._folder / "lock", self._timeout)

    def append(self, entries: Sequence[tuple[int, bytes]]) -> list[str]:
        """Write entries as one member, and return when it is on the disk.

        Those that the last member holds already keep their place. When it holds the first ones, the
        others have to come again: once these are noted, a crash cannot make them come a third time.
        """
        try:
            number, last, end = self._newest()
            kept = {}
            if end:
                kept = {
                    line: _place(number, last, n, line) for n, line in enumerate(self._lines(number, last))
                }
            there = list(takewhile(kept.__contains__, (line for _, line in entries)))
            if there:
                return [kept[line] for line in there]
            new = [line for _, line in entries if line not in kept]
            if new:
                if end is None or not number or end >= self._file_size:
                    number, end = number + 1, 0
                self._write(number, end, packed(b"".join(line + b"\n" for line in new)))
                kept |= {line: _place(number, end, n, line) for n, line in enumerate(new)}
        except OSError as error:
            raise BackendError(f"{self._folder} cannot be written: {error.strerror}") from error
        return [kept[line] for _, line in entries]

    def read(self, places: Sequence[str]) -> list[bytes]:
        """Return the lines at these places; each member is unpacked once."""
        wanted: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        for order, place in enumerate(places):
            try:
                *numbers, text = place.split(":")
                number, offset, line = map(int, numbers)
                wanted.setdefault((number, offset), []).append((order, line, int(text, 16)))
            except ValueError:
                raise BackendError(f"archive place {place!r}: FILE:OFFSET:LINE:CRC is wanted") from None
        found = [b""] * len(places)
        for member, lines in wanted.items():
            held = self._lines(*member)
            for order, line, sum in lines:
                if line >= len(held) or crc32(held[line]) != sum:
                    raise BackendError(
                        f"{self._file(member[0])} is another file than the one that was written: the row is "
                        f"not at byte {member[1]}, line {line}; put the file back from a backup"
                    )
                found[order] = held[line]
        return found

    def forget(self, gone: Callable[[bytes], bool], moved: Callable[[Mapping[str, str]], object]) -> int:
        """Write files anew without the lines that ``gone`` is true of; return how many those were.

        What a file holds beside them is appended to a new one, ``moved`` is told where it lies now, and the
        file is removed then: whenever this is broken off, each line that stays is where its place says.
        """
        count = 0
        try:
            for number in self._numbers():
                kept, went = self._parted(number, gone)
                if not went:
                    continue
                places = self._rewritten(kept)
                moved(places)
                self._known = (0, 0, 0)
                self._member = ((0, 0), [])
                self._file(number).unlink()
                sync_folder(self._folder)
                count += went
        except OSError as error:
            raise BackendError(f"{self._folder} cannot be written: {error.strerror}") from error
        return count

    def _parted(self, number: int, gone: Callable[[bytes], bool]) -> tuple[list[tuple[str, bytes]], int]:
        """The lines of a file that stay, with their places, and how many do not."""
        kept: list[tuple[str, bytes]] = []
        went = 0
        for offset, after in offsets(self._file(number)):
            if after is None:
                break  # what a crash left: nobody knows its place
            for n, line in enumerate(unpacked(self._file(number), offset).split(b"\n")[:-1]):
                if gone(line):
                    went += 1
                else:
                    kept.append((_place(number, offset, n, line), line))
        return kept, went

    def _rewritten(self, kept: Sequence[tuple[str, bytes]]) -> dict[str, str]:
        """Write lines into a new file; return where each lies, by where it lay."""
        places: dict[str, str] = {}
        number, end = max(self._numbers(), default=0) + 1, 0
        for start in range(0, len(kept), _LINES):
            some = kept[start : start + _LINES]
            if end >= self._file_size:
                number, end = number + 1, 0
            member = packed(b"".join(line + b"\n" for _, line in some))
            self._write(number, end, member)
            places |= {old: _place(number, end, n, line) for n, (old, line) in enumerate(some)}
            end += len(member)
        return places

    def _numbers(self) -> list[int]:
        names = [_NAME.fullmatch(file.name) for file in self._folder.glob("*.jsonl.gz")]
        return sorted(int(name[1]) for name in names if name is not None)

    def close(self) -> None:
        """Nothing is kept open."""

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}.jsonl.gz"

    def _lines(self, number: int, offset: int) -> list[bytes]:
        known, lines = self._member
        if known != (number, offset):
            lines = unpacked(self._file(number), offset).split(b"\n")[:-1]
            self._member = ((number, offset), lines)
        return lines

    def _newest(self) -> tuple[int, int, int | None]:
        """The newest file's number, its last member and its end; a tail that a crash left is cut off.

        The end is None when the file holds something else, or a member that cannot be read: what
        follows goes into a new file then, and this one is left as it is. Zeros: there is none.
        """
        number = max(self._numbers(), default=0)
        if not number:
            return 0, 0, 0
        file = self._file(number)
        known, last, end = self._known
        if known != number or file.stat().st_size < end:
            last = end = 0
        try:
            for offset, after in offsets(file, end):
                if after is None:
                    os.truncate(file, offset)
                else:
                    last, end = offset, after
            if end:
                self._lines(number, last)
        except BackendError:
            return number, 0, None
        self._known = (number, last, end)
        return number, last, end

    def _write(self, number: int, end: int, member: bytes) -> None:
        file = self._file(number)
        private_folder(self._folder)
        handle = os.open(file, os.O_CREAT | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(handle, "wb") as opened:
            opened.seek(end)
            try:
                opened.write(member)
                opened.flush()
                os.fsync(opened.fileno())
            except OSError:
                os.truncate(file, end)
                raise
        if not end:
            sync_folder(self._folder)
        self._known = (number, end, end + len(member))


def _place(number: int, offset: int, line: int, data: bytes) -> str:
    return f"{number:06d}:{offset}:{line}:{crc32(data):08x}"


def _open(settings: Settings) -> Jsonl:
    options = settings.plugins.get("jsonl") or {}
    if unknown := sorted(options.keys() - {"folder", "file_size"}):
        raise SettingsError(f"plugins: jsonl: {unknown[0]!r} is not a setting; it takes folder and file_size")
    folder = options.get("folder")
    if folder is None and settings.home is None:
        raise SettingsError(
            "archive: jsonl keeps files in the home folder, and this store has none; open it with home=, "
            "or set plugins: {jsonl: {folder: ...}}"
        )
    if folder is not None and not isinstance(folder, str):
        raise SettingsError(f"plugins: jsonl: folder {folder!r}: a path is wanted")
    home = settings.home or Path.cwd()
    try:
        limit = size(options.get("file_size", _FILE_SIZE))
    except Invalid as error:
        raise SettingsError(f"plugins: jsonl: file_size {error}") from error
    place = home / "archive" if folder is None else home / Path(folder).expanduser()
    return Jsonl(place, file_size=limit, timeout=settings.timeout)


@hookimpl
def register_archives() -> Iterator[Archive]:
    yield Archive("jsonl", _open, "compressed JSON lines in the home folder, archive/000001.jsonl.gz")
