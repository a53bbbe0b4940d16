"""One connection to a server: how it is opened and prepared, how it is tried, and why it is refused."""

from __future__ import annotations

import logging
import os
import random
import re
import select
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from wilk.errors import BackendError, Busy, WilkError
from wilk_postgres.addresses import Address, quoted, with_defaults

if TYPE_CHECKING:
    from wilk_postgres.connections import Connections

OLDEST = 140_000
"""The oldest server that is taken, as PostgreSQL numbers its versions."""


class Whole(Loader):
    """A ``numeric``, as sums and averages are: an int when it is whole, else a float."""

    def load(self, data: Any) -> int | float:
        text = bytes(data)
        return int(text) if text.lstrip(b"-").isdigit() else float(text)


class Connection(psycopg.Connection[TupleRow]):
    """A connection with what its pool notes of it.

    ``lender``: the pool. ``expires``: when it is to be replaced. ``used``: when it was last given back.
    ``generation``: that of the pool when it was opened. ``begun``: transactions since it was lent.
    ``position``: where the server's log ended after its last commit, if that was asked. ``follows``:
    whether it leads to a replica that follows. ``worn``: not to be lent again.
    """

    lender: Connections
    expires = 0.0
    used = 0.0
    generation = 0
    begun = 0
    position: int | None = None
    follows = False
    worn = False
    process = 0

    def __del__(self, *_: Any) -> None:
        if self.process == os.getpid():  # in a forked child it is its parent's
            super().__del__()


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a record of psycopg's tells more than the error that it goes with, which is raised anyway."""
    return not (isinstance(record.msg, str) and record.msg.startswith("error ignored terminating"))


def connect(address: Address, conninfo: str | None = None) -> Connection:
    """Open a connection. Raises BackendError, which tells what to do, or Busy."""
    params = with_defaults(address.conninfo if conninfo is None else conninfo, os.environ)
    logging.getLogger("psycopg").addFilter(_is_news)
    try:
        connection = Connection.connect("", autocommit=True, **params)
    except psycopg.Error as error:
        raise refusal(error, params) from error
    connection.process = os.getpid()
    try:
        _check(connection)
        _prepare(connection, address)
    except psycopg.Error as error:
        connection.close()
        raise refusal(error, params) from error
    except BaseException:
        connection.close()
        raise
    now = time.monotonic()
    connection.used = now
    # Not all at once, when many were opened together.
    connection.expires = now + address.pool_lifetime * random.uniform(0.9, 1.0)  # noqa: S311 (no secret)
    return connection


def _check(connection: Connection) -> None:
    info = connection.info
    if info.server_version < OLDEST:
        raise BackendError(
            f"the server is PostgreSQL {info.server_version // 10_000}; "
            f"wilk wants {OLDEST // 10_000} or newer"
        )
    encoding = info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        raise BackendError(
            f"the database {info.dbname!r} holds text as {encoding}; make one that holds all text: "
            f"CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'"
        )


def _prepare(connection: Connection, address: Address) -> None:
    """Bring a new connection to the state that wilk wants, in one message."""
    connection.adapters.register_loader("numeric", Whole)
    wanted = [
        f"SET lock_timeout = {max(1, round(address.timeout * 1000))}",  # 0 would be for ever
        f"SET statement_timeout = {_milliseconds(address.statement_timeout)}",
        f"SET search_path = {quoted(address.schema)}",
        "SET standard_conforming_strings = on",
    ]
    if address.readonly:
        wanted.append("SET default_transaction_read_only = on")
    connection.execute("; ".join(wanted).encode())


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0


def alive(connection: Connection, *, ask: bool = False) -> bool:
    """Whether the server still has this connection; with ``ask`` it is asked, else only when it has spoken.

    A server that ends a connection says so or closes it: either can be seen without asking.
    """
    if connection.closed:
        return False
    try:
        if ask or _readable(connection.fileno()):
            connection.execute(b"")
    except (psycopg.Error, OSError):
        return False
    return not connection.closed


def _readable(handle: int) -> bool:
    """Whether there is something to read, or the end."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([handle], [], [], 0)[0])


def settle(connection: Connection) -> bool:
    """Leave no transaction behind; False when the connection is of no more use."""
    if connection.closed or connection.worn:
        return False
    status = connection.pgconn.transaction_status
    if status == TransactionStatus.IDLE:
        return True
    if status not in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        return False  # in the middle of a statement
    try:
        connection.execute(b"ROLLBACK")
    except psycopg.Error:
        return False
    return not connection.closed


_REFUSALS = (
    (
        r"too many clients|remaining connection slots|too many connections",
        Busy,
        "the server has no connection left; use a smaller pool_size, or raise max_connections there",
    ),
    (
        r"starting up|shutting down|recovery mode|not yet accepting|not accepting",
        Busy,
        "try again when it is up",
    ),
    (
        r"password authentication failed|no password supplied|fe_sendauth",
        BackendError,
        "give the right password in PGPASSWORD or ~/.pgpass (readable by you alone), or in the URL",
    ),
    (r'role ".*" does not exist', BackendError, "name another user in the URL, or make it: createuser NAME"),
    (r'database ".*" does not exist', BackendError, "make it: createdb {dbname}"),
    (r"no pg_hba\.conf entry", BackendError, "allow this user and this machine in the server's pg_hba.conf"),
    (
        r"session is read-only|server is in hot standby mode",
        BackendError,
        "no server that can be written is among the hosts; try again when a standby has been promoted",
    ),
    (
        r"could not translate host name|resolve|Name or service not known",
        BackendError,
        "is the host's name spelled right?",
    ),
    (
        r"refused|timeout expired|timed out|No such file|unreachable|No route",
        BackendError,
        "is the server up, and are host and port right?",
    ),
    (
        r"permission denied for database",
        BackendError,
        "let its owner run: GRANT CONNECT ON DATABASE {dbname} TO …",
    ),
)


def refusal(error: psycopg.Error, params: dict[str, Any]) -> WilkError:
    """Why there is no connection, and what can be done about it."""
    text = " ".join(str(error).split())
    text = re.sub(r"^connection (?:failed|is bad): | Is the server running [^?]*\?", "", text)
    for secret in (params.get("password"), params.get("sslpassword")):
        if secret:
            text = text.replace(str(secret), "***")
    for pattern, kind, advice in _REFUSALS:
        if re.search(pattern, text):
            advice = advice.format(dbname=params.get("dbname") or params.get("user") or "NAME")
            return kind(f"no connection to PostgreSQL: {text}; {advice}")
    return BackendError(f"no connection to PostgreSQL: {text}")
