"""The index of one space: a graph, and the vectors that are not in it yet, which are compared one by one."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import faiss
import numpy as np

from wilk_hnsw import files
from wilk_hnsw.files import Kind, Saved, Unfit
from wilk_hnsw.graph import Graph
from wilk_hnsw.guard import Guard
from wilk_hnsw.measures import compared, first, prepared, prepared_query

if TYPE_CHECKING:
    from wilk import SpaceRows
    from wilk_hnsw.measures import Floats, Numbers
    from wilk_hnsw.options import Options

logger = logging.getLogger("wilk.hnsw")

_SMALL = 1000
"""Fewer vectors than this are compared one by one: that is as fast, and nothing is lost with it."""
_CHUNK = 4096
_PIECE = 0.5  # seconds of work at once
_HELD = 0.03  # seconds for which searches are kept waiting by it
_MOST_GONE = 0.3
_SAMPLE = 64
_NONE: Numbers = np.empty(0, np.int64)
_NOWHERE: Floats = np.empty(0, np.float32)


class _Chunk(NamedTuple):
    numbers: Numbers
    vectors: Floats


def open_index(rows: SpaceRows, options: Options) -> Hnsw:
    """Go on from the files of an index where they fit the rows, or begin with none."""
    index = Hnsw(rows, options)
    if rows.folder is not None:
        try:
            saved = files.read(rows.folder, index.kind)
            if saved is not None:
                index.go_on(saved)
        except (Unfit, OSError) as error:
            logger.info("the index of %r is built anew: %s", rows.collection, error)
            index = Hnsw(rows, options, anew=True)
    return index


class Hnsw:
    """An open index (:class:`wilk.Nearest`).

    What is added waits in a list, and every search compares it; :meth:`work` moves it into the graph, a
    little at a time, so that no search waits for long. Any thread may do any of it at any time.
    """

    def __init__(self, rows: SpaceRows, options: Options, *, anew: bool = False) -> None:
        self._rows = rows
        self._options = options
        self._distance = rows.distance
        self.kind = Kind(
            files.FORMAT,
            rows.token,
            rows.dimension,
            rows.distance,
            options.connectivity,
            options.expansion_add,
        )
        self.last = 0
        self._graph = Graph(rows.dimension, rows.distance, options)
        self._waiting: list[_Chunk] = []
        self._zeros = _NONE
        self._guard = Guard()  # of what a search sees
        self._working = threading.Lock()  # held by whoever adds to the graph or saves it
        self._step = 64
        self._path = ""
        self._saved = 0  # how many numbers of the graph are in the files
        self._replace = anew  # whether those files are of no use
        self._closed = False

    def go_on(self, saved: Saved) -> None:
        """Take what was saved; raises Unfit when the rows are not those that it was made of."""
        graph = Graph(self._rows.dimension, self._distance, self._options, saved.graph)
        graph.put_back(saved.numbers, saved.places, saved.gone)
        held, there = graph.living + len(saved.zeros), self._rows.count()
        if saved.last > self._rows.last():
            raise Unfit("the database is older than it")
        if held - there > _MOST_GONE * max(held, _SMALL):
            raise Unfit(f"of {held} vectors in it at most {there} are left")
        if not _same(self._rows, graph):
            raise Unfit("the database has other vectors under its numbers")
        self.last, self._graph, self._zeros = saved.last, graph, saved.zeros
        self._path, self._saved = str(saved.path), len(graph)

    @property
    def threads(self) -> int:
        """How many threads build the graph."""
        return self._options.threads or max(1, (os.cpu_count() or 2) // 2)

    @property
    def waiting(self) -> int:
        """How many vectors are not in the graph yet."""
        return sum(len(chunk.numbers) for chunk in self._waiting)

    def __len__(self) -> int:
        with self._guard.reading():
            return self._graph.living + self.waiting + len(self._zeros)

    def add(self, numbers: Numbers, vectors: Floats) -> None:
        """Take in vectors whose numbers are all greater than ``last``."""
        if not len(numbers):
            return
        ready = prepared(self._distance, vectors)
        aside = _NONE
        empty = ~ready.any(axis=1)
        if empty.any():
            # They are kept beside the graph: among vectors that lie around the origin all ways would lead
            # over them, and for cosine none does.
            aside, ready = numbers[empty], ready[~empty]
            numbers = numbers[~empty]
        last = int(max(numbers[-1] if len(numbers) else 0, aside[-1] if len(aside) else 0))
        with self._guard.writing():
            if len(aside):
                self._zeros = np.concatenate([self._zeros, aside])
            if len(numbers):
                tail = self._waiting[-1] if self._waiting else None
                if tail is not None and len(tail.numbers) + len(numbers) <= _CHUNK:
                    numbers = np.concatenate([tail.numbers, numbers])
                    ready = np.concatenate([tail.vectors, ready])
                    self._waiting[-1] = _Chunk(numbers, ready)
                else:
                    self._waiting.append(_Chunk(numbers, ready))
            self.last = last

    def remove(self, numbers: Numbers) -> None:
        """Forget vectors; unknown numbers are nothing to it."""
        with self._guard.writing():
            self._graph.remove(numbers)
            self._zeros = self._zeros[~np.isin(self._zeros, numbers)]
            for at, (held, vectors) in enumerate(self._waiting):
                kept = ~np.isin(held, numbers)
                if not kept.all():
                    self._waiting[at] = _Chunk(held[kept], vectors[kept])
            self._waiting = [chunk for chunk in self._waiting if len(chunk.numbers)]

    def search(self, query: Floats, k: int, among: Numbers | None) -> tuple[Numbers, Floats]:
        """Return at most k numbers and their distances, the nearest first."""
        if k <= 0:
            return _NONE, _NOWHERE
        ready = prepared_query(self._distance, query)
        if self._distance == "cosine" and not ready.any():
            return self._all_alike(k, among)
        with self._guard.reading():
            parts = [self._graph.search(ready, k, among)] if len(self._graph) else []
            for numbers, vectors in self._waiting:
                if among is not None:
                    kept = np.isin(numbers, among, assume_unique=True)
                    numbers, vectors = numbers[kept], vectors[kept]
                if len(numbers):
                    places, found = compared(self._distance, vectors, ready, k)
                    parts.append((numbers[places], found))
            zeros = self._zeros
        if len(zeros):
            if among is not None:
                zeros = zeros[np.isin(zeros, among, assume_unique=True)]
            length = float(np.linalg.norm(ready.astype(np.float64)))
            each = {"cosine": 1.0, "dot": 0.0, "euclidean": length}[self._distance]
            parts.append((zeros[:k], np.full(len(zeros[:k]), each, np.float32)))
        if not parts:
            return _NONE, _NOWHERE
        if len(parts) == 1:
            return parts[0][0][:k], parts[0][1][:k]
        return first(np.concatenate([one[0] for one in parts]), np.concatenate([one[1] for one in parts]), k)

    def work(self) -> bool:
        """Move some of what waits into the graph, for half a second at most; True while more waits."""
        with self._working:
            end = time.monotonic() + _PIECE
            if self._closed:
                return False
            if self._too_many_gone():
                self._begin_anew()
            if not self._worth_it():
                return False
            if self._graph.viewed:
                self._own()
            threads = faiss.omp_get_max_threads()
            faiss.omp_set_num_threads(self.threads)
            try:
                while self._waiting and not self._closed:
                    self._move()
                    if time.monotonic() >= end:
                        break
            finally:
                faiss.omp_set_num_threads(threads)
            return bool(self._waiting) and not self._closed

    def save(self) -> None:
        """Write the graph to its files, when enough is new in it: what is not saved waits again later."""
        folder = self._rows.folder
        with self._working:
            count = len(self._graph)
            many = max(_SMALL, count // 10 if self._waiting else count // 20)
            if folder is None or self._closed or not count:
                return
            if self._graph.viewed or not (self._replace or count - self._saved >= many):
                return
            with self._guard.reading():
                last = int(self._waiting[0].numbers[0]) - 1 if self._waiting else self.last
                arrays = {
                    "numbers": self._graph.numbers,
                    "places": self._graph.places,
                    "gone": self._graph.gone.copy(),
                    "zeros": self._zeros[self._zeros <= last],
                }
            ahead = None if self._replace else files.last_of(folder, self.kind)
            if ahead is None or ahead < last:  # else another process has been quicker
                files.write(folder, self.kind, self._graph.index, last, arrays)
            self._saved, self._replace = count, False

    def close(self) -> None:
        """Let go of files and memory."""
        self._closed = True
        with self._working, self._guard.writing():
            self._graph = Graph(self._rows.dimension, self._distance, self._options)
            self._waiting, self._zeros = [], _NONE

    def _all_alike(self, k: int, among: Numbers | None) -> tuple[Numbers, Floats]:
        """The answer to a zero vector: the distance of everything from it is 1."""
        with self._guard.reading():
            living = self._graph.numbers[~self._graph.gone]
            everything = np.concatenate([living, self._zeros, *(chunk.numbers for chunk in self._waiting)])
        if among is not None:
            everything = everything[np.isin(everything, among, assume_unique=True)]
        found = np.sort(everything)[:k]
        return found, np.ones(len(found), np.float32)

    def _worth_it(self) -> bool:
        least = _SMALL if self._graph.viewed or not len(self._graph) else 1
        return self.waiting >= least

    def _move(self) -> None:
        """Add the next few to the graph; searches wait for as long as that takes."""
        with self._guard.writing():
            started = time.monotonic()
            if not self._waiting:
                return
            numbers, vectors = self._waiting[0]
            self._graph.add(numbers[: self._step], vectors[: self._step])
            if len(numbers) > self._step:
                self._waiting[0] = _Chunk(numbers[self._step :], vectors[self._step :])
            else:
                del self._waiting[0]
            took = time.monotonic() - started
        self._step = min(1024, max(16, self._step // 2 if took > _HELD else self._step + 16))

    def _too_many_gone(self) -> bool:
        gone = len(self._graph) - self._graph.living
        return gone > _SMALL and gone > _MOST_GONE * len(self._graph)

    def _begin_anew(self) -> None:
        """Let all that is left wait for a new graph."""
        logger.info("the index of %r is built anew: many of its vectors are gone", self._rows.collection)
        with self._guard.writing():
            graph, living = self._graph, ~self._graph.gone
            numbers, places, held = graph.numbers[living], graph.places[living], graph.vectors()
            chunks = [
                _Chunk(numbers[start : start + _CHUNK], held[places[start : start + _CHUNK]])
                for start in range(0, len(numbers), _CHUNK)
            ]
            self._waiting = chunks + self._waiting
            self._graph = Graph(self._rows.dimension, self._distance, self._options)
            self._saved, self._replace = 0, True

    def _own(self) -> None:
        """Read a mapped graph into memory, so that it can be added to."""
        try:
            whole = faiss.read_index(self._path)
        except RuntimeError:  # another process has replaced the file, and this one only has it mapped
            self._begin_anew()
            return
        graph = Graph(self._rows.dimension, self._distance, self._options, whole)
        with self._guard.writing():
            graph.put_back(self._graph.numbers, self._graph.places, self._graph.gone)
            graph.know_vectors()
            graph.viewed = False
            self._graph = graph


def _same(rows: SpaceRows, graph: Graph) -> bool:
    """Whether the newest vectors of a graph, and some others, are what the rows have under their numbers."""
    living = np.flatnonzero(~graph.gone)
    if not len(living):
        return True
    some = np.linspace(0, len(living) - 1, min(_SAMPLE, len(living))).astype(np.int64)
    at = np.unique(np.concatenate([living[-_SAMPLE:], living[some]]))
    numbers, vectors = rows.rows(graph.numbers[at])
    places = graph.places[at][np.searchsorted(graph.numbers[at], numbers)]
    ready = prepared(rows.distance, vectors)
    return bool(np.allclose(graph.vectors()[places], ready, rtol=1e-5, atol=1e-6)) if len(numbers) else True
