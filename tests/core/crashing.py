"""A process that does one thing and kills itself on the way: ``python crashing.py HOME WORK BOUNDARY``.

Boundaries are counted from 1: just before each commit, just after it (before and after what follows it),
and just before and after each time a file is made safe on the disk. At boundary 0 it is not killed,
and tells how many boundaries it came by.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import wilk
from wilk import transactions

_passed = 0
_wanted = 0


def _boundary() -> None:
    global _passed
    _passed += 1
    if _passed == _wanted:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch() -> None:
    """Come by a boundary at every commit, and every time a file is made safe."""
    leave, run_all, fsync = transactions.Transaction.__exit__, transactions._run_all, os.fsync

    def leaving(transaction: transactions.Transaction, kind: Any, error: Any, trace: Any) -> None:
        outermost = error is None and transaction._engine._local.depth == 1
        if outermost:
            _boundary()
        leave(transaction, kind, error, trace)
        if outermost:
            _boundary()

    def running(actions: Any) -> None:
        _boundary()
        run_all(actions)

    def syncing(file: Any) -> None:
        _boundary()
        fsync(file)
        _boundary()

    transactions.Transaction.__exit__ = leaving  # type: ignore[method-assign]
    transactions._run_all = running
    os.fsync = syncing


def compact(store: wilk.Store) -> None:
    store.memory.compact("talk", keep_messages=6)


def uncompact(store: wilk.Store) -> None:
    store.memory.uncompact("talk")


def remove(store: wilk.Store) -> None:
    if store.sessions.find("talk"):
        store.sessions.remove("talk", reason="tidied")


def restore(store: wilk.Store) -> None:
    if not store.sessions.find("talk"):
        store.archive.restore(session="talk")


def retention(store: wilk.Store) -> None:
    store.retention.run({"tool_call": {"count": 3}, "pin": {"count": 1}, "temporary_sessions": "1d"})


def install(store: wilk.Store) -> None:
    if store.registry.installed():
        store.registry.update()  # it tidies up, as every verb does that writes
    else:
        store.registry.install("reviewer")


def upgrade(store: wilk.Store) -> None:
    store.registry.update("reviewer")


def uninstall(store: wilk.Store) -> None:
    if store.registry.installed():
        store.registry.remove("reviewer", reason="tidied", force=True)
    else:
        store.registry.update()


WORK: dict[str, Callable[[wilk.Store], None]] = {
    one.__name__: one for one in (compact, uncompact, remove, restore, retention, install, upgrade, uninstall)
}

if __name__ == "__main__":
    _, home, work, boundary = sys.argv
    _wanted = int(boundary)
    with wilk.open_store(home=home) as store:
        _watch()
        WORK[work](store)
        store.settle()
    print(_passed)
