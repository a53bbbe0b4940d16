"""Building a context: whether it gets slower with what else is in the store."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import wilk
from benchmarks.measuring import Report, Run, interleaved, timed
from benchmarks.open import SESSION_MESSAGES, full_store
from benchmarks.raw import new_database

TOKENS = 4_000
STRATEGIES = ("discard", "hybrid")


def measure(folder: Path, *, quick: bool = False, kept: Path | None = None) -> Report:
    """Compare a session within a full store with the same session alone; ``kept`` has the full store."""
    count, rounds, times = (100_000, 21, 5) if quick else (1_000_000, 51, 10)
    alone = folder / "alone.db"
    [only] = new_database(alone, messages=SESSION_MESSAGES)
    full, _ = full_store(kept or folder, folder, count)
    report = Report(
        "context",
        f"a context of {TOKENS:,} tokens from a session of {SESSION_MESSAGES:,} messages, "
        f"alone and among {count:,}",
    )
    with ExitStack() as stack:
        contestants: dict[str, Run] = {}
        for place, file in (("alone", alone), (f"among {count:,}", full)):
            store = stack.enter_context(wilk.open_store(f"sqlite:///{file}"))
            session = only if file == alone else store.sessions.list(limit=50)[-1].id
            for strategy in STRATEGIES:
                contestants[f"{strategy}, {place}"] = _building(store, session, strategy, times)
        last = store.messages.last
        contestants["messages.last, 50"] = lambda: timed(
            lambda: [last(session, 50) for _ in range(times)], times
        )
        samples = interleaved(contestants, rounds)
    for name, sample in samples.items():
        report.figure(name, sample, "ms")
    for strategy in STRATEGIES:
        report.compare(
            f"{strategy}: among {count:,} ÷ alone",
            samples[f"{strategy}, among {count:,}"],
            samples[f"{strategy}, alone"],
            at_most=1.3,
        )
    return report


def _building(store: wilk.Store, session: str, strategy: str, times: int) -> Run:
    build = store.contexts.build
    return lambda: timed(
        lambda: [build(session, max_tokens=TOKENS, strategy=strategy) for _ in range(times)], times
    )
