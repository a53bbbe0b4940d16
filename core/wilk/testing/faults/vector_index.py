"""What an index of vectors must bear: kills, a full disk, a storm, and rows that have gone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wilk.contracts import VectorIndex
from wilk.errors import Busy
from wilk.hookspecs import hookimpl
from wilk.host import Host
from wilk.settings import Settings
from wilk.store import Store, open_store
from wilk.testing.faults.kills import Killed, Opening
from wilk.testing.faults.plugins import found, reference, settings_of, told
from wilk.testing.faults.processes import Processes
from wilk.testing.faults.recording import Seen, fault
from wilk.testing.faults.steps import Rows, Step, Steps, drive

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

DIMENSION = 24
_TURNS = 6


def vector(number: int, turn: int = 0) -> NDArray[float32]:
    """A vector of its own for every number."""
    import numpy as np

    chance = np.random.default_rng(number * 100 + turn)
    return chance.normal(size=DIMENSION).astype(np.float32)


def store_with(index: VectorIndex, settings: Settings) -> Store:
    """A store that uses the index."""

    class Plugin:
        @hookimpl
        def register_vector_indexes(self) -> Iterator[Any]:
            yield index

    choose = {f"vector_indexes.{index.name}": "mine"}
    host = Host(prefer=choose)
    host.register(Plugin(), "mine")
    return open_store(settings=replace(settings, vector_index=index.name, choose=choose), host=host)


class VectorSteps(Steps):
    """What a store with the index is led through."""

    def make(self) -> Iterator[Step]:
        yield Step("create", self._create, lambda _: None)
        yield self._extend(range(1, 21))
        yield self._search()
        yield self._extend([21])
        yield self._remove([3, 4, 5])
        yield self._search()
        yield self._extend(range(30, 60))
        yield self._extend([7], turn=1)
        yield self._search()
        yield self._remove([30, 31, 32, 33])
        yield self._extend([3])
        yield self._search()
        yield self._extend([70])

    def observe(self, store: Store) -> Iterable[tuple[str, Any]]:
        """All that a search finds, and what is nearest to each vector that there may be."""
        from wilk.errors import NotFound

        try:
            near = store.vectors.search(self.tag, vector(1), 1000)
        except NotFound:
            return
        for one in near:
            yield f"vector {one.id} of {self.tag}", "found"
        for number, turn in ((1, 0), (3, 0), (7, 0), (7, 1), (21, 0), (30, 0), (45, 0), (70, 0)):
            for first in store.vectors.search(self.tag, vector(number, turn), 1, least=0.999):
                yield f"nearest to vector {number}.{turn} of {self.tag}", first.id

    def again(self, store: Store) -> None:
        store.vectors.extend(f"{self.tag}-again", [("r1", vector(1))])

    def _create(self, store: Store) -> None:
        """Make the collection; one that the killed process made shows nothing of itself."""
        from wilk.errors import Conflict

        with suppress(Conflict):
            store.vectors.create(self.tag, dimension=DIMENSION)

    def _extend(self, numbers: Iterable[int], turn: int = 0) -> Step:
        numbers = list(numbers)

        def change(rows: Rows) -> None:
            for number in numbers:
                self._forget(rows, number)
                rows[f"vector r{number} of {self.tag}"] = "found"
                if (number, turn) in ((1, 0), (3, 0), (7, 0), (7, 1), (21, 0), (30, 0), (45, 0), (70, 0)):
                    rows[f"nearest to vector {number}.{turn} of {self.tag}"] = f"r{number}"

        def act(store: Store) -> None:
            store.vectors.extend(self.tag, [(f"r{number}", vector(number, turn)) for number in numbers])

        return Step(f"add {len(numbers)}", act, change)

    def _remove(self, numbers: Sequence[int]) -> Step:
        def change(rows: Rows) -> None:
            for number in numbers:
                self._forget(rows, number)

        ids = [f"r{number}" for number in numbers]
        return Step(f"remove {len(ids)}", lambda store: store.vectors.remove(self.tag, ids), change)

    def _search(self) -> Step:
        """Let the index catch up, and save what it has."""

        def act(store: Store) -> None:
            store.vectors.search(self.tag, vector(1), 5)
            store.settle()

        return Step("search", act, lambda _: None)

    def _forget(self, rows: Rows, number: int) -> None:
        rows.pop(f"vector r{number} of {self.tag}", None)
        for turn in (0, 1):
            rows.pop(f"nearest to vector {number}.{turn} of {self.tag}", None)


def _opened(job: Mapping[str, Any]) -> Store:
    """The store of a job, with its index; one of the backend's own is there by its name."""
    index = found("register_vector_indexes", job)
    if index is not None:
        return store_with(index, settings_of(job))
    return open_store(settings=replace(settings_of(job), vector_index=job["own"]))


def act(job: Mapping[str, Any], report: Any) -> None:
    """Lead a store with the index through the steps, as a process of its own."""
    drive(job, report, VectorSteps(job["tag"]), lambda: _opened(job))


def storm(job: Mapping[str, Any], report: Any) -> None:
    """Take part in a storm, as a process of its own."""
    with _opened(job) as store:
        report("open")
        while not Path(job["go"]).exists():
            time.sleep(0.001)
        first = 1000 * (1 + "abc".index(job["writer"]))
        for number in range(first, first + _TURNS):
            for what, change in (("added", _add), ("removed", _remove)):
                if what == "removed" and number % 3:
                    continue
                try:
                    change(store, job["tag"], number)
                except Busy:
                    report("busy", id=f"r{number}")
                else:
                    report(what, id=f"r{number}")
            store.vectors.search(job["tag"], vector(number), 3)


def _add(store: Store, tag: str, number: int) -> None:
    store.vectors.extend(tag, [(f"r{number}", vector(number))])


def _remove(store: Store, tag: str, number: int) -> None:
    store.vectors.remove(tag, [f"r{number}"])


class VectorIndexFaults(Killed):
    """Subclass it with a fixture ``index``."""

    kind = "vectors"
    faults = ("contract", "kill", "full disk", "lock storm")
    act = "wilk.testing.faults.vector_index:act"
    kills = 8

    def offer(self, request: pytest.FixtureRequest) -> Any:
        return request.getfixturevalue("index")

    def steps(self, tag: str) -> Steps:
        return VectorSteps(tag)

    @pytest.fixture
    def index(self) -> VectorIndex:
        raise NotImplementedError("give a wilk.VectorIndex")

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        """What the index is opened with."""
        return Settings(home=tmp_path / "home", url=f"sqlite:///{tmp_path}/home/wilk.db")

    @pytest.fixture
    def job(self, index: VectorIndex, settings: Settings) -> Mapping[str, Any]:
        offered = reference("register_vector_indexes", index, self.modules)
        return {**offered, "name": index.name, "settings": told(settings)}

    @pytest.fixture
    def opening(self, index: VectorIndex, settings: Settings) -> Opening:
        return lambda _: store_with(index, settings)

    @fault("kill")
    def test_what_was_removed_is_proposed_by_no_index_that_is_opened_later(
        self, index: VectorIndex, settings: Settings, tmp_path: Path, seen: Seen
    ) -> None:
        import numpy as np

        from wilk.testing.vector_index import Given, clustered

        given = Given(folder=tmp_path / "indexes" / "t")
        vectors = clustered(60)
        opened = index.open(given, settings)
        opened.add(given.put(vectors), vectors)
        gone = np.arange(1, 60, 3, dtype=np.int64)
        opened.remove(gone)
        for number in gone.tolist():
            del given.held[number]
        for name in ("in the index that removed it", "in one that was opened from its files"):
            seen.tried()
            proposed = {number for one in vectors for number in opened.search(one, 10, None)[0].tolist()}
            for number in sorted(proposed - set(given.held)):
                seen.found("stale", f"vector {number}", name)
            for number in sorted(set(given.held) - proposed):
                seen.found("lost", f"vector {number}", name)
            opened.save()
            opened.close()
            opened = index.open(given, settings)
            numbers, rest = given.after(opened.last, 100)
            if len(numbers):
                opened.add(numbers, rest)
        opened.close()
        seen.check()

    @fault("lock storm", slow=True)
    def test_a_storm_of_writers_loses_and_keeps_nothing(
        self,
        children: Processes,
        job: Mapping[str, Any],
        opening: Opening,
        tag: str,
        tmp_path: Path,
        seen: Seen,
    ) -> None:
        with opening(tag) as store:
            store.vectors.create(tag, dimension=DIMENSION)
        act, go = "wilk.testing.faults.vector_index:storm", tmp_path / "go"
        said = self.stormed(children, act, {**job, "tag": tag}, go, seen)
        live: dict[str, bool] = {}
        for one in said:
            if one["said"] in ("added", "removed"):
                live[one["id"]] = one["said"] == "added"
        with opening(tag) as store:
            there = [near.id for near in store.vectors.search(tag, vector(1), 1000)]
        for id, wanted in live.items():
            if wanted and id not in there:
                seen.found("lost", f"vector {id} of {tag}", "in the storm")
            if not wanted and id in there:
                seen.found("stale", f"vector {id} of {tag}", "in the storm")
            if there.count(id) > 1:
                seen.found("doubled", f"vector {id} of {tag}", "in the storm")
        seen.check()
