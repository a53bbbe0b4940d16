"""The graph itself, by faiss: distinct vectors, and which numbers each of them stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faiss as _typed
import numpy as np

from wilk_hnsw.measures import METRICS, compared, distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wilk_hnsw.measures import Floats, Numbers
    from wilk_hnsw.options import Options

faiss: Any = _typed  # its own types do not know all that it has
_FEW = 4096  # filtered vectors that are compared one by one rather than looked for in the graph
_WIDEST = 2048
_KEPT = 64
_BLOCK = 4096


class Graph:
    """Vectors by their places in the graph, in the order in which they were added.

    Equal vectors share a place: a clique of equals has no way out of it, and what lies behind is not
    found. A graph cannot give up a place; one whose numbers are all gone stays on as a way to others, and
    is left out of answers.
    """

    def __init__(self, dimension: int, distance: str, options: Options, index: Any = None) -> None:
        self._distance = distance
        self._options = options
        self.index = index
        self.viewed = index is not None
        """Whether it lies in a mapped file, and must not be added to."""
        if index is None:
            self.index = faiss.IndexHNSWFlat(dimension, options.connectivity, METRICS[distance])
            self.index.hnsw.efConstruction = options.expansion_add
        self.numbers: Numbers = np.empty(0, np.int64)
        self.places: Numbers = np.empty(0, np.int64)
        self.gone: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._single: Numbers = np.empty(0, np.int64)  # a place's only number, or -1 for several
        self._several: dict[int, list[int]] = {}
        self._living: Numbers = np.empty(0, np.int64)  # how many numbers of a place are not gone
        self._seen: dict[int, int] = {}
        self._factors = np.random.default_rng(0).integers(0, 2**63, dimension, np.uint64) * 2 + 1
        self._parameters: dict[int, Any] = {}  # of searches of a width, which leave out what is gone
        self._selector: Any = None

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def living(self) -> int:
        """How many numbers are not gone."""
        return len(self.numbers) - int(self.gone.sum())

    def vectors(self) -> Floats:
        """All vectors by place; good until something is added."""
        count, dimension = int(self.index.ntotal), int(self.index.d)
        if not count:
            return np.empty((0, dimension), np.float32)
        storage = faiss.downcast_index(self.index.storage)
        flat: Floats = faiss.rev_swig_ptr(storage.get_xb(), count * dimension)
        return flat.reshape(count, dimension)

    def add(self, numbers: Numbers, vectors: Floats) -> None:
        """Add vectors of greater numbers than all before."""
        count = int(self.index.ntotal)
        held = self.vectors()
        places = np.empty(len(numbers), np.int64)
        fresh: list[int] = []
        for row, digest in enumerate(self._digests(vectors)):
            place = self._seen.get(digest, -1)
            earlier = None if place < 0 else held[place] if place < count else vectors[fresh[place - count]]
            if earlier is None or not np.array_equal(earlier, vectors[row]):
                place = count + len(fresh)
                fresh.append(row)
                self._seen.setdefault(digest, place)
            places[row] = place
        if fresh:
            self.index.add(vectors[fresh])
        self._note(numbers, places, np.zeros(len(numbers), np.bool_))

    def put_back(self, numbers: Numbers, places: Numbers, gone: NDArray[np.bool_]) -> None:
        """Say what the places of a graph that was read stand for."""
        self._note(numbers, places, gone)

    def know_vectors(self) -> None:
        """Learn which vectors are there, before some are added to a graph that was read."""
        held = self.vectors()
        for start in range(0, len(held), _BLOCK):
            for place, digest in enumerate(self._digests(held[start : start + _BLOCK]), start):
                self._seen.setdefault(digest, place)

    def remove(self, numbers: Numbers) -> None:
        """Forget numbers; those that are not there are nothing to it."""
        at = self._at(numbers)
        at = at[~self.gone[at]]
        if not len(at):
            return
        self.gone[at] = True
        np.subtract.at(self._living, self.places[at], 1)
        for number, place in zip(self.numbers[at].tolist(), self.places[at].tolist(), strict=True):
            if place in self._several:
                self._several[place].remove(number)
        self._parameters, self._selector = {}, None

    def search(self, query: Floats, k: int, among: Numbers | None) -> tuple[Numbers, Floats]:
        """At least the k nearest numbers (all, where there are fewer) and their distances, in order."""
        total = len(self._single)
        if among is None:
            chosen, count = None, total
        else:
            at = self._at(among)
            chosen = np.unique(self.places[at[~self.gone[at]]])
            count = len(chosen)
        if count == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        # Among half of the vectors twice as many must be looked at, and more for good measure.
        wanted = k if chosen is None else 2 * k * total // count
        width = max(self._options.expansion_search, 2 * wanted)
        if (chosen is None or count > _FEW) and wanted <= total // 10 and width <= max(_WIDEST, 2 * k):
            places, found = self._led_to(query, wanted if chosen is None else width, width)
            if chosen is not None:
                counts = np.zeros(total, np.bool_)
                counts[chosen] = True
                passed = counts[places]
                places, found = places[passed][:k], found[passed][:k]
            if len(places) >= k:
                return self._numbers_of(places, found, k, among)
        # Few, or many wanted, or the graph did not lead to enough of them: all are compared.
        if chosen is None:
            chosen = np.flatnonzero(self._living)
        held = self.vectors()
        rows = held if len(chosen) == len(held) else held[chosen]
        nearest, found = compared(self._distance, rows, query, k)
        return self._numbers_of(chosen[nearest], found, k, among)

    def _led_to(self, query: Floats, k: int, width: int) -> tuple[Numbers, Floats]:
        """The nearest places to which the graph leads, k at most, in order."""
        asked = self._parameters.get(width)
        if asked is None:
            if self._selector is None and self.gone.any():
                self._selector = _selector(self._living > 0)
            asked = faiss.SearchParametersHNSW(efSearch=width, sel=self._selector)
            if len(self._parameters) < _KEPT:
                self._parameters[width] = asked
        found, places = self.index.search(query[None], k, params=asked)
        if places[0, -1] < 0:
            led = places[0] >= 0
            return places[0][led], distances(self._distance, found[0][led])
        return places[0], distances(self._distance, found[0])

    def _numbers_of(
        self, places: Numbers, found: Floats, k: int, among: Numbers | None
    ) -> tuple[Numbers, Floats]:
        numbers = self._single[places]
        if not self._several or numbers.min() >= 0:
            return numbers, found
        whole = []
        for place, number in zip(places.tolist(), numbers.tolist(), strict=True):
            some = np.array(self._several[place] if number < 0 else [number], np.int64)
            if among is not None:
                some = some[np.isin(some, among, assume_unique=True)]
            whole.append(some[:k])
        return np.concatenate(whole), np.repeat(found, [len(some) for some in whole])

    def _at(self, numbers: Numbers) -> Numbers:
        """Where numbers lie in the list of all, those that do."""
        at = np.searchsorted(self.numbers, numbers)
        inside = at < len(self.numbers)
        at = at[inside]
        kept: Numbers = at[self.numbers[at] == numbers[inside]]
        return kept

    def _note(self, numbers: Numbers, places: Numbers, gone: NDArray[np.bool_]) -> None:
        count, before = int(self.index.ntotal), len(self._single)
        self.numbers = np.concatenate([self.numbers, numbers])
        self.places = np.concatenate([self.places, places])
        self.gone = np.concatenate([self.gone, gone])
        self._living = np.concatenate([self._living, np.zeros(count - before, np.int64)])
        np.add.at(self._living, places[~gone], 1)
        self._single = np.concatenate([self._single, np.full(count - before, -2, np.int64)])
        # The first number of a place is its only one, until a second comes.
        _, firsts = np.unique(places, return_index=True)
        new = firsts[self._single[places[firsts]] == -2]
        self._single[places[new]] = numbers[new]
        more = np.ones(len(places), np.bool_)
        more[new] = False
        for row in np.flatnonzero(more).tolist():
            place = int(places[row])
            if place not in self._several:
                only = int(self._single[place])
                self._several[place] = [] if self.gone[self._at(np.array([only]))[0]] else [only]
                self._single[place] = -1
            if not gone[row]:
                self._several[place].append(int(numbers[row]))
        self._parameters, self._selector = {}, None

    def _digests(self, vectors: Floats) -> list[int]:
        """A number per vector, the same for equal ones."""
        digests: list[int] = []
        for start in range(0, len(vectors), _BLOCK):
            bits = (vectors[start : start + _BLOCK] + np.float32(0)).view(np.uint32).astype(np.uint64)
            digests += (bits * self._factors).sum(axis=1, dtype=np.uint64).tolist()
        return digests


def _selector(mask: NDArray[np.bool_]) -> Any:
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
