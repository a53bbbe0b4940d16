"""Read replicas: which of them has replayed what this process wrote or has seen, and may be read."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence

import psycopg
from psycopg.conninfo import conninfo_to_dict

from wilk.errors import WilkError
from wilk_postgres.addresses import Address
from wilk_postgres.connecting import Connection
from wilk_postgres.connections import Connections, Exhausted

logger = logging.getLogger("wilk.postgres")

_LAGGING = 0.2
"""Seconds for which a replica that lags is left alone."""
_FIRST_ABSENCE, _LONGEST_ABSENCE = 1.0, 30.0
"""Seconds for which a server that is down is left alone: at first, and at most."""
_FIRST_LOOK, _LONGEST_LOOK = 0.001, 0.01
"""Seconds between two looks at how far a replica is."""

POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
"""Where the log of a primary ends, in bytes since its beginning."""
_NEWEST = (
    "SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() "
    "ELSE pg_current_wal_insert_lsn() END, '0/0')"
)
_REPLAYED = "SELECT pg_is_in_recovery(), pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')"


class _Absence:
    """Until when a server is left alone; longer each time that it fails."""

    def __init__(self) -> None:
        self._until = 0.0
        self._next = _FIRST_ABSENCE

    def __bool__(self) -> bool:
        return time.monotonic() < self._until

    def lags(self) -> None:
        self._until = time.monotonic() + _LAGGING

    def failed(self) -> float:
        seconds, self._next = self._next, min(2 * self._next, _LONGEST_ABSENCE)
        self._until = time.monotonic() + seconds
        return seconds

    def answered(self) -> None:
        self._until, self._next = 0.0, _FIRST_ABSENCE


class Replica:
    """One replica, and how far it was when it was last asked."""

    def __init__(self, address: Address, conninfo: str) -> None:
        parts = conninfo_to_dict(conninfo)
        self.name = f"{parts.get('host')}:{parts.get('port')}"
        self.connections = Connections(address, conninfo)
        self.away = _Absence()
        self._wait = address.replica_wait
        self._replayed = 0

    def take(self, position: int) -> Connection | None:
        """Lend a connection on which all up to ``position`` can be read, or None."""
        if self.away:
            return None
        try:
            connection = self.connections.take(patience=0)
        except Exhausted:
            return None
        except (WilkError, psycopg.Error) as error:
            self._failed(error)
            return None
        reached = False
        try:
            reached = self._reached(connection, position)
        except psycopg.Error as error:
            connection.worn = True
            self._failed(error)
        finally:
            if not reached:
                self.connections.give(connection)
        return connection if reached else None

    def _reached(self, connection: Connection, position: int) -> bool:
        """Whether all up to ``position`` is there, or is within the time that is waited for it.

        A new connection may lead to a server that was made anew or is no replica any more, so it is asked.
        """
        if connection.follows and self._replayed >= position:
            return True
        until = time.monotonic() + self._wait
        pause = _FIRST_LOOK
        while True:
            row = connection.execute(_REPLAYED).fetchone()
            if row is None or not row[0]:
                connection.worn = True
                self._failed("it follows no other server")
                return False
            connection.follows = True
            self._replayed = row[1]
            if row[1] >= position:
                self.away.answered()
                return True
            left = until - time.monotonic()
            if left <= 0:
                self.away.lags()
                return False
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_LOOK)

    def _failed(self, why: object) -> None:
        logger.warning("the replica %s is left alone for %g s: %s", self.name, self.away.failed(), why)


class Replicas:
    """The replicas of a primary. What a process reads never goes back behind what it wrote or has read.

    That needs the primary's position whenever something was read or written elsewhere than on the
    replica in use; commits tell it by themselves.
    """

    def __init__(self, address: Address, primary: Connections) -> None:
        self._primary = primary
        self._replicas = [Replica(address, one) for one in address.replicas]
        random.shuffle(self._replicas)  # so that many processes spread over them
        self._unheard = _Absence()
        self._lock = threading.Lock()
        self._position = 0
        self._asked, self._answered = 1, 0
        self._last: Replica | None = None

    def take(self) -> Connection | None:
        """Lend a connection to a replica for reading, or None when none is there that has followed."""
        while not all(replica.away for replica in self._replicas):
            position = self._goal()
            replica, connection = self._first(position)
            if connection is None or replica is None:
                return None
            if self._last in (replica, None):
                self._last = replica
                return connection
            # The one before may have been ahead of this one: see that this one has followed.
            self._last = replica
            self.ask()
            replica.connections.give(connection)
        return None

    def reached(self, position: int) -> None:
        """A commit of this process lies before this position."""
        with self._lock:
            self._position = max(self._position, position)

    def ask(self) -> None:
        """Something was written or read on the primary: ask it for its position before the next reading."""
        with self._lock:
            self._asked += 1

    @property
    def pools(self) -> Sequence[Connections]:
        return [replica.connections for replica in self._replicas]

    def _first(self, position: int) -> tuple[Replica | None, Connection | None]:
        for replica in self._replicas:
            connection = replica.take(position)
            if connection is not None:
                return replica, connection
        return None, None

    def _goal(self) -> int:
        """The position that a replica must have reached."""
        with self._lock:
            asked, position = self._asked, self._position
            if self._answered == asked:
                return position
        if self._unheard:
            return position
        try:
            connection = self._primary.take()
            try:
                row = connection.execute(_NEWEST).fetchone()
            finally:
                self._primary.give(connection)
        except (WilkError, psycopg.Error) as error:
            # Without its primary a replica stands still; what this process wrote is seen to all the same.
            seconds = self._unheard.failed()
            logger.warning("the primary is not asked for its position for %g s: %s", seconds, error)
            return position
        self._unheard.answered()
        with self._lock:
            if row is not None:
                self._position = max(self._position, row[0])
            self._answered = max(self._answered, asked)
            return self._position
