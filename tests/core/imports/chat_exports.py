"""Exports of chat programs in small, in the shapes that these have: what is said in them is made up here."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def written(path: Path, value: Any) -> Path:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def lines(path: Path, values: list[Any]) -> Path:
    """A file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def zipped(path: Path, files: Mapping[str, Any]) -> Path:
    """A ZIP of JSON files, and of others where bytes are given."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in files.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return path


# -- ChatGPT ------------------------------------------------------------------------------


def chatgpt_message(id: str, role: str, content: Any, at: float | None, **more: Any) -> dict[str, Any]:
    if isinstance(content, str):
        content = {"content_type": "text", "parts": [content]}
    return {
        "id": id, "author": {"role": role, "name": None, "metadata": {}}, "create_time": at,
        "update_time": None, "content": content, "status": "finished_successfully", "end_turn": True,
        "weight": 1.0, "metadata": {}, "recipient": "all", "channel": None, **more,
    }  # fmt: skip


def chatgpt_node(id: str, parent: str | None, children: list[str], message: Any = None) -> dict[str, Any]:
    return {"id": id, "message": message, "parent": parent, "children": children}


def chatgpt_conversation(id: str = "conv-1", title: str = "Herbs", **more: Any) -> dict[str, Any]:
    """A question, an answer, an answer made again, and what followed that; a hidden system message before."""
    at = 1_714_581_300.25
    slug = {"model_slug": "gpt-4o"}
    tool = {"role": "tool", "name": "python", "metadata": {}}
    nodes = [
        chatgpt_node("client-created-root", None, ["sys"]),
        chatgpt_node("sys", "client-created-root", ["ask"], chatgpt_message(
            "sys", "system", "", None, weight=0.0, metadata={"is_visually_hidden_from_conversation": True})),
        chatgpt_node("ask", "sys", ["old", "new"], chatgpt_message("ask", "user", "What grows in shade?", at)),
        chatgpt_node("old", "ask", [], chatgpt_message("old", "assistant", "Moss.", at + 1, metadata=slug)),
        chatgpt_node("new", "ask", ["call"], chatgpt_message("new", "assistant", "Mint and chervil.", at + 2,
                                                             metadata=slug)),
        chatgpt_node("call", "new", ["out"], chatgpt_message(
            "call", "assistant", {"content_type": "code", "language": "python", "text": "print(6 * 7)"},
            at + 3, recipient="python", metadata=slug)),
        chatgpt_node("out", "call", ["end"], chatgpt_message(
            "out", "tool", {"content_type": "execution_output", "text": "42"}, at + 4, author=tool)),
        chatgpt_node("end", "out", [], chatgpt_message("end", "assistant", "Forty-two pots.", at + 5,
                                                       metadata=slug)),
    ]  # fmt: skip
    return {
        "title": title, "create_time": at - 1, "update_time": at + 6,
        "mapping": {node["id"]: {**node, "message": node["message"] and {
            **node["message"], "id": node["id"]}} for node in nodes},
        "moderation_results": [], "current_node": "end", "plugin_ids": None, "conversation_id": id,
        "id": id, "default_model_slug": "gpt-4o", "gizmo_id": "g-abc", "is_archived": False, "safe_urls": [],
        **more,
    }  # fmt: skip


def chatgpt_contents() -> dict[str, Any]:
    """A conversation with each type of content."""
    contents: list[tuple[str, Any, dict[str, Any]]] = [
        ("user", {"content_type": "user_editable_context", "user_profile": "I plant.",
                  "user_instructions": "Be brief."}, {"metadata": {"is_user_system_message": True}}),
        ("user", {"content_type": "multimodal_text", "parts": [
            {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-Leaf01", "width": 2,
             "height": 3, "size_bytes": 4, "fovea": None, "metadata": {"dalle": None}},
            {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_0000gone", "width": 1},
            "Which leaf is it?"]}, {"metadata": {"attachments": [
                {"id": "file-Leaf01", "name": "leaf.png", "size": 4, "mimeType": "image/png"}]}}),
        ("assistant", {"content_type": "thoughts", "thoughts": [
            {"summary": "Look", "content": "It has teeth."}], "source_analysis_msg_id": "x"}, {}),
        ("assistant", {"content_type": "reasoning_recap", "content": "Thought for 3 seconds"}, {}),
        ("assistant", {"content_type": "text", "parts": ["{\"query\": \"leaf\"}"]}, {"recipient": "browser.search"}),
        ("tool", {"content_type": "tether_browsing_display", "result": "1 page", "summary": None, "assets": None,
                  "tether_id": None}, {"author": {"role": "tool", "name": "browser", "metadata": {}}}),
        ("tool", {"content_type": "tether_quote", "url": "https://example.org", "domain": "example.org",
                  "text": "Nettles have teeth.", "title": "Nettles"},
         {"author": {"role": "tool", "name": "browser", "metadata": {}}}),
        ("tool", {"content_type": "system_error", "name": "Timeout", "text": "too slow"},
         {"author": {"role": "tool", "name": "other", "metadata": {}}}),
        ("assistant", {"content_type": "hologram", "beams": [1, {"deep": True}], "text": "a beam"}, {}),
        ("assistant", {"content_type": "text", "parts": []}, {}),
        ("assistant", {"content_type": "text", "parts": ["Two", "parts"]}, {}),
    ]  # fmt: skip
    nodes: dict[str, Any] = {"root-0": chatgpt_node("root-0", None, ["m0"])}
    for number, (role, content, more) in enumerate(contents):
        after = [f"m{number + 1}"] if number + 1 < len(contents) else []
        parent = f"m{number - 1}" if number else "root-0"
        message = chatgpt_message(f"m{number}", role, content, 1_714_581_000.5 + number, **more)
        nodes[f"m{number}"] = chatgpt_node(f"m{number}", parent, after, message)
    return {
        "title": "Contents", "create_time": 1_714_581_000.0, "update_time": 1_714_582_000.0,
        "mapping": nodes, "current_node": f"m{len(contents) - 1}", "conversation_id": "conv-contents",
    }  # fmt: skip


CHATGPT_USER = {"id": "user-Abc", "email": "ada@example.org", "chatgpt_plus_user": True, "birth_year": 1990}

# -- Claude.ai ----------------------------------------------------------------------------

CLAUDE_USER = {
    "uuid": "acc-1",
    "full_name": "Ada",
    "email_address": "ada@example.org",
    "verified_phone_number": None,
}


def claude_message(id: str, sender: str, text: str, **more: Any) -> dict[str, Any]:
    return {
        "uuid": id, "text": text, "content": [{"type": "text", "text": text, "citations": []}], "sender": sender,
        "created_at": "2025-03-01T10:00:00.000000Z", "updated_at": "2025-03-01T10:00:00.000000Z",
        "attachments": [], "files": [], **more,
    }  # fmt: skip


def claude_conversation(id: str = "c-1", messages: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    if messages is None:
        messages = [
            claude_message(f"{id}-m1", "human", "How long do beans soak?"),
            claude_message(f"{id}-m2", "assistant", "Eight hours."),
        ]
    return {
        "uuid": id, "name": "Beans", "summary": "", "created_at": "2025-03-01T10:00:00.000000Z",
        "updated_at": "2025-03-01T11:00:00.000000Z", "account": {"uuid": "acc-1"}, "chat_messages": messages,
        **more,
    }  # fmt: skip


def claude_project(id: str = "p-1", **more: Any) -> dict[str, Any]:
    return {
        "uuid": id, "name": "Kitchen", "description": "All about food", "is_private": True,
        "is_starter_project": False, "prompt_template": "You are a cook.",
        "created_at": "2025-02-01T10:00:00+00:00", "updated_at": "2025-02-02T10:00:00+00:00",
        "creator": {"uuid": "acc-1", "full_name": "Ada"},
        "docs": [{"uuid": f"{id}-d1", "filename": "stock.md", "content": "Simmer, never boil.",
                  "created_at": "2025-02-01T10:00:00+00:00"}],
        **more,
    }  # fmt: skip


CLAUDE_MEMORIES = {
    "conversations_memory": "**Food** Ada cooks beans.",
    "project_memories": {"p-1": "The kitchen is small."},
    "account_uuid": "acc-1",
}

# -- Claude Code --------------------------------------------------------------------------


def code_line(id: str, parent: str | None, kind: str, content: Any, **more: Any) -> dict[str, Any]:
    message = {"role": kind, "content": content, **more.pop("message", {})}
    return {
        "parentUuid": parent, "isSidechain": False, "userType": "external", "cwd": "/home/ada/garden",
        "sessionId": "s-1", "version": "2.1.0", "gitBranch": "main", "type": kind, "uuid": id,
        "timestamp": f"2025-06-01T10:00:{sum(map(ord, id)) % 60:02d}.000Z", "message": message, **more,
    }  # fmt: skip


def code_reply(id: str, parent: str, block: dict[str, Any], message: str, out: int = 5) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": out}
    told = {"id": message, "model": "claude-sonnet", "type": "message", "stop_reason": None, "usage": usage}
    return code_line(id, parent, "assistant", [block], message=told, requestId="req-1")


def code_session() -> list[dict[str, Any]]:
    """A question, an answer in three lines with two calls side by side, their results, and the end."""
    read = {"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "a.txt"}}
    grep = {"type": "tool_use", "id": "t2", "name": "Grep", "input": {"pattern": "x"}}
    return [
        {"type": "summary", "summary": "Beds of herbs", "leafUuid": "a4"},
        {"type": "file-history-snapshot", "messageId": "u1", "snapshot": {"files": {}}},
        code_line("u1", None, "user", "Where is the list?"),
        code_reply("a1", "u1", {"type": "text", "text": "I look."}, "msg-1", 1),
        code_reply("a2", "a1", read, "msg-1", 3),
        code_reply("a3", "a2", grep, "msg-1", 40),
        code_line("r1", "a2", "user", [{"type": "tool_result", "tool_use_id": "t1", "content": "thyme"}],
                  toolUseResult={"type": "text", "file": {"filePath": "a.txt", "numLines": 1}}),
        code_line("r2", "a3", "user", [{"type": "tool_result", "tool_use_id": "t2", "is_error": True,
                                        "content": [{"type": "text", "text": "no such file"}]}]),
        code_reply("a4", "r2", {"type": "text", "text": "In a.txt."}, "msg-2"),
    ]  # fmt: skip


# -- Open WebUI, ChatbotUI ----------------------------------------------------------------


def webui_chat(id: str = "w-1", **more: Any) -> dict[str, Any]:
    def message(name: str, parent: str | None, role: str, text: str, children: list[str]) -> dict[str, Any]:
        return {
            "id": name, "parentId": parent, "childrenIds": children, "role": role, "content": text,
            "timestamp": 1_720_000_000,
        }  # fmt: skip

    said = [
        message(f"{id}-1", None, "user", "Name a bird.", [f"{id}-2", f"{id}-3"]),
        {**message(f"{id}-2", f"{id}-1", "assistant", "Wren.", []), "model": "llama3",
         "usage": {"completion_tokens": 3}, "done": True},
        {**message(f"{id}-3", f"{id}-1", "assistant", "Robin.", []), "model": "qwen",
         "sources": [{"source": {"name": "birds.txt"}}], "files": [{"type": "image", "url": "data:,x"}]},
    ]  # fmt: skip
    return {
        "id": id, "user_id": "owner-1", "title": "Birds", "share_id": None, "archived": False, "pinned": True,
        "meta": {"tags": ["animals"]}, "folder_id": "f-1", "created_at": 1_720_000_000,
        "updated_at": 1_720_000_100,
        "chat": {
            "id": "", "title": "Birds", "models": ["llama3", "qwen"], "params": {"temperature": 0.1},
            "files": [], "tags": ["animals"], "timestamp": 1_720_000_000_000, "messages": said[:2],
            "history": {"currentId": f"{id}-2", "messages": {one["id"]: one for one in said}},
        },
        **more,
    }  # fmt: skip


def chatbotui_export() -> dict[str, Any]:
    return {
        "version": 4,
        "history": [{
            "id": "h-1", "name": "Tea", "prompt": "You are a host.", "temperature": 0.5, "folderId": "fo-1",
            "model": {"id": "gpt-4", "name": "GPT-4", "maxLength": 24000, "tokenLimit": 8000},
            "messages": [{"role": "user", "content": "Green or black?"}, {"role": "assistant", "content": "Green."}],
        }],
        "folders": [{"id": "fo-1", "name": "Drinks", "type": "chat"}, {"id": "fo-2", "name": "Empty", "type": "chat"}],
        "prompts": [{"id": "pr-1", "name": "Brew", "description": "How to brew", "content": "Brew {{tea}}.",
                     "folderId": None, "model": {"id": "gpt-4"}}],
    }  # fmt: skip


# -- Letta --------------------------------------------------------------------------------


def letta_file() -> dict[str, Any]:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "send_message", "arguments": '{"message": "Hi"}'},
    }
    return {
        "agents": [{
            "id": "agent-0", "name": "Gardener", "description": "Knows plants", "system": "You are a gardener.",
            "agent_type": "memgpt_v2_agent", "tags": ["green"], "block_ids": ["block-0"], "tool_ids": ["tool-0"],
            "source_ids": ["source-0"], "group_ids": [], "in_context_message_ids": ["message-1", "message-2"],
            "llm_config": {"model": "gpt-4.1", "model_endpoint_type": "openai", "temperature": 0.7,
                           "max_tokens": 4096, "context_window": 32000},
            "embedding_config": {"embedding_model": "e5"},
            "tool_exec_environment_variables": {"SERVICE": "canary-environment"},
            "messages": [
                {"id": "message-0", "role": "system", "content": [{"type": "text", "text": "You are a gardener."}],
                 "created_at": "2025-05-01T08:00:00+00:00"},
                {"id": "message-1", "role": "assistant", "model": "gpt-4.1", "tool_calls": [call],
                 "content": [{"type": "text", "text": "I greet."}], "created_at": "2025-05-01T08:00:01+00:00"},
                {"id": "message-2", "role": "tool", "name": "send_message", "tool_call_id": "call_1",
                 "content": [{"type": "text", "text": '{"status": "OK"}'}],
                 "tool_returns": [{"status": "success", "tool_call_id": "call_1", "stdout": None}],
                 "created_at": "2025-05-01T08:00:02+00:00"},
            ],
            "files_agents": [{"id": "file_agent-0", "agent_id": "agent-0", "file_id": "file-0", "is_open": True}],
        }],
        "groups": [{"id": "group-0", "agent_ids": ["agent-0"], "description": "all", "manager_config": {}}],
        "blocks": [{"id": "block-0", "label": "human", "value": "Ada grows beans.", "limit": 20000,
                    "description": "who", "read_only": False},
                   {"id": "block-9", "label": "loose", "value": "nobody's", "limit": 100}],
        "files": [{"id": "file-0", "file_name": "plants.txt", "content": "bean, pea"}],
        "sources": [{"id": "source-0", "name": "library"}],
        "tools": [{"id": "tool-0", "name": "send_message", "source_code": "def send_message(): ...",
                   "json_schema": {"name": "send_message"}}],
        "mcp_servers": [{"id": "mcp-0", "server_name": "docs", "server_url": "https://example.org",
                         "token": "canary-token", "custom_headers": {"X": "canary-header"}}],
        "skills": [], "metadata": {"revision_id": "x"}, "created_at": "2025-05-02T08:00:00+00:00",
    }  # fmt: skip


def letta_v1() -> dict[str, Any]:
    return {
        "agent_type": "memgpt_agent", "name": "Old", "system": "You remember.", "description": None,
        "core_memory": [{"label": "persona", "value": "I am old.", "limit": 5000, "description": None,
                         "created_at": "2025-01-01T00:00:00", "updated_at": "2025-01-01T00:00:00"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hello"}], "created_at": "2025-01-01T00:00:01",
             "tool_calls": [], "tool_returns": [], "tool_call_id": None},
            {"role": "assistant", "text": "Good day", "content": None, "created_at": "2025-01-01T00:00:02"},
        ],
        "in_context_message_indices": [1], "llm_config": {"model": "gpt-4", "model_endpoint_type": "openai"},
        "embedding_config": {}, "tools": [{"name": "recall", "source_code": "def recall(): ..."}],
        "tags": [{"tag": "past"}], "tool_exec_environment_variables": [], "version": "0.6.47",
        "created_at": "2025-01-01T00:00:00", "updated_at": "2025-01-01T00:00:00",
    }  # fmt: skip


def every_source(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """By importer, each form of its sources."""
    claude = {
        "conversations.json": [claude_conversation()], "projects.json": [claude_project()],
        "users.json": [CLAUDE_USER],
    }  # fmt: skip
    apart = folder / "apart"
    written(apart / "conversations.json", [claude_conversation()])
    written(apart / "projects" / "p-1.json", claude_project())
    written(apart / "memories.json", CLAUDE_MEMORIES)
    gpt = {"conversations.json": [chatgpt_conversation()], "user.json": CHATGPT_USER, "chat.html": b"<html>"}
    lines(folder / "projects" / "-home-ada" / "s-1.jsonl", code_session())
    return {
        "chatgpt": [
            ("a file", written(folder / "gpt" / "conversations.json", [chatgpt_conversation()])),
            ("a ZIP", zipped(folder / "gpt.zip", gpt)),
            ("another name", written(folder / "mine.json", [chatgpt_conversation()])),
        ],
        "claude": [
            ("a file", written(folder / "cl" / "conversations.json", [claude_conversation()])),
            ("a ZIP", zipped(folder / "claude.zip", claude)),
            ("a folder", apart),
            ("a manifest", written(folder / "manifest-1.json", {"files": [
                {"filename": "conversations.zip", "url": "https://example.org/conversations.zip?x=1"}]})),
        ],
        "claude-code": [
            ("a file", lines(folder / "s-1.jsonl", code_session())),
            ("a folder", folder / "projects"),
        ],
        "open-webui": [("a file", written(folder / "chat-export.json", [webui_chat()]))],
        "chatbotui": [("a file", written(folder / "chatbot_ui.json", chatbotui_export()))],
        "letta": [
            ("a file", written(folder / "gardener.af", letta_file())),
            ("v1", written(folder / "old.af", letta_v1())),
        ],
    }  # fmt: skip


def places(value: object, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to each value in a value."""
    found = [way] if way else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        found += places(item, (*way, name))
    return found


def put(value: object, way: tuple[str | int, ...], new: object) -> None:
    """Put another value in a place."""
    for step in way[:-1]:
        value = value[step]  # type: ignore[index]
    value[way[-1]] = new  # type: ignore[index]
