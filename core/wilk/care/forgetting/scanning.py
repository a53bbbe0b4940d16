"""Reads every byte of a store's folders and looks for what should be gone, inside of compressed files too."""

from __future__ import annotations

import gzip
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from wilk.care.forgetting.removing import foreign
from wilk.care.forgetting.rows import Rows
from wilk.care.forgetting.searching import BLOCK, Search, blocks

_SQLITE = b"SQLite format 3\0"


class Place(NamedTuple):
    """What was read in one file, or in one folder."""

    name: str
    files: int
    bytes: int


class Scan(NamedTuple):
    """What a search through all files gave: how much was read, and which strings were found in which file.

    ``named``: files whose very name holds one. ``unreadable``: files that could not be read, and why.
    """

    places: list[Place]
    hits: dict[Path, set[str | bytes]]
    named: dict[Path, set[str | bytes]]
    unreadable: dict[Path, str]

    @property
    def files(self) -> int:
        return sum(one.files for one in self.places)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.places)


def scan(roots: Iterable[Path], search: Search, only: Iterable[Path] | None = None) -> Scan:
    """Read all files below some folders, or ``only`` some of them."""
    places: dict[str, list[int]] = {}
    hits: dict[Path, set[str | bytes]] = {}
    named: dict[Path, set[str | bytes]] = {}
    unreadable: dict[Path, str] = {}
    wanted = None if only is None else set(only)
    for root, file in _files(roots):
        if wanted is not None and file not in wanted:
            continue
        name = file.relative_to(root.parent if root == file else root)
        try:
            found, size = _read(file, search)
        except FileNotFoundError:
            continue  # a temporary one that is gone by now
        except OSError as error:
            unreadable[file] = str(error.strerror or error)
            continue
        counted = places.setdefault(name.parts[0] + ("/" if len(name.parts) > 1 else ""), [0, 0])
        counted[0] += 1
        counted[1] += size
        if found:
            hits[file] = found
        if in_name := search.block(_spelled(name)):
            named[file] = in_name
    return Scan([Place(name, *counted) for name, counted in sorted(places.items())], hits, named, unreadable)


def shared(search: Search, wanted: set[str | bytes], databases: Iterable[Rows]) -> set[str | bytes]:
    """Which of the strings are in rows that stay: what others say too is no trace of anybody."""
    found: set[str | bytes] = set()
    for rows in databases:
        others = set(foreign(rows))
        for table, columns in rows.columns.items():
            if table in others:
                continue  # nobody here knows whose rows these are
            if wanted <= found:
                return found
            some: list[bytes] = []
            size = 0
            for row in _every(rows, table, columns):
                for value in row:
                    if isinstance(value, str):
                        some.append(value.encode(errors="surrogatepass"))
                        size += len(value)
                    elif isinstance(value, (bytes, memoryview)):
                        some.append(bytes(value))
                        size += len(value)
                if size > BLOCK:
                    found |= search.block(b"\n".join(some)) & wanted
                    some, size = [], 0
            found |= search.block(b"\n".join(some)) & wanted
    return found


def _every(rows: Rows, table: str, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    key = rows.keys.get(table)
    if key:
        return rows.pages(table, [one for one in columns if one not in key], key)
    return iter(rows.execute(f'SELECT * FROM "{table}"'))


def _files(roots: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    seen: set[Path] = set()
    for root in roots:
        some = [root] if root.is_file() else sorted(root.rglob("*")) if root.is_dir() else []
        for file in some:
            with suppress(OSError):
                if file not in seen and file.is_file() and not file.is_symlink():
                    seen.add(file)
                    yield root, file


def _read(file: Path, search: Search) -> tuple[set[str | bytes], int]:
    with file.open("rb") as opened:
        begin = opened.read(16)
        opened.seek(0)
        found = search.stream(blocks(opened))
        size = opened.tell()
    inside: Callable[[Path], Iterator[bytes]] | None = None
    if begin[:2] == b"\x1f\x8b":
        inside = _unzipped
    elif begin[:4] == b"PK\3\4":
        inside = _members
    elif begin == _SQLITE:
        inside = _values
    if inside is not None:
        found |= search.stream(inside(file))
    return found, size


def _unzipped(file: Path) -> Iterator[bytes]:
    with suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.open(file) as opened:
        while piece := opened.read(BLOCK):
            yield piece


def _members(file: Path) -> Iterator[bytes]:
    with suppress(zipfile.BadZipFile, EOFError, zlib.error), zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            yield info.filename.encode()
            with archive.open(info) as opened:
                while piece := opened.read(BLOCK):
                    yield piece


def _values(file: Path) -> Iterator[bytes]:
    """The compressed values of a cache; other databases hold none."""
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as opened,
    ):
        for (value,) in opened.execute("SELECT value FROM entries"):
            if isinstance(value, bytes) and value[:1] in (b"j", b"b"):
                with suppress(zlib.error):
                    yield zlib.decompress(value[1:])


def _spelled(name: Path) -> bytes:
    """A path as it is, and as the files backend spells ids in it."""
    from urllib.parse import unquote

    text = name.as_posix()
    return f"{text}\n{unquote(text)}".encode(errors="surrogateescape")
