"""Removes what was forgotten from the copies that a tree of files keeps, and cleans its index and journals.

Copies are earlier versions, files that were put aside, and archives of the whole tree.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wilk import codec
from wilk.backends.files.backups import _STAMP
from wilk.backends.files.journal import _safe
from wilk.backends.files.layout import METADATA, decoded, place_of
from wilk.backends.files.tree import BACKUPS, INDEX, JOURNAL, Tree
from wilk.backends.sqlite_erasing import SqliteErasing, emptied
from wilk.errors import Invalid, WilkError
from wilk.files import sync_folder, write_atomic

Goes = Callable[[str, Mapping[str, Any]], bool]

_COPY = re.compile(rf"(?P<stem>.+?)(?:{_STAMP})(?P<suffix>\.json)|(?P<edited>.+\.json)(?:{_STAMP})\.edited")


class FilesErasing:
    """What forgetting asks of a tree of files (:class:`wilk.contracts.Erasing`)."""

    def __init__(self, engine: Any, tree: Tree, timeout: float) -> None:
        self._engine = engine
        self._tree = tree
        self._index = SqliteErasing(engine, tree.index, timeout)
        self._timeout = timeout

    def folders(self) -> list[Path]:
        """The folder of the tree, with all that is in it."""
        return [self._tree.base]

    def forget(self, goes: Goes, file: Path | None = None) -> int:
        """Remove rows from earlier versions and copies; a file of which nothing stays goes as a whole."""
        if file is not None:
            return _zip(file, goes) if file.suffix == ".zip" else 0
        count = 0
        with self._tree.locked():
            for file in sorted(self._tree.base.rglob("*")):
                name = file.relative_to(self._tree.base)
                if name.parts[0] in (INDEX, JOURNAL) or not file.is_file():
                    continue
                if name.parts[0] == BACKUPS and file.suffix == ".zip" and len(name.parts) == 2:
                    count += _zip(file, goes)
                elif (path := _original(name)) is not None:
                    count += self._copy(file, path, goes)
        return count

    def erase(self, *, full: bool = False) -> Collection[str]:  # noqa: ARG002 (the contract's)
        """Let go of journals, which hold what was written last, and write the index anew."""
        problems = list(self._index.erase())
        try:
            with self._tree.locked():
                _safe(self._tree, 0)
            self._engine.execute("VACUUM tree")
        except WilkError as error:
            problems.append(f"{self._tree.base}: {error}")
        return [*problems, *emptied(self._engine.execute, self._tree.seen, self._timeout, "tree")]

    def _copy(self, file: Path, path: str, goes: Goes) -> int:
        left, count = _without(path, file.read_bytes(), goes)
        if left is None:
            file.unlink()
            sync_folder(file.parent)
            folder = file.parent
            while folder != self._tree.base:
                try:
                    folder.rmdir()
                except OSError:
                    break
                folder = folder.parent
        elif count:
            write_atomic(file, left)
        return count


def _zip(file: Path, goes: Goes) -> int:
    """Write an archive of the tree anew without what goes."""
    with zipfile.ZipFile(file) as archive:
        parted = [(name, *_without(name, archive.read(name), goes)) for name in archive.namelist()]
    count = sum(went for _, _, went in parted)
    if not count:
        return 0
    temporary = file.with_suffix(".part")
    with suppress(FileNotFoundError):
        temporary.unlink()
    with zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED) as archive:
        for name, left, _ in parted:
            if left is not None:
                archive.writestr(name, left)
    temporary.chmod(0o600)
    with temporary.open("rb+") as opened:
        os.fsync(opened.fileno())
    temporary.replace(file)
    sync_folder(file.parent)
    return count


def _original(name: Path) -> str | None:
    """The path in the tree of the file that a copy is of; None for what is no copy."""
    kept = name.parts[0] == BACKUPS
    found = _COPY.fullmatch(name.name)
    if found is None:
        return None
    if found["edited"]:
        last = found["edited"]
    elif kept:
        last = found["stem"] + found["suffix"]
    else:
        return None
    return Path(*name.parts[1 if kept else 0 : -1], last).as_posix()


def _without(path: str, data: bytes, goes: Goes) -> tuple[bytes | None, int]:
    """A file without the rows that go, None when none stay; and how many went."""
    place = place_of(path)
    folder, *rest = path.split("/")
    if place is not None:
        table = place.placement.table
        names = dict(zip(place.placement.group, _decoded(place.names), strict=False))
    elif folder == "tables" and len(rest) > 1:  # those that have no place of their own
        table, names = decoded(rest[0]) or "", {}
    else:
        return data, 0
    try:
        held = codec.parse(data)
    except Invalid:  # nobody can tell what it says, but its name says what of
        held = {}
    if isinstance(held, list):
        kept = [row for row in held if not (isinstance(row, dict) and goes(table, {**names, **row}))]
        if len(kept) == len(held):
            return data, 0
        if not kept:
            return None, len(held)
        return codec.file_text(kept, indent=True) + b"\n", len(held) - len(kept)
    row = held if isinstance(held, dict) else {}
    if isinstance(row.get(METADATA), dict):
        row = row[METADATA]
    return (None, 1) if goes(table, {**names, **row}) else (data, 0)


def _decoded(names: Collection[str]) -> Iterator[str]:
    for name in names:
        yield decoded(name) or ""
