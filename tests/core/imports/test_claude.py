"""Claude.ai's data export comes over in each of its packagings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.core.imports.chat_exports import (
    CLAUDE_MEMORIES,
    CLAUDE_USER,
    claude_conversation,
    claude_message,
    claude_project,
    written,
    zipped,
)

import wilk
from wilk.errors import Invalid


def _imported(store: wilk.Store, tmp_path: Path, *conversations: Any) -> Any:
    return store.imports.run("claude", written(tmp_path / "conversations.json", [*conversations]))


def _said(store: wilk.Store, session: str) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in store.messages.page(session)]


@pytest.mark.backends
def test_a_whole_export_in_one_zip_comes_over(store: wilk.Store, tmp_path: Path) -> None:
    files = {"conversations.json": [claude_conversation()], "projects.json": [claude_project()],
             "users.json": [CLAUDE_USER], "memories.json": CLAUDE_MEMORIES}  # fmt: skip
    told = store.imports.run("claude", zipped(tmp_path / "data.zip", files))
    assert told.failed == 0
    assert _said(store, "c-1") == [("user", "How long do beans soak?"), ("assistant", "Eight hours.")]
    assert (store.sessions.get("c-1").name, store.sessions.get("c-1").user_id) == ("Beans", "acc-1")
    [persona] = store.personas.list()
    assert (persona.name, persona.prompt, persona.category) == ("Kitchen", "You are a cook.", "project")
    [document] = store.documents.list(kind="project-file")
    assert (document.title, document.data["content"]) == ("stock.md", "Simmer, never boil.")
    assert {one.content for one in store.memories.list()} == {
        "**Food** Ada cooks beans.", "The kitchen is small.",
    }  # fmt: skip
    assert store.users.get("acc-1").name == "Ada"


def test_several_zips_and_a_file_per_project_are_the_same_export(store: wilk.Store, tmp_path: Path) -> None:
    said = zipped(tmp_path / "conversations.zip", {"conversations.json": [claude_conversation()]})
    one = zipped(tmp_path / "projects-000.zip", {"projects/p-1.json": claude_project()})
    two = zipped(tmp_path / "projects-001.zip", {
        "projects/p-2.json": claude_project("p-2", name="Garden"), "memories.json": CLAUDE_MEMORIES,
        "users.json": [CLAUDE_USER]})  # fmt: skip
    told = store.imports.run("claude", said, one, two)
    counted = {kind.kind: kind.created for kind in told.kinds}
    assert counted == {"users": 1, "personas": 2, "document": 2, "memory": 2, "sessions": 1, "messages": 2}


def test_a_manifest_alone_is_told_with_what_to_download(store: wilk.Store, tmp_path: Path) -> None:
    links = [{"url": "https://example.org/x/conversations.zip?s=1"}, {"filename": "projects-000.zip"}]
    path = written(tmp_path / "manifest-2026.json", {"files": links})
    with pytest.raises(Invalid, match=r"Download conversations\.zip, projects-000\.zip by its links"):
        store.imports.run("claude", path)


def test_content_goes_before_text_that_only_stands_for_it(store: wilk.Store, tmp_path: Path) -> None:
    text = "I look.\n\n```\nThis block is not supported on your current device yet.\n```\n\nFound."
    blocks = [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "find", "input": {"q": "bean"}},
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "one"}]},
        {"type": "text", "text": "Found."},
    ]
    message = {**claude_message("m1", "assistant", text), "content": blocks}
    _imported(store, tmp_path, claude_conversation(messages=[message]))
    assert _said(store, "c-1") == [("assistant", "I look."), ("tool", "one"), ("assistant", "Found.")]
    assert "text" not in store.messages.get("m1").metadata["claude"]


def test_a_text_that_differs_from_the_content_is_kept(store: wilk.Store, tmp_path: Path) -> None:
    message = {**claude_message("m1", "human", "one"), "text": "another"}
    _imported(store, tmp_path, claude_conversation(messages=[message]))
    assert store.messages.get("m1").metadata["claude"]["text"] == "another"


@pytest.mark.parametrize("content", [None, [], "missing"])
def test_without_content_the_text_is_what_was_said(store: wilk.Store, tmp_path: Path, content: Any) -> None:
    message = {**claude_message("m1", "human", "Only text"), "content": content}
    if content == "missing":
        del message["content"]
    _imported(store, tmp_path, claude_conversation(messages=[message]))
    assert _said(store, "c-1") == [("user", "Only text")]


def test_thinking_calls_and_results_are_parts_and_in_the_log(store: wilk.Store, tmp_path: Path) -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "start_timestamp": "2025-03-01T10:00:01Z"},
        {"type": "tool_use", "name": "find", "input": {"q": "bean"}},  # without ids, as older exports are
        {"type": "tool_result", "name": "find", "content": "nothing", "is_error": True},
        {"type": "text", "text": "Gone."},
    ]
    message = {**claude_message("m1", "assistant", "Gone."), "content": blocks}
    _imported(store, tmp_path, claude_conversation(messages=[message]))
    first, result, last = store.messages.page("c-1")
    assert [part["type"] for part in first.parts or ()] == ["thinking", "tool_call"]
    assert (result.parts or [])[0]["tool_call_id"] == (first.parts or [])[1]["id"]
    assert (last.text, last.parent_id, result.parent_id) == ("Gone.", result.id, first.id)
    [call] = store.tool_calls.list("c-1")
    assert (call.name, call.arguments, call.status, call.error) == ("find", {"q": "bean"}, "error", "nothing")


def test_text_that_was_taken_out_of_attachments_is_kept(store: wilk.Store, tmp_path: Path) -> None:
    attached = [{"file_name": "a.txt", "file_size": 5, "file_type": "txt", "extracted_content": "beans"}]
    message = claude_message("m1", "human", "See this", attachments=attached, files=[{"file_name": "b.png"}])
    _imported(store, tmp_path, claude_conversation(messages=[message]))
    parts = store.messages.get("m1").parts or []
    assert parts[-1] == {"type": "attachment", **attached[0]}
    assert parts[0]["text"] == "See this"
    assert store.messages.get("m1").metadata["claude"]["files"] == [{"file_name": "b.png"}]


def test_parents_make_branches_and_the_leaf_tells_the_visible_one(store: wilk.Store, tmp_path: Path) -> None:
    root = "00000000-0000-4000-8000-000000000000"
    messages = [
        claude_message("m3", "assistant", "Two.", parent_message_uuid="m1"),
        claude_message("m1", "human", "How many?", parent_message_uuid=root),
        claude_message("m2", "assistant", "One.", parent_message_uuid="m1"),
    ]
    _imported(store, tmp_path, claude_conversation(messages=messages, current_leaf_message_uuid="m3"))
    assert [text for _, text in _said(store, "c-1")] == ["How many?", "Two."]
    assert [one.text for one in store.branches.list("c-1")] == ["One."]


def test_without_parents_the_order_of_the_list_counts_whatever_the_times(
    store: wilk.Store, tmp_path: Path
) -> None:
    messages = [
        claude_message("m1", "human", "first", created_at="2025-03-01T12:00:00Z"),
        claude_message("m2", "assistant", "second", created_at=None),
        claude_message("m3", "human", "third", created_at="2025-03-01T09:00:00Z"),
    ]
    _imported(store, tmp_path, claude_conversation(messages=messages))
    said = store.messages.page("c-1")
    assert [one.text for one in said] == ["first", "second", "third"]
    assert said[1].created_at == said[0].created_at


def test_projects_without_a_prompt_are_documents(store: wilk.Store, tmp_path: Path) -> None:
    path = written(tmp_path / "projects.json", [claude_project(prompt_template="")])
    told = store.imports.run("claude", path)
    assert told.failed == 0
    [project] = store.documents.list(kind="project")
    assert project.data["description"] == "All about food"


def test_memories_of_several_shapes_come_over(store: wilk.Store, tmp_path: Path) -> None:
    item = [{"conversations_memory": {"content": "Likes rye."}, "project_memories": [
        {"project_uuid": "p-9", "memory": "Oven is hot."}, 3], "account_uuid": "acc-1"}]  # fmt: skip
    told = store.imports.run("claude", written(tmp_path / "memories.json", item))
    assert {one.content for one in store.memories.list()} == {"Likes rye.", "Oven is hot."}
    assert [one.kind for one in told.errors] == ["memory"]


def test_what_is_broken_is_told_and_the_others_come_over(store: wilk.Store, tmp_path: Path) -> None:
    broken = claude_conversation("b", None)
    broken["chat_messages"] = None
    told = _imported(
        store, tmp_path, claude_conversation("a"), broken, "text",
        claude_conversation("d", ["no message", claude_message("d1", "human", "Still here")]),
    )  # fmt: skip
    assert [(one.kind, one.id) for one in told.errors] == [
        ("sessions", "b"), ("sessions", "conversations.json[2]"), ("messages", "d.chat_messages[0]"),
    ]  # fmt: skip
    assert _said(store, "d") == [("user", "Still here")]


def test_a_changed_conversation_gets_what_is_new(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, claude_conversation("a"), claude_conversation("b"))
    longer = claude_conversation("b")
    longer["chat_messages"].append(claude_message("b-m3", "human", "Thanks"))
    told = _imported(store, tmp_path, claude_conversation("a"), longer)
    assert [(one.updated, one.unchanged) for one in told.kinds if one.kind == "sessions"] == [(1, 1)]
    assert [text for _, text in _said(store, "b")][-1] == "Thanks"


@pytest.mark.slow
def test_a_chain_of_5000_messages_comes_over(store: wilk.Store, tmp_path: Path) -> None:
    messages = [
        claude_message(f"m{n}", "human", f"word {n}", parent_message_uuid=f"m{n - 1}" if n else None)
        for n in range(5000)
    ]
    _imported(store, tmp_path, claude_conversation(messages=messages[::-1]))
    assert [store.messages.count("c-1"), store.messages.last("c-1", 1)[0].text] == [5000, "word 4999"]


def test_odd_characters_come_back_as_they_were(store: wilk.Store, tmp_path: Path) -> None:
    odd = "a\0b \udead \U0001f331"
    project = claude_project(name=odd, prompt_template=odd, docs=[{"filename": odd, "content": odd}])
    files = {"conversations.json": [claude_conversation(name=odd, messages=[claude_message("m1", "human", odd)])],
             "projects.json": [project], "memories.json": {"conversations_memory": odd}}  # fmt: skip
    told = store.imports.run("claude", zipped(tmp_path / "x.zip", files))
    assert told.errors == ()
    assert store.messages.get("m1").text == odd
    assert store.documents.list(kind="project-file")[0].data["content"] == odd
