"""LibreChat's own file of one conversation, flat or nested, as the documents of its collections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FILE = "export"
"""Under which name the conversation keeps what only this file has."""
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)
_OF_FILE = ("exportAt", "branches", "recursive", "options")


def conversation(file: Mapping[str, Any]) -> dict[str, Any]:
    """The conversation of a file. ``exportAt`` is a time of day without a date, and is kept as it is."""
    made = {
        name: value for name, value in file.items() if name not in (*_OF_FILE, "messages", "messagesTree")
    }
    made[FILE] = {name: file[name] for name in _OF_FILE if name in file}
    options = file.get("options")
    if isinstance(options, Mapping):
        made |= {
            name: options[name] for name in ("model", "agent_id") if name in options and name not in made
        }
    return made


def message(document: Mapping[str, Any], file: Mapping[str, Any], around: str | None) -> dict[str, Any]:
    """A message of a file: what it does not say of itself, the file says. ``around`` is the one it is in."""
    made = {name: value for name, value in document.items() if name != "children"}
    if around is not None:
        made.setdefault("parentMessageId", around)
    made.setdefault("conversationId", file["conversationId"])
    if "user" not in made and "user" in file:
        made["user"] = file["user"]
    return made


def split(data: bytes) -> tuple[bytes, list[tuple[bytes, int | None]]] | None:
    """A file as the bytes of the conversation without its messages, and of each message without its children.

    With each message comes the place, in that list, of the one around it. Messages may be nested as deep as
    they like: nothing recurses. None for what has no messages at its top.
    """
    text = data.removeprefix(b"\xef\xbb\xbf")
    messages: list[tuple[bytes, int | None]] = []
    # For each object that is open: where its uncut bytes begin, the pieces before, its place, its depth.
    frames: list[_Frame] = []
    found = False
    key: tuple[bytes, int] | None = None
    for token in _TOKENS.finditer(text):
        mark = token[0]
        at = token.start()
        if mark[:1] == b'"':
            key = (mark, at)
            continue
        frame = frames[-1] if frames else None
        if frame is None:
            if mark != b"{":
                return None
            frames.append(_Frame(at, None))
        elif mark in (b"{", b"["):
            if mark == b"[" and frame.level == 1 and _opens(text, key, at, frame.around is None):
                frame.pieces.append(text[frame.start : key[1]] if key else b"")
                frame.pieces.append((key[0] if key else b"") + b":null")
                frame.lists += 1
                frame.level += 1
                found = True
            elif mark == b"{" and frame.level == 2 and frame.lists % 2:
                messages.append((b"", frame.place))
                inner = _Frame(at, frame)
                inner.place = len(messages) - 1
                frames.append(inner)
            else:
                frame.level += 1
        else:
            frame.level -= 1
            if frame.level == 1 and frame.lists % 2:
                frame.lists += 1
                frame.start = token.end()
            elif frame.level == 0:
                frame.pieces.append(text[frame.start : token.end()])
                frames.pop()
                if frame.around is None:
                    return (b"".join(frame.pieces), messages) if found else None
                messages[frame.place or 0] = (b"".join(frame.pieces), messages[frame.place or 0][1])
        key = None
    return None


class _Frame:
    """An object that is open. ``lists`` is odd while its list of messages is."""

    __slots__ = ("around", "level", "lists", "pieces", "place", "start")

    def __init__(self, start: int, around: _Frame | None) -> None:
        self.start = start
        self.around = around
        self.level = 1
        self.lists = 0
        self.pieces: list[bytes] = []
        self.place: int | None = None


def _opens(text: bytes, key: tuple[bytes, int] | None, at: int, top: bool) -> bool:
    """Whether the list that begins here is one of messages."""
    if key is None or key[0] not in ((b'"messages"', b'"messagesTree"') if top else (b'"children"',)):
        return False
    between = text[key[1] + len(key[0]) : at].strip()
    return between == b":" and text[at + 1 : at + 200].lstrip()[:1] in (b"{", b"]")
