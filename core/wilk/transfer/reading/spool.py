"""A scratch table on disk: records in any order in, groups of them out, in constant memory."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any

from wilk.errors import BackendError
from wilk.transfer.reading.scratch import new_folder
from wilk.transfer.trees import Node

_BATCH = 2_000


class Spool:
    """Records of groups (the messages of conversations) that a source holds in any order.

    They lie in a file of a private temporary folder, which goes with :meth:`close`. Use it in a ``with``.
    Fill it first, then read it: what is added after that is found as well, more slowly. Raises BackendError
    when there is no room.
    """

    def __init__(self) -> None:
        self._folder = new_folder()
        self._waiting: list[tuple[Any, ...]] = []
        self._bodies: list[tuple[int, bytes]] = []
        self._next = 0
        self._indexed = False
        self._db = sqlite3.connect(self._folder / "spool.db", check_same_thread=False)
        for statement in (
            "PRAGMA journal_mode = off",
            "PRAGMA synchronous = off",
            "PRAGMA locking_mode = exclusive",
            "PRAGMA cache_size = -16384",
            "PRAGMA temp_store = file",
            "CREATE TABLE nodes (id INTEGER PRIMARY KEY, grp BLOB, key BLOB, parent BLOB, moment)",
            "CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB)",
        ):
            self._db.execute(statement)

    def add(self, group: str, key: str, parent: str | None, moment: Any, payload: Any) -> None:
        """Keep a record. ``moment`` orders siblings: a datetime, a number, or None."""
        self._next += 1
        at = _microseconds(moment) if isinstance(moment, datetime) else moment
        self._waiting.append(
            (self._next, _raw(group), _raw(key), None if parent is None else _raw(parent), at)
        )
        self._bodies.append((self._next, pickle.dumps(payload, 5)))
        if len(self._waiting) >= _BATCH:
            self._write()

    def __len__(self) -> int:
        return self._next

    def groups(self) -> Iterator[str]:
        """The groups, each once, in the order in which they first came."""
        self._ready()
        # A cursor of its own for every loop, so that groups can be gone through while one is read.
        for group, _first in self._db.execute(
            "SELECT grp, min(id) AS first FROM nodes GROUP BY grp ORDER BY first"
        ):
            yield _text(group)

    def nodes(self, group: str) -> Iterator[Node]:
        """The records of a group as :func:`wilk.transfer.trees.tree` takes them, in the order they came.

        A moment that was a datetime comes back as microseconds since 1970.
        """
        self._ready()
        rows = self._db.execute(
            "SELECT key, parent, moment FROM nodes WHERE grp = ? ORDER BY id", (_raw(group),)
        )
        for key, parent, moment in rows:
            yield Node(_text(key), None if parent is None else _text(parent), moment)

    def payloads(self, group: str, keys: Iterable[str]) -> Iterator[Any]:
        """The payloads of keys, in that order; of a key that came more than once, the first."""
        ids = self._ids(group)
        for key in keys:
            yield self._body(ids[_raw(key)])

    def repeated(self, group: str) -> Iterator[tuple[str, Any]]:
        """The records whose key had come before in their group: (key, payload), in the order they came."""
        first = self._ids(group)
        rows = self._db.execute("SELECT id, key FROM nodes WHERE grp = ? ORDER BY id", (_raw(group),))
        for id, key in rows:
            if first[key] != id:
                yield _text(key), self._body(id)

    def close(self) -> None:
        """Remove all of it."""
        self._db.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def _ids(self, group: str) -> dict[bytes, int]:
        self._ready()
        rows = self._db.execute("SELECT key, id FROM nodes WHERE grp = ? ORDER BY id DESC", (_raw(group),))
        return dict(rows.fetchall())

    def _body(self, id: int) -> Any:
        (body,) = self._db.execute("SELECT body FROM bodies WHERE id = ?", (id,)).fetchone()
        return pickle.loads(body)  # noqa: S301 -- written above, in a folder that nobody else can enter

    def _write(self) -> None:
        if self._waiting:
            try:
                self._db.executemany("INSERT INTO nodes VALUES (?, ?, ?, ?, ?)", self._waiting)
                self._db.executemany("INSERT INTO bodies VALUES (?, ?)", self._bodies)
            except sqlite3.OperationalError as error:
                raise self._full(error) from error
            self._waiting, self._bodies = [], []

    def _ready(self) -> None:
        self._write()
        if not self._indexed:
            try:
                self._db.execute("CREATE INDEX by_group ON nodes (grp, id)")
            except sqlite3.OperationalError as error:
                raise self._full(error) from error
            self._indexed = True

    def _full(self, error: sqlite3.OperationalError) -> BackendError:
        folder = self._folder.parent
        return BackendError(
            f"records cannot be put in order in {folder}: {error}; make room there, or set "
            "TMPDIR to another folder"
        )


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _microseconds(moment: datetime) -> int:
    from datetime import UTC, timedelta

    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
