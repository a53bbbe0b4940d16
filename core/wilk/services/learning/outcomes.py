"""What was done in interactions, and how it went: actions one after the other, successes, feedback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from wilk import models
from wilk.engine import Engine

COUNTED = 10_000
"""Interactions whose actions are counted, the newest."""

_CHUNK = 500


class Done(NamedTuple):
    """Actions that were taken one after the other: how many times, and how often it went well."""

    actions: tuple[str, ...]
    times: int
    successes: int


class Outcomes:
    """Reads what came of the interactions of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def actions(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """The types of the actions of interactions, in the order in which they were taken."""
        one: Any = models.Action
        found: dict[str, list[str]] = {}
        for start in range(0, len(ids), _CHUNK):
            query = one.select(one.interaction, one.action_type).where(
                one.interaction.in_(ids[start : start + _CHUNK])
            )
            for id, action in self._engine.select(query.order_by(one.interaction, one.position)):
                found.setdefault(id, []).append(action)
        return found

    def successes(self, action_types: Sequence[str] | None, limit: int) -> list[str]:
        """The ids of the latest interactions that went well: all, or those with one of the actions."""
        one: Any = models.Interaction
        query = one.select(one.id).where(one.success == True)  # noqa: E712 (SQL)
        if action_types:
            taken: Any = models.Action
            query = query.where(
                one.id.in_(taken.select(taken.interaction).where(taken.action_type.in_(action_types)))
            )
        query = query.order_by(one.created_at.desc(), one.id.desc()).limit(limit)
        return [id for (id,) in self._engine.select(query)]

    def sequences(self) -> list[Done]:
        """What was done one after the other in the newest interactions, the most frequent first."""
        one: Any = models.Interaction
        newest = one.select(one.id, one.success).order_by(one.created_at.desc(), one.id.desc())
        counts: Counter[tuple[str, ...]] = Counter()
        well: Counter[tuple[str, ...]] = Counter()
        with self._engine.snapshot():
            success: dict[str, Any] = dict(self._engine.select(newest.limit(COUNTED)))
            for id, actions in self.actions(list(success)).items():
                counts[tuple(actions)] += 1
                well[tuple(actions)] += bool(success[id])
        return [
            Done(actions, count, well[actions])
            for actions, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        ]

    def feedback(self) -> dict[str, int]:
        """How many interactions got feedback of each type."""
        from peewee import fn  # with Peewee; see wilk.models

        one: Any = models.Interaction
        query = one.select(one.feedback_type, fn.COUNT(one.id)).where(one.feedback_type != "none")
        return dict(self._engine.select(query.group_by(one.feedback_type).order_by(one.feedback_type)))
