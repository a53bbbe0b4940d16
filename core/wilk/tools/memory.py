"""Tools with which an agent searches its memory, saves to it, and pins what it must not forget.

What belongs to a user is found in sessions of that user alone; what belongs to nobody, in sessions
without a user.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from wilk.contracts import Tool, ToolContext
from wilk.hookspecs import hookimpl

if TYPE_CHECKING:
    from wilk.records.conversation import Session
    from wilk.records.search import Found
    from wilk.store import Store

LIMIT = 5
MOST = 50
_MORE = 4
"""How many times as many are looked at where those of users are left out."""


@hookimpl
def register_tools() -> Iterator[Tool]:
    """Offer the tools that ship."""
    yield Tool("memory_search", search)
    yield Tool("memory_save", save)
    yield Tool("memory_pin", pin)


def search(
    context: ToolContext,
    query: Annotated[str, "what is looked for; any text"],
    limit: Annotated[int, "at most so many, up to 50"] = LIMIT,
) -> list[dict[str, Any]]:
    """Search earlier messages, memories, pins, documents and facts, the best first."""
    store = context.store
    wanted = max(1, min(limit, MOST))
    session = store.sessions.get(context.session_id)
    if session.user_id is not None:
        found = store.search(query, user=session.user_id, limit=wanted)
    else:
        found = _of_nobody(store, session, store.search(query, limit=wanted * _MORE))[:wanted]
    return [
        {
            "kind": one.kind,
            "id": one.id,
            "text": one.snippet,
            "at": None if one.created_at is None else one.created_at.isoformat(),
        }
        for one in found
    ]


def save(
    context: ToolContext,
    text: Annotated[str, "what is to be remembered, in a sentence that stands by itself"],
    importance: Annotated[float, "0.0 to 1.0"] = 0.5,
) -> dict[str, Any]:
    """Remember something beyond this conversation."""
    session = context.store.sessions.get(context.session_id)
    memory = context.store.memories.add(
        text,
        agent=context.agent_id,
        user=session.user_id,
        session=session.id,
        importance=importance,
        metadata={"tool_call": context.call_id},
    )
    return {"id": memory.id}


def pin(
    context: ToolContext,
    text: Annotated[str, "what must not be forgotten"],
    importance: Annotated[float, "0.0 to 1.0"] = 0.7,
) -> dict[str, Any]:
    """Keep something in view for the rest of this conversation."""
    pinned = context.store.pins.add(
        context.session_id,
        text,
        type="auto",
        importance=importance,
        metadata={"tool_call": context.call_id},
    )
    return {"id": pinned.id}


def _of_nobody(store: Store, session: Session, found: list[Found]) -> list[Found]:
    """Leave out what belongs to a user: by its own column, or by its session."""
    owners = {session.id: session.user_id}

    def owner(one: Found) -> str | None:
        own: str | None = getattr(one.record, "user_id", None)
        if own is not None or one.session_id is None:
            return own
        if one.session_id not in owners:
            other = store.sessions.find(one.session_id)
            owners[one.session_id] = None if other is None else other.user_id
        return owners[one.session_id]

    return [one for one in found if owner(one) is None]
