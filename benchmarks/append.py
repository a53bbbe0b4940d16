"""Appending messages one by one, each in its own transaction."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import wilk
from benchmarks import material, peers
from benchmarks.measuring import Report, Run, interleaved, timed
from benchmarks.raw import Raw, new_database

RAW, WILK, ASYNC = "raw sqlite3", "wilk", "wilk, async face"


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare wilk's ``append`` with sqlite3 by hand, with its own async face and with peers."""
    report = Report("append", "one message of 270 bytes, one transaction each")
    count, rounds = (200, 7) if quick else (1000, 21)
    some = material.texts(count)
    few = some[: count // 5]  # for those that take milliseconds
    with ExitStack() as stack:
        contestants: dict[str, Run] = {}

        [session] = new_database(folder / "raw.db")
        raw = Raw(folder / "raw.db")
        stack.callback(raw.close)

        def by_hand() -> float:
            rows = raw.rows(session, some)
            return timed(lambda: [raw.append(session, row) for row in rows], count)

        contestants[RAW] = by_hand

        store = stack.enter_context(wilk.open_store(f"sqlite:///{folder / 'wilk.db'}"))
        own = store.sessions.create().id
        append = store.messages.append
        contestants[WILK] = lambda: timed(
            lambda: [append(own, material.role(n), text) for n, text in enumerate(some)], count
        )

        runner = stack.enter_context(asyncio.Runner())
        face = runner.run(_opened(folder / "async.db"))
        stack.callback(lambda: runner.run(face.close()))
        theirs = runner.run(face.sessions.create()).id

        async def awaited() -> None:
            for number, text in enumerate(some):
                await face.messages.append(theirs, material.role(number), text)

        contestants[ASYNC] = lambda: timed(lambda: runner.run(awaited()), count)

        others, report.skipped = peers.installed(stack, folder)
        for name, peer in others.items():
            contestants[name] = lambda peer=peer: timed(lambda: peer.append(0, few), len(few))
        samples = interleaved(contestants, rounds)
    for name, sample in samples.items():
        report.figure(name, sample, "µs")
    report.compare("wilk ÷ raw sqlite3", samples[WILK], samples[RAW], at_most=1.5)
    report.compare("wilk, async face ÷ wilk", samples[ASYNC], samples[WILK], at_most=2.5)
    goals = {peers.OPENAI: 3.0, peers.LANGGRAPH: 10.0}
    for name in others:
        report.compare(f"{name} ÷ wilk", samples[name], samples[WILK], at_least=goals.get(name))
    return report


async def _opened(file: Path) -> wilk.AsyncStore:
    return await wilk.open_async_store(f"sqlite:///{file}")
