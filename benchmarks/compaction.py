"""Compaction: what a conversation costs that is kept within its budget as it grows."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import wilk
from benchmarks import material
from benchmarks.measuring import Report, Run, interleaved, timed
from wilk import settings

APPEND, AUTO = "appending alone", "appending, and compaction behind it until it is done"


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare appending to a session that is never compacted with one that is whenever it is due."""
    count, rounds = (500, 3) if quick else (2000, 9)
    some = material.texts(count)
    report = Report("compaction", f"{count:,} messages of 270 bytes, a budget of 8,192 tokens")
    with ExitStack() as stack:
        contestants: dict[str, Run] = {}
        for name, compaction in ((APPEND, "manual"), (AUTO, "auto")):
            chosen = settings.load(url=f"sqlite:///{folder / compaction}.db")
            store = stack.enter_context(wilk.open_store(settings=replace(chosen, compaction=compaction)))
            contestants[name] = _talking(store, some)
        samples = interleaved(contestants, rounds)
    for name, sample in samples.items():
        report.figure(name, sample, "µs")
    report.compare("with compaction ÷ without", samples[AUTO], samples[APPEND])
    return report


def _talking(store: wilk.Store, texts: list[str]) -> Run:
    session = store.sessions.create().id

    def talk() -> None:
        for number, text in enumerate(texts):
            store.messages.append(session, material.role(number), text)
        store.settle()

    return lambda: timed(talk, len(texts))
