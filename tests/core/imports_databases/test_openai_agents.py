"""Sessions of the OpenAI Agents SDK: items of every kind, tables of every name, branches."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.imports_databases import databases

import wilk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return databases.openai_agents(tmp_path / "agents.db")


def test_items_become_messages_in_the_order_of_their_numbers(store: wilk.Store, path: Path) -> None:
    store.imports.run("openai-agents", path)
    messages = store.messages.last("harbour", 50)
    assert [(message.role, message.text) for message in messages] == [
        ("user", "Where is the ferry?"),
        ("assistant", ""),
        ("assistant", ""),
        ("tool", "08:15"),
        ("assistant", "At 08:15."),
        ("user", "See"),
        ("assistant", ""),
        ("assistant", ""),
        ("system", ""),
        ("unknown", ""),
        ("user", "Last"),
    ]


def test_a_call_and_its_output_are_a_pair_and_in_the_log(store: wilk.Store, path: Path) -> None:
    store.imports.run("openai-agents", path)
    call, output = store.messages.last("harbour", 50)[2:4]
    assert call.parts == [{"type": "tool_call", "id": "c1", "name": "ferry", "arguments": {"day": "Mon"}}]
    assert output.parts == [{"type": "tool_result", "tool_call_id": "c1", "content": "08:15"}]
    (logged,) = store.tool_calls.list("harbour")
    assert (logged.name, logged.arguments, logged.result) == ("ferry", {"day": "Mon"}, "08:15")


def test_items_without_text_are_kept_whole(store: wilk.Store, path: Path) -> None:
    store.imports.run("openai-agents", path)
    messages = store.messages.last("harbour", 50)
    assert messages[1].parts == [databases.ITEMS[1]]
    assert messages[5].parts == databases.ITEMS[5]["content"]
    assert messages[6].parts == [databases.ITEMS[6]]
    assert messages[7].parts == [databases.ITEMS[7]]
    assert messages[8].parts == [databases.ITEMS[8]]


def test_encrypted_items_are_kept_as_they_are_and_told_of(store: wilk.Store, path: Path) -> None:
    result = store.imports.run("openai-agents", path)
    assert (store.messages.last("harbour", 2)[0].parts or [])[0]["item"]["payload"] == "opaque"
    assert any("encrypted" in warning for warning in result.warnings)


def test_an_item_that_is_no_json_is_reported_and_the_next_follows(store: wilk.Store, path: Path) -> None:
    result = store.imports.run("openai-agents", path)
    assert [(one.kind, one.id, one.path) for one in result.errors] == [
        ("messages", "harbour:50", "message_data")
    ]
    assert store.messages.last("harbour", 1)[0].text == "Last"


@pytest.mark.parametrize(
    ("sessions", "messages"), [("mine", "said"), ("s; drop", 'odd "name"'), ("x_sessions", "x_messages")]
)
def test_tables_are_known_by_their_columns(
    sessions: str, messages: str, store: wilk.Store, tmp_path: Path
) -> None:
    quoted = [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in (sessions, messages)]
    path = tmp_path / "named.db"
    at = "2025-06-01 12:00:00"
    databases.database(path, databases.AGENTS.format(s=quoted[0], m=quoted[1]), {})
    databases.change(path, f"INSERT INTO {quoted[0]} VALUES ('one', ?, ?)", at, at)
    databases.change(
        path, f'INSERT INTO {quoted[1]} VALUES (1, \'one\', \'{{"role": "user", "content": "Hi"}}\', ?)', at
    )
    store.imports.run("openai-agents", path)
    assert [message.text for message in store.messages.last("one", 5)] == ["Hi"]


def test_branches_share_what_they_begin_with(store: wilk.Store, tmp_path: Path) -> None:
    path = databases.openai_agents_advanced(tmp_path / "advanced.db")
    store.imports.run("openai-agents", path)
    assert [one.text for one in store.messages.last("harbour", 9)] == ["One", "Two", "Three", "Four"]
    (branch,) = store.branches.list("harbour")
    assert [one.text for one in store.branches.messages("harbour", branch.leaf_id)] == ["One", "Two", "Five"]
    about = store.sessions.get("harbour").metadata["openai-agents"]
    assert about["turn_usage"][0]["total_tokens"] == 30
    assert set(about["branches"]) == {"main", "side"}


def test_a_broken_item_in_the_middle_of_a_branch_does_not_part_it(store: wilk.Store, tmp_path: Path) -> None:
    path = databases.openai_agents_advanced(tmp_path / "advanced.db")
    databases.change(path, "UPDATE agent_messages SET message_data = '[]' WHERE id = 2")
    store.imports.run("openai-agents", path)
    assert [one.text for one in store.messages.last("harbour", 9)] == ["One", "Three", "Four"]


def test_messages_whose_session_is_gone_come_too(store: wilk.Store, path: Path) -> None:
    databases.change(path, "DELETE FROM agent_sessions")
    result = store.imports.run("openai-agents", path)
    assert len(store.messages.last("harbour", 50)) == 11
    assert any("session is gone" in warning for warning in result.warnings)


def test_two_pairs_of_tables_in_one_database_do_not_mix(store: wilk.Store, tmp_path: Path) -> None:
    path = databases.openai_agents(tmp_path / "two.db")
    databases.change(path, "CREATE TABLE b_s (session_id TEXT PRIMARY KEY, created_at, updated_at)")
    databases.change(
        path,
        "CREATE TABLE b_m (id INTEGER PRIMARY KEY, session_id TEXT REFERENCES b_s(session_id), message_data TEXT, created_at)",
    )
    databases.change(path, "INSERT INTO b_s VALUES ('harbour', NULL, NULL)")
    databases.change(
        path, 'INSERT INTO b_m VALUES (1, \'harbour\', \'{"role": "user", "content": "B"}\', NULL)'
    )
    store.imports.run("openai-agents", path)
    assert len(store.messages.last("harbour", 50)) == 11
    assert [one.text for one in store.messages.last("b_m/harbour", 5)] == ["B"]
