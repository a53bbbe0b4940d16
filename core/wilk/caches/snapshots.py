"""Read transactions that many reads share: half of what a read costs is beginning and ending one.

One is begun when reads follow each other closely, and lasts for a few milliseconds at most: while it lasts,
others' writes are not seen, and SQLite cannot start its log anew. So a thread sees to it that none is
left open when the reads stop.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

LASTS = 0.005
"""Seconds that a snapshot is read from."""
GAP = 0.0002
"""Seconds between two reads that follow each other closely."""
STREAK = 16
"""So many of them make it likely that there are more."""
_PAUSE = 0.02
_IDLE = 0.3


class Snapshot(Protocol):
    """Something that may have a read transaction open."""

    def end_old_snapshot(self) -> bool:
        """End the transaction if its time is over; return whether there is one still."""


class Watch:
    """Ends snapshots whose time is over, on a thread that ends when there were none for a while."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._open: set[Snapshot] = set()
        self._running = False

    def begin(self, snapshot: Snapshot) -> None:
        """See to it that a snapshot is ended."""
        with self._change:
            if snapshot in self._open:
                return
            self._open.add(snapshot)
            if self._running:
                self._change.notify()
                return
            self._running = True
        threading.Thread(target=self._run, name="wilk-cache-reads", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._change:
                if not self._open and not self._change.wait_for(lambda: self._open, _IDLE):
                    self._running = False
                    return
                known = list(self._open)
            time.sleep(_PAUSE)
            ended = [one for one in known if not one.end_old_snapshot()]
            with self._change:
                self._open.difference_update(ended)


_watch = Watch()


def watch(snapshot: Snapshot) -> None:
    """See to it that a snapshot is ended."""
    _watch.begin(snapshot)


def born() -> None:
    """In a forked child, where the thread is not."""
    global _watch
    _watch = Watch()
