"""A process that writes records with an embedder and kills itself on the way: ``python indexing_killed.py
HOME MODEL BOUNDARY``.

Boundaries are counted from 1: before and after each commit, and before and after each call of the model. At
boundary 0 it is not killed, and tells how many there were.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.core.indexed import opened
from tests.embedding import Bag

from wilk import engine

_passed = 0
_wanted = int(sys.argv[3])
_counting = threading.Lock()


def _boundary() -> None:
    global _passed
    with _counting:
        _passed += 1
        if _passed == _wanted:
            os.kill(os.getpid(), signal.SIGKILL)


def _watch(plugin: Bag) -> None:
    leave = engine.Transaction.__exit__

    def leaving(transaction: engine.Transaction, kind: Any, error: Any, trace: Any) -> None:
        outermost = error is None and transaction._engine._local.depth == 1
        if outermost:
            _boundary()
        leave(transaction, kind, error, trace)
        if outermost:
            _boundary()

    engine.Transaction.__exit__ = leaving  # type: ignore[method-assign]
    plugin.before = plugin.after = _boundary


def main() -> None:
    plugin = Bag(sys.argv[2], batch=4)
    with opened(Path(sys.argv[1]), plugin) as store:
        _watch(plugin)
        session = store.sessions.create().id
        for n in range(6):
            store.messages.append(session, "user", f"message {n} of {_wanted}")
            store.memories.add(f"memory {n}", conversation="c", memory_id=str(n))
        pin = store.pins.add(session, "a pin " * 800)
        store.settle()
        store.pins.update(pin.id, content="another pin")
        store.memories.remove(store.memories.list()[0].id)
        store.settle()
        gone = [entry for entry in store.archive.list(kind="memory") if entry.restored_at is None]
        store.archive.restore(kind="memory", record=gone[0].record_id)
        store.index.rebuild(["memory", "pin"])
    print(_passed)


if __name__ == "__main__":
    main()
