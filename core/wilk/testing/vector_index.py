"""What every index of vectors must do: the contract behind ``register_vector_indexes``.

::

    class TestMine(VectorIndexSuite):
        recall = 0.95

        @pytest.fixture
        def index(self):
            return VectorIndex("mine", open_mine)

``recall`` is the share of the true nearest vectors that the index finds, at the least; 1.0 for one that
compares all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wilk.contracts import Nearest, VectorIndex
from wilk.settings import Settings
from wilk.store import Store
from wilk.testing.faults.vector_index import VectorIndexFaults, store_with

if TYPE_CHECKING:
    from numpy import float32, int64
    from numpy.typing import NDArray


class Given:
    """Rows of a space that lie in memory (:class:`wilk.SpaceRows`), for tests that change them."""

    collection = "given"
    model = "m"

    def __init__(self, dimension: int = 24, distance: str = "cosine", folder: Path | None = None) -> None:
        self.dimension = dimension
        self.distance = distance
        self.folder = folder
        self.token = "t"  # noqa: S105 (it tells spaces apart)
        self.held: dict[int, NDArray[float32]] = {}
        self.given = 0

    def put(self, vectors: NDArray[float32], first: int = 1) -> NDArray[int64]:
        """Write vectors under the numbers from ``first``; return the numbers."""
        import numpy as np

        for number, vector in enumerate(vectors, first):
            self.held[number] = np.array(vector, np.float32)
            self.given = max(self.given, number)
        return np.arange(first, first + len(vectors), dtype=np.int64)

    def after(self, number: int, limit: int) -> tuple[NDArray[int64], NDArray[float32]]:
        return self._arrays(sorted(one for one in self.held if one > number)[:limit])

    def rows(self, numbers: NDArray[int64]) -> tuple[NDArray[int64], NDArray[float32]]:
        return self._arrays([one for one in dict.fromkeys(numbers.tolist()) if one in self.held])

    def count(self) -> int:
        return len(self.held)

    def last(self) -> int:
        return self.given

    def nearest(self, query: NDArray[float32], k: int, among: NDArray[int64] | None = None) -> list[int]:
        """The numbers that comparing all rows gives."""
        import numpy as np

        from wilk.vectors.distances import distances, nearest

        numbers, vectors = self._arrays(sorted(self.held))
        if among is not None:
            kept = np.isin(numbers, among)
            numbers, vectors = numbers[kept], vectors[kept]
        found = nearest(numbers, distances(self.distance, vectors, query), k)
        return list(found[0].tolist())

    def _arrays(self, numbers: Sequence[int]) -> tuple[NDArray[int64], NDArray[float32]]:
        import numpy as np

        vectors = np.array([self.held[one] for one in numbers], np.float32)
        return np.array(numbers, np.int64), vectors.reshape(len(numbers), self.dimension)


def clustered(count: int, dimension: int = 24, *, seed: int = 1) -> NDArray[float32]:
    """Vectors around one center for every twenty of them."""
    import numpy as np

    chance = np.random.default_rng(seed)
    centers = chance.normal(size=(max(1, count // 20), dimension))
    found = centers[chance.integers(len(centers), size=count)] + 0.4 * chance.normal(size=(count, dimension))
    return found.astype(np.float32)


class VectorIndexSuite(VectorIndexFaults):
    """Subclass it with a fixture ``index``."""

    recall = 1.0
    size = 2000
    """How many vectors the tests of recall have."""

    @pytest.fixture
    def store(self, index: VectorIndex, settings: Settings) -> Iterator[Store]:
        """A store that uses the index."""
        with store_with(index, settings) as store:
            yield store

    # -- what is found --------------------------------------------------------------------

    def test_an_empty_index_finds_nothing(self, index: VectorIndex, settings: Settings) -> None:
        import numpy as np

        opened = index.open(Given(), settings)
        numbers, distances = opened.search(np.ones(24, np.float32), 5, None)
        assert (opened.last, len(opened), len(numbers), len(distances)) == (0, 0, 0, 0)
        opened.close()

    @pytest.mark.parametrize("distance", ["cosine", "dot", "euclidean"])
    def test_it_finds_what_comparing_all_vectors_finds(
        self, index: VectorIndex, settings: Settings, distance: str
    ) -> None:
        given = Given(distance=distance)
        opened = _filled(index, settings, given, clustered(self.size))
        queries = clustered(50, seed=2)
        assert self._share(opened, given, queries, 10) >= self.recall
        opened.close()

    def test_the_nearest_comes_first_with_its_distance(self, index: VectorIndex, settings: Settings) -> None:
        import numpy as np

        from wilk.vectors.distances import distances as true

        given = Given(distance="euclidean")
        opened = _filled(index, settings, given, clustered(200))
        query = clustered(1, seed=3)[0]
        numbers, found = opened.search(query, 10, None)
        vectors = np.array([given.held[one] for one in numbers.tolist()])
        assert sorted(found.tolist()) == found.tolist()
        assert found.tolist() == pytest.approx(true("euclidean", vectors, query).tolist(), rel=0.05, abs=1e-3)
        opened.close()

    def test_there_may_be_fewer_than_wanted(self, index: VectorIndex, settings: Settings) -> None:
        given = Given()
        opened = _filled(index, settings, given, clustered(5))
        numbers, _ = opened.search(clustered(1, seed=3)[0], 20, None)
        assert sorted(numbers.tolist()) == [1, 2, 3, 4, 5]
        opened.close()

    @pytest.mark.parametrize("distance", ["cosine", "dot", "euclidean"])
    def test_zero_vectors_are_found_like_others(
        self, index: VectorIndex, settings: Settings, distance: str
    ) -> None:
        import numpy as np

        given = Given(distance=distance)
        opened = _filled(index, settings, given, np.zeros((3, 24), np.float32))
        for query in (np.zeros(24, np.float32), np.ones(24, np.float32)):
            numbers, found = opened.search(query, 3, None)
            assert sorted(numbers.tolist()) == [1, 2, 3]
            assert np.isfinite(found).all()
        opened.close()

    def test_what_is_added_later_is_found_too(self, index: VectorIndex, settings: Settings) -> None:
        given = Given()
        opened = _filled(index, settings, given, clustered(300))
        later = clustered(40, seed=5)
        opened.add(given.put(later, 301), later)
        assert (opened.last, len(opened)) == (340, 340)
        assert [opened.search(one, 1, None)[0].tolist() for one in later] == [[n] for n in range(301, 341)]
        opened.close()

    def test_numbers_may_have_gaps(self, index: VectorIndex, settings: Settings) -> None:
        import numpy as np

        given = Given()
        opened = index.open(given, settings)
        vectors = clustered(3)
        numbers = np.array([7, 1_000, 3_000_000_000], np.int64)
        for number, vector in zip(numbers.tolist(), vectors, strict=True):
            given.put(vector[None], number)
        opened.add(numbers, vectors)
        assert opened.last == 3_000_000_000
        assert opened.search(vectors[2], 1, None)[0].tolist() == [3_000_000_000]
        opened.close()

    # -- what is removed ------------------------------------------------------------------

    def test_what_is_removed_is_found_no_more(self, index: VectorIndex, settings: Settings) -> None:
        import numpy as np

        given = Given()
        vectors = clustered(self.size)
        opened = _filled(index, settings, given, vectors)
        gone = np.arange(1, self.size, 3, dtype=np.int64)
        opened.remove(gone)
        for number in gone.tolist():
            del given.held[number]
        assert len(opened) == len(given.held)
        for one in vectors[:20]:
            assert set(opened.search(one, 10, None)[0].tolist()) <= set(given.held)
        assert self._share(opened, given, clustered(30, seed=2), 10) >= self.recall
        opened.close()

    def test_removing_what_is_not_there_is_nothing(self, index: VectorIndex, settings: Settings) -> None:
        import numpy as np

        opened = _filled(index, settings, Given(), clustered(10))
        opened.remove(np.array([3, 3, 99], np.int64))
        opened.remove(np.array([3], np.int64))
        assert (opened.last, len(opened)) == (10, 9)
        opened.close()

    def test_all_may_be_removed_and_others_added(self, index: VectorIndex, settings: Settings) -> None:
        import numpy as np

        given = Given()
        opened = _filled(index, settings, given, clustered(30))
        opened.remove(np.arange(1, 31, dtype=np.int64))
        given.held.clear()
        assert not len(opened.search(clustered(1)[0], 3, None)[0])
        later = clustered(3, seed=8)
        opened.add(given.put(later, 31), later)
        assert opened.search(later[1], 1, None)[0].tolist() == [32]
        opened.close()

    # -- some of them ---------------------------------------------------------------------

    @pytest.mark.parametrize("share", [2, 10, 100])
    def test_among_some_only_these_count(self, index: VectorIndex, settings: Settings, share: int) -> None:
        import numpy as np

        given = Given()
        opened = _filled(index, settings, given, clustered(self.size))
        among = np.arange(1, self.size, share, dtype=np.int64)
        for query in clustered(10, seed=2):
            assert set(opened.search(query, 10, among)[0].tolist()) <= set(among.tolist())
        assert self._share(opened, given, clustered(30, seed=2), 10, among) >= self.recall
        opened.close()

    def test_among_none_nothing_is_found(self, index: VectorIndex, settings: Settings) -> None:
        import numpy as np

        opened = _filled(index, settings, Given(), clustered(10))
        for among in ([], [77, 78]):
            assert not len(opened.search(clustered(1)[0], 3, np.array(among, np.int64))[0])
        opened.close()

    # -- files ----------------------------------------------------------------------------

    def test_a_saved_index_goes_on_from_its_files(
        self, index: VectorIndex, settings: Settings, tmp_path: Path
    ) -> None:
        import numpy as np

        given = Given(folder=tmp_path / "indexes" / "t")
        opened = _filled(index, settings, given, clustered(self.size))
        opened.remove(np.array([5, 6], np.int64))
        del given.held[5], given.held[6]
        opened.save()
        opened.close()
        again = index.open(given, settings)
        _catch_up(again, given)
        assert (again.last, len(again)) == (self.size, self.size - 2)
        assert self._share(again, given, clustered(30, seed=2), 10) >= self.recall
        later = clustered(2, seed=9)
        again.add(given.put(later, self.size + 1), later)
        again.save()
        again.close()
        third = index.open(given, settings)
        _catch_up(third, given)
        assert third.search(later[1], 1, None)[0].tolist() == [self.size + 2]
        third.close()

    def test_saving_without_a_folder_does_nothing(self, index: VectorIndex, settings: Settings) -> None:
        opened = _filled(index, settings, Given(), clustered(10))
        opened.save()
        opened.close()

    @pytest.mark.parametrize("change", ["token", "content", "shorter"])
    def test_files_that_do_not_fit_the_rows_are_not_used(
        self, index: VectorIndex, settings: Settings, tmp_path: Path, change: str
    ) -> None:
        given = Given(folder=tmp_path / "indexes" / "t")
        opened = _filled(index, settings, given, clustered(self.size))
        opened.save()
        opened.close()
        if change == "token":
            given.token = "another"  # noqa: S105 (dito)
        if change != "shorter":  # numbers that a backup gave back, and that were given again
            given.put(clustered(self.size, seed=77))
        else:
            given.held = {number: given.held[number] for number in range(1, 11)}
        again = index.open(given, settings)
        _catch_up(again, given)
        assert self._share(again, given, clustered(30, seed=2), 10) >= self.recall
        again.close()

    @pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
    def test_damaged_files_are_not_used(
        self, index: VectorIndex, settings: Settings, tmp_path: Path, damage: str
    ) -> None:
        folder = tmp_path / "indexes" / "t"
        given = Given(folder=folder)
        opened = _filled(index, settings, given, clustered(self.size))
        opened.save()
        opened.close()
        for file in folder.rglob("*") if folder.is_dir() else ():
            if file.is_file():
                data = file.read_bytes()
                half = len(data) // 2
                file.write_bytes({"empty": b"", "cut": data[:half], "noise": b"\x81" * len(data)}[damage])
        again = index.open(given, settings)
        _catch_up(again, given)
        assert (again.last, len(again)) == (self.size, self.size)
        assert self._share(again, given, clustered(30, seed=2), 10) >= self.recall
        again.close()

    # -- threads and stores ---------------------------------------------------------------

    def test_threads_search_while_vectors_are_added_and_removed(
        self, index: VectorIndex, settings: Settings
    ) -> None:
        import numpy as np

        given = Given()
        vectors = clustered(self.size)
        opened = _filled(index, settings, given, vectors[:500])
        failures: list[BaseException] = []
        done = threading.Event()

        def search() -> None:
            try:
                while not done.is_set():
                    numbers, found = opened.search(vectors[3], 10, None)
                    assert len(numbers) == len(found) == len(set(numbers.tolist())) == 10
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for start in range(500, self.size, 100):
            some = vectors[start : start + 100]
            opened.add(given.put(some, start + 1), some)
            opened.remove(np.arange(start + 1, start + 21, dtype=np.int64))
            _work(index, opened)
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        opened.close()

    def test_a_store_finds_its_vectors_and_no_removed_one(self, store: Store) -> None:
        vectors = clustered(300)
        store.vectors.extend("c", [(f"r{n}", vector) for n, vector in enumerate(vectors)])
        assert [near.id for near in store.vectors.search("c", vectors[7], 1)] == ["r7"]
        store.vectors.remove("c", "r7")
        assert "r7" not in [near.id for near in store.vectors.search("c", vectors[7], 300)]

    def test_another_store_goes_on_where_the_first_one_stopped(
        self, index: VectorIndex, settings: Settings
    ) -> None:
        vectors = clustered(300)
        with store_with(index, settings) as first:
            first.vectors.extend("c", [(f"r{n}", vector) for n, vector in enumerate(vectors[:200])])
            first.vectors.search("c", vectors[0])
        with store_with(index, settings) as second:
            second.vectors.remove("c", ["r3"])
            second.vectors.extend("c", [(f"r{n}", vector) for n, vector in enumerate(vectors[200:], 200)])
            found = [second.vectors.search("c", vectors[n], 1)[0].id for n in (3, 7, 250)]
        assert found[0] != "r3"
        assert found[1:] == ["r7", "r250"]

    def _share(
        self,
        opened: Nearest,
        given: Given,
        queries: NDArray[float32],
        k: int,
        among: NDArray[int64] | None = None,
    ) -> float:
        """The share of the true nearest that is found."""
        hits = wanted = 0
        for query in queries:
            true = set(given.nearest(query, k, among))
            found = set(opened.search(query, k, among)[0].tolist())
            hits += len(true & found)
            wanted += len(true)
        return hits / wanted


def _filled(index: VectorIndex, settings: Settings, given: Given, vectors: NDArray[float32]) -> Nearest:
    opened = index.open(given, settings)
    numbers = given.put(vectors)
    for start in range(0, len(numbers), 700):
        opened.add(numbers[start : start + 700], vectors[start : start + 700])
    _work(index, opened)
    return opened


def _work(index: VectorIndex, opened: Nearest) -> None:
    """Have done what the index puts off; a store does it on a thread of its own."""
    while index.work is not None and index.work(opened):
        pass


def _catch_up(opened: Nearest, given: Given) -> None:
    """What a store does with an index that it has opened."""
    numbers, vectors = given.after(opened.last, len(given.held) + 1)
    if len(numbers):
        opened.add(numbers, vectors)
