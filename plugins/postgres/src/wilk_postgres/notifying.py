"""The bus of a server: short messages by LISTEN and NOTIFY, between the stores of one schema."""

from __future__ import annotations

import json
import logging
import os
import secrets
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from psycopg import OperationalError
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus, PollingStatus
from psycopg.pq import PGconn as Connecting

from wilk_postgres.addresses import with_defaults

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from wilk_postgres.addresses import Address

logger = logging.getLogger("wilk.bus")

LOST = "lost"
_PIECE = 7900
"""Bytes of one notification: the server takes fewer than 8000."""
_LONGEST = 1_000_000
_WAITING = 10_000
_AT_ONCE = 500
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0
_SILENCE = 15.0
"""Seconds without a word after which the server is asked whether it is there."""
_PATIENCE = 10.0
"""Seconds within which the server answers, or is taken to be away."""
_CLOSING = 1.0

_buses: weakref.WeakSet[ServerBus] = weakref.WeakSet()
_inherited: list[PGconn] = []


class _Closing(Exception):
    """The bus closes; nothing is waited for any longer."""


class ServerBus:
    """One thread with one connection, which is there once something is published or heard.

    A message longer than a notification is sent in pieces, in one transaction. One longer than a megabyte,
    and all that wait when more than ten thousand do, become the message ``lost``, for all that hear it. What
    was being sent when the server went away is sent once more, so that it may come twice. Whoever begins to
    listen, or listens again, is told ``lost``: what was said before was not heard.
    """

    def __init__(self, address: Address) -> None:
        params = with_defaults(address.conninfo, os.environ)
        hosts = len(str(params.get("host") or "").split(","))
        self._connect_within = max(2.0, float(params.get("connect_timeout") or 0) or 10.0) * hosts
        self._conninfo = make_conninfo(**{"application_name": "wilk bus", **params}).encode()
        self._channel = "wilk_" + sha256(address.schema.encode()).hexdigest()[:24]
        self._listeners: list[Callable[[str, str], None]] = []
        self._begin()
        _buses.add(self)

    def _begin(self) -> None:
        self._origin = secrets.token_hex(6)
        self._sent = 0
        self._lock = threading.Lock()
        self._queue: deque[tuple[str, str]] = deque()
        self._thread: threading.Thread | None = None
        self._ears: Any = None  # a socket on which the thread hears that there is something to do
        self._bell: Any = None
        self._closing = False
        self._ends = 0.0
        self._away = False
        self._connection: PGconn | None = None
        self._pieces: dict[str, tuple[str, list[str]]] = {}

    # -- the contract ---------------------------------------------------------------------

    def publish(self, topic: str, text: str) -> None:
        """Send a message as soon as that can be, without waiting and without raising."""
        with self._lock:
            if self._closing:
                return
            if len(self._queue) >= _WAITING:
                self._queue.clear()
                self._queue.append((LOST, ""))
            self._queue.append((topic, text))
            self._wake()

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        """Tell ``listener(topic, text)`` of every message from now on, on the thread of the bus."""
        with self._lock:
            if not self._closing:
                self._listeners.append(listener)
                self._wake()

    def close(self) -> None:
        """Send what waits, at most for a second, and end."""
        with self._lock:
            self._closing = True
            self._ends = time.monotonic() + _CLOSING
            thread = self._thread
            if self._bell is not None:
                self._ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _wake(self) -> None:
        """Begin, or let the thread look."""
        if self._thread is None:
            self._ears, self._bell = socket.socketpair()
            self._ears.setblocking(False)
            self._bell.setblocking(False)
            self._thread = threading.Thread(target=self._run, name="wilk-postgres-bus", daemon=True)
            self._thread.start()
        else:
            self._ring()

    def _ring(self) -> None:
        with suppress(OSError):  # it rings already
            self._bell.send(b".")

    # -- the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        try:
            while not self._closing or self._queue:
                try:
                    with self._connected() as connection:
                        self._tell_back()
                        pause = _FIRST_PAUSE
                        self._serve(connection)
                except (OperationalError, OSError) as error:
                    if not self._tell_away(error):
                        pause = min(pause * 2, _LAST_PAUSE)
                    self._rest(pause)
        except _Closing:
            pass
        finally:
            with self._lock:
                self._closing = True
                ears, bell, self._ears, self._bell = self._ears, self._bell, None, None
            for one in (ears, bell):
                if one is not None:
                    one.close()

    def _serve(self, connection: PGconn) -> None:
        """Send and hear until the bus closes; raises when the connection ends, or the server is silent."""
        listening = False
        heard = time.monotonic()
        while True:
            if self._listeners and not listening:
                self._ask(connection, f'LISTEN "{self._channel}"')
                listening = True
                self._tell(LOST, "")
            self._send(connection)
            self._hear(connection)
            if self._closing and not self._queue:
                return
            if self._wait(connection, until=heard + _SILENCE):
                heard = time.monotonic()
                connection.consume_input()
            elif time.monotonic() >= heard + _SILENCE:
                self._ask(connection, "SELECT 1")
                heard = time.monotonic()

    def _send(self, connection: PGconn) -> None:
        """Send what waits; it leaves the queue when the server has it."""
        while self._queue:
            with self._lock:
                some = [self._queue[at] for at in range(min(_AT_ONCE, len(self._queue)))]
            payloads = [payload for topic, text in some for payload in self._payloads(topic, text)]
            self._ask(
                connection,
                "SELECT pg_notify($1, payload) FROM json_array_elements_text($2::json) AS payload",
                [self._channel, json.dumps(payloads)],
            )
            with self._lock:
                for one in some:
                    if self._queue and self._queue[0] is one:  # else they were too many, and thrown away
                        self._queue.popleft()

    def _payloads(self, topic: str, text: str) -> Iterator[str]:
        """A message as notifications. They are numbered: the server drops what it was told already."""
        whole = json.dumps([topic, text])  # ASCII, with all that a text of the server cannot have escaped
        if len(whole) > _LONGEST:
            whole = json.dumps([LOST, ""])
        count = -(-len(whole) // (_PIECE - 60))
        self._sent += 1
        for part in range(count):
            piece = whole[part * (_PIECE - 60) : (part + 1) * (_PIECE - 60)]
            yield f"{self._origin}.{self._sent}.{part}.{count} {piece}"

    def _hear(self, connection: PGconn) -> None:
        while (notice := connection.notifies()) is not None:
            if notice.relname.decode() == self._channel:
                self._take(notice.extra.decode(errors="replace"))

    def _take(self, payload: str) -> None:
        """Put pieces together, and tell of what is whole. Anybody may write to a channel."""
        head, _, piece = payload.partition(" ")
        try:
            origin, number, part, count = head.split(".")
            if int(part) == 0:
                self._pieces[origin] = (number, [])
            known, pieces = self._pieces[origin]
            if known != number or len(pieces) != int(part):
                raise ValueError(f"piece {head} is out of its place")
            pieces.append(piece)
            if len(pieces) < int(count):
                return
            del self._pieces[origin]
            topic, text = json.loads("".join(pieces))
            if not isinstance(topic, str) or not isinstance(text, str):
                raise TypeError("two texts are wanted")
        except (ValueError, TypeError, KeyError) as error:
            logger.debug("a notification that is none of wilk's is passed over: %s", error)
            return
        self._tell(topic, text)

    def _tell(self, topic: str, text: str) -> None:
        for listener in list(self._listeners):
            try:
                listener(topic, text)
            except Exception:
                logger.exception("a listener of the bus failed")

    def _tell_away(self, error: Exception) -> bool:
        """Log, once, that the server is away; whether this was news."""
        news, self._away = not self._away, True
        if news and not self._closing:
            logger.warning(
                "PostgreSQL tells of no changes: %s; other stores hear of them when that is over",
                " ".join(str(error).split()) or type(error).__name__,
            )
        return news

    def _tell_back(self) -> None:
        if self._away:
            logger.warning("PostgreSQL tells of changes again")
        self._away = False

    # -- the connection, at which nothing is waited for that cannot be interrupted -----------

    @contextmanager
    def _connected(self) -> Iterator[PGconn]:
        connection: PGconn = Connecting.connect_start(self._conninfo)
        self._connection = connection
        try:
            until = time.monotonic() + self._connect_within
            while (status := connection.connect_poll()) != PollingStatus.OK:
                if status == PollingStatus.FAILED:
                    raise OperationalError(connection.get_error_message())
                self._wait(
                    connection, write=status == PollingStatus.WRITING, until=until, late="a connection"
                )
            connection.nonblocking = 1
            self._pieces.clear()
            yield connection
        finally:
            self._connection = None
            connection.finish()

    def _ask(self, connection: PGconn, sql: str, values: list[str] | None = None) -> None:
        """Run a statement whose answer nobody needs."""
        until = time.monotonic() + _PATIENCE
        connection.send_query_params(sql.encode(), [value.encode() for value in values or ()])
        while connection.flush():
            self._wait(connection, write=True, until=until, late="a statement")
            connection.consume_input()
        while True:
            while connection.is_busy():
                self._wait(connection, until=until, late="an answer")
                connection.consume_input()
            result = connection.get_result()
            if result is None:
                return
            if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
                raise OperationalError(result.get_error_message())

    def _wait(self, connection: PGconn, *, until: float, write: bool = False, late: str = "") -> bool:
        """Wait until the connection is ready, and tell whether it is; without ``late`` also for news.

        Raises OperationalError when it is too ``late``, and _Closing when the bus may wait no longer.
        """
        with selectors.DefaultSelector() as selector:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
            handle = selector.register(connection.socket, events).fileobj
            selector.register(self._ears, selectors.EVENT_READ)
            while True:
                end = min(until, self._ends) if self._closing else until
                ready = {key.fileobj for key, _ in selector.select(max(0.0, end - time.monotonic()))}
                if self._ears in ready:
                    self._quiet()
                if handle in ready:
                    return True
                now = time.monotonic()
                if self._closing and now >= self._ends:
                    raise _Closing
                if now >= until:
                    if late:
                        raise OperationalError(f"the server kept us waiting for {late}")
                    return False
                if self._ears in ready and not late:
                    return False

    def _rest(self, seconds: float) -> None:
        """Wait before the next attempt."""
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._ears, selectors.EVENT_READ)
            while (left := until - time.monotonic()) > 0:
                if self._closing and (not self._queue or time.monotonic() >= self._ends):
                    raise _Closing
                if selector.select(min(left, self._ends - time.monotonic()) if self._closing else left):
                    self._quiet()

    def _quiet(self) -> None:
        with suppress(OSError):
            self._ears.recv(4096)

    # -- forks ----------------------------------------------------------------------------

    def _born(self) -> None:
        """In a forked child: thread and connection are the parent's; it begins again when it is used."""
        connection = self._connection
        if connection is not None:
            # Else the server would keep the parent's session for as long as the child lives.
            with suppress(Exception):
                nothing = os.open(os.devnull, os.O_RDWR)
                os.dup2(nothing, connection.socket, inheritable=False)
                os.close(nothing)
            _inherited.append(connection)
        for one in (self._ears, self._bell):
            if one is not None:
                one.close()
        closing = self._closing
        self._begin()
        self._closing = closing


def _forked() -> None:
    for bus in list(_buses):
        bus._born()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
