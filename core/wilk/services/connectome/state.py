"""System state: values of an application's own, each under a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.connectome import SystemState
from wilk.records.decoding import decoder
from wilk.services.checks import identifier
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver

_decoded = decoder(SystemState)


class State:
    """The state that applications keep in a store."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def set(self, key: str, data: Any) -> SystemState:
        """Keep a value under a key, in the place of the one that is there."""
        identifier("key", key)
        text = codec.dumps(data, "data")
        engine = self._engine
        with engine.transaction():
            now = engine.clock.now()
            rows = engine.fetch("state.find", _find, (key,))
            row = (key, text, rows[0][2] if rows else now, now)
            engine.execute(engine.statement("state.set", _set).sql, row)
            state = _decoded([row])[0]
            self._events.saving("system_state", state)
            return state

    def get(self, key: str) -> SystemState:
        """Return what is kept under a key; raises NotFound."""
        state = self.find(key)
        if state is None:
            raise NotFound("state", key)
        return state

    def find(self, key: str) -> SystemState | None:
        """Return what is kept under a key, or None."""
        return next(iter(_decoded(self._engine.fetch("state.find", _find, (key,)))), None)

    def list(self, *, prefix: str = "", limit: int = 100, after: str | None = None) -> Sequence[SystemState]:
        """List what is kept, by key: all whose key begins with ``prefix``, in just that spelling.

        ``after`` is the last key of the page before.
        """
        state = models.SystemState
        query = state.select(*_fields()).where(state.key > (after or ""))
        if prefix:
            from peewee import fn  # with Peewee; see wilk.models

            # Not LIKE, which takes some characters for patterns and, in SQLite, a for A.
            query = query.where(fn.SUBSTR(state.key, 1, len(prefix)) == prefix)
        return _decoded(self._engine.select(query.order_by(state.key).limit(limits(limit))))

    def remove(self, key: str, *, reason: str = "removed") -> SystemState:
        """Archive and remove what is kept under a key; return it. Raises NotFound."""
        with self._engine.transaction():
            state = self.get(key)
            self._archiver.remove("system_state", models.SystemState.key == key, reason=reason)
            self._events.deleted("system_state", state)
            return state


def _set() -> Any:
    state = models.SystemState
    return state.insert({field: param(field.name) for field in _fields()}).on_conflict(
        conflict_target=[state.key], preserve=[state.data, state.updated_at]
    )


def _find() -> Any:
    return models.SystemState.select(*_fields()).where(models.SystemState.key == param("key"))


def _fields() -> list[Any]:
    return models.fields_of(models.SystemState, SystemState)
