"""chaite.db of chatai: conversations, memories, keys, and a graph whose history is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.imports_databases import databases
from tests.core.imports_databases.databases import Kept

import wilk


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, _new_database: Path) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("chatai")
    path = databases.chatai(folder / "chaite.db")
    with databases.kept("chatai", folder, _new_database, path) as found:
        yield found


def believed(store: wilk.Store, subject: str, predicate: str) -> list[tuple[object, bool]]:
    """What was said of something, in the order of when it was first believed; False: not any more."""
    facts = store.facts.history(subject, predicate)
    return [(one.object, one.retracted_at is None) for one in sorted(facts, key=lambda one: one.recorded_at)]


def test_messages_are_in_the_order_of_their_times(kept: Kept) -> None:
    said = [(one.role, one.text) for one in kept.store.messages.last("group_7", 9)]
    assert said == [
        ("user", "When is low tide?"),
        ("assistant", ""),
        ("tool", ""),
        ("assistant", "At 06:10."),
    ]


def test_times_are_milliseconds(kept: Kept) -> None:
    assert kept.store.messages.last("group_7", 9)[1].created_at.timestamp() == databases.MS / 1000 + 1


def test_calls_and_results_are_parts(kept: Kept) -> None:
    call, result = kept.store.messages.last("group_7", 9)[1:3]
    assert call.parts == [{"type": "tool_call", "id": "c1", "name": "tide", "arguments": {"day": "Mon"}}]
    assert result.parts == [{"type": "tool_result", "tool_call_id": "c1", "content": "06:10"}]
    assert [one.name for one in kept.store.tool_calls.list("group_7")] == ["tide"]


def test_metadata_that_is_no_json_is_kept_as_text(kept: Kept) -> None:
    assert kept.store.messages.last("group_7", 9)[2].metadata["chatai"]["unreadable"] == "{broken"
    assert any("messages.metadata" in warning for warning in kept.result.warnings)


def test_a_message_of_no_conversation_is_reported(kept: Kept) -> None:
    assert [(one.kind, one.id) for one in kept.result.errors] == [("messages", "m5")]


def test_importance_of_ten_is_one(kept: Kept) -> None:
    scores = {one.content: one.importance for one in kept.store.memories.list(kind="note")}
    assert scores == {"Ann rows.": 0.8, "No one's.": 1.0}


def test_what_is_known_of_people_is_a_memory_of_its_category(kept: Kept) -> None:
    (one,) = kept.store.memories.list(kind="profile")
    assert (one.content, one.user_id, one.confidence) == ("Ann is a baker.", "ann", 0.9)
    assert one.metadata["chatai"]["sub_type"] == "job"


def test_what_is_inactive_lies_in_the_archive(kept: Kept) -> None:
    (one,) = kept.store.archive.list(kind="memory")
    assert one.reason == "inactive in its source"
    assert not kept.store.memories.list(kind="event")


def test_keys_become_state_and_secrets_do_not(kept: Kept) -> None:
    assert kept.store.state.get("chatai/theme").data == {"dark": True}
    assert kept.store.state.get("chatai/greeting").data == "hello"
    assert kept.result.lost_fields["kv_store: a value whose key names a secret"] == 1
    assert not any(b"canary-key" in path.read_bytes() for path in kept.home.rglob("*") if path.is_file())


def test_facts_have_the_history_of_the_graph(kept: Kept) -> None:
    assert believed(kept.store, "Ann", "town") == [("Hel", False), ("Sopot", True)]
    assert believed(kept.store, "Ann", "age") == [(30, True)]
    (old,) = [one for one in kept.store.facts.history("Ann", "town") if one.retracted_at]
    assert old.retracted_at is not None
    assert old.retracted_at.timestamp() == databases.MS / 1000 + 86_400


def test_relations_are_facts_and_name_entities(kept: Kept) -> None:
    assert believed(kept.store, "Ann", "owns") == [("Gull", True)]
    assert believed(kept.store, "Ann", "knows") == [({"name": "e9", "since": 2020}, True)]
    assert any("entities that are not there" in warning for warning in kept.result.warnings)


def test_embeddings_of_entities_are_vectors(kept: Kept) -> None:
    assert list(kept.store.vectors.get("chatai-entities", "e1").values) == [0.5, 1.0]


def test_tables_without_a_place_are_counted(kept: Kept) -> None:
    assert kept.result.lost_fields["table kg_scope_sharing"] == 1
