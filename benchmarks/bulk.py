"""Appending many messages in one transaction."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import wilk
from benchmarks import material, peers
from benchmarks.measuring import Report, Run, interleaved, timed
from benchmarks.raw import Raw, new_database

RAW, WILK = "raw sqlite3 executemany", "wilk"
AT_ONCE = 100
RAW_MANY = f"raw sqlite3, {AT_ONCE} rows a statement"


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare wilk's ``extend`` with ``executemany`` by hand, and with peers."""
    count, rounds = (2000, 5) if quick else (10_000, 11)
    report = Report("bulk", f"{count:,} messages of 270 bytes in one transaction, per message")
    some = material.texts(count)
    with ExitStack() as stack:
        contestants: dict[str, Run] = {}

        [session] = new_database(folder / "raw.db")
        raw = Raw(folder / "raw.db")
        stack.callback(raw.close)

        def by_hand() -> float:
            rows = raw.rows(session, some)
            return timed(lambda: raw.extend(session, rows), count)

        contestants[RAW] = by_hand

        [other] = new_database(folder / "raw-many.db")
        many = Raw(folder / "raw-many.db")
        stack.callback(many.close)

        def many_by_hand() -> float:
            rows = many.rows(other, some)
            return timed(lambda: many.extend(other, rows, at_once=AT_ONCE), count)

        contestants[RAW_MANY] = many_by_hand

        store = stack.enter_context(wilk.open_store(f"sqlite:///{folder / 'wilk.db'}"))
        own = store.sessions.create().id
        messages = [{"role": material.role(number), "text": text} for number, text in enumerate(some)]
        contestants[WILK] = lambda: timed(lambda: store.messages.extend(own, messages), count)

        others, report.skipped = peers.installed(stack, folder)
        for name, peer in others.items():
            contestants[name] = lambda peer=peer: timed(lambda: peer.extend(0, some), count)
        samples = interleaved(contestants, rounds)
    for name, sample in samples.items():
        report.figure(name, sample, "µs")
    report.compare(f"wilk ÷ {RAW}", samples[WILK], samples[RAW], at_most=1.5)
    report.compare(f"wilk ÷ {RAW_MANY}", samples[WILK], samples[RAW_MANY])
    shipped = [samples[name] for name in others if not name.endswith(peers.TUNED)]
    if shipped:
        best = [min(one) for one in zip(*shipped, strict=True)]
        report.compare("the best peer as shipped ÷ wilk", best, samples[WILK], at_least=1.0)
    for name in others:
        report.compare(f"{name} ÷ wilk", samples[name], samples[WILK])
    report.notes.append("the peers keep no full-text index; wilk and raw sqlite3 do")
    return report
