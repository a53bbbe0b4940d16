"""Where the old messages of a session may be parted from the new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from wilk import codec
from wilk.context.units import Links, extra_of, links
from wilk.records.conversation import Message

LEADING_ROLES = ("system", "developer")
"""The roles of messages that are the system prompt when they stand at the beginning."""


class _Linked(NamedTuple):
    """What of a message tells the calls that it makes or answers."""

    parts: Sequence[Any] | None
    extra: Mapping[str, Any] | None


class Line(NamedTuple):
    """What parting has to know of a message."""

    sequence: int
    role: str
    tokens: int
    links: Links

    @classmethod
    def of(cls, row: Sequence[Any]) -> Line:
        """A line of a row: sequence, role, tokens, and parts and metadata as the engine holds them."""
        sequence, role, tokens, parts, metadata = row
        linked = _Linked(
            None if parts is None else codec.kept(parts, list),
            extra_of(codec.kept(metadata, dict)) if metadata else None,
        )
        return cls(sequence, role, tokens, links(cast(Any, linked)))

    @classmethod
    def of_message(cls, message: Message) -> Line:
        """A line of a message."""
        linked = _Linked(message.parts, extra_of(message.metadata))
        return cls(message.sequence, message.role, message.tokens, links(cast(Any, linked)))


def leading(lines: Sequence[Line]) -> int:
    """How many messages at the very beginning of a session are its system prompt."""
    count = 0
    for line in lines:
        if line.sequence != count + 1 or line.role not in LEADING_ROLES or any(line.links):
            break
        count += 1
    return count


def places(lines: Sequence[Line], lead: int, *, open_ended: bool = True) -> list[int]:
    """The places after which messages may be parted: no call from its result, the newest message
    from nothing behind it. ``open_ended``: results of the newest turn's calls may still come."""
    closed = [0] * (len(lines) + 1)  # how many ranges that must stay whole begin, less those that end
    called: dict[str, int] = {}
    turn = 0
    for i, line in enumerate(lines):
        for id in line.links.results:
            if id in called:
                _close(closed, called[id], i)
        for id in line.links.calls:
            called[id] = i
        if line.role == "tool" and i:
            _close(closed, i - 1, i)
        if line.role == "user" and not line.links.results:
            turn = i
    if open_ended:
        answered = {id for line in lines for id in line.links.results}
        for id, i in called.items():
            if i >= turn and id not in answered:
                _close(closed, i, len(lines))
    found, depth = [], 0
    for i in range(len(lines) - 1):
        depth += closed[i]
        if not depth and i >= lead:
            found.append(i)
    return found


def _close(closed: list[int], first: int, end: int) -> None:
    """Let nothing be parted after the places from ``first`` to before ``end``."""
    closed[first] += 1
    closed[end] -= 1
