"""What tests do with the sessions of a PostgreSQL server: name, end and count them, and wait for a fact."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
from tests.servers.postgres import PostgresServer

import wilk


def with_options(url: str, **options: object) -> str:
    """A URL with options; those whose value is None are left out."""
    given = "&".join(f"{name}={value}" for name, value in options.items() if value is not None)
    return url + ("&" if "?" in url else "?") + given if given else url


def process_of(connection: psycopg.Connection) -> int:
    """The server's process behind a connection."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def serving(store: wilk.Store) -> int:
    """The server's process behind the calling thread's transaction."""
    return int(store._engine.execute("SELECT pg_backend_pid()")[0][0])


def end(url: str, process: int) -> None:
    """End one of the server's processes, and wait until it is gone."""
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [process])


def processes(server: PostgresServer, url: str, where: str = "true") -> list[int]:
    """The server's processes behind the connections to a database."""
    name = url.rpartition("/")[2].partition("?")[0]
    rows = server.execute(
        f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}' AND ({where}) ORDER BY pid"
    )
    return [int(pid) for (pid,) in rows]


def wait_until(fact: Callable[[], object]) -> None:
    """Wait until something is so, or fail after a while."""
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
