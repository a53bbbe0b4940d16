"""What a PostgreSQL server tells of itself: who writes and who waits, its standbys, the bytes of tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from psycopg.conninfo import make_conninfo

from wilk.contracts.figures import EngineState, Lock, PoolFigures, Replica, Sizes, TableSize
from wilk.errors import WilkError
from wilk_postgres.addresses import Address, quoted
from wilk_postgres.connecting import connect

if TYPE_CHECKING:
    from wilk.contracts.backends import Execute

_LONG = 60.0
"""Seconds for which nobody holds the right to write who is well."""

_LIMITS = "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', %s, false)"

# A lock of 64 bits stands in pg_locks as two numbers of 32.
_WRITING = """
SELECT a.pid, a.application_name, a.client_addr::text, l.mode,
       EXTRACT(EPOCH FROM clock_timestamp() - COALESCE(a.xact_start, a.query_start))::float8
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND a.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = %s::bigint::oid AND l.objid = %s::bigint::oid
ORDER BY 5 DESC
"""
_WAITING = """
SELECT pid, application_name, client_addr::text, pg_blocking_pids(pid),
       EXTRACT(EPOCH FROM clock_timestamp() - query_start)::float8
FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
ORDER BY 5 DESC
"""
_STANDBYS = """
SELECT application_name, client_addr::text, state, EXTRACT(EPOCH FROM replay_lag)::float8,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint
FROM pg_stat_replication ORDER BY application_name, pid
"""
_SIZES = """
SELECT COALESCE(root.relname, c.relname), SUM(pg_total_relation_size(c.oid))::bigint,
       SUM(pg_indexes_size(c.oid))::bigint
FROM pg_class c LEFT JOIN pg_class root ON c.relispartition AND root.oid = pg_partition_root(c.oid)
WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p', 'm')
GROUP BY 1
"""


class _Lender(Protocol):
    def figures(self) -> PoolFigures: ...


class PostgresFigures:
    """The figures of one store on a server."""

    name = "PostgreSQL"

    def __init__(self, address: Address, pool: _Lender) -> None:
        self._address = address
        self._pool = pool

    @property
    def folder(self) -> Path | None:
        """The data lie on the server, whose disk is not ours to see."""
        return None

    @contextmanager
    def limited(self, execute: Execute, seconds: float) -> Iterator[None]:
        [before] = execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
        limit = max(1, round(seconds * 1000))
        execute(_LIMITS, (f"{limit}ms", f"{limit * 2}ms"))  # the one for locks says what is the matter
        try:
            yield
        finally:
            with suppress(Exception):  # a connection that is lost is replaced by the pool
                execute(_LIMITS, before)

    def missing(self) -> str | None:
        """Only a connection can tell."""
        return None

    def unreachable(self, seconds: float) -> str | None:
        """Tell why a new connection cannot be made."""
        conninfo = make_conninfo(self._address.conninfo, connect_timeout=max(2, round(seconds)))
        try:
            connect(self._address, conninfo).close()
        except WilkError as error:
            return str(error)
        return None

    def pool(self) -> PoolFigures:
        return self._pool.figures()

    def state(self, execute: Execute) -> EngineState:
        [(version, standby)] = execute("SELECT current_setting('server_version'), pg_is_in_recovery()")
        key = self._address.lock & (1 << 64) - 1
        locks, problems = [], []
        for pid, program, address, mode, seconds in execute(_WRITING, (key >> 32, key & 0xFFFFFFFF)):
            who = _who(pid, program, address)
            locks.append(
                Lock(who, False, seconds, "writes" if mode == "ExclusiveLock" else "writes beside others")
            )
            if (seconds or 0.0) > _LONG:
                problems.append(f"{who} has been writing for {seconds:.0f} s, and others wait for it")
        writing = bool(locks)
        for pid, program, address, blockers, seconds in execute(_WAITING):
            on = ", ".join(map(str, sorted(set(blockers))))
            locks.append(
                Lock(
                    _who(pid, program, address),
                    True,
                    seconds,
                    f"waits for {f'process {on}' if on else 'a lock'}",
                )
            )
        replicas: list[Replica] = []
        if not standby:
            replicas = [_replica(*row) for row in execute(_STANDBYS)]
        elif not self._address.readonly:
            problems.append("the server is a standby, which takes no writes")
        return EngineState(
            version.split()[0], writing=writing, locks=locks, replicas=replicas, problems=problems
        )

    def sizes(self, execute: Execute, *, measure: bool) -> Sizes:  # noqa: ARG002 (the server knows them anyway)
        tables = {
            name: TableSize(total - indexes, indexes)
            for name, total, indexes in execute(_SIZES, (quoted(self._address.schema),))
        }
        total = sum(one.bytes + one.index_bytes for one in tables.values())
        for name in [name for name in tables if name.endswith("_words")]:  # the full text of another one
            if (owner := tables.get(name.removesuffix("_words"))) is not None:
                words = tables.pop(name)
                tables[name.removesuffix("_words")] = TableSize(
                    owner.bytes, owner.index_bytes + words.bytes + words.index_bytes
                )
        return Sizes(tables, total, None, "pg_total_relation_size")


def _who(pid: int, program: str | None, address: str | None) -> str:
    """A process of the server, by the program that it works for."""
    where = address.partition("/")[0] if address else "the server"
    return f"process {pid} ({program or 'a program'} on {where})"


def _replica(name: str, address: str | None, state: str | None, lag: float | None, behind: Any) -> Replica:
    """A standby; one that has nothing to do tells no time."""
    seconds = 0.0 if lag is None and behind == 0 else lag
    where = f" on {address.partition('/')[0]}" if address else ""
    return Replica(f"{name or 'a standby'}{where}", state or "", seconds, behind)
