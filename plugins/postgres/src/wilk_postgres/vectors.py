"""The index ``pgvector``: finds the nearest vectors in the store's own database, where that can."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from wilk.contracts import VectorIndex
from wilk.errors import BackendError
from wilk_postgres.addresses import quoted
from wilk_postgres.connections import Connections
from wilk_postgres.failures import translated

if TYPE_CHECKING:
    from wilk.contracts import Nearest, SpaceRows
    from wilk.settings import Settings
    from wilk_postgres.addresses import Address
    from wilk_postgres.connecting import Connection
    from wilk_postgres.nearest import NearestOnServer
    from wilk_postgres.vector_forms import Form

NAME = "pgvector"
_OLDEST = (0, 5)
_LONGEST = {"vector": 2000, "halfvec": 4000}
"""Dimensions of which the server builds a graph."""
_HALVES, _ITERATES = (0, 7), (0, 8)

_servers: weakref.WeakSet[VectorServer] = weakref.WeakSet()


class Extension(NamedTuple):
    """The extension as it is in the database."""

    schema: str
    version: tuple[int, ...]

    @property
    def iterates(self) -> bool:
        """Whether a search through the graph goes on while a filter leaves too little."""
        return self.version >= _ITERATES


class VectorServer:
    """The way to the database for the indexes of one store: a few connections of their own.

    A search often runs while its thread holds a connection of the store's pool; were it to want another one
    of the same pool, threads could wait for each other.
    """

    def __init__(self, address: Address) -> None:
        self.address = replace(
            address, pool_size=min(4, address.pool_size), statement_timeout=0.0, replicas=()
        )
        self._lock = threading.Lock()
        self._pool: Connections | None = None
        self._users = 0
        self._extension: Extension | None = None
        self._missing: str | None = None
        _servers.add(self)

    def offer(self) -> VectorIndex:
        """The index, for :class:`wilk.contracts.Opened`."""
        return VectorIndex(
            NAME,
            self.open,
            "searches a graph in the store's PostgreSQL, by its extension vector",
            work=_work,
            refuses=self.refuses,
        )

    def open(self, rows: SpaceRows, settings: Settings) -> Nearest:
        """Open the index of a space. Raises BackendError where there can be none."""
        from wilk_postgres.nearest import NearestOnServer

        refused = self.refuses(rows.dimension)
        if refused is not None:
            raise BackendError(f"vectors cannot be searched by {NAME}: {refused}")
        with self._lock:
            self._users += 1
        try:
            return NearestOnServer(self, rows, settings)
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """One index less; with the last one the connections end."""
        with self._lock:
            self._users -= 1
            pool = None
            if not self._users:
                pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    @property
    def extension(self) -> Extension:
        """The extension; it is there, once :meth:`refuses` said so."""
        if self._extension is None:
            raise BackendError(f"{NAME} is not there: {self._missing}")
        return self._extension

    def refuses(self, dimension: int) -> str | None:
        """Why vectors of a dimension cannot be searched here; None when they can."""
        if self._extension is None and self._missing is None:
            with self._lock:
                self._users += 1
            try:
                with self.lent() as connection:
                    self._look(connection)
            finally:
                self.leave()
        if self._extension is None:
            return self._missing
        longest = _LONGEST["halfvec" if self._extension.version >= _HALVES else "vector"]
        if dimension > longest:
            return f"its graphs take vectors of up to {longest} values, not of {dimension}"
        return None

    def form(self, dimension: int, distance: str) -> Form:
        """How vectors lie in a table."""
        from wilk_postgres.vector_forms import Form

        kind = "vector" if dimension <= _LONGEST["vector"] else "halfvec"
        return Form(kind, dimension, distance, self.extension.schema)

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """A connection for a block; errors of the driver come out as wilk's."""
        with self._lock:
            if self._pool is None:
                self._pool = Connections(self.address, self.address.conninfo)
            pool = self._pool
        connection = pool.take()
        try:
            yield connection
        except psycopg.Error as error:
            raise translated(error, self.address) or BackendError(f"{NAME}: {error}") from error
        finally:
            pool.give(connection)

    def _look(self, connection: Connection) -> None:
        """Find the extension, or make it."""
        self._extension = _found(connection)
        if self._extension is None and not self.address.readonly:
            try:
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
            except psycopg.Error as error:
                told = " ".join(str(error).split())
                self._missing = f"CREATE EXTENSION vector fails: {told}"
            self._extension = _found(connection)  # another process may have been quicker
        if self._extension is None:
            self._missing = self._missing or "the database has no extension vector"
        elif self._extension.version < _OLDEST:
            self._missing = (
                f"its version {'.'.join(map(str, self._extension.version))} builds no graphs; update it"
            )
            self._extension = None

    def _born(self) -> None:
        """In a forked child: the connections are the parent's."""
        pool, self._pool = self._pool, None
        self._lock = threading.Lock()
        if pool is not None:
            pool.abandon()


def _found(connection: Connection) -> Extension | None:
    row = connection.execute(
        "SELECT nspname, extversion FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace "
        "WHERE extname = 'vector'"
    ).fetchone()
    if row is None:
        return None
    return Extension(quoted(row[0]), tuple(int(part) for part in str(row[1]).split(".") if part.isdigit()))


def _work(index: NearestOnServer) -> bool:
    return index.work()


def _forked() -> None:
    for server in list(_servers):
        server._born()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
