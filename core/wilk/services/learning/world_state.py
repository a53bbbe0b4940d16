"""What a world model holds: entities and relations, checked, and put together from two models.

An entity is ``{id, type, properties, confidence, first_seen, last_modified}``, a relation
``{source_id, target_id, type, properties, confidence, observed_count}``. Other keys are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from wilk.errors import Invalid
from wilk.services import checks

Entity = dict[str, Any]
Relation = dict[str, Any]


def entity(place: str, given: Any, now: datetime) -> Entity:
    """Check one entity and fill in what it lacks; ``place`` is where it stands, for the errors."""
    found = checks.mapping(place, {} if given is None else given)
    for key in ("id", "type"):
        checks.filled(f"{place}.{key}", found.get(key))
    found["properties"] = checks.mapping(f"{place}.properties", found.get("properties"))
    found["confidence"] = checks.fraction(f"{place}.confidence", found.get("confidence", 0.5))
    for key in ("first_seen", "last_modified"):
        time = found.get(key)
        found[key] = (now if time is None else checks.moment(f"{place}.{key}", time)).isoformat()
    return found


def relation(place: str, given: Any) -> Relation:
    """Check one relation and fill in what it lacks; ``place`` is where it stands, for the errors."""
    found = checks.mapping(place, {} if given is None else given)
    for key in ("source_id", "target_id", "type"):
        checks.filled(f"{place}.{key}", found.get(key))
    found["properties"] = checks.mapping(f"{place}.properties", found.get("properties"))
    found["confidence"] = checks.fraction(f"{place}.confidence", found.get("confidence", 0.5))
    found["observed_count"] = checks.whole(f"{place}.observed_count", found.get("observed_count", 1))
    return found


def entities(given: Any, now: datetime) -> list[Entity]:
    """Check a list of entities. Raises Invalid, also for an id that two of them have."""
    found = [entity(f"entities.{i}", one, now) for i, one in enumerate(checks.sequence("entities", given))]
    places: dict[str, int] = {}
    for i, one in enumerate(found):
        if one["id"] in places:
            raise Invalid(f"entities.{i}.id {one['id']!r}: entities.{places[one['id']]} has this id already")
        places[one["id"]] = i
    return found


def relations(given: Any) -> list[Relation]:
    """Check a list of relations. Raises Invalid, also for one that stands there twice."""
    found = [relation(f"relations.{i}", one) for i, one in enumerate(checks.sequence("relations", given))]
    places: dict[tuple[str, str, str], int] = {}
    for i, one in enumerate(found):
        if (key := key_of(one)) in places:
            raise Invalid(
                f"relations.{i} {' '.join(key)!r}: relations.{places[key]} is the same; "
                "count it in observed_count"
            )
        places[key] = i
    return found


def key_of(relation: Relation) -> tuple[str, str, str]:
    """What a relation is known by: its source, its type, its target."""
    return relation["source_id"], relation["type"], relation["target_id"]


def joined_entity(old: Entity, new: Entity) -> Entity:
    """One entity from two states of it: the newer properties win, the surer confidence, both times."""
    return {
        **old,
        **new,
        "properties": {**old["properties"], **new["properties"]},
        "confidence": max(old["confidence"], new["confidence"]),
        "first_seen": min(old["first_seen"], new["first_seen"]),
        "last_modified": max(old["last_modified"], new["last_modified"]),
    }


def joined_relation(old: Relation, new: Relation) -> Relation:
    """One relation from two: their counts are added, the newer properties win, the surer confidence."""
    return {
        **old,
        **new,
        "properties": {**old["properties"], **new["properties"]},
        "confidence": max(old["confidence"], new["confidence"]),
        "observed_count": old["observed_count"] + new["observed_count"],
    }


def with_entities(kept: Iterable[Entity], new: Iterable[Entity]) -> list[Entity]:
    """Put entities to others; those with an id that is there already become one."""
    found = {one["id"]: one for one in kept}
    for one in new:
        known = found.get(one["id"])
        found[one["id"]] = one if known is None else joined_entity(known, one)
    return list(found.values())


def with_relations(kept: Iterable[Relation], new: Iterable[Relation]) -> list[Relation]:
    """Put relations to others; those between the same two, of one type, become one."""
    found = {key_of(one): one for one in kept}
    for one in new:
        known = found.get(key_of(one))
        found[key_of(one)] = one if known is None else joined_relation(known, one)
    return list(found.values())


def with_new(kept: Iterable[Any], new: Iterable[Any]) -> list[Any]:
    """The items of both lists, each once, in their order."""
    found = list(kept)
    found.extend(item for item in new if item not in found)
    return found


def types(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The types of entities or relations, each once."""
    return list(dict.fromkeys(one["type"] for one in records))
