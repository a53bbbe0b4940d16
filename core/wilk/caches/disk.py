"""The tier on disk: a SQLite file for each namespace, in the folder ``cache`` of the home folder."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from zlib import crc32

from wilk.archives.locking import locked
from wilk.caches import forking, schema, snapshots
from wilk.caches.locking import KeyLocks
from wilk.contracts import CachePolicy, CacheTier
from wilk.errors import BackendError, WilkError
from wilk.files import private_folder
from wilk.hookspecs import hookimpl
from wilk.settings import Settings

logger = logging.getLogger("wilk.caches")

_LONGEST_WAIT = 2.0
_SWEPT_AT_ONCE = 1000
_WRITES_BETWEEN_SWEEPS = 64
_MANY = 200
_NOTED = 10_000
_SEPARATOR = b"\x1f"
_DAMAGED = frozenset([sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB])
_OTHER_TABLES = "its tables are not those of this version"
_inherited: list[sqlite3.Connection] = []


class Disk:
    """The entries of one namespace. One connection serves all threads of the process, in turn."""

    def __init__(self, file: Path, policy: CachePolicy, *, timeout: float) -> None:
        self._file = file
        self._max_bytes = policy.max_bytes
        self._timeout = min(timeout, _LONGEST_WAIT)
        self._locks = KeyLocks(file.with_suffix(".locks"))
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._identity: tuple[int, int] | None = None
        self._openings = 0
        self._version = 0
        self._used: dict[bytes, int] = {}
        self._writes = 0
        self._closed = False
        self._streak = 0
        self._last_read = 0.0
        self._snapshot_until = 0.0  # 0: there is none
        forking.told(self)
        with self._lock, self._sound():
            self._opened()

    # -- the contract ---------------------------------------------------------------------

    def get(self, key: str, now: int) -> tuple[bytes, int, int | None] | None:
        """Return value, time of writing and of expiry. What is damaged is removed, and a miss."""
        name = key.encode()
        with self._lock:
            try:
                cursor = self._cursor or self._opened()
                moment = monotonic()
                if moment - self._last_read < snapshots.GAP:
                    self._streak += 1
                    if self._streak > snapshots.STREAK and self._snapshot_until < moment:
                        self._begin_snapshot(cursor, moment)
                else:
                    self._streak = 0
                    self._end_snapshot()
                self._last_read = moment
                row = cursor.execute(schema.GET, (name,)).fetchone()
            except sqlite3.Error as error:
                self._recover(error)
                return None
            if row is None:
                return None
            value, checksum, written, expires_at = row
            if expires_at is not None and expires_at <= now:
                return None
            if type(value) is bytes and crc32(value, crc32(name)) == checksum:
                self._used[name] = now
                if len(self._used) > _NOTED:
                    self.noted((), now=now, hits=0, misses=0)
                return value, written, expires_at
            logger.warning("cache %s: a damaged entry is removed", self._file.stem)
        with suppress(BackendError):
            self.delete([key])
        return None

    def set(
        self, key: str, value: bytes, *, now: int, expires_at: int | None, tags: Collection[str] = ()
    ) -> None:
        """Keep a value. What goes beyond ``max_bytes`` makes room: first the expired, then the least used."""
        name = key.encode()
        marks = _SEPARATOR + b"".join(tag.encode() + _SEPARATOR for tag in tags) if tags else None
        size = len(name) + len(value) + len(marks or b"") + schema.OVERHEAD
        if size > self._max_bytes:
            self.delete([key])
            return
        row = (name, crc32(value, crc32(name)), now, expires_at, now, size, marks, value)
        with self._lock, self._sound():
            cursor = self._fresh()
            cursor.execute(schema.SET, row)
            self._used.pop(name, None)
            held, entries = cursor.execute(schema.TOTALS).fetchone()
            self._writes += 1
            if held > self._max_bytes:
                self._make_room(cursor, now)
            elif self._writes % _WRITES_BETWEEN_SWEEPS == 0 and entries:
                cursor.execute(schema.EXPIRE, (now, 2 * _WRITES_BETWEEN_SWEEPS))

    def touch(self, key: str, *, now: int, expires_at: int | None) -> bool:
        """Give an entry another time of expiry."""
        with self._lock, self._sound():
            cursor = self._fresh()
            return cursor.execute(schema.TOUCH, (expires_at, now, key.encode(), now)).rowcount > 0
        return False

    def delete(self, keys: Collection[str]) -> int:
        """Remove entries. Where not even that can be written, the whole file goes."""
        names = [(key.encode(),) for key in keys]
        return self._removed(lambda cursor: cursor.executemany(schema.DELETE, names).rowcount)

    def clear(self, *, prefix: str | None = None, tag: str | None = None) -> int:
        """Remove all entries, or those of a prefix or a tag, and give the space back."""
        statement, values = schema.CLEAR, list[bytes]()
        if tag is not None:
            statement, values = schema.CLEAR_TAG, [_SEPARATOR + tag.encode() + _SEPARATOR]
        elif prefix:
            first = prefix.encode()  # in UTF-8 no byte is the last one, so there is a next
            statement, values = schema.CLEAR_PREFIX, [first, first[:-1] + bytes([first[-1] + 1])]
        removed = self._removed(lambda cursor: cursor.execute(statement, values).rowcount)
        with self._lock, suppress(BackendError), self._sound():
            self._shrink()
        return removed

    def sweep(self, now: int) -> int:
        """Remove what has expired, in small steps, so that others come in between."""
        removed, step = 0, _SWEPT_AT_ONCE
        while step == _SWEPT_AT_ONCE:
            step = 0
            with self._lock, self._sound():
                cursor = self._fresh()
                step = cursor.execute(schema.EXPIRE, (now, _SWEPT_AT_ONCE)).rowcount
                removed += step
        with self._lock, self._sound():
            self._shrink()
        self._locks.clean()
        return removed

    def version(self) -> int | None:
        """Return a number that others' changes make another: SQLite counts them for each connection.

        A file that was removed, or made anew, is opened again.
        """
        if not self._lock.acquire(timeout=0.02):
            return self._version
        try:
            with suppress(BackendError), self._sound():
                cursor = self._fresh()
                if self._identity != _identity(self._file):
                    cursor = self._reopened()
                (changes,) = cursor.execute("PRAGMA data_version").fetchone()
                self._version = self._openings << 32 | changes
            return self._version
        finally:
            self._lock.release()

    def noted(self, keys: Collection[str], *, now: int, hits: int, misses: int) -> None:
        """Keep what was read and how often, in one transaction."""
        with self._lock:
            used = self._used
            self._used = {}
            used.update(dict.fromkeys((key.encode() for key in keys), now))
            if used or hits or misses:
                with self._sound(), self._transaction() as cursor:
                    self._keep_used(cursor, used)
                    cursor.execute(schema.COUNTED, (hits, misses))

    def statistics(self) -> Mapping[str, int]:
        """Return the totals, as all processes have them."""
        names = ("entries", "bytes", "evictions", "hits", "misses")
        with self._lock, self._sound():
            found = self._fresh().execute(schema.STATISTICS).fetchone()
            return dict(zip(names, found, strict=True))
        return dict.fromkeys(names, 0)

    @contextmanager
    def computing(self, key: str, timeout: float) -> Iterator[bool]:
        """Let one caller of one process at a time compute a key."""
        with self._locks.held(key, timeout) as mine:
            with self._lock:
                self._end_snapshot()  # what another computed just now is to be seen
            yield mine

    def place(self) -> str | None:
        """The file itself, as the system of this machine knows it."""
        from wilk.caches.hearing import machine

        identity = self._identity
        return None if identity is None else ":".join(("disk", machine(), *map(str, identity)))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._disconnect()

    # -- room -----------------------------------------------------------------------------

    def _make_room(self, cursor: sqlite3.Cursor, now: int) -> None:
        with self._transaction():
            used, self._used = self._used, {}
            self._keep_used(cursor, used)
            cursor.execute(schema.EXPIRE, (now, _SWEPT_AT_ONCE))
            held, entries = cursor.execute(schema.TOTALS).fetchone()
            # Of many some more go at once, so that not every write has to make room.
            wanted = self._max_bytes * 19 // 20 if entries > _MANY else self._max_bytes
            evicted = 0
            while held > wanted:
                count = 0
                for (size,) in cursor.execute(schema.SIZES, (_SWEPT_AT_ONCE,)).fetchall():
                    held -= size
                    count += 1
                    if held <= wanted:
                        break
                if not count:
                    break
                evicted += cursor.execute(schema.EVICT, (count,)).rowcount
            cursor.execute(schema.EVICTED, (evicted,))

    def _keep_used(self, cursor: sqlite3.Cursor, used: Mapping[bytes, int]) -> None:
        cursor.executemany(schema.USED, [(time, name, time) for name, time in used.items()])

    def _shrink(self) -> None:
        """Give free pages back to the file system, when they are most of the file."""
        cursor = self._fresh()
        (free,) = cursor.execute("PRAGMA freelist_count").fetchone()
        (pages,) = cursor.execute("PRAGMA page_count").fetchone()
        if free > 256 and free > pages // 2:
            cursor.executescript("PRAGMA incremental_vacuum")  # execute() would take the first step alone

    def _removed(self, remove: Callable[[sqlite3.Cursor], int]) -> int:
        with self._lock:
            try:
                with self._sound():
                    return remove(self._fresh())
            except BackendError as error:
                if (
                    not isinstance(error.__cause__, sqlite3.Error)
                    or _code(error.__cause__) != sqlite3.SQLITE_FULL
                ):
                    raise
                # A full disk has no room to write a removal, but it has room for removing the file.
                self._renew("there is no space left to write a removal")
        return 0

    # -- reads that share a transaction ----------------------------------------------------

    def _begin_snapshot(self, cursor: sqlite3.Cursor, moment: float) -> None:
        self._end_snapshot()
        if not cursor.connection.in_transaction:
            cursor.execute("BEGIN")
            self._snapshot_until = moment + snapshots.LASTS
            snapshots.watch(self)

    def _end_snapshot(self) -> None:
        if self._snapshot_until:
            self._snapshot_until = 0.0
            if self._cursor is not None:
                with suppress(sqlite3.Error):
                    self._cursor.execute("COMMIT")

    def end_old_snapshot(self) -> bool:
        """End the transaction if its time is over; return whether there is one still."""
        with self._lock:
            if self._snapshot_until < monotonic():
                self._end_snapshot()
            return bool(self._snapshot_until)

    def _fresh(self) -> sqlite3.Cursor:
        """The cursor for anything but a plain read: outside of a snapshot."""
        if self._snapshot_until:
            self._end_snapshot()
        return self._cursor or self._opened()

    # -- the connection -------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        cursor = self._fresh()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            yield cursor
        except BaseException:
            with suppress(sqlite3.Error):
                cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """Turn errors of the block into BackendError; after one of a damaged file there is a new one."""
        try:
            yield
        except sqlite3.Error as error:
            self._recover(error)

    def _recover(self, error: sqlite3.Error) -> None:
        code = _code(error)
        damaged = (
            code & 0xFF in _DAMAGED
            or code == sqlite3.SQLITE_IOERR_SHORT_READ
            or (code == sqlite3.SQLITE_ERROR and str(error).startswith(("no such ", _OTHER_TABLES)))
        )
        if not damaged or self._closed:
            raise BackendError(f"{self._file}: {error}") from error
        self._renew(str(error))

    def _renew(self, reason: str) -> None:
        """Throw a damaged file away and make it anew, unless another process did so already."""
        identity = self._identity
        self._disconnect()
        try:
            with locked(self._file.with_suffix(".lock"), self._timeout):
                if identity is None or identity == _identity(self._file):
                    logger.warning("cache %s is made anew: %s", self._file.stem, reason)
                    for suffix in ("", "-wal", "-shm"):
                        self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)
            self._opened()
        except (OSError, sqlite3.Error, WilkError) as error:
            self._disconnect()
            raise BackendError(f"{self._file} cannot be made anew: {error}") from error

    def _reopened(self) -> sqlite3.Cursor:
        self._disconnect()
        return self._opened()

    def _opened(self) -> sqlite3.Cursor:
        """Open the file, and make it if there is none; one process at a time does this."""
        if self._closed:
            raise BackendError(f"{self._file}: the cache has been closed")
        try:
            with locked(self._file.with_suffix(".lock"), self._timeout):
                os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
                self._identity = _identity(self._file)
                self._connect()
        except sqlite3.Error:
            identity = self._identity
            self._disconnect()
            self._identity = identity  # whoever makes the file anew wants to know that it is this one
            raise
        except (OSError, WilkError) as error:
            self._disconnect()
            raise BackendError(f"{self._file} cannot be opened: {error}") from error
        self._openings += 1
        assert self._cursor is not None  # noqa: S101 (for type checkers)
        return self._cursor

    def _connect(self) -> None:
        self._connection = connection = sqlite3.connect(
            self._file, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not version and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            connection.execute("PRAGMA auto_vacuum = incremental")
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("BEGIN IMMEDIATE")
            for statement in _statements(schema.TABLES):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {schema.VERSION}")
            connection.execute("COMMIT")
        elif version != schema.VERSION:
            raise sqlite3.DatabaseError(_OTHER_TABLES)
        for pragma in schema.PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(schema.STATISTICS)
        self._cursor = connection.cursor()

    def _disconnect(self) -> None:
        connection, self._connection, self._cursor, self._identity = self._connection, None, None, None
        self._snapshot_until = 0.0
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _born(self) -> None:
        self._lock = threading.RLock()
        if self._connection is not None:
            _inherited.append(self._connection)
        self._connection = self._cursor = self._identity = None
        self._snapshot_until = 0.0
        self._used = {}
        snapshots.born()


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _code(error: BaseException) -> int:
    """SQLite's code of an error; one that has none was raised here, about the tables."""
    return getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one: all of them are one transaction then."""
    begun = ""
    for line in script.splitlines():
        begun += line + "\n"
        if sqlite3.complete_statement(begun):
            yield begun
            begun = ""


def _open(settings: Settings, folder: Path | None, namespace: str, policy: CachePolicy) -> Disk | None:
    if folder is None:
        return None
    try:
        private_folder(folder)
    except OSError as error:
        raise BackendError(f"{folder} cannot be written: {error.strerror}") from error
    return Disk(folder / f"{namespace}.db", policy, timeout=settings.timeout)


def _namespaces(_settings: Settings, folder: Path | None) -> list[str]:
    return [] if folder is None else sorted(file.stem for file in folder.glob("*.db"))


@hookimpl
def register_caches() -> Iterator[CacheTier]:
    yield CacheTier("disk", _open, "a SQLite file for each cache, in the home folder", _namespaces)
