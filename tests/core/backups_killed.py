"""A process that makes or restores a backup and kills itself on the way: ``python backups_killed.py WORK BOUNDARY``.

Boundaries are counted from 1: before and after each time that a file is made safe, renamed or removed, each
commit, each copy of the database and each step of putting one back. At boundary 0 it is not killed, and tells
how many it came by.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import wilk
from wilk import transactions

_passed = 0
_wanted = 0


def _boundary() -> None:
    global _passed
    if threading.current_thread() is not threading.main_thread():
        return  # what goes on behind it comes when it comes
    _passed += 1
    if _passed == _wanted:
        os.kill(os.getpid(), signal.SIGKILL)


def _around(holder: Any, name: str) -> None:
    action: Callable[..., Any] = getattr(holder, name)

    def watched(*arguments: Any, **options: Any) -> Any:
        _boundary()
        done = action(*arguments, **options)
        _boundary()
        return done

    setattr(holder, name, watched)


def _watch(store: wilk.Store) -> None:
    for holder, name in (
        (os, "fsync"),
        (Path, "rename"),
        (Path, "replace"),
        (Path, "unlink"),
        (Path, "mkdir"),
        (shutil, "copyfile"),
        (shutil, "rmtree"),
        (transactions.Transaction, "__exit__"),
    ):
        _around(holder, name)
    opened = store._backend
    if opened.copy is not None:
        copy, put_back = opened.copy, opened.put_back

        def copying(target: Path) -> None:
            _boundary()
            copy(target)
            _boundary()

        def putting_back(source: Path) -> None:
            assert put_back is not None
            _boundary()
            put_back(source)
            _boundary()

        store._backend = replace(opened, copy=copying, put_back=putting_back)


def work(what: str) -> None:
    from wilk.store import _open

    settings = wilk.settings.load()
    with _open(
        settings, wilk.Host(disabled=settings.disabled_plugins), wilk.Clock(), restoring=True
    ) as store:
        _watch(store)
        if what == "create":
            store.backups.create(name="new")
        else:
            store.backups.restore("first")


if __name__ == "__main__":
    _wanted = int(sys.argv[2])
    work(sys.argv[1])
    sys.stdout.write(str(_passed))
