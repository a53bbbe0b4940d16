"""What belongs to whom: for each table its kind, its key, and the columns by which its rows belong to others.

The same words are read as SQL (rows in tables, also those of copies by earlier schemas) and over single
rows (what lies in the archive), so that both agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from wilk import codec
from wilk.errors import WilkError


class Link(NamedTuple):
    """A column that names what a row belongs to, of one of ``kinds``.

    ``kind_column`` tells of which kind where one column names several; ``kinds`` are those that count then.
    """

    column: str
    kinds: tuple[str, ...]
    kind_column: str | None = None


class Member(NamedTuple):
    """One table whose rows may belong to a person or a session.

    ``key`` are the columns that name a row, ``id`` the one by which other rows name it. ``sources``: a JSON
    column of ids that the row was made of; it goes when all of them do.
    """

    table: str
    kind: str
    key: tuple[str, ...] = ("id",)
    id: str | None = "id"
    links: tuple[Link, ...] = ()
    sources: str | None = None


_SESSION = Link("session_id", ("session",))
_USER = Link("user_id", ("user",))
_INTERACTION = Link("interaction_id", ("interaction",))
_CONVERSATION = Link("conversation_id", ("document", "session"))

EMBEDDED = ("message", "memory", "pin", "document", "summary", "fact", "interaction", "pattern")
"""Kinds of records that have passages and vectors."""

_DERIVED = Link("record_id", EMBEDDED, "kind")

# What refers to others stands before them: rows are deleted in this order.
MEMBERS = (
    Member("passages", "passage", ("pk",), None, (_DERIVED, _SESSION, _USER)),
    Member("pending_vectors", "pending_vector", ("pk",), None, (_DERIVED,)),
    Member("vectors", "vector", ("pk",), None, (_DERIVED,)),
    Member("world_model_snapshots", "world_model_snapshot", ("pk",), "id",
           (Link("world_model_id", ("world_model",)),)),
    Member("world_models", "world_model", links=(_SESSION,)),
    Member("actions", "action", ("pk",), None, (_INTERACTION,)),
    Member("feedback", "feedback", links=(_INTERACTION,)),
    Member("facts", "fact", links=(
        _USER, _SESSION, _INTERACTION, Link("source_message_id", ("message",)))),
    Member("preferences", "preference", links=(_USER,)),
    Member("patterns", "pattern", sources="sources"),
    Member("reasoning_chains", "reasoning_chain", ("pk",), "id",
           (Link("session_id", ("session", "document")),)),
    Member("memories", "memory", ("pk",), "id", (_USER, _SESSION, _INTERACTION, _CONVERSATION), "sources"),
    Member("chunks", "chunk", links=(_CONVERSATION,)),
    Member("chunk_info", "chunk_info", ("conversation_id",), None, (_CONVERSATION,)),
    Member("raw_messages", "raw_message", ("pk",), None, (_CONVERSATION,)),
    Member("documents", "document", links=(_USER, Link("id", ("session",)))),
    Member("interactions", "interaction", links=(_USER, _SESSION)),
    Member("tool_calls", "tool_call", links=(_SESSION,)),
    Member("manifests", "manifest", links=(_SESSION,)),
    Member("summaries", "summary", links=(_SESSION,)),
    Member("pins", "pin", links=(_SESSION,)),
    Member("blocks", "block", links=(Link("owner_id", ("user", "session"), "owner_kind"),)),
    Member("branch_messages", "branch_message", ("pk",), "id", (_SESSION,)),
    Member("messages", "message", ("pk",), "id", (_SESSION,)),
    Member("sessions", "session", links=(_USER,)),
    Member("memberships", "membership", ("group_id", "user_id"), None, (_USER,)),
    Member("system_state", "system_state", ("key",), "key"),
    Member("users", "user"),
)  # fmt: skip
BY_TABLE = {one.table: one for one in MEMBERS}
BY_KIND = {one.kind: one for one in MEMBERS}

TOMBSTONED = (
    "user", "session", "document", "memory", "fact", "interaction", "preference", "world_model", "pattern",
    "feedback", "reasoning_chain", "block", "system_state",
)  # fmt: skip
"""Kinds of which each record gets a tombstone; all others hang on one of them."""

REFERENCES: dict[str, dict[str, str]] = {
    "sessions": {"fork_of": "session"},
    "messages": {"origin_id": "message", "parent_id": "message", "interaction_id": "interaction"},
    "branch_messages": {"parent_id": "message"},
    "facts": {"replaced_by": "fact"},
    "chunks": {"memory_id": "memory"},
    "archive": {"interaction_id": "interaction"},
}
"""Columns of rows that stay, in which they may name one that goes: NULL takes its place."""

SOURCES = ("memory", "interaction", "message", "chunk", "document", "raw_message", "pattern")
_NAMED = {
    "user": ("user_id", "user", "userId"),
    "session": ("session_id", "session", "sessionId", "conversation_id", "conversation", "conversationId"),
    "document": ("conversation_id", "conversation", "conversationId", "document_id", "document"),
}
"""Keys under which applications' own JSON names what it is about."""

DISTINCTIVE = 8
"""Characters from which an id, or a piece of text, is taken for one that nobody else has."""

LEDGER = {"user": "users", "session": "sessions", "group": "groups"}
"""Kinds as the ledger of imports calls them, where that is another word."""


class Gone:
    """The ids of what goes, by kind; with ``marks``, also ids of which only the mark is known."""

    def __init__(self, marks: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self.ids: dict[str, set[str]] = {}
        self.marks = marks or {}
        self.returned: dict[str, set[str]] = {}
        """Ids that were made anew since they were forgotten, and stay."""
        self.numbers: set[tuple[int, int]] = set()
        """Vectors that go, by their space and their number in it."""

    def add(self, kind: str, id: Any) -> bool:
        """Take in an id; whether it is a new one."""
        known = self.ids.setdefault(kind, set())
        if not isinstance(id, str) or id in known or id in self.returned.get(kind, ()):
            return False
        known.add(id)
        return True

    def has(self, kind: str, id: Any) -> bool:
        """Whether a record goes."""
        if not isinstance(id, str):
            return False
        if id in self.ids.get(kind, ()):
            return True
        if not self.marks.get(kind) or id in self.returned.get(kind, ()):
            return False
        from wilk.care.tombstones import mark

        return mark(kind, id) in self.marks[kind]

    def owns(self, member: Member, row: Mapping[str, Any]) -> bool:
        """Whether a row belongs to what goes, by its columns; the row itself included."""
        if member.id is not None and self.has(member.kind, row.get(member.id)):
            return True
        for link in member.links:
            value = row.get(link.column)
            if value is None:
                continue
            own = None if link.kind_column is None else row.get(link.kind_column)
            if any(self.has(kind, value) for kind in link.kinds if own is None or own == kind):
                return True
        if member.table == "system_state":
            return self.tells_of(row.get("key"), row.get("data"))
        if member.table == "vectors" and row.get("kind") is None:
            return self.named(row.get("record_id")) or self.tells_of(None, row.get("metadata"))
        return member.sources is not None and self.made_of(row.get(member.sources))

    def named(self, id: Any) -> bool:
        """Whether an id of any record that others name by its id alone goes."""
        kinds = ("user", "session", "document", "memory", "message", "interaction", "fact", "pin")
        return any(self.has(kind, id) for kind in kinds)

    def made_of(self, sources: Any) -> bool:
        """Whether something was made of what goes, and of nothing else."""
        ids = [one for one in _list(sources) if isinstance(one, str)]
        return bool(ids) and all(any(self.has(kind, one) for kind in SOURCES) for one in ids)

    def tells_of(self, key: Any, data: Any) -> bool:
        """Whether an application's own record is about what goes: its key has the id as a part, or its data
        name it under a key such as ``user_id``."""
        if isinstance(key, str):
            before = ""
            for part in re.split(r"[:/|]", key):
                for kind, names in _NAMED.items():
                    # A short id may be a word of anybody's: it counts behind what says whose it is.
                    if (len(part) >= DISTINCTIVE or before in names) and self.has(kind, part):
                        return True
                before = part
            if len(key) >= DISTINCTIVE and any(self.has(kind, key) for kind in _NAMED):
                return True
        found = _parsed(data)
        if not isinstance(found, dict):
            return False
        return any(self.has(kind, found.get(name)) for kind, names in _NAMED.items() for name in names)


def _list(value: Any) -> list[Any]:
    found = _parsed(value)
    return found if isinstance(found, list) else []


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return codec.loads(value)
    except (ValueError, WilkError):
        return None
