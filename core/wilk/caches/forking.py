"""What becomes of locks and connections when a process forks.

Nobody holds a lock while the process is copied; the child then begins with locks of its own, and
leaves the connections that it has inherited alone: they are its parent's.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol

_PATIENCE = 5.0


class Forked(Protocol):
    """What is told of forks. ``_lock`` is held while the process is copied."""

    _lock: Any

    def _born(self) -> None:
        """In the child."""


_known: weakref.WeakSet[Forked] = weakref.WeakSet()
_held: list[Forked] = []


def told(it: Forked) -> None:
    """Tell an object of forks, as long as it lives."""
    _known.add(it)


def _before() -> None:
    _held[:] = [it for it in list(_known) if it._lock.acquire(timeout=_PATIENCE)]


def _after() -> None:
    for it in _held:
        it._lock.release()
    _held.clear()


def _child() -> None:
    _held.clear()
    for it in list(_known):
        it._born()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_child)
