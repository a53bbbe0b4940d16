"""Another embedding model: its vectors are built beside the old ones, and searched when complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from tests.embedding import Bag, bag
from tests.engines import ask

import wilk

from .indexed import check_vectors, opened, pending, status, until


@pytest.fixture
def plugin() -> Bag:
    return Bag()


class TestModels:
    @pytest.fixture
    def full(self, home: Path, plugin: Bag) -> Path:
        """A home with 50 memories whose vectors are by the model bag-1."""
        with opened(home, plugin) as store:
            for n in range(50):
                store.memories.add(f"memory {n}")
            store.settle()
        return home

    def test_the_old_vectors_are_searched_until_the_new_ones_are_complete(self, full: Path) -> None:
        plugin = Bag("bag-2")
        with opened(full, plugin) as store:
            old, vector = store._indexing.query("memory 7")["memory"]  # which makes it see the new model
            assert old.model == "bag-1"
            assert vector.tolist() == bag("memory 7", seed=crc32(b"bag-1")).tolist()
            store.settle()
            new, vector = store._indexing.query("memory 7")["memory"]
            assert new.model == "bag-2"
            assert vector.tolist() == bag("memory 7", seed=crc32(b"bag-2")).tolist()
            check_vectors(store, plugin)

    def test_while_they_are_built_the_status_says_so(self, full: Path) -> None:
        plugin = Bag("bag-2", batch=5)
        with opened(full, plugin) as store:
            while status(store, "memory").embedded in (0, 50):
                assert store._indexing.step(others=True)
            found = status(store, "memory")
            assert (found.state, found.model, found.records) == ("building", "bag-2", 50)
            assert 0 < found.embedded < 50
            assert store._indexing.query("memory")["memory"][0].model == "bag-1"

    def test_records_that_come_meanwhile_are_found_by_both(self, full: Path) -> None:
        plugin = Bag("bag-2", batch=5)
        with opened(full, plugin) as store:
            store._embedding_worker.submit = lambda *_: False  # type: ignore[method-assign]
            while status(store, "memory").model == "bag-1":
                store._indexing.step()
            memory = store.memories.add("written meanwhile")
            rows: list[Any] = []
            while len(rows) < 2:
                assert store._indexing.step()
                rows = ask(store, "SELECT space_id FROM vectors WHERE record_id = ?", (memory.id,))
            assert status(store, "memory").state == "building"
            store.index.update()
            check_vectors(store, plugin)

    def test_an_old_model_that_is_gone_leaves_full_text(
        self, full: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        plugin = Bag("bag-2", batch=5)
        plugin.missing = {"bag-1"}
        with opened(full, plugin) as store:
            store._embedding_worker.submit = lambda *_: False  # type: ignore[method-assign]
            while status(store, "memory").model == "bag-1":
                store._indexing.step()
            assert store._indexing.query("memory") == {}
            store.memories.add("written meanwhile")
            store.index.update()
            check_vectors(store, plugin)
            assert set(store._indexing.query("memory")) >= {"memory"}
        assert sum("is not to be had" in one.message for one in caplog.records) == 1

    def test_where_the_new_model_is_not_there_the_old_one_searches_on(self, full: Path) -> None:
        plugin = Bag("bag-2")
        plugin.missing = {"bag-2"}
        with opened(full, plugin) as store:
            store.memories.add("written meanwhile")
            store.settle()
            space, vector = store._indexing.query("memory 7")["memory"]
            assert space.model == "bag-1"
            assert vector.tolist() == bag("memory 7", seed=crc32(b"bag-1")).tolist()
            assert len(pending(store)) == 1

    def test_a_model_of_another_dimension_says_why_words_alone_are_searched(
        self, full: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with opened(full, Bag(dimension=8)) as store:
            for _ in range(2):
                assert "memory" not in store._indexing.query("memory 7")
        told = [one for one in caplog.records if "gives 8 values now" in one.getMessage()]
        assert [one.levelname for one in told] == ["WARNING"]

    def test_an_interrupted_change_goes_on_where_it_was(self, full: Path) -> None:
        first, second = Bag("bag-2", batch=5), Bag("bag-2", batch=5)
        with opened(full, first) as store:
            while status(store, "memory").embedded in (0, 50):
                store._indexing.step(others=True)
            store._embedding_worker.submit = lambda *_: False  # type: ignore[method-assign]
        with opened(full, second) as store:
            store.settle()
            store.index.update()
            check_vectors(store, second)
        made = [text for text in first.texts + second.texts if text.startswith("memory")]
        assert sorted(made) == sorted(set(made))
        assert len(made) == 50

    def test_a_change_that_is_taken_back_leaves_the_old_vectors(self, full: Path, plugin: Bag) -> None:
        other = Bag("bag-2", batch=5)
        with opened(full, other) as store:
            while status(store, "memory").embedded in (0, 50):
                store._indexing.step(others=True)
            store._embedding_worker.submit = lambda *_: False  # type: ignore[method-assign]
        plugin.texts.clear()
        with opened(full, plugin) as store:
            store.index.update()
            check_vectors(store, plugin)
            assert [text for text in plugin.texts if text.startswith("memory")] == []

    def test_a_process_that_stays_notices_by_itself(
        self, full: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from wilk.services.embedding import indexing

        monkeypatch.setattr(indexing, "_FIRST_LOOK", 0.01)
        plugin = Bag("bag-2")
        with opened(full, plugin) as store:
            until(lambda: status(store, "memory") == status(store, "memory")._replace(model="bag-2"))
            store.settle()
            check_vectors(store, plugin)

    def test_a_rebuild_makes_every_vector_anew(self, full: Path, plugin: Bag) -> None:
        plugin.texts.clear()
        told: list[tuple[int, int]] = []
        with opened(full, plugin) as store:
            before = store._indexing.query("memory")["memory"][0]
            found = store.index.rebuild(progress=lambda done, of: told.append((done, of)))
            assert store._indexing.query("memory")["memory"][0].id > before.id
            check_vectors(store, plugin)
        assert {one.state for one in found} == {"active"}
        assert sum(text.startswith("memory") for text in plugin.texts) == 50
        assert told[-1] == (50, 50)

    def test_a_rebuild_takes_another_dimension(self, full: Path) -> None:
        plugin = Bag(dimension=8)
        with opened(full, plugin) as store:
            store.index.rebuild()
            check_vectors(store, plugin)

    def test_a_process_with_the_old_model_leaves_the_rest_to_the_other(self, full: Path) -> None:
        old, new = Bag("bag-1"), Bag("bag-2")
        old.missing = {"bag-2"}
        with opened(full, old) as one:
            one.memories.add("wakes it")
            one.settle()
            with opened(full, new) as other:
                other.index.update()
                memory = one.memories.add("by the old one")
                one.settle()
                assert pending(one) == [("memory", memory.id)]
                with pytest.raises(wilk.BackendError, match="another process"):
                    one.index.update()
                other.index.update()
                check_vectors(other, new)
