"""Vectors: collections, metadata filters, distances, and what may not be compared."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wilk
from wilk import hookimpl


def ids(found: list[Any]) -> list[str]:
    return [near.id for near in found]


@pytest.fixture
def points(store: wilk.Store) -> wilk.Store:
    """A collection with a few points of a plane."""
    store.vectors.extend(
        "points",
        [
            ("east", [1, 0], {"lang": "en", "year": 2019, "tags": ["a", "b"]}),
            ("north", [0, 2], {"lang": "de", "year": 2020, "place": {"city": "Kiel"}}),
            ("west", [-3, 0], {"lang": "en", "year": 2021.5, "tags": ["b"], "seen": True}),
            {"id": "south", "vector": [0, -4], "metadata": {"lang": None}},
        ],
        model="m",
    )
    return store


class TestKeeping:
    def test_a_vector_comes_back_as_float32_with_its_metadata(self, store: wilk.Store) -> None:
        kept = store.vectors.add("c", "x", [0.1, 2], metadata={"a": [1]}, model="m")
        assert kept.values == (np.float32(0.1).item(), 2.0)
        assert (kept.collection, kept.id, kept.part, kept.model, kept.metadata) == (
            "c",
            "x",
            0,
            "m",
            {"a": [1]},
        )
        assert store.vectors.get("c", "x") == kept

    def test_the_first_vector_makes_the_collection(self, store: wilk.Store) -> None:
        store.vectors.add("c", "x", np.ones(3), model="m", distance="dot")
        (one,) = store.vectors.collections()
        assert (one.name, one.model, one.dimension, one.distance, one.count) == ("c", "m", 3, "dot", 1)
        assert (one.kind, one.embedder, one.state) == (None, None, "active")

    def test_an_id_that_is_there_is_replaced(self, points: wilk.Store) -> None:
        points.vectors.add("points", "east", [0, 1], metadata={"year": 1})
        assert points.vectors.collection("points").count == 4
        assert points.vectors.get("points", "east").values == (0.0, 1.0)
        assert ids(points.vectors.search("points", [1, 0], 1)) != ["east"]

    def test_the_tags_of_what_was_replaced_filter_no_more(self, points: wilk.Store) -> None:
        points.vectors.add("points", "east", [1, 0], metadata={"lang": "fr"})
        assert ids(points.vectors.search("points", [1, 0], where={"lang": "en"})) == ["west"]
        assert ids(points.vectors.search("points", [1, 0], where={"lang": "fr"})) == ["east"]
        tags = points._engine.execute("SELECT COUNT(*) FROM vector_tags WHERE key = 'lang'")
        assert tags == [(4,)]

    def test_of_several_of_one_id_in_one_call_the_last_counts(self, store: wilk.Store) -> None:
        store.vectors.extend("c", [("x", [1, 0], {"n": 1}), ("y", [1, 1]), ("x", [0, 1], {"n": 2})])
        assert store.vectors.collection("c").count == 2
        assert store.vectors.get("c", "x").metadata == {"n": 2}
        assert store.vectors.search("c", [1, 0], where={"n": 1}) == []

    def test_an_id_may_have_several_parts(self, store: wilk.Store) -> None:
        store.vectors.add("c", "x", [1, 0])
        store.vectors.add("c", "x", [0, 1], part=1)
        assert [(near.id, near.part) for near in store.vectors.search("c", [0, 1])] == [("x", 1), ("x", 0)]
        assert store.vectors.get("c", "x", part=1).values == (0.0, 1.0)
        assert store.vectors.remove("c", "x") == 2

    def test_extend_is_one_transaction(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match=r"items\.1: vector of 'y': 3 values"):
            store.vectors.extend("c", [("x", [1, 0]), ("y", [1, 0, 0])])
        assert store.vectors.collections() == []

    def test_extend_with_nothing_makes_nothing(self, store: wilk.Store) -> None:
        assert store.vectors.extend("c", []) == 0
        assert store.vectors.collections() == []

    def test_what_is_rolled_back_is_not_found(self, points: wilk.Store) -> None:
        points.vectors.search("points", [1, 0])
        with pytest.raises(ZeroDivisionError), points.transaction():
            points.vectors.add("points", "new", [1, 0])
            points.vectors.remove("points", "east")
            assert ids(points.vectors.search("points", [1, 0], 1)) == ["new"]
            raise ZeroDivisionError
        assert ids(points.vectors.search("points", [1, 0], 1)) == ["east"]
        points.vectors.add("points", "other", [0.9, 0.1])  # it gets the number that was given back
        assert ids(points.vectors.search("points", [0.9, 0.1], 1)) == ["other"]
        assert points.vectors.search("points", [1, 0])[0].id == "east"

    def test_find_gives_none_and_get_says_what_is_missing(self, points: wilk.Store) -> None:
        assert points.vectors.find("points", "up") is None
        assert points.vectors.find("nowhere", "up") is None
        with pytest.raises(wilk.NotFound, match="no vector 'up'"):
            points.vectors.get("points", "up")
        with pytest.raises(wilk.NotFound, match="no collection 'nowhere'"):
            points.vectors.get("nowhere", "up")


class TestRefused:
    @pytest.mark.parametrize(
        ("vector", "said"),
        [
            ([1, math.nan], "the value at 1 is nan"),
            ([math.inf, 0], "the value at 0 is inf"),
            ([0, -1e39], "the value at 1 is -1e\\+39"),
            ([], "numbers is wanted"),
            ([[1, 2]], "one dimension"),
            (["1", "2"], "numbers is wanted"),
            ([True, False], "numbers is wanted"),
            ("12", "numbers is wanted"),
            (None, "numbers is wanted"),
            ([1, None], "numbers is wanted"),
            ([1, [2]], "numbers is wanted"),
            ([1, 2, 3], "3 values"),
        ],
    )
    def test_vectors_that_cannot_be_compared(self, points: wilk.Store, vector: Any, said: str) -> None:
        with pytest.raises(wilk.Invalid, match=said):
            points.vectors.add("points", "x", vector)
        with pytest.raises(wilk.Invalid, match=said):
            points.vectors.search("points", vector)
        with pytest.raises(wilk.Invalid, match=said):
            points.vectors.extend("points", [("y", [1, 2]), ("x", vector)])
        assert points.vectors.collection("points").count == 4

    def test_another_model(self, points: wilk.Store) -> None:
        for change in (
            lambda: points.vectors.add("points", "x", [1, 0], model="other"),
            lambda: points.vectors.extend("points", [("x", [1, 0])], model="other"),
            lambda: points.vectors.search("points", [1, 0], model="other"),
        ):
            with pytest.raises(
                wilk.Conflict, match="of model 'm', and those of 'other'.*use another collection"
            ):
                change()
        assert len(points.vectors.search("points", [1, 0], model="m")) == 4

    def test_another_distance(self, points: wilk.Store) -> None:
        with pytest.raises(wilk.Conflict, match="compares by cosine, not by dot"):
            points.vectors.add("points", "x", [1, 0], distance="dot")
        with pytest.raises(wilk.Invalid, match="one of cosine, dot, euclidean"):
            points.vectors.create("new", dimension=2, distance="hamming")

    def test_a_collection_that_is_there(self, points: wilk.Store) -> None:
        with pytest.raises(wilk.Conflict, match="there is a collection 'points' already"):
            points.vectors.create("points", dimension=2)

    @pytest.mark.parametrize("dimension", [0, -1, 65_537, 2.0, True])
    def test_dimensions_that_cannot_be(self, store: wilk.Store, dimension: Any) -> None:
        with pytest.raises(wilk.Invalid, match="dimension"):
            store.vectors.create("c", dimension=dimension)

    @pytest.mark.parametrize(
        "items",
        [[("x",)], ["x"], [{"id": "x"}], [{"id": "x", "vector": [1], "colour": 1}], "x", {"x": [1]}, 3],
    )
    def test_items_of_another_form(self, store: wilk.Store, items: Any) -> None:
        with pytest.raises(wilk.Invalid, match="items"):
            store.vectors.extend("c", items)

    def test_ids_and_metadata_that_cannot_be_kept(self, store: wilk.Store) -> None:
        for id in ("", 3, None, "a\0"):
            with pytest.raises(wilk.Invalid, match="id"):
                store.vectors.add("c", id, [1])  # type: ignore[arg-type]
        with pytest.raises(wilk.NotStorable, match="set has no JSON form"):
            store.vectors.add("c", "x", [1], metadata={"a": {1}})
        with pytest.raises(wilk.Invalid, match="metadata"):
            store.vectors.add("c", "x", [1], metadata=[1])  # type: ignore[arg-type]

    def test_searching_a_collection_that_is_not_there(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no collection 'c'"):
            store.vectors.search("c", [1])

    @pytest.mark.parametrize("k", [-1, 1.5, "3", True])
    def test_a_k_that_cannot_be(self, points: wilk.Store, k: Any) -> None:
        with pytest.raises(wilk.Invalid, match="k "):
            points.vectors.search("points", [1, 0], k)

    @pytest.mark.parametrize("name", ["message", "pattern"])
    def test_names_that_the_embedder_needs(self, store: wilk.Store, name: str) -> None:
        for make in (
            lambda: store.vectors.create(name, dimension=2),
            lambda: store.vectors.add(name, "x", [1, 0]),
            lambda: store.vectors.extend(name, [("x", [1, 0])]),
        ):
            with pytest.raises(wilk.Invalid, match="choose another name"):
                make()

    def test_collections_of_the_embedder_are_listed_once_something_is_in_them(
        self, store: wilk.Store
    ) -> None:
        from wilk.services.vectors import spaces

        spaces.make(store._engine, "pin", model="m", dimension=2, distance="cosine", kind="pin")
        store.vectors.create("mine", dimension=2)
        assert [one.name for one in store.vectors.collections()] == ["mine"]
        store._engine.execute("UPDATE vector_spaces SET count = 1")
        assert [one.name for one in store.vectors.collections()] == ["mine", "pin"]

    def test_collections_that_the_embedder_keeps(self, store: wilk.Store) -> None:
        from wilk.services.vectors import spaces

        spaces.make(store._engine, "kept", model="m", dimension=2, distance="cosine", kind="message")
        for change in (
            lambda: store.vectors.add("kept", "x", [1, 0]),
            lambda: store.vectors.extend("kept", [("x", [1, 0])]),
            lambda: store.vectors.remove("kept", "x"),
            lambda: store.vectors.drop("kept"),
        ):
            with pytest.raises(wilk.Protected, match="made by the store's embedder, from each message"):
                change()


class TestSearching:
    @pytest.mark.parametrize(
        ("distance", "found"),
        [
            ("cosine", [("east", 1.0, 0.0), ("north", 0.0, 1.0), ("south", 0.0, 1.0), ("west", -1.0, 2.0)]),
            ("dot", [("east", 2.0, -2.0), ("north", 0.0, 0.0), ("south", 0.0, 0.0), ("west", -6.0, 6.0)]),
            (
                "euclidean",
                [
                    ("east", -1.0, 1.0),
                    ("north", -math.sqrt(8), math.sqrt(8)),
                    ("south", -math.sqrt(20), math.sqrt(20)),
                    ("west", -5.0, 5.0),
                ],
            ),
        ],
    )
    def test_the_three_distances(self, store: wilk.Store, distance: str, found: Any) -> None:
        points = [("east", [1, 0]), ("north", [0, 2]), ("west", [-3, 0]), ("south", [0, -4])]
        store.vectors.extend("c", points, distance=distance)
        near = store.vectors.search("c", [2, 0])
        assert [(one.id, one.score, one.distance) for one in near] == found

    def test_equally_near_ones_come_in_the_order_in_which_they_were_added(self, store: wilk.Store) -> None:
        store.vectors.extend("c", [(f"r{n}", [1.0, 1.0]) for n in (3, 1, 2)])
        assert ids(store.vectors.search("c", [1, 1])) == ["r3", "r1", "r2"]
        assert ids(store.vectors.search("c", [1, 1], 2)) == ["r3", "r1"]

    def test_least_leaves_out_what_has_a_smaller_score(self, points: wilk.Store) -> None:
        assert ids(points.vectors.search("points", [1, 0], least=0.5)) == ["east"]
        with pytest.raises(wilk.Invalid, match="least"):
            points.vectors.search("points", [1, 0], least="0.5")  # type: ignore[arg-type]

    def test_none_wanted_none_found(self, points: wilk.Store) -> None:
        assert points.vectors.search("points", [1, 0], 0) == []

    def test_an_empty_collection_is_searched(self, store: wilk.Store) -> None:
        store.vectors.create("c", dimension=2)
        assert store.vectors.search("c", [1, 0]) == []
        assert store.vectors.search("c", [1, 0], exact=True) == []

    def test_a_store_in_memory_and_one_for_reading_are_searched(self, points: wilk.Store, home: Path) -> None:
        points.close()
        with wilk.open_store(home=home, readonly=True) as reading:
            assert ids(reading.vectors.search("points", [1, 0], 1)) == ["east"]
            with pytest.raises(wilk.ReadOnly):
                reading.vectors.add("points", "x", [1, 0])
        assert not (home / "indexes").exists()
        with wilk.open_store("sqlite:///:memory:") as memory:
            memory.vectors.add("c", "x", [1, 0])
            assert ids(memory.vectors.search("c", [1, 0])) == ["x"]

    def test_threads_of_a_store_in_memory_search_beside_a_transaction(self) -> None:
        with wilk.open_store("sqlite:///:memory:") as memory:
            memory.vectors.extend("c", [(f"r{n}", [1.0, n]) for n in range(50)])
            inside = threading.Event()

            def search() -> None:
                inside.wait(10)
                memory.vectors.search("c", [1, 0])

            threads = [threading.Thread(target=search) for _ in range(4)]
            for thread in threads:
                thread.start()
            with memory.transaction():
                inside.set()
                memory.vectors.add("c", "new", [1, -1])
                for _ in range(20):
                    memory.vectors.search("c", [1, 0])
            for thread in threads:
                thread.join(20)
                assert not thread.is_alive()


class TestGone:
    """The index proposes what was there a moment ago."""

    def test_one_that_is_gone_makes_it_asked_for_few_more(
        self, points: wilk.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        points.vectors.extend("c", [(str(n), [1, n / 100]) for n in range(300)])
        points.vectors.search("c", [1, 0], 3)
        points.vectors.remove("c", "1")
        (index,) = (one.nearest.below for one in points._vector_indexes._opened.values())
        asked: list[int] = []
        real = index.search
        monkeypatch.setattr(index, "search", lambda q, k, among: asked.append(k) or real(q, k, among))
        assert ids(points.vectors.search("c", [1, 0], 3)) == ["0", "2", "3"]
        assert asked == [3, 5]

    def test_what_a_snapshot_does_not_see_yet_takes_nobodys_place(self, points: wilk.Store) -> None:
        points.vectors.extend("c", [(str(n), [1, n]) for n in range(1, 9)])

        def add() -> None:
            points.vectors.extend("c", [(f"new {n}", [1, 0]) for n in range(5)])
            assert ids(points.vectors.search("c", [1, 0], 1)) == ["new 0"]
            points._engine.release()

        with points._engine.snapshot():
            assert ids(points.vectors.search("c", [1, 0], 3)) == ["1", "2", "3"]
            thread = threading.Thread(target=add)
            thread.start()
            thread.join()
            assert ids(points.vectors.search("c", [1, 0], 3)) == ["1", "2", "3"]


class TestFilters:
    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ({}, ["east", "north", "south", "west"]),
            ({"lang": "en"}, ["east", "west"]),
            ({"lang": None}, ["south"]),
            ({"lang": {"!=": "en"}}, ["north", "south"]),
            ({"lang": {"in": ["de", "fr"]}}, ["north"]),
            ({"lang": {"not in": ["de", "en"]}}, ["south"]),
            ({"lang": {"in": []}}, []),
            ({"year": {">=": 2020}}, ["north", "west"]),
            ({"year": {">": 2020, "<=": 2021.5}}, ["west"]),
            ({"year": {"<": 2020}}, ["east"]),
            ({"year": 2020.0}, ["north"]),
            ({"year": {"exists": False}}, ["south"]),
            ({"tags": "b"}, ["east", "west"]),
            ({"tags": "a", "lang": "en"}, ["east"]),
            ({"tags": {"!=": "a"}}, ["north", "south", "west"]),
            ({"seen": True}, ["west"]),
            ({"seen": 1}, []),
            ({"place.city": "Kiel"}, ["north"]),
            ({"place": {"exists": True}}, []),
            ({"nothing": "x"}, []),
        ],
    )
    def test_choose_by_metadata(self, points: wilk.Store, where: Any, found: list[str]) -> None:
        assert sorted(ids(points.vectors.search("points", [1, 0], where=where))) == found
        assert sorted(ids(points.vectors.search("points", [1, 0], where=where, exact=True))) == found

    @pytest.mark.parametrize(
        ("where", "said"),
        [
            ({"lang": {"~": "e"}}, "there is no operator '~'; one of =, !=, <"),
            ({"lang": {}}, "an operator is missing"),
            ({"lang": ["en"]}, r"write \{'in': \[...\]\}"),
            ({"lang": {"in": "en"}}, "in takes a list"),
            ({"lang": {">": "en"}}, "> compares numbers, not 'en'"),
            ({"lang": {">": math.nan}}, "nothing is > nan"),
            ({"lang": {"exists": 1}}, "exists takes True or False"),
            ({"lang": b"en"}, "a text, a number, true, false or null"),
            ({3: "en"}, "where: a key"),
            (["lang"], "an object is wanted"),
            ("lang", "an object is wanted"),
        ],
    )
    def test_that_make_no_sense_are_refused(self, points: wilk.Store, where: Any, said: str) -> None:
        with pytest.raises(wilk.Invalid, match=said):
            points.vectors.search("points", [1, 0], where=where)

    @pytest.mark.parametrize("where", [{f"k{n}": 1 for n in range(2000)}, {"n": {"in": list(range(20_000))}}])
    def test_larger_than_an_engine_takes_are_refused(self, points: wilk.Store, where: Any) -> None:
        with pytest.raises(wilk.Invalid, match="at most"):
            points.vectors.search("points", [1, 0], where=where)

    def test_long_values_are_told_apart(self, store: wilk.Store) -> None:
        long = "x" * 5000
        store.vectors.extend("c", [("a", [1, 0], {"t": long + "a"}), ("b", [1, 0], {"t": long + "b"})])
        assert ids(store.vectors.search("c", [1, 0], where={"t": long + "b"})) == ["b"]

    def test_of_many_vectors_leave_the_nearest(self, store: wilk.Store) -> None:
        chance = np.random.default_rng(4)
        rows = chance.normal(size=(2000, 8))
        store.vectors.extend("c", [(str(n), row, {"n": n}) for n, row in enumerate(rows)])
        query = chance.normal(size=8)
        similar = rows @ query / np.linalg.norm(rows, axis=1)
        for least in (500, 1990):
            true = [str(n) for n in np.argsort(-similar) if n >= least][:5]
            assert ids(store.vectors.search("c", query, 5, where={"n": {">=": least}})) == true


class TestRemoving:
    def test_removed_vectors_are_archived_and_come_back(self, points: wilk.Store) -> None:
        assert points.vectors.remove("points", ["east", "north"], reason="old") == 2
        assert ids(points.vectors.search("points", [1, 0])) == ["south", "west"]
        assert points.vectors.collection("points").count == 2
        assert {entry.reason for entry in points.archive.list(kind="vector")} == {"old"}
        assert points.archive.restore(kind="vector", record="1/east/0") == {"vector": 1}
        near = points.vectors.search("points", [1, 0], 1, where={"tags": "a"})
        assert (near[0].id, near[0].metadata["year"]) == ("east", 2019)

    def test_an_unknown_id_is_named_and_nothing_is_removed(self, points: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no vector 'up'"):
            points.vectors.remove("points", ["east", "up"])
        assert points.vectors.collection("points").count == 4

    def test_a_dropped_collection_is_archived_and_its_name_free(self, points: wilk.Store, home: Path) -> None:
        assert points.vectors.drop("points") == 4
        assert points.vectors.collections() == []
        with pytest.raises(wilk.NotFound):
            points.vectors.search("points", [1, 0])
        points.vectors.add("points", "x", [1, 2, 3], model="other")
        assert ids(points.vectors.search("points", [1, 2, 3])) == ["x"]

    def test_restoring_a_dropped_collection_brings_it_back(self, points: wilk.Store) -> None:
        points.vectors.drop("points")
        batch = points.archive.list(kind="vector")[0].batch
        assert points.archive.restore(batch=batch) == {"vector": 4}
        assert ids(points.vectors.search("points", [1, 0], 1)) == ["east"]
        assert points.vectors.collection("points").count == 4

    def test_plugins_hear_of_what_is_kept_and_removed(self, plugged: Any) -> None:
        heard = []

        class Listener:
            @hookimpl
            def before_save(self, kind: str, record: Any) -> None:
                if record.id == "bad":
                    raise wilk.Rejected("not this one")

            @hookimpl
            def after_save(self, kind: str, record: Any) -> None:
                heard.append(("saved", kind, record.id))

            @hookimpl
            def after_delete(self, kind: str, record: Any) -> None:
                heard.append(("deleted", kind, record.id))

        store = plugged(Listener())
        store.vectors.extend("c", [("x", [1]), ("y", [2])])
        with pytest.raises(wilk.Rejected):
            store.vectors.extend("c", [("z", [1]), ("bad", [2])])
        store.vectors.remove("c", "x")
        assert heard == [("saved", "vector", "x"), ("saved", "vector", "y"), ("deleted", "vector", "x")]
        assert store.vectors.collection("c").count == 1


class TestIndexFiles:
    @pytest.fixture(autouse=True)
    def _many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Codes for all that there is, however few."""
        from wilk.vectors import flat

        monkeypatch.setattr(flat, "FEW_VALUES", 0)
        monkeypatch.setenv("WILK_VECTOR_INDEX", "exact")

    def rows(self, count: int, seed: int = 3) -> np.ndarray[Any, Any]:
        return np.random.default_rng(seed).normal(size=(count, 16)).astype("f4")

    def fill(self, store: wilk.Store, rows: Any, first: int = 0) -> None:
        store.vectors.extend("c", [(f"r{n}", row) for n, row in enumerate(rows, first)])

    def test_are_used_by_the_next_store(self, store: wilk.Store, home: Path) -> None:
        rows = self.rows(500)
        self.fill(store, rows)
        store.vectors.search("c", rows[0])
        store.close()
        assert list((home / "indexes").glob("*/exact.codes"))
        with wilk.open_store(home=home) as again:
            assert ids(again.vectors.search("c", rows[7], 1)) == ["r7"]
            index = again._vector_indexes._opened[1].nearest.below
            assert index._file is not None
            assert len(index) == 500

    def test_may_be_deleted(self, store: wilk.Store, home: Path) -> None:
        import shutil

        rows = self.rows(300)
        self.fill(store, rows)
        store.vectors.search("c", rows[0])
        store.close()
        shutil.rmtree(home / "indexes")
        with wilk.open_store(home=home) as again:
            assert ids(again.vectors.search("c", rows[7], 1)) == ["r7"]

    def test_of_a_dropped_collection_go(self, store: wilk.Store, home: Path) -> None:
        rows = self.rows(300)
        self.fill(store, rows)
        store.vectors.search("c", rows[0])
        store.close()
        with wilk.open_store(home=home) as again:
            again.vectors.drop("c")
        assert list((home / "indexes").iterdir()) == []

    @pytest.mark.sqlite
    def test_of_a_database_that_was_put_back_do_not_mislead(self, store: wilk.Store, home: Path) -> None:
        import shutil

        rows, others = self.rows(300), self.rows(300, seed=9)
        self.fill(store, rows[:150])
        store.close()
        shutil.copy(home / "wilk.db", home / "backup.db")
        with wilk.open_store(home=home) as later:
            self.fill(later, rows[150:], 150)
            later.vectors.search("c", rows[0])
        for file in home.glob("wilk.db*"):
            file.unlink()
        shutil.copy(home / "backup.db", home / "wilk.db")
        with wilk.open_store(home=home) as back:  # the index has come further than the database
            assert ids(back.vectors.search("c", rows[200], 1)) != ["r200"]
            self.fill(back, others, 1000)
            assert [back.vectors.search("c", row, 1)[0].id for row in others[:9]] == [
                f"r{1000 + n}" for n in range(9)
            ]

    @pytest.mark.sqlite
    def test_that_end_with_what_was_removed_before_the_database_was_put_back_lack_nothing(
        self, store: wilk.Store, home: Path
    ) -> None:
        import shutil

        rows, others = self.rows(300), self.rows(40, seed=9)
        self.fill(store, rows)
        store.close()
        shutil.copy(home / "wilk.db", home / "backup.db")
        with wilk.open_store(home=home) as later:  # numbers 301 to 320 come and go, and are saved as gone
            self.fill(later, others[:20], 1000)
            later.vectors.search("c", rows[0])
            later.vectors.remove("c", [f"r{n}" for n in range(1000, 1020)])
            for row in others[:20]:
                later.vectors.search("c", row, 5)
        shutil.copy(home / "backup.db", home / "wilk.db")
        with wilk.open_store(home=home) as back:
            self.fill(back, others, 2000)
            found = [back.vectors.search("c", row, 1)[0].id for row in others]
            assert found == [f"r{2000 + n}" for n in range(40)]

    def test_are_left_alone_while_little_is_new(self, store: wilk.Store, home: Path) -> None:
        rows = self.rows(600)
        self.fill(store, rows[:500])
        store.vectors.search("c", rows[0])
        store.close()
        (file,) = (home / "indexes").glob("*/exact.codes")
        before = file.stat().st_ino
        with wilk.open_store(home=home) as again:
            self.fill(again, rows[500:502], 500)
            assert ids(again.vectors.search("c", rows[501], 1)) == ["r501"]
        assert file.stat().st_ino == before
        with wilk.open_store(home=home) as again:
            self.fill(again, rows[502:], 502)
            assert ids(again.vectors.search("c", rows[501], 1)) == ["r501"]
        assert file.stat().st_ino != before

    def test_two_stores_over_one_file_find_what_the_other_added_and_removed(
        self, store: wilk.Store, home: Path
    ) -> None:
        rows = self.rows(400)
        self.fill(store, rows[:200])
        with wilk.open_store(home=home) as other:
            assert ids(other.vectors.search("c", rows[5], 1)) == ["r5"]
            self.fill(store, rows[200:], 200)
            assert ids(other.vectors.search("c", rows[300], 1)) == ["r300"]
            other.vectors.remove("c", "r5")
            assert "r5" not in ids(store.vectors.search("c", rows[5], 400))
            store.vectors.search("c", rows[1])
        assert len(store.vectors.search("c", rows[5], 400)) == 399

    @pytest.mark.sqlite
    def test_the_first_search_after_opening_reads_few_vectors(
        self, store: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from wilk.services.vectors.rows import Rows
        from wilk.testing.vector_index import clustered

        rows = clustered(20_000, 16)
        store.vectors.extend("c", [(f"r{n}", row) for n, row in enumerate(rows)])
        store.vectors.search("c", rows[0])
        assert store._engine.execute("SELECT DISTINCT typeof(data), length(data) FROM vectors") == [
            ("blob", 64)
        ]
        store.close()
        read = []
        arrays = Rows._arrays
        monkeypatch.setattr(Rows, "_arrays", lambda *given: read.append(len(given[1])) or arrays(*given))
        with wilk.open_store(home=home) as again:
            assert ids(again.vectors.search("c", rows[7], 1)) == ["r7"]
        assert 0 < sum(read) < 4000
