"""ChatGPT's data export comes over whole, and goes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.core.imports.chat_exports import (
    CHATGPT_USER,
    chatgpt_contents,
    chatgpt_conversation,
    chatgpt_message,
    chatgpt_node,
    places,
    put,
    written,
    zipped,
)

import wilk


def _texts(store: wilk.Store, session: str) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in store.messages.page(session, limit=10_000)]


def _imported(store: wilk.Store, tmp_path: Path, *conversations: Any) -> Any:
    return store.imports.run("chatgpt", written(tmp_path / "conversations.json", [*conversations]))


@pytest.mark.backends
def test_the_branch_of_the_current_node_is_the_conversation(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation())
    assert _texts(store, "conv-1") == [
        ("system", ""), ("user", "What grows in shade?"), ("assistant", "Mint and chervil."),
        ("assistant", "print(6 * 7)"), ("tool", "42"), ("assistant", "Forty-two pots."),
    ]  # fmt: skip
    [branch] = store.branches.list("conv-1")
    assert (branch.leaf_id, branch.fork_id, branch.text) == ("old", "ask", "Moss.")


def test_another_current_node_shows_another_branch(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation(current_node="old"))
    assert [text for _, text in _texts(store, "conv-1")] == ["", "What grows in shade?", "Moss."]


def test_a_current_node_that_is_not_there_shows_the_newest_message(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation(current_node="gone"))
    assert _texts(store, "conv-1")[-1] == ("assistant", "Forty-two pots.")
    assert store.sessions.get("conv-1").metadata["chatgpt"]["current_node"] == "gone"


def test_a_session_has_what_the_conversation_tells(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation(is_archived=True))
    session = store.sessions.get("conv-1")
    assert (session.name, session.model, session.status) == ("Herbs", "gpt-4o", "archived")
    assert session.metadata["chatgpt"]["gizmo_id"] == "g-abc"
    assert session.created_at.timestamp() == 1_714_581_299.25


def test_a_message_without_a_time_is_as_old_as_the_one_before(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation())
    first = store.messages.page("conv-1", limit=1)[0]
    assert first.created_at == store.sessions.get("conv-1").created_at


def test_hidden_messages_are_told_as_hidden(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation())
    hidden = [one.id for one in store.messages.page("conv-1") if one.metadata.get("hidden")]
    assert hidden == ["sys"]


def test_what_is_addressed_to_a_tool_is_a_call_and_has_its_result(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation())
    parts = {one.id: one.parts for one in store.messages.page("conv-1")}
    assert parts["call"] == [
        {"type": "tool_call", "id": "call", "name": "python", "arguments": "print(6 * 7)"}
    ]
    assert parts["out"] == [
        {"type": "tool_result", "tool_call_id": "call", "name": "python", "content": "42"}
    ]
    [call] = store.tool_calls.list("conv-1")
    assert (call.name, call.arguments, call.result, call.status) == ("python", "print(6 * 7)", "42", "ok")


def test_calls_with_their_results_are_in_contexts(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation())
    texts = [item.text for item in store.contexts.build("conv-1").items]
    assert {"print(6 * 7)", "42"} <= set(texts)


def test_each_type_of_content_has_its_text_or_parts(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_contents())
    said = {one.id: one for one in store.messages.page("conv-contents")}
    assert said["m0"].text == "I plant.\n\nBe brief."
    assert [part["type"] for part in said["m1"].parts or ()] == [
        "image_asset_pointer", "image_asset_pointer", "text",
    ]  # fmt: skip
    assert said["m1"].text == "Which leaf is it?"
    assert (said["m2"].parts or [])[0] == {"type": "thinking", "thinking": "It has teeth.", "summary": "Look"}
    assert said["m3"].text == "Thought for 3 seconds"
    assert (said["m4"].parts or [])[0]["arguments"] == {"query": "leaf"}
    assert [(said[id].parts or [])[0]["tool_call_id"] for id in ("m5", "m6")] == ["m4", "m4"]
    assert said["m7"].parts is None  # of a tool that nobody called
    assert (said["m8"].text, said["m9"].text, said["m10"].text) == ("a beam", "", "Two\n\nparts")


def test_what_was_said_aloud_is_text(store: wilk.Store, tmp_path: Path) -> None:
    item = chatgpt_conversation()
    item["mapping"]["ask"]["message"]["content"] = {"content_type": "multimodal_text", "parts": [
        {"content_type": "audio_transcription", "text": "Spoken words", "direction": "in"},
        {"content_type": "real_time_user_audio_video_asset_pointer", "frames_asset_pointers": [],
         "audio_asset_pointer": {"asset_pointer": "sediment://file_00aa", "format": "wav"}}]}  # fmt: skip
    files = {"conversations.json": [item], "conv-1/audio/file_00aa.wav": b"sound"}
    store.imports.run("chatgpt", zipped(tmp_path / "export.zip", files))
    message = store.messages.get("ask")
    assert message.text == "Spoken words"
    assert (message.parts or [])[1]["in_export"] == "conv-1/audio/file_00aa.wav"
    store.exports.run("chatgpt", tmp_path / "back.json")
    assert json.loads((tmp_path / "back.json").read_text()) == [item]


def test_pointers_tell_whether_their_file_is_in_the_export(store: wilk.Store, tmp_path: Path) -> None:
    files = {"conversations.json": [chatgpt_contents()], "file-Leaf01-leaf.png": b"png"}
    store.imports.run("chatgpt", zipped(tmp_path / "export.zip", files))
    message = store.messages.get("m1")
    assert [part.get("in_export") for part in message.parts or ()] == ["file-Leaf01-leaf.png", False, None]
    assert message.metadata["files"][0]["in_export"] == "file-Leaf01-leaf.png"


def test_files_of_the_export_are_documents_without_their_content(store: wilk.Store, tmp_path: Path) -> None:
    files = {
        "conversations.json": [chatgpt_conversation()], "user.json": CHATGPT_USER, "chat.html": b"<p>",
        "dalle-generations/file-Leaf01-a.webp": b"picture", "tasks.json": [{"title": "water"}],
    }  # fmt: skip
    told = store.imports.run("chatgpt", zipped(tmp_path / "export.zip", files))
    kept = {one.title: one.data for one in store.documents.list(kind="file")}
    assert kept["file-Leaf01-a.webp"]["size"] == 7
    assert len(kept["file-Leaf01-a.webp"]["sha256"]) == 64
    assert kept["tasks.json"]["content"] == [{"title": "water"}]
    assert told.skipped == {"chat.html shows what the conversations hold": 1}
    assert store.users.get("user-Abc").email == "ada@example.org"
    assert store.sessions.get("conv-1").user_id == "user-Abc"


def test_feedback_is_with_its_message_and_told_where_there_is_none(store: wilk.Store, tmp_path: Path) -> None:
    rated = [{"id": "new", "conversation_id": "conv-1", "rating": "thumbs_up"}, {"id": "gone", "rating": "x"}]
    files = {"conversations.json": [chatgpt_conversation()], "message_feedback.json": rated}
    told = store.imports.run("chatgpt", zipped(tmp_path / "export.zip", files))
    assert store.messages.get("new").metadata["feedback"] == [rated[0]]
    assert told.skipped == {"feedback on a message that the export does not hold": 1}


def test_shards_come_over_in_any_order(store: wilk.Store, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    for number in (10, 2, 0):
        written(folder / f"conversations-{number:03d}.json", [chatgpt_conversation(f"conv-{number}")])
    written(folder / "conversations-001.json", [])
    (folder / "conversations.json.index").write_bytes(b"\x00\x01")
    told = store.imports.run("chatgpt", folder)
    assert {one.id for one in store.sessions.list()} == {"conv-0", "conv-2", "conv-10"}
    # The three conversations have the same ids of messages, and each has all of them.
    assert [store.messages.count(f"conv-{number}") for number in (0, 2, 10)] == [6, 6, 6]
    assert told.failed == 0


def test_entries_without_a_mapping_are_told_and_the_others_come_over(
    store: wilk.Store, tmp_path: Path
) -> None:
    broken = {"title": "x", "conversation_id": "no-map"}
    told = _imported(store, tmp_path, broken, 7, chatgpt_conversation(), {"mapping": {"a": 3}, "id": "odd"})
    assert [(one.kind, one.id) for one in told.errors] == [
        ("sessions", "no-map"), ("sessions", "conversations.json[1]"), ("messages", "odd/a"),
    ]  # fmt: skip
    assert store.messages.count("conv-1") == 6


def test_an_element_that_is_cut_off_is_told_and_those_before_come_over(
    store: wilk.Store, tmp_path: Path
) -> None:
    path = written(tmp_path / "conversations.json", [chatgpt_conversation("a"), chatgpt_conversation("b")])
    path.write_text(path.read_text()[:-40])
    told = store.imports.run("chatgpt", path)
    assert (told.failed, [one.id for one in store.sessions.list()]) == (1, ["a"])


def test_a_changed_conversation_alone_is_written_again(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation("a"), chatgpt_conversation("b"))
    changed = chatgpt_conversation("b")
    changed["mapping"]["end"]["children"] = ["more"]
    said = chatgpt_message("more", "user", "Thanks.", 1_714_581_400.0)
    changed["mapping"]["more"] = chatgpt_node("more", "end", [], said)
    changed["current_node"] = "more"
    told = _imported(store, tmp_path, chatgpt_conversation("a"), changed)
    counted = {one.kind: (one.created, one.updated, one.unchanged) for one in told.kinds}
    assert counted["sessions"] == (0, 1, 1)
    assert _texts(store, "b")[-1] == ("user", "Thanks.")
    assert store.messages.count("a") == 6


def test_nodes_in_any_order_that_name_children_alone_are_the_same_tree(
    store: wilk.Store, tmp_path: Path
) -> None:
    item = chatgpt_conversation()
    item["mapping"] = dict(reversed(item["mapping"].items()))
    for node in item["mapping"].values():
        node.pop("parent")
    _imported(store, tmp_path, item)
    assert [text for _, text in _texts(store, "conv-1")][1:3] == ["What grows in shade?", "Mint and chervil."]


def test_orphans_and_circles_begin_trees_of_their_own(store: wilk.Store, tmp_path: Path) -> None:
    item = chatgpt_conversation()
    item["mapping"]["lost"] = chatgpt_node("lost", "nowhere", [], chatgpt_message("lost", "user", "?", 1.0))
    item["mapping"]["x"] = chatgpt_node("x", "y", ["y"], chatgpt_message("x", "user", "x", 1.0))
    item["mapping"]["y"] = chatgpt_node("y", "x", ["x"], chatgpt_message("y", "user", "y", 1.0))
    item["mapping"]["self"] = chatgpt_node(
        "self", "self", ["self"], chatgpt_message("self", "user", "s", 1.0)
    )
    told = _imported(store, tmp_path, item)
    assert len(told.warnings) == 2
    assert {one.leaf_id for one in store.branches.list("conv-1")} >= {"lost", "self", "old"}


@pytest.mark.slow
def test_a_chain_of_5000_messages_comes_over(store: wilk.Store, tmp_path: Path) -> None:
    mapping: dict[str, Any] = {"n0": chatgpt_node("n0", None, ["n1"])}
    for number in range(1, 5001):
        role = "user" if number % 2 else "assistant"
        said = chatgpt_message(f"n{number}", role, f"word {number}", 1e9 + number)
        mapping[f"n{number}"] = chatgpt_node(f"n{number}", f"n{number - 1}", [f"n{number + 1}"], said)
    item = {"title": "deep", "mapping": mapping, "conversation_id": "deep", "current_node": "n5000"}
    _imported(store, tmp_path, item)
    assert store.messages.last("deep", 1)[0].text == "word 5000"
    assert store.messages.count("deep") == 5000


def test_characters_that_no_database_keeps_come_back_as_they_were(store: wilk.Store, tmp_path: Path) -> None:
    odd = "a\0b \ud83d c \U0001f33f"
    item = chatgpt_conversation(title=odd)
    item["mapping"]["ask"]["message"]["content"]["parts"] = [odd]
    item["mapping"]["ask"]["message"]["metadata"] = {"odd": odd}
    _imported(store, tmp_path, item)
    message = store.messages.get("ask")
    assert (message.text, message.metadata["chatgpt"]["metadata"]) == (odd, {"odd": odd})
    assert store.sessions.get("conv-1").metadata["chatgpt"]["title"] == odd


@pytest.mark.parametrize("levels", [190, 300, 100_000])
def test_what_is_nested_too_deeply_is_told_or_set_aside(
    store: wilk.Store, tmp_path: Path, levels: int
) -> None:
    item = chatgpt_conversation("deep")
    item["mapping"]["ask"]["message"]["metadata"] = {"deep": "DEEP"}
    path = tmp_path / "conversations.json"
    nested = "[" * levels + "]" * levels
    path.write_text(json.dumps([item, chatgpt_conversation("b")]).replace('"DEEP"', nested))
    told = store.imports.run("chatgpt", path)
    assert store.messages.count("b") == 6
    assert told.failed == (0 if store.sessions.find("deep") else 1)


def test_an_export_goes_back_as_it_came(store: wilk.Store, tmp_path: Path) -> None:
    came = [chatgpt_conversation(), chatgpt_contents()]
    _imported(store, tmp_path, *came)
    told = store.exports.run("chatgpt", tmp_path / "back.json")
    back = {one["conversation_id"]: one for one in json.loads((tmp_path / "back.json").read_text())}
    for item in came:
        assert back[item["conversation_id"]] == item
    assert (told.counts["sessions"], told.lost) == (2, {})


def test_importing_what_was_exported_changes_nothing(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation(), chatgpt_contents())
    store.exports.run("chatgpt", tmp_path / "back.json")
    again = store.imports.run("chatgpt", tmp_path / "back.json")
    assert {one.kind: (one.created, one.updated, one.unchanged) for one in again.kinds} == {
        "sessions": (0, 0, 2)
    }


def test_what_was_said_here_since_goes_back_too(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, chatgpt_conversation())
    added = store.messages.append("conv-1", "user", "And in the sun?")
    store.branches.add("conv-1", "assistant", "Rue.", parent="ask", id="other")
    store.exports.run("chatgpt", tmp_path / "back.json")
    [back] = json.loads((tmp_path / "back.json").read_text())
    assert back["current_node"] == added.id
    assert back["mapping"]["end"]["children"] == [added.id]
    assert back["mapping"]["ask"]["children"] == ["old", "new", "other"]


def test_sessions_that_began_here_become_conversations_there(
    store: wilk.Store, tmp_path: Path, elsewhere: str
) -> None:
    session = store.sessions.create(name="Walls", working_directory="/srv").id
    store.messages.append(session, "user", "Which stone?")
    call = {"type": "tool_call", "id": "c1", "name": "stones", "arguments": {"dry": True}}
    store.messages.append(session, "assistant", "", parts=[call])
    store.messages.append(session, "tool", "slate", parts=[
        {"type": "tool_result", "tool_call_id": "c1", "content": "slate"}])  # fmt: skip
    last = store.messages.append(session, "assistant", "Slate.", parts=[{"type": "text", "text": "Slate."}])
    told = store.exports.run("chatgpt", tmp_path / "out.json", sessions=[session])
    assert told.lost == {"session.working_directory": 1}
    with wilk.open_store(elsewhere) as other:
        assert other.imports.run("chatgpt", tmp_path / "out.json").failed == 0
        assert [one.text for one in other.messages.page(session)] == [
            "Which stone?", '{\n  "dry": true\n}', "slate", "Slate.",
        ]  # fmt: skip
        assert [one.name for one in other.tool_calls.list(session)] == ["stones"]
        assert other.messages.last(session, 1)[0].id == last.id
        other.exports.run("chatgpt", tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads(
        (tmp_path / "out.json").read_text()
    )


def test_a_call_takes_no_id_of_another_message(store: wilk.Store, tmp_path: Path) -> None:
    """Importers name the parts of a message by its id with a number behind it."""
    store.sessions.create(id="s")
    call = {"type": "tool_call", "id": "c1", "name": "stones", "arguments": {}}
    store.messages.append("s", "assistant", "Let me look.", parts=[call], id="m")
    store.messages.append("s", "tool", "slate", id="m~1", parts=[
        {"type": "tool_result", "tool_call_id": "c1", "content": "slate"}])  # fmt: skip
    store.exports.run("chatgpt", tmp_path / "out.json")
    [made] = json.loads((tmp_path / "out.json").read_text())
    way, node = [], made["current_node"]
    while node is not None and len(way) < 10:
        way.append(node)
        node = made["mapping"][node]["parent"]
    assert len(way) == 4  # the root, what was said, the call and its result
    assert (way[0], way[2]) == ("m~1", "m")


def test_a_conversation_that_says_no_user_leaves_it_whose_it_is(store: wilk.Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    written(source / "conversations.json", [chatgpt_conversation()])
    written(source / "user.json", CHATGPT_USER)
    store.imports.run("chatgpt", source)
    owner = store.sessions.get("conv-1").user_id
    assert owner is not None
    store.exports.run("chatgpt", tmp_path / "back.json")
    assert store.imports.run("chatgpt", tmp_path / "back.json").failed == 0
    assert store.sessions.get("conv-1").user_id == owner


def test_an_export_without_sessions_is_an_empty_list(store: wilk.Store, tmp_path: Path) -> None:
    store.exports.run("chatgpt", tmp_path / "none.json")
    assert json.loads((tmp_path / "none.json").read_text()) == []


@pytest.mark.slow
def test_conversations_with_odd_values_go_back_as_they_were_taken(store: wilk.Store, tmp_path: Path) -> None:
    """Each value of a conversation is in turn another one; what was taken over is a fixed point."""
    odd = [None, 7, "t\0e\ud800xt", [], {}, [None, "x", {"type": "text"}], {"a": {"b": [1]}}, True, -1.5e300]
    conversations = []
    for item in (chatgpt_conversation(), chatgpt_contents()):
        for number, place in enumerate(places(item)):
            changed = json.loads(json.dumps(item))
            changed["conversation_id"] = f"conv-{len(conversations)}"
            put(changed, place, odd[number % len(odd)])
            conversations.append(changed)
    _imported(store, tmp_path, *conversations)
    store.exports.run("chatgpt", tmp_path / "back.json")
    again = store.imports.run("chatgpt", tmp_path / "back.json")
    [counted] = [one for one in again.kinds if one.kind == "sessions"]
    assert (counted.created, counted.updated, counted.failed) == (0, 0, 0)
