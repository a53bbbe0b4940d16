"""Other stores of messages, at the same work; each is skipped by name where it is not installed.

They run with the settings that they ship with. Theirs differ from wilk's: the OpenAI Agents SDK
keeps ``synchronous`` FULL (a commit waits for the disk), LangGraph's store also a rollback
journal. So each runs a second time with wilk's settings.
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from benchmarks import material

TUNED = ", with wilk's pragmas"
OPENAI = "OpenAI Agents SQLiteSession"
LANGGRAPH = "LangGraph SqliteStore"


class Peer(Protocol):
    """One peer with sessions 0 to n-1, over a database file of its own."""

    def append(self, session: int, texts: list[str]) -> None: ...
    def extend(self, session: int, texts: list[str]) -> None: ...
    def last(self, sessions: list[int], n: int) -> None: ...


class OpenAI:
    """``SQLiteSession`` of the OpenAI Agents SDK, whose verbs are async."""

    def __init__(self, stack: ExitStack, file: Path, sessions: int, *, tuned: bool) -> None:
        from agents.memory import SQLiteSession

        class Tuned(SQLiteSession):
            @staticmethod
            def _configure_connection(conn: sqlite3.Connection) -> None:
                SQLiteSession._configure_connection(conn)
                conn.execute("PRAGMA synchronous = normal")

        self._runner = stack.enter_context(asyncio.Runner())
        kind = Tuned if tuned else SQLiteSession
        self._sessions = [kind(f"session-{number}", file) for number in range(sessions)]
        for session in self._sessions:
            stack.callback(session.close)

    def append(self, session: int, texts: list[str]) -> None:
        async def work() -> None:
            add = self._sessions[session].add_items
            for item in self._items(texts):
                await add([item])

        self._runner.run(work())

    def extend(self, session: int, texts: list[str]) -> None:
        self._runner.run(self._sessions[session].add_items(list(self._items(texts))))

    def last(self, sessions: list[int], n: int) -> None:
        async def work() -> None:
            for session in sessions:
                await self._sessions[session].get_items(limit=n)

        self._runner.run(work())

    def _items(self, texts: list[str]) -> Iterator[Any]:
        return ({"role": material.role(number), "content": text} for number, text in enumerate(texts))


class LangGraph:
    """``SqliteStore`` of LangGraph, one item per message."""

    def __init__(self, stack: ExitStack, file: Path, sessions: int, *, tuned: bool) -> None:
        from langgraph.store.base import PutOp
        from langgraph.store.sqlite import SqliteStore

        connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        stack.callback(connection.close)
        if tuned:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("PRAGMA synchronous = normal")
        self._put_op = PutOp
        self._store = SqliteStore(connection)
        self._store.setup()
        self._names = [("sessions", f"session-{number}") for number in range(sessions)]
        self._keys = (f"{number:012d}" for number in itertools.count())

    def append(self, session: int, texts: list[str]) -> None:
        for key, item in self._items(texts):
            self._store.put(self._names[session], key, item)

    def extend(self, session: int, texts: list[str]) -> None:
        self._store.batch([self._put_op(self._names[session], key, item) for key, item in self._items(texts)])

    def last(self, sessions: list[int], n: int) -> None:
        for session in sessions:
            self._store.search(self._names[session], limit=n)

    def _items(self, texts: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, text in enumerate(texts):
            yield next(self._keys), {"role": material.role(number), "content": text}


_KNOWN: dict[str, tuple[str, Callable[..., Peer]]] = {
    OPENAI: ("agents", OpenAI),
    LANGGRAPH: ("langgraph.store.sqlite", LangGraph),
}


def installed(stack: ExitStack, folder: Path, *, sessions: int = 1) -> tuple[dict[str, Peer], list[str]]:
    """Open the peers that are installed, as shipped and tuned; return them and the names of the others."""
    found: dict[str, Peer] = {}
    skipped = []
    for number, (name, (module, peer)) in enumerate(_KNOWN.items()):
        if _is_installed(module):
            found[name] = peer(stack, folder / f"peer-{number}.db", sessions, tuned=False)
            found[name + TUNED] = peer(stack, folder / f"peer-{number}-tuned.db", sessions, tuned=True)
        else:
            skipped.append(f"{name} ({module} is not installed)")
    return found, skipped


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
