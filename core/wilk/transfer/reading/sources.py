"""A source as importers see it: its files, whether they lie in a folder, in a ZIP or alone.

Members of a ZIP are read where they are and never unpacked, so that no name in one leads anywhere. What
unpacks to far more than it is, is refused (:data:`MOST_RATIO`).
"""

from __future__ import annotations

import gzip
import io
import re
import sqlite3
import zipfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from wilk.errors import Invalid, NotFound

MOST_RATIO = 200
"""How many times larger than its packed form a member may be, from :data:`ALWAYS_FINE` bytes on."""
ALWAYS_FINE = 64 * 2**20
MOST_FILES = 200_000
_SQLITE = b"SQLite format 3\0"
_TOLD = 8


class SourceFile(NamedTuple):
    """One file: ``name`` is its path in the source, with ``/``; ``path`` is set where it lies on the disk.

    ``opener`` opens its bytes; use :meth:`open`, which unpacks ``.gz`` and holds the limit.
    """

    name: str
    size: int
    opener: Callable[[], BinaryIO]
    path: Path | None
    packed: int | None = None

    def open(self) -> BinaryIO:
        """Open for reading bytes, unpacked. Raises Invalid, from ``read``, for what unpacks to too much."""
        raw = self.opener()
        if raw.peek(2)[:2] == b"\x1f\x8b" if isinstance(raw, io.BufferedReader) else False:
            return _limited(gzip.GzipFile(fileobj=raw), self.name, self.size)
        return raw if self.packed is None else _limited(raw, self.name, self.packed)

    def head(self, size: int = 65_536) -> bytes:
        """The first bytes, unpacked."""
        with self.open() as file:
            return file.read(size)

    @property
    def is_sqlite(self) -> bool:
        return self.head(16) == _SQLITE


class Source:
    """What an importer reads: files and folders, ZIPs among them, or an address such as ``mongodb://…``."""

    def __init__(self, places: Sequence[str | Path]) -> None:
        if not places:
            raise Invalid("name a file, a folder or an address to import from")
        self.places = [str(place) for place in places]
        self.url = self.places[0] if re.match(r"[a-z][a-z0-9+.-]+://", self.places[0]) else None
        self._files: list[SourceFile] | None = None
        self._zips: list[zipfile.ZipFile] = []

    @property
    def text(self) -> str:
        """The source for people, without a password."""
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", " ".join(self.places))

    @property
    def files(self) -> list[SourceFile]:
        """All files, by name; of a source that is an address, none."""
        if self._files is None:
            found: list[SourceFile] = []
            for place in [] if self.url else self.places:
                found += self._of(Path(place).expanduser())
            self._files = sorted(found, key=lambda file: file.name)
        return self._files

    def find(self, *patterns: str) -> list[SourceFile]:
        """The files whose name, without its folders, fits a pattern such as ``conversations*.json``."""
        return [
            file
            for file in self.files
            if any(fnmatch(file.name.rsplit("/", 1)[-1], pattern) for pattern in patterns)
        ]

    @property
    def only(self) -> SourceFile | None:
        """The file, where there is exactly one."""
        return self.files[0] if len(self.files) == 1 else None

    def databases(self) -> list[SourceFile]:
        """The files that are SQLite databases, whatever they are called."""
        return [file for file in self.files if file.path is not None and file.is_sqlite]

    @contextmanager
    def database(self, file: SourceFile) -> Generator[sqlite3.Connection, None, None]:
        """Open an SQLite database for reading only, also with a WAL of a live one beside it."""
        if file.path is None:
            raise Invalid(f"{file.name}: a database within a ZIP cannot be read; unpack it first")
        address = f"{file.path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=30)
        try:
            connection.execute("PRAGMA query_only = on")
            yield connection
        except sqlite3.DatabaseError as error:
            raise Invalid(f"{file.name} cannot be read as an SQLite database: {error}") from error
        finally:
            connection.close()

    def describe(self) -> str:
        """What is there, in a sentence, for an error that says why it is not recognised."""
        if self.url is not None:
            return f"the address {self.text}"
        if not self.files:
            return "an empty folder"
        names = [file.name for file in self.files[:_TOLD]]
        more = f" and {len(self.files) - _TOLD} more" if len(self.files) > _TOLD else ""
        if (only := self.only) is not None and only.path is not None and only.is_sqlite:
            return f"an SQLite database with the tables {', '.join(self.tables(only)) or 'none'}"
        return f"{', '.join(names)}{more}"

    def tables(self, file: SourceFile) -> list[str]:
        """The names of the tables of an SQLite database."""
        with self.database(file) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            return [name for (name,) in rows]

    def close(self) -> None:
        """Close what is open."""
        for archive in self._zips:
            archive.close()

    def _of(self, place: Path) -> list[SourceFile]:
        if not place.exists():
            raise NotFound("file or folder", str(place))
        if place.is_dir():
            paths = [path for path in sorted(place.rglob("*")) if path.is_file()]
            return [_on_disk(path, path.relative_to(place).as_posix()) for path in paths[:MOST_FILES]]
        with place.open("rb") as file:
            head = file.read(4)
        return self._zipped(place) if head == b"PK\x03\x04" else [_on_disk(place, place.name)]

    def _zipped(self, place: Path) -> list[SourceFile]:
        try:
            archive = zipfile.ZipFile(place)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise Invalid(f"{place.name} is no sound ZIP: {error}; download it again") from error
        self._zips.append(archive)
        members = [one for one in archive.infolist() if not one.is_dir()]
        if len(members) > MOST_FILES:
            raise Invalid(f"{place.name} has {len(members):,} members; at most {MOST_FILES:,} are read")
        return [_member(archive, one) for one in members]


def _on_disk(path: Path, name: str) -> SourceFile:
    return SourceFile(name, path.stat().st_size, lambda: path.open("rb"), path)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> SourceFile:
    def opened() -> BinaryIO:
        try:
            return cast(BinaryIO, archive.open(member))
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError) as error:
            raise Invalid(f"{member.filename} in the ZIP cannot be read: {error}") from error

    name = "/".join(part for part in re.split(r"[\\/]", member.filename) if part not in ("", ".", ".."))
    return SourceFile(name or "unnamed", member.file_size, opened, None, member.compress_size)


def _limited(file: BinaryIO | gzip.GzipFile, name: str, packed: int) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Limited(file, name, max(packed * MOST_RATIO, ALWAYS_FINE))))


class _Limited(io.RawIOBase):
    """Reads through, until more comes than may."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, name: str, most: int) -> None:
        self._file = file
        self._name = name
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._file.read(len(buffer))
        except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            raise Invalid(f"{self._name} is damaged: {error}") from error
        except Exception as error:  # zlib.error and its like
            raise Invalid(f"{self._name} cannot be unpacked: {error}") from error
        self._left -= len(data)
        if self._left < 0:
            raise Invalid(f"{self._name} unpacks to over {MOST_RATIO} times its size; it is not read")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
