"""LangChain's messages, as checkpoints hold them, as wilk's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from wilk import IncomingCall, IncomingMessage

_ROLES = {
    "HumanMessage": "user", "AIMessage": "assistant", "SystemMessage": "system", "ToolMessage": "tool",
    "FunctionMessage": "tool", "HumanMessageChunk": "user", "AIMessageChunk": "assistant",
    "SystemMessageChunk": "system", "ToolMessageChunk": "tool", "FunctionMessageChunk": "tool",
    "ChatMessage": "", "ChatMessageChunk": "",
}  # fmt: skip
_TYPES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "tool"}
_USED = ("content", "type", "id", "tool_calls", "role", "tool_call_id")


class Said(NamedTuple):
    """A message of a checkpoint: its own id, its role, and the fields of its class."""

    id: str | None
    role: str
    fields: Mapping[str, Any]


def said(value: Any) -> Said | None:
    """A message: one of LangChain's, a mapping with a role, or a pair of role and text. None: it is none."""
    if isinstance(value, Mapping) and isinstance(value.get("value"), Mapping) and "$ext" in value:
        name = str(value.get("type")).rpartition(".")[2]
        fields = value["value"]
        if name not in _ROLES:
            return None
        return Said(_id(fields), _ROLES[name] or str(fields.get("role") or "user"), fields)
    if isinstance(value, Mapping) and "content" in value:
        role = value.get("role") or value.get("type")
        if isinstance(role, str):
            return Said(_id(value), _role(role), value)
    if isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value):
        return Said(None, _role(value[0]), {"content": value[1]})
    return None


def _role(named: str) -> str:
    return _TYPES.get(named, named)


def is_removal(value: Any) -> str | None:
    """The id of the message that a ``RemoveMessage`` takes away; None: it is none."""
    if isinstance(value, Mapping) and str(value.get("type")).endswith(".RemoveMessage"):
        inner = value.get("value")
        return _id(inner) if isinstance(inner, Mapping) else None
    return None


def incoming(
    one: Said,
    key: str,
    parent: str | None,
    results: Mapping[str, Said],
    metadata: Mapping[str, Any],
    moment: datetime | None,
) -> IncomingMessage:
    """The message as wilk takes it; ``results`` are the answers of tools by the id of their call."""
    fields = one.fields
    content = fields.get("content")
    parts = [_part(part) for part in content] if isinstance(content, list) else []
    text = content if isinstance(content, str) else _text(content)
    calls = []
    for call in _calls(fields):
        if not any(part.get("type") == "tool_call" and part.get("id") == call["id"] for part in parts):
            parts.append(call)
        calls.append(_logged(call, results))
    if one.role == "tool":
        parts = [{"type": "tool_result", "tool_call_id": fields.get("tool_call_id"), "content": content}]
        if fields.get("status"):
            parts[0]["status"] = fields["status"]
    elif calls and text and isinstance(content, str):
        parts.insert(0, {"type": "text", "text": text})
    about = {
        name: value for name, value in fields.items() if name not in _USED and value not in (None, [], {})
    }
    if one.id is not None:
        about["id"] = one.id
    tokens = _usage(fields)
    return IncomingMessage(
        key=key,
        role=one.role,
        text=text,
        parts=parts or None,
        parent=parent,
        model=_model(fields),
        tokens=tokens,
        calls=calls,
        metadata={"langgraph": {**about, **metadata}},
        created_at=moment,
    )


def _id(fields: Mapping[str, Any]) -> str | None:
    found = fields.get("id")
    return found if isinstance(found, str) and found else None


def _calls(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = fields.get("tool_calls")
    if not given and isinstance(extra := fields.get("additional_kwargs"), Mapping):
        given = extra.get("tool_calls")
    found = []
    for call in given if isinstance(given, list) else ():
        if not isinstance(call, Mapping):
            continue
        function = call.get("function")
        inner: Mapping[str, Any] = function if isinstance(function, Mapping) else call
        found.append({
            "type": "tool_call", "id": call.get("id"), "name": str(inner.get("name") or "unknown"),
            "arguments": inner.get("args", inner.get("arguments")),
        })  # fmt: skip
    return found


def _logged(call: Mapping[str, Any], results: Mapping[str, Said]) -> IncomingCall:
    result = results.get(str(call["id"]))
    failed = result is not None and result.fields.get("status") == "error"
    content = None if result is None else result.fields.get("content")
    return IncomingCall(
        call_id=None if call["id"] is None else str(call["id"]),
        name=call["name"],
        arguments=call["arguments"],
        result=None if failed else content,
        status="error" if failed else "running" if result is None else "ok",
        error=_text(content) if failed else None,
    )


def _part(part: Any) -> dict[str, Any]:
    return dict(part) if isinstance(part, Mapping) else {"type": "text", "text": str(part)}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    found = []
    for part in content if isinstance(content, list) else ():
        text = part.get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            found.append(text)
    return "\n\n".join(found)


def _model(fields: Mapping[str, Any]) -> str | None:
    about = fields.get("response_metadata")
    for name in ("model_name", "model"):
        if isinstance(about, Mapping) and isinstance(found := about.get(name), str):
            return found
    return None


def _usage(fields: Mapping[str, Any]) -> int | None:
    usage = fields.get("usage_metadata")
    found = usage.get("output_tokens") if isinstance(usage, Mapping) else None
    return found if type(found) is int and 0 <= found < 2**31 else None
