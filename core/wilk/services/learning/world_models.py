"""World models: what is believed of a domain, and how it was at earlier times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from wilk import clock, models
from wilk.engine import Engine
from wilk.errors import Invalid, NotFound
from wilk.events import Events
from wilk.records.decoding import decoder
from wilk.records.learning import WorldModel, WorldModelSnapshot
from wilk.services import checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import identifier, optional
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver
from wilk.services.learning import world_state

_STATE = (
    "domain", "domain_confidence", "interaction_count", "entities", "relations", "goals", "metrics",
    "discovered_entity_types", "discovered_relation_types", "constraints",
)  # fmt: skip
_decoded = decoder(WorldModel)
_decoded_snapshots = decoder(WorldModelSnapshot)


class WorldModels:
    """The world models of a store, and their snapshots."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def save(
        self,
        domain: str,
        *,
        id: str | None = None,
        session: str | None = None,
        domain_confidence: float = 0.0,
        interaction_count: int = 0,
        entities: Sequence[Mapping[str, Any]] = (),
        relations: Sequence[Mapping[str, Any]] = (),
        goals: Sequence[Any] = (),
        metrics: Mapping[str, Any] | None = None,
        discovered_entity_types: Sequence[str] = (),
        discovered_relation_types: Sequence[str] = (),
        constraints: Sequence[Any] = (),
        is_active: bool = True,
        merged_from: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime | str | None = None,
    ) -> WorldModel:
        """Keep a state of the world, in place of the one with that id if there is one.

        Types of entities and relations that are not among the discovered ones are added to them. An
        error names the place, such as ``entities.3.confidence``. Snapshots stay as they are.
        """
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            checked = _checked(
                now,
                domain=domain,
                domain_confidence=domain_confidence,
                interaction_count=interaction_count,
                entities=entities,
                relations=relations,
                goals=goals,
                metrics=metrics,
                discovered_entity_types=discovered_entity_types,
                discovered_relation_types=discovered_relation_types,
                constraints=constraints,
                is_active=is_active,
                merged_from=merged_from,
                metadata=metadata,
            )
            model = WorldModel(
                id=self._engine.clock.new_id() if id is None else identifier("id", id),
                session_id=optional("session", session),
                created_at=now if created_at is None else checks.moment("created_at", created_at),
                updated_at=now,
                **checked,
            )
            table = models.WorldModel
            values = dict(zip(_fields(), _complete(model), strict=True))
            self._engine.run(
                table.insert(values).on_conflict(
                    conflict_target=[table.id],
                    preserve=[field for field in _fields() if field.name not in ("id", "created_at")],
                )
            )
            return self._saved(model.id)

    def update(
        self,
        id: str,
        *,
        session: str | Unset | None = UNSET,
        domain: str | Unset = UNSET,
        domain_confidence: float | Unset = UNSET,
        interaction_count: int | Unset = UNSET,
        entities: Sequence[Mapping[str, Any]] | Unset = UNSET,
        relations: Sequence[Mapping[str, Any]] | Unset = UNSET,
        goals: Sequence[Any] | Unset = UNSET,
        metrics: Mapping[str, Any] | Unset = UNSET,
        constraints: Sequence[Any] | Unset = UNSET,
        is_active: bool | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> WorldModel:
        """Change the given fields of a world model, and no other. Raises NotFound."""
        given = {
            "domain": domain, "domain_confidence": domain_confidence,
            "interaction_count": interaction_count, "entities": entities, "relations": relations,
            "goals": goals, "metrics": metrics, "constraints": constraints, "is_active": is_active,
            "metadata": metadata,
        }  # fmt: skip
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            changes = _checked(now, **{name: value for name, value in given.items() if value is not UNSET})
            if session is not UNSET:
                changes["session_id"] = optional("session", session)
            return self._change(self.get(id), changes)

    def put_entity(
        self,
        id: str,
        entity_id: str,
        type: str,
        *,
        properties: Mapping[str, Any] | None = None,
        confidence: float = 0.5,
    ) -> WorldModel:
        """Add an entity to a world model, or what is newly known of the one with that id.

        New properties go over the old ones; of two confidences the higher one stays.
        """
        given = {"id": entity_id, "type": type, "properties": properties, "confidence": confidence}
        with self._engine.transaction():
            model = self.get(id)
            new = world_state.entity("entity", given, clock.to_datetime(self._engine.clock.now()))
            return self._change(model, {"entities": world_state.with_entities(model.entities, [new])})

    def observe_relation(
        self,
        id: str,
        source_id: str,
        type: str,
        target_id: str,
        *,
        properties: Mapping[str, Any] | None = None,
        confidence: float = 0.5,
        times: int = 1,
    ) -> WorldModel:
        """Note that a relation between two entities was seen: it is added, or counted once more."""
        given = {
            "source_id": source_id, "target_id": target_id, "type": type, "properties": properties,
            "confidence": confidence, "observed_count": times,
        }  # fmt: skip
        with self._engine.transaction():
            model = self.get(id)
            new = world_state.relation("relation", given)
            return self._change(model, {"relations": world_state.with_relations(model.relations, [new])})

    def get(self, id: str) -> WorldModel:
        """Return the world model; raises NotFound."""
        model = self.find(id)
        if model is None:
            raise NotFound("world model", id)
        return model

    def find(self, id: str) -> WorldModel | None:
        """Return the world model, or None."""
        return next(iter(_decoded(self._engine.select(_select().where(models.WorldModel.id == id)))), None)

    def list(self, *, session: str | None = None, limit: int = 100) -> Sequence[WorldModel]:
        """List world models, active or not, the latest change first."""
        return self._page(session, limit)

    def active(self, session: str | None = None, *, limit: int = 100) -> Sequence[WorldModel]:
        """List the active world models, of one session or of all, the latest change first."""
        return self._page(session, limit, models.WorldModel.is_active == True)  # noqa: E712 - SQL

    def by_domain(self, domain: str, *, limit: int = 100) -> Sequence[WorldModel]:
        """List the world models of a domain, the surest first."""
        model = models.WorldModel
        query = _select().where(model.domain == domain)
        query = query.order_by(model.domain_confidence.desc(), model.updated_at.desc(), model.id.desc())
        return _decoded(self._engine.select(query.limit(limits(limit))))

    def deactivate(self, id: str) -> WorldModel:
        """Note that a world model does not hold any more. It is kept."""
        with self._engine.transaction():
            return self._change(self.get(id), {"is_active": False})

    def merge(self, into: str, source: str) -> WorldModel:
        """Put what ``source`` holds to the world model ``into``, and deactivate ``source``.

        Entities with one id become one, as do relations of one type between the same two. The state
        of ``into`` before is kept as a snapshot.
        """
        if into == source:
            raise Invalid(f"source {source!r}: another world model than {into!r} is wanted")
        with self._engine.transaction():
            target, other = self.get(into), self.get(source)
            self.snapshot(into, trigger_event=f"merged {source}")
            self._change(other, {"is_active": False})
            return self._change(
                target,
                {
                    "domain_confidence": max(target.domain_confidence, other.domain_confidence),
                    "interaction_count": target.interaction_count + other.interaction_count,
                    "entities": world_state.with_entities(target.entities, other.entities),
                    "relations": world_state.with_relations(target.relations, other.relations),
                    "goals": world_state.with_new(target.goals, other.goals),
                    "metrics": {**other.metrics, **target.metrics},
                    "constraints": world_state.with_new(target.constraints, other.constraints),
                    "merged_from": world_state.with_new(target.merged_from, [*other.merged_from, source]),
                },
            )

    def snapshot(
        self, id: str, *, trigger_event: str | None = None, data: Mapping[str, Any] | None = None
    ) -> WorldModelSnapshot:
        """Keep the state of a world model as it is now, or the ``data`` that is given. Raises NotFound."""
        with self._engine.transaction():
            model = self.get(id)
            snapshot = WorldModelSnapshot(
                id=self._engine.clock.new_id(),
                world_model_id=id,
                data={name: getattr(model, name) for name in _STATE}
                if data is None
                else checks.mapping("data", data),
                trigger_event=checks.text("trigger_event", trigger_event),
                created_at=clock.to_datetime(self._engine.clock.now()),
            )
            values = dict(zip(_snapshot_fields(), snapshot, strict=True))
            self._engine.run(models.WorldModelSnapshot.insert(values))
            self._events.saving("world_model_snapshot", snapshot)
            return snapshot

    def snapshots(self, id: str | None = None, *, limit: int = 100) -> Sequence[WorldModelSnapshot]:
        """List the snapshots of one world model, or of all, the latest first."""
        snapshot = models.WorldModelSnapshot
        query = snapshot.select(*_snapshot_fields()).order_by(snapshot.pk.desc())
        if id is not None:
            query = query.where(snapshot.world_model == id)
        return _decoded_snapshots(self._engine.select(query.limit(limits(limit))))

    def restore(self, id: str, snapshot: str) -> WorldModel:
        """Bring a world model back to one of its snapshots. Its state before is kept as a snapshot."""
        table = models.WorldModelSnapshot
        query = table.select(*_snapshot_fields()).where(table.id == snapshot, table.world_model == id)
        with self._engine.transaction():
            model = self.get(id)
            found = _decoded_snapshots(self._engine.select(query))
            if not found:
                raise NotFound("snapshot", snapshot, f"a snapshot of world model {id!r} is wanted")
            state = {name: value for name, value in found[0].data.items() if name in _STATE}
            self.snapshot(id, trigger_event=f"restored {snapshot}")
            return self._change(model, _checked(clock.to_datetime(self._engine.clock.now()), **state))

    def remove(self, id: str, *, reason: str = "removed") -> WorldModel:
        """Move a world model and its snapshots into the archive, and return its last state."""
        with self._engine.transaction():
            model = self.get(id)
            self._archiver.remove("world_model", models.WorldModel.id == id, reason=reason)
            self._events.deleted("world_model", model)
            return model

    def _page(self, session: str | None, limit: int, condition: Any = None) -> Sequence[WorldModel]:
        model = models.WorldModel
        query = _select().order_by(model.updated_at.desc(), model.id.desc())
        if session is not None:
            query = query.where(model.session_id == session)
        if condition is not None:
            query = query.where(condition)
        return _decoded(self._engine.select(query.limit(limits(limit))))

    def _change(self, model: WorldModel, changes: Mapping[str, Any]) -> WorldModel:
        now = clock.to_datetime(self._engine.clock.now())
        changed = _complete(model._replace(**changes, updated_at=now))
        values = dict(zip(_fields(), changed, strict=True))
        self._engine.run(models.WorldModel.update(values).where(models.WorldModel.id == model.id))
        return self._saved(model.id)

    def _saved(self, id: str) -> WorldModel:
        model = self.get(id)
        self._events.saving("world_model", model)
        return model


def _checked(now: datetime, **values: Any) -> dict[str, Any]:
    return {
        name: world_state.entities(value, now) if name == "entities" else _CHECKS[name](name, value)
        for name, value in values.items()
    }


_CHECKS: dict[str, Any] = {
    "domain": checks.filled,
    "domain_confidence": checks.fraction,
    "interaction_count": checks.whole,
    "relations": lambda _, value: world_state.relations(value),
    "goals": checks.sequence,
    "metrics": checks.mapping,
    "discovered_entity_types": checks.texts,
    "discovered_relation_types": checks.texts,
    "constraints": checks.sequence,
    "is_active": checks.flag,
    "merged_from": checks.texts,
    "metadata": checks.mapping,
}


def _complete(model: WorldModel) -> WorldModel:
    """The model with the types of its entities and relations among the discovered ones."""
    return model._replace(
        discovered_entity_types=world_state.with_new(
            model.discovered_entity_types, world_state.types(model.entities)
        ),
        discovered_relation_types=world_state.with_new(
            model.discovered_relation_types, world_state.types(model.relations)
        ),
    )


def _select() -> Any:
    return models.WorldModel.select(*_fields())


def _fields() -> list[Any]:
    return models.fields_of(models.WorldModel, WorldModel)


def _snapshot_fields() -> list[Any]:
    return models.fields_of(models.WorldModelSnapshot, WorldModelSnapshot)
