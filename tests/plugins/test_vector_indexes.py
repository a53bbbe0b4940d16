"""Indexes of vectors by plugins: they propose, and whatever they say, the rows decide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wilk


class Liar:
    """An index that proposes what it was told to, whatever it was asked for."""

    def __init__(self) -> None:
        self.last = 0
        self.held: list[int] = []
        self.proposes: list[int] | None = None
        self.forgotten: list[int] = []
        self.closed = False

    @wilk.hookimpl
    def register_vector_indexes(self) -> Any:
        yield wilk.VectorIndex("liar", lambda rows, settings: self, "says what it likes")

    def add(self, numbers: Any, vectors: Any) -> None:
        self.held += numbers.tolist()
        self.last = int(numbers[-1])

    def remove(self, numbers: Any) -> None:
        self.forgotten += numbers.tolist()
        self.held = [one for one in self.held if one not in self.forgotten]

    def search(self, query: Any, k: int, among: Any) -> Any:
        chosen = (self.held if self.proposes is None else self.proposes)[:k]
        return np.array(chosen, np.int64), np.zeros(len(chosen), np.float32)

    def __len__(self) -> int:
        return len(self.held)

    def save(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> Liar:
    monkeypatch.setenv("WILK_VECTOR_INDEX", "liar")
    return Liar()


@pytest.fixture
def store(home: Path, liar: Liar) -> Any:
    with wilk.open_store(home=home, host=wilk.Host(liar)) as store:
        store.vectors.extend("c", [(f"v{n}", [1.0, float(n)]) for n in range(5)])
        yield store


def test_the_one_that_is_chosen_is_handed_every_vector(store: wilk.Store, liar: Liar) -> None:
    store.vectors.search("c", [1.0, 0.0])
    assert liar.held == [1, 2, 3, 4, 5]


def test_what_it_proposes_is_put_in_order_by_the_rows(store: wilk.Store, liar: Liar) -> None:
    liar.proposes = [5, 1, 3]
    assert [one.id for one in store.vectors.search("c", [1.0, 0.0], 3)] == ["v0", "v2", "v4"]


def test_what_it_proposes_and_is_not_there_is_not_found(store: wilk.Store, liar: Liar) -> None:
    store.vectors.search("c", [1.0, 0.0])
    store.vectors.remove("c", "v0")
    assert "v0" not in [one.id for one in store.vectors.search("c", [1.0, 0.0], 5)]
    assert liar.forgotten == [1]


def test_what_was_never_there_is_not_found(store: wilk.Store, liar: Liar) -> None:
    liar.proposes = [2, 77, -3]
    assert [one.id for one in store.vectors.search("c", [1.0, 0.0], 3)] == ["v1"]


def test_it_is_closed_with_the_store(home: Path, liar: Liar) -> None:
    with wilk.open_store(home=home, host=wilk.Host(liar)) as store:
        store.vectors.add("c", "a", [1.0])
        store.vectors.search("c", [1.0])
    assert liar.closed


def test_one_that_is_not_installed_is_told_of_by_its_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILK_VECTOR_INDEX", "nobody")
    with wilk.open_store(home=home) as store:
        store.vectors.add("c", "a", [1.0])
        with pytest.raises(wilk.PluginError, match="nobody"):
            store.vectors.search("c", [1.0])
