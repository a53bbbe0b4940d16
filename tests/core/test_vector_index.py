"""The embedded index of vectors: the contract of indexes, and what is its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from wilk.contracts import VectorIndex
from wilk.settings import Settings
from wilk.testing import VectorIndexSuite
from wilk.vectors import flat
from wilk.vectors.exact import register_vector_indexes


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


class TestExactWithoutMemory(TestExactByCodes):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return in_folder(tmp_path, vector_memory=0)


class TestExactWithLittleMemory(TestExactByCodes):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return in_folder(tmp_path, vector_memory=50_000)
