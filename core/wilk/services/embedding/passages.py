"""Which text of which records is searched, and how a long text is parted.

Messages are searched where they lie; every other kind has its text copied into passages, because it
is a part of JSON, or of several columns, or too long to be one hit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from importlib import import_module
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec, models

if TYPE_CHECKING:
    from wilk.models.base import Model

VERSION = 1
"""Of the rules below; when they change, passages are made anew."""

LONGEST = 1500
"""Characters of one passage, and of the piece of a message that one vector stands for."""

MOST = 400
"""Passages of one record; what goes beyond them is not searched."""

PARTS_OF_OUTPUT = 4
"""Passages of a message of the role ``tool`` that get vectors: a listing of a thousand lines is found by
its words, and its meaning is told by its beginning."""

_LONGEST_WORD = 512  # what has no space for this long is no text: base64, a minified file
_LARGEST = 2**63


class Source(NamedTuple):
    """One kind of records that is searched by its passages: ``text`` gives what is searched of one.

    Model and record have one name; ``family`` is the module of either.
    """

    family: str
    name: str
    text: Callable[[Any], str]

    def model(self) -> type[Model]:
        """The model of its rows."""
        found: type[Model] = getattr(models, self.name)
        return found

    @property
    def record(self) -> Any:
        """The type of its records, whose module is imported when it is wanted."""
        return getattr(import_module(f"wilk.records.{self.family}"), self.name)

    def scope(self, record: Any) -> tuple[str | None, str | None]:
        """The session and the user that a record belongs to."""
        return getattr(record, "session_id", None), getattr(record, "user_id", None)


SOURCES: dict[str, Source] = {
    "memory": Source("connectome", "Memory", lambda one: one.content or _joined(one.data)),
    "pin": Source("memory", "Pin", lambda one: one.content),
    "document": Source(
        "connectome", "Document", lambda one: "\n\n".join(filter(None, [one.title, _joined(one.data)]))
    ),
    "summary": Source("memory", "Summary", lambda one: one.text),
    # What is not believed any more is not found.
    "fact": Source(
        "memory",
        "Fact",
        lambda one: "" if one.retracted_at else f"{one.subject} {one.predicate} {_joined(one.object)}",
    ),
    "interaction": Source("learning", "Interaction", lambda one: one.user_query),
    "pattern": Source(
        "learning",
        "Pattern",
        lambda one: "\n".join(filter(None, [one.name, one.description, _joined(one.sequence)])),
    ),
}
KINDS = ("message", *SOURCES)
"""The kinds that can be searched."""


def model_of(kind: str) -> Any:
    """The model of a kind of records."""
    return models.Message if kind == "message" else SOURCES[kind].model()


def passages(text: str) -> list[str]:
    """Part a text into pieces of at most ``LONGEST`` characters: at paragraphs, sentences, or spaces."""
    return parted(codec.storable_text(text)[0], LONGEST)


def parted(text: str, longest: int) -> list[str]:
    """Part a text into at most ``MOST`` pieces of at most ``longest`` characters; none is blank."""
    pieces: list[str] = []
    start, end = 0, len(text)
    while start < end and len(pieces) < MOST:
        stop = min(start + longest, end)
        if stop < end:
            stop = _break(text, start, stop)
        piece = text[start:stop].strip()
        if piece:
            pieces.append(piece)
        start = stop
    return pieces


def of_message(role: str, text: str) -> list[str]:
    """The passages of a message that get vectors, by part."""
    found = passages(text)
    return found[:PARTS_OF_OUTPUT] if role == "tool" else found


def _break(text: str, start: int, stop: int) -> int:
    """The best place to part a text in the latter half of a piece."""
    least = start + (stop - start) // 2
    for mark in ("\n\n", "\n", ". ", "! ", "? ", "。", " "):
        found = text.rfind(mark, least, stop)
        if found >= 0:
            return found + len(mark)
    return stop


def _joined(value: Any) -> str:
    return "\n".join(_texts(value))


def _texts(value: Any) -> Iterator[str]:
    """What a person would read in a JSON value, in its order. Goes down without recursion: documents nest.

    A value that is just being written gives the same as what the codec reads of it later.
    """
    from uuid import UUID  # slow to import, and needed only where texts are taken out of JSON

    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Enum):
            one = one.value
        if isinstance(one, str):
            if one.strip() and (len(one) <= _LONGEST_WORD or not re.search(rf"\S{{{_LONGEST_WORD}}}", one)):
                yield str.__str__(one)
        elif isinstance(one, bool) or one is None:
            continue
        elif isinstance(one, int):
            if abs(one) < _LARGEST:
                yield int.__repr__(one)
        elif isinstance(one, float):
            if isfinite(one):
                yield float.__repr__(one)
        elif isinstance(one, Mapping):
            waiting.extend(reversed(list(one.values())))
        elif isinstance(one, (list, tuple)):
            waiting.extend(reversed(one))
        elif isinstance(one, UUID):
            yield str(one)
