"""Tool calls: what was called with which arguments, what came of it, and how long it took.

A large result lies apart, once by the hash of its JSON, with its beginning in the row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wilk import clock, codec, models
from wilk.engine import Engine
from wilk.errors import BackendError, Conflict, Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.conversation import ToolCall
from wilk.records.decoding import decoder
from wilk.services import checks
from wilk.services.checks import limit as limits

STATUSES = ("running", "ok", "error")
PREVIEW = 1000
"""Characters of a large result that stay in its row."""

_decoded = decoder(ToolCall)


class ToolCalls:
    """The log of tool calls of a store. Results above ``longest`` bytes of JSON lie apart."""

    def __init__(self, engine: Engine, events: Events, longest: int) -> None:
        self._engine = engine
        self._events = events
        self._longest = longest

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
        checks.filled("name", name)
        for field, value in (("message", message), ("call_id", call_id), ("agent", agent)):
            checks.text(field, value)
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
        """Note what a running call gave, or the error that it ended in.

        Of a result above the setting ``tool_output_bytes`` the record holds the beginning, and
        :meth:`result` gives the whole. Raises NotFound, and Conflict if the call has ended.
        """
        checks.text("error", error)
        with self._engine.transaction():
            call = self.get(id)
            if call.status != "running":
                raise Conflict(f"tool call {id!r} has ended already ({call.status})")
            moment = self._engine.clock.now()
            now = clock.to_datetime(moment)
            kept, hash, size = self._kept(result, moment)
            call = call._replace(
                result=kept,
                result_hash=hash,
                result_size=size,
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

    def result(self, id: str) -> Any:
        """Return the whole result of a call; None while it runs.

        Raises NotFound, and BackendError for a result that is missing or damaged.
        """
        call = self.get(id)
        if call.result_hash is None:
            return call.result
        blob = models.Blob
        row = self._engine.row(blob.select(blob.data).where(blob.hash == call.result_hash))
        if row is None or codec.text_hash(row[0]) != call.result_hash:
            raise BackendError(
                f"the result of tool call {id!r} is {'missing' if row is None else 'damaged'}; "
                "its beginning is in the record"
            )
        return codec.loads(row[0])

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

    def _kept(self, result: Any, now: int) -> tuple[Any, str | None, int | None]:
        """What stays in the row of a result; with hash and size, if the whole went aside."""
        text = codec.dumps(result, "result")
        if result is None or len(text) * 4 <= self._longest:
            return result, None, None
        data = text.encode()
        if len(data) <= self._longest:
            return result, None, None
        hash = codec.text_hash(text)
        row = {"hash": hash, "data": text, "size": len(data), "created_at": clock.to_datetime(now)}
        self._engine.run(models.Blob.insert(row).on_conflict("nothing"))
        beginning = result if isinstance(result, str) else text
        return beginning[: min(PREVIEW, self._longest)], hash, len(data)


def _latest_first() -> Any:
    call = models.ToolCall
    return call.select(*_fields()).order_by(call.started_at.desc(), call.id.desc())


def _of_session() -> Any:
    return _latest_first().where(models.ToolCall.session == param("session")).limit(param("limit"))


def _fields() -> list[Any]:
    return models.fields_of(models.ToolCall, ToolCall)
