"""Pieces of Markdown: texts that stay what they were, folds, and the parts of a message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from wilk import codec

if TYPE_CHECKING:
    from wilk.records.conversation import BranchMessage, Message

_FENCE = re.compile(r"[ \t]*(?:>[ \t]*)*(`{3,}|~{3,})(.*)")
_WILD = re.compile(
    r"\s{0,3}(?:#{1,6}(?:\s|$)|=+\s*$|-+\s*$|(?:[-*_]\s*){3,}$|\[[^\]]+\]:)"  # headings, rules, references
)
_HTML = re.compile(r"<[A-Za-z/!?]|&[#A-Za-z][A-Za-z0-9]*;")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")
_LONGEST_DATA = 2000
_NAMES = ("filename", "file_name", "name", "title", "file_id", "url", "path", "id")


def text_block(text: str, *, raw: bool = False, language: str = "") -> str:
    """A text as a block: as it is where that is safe, else in a fence. ``raw``: always in a fence."""
    text = text.replace("\0", "␀")
    if not raw and is_tame(text):
        return text.rstrip("\n")
    mark = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    end = "" if text.endswith("\n") else "\n"
    return f"{mark}{language or ('' if raw else 'markdown')}\n{text}{end}{mark}"


def is_tame(text: str) -> bool:
    """Whether a text can stand between the parts of a file without being taken for one, or for HTML."""
    if "\r" in text.replace("\r\n", "") or any(ord(c) < 32 and c not in "\t\n\r" for c in text):
        return False
    fence = ""
    for line in text.splitlines():
        found = _FENCE.fullmatch(line)
        if fence:
            if found and found[1].startswith(fence) and not found[2].strip():
                fence = ""
            continue
        if found and not (found[1][0] == "`" and "`" in found[2]):
            if line[0] in " \t>":  # within a list or a quotation, where its end is not ours to tell
                return False
            fence = found[1]
        elif _WILD.match(line) or _HTML.search(_CODE.sub("", line)):
            return False
    return not fence


def inline(text: Any) -> str:
    """A text in a heading, a link or a line: on one line, with nothing in it that Markdown reads."""
    told = " ".join(str(text).replace("\0", "␀").split())
    return _SPECIAL.sub(r"\\\1", told[:200] + ("…" if len(told) > 200 else ""))


def quoted(value: Any, *, indent: bool = False) -> str:
    """A value as JSON, which is YAML as well."""
    plain = codec.file_value(codec.dumps(value).encode())  # what JSON has no form for is marked
    told = codec.pretty(value if isinstance(value, str) else plain)
    return told if indent or isinstance(value, str) else " ".join(told.split("\n"))


def details(summary: str, body: str) -> str:
    """A fold that people open."""
    told = escape(" ".join(summary.replace("\0", "␀").split())[:300])
    return f"<details>\n<summary>{told}</summary>\n\n{body}\n\n</details>"


def shown_parts(
    message: Message | BranchMessage, told: set[str], lost: Callable[[str], None]
) -> Iterator[str]:
    """The parts of a message that its text does not have; ``told`` gets the ids of the calls among them."""
    said = message.text
    for part in message.parts or ():
        if not isinstance(part, Mapping):
            yield text_block(part if isinstance(part, str) else quoted(part, indent=True))
            continue
        kind = str(part.get("type", "")).replace("-", "_")
        text = part.get("text", part.get("content") if kind == "text" else None)
        if isinstance(text, Mapping):
            text = text.get("value")
        if kind in ("text", "input_text", "output_text", "") and isinstance(text, str):
            if text.strip() and text.strip() not in said:
                yield text_block(text)
        elif kind in ("tool_call", "tool_use", "function_call"):
            yield _call(part, told)
        elif kind in ("tool_result", "function_call_output"):
            result = part.get("content", part.get("output", part.get("result")))
            plain = (_plain(result) or "").strip()
            if not plain or plain not in said:
                yield details(f"Result of {_id(part)}", _json_or_text(result))
        elif kind in ("thinking", "reasoning", "think") and isinstance(part.get(kind, text), str):
            yield details("Thinking", text_block(str(part.get(kind, text))))
        else:
            yield _other(kind, part, lost)
    calls = message.metadata.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, Mapping) and not {str(call.get("id"))} & told:
            yield _call(call, told)


def _call(part: Mapping[str, Any], told: set[str]) -> str:
    inner: Mapping[str, Any] = next(
        (part[name] for name in ("tool_call", "function") if isinstance(part.get(name), Mapping)), {}
    )
    call = {**part, **inner}
    for key in ("call_id", "tool_call_id", "toolCallId", "id"):
        if isinstance(call.get(key), str):
            told.add(call[key])
    arguments = call.get("arguments", call.get("args", call.get("input")))
    body = _json_or_text(arguments, "json")
    output = call.get("output")
    if output is not None:
        body += "\n\nResult:\n\n" + _json_or_text(output)
    return details(f"Tool call: {call.get('name', 'unknown')}", body)


def _other(kind: str, part: Mapping[str, Any], lost: Callable[[str], None]) -> str:
    """An attachment by its name, anything else as JSON; large data stay out."""
    source: Mapping[str, Any] = part
    for name in ("image_url", "file", "image_file", "source", "image", "input_audio"):
        if isinstance(part.get(name), Mapping):
            source = {**part, **part[name]}
    named = next((source[name] for name in _NAMES if isinstance(source.get(name), str)), None)
    if any(word in kind for word in ("image", "file", "audio", "video", "document", "attachment")):
        if named is None or named.startswith("data:"):
            lost("messages.parts: data of attachments")
            named = None
        size = sum(len(one) for one in source.values() if isinstance(one, str) and len(one) > _LONGEST_DATA)
        more = f", {size:,} characters of data" if size else ""
        return f"Attachment: {inline(named or 'without a name')} ({inline(kind)}{more})"
    whole = quoted(part, indent=True)
    if len(whole) > 50 * _LONGEST_DATA:
        lost("messages.parts: large parts of unknown kinds")
        whole = whole[: 50 * _LONGEST_DATA] + "\n…"
    return details(f"Part: {kind or 'of no type'}", text_block(whole, raw=True, language="json"))


def _json_or_text(value: Any, language: str = "") -> str:
    if (text := _plain(value)) is not None:
        return text_block(text, raw=True, language=language if isinstance(value, str) else "")
    return text_block(quoted(value, indent=True), raw=True, language="json")


def _plain(value: Any) -> str | None:
    """A text, or a list of parts that are text alone, as one text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        texts = [one.get("text") if isinstance(one, Mapping) else None for one in value]
        if all(isinstance(one, str) for one in texts):
            return "\n".join(str(one) for one in texts)
    return None


def _id(part: Mapping[str, Any]) -> str:
    for key in ("name", "tool_call_id", "tool_use_id", "call_id", "toolCallId"):
        if isinstance(part.get(key), str):
            return str(part[key])
    return "a tool"
