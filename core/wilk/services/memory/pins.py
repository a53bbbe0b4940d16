"""Pins: what a session must not forget, whatever is summarized or archived around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wilk import clock, models
from wilk.engine import Engine
from wilk.errors import Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.decoding import decoder
from wilk.records.memory import Pin
from wilk.services import batches, checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver
from wilk.services.memory import importance as scoring
from wilk.services.memory.origins import check_message, check_session

TYPES = ("user", "manual", "auto", "code", "concept", "system")
"""The types that are known; the setting ``pin_types`` adds others."""

_decoded = decoder(Pin)


class Pins:
    """The pins of all sessions of a store."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver, more_types: Sequence[str]) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._types = (*TYPES, *more_types)

    def add(
        self,
        session_id: str,
        content: str,
        *,
        type: str = "user",
        source: str | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Pin:
        """Pin a text to a session.

        ``source`` is the message that it comes from; the pin stays when that is summarized or
        archived. ``importance`` (0.0–1.0) not given is 0.8, or 0.7 for the type ``auto``. Raises
        NotFound for an unknown session, and for a source that is no message of it.
        """
        checks.filled("content", content)
        self._check_type(type)
        score = scoring.of_pin(type) if importance is None else scoring.check(importance)
        with self._engine.transaction():
            check_session(self._engine, session_id)
            if source is not None:
                check_message(self._engine, source, session_id)
            now = clock.to_datetime(self._engine.clock.now())
            pin = Pin(
                id=self._engine.clock.new_id(),
                session_id=session_id,
                content=content,
                type=type,
                source_message_id=source,
                importance=score,
                metadata=checks.mapping("metadata", metadata),
                created_at=now,
                updated_at=now,
            )
            self._engine.run(models.Pin.insert(dict(zip(_fields(), pin, strict=True))))
            self._events.saving("pin", pin)
            return pin

    def extend(self, session_id: str, pins: Iterable[Mapping[str, Any]]) -> Sequence[Pin]:
        """Pin many texts to a session in one transaction: all of them, or none.

        Each is an object with ``content`` and whatever else :meth:`add` takes, by the same names.
        """
        return batches.added(self._engine, self.add, "pins", pins, session_id)

    def get(self, id: str) -> Pin:
        """Return the pin; raises NotFound."""
        pin = self.find(id)
        if pin is None:
            raise NotFound("pin", id)
        return pin

    def find(self, id: str) -> Pin | None:
        """Return the pin, or None."""
        return next(iter(_decoded(self._engine.fetch("pins.find", _find, (id,)))), None)

    def list(self, session_id: str, *, type: str | None = None, limit: int = 100) -> Sequence[Pin]:
        """List the pins of a session, the most important first, of equals the newest."""
        if type is None:
            rows = self._engine.fetch("pins.list", _list, (session_id, limits(limit)))
        else:
            self._check_type(type)
            rows = self._engine.fetch("pins.of_type", _of_type, (session_id, type, limits(limit)))
        if not rows:
            check_session(self._engine, session_id)
        return _decoded(rows)

    def update(
        self,
        id: str,
        *,
        content: str | Unset = UNSET,
        type: str | Unset = UNSET,
        importance: float | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> Pin:
        """Change the given fields of a pin, and no other."""
        with self._engine.transaction():
            pin = self.get(id)
            if content is not UNSET:
                pin = pin._replace(content=checks.filled("content", content))
            if type is not UNSET:
                self._check_type(type)
                pin = pin._replace(type=type)
            if importance is not UNSET:
                pin = pin._replace(importance=scoring.check(importance))
            if metadata is not UNSET:
                pin = pin._replace(metadata=checks.mapping("metadata", metadata))
            pin = pin._replace(updated_at=clock.to_datetime(self._engine.clock.now()))
            values = dict(zip(_fields(), pin, strict=True))
            self._engine.run(models.Pin.update(values).where(models.Pin.id == id))
            self._events.saving("pin", pin)
            return pin

    def remove(self, id: str, *, reason: str = "removed") -> Pin:
        """Archive a pin, and remove it; return its last state."""
        with self._engine.transaction():
            pin = self.get(id)
            self._archiver.remove("pin", models.Pin.id == id, reason=reason)
            self._events.deleted("pin", pin)
            return pin

    def _check_type(self, type: str) -> None:
        if type not in self._types:
            raise Invalid(
                f"type {checks.shown(type)}: one of {', '.join(self._types)} is wanted; the setting "
                "pin_types adds others"
            )


def _fields() -> list[Any]:
    return models.fields_of(models.Pin, Pin)


def _select() -> Any:
    return models.Pin.select(*_fields())


def _find() -> Any:
    return _select().where(models.Pin.id == param("id"))


def _first() -> Any:
    pin = models.Pin
    query = _select().where(pin.session == param("session"))
    return query.order_by(pin.importance.desc(), pin.created_at.desc(), pin.id.desc())


def _list() -> Any:
    return _first().limit(param("limit"))


def _of_type() -> Any:
    return _first().where(models.Pin.type == param("type")).limit(param("limit"))
