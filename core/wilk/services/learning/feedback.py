"""Feedback: what somebody said of an interaction, or in general, and whether it was applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from wilk import clock, models
from wilk.engine import Engine
from wilk.errors import NotFound
from wilk.events import Events
from wilk.records.decoding import decoder
from wilk.records.learning import Feedback
from wilk.services import checks
from wilk.services.checks import limit as limits
from wilk.services.checks import optional
from wilk.services.keeping.archiver import Archiver

_decoded = decoder(Feedback)


class FeedbackNotes:
    """The feedback that a store keeps."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def add(
        self,
        type: str,
        message: str,
        *,
        context: Mapping[str, Any] | None = None,
        interaction: str | None = None,
        created_at: datetime | str | None = None,
    ) -> Feedback:
        """Keep what somebody said; ``type`` is any word, such as ``correct`` or ``prefer``.

        ``interaction`` is the correlation id of what it is about.
        """
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            feedback = Feedback(
                id=self._engine.clock.new_id(),
                type=checks.filled("type", type),
                message=checks.filled("message", message),
                context=checks.mapping("context", context),
                interaction_id=optional("interaction", interaction),
                applied=False,
                created_at=now if created_at is None else checks.moment("created_at", created_at),
                applied_at=None,
            )
            self._engine.run(models.Feedback.insert(dict(zip(_fields(), feedback, strict=True))))
            self._events.saving("feedback", feedback)
            return feedback

    def get(self, id: str) -> Feedback:
        """Return the feedback; raises NotFound."""
        feedback = self.find(id)
        if feedback is None:
            raise NotFound("feedback", id)
        return feedback

    def find(self, id: str) -> Feedback | None:
        """Return the feedback, or None."""
        rows = self._engine.select(_select().where(models.Feedback.id == id))
        return next(iter(_decoded(rows)), None)

    def list(
        self,
        *,
        type: str | None = None,
        applied: bool | None = None,
        interaction: str | None = None,
        limit: int = 100,
    ) -> Sequence[Feedback]:
        """List feedback, the latest first."""
        feedback = models.Feedback
        query = _select().order_by(feedback.created_at.desc(), feedback.id.desc())
        if type is not None:
            query = query.where(feedback.type == type)
        if applied is not None:
            query = query.where(feedback.applied == checks.flag("applied", applied))
        if interaction is not None:
            query = query.where(feedback.interaction_id == interaction)
        return _decoded(self._engine.select(query.limit(limits(limit))))

    def mark_applied(self, id: str) -> Feedback:
        """Note that feedback was acted on, and when. Marking it again changes nothing."""
        with self._engine.transaction():
            feedback = self.get(id)
            if feedback.applied:
                return feedback
            now = clock.to_datetime(self._engine.clock.now())
            feedback = feedback._replace(applied=True, applied_at=now)
            values = {models.Feedback.applied: True, models.Feedback.applied_at: now}
            self._engine.run(models.Feedback.update(values).where(models.Feedback.id == id))
            self._events.saving("feedback", feedback)
            return feedback

    def remove(self, id: str, *, reason: str = "removed") -> Feedback:
        """Move feedback into the archive, and return its last state."""
        with self._engine.transaction():
            feedback = self.get(id)
            self._archiver.remove("feedback", models.Feedback.id == id, reason=reason)
            self._events.deleted("feedback", feedback)
            return feedback


def _select() -> Any:
    return models.Feedback.select(*_fields())


def _fields() -> list[Any]:
    return models.fields_of(models.Feedback, Feedback)
