"""ChatbotUI's export comes over: conversations, folders, prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.core.imports.chat_exports import chatbotui_export, written

import wilk


def _imported(store: wilk.Store, tmp_path: Path, export: Any) -> Any:
    return store.imports.run("chatbotui", written(tmp_path / "chatbotui_history.json", export))


@pytest.mark.backends
def test_conversations_come_over_in_their_order(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatbotui_export())
    assert [(one.role, one.text) for one in store.messages.page("h-1")] == [
        ("user", "Green or black?"), ("assistant", "Green."),
    ]  # fmt: skip
    session = store.sessions.get("h-1")
    assert (session.name, session.model) == ("Tea", "gpt-4")
    kept = session.metadata["chatbotui"]
    assert (kept["prompt"], kept["temperature"], kept["folder"]["name"]) == ("You are a host.", 0.5, "Drinks")


def test_prompts_come_over_with_their_variables(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatbotui_export())
    [prompt] = store.prompts.list()
    assert (prompt.name, prompt.description, prompt.user_template) == ("Brew", "How to brew", "Brew {tea}.")
    assert store.prompts.render(prompt.id, tea="Assam") == "Brew Assam."


def test_braces_that_are_text_there_are_text_here(store: wilk.Store, tmp_path: Path) -> None:
    export = chatbotui_export()
    export["prompts"][0]["content"] = 'Say {"a": {b}} to {{my friend}}.'
    _imported(store, tmp_path, export)
    [prompt] = store.prompts.list()
    assert prompt.user_template == 'Say {"a": {{b}}} to {my_friend}.'


def test_prompts_without_a_text_are_left_out_and_told(store: wilk.Store, tmp_path: Path) -> None:
    export = chatbotui_export()
    export["prompts"][0]["content"] = ""
    assert _imported(store, tmp_path, export).skipped == {"prompts without a text": 1}


def test_folders_without_anything_are_kept(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatbotui_export())
    [document] = store.documents.list(kind="chatbotui")
    assert [one["name"] for one in document.data["folders"]] == ["Empty"]


def test_a_changed_conversation_gets_what_is_new(store: wilk.Store, tmp_path: Path) -> None:
    export = chatbotui_export()
    _imported(store, tmp_path, export)
    export["history"][0]["messages"].append({"role": "user", "content": "With milk"})
    told = _imported(store, tmp_path, export)
    assert {one.kind: (one.created, one.updated) for one in told.kinds}["sessions"] == (0, 1)
    assert store.messages.count("h-1") == 3


def test_broken_elements_are_told_and_the_others_come_over(store: wilk.Store, tmp_path: Path) -> None:
    export = chatbotui_export()
    export["history"].insert(0, "text")
    export["history"][1]["messages"].append(5)
    told = _imported(store, tmp_path, export)
    assert [one.id for one in told.errors] == [
        "chatbotui_history.json:history[0]", "chatbotui_history.json:history[1].messages[2]",
    ]  # fmt: skip
    assert store.messages.count("h-1") == 2


def test_an_export_of_version_3_without_prompts_comes_over(store: wilk.Store, tmp_path: Path) -> None:
    export = chatbotui_export()
    del export["prompts"]
    export["version"] = 3
    assert _imported(store, tmp_path, export).failed == 0
    assert store.messages.count("h-1") == 2
