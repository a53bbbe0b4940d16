"""A store's database and its one transaction seam: begin, commit, roll back, and what follows.

Nothing else in wilk begins or ends a transaction. Services run Peewee queries through
:meth:`Engine.rows`, :meth:`Engine.row` and :meth:`Engine.run`, and hot ones as compiled
statements through :meth:`Engine.execute`.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

import peewee

from wilk.clock import Clock
from wilk.contracts import Opened
from wilk.errors import BackendError, Busy, Closed, Conflict, Invalid, ReadOnly
from wilk.models.base import bound
from wilk.models.statements import Statement, compiled


# What a driver raises about a value before the engine sees it is no peewee exception.
_REFUSED = (peewee.PeeweeException, UnicodeEncodeError, OverflowError)
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_inherited: list[Any] = []


class _Local(threading.local):
    """One thread's place in the seam: how deep it is, and what waits for its commit."""

    depth = 0
    undone = False
    token: Any = None

    def __init__(self) -> None:
        self.after: list[Callable[[], None]] = []


class Engine:
    """An open database with its transaction seam, shared by all services of one store."""

    def __init__(self, opened: Opened, clock: Clock, *, timeout: float, readonly: bool) -> None:
        self.database = opened.database
        self.full_text = opened.full_text
        self.clock = clock
        self.timeout = timeout
        self.readonly = readonly
        self.writers = opened.writers
        self.shared = opened.shared
        self._local = _Local()
        self._writer = threading.BoundedSemaphore(opened.writers)
        # With one connection for all threads, whoever is in a transaction has it to itself.
        self._connection: AbstractContextManager[Any] = threading.RLock() if opened.shared else nullcontext()
        self._statements: dict[str, Statement] = {}
        self._closed = False
        # Weak: the connection of a thread that has ended goes with the thread.
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        _engines.add(self)

    # -- transactions ---------------------------------------------------------------------

    def transaction(self) -> Transaction:
        """Begin a writing transaction, or a savepoint inside one; commit on leaving the block.

        An exception rolls back what the block did, and nothing outside of it. Raises Busy when
        other writers hold the store for longer than the time limit, and ReadOnly.
        """
        return Transaction(self)

    @property
    def in_transaction(self) -> bool:
        """Whether the calling thread is inside :meth:`transaction`."""
        return self._local.depth > 0

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run ``action`` once the outermost transaction has committed; at once outside of one.

        It is forgotten when the transaction, or the savepoint that it was given in, is rolled
        back.
        """
        if self._local.depth:
            self._local.after.append(action)
        else:
            action()

    # -- statements -----------------------------------------------------------------------

    def statement(self, name: str, build: Callable[[], Any]) -> Statement:
        """The compiled form of the query that ``build`` makes, kept under ``name``."""
        found = self._statements.get(name)
        if found is None:
            found = self._statements[name] = compiled(self.database, build())
        return found

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run SQL and fetch all that it gives. Driver errors come back as wilk's, with cause."""
        try:
            with self._connection:
                rows: list[tuple[Any, ...]] = self._cursor(sql, parameters).fetchall()
                return rows
        except _REFUSED as error:
            raise self.translated(error) from error

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement over many rows of parameters, inside the caller's transaction."""
        try:
            with self._connection:
                self._check_open()
                with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
                    self.database.cursor().executemany(sql, rows)
        except _REFUSED as error:
            raise self.translated(error) from error

    def rows(self, query: Any) -> list[tuple[Any, ...]]:
        """Run a Peewee query and return its rows as tuples of Python values."""
        try:
            with self._connection:
                self._check_open()
                return list(query.tuples().execute(self.database))
        except _REFUSED as error:
            raise self.translated(error) from error

    def row(self, query: Any) -> tuple[Any, ...] | None:
        """Run a Peewee query and return its first row, or None."""
        rows = self.rows(query)
        return rows[0] if rows else None

    def run(self, query: Any) -> int:
        """Run an INSERT, UPDATE or DELETE and return how many rows it changed."""
        try:
            with self._connection:
                self._check_open()
                sql, parameters = self.database.get_sql_context().parse(query)
                count: int = self._cursor(sql, parameters).rowcount
                return count
        except _REFUSED as error:
            raise self.translated(error) from error

    def reading(self) -> AbstractContextManager[None]:
        """Bind the models to this store for a block that only reads."""
        return _Reading(self)

    # -- life -----------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections of every thread. The engine cannot be used afterwards."""
        if self._closed:
            return
        self._closed = True
        for connection in list(self._connections):
            connection.close()
        self.database.dispose()

    def release(self) -> None:
        """Close the calling thread's own connection; for threads that end before the store."""
        if self.shared or self.database.is_closed():
            return
        self._connections.discard(self.database.connection())
        self.database.close()

    def connect(self) -> None:
        """Open the calling thread's connection, remembered so that :meth:`close` can end it."""
        self._check_open()
        if self.database.is_closed():
            try:
                self.database.connect()
            except peewee.PeeweeException as error:
                raise self.translated(error) from error
            self._connections.add(self.database.connection())

    def translated(self, error: Exception) -> Exception:
        """Turn a driver's error, as Peewee wraps it, into one of wilk's."""
        text = str(error)
        lowered = text.lower()
        if self._closed:
            return Closed("the store has been closed; open it again with wilk.open_store")
        if isinstance(error, UnicodeEncodeError):
            return Invalid(f"{error.object!r}: text with a lone surrogate can only be kept in text, parts and metadata")
        if isinstance(error, OverflowError):
            return Invalid("a number is out of range: whole numbers of 64 bits are wanted")
        if isinstance(error, peewee.IntegrityError):
            return Conflict(f"the database refused the change: {text}")
        if "locked" in lowered or "busy" in lowered:
            return Busy(f"another process held the store for over {self.timeout:g} s; try again")
        if "readonly" in lowered or "read-only" in lowered:
            return ReadOnly(f"the store cannot be written: {text}; open it without readonly, or check its mode")
        return BackendError(f"{type(error).__name__}: {text}")

    def _cursor(self, sql: str, parameters: Sequence[Any]) -> Any:
        if self.database.is_closed():
            self.connect()
        return self.database.execute_sql(sql, parameters)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the store has been closed; open it again with wilk.open_store")

    def _before_fork(self) -> None:
        """Close the forking thread's connection; parent and child open one of their own when needed.

        SQLite counts a process's file locks in memory that a child inherits, without the locks. A
        child that opens the same file would believe that it holds them, and its writes would be
        lost when the parent closes the file for good. Connections of the parent's other threads,
        and one that is inside a transaction, cannot be closed here: do not fork with those.
        """
        if not self._closed and not self.in_transaction:
            self.release()

    def _after_fork(self) -> None:
        """Leave the parent's connections alone in a forked child; it opens its own."""
        _inherited.extend(self._connections)
        self._connections = weakref.WeakSet()
        self.database.dispose()
        self._local = _Local()
        self._writer = threading.BoundedSemaphore(self.writers)
        if self.shared:
            self._connection = threading.RLock()


class Transaction:
    """One use of the seam: the outermost begins and commits, inner ones are savepoints."""

    __slots__ = ("_engine", "_inner", "_mark")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._inner: Any = None
        self._mark = 0

    def __enter__(self) -> None:
        engine = self._engine
        local = engine._local
        if local.depth:
            if local.undone:
                raise BackendError("the database has undone the whole transaction; leave its block, then try again")
            self._mark = len(local.after)
            self._begin()
        else:
            if engine.readonly:
                raise ReadOnly("the store was opened with readonly; open it without to write")
            if not engine._writer.acquire(timeout=engine.timeout):
                raise Busy(
                    f"another writer in this process held the store for over {engine.timeout:g} s; "
                    "is a transaction left open, or waiting for this one?"
                )
            engine._connection.__enter__()
            try:
                if engine.database.is_closed():
                    engine.connect()
                self._begin()
            except BaseException:
                engine._connection.__exit__(None, None, None)
                engine._writer.release()
                raise
            local.token = bound.set(engine.database)
        local.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        engine = self._engine
        local = engine._local
        local.depth -= 1
        committed = False
        try:
            self._inner.__exit__(kind, error, trace)
            committed = error is None
        except Exception as failure:
            if not engine._closed and not isinstance(failure, peewee.PeeweeException):
                raise
            if error is None:
                raise engine.translated(failure) from failure
            # The engine rolled back by itself (a full disk does that); the first error tells why.
            # Without its transaction, what follows in an outer block would be kept piece by piece.
            local.undone = local.depth > 0
        finally:
            if not committed:
                del local.after[self._mark :]
            if local.depth == 0:
                local.undone = False
                bound.reset(local.token)
                engine._connection.__exit__(None, None, None)
                engine._writer.release()
        if committed and local.depth == 0 and local.after:
            actions, local.after = local.after, []
            for action in actions:
                action()

    def _begin(self) -> None:
        database = self._engine.database
        self._inner = database.atomic()
        try:
            self._inner.__enter__()
        except peewee.PeeweeException as error:
            raise self._engine.translated(error) from error


class _Reading:
    """Binds the models for a block; with one shared connection, also keeps others off it."""

    __slots__ = ("_engine", "_token")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._token: Any = None

    def __enter__(self) -> None:
        self._engine._connection.__enter__()
        self._engine.connect()
        self._token = bound.set(self._engine.database)

    def __exit__(self, *failure: object) -> None:
        bound.reset(self._token)
        self._engine._connection.__exit__(None, None, None)


def _forking() -> None:
    for engine in list(_engines):
        engine._before_fork()


def _forked() -> None:
    for engine in list(_engines):
        engine._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forking, after_in_child=_forked)
