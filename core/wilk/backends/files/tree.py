"""The tree of one store: its folders, its lock, and what was last seen of its files.

What was seen lies in a small database of its own beside the index, attached to its connections as
``tree``, so that the index has the tables of any SQLite store and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from wilk.archives.locking import let_go, taken
from wilk.errors import BackendError, Busy
from wilk.files import private_folder

Execute = Callable[..., list[tuple[Any, ...]]]

INDEX, JOURNAL, BACKUPS, SCHEMA = ".index", ".journal", "backups", "schema.json"
BESIDE = ".files"
"""Where caches and the like lie when there is no home folder: not in the index, which may be thrown away."""

_PAUSES = (0.0002, 0.0005, 0.001, 0.002, 0.005)

_TABLES = (
    "CREATE TABLE IF NOT EXISTS tree.seen "
    "(path TEXT PRIMARY KEY, stat TEXT, hash TEXT, state TEXT NOT NULL, error TEXT) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS tree.parts "
    "(head TEXT NOT NULL, first INTEGER NOT NULL, PRIMARY KEY (head, first)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS tree.extras "
    "(name TEXT NOT NULL, key TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (name, key)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS tree.meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
)


class Options(NamedTuple):
    """How files are written: indented or not, and how many earlier versions are kept of some."""

    pretty: bool = True
    backups: int = 5


class Seen(NamedTuple):
    """What was last seen of a file. ``state`` is ok or broken; ``hash`` that of its bytes."""

    stat: str | None
    hash: str | None
    state: str
    error: str | None


class Tree:
    """The folder of a store."""

    def __init__(self, base: Path, options: Options, timeout: float) -> None:
        self.base = base
        self.options = options
        self.timeout = timeout
        self.index = base / INDEX / "wilk.db"
        self.seen = base / INDEX / "tree.db"
        self.journal = base / JOURNAL
        self._lock = self.journal / "lock"
        self._identity: tuple[int, int] | None = None

    def path(self, name: str) -> Path:
        """A file of the tree, by its path in it."""
        return self.base / name

    def remember_index(self) -> None:
        """Remember which file the index is."""
        stat = self.index.stat()
        self._identity = stat.st_dev, stat.st_ino

    def check_index(self) -> None:
        """Raise BackendError when the index that is open is not the one that is there."""
        try:
            stat = self.index.stat()
        except FileNotFoundError:
            stat = None
        if stat is None or (stat.st_dev, stat.st_ino) != self._identity:
            raise BackendError(
                f"{self.index} was removed while this store was open; close the store and open it again"
            )

    # -- one process at a time ------------------------------------------------------------

    def lock(self, timeout: float | None = None) -> int:
        """Take the lock under which files are written; :meth:`unlock` gives it back.

        The system does when its holder dies. Whoever takes it within a transaction has begun that before,
        and whoever holds it begins none.
        """
        try:
            private_folder(self.journal)
            handle = os.open(self._lock, os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise BackendError(
                f"{error.filename or self._lock} cannot be written: {error.strerror}"
            ) from error
        timeout = self.timeout if timeout is None else timeout
        until, tries = time.monotonic() + timeout, 0
        while not taken(handle):
            if time.monotonic() > until:
                os.close(handle)
                raise Busy(f"another process held {self._lock} for over {timeout:g} s; try again")
            time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1
        return handle

    def unlock(self, handle: int) -> None:
        """Give the lock back."""
        let_go(handle)
        os.close(handle)

    @contextmanager
    def locked(self, timeout: float | None = None) -> Iterator[None]:
        """Hold the lock for a block."""
        handle = self.lock(timeout)
        try:
            yield
        finally:
            self.unlock(handle)

    # -- what was seen --------------------------------------------------------------------

    def attach(self, connection: Any, *, readonly: bool = False) -> None:
        """Attach what was seen to a connection of the index."""
        address = self.seen.as_uri() + ("?mode=ro" if readonly else "")
        connection.execute("ATTACH DATABASE ? AS tree", (address,))
        made = "SELECT COUNT(*) FROM tree.sqlite_master WHERE type = 'table'"
        # A process that was killed here may have made some of them.
        if not readonly and connection.execute(made).fetchone()[0] < len(_TABLES):
            for statement in _TABLES:
                connection.execute(statement)

    def found(self, execute: Execute, path: str) -> Seen | None:
        """What was last seen of a file."""
        rows = execute("SELECT stat, hash, state, error FROM tree.seen WHERE path = ?", (path,))
        return Seen(*rows[0]) if rows else None

    def note(self, execute: Execute, path: str, seen: Seen | None) -> None:
        """Note what was seen of a file; None when it is gone."""
        if seen is None:
            execute("DELETE FROM tree.seen WHERE path = ?", (path,))
        else:
            execute(
                "INSERT INTO tree.seen (path, stat, hash, state, error) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (path) DO UPDATE SET stat = excluded.stat, hash = excluded.hash, "
                "state = excluded.state, error = excluded.error",
                (path, *seen),
            )

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """The JSON files of the tree, by their paths in it, with their stat; links are not followed."""
        stack = [""]
        while stack:
            folder = stack.pop()
            try:
                entries = sorted(os.scandir(self.base / folder), key=lambda one: one.name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if folder or (entry.name != BACKUPS and not entry.name.startswith(".")):
                            stack.append(name)
                    elif entry.name.endswith(".json") and entry.is_file(follow_symlinks=False):
                        yield name, entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue


def state_of(stat: os.stat_result) -> str:
    """A file's stat in short: two that differ may hide a change, two that are the same do not."""
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}"


def hash_of(data: bytes) -> str:
    """The SHA-256 of a file's bytes."""
    return sha256(data).hexdigest()
