"""What ChatGPT's messages say: each type of content as text and parts, and the way back.

What neither the text nor the parts tell is kept beside them, so that nothing of a type that is not known, or
not known yet, is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from wilk import codec
from wilk.contracts import IncomingCall
from wilk.errors import WilkError
from wilk.transfer.reading import foreign

_FIELDS = {
    "code": "text",
    "execution_output": "text",
    "system_error": "text",
    "tether_quote": "text",
    "reasoning_recap": "content",
    "tether_browsing_display": "result",
}
"""The types whose text is one field."""
_TEXTS = (
    "text",
    "result",
    "content",
    "summary",
    "output",
    "user_profile",
    "user_instructions",
    "model_set_context",
    "output_str",
    "name",
)
"""Where a type that is not known may have its text."""
_OURS = ("tool_call", "tool_result")


class Content(NamedTuple):
    """A content: its type, its text, its parts if it is more than text, and what is kept beside."""

    kind: str
    text: str
    parts: list[Any] | None
    kept: dict[str, Any]


def content_of(content: Any, located: Callable[[Any], str | bool | None] | None) -> Content:
    """Take a content apart. ``located`` tells where the file of a pointer is in the export."""
    if not isinstance(content, dict):
        return Content("text", foreign.text(content), None, {} if content is None else {"whole": content})
    kind = foreign.text(content.get("content_type"))
    if kind in ("text", "multimodal_text") and isinstance(content.get("parts"), list):
        return _of_parts(kind, content, located)
    thoughts = content.get("thoughts")
    if kind == "thoughts" and isinstance(thoughts, list) and all(isinstance(one, dict) for one in thoughts):
        return _of_thoughts(content)
    if kind in _FIELDS and isinstance(content.get(_FIELDS[kind]), str):
        return Content(kind, content[_FIELDS[kind]], None, foreign.rest(content, _FIELDS[kind]))
    said = foreign.joined([foreign.text(content.get(name)) for name in _TEXTS])
    return Content(kind, said, None, {"whole": content})


def content_again(text: str, parts: Sequence[Any] | None, kept: Mapping[str, Any]) -> Any:
    """The content of which :func:`content_of` made a text, parts, and what is kept beside."""
    if "whole" in kept:
        return kept["whole"]
    more = [part for part in parts or () if not _is_ours(part)]
    kind = kept.get("content_type")
    if kind in _FIELDS:
        return {**kept, _FIELDS[kind]: text}
    if kind == "thoughts":
        return {**kept, "thoughts": [_thought_again(part) for part in more]}
    if "parts" in kept:
        return dict(kept)
    rich = any(not isinstance(part, Mapping) or part.get("type") != "text" for part in more)
    said = [_part_again(part) for part in more] if more else [text]
    return {"content_type": "multimodal_text" if rich else "text", **kept, "parts": said}


def call_of(id: str, message: Mapping[str, Any]) -> IncomingCall | None:
    """The call that a message makes: it is addressed to a tool."""
    recipient = foreign.name(message.get("recipient"))
    if recipient in (None, "all") or foreign.mapping(message.get("author")).get("role") != "assistant":
        return None
    said = content_of(message.get("content"), None).text
    arguments: Any = said
    if said.lstrip()[:1] in ("{", "["):
        try:
            arguments = foreign.kept(codec.parse(said))
        except WilkError:
            arguments = said  # a program, or JSON that was cut off
    return IncomingCall(id, recipient or "", arguments)


def answers(
    id: str,
    said: Mapping[str, Mapping[str, Any]],
    parents: Mapping[str, str | None],
    calls: Mapping[str, IncomingCall],
) -> str | None:
    """The call that a tool's message answers: the nearest one before it, in the same turn."""
    author = foreign.mapping(said[id].get("author"))
    if author.get("role") != "tool":
        return None
    name = foreign.text(author.get("name"))
    at = parents[id]
    while at is not None and foreign.mapping(said[at].get("author")).get("role") in ("assistant", "tool"):
        if at in calls and (not name or name.split(".")[0] == calls[at].name.split(".")[0]):
            return at
        at = parents[at]
    return None


def _of_parts(
    kind: str, content: Mapping[str, Any], located: Callable[[Any], str | bool | None] | None
) -> Content:
    given = content["parts"]
    said = foreign.joined([one if isinstance(one, str) else _text_of(one) for one in given])
    kept = foreign.rest(content, "parts", *(["content_type"] if kind == "text" else []))
    if len(given) == 1 and isinstance(given[0], str):
        return Content(kind, said, None, kept)
    if not given:
        return Content(kind, "", None, {**kept, "parts": [], "content_type": kind})
    return Content(kind, said, [_part(one, located) for one in given], {**kept, "content_type": kind})


def _part(part: Any, located: Callable[[Any], str | bool | None] | None) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = part.get("content_type") if isinstance(part, dict) else None
    if (
        not isinstance(kind, str)
        or kind in ("text", "chatgpt", *_OURS)
        or {"type", "in_export"} & part.keys()
    ):
        return {"type": "chatgpt", "part": part}
    found: dict[str, Any] = {"type": kind, **foreign.rest(part, "content_type")}
    nested = foreign.mapping(part.get("audio_asset_pointer"))
    pointer = part.get("asset_pointer", nested.get("asset_pointer"))
    if located is not None and pointer is not None:
        place = located(pointer)
        if place is not None:
            found["in_export"] = place
    return found


def _text_of(part: Any) -> str:
    """What was said aloud is told as a text."""
    return foreign.text(part.get("text")) if isinstance(part, dict) else ""


def _part_again(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    if part.get("type") == "text" and part.keys() == {"type", "text"}:
        return part["text"]
    if part.get("type") == "chatgpt":
        return part.get("part")
    return {"content_type": part.get("type"), **foreign.rest(part, "type", "in_export")}


def _of_thoughts(content: Mapping[str, Any]) -> Content:
    parts = [
        {"type": "thinking", "thinking": foreign.text(one.get("content")), "of": one}
        if {"type", "thinking", "of"} & one.keys() or not isinstance(one.get("content"), str)
        else {"type": "thinking", "thinking": one["content"], **foreign.rest(one, "content")}
        for one in content["thoughts"]
    ]
    return Content("thoughts", "", parts, foreign.rest(content, "thoughts"))


def _thought_again(part: Any) -> Any:
    if not isinstance(part, Mapping) or "of" in part:
        return part["of"] if isinstance(part, Mapping) else part
    return {**foreign.rest(part, "type", "thinking"), "content": part.get("thinking")}


def _is_ours(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _OURS
