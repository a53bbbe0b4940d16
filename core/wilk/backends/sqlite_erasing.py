"""Writes a SQLite database anew, so that nothing of deleted rows is left in it, its log or its full text."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from wilk.errors import WilkError

_PAUSE = 0.05


class SqliteErasing:
    """What forgetting asks of a database in a file (:class:`wilk.contracts.Erasing`)."""

    def __init__(self, engine: Any, file: Path, timeout: float) -> None:
        self._engine = engine
        self._file = file
        self._timeout = timeout

    def folders(self) -> list[Path]:
        """The database with its log, and its derived files."""
        ends = ("-wal", "-shm", "-journal", ".lock", ".files")
        return [self._file, *(self._file.with_name(self._file.name + end) for end in ends)]

    def forget(
        self,
        goes: Callable[[str, Mapping[str, Any]], bool],  # noqa: ARG002 (the contract's)
        file: Path | None = None,  # noqa: ARG002
    ) -> int:
        """There are no copies of single rows."""
        return 0

    def erase(self, *, full: bool = False) -> Collection[str]:  # noqa: ARG002 (the contract's)
        """Make the full text anew, write all pages anew, and empty the log."""
        engine = self._engine
        try:
            with engine.transaction():
                rebuild(engine.execute)
            engine.execute("VACUUM")
        except WilkError as error:
            return [f"{self._file} could not be written anew: {error}"]
        return emptied(engine.execute, self._file, self._timeout)


def rebuild(execute: Callable[..., Any]) -> None:
    """Make full-text indexes anew: what is deleted stays in the old parts of one for a while."""
    found = execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE%fts5%'"
    )
    for (name,) in list(found):
        quoted = '"' + name.replace('"', '""') + '"'
        execute(f"INSERT INTO {quoted}({quoted}) VALUES ('rebuild')")  # noqa: S608 (own names)


def emptied(execute: Callable[..., Any], file: Path, timeout: float, schema: str = "main") -> list[str]:
    """Bring the log into the database and empty it, as soon as no reader needs it; what was in the way."""
    until = time.monotonic() + timeout
    while True:
        try:
            ((busy, *_),) = list(execute(f"PRAGMA {schema}.wal_checkpoint(TRUNCATE)"))
        except (WilkError, sqlite3.Error):
            busy = 1
        if not busy:
            break
        if time.monotonic() > until:
            return [f"{file}-wal could not be emptied: another process reads or writes the database"]
        time.sleep(_PAUSE)
    ((mode,),) = list(execute(f"PRAGMA {schema}.journal_mode"))
    if mode == "persist":  # the rollback journal stays, with pages as they were
        try:
            execute(f"PRAGMA {schema}.journal_mode = delete")
            execute(f"PRAGMA {schema}.journal_mode = persist")
        except (WilkError, sqlite3.Error) as error:
            return [f"{file}-journal could not be removed: {error}"]
    return []


def written_anew(file: Path, timeout: float) -> list[str]:
    """Write a database in a file anew that no store has open; what was in the way."""
    try:
        with closing(sqlite3.connect(file, timeout=timeout, isolation_level=None)) as connection:

            def execute(sql: str, parameters: Any = ()) -> list[Any]:
                return connection.execute(sql, parameters).fetchall()

            rebuild(execute)
            execute("VACUUM")
            return emptied(execute, file, timeout)
    except sqlite3.Error as error:
        return [f"{file} could not be written anew: {error}"]
