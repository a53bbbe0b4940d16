"""Copies of a database as SQLite files: whether they are sound, what is in them, how old their schema is."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from wilk.care.backups.manifest import Counted
from wilk.transfer.moves.hashing import Tally

_ENDING = "_migrations"
_ROWS = 500
_TOLD = 5
_SHADOWS = ("data", "idx", "content", "docsize", "config")


def engine() -> str:
    """What copies are made and read with."""
    return f"SQLite {sqlite3.sqlite_version}"


def problems(file: Path) -> list[str]:
    """What SQLite has against a file; empty for a sound one."""
    try:
        with closing(_opened(file)) as copy:
            verdict = [str(text) for (text,) in copy.execute(f"PRAGMA integrity_check({_TOLD})")]
            return [] if verdict == ["ok"] else [f"{file.name}: {text}" for text in verdict]
    except sqlite3.Error as error:
        return [f"{file.name}: {error}"]


def astray(file: Path) -> list[str]:
    """In words, the rows that refer to nothing, in a file that is sound otherwise."""
    with closing(_opened(file)) as copy:
        found: dict[tuple[str, str], int] = {}
        for table, _, parent, _ in copy.execute("PRAGMA foreign_key_check"):
            found[table, parent] = found.get((table, parent), 0) + 1
        return [
            f"{rows} rows of {table} refer to {parent} that are not there"
            for (table, parent), rows in found.items()
        ]


def counted(file: Path) -> dict[str, Counted]:
    """The rows of each table, and the sum of their hashes; raises sqlite3.Error for a damaged file."""
    with closing(_opened(file)) as copy:
        found = {}
        for table in _tables(copy):
            tally = Tally()
            cursor = copy.execute(f"SELECT * FROM {_quoted(table)}")  # noqa: S608 (quoted)
            while rows := cursor.fetchmany(_ROWS):
                tally.add(rows)
            found[table] = Counted(tally.rows, tally.state)
        return found


def differences(found: dict[str, Counted], wanted: dict[str, Counted]) -> list[str]:
    """In words, which tables do not hold the rows that they should."""
    told = []
    for table in sorted(found.keys() | wanted.keys()):
        here, there = found.get(table), wanted.get(table)
        if here is None or there is None:
            told.append(f"table {table}: {'is missing' if here is None else 'is not in the manifest'}")
        elif here.rows != there.rows:
            told.append(f"table {table}: {here.rows:,} rows instead of {there.rows:,}")
        elif here.hash != there.hash:
            told.append(f"table {table}: its {here.rows:,} rows are not those that were copied")
    return told


def schema(file: Path) -> dict[str, str]:
    """The newest migration of wilk and of each plugin; empty for a file that holds none, or is damaged."""
    try:
        with closing(_opened(file)) as copy:
            return {
                table.removesuffix(_ENDING): str(name)
                for table in _tables(copy)
                if table.endswith(_ENDING)
                for (name,) in copy.execute(f"SELECT MAX(name) FROM {_quoted(table)}")  # noqa: S608 (quoted)
                if name is not None
            }
    except sqlite3.Error:
        return {}


def archives(file: Path) -> list[str]:
    """The names of the archives outside of the database in which archived rows lie."""
    try:
        with closing(_opened(file)) as copy:
            names = copy.execute(
                "SELECT DISTINCT SUBSTR(place, 1, INSTR(place, ':') - 1) FROM archive WHERE place IS NOT NULL"
            )
            return sorted(str(name) for (name,) in names if name)
    except sqlite3.OperationalError:  # at first, rows lay in the table alone
        return []


def looks_sound(file: Path) -> bool:
    """Whether a file begins as SQLite's do, and is as long as its header says; cheap."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            header = opened.read(100)
    except OSError:
        return False
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        return False
    page = int.from_bytes(header[16:18], "big")
    page = 65_536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    return bool(page) and size % page == 0 and (not pages or size >= pages * page)


def _opened(file: Path) -> sqlite3.Connection:
    copy = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    copy.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    return copy


def _tables(copy: sqlite3.Connection) -> list[str]:
    """The tables that hold rows of their own: none of SQLite's, and none of a full-text index."""
    held: dict[str, str] = dict(copy.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    virtual = {name for name, sql in held.items() if re.match(r"\s*CREATE\s+VIRTUAL\b", sql or "", re.I)}
    shadows = set(_shadows(virtual))
    return sorted(name for name in held.keys() - virtual - shadows if not name.startswith("sqlite_"))


def _shadows(virtual: set[str]) -> Iterator[str]:
    for name in virtual:
        for part in _SHADOWS:
            yield f"{name}_{part}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
