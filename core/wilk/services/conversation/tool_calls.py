"""Tool calls: what was called with which arguments, what came of it, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wilk import clock, models
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.conversation import ToolCall
from wilk.records.decoding import decoder
from wilk.services.checks import limit as limits

STATUSES = ("running", "ok", "error")
_decoded = decoder(ToolCall)


class ToolCalls:
    """The log of tool calls of a store."""

    def __init__(self, engine: Engine, events: Events) -> None:
        self._engine = engine
        self._events = events

    def start(
        self,
        session_id: str,
        name: str,
        arguments: Any = None,
        *,
        message: str | None = None,
        call_id: str | None = None,
        agent: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> ToolCall:
        """Note that a tool is being called. ``message`` is the message that asked for it, ``call_id``
        the provider's id of the call. Raises NotFound for an unknown session or message."""
        if not name:
            raise Invalid("name '': the tool's name is wanted")
        with self._engine.transaction():
            if not self._engine.rows(
                models.Session.select(models.Session.id).where(models.Session.id == session_id)
            ):
                raise NotFound("session", session_id)
            if message is not None and not self._engine.rows(
                models.Message.select(models.Message.id).where(
                    models.Message.id == message, models.Message.session == session_id
                )
            ):
                raise NotFound("message", message, f"a message of session {session_id!r} is wanted")
            call = ToolCall(
                id=self._engine.clock.new_id(),
                session_id=session_id,
                message_id=message,
                call_id=call_id,
                agent_id=agent,
                name=name,
                arguments=arguments,
                result=None,
                status="running",
                error=None,
                duration=None,
                metadata=dict(metadata or {}),
                started_at=clock.to_datetime(self._engine.clock.now()),
                finished_at=None,
            )
            self._engine.run(models.ToolCall.insert(dict(zip(_fields(), call, strict=True))))
            self._events.saving("tool_call", call)
            return call

    def finish(self, id: str, *, result: Any = None, error: str | None = None) -> ToolCall:
        """Note what a running call gave, or the error that it ended in. Raises Conflict if it has ended."""
        with self._engine.transaction():
            call = self.get(id)
            if call.status != "running":
                raise Conflict(f"tool call {id!r} has ended already ({call.status})")
            now = clock.to_datetime(self._engine.clock.now())
            call = call._replace(
                result=result,
                error=error,
                status="ok" if error is None else "error",
                duration=max(0.0, (now - call.started_at).total_seconds()),  # a clock may go back
                finished_at=now,
            )
            self._engine.run(
                models.ToolCall.update(dict(zip(_fields(), call, strict=True))).where(
                    models.ToolCall.id == id
                )
            )
            self._events.saving("tool_call", call)
            return call

    def get(self, id: str) -> ToolCall:
        """Return the tool call; raises NotFound."""
        call = self.find(id)
        if call is None:
            raise NotFound("tool call", id)
        return call

    def find(self, id: str) -> ToolCall | None:
        """Return the tool call, or None."""
        row = self._engine.row(models.ToolCall.select(*_fields()).where(models.ToolCall.id == id))
        return None if row is None else ToolCall(*row)

    def list(
        self,
        session_id: str | None = None,
        *,
        name: str | None = None,
        status: str | None = None,
        limit: int = 100,
    ) -> Sequence[ToolCall]:
        """List tool calls, the latest first."""
        if session_id is not None and name is None and status is None:
            return _decoded(
                self._engine.fetch("tool_calls.of_session", _of_session, (session_id, limits(limit)))
            )
        query = _latest_first()
        if session_id is not None:
            query = query.where(models.ToolCall.session == session_id)
        if name is not None:
            query = query.where(models.ToolCall.name == name)
        if status is not None:
            if status not in STATUSES:
                raise Invalid(f"status {status!r}: one of {', '.join(STATUSES)} is wanted")
            query = query.where(models.ToolCall.status == status)
        return [ToolCall(*row) for row in self._engine.rows(query.limit(limits(limit)))]


def _latest_first() -> Any:
    call = models.ToolCall
    return call.select(*_fields()).order_by(call.started_at.desc(), call.id.desc())


def _of_session() -> Any:
    return _latest_first().where(models.ToolCall.session == param("session")).limit(param("limit"))


def _fields() -> list[Any]:
    return models.fields_of(models.ToolCall, ToolCall)
