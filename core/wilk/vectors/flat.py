"""The open index ``exact``: few vectors are all compared; of many, short codes rule out most beforehand."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from wilk.vectors import code_file
from wilk.vectors.codes import WORD, Bounds, Coded, Coder, first_pass, second_pass
from wilk.vectors.distances import nearest, reach, select
from wilk.vectors.memory import Budget, Memory

if TYPE_CHECKING:
    from wilk.contracts import SpaceRows
    from wilk.settings import Settings

FEW_VALUES = 6_000_000
"""Up to so many values (vectors times dimension), comparing all is as fast as looking at codes."""

_FIRST = 64
_FIRST_WORDS = 3
_BLOCK = 4096
_SAMPLE = 4096


_T = TypeVar("_T", bound=np.generic)


class _View(NamedTuple):
    """What a search sees; a change makes another one."""

    size: int
    numbers: NDArray[np.int64]
    alive: NDArray[np.bool_]
    codes: _Codes | None
    memory: Memory


class _Codes(NamedTuple):
    """Codes, and what cut them."""

    coder: Coder
    coded: Coded


class Flat:
    """The vectors of a space, or their codes (:class:`wilk.Nearest`)."""

    def __init__(self, rows: SpaceRows, settings: Settings) -> None:
        self._rows = rows
        self._budget = Budget.of(settings)
        self._lock = threading.Lock()
        self.last = 0
        self._dead = 0
        self._trained = 0
        self._file: code_file.Opened | None = None
        self._in_file = 0  # how many vectors were written last
        self._changed = 0  # how many came and went since
        words = -(-rows.dimension // WORD)
        self._used = min(words, _FIRST_WORDS)
        self._quick, self._full = Bounds(self._used * WORD), Bounds(words * WORD)
        self._view = self._nothing()
        found = code_file.load(rows)
        if found is not None:
            self._file = found
            count = self._in_file = len(found.numbers)
            memory = Memory(rows, self._budget)
            memory.reserve(count)
            alive = np.ones(count, bool)
            codes = _Codes(found.coder, found.coded)
            self._view = _View(count, found.numbers, alive, codes, memory)
            self.last, self._trained = found.last, found.trained

    def _nothing(self) -> _View:
        return _View(0, np.empty(0, np.int64), np.empty(0, bool), None, Memory(self._rows, self._budget))

    def __len__(self) -> int:
        return self._view.size - self._dead

    # -- what changes ---------------------------------------------------------------------

    def add(self, numbers: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Take in vectors whose numbers are all greater than ``last``."""
        with self._lock:
            if not len(numbers):
                return
            view = self._room(len(numbers))
            count = view.size + len(numbers)
            places = np.arange(view.size, count)
            view.numbers[view.size : count] = numbers
            view.alive[view.size : count] = True
            view.memory.put(places, vectors)
            if view.codes is not None:
                coder, coded = view.codes
                new = coder.code(vectors)
                coded.words[:, view.size : count] = new.words
                coded.norms[view.size : count] = new.norms
                coded.base[view.size : count] = new.base
            view = view._replace(size=count)
            if count * self._rows.dimension > FEW_VALUES and count > 2 * self._trained:
                view = self._code_anew(view)
            self._view = view
            self.last = int(numbers[-1])
            self._changed += len(numbers)

    def remove(self, numbers: NDArray[np.int64]) -> None:
        """Forget vectors; unknown numbers are nothing to it."""
        with self._lock:
            view = self._view
            places = _places(view, np.unique(numbers))
            places = places[view.alive[places]]
            view.alive[places] = False
            if view.codes is not None:
                view.codes.coded.base[places] = np.inf
            self._dead += len(places)
            self._changed += len(places)
            if self._dead > 1000 and self._dead > view.size // 2:
                self._compact()

    def _room(self, more: int) -> _View:
        """The view with room for more vectors behind those it has."""
        view = self._view
        wanted = view.size + more
        there = len(view.numbers)
        if wanted <= there:
            view.memory.reserve(there)
            return view
        size = max(wanted, view.size + view.size // 2, 1024)
        view.memory.reserve(size)
        codes = view.codes
        if codes is not None:
            coded = codes.coded
            words = np.empty((len(coded.words), size), np.uint64)
            words[:, : view.size] = coded.words[:, : view.size]
            grown = Coded(words, _grown(coded.norms, view.size, size), _grown(coded.base, view.size, size))
            codes = _Codes(codes.coder, grown)
        numbers, alive = _grown(view.numbers, view.size, size), _grown(view.alive, view.size, size)
        return view._replace(numbers=numbers, alive=alive, codes=codes)

    def _code_anew(self, view: _View) -> _View:
        """Cut all vectors to codes, unless those that there are still lie around their center."""
        count = view.size
        chosen = np.unique(np.linspace(0, count - 1, _SAMPLE).astype(np.int64))
        chosen, sample = view.memory.get(chosen, view.numbers[chosen])
        if not len(sample):
            return view
        coder = Coder.around(self._rows.distance, sample)
        self._trained = count
        if view.codes is not None:
            there = view.codes.coder
            off = np.square(coder.center / coder.scale - there.center / there.scale).sum() * there.scale**2
            if off < 0.1 * np.square(there.code(sample).norms.astype(np.float64)).mean():
                return view
        size = len(view.numbers)
        words = np.zeros((coder.words, size), np.uint64)
        norms = np.zeros(size, np.float32)
        base = np.full(size, np.inf, np.float32)  # a row that is not there is never near
        for start in range(0, count, _BLOCK):
            some = np.arange(start, min(start + _BLOCK, count))
            some, vectors = view.memory.get(some, view.numbers[some])
            new = coder.code(vectors)
            words[:, some], norms[some], base[some] = new.words, new.norms, new.base
        base[: len(view.alive)][~view.alive] = np.inf
        return view._replace(codes=_Codes(coder, Coded(words, norms, base)))

    def _compact(self) -> None:
        """Leave out what was removed, once that is most."""
        view = self._view
        kept = np.flatnonzero(view.alive[: view.size])
        memory = Memory(self._rows, self._budget)
        view.memory.close()
        memory.reserve(len(kept))
        codes = view.codes
        if codes is not None:
            coded = codes.coded
            codes = codes._replace(coded=Coded(coded.words[:, kept], coded.norms[kept], coded.base[kept]))
        self._view = _View(len(kept), view.numbers[kept], np.ones(len(kept), bool), codes, memory)
        self._dead = 0

    # -- search ---------------------------------------------------------------------------

    def search(
        self, query: NDArray[np.float32], k: int, among: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return at most k numbers and their distances, the nearest first; of equals the smaller number."""
        view = self._view
        places = None if among is None else _places(view, among)
        if places is not None:
            places = places[view.alive[places]]
        there = view.size if places is None else len(places)
        if not there or not k:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        numbers, found = self._nearest(view, query, min(k, there), places)
        with np.errstate(over="ignore"):
            return numbers, found.astype(np.float32)

    def _nearest(
        self, view: _View, query: NDArray[np.float32], k: int, places: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        there = view.size if places is None else len(places)
        if view.codes is not None and there * self._rows.dimension > FEW_VALUES and k * 16 < there:
            left = self._left(view, view.codes, query, k, places)
            if left is not None:
                return self._compared(view, left, query, k)
        return self._all(view, query, k, places)

    def _left(
        self,
        view: _View,
        codes: _Codes,
        query: NDArray[np.float32],
        k: int,
        places: NDArray[np.int64] | None,
    ) -> NDArray[np.int64] | None:
        """The places that codes do not rule out; None when these are so many that all may be compared."""
        cut = codes.coder.query(query)
        if cut is None:
            return None
        bounds, bits = first_pass(codes.coded, view.size, cut, self._quick, self._used)
        if places is not None:
            outside = np.ones(view.size, bool)
            outside[places] = False
            bounds[outside] = np.inf
        wanted = max(_FIRST, 4 * k)

        def limit(some: NDArray[np.int64]) -> float | None:
            """What the bound is at most of a vector among the k nearest, by the distances of some."""
            some, vectors = view.memory.get(some, view.numbers[some])
            if len(some) < k:
                return None
            distance = reach(self._rows.distance, vectors, query, k)
            return codes.coder.limit(cut, distance) if distance < np.inf else None

        most = limit(_lowest(bounds, wanted))
        if most is None:
            return None
        left = np.flatnonzero(bounds <= most)
        if len(left) * 2 > view.size:
            return None
        if self._used < codes.coder.words and len(left) > wanted:
            lower = second_pass(codes.coded, left, bits, cut, self._full, self._used)
            left, lower = left[lower <= most], lower[lower <= most]
            if len(left) > 2 * wanted:
                nearer = limit(left[np.argpartition(lower, wanted)[:wanted]])
                if nearer is not None:
                    left = left[lower <= nearer]
        return left if k <= len(left) < view.size // 8 else None

    def _compared(
        self, view: _View, places: NDArray[np.int64], query: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        places, vectors = view.memory.get(places, view.numbers[places])
        return select(self._rows.distance, vectors, view.numbers[places], query, k)

    def _all(
        self, view: _View, query: NDArray[np.float32], k: int, places: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Compare all, or those at some places."""
        if places is None:
            if view.memory.whole and len(lacking := view.memory.lacking(view.size)):
                for start in range(0, len(lacking), _BLOCK):
                    some = lacking[start : start + _BLOCK]
                    view.memory.get(some, view.numbers[some])
            together = view.memory.everything(view.size)
            if together is not None and view.alive[: view.size].all():
                return select(self._rows.distance, together, view.numbers[: view.size], query, k)
            # Of a copy: what is removed while numpy counts would leave places that are none.
            places = np.flatnonzero(view.alive[: view.size].copy())
        best = np.empty(0, np.int64), np.empty(0, np.float64)
        for start in range(0, len(places), _BLOCK):
            more = self._compared(view, places[start : start + _BLOCK], query, k)
            best = nearest(np.concatenate([best[0], more[0]]), np.concatenate([best[1], more[1]]), k)
        return best

    # -- files ----------------------------------------------------------------------------

    def save(self) -> None:
        """Write the codes to ``rows.folder``; few vectors have none. A file is left as it is while little is
        new: reading that again costs less than writing all of it."""
        with self._lock:
            view = self._view
            if self._rows.folder is None or view.codes is None or self._changed * 100 < self._in_file:
                return
            coder, coded = view.codes
            kept = np.flatnonzero(view.alive[: view.size] & (coded.base[: view.size] < np.inf))
            code_file.save(self._rows, view.numbers[kept], coder, coded, kept, self.last, self._trained)
            self._in_file, self._changed = len(kept), 0

    def close(self) -> None:
        """Let go of the file and of memory."""
        with self._lock:
            self._view.memory.close()
            self._view = self._nothing()
            if self._file is not None:
                self._file.close()
                self._file = None


def _places(view: _View, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where sorted numbers lie; those that are not there are left out."""
    there = view.numbers[: view.size]
    places = np.searchsorted(there, numbers)
    places[places == len(there)] = 0
    return places[there[places] == numbers] if len(there) else places[:0]


def _lowest(bounds: NDArray[np.float32], wanted: int) -> NDArray[np.int64]:
    """About so many places of the lowest bounds. A sample tells where to cut: sorting costs more."""
    step = max(1, len(bounds) // 8192)
    sample = bounds[::step]
    at = min(wanted // step + 1, len(sample) - 1)
    cut = np.partition(sample, at)[at]
    places = np.flatnonzero(bounds <= cut) if cut < np.inf else np.flatnonzero(bounds < cut)
    if not wanted // 2 <= len(places) <= 4 * wanted:
        places = np.argpartition(bounds, min(wanted, len(bounds) - 1))[:wanted]
        places = places[bounds[places] < np.inf]
    return places


def _grown(array: NDArray[_T], count: int, size: int) -> NDArray[_T]:
    found = np.zeros(size, array.dtype)
    found[:count] = array[:count]
    return found
