"""The storage module's interface: its snippets run, its dictionaries come back, nothing is lost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk
from wilk.adapters.learning import LearningStore
from wilk.adapters.learning import LearningStore as SQLiteStore

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Use = Callable[[Callable[[LearningStore], Coroutine[Any, Any, Any]]], Any]

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9).filter(str.strip)
JSON = st.none() | st.booleans() | st.integers() | WORDS | st.lists(WORDS, max_size=2)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=3)
FULL = {
    "interaction_id": "11111111-1111-4111-8111-111111111111",
    "session_id": "s",
    "timestamp": "2026-01-31T12:00:00+00:00",
    "user_query": "Fix the bug in auth.py",
    "query_context": {"file": "auth.py"},
    "ai_interpretation": "a bug is to be fixed",
    "planned_actions": ["read_file", "edit_file"],
    "confidence": 0.9,
    "active_role": "fixer",
    "actions_taken": [
        {"action_type": "read_file", "target": "auth.py", "details": {"lines": 20}, "status": "completed",
         "result": {"ok": True}, "error": None, "timestamp": "2026-01-31T12:00:01+00:00", "duration": 3},
        {"action_type": "edit_file", "target": "auth.py", "details": {}, "status": "failed", "result": None,
         "error": "no such line", "timestamp": "2026-01-31T12:00:02+00:00"},
    ],
    "execution_time": 1.5,
    "tokens_used": 120,
    "user_feedback": "good",
    "feedback_type": "approval",
    "success": True,
    "tags": ["bug"],
    "metadata": {"branch": "main"},
}  # fmt: skip
WORLD = {
    "id": "w",
    "session_id": "s",
    "domain": "coding",
    "domain_confidence": 0.8,
    "created_at": "2026-01-31T12:00:00+00:00",
    "interaction_count": 3,
    "entities": [
        {"id": "a", "type": "file", "properties": {"n": 1}, "confidence": 0.5,
         "first_seen": "2026-01-31T12:00:00+00:00", "last_modified": "2026-01-31T13:00:00+00:00"}
    ],
    "relations": [
        {"source_id": "a", "target_id": "b", "type": "uses", "properties": {}, "confidence": 0.7, "observed_count": 2}
    ],
    "goals": [{"goal": "ship", "confidence": 0.5}],
    "metrics": {"files": 1},
    "discovered_entity_types": {"file"},
    "discovered_relation_types": {"uses"},
    "constraints": {"budget": 3},
    "is_active": True,
    "merged_from": [],
    "metadata": {},
}  # fmt: skip


@pytest.fixture
def use(tmp_path: Path, run: Run) -> Use:
    """Runs something with an open store over a new file."""

    def use_it(work: Callable[[LearningStore], Coroutine[Any, Any, Any]]) -> Any:
        async def scenario() -> Any:
            async with LearningStore(tmp_path / f"{uuid.uuid4()}.db") as store:
                return await work(store)

        return run(scenario())

    return use_it


class TestTheSeedsSnippets:
    """The blocks of the storage module's instructions, with its "..." filled in."""

    def test_basic_storage(self, tmp_path: Path, run: Run) -> None:
        db_path = tmp_path / "x.db"
        interaction_data = {"user_query": "hi", "session_id": "s"}
        pattern_data = {"name": "p", "pattern_type": "workflow", "sequence": ["read", "edit"]}

        async def snippet() -> tuple[Any, Any]:
            store = SQLiteStore(db_path)
            await store.initialize()

            # Add data
            await store.add_interaction(interaction_data)
            await store.add_pattern(pattern_data)

            # Query data
            interactions = await store.get_recent_interactions(limit=10)
            patterns = await store.get_patterns_by_type("workflow")
            await store.close()
            return interactions, patterns

        interactions, patterns = run(snippet())
        assert [one["user_query"] for one in interactions] == ["hi"]
        assert [(one["name"], one["sequence"]) for one in patterns] == [("p", ["read", "edit"])]

    def test_archive_operations(self, use: Use) -> None:
        async def snippet(store: LearningStore) -> Any:
            await store.add_interaction({"interaction_id": "uuid-here", "user_query": "old"})
            await store.add_interaction(
                {"user_query": "new", "timestamp": datetime.now(UTC) + timedelta(days=1)}
            )
            cutoff = datetime.now() + timedelta(hours=1)

            # Archive old interactions
            await store.archive_old_interactions(
                before_date=cutoff,
                reason="consolidated_to_working"
            )  # fmt: skip

            # Query archives
            archived = await store.get_archived_interactions(
                interaction_id="uuid-here"
            )  # fmt: skip
            return archived, await store.get_recent_interactions()

        archived, left = use(snippet)
        assert [(one["archive_reason"], one["original_data"]["user_query"]) for one in archived] == [
            ("consolidated_to_working", "old")
        ]
        assert [one["user_query"] for one in left] == ["new"]

    def test_world_model_persistence(self, use: Use) -> None:
        async def snippet(store: LearningStore) -> Any:
            # Save world state
            id = await store.add_world_model_state({
                "domain": "coding",
                "entities": [{"id": "a", "type": "file"}],
                "relations": [{"source_id": "a", "target_id": "a", "type": "imports"}],
                "confidence": 0.8
            })  # fmt: skip
            await store.add_world_model_snapshot(id, {"any": 1}, "test")

            # Get snapshots
            snapshots = await store.get_world_model_snapshots(limit=5)
            return snapshots, await store.get_world_model_state(id)

        snapshots, state = use(snippet)
        assert [(one["snapshot_data"], one["trigger_event"]) for one in snapshots] == [({"any": 1}, "test")]
        assert (state["domain"], state["domain_confidence"]) == ("coding", 0.8)

    def test_vacuuming_keeps_every_row(self, use: Use) -> None:
        async def work(store: LearningStore) -> list[dict[str, Any]]:
            await store.add_pattern({"name": "kept", "pattern_type": "habit", "sequence": ["a", "b"]})
            await store.vacuum_database()
            return await store.get_patterns()

        assert [one["name"] for one in use(work)] == ["kept"]

    def test_transaction_boundaries(self, use: Use) -> None:
        async def snippet(store: LearningStore) -> Any:
            id = await store.add_pattern({"name": "p", "pattern_type": "workflow"})
            async with store.transaction():
                await store.add_interaction({"user_query": "kept"})
                await store.update_pattern(id, {"frequency": 2})
                # Commits on success, rolls back on error
            with pytest.raises(ZeroDivisionError):
                async with store.transaction():
                    await store.add_interaction({"user_query": "lost"})
                    await store.update_pattern(id, frequency=3)
                    raise ZeroDivisionError
            return await store.get_recent_interactions(), await store.get_patterns()

        interactions, patterns = use(snippet)
        assert [one["user_query"] for one in interactions] == ["kept"]
        assert [one["frequency"] for one in patterns] == [2]


class TestInteractions:
    def test_come_back_with_every_key(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            id = await store.add_complete_interaction(FULL)
            return await store.get_complete_interactions(interaction_id=id)

        (found,) = use(work)
        assert {name: found[name] for name in FULL} == FULL

    @given(st.dictionaries(WORDS, JSON, max_size=4), OBJECTS)
    @settings(max_examples=15)
    def test_keep_keys_that_nobody_knows(
        self, use: Use, unknown: dict[str, Any], metadata: dict[str, Any]
    ) -> None:
        given = {**unknown, "user_query": "hi", "metadata": metadata}

        async def work(store: LearningStore) -> Any:
            await store.add_interaction(given)
            return await store.get_recent_interactions()

        (found,) = use(work)
        assert {name: found[name] for name in given} == given

    def test_can_be_given_as_keywords(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            await store.add_complete_interaction(interaction_id="i", session_id="s", user_query="hi")
            return await store.get_complete_interactions(session_id="s")

        assert [one["interaction_id"] for one in use(work)] == ["i"]

    def test_that_are_added_again_are_changed_and_grow(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            await store.add_interaction({**FULL, "actions_taken": FULL["actions_taken"][:1], "success": None})  # type: ignore[index]
            await store.add_interaction(FULL)
            return await store.get_complete_interactions()

        (found,) = use(work)
        assert {name: found[name] for name in FULL} == FULL

    def test_without_a_query_are_refused(self, use: Use) -> None:
        async def work(store: LearningStore) -> None:
            with pytest.raises(wilk.Invalid, match="^user_query is missing"):
                await store.add_interaction({"query": "hi"})

        use(work)

    def test_are_found_by_words(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            await store.add_interaction(FULL)
            await store.add_interaction({"user_query": "100% other"})
            return [len(await store.search_interactions_by_query(text)) for text in ("auth", "%", "zebra")]

        assert use(work) == [1, 1, 0]

    def test_with_a_local_time_keep_the_moment(self, use: Use) -> None:
        local = datetime(2026, 6, 1, 12)

        async def work(store: LearningStore) -> Any:
            await store.add_interaction({"user_query": "a", "timestamp": local.isoformat()})
            return await store.get_recent_interactions()

        (found,) = use(work)
        assert datetime.fromisoformat(found["timestamp"]) == local.astimezone()


class TestArchive:
    def test_gives_back_what_was_archived(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            await store.add_interaction(FULL)
            gone = await store.archive_interactions(
                [FULL["interaction_id"], "x"], "consolidated_to_working", "m"
            )  # type: ignore[list-item]
            assert gone == 1
            assert await store.get_recent_interactions() == []
            return await store.get_archived_interaction(str(FULL["interaction_id"]))

        found = use(work)
        assert (found["archive_reason"], found["consolidated_to"]) == ("consolidated_to_working", "m")
        assert (found["original_id"], found["interaction_id"]) == (FULL["interaction_id"],) * 2
        assert {name: found["original_data"][name] for name in FULL} == FULL

    def test_keeps_the_actions_of_each_apart(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            for id in "ab":
                actions = [{"action_type": f"{id}{number}"} for number in range(2)]
                await store.add_interaction(
                    {"interaction_id": id, "user_query": id, "actions_taken": actions}
                )
            await store.archive_interactions(["a", "b"], "consolidated_to_working", "m")
            return await store.get_archived_interactions()

        assert [
            [act["action_type"] for act in one["original_data"]["actions_taken"]] for one in use(work)
        ] == [
            ["b0", "b1"],
            ["a0", "a1"],
        ]

    def test_has_nothing_of_what_is_live(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            await store.add_interaction({"interaction_id": "i", "user_query": "hi"})
            return await store.get_archived_interaction("i")

        assert use(work) is None

    def test_is_counted_by_reason_and_type(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            ids = [await store.add_interaction({"user_query": "q"}) for _ in range(3)]
            await store.archive_interactions(ids[:2], "consolidated_to_working")
            await store.archive_interactions(ids[2:], "old")
            pattern = await store.add_pattern({"name": "p", "pattern_type": "workflow"})
            assert await store.archive_patterns([pattern], "promoted_to_semantic", "m") == 1
            return await store.get_archive_statistics()

        assert use(work) == {
            "total_archived_interactions": 3,
            "total_archived_patterns": 1,
            "interactions_by_reason": {"consolidated_to_working": 2, "old": 1},
            "patterns_by_type_and_reason": {"workflow_promoted_to_semantic": 1},
        }

    def test_takes_all_that_is_cleared(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            await store.add_interaction(FULL)
            await store.add_pattern({"name": "p", "pattern_type": "workflow"})
            await store.add_feedback({"type": "correct", "message": "m"})
            await store.add_preference({"key": "k", "value": 1})
            await store.add_preference({"key": "k", "value": 2, "user_id": "u"})
            await store.add_world_model_snapshot(await store.add_world_model_state(WORLD))
            await store.clear_all()
            assert await store.get_patterns() == await store.get_feedback() == []
            assert await store.get_preferences() == await store.get_preferences("u") == []
            assert await store.get_active_world_models() == await store.get_world_model_snapshots() == []
            return await store.store.archive.list()

        entries = use(work)
        assert {entry.reason for entry in entries} == {"cleared"}
        assert sorted(entry.kind for entry in entries) == [
            "action", "action", "feedback", "interaction", "pattern", "preference", "preference", "world_model",
            "world_model_snapshot",
        ]  # fmt: skip

    @pytest.mark.parametrize("what", ["patterns", "feedback", "preferences"])
    def test_takes_one_kind_that_is_cleared(self, use: Use, what: str) -> None:
        async def work(store: LearningStore) -> Any:
            await store.add_pattern({"name": "p", "pattern_type": "workflow"})
            await store.add_feedback({"type": "correct", "message": "m"})
            await store.add_preference({"key": "k", "value": 1})
            await getattr(store, f"clear_{what}")()
            return {
                "patterns": await store.get_patterns(),
                "feedback": await store.get_feedback(),
                "preferences": await store.get_preferences(),
            }

        left = use(work)
        assert left.pop(what) == []
        assert all(left.values())


class TestPatterns:
    def test_come_back_with_every_key(self, use: Use) -> None:
        given = {
            "id": "p", "name": "Workflow: ship", "description": "d", "pattern_type": "consolidated_working",
            "sequence": {"actions": ["a"], "insights": []}, "frequency": 4, "confidence": 0.8,
            "created_at": "2026-01-31T12:00:00+00:00", "metadata": {"llm_extracted": True}, "other": 1,
        }  # fmt: skip

        async def work(store: LearningStore) -> Any:
            await store.add_pattern(given)
            return await store.get_patterns("consolidated_working")

        (found,) = use(work)
        assert {name: found[name] for name in given} == given
        assert found["last_seen"]

    def test_that_are_added_again_are_replaced(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            for frequency in (1, 2):
                await store.add_pattern({"id": "p", "name": "n", "pattern_type": "t", "frequency": frequency})
            return await store.get_patterns()

        assert [one["frequency"] for one in use(work)] == [2]

    def test_are_changed_field_by_field(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            id = await store.add_pattern({"name": "n", "pattern_type": "t", "metadata": {"a": 1}, "other": 1})
            await store.update_pattern_confidence(id, 0.9)
            await store.update_pattern(id, {"more": 2})
            await store.update_pattern(id, metadata={"b": 2})
            return await store.get_patterns()

        (found,) = use(work)
        assert (found["confidence"], found["metadata"], found["other"], found["more"]) == (
            0.9,
            {"b": 2},
            1,
            2,
        )

    def test_that_are_not_sure_at_all_are_refused(self, use: Use) -> None:
        async def work(store: LearningStore) -> None:
            id = await store.add_pattern({"name": "n", "pattern_type": "t"})
            with pytest.raises(wilk.Invalid, match=r"^confidence -1: a number from 0\.0 to 1\.0"):
                await store.update_pattern_confidence(id, -1)
            with pytest.raises(wilk.Invalid, match="name is missing"):
                await store.add_pattern({"pattern_type": "t"})

        use(work)


class TestFeedbackAndPreferences:
    def test_feedback_comes_back_and_can_be_applied(self, use: Use) -> None:
        given = {
            "timestamp": "2026-01-31T12:00:00+00:00", "type": "correct", "message": "use tabs",
            "context": {"file": "a.py"},
        }  # fmt: skip

        async def work(store: LearningStore) -> Any:
            await store.mark_feedback_applied(await store.add_feedback(given))
            return await store.get_feedback()

        (found,) = use(work)
        assert {name: found[name] for name in given} == given
        assert found["applied"] is True

    def test_preferences_come_the_latest_first_with_the_modules_defaults(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            await store.add_preference({"key": "a", "value": {"x": [1]}})
            await store.add_preference(
                {"key": "b", "value": "2", "category": "c", "confidence": 0.9, "source": "s"}
            )
            await store.add_preference({"key": "a", "value": "text"})
            return await store.get_preferences()

        found = use(work)
        assert [(one["key"], one["value"], one["category"], one["confidence"], one["source"]) for one in found] == [
            ("a", "text", "general", 0.5, "unknown"), ("b", "2", "c", 0.9, "s"),
        ]  # fmt: skip

    def test_what_is_missing_is_named(self, use: Use) -> None:
        async def work(store: LearningStore) -> None:
            with pytest.raises(wilk.Invalid, match="^value is missing"):
                await store.add_preference({"key": "a"})
            with pytest.raises(wilk.Invalid, match="message is missing"):
                await store.add_feedback({"type": "a"})

        use(work)


class TestWorldModels:
    def test_come_back_with_every_key(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            assert await store.add_world_model_state(WORLD) == "w"
            return await store.get_world_model_state("w")

        found = use(work)
        assert {name: found[name] for name in WORLD} == WORLD

    def test_take_the_modules_own_objects(self, use: Use) -> None:
        seen = datetime(2026, 1, 31, 12, tzinfo=UTC)
        entity = SimpleNamespace(
            id="a", type="file", properties={}, confidence=0.5, first_seen=seen, last_modified=seen
        )
        relation = SimpleNamespace(
            source_id="a", target_id="b", type="uses", properties={}, confidence=0.7, observed_count=2
        )
        state = {
            "domain": None,
            "entities": {"a": entity},
            "relations": [relation],
            "inferred_goals": ["ship"],
        }

        async def work(store: LearningStore) -> Any:
            return await store.get_world_model_state(await store.add_world_model_state(state))

        found = use(work)
        assert found["entities"] == [
            {**vars(entity), "first_seen": seen.isoformat(), "last_modified": seen.isoformat()}
        ]
        assert (found["relations"], found["goals"], found["domain"]) == (
            [vars(relation)],
            ["ship"],
            "unknown",
        )

    def test_are_listed_while_they_are_active(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            await store.add_world_model_state(WORLD)
            other = await store.add_world_model_state(
                {"domain": "coding", "session_id": "t", "domain_confidence": 0.9}
            )
            before = [one["id"] for one in await store.get_active_world_models()]
            await store.deactivate_world_model("w")
            await store.deactivate_world_model("x")
            assert before == [other, "w"]
            assert [one["id"] for one in await store.get_active_world_models("s")] == []
            return [one["id"] == other for one in await store.get_world_models_by_domain("coding")]

        assert use(work) == [True, False]

    def test_errors_name_the_place(self, use: Use) -> None:
        async def work(store: LearningStore) -> None:
            with pytest.raises(wilk.Invalid, match=r"^entities\.0 5: an object is wanted"):
                await store.add_world_model_state({"domain": "x", "entities": [5]})
            assert await store.get_world_model_state("x") is None

        use(work)


@pytest.mark.parametrize(
    ("method", "given", "says"),
    [
        ("add_interaction", 5, "interaction 5: an object"),
        ("add_interaction", {"user_query": "a", "actions_taken": 5}, "actions_taken 5: a list"),
        ("add_interaction", {"user_query": "a", "actions_taken": ["x"]}, "actions_taken.0 'x': an object"),
        ("add_interaction", {"user_query": "a", "tags": 5}, "tags 5: a list"),
        ("add_interaction", {"user_query": "a", "metadata": 5}, "metadata 5: an object"),
        ("add_pattern", 5, "pattern 5: an object"),
        ("add_feedback", "good", "feedback 'good': an object"),
        ("add_preference", 5, "preference 5: an object"),
        ("add_world_model_state", 5, "world_state 5: an object"),
        ("add_world_model_state", {"entities": 5}, "entities 5: a list"),
        ("add_world_model_state", {"relations": 5}, "relations 5: a list"),
        ("add_world_model_state", {"discovered_entity_types": {1}}, "discovered_entity_types.0 1: a text"),
        ("search_interactions_by_query", 5, "text 5: a text"),
    ],
)
def test_what_is_of_another_type_is_named(use: Use, method: str, given: Any, says: str) -> None:
    async def call(store: LearningStore) -> None:
        with pytest.raises(wilk.Invalid, match=says):
            await getattr(store, method)(given)

    use(call)


def test_what_is_archived_is_listed_with_as_many_statements_however_much_it_is(use: Use) -> None:
    async def counted(store: LearningStore) -> None:
        calls = []
        for count in (2, 20):
            ids = [
                await store.add_interaction(user_query=str(n), actions_taken=[{"action_type": "a"}])
                for n in range(count)
            ]
            await store.archive_interactions(ids, "tidied", consolidated_to=f"m{count}")
            engine, seen = store.store._store._engine, [0]
            execute = engine.execute

            def count_one(*given: Any, execute: Any = execute, seen: list[int] = seen) -> Any:
                seen[0] += 1
                return execute(*given)

            engine.execute = count_one  # type: ignore[method-assign]
            found = await store.get_archived_interactions(limit=count)
            engine.execute = execute  # type: ignore[method-assign]
            assert [len(one["original_data"]["actions_taken"]) for one in found] == [1] * count
            calls.append(seen[0])
        assert calls[0] == calls[1]

    use(counted)


class TestLife:
    def test_a_store_that_is_not_open_says_so(self, tmp_path: Path, run: Run) -> None:
        async def scenario() -> None:
            store = LearningStore(tmp_path / "x.db")
            with pytest.raises(wilk.Closed, match=r"await initialize\(\) first"):
                await store.get_patterns()
            await store.initialize()
            await store.initialize()
            await store.close()
            await store.close()
            with pytest.raises(wilk.Closed):
                await store.get_patterns()

        run(scenario())

    def test_opening_again_drops_nothing(self, tmp_path: Path, run: Run) -> None:
        async def scenario() -> Any:
            for _ in range(2):
                async with LearningStore(tmp_path / "a b?%41.db") as store:
                    await store.add_interaction({"user_query": "hi"})
                    found = await store.get_recent_interactions()
            return found

        assert len(run(scenario())) == 2
        assert (tmp_path / "a b?%41.db").exists()

    def test_it_stands_on_a_store_that_is_open(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as below:
                async with LearningStore(below) as store:
                    id = await store.add_interaction({"user_query": "hi"})
                assert (await below.interactions.get(id)).user_query == "hi"

        run(scenario())

    def test_tasks_do_not_join_each_others_transactions(self, use: Use) -> None:
        async def work(store: LearningStore) -> Any:
            async def fails() -> None:
                async with store.transaction():
                    await store.add_interaction({"user_query": "lost"})
                    await asyncio.sleep(0.01)
                    raise ZeroDivisionError

            async def writes() -> None:
                await store.add_interaction({"user_query": "kept"})

            await asyncio.gather(fails(), writes(), return_exceptions=True)
            return [one["user_query"] for one in await store.get_recent_interactions()]

        assert use(work) == ["kept"]
