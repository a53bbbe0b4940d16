"""Open WebUI's exported chats come over as trees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.core.imports.chat_exports import webui_chat, written

import wilk


def _imported(store: wilk.Store, tmp_path: Path, *chats: Any) -> Any:
    return store.imports.run("open-webui", written(tmp_path / "chat-export-1.json", [*chats]))


@pytest.mark.backends
def test_the_current_message_tells_the_visible_branch(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, webui_chat())
    assert [one.text for one in store.messages.page("w-1")] == ["Name a bird.", "Wren."]
    assert [(one.leaf_id, one.text) for one in store.branches.list("w-1")] == [("w-1-3", "Robin.")]


def test_a_session_has_what_the_chat_tells(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, webui_chat(archived=True))
    session = store.sessions.get("w-1")
    assert (session.name, session.model, session.status, session.user_id) == (
        "Birds", "llama3", "archived", "owner-1",
    )  # fmt: skip
    kept = session.metadata["open_webui"]
    assert (kept["pinned"], kept["folder_id"], kept["meta"]) == (True, "f-1", {"tags": ["animals"]})
    assert kept["chat"]["params"] == {"temperature": 0.1}


def test_models_usage_sources_and_files_are_with_their_message(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, webui_chat())
    answer, other = store.messages.get("w-1-2"), store.branches.get("w-1-3")
    assert (answer.model, answer.tokens) == ("llama3", 3)
    assert answer.metadata["open_webui"]["usage"] == {"completion_tokens": 3}
    assert other.metadata["open_webui"]["sources"] == [{"source": {"name": "birds.txt"}}]
    assert (other.parts or [])[-1] == {
        "type": "attachment",
        "attachment": {"type": "image", "url": "data:,x"},
    }


def test_times_in_seconds_and_milliseconds_are_understood(store: wilk.Store, tmp_path: Path) -> None:
    chat = webui_chat(created_at=None)
    _imported(store, tmp_path, chat)
    assert store.sessions.get("w-1").created_at.timestamp() == 1_720_000_000


def test_calls_among_the_output_become_messages(store: wilk.Store, tmp_path: Path) -> None:
    chat = webui_chat()
    chat["chat"]["history"]["messages"]["w-1-2"]["output"] = [
        {"type": "function_call", "call_id": "c1", "name": "birds", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "wren"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "Wren."}]},
    ]
    _imported(store, tmp_path, chat)
    assert [(one.role, one.text) for one in store.messages.page("w-1")] == [
        ("user", "Name a bird."), ("assistant", ""), ("tool", "wren"), ("assistant", "Wren."),
    ]  # fmt: skip
    assert [one.status for one in store.tool_calls.list("w-1")] == ["ok"]


def test_a_list_of_messages_alone_is_a_conversation_in_a_row(store: wilk.Store, tmp_path: Path) -> None:
    chat = webui_chat()
    del chat["chat"]["history"]
    _imported(store, tmp_path, chat)
    assert [one.text for one in store.messages.page("w-1")] == ["Name a bird.", "Wren."]


def test_broken_chats_are_told_and_the_others_come_over(store: wilk.Store, tmp_path: Path) -> None:
    odd = webui_chat("w-2")
    odd["chat"]["history"]["messages"]["bad"] = "text"
    told = _imported(store, tmp_path, webui_chat(), {"id": "x"}, odd)
    assert [(one.kind, one.id) for one in told.errors] == [
        ("sessions", "chat-export-1.json[1]"), ("messages", "w-2/bad"),
    ]  # fmt: skip
    assert store.sessions.find("w-2") is not None


def test_a_changed_chat_alone_is_written_again(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, webui_chat("w-1"), webui_chat("w-2"))
    changed = webui_chat("w-2")
    changed["chat"]["history"]["messages"]["w-2-2"]["content"] = "Wren, of course."
    told = _imported(store, tmp_path, webui_chat("w-1"), changed)
    assert [(one.updated, one.unchanged) for one in told.kinds if one.kind == "sessions"] == [(1, 1)]
    assert store.messages.get("w-2-2").text == "Wren, of course."


def test_circles_and_missing_parents_begin_trees_of_their_own(store: wilk.Store, tmp_path: Path) -> None:
    chat = webui_chat()
    said = chat["chat"]["history"]["messages"]
    said["w-1-3"]["parentId"] = "nowhere"
    said["w-1-1"]["childrenIds"] = ["w-1-2"]
    said["loop"] = {"id": "loop", "parentId": "loop", "childrenIds": ["loop"], "role": "user", "content": "o"}
    told = _imported(store, tmp_path, chat)
    assert len(told.warnings) == 3  # and the user, of whom there is the id alone
    assert {one.leaf_id for one in store.branches.list("w-1")} == {"loop", "w-1-3"}


def test_odd_characters_come_back_as_they_were(store: wilk.Store, tmp_path: Path) -> None:
    chat = webui_chat(title="a\0b")
    chat["chat"]["history"]["messages"]["w-1-1"]["content"] = "a\0b \ud83d"
    _imported(store, tmp_path, chat)
    assert store.messages.get("w-1-1").text == "a\0b \ud83d"
