"""A lock that many readers, or one writer, may hold; both come to their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Guard:
    """The library lets many threads search at once, but none while vectors are added.

    A writer that waits goes before readers that come after it; those that waited while it wrote go
    before the next writer.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._readers = 0
        self._writing = False
        self._writers = 0  # that wait
        self._waiting = 0  # readers that wait
        self._passing = 0  # of them, those that go before the next writer

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read beside other readers."""
        with self._change:
            if self._writing or self._writers:
                self._waiting += 1
                try:
                    self._change.wait_for(
                        lambda: not self._writing and (self._passing > 0 or not self._writers)
                    )
                finally:
                    self._waiting -= 1
                    self._passing = max(0, self._passing - 1)
            self._readers += 1
        try:
            yield
        finally:
            with self._change:
                self._readers -= 1
                if not self._readers:
                    self._change.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write, alone."""
        with self._change:
            self._writers += 1
            try:
                self._change.wait_for(lambda: not (self._writing or self._readers or self._passing))
                self._writing = True
            finally:
                self._writers -= 1
                if not self._writing:
                    self._change.notify_all()
        try:
            yield
        finally:
            with self._change:
                self._writing = False
                self._passing = self._waiting
                self._change.notify_all()
