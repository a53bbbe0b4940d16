"""A store's database: the statements that run on it, inside and outside of the one transaction seam.

Nothing but its seam (transactions.py) begins or ends a transaction. Services run Peewee queries
through :meth:`Engine.select` and :meth:`Engine.run`, and the ones that run often as compiled
statements through :meth:`Engine.fetch` and :meth:`Engine.execute`.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from wilk.clock import Clock
from wilk.connections import connections
from wilk.contracts import Opened
from wilk.errors import BackendError, Busy, Closed, Conflict, Invalid, ReadOnly
from wilk.models.statements import Statement, compiled
from wilk.transactions import Guard, PinningGuard, Place, Reading, Snapshot, Transaction, from_driver, kinds

if TYPE_CHECKING:
    from peewee import Database

statements_logger = logging.getLogger("wilk.statements")

Rows = list[tuple[Any, ...]]
"""Rows as the engine holds them: JSON as text, times as microseconds."""

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


class Engine:
    """An open database with its transaction seam, shared by all services of one store."""

    def __init__(
        self, opened: Opened, clock: Clock, *, timeout: float, readonly: bool, verbose: bool = False
    ) -> None:
        self.full_text = opened.full_text
        self.vector_index = opened.vector_index
        self.clock = clock
        self.timeout = timeout if opened.timeout is None else opened.timeout
        self.readonly = readonly if opened.readonly is None else opened.readonly
        self.writers = opened.writers
        self.shared = opened.shared
        self._snapshot = opened.snapshot
        self._connections = connections(opened)
        self._local = Place()
        self._writer = threading.BoundedSemaphore(opened.writers)
        # With one connection for all threads, whoever is in a transaction has it to itself.
        self._turn: AbstractContextManager[Any] = threading.RLock() if opened.shared else nullcontext()
        self.on_server = opened.pool is not None
        self._guard = PinningGuard(self) if self.on_server else Guard(self)
        self._beside = opened.beside
        self._committing = opened.committing
        self._translate = opened.translate
        self._rows_per_insert = opened.rows_per_insert
        self._prepared = opened.statements
        self._statements: dict[str, Statement] = {}
        self._verbose = verbose
        self._closed = False
        _engines.add(self)

    @property
    def database(self) -> Database:
        """The Peewee database. Asking for it imports Peewee."""
        return self._connections.database

    # -- transactions ---------------------------------------------------------------------

    def transaction(self, *, beside: bool = False) -> Transaction:
        """Begin a writing transaction, or a savepoint inside one; commit on leaving the block.

        Writers take turns, so that what a block has read is still so when it writes. ``beside``: where
        the engine can, let it run beside others that are; for blocks that lock what they depend on by
        an UPDATE before they read it.

        An exception rolls back what the block did, and nothing outside of it. Raises Busy when
        other writers hold the store for longer than the time limit, and ReadOnly. An error of what
        runs after the commit, such as writing a definition file, is raised when all of it has run;
        the rows are committed then.
        """
        return Transaction(self, beside)

    @property
    def in_transaction(self) -> bool:
        """Whether the calling thread is inside :meth:`transaction`."""
        return self._local.depth > 0

    def after_commit(self, action: Callable[[], object]) -> None:
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
            found = None if self._prepared is None else self._prepared().get(name)
            found = self._statements[name] = found or compiled(self.database, build())
        return found

    def fetch(self, name: str, build: Callable[[], Any], parameters: Sequence[Any] = ()) -> Rows:
        """Run the compiled form of a query, and fetch all that it gives."""
        return self.execute(self.statement(name, build).sql, parameters)

    def fetch_until(
        self,
        name: str,
        build: Callable[[], Any],
        parameters: Sequence[Any],
        enough: Callable[[tuple[Any, ...]], bool],
    ) -> None:
        """Run the compiled form of a query, and hand over its rows one by one until one is enough.

        No row after that is read.
        """
        with self._guard:
            cursor = self._cursor(self.statement(name, build).sql, parameters)
            try:
                for row in cursor:
                    if enough(row):
                        return
            finally:
                cursor.close()

    def walk(
        self, name: str, build: Callable[[], Any], parameters: Sequence[Any]
    ) -> Generator[tuple[Any, ...], None, None]:
        """Run the compiled form of a query, and read its rows one by one as they are asked for.

        Within :meth:`snapshot` or a transaction; close it before their end.
        """
        sql = self.statement(name, build).sql
        with self._guard:
            self._check_open()
            cursor = self._connections.streaming(sql, parameters)
        try:
            while True:
                with self._guard:
                    row = cursor.fetchone()
                if row is None:
                    return
                yield row
        finally:
            cursor.close()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """Run SQL and fetch all that it gives. Driver errors come back as wilk's, with cause."""
        with self._guard:
            cursor = self._cursor(sql, parameters)
            return cursor.fetchall() if cursor.description is not None else []

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement over many rows of parameters, inside the caller's transaction."""
        with self._guard:
            self._check_open()
            if self._verbose:
                statements_logger.debug("%s; %d rows", sql, len(rows))
            self._connections.raw_cursor().executemany(sql, rows)

    def insert_many(self, insert: Statement, rows: Sequence[Sequence[Any]]) -> None:
        """Run a compiled INSERT over many rows, as many to a statement as suits the engine.

        A trigger that keeps a full-text index writes a segment of it per statement, so that a hundred rows
        to each cost SQLite half of what a statement per row does; drivers that send many statements in one
        go are faster with one row to each.
        """
        if self._rows_per_insert == 1:
            self.execute_many(insert.sql, rows)
            return
        head, values, tail = insert.sql.rpartition("VALUES ")
        places, closing, returning = tail.partition(")")  # some engines are asked for the new keys
        for start in range(0, len(rows), self._rows_per_insert):
            some = rows[start : start + self._rows_per_insert]
            groups = ", ".join([places + closing] * len(some))
            self.execute(head + values + groups + returning, [value for row in some for value in row])

    def select(self, query: Any) -> Rows:
        """Run a Peewee query, and fetch its rows as the engine holds them."""
        return self.execute(*self._parsed(query))

    def rows(self, query: Any) -> Rows:
        """Run a Peewee query, and return its rows as tuples of Python values."""
        with self._guard:
            self._check_open()
            return list(query.tuples().execute(self.database))

    def row(self, query: Any) -> tuple[Any, ...] | None:
        """Run a Peewee query, and return its first row as Python values, or None."""
        rows = self.rows(query)
        return rows[0] if rows else None

    def run(self, query: Any) -> int:
        """Run an INSERT, UPDATE or DELETE, and return how many rows it changed."""
        sql, parameters = self._parsed(query)
        with self._guard:
            count: int = self._cursor(sql, parameters).rowcount
            return count

    def reading(self) -> AbstractContextManager[None]:
        """Bind the models to this store for a block that only reads."""
        return Reading(self)

    def snapshot(self) -> AbstractContextManager[None]:
        """Let all reads of a block see one state of the store. Within a transaction they do anyway.

        The block must not write.
        """
        local = self._local
        return nullcontext() if local.depth or local.reading else Snapshot(self)

    def _cursor(self, sql: str, parameters: Sequence[Any]) -> Any:
        if self._closed:
            self._check_open()
        if self._verbose:
            statements_logger.debug("%s; %d values", sql, len(parameters))
        return self._connections.cursor(sql, parameters)

    def _parsed(self, query: Any) -> tuple[str, list[Any]]:
        self._check_open()
        sql, parameters = self.database.get_sql_context().parse(query)
        return sql, parameters

    # -- life -----------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections of every thread. The engine cannot be used afterwards."""
        if not self._closed:
            self._closed = True
            self._connections.close()

    def release(self) -> None:
        """Close the calling thread's own connection; for threads that end before the store."""
        self._connections.release()

    def connect(self) -> None:
        """Open the calling thread's connection, if it is not open."""
        self._check_open()
        with self._guard:
            self._connections.ensure()

    @contextmanager
    def pinned(self) -> Generator[None, None, None]:
        """Let the calling thread keep one connection for a block, such as a migration."""
        self.pin(reading=False)
        try:
            yield
        finally:
            self._connections.unpin()

    def pin(self, *, reading: bool) -> None:
        """Give the calling thread a connection of its own until ``_connections.unpin()``."""
        if self._closed:
            self._check_open()
        try:
            self._connections.pin(reading=reading)
        except Exception as error:
            if from_driver(error):
                raise self.translated(error) from error
            raise

    def turn(self) -> AbstractContextManager[Any]:
        """The right to the connection, where all threads share one; taken before locks under which the
        store is read, by whoever takes such."""
        return self._turn

    def patience(self) -> float:
        """How long the calling thread may wait for another that may wait for this store, in seconds:
        not at all inside of a transaction or a snapshot."""
        return 0.0 if self._local.depth or self._local.reading else self.timeout

    def translated(self, error: Exception) -> Exception:
        """Turn a driver's error, or the same as Peewee wraps it, into one of wilk's."""
        text = str(error)
        lowered = text.lower()
        if self._closed:
            return Closed("the store has been closed; open it again with wilk.open_store")
        if self._translate is not None and (own := self._translate(error)) is not None:
            return own
        if isinstance(error, UnicodeEncodeError):
            return Invalid(
                f"{error.object!r}: text with a lone surrogate can only be kept in text, parts and metadata"
            )
        if isinstance(error, OverflowError):
            return Invalid("a number is out of range: whole numbers of 64 bits are wanted")
        if "IntegrityError" in kinds(error):
            return Conflict(f"the database refused the change: {text}")
        if re.search(r"\b(?:locked|busy)\b", lowered):
            return Busy(f"another process held the store for over {self.timeout:g} s; try again")
        if re.search(r"\b(?:readonly|read-only)\b", lowered):
            return ReadOnly(
                f"the store cannot be written: {text}; open it without readonly, or check its mode"
            )
        return BackendError(f"{type(error).__name__}: {text}")

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
        self._connections.keep_for_fork()

    def _after_fork(self) -> None:
        """Leave the parent's connections alone in a forked child; it opens its own."""
        self._connections.abandon()
        self._local = Place()
        self._writer = threading.BoundedSemaphore(self.writers)
        self.clock.forked()
        if self.shared:
            self._turn = threading.RLock()


def _forking() -> None:
    for engine in list(_engines):
        engine._before_fork()


def _forked() -> None:
    for engine in list(_engines):
        engine._connections.forked()


def _born() -> None:
    for engine in list(_engines):
        engine._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forking, after_in_parent=_forked, after_in_child=_born)
