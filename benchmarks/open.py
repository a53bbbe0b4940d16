"""Opening a store: whether it gets slower with what is in it."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import wilk
from benchmarks import material
from benchmarks.measuring import Report, interleaved, timed
from benchmarks.raw import Raw, new_database

BATCH = 10_000
SESSION_MESSAGES = 1_000


def measure(folder: Path, *, quick: bool = False, kept: Path | None = None) -> Report:
    """Compare opening a full store with opening an empty one; ``kept`` is a folder for the full one."""
    count, rounds = (100_000, 21) if quick else (1_000_000, 51)
    empty = folder / "empty.db"
    new_database(empty)
    full, size = full_store(kept or folder, folder, count)
    times = 5
    samples = interleaved(
        {
            "empty": lambda: timed(lambda: [_open(empty) for _ in range(times)], times),
            "full": lambda: timed(lambda: [_open(full) for _ in range(times)], times),
        },
        rounds,
    )
    report = Report(
        "open", f"open_store and close: an empty store, and one of {count:,} messages ({size:,.0f} MiB)"
    )
    report.figure("an empty store", samples["empty"], "ms")
    report.figure(f"a store of {count:,} messages", samples["full"], "ms")
    report.compare("full ÷ empty", samples["full"], samples["empty"], at_most=1.2)
    return report


def full_store(kept: Path, folder: Path, count: int) -> tuple[Path, float]:
    """The store of ``count`` messages in ``kept``, made if it is not there; and its size in MiB."""
    sample = folder / "schema.db"
    new_database(sample)
    full = kept / f"full-{count}-{_schema(sample):08x}.db"
    return full, _fill(full, count)


def _open(file: Path) -> None:
    wilk.open_store(f"sqlite:///{file}").close()


def _schema(file: Path) -> int:
    """Tell schemas apart, so that a store that was kept is not taken for one of today's."""
    raw = Raw(file)
    statements = raw.connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    raw.close()
    return crc32(repr(statements).encode())


def _fill(file: Path, count: int) -> float:
    """Bring a database to ``count`` messages, unless it is there already; return its size in MiB."""
    with wilk.open_store(f"sqlite:///{file}") as store:
        there = sum(session.message_count for session in store.sessions.list(limit=count))
        per_batch = BATCH // SESSION_MESSAGES
        for batch in range(there // BATCH, count // BATCH):
            texts = material.texts(BATCH, seed=batch)
            with store.transaction():
                for number in range(per_batch):
                    session = store.sessions.create(name=f"session {batch}-{number}").id
                    part = texts[number * SESSION_MESSAGES : (number + 1) * SESSION_MESSAGES]
                    store.messages.extend(
                        session, [{"role": material.role(n), "text": text} for n, text in enumerate(part)]
                    )
    return file.stat().st_size / 2**20
