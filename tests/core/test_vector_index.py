"""The embedded index of vectors: the contract of indexes, and what is its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wilk.contracts import VectorIndex
from wilk.settings import Settings
from wilk.testing import VectorIndexSuite
from wilk.testing.vector_index import Given, clustered
from wilk.vectors import flat
from wilk.vectors.exact import register_vector_indexes
from wilk.vectors.memory import Budget

pytestmark = pytest.mark.storeless


def in_folder(folder: Path, *, vector_memory: int) -> Settings:
    url = f"sqlite:///{folder}/home/wilk.db"
    return Settings(home=folder / "home", url=url, vector_memory=vector_memory)


class TestExact(VectorIndexSuite):
    @pytest.fixture
    def index(self) -> VectorIndex:
        return next(iter(register_vector_indexes()))


class TestExactByCodes(VectorIndexSuite):
    recall = 0.99

    @pytest.fixture
    def index(self, monkeypatch: pytest.MonkeyPatch) -> VectorIndex:
        monkeypatch.setattr(flat, "FEW_VALUES", 0)
        return next(iter(register_vector_indexes()))


def test_places_are_counted_in_what_nobody_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy counts first and fills afterwards: removing in between leaves places that are none."""
    import numpy as np

    given = Given()
    index = flat.Flat(given, in_folder(tmp_path, vector_memory=0))
    vectors = clustered(100)
    index.add(given.put(vectors), vectors)
    index.remove(np.array([3]))
    shared = []
    real = np.flatnonzero
    monkeypatch.setattr(
        flat.np,
        "flatnonzero",
        lambda some: shared.append(np.shares_memory(some, index._view.alive)) or real(some),
    )
    index.search(vectors[0], 5, None)
    assert shared
    assert not any(shared)


def test_a_forked_child_has_all_of_the_memory(tmp_path: Path) -> None:
    settings = in_folder(tmp_path, vector_memory=1000)
    assert Budget.of(settings).take(900) == 900
    child = os.fork()
    if child == 0:
        os._exit(0 if Budget.of(settings).take(900) == 900 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Budget.of(settings).take(900) == 0


class TestExactWithoutMemory(TestExactByCodes):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return in_folder(tmp_path, vector_memory=0)


class TestExactWithLittleMemory(TestExactByCodes):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return in_folder(tmp_path, vector_memory=50_000)
