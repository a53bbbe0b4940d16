"""Claude Code's transcripts come over as sessions with their tools and subagents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.core.imports.chat_exports import code_line, code_reply, code_session, lines

import wilk


def _imported(store: wilk.Store, tmp_path: Path, values: list[Any], name: str = "s-1.jsonl") -> Any:
    return store.imports.run("claude-code", lines(tmp_path / name, values))


def _said(store: wilk.Store, session: str) -> list[tuple[str, str, str]]:
    return [(one.id, one.role, one.text) for one in store.messages.page(session, limit=10_000)]


@pytest.mark.backends
def test_lines_of_one_message_are_one_and_results_follow_their_calls(
    store: wilk.Store, tmp_path: Path
) -> None:
    _imported(store, tmp_path, code_session())
    assert _said(store, "s-1") == [
        ("u1", "user", "Where is the list?"), ("a1", "assistant", "I look."), ("r1", "tool", "thyme"),
        ("r2", "tool", "no such file"), ("a4", "assistant", "In a.txt."),
    ]  # fmt: skip
    assert list(store.branches.list("s-1")) == []


def test_a_joined_message_has_all_blocks_and_the_last_count_of_tokens(
    store: wilk.Store, tmp_path: Path
) -> None:
    _imported(store, tmp_path, code_session())
    message = store.messages.get("a1")
    assert [part["type"] for part in message.parts or ()] == ["text", "tool_call", "tool_call"]
    assert (message.tokens, message.model) == (40, "claude-sonnet")
    assert [one["uuid"] for one in message.metadata["claude_code"]["joined"]] == ["a2", "a3"]


def test_calls_are_logged_with_their_results_and_what_the_tool_noted(
    store: wilk.Store, tmp_path: Path
) -> None:
    _imported(store, tmp_path, code_session())
    calls = {one.call_id: (one.name, one.arguments, one.status) for one in store.tool_calls.list("s-1")}
    assert calls == {"t1": ("Read", {"file_path": "a.txt"}, "ok"), "t2": ("Grep", {"pattern": "x"}, "error")}
    noted = store.messages.get("r1").metadata["claude_code"]["toolUseResult"]
    assert noted["file"]["filePath"] == "a.txt"


def test_calls_that_ran_side_by_side_are_in_contexts(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, code_session())
    assert [item.text for item in store.contexts.build("s-1").items if item.role == "tool"] == [
        "thyme", "no such file",
    ]  # fmt: skip


def test_a_session_has_its_folder_and_the_name_of_its_summary(store: wilk.Store, tmp_path: Path) -> None:
    told = _imported(store, tmp_path, code_session())
    session = store.sessions.get("s-1")
    assert (session.working_directory, session.name) == ("/home/ada/garden", "Beds of herbs")
    assert session.metadata["claude_code"]["gitBranch"] == "main"
    assert told.lost_fields == {"lines of type file-history-snapshot": 1}


def test_summaries_in_other_files_name_the_session_that_they_are_of(
    store: wilk.Store, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    lines(folder / "s-1.jsonl", code_session()[2:])
    lines(folder / "s-2.jsonl", [
        {"type": "summary", "summary": "From elsewhere", "leafUuid": "a4"},
        code_line("z1", None, "user", "Next day", sessionId="s-2")])  # fmt: skip
    store.imports.run("claude-code", folder)
    assert {one.id: one.name for one in store.sessions.list()} == {"s-1": "From elsewhere", "s-2": "Next day"}


def test_a_title_that_was_given_goes_before_summaries(store: wilk.Store, tmp_path: Path) -> None:
    _imported(
        store,
        tmp_path,
        [*code_session(), {"type": "custom-title", "customTitle": "Mine", "sessionId": "s-1"}],
    )
    assert store.sessions.get("s-1").name == "Mine"


def test_what_was_taken_back_is_a_branch(store: wilk.Store, tmp_path: Path) -> None:
    again = [code_line("u2", "u1", "user", "No, the other list"),
             code_reply("a9", "u2", {"type": "text", "text": "b.txt"}, "msg-9")]  # fmt: skip
    _imported(store, tmp_path, [*code_session(), *again])
    assert [id for id, _, _ in _said(store, "s-1")] == ["u1", "u2", "a9"]
    assert [one.leaf_id for one in store.branches.list("s-1")] == ["a4"]


def test_subagents_are_sessions_of_their_own(store: wilk.Store, tmp_path: Path) -> None:
    side = [
        code_line("x1", None, "user", "Count the beds", isSidechain=True),
        {**code_reply("x2", "x1", {"type": "text", "text": "Four"}, "msg-x"), "isSidechain": True},
        code_line("y1", None, "user", "Name them", isSidechain=True, agentId="abc"),
    ]
    values = code_session()
    _imported(store, tmp_path, [*values[:5], *side, *values[5:]])
    assert {one.id for one in store.sessions.list()} == {"s-1", "s-1:side-x1", "s-1:agent-abc"}
    assert [text for _, _, text in _said(store, "s-1:side-x1")] == ["Count the beds", "Four"]
    assert store.sessions.get("s-1:side-x1").metadata["claude_code"]["parent_session"] == "s-1"
    assert store.messages.count("s-1") == 5


def test_a_file_of_a_subagent_is_a_session_that_names_its_parent(store: wilk.Store, tmp_path: Path) -> None:
    side = [code_line("x1", None, "user", "Count", isSidechain=True, agentId="abc")]
    _imported(store, tmp_path, side, "agent-abc.jsonl")
    session = store.sessions.get("agent-abc")
    assert session.metadata["claude_code"]["parent_session"] == "s-1"


def test_a_compaction_is_bridged(store: wilk.Store, tmp_path: Path) -> None:
    boundary = {
        **code_line("b1", None, "system", "Conversation compacted"), "subtype": "compact_boundary",
        "logicalParentUuid": "a4", "content": "Conversation compacted",
        "compactMetadata": {"trigger": "auto", "preTokens": 155000},
    }  # fmt: skip
    del boundary["message"]
    after = [boundary, code_line("u5", "b1", "user", "This goes on: …", isCompactSummary=True),
             code_line("u6", "u5", "user", "Go on")]  # fmt: skip
    _imported(store, tmp_path, [*code_session(), *after])
    assert [id for id, _, _ in _said(store, "s-1")][-4:] == ["a4", "b1", "u5", "u6"]
    told = store.messages.get("b1").metadata
    assert (told["hidden"], told["claude_code"]["compactMetadata"]["preTokens"]) == (True, 155000)


def test_a_summary_after_a_compaction_without_a_parent_follows_what_was_before(
    store: wilk.Store, tmp_path: Path
) -> None:
    after = [code_line("u5", None, "user", "This goes on: …", isCompactSummary=True)]
    _imported(store, tmp_path, [*code_session(), *after])
    assert [id for id, _, _ in _said(store, "s-1")][-2:] == ["a4", "u5"]


def test_lines_that_are_no_messages_are_passed_over(store: wilk.Store, tmp_path: Path) -> None:
    values = code_session()
    between = [
        {**code_line("p1", "u1", "progress", ""), "data": {"type": "bash"}},
        {**code_line("k1", "p1", "attachment", ""), "attachment": {"type": "todo", "left": 2}},
    ]
    values[3]["parentUuid"] = "k1"
    told = _imported(store, tmp_path, [*values[:3], *between, *values[3:]])
    assert [id for id, _, _ in _said(store, "s-1")] == ["u1", "a1", "r1", "r2", "a4"]
    assert store.messages.get("u1").metadata["claude_code"]["beside"][0]["attachment"]["left"] == 2
    assert told.lost_fields["lines of type progress"] == 1


def test_lines_that_nobody_knows_are_kept_with_the_session(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, [*code_session(), {"type": "moon-phase", "sessionId": "s-1", "phase": "full"}])
    kept = store.sessions.get("s-1").metadata["claude_code"]["lines"]
    assert kept == [{"type": "moon-phase", "sessionId": "s-1", "phase": "full"}]


def test_a_last_line_that_is_cut_is_a_warning_and_comes_over_when_it_is_whole(
    store: wilk.Store, tmp_path: Path
) -> None:
    path = lines(tmp_path / "s-1.jsonl", code_session())
    whole = path.read_text()
    path.write_text(whole[:-30])
    told = store.imports.run("claude-code", path)
    assert (told.failed, len(told.warnings), store.messages.count("s-1")) == (0, 1, 4)
    path.write_text(whole)
    assert store.imports.run("claude-code", path).updated == 1
    assert store.messages.last("s-1", 1)[0].text == "In a.txt."


def test_a_broken_line_is_told_and_the_others_come_over(store: wilk.Store, tmp_path: Path) -> None:
    path = tmp_path / "s-1.jsonl"
    said = [json.dumps(line) for line in code_session()]
    path.write_text("\n".join([*said[:3], '{"type": "user", "uuid": "bad', "[1]", "", *said[3:]]) + "\n")
    told = store.imports.run("claude-code", path)
    assert [one.id for one in told.errors] == ["s-1.jsonl:4", "s-1.jsonl:5"]
    assert store.messages.count("s-1") == 5


def test_a_session_that_goes_on_gets_what_is_new(store: wilk.Store, tmp_path: Path) -> None:
    _imported(store, tmp_path, code_session()[:3])
    told = _imported(store, tmp_path, code_session())
    assert {one.kind: (one.created, one.updated) for one in told.kinds}["sessions"] == (0, 1)
    assert [id for id, _, _ in _said(store, "s-1")] == ["u1", "a1", "r1", "r2", "a4"]


def test_a_copy_of_a_transcript_is_a_session_of_its_own(store: wilk.Store, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    lines(folder / "s-1.jsonl", code_session())
    lines(folder / "copy.jsonl", code_session())
    store.imports.run("claude-code", folder)
    assert sorted(store.messages.count(one.id) for one in store.sessions.list()) == [5, 5]


def test_meta_lines_are_hidden(store: wilk.Store, tmp_path: Path) -> None:
    values = code_session()[2:]
    values[0]["parentUuid"] = "m0"
    _imported(store, tmp_path, [code_line("m0", None, "user", "Caveat: …", isMeta=True), *values])
    assert store.messages.get("m0").metadata["hidden"] is True
    assert store.sessions.get("s-1").name == "Where is the list?"


def test_odd_characters_come_back_as_they_were(store: wilk.Store, tmp_path: Path) -> None:
    odd = "a\0b \ud83d c \U0001f331"
    _imported(store, tmp_path, [code_line("u1", None, "user", odd, cwd=f"/x{odd}")])
    assert store.messages.get("u1").text == odd
    assert store.sessions.get("s-1").metadata["claude_code"]["cwd"] == f"/x{odd}"


@pytest.mark.slow
def test_a_chain_of_5000_messages_comes_over(store: wilk.Store, tmp_path: Path) -> None:
    values = [code_line(f"n{n}", f"n{n - 1}" if n else None, "user", f"word {n}") for n in range(5000)]
    _imported(store, tmp_path, values)
    assert (store.messages.count("s-1"), store.messages.last("s-1", 1)[0].text) == (5000, "word 4999")


def test_what_was_noted_on_a_project_is_a_memory(store: wilk.Store, tmp_path: Path) -> None:
    project = tmp_path / "projects" / "-home-ada"
    lines(project / "s-1.jsonl", code_session())
    (project / "memory").mkdir()
    (project / "memory" / "MEMORY.md").write_text("Beds face south.")
    (project / "notes.txt").write_text("no transcript")
    told = store.imports.run("claude-code", tmp_path / "projects")
    [memory] = store.memories.list()
    assert (memory.content, memory.metadata["claude_code"]["project"]) == ("Beds face south.", "-home-ada")
    assert told.skipped == {"files that are no transcripts": 1}
    assert store.imports.run("claude-code", project).created == 0
