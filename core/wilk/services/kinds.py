"""The kinds of rows that can be archived: their models, their keys, and what hangs on them.

The archiver, retention and restoring walk this table; a model that is not in it cannot lose a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import models
from wilk.errors import Invalid

if TYPE_CHECKING:
    from wilk.models.base import Model


class Child(NamedTuple):
    """Rows that go when their parent goes: ``of(parents)`` is the condition on them, where
    ``parents`` is a query of the parents' keys."""

    kind: str
    of: Callable[[Any], Any]


class Kind(NamedTuple):
    """One kind of row.

    ``key``: the fields that name a record, joined by ``/``. ``session``: the column that tells its
    session. ``created``: the column by which it ages. ``serial``: a number that the engine gave,
    which may be another one after restoring.
    """

    model: Callable[[], type[Model]]
    key: tuple[str, ...] = ("id",)
    session: str | None = None
    created: str = "created_at"
    serial: str | None = None
    children: tuple[Child, ...] = ()


def _belonging(model: Callable[[], type[Model]], field: str) -> Callable[[Any], Any]:
    """The condition on rows whose ``field`` is one of the parents."""
    return lambda parents: getattr(model(), field).in_(parents)


def _owned(kind: str) -> Callable[[Any], Any]:
    """The condition on working memory of the parents, which are of that kind."""

    def condition(parents: Any) -> Any:
        block: Any = models.Block
        return (block.owner_kind == kind) & block.owner_id.in_(parents)

    return condition


KINDS: dict[str, Kind] = {
    "session": Kind(
        lambda: models.Session,
        session="id",
        created="updated_at",
        children=(
            Child("tool_call", _belonging(lambda: models.ToolCall, "session")),
            Child("manifest", _belonging(lambda: models.Manifest, "session")),
            Child("summary", _belonging(lambda: models.Summary, "session")),
            Child("pin", _belonging(lambda: models.Pin, "session")),
            Child("block", _owned("session")),
            Child("message", _belonging(lambda: models.Message, "session")),
        ),
    ),
    "message": Kind(lambda: models.Message, session="session_id", serial="pk"),
    "tool_call": Kind(lambda: models.ToolCall, session="session_id", created="started_at"),
    "manifest": Kind(lambda: models.Manifest, session="session_id"),
    "summary": Kind(lambda: models.Summary, session="session_id"),
    "pin": Kind(lambda: models.Pin, session="session_id"),
    "block": Kind(lambda: models.Block),
    "fact": Kind(lambda: models.Fact, session="session_id", created="recorded_at"),
    "user": Kind(
        lambda: models.User,
        children=(
            Child("membership", _belonging(lambda: models.Membership, "user")),
            Child("block", _owned("user")),
        ),
    ),
    "group": Kind(
        lambda: models.Group,
        children=(Child("membership", _belonging(lambda: models.Membership, "group")),),
    ),
    "membership": Kind(lambda: models.Membership, key=("group", "user")),
    "document": Kind(lambda: models.Document, created="updated_at"),
    "raw_message": Kind(lambda: models.RawMessage, key=("conversation_id", "position"), serial="pk"),
    "chunk": Kind(lambda: models.Chunk),
    "chunk_info": Kind(lambda: models.ChunkInfo, key=("conversation_id",)),
    "memory": Kind(lambda: models.Memory, session="session_id", serial="pk"),
    "reasoning_chain": Kind(lambda: models.ReasoningChain, session="session_id", serial="pk"),
    "system_state": Kind(lambda: models.SystemState, key=("key",), created="updated_at"),
    "interaction": Kind(
        lambda: models.Interaction,
        session="session_id",
        children=(Child("action", _belonging(lambda: models.Action, "interaction")),),
    ),
    "action": Kind(lambda: models.Action, key=("interaction", "position"), serial="pk"),
    "pattern": Kind(lambda: models.Pattern, created="updated_at"),
    "feedback": Kind(lambda: models.Feedback),
    "preference": Kind(lambda: models.Preference, created="updated_at"),
    "world_model": Kind(
        lambda: models.WorldModel,
        session="session_id",
        created="updated_at",
        children=(
            Child("world_model_snapshot", _belonging(lambda: models.WorldModelSnapshot, "world_model")),
        ),
    ),
    "world_model_snapshot": Kind(lambda: models.WorldModelSnapshot, serial="pk"),
}


def kind(name: str) -> Kind:
    """Return the kind of that name; raises Invalid with the names there are."""
    if name not in KINDS:
        raise Invalid(f"kind {name!r}: one of {', '.join(KINDS)} is wanted")
    return KINDS[name]
