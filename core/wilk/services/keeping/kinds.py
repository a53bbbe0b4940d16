"""The kinds of rows that can be archived: their models, their keys, and what hangs on them.

The archiver, retention and restoring walk this table; a model that is not in it cannot lose a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import models
from wilk.errors import Invalid

if TYPE_CHECKING:
    from wilk.models.base import Model


class Child(NamedTuple):
    """Rows that go when their parent goes.

    ``of(parents)`` is the condition on them, where ``parents`` is a query of the parents' keys, which are
    the field ``by`` (their primary key unless it is named). ``parent(row)`` is the key of the one that a
    row hangs on, by the row's columns.
    """

    kind: str
    of: Callable[[Any], Any]
    parent: Callable[[Mapping[str, Any]], str | None]
    by: str | None = None


class Kind(NamedTuple):
    """One kind of row.

    ``key``: the fields that name a record, joined by ``/``. ``session``: the column that tells its
    session, or a function of the row's columns. ``created``: the column by which it ages. ``serial``:
    a number that the engine gave, which may be another one after restoring.
    """

    model: Callable[[], type[Model]]
    key: tuple[str, ...] = ("id",)
    session: str | Callable[[Mapping[str, Any]], str | None] | None = None
    created: str = "created_at"
    serial: str | None = None
    children: tuple[Child, ...] = ()

    def session_of(self, row: Mapping[str, Any]) -> str | None:
        """The session that a row belongs to, by its columns."""
        if self.session is None:
            return None
        found: str | None = row[self.session] if isinstance(self.session, str) else self.session(row)
        return found

    def hanging(self, condition: Any) -> list[tuple[str, Any]]:
        """What hangs on the rows that meet a condition: each kind of it, and the condition on its rows."""
        meta: Any = self.model()._meta
        found = []
        for child in self.children:
            key = meta.combined[child.by] if child.by else meta.primary_key
            found.append((child.kind, child.of(self.model().select(key).where(condition))))
        return found

    def columns_of_key(self) -> list[str]:
        """The columns that name a record."""
        fields = self.model()._meta.combined
        return [fields[name].column_name for name in self.key]


def _belonging(kind: str, model: Callable[[], type[Model]], field: str) -> Child:
    """Rows whose ``field`` is one of the parents."""

    def parent(row: Mapping[str, Any]) -> str | None:
        found: str | None = row[model()._meta.combined[field].column_name]
        return found

    return Child(kind, lambda parents: getattr(model(), field).in_(parents), parent)


def _owned(owner: str) -> Child:
    """Working memory of the parents, which are of that kind."""

    def condition(parents: Any) -> Any:
        block: Any = models.Block
        return (block.owner_kind == owner) & block.owner_id.in_(parents)

    return Child("block", condition, lambda row: row["owner_id"] if row["owner_kind"] == owner else None)


def _embedded(kind: str) -> Child:
    """The vectors that the store's embedder made of the parents, which are of that kind."""

    def condition(parents: Any) -> Any:
        vector: Any = models.Vector
        return (vector.kind == kind) & vector.record_id.in_(parents)

    return Child("vector", condition, lambda row: row["record_id"] if row["kind"] == kind else None, "id")


def _session_of_block(row: Mapping[str, Any]) -> str | None:
    return row["owner_id"] if row["owner_kind"] == "session" else None


KINDS: dict[str, Kind] = {
    "session": Kind(
        lambda: models.Session,
        session="id",
        created="updated_at",
        children=(
            _belonging("tool_call", lambda: models.ToolCall, "session"),
            _belonging("manifest", lambda: models.Manifest, "session"),
            _belonging("summary", lambda: models.Summary, "session"),
            _belonging("pin", lambda: models.Pin, "session"),
            _owned("session"),
            _belonging("branch_message", lambda: models.BranchMessage, "session"),
            _belonging("message", lambda: models.Message, "session"),
        ),
    ),
    "message": Kind(
        lambda: models.Message, session="session_id", serial="pk", children=(_embedded("message"),)
    ),
    "branch_message": Kind(lambda: models.BranchMessage, session="session_id", serial="pk"),
    "tool_call": Kind(lambda: models.ToolCall, session="session_id", created="started_at"),
    "manifest": Kind(lambda: models.Manifest, session="session_id"),
    "summary": Kind(lambda: models.Summary, session="session_id", children=(_embedded("summary"),)),
    "pin": Kind(lambda: models.Pin, session="session_id", children=(_embedded("pin"),)),
    "block": Kind(lambda: models.Block, session=_session_of_block),
    "fact": Kind(
        lambda: models.Fact, session="session_id", created="recorded_at", children=(_embedded("fact"),)
    ),
    "user": Kind(
        lambda: models.User,
        children=(
            _belonging("membership", lambda: models.Membership, "user"),
            _owned("user"),
            _belonging("fact", lambda: models.Fact, "user_id"),
            _belonging("preference", lambda: models.Preference, "user_id"),
            _belonging("interaction", lambda: models.Interaction, "user_id"),
            _belonging("memory", lambda: models.Memory, "user_id"),
            _belonging("document", lambda: models.Document, "user_id"),
        ),
    ),
    "group": Kind(
        lambda: models.Group,
        children=(_belonging("membership", lambda: models.Membership, "group"),),
    ),
    "membership": Kind(lambda: models.Membership, key=("group", "user")),
    "document": Kind(
        lambda: models.Document,
        created="updated_at",
        children=(
            _belonging("raw_message", lambda: models.RawMessage, "conversation_id"),
            _belonging("chunk", lambda: models.Chunk, "conversation_id"),
            _belonging("chunk_info", lambda: models.ChunkInfo, "conversation_id"),
            _belonging("memory", lambda: models.Memory, "conversation_id"),
            _embedded("document"),
        ),
    ),
    "raw_message": Kind(lambda: models.RawMessage, key=("conversation_id", "position"), serial="pk"),
    "chunk": Kind(lambda: models.Chunk),
    "chunk_info": Kind(lambda: models.ChunkInfo, key=("conversation_id",)),
    "memory": Kind(lambda: models.Memory, session="session_id", serial="pk", children=(_embedded("memory"),)),
    "reasoning_chain": Kind(lambda: models.ReasoningChain, session="session_id", serial="pk"),
    "system_state": Kind(lambda: models.SystemState, key=("key",), created="updated_at"),
    "interaction": Kind(
        lambda: models.Interaction,
        session="session_id",
        children=(_belonging("action", lambda: models.Action, "interaction"), _embedded("interaction")),
    ),
    "action": Kind(lambda: models.Action, key=("interaction", "position"), serial="pk"),
    "pattern": Kind(lambda: models.Pattern, created="updated_at", children=(_embedded("pattern"),)),
    "feedback": Kind(lambda: models.Feedback),
    "preference": Kind(lambda: models.Preference, created="updated_at"),
    "world_model": Kind(
        lambda: models.WorldModel,
        session="session_id",
        created="updated_at",
        children=(_belonging("world_model_snapshot", lambda: models.WorldModelSnapshot, "world_model"),),
    ),
    "world_model_snapshot": Kind(lambda: models.WorldModelSnapshot, serial="pk"),
    "vector": Kind(lambda: models.Vector, key=("space", "record_id", "part"), serial="pk"),
    "installation": Kind(lambda: models.Installation, created="updated_at"),
}


def kind(name: str) -> Kind:
    """Return the kind of that name; raises Invalid with the names there are."""
    if name not in KINDS:
        raise Invalid(f"kind {name!r}: one of {', '.join(KINDS)} is wanted")
    return KINDS[name]
