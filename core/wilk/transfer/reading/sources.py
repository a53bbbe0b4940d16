"""A source as importers see it: its files, whether they lie in a folder, in a ZIP or alone.

Members of a ZIP are read where they are and never unpacked into a folder, so that no name in one leads
anywhere. What is no regular file is not opened, and no link is followed out of a folder. What was left out
or found odd stands in :attr:`Source.remarks`.
"""

from __future__ import annotations

import io
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from wilk.errors import BackendError, Invalid, NotFound, PluginError
from wilk.transfer.reading import unpacking
from wilk.transfer.reading.addresses import hidden
from wilk.transfer.reading.folders import MOST_FILES, shown, within
from wilk.transfer.reading.scratch import new_folder
from wilk.transfer.reading.zips import Archive

if TYPE_CHECKING:
    from wilk.contracts import Documents, SourceKind

_SQLITE = b"SQLite format 3\0"
_WAL = 2
_TOLD = 8
_HEAD = 4096
_TRIES = 5
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_MISSPELT = re.compile(r"\s*[a-z][a-z0-9+.-]+:/?/?[^/]*@", re.IGNORECASE)


class SourceFile(NamedTuple):
    """One file: ``name`` is its path in the source, with ``/``; ``path`` is set where it lies on the disk.

    ``opener`` opens its bytes; use :meth:`open`, which unpacks ``.gz`` and holds the limit.
    """

    name: str
    size: int
    opener: Callable[[], BinaryIO]
    path: Path | None
    packed: int | None = None
    remark: Callable[[str], object] = lambda _text: None

    def open(self, told: Callable[[int], object] | None = None) -> BinaryIO:
        """Open for reading bytes, unpacked; ``told`` hears how many bytes of ``size`` have been read.

        A packed file that is cut off or damaged ends where it is, and the source remarks it. Raises Invalid
        for one that cannot be opened, and, from ``read``, for what unpacks to too much.
        """

        def damaged(text: str) -> None:
            self.remark(f"{self.name}: {text}")

        try:
            raw = self.opener()
        except OSError as error:
            raise Invalid(f"{self.name} cannot be read: {error.strerror or type(error).__name__}") from error
        if self.packed is not None:
            raw = unpacking.limited(raw, self.name, self.packed, damaged)
        if told is not None:
            raw = unpacking.counted(raw, told)
        if isinstance(raw, io.BufferedReader) and raw.peek(2)[:2] == unpacking.GZIP:
            raw = unpacking.limited(unpacking.gunzipped(raw, damaged), self.name, self.size, damaged)
        return raw

    def head(self, size: int = 65_536) -> bytes:
        """The first bytes, unpacked."""
        with self.open() as file:
            return file.read(size)

    @property
    def is_sqlite(self) -> bool:
        return self.head(16) == _SQLITE


class Source:
    """What an importer reads: files and folders, ZIPs among them, or an address such as ``mongodb://…``.

    ``source_kind`` finds the plugin for the scheme of an address (:meth:`wilk.Host.source_kind`).
    """

    def __init__(
        self, places: Sequence[str | Path], source_kind: Callable[[str], SourceKind] | None = None
    ) -> None:
        if not places:
            raise Invalid("name a file, a folder or an address to import from")
        self.places = [str(place) for place in places]
        for place in self.places:
            # Before it is looked for as a file, and named in an error with its password.
            if _MISSPELT.match(place) and not _ADDRESS.match(place):
                raise Invalid("an address is written as scheme://user:password@host/database")
        addresses = [place for place in self.places if _ADDRESS.match(place)]
        self.url = addresses[0] if addresses else None
        if self.url is not None and len(self.places) > 1:
            raise Invalid("an address is imported from by itself; leave out the other sources")
        self.remarks: list[str] = []
        self._source_kind = source_kind
        self._documents: Documents | None = None
        self._files: list[SourceFile] | None = None
        self._zips: list[Archive] = []
        self._scratch: list[Path] = []  # one for all copies of a source

    @property
    def text(self) -> str:
        """The source for people, without a password."""
        return " ".join(hidden(place) if _ADDRESS.match(place) else shown(place) for place in self.places)

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

    def documents(self) -> Documents:
        """The collections behind the address, by the plugin that knows its scheme.

        Raises PluginError when there is none, and Invalid when the source is no address.
        """
        found = _ADDRESS.match(self.url or "")
        if self.url is None or found is None:
            raise Invalid(f"{self.text} is no address; name one such as mongodb://host/database")
        if self._documents is None:
            scheme = found.group(1).lower()
            try:
                if self._source_kind is None:
                    raise PluginError(f"no plugin offers the source {scheme!r}; none is installed")
                kind = self._source_kind(scheme)
            except PluginError as error:
                way = "Install it (pip install wilk-mongo), or e" if scheme.startswith("mongodb") else "E"
                raise PluginError(f"{error}. {way}xport to files and import these") from None
            self._documents = kind.open(self.url)
        return self._documents

    def scratch(self) -> Path:
        """A private temporary folder, gone when the source is closed."""
        if not self._scratch:
            self._scratch.append(new_folder())
        return self._scratch[0]

    def databases(self) -> list[SourceFile]:
        """The files that are SQLite databases, whatever they are called."""
        return [file for file in self.files if self._is_database(file)]

    @contextmanager
    def database(self, file: SourceFile) -> Generator[sqlite3.Connection, None, None]:
        """Open an SQLite database for reading only, also with a WAL of a live one beside it.

        Nothing is changed in its folder. What a crashed program left in a WAL or a journal is read from a
        copy, as is a database within a ZIP. Raises Invalid for one that is damaged.
        """
        connection: sqlite3.Connection | None = None
        try:
            connection = self._connect(file)
            connection.execute("PRAGMA query_only = on")
            yield connection
        except sqlite3.DatabaseError as error:
            raise Invalid(f"{file.name} cannot be read as an SQLite database: {error}") from error
        finally:
            if connection is not None:
                connection.close()

    def describe(self) -> str:
        """What is there, in a sentence, for an error that says why it is not recognised."""
        if self.url is not None:
            return f"the address {self.text}"
        if not self.files:
            told = "; ".join(self.remarks[:_TOLD])
            return f"a folder of which nothing can be read ({told})" if told else "an empty folder"
        names = [file.name for file in self.files[:_TOLD]]
        more = f" and {len(self.files) - _TOLD:,} more" if len(self.files) > _TOLD else ""
        if (only := self.only) is not None and self._is_database(only):
            try:
                return f"an SQLite database with the tables {', '.join(self.tables(only)) or 'none'}"
            except Invalid as error:
                return f"a damaged SQLite database ({error})"
        if only is not None:
            return f"{only.name}, {_of_bytes(only)}".removesuffix(", ")
        return f"{', '.join(names)}{more}"

    def tables(self, file: SourceFile) -> list[str]:
        """The names of the tables of an SQLite database."""
        with self.database(file) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            return [name for (name,) in rows]

    def close(self) -> None:
        """Close what is open, and remove what was kept for a while."""
        for archive in self._zips:
            archive.close()
        if self._documents is not None:
            self._documents.close()
        for folder in self._scratch:
            shutil.rmtree(folder, ignore_errors=True)

    def _of(self, place: Path) -> list[SourceFile]:
        if not place.exists():
            raise NotFound("file or folder", shown(str(place)))
        if place.is_dir():
            return [
                self._on_disk(path, path.relative_to(place).as_posix(), size)
                for path, size in within(place, self.remarks.append)
            ]
        if not place.is_file():
            raise Invalid(f"{shown(str(place))} is neither a file nor a folder")
        found = self._on_disk(place, place.name, place.stat().st_size)
        return self._zipped(place) if found.head(4) in (b"PK\x03\x04", b"PK\x05\x06") else [found]

    def _on_disk(self, path: Path, name: str, size: int) -> SourceFile:
        return SourceFile(shown(name), size, lambda: path.open("rb"), path, None, self.remarks.append)

    def _zipped(self, place: Path) -> list[SourceFile]:
        archive = Archive(place, self.remarks.append)
        self._zips.append(archive)
        return [
            SourceFile(one.name, one.size, one.open, None, one.packed, self.remarks.append)
            for one in archive.members(MOST_FILES)
        ]

    def _is_database(self, file: SourceFile) -> bool:
        try:
            return file.is_sqlite
        except Invalid as error:
            if str(error) not in self.remarks:
                self.remarks.append(str(error))
            return False

    # -- databases ------------------------------------------------------------------------

    def _connect(self, file: SourceFile) -> sqlite3.Connection:
        beside = _beside(file)
        if file.path is None or "-journal" in beside or ("-wal" in beside and "-shm" not in beside):
            return sqlite3.connect(self._copied(file, beside))
        # A database in WAL mode without a WAL is open nowhere; SQLite would make one beside it.
        resting = file.head(20)[18:20] == bytes((_WAL, _WAL)) and "-wal" not in beside
        address = f"{file.path.absolute().as_uri()}?{'immutable=1' if resting else 'mode=ro'}"
        connection = sqlite3.connect(address, uri=True, timeout=30)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:  # a WAL in a folder that is not to be written in
            connection.close()
            if "-wal" not in beside:
                raise
            return sqlite3.connect(self._copied(file, beside))
        except BaseException:
            connection.close()
            raise
        return connection

    def _copied(self, file: SourceFile, beside: dict[str, Path]) -> str:
        """A copy of a database, with what a program that ended early left beside it."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch()))
        target = folder / "copy.db"
        kept = {suffix: path for suffix, path in beside.items() if suffix != "-shm"}
        try:
            for _ in range(_TRIES):
                before = _states(file, kept)
                with file.open() as read, target.open("wb") as write:
                    shutil.copyfileobj(read, write, 1 << 20)
                for suffix, path in kept.items():
                    shutil.copyfile(path, f"{target}{suffix}")
                if _states(file, kept) == before:
                    break
            else:
                raise Invalid(f"{file.name} changes while it is read; stop the program that writes it")
        except OSError as error:
            raise BackendError(
                f"{file.name} cannot be copied to {folder.parent.parent}: {error.strerror}; make room there, "
                "or set TMPDIR to another folder"
            ) from error
        return str(target)


def _of_bytes(file: SourceFile) -> str:
    """What the beginning of a file tells of it, where that says why it is not recognised."""
    try:
        head = file.head(_HEAD)
    except (Invalid, OSError):
        return ""
    return "which is empty" if not head else "whose bytes are no text" if 0 in head else ""


def _states(file: SourceFile, beside: dict[str, Path]) -> list[tuple[int, int]]:
    """Sizes and times by which a change of a database or of what lies beside it shows."""
    found = [path.stat() for path in (file.path, *beside.values()) if path is not None]
    return [(one.st_size, one.st_mtime_ns) for one in found]


def _beside(file: SourceFile) -> dict[str, Path]:
    """The WAL, its index and the journal that lie beside a database, unless they are empty."""
    if file.path is None:
        return {}
    found = {suffix: Path(f"{file.path}{suffix}") for suffix in ("-wal", "-shm", "-journal")}
    return {suffix: path for suffix, path in found.items() if path.is_file() and path.stat().st_size}
