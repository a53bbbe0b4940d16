"""Laws of vectors: what is found is what comparing every vector in plain numbers finds, whatever the data."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk
from wilk.services.vectors import nearest
from wilk.services.vectors.filters import fits
from wilk.settings import Settings
from wilk.testing.vector_index import Given, clustered
from wilk.vectors import flat
from wilk.vectors.flat import Flat

KINDS = ("cosine", "dot", "euclidean")


def plain(kind: str, row: Any, query: Any) -> float:
    """The distance, as it is defined, in Python's own numbers."""
    product = sum(a * b for a, b in zip(row, query, strict=True))
    if kind == "dot":
        return 0.0 - product
    if kind == "euclidean":
        return float(sum((a - b) ** 2 for a, b in zip(row, query, strict=True)) ** 0.5)
    lengths = sum(a * a for a in row) ** 0.5 * sum(b * b for b in query) ** 0.5
    return 1.0 - (product / lengths if lengths else 0.0)


def agree(
    kind: str, rows: Any, query: Any, found: list[tuple[int, float]], k: int, within: float = 1e-12
) -> None:
    """The found are the k nearest in order, equals by age; where plain sums differ by rounding alone, either goes."""
    true = {number: plain(kind, row, query) for number, row in enumerate(rows)}
    assert len(found) == min(k, len(rows))
    scale = max(map(abs, true.values()), default=1.0)
    for number, distance in found:
        assert distance == pytest.approx(true[number], rel=1e-9, abs=within * max(1.0, scale))
    wanted = sorted((distance, number) for number, distance in true.items())[:k]
    for (number, _), (distance, other) in zip(found, wanted, strict=True):
        assert number == other or true[number] == pytest.approx(
            distance, rel=1e-12, abs=within * max(1.0, scale)
        )
    for one, two in pairwise(found):
        assert one[1] < two[1] or (one[1] == two[1] and one[0] < two[0])


small = st.integers(-3, 3).map(float)
wild = st.one_of(
    small,
    st.floats(-(2.0**60), 2.0**60, width=32),
    st.sampled_from([0.0, 1e-38, -1e-30, 3e38, -3e38, 1e-45, 1.0, 1.0000001]),
)


class TestAgainstPlainNumbers:
    @settings(max_examples=150)
    @given(st.data())
    def test_whole_numbers_are_found_in_exactly_the_plain_order(self, data: st.DataObject) -> None:
        dimension = data.draw(st.integers(1, 5))
        vector = st.lists(small, min_size=dimension, max_size=dimension)
        rows = data.draw(st.lists(vector, max_size=60))
        query = data.draw(vector)
        kind = data.draw(st.sampled_from(("dot", "euclidean")))
        k = data.draw(st.integers(1, 70))
        index, _ = self.filled(kind, rows, dimension)
        numbers = (index.search(np.array(query, "f4"), k, None)[0] - 1).tolist()
        true = sorted((plain(kind, row, query), number) for number, row in enumerate(rows))
        assert numbers == [number for _, number in true[:k]]

    @pytest.mark.slow
    @settings(max_examples=150)
    @given(st.data())
    def test_huge_and_tiny_ones_are_found_as_float64_finds_them(self, data: st.DataObject) -> None:
        dimension = data.draw(st.integers(1, 4))
        vector = st.lists(wild, min_size=dimension, max_size=dimension)
        rows = [np.float32(row).tolist() for row in data.draw(st.lists(vector, max_size=80))]
        query = np.float32(data.draw(vector)).tolist()
        kind = data.draw(st.sampled_from(KINDS))
        k = data.draw(st.integers(1, 9))
        with wilk.open_store("sqlite:///:memory:") as store:
            if rows:
                store.vectors.extend("c", [(str(n), row) for n, row in enumerate(rows)], distance=kind)
                near = store.vectors.search("c", query, k)
                agree(kind, rows, query, [(int(one.id), one.distance) for one in near], k)
                assert store.vectors.search("c", query, k, exact=True) == near

    def filled(self, kind: str, rows: Any, dimension: int) -> tuple[Flat, Given]:
        space = Given(dimension, kind)
        index = Flat(space, Settings())
        if rows:
            vectors = np.array(rows, "f4")
            index.add(space.put(vectors), vectors)
        return index, space


def adversarial(name: str) -> Any:
    chance = np.random.default_rng(11)
    count, dimension = 3000, 48
    plain = chance.normal(size=(count, dimension))
    many = {
        "clustered": clustered(count, dimension),
        "nothing in common": plain,
        "one orthant": np.abs(plain) + 5,
        "far from the origin": plain + 1e4,
        "all the same": np.ones((count, dimension)),
        "half the same": np.where(np.arange(count)[:, None] % 2, plain, 1.0),
        "some zero": np.where(np.arange(count)[:, None] % 3, plain, 0.0),
        "lengths of every size": plain * 10.0 ** chance.uniform(-12, 12, size=(count, 1)),
        "a few that are huge": plain * np.where(np.arange(count)[:, None] % 500, 1.0, 1e30),
        "one direction": np.outer(chance.normal(size=count), np.ones(dimension)),
        "one-hot": np.eye(dimension)[chance.integers(dimension, size=count)],
        "sorted by cluster": np.sort(plain, axis=0),
        "whole numbers": chance.integers(-2, 3, size=(count, dimension)),
    }
    return many[name].astype("f4")


NAMES = ("clustered", "nothing in common", "one orthant", "far from the origin", "all the same",
         "half the same", "some zero", "lengths of every size", "a few that are huge", "one direction",
         "one-hot", "sorted by cluster", "whole numbers")  # fmt: skip


class TestByCodes:
    """Codes rule out what is far; a near vector is missed once in hundreds of times at most."""

    @pytest.fixture(autouse=True)
    def _many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(flat, "FEW_VALUES", 0)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("name", NAMES)
    def test_hardly_any_is_missed(self, name: str, kind: str) -> None:
        rows = adversarial(name)
        space = Given(rows.shape[1], kind)
        index = Flat(space, Settings())
        for start in range(0, len(rows), 1000):
            some = rows[start : start + 1000]
            index.add(space.put(some, start + 1), some)
        chance = np.random.default_rng(5)
        queries = [rows[n] for n in chance.integers(len(rows), size=10)]
        queries += [
            rows[7] * np.float32(1.01) + chance.normal(size=rows.shape[1]).astype("f4") for _ in range(5)
        ]
        queries += [np.zeros(rows.shape[1], "f4"), np.ones(rows.shape[1], "f4")]
        hit = wanted = 0
        for query in queries:
            true = space.nearest(query, 10)
            found = index.search(query, 10, None)[0].tolist()
            hit += len(set(true) & set(found))
            wanted += len(true)
            assert len(found) == len(set(found)) == 10
        assert hit / wanted >= 0.99

    @pytest.mark.slow
    def test_of_many_clustered_ones_few_are_compared(self) -> None:
        rows = clustered(40_000, 128)
        space = Given(128)
        index = Flat(space, Settings(vector_memory=0))
        index.add(space.put(rows), rows)
        asked = []
        held = space.rows
        space.rows = lambda numbers: (asked.append(len(numbers)), held(numbers))[1]  # type: ignore[method-assign]
        queries = clustered(20, 128, seed=1)
        hit = sum(
            len(set(space.nearest(query, 10)) & set(index.search(query, 10, None)[0].tolist()))
            for query in queries
        )
        assert hit >= 198
        assert sum(asked) / len(queries) < 2000

    def test_codes_are_cut_anew_when_the_vectors_have_moved_away(self) -> None:
        space = Given(32)
        index = Flat(space, Settings())
        first = clustered(500, 32)
        index.add(space.put(first), first)
        before = index._view.codes
        moved = clustered(3000, 32, seed=4) + np.float32(20)
        index.add(space.put(moved, 501), moved)
        assert before is not None
        assert index._view.codes is not None
        assert index._view.codes.coder is not before.coder
        query = moved[5]
        assert index.search(query, 10, None)[0].tolist() == space.nearest(query, 10)


class TestMemory:
    def test_is_bounded_by_the_setting(self) -> None:
        rows = clustered(4000, 32)
        setting = Settings(vector_memory=100_000)
        space = Given(32)
        index = Flat(space, setting)
        index.add(space.put(rows), rows)
        query = clustered(1, 32, seed=2)[0]
        assert index.search(query, 5, None)[0].tolist() == space.nearest(query, 5)
        assert index._view.memory._slots.nbytes <= 100_000

    def test_is_shared_by_the_indexes_of_a_store(self) -> None:
        rows = clustered(1000, 32)
        setting = Settings(vector_memory=200_000)
        indexes = []
        for _ in range(3):
            space = Given(32)
            indexes.append(Flat(space, setting))
            indexes[-1].add(space.put(rows), rows)
        assert sum(index._view.memory._slots.nbytes for index in indexes) <= 200_000
        for index in indexes:
            index.close()
        fourth = Flat(Given(32), setting)
        fourth.add(np.arange(1, 1001), rows)
        assert fourth._view.memory.whole


def fill(store: wilk.Store, rows: Any, name: str = "r") -> None:
    store.vectors.extend("c", [(f"{name}{n}", row) for n, row in enumerate(rows)])


def search_in_child(home: str, query: Any, answers: Any) -> None:
    with wilk.open_store(home=home) as store:
        answers.put([near.id for near in store.vectors.search("c", query, 3)])


class TestProcesses:
    def test_a_forked_child_searches_while_a_thread_of_the_parent_does(self, store: wilk.Store) -> None:
        rows = clustered(300)
        fill(store, rows)
        store.vectors.search("c", rows[0])
        store._vector_indexes._lock.acquire()  # as another thread would hold it
        try:
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                try:
                    os.write(writing, store.vectors.search("c", rows[4], 1)[0].id.encode())
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            assert os.read(reading, 100) == b"r4"
        finally:
            store._vector_indexes._lock.release()
            os.close(reading)
            os.close(writing)

    @pytest.mark.slow
    def test_another_process_finds_at_once_what_was_written(self, store: wilk.Store, home: Path) -> None:
        rows = clustered(300)
        fill(store, rows)
        context = multiprocessing.get_context("spawn")
        answers = context.Queue()
        child = context.Process(target=search_in_child, args=(str(home), rows[9], answers))
        child.start()
        assert answers.get(timeout=60)[0] == "r9"
        child.join()
        answers.close()
        answers.join_thread()

    @pytest.mark.slow
    def test_a_process_that_is_killed_loses_no_vector(self, store: wilk.Store, home: Path) -> None:
        program = """
import sys, numpy as np, wilk
from wilk.testing.vector_index import clustered
from wilk.vectors import flat
flat.FEW_VALUES = 0
store = wilk.open_store(home=sys.argv[1])
rows = clustered(100_000, 16)
for start in range(0, 100_000, 50):
    store.vectors.extend("c", [(f"r{n}", rows[n]) for n in range(start, start + 50)])
    store.vectors.search("c", rows[start])
    for opened in store._vector_indexes._opened.values():
        opened.nearest.save()
    print(start + 50, flush=True)
"""
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        written = 0
        while written < 500:
            written = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        child.wait()
        for line in child.stdout:
            written = int(line)
        child.stdout.close()
        rows = clustered(100_000, 16)
        with wilk.open_store(home=home) as again:
            assert again.vectors.collection("c").count >= written
            for n in range(0, written, 50):
                assert again.vectors.search("c", rows[n], 1)[0].id == f"r{n}"


class TestThreads:
    def test_search_while_others_add_and_remove(self, store: wilk.Store) -> None:
        rows = clustered(800)
        fill(store, rows[:200])
        failures: list[BaseException] = []
        done = threading.Event()

        def search() -> None:
            try:
                while not done.is_set():
                    found = store.vectors.search("c", rows[3], 5)
                    assert [len(found), found[0].id] == [5, "r3"]
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for n in range(200, 260):
            store.vectors.add("c", f"r{n}", rows[n])
            if n % 3:
                store.vectors.remove("c", f"r{n}")
        done.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert store.vectors.collection("c").count == 220


single = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2.0**70, "a", "b", ""])
)
value = st.one_of(
    single, st.lists(single, max_size=3), st.dictionaries(st.sampled_from("xy"), single, max_size=2)
)
keys = st.sampled_from(["p", "q", "q.x", "p.y"])
wanted = st.one_of(
    single,
    st.fixed_dictionaries({"=": single}),
    st.fixed_dictionaries({"!=": single}),
    st.fixed_dictionaries({"in": st.lists(single, max_size=3)}),
    st.fixed_dictionaries({"not in": st.lists(single, max_size=3)}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({">": st.integers(-2, 2)}, optional={"<=": st.sampled_from([0.5, 1, 2])}),
    st.fixed_dictionaries({">=": st.integers(-2, 2)}, optional={"<": st.sampled_from([0.5, 1, 2])}),
)


class TestFilters:
    @settings(max_examples=60)
    @given(st.lists(st.dictionaries(st.sampled_from("pq"), value), min_size=1, max_size=12),
           st.lists(st.dictionaries(keys, wanted, max_size=2), min_size=1, max_size=5))  # fmt: skip
    def test_the_database_and_the_metadata_agree(self, kept: list[Any], filters: list[Any]) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            store.vectors.extend("c", [(str(n), [1.0], metadata) for n, metadata in enumerate(kept)])
            for where in filters:
                by_rows = {int(near.id) for near in store.vectors.search("c", [1.0], 20, where=where)}
                assert by_rows == {n for n, metadata in enumerate(kept) if fits(metadata, where)}

    def test_of_many_vectors_leave_the_same_nearest_either_way(
        self, store: wilk.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = clustered(2000, 8)
        store.vectors.extend("c", [(str(n), row, {"n": n, "even": not n % 2}) for n, row in enumerate(rows)])
        for where in ({"even": True}, {"n": {"<": 1500}}, {"n": {"<": 40}}, {"n": -1}):
            before = [store.vectors.search("c", row, 7, where=where) for row in rows[:5]]
            with monkeypatch.context() as patch:
                patch.setattr(nearest, "_MANY", 0)
                assert [store.vectors.search("c", row, 7, where=where) for row in rows[:5]] == before
