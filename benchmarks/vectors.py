"""Vectors: keeping them, the first search after opening, and searching many, against plain numpy."""

from __future__ import annotations

import sqlite3
import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import wilk
from benchmarks.measuring import Report, Run, child, interleaved, timed

DIMENSION, K = 384, 10
NUMPY, WILK, RAW = "numpy, all compared", "wilk", "raw sqlite3 executemany"
_PROGRAM = """
import sys, numpy, wilk
store = wilk.open_store(sys.argv[1])
if len(sys.argv) > 2:
    print([near.id for near in store.vectors.search("v", numpy.load(sys.argv[2]), 10)])
store.close()
"""
_TABLE = """
CREATE TABLE vectors (pk INTEGER PRIMARY KEY AUTOINCREMENT, space_id INTEGER NOT NULL,
    number INTEGER NOT NULL, kind TEXT, record_id TEXT NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL,
    content_hash TEXT, metadata JSON, created_at INTEGER NOT NULL)
"""
_INDEXES = ("(space_id, number)", "(space_id, record_id, part)")


def clustered(count: int, queries: int, *, seed: int = 0) -> tuple[Any, Any]:
    """Vectors around a hundredth as many centers, and queries of the same kind."""
    chance = np.random.default_rng(seed)
    centers = chance.normal(size=(max(1, count // 100), DIMENSION))

    def around(n: int) -> Any:
        chosen = centers[chance.integers(len(centers), size=n)]
        return (chosen + 0.7 * chance.normal(size=(n, DIMENSION))).astype(np.float32)

    return around(count), around(queries)


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare ``store.vectors`` with numpy over the same vectors, and with SQLite by hand."""
    count, rounds = (20_000, 20) if quick else (100_000, 100)
    report = Report(
        "vectors", f"{count:,} × {DIMENSION} float32, clustered, the {K} nearest, one query at a time"
    )
    rows, queries = clustered(count, rounds + 1)
    url = f"sqlite:///{folder / 'wilk.db'}"
    _kept(report, folder, url, rows, rounds=3)
    _opened(report, folder, url, queries[0])
    with ExitStack() as stack:
        store = stack.enter_context(wilk.open_store(url))
        _searched(report, store, rows, queries, rounds)
    return report


def _kept(report: Report, folder: Path, url: str, rows: Any, *, rounds: int) -> None:
    """Storing all of them in one transaction, per vector."""
    count = len(rows)
    items = [(f"r{n}", row) for n, row in enumerate(rows)]
    turn = [0]

    def by_hand() -> float:
        turn[0] += 1
        connection = sqlite3.connect(folder / f"raw-{turn[0]}.db")
        connection.executescript("PRAGMA journal_mode=wal; PRAGMA synchronous=normal;" + _TABLE)
        for place, columns in enumerate(_INDEXES):
            connection.execute(f"CREATE UNIQUE INDEX i{place} ON vectors {columns}")
        insert = f"INSERT INTO vectors VALUES (NULL, {', '.join('?' * 9)})"

        def write() -> None:
            given = (
                (1, n, None, id, 0, row.tobytes(), None, None, 0) for n, (id, row) in enumerate(items, 1)
            )
            with connection:
                connection.executemany(insert, given)

        cost = timed(write, count)
        connection.close()
        (folder / f"raw-{turn[0]}.db").unlink()
        return cost

    def by_wilk() -> float:
        turn[0] += 1
        with wilk.open_store(f"sqlite:///{folder / f'own-{turn[0]}.db'}") as store:
            cost = timed(lambda: store.vectors.extend("v", items, model="m"), count)
        (folder / f"own-{turn[0]}.db").unlink()
        return cost

    samples = interleaved({RAW: by_hand, WILK: by_wilk}, rounds)
    for name, sample in samples.items():
        report.figure(f"{name}: keep, per vector", sample, "µs")
    report.compare(f"keep: wilk ÷ {RAW}", samples[WILK], samples[RAW], at_most=1.5)
    with wilk.open_store(url) as store:
        store.vectors.extend("v", items, model="m")
        store.vectors.search("v", rows[0], K)


def _opened(report: Report, folder: Path, url: str, query: Any) -> None:
    """The first search of a process, against reading all vectors first."""
    np.save(folder / "query.npy", query)
    first: list[float] = []
    whole: list[float] = []
    for _ in range(5):
        with wilk.open_store(url) as store:
            first.append(timed(lambda store=store: store.vectors.search("v", query, K)))
        with sqlite3.connect(folder / "wilk.db") as connection:
            whole.append(timed(lambda connection=connection: _all(connection)))
        connection.close()
    report.figure("wilk: first search after opening", first, "ms")
    report.figure("raw sqlite3: read all vectors into an array", whole, "ms")
    report.compare("reading all vectors ÷ first search", whole, first, at_least=3)
    opened, searched = (
        child([sys.executable, "-c", _PROGRAM, url, *arguments], {})
        for arguments in ([], [folder / "query.npy"])
    )
    report.state("memory that the first search adds, numpy included", searched.peak - opened.peak, unit="MiB")


def _all(connection: sqlite3.Connection) -> Any:
    data = b"".join(row[0] for row in connection.execute("SELECT data FROM vectors ORDER BY number"))
    return np.frombuffer(data, np.float32).reshape(-1, DIMENSION)


def _searched(report: Report, store: wilk.Store, rows: Any, queries: Any, rounds: int) -> None:
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    answers: dict[str, list[set[int]]] = {}

    def contestant(name: str, answer: Callable[[Any], list[int]]) -> Run:
        answers[name] = []

        def run() -> float:
            query = queries[len(answers[name]) % len(queries)]
            kept: list[int] = []
            cost = timed(lambda: kept.extend(answer(query)))
            answers[name].append(set(kept))
            return cost

        return run

    def by_numpy(query: Any) -> list[int]:
        cosines = units @ (query / np.linalg.norm(query))
        best = np.argpartition(-cosines, K)[:K]
        return list(best[np.argsort(-cosines[best])].tolist())

    contestants = {
        NUMPY: contestant(NUMPY, by_numpy),
        WILK: contestant(
            WILK, lambda query: [int(near.id[1:]) for near in store.vectors.search("v", query, K)]
        ),
    }
    if find_spec("usearch"):
        from usearch.index import search

        contestants["usearch f32, all compared"] = contestant(
            "usearch f32, all compared",
            lambda query: list(search(units, query, K, "cos", exact=True).keys.tolist()),
        )
    else:
        report.skipped.append("usearch")
    for query in queries:
        store.vectors.search("v", query, K)  # what is searched often is in memory
    samples = interleaved(contestants, rounds)
    for name, sample in samples.items():
        report.figure(f"{name}: search", sample, "ms")
    report.compare(f"search: {NUMPY} ÷ wilk", samples[NUMPY], samples[WILK], at_least=5)
    for name in contestants:
        found = statistics.mean(
            len(true & other) / K for true, other in zip(answers[NUMPY], answers[name], strict=True)
        )
        report.state(
            f"{name}: share of the true nearest", found, at_least=0.99 if name == WILK else None, unit=""
        )
