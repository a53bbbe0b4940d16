"""The messages of a Letta agent: content in parts, calls of tools and what these returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.contracts import IncomingCall, IncomingMessage
from wilk.errors import WilkError
from wilk.transfer.reading import foreign

if TYPE_CHECKING:
    from wilk.contracts import Reading

_READ = ("role", "content", "model", "tool_calls", "tool_call_id", "created_at")


def messages_of(
    agent: str, said: Sequence[Any], within: Any, reading: Reading, name: str
) -> list[IncomingMessage]:
    """The messages of an agent, in their order. ``within`` are the ids or places of those in its context."""
    known = {one for one in foreign.listed(within) if isinstance(one, (str, int))}
    results = _results(said)
    made: list[IncomingMessage] = []
    seen: set[str] = set()
    parent: str | None = None
    for number, message in enumerate(said):
        if not isinstance(message, dict):
            reading.fail("messages", f"{agent}.messages[{number}]", "it is no object")
            continue
        id = foreign.key(message.get("id"), number) if message.get("id") else f"message-{number}"
        if id in seen:
            reading.warn("messages whose id came twice got another one", agent)
            id = f"{id}~{number}"
        seen.add(id)
        own: dict[str, Any] = foreign.rest(message, *_READ)
        own["in_context"] = message.get("id", number) in known if message.get("id") else number in known
        at = foreign.moment(message.get("created_at"))
        if at is None and message.get("created_at") is not None:
            own["created_at"] = message["created_at"]
        role = foreign.name(message.get("role")) or "user"
        text, parts = _content(_said(message), own)
        calls = [one for one in foreign.listed(message.get("tool_calls")) if isinstance(one, dict)]
        if message.get("tool_calls") is not None and len(calls) != len(foreign.listed(message["tool_calls"])):
            own["tool_calls"] = message["tool_calls"]
        called = {foreign.text(part.get("id")) for part in parts or () if part.get("type") == "tool_call"}
        asked = [_asked(one, f"{agent}:{id}-call-{place}") for place, one in enumerate(calls)]
        more = [part for part in asked if part["id"] not in called]
        answer = _answer(message, text)
        if role == "tool" and answer is not None and not any(_is_result(part) for part in parts or ()):
            parts = [*(parts or ()), answer]
        elif more:
            parts = [*(parts or ([{"type": "text", "text": text}] if text else [])), *more]
        logged = [part for part in parts or () if part.get("type") == "tool_call"]
        made.append(
            IncomingMessage(
                foreign.key(f"{agent}:{id}"),
                role,
                text,
                parts=parts,
                parent=parent,
                agent=agent if role == "assistant" else None,
                model=foreign.name(message.get("model")),
                calls=tuple(_logged(part, results, at) for part in logged),
                metadata={name: foreign.apart(own)},
                created_at=at,
            )
        )
        parent = made[-1].key
    return made


def _said(message: Mapping[str, Any]) -> Any:
    """The content; the earliest files have a text."""
    return message["content"] if message.get("content") is not None else message.get("text")


def _content(content: Any, own: dict[str, Any]) -> tuple[str, list[Any] | None]:
    if isinstance(content, str) or content is None:
        return content or "", None
    if not isinstance(content, list):
        own["content"] = content
        return "", None
    parts = [_part(one) for one in content]
    text = foreign.joined([foreign.text(one.get("text")) for one in parts if one.get("type") == "text"])
    if len(parts) == 1 and parts[0].keys() == {"type", "text"} and parts[0]["type"] == "text":
        return text, None
    return text, parts or None


def _part(one: Any) -> dict[str, Any]:
    if not isinstance(one, dict):
        return {"type": "text", "text": one} if isinstance(one, str) else {"type": "unknown", "content": one}
    kind = one.get("type")
    if kind == "tool_call":
        called = {"type": kind, "id": one.get("id") or one.get("tool_call_id"), "name": one.get("name")}
        arguments = one.get("input", one.get("arguments"))
        return {**foreign.rest(one, "input", "arguments", "tool_call_id"), **called, "arguments": arguments}
    if kind == "tool_return":
        told = {"type": "tool_result", "tool_call_id": one.get("tool_call_id"), "content": one.get("content")}
        return {**one, **told}
    if kind == "reasoning":
        return {**foreign.rest(one, "reasoning"), "type": "thinking", "thinking": one.get("reasoning")}
    return one


def _asked(one: Mapping[str, Any], otherwise: str) -> dict[str, Any]:
    """A call in OpenAI's form, whose arguments are JSON in a text."""
    function = foreign.mapping(one.get("function"))
    arguments = function.get("arguments", one.get("arguments"))
    if isinstance(arguments, str):
        try:
            arguments = foreign.kept(codec.parse(arguments))
        except WilkError:
            arguments = function.get("arguments", one.get("arguments"))
    more = foreign.rest(one, "function", "id", "arguments", "name", "type")
    if inner := foreign.rest(function, "name", "arguments"):
        more["function"] = inner
    name = foreign.name(function.get("name")) or foreign.name(one.get("name")) or "unknown"
    id = foreign.name(one.get("id")) or otherwise
    return {**more, "type": "tool_call", "id": id, "name": name, "arguments": arguments}


def _answer(message: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    id = foreign.name(message.get("tool_call_id"))
    if id is None:
        returned = [one for one in foreign.listed(message.get("tool_returns")) if isinstance(one, dict)]
        id = next((found for one in returned if (found := foreign.name(one.get("tool_call_id")))), None)
    if id is None:
        return None
    return {
        "type": "tool_result",
        "tool_call_id": id,
        "name": foreign.name(message.get("name")),
        "content": text,
    }


def _results(said: Sequence[Any]) -> dict[str, tuple[Mapping[str, Any], Any]]:
    """The messages that answer calls, by the ids of these, and what they say."""
    found: dict[str, tuple[Mapping[str, Any], Any]] = {}
    for message in said:
        if not isinstance(message, dict) or message.get("role") != "tool":
            continue
        text, parts = _content(_said(message), {})
        for part in parts or ():
            if _is_result(part) and isinstance(part.get("tool_call_id"), str):
                found.setdefault(part["tool_call_id"], (message, part.get("content")))
        if (answer := _answer(message, text)) is not None:
            found.setdefault(answer["tool_call_id"], (message, text))
    return found


def _logged(
    part: Mapping[str, Any], results: Mapping[str, tuple[Mapping[str, Any], Any]], at: Any
) -> IncomingCall:
    id = foreign.text(part.get("id"))
    name = foreign.name(part.get("name")) or "unknown"
    found = results.get(id)
    if found is None:
        return IncomingCall(
            id or None, name, part.get("arguments"), None, "error", "there is no result", at, at
        )
    message, result = found
    returned = [one for one in foreign.listed(message.get("tool_returns")) if isinstance(one, dict)]
    failed = any(one.get("status") == "error" for one in returned)
    told = "the tool told of an error" if failed else None
    finished = foreign.moment(message.get("created_at")) or at
    return IncomingCall(
        id, name, part.get("arguments"), result, "error" if failed else "ok", told, at, finished
    )


def _is_result(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "tool_result"
