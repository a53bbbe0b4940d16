"""Preferences: what a user prefers, or everybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wilk import clock, models
from wilk.engine import Engine
from wilk.errors import NotFound
from wilk.events import Events
from wilk.records.decoding import decoder
from wilk.records.learning import Preference
from wilk.services import checks
from wilk.services.checks import identifier, optional
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver

_decoded = decoder(Preference)


class Preferences:
    """The preferences of a store's users. Without a user, a preference is everybody's."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def set(
        self,
        key: str,
        value: Any,
        *,
        category: str = "general",
        user: str | None = None,
        confidence: float = 0.5,
        source: str | None = None,
    ) -> Preference:
        """Keep a preference, any JSON value, in place of the one with that key, category and user."""
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            preference = models.Preference
            given = Preference(
                id=self._engine.clock.new_id(),
                user_id=optional("user", user),
                category=checks.filled("category", category),
                key=identifier("key", key),
                value=value,
                confidence=checks.fraction("confidence", confidence),
                source=checks.text("source", source),
                created_at=now,
                updated_at=now,
            )
            target = [preference.category, preference.key]
            self._engine.run(
                preference.insert(dict(zip(_fields(), given, strict=True))).on_conflict(
                    conflict_target=target if user is None else [preference.user_id, *target],
                    conflict_where=preference.user_id.is_null(user is None),
                    preserve=[
                        preference.value,
                        preference.confidence,
                        preference.source,
                        preference.updated_at,
                    ],
                )
            )
            kept = self.get(key, category=category, user=user)
            self._events.saving("preference", kept)
            return kept

    def get(self, key: str, *, category: str = "general", user: str | None = None) -> Preference:
        """Return the preference of a user, or everybody's; raises NotFound."""
        preference = self.find(key, category=category, user=user)
        if preference is None:
            raise NotFound("preference", key, f"category {category!r}, user {user!r}")
        return preference

    def find(self, key: str, *, category: str = "general", user: str | None = None) -> Preference | None:
        """Return the preference of a user, or everybody's, or None. One is not taken for the other."""
        preference = models.Preference
        query = _select().where(preference.key == key, preference.category == category, _owned(user))
        return next(iter(_decoded(self._engine.select(query))), None)

    def list(
        self, *, category: str | None = None, user: str | None = None, limit: int = 1000
    ) -> Sequence[Preference]:
        """List a user's own preferences, or without one everybody's, by category and key."""
        return self._page(_owned(user), category, limit)

    def of(self, user: str, *, category: str | None = None, limit: int = 1000) -> Sequence[Preference]:
        """List what holds for a user: their own preferences, and everybody's where they have none."""
        own = {(one.category, one.key): one for one in self.list(category=category, user=user, limit=limit)}
        shared = {(one.category, one.key): one for one in self.list(category=category, limit=limit)}
        return [one for _, one in sorted((shared | own).items())][:limit]

    def remove(
        self, key: str, *, category: str = "general", user: str | None = None, reason: str = "removed"
    ) -> Preference:
        """Move a preference into the archive, and return its last state."""
        with self._engine.transaction():
            preference = self.get(key, category=category, user=user)
            self._archiver.remove("preference", models.Preference.id == preference.id, reason=reason)
            self._events.deleted("preference", preference)
            return preference

    def _page(self, condition: Any, category: str | None, limit: int) -> Sequence[Preference]:
        preference = models.Preference
        query = _select().where(condition).order_by(preference.category, preference.key)
        if category is not None:
            query = query.where(preference.category == category)
        return _decoded(self._engine.select(query.limit(limits(limit))))


def _owned(user: str | None) -> Any:
    return models.Preference.user_id.is_null() if user is None else models.Preference.user_id == user


def _select() -> Any:
    return models.Preference.select(*_fields())


def _fields() -> list[Any]:
    return models.fields_of(models.Preference, Preference)
