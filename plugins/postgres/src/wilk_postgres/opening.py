"""Opens a store on PostgreSQL: the URL with its options, the pool, and how a store behaves on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.errors import InsufficientPrivilege, LockNotAvailable

from wilk.contracts import Opened
from wilk.errors import BackendError, Busy
from wilk_postgres.addresses import Address, parsed, quoted
from wilk_postgres.connecting import Connection, connect
from wilk_postgres.failures import stands_by, translated
from wilk_postgres.full_text import TextSearch
from wilk_postgres.moving import identity, renumber
from wilk_postgres.pool import ServerPool
from wilk_postgres.vectors import VectorServer

if TYPE_CHECKING:
    from peewee import Database

    from wilk import Settings
    from wilk.contracts import Bus, Erasing, Figures, Maintaining
    from wilk.errors import WilkError

BESIDE = "beside"
"""What Peewee's ``begin`` is given by a transaction that may run beside others that are."""
_LONGEST_MIGRATION = 120
"""Seconds for which a process waits while another migrates."""

_walks = itertools.count(1)


def open_postgres(url: str, settings: Settings) -> Opened:
    """Open ``postgresql://user:password@host:port/database?option=value``.

    The options are those of libpq (several hosts, ``sslmode``, ``target_session_attrs``), and those of
    :class:`Address`. Raises SettingsError for an option that is neither.
    """
    address = parsed(url, settings)
    pool = ServerPool(address)
    return Opened(
        pool=pool,
        attach=lambda connection: _attached(connection, address, pool),
        timeout=address.timeout,
        readonly=address.readonly,
        writers=address.pool_size,
        full_text=TextSearch(),
        migration_lock=lambda: _migrating(address, pool),
        snapshot="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        beside=(BESIDE,),
        stream=_Walk,
        translate=lambda error: _translated(error, address, pool),
        identity=lambda execute: identity(execute, address.schema),
        renumber=renumber,
        rows_per_insert=1,
        figures=lambda: _figures(address, pool),
        maintenance=lambda: _maintenance(address),
        erasing=lambda engine: _erasing(engine, address),
        bus=lambda: _bus(address),
        heard=pool.heard if address.replicas else None,
        vector_index=VectorServer(address).offer(),
    )


def _attached(connection: Callable[[], Any], address: Address, pool: ServerPool) -> Database:
    from wilk_postgres.database import attached  # with Peewee, which plain reading does without

    return attached(connection, address, pool.reached)


def _bus(address: Address) -> Bus:
    from wilk_postgres.notifying import ServerBus

    return ServerBus(address)


def _figures(address: Address, pool: ServerPool) -> Figures:
    from wilk_postgres.figures import PostgresFigures

    return PostgresFigures(address, pool)


def _maintenance(address: Address) -> Maintaining:
    from wilk_postgres.maintenance import PostgresMaintenance

    return PostgresMaintenance(address)


def _erasing(engine: Any, address: Address) -> Erasing:
    from wilk_postgres.erasing import ServerErasing

    return ServerErasing(engine, address)


def _translated(error: Exception, address: Address, pool: ServerPool) -> WilkError | None:
    if stands_by(error) and not address.readonly:
        pool.renew()  # it was a primary once: the others of the address may have another
    return translated(error, address)


class _Walk:
    """A cursor of the server's, under a name of its own: it sends rows two hundred at a time."""

    def __init__(self, connection: Any) -> None:
        self._cursor = connection.cursor(name=f"wilk_{next(_walks)}", scrollable=False)
        self._cursor.itersize = 200
        self._rows: Iterator[Any] = iter(())

    def execute(self, sql: str, parameters: Any) -> None:
        try:
            self._cursor.execute(sql, parameters)
        except BaseException:
            self._cursor.close()
            raise
        self._rows = iter(self._cursor)

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def close(self) -> None:
        self._cursor.close()


@contextmanager
def _migrating(address: Address, pool: ServerPool) -> Iterator[None]:
    """Let one process at a time migrate, by a lock that ends with its connection.

    Migrations see what another process has migrated meanwhile, and take as long as they take.
    """
    with ExitStack() as stack:
        connection = connect(address)
        stack.callback(connection.close)
        try:
            connection.execute("SET statement_timeout = 0")
            connection.execute(f"SET lock_timeout = {_LONGEST_MIGRATION * 1000}")
            connection.execute("SELECT pg_advisory_lock(%s)", [address.lock + 1])
            _make_schema(connection, address)
        except LockNotAvailable as error:
            raise Busy(
                f"another process has been migrating the database for over {_LONGEST_MIGRATION} s; try again"
            ) from error
        except psycopg.Error as error:
            meaning = translated(error, address)
            raise meaning or BackendError(f"the schema cannot be made: {error}") from error
        with pool.unhurried():
            yield


def _make_schema(connection: Connection, address: Address) -> None:
    """Make the schema if it is missing, and see that tables can be made in it."""
    schema, user = quoted(address.schema), quoted(connection.info.user)
    rights = connection.execute(
        "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s", [address.schema]
    ).fetchone()
    if rights is None:
        try:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
        except InsufficientPrivilege as error:
            raise BackendError(
                f"there is no schema {schema}, and the user {user} may not make it; let an owner of the "
                f"database run: CREATE SCHEMA {schema} AUTHORIZATION {user}"
            ) from error
    elif not rights[0]:
        raise BackendError(
            f"the user {user} may not make tables in schema {schema}; let its owner run: GRANT ALL ON SCHEMA "
            f"{schema} TO {user}, or name another with ?schema=NAME"
        )
