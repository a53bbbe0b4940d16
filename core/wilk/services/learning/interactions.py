"""Interactions: one exchange with a user each, and the id by which everything about it is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from wilk import clock, codec, models
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.connectome import Memory
from wilk.records.decoding import decoder
from wilk.records.learning import Action, Feedback, Interaction, Related
from wilk.services import batches, checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import identifier, optional
from wilk.services.checks import limit as limits
from wilk.services.conversation.messages import Messages
from wilk.services.conversation.tool_calls import ToolCalls
from wilk.services.keeping.archive import Archive
from wilk.services.keeping.archiver import COMPACTED, Archiver

FEEDBACK_TYPES = ("approval", "correction", "followup", "clarification", "none")
_ACTION_KEYS = ("action_type", "target", "details", "status", "result", "error", "created_at")
_CHUNK = 500
_ALL = 2**31 - 1
_decoded = decoder(Interaction, original="user_query")
_decoded_actions = decoder(Action)
_decoded_memories = decoder(Memory, original="content")


class Interactions:
    """The exchanges with users that a store keeps.

    An interaction's id is the correlation id: messages, memories, feedback and archive entries that
    belong to it carry it.
    """

    def __init__(
        self,
        engine: Engine,
        events: Events,
        archiver: Archiver,
        archive: Archive,
        messages: Messages,
        tool_calls: ToolCalls,
        added: Callable[[Interaction], None] | None = None,
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._archive = archive
        self._messages = messages
        self._tool_calls = tool_calls
        self._added = added

    def add(
        self,
        user_query: str,
        *,
        id: str | None = None,
        session: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        query_context: Mapping[str, Any] | None = None,
        ai_interpretation: str | None = None,
        planned_actions: Sequence[Any] = (),
        confidence: float | None = None,
        active_role: str | None = None,
        actions: Sequence[Mapping[str, Any]] = (),
        tokens_used: int | None = None,
        user_feedback: str | None = None,
        feedback_type: str = "none",
        success: bool | None = None,
        tags: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime | str | None = None,
    ) -> Interaction:
        """Keep one exchange, with the actions that were taken in it; ``id`` is the correlation id.

        ``actions`` are objects with what :meth:`act` takes. Any text can be the query: NUL and lone
        surrogates, which not every database keeps, come back as they were. Raises Conflict for an id that
        is taken.
        """
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            interaction = Interaction(
                id=self._engine.clock.new_id() if id is None else identifier("id", id),
                session_id=optional("session", session),
                user_id=optional("user", user),
                agent_id=optional("agent", agent),
                created_at=now if created_at is None else checks.moment("created_at", created_at),
                updated_at=now,
                **_checked(
                    user_query=user_query,
                    query_context=query_context,
                    ai_interpretation=ai_interpretation,
                    planned_actions=planned_actions,
                    confidence=confidence,
                    active_role=active_role,
                    tokens_used=tokens_used,
                    user_feedback=user_feedback,
                    feedback_type=feedback_type,
                    success=success,
                    tags=tags,
                    metadata=metadata,
                ),
            )
            clean, original = codec.storable_text(interaction.user_query)
            values = dict(zip(_fields(), interaction._replace(user_query=clean), strict=True))
            values[models.Interaction.original] = original
            try:
                self._engine.run(models.Interaction.insert(values))
            except Conflict as error:
                raise Conflict(f"there is an interaction {interaction.id!r} already") from error
            self._events.saving("interaction", interaction)
            for position, given in enumerate(checks.sequence("actions", actions)):
                self._add_action(_action(interaction.id, position + 1, given, f"actions.{position}", now))
            added = self._added
            if added is not None:
                self._engine.after_commit(lambda: added(interaction))
            return interaction

    def extend(self, interactions: Iterable[Mapping[str, Any]]) -> Sequence[Interaction]:
        """Keep many exchanges in one transaction: all of them, or none.

        Each is an object with ``user_query`` and whatever else :meth:`add` takes, by the same names.
        """
        return batches.added(self._engine, self.add, "interactions", interactions)

    def update(
        self,
        id: str,
        *,
        user_query: str | Unset = UNSET,
        query_context: Mapping[str, Any] | Unset = UNSET,
        ai_interpretation: str | Unset | None = UNSET,
        planned_actions: Sequence[Any] | Unset = UNSET,
        confidence: float | Unset | None = UNSET,
        active_role: str | Unset | None = UNSET,
        tokens_used: int | Unset | None = UNSET,
        user_feedback: str | Unset | None = UNSET,
        feedback_type: str | Unset = UNSET,
        success: bool | Unset | None = UNSET,
        tags: Sequence[str] | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> Interaction:
        """Change the given fields of an interaction, and no other. Raises NotFound."""
        given = {
            "user_query": user_query, "query_context": query_context,
            "ai_interpretation": ai_interpretation, "planned_actions": planned_actions,
            "confidence": confidence, "active_role": active_role, "tokens_used": tokens_used,
            "user_feedback": user_feedback, "feedback_type": feedback_type, "success": success,
            "tags": tags, "metadata": metadata,
        }  # fmt: skip
        changes = _checked(**{name: value for name, value in given.items() if value is not UNSET})
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            interaction = self.get(id)._replace(**changes, updated_at=now)
            if "user_query" in changes:
                clean, original = codec.storable_text(interaction.user_query)
                changes |= {"user_query": clean, "original": original}
            self._change(id, **changes, updated_at=now)
            self._events.saving("interaction", interaction)
            return interaction

    def act(
        self,
        id: str,
        action_type: str,
        *,
        target: str | None = None,
        details: Mapping[str, Any] | None = None,
        status: str = "completed",
        result: Any = None,
        error: str | None = None,
        created_at: datetime | str | None = None,
    ) -> Action:
        """Add one action to an interaction, behind those that it has. Raises NotFound."""
        from peewee import fn  # with Peewee; see wilk.models

        given = {
            "action_type": action_type, "target": target, "details": details, "status": status,
            "result": result, "error": error, "created_at": created_at,
        }  # fmt: skip
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            self.get(id)
            self._change(id, updated_at=now)  # others who append wait here, and then see this row
            highest = models.Action.select(fn.MAX(models.Action.position)).where(
                models.Action.interaction == id
            )
            (last,) = self._engine.row(highest) or (None,)
            action = _action(id, (last or 0) + 1, given, "", now)
            self._add_action(action)
            return action

    def actions(self, id: str) -> Sequence[Action]:
        """List the actions of an interaction in the order in which they were taken."""
        query = models.Action.select(*_action_fields()).where(models.Action.interaction == id)
        return _decoded_actions(self._engine.select(query.order_by(models.Action.position)))

    def get(self, id: str) -> Interaction:
        """Return the interaction; raises NotFound."""
        found = self.find(id)
        if found is None:
            raise NotFound("interaction", id, "`wilk archive list --kind interaction` shows those that went")
        return found

    def find(self, id: str) -> Interaction | None:
        """Return the interaction, or None; one that was consolidated lies in the archive."""
        rows = self._engine.select(_select().where(models.Interaction.id == id))
        return next(iter(_decoded(rows)), None)

    def list(
        self,
        *,
        session: str | None = None,
        user: str | None = None,
        agent: str | None = None,
        feedback_type: str | None = None,
        success: bool | None = None,
        tag: str | None = None,
        since: datetime | str | None = None,
        limit: int = 100,
    ) -> Sequence[Interaction]:
        """List interactions, the latest first."""
        filters = (session, user, agent, feedback_type, success, tag, since)
        if all(given is None for given in filters):
            return _decoded(self._engine.fetch("interactions.list", _list, (limits(limit),)))
        interaction = models.Interaction
        query = _latest_first()
        for field, wanted in (
            (interaction.session_id, session),
            (interaction.user_id, user),
            (interaction.agent_id, agent),
        ):
            if wanted is not None:
                query = query.where(field == wanted)
        if feedback_type is not None:
            query = query.where(
                interaction.feedback_type == checks.one_of("feedback_type", feedback_type, FEEDBACK_TYPES)
            )
        if success is not None:
            query = query.where(interaction.success == checks.flag("success", success))
        if since is not None:
            query = query.where(interaction.created_at >= checks.moment("since", since))
        if tag is None:
            return _decoded(self._engine.select(query.limit(limits(limit))))
        return self._tagged(query, tag, limits(limit))

    def recent(self, limit: int = 10) -> Sequence[Interaction]:
        """List the latest interactions, the latest first."""
        return self.list(limit=limit)

    def search(
        self, text: str, *, session: str | None = None, user: str | None = None, limit: int = 20
    ) -> Sequence[Interaction]:
        """Find interactions whose query holds every word of ``text``, the latest first.

        Any input is valid: nothing in it is an operator. A text without a word finds nothing.
        """
        words = codec.storable_text(_query("text", text))[0].split()
        if not words:
            return []
        query = _latest_first()
        for word in words:
            query = query.where(models.Interaction.user_query.contains(word))
        if session is not None:
            query = query.where(models.Interaction.session_id == session)
        if user is not None:
            query = query.where(models.Interaction.user_id == user)
        return _decoded(self._engine.select(query.limit(limits(limit))))

    def related(self, id: str) -> Related:
        """Return all that carries a correlation id: the interaction, messages, feedback, memories, and
        what lies in the archive, in the order in which it left.

        Among the memories is the one that the interaction was consolidated to. Nothing has to be there.
        """
        message, call, memory = models.Message, models.ToolCall, models.Memory
        with self._engine.snapshot():
            said = self._ids(message.id, message.interaction_id == id, message.session, message.sequence)
            asked = message.select(message.id).where(message.interaction_id == id)
            calls = self._ids(call.id, call.message_id.in_(asked), call.started_at, call.id)
            feedback = models.Feedback.select(*models.fields_of(models.Feedback, Feedback)).where(
                models.Feedback.interaction_id == id
            )
            archived = self._archive.list(interaction=id, limit=_ALL)[::-1]
            made = {entry.batch for entry in archived if entry.batch is not None}
            memories = memory.select(*models.fields_of(memory, Memory), memory.original).where(
                (memory.interaction_id == id) | memory.id.in_(sorted(made))
            )
            return Related(
                interaction=self.find(id),
                actions=self.actions(id),
                messages=[self._messages.get(one) for one in said],
                tool_calls=[self._tool_calls.get(one) for one in calls],
                feedback=decoder(Feedback)(
                    self._engine.select(feedback.order_by(models.Feedback.created_at, models.Feedback.id))
                ),
                memories=_decoded_memories(self._engine.select(memories.order_by(memory.pk))),
                archived=archived,
            )

    def archive(
        self,
        ids: Iterable[str] = (),
        *,
        before: datetime | str | None = None,
        reason: str = COMPACTED,
        into: str | None = None,
    ) -> int:
        """Move interactions and their actions into the archive: those with these ids, and all that are
        older than ``before``. Returns how many interactions went.

        ``into`` is the id of what they were consolidated to; the archive keeps it as their batch.
        """
        interaction = models.Interaction
        batch = self._engine.clock.new_id() if into is None else checks.filled("into", into)
        wanted = checks.texts("ids", ids)
        conditions = [interaction.id.in_(wanted[i : i + _CHUNK]) for i in range(0, len(wanted), _CHUNK)]
        if before is not None:
            conditions.append(interaction.created_at < checks.moment("before", before))
        gone = 0
        with self._engine.transaction():
            for condition in conditions:
                if self._events.watch_deletes:
                    for record in _decoded(self._engine.select(_select().where(condition))):
                        self._events.deleted("interaction", record)
                moved = self._archiver.remove("interaction", condition, reason=reason, batch=batch)
                gone += moved.get("interaction", 0)
        return gone

    def remove(self, id: str, *, reason: str = "removed") -> Interaction:
        """Move an interaction and its actions into the archive, and return its last state."""
        with self._engine.transaction():
            interaction = self.get(id)
            self._archiver.remove("interaction", models.Interaction.id == id, reason=reason)
            self._events.deleted("interaction", interaction)
            return interaction

    def _change(self, id: str, **values: Any) -> None:
        query = models.Interaction.update(
            {getattr(models.Interaction, name): value for name, value in values.items()}
        )
        self._engine.run(query.where(models.Interaction.id == id))

    def _add_action(self, action: Action) -> None:
        self._engine.run(models.Action.insert(dict(zip(_action_fields(), action, strict=True))))
        self._events.saving("action", action)

    def _ids(self, field: Any, condition: Any, *order: Any) -> Sequence[Any]:
        query = field.model.select(field).where(condition).order_by(*order)
        return [value for (value,) in self._engine.select(query)]

    def _tagged(self, query: Any, tag: str, wanted: int) -> Sequence[Interaction]:
        """The first of the query's interactions that have the tag. Tags are JSON, which not every
        database looks into, so they are compared here."""
        found: Sequence[Interaction] = []
        start = 0
        while len(found) < wanted:
            page = _decoded(self._engine.select(query.limit(_CHUNK).offset(start)))
            found = [*found, *(one for one in page if tag in one.tags)]
            if len(page) < _CHUNK:
                break
            start += _CHUNK
        return found[:wanted]


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "user_query": lambda name, value: _query(name, value),
    "query_context": checks.mapping,
    "ai_interpretation": checks.text,
    "planned_actions": checks.sequence,
    "confidence": lambda name, value: None if value is None else checks.fraction(name, value),
    "active_role": checks.text,
    "tokens_used": lambda name, value: None if value is None else checks.whole(name, value),
    "user_feedback": checks.text,
    "feedback_type": lambda name, value: checks.one_of(name, value, FEEDBACK_TYPES),
    "success": lambda name, value: None if value is None else checks.flag(name, value),
    "tags": checks.texts,
    "metadata": checks.mapping,
}


def _checked(**values: Any) -> dict[str, Any]:
    return {name: _CHECKS[name](name, value) for name, value in values.items()}


def _query(name: str, value: Any) -> str:
    """What a user typed is taken as it comes."""
    if not isinstance(value, str):
        raise Invalid(f"{name} {checks.shown(value)}: a text is wanted")
    return value


def _action(interaction: str, position: int, given: Any, place: str, now: datetime) -> Action:
    """Check what is given of an action; ``place`` is where it stands, for the errors."""
    values = checks.mapping(place, given)
    prefix = f"{place}." if place else ""
    if unknown := [key for key in values if key not in _ACTION_KEYS]:
        raise Invalid(f"{prefix}{unknown[0]}: there is no such key; known: {', '.join(_ACTION_KEYS)}")
    created_at = values.get("created_at")
    return Action(
        interaction_id=interaction,
        position=position,
        action_type=checks.filled(f"{prefix}action_type", values.get("action_type")),
        target=checks.text(f"{prefix}target", values.get("target")),
        details=checks.mapping(f"{prefix}details", values.get("details")),
        status=checks.filled(f"{prefix}status", values.get("status", "completed")),
        result=values.get("result"),
        error=checks.text(f"{prefix}error", values.get("error")),
        created_at=now if created_at is None else checks.moment(f"{prefix}created_at", created_at),
    )


def _latest_first() -> Any:
    return _select().order_by(models.Interaction.created_at.desc(), models.Interaction.id.desc())


def _list() -> Any:
    return _latest_first().limit(param("limit"))


def _select() -> Any:
    return models.Interaction.select(*_fields(), models.Interaction.original)


def _fields() -> list[Any]:
    return models.fields_of(models.Interaction, Interaction)


def _action_fields() -> list[Any]:
    return models.fields_of(models.Action, Action)
