"""The connections to one server: bounded, tried before they are lent, replaced in time."""

from __future__ import annotations

import os
import threading
import time

import psycopg

from wilk.contracts.figures import PoolFigures
from wilk.errors import Busy
from wilk_postgres.addresses import Address
from wilk_postgres.connecting import Connection, alive, connect, settle

_SPARE = 600.0
"""Seconds of idleness after which a connection is closed, if another is left."""

_inherited: list[Connection] = []
"""Connections of a parent process: they are never closed here, for that would end the parent's sessions."""


class Exhausted(Busy):
    """All connections of the pool are in use."""


class Connections:
    """A pool of connections to one server, without threads: whoever needs a connection opens it."""

    def __init__(self, address: Address, conninfo: str) -> None:
        self._address = address
        self._conninfo = conninfo
        self._changed = threading.Condition(threading.Lock())
        self._idle: list[Connection] = []  # the one that was used last stands last
        self._open: set[Connection] = set()
        self._opening = 0
        self._waiting = 0
        self._replaced = 0
        self._generation = 0
        self._closed = False

    def take(self, patience: float | None = None) -> Connection:
        """Lend a connection that works. Raises Busy when there is none for ``patience`` seconds (by default
        the store's time limit), and BackendError when the server refuses one."""
        patience = self._address.timeout if patience is None else patience
        deadline = time.monotonic() + patience
        while True:
            connection = self._next(deadline, patience)
            if connection is None:
                return self._opened()
            idle = time.monotonic() - connection.used
            if alive(connection, ask=idle >= self._address.pool_ping):
                connection.begun, connection.position = 0, None
                return connection
            self._drop(connection)

    def give(self, connection: Connection) -> None:
        """Take a connection back, whatever state it is in."""
        keep = settle(connection)
        now = connection.used = time.monotonic()
        with self._changed:
            keep = keep and not self._closed and self._fresh(connection, now)
            spare = None
            if keep:
                self._idle.append(connection)
                if len(self._idle) > 1 and now - self._idle[0].used > _SPARE:
                    spare = self._idle.pop(0)
                    self._open.discard(spare)
                self._changed.notify()
        if not keep:
            self._drop(connection)
        if spare is not None:
            spare.close()

    def renew(self) -> None:
        """Replace all connections: idle ones now, lent ones when they come back."""
        with self._changed:
            self._generation += 1
            idle, self._idle = self._idle, []
        for connection in idle:
            self._drop(connection)

    def close(self) -> None:
        """Close all connections; what is lent is closed when it is given back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for connection in idle:
            self._drop(connection)

    def abandon(self) -> None:
        """In a forked child: let go of the parent's connections without a word to the server."""
        for connection in self._open:
            _let_go(connection)
        _inherited.extend(self._open)
        self.__init__(self._address, self._conninfo)  # type: ignore[misc]

    def figures(self) -> PoolFigures:
        """How the pool fares just now."""
        with self._changed:
            size, idle = len(self._open), len(self._idle)
            return PoolFigures(
                size=size,
                largest=self._address.pool_size,
                in_use=size - idle,
                idle=idle,
                waiting=self._waiting,
                replaced=self._replaced,
            )

    def _next(self, deadline: float, patience: float) -> Connection | None:
        """An idle connection, or None with the right to open one."""
        with self._changed:
            while True:
                if self._closed:
                    raise psycopg.OperationalError("the pool is closed")
                if self._idle:
                    connection = self._idle.pop()
                    if self._fresh(connection, time.monotonic()):
                        return connection
                    break
                if len(self._open) + self._opening < self._address.pool_size:
                    self._opening += 1
                    return None
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Exhausted(
                        f"all {self._address.pool_size} connections of this process were in use for over "
                        f"{patience:g} s; try again, or use a larger pool_size"
                    )
                self._waiting += 1
                try:
                    self._changed.wait(left)
                finally:
                    self._waiting -= 1
        self._drop(connection)
        return self._next(deadline, patience)

    def _opened(self) -> Connection:
        connection = None
        generation = self._generation
        try:
            connection = connect(self._address, self._conninfo)
            connection.lender, connection.generation = self, generation
        finally:
            with self._changed:
                self._opening -= 1
                if connection is None:
                    self._changed.notify()
                else:
                    self._open.add(connection)
        return connection

    def _fresh(self, connection: Connection, now: float) -> bool:
        return connection.generation == self._generation and now < connection.expires

    def _drop(self, connection: Connection) -> None:
        connection.close()
        with self._changed:
            self._open.discard(connection)
            if not self._closed:
                self._replaced += 1
            self._changed.notify()


def _let_go(connection: Connection) -> None:
    """Put nothing in the place of a socket that a parent process uses.

    The server would otherwise keep a session, and its locks, for as long as the child lives.
    """
    if connection.closed:
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(nothing, connection.fileno(), inheritable=False)
    finally:
        os.close(nothing)
