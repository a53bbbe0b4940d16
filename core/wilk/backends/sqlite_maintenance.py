"""The maintenance of an SQLite file: checks, statistics, indexes, full text, free pages, the log."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.amounts import written_size
from wilk.contracts.maintenance import Outcome, Step
from wilk.errors import BackendError, Busy

if TYPE_CHECKING:
    from wilk.contracts.backends import Execute

STEPS = (
    Step("integrity", "read every page, and compare indexes with their tables", quick=True),
    Step("foreign-keys", "look for rows that refer to what is not there", quick=True),
    Step("full-text", "compare the full text with the messages, and merge its pieces"),
    Step("reindex", "make the indexes anew"),
    Step("analyze", "count what the planner of queries goes by"),
    Step("optimize", "count again where much has changed", quick=True),
    Step("vacuum", "give free pages back to the disk"),
    Step("compact", "write the whole file anew, without free pages", asked=True),
    Step("checkpoint", "take the write-ahead log over into the file", quick=True),
)
_SHOWN = 20
_WORTH_IT = 0.25
"""The part of a file that is free from which on writing it anew is worth the time."""


class SqliteMaintenance:
    """The maintenance of one file, or with None of a database in memory."""

    steps = STEPS

    def __init__(self, file: Path | None, *, readonly: bool) -> None:
        self._file = file
        self._readonly = readonly

    def run(self, step: str, execute: Execute, *, quick: bool) -> Outcome:
        """Do one step; see :class:`wilk.contracts.maintenance.Maintaining`."""
        if step == "integrity":
            return integrity(execute, quick=quick)
        if step == "foreign-keys":
            return foreign_keys(execute)
        if self._readonly:
            return Outcome("skipped", "the store is open for reading only")
        if step == "full-text":
            return full_text(execute, quick=quick)
        if step == "reindex":
            execute("REINDEX")
            return Outcome("ok", "all indexes were made anew")
        if step == "analyze":
            execute("PRAGMA main.analysis_limit = 1000")
            execute("ANALYZE main")
            return Outcome("ok", "the planner's figures are those of now")
        if step == "optimize":
            execute("PRAGMA main.optimize")
            return Outcome("ok", "the planner's figures were renewed where much had changed")
        if step == "vacuum":
            return self._vacuum(execute)
        if step == "compact":
            return self._compact(execute)
        return self._checkpoint(execute)

    def _vacuum(self, execute: Execute) -> Outcome:
        page, pages, free, mode = (
            execute(f"PRAGMA main.{name}")[0][0]
            for name in ("page_size", "page_count", "freelist_count", "auto_vacuum")
        )
        if not free:
            return Outcome("ok", "there are no free pages")
        if mode == 2:
            left = _given_back(execute, free)
            return Outcome("ok", f"{written_size((free - left) * page)} were given back to the disk")
        said = f"{written_size(free * page)} are free, and will be used again"
        if free < pages * _WORTH_IT:
            return Outcome("skipped", said)
        return Outcome(
            "found",
            f"{said}; `compact` gives them back, and needs "
            f"{written_size(self._needed(page, pages, free))} of room meanwhile; nobody else can write then",
        )

    def _compact(self, execute: Execute) -> Outcome:
        page, pages, free = (
            execute(f"PRAGMA main.{name}")[0][0] for name in ("page_size", "page_count", "freelist_count")
        )
        if self._file is not None:
            needed, room = self._needed(page, pages, free), shutil.disk_usage(self._file.parent).free
            if room < needed:
                return Outcome(
                    "skipped",
                    f"it needs {written_size(needed)} of room meanwhile, and the disk of {self._file.parent} "
                    f"has {written_size(room)}; nothing was done",
                )
        execute("VACUUM main")
        execute("PRAGMA main.wal_checkpoint(TRUNCATE)")  # all of it went through the log
        left = execute("PRAGMA main.page_count")[0][0]
        return Outcome(
            "ok", f"the file was written anew, and is {written_size((pages - left) * page)} smaller"
        )

    def _needed(self, page: int, pages: int, free: int) -> int:
        """The room that writing a file anew takes: a copy of what is used, and the log of writing it."""
        return 2 * page * (pages - free)

    def _checkpoint(self, execute: Execute) -> Outcome:
        if self._file is None or execute("PRAGMA main.journal_mode")[0][0] != "wal":
            return Outcome("skipped", "there is no write-ahead log")
        before = log_bytes(self._file)
        ((busy, frames, moved),) = execute("PRAGMA main.wal_checkpoint(TRUNCATE)")
        if not busy:
            return Outcome("ok", f"the write-ahead log was taken over ({written_size(before)})")
        return Outcome(
            "busy",
            f"somebody reads or writes, so that the log stays; {max(moved, 0):,} of its {max(frames, 0):,} "
            "pages were taken over",
            holders(self._file),
        )


def integrity(execute: Execute, *, quick: bool) -> Outcome:
    """Whether the file is sound; ``quick`` does not compare indexes with their tables."""
    check = "quick_check" if quick else "integrity_check"
    try:
        rows = [str(row[0]) for row in execute(f"PRAGMA main.{check}({_SHOWN})")]
    except Busy:
        raise
    except BackendError as error:
        rows = [str(error)]
    if rows == ["ok"]:
        return Outcome(
            "ok", "every page is sound" + ("" if quick else ", and every index agrees with its table")
        )
    more = " or more" if len(rows) >= _SHOWN else ""
    return Outcome(
        "found",
        f"the file is damaged ({len(rows)}{more} faults): close the store, and write what can be read into a "
        "new file with `wilk recover`, or put a backup in its place. Where only indexes are told of, "
        "`reindex` mends it",
        tuple(line for row in rows for line in row.splitlines())[:_SHOWN],
    )


def foreign_keys(execute: Execute) -> Outcome:
    """Whether all that rows refer to is there."""
    found = Counter((table, parent) for table, _, parent, _ in execute("PRAGMA main.foreign_key_check"))
    if not found:
        return Outcome("ok", "everything that rows refer to is there")
    return Outcome(
        "found",
        f"{sum(found.values()):,} rows refer to what is not there",
        tuple(f"{count:,} of {table} refer to {parent}" for (table, parent), count in sorted(found.items())),
    )


def _given_back(execute: Execute, free: int) -> int:
    """Give free pages back; return how many are left. The driver ends the statement after one."""
    while True:
        execute("PRAGMA main.incremental_vacuum")
        left = int(execute("PRAGMA main.freelist_count")[0][0])
        if not left or left >= free:
            return left
        free = left


def full_text(execute: Execute, *, quick: bool) -> Outcome:
    """Compare the indexes of words with their tables; one that differs is made anew, for it holds nothing of
    its own. ``quick`` only compares."""
    rows = execute(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%fts5%'"
    )
    names = sorted(name for (name,) in rows)
    if not names:
        return Outcome("skipped", "there is no full text")
    mended = []
    for name in names:
        try:
            execute(f"INSERT INTO {name}({name}, rank) VALUES ('integrity-check', 1)")  # noqa: S608 (own names)
        except Busy:
            raise
        except BackendError:
            if quick:
                mended.append(f"{name} does not agree with its texts")
                continue
            execute(f"INSERT INTO {name}({name}) VALUES ('rebuild')")  # noqa: S608 (own names)
            mended.append(f"{name} did not agree with its texts, and was made anew")
        if not quick:
            execute(f"INSERT INTO {name}({name}) VALUES ('optimize')")  # noqa: S608 (own names)
    if mended and quick:
        return Outcome("found", f"{len(mended)} of {len(names)} indexes of words do not agree", tuple(mended))
    if mended:
        return Outcome("ok", f"{len(mended)} of {len(names)} indexes of words were made anew", tuple(mended))
    return Outcome("ok", "the full text agrees with what it is of, and is in one piece")


def log_bytes(file: Path) -> int:
    """How large the write-ahead log of a file is."""
    try:
        return file.with_name(file.name + "-wal").stat().st_size
    except OSError:
        return 0


def holders(file: Path) -> tuple[str, ...]:
    """The other processes that have a file open, where the system tells (Linux, of the same user)."""
    found = []
    with suppress(OSError):
        wanted = os.stat(file)  # noqa: PTH116 (as its handles are looked at)
        for process in Path("/proc").glob("[0-9]*"):
            if int(process.name) == os.getpid():
                continue
            with suppress(OSError):
                for handle in (process / "fd").iterdir():
                    with suppress(OSError):
                        other = os.stat(handle)  # noqa: PTH116
                        if (other.st_dev, other.st_ino) == (wanted.st_dev, wanted.st_ino):
                            name = (process / "comm").read_text().strip()
                            found.append(f"process {process.name} ({name}) has the file open")
                            break
    return tuple(sorted(found))
