"""The connections of a store: opened when needed, one to a thread at a time, ended with the store.

A backend opens DB-API connections itself (:class:`Direct`: Peewee is then imported only by what needs
it, and works over the same connections), lends those of a pool (:class:`Pooled`), or hands over a
Peewee database that does (:class:`ThroughPeewee`).
"""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from wilk.errors import BackendError, Closed

if TYPE_CHECKING:
    from peewee import Database

    from wilk.contracts import Opened


class Connections(ABC):
    """What both ways have in common."""

    def __init__(self) -> None:
        # Weak: the connection of a thread that has ended goes with the thread.
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        self._kept: list[Any] = []
        self._inherited: list[Any] = []

    @property
    @abstractmethod
    def database(self) -> Database:
        """The Peewee database over these connections."""

    @abstractmethod
    def ensure(self) -> None:
        """Open the calling thread's connection, if it is not open."""

    @abstractmethod
    def cursor(self, sql: str, parameters: Any) -> Any:
        """Run SQL on the calling thread's connection."""

    @abstractmethod
    def raw_cursor(self) -> Any:
        """A cursor of the driver on the calling thread's connection."""

    @abstractmethod
    def release(self) -> None:
        """Close the calling thread's connection."""

    def pin(self, *, reading: bool) -> None:  # noqa: ARG002 (pools have use for it)
        """Give the calling thread a connection that stays its own until :meth:`unpin`; pins nest."""
        self.ensure()

    def unpin(self) -> None:  # noqa: B027 (connections that belong to their threads need nothing)
        """End the innermost :meth:`pin`."""

    def renew(self) -> None:  # noqa: B027 (pools try what they lend by themselves)
        """After an error, outside of a transaction: let go of the thread's connection if it has been lost."""

    def streaming(self, sql: str, parameters: Any) -> Any:
        """Run SQL on a cursor that reads rows as they are asked for."""
        return self.cursor(sql, parameters)

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in list(self._open):
            connection.close()

    def keep_for_fork(self) -> None:
        """Keep all connections alive while this process forks.

        The child ends its parent's other threads before it runs any hook. Their connections would
        be closed with them, and that would roll back, in the memory that the processes share, what
        the parent's threads are still writing.
        """
        self._kept = list(self._open)

    def forked(self) -> None:
        """In the parent: the fork is done."""
        self._kept = []

    def abandon(self) -> None:
        """Forget the connections that a forked child has inherited, without closing them: they are
        its parent's."""
        self._inherited.extend(self._kept)
        self._kept = []
        self._open.clear()


class _Held:
    """A thread's hold on its connection: it lasts as long as the thread.

    A connection and its cache of statements refer to each other, so that without this it would
    stay open until the next garbage collection.
    """

    def __init__(self, connection: Any, open: weakref.WeakSet[Any]) -> None:
        self.connection = connection
        self._open = open
        self._process = os.getpid()

    def __del__(self) -> None:
        if self._process == os.getpid() and self.connection in self._open:
            self._open.discard(self.connection)
            self.connection.close()


class Attaching(Connections):
    """Connections that Peewee is put over when something needs it."""

    def __init__(self, attach: Callable[[Callable[[], Any]], Database]) -> None:
        super().__init__()
        self._attach = attach
        self._lock = threading.RLock()
        self._database: Database | None = None

    @property
    def database(self) -> Database:
        if self._database is None:
            with self._lock:
                if self._database is None:
                    self._database = self._attach(self.connection)
        return self._database

    @abstractmethod
    def connection(self) -> Any:
        """The calling thread's connection."""

    def raw_cursor(self) -> Any:
        return self.connection().cursor()


class Direct(Attaching):
    """Connections that the backend opens itself."""

    def __init__(self, opened: Opened) -> None:
        if opened.connect is None or opened.attach is None:
            raise TypeError("Opened(connect=...) wants attach= as well")
        super().__init__(opened.attach)
        self._connect = opened.connect
        self._shared = opened.shared
        self._ended = False
        self._forget()

    def connection(self) -> Any:
        """The calling thread's connection."""
        held = getattr(self._local, "held", None)
        if held is None:
            with self._lock:
                if self._ended:
                    raise Closed("the store has been closed; open it again with wilk.open_store")
                connection = self._connect()
                self._open.add(connection)
                held = self._local.held = _Held(connection, self._open)
        return held.connection

    def ensure(self) -> None:
        self.connection()

    def cursor(self, sql: str, parameters: Any) -> Any:
        cursor = self.connection().cursor()
        cursor.execute(sql, parameters)
        return cursor

    def release(self) -> None:
        if not self._shared and getattr(self._local, "held", None) is not None:
            if self._database is not None:
                self._database.dispose()
            self._local.held = None

    def renew(self) -> None:
        held = getattr(self._local, "held", None)
        if held is None or self._shared:
            return
        try:
            held.connection.cursor().close()
        except Exception:  # whatever the driver says of a connection that is closed
            self.release()

    def close(self) -> None:
        with self._lock:  # no thread may open one behind the back of this
            self._ended = True
            super().close()
        if self._database is not None:
            self._database.dispose()

    def abandon(self) -> None:
        super().abandon()
        self._lock = threading.RLock()
        if self._database is not None:
            self._database.dispose()
        self._forget()

    def _forget(self) -> None:
        self._local: Any = SimpleNamespace() if self._shared else threading.local()


class _Lent(threading.local):
    """What one thread has of the pool."""

    connection: Any = None
    depth = 0


class Pooled(Attaching):
    """Connections of a pool: a thread has one while it is in a transaction, a snapshot or a statement."""

    def __init__(self, opened: Opened) -> None:
        if opened.pool is None or opened.attach is None:
            raise TypeError("Opened(pool=...) wants attach= as well")
        super().__init__(opened.attach)
        self._pool = opened.pool
        self._stream = opened.stream
        self._local = _Lent()

    def connection(self) -> Any:
        """The connection that the calling thread has of the pool."""
        if self._local.connection is None:
            raise BackendError("this thread has no connection: query within reading() or transaction()")
        return self._local.connection

    def pin(self, *, reading: bool) -> None:
        local = self._local
        if not local.depth:
            local.connection = self._pool.take(reading=reading)
        local.depth += 1

    def unpin(self) -> None:
        local = self._local
        local.depth -= 1
        if not local.depth:
            connection, local.connection = local.connection, None
            if self._database is not None and not self._database.is_closed():
                self._database.dispose()
            self._pool.give(connection)

    def ensure(self) -> None:
        """A thread that is not in a statement needs no connection."""

    def cursor(self, sql: str, parameters: Any) -> Any:
        return self.connection().execute(sql, parameters or None)

    def streaming(self, sql: str, parameters: Any) -> Any:
        if self._stream is None:
            return self.cursor(sql, parameters)
        cursor = self._stream(self.connection())
        cursor.execute(sql, parameters or None)
        return cursor

    def release(self) -> None:
        """A thread that is not in a statement has no connection."""

    def close(self) -> None:
        self._pool.close()

    def abandon(self) -> None:
        self._lock = threading.RLock()
        self._local = _Lent()
        if self._database is not None:
            self._database.dispose()
        self._pool.abandon()


class ThroughPeewee(Connections):
    """Connections of a Peewee database."""

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        if opened.database is None:
            raise TypeError("Opened wants database=, or connect= and attach=")
        self._database = opened.database
        self._shared = opened.shared
        # Connections of a driver that allows no weak references stay open until the store closes.
        self._strong: list[Any] = []

    @property
    def database(self) -> Database:
        return self._database

    def ensure(self) -> None:
        if self._database.is_closed():
            self._database.connect()
            self._remember(self._database.connection())

    def cursor(self, sql: str, parameters: Any) -> Any:
        self.ensure()
        return self._database.execute_sql(sql, parameters)

    def raw_cursor(self) -> Any:
        self.ensure()
        return self._database.cursor()

    def release(self) -> None:
        if not self._shared and not self._database.is_closed():
            connection = self._database.connection()
            with suppress(TypeError):  # one that allows no weak references is in _strong
                self._open.discard(connection)
            self._strong = [other for other in self._strong if other is not connection]
            self._database.close()

    def renew(self) -> None:
        if self._shared or self._database.is_closed():
            return
        try:
            self._database.connection().cursor().close()
        except Exception:  # dito
            with suppress(Exception):
                self.release()

    def close(self) -> None:
        self.release()
        super().close()
        for connection in self._strong:
            # A driver may refuse to close what another thread has opened; it then ends with that thread.
            with suppress(Exception):
                connection.close()
        self._strong = []
        self._database.dispose()

    def abandon(self) -> None:
        super().abandon()
        self._inherited.extend(self._strong)
        self._strong = []
        self._database.dispose()

    def _remember(self, connection: Any) -> None:
        try:
            self._open.add(connection)
        except TypeError:  # no weak references to this driver's connections
            self._strong.append(connection)


def connections(opened: Opened) -> Connections:
    """The connections of an opened backend, in whichever way it has them."""
    make: Callable[[Opened], Connections] = ThroughPeewee
    if opened.pool is not None:
        make = Pooled
    elif opened.connect is not None:
        make = Direct
    return make(opened)
