"""Vectors kept in memory, filled as they are asked for, within a bound that all indexes of a store share."""

from __future__ import annotations

import mmap
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wilk.contracts import SpaceRows
    from wilk.settings import Settings

_LEAST = 256
_LARGE = 1 << 22
_T = TypeVar("_T", bound=np.generic)
_budgets: WeakKeyDictionary[Settings, Budget] = WeakKeyDictionary()


class Budget:
    """Bytes that are left of the setting ``vector_memory``."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._begin()

    def _begin(self) -> None:
        """Begin with all of it; also in a forked child, which has none of the parent's indexes."""
        self._process = os.getpid()
        self._left = self._size
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: Settings) -> Budget:
        """The budget that all indexes of a store share."""
        found = _budgets.setdefault(settings, cls(settings.vector_memory))
        if found._process != os.getpid():
            found._begin()
        return found

    def take(self, size: int, *, least: int | None = None) -> int:
        """Take bytes: all of them, or what is left if that is at least so much, or nothing."""
        with self._lock:
            given = size if size <= self._left else max(0, self._left)
            if given < (size if least is None else least):
                return 0
            self._left -= given
            return given

    def give_back(self, size: int) -> None:
        with self._lock:
            self._left += size


class Memory:
    """The vectors of one index by their position, as far as the budget goes.

    While all of them fit, each lies at its position; otherwise the ones that came first make room.
    """

    def __init__(self, rows: SpaceRows, budget: Budget) -> None:
        self._rows = rows
        self._budget = budget
        self._lock = threading.Lock()
        self._taken = 0
        self._width = rows.dimension * 4
        self.whole = True
        self._slots = np.empty((0, rows.dimension), np.float32)
        self._held = np.empty(0, bool)  # of each position, while all fit
        self._slot_of = np.empty(0, np.int64)  # of each position, otherwise; -1 for none
        self._owner = np.empty(0, np.int64)  # of each slot
        self._hand = 0

    def reserve(self, capacity: int) -> None:
        """Make room for so many positions."""
        with self._lock:
            self._reserve(capacity)

    def _reserve(self, capacity: int) -> None:
        if self.whole:
            more = (capacity - len(self._held)) * self._width
            if more <= 0:
                return
            if self._budget.take(more):
                self._taken += more
                slots = _room(capacity, self._rows.dimension)
                there = np.flatnonzero(self._held)
                slots[there] = self._slots[there]
                self._slots = slots
                self._held = _longer(self._held, capacity, False)
                return
            self._budget.give_back(self._taken)
            self.whole = False
            self._taken = self._budget.take(capacity * self._width, least=_LEAST * self._width)
            slots_there = self._taken // self._width
            self._slots = _room(slots_there, self._rows.dimension)
            self._owner = np.full(slots_there, -1, np.int64)
            self._held = np.empty(0, bool)
        if capacity > len(self._slot_of):
            self._slot_of = _longer(self._slot_of, capacity, -1)

    def put(self, positions: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Keep vectors that are at hand."""
        with self._lock:
            self._put(positions, vectors)

    def _put(self, positions: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        if self.whole:
            self._slots[positions] = vectors
            self._held[positions] = True
            return
        room = len(self._owner)
        positions, vectors = positions[:room], vectors[:room]
        slots = (self._hand + np.arange(len(positions))) % room if room else positions
        if not room:
            return
        earlier = self._owner[slots]
        self._slot_of[earlier[earlier >= 0]] = -1
        self._slots[slots] = vectors
        self._owner[slots] = positions
        self._slot_of[positions] = slots
        self._hand = int((self._hand + len(positions)) % room)

    def get(
        self, positions: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The vectors at positions (whose numbers are given too), read from the rows where need be.

        Those whose rows are gone are left out.
        """
        with self._lock:
            held = self._held[positions] if self.whole else self._slot_of[positions] >= 0
            if held.all():
                at = positions if self.whole else self._slot_of[positions]
                return positions, self._slots.take(at, axis=0)
        found = np.empty((len(positions), self._rows.dimension), np.float32)
        there = np.zeros(len(positions), bool)
        missing = np.flatnonzero(~held)
        wanted = numbers[missing]
        got, vectors = self._rows.rows(wanted)
        order = np.argsort(wanted)
        places = missing[order[np.searchsorted(wanted, got, sorter=order)]]
        found[places] = vectors
        there[places] = True
        with self._lock:
            rest = np.flatnonzero(~there & held)
            still = self._held[positions[rest]] if self.whole else self._slot_of[positions[rest]] >= 0
            kept = rest[still]
            at = positions[kept] if self.whole else self._slot_of[positions[kept]]
            found[kept] = self._slots.take(at, axis=0)
            there[kept] = True
            lost = rest[~still]  # another thread needed their room in the meantime
            self._put(positions[places], vectors)
        if len(lost):
            more, vectors = self.get(positions[lost], numbers[lost])
            again = lost[np.isin(positions[lost], more)]
            found[again] = vectors
            there[again] = True
        return positions[there], found[there]

    def everything(self, count: int) -> NDArray[np.float32] | None:
        """All vectors up to a position, if they lie there together."""
        with self._lock:
            if self.whole and self._held[:count].all():
                return self._slots[:count]
        return None

    def lacking(self, count: int) -> NDArray[np.int64]:
        """The positions that are not held; only while all fit."""
        with self._lock:
            return np.flatnonzero(~self._held[:count])

    def close(self) -> None:
        """Give the room back."""
        with self._lock:
            self._budget.give_back(self._taken)
            self._taken = 0


def _room(count: int, dimension: int) -> NDArray[np.float32]:
    """Room for vectors that takes memory as it is filled: in huge pages, a few vectors here and there
    would take all of it at once."""
    size = count * dimension * 4
    if size < _LARGE or not hasattr(mmap, "MADV_NOHUGEPAGE"):
        return np.empty((count, dimension), np.float32)
    mapped = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without huge pages
        mapped.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(mapped, np.float32).reshape(count, dimension)


def _longer(array: NDArray[_T], size: int, fill: int | bool) -> NDArray[_T]:
    found = np.full(size, fill, array.dtype)
    found[: len(array)] = array
    return found
