"""chatai's knowledge graph as facts: what its history tells was believed becomes what was believed here.

An entity gives a fact for its type and one for each property, a relation one; each from the version that
brought it until the one that changed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec
from wilk.contracts import IncomingRecord, IncomingVector
from wilk.transfer.reading.tables import Groups, Row, Tables, rest

if TYPE_CHECKING:
    from wilk.transfer.reading.columns import Values

READ = ("kg_entities", "kg_relationships", "kg_entity_history", "kg_relationship_history")
_ENTITY = ("entity_id", "entity_type", "name", "properties", "embedding")
_RELATION = ("relationship_id", "from_entity_id", "to_entity_id", "relation_type", "properties")
_SNAPSHOTS = ("snapshot", "data", "old_data")
_TIMES = ("changed_at", "updated_at", "created_at")
_OPEN = object()


class Version(NamedTuple):
    """What was said of one thing, by predicate, since a moment. None: it was removed."""

    number: Any
    since: datetime | None
    said: dict[str, Any] | None
    about: dict[str, Any]


def facts(tables: Tables, values: Values) -> Iterator[IncomingRecord | IncomingVector]:
    """Yield the facts of entities and relations, and the entities' vectors."""
    if tables.has("kg_entities", "entity_id", "entity_type", "name"):
        histories = _histories(tables, "kg_entity_history", "entity_id")
        for row in tables.rows("kg_entities"):
            id, name = str(row["entity_id"]), values.text(row["name"], "kg_entities.name")
            versions = _entity(row, histories, values)
            yield from _told(f"entity:{id}", name or id, versions, {"entity_id": row["entity_id"]})
            yield from _vector(id, row, values)
    if tables.has("kg_relationships", *_RELATION[:4]):
        histories = _histories(tables, "kg_relationship_history", "relationship_id")
        for row in tables.rows("kg_relationships"):
            yield from _relation(tables, row, histories, values)


def _histories(tables: Tables, table: str, by: str) -> Groups | None:
    if not tables.has(table, by, "version"):
        return None
    return tables.grouped(table, by, "version, rowid")


def _entity(row: Row, histories: Groups | None, values: Values) -> list[Version]:
    def said(row: Row) -> dict[str, Any]:
        found = {} if row.get("entity_type") is None else {"is a": row["entity_type"]}
        return found | values.mapping(row.get("properties"), "kg_entities.properties")

    past = histories.of(row["entity_id"]) if histories else ()
    return [*_past(past, said, values), _now(row, said, _ENTITY, values)]


def _relation(tables: Tables, row: Row, histories: Groups | None, values: Values) -> Iterator[IncomingRecord]:
    id = str(row["relationship_id"])
    ends = []
    for column in ("from_entity_id", "to_entity_id"):
        there = (
            tables.one("kg_entities", "entity_id = ?", row[column])
            if "kg_entities" in tables.columns
            else None
        )
        if there is None:
            values.reading.warn("relations name entities that are not there; their ids stand for the names")
        ends.append(str(row[column] if there is None else there["name"]))

    def said(row: Row) -> dict[str, Any]:
        about = values.mapping(row.get("properties"), "kg_relationships.properties")
        kind = str(row.get("relation_type") or "related to")
        return {kind: ends[1] if not about else {"name": ends[1], **about}}

    past = histories.of(row["relationship_id"]) if histories else ()
    versions = [*_past(past, said, values), _now(row, said, _RELATION, values)]
    about = {name: row[name] for name in _RELATION[:3]}
    yield from _told(f"relation:{id}", ends[0], versions, about)


def _past(rows: Iterable[Row], said: Any, values: Values) -> Iterator[Version]:
    for row in rows:
        snapshot = next((row[name] for name in _SNAPSHOTS if row.get(name) is not None), None)
        known = {**row, **(values.mapping(snapshot, "kg_history.snapshot") if snapshot is not None else {})}
        if isinstance(known.get("properties"), dict):
            known["properties"] = codec.dumps(known["properties"])
        gone = str(row.get("change_type") or "").lower() in ("delete", "deleted", "remove", "removed")
        about = {name: row[name] for name in ("version", "change_type", "change_reason") if row.get(name)}
        yield Version(row["version"], _since(row, values), None if gone else said(known), about)


def _now(row: Row, said: Any, used: tuple[str, ...], values: Values) -> Version:
    times = {"created_at", "updated_at", "changed_at"}
    return Version(row.get("version"), _since(row, values), said(row), rest(row, *used, *times))


def _since(row: Row, values: Values) -> datetime | None:
    return values.time(next((row[name] for name in _TIMES if row.get(name)), None), "kg.changed_at")


def _told(key: str, subject: str, versions: list[Version], about: dict[str, Any]) -> Iterator[IncomingRecord]:
    """A fact for each run of versions that say the same under a predicate."""
    if len(versions) > 1 and versions[-1].number == versions[-2].number and versions[-2].said is not None:
        # The last entry of the history is the state as it stands.
        versions = [*versions[:-2], versions[-1]._replace(since=versions[-2].since or versions[-1].since)]
    elif len(versions) > 1 and versions[-2].said is None and versions[-2].number == versions[-1].number:
        versions = versions[:-1]
    predicates = dict.fromkeys(name for one in versions for name in (one.said or {}))
    for predicate in predicates:
        value: Any = _OPEN
        begun = versions[0]
        for version in versions:
            new = (version.said or {}).get(predicate, _OPEN)
            if value is not _OPEN and (new is _OPEN or new != value):
                yield _fact(key, subject, predicate, value, begun, version.since or begun.since, about)
            if new is not _OPEN and (value is _OPEN or new != value):
                begun = version
            value = new
        if value is not _OPEN:
            yield _fact(key, subject, predicate, value, begun, None, about)


def _fact(
    key: str,
    subject: str,
    predicate: str,
    value: Any,
    begun: Version,
    until: datetime | None,
    about: dict[str, Any],
) -> IncomingRecord:
    record = {
        "subject": subject, "predicate": predicate, "object": value,
        "metadata": {"chatai": {**about, **begun.about}},
    }  # fmt: skip
    if begun.since is not None:
        record["recorded_at"] = begun.since
    if until is not None:
        record["retracted_at"] = until
    return IncomingRecord("fact", f"{key}/{predicate}/{begun.number}", record)


def _vector(id: str, row: Row, values: Values) -> Iterator[IncomingVector]:
    embedding = row.get("embedding")
    if embedding in (None, "", b""):
        return
    if isinstance(embedding, str):
        import struct

        numbers = values.quietly().json(embedding, "")
        if not isinstance(numbers, list) or not all(isinstance(one, (int, float)) for one in numbers):
            values.reading.fail("vectors", id, "embedding is no list of numbers", "kg_entities.embedding")
            return
        embedding = struct.pack(f"<{len(numbers)}f", *numbers)
    about = {"entity_id": row["entity_id"], "name": row["name"]}
    yield IncomingVector("chatai-entities", id, id, embedding, metadata=about)
