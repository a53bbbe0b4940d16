"""Letta's agent files come over: agents, their memory, their messages, and what belongs to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.core.imports.chat_exports import letta_file, letta_v1, written

import wilk


def _imported(store: wilk.Store, tmp_path: Path, value: Any, name: str = "gardener.af") -> Any:
    return store.imports.run("letta", written(tmp_path / name, value))


@pytest.mark.backends
def test_an_agent_becomes_a_definition(store: wilk.Store, tmp_path: Path) -> None:
    told = _imported(store, tmp_path, letta_file())
    assert told.failed == 0
    [agent] = store.agents.list()
    assert (agent.name, agent.provider, agent.model, agent.description) == (
        "Gardener", "openai", "gpt-4.1", "Knows plants",
    )  # fmt: skip
    definition = agent.definition
    assert definition["prompts"]["system"] == "You are a gardener."
    assert definition["tools"] == ["send_message"]
    assert definition["model"]["parameters"] == {"temperature": 0.7, "max_tokens": 4096}
    assert definition["metadata"]["tags"] == ["green"]
    assert definition["metadata"]["letta"]["agent_type"] == "memgpt_v2_agent"


def test_blocks_are_the_memory_of_their_agent(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, letta_file())
    [agent] = store.agents.list()
    [block] = store.blocks.list(agent=agent.id)
    assert (block.label, block.value, block.description, block.max_tokens) == (
        "human", "Ada grows beans.", "who", 5000,
    )  # fmt: skip


def test_messages_are_a_session_of_the_agent_with_calls_in_pairs(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, letta_file())
    [session] = store.sessions.list()
    assert session.active_agents == [store.agents.list()[0].id]
    assert [(one.role, one.text) for one in store.messages.page(session.id)] == [
        ("system", "You are a gardener."), ("assistant", "I greet."), ("tool", '{"status": "OK"}'),
    ]  # fmt: skip
    [call] = store.tool_calls.list(session.id)
    assert (call.name, call.arguments, call.status) == ("send_message", {"message": "Hi"}, "ok")
    texts = [item.text for item in store.contexts.build(session.id).items]
    assert "I greet." in texts


def test_what_was_in_the_context_is_told(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, letta_file())
    [session] = store.sessions.list()
    within = [one.metadata["letta"]["in_context"] for one in store.messages.page(session.id)]
    assert within == [False, True, True]


def test_everything_else_is_kept_as_documents(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, letta_file())
    kept = {one.kind: one.data for one in store.documents.list()}
    assert kept.keys() == {
        "letta-file", "letta-block", "letta-group", "letta-mcp_server", "letta-source", "letta-tool",
    }  # fmt: skip
    assert kept["letta-tool"]["source_code"] == "def send_message(): ..."
    assert kept["letta-block"]["label"] == "loose"


def test_a_file_of_v1_comes_over(store: wilk.Store, tmp_path: Path) -> None:
    told = _imported(store, tmp_path, letta_v1(), "old.af")
    assert told.failed == 0
    [agent] = store.agents.list()
    assert (agent.name, agent.definition["tools"], agent.definition["metadata"]["tags"]) == (
        "Old", ["recall"], ["past"],
    )  # fmt: skip
    assert store.blocks.list(agent=agent.id)[0].value == "I am old."
    [session] = store.sessions.list()
    assert [one.text for one in store.messages.page(session.id)] == ["Hello", "Good day"]
    assert [one.metadata["letta"]["in_context"] for one in store.messages.page(session.id)] == [False, True]


def test_agents_of_different_files_stay_apart(store: wilk.Store, tmp_path: Path) -> None:
    other = letta_file()
    other["agents"][0]["name"] = "Cook"
    _imported(store, tmp_path, letta_file())
    told = _imported(store, tmp_path, other, "cook.af")
    assert (told.updated, {one.name for one in store.agents.list()}) == (0, {"Gardener", "Cook"})


def test_a_changed_file_is_a_revision_and_changes_nothing_else(store: wilk.Store, tmp_path: Path) -> None:
    value = letta_file()
    _imported(store, tmp_path, value)
    value["agents"][0]["system"] = "You are a gardener who listens."
    value["blocks"][0]["value"] = "Ada grows peas."
    told = _imported(store, tmp_path, value)
    assert {one.kind: one.updated for one in told.kinds if one.updated} == {"agents": 1, "block": 1}
    [agent] = store.agents.list()
    assert len(store.agents.history(agent.id)) == 2
    assert store.blocks.list(agent=agent.id)[0].value == "Ada grows peas."


def test_broken_elements_are_told_and_the_others_come_over(store: wilk.Store, tmp_path: Path) -> None:
    value = letta_file()
    value["agents"].append("text")
    value["agents"][0]["block_ids"].append("block-7")
    value["agents"][0]["messages"].append(4)
    value["tools"].append(None)
    told = _imported(store, tmp_path, value)
    assert sorted(one.kind for one in told.errors) == ["agents", "block", "document", "messages"]
    assert len(store.agents.list()) == 1


def test_blocks_of_one_label_get_numbers(store: wilk.Store, tmp_path: Path) -> None:
    value = letta_file()
    value["blocks"].append({"id": "block-1", "label": "human", "value": "second", "limit": 10})
    value["agents"][0]["block_ids"].append("block-1")
    told = _imported(store, tmp_path, value)
    assert told.failed == 0
    [agent] = store.agents.list()
    assert {one.label for one in store.blocks.list(agent=agent.id)} == {"human", "human-1"}
