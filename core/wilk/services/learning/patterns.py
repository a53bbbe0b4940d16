"""Patterns: what was seen again and again, how often, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from wilk import clock, models
from wilk.engine import Engine
from wilk.errors import Conflict, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.decoding import decoder
from wilk.records.learning import Pattern
from wilk.services import checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import identifier
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver

PROMOTED = "promoted_to_semantic"
"""The reason of what became lasting knowledge: patterns that were promoted, episodic memories."""

STEP = 0.1
"""How far one observation moves a confidence towards 1.0, or 0.0."""

_SOURCES = 1000
_CHUNK = 500
_decoded = decoder(Pattern)


class Patterns:
    """The patterns that a store has found or was told."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def add(
        self,
        name: str,
        *,
        pattern_type: str = "workflow",
        id: str | None = None,
        description: str | None = None,
        sequence: Sequence[Any] = (),
        frequency: int = 1,
        confidence: float = 0.5,
        sources: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime | str | None = None,
    ) -> Pattern:
        """Keep a pattern; ``sources`` are the ids of what it was seen in. Raises Conflict for an id
        that is taken."""
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            pattern = Pattern(
                id=self._engine.clock.new_id() if id is None else identifier("id", id),
                name=checks.filled("name", name),
                pattern_type=checks.filled("pattern_type", pattern_type),
                description=checks.text("description", description),
                sequence=checks.sequence("sequence", sequence),
                frequency=checks.whole("frequency", frequency),
                confidence=checks.fraction("confidence", confidence),
                sources=checks.texts("sources", sources),
                metadata=checks.mapping("metadata", metadata),
                created_at=now if created_at is None else checks.moment("created_at", created_at),
                updated_at=now,
            )
            try:
                self._engine.run(models.Pattern.insert(dict(zip(_fields(), pattern, strict=True))))
            except Conflict as error:
                raise Conflict(f"there is a pattern {pattern.id!r} already") from error
            self._events.saving("pattern", pattern)
            return pattern

    def update(
        self,
        id: str,
        *,
        name: str | Unset = UNSET,
        pattern_type: str | Unset = UNSET,
        description: str | Unset | None = UNSET,
        sequence: Sequence[Any] | Unset = UNSET,
        frequency: int | Unset = UNSET,
        confidence: float | Unset = UNSET,
        sources: Sequence[str] | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> Pattern:
        """Change the given fields of a pattern, and no other. Raises NotFound."""
        changes: dict[str, Any] = {}
        if name is not UNSET:
            changes["name"] = checks.filled("name", name)
        if pattern_type is not UNSET:
            changes["pattern_type"] = checks.filled("pattern_type", pattern_type)
        if description is not UNSET:
            changes["description"] = checks.text("description", description)
        if sequence is not UNSET:
            changes["sequence"] = checks.sequence("sequence", sequence)
        if frequency is not UNSET:
            changes["frequency"] = checks.whole("frequency", frequency)
        if confidence is not UNSET:
            changes["confidence"] = checks.fraction("confidence", confidence)
        if sources is not UNSET:
            changes["sources"] = checks.texts("sources", sources)
        if metadata is not UNSET:
            changes["metadata"] = checks.mapping("metadata", metadata)
        with self._engine.transaction():
            self.get(id)
            return self._change(id, changes)

    def observe(
        self, id: str, *, success: bool = True, times: int = 1, sources: Sequence[str] = ()
    ) -> Pattern:
        """Note that a pattern was seen again: its frequency rises by ``times``.

        Each time moves the confidence a tenth of the way to 1.0, or to 0.0 without ``success``.
        """
        checks.whole("times", times, least=1)
        checks.flag("success", success)
        new = checks.texts("sources", sources)
        with self._engine.transaction():
            # The row is changed first, so that whoever observes it at the same time counts on from here.
            pattern = self._change(id, {"frequency": models.Pattern.frequency + times})
            left: float = (1 - STEP) ** times
            kept = [*pattern.sources, *(source for source in new if source not in pattern.sources)]
            return self._change(
                id,
                {
                    "confidence": 1 - (1 - pattern.confidence) * left
                    if success
                    else pattern.confidence * left,
                    "sources": kept[-_SOURCES:],
                },
            )

    def get(self, id: str) -> Pattern:
        """Return the pattern; raises NotFound."""
        pattern = self.find(id)
        if pattern is None:
            raise NotFound("pattern", id)
        return pattern

    def find(self, id: str) -> Pattern | None:
        """Return the pattern, or None."""
        rows = self._engine.select(_select().where(models.Pattern.id == id))
        return next(iter(_decoded(rows)), None)

    def list(
        self, *, pattern_type: str | None = None, min_confidence: float = 0.0, limit: int = 100
    ) -> Sequence[Pattern]:
        """List patterns, the surest first, then those seen most often."""
        least = checks.fraction("min_confidence", min_confidence)
        if pattern_type is None and not least:
            return _decoded(self._engine.fetch("patterns.list", _list, (limits(limit),)))
        pattern = models.Pattern
        query = _surest_first()
        if pattern_type is not None:
            query = query.where(pattern.pattern_type == pattern_type)
        if least:
            query = query.where(pattern.confidence >= min_confidence)
        return _decoded(self._engine.select(query.limit(limits(limit))))

    def archive(self, ids: Iterable[str], *, reason: str, into: str | None = None) -> int:
        """Move patterns into the archive; return how many went.

        ``into`` is the id of what they were promoted to; the archive keeps it as their batch.
        """
        batch = self._engine.clock.new_id() if into is None else checks.filled("into", into)
        wanted = checks.texts("ids", ids)
        gone = 0
        with self._engine.transaction():
            for start in range(0, len(wanted), _CHUNK):
                condition = models.Pattern.id.in_(wanted[start : start + _CHUNK])
                if self._events.watch_deletes:
                    for record in _decoded(self._engine.select(_select().where(condition))):
                        self._events.deleted("pattern", record)
                moved = self._archiver.remove("pattern", condition, reason=reason, batch=batch)
                gone += moved.get("pattern", 0)
        return gone

    def promote(self, id: str, *, into: str | None = None) -> Pattern:
        """Move a pattern that became lasting knowledge into the archive, and return its last state."""
        with self._engine.transaction():
            pattern = self.get(id)
            self.archive([id], reason=PROMOTED, into=into)
            return pattern

    def remove(self, id: str, *, reason: str = "removed") -> Pattern:
        """Move a pattern into the archive, and return its last state."""
        with self._engine.transaction():
            pattern = self.get(id)
            self.archive([id], reason=reason)
            return pattern

    def _change(self, id: str, changes: Mapping[str, Any]) -> Pattern:
        now = clock.to_datetime(self._engine.clock.now())
        values = {getattr(models.Pattern, name): value for name, value in changes.items()}
        values[models.Pattern.updated_at] = now
        self._engine.run(models.Pattern.update(values).where(models.Pattern.id == id))
        pattern = self.get(id)
        self._events.saving("pattern", pattern)
        return pattern


def _list() -> Any:
    return _surest_first().limit(param("limit"))


def _surest_first() -> Any:
    pattern = models.Pattern
    return _select().order_by(pattern.confidence.desc(), pattern.frequency.desc(), pattern.id)


def _select() -> Any:
    return models.Pattern.select(*_fields())


def _fields() -> list[Any]:
    return models.fields_of(models.Pattern, Pattern)
