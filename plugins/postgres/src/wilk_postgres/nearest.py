"""The index of one space by pgvector: a table with a graph, and one of the vectors that wait for that."""

from __future__ import annotations

import logging
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

if TYPE_CHECKING:
    from wilk.contracts import SpaceRows
    from wilk.settings import Settings
    from wilk.vectors.flat import Flat
    from wilk_postgres.connecting import Connection
    from wilk_postgres.vector_forms import Floats, Numbers
    from wilk_postgres.vectors import VectorServer

logger = logging.getLogger("wilk.vectors")

_FORMAT = 1
_SMALL = 1000
"""Fewer vectors than this are compared one by one."""
_REST = 256  # vectors that may stay beside a graph: comparing them takes no time
_TAKEN_AT_ONCE = 4096
_PIECE = 0.5  # seconds of work at once
_NAP = 0.1  # seconds after which a process that is not the one that builds looks again
_MOST_GONE = 0.3
_SHRUNK = 1_000_000  # bytes of a table of which nothing is left
_SAMPLE = 64
_LEAST_LOOKED_AT, _MOST_LOOKED_AT = 100, 1000  # candidates that a search through the graph keeps
_FEW = 5000
"""Of so many that a filter leaves, all are compared."""
_WALKED = 10_000
"""Candidates that a filter may cost, before comparing all that it leaves is cheaper."""

_TABLES = """
CREATE TABLE {graph} (number bigint PRIMARY KEY, embedding {column} NOT NULL);
CREATE TABLE {waiting} (number bigint PRIMARY KEY, embedding {column} NOT NULL);
ALTER TABLE {graph} ALTER COLUMN embedding SET STORAGE {storage};
ALTER TABLE {waiting} ALTER COLUMN embedding SET STORAGE {storage};
CREATE INDEX ON {graph} USING hnsw (embedding {operators})
"""
_FITS_A_ROW = 1990  # values; longer vectors lie beside their rows, which takes longer to read
_MOVE = """
WITH moved AS (
    DELETE FROM {waiting} WHERE number IN (SELECT number FROM {waiting} ORDER BY number LIMIT %s)
    RETURNING number, embedding
) INSERT INTO {graph} SELECT number, embedding FROM moved ON CONFLICT DO NOTHING
"""
_NEAREST = """
SELECT (SELECT last FROM vector_graphs WHERE token = %(token)s),
    array_agg(number ORDER BY distance, number), array_agg(distance ORDER BY distance, number)
FROM (SELECT number, distance FROM (
    (SELECT number, embedding {operator} %(query)s::{column} AS distance FROM {graph} {among}
        ORDER BY {by} LIMIT %(k)s)
    UNION ALL
    (SELECT number, embedding {operator} %(query)s::{column} AS distance FROM {waiting} {among}
        ORDER BY 2 LIMIT %(k)s)
) AS both_tables ORDER BY distance, number LIMIT %(k)s) AS nearest
"""


class NearestOnServer:
    """An open index (:class:`wilk.Nearest`), shared by all processes that have the store open.

    What is added is copied into a table, which every search compares; :meth:`work` moves it into the table
    with the graph, some at a time, each time in a transaction. A row of ``vector_graphs`` says up to which
    number vectors were taken in, so that each is taken in once, by whichever process is first. A store
    that is opened readonly takes in nothing, and compares in memory what is not in the tables.
    """

    def __init__(self, server: VectorServer, rows: SpaceRows, settings: Settings) -> None:
        self._server = server
        self._rows = rows
        self._settings = settings
        self._form = server.form(rows.dimension, rows.distance)
        name = sha256(rows.token.encode()).hexdigest()[:20]
        self._names = {"graph": f"vector_graph_{name}", "waiting": f"vector_waiting_{name}"}
        self._kind = f"{_FORMAT} {self._form.type} {rows.dimension} {rows.distance}"
        self._last = 0
        self._step = 64
        self._moving = False  # whether all that waits is on its way into the graph
        self._closed = False
        self._readonly = server.address.readonly
        self._tail: Flat | None = None
        with server.lent() as connection:
            if self._readonly:
                self._last = self._there(connection)
            else:
                self._make(connection)

    # -- what changes ---------------------------------------------------------------------

    @property
    def last(self) -> int:
        """The greatest number that was taken in, by whatever process."""
        if not self._readonly and not self._closed:
            with self._server.lent() as connection:
                row = connection.execute(
                    "SELECT last FROM vector_graphs WHERE token = %s", [self._rows.token]
                )
                self._last = max(self._last, next((last for (last,) in row), 0))
        return self._last

    def add(self, numbers: Numbers, vectors: Floats) -> None:
        """Take in vectors whose numbers are all greater than ``last``."""
        if not len(numbers):
            return
        if self._readonly:
            if self._tail is None:
                from wilk.vectors.flat import Flat

                self._tail = Flat(self._rows, self._settings)
            self._tail.add(numbers, vectors)
            self._last = int(numbers[-1])
            return
        with self._server.lent() as connection, connection.transaction():
            last = self._locked(connection)
            while last < self._last:  # the tables were made anew, and lack what this process knew to be there
                some, found = self._rows.after(last, _TAKEN_AT_ONCE)
                before = some < numbers[0]
                self._copy(connection, some[before], found[before])
                last = int(some[-1]) if before.all() and len(some) == _TAKEN_AT_ONCE else self._last
            new = numbers > last
            self._copy(connection, numbers[new], vectors[new])
            self._note(connection, max(last, int(numbers[-1])))
        self._last = max(last, int(numbers[-1]))

    def remove(self, numbers: Numbers) -> None:
        """Forget vectors; unknown numbers are nothing to it."""
        if self._tail is not None:
            self._tail.remove(numbers)
        if self._readonly:
            return
        gone = numbers.tolist()
        with self._server.lent() as connection, connection.transaction():
            for table in self._names.values():
                connection.execute(f"DELETE FROM {table} WHERE number = ANY(%s)", [gone])

    def work(self) -> bool:
        """Move some of what waits into the graph, for half a second at most; True while more waits."""
        if self._readonly or self._closed:
            return False
        end = time.monotonic() + _PIECE
        with self._server.lent() as connection:
            if not self._moving and not self._worth_it(connection):
                return False
            self._moving = False
            while True:
                begun = time.monotonic()
                with connection.transaction():
                    locked = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [self._lock_number])
                    mine = locked.fetchone() == (True,)
                    move = _MOVE.format(**self._names)
                    moved = connection.execute(move, [self._step]).rowcount if mine else 0
                if not mine:
                    # One process at a time. This one looks again, for that may die before it is done.
                    time.sleep(_NAP)
                    return not self._closed
                took = time.monotonic() - begun
                if moved < self._step:
                    self._shrink(connection)
                if moved < self._step or self._closed:
                    return False
                self._step = max(16, self._step // 2) if took > _PIECE / 2 else min(2048, self._step * 2)
                if time.monotonic() >= end:
                    self._moving = True
                    return True

    def save(self) -> None:
        """What is taken in is in the database."""

    def close(self) -> None:
        """Let go of connections and memory."""
        if not self._closed:
            self._closed = True
            if self._tail is not None:
                self._tail.close()
            self._server.leave()

    # -- search ---------------------------------------------------------------------------

    def __len__(self) -> int:
        there = 0
        if self._last or not self._readonly:
            with self._server.lent() as connection:
                there = self._count(connection)
        return there + (0 if self._tail is None else len(self._tail))

    def search(self, query: Floats, k: int, among: Numbers | None) -> tuple[Numbers, Floats]:
        """Return at most k numbers and their distances, the nearest first."""
        if k <= 0 or (among is not None and not len(among)):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        numbers, found = self._on_server(query, k, among)
        if self._tail is not None:
            more = self._tail.search(query, k, among)
            numbers, found = np.concatenate([numbers, more[0]]), np.concatenate([found, more[1]])
            order = np.lexsort((numbers, found))[:k]
            numbers, found = numbers[order], found[order]
        return numbers, found

    def _on_server(self, query: Floats, k: int, among: Numbers | None) -> tuple[Numbers, Floats]:
        if self._readonly and not self._last:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        with self._server.lent() as connection:
            whole = k > _MOST_LOOKED_AT or (among is not None and self._compares_all(connection, k, among))
            if not whole:
                self._look_at(connection, k)
            last, numbers, found = self._asked(connection, query, k, among, whole)
            if among is not None and not whole and len(numbers) < min(k, len(among)):
                last, numbers, found = self._asked(connection, query, k, among, True)
        if last < self._last and not self._readonly:
            # Another process has made the tables anew; what is missing is taken in again.
            some = self._rows.after(last, _TAKEN_AT_ONCE)
            if len(some[0]):
                self._last = last
                while len(some[0]):
                    self.add(*some)
                    some = self._rows.after(int(some[0][-1]), _TAKEN_AT_ONCE)
                return self._on_server(query, k, among)
        return np.array(numbers, np.int64), self._form.distances(found)

    def _asked(
        self, connection: Connection, query: Floats, k: int, among: Numbers | None, whole: bool
    ) -> tuple[int, list[int], list[float]]:
        form = self._form
        sql = _NEAREST.format(
            operator=form.operator,
            column=form.column,
            among="" if among is None else "WHERE number = ANY(%(among)s)",
            # An order that is no operator's is one that no graph has.
            by=f"(embedding {form.operator} %(query)s::{form.column})" + (" + 0" if whole else ""),
            **self._names,
        )
        values: dict[str, Any] = {"token": self._rows.token, "query": form.text(query), "k": k}
        if among is not None:
            values["among"] = among.tolist()
        row = _one(connection, sql, values)
        return row[0] or 0, row[1] or [], row[2] or []

    def _compares_all(self, connection: Connection, k: int, among: Numbers) -> bool:
        """Whether a filter leaves so few that walking through the graph takes longer."""
        if len(among) <= _FEW or not self._server.extension.iterates:
            return True
        return k * self._count(connection) > _WALKED * len(among)

    def _look_at(self, connection: Connection, k: int) -> None:
        """Have a search through the graph keep so many candidates; connections are the index's own."""
        wanted = min(_MOST_LOOKED_AT, max(_LEAST_LOOKED_AT, 1 << (2 * k - 1).bit_length()))
        if getattr(connection, "looks_at", 0) != wanted:
            connection.execute(f"SET hnsw.ef_search = {wanted}")
            if self._server.extension.iterates:
                connection.execute(
                    f"SET hnsw.iterative_scan = relaxed_order; SET hnsw.max_scan_tuples = {4 * _WALKED}"
                )
            connection.looks_at = wanted  # type: ignore[attr-defined]

    # -- tables ---------------------------------------------------------------------------

    @property
    def _lock_number(self) -> int:
        return int.from_bytes(
            sha256(f"{self._server.address.lock} {self._rows.token}".encode()).digest()[:7], "big"
        )

    def _make(self, connection: Connection) -> None:
        """Make the tables, or go on with those that are there and fit the rows."""
        rows = self._rows
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [self._server.address.lock + 2])
            connection.execute(
                "CREATE TABLE IF NOT EXISTS vector_graphs (token text PRIMARY KEY, kind text NOT NULL, "
                "last bigint NOT NULL, graph text NOT NULL, waiting text NOT NULL)"
            )
            row = connection.execute(
                "SELECT kind, last, to_regclass(graph) IS NOT NULL AND to_regclass(waiting) IS NOT NULL "
                "FROM vector_graphs WHERE token = %s FOR UPDATE", [rows.token],
            ).fetchone()  # fmt: skip
            self._sweep(connection)
            if row is not None and row[0] == self._kind and row[2]:
                self._last = row[1]
                unfit = self._unfit(connection)
                if unfit is None:
                    return
                logger.info("the index of %r is built anew: %s", rows.collection, unfit)
            for table in self._names.values():
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            form = {"column": self._form.column, "operators": self._form.operators, **self._names}
            storage = "PLAIN" if rows.dimension <= _FITS_A_ROW else "EXTERNAL"
            for statement in _TABLES.format(storage=storage, **form).split(";"):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO vector_graphs VALUES (%s, %s, 0, %s, %s) "
                "ON CONFLICT (token) DO UPDATE SET kind = excluded.kind, last = 0",
                [rows.token, self._kind, self._names["graph"], self._names["waiting"]],
            )
            self._last = 0

    def _there(self, connection: Connection) -> int:
        """For a reader: up to which number the tables go, 0 when they are of no use."""
        if connection.execute("SELECT to_regclass('vector_graphs')").fetchone() == (None,):
            return 0
        row = connection.execute(
            "SELECT last FROM vector_graphs WHERE token = %s AND kind = %s", [self._rows.token, self._kind]
        ).fetchone()
        self._last = 0 if row is None else row[0]
        return 0 if row is None or self._unfit(connection) else self._last

    def _unfit(self, connection: Connection) -> str | None:
        """Why the tables are not those of the rows; None when they are."""
        if self._last > self._rows.last():
            return "the vectors are older than it"
        held, there = self._count(connection), self._rows.count()
        if held - there > _MOST_GONE * max(held, _SMALL):
            return f"of {held} vectors in it at most {there} are left"
        if held + self._rows.last() - self._last < there:
            return f"it holds {held} vectors, and lacks others"
        sample: dict[int, Floats] = {}
        for table in self._names.values():
            for order in ("", "DESC"):
                found = connection.execute(
                    f"SELECT number, embedding FROM {table} ORDER BY number {order} LIMIT {_SAMPLE}",
                    binary=True,
                )
                sample.update((number, self._form.values(data)) for number, data in found)
        if sample:
            numbers, vectors = self._rows.rows(np.array(sorted(sample), np.int64))
            ready = self._form.ready(vectors)
            off = 1e-3 if self._form.type == "halfvec" else 1e-6
            for number, vector in zip(numbers.tolist(), ready, strict=True):
                if not np.allclose(sample[number], vector, rtol=1e-3, atol=off * float(np.abs(vector).max())):
                    return "the database has other vectors under its numbers"
        return None

    def _sweep(self, connection: Connection) -> None:
        """Remove the tables of spaces that are retired or dropped."""
        try:
            with connection.transaction():
                gone = connection.execute(
                    "SELECT token, graph, waiting FROM vector_graphs JOIN vector_spaces USING (token) "
                    "WHERE state IN ('retired', 'dropped')"
                ).fetchall()
                for token, graph, waiting in gone:
                    connection.execute(f"DROP TABLE IF EXISTS {graph}, {waiting}")
                    connection.execute("DELETE FROM vector_graphs WHERE token = %s", [token])
        except psycopg.Error as error:  # the next one removes them
            logger.debug("tables of vectors that are no more stay for now: %s", error)

    def _locked(self, connection: Connection) -> int:
        """Keep others from adding, and tell up to which number the tables go."""
        sql = "SELECT last FROM vector_graphs WHERE token = %s FOR UPDATE"
        row = connection.execute(sql, [self._rows.token]).fetchone()
        if row is None:
            known = self._last
            self._make(connection)
            row, self._last = _one(connection, sql, [self._rows.token]), known
        return int(row[0])

    def _copy(self, connection: Connection, numbers: Numbers, vectors: Floats) -> None:
        if len(numbers):
            with connection.cursor().copy(
                "COPY {waiting} (number, embedding) FROM STDIN (FORMAT binary)".format(**self._names)
            ) as copy:
                copy.write(self._form.rows(numbers, vectors))

    def _note(self, connection: Connection, last: int) -> None:
        connection.execute("UPDATE vector_graphs SET last = %s WHERE token = %s", [last, self._rows.token])

    def _count(self, connection: Connection) -> int:
        row = _one(
            connection,
            "SELECT (SELECT count(*) FROM {graph}) + (SELECT count(*) FROM {waiting})".format(**self._names),
        )
        return int(row[0])

    def _shrink(self, connection: Connection) -> None:
        """Give back the room of what has waited: a search would read through it."""
        waiting = self._names["waiting"]
        try:
            with connection.transaction():
                size = connection.execute("SELECT pg_relation_size(%s::regclass)", [waiting]).fetchone()
                if size is not None and size[0] > _SHRUNK:
                    connection.execute(f"LOCK TABLE {waiting} IN ACCESS EXCLUSIVE MODE NOWAIT")
                    if connection.execute(f"SELECT 1 FROM {waiting} LIMIT 1").fetchone() is None:
                        connection.execute(f"TRUNCATE {waiting}")
        except psycopg.errors.LockNotAvailable:
            logger.debug("%s is in use, and keeps its size until the next time", waiting)

    def _worth_it(self, connection: Connection) -> bool:
        """Whether enough waits for a graph, or beside one."""
        row = _one(
            connection,
            "SELECT EXISTS (SELECT FROM {graph}), (SELECT count(*) FROM {waiting})".format(**self._names),
        )
        return bool(row[1] >= (_REST if row[0] else _SMALL))


def _one(connection: Connection, sql: str, values: Any = None) -> tuple[Any, ...]:
    """The row of a query that has one."""
    return next(iter(connection.execute(sql.encode(), values)))
