"""The storage module's hybrid store: similar queries, patterns, clusters, with and without an embedder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.embedding import Bag

import wilk
from wilk.adapters.hybrid import HybridStore, VectorStore
from wilk.host import Host

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Use = Callable[[Callable[[HybridStore], Coroutine[Any, Any, Any]]], Any]

BUG = [
    "fix the bug in auth.py",
    "fix a bug in auth.py",
    "please fix the bug in auth.py",
    "fix bug in auth.py",
]
TEST = ["write tests for the parser", "write more tests for the parser", "write tests for our parser"]


@pytest.fixture(params=["words", "vectors"])
def use(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    _new_database: Path,
) -> Use:
    """Runs a scenario over a new database: compared by words, or by the vectors of an embedder."""
    host = None
    shutil.copy(_new_database, tmp_path / "module.db")
    if request.param == "vectors":
        monkeypatch.setenv("WILK_EMBEDDER", "bag")
        host = Host(Bag(), entry_points=True)

    def used(scenario: Callable[[HybridStore], Coroutine[Any, Any, Any]]) -> Any:
        async def opened() -> Any:
            async with wilk.open_async_store(f"sqlite:///{tmp_path / 'module.db'}", host=host) as store:
                return await scenario(HybridStore(store))

        return run(opened())

    return used


async def add(store: HybridStore, *queries: str, **more: Any) -> list[str]:
    """Add interactions, and wait for their vectors."""
    ids = [await store.add_interaction({"user_query": query, **more}) for query in queries]
    assert await store.store.settle()
    return ids


class TestSimilarQueries:
    def test_are_found_the_most_similar_first(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            await add(store, *BUG, *TEST)
            found = await store.search_similar_queries("fix the bug in auth.py", k=3)
            assert len(found) == 3
            assert found[0][2]["text"] == BUG[0]
            assert found[0][1] == pytest.approx(1.0)
            assert [one[1] for one in found] == sorted((one[1] for one in found), reverse=True)
            assert all(one[2]["text"] in BUG for one in found)

        use(scenario)

    def test_below_the_threshold_are_left_out(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            await add(store, *BUG, *TEST)
            found = await store.search_similar_queries(TEST[0], k=10, threshold=0.99)
            assert [one[2]["text"] for one in found] == [TEST[0]]
            assert await store.search_similar_queries("something else altogether", k=10) == []

        use(scenario)

    def test_tell_their_id_their_actions_and_whether_they_went_well(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            (id,) = await add(
                store,
                "fix it",
                success=True,
                actions_taken=[{"action_type": "read"}, {"action_type": "edit"}],
            )
            ((embedding, _, about),) = await store.search_similar_queries("fix it")
            assert embedding == f"query_{id}"
            assert (about["interaction_id"], about["type"]) == (id, "user_query")
            assert (about["actions"], about["success"]) == (["read", "edit"], True)

        use(scenario)

    def test_that_were_archived_are_not_found(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            first, *_ = await add(store, *BUG)
            await store.archive_interactions([first], "consolidated_to_working")
            found = await store.search_similar_queries(BUG[0], k=10)
            assert BUG[0] not in [one[2]["text"] for one in found]

        use(scenario)

    @pytest.mark.parametrize("query", ["", "  ", '"', "AND *", "🎉", "x" * 10_000, "\ud800", "编程"])
    def test_take_any_text(self, use: Use, query: str) -> None:
        async def scenario(store: HybridStore) -> None:
            await add(store, *BUG)
            assert isinstance(await store.search_similar_queries(query), list)

        use(scenario)

    def test_of_a_script_without_spaces_are_compared_by_characters(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            await add(store, "修复登录页面的错误", "编写解析器的测试")
            found = await store.search_similar_queries("修复登录页面的错误", threshold=0.9)
            assert [one[2]["text"] for one in found] == ["修复登录页面的错误"]

        use(scenario)

    def test_refuse_what_is_no_threshold(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            with pytest.raises(wilk.Invalid, match="a number from -1.0 to 1.0"):
                await store.search_similar_queries("x", threshold=2)
            with pytest.raises(wilk.Invalid, match="k -1"):
                await store.search_similar_queries("x", k=-1)

        use(scenario)


class TestClusters:
    def test_that_were_planted_are_found_and_nothing_else(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            mixed = [BUG[0], TEST[0], "lunch?", BUG[1], TEST[1], BUG[2], "weather tomorrow", TEST[2], BUG[3]]
            await add(store, *mixed)
            found = await store.cluster_similar_queries()
            assert [[one["text"] for one in cluster] for cluster in found] == [BUG, TEST]

        use(scenario)

    def test_that_are_too_small_are_left_out(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            await add(store, *BUG, *TEST)
            assert len(await store.cluster_similar_queries(min_cluster_size=4)) == 1
            assert await store.cluster_similar_queries(min_cluster_size=5) == []
            assert len(await store.cluster_similar_queries(similarity_threshold=1.0, min_cluster_size=1)) == 7

        use(scenario)

    def test_of_an_empty_store_are_none(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            assert await store.cluster_similar_queries() == []

        use(scenario)


class TestPatterns:
    def test_that_are_similar_are_found_of_each_type(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            await store.add_pattern({"name": "fix the bug first", "pattern_type": "workflow"})
            await store.add_pattern({"name": "fix the bug later", "pattern_type": "habit"})
            await add(store, "fix the bug", ai_interpretation="the bug is to be fixed",
                      user_feedback="not the bug, the typo", feedback_type="correction")  # fmt: skip

            async def types(pattern_type: str) -> set[str]:
                found = await store.search_similar_patterns("fix the bug", pattern_type, k=10)
                return {one[2]["type"] for one in found}

            assert await types("all") == {"pattern", "user_query", "ai_interpretation", "user_feedback"}
            for one in ("pattern", "user_query", "ai_interpretation", "user_feedback"):
                assert await types(one) == {one}
            with pytest.raises(wilk.Invalid, match="k -1"):
                await store.search_similar_patterns("fix the bug", "user_feedback", k=-1)
            habits = await store.search_similar_patterns("fix the bug", "habit")
            assert [one[2]["text"] for one in habits] == ["fix the bug later"]
            assert len(await store.search_similar_patterns("fix the bug", k=2)) == 2

        use(scenario)

    def test_of_corrections_tell_what_was_asked_and_what_was_meant(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            await add(store, "well done", feedback_type="approval", user_feedback="good")
            (id,) = await add(store, "fix it", ai_interpretation="all of it", feedback_type="correction",
                              user_feedback="only the typo")  # fmt: skip
            (found,) = await store.find_correction_patterns()
            assert found["interaction_id"] == id
            assert (found["original_query"], found["correction"]) == ("fix it", "only the typo")
            assert found["ai_interpretation"] == "all of it"

        use(scenario)

    def test_of_successes_are_found_by_their_actions(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            await add(store, "one", success=True, actions_taken=[{"action_type": "read"}])
            await add(store, "two", success=True, actions_taken=[{"action_type": "edit"}], confidence=0.8)
            await add(store, "three", success=False, actions_taken=[{"action_type": "edit"}])
            every = await store.find_successful_patterns()
            assert [one["query"] for one in every] == ["two", "one"]
            (edited,) = await store.find_successful_patterns(["edit", "run"])
            assert (edited["query"], edited["actions"], edited["confidence"]) == ("two", ["edit"], 0.8)
            assert len(await store.find_successful_patterns(limit=1)) == 1

        use(scenario)

    def test_of_actions_are_counted_with_how_often_they_went_well(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            both = [{"action_type": "read"}, {"action_type": "edit"}]
            await add(store, "a", "b", success=True, actions_taken=both)
            await add(store, "c", success=False, actions_taken=both)
            await add(store, "d", success=True, actions_taken=both[:1])
            await add(store, "e")
            assert await store.find_action_sequences() == [
                {"actions": ["read", "edit"], "count": 3, "success_count": 2, "success_rate": 2 / 3}
            ]
            assert len(await store.find_action_sequences(min_occurrences=1)) == 2

        use(scenario)

    def test_of_feedback_are_counted_by_type(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            await add(store, "a", "b", feedback_type="correction")
            await add(store, "c", feedback_type="approval")
            await add(store, "d")
            assert await store.get_feedback_statistics() == {
                "total_feedback": 3,
                "by_type": {"approval": 1, "correction": 2},
            }

        use(scenario)


class TestHybridStore:
    def test_is_the_modules_store_too(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            (id,) = await add(store, "fix it", tags=["bug"])
            found = await store.get_interaction_by_id(id)
            assert found is not None
            assert found["tags"] == ["bug"]
            assert await store.get_interaction_by_id("x") is None

        use(scenario)

    def test_tells_how_many_vectors_there_are(self, use: Use, request: pytest.FixtureRequest) -> None:
        async def scenario(store: HybridStore) -> dict[str, Any]:
            await add(store, "a", "b")
            await store.add_pattern({"name": "c"})
            await store.migrate_existing_interactions()
            return await store.get_statistics()

        found = use(scenario)
        if "[vectors]" in request.node.name:
            assert found["total_embeddings"] == 3
            assert found["embedding_types"] == {"user_query": 2, "pattern": 1}
            assert found["embedding_dimension"] == 64
        else:
            assert (found["total_embeddings"], found["embedding_types"]) == (0, {})

    def test_opens_a_file_of_its_own(self, run: Run, tmp_path: Path) -> None:
        async def scenario() -> None:
            async with HybridStore(tmp_path / "own.db") as store:
                await store.add_interaction(user_query="fix it")
                assert len(await store.search_similar_queries("fix it")) == 1

        run(scenario())

    def test_works_inside_a_transaction(self, use: Use) -> None:
        async def scenario(store: HybridStore) -> None:
            async with store.transaction():
                await store.add_interaction(user_query="fix it")
                found = await store.search_similar_queries("fix it")
            assert [one[2]["text"] for one in found] == ["fix it"]

        use(scenario)


class TestVectorStore:
    @pytest.fixture
    def vectors(
        self, run: Run, tmp_path: Path, _new_database: Path
    ) -> Callable[[Callable[[VectorStore], Any]], Any]:
        shutil.copy(_new_database, tmp_path / "vectors.db")

        def used(scenario: Callable[[VectorStore], Any]) -> Any:
            async def opened() -> Any:
                async with VectorStore(tmp_path / "vectors.db") as store:
                    return await scenario(store)

            return run(opened())

        return used

    def test_finds_what_is_similar_above_the_threshold(self, vectors: Any) -> None:
        async def scenario(store: VectorStore) -> None:
            await store.add_embedding("a", [1.0, 0.0], {"text": "east"})
            await store.batch_add_embeddings([("b", [0.0, 1.0], {"text": "north"}), ("c", [1.0, 1.0], None)])
            found = await store.search_similar([1.0, 0.1], k=5, threshold=0.5)
            assert [one[0] for one in found] == ["a", "c"]
            assert found[0][2] == {"text": "east", "id": "a"}

        vectors(scenario)

    def test_gives_back_and_forgets(self, vectors: Any) -> None:
        async def scenario(store: VectorStore) -> None:
            await store.add_embedding("a", [1.0, 2.0], {"n": 1})
            found = await store.get_embedding("a")
            assert found is not None
            assert found[0].tolist() == [1.0, 2.0]
            assert found[1]["n"] == 1
            await store.delete_embedding("a")
            await store.delete_embedding("a")
            assert await store.get_embedding("a") is None
            assert await store.search_similar([1.0, 2.0]) == []

        vectors(scenario)

    def test_clears_into_the_archive_and_takes_another_dimension_then(self, vectors: Any) -> None:
        async def scenario(store: VectorStore) -> None:
            await store.clear()
            await store.add_embedding("a", [1.0, 2.0])
            assert (await store.statistics())["count"] == 1
            await store.clear()
            assert (await store.statistics())["count"] == 0
            assert len(await store.store.archive.list(kind="vector")) == 1
            await store.add_embedding("a", [1.0, 2.0, 3.0])
            assert (await store.statistics())["dimension"] == 3

        vectors(scenario)

    def test_is_empty_at_first(self, vectors: Any) -> None:
        async def scenario(store: VectorStore) -> None:
            assert await store.search_similar([1.0]) == []
            assert await store.get_embedding("a") is None
            assert (await store.statistics())["count"] == 0

        vectors(scenario)
