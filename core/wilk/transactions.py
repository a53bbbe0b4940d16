"""The transaction seam: what begins, commits and rolls back, and what follows a commit."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from wilk.errors import BackendError, Busy, ReadOnly
from wilk.models.binding import bound

if TYPE_CHECKING:
    from wilk.engine import Engine

logger = logging.getLogger("wilk.engine")

# What a driver raises about a value before the engine sees it is no error of the database's.
_VALUE_ERRORS = (UnicodeEncodeError, OverflowError)


class Place(threading.local):
    """One thread's place in the seam: how deep it is, and what waits for its commit."""

    depth = 0
    reading = False
    undone = False
    token: Any = None

    def __init__(self) -> None:
        self.after: list[Callable[[], object]] = []


class Guard:
    """Around every call of the driver: one thread at a time if the connection is shared, and errors
    that are wilk's. It keeps nothing, so one serves all calls, nested ones too."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        self._engine._turn.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        engine = self._engine
        engine._turn.__exit__(None, None, None)
        if isinstance(error, Exception) and from_driver(error):
            if not engine._local.depth and not engine._local.reading:
                engine._connections.renew()
            raise engine.translated(error) from error


class PinningGuard(Guard):
    """A guard that also sees to it that the calling thread has a connection of the pool."""

    __slots__ = ()

    def __enter__(self) -> None:
        engine = self._engine
        engine.pin(reading=not engine._local.depth)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        engine = self._engine
        engine._connections.unpin()
        if isinstance(error, Exception) and from_driver(error):
            raise engine.translated(error) from error


class Transaction:
    """One use of the seam: the outermost begins and commits, inner ones are savepoints."""

    __slots__ = ("_beside", "_engine", "_inner", "_mark")

    def __init__(self, engine: Engine, beside: bool = False) -> None:
        self._engine = engine
        self._beside = beside
        self._inner: Any = None
        self._mark = 0

    def __enter__(self) -> None:
        engine = self._engine
        local = engine._local
        if local.depth:
            if local.undone:
                raise BackendError(
                    "the database has undone the whole transaction; leave its block, then try again"
                )
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
            engine._turn.__enter__()
            try:
                engine.pin(reading=False)
                try:
                    self._begin()
                except BaseException:
                    engine._connections.unpin()
                    raise
            except BaseException:
                engine._turn.__exit__(None, None, None)
                engine._writer.release()
                raise
            local.token = bound.set(engine.database)
        local.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        engine = self._engine
        local = engine._local
        settled = None
        if local.depth == 1 and error is None:
            try:
                engine._check_open()  # a pool's connection that is lent outlives the store
                if engine._committing is not None:
                    settled = engine._committing(engine.execute)
            except BaseException as failure:
                kind, error, trace = type(failure), failure, failure.__traceback__
                self._leave(kind, error, trace, None)
                raise
        self._leave(kind, error, trace, settled)

    def _leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        settled: Callable[[bool], bool | None] | None,
    ) -> None:
        engine = self._engine
        local = engine._local
        local.depth -= 1
        committed = False
        try:
            try:
                self._inner.__exit__(kind, error, trace)
                committed = error is None
            except Exception as failure:
                if settled is None:
                    raise
                settling, settled = settled, None
                if not settling(False):
                    raise
                committed = True
                logger.error("the commit stands, though the driver says: %s", failure.__context__ or failure)
            finally:
                if settled is not None:
                    settled(committed)
        except Exception as failure:
            if not engine._closed and not from_driver(failure):
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
                if not committed:
                    engine._connections.renew()
                engine._connections.unpin()
                engine._turn.__exit__(None, None, None)
                engine._writer.release()
        if committed and local.depth == 0 and local.after:
            actions, local.after = local.after, []
            _run_all(actions)

    def _begin(self) -> None:
        engine = self._engine
        database = engine.database
        if self._beside and engine._beside is not None and not engine._local.depth:
            self._inner = database.atomic(*engine._beside)
        else:
            self._inner = database.atomic()
        with self._engine._guard:
            self._inner.__enter__()


class Snapshot:
    """A transaction that only reads; with one shared connection it keeps others off it."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> None:
        engine = self._engine
        engine._turn.__enter__()
        try:
            engine.pin(reading=True)
            try:
                engine.execute(engine._snapshot)
            except BaseException:
                engine._connections.unpin()
                raise
        except BaseException:
            engine._turn.__exit__(None, None, None)
            raise
        engine._local.reading = True

    def __exit__(self, *failure: object) -> None:
        self._engine._local.reading = False
        try:
            self._engine.execute("ROLLBACK")
        finally:
            self._engine._connections.unpin()
            self._engine._turn.__exit__(None, None, None)


class Reading:
    """Binds the models for a block; with one shared connection, also keeps others off it."""

    __slots__ = ("_engine", "_token")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._token: Any = None

    def __enter__(self) -> None:
        engine = self._engine
        engine._turn.__enter__()
        try:
            engine.pin(reading=True)
            try:
                self._token = bound.set(engine.database)
            except BaseException:
                engine._connections.unpin()
                raise
        except BaseException:
            engine._turn.__exit__(None, None, None)
            raise

    def __exit__(self, *failure: object) -> None:
        bound.reset(self._token)
        self._engine._connections.unpin()
        self._engine._turn.__exit__(None, None, None)


def _run_all(actions: Sequence[Callable[[], object]]) -> None:
    """Run every action, and raise the first error at the end: the commit that they wait for stands,
    and what one of them could not do is no reason for the others not to happen."""
    failures = []
    for action in actions:
        try:
            action()
        except Exception as error:
            failures.append(error)
    for other in failures[1:]:
        logger.error("after a commit: %s", other, exc_info=other)
    if failures:
        raise failures[0]


def kinds(error: Exception) -> set[str]:
    """The names of an error's classes: DB-API drivers and Peewee have the same ones."""
    return {kind.__name__ for kind in type(error).__mro__}


def from_driver(error: Exception) -> bool:
    """Whether an error is the database's, by the names that DB-API gives (PEP 249)."""
    return isinstance(error, _VALUE_ERRORS) or bool(kinds(error) & {"DatabaseError", "InterfaceError"})
