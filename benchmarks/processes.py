"""Eight processes that append to one store at once."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import wilk
from benchmarks import material
from benchmarks.measuring import Report, interleaved, quantile
from benchmarks.raw import Raw, new_database

WRITERS = 8


class Outcome(NamedTuple):
    """What one writer did: when it began and ended, the seconds of each append, and its error."""

    begun: float
    ended: float
    waits: list[float]
    error: str | None


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare the total throughput of eight writers with one writer's; nothing may be lost."""
    total, rounds = (2400, 3) if quick else (8000, 7)
    report = Report(
        "processes", f"{total:,} appends of 270 bytes to one session by 1 and by {WRITERS} processes"
    )
    waits: dict[str, list[float]] = {}
    faults: list[str] = []

    def contest(name: str, work: Callable[..., None], writers: int) -> Callable[[], float]:
        def run() -> float:
            file = folder / f"{time.monotonic_ns()}.db"
            [session] = new_database(file)
            outcomes = _together(work, file, session, writers, total // writers)
            waits.setdefault(name, []).extend(wait for outcome in outcomes for wait in outcome.waits)
            faults.extend(f"{name}: {outcome.error}" for outcome in outcomes if outcome.error)
            faults.extend(f"{name}: {fault}" for fault in _losses(file, session, total))
            return total / (max(one.ended for one in outcomes) - min(one.begun for one in outcomes))

        return run

    one, many = "wilk, 1 process", f"wilk, {WRITERS} processes"
    raw_one, raw_many = "raw sqlite3, 1 process", f"raw sqlite3, {WRITERS} processes"
    samples = interleaved(
        {
            one: contest(one, _append, 1),
            many: contest(many, _append, WRITERS),
            raw_one: contest(raw_one, _append_by_hand, 1),
            raw_many: contest(raw_many, _append_by_hand, WRITERS),
        },
        rounds,
    )
    for name, sample in samples.items():
        report.figure(f"{name}, appends together", sample, "/s")
    for name, sample in waits.items():
        report.figure(f"{name}, p99 of one append", [quantile(sample, 0.99)], "ms")
        report.figure(f"{name}, slowest append", [max(sample)], "ms")
    report.compare(f"{many} ÷ 1 process", samples[many], samples[one], at_least=0.7)
    report.compare(f"{raw_many} ÷ 1 process", samples[raw_many], samples[raw_one])
    report.state("errors and lost messages", len(faults), at_most=0, unit="count")
    report.notes += sorted(set(faults))
    return report


def _together(work: Callable[..., None], file: Path, session: str, writers: int, count: int) -> list[Outcome]:
    """Start the writers, let them begin at one moment, and return what they tell."""
    context = multiprocessing.get_context("spawn")
    start, told = context.Barrier(writers), context.SimpleQueue()
    shared = (work, file, session, count, start, told)
    workers = [context.Process(target=_write, args=(seed, *shared)) for seed in range(writers)]
    for worker in workers:
        worker.start()
    outcomes = [told.get() for _ in workers]
    for worker in workers:
        worker.join()
    return outcomes


def _write(seed: int, work: Any, file: Path, session: str, count: int, start: Any, told: Any) -> None:
    waits: list[float] = []
    begun = time.monotonic()
    error = None
    try:
        for append in work(file, session, material.texts(count, seed=seed), start.wait):
            before = time.monotonic()
            append()
            now = time.monotonic()
            begun = before if not waits else begun
            waits.append(now - before)
    except Exception as caught:
        error = repr(caught)
        start.abort()
    told.put(Outcome(begun, time.monotonic(), waits, error))


def _append(file: Path, session: str, texts: list[str], ready: Callable[[], object]) -> Any:
    with wilk.open_store(f"sqlite:///{file}") as store:
        append = store.messages.append
        store.messages.last(session, 1)
        ready()
        for text in texts:
            yield lambda text=text: append(session, "user", text)


def _append_by_hand(file: Path, session: str, texts: list[str], ready: Callable[[], object]) -> Any:
    raw = Raw(file)
    rows = raw.rows(session, texts)
    ready()
    for row in rows:
        yield lambda row=row: raw.append(session, row)
    raw.close()


def _losses(file: Path, session: str, total: int) -> list[str]:
    raw = Raw(file)
    found = raw.connection.execute(
        "SELECT COUNT(*), COUNT(DISTINCT sequence), MAX(sequence), "
        "(SELECT message_count FROM sessions WHERE id = ?) FROM messages WHERE session_id = ?",
        (session, session),
    ).fetchone()
    raw.close()
    return (
        []
        if found == (total,) * 4
        else [f"messages, places, last place and counter are {found}, not {total}"]
    )
