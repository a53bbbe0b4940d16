"""Where a memory comes from: checks that a session, a user or a message is there."""

from __future__ import annotations

from typing import Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import NotFound
from wilk.models.statements import param
from wilk.services import checks
from wilk.services.keeping.archiver import COMPACTED


def check_session(engine: Engine, id: str) -> None:
    """Raise NotFound for an unknown session."""
    if not engine.fetch("origins.session", _session, (id,)):
        raise NotFound("session", id)


def check_user(engine: Engine, id: str) -> None:
    """Raise NotFound for an unknown user."""
    if not engine.rows(models.User.select(models.User.id).where(models.User.id == id)):
        raise NotFound("user", id, f"save them first with store.users.save({id!r}, name=...)")


def check_message(engine: Engine, id: str, session: str | None = None) -> None:
    """Raise NotFound for an unknown message, and for one of another session than the given.

    A message that a summary stands for still belongs to its session.
    """
    checks.identifier("message", id)
    message: Any = models.Message
    entry: Any = models.ArchiveEntry
    live = message.select(message.id).where(message.id == id)
    compacted = entry.select(entry.record_id).where(
        entry.kind == "message",
        entry.record_id == id,
        entry.reason == COMPACTED,
        entry.restored_at.is_null(),
    )
    if session is not None:
        live = live.where(message.session == session)
        compacted = compacted.where(entry.session_id == session)
    if not engine.rows(live) and not engine.rows(compacted.limit(1)):
        hint = "" if session is None else f"a message of session {session!r} is wanted"
        raise NotFound("message", id, hint)


def _session() -> Any:
    return models.Session.select(models.Session.id).where(models.Session.id == param("id"))
