"""What SQLite tells of itself: its journal, whether somebody writes, and the bytes of each table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.contracts.figures import EngineState, PoolFigures, Sizes, TableSize
from wilk.errors import BackendError, Busy

if TYPE_CHECKING:
    from wilk.contracts.backends import Execute

_LONG_LOG = 256_000_000
"""Bytes above which a write-ahead log tells that it cannot be taken over into the database."""


class SqliteFigures:
    """The figures of one file, or with None of a database in memory. ``identity`` tells the file that was
    opened from one that took its place."""

    name = "SQLite"

    def __init__(self, file: Path | None, *, readonly: bool, identity: tuple[int, int] | None) -> None:
        self._file = file
        self._readonly = readonly
        self._identity = identity

    @property
    def folder(self) -> Path | None:
        return None if self._file is None else self._file.parent

    @contextmanager
    def limited(self, execute: Execute, seconds: float) -> Iterator[None]:
        before = execute("PRAGMA busy_timeout")[0][0]
        execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
        try:
            yield
        finally:
            with suppress(BackendError):
                execute(f"PRAGMA busy_timeout = {before}")

    def missing(self) -> str | None:
        if self._file is None:
            return None
        try:
            identity = identity_of(self._file)
        except FileNotFoundError:
            return f"the database file {self._file} is gone: what this store writes lies in no file any more"
        except OSError as error:
            return f"the database file {self._file} cannot be looked at: {error.strerror}"
        if self._identity is not None and identity != self._identity:
            return f"another file has taken the place of {self._file}; open the store again"
        return None

    def unreachable(self, seconds: float) -> str | None:  # noqa: ARG002 (files know no distance)
        return None

    def pool(self) -> PoolFigures | None:
        return None

    def state(self, execute: Execute) -> EngineState:
        version = execute("SELECT sqlite_version()")[0][0]
        if self._file is None:
            return EngineState(version)
        wal = self._wal_bytes()
        problems = []
        if wal > _LONG_LOG:
            problems.append(
                f"the write-ahead log has {wal:,} bytes; a reader that never ends keeps it from being "
                "taken over into the database"
            )
        return EngineState(
            version,
            writing=None if self._readonly else self._writing(execute),
            wal_bytes=wal,
            problems=problems,
        )

    def sizes(self, execute: Execute, *, measure: bool) -> Sizes:
        page, pages, free = (
            execute(f"PRAGMA {name}")[0][0] for name in ("page_size", "page_count", "freelist_count")
        )
        total = page * pages + self._wal_bytes()
        tables: dict[str, TableSize] = {}
        if measure:
            with suppress(BackendError):  # this SQLite was built without dbstat
                tables = _measured(execute)
        return Sizes(tables, total, page * free, "dbstat" if tables else "")

    def _wal_bytes(self) -> int:
        if self._file is None:
            return 0
        try:
            return self._file.with_name(self._file.name + "-wal").stat().st_size
        except OSError:
            return 0

    def _writing(self, execute: Execute) -> bool:
        """Whether somebody holds the one lock for writing: asked for without waiting, and given back."""
        with self.limited(execute, 0):
            try:
                execute("BEGIN IMMEDIATE")
            except Busy:
                return True
            execute("ROLLBACK")
            return False


def identity_of(file: Path) -> tuple[int, int]:
    """What tells a file from another one of the same name."""
    status = os.stat(file)  # noqa: PTH116 (pathlib costs more here)
    return status.st_dev, status.st_ino


def _measured(execute: Execute) -> dict[str, TableSize]:
    """The bytes of each table and of what belongs to it: its indexes, and the tables of its full text."""
    owners: dict[str, tuple[str, bool]] = {}
    virtual = []
    for kind, name, table, sql in execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        if kind in ("table", "index"):
            owners[name] = (table, kind == "index")
        if kind == "table" and (sql or "").upper().startswith("CREATE VIRTUAL"):
            virtual.append(name)
    for name, (table, _) in list(owners.items()):
        for index in virtual:  # a virtual table keeps what it has in tables of its own
            base = index.removesuffix("_fts")
            if table.startswith(f"{index}_") and base in owners:
                owners[name] = (base, True)
    found: dict[str, TableSize] = {}
    for name, size in execute("SELECT name, SUM(pgsize) FROM dbstat WHERE aggregate = TRUE GROUP BY name"):
        table, of_index = owners.get(name, (name, False))
        rows, indexes = found.get(table, TableSize(0, 0))
        found[table] = TableSize(rows + (0 if of_index else size), indexes + (size if of_index else 0))
    return found
