"""Fields that nobody knows of are kept, wherever in a source they stand."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.core.imports.chat_exports import (
    CHATGPT_USER,
    CLAUDE_MEMORIES,
    CLAUDE_USER,
    chatbotui_export,
    chatgpt_contents,
    chatgpt_conversation,
    claude_conversation,
    claude_message,
    claude_project,
    code_session,
    letta_file,
    letta_v1,
    lines,
    webui_chat,
    zipped,
)

import wilk

pytestmark = pytest.mark.sqlite


def _marked(value: Any, count: list[int]) -> Any:
    """A value with a field of its own in each object."""
    if isinstance(value, dict):
        made = {name: _marked(item, count) for name, item in value.items()}
        if all(isinstance(item, dict) for item in value.values()) and len(value) > 1:
            return made  # by id: another key would be another message
        count[0] += 1
        return {**made, f"zz{count[0]}": f"canary{count[0]}x"}
    return [_marked(item, count) for item in value] if isinstance(value, list) else value


def _held(store: wilk.Store, home: Path) -> str:
    """All text that the database holds."""
    with sqlite3.connect(home / "wilk.db") as connection:
        found = "\n".join(connection.iterdump())
    connection.close()
    return found


def _missing(store: wilk.Store, home: Path, count: int) -> list[int]:
    found = set(re.findall(r"canary\d+x", _held(store, home)))
    return [number for number in range(1, count + 1) if f"canary{number}x" not in found]


def _claude_rich() -> dict[str, Any]:
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "summaries": [{"summary": "thinks"}]},
        {"type": "tool_use", "id": "t1", "name": "web_search", "input": {"query": "beans"}},
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "Beans swell."}]},
        {"type": "text", "text": "They swell.", "citations": [{"url": "https://example.org"}]},
        {"type": "hologram", "beam": {"n": 1}},
    ]
    attached = [{"file_name": "a.txt", "file_size": 3, "file_type": "txt", "extracted_content": "abc"}]
    message = claude_message("c-2-m1", "assistant", "They swell.", files=[{"file_name": "b.png"}])
    return claude_conversation("c-2", [{**message, "content": blocks, "attachments": attached}])


@pytest.mark.parametrize(
    ("name", "files", "lost"),
    [
        ("chatgpt", {"conversations.json": [chatgpt_conversation(), chatgpt_contents()],
                     "user.json": CHATGPT_USER, "tasks.json": [{"task": {"name": "water"}}],
                     "shared_conversations.json": [{"id": "sh", "conversation_id": "conv-1"}],
                     "message_feedback.json": [{"message_id": "new", "rating": "thumbs_up"}]}, 0),
        ("claude", {"conversations.json": [claude_conversation(), _claude_rich()], "users.json": [CLAUDE_USER],
                    "projects.json": [claude_project(), claude_project("p-2", prompt_template="")],
                    "memories.json": CLAUDE_MEMORIES}, 0),
        ("open-webui", {"chats.json": [webui_chat()]}, 0),
        ("chatbotui", {"export.json": chatbotui_export()}, 0),
        ("letta", {"gardener.af": letta_file()}, 2),
        ("letta", {"old.af": letta_v1()}, 0),
    ],
)  # fmt: skip
def test_fields_that_are_not_known_are_kept(
    store: wilk.Store, home: Path, tmp_path: Path, name: str, files: dict[str, Any], lost: int
) -> None:
    count = [0]
    path = zipped(tmp_path / "export.zip", {file: _marked(value, count) for file, value in files.items()})
    told = store.imports.run(name, path)
    assert (told.failed, told.errors) == (0, ())
    missing = _missing(store, home, count[0])
    assert len(missing) == lost, missing
    assert sum(told.lost_fields.values()) >= len(missing)


def test_fields_that_are_not_known_in_transcripts_are_kept(
    store: wilk.Store, home: Path, tmp_path: Path
) -> None:
    count = [0]
    told = store.imports.run("claude-code", lines(tmp_path / "s-1.jsonl", _marked(code_session(), count)))
    missing = _missing(store, home, count[0])
    # The line that is a summary is a name by now, and snapshots of files are told as lost.
    assert len(missing) <= 4, missing
    assert told.lost_fields == {"lines of type file-history-snapshot": 1}


@pytest.mark.parametrize("name", ["agents.tool_exec_environment_variables", "mcp_servers.token"])
def test_secrets_of_agent_files_stay_out_and_are_told(
    store: wilk.Store, home: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "gardener.af"
    path.write_text(json.dumps(letta_file()))
    told = store.imports.run("letta", path)
    assert told.lost_fields[name] == 1
    assert "canary" not in _held(store, home)
    assert not [file for file in home.rglob("*.yaml") if "canary" in file.read_text()]
