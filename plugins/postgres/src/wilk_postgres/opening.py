"""Opens a store on PostgreSQL: the URL with its options, the pool, and how a store behaves on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import tuple_row

from wilk.contracts import Opened
from wilk_postgres.addresses import Address, parsed
from wilk_postgres.database import attached
from wilk_postgres.failures import translated
from wilk_postgres.full_text import TextSearch
from wilk_postgres.pool import ServerPool, prepare

if TYPE_CHECKING:
    from wilk import Settings

ALONE = "alone"
BESIDE = "beside"


def open_postgres(url: str, settings: Settings) -> Opened:
    """Open ``postgresql://user:password@host:port/database?option=value``.

    The options are those of libpq (several hosts, ``sslmode``, ``target_session_attrs``), and those of
    :class:`Address`. Raises SettingsError for an option that is neither.
    """
    address = parsed(url, settings)
    pool = ServerPool(address)
    return Opened(
        pool=pool,
        attach=lambda connection: attached(connection, address),
        timeout=address.timeout,
        readonly=address.readonly,
        writers=address.pool_size,
        full_text=TextSearch(),
        migration_lock=lambda: _migrating(address),
        snapshot="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        beside=(BESIDE,),
        stream=_streaming,
        translate=lambda error: translated(error, address),
    )


def _streaming(connection: Any) -> Any:
    """A cursor of the server's, which sends rows a thousand at a time."""
    cursor = connection.cursor(name="wilk_walk", scrollable=False)
    cursor.itersize = 1000
    return cursor


@contextmanager
def _migrating(address: Address) -> Iterator[None]:
    """Let one process at a time migrate, by a lock that ends with its connection."""
    with psycopg.connect(
        address.conninfo, autocommit=True, row_factory=tuple_row, connect_timeout=address.connect_timeout
    ) as connection:
        prepare(connection, address)
        connection.execute("SET lock_timeout = '120s'")
        connection.execute("SELECT pg_advisory_lock(%s)", [address.lock + 1])
        yield
