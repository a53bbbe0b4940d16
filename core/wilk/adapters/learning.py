"""The storage module's interface over wilk: its method names, its dictionaries, awaited.

What the module's own store drops or overwrites is kept here: nothing is cleared or archived without
going through the archive, and keys that wilk does not know come back as they were. Times without a
zone are local, as in the module's data. Vacuuming is not a method: it belongs to maintenance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from wilk.aio import AsyncStore, open_async_store
from wilk.errors import BackendError, Closed, Invalid, NotFound
from wilk.records.archive import Archived
from wilk.records.decoding import decoder
from wilk.records.learning import Action, Feedback, Interaction, Pattern, Preference, WorldModel
from wilk.services import checks
from wilk.services.keeping.archiver import COMPACTED
from wilk.services.keeping.kinds import kind

_KEPT = "kept"  # where unknown keys lie in a record's metadata
_ALL = 2**31 - 1
_INTERACTION = (
    "query_context", "ai_interpretation", "planned_actions", "confidence", "active_role", "tokens_used",
    "user_feedback", "feedback_type", "success", "tags",
)  # fmt: skip
_ACTION = ("action_type", "target", "details", "status", "result", "error")
_PATTERN = ("name", "pattern_type", "description", "sequence", "frequency", "confidence")
_WORLD = (
    "domain_confidence", "interaction_count", "relations", "metrics", "discovered_entity_types",
    "discovered_relation_types", "is_active",
)  # fmt: skip
_ENTITY = ("id", "type", "properties", "confidence", "first_seen", "last_modified")
_RELATION = ("source_id", "target_id", "type", "properties", "confidence", "observed_count")
_CLEARED = ("pattern", "feedback", "preference", "interaction", "world_model")


class LearningStore:
    """The storage module's store over a database file, or over a store that is open already."""

    def __init__(self, place: str | Path | AsyncStore) -> None:
        """``place`` is a file, a URL such as ``sqlite:///x.db``, or an open store, which stays open."""
        self._place = place
        self._opened: AsyncStore | None = place if isinstance(place, AsyncStore) else None

    @property
    def store(self) -> AsyncStore:
        """The store below; raises Closed before :meth:`initialize` and after :meth:`close`."""
        if self._opened is None:
            raise Closed("the store is not open; await initialize() first")
        return self._opened

    async def initialize(self) -> None:
        """Open the database, and bring it to the current schema. A second time does nothing."""
        if self._opened is None:
            place = str(self._place)
            if "://" not in place:
                place = f"sqlite:///{place.replace('%', '%25').replace('?', '%3F')}"
            self._opened = await open_async_store(place)

    async def close(self) -> None:
        """Close the database, if it was opened here."""
        if self._opened is not None and self._opened is not self._place:
            await self._opened.close()
            self._opened = None

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Make what the block does one change: all of it happens, or nothing."""
        return self.store.transaction()

    # -- interactions ---------------------------------------------------------------------

    async def add_interaction(self, interaction: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """Keep an interaction, as one object or as keywords; return its id.

        One with an ``interaction_id`` that is there already is changed, and gets the actions beyond
        those that it has.
        """
        given, unknown = _split(
            {**_object("interaction", interaction), **fields},
            (*_INTERACTION, "interaction_id", "session_id", "user_id", "agent_id", "timestamp", "user_query",
             "actions_taken", "metadata"),
        )  # fmt: skip
        values = {name: given[name] for name in _INTERACTION if given.get(name) is not None}
        if "tags" in values:
            values["tags"] = _list("tags", values["tags"])
        metadata = _metadata(given.get("metadata"), unknown)
        actions = [
            _action(f"actions_taken.{i}", one)
            for i, one in enumerate(_list("actions_taken", given.get("actions_taken")))
        ]
        id, interactions = given.get("interaction_id"), self.store.interactions
        async with self.transaction():
            if id is not None and await interactions.find(id) is not None:
                query = {"user_query": given["user_query"]} if "user_query" in given else {}
                await interactions.update(id, **query, **values, metadata=metadata)
                for action in actions[len(await interactions.actions(id)) :]:
                    await interactions.act(id, **action)
                return str(id)
            added = await interactions.add(
                _wanted(given, "user_query"),
                id=id,
                session=given.get("session_id"),
                user=given.get("user_id"),
                agent=given.get("agent_id"),
                actions=actions,
                metadata=metadata,
                created_at=_moment(given.get("timestamp")),
                **values,
            )
            return added.id

    async def add_complete_interaction(
        self, interaction_dict: Mapping[str, Any] | None = None, **fields: Any
    ) -> str:
        """Keep an interaction; the same as :meth:`add_interaction`."""
        return await self.add_interaction(interaction_dict, **fields)

    async def get_recent_interactions(self, limit: int = 10) -> list[dict[str, Any]]:
        """List the latest interactions, the latest first."""
        return await self.get_complete_interactions(limit=limit)

    async def get_complete_interactions(
        self, session_id: str | None = None, interaction_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """List interactions with their actions: of a session, the one with that id, or all."""
        interactions = self.store.interactions
        if interaction_id is None:
            return await self._complete(await interactions.list(session=session_id, limit=limit))
        found = await interactions.find(interaction_id)
        return await self._complete([] if found is None else [found])

    async def search_interactions_by_query(self, query_pattern: str, limit: int = 20) -> list[dict[str, Any]]:
        """Find interactions whose query holds every word, the latest first."""
        return await self._complete(await self.store.interactions.search(query_pattern, limit=limit))

    async def archive_interactions(
        self, interaction_ids: Iterable[str], reason: str, consolidated_to: str | None = None
    ) -> int:
        """Move interactions into the archive, all or none; return how many went."""
        return await self.store.interactions.archive(interaction_ids, reason=reason, into=consolidated_to)

    async def archive_old_interactions(self, before_date: datetime | str, reason: str = COMPACTED) -> int:
        """Move the interactions that are older into the archive; return how many went."""
        return await self.store.interactions.archive(before=_moment(before_date), reason=reason)

    async def get_archived_interaction(self, interaction_id: str) -> dict[str, Any] | None:
        """Return an archived interaction, with its ``original_data``, or None."""
        found = await self.get_archived_interactions(interaction_id=interaction_id, limit=1)
        return found[0] if found else None

    async def get_archived_interactions(
        self, interaction_id: str | None = None, *, reason: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """List archived interactions, the latest first, each with its ``original_data``."""
        entries = await self.store.archive.list(
            kind="interaction", record=interaction_id, reason=reason, limit=limit
        )
        taken: dict[tuple[str | None, str], list[Action]] = {}
        for batch in dict.fromkeys(entry.batch for entry in entries):
            for row in await self.store.archive.list(kind="action", batch=batch, limit=_ALL):
                taken.setdefault((batch, row.data["interaction_id"]), []).append(_of(Action, row))
        found = []
        for entry in entries:
            actions = sorted(taken.get((entry.batch, entry.record_id), ()), key=lambda one: one.position)
            found.append(_archived(entry, _interaction(_of(Interaction, entry), actions)))
        return found

    async def get_archive_statistics(self) -> dict[str, Any]:
        """Count the archived interactions by reason, and patterns by type and reason."""
        counts = await self.store.archive.statistics()
        interactions = {one.reason: one.records for one in counts if one.kind == "interaction"}
        patterns = await self.store.archive.list(kind="pattern", limit=_ALL)
        return {
            "total_archived_interactions": sum(interactions.values()),
            "total_archived_patterns": len(patterns),
            "interactions_by_reason": interactions,
            "patterns_by_type_and_reason": dict(
                Counter(f"{entry.data['pattern_type']}_{entry.reason}" for entry in patterns)
            ),
        }

    async def _complete(self, found: Iterable[Interaction]) -> list[dict[str, Any]]:
        return [_interaction(one, await self.store.interactions.actions(one.id)) for one in found]

    # -- patterns -------------------------------------------------------------------------

    async def add_pattern(self, pattern: Mapping[str, Any]) -> str:
        """Keep a pattern, in place of the one with that id if there is one; return its id."""
        given, unknown = _split(
            _object("pattern", pattern), (*_PATTERN, "id", "last_seen", "created_at", "sources", "metadata")
        )
        values = {name: given[name] for name in (*_PATTERN, "sources") if given.get(name) is not None}
        if isinstance(values.get("sequence"), Mapping):  # the module has objects there as well
            unknown["sequence"] = dict(values.pop("sequence"))
        values["metadata"] = _metadata(given.get("metadata"), unknown)
        patterns, id = self.store.patterns, given.get("id")
        async with self.transaction():
            if id is not None and await patterns.find(id) is not None:
                return (await patterns.update(id, **values)).id
            name, created_at = _wanted(values, "name"), _moment(given.get("created_at"))
            del values["name"]
            return (await patterns.add(name, **values, id=id, created_at=created_at)).id

    async def get_patterns(self, pattern_type: str | None = None) -> list[dict[str, Any]]:
        """List all patterns, or those of a type, the surest first."""
        return [
            _pattern(one) for one in await self.store.patterns.list(pattern_type=pattern_type, limit=_ALL)
        ]

    async def get_patterns_by_type(self, pattern_type: str) -> list[dict[str, Any]]:
        """List the patterns of a type, the surest first."""
        return await self.get_patterns(pattern_type)

    async def update_pattern(
        self, pattern_id: str, changes: Mapping[str, Any] | None = None, **fields: Any
    ) -> None:
        """Change the given fields of a pattern, and no other."""
        given, unknown = _split({**_object("changes", changes), **fields}, (*_PATTERN, "sources", "metadata"))
        async with self.transaction():
            if unknown or "metadata" in given:
                known = (await self.store.patterns.get(pattern_id)).metadata
                metadata = given.get("metadata")
                if metadata is None:
                    metadata = {name: value for name, value in known.items() if name != _KEPT}
                given["metadata"] = _metadata(metadata, {**known.get(_KEPT, {}), **unknown})
            await self.store.patterns.update(pattern_id, **given)

    async def update_pattern_confidence(self, pattern_id: str, confidence: float) -> None:
        """Change how sure a pattern is, 0.0–1.0."""
        await self.store.patterns.update(pattern_id, confidence=confidence)

    async def archive_patterns(
        self, pattern_ids: Iterable[str], reason: str, promoted_to: str | None = None
    ) -> int:
        """Move patterns into the archive, all or none; return how many went."""
        return await self.store.patterns.archive(pattern_ids, reason=reason, into=promoted_to)

    # -- feedback and preferences ---------------------------------------------------------

    async def add_feedback(self, feedback: Mapping[str, Any]) -> str:
        """Keep feedback; return its id."""
        feedback = _object("feedback", feedback)
        kept = await self.store.feedback.add(
            _wanted(feedback, "type"),
            _wanted(feedback, "message"),
            context=feedback.get("context"),
            interaction=feedback.get("interaction_id"),
            created_at=_moment(feedback.get("timestamp")),
        )
        return kept.id

    async def get_feedback(self, limit: int = 100) -> list[dict[str, Any]]:
        """List feedback, the latest first."""
        return [_feedback(one) for one in await self.store.feedback.list(limit=limit)]

    async def mark_feedback_applied(self, feedback_id: str) -> None:
        """Note that feedback was acted on."""
        await self.store.feedback.mark_applied(feedback_id)

    async def add_preference(self, preference: Mapping[str, Any]) -> None:
        """Keep a preference, in place of the one with that key and category."""
        preference = _object("preference", preference)
        await self.store.preferences.set(
            _wanted(preference, "key"),
            _wanted(preference, "value"),
            category=preference.get("category", "general"),
            user=preference.get("user_id"),
            confidence=preference.get("confidence", 0.5),
            source=preference.get("source", "unknown"),
        )

    async def get_preferences(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """List everybody's preferences, or a user's own, the latest change first."""
        found = await self.store.preferences.list(user=user_id, limit=_ALL)
        return [_preference(one) for one in sorted(found, key=lambda one: one.updated_at, reverse=True)]

    # -- world models ---------------------------------------------------------------------

    async def add_world_model_state(self, world_state: Mapping[str, Any]) -> str:
        """Keep a state of the world, in place of the one with that id; return its id.

        ``entities`` are a list, or an object of entities by id, as objects or with attributes.
        """
        given, unknown = _split(
            _object("world_state", world_state),
            (*_WORLD, "id", "session_id", "domain", "confidence", "created_at", "updated_at", "entities",
             "goals", "inferred_goals", "constraints", "merged_from", "metadata"),
        )  # fmt: skip
        values = {name: given[name] for name in _WORLD if given.get(name) is not None}
        if given.get("confidence") is not None:
            values.setdefault("domain_confidence", given["confidence"])
        for name in ("discovered_entity_types", "discovered_relation_types"):
            if name in values:
                values[name] = sorted(_list(name, values[name]), key=str)
        values["relations"] = [_plain(one, _RELATION) for one in _list("relations", given.get("relations"))]
        entities = given.get("entities") or ()
        if isinstance(entities, Mapping):
            entities = entities.values()
        constraints = given.get("constraints") or []
        if isinstance(constraints, Mapping):
            unknown["constraints"], constraints = dict(constraints), []
        merged = given.get("merged_from") or []
        model = await self.store.world_models.save(
            given.get("domain") or "unknown",
            id=given.get("id"),
            session=given.get("session_id"),
            entities=[_plain(one, _ENTITY) for one in _list("entities", entities)],
            goals=given.get("goals") or given.get("inferred_goals") or (),
            constraints=constraints,
            merged_from=[merged] if isinstance(merged, str) else merged,
            metadata=_metadata(given.get("metadata"), unknown),
            created_at=_moment(given.get("created_at")),
            **values,
        )
        return model.id

    async def get_world_model_state(self, world_model_id: str) -> dict[str, Any] | None:
        """Return a state of the world, or None."""
        model = await self.store.world_models.find(world_model_id)
        return None if model is None else _world(model)

    async def get_active_world_models(self, session_id: str | None = None) -> list[dict[str, Any]]:
        """List the active states, of one session or of all, the latest change first."""
        return [_world(one) for one in await self.store.world_models.active(session_id, limit=_ALL)]

    async def get_world_models_by_domain(self, domain: str) -> list[dict[str, Any]]:
        """List the states of a domain, the surest first."""
        return [_world(one) for one in await self.store.world_models.by_domain(domain, limit=_ALL)]

    async def add_world_model_snapshot(
        self,
        world_model_id: str,
        snapshot_data: Mapping[str, Any] | None = None,
        trigger_event: str | None = None,
    ) -> str:
        """Keep how a world model is now, or the data that is given; return the snapshot's id."""
        snapshot = await self.store.world_models.snapshot(
            world_model_id, data=snapshot_data, trigger_event=trigger_event
        )
        return snapshot.id

    async def get_world_model_snapshots(
        self, world_model_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """List snapshots, of one world model or of all, the latest first."""
        return [
            {
                "id": one.id,
                "world_model_id": one.world_model_id,
                "snapshot_time": one.created_at.isoformat(),
                "snapshot_data": dict(one.data),
                "trigger_event": one.trigger_event,
            }
            for one in await self.store.world_models.snapshots(world_model_id, limit=limit)
        ]

    async def deactivate_world_model(self, world_model_id: str) -> None:
        """Note that a world model does not hold any more. One that is not there is none that holds."""
        try:
            await self.store.world_models.deactivate(world_model_id)
        except NotFound:
            return

    # -- clearing -------------------------------------------------------------------------

    async def vacuum_database(self) -> None:
        """Write the database anew without the room of what was removed; it must not be in a transaction.

        Raises BackendError when others keep it from being done, or the disk has no room for it.
        """
        (step,) = (await self.store.maintain(["compact"])).steps
        if step.result != "ok":
            raise BackendError(f"the database was not compacted: {step.said}")

    async def clear_patterns(self) -> None:
        """Move all patterns into the archive."""
        await self._clear("pattern")

    async def clear_preferences(self) -> None:
        """Move all preferences into the archive, those of every user."""
        await self._clear("preference")

    async def clear_feedback(self) -> None:
        """Move all feedback into the archive."""
        await self._clear("feedback")

    async def clear_all(self) -> None:
        """Move all that this interface keeps into the archive. Sessions and messages stay."""
        await self._clear(*_CLEARED)

    async def _clear(self, *kinds: str) -> None:
        store = self.store

        def clear() -> None:
            with store._store.transaction():
                for name in kinds:
                    key: Any = kind(name).model()._meta.primary_key
                    store._store._archiver.remove(name, key.is_null(False), reason="cleared")

        await store._workers.write(clear)


def _split(given: Mapping[str, Any], known: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What wilk has a place for, and what it has none for."""
    names = set(known)
    return (
        {name: value for name, value in given.items() if name in names},
        {name: value for name, value in given.items() if name not in names},
    )


def _wanted(given: Mapping[str, Any], name: str) -> Any:
    if name not in given:
        raise Invalid(f"{name} is missing")
    return given[name]


_object = checks.mapping


def _list(name: str, value: Any) -> list[Any]:
    """A list, of a tuple or a set as well, which the module has; None is an empty one."""
    return [] if value is None else checks.sequence(name, value)


def _metadata(metadata: Mapping[str, Any] | None, unknown: Mapping[str, Any]) -> dict[str, Any]:
    return {**_object("metadata", metadata), **({_KEPT: dict(unknown)} if unknown else {})}


def _with_kept(found: dict[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """A dictionary with the record's metadata, and the keys that were kept for it."""
    rest = {name: value for name, value in metadata.items() if name != _KEPT}
    return {**found, "metadata": rest, **metadata.get(_KEPT, {})}


def _moment(value: Any) -> Any:
    """A time of the module, which is local where it has no zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value  # the error comes from where the field is known
    return value.astimezone() if isinstance(value, datetime) and value.tzinfo is None else value


def _action(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    known, unknown = _split(_object(name, given), (*_ACTION, "timestamp"))
    values = {name: known[name] for name in _ACTION if known.get(name) is not None}
    values["details"] = _metadata(known.get("details"), unknown)
    return {**values, "created_at": _moment(known.get("timestamp"))}


def _plain(given: Any, names: Iterable[str]) -> Any:
    """An entity or a relation as a dictionary; the module has objects with attributes."""
    if isinstance(given, Mapping):
        found = dict(given)
    else:
        found = {name: getattr(given, name) for name in names if hasattr(given, name)}
    return {
        name: _moment(value) if name in ("first_seen", "last_modified") else value
        for name, value in found.items()
    } or given


def _of(record: Any, entry: Archived) -> Any:
    """The record that an archived row was."""
    return decoder(record)([[entry.data[name] for name in record._fields]])[0]


def _archived(entry: Archived, original: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": entry.id,
        "original_id": entry.record_id,
        "interaction_id": entry.interaction_id,
        "data": dict(entry.data),
        "archived_at": entry.archived_at.isoformat(),
        "archive_reason": entry.reason,
        "consolidated_to": entry.batch,
        "original_data": original,
    }


def _interaction(one: Interaction, actions: Iterable[Action]) -> dict[str, Any]:
    found = {
        "interaction_id": one.id,
        "session_id": one.session_id,
        "user_id": one.user_id,
        "agent_id": one.agent_id,
        "timestamp": one.created_at.isoformat(),
        "user_query": one.user_query,
        "actions_taken": [_taken(action) for action in actions],
        **{name: getattr(one, name) for name in _INTERACTION},
    }
    return _with_kept(found, one.metadata)


def _taken(action: Action) -> dict[str, Any]:
    found = {**{name: getattr(action, name) for name in _ACTION}, "timestamp": action.created_at.isoformat()}
    details = {name: value for name, value in action.details.items() if name != _KEPT}
    return {**found, "details": details, **action.details.get(_KEPT, {})}


def _pattern(one: Pattern) -> dict[str, Any]:
    found = {
        "id": one.id,
        **{name: getattr(one, name) for name in _PATTERN},
        "sources": one.sources,
        "last_seen": one.updated_at.isoformat(),
        "created_at": one.created_at.isoformat(),
    }
    return _with_kept(found, one.metadata)


def _feedback(one: Feedback) -> dict[str, Any]:
    return {
        "id": one.id,
        "timestamp": one.created_at.isoformat(),
        "type": one.type,
        "message": one.message,
        "context": dict(one.context),
        "interaction_id": one.interaction_id,
        "applied": one.applied,
    }


def _preference(one: Preference) -> dict[str, Any]:
    return {
        "key": one.key,
        "value": one.value,
        "category": one.category,
        "user_id": one.user_id,
        "confidence": one.confidence,
        "source": one.source,
        "updated_at": one.updated_at.isoformat(),
    }


def _world(one: WorldModel) -> dict[str, Any]:
    found = {
        "id": one.id,
        "session_id": one.session_id,
        "domain": one.domain,
        "domain_confidence": one.domain_confidence,
        "created_at": one.created_at.isoformat(),
        "updated_at": one.updated_at.isoformat(),
        "interaction_count": one.interaction_count,
        "entities": one.entities,
        "relations": one.relations,
        "goals": one.goals,
        "metrics": dict(one.metrics),
        "discovered_entity_types": set(one.discovered_entity_types),
        "discovered_relation_types": set(one.discovered_relation_types),
        "constraints": one.constraints,
        "is_active": one.is_active,
        "merged_from": one.merged_from,
    }
    return _with_kept(found, one.metadata)
