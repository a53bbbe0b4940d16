"""Reading the last 50 messages of a session."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import wilk
from benchmarks import material, peers
from benchmarks.measuring import Report, Run, interleaved, timed
from benchmarks.raw import Raw, new_database

RAW, WILK = "raw sqlite3 fetchall", "wilk"
SESSIONS, MESSAGES, LAST = 10, 1000, 50


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare wilk's ``last`` with a SELECT by hand, and with peers."""
    report = Report("last", f"the last {LAST} messages of one of {SESSIONS} sessions of {MESSAGES:,}")
    times, rounds = (10, 7) if quick else (50, 21)
    with ExitStack() as stack:
        contestants: dict[str, Run] = {}
        file = folder / "wilk.db"
        ids = new_database(file, sessions=SESSIONS, messages=MESSAGES)
        turns = ids * times
        raw = Raw(file)
        stack.callback(raw.close)
        contestants[RAW] = lambda: timed(lambda: [raw.last(session, LAST) for session in turns], len(turns))

        store = stack.enter_context(wilk.open_store(f"sqlite:///{file}"))
        last = store.messages.last
        contestants[WILK] = lambda: timed(lambda: [last(session, LAST) for session in turns], len(turns))

        others, report.skipped = peers.installed(stack, folder, sessions=SESSIONS)
        some = list(range(SESSIONS)) * (times // 5)
        for name, peer in others.items():
            for number in range(SESSIONS):
                peer.extend(number, material.texts(MESSAGES, seed=number))
            contestants[name] = lambda peer=peer: timed(lambda: peer.last(some, LAST), len(some))
        samples = interleaved(contestants, rounds)
    for name, sample in samples.items():
        report.figure(name, sample, "µs")
    report.compare("wilk ÷ raw sqlite3", samples[WILK], samples[RAW], at_most=2.0)
    for name in others:
        report.compare(
            f"{name} ÷ wilk", samples[name], samples[WILK], at_least=3.0 if name == peers.OPENAI else None
        )
    return report
