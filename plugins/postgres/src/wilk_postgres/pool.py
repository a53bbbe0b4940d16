"""Connections to a server: lent for a transaction or a statement, tried when they have idled, renewed in time."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.numeric import FloatLoader, IntLoader
from psycopg_pool import ConnectionPool, PoolTimeout

from wilk_postgres.addresses import Address

_IDLE = 1.0
"""Seconds after which a connection is tried before it is lent."""


class _Whole(psycopg.adapt.Loader):
    """A ``numeric``, as sums and averages are: an int when it is whole, else a float."""

    def load(self, data: Any) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or not text.lstrip(b"-").isdigit() else int(text)


class ServerPool:
    """The pool of one store."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._pool: ConnectionPool[Any] | None = None

    def take(self, *, reading: bool) -> Any:
        pool = self._pool or self._opened()
        try:
            return pool.getconn()
        except PoolTimeout as error:
            raise psycopg.OperationalError(
                f"no connection to the server within {self._address.timeout:g} s"
            ) from error

    def give(self, connection: Any) -> None:
        connection.wilk_used = time.monotonic()
        pool = self._pool
        if pool is None:
            connection.close()
        else:
            pool.putconn(connection)

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def abandon(self) -> None:
        self._lock = threading.Lock()
        self._pool = None

    def _opened(self) -> ConnectionPool[Any]:
        with self._lock:
            if self._pool is None:
                address = self._address
                self._pool = ConnectionPool(
                    address.conninfo,
                    kwargs={"autocommit": True, "row_factory": tuple_row},
                    min_size=1,
                    max_size=address.pool_size,
                    timeout=address.timeout,
                    max_lifetime=address.pool_lifetime,
                    configure=lambda connection: prepare(connection, address),
                    check=_check,
                    open=True,
                )
            return self._pool


def _check(connection: Any) -> None:
    """Try a connection that nobody has used for a while; the pool replaces one that fails."""
    if time.monotonic() - getattr(connection, "wilk_used", 0.0) > _IDLE:
        ConnectionPool.check_connection(connection)


def prepare(connection: Any, address: Address) -> None:
    """Bring a new connection to the state that wilk wants."""
    connection.adapters.register_loader("numeric", _Whole)
    limits = f"SET lock_timeout = {round(address.timeout * 1000)}; SET statement_timeout = {round(address.statement_timeout * 1000)}"
    connection.execute(f"{limits}; SET client_encoding = 'UTF8'; SET search_path = {_quoted(address.schema)}")
    if address.readonly:
        connection.execute("SET default_transaction_read_only = on")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
