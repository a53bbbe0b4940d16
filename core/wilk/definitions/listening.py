"""Follows definitions where there is no folder of them: what other stores change, told by a bus."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from wilk.definitions.watcher import Watcher
from wilk.records.definitions import SyncReport


class Listening(Watcher):
    """A watcher without files: ``on_report`` hears of what other stores change, until :meth:`stop`."""

    def __init__(self, on_report: Callable[[SyncReport], object] | None = None) -> None:
        self._on_report = on_report
        self._ended = threading.Event()

    @property
    def mode(self) -> str:
        return "bus" if self.alive else "stopped"

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    def start(self) -> Self:
        return self

    def stop(self) -> None:
        self._ended.set()

    def join(self, timeout: float | None = None) -> bool:
        return self._ended.wait(timeout)
