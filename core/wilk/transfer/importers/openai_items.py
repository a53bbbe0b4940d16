"""Items of OpenAI's Responses API as messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wilk.contracts import IncomingCall, IncomingMessage
from wilk.errors import Invalid
from wilk.transfer.reading.columns import Values, loads
from wilk.transfer.reading.tables import Row

_TEXTS = ("input_text", "output_text", "text", "summary_text", "refusal")
_OUTPUTS = ("_output", "_response")


def message(row: Row, key: str, values: Values, answer: Callable[[Row, str], Any]) -> IncomingMessage | None:
    """The message that a row holds; None, and told, when it cannot be read. ``answer`` finds the output of
    a call that a row makes."""
    try:
        item = loads(row["message_data"], values.reading.warn)
    except Invalid:
        values.reading.fail("messages", key, "message_data is no JSON", "message_data")
        return None
    if not isinstance(item, dict):
        values.reading.fail("messages", key, "message_data is no object", "message_data")
        return None
    made = _made(item, key, values)
    created = values.time(row.get("created_at"), "messages.created_at")
    calls = [_answered(call, answer(row, str(call.call_id))) for call in made.calls]
    return replace(made, created_at=created, calls=calls)


def output_of(row: Row, call: str) -> Any:
    """The output that a row holds of a call, or None."""
    if call not in str(row["message_data"]):
        return None
    try:
        item = loads(row["message_data"])
    except Invalid:
        return None
    mine = isinstance(item, dict) and item.get("call_id") == call
    return item.get("output") if mine and str(item.get("type")).endswith("_call_output") else None


def _answered(call: IncomingCall, output: Any) -> IncomingCall:
    return replace(call, result=output, status="running" if output is None else "ok")


def behind(message: IncomingMessage, parent: str | None) -> IncomingMessage:
    """The message with the one that it follows."""
    return replace(message, parent=parent)


def _made(item: dict[str, Any], key: str, values: Values) -> IncomingMessage:
    kind = str(item.get("type") or "message")
    if "__enc__" in item:
        values.reading.warn("encrypted items are kept as they are: their text cannot be read without the key")
        return IncomingMessage(key, "unknown", parts=[{"type": "encrypted", "item": item}])
    if "role" in item:
        return _said(item, key)
    if kind == "function_call" or (kind.endswith("_call") and "call_id" in item and "name" in item):
        return _call(item, kind, key, values)
    if kind.endswith("_call_output") and "call_id" in item:
        return _output(item, key)
    if kind == "reasoning":
        return IncomingMessage(key, "assistant", parts=[item], metadata=_about(item))
    role = "tool" if kind.endswith(_OUTPUTS) else "system" if kind == "compaction" else "assistant"
    return IncomingMessage(key, role, parts=[{**item, "type": kind}], metadata=_about(item))


def _said(item: dict[str, Any], key: str) -> IncomingMessage:
    content = item.get("content")
    parts = content if isinstance(content, list) else None
    text = content if isinstance(content, str) else _text(content)
    # Text and nothing else needs no parts.
    if parts is not None and len(parts) == 1 and _is_plain(parts[0]):
        parts = None
    about = {name: value for name, value in item.items() if name not in ("role", "content", "type")}
    return IncomingMessage(
        key, str(item["role"]), text, parts=parts, metadata={"openai-agents": about} if about else {}
    )


def _is_plain(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and part.get("type") in ("input_text", "output_text")
        and all(name in ("type", "text") or not value for name, value in part.items())
    )


def _call(item: dict[str, Any], kind: str, key: str, values: Values) -> IncomingMessage:
    arguments = item.get("arguments", item.get("input"))
    if isinstance(arguments, str) and kind == "function_call":
        arguments = values.json(arguments, "function_call.arguments")
    call, name = str(item.get("call_id") or item.get("id")), str(item.get("name") or kind)
    part = {"type": "tool_call", "id": call, "name": name, "arguments": arguments}
    return IncomingMessage(
        key,
        "assistant",
        parts=[part],
        calls=[IncomingCall(call, name, arguments)],
        metadata=_about(item, "call_id", "name", "arguments", "input"),
    )


def _output(item: dict[str, Any], key: str) -> IncomingMessage:
    output = item.get("output")
    part = {"type": "tool_result", "tool_call_id": str(item["call_id"]), "content": output}
    text = output if isinstance(output, str) else _text(output)
    return IncomingMessage(key, "tool", text, parts=[part], metadata=_about(item, "call_id", "output"))


def _about(item: dict[str, Any], *used: str) -> dict[str, Any]:
    """What of an item is in no part of the message."""
    about = {name: value for name, value in item.items() if name not in used}
    return {"openai-agents": about if used else {"type": item.get("type"), "id": item.get("id")}}


def _text(content: Any) -> str:
    found = []
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type") in _TEXTS:
            text = part.get("text", part.get("refusal"))
            if isinstance(text, str):
                found.append(text)
    return "\n\n".join(found)
