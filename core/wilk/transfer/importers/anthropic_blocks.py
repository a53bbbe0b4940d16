"""Blocks of Anthropic's messages as messages here: what tools answered becomes a message of its own.

Claude.ai's export has calls and results in one message; Claude Code's transcripts have the results in what
follows. Fields of blocks that are not known stay in the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from wilk.contracts import IncomingCall
from wilk.transfer.reading import foreign


class Turn(NamedTuple):
    """A part of a message that is a message here."""

    key: str
    role: str
    text: str
    parts: list[Any] | None
    calls: tuple[IncomingCall, ...]
    at: datetime | None = None


class Answer(NamedTuple):
    """What a tool answered, and when."""

    block: Mapping[str, Any]
    at: datetime | None


def is_result(block: Any) -> bool:
    """Whether a block is what a tool answered (``tool_result``, ``web_search_tool_result`` and the like)."""
    return isinstance(block, dict) and foreign.text(block.get("type")).endswith("tool_result")


def is_call(block: Any) -> bool:
    """Whether a block calls a tool (``tool_use``, ``server_tool_use`` and the like)."""
    return isinstance(block, dict) and foreign.text(block.get("type")).endswith("tool_use")


def answers(blocks: Iterable[Any], at: datetime | None = None) -> dict[str, Answer]:
    """The results among some blocks, by the ids of their calls."""
    found: dict[str, Answer] = {}
    for block in blocks:
        if is_result(block) and isinstance(id := block.get("tool_use_id"), str):
            found.setdefault(id, Answer(block, foreign.moment(block.get("stop_timestamp")) or at))
    return found


def turns(
    blocks: Sequence[Any],
    key: str,
    role: str,
    at: datetime | None,
    answered: Mapping[str, Answer] | None = None,
) -> list[Turn]:
    """The messages that blocks make up. ``answered`` are the results of calls, where they are in others.

    Calls and results without ids, as older exports have them, are paired by their order.
    """
    blocks = _paired(blocks, key)
    known = {**answers(blocks, at), **(answered or {})}
    groups: list[tuple[str, list[Any]]] = []
    for block in blocks:
        kind = "tool" if is_result(block) else role
        if not groups or groups[-1][0] != kind:
            groups.append((kind, []))
        groups[-1][1].append(block)
    found = []
    for number, (kind, group) in enumerate(groups):
        begun = next((since for one in group if (since := _since(one)) is not None), None)
        plain = len(group) == 1 and isinstance(group[0], dict) and group[0].keys() == {"type", "text"}
        plain = plain and group[0]["type"] == "text" and isinstance(group[0]["text"], str)
        found.append(
            Turn(
                key if number == 0 else f"{key}~{number}",
                kind,
                foreign.joined([_said(block) for block in group]),
                None if plain else [_part(block) for block in group],
                tuple(_call(block, known, begun or at) for block in group if is_call(block)),
                begun if number else None,
            )
        )
    return found


def said(content: Any) -> str:
    """The text of a content: of a text, or of a list of blocks."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    return foreign.joined(
        [foreign.text(one.get("text")) for one in foreign.listed(content) if isinstance(one, dict)]
    )


def _since(block: Any) -> datetime | None:
    return foreign.moment(block.get("start_timestamp")) if isinstance(block, dict) else None


def _said(block: Any) -> str:
    if isinstance(block, str):
        return block
    if is_result(block):
        return said(block.get("content"))
    return foreign.text(block.get("text")) if isinstance(block, dict) and block.get("type") == "text" else ""


def _part(block: Any) -> Any:
    if is_call(block):
        more = foreign.rest(block, "type", "id", "name", "input")
        of = {} if block["type"] == "tool_use" else {"of": block["type"]}
        called = {"type": "tool_call", "id": block.get("id"), "name": block.get("name")}
        return {**more, **of, **called, "arguments": block.get("input")}
    if is_result(block):
        more = foreign.rest(block, "type", "tool_use_id", "content")
        of = {} if block["type"] == "tool_result" else {"of": block["type"]}
        told = {"type": "tool_result", "tool_call_id": block.get("tool_use_id")}
        return {**more, **of, **told, "content": block.get("content")}
    if isinstance(block, str):
        return {"type": "text", "text": block}
    return block if isinstance(block, dict) else {"type": "unknown", "block": block}


def _call(block: Mapping[str, Any], answered: Mapping[str, Answer], at: datetime | None) -> IncomingCall:
    id = foreign.text(block.get("id"))
    name = foreign.name(block.get("name")) or "unknown"
    begun = _since(block) or at
    answer = answered.get(id)
    if answer is None:
        return IncomingCall(
            id or None, name, block.get("input"), None, "error", "there is no result", begun, begun
        )
    failed = answer.block.get("is_error") is True
    told = said(answer.block.get("content"))[:2000] or "the tool told of an error"
    return IncomingCall(
        id, name, block.get("input"), answer.block.get("content"), "error" if failed else "ok",
        told if failed else None, begun, answer.at or begun,
    )  # fmt: skip


def _paired(blocks: Sequence[Any], key: str) -> list[Any]:
    """The blocks, each call and result with an id."""
    found: list[Any] = []
    open: list[tuple[str, Any]] = []
    for number, block in enumerate(blocks):
        if is_call(block):
            id = foreign.name(block.get("id")) or f"{key}-call-{number}"
            block = {**block, "id": id}
            open.append((id, block.get("name")))
        elif is_result(block):
            id = foreign.name(block.get("tool_use_id")) or next(
                (one for one, name in open if name == block.get("name")), open[0][0] if open else ""
            )
            if id:
                block = {**block, "tool_use_id": id}
                open = [one for one in open if one[0] != id]
        found.append(block)
    return found
