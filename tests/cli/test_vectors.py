"""``wilk vectors``: collections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wilk import open_store
from wilk.services.vectors import spaces

from .conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def points(home: Path) -> None:
    """Two collections."""
    with open_store(home=home) as store:
        store.vectors.extend("points", [("a", [1, 0]), ("b", [0, 1])], model="m")
        store.vectors.add("sounds", "c", [1, 2, 3], distance="dot")
        kept = spaces.make(store._engine, "kept", model="e", dimension=2, distance="cosine", kind="message")
        entry = spaces.Entry("d", 0, bytes(8), {})
        with store.transaction():
            spaces.write(store._engine, store._archiver, kept, [entry])


class TestList:
    def test_without_collections_says_how_one_is_made(self, good: Run) -> None:
        assert "store.vectors.add makes one" in good("vectors", "list").out
        assert good("vectors", "list", "--json").json == []

    @pytest.mark.usefixtures("points")
    def test_shows_models_and_counts(self, good: Run) -> None:
        lines = [line.split()[:6] for line in good("vectors", "list").out.splitlines()]
        assert lines == [
            ["NAME", "MODEL", "DIMENSION", "DISTANCE", "VECTORS", "STATE"],
            ["kept", "e", "2", "cosine", "1", "active"],
            ["points", "m", "2", "cosine", "2", "active"],
            ["sounds", "-", "3", "dot", "1", "active"],
        ]
        assert [one["count"] for one in good("vectors", "list", "--json").json] == [1, 2, 1]


@pytest.mark.usefixtures("points")
class TestDrop:
    def test_archives_all_vectors(self, good: Run) -> None:
        assert "2" in good("vectors", "drop", "points", "--yes", "--reason", "old").out
        assert [one["name"] for one in good("vectors", "list", "--json").json] == ["kept", "sounds"]
        entries = good("archive", "list", "--kind", "vector", "--json").json
        assert [entry["reason"] for entry in entries] == ["old", "old"]

    def test_of_an_unknown_one_fails(self, wilk: Run) -> None:
        result = wilk("vectors", "drop", "nothing", "--yes")
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith("wilk: error: no collection 'nothing'")

    def test_of_the_embedders_own_is_refused(self, wilk: Run) -> None:
        result = wilk("vectors", "drop", "kept", "--yes")
        assert result.code == 1
        assert "made by the store's embedder" in result.err
