"""A process that moves a store and kills itself on the way: ``python moving_killed.py FROM TO BOUNDARY``.

Boundaries are counted from 1: before and after each commit of the target, and within its transactions after
each statement that writes rows. At boundary 0 it is not killed, and tells how many it came by.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import wilk
from wilk import engine
from wilk.transfer.moves.writing import Writer

_passed = 0


def _boundary(wanted: int) -> None:
    global _passed
    _passed += 1
    if _passed == wanted:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch(wanted: int) -> None:
    leave = engine.Transaction.__exit__

    def leaving(transaction: engine.Transaction, kind: Any, error: Any, trace: Any) -> None:
        outermost = error is None and transaction._engine._local.depth == 1
        if outermost:
            _boundary(wanted)
        leave(transaction, kind, error, trace)
        if outermost:
            _boundary(wanted)

    def watched(name: str) -> None:
        write = getattr(Writer, name)

        def writing(self: Writer, *arguments: Any) -> None:
            write(self, *arguments)
            _boundary(wanted)

        setattr(Writer, name, writing)

    engine.Transaction.__exit__ = leaving  # type: ignore[method-assign]
    for name in ("_insert", "_update", "_remove"):
        watched(name)


if __name__ == "__main__":
    source, target, boundary = sys.argv[1:]
    with wilk.open_store(source, readonly=True) as store:
        _watch(int(boundary))
        store.move(target)
    sys.stdout.write(str(_passed))
