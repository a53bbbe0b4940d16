"""The connections of a store: to the primary, and for reading to its replicas."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from wilk.contracts.figures import PoolFigures
from wilk_postgres.addresses import Address
from wilk_postgres.connecting import Connection
from wilk_postgres.connections import Connections
from wilk_postgres.replicas import Replicas


class _Mood(threading.local):
    unhurried = False


class ServerPool:
    """The pool of one store."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._mood = _Mood()
        self._primary = Connections(address, address.conninfo)
        self._replicas = Replicas(address, self._primary) if address.replicas else None

    def take(self, *, reading: bool) -> Connection:
        """Lend a connection; for ``reading`` one to a replica that has followed, if there is one."""
        if reading and self._replicas is not None and not self._mood.unhurried:
            connection = self._replicas.take()
            if connection is not None:
                return connection
        connection = self._primary.take()
        if self._mood.unhurried and self._address.statement_timeout:
            connection.worn = True
            try:
                connection.execute("SET statement_timeout = 0")
            except BaseException:
                self._primary.give(connection)
                raise
        return connection

    def give(self, connection: Connection) -> None:
        lender = connection.lender
        # A commit of a transaction told its position. Of anything else the position is not known.
        told = connection.begun == 1 and connection.position is not None
        if self._replicas is not None and lender is self._primary and not told:
            self._replicas.ask()
        lender.give(connection)

    def reached(self, position: int) -> None:
        """A commit of this process lies before this position of the primary's log."""
        if self._replicas is not None:
            self._replicas.reached(position)

    def heard(self) -> None:
        """Others have written, as this process was told: what it reads from now on is not older."""
        if self._replicas is not None:
            self._replicas.ask()

    def renew(self) -> None:
        """Replace the connections to the primary, which is not one any more."""
        self._primary.renew()

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Let the calling thread's statements take their time, on the primary, for a block."""
        self.heard()
        self._mood.unhurried = True
        try:
            yield
        finally:
            self._mood.unhurried = False
            self.heard()

    def figures(self) -> PoolFigures:
        """How the connections fare, those to replicas among them."""
        each = [pool.figures() for pool in self._pools()]
        return PoolFigures(*(sum(values) for values in zip(*each, strict=True)))

    def close(self) -> None:
        for pool in self._pools():
            pool.close()

    def abandon(self) -> None:
        for pool in self._pools():
            pool.abandon()
        self._mood = _Mood()
        if self._replicas is not None:
            self._replicas = Replicas(self._address, self._primary)

    def _pools(self) -> list[Connections]:
        return [self._primary, *(self._replicas.pools if self._replicas is not None else ())]
