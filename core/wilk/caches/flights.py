"""Computations that go on in this process, by key: whoever wants the same value waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar

Flight = Future["bytes | None"]
"""What becomes of a computation: the packed value, or None when it failed and somebody else may try."""

_OWN: ContextVar[frozenset[tuple[int, str]]] = ContextVar("wilk_computing", default=frozenset())
"""What the running thread or task is computing just now, of which cache."""


class Flights:
    """The computations of one cache; threads and coroutines wait for the same ones."""

    def __init__(self) -> None:
        self._going: dict[str, Flight] = {}

    def nested(self, key: str) -> bool:
        """Whether the caller is computing this very key: waiting for that would never end."""
        return (id(self), key) in _OWN.get()

    def join(self, key: str) -> tuple[Flight, bool]:
        """The computation of a key, and whether the caller is the one to do it."""
        mine = Flight()
        mine.set_running_or_notify_cancel()  # so that a waiter that is cancelled cancels nobody else
        flight = self._going.setdefault(key, mine)
        return flight, flight is mine

    @contextmanager
    def computing(self, key: str, flight: Flight) -> Iterator[None]:
        """Compute in the block; in the end all who wait are told, also of a failure."""
        token = _OWN.set(_OWN.get() | {(id(self), key)})
        try:
            yield
        finally:
            self._going.pop(key, None)
            if not flight.done():
                flight.set_result(None)
            with suppress(ValueError):  # a task whose loop was closed ends in another context
                _OWN.reset(token)
