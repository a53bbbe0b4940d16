"""The points at which a process can be killed: around what it writes to its database and its files.

Statements and commits are seen where every store sends them, those of SQLite wherever Python sends them, and
files where Python opens, renames, removes and syncs them. What a plugin writes by other means is not seen; it
is killed at other times too.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sqlite3.dbapi2
import sys
import threading
from typing import Any

from wilk.engine import Engine
from wilk.transactions import Transaction

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "COMMIT")
_FILES = {"os.rename": "renamed", "os.remove": "removed", "os.truncate": "cut", "os.link": "linked"}


class Points:
    """Counts the points that this process comes by, and kills it at one of them.

    ``at`` is the number of that point, from 1; 0 is none. ``seen`` names those that were passed.
    """

    def __init__(self, at: int) -> None:
        self.seen: list[str] = []
        self.step = ""
        self._at = at
        self._on = False
        self._lock = threading.Lock()

    def watch(self) -> None:
        """See what is written; before anything is opened."""
        _watch_store(self)
        _watch_sqlite(self)
        _watch_files(self)

    def start(self) -> None:
        """Count from now on."""
        self._on = True

    def stop(self) -> None:
        self._on = False

    def pass_by(self, what: str) -> None:
        if not self._on:
            return
        with self._lock:
            self.seen.append(f"{what} ({self.step})" if self.step else what)
            if len(self.seen) == self._at:
                os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def _watch_store(points: Points) -> None:
    send, send_many, leave = Engine._cursor, Engine.execute_many, Transaction._leave

    def sending(engine: Engine, sql: str, parameters: Any) -> Any:
        if not sql.lstrip().startswith(("SELECT", "BEGIN", "ROLLBACK")):
            points.pass_by(f"before {_short(sql)}")
        return send(engine, sql, parameters)

    def sending_many(engine: Engine, sql: str, rows: Any) -> None:
        points.pass_by(f"before {_short(sql)}")
        send_many(engine, sql, rows)

    def leaving(transaction: Transaction, kind: Any, error: Any, trace: Any, settled: Any) -> None:
        outermost = error is None and transaction._engine._local.depth == 1
        if outermost:
            points.pass_by("before a commit")
        leave(transaction, kind, error, trace, settled)
        if outermost:
            points.pass_by("after a commit")

    Engine._cursor = sending  # type: ignore[method-assign,assignment]
    Engine.execute_many = sending_many  # type: ignore[method-assign,assignment]
    Transaction._leave = leaving  # type: ignore[method-assign,assignment]


def _watch_sqlite(points: Points) -> None:
    connect = sqlite3.connect

    def executing(sql: str) -> None:
        if sql.startswith(_CHANGING):
            points.pass_by(f"before {_short(sql)} in SQLite")

    def connecting(*arguments: Any, **more: Any) -> Any:
        connection = connect(*arguments, **more)
        connection.set_trace_callback(executing)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = connecting


def _watch_files(points: Points) -> None:
    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and path != os.devnull:
                points.pass_by("before a file is opened")
        elif event in _FILES:
            points.pass_by(f"before a file is {_FILES[event]}")

    sys.addaudithook(hear)
    for name in ("fsync", "fdatasync"):
        if hasattr(os, name):
            setattr(os, name, _syncing(getattr(os, name), points))


def _syncing(sync: Any, points: Points) -> Any:
    def syncing(file: Any) -> None:
        points.pass_by("before a file is synced")
        sync(file)
        points.pass_by("after a file was synced")

    return syncing


def _short(sql: str) -> str:
    return " ".join(sql.split()[:3]).replace('"', "").lower()
