"""Records of other kinds that come in: memories, documents, pins, interactions and the like, a row each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from wilk import clock, codec, models
from wilk.errors import Invalid
from wilk.services.embedding.passages import SOURCES
from wilk.services.keeping.kinds import kind as kind_named
from wilk.services.keeping.rows import encoded
from wilk.transfer.landing.ids import derived, usable

if TYPE_CHECKING:
    from collections.abc import Callable

    from wilk.contracts import IncomingRecord
    from wilk.engine import Engine
    from wilk.services.embedding.following import Following
    from wilk.services.keeping.archiver import Archiver
    from wilk.transfer.landing.ledger import Ledger
    from wilk.transfer.landing.people import People
    from wilk.transfer.landing.report import Report

_TIMES = ("created_at", "updated_at", "recorded_at", "started_at")
_DEFAULTS: dict[str, Any] = {
    "importance": 0.5, "confidence": 1.0, "iteration": 0, "frequency": 1, "feedback_type": "none",
    "kind": "note", "method": "given", "compacted": False, "role": "member", "status": "ok",
}  # fmt: skip
_DERIVED = ("vector", "block")
_MESSAGES = {"message": 0, "sequence": 1}


class _Said(NamedTuple):
    """What of a message the hash of a summary is made of."""

    id: str
    text: str
    parts: Any


class Records:
    """Writes rows by the models: what an importer does not give has its usual value."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        report: Report,
        people: People,
        archiver: Archiver,
        following: Following,
        count_tokens: Callable[[str], int],
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._report = report
        self._people = people
        self._archiver = archiver
        self._following = following
        self._count_tokens = count_tokens

    def record(self, item: IncomingRecord, target: str | None) -> str:
        """Write a record, and return its id. A changed one takes the place of the one before, which goes
        into the archive."""
        one = kind_named(item.kind)
        model: Any = one.model()
        fields = {field.name: field for field in model._meta.sorted_fields}
        unknown = item.values.keys() - fields.keys()
        if unknown:
            raise TypeError(f"{item.kind} has no {', '.join(sorted(unknown))}; it has {', '.join(fields)}")
        values = dict(item.values)
        for name, kind in item.refers.items():
            if values.get(name) is None:
                continue
            if kind in _MESSAGES:
                values[name] = self._message(item, kind, str(values[name]))
            else:
                values[name] = self._referred(kind, str(values[name]))
        if item.kind == "summary" and "content_hash" not in values:
            values["content_hash"] = self._hash(values)
        if "user_id" in fields and values.get("user_id") is None:
            values["user_id"] = self._people.known(None)
        serial = one.serial
        named = one.key == ("id",)
        id = target or self._id(item)
        if named:
            values.setdefault("id", id)
            id = values["id"]
        for name, field in fields.items():
            if name == serial or name in values:
                continue
            values[name] = self._default(item.kind, name, field, values)
        values = {name: value for name, value in values.items() if name != serial}
        condition = reduce(and_, [fields[name] == values[name] for name in one.key])
        if self._engine.select(model.select(fields[one.key[0]]).where(condition)):
            if target is None:
                raise Invalid(f"{item.kind} {id!r} is there already, and not from this source")
            if item.archived is None and any(child.kind not in _DERIVED for child in one.children):
                # What hangs on it stays.
                self._keep(item.kind, model, condition)
                self._change(model, fields, values, condition)
                return self._done(item, id, values, named)
            self._archiver.remove(item.kind, condition, reason="changed in its source")
        self._engine.run(
            model.insert({fields[name]: self._fit(fields[name], value) for name, value in values.items()})
        )
        if item.archived is not None:
            self._archiver.remove(item.kind, condition, reason=item.archived)
            return id if named else "/".join(str(values[name]) for name in one.key)
        return self._done(item, id, values, named)

    def _keep(self, kind: str, model: Any, condition: Any) -> None:
        """Put a row into the archive as it is, of which what hangs on it stays where it is."""
        one, entry = kind_named(kind), models.ArchiveEntry
        columns = [field.column_name for field in model._meta.sorted_fields]
        for found in self._engine.select(model.select(*model._meta.sorted_fields).where(condition)):
            row = dict(zip(columns, found, strict=True))
            kept = encoded(row)
            values: Mapping[Any, Any] = {
                entry.kind: kind,
                entry.record_id: "/".join(str(row[name]) for name in one.columns_of_key()),
                entry.session_id: one.session_of(row),
                entry.data: codec.loads(kept),
                entry.reason: "changed in its source",
                entry.archived_at: clock.to_datetime(self._engine.clock.now()),
                entry.batch: self._report.run,
                entry.size: len(kept.encode()),
            }
            self._engine.run(entry.insert(values))

    def _change(self, model: Any, fields: dict[str, Any], values: dict[str, Any], condition: Any) -> None:
        changed = {fields[name]: self._fit(fields[name], value) for name, value in values.items()}
        self._engine.run(model.update(changed).where(condition))

    def _done(self, item: IncomingRecord, id: str, values: dict[str, Any], named: bool) -> str:
        if item.kind in SOURCES and named:
            self._following.rebuild(item.kind, [id])
        return id if named else "/".join(str(values[name]) for name in kind_named(item.kind).key)

    def _referred(self, kind: str, key: str) -> str | None:
        if kind in ("user", "users"):
            return self._people.known(key)
        found = self._ledger.target("sessions" if kind == "session" else kind, key)
        if found is None:
            raise Invalid(f"it belongs to {kind} {key!r}, which was not taken over")
        return found

    def _message(self, item: IncomingRecord, kind: str, key: str) -> Any:
        """The id, or the sequence, of a message of the record's session."""
        sessions = [
            str(item.values[name]) for name, of in item.refers.items() if of in ("session", "sessions")
        ]
        one = models.Message
        ids = [key, *(derived(self._report.importer, session, key) for session in sessions)]
        condition = one.id.in_(ids)
        for session in sessions:
            condition &= one.session == self._ledger.target("sessions", session)
        rows = self._engine.select(one.select(one.id, one.sequence).where(condition))
        if not rows:
            raise Invalid(f"it names message {key!r}, which was not taken over")
        return rows[0][_MESSAGES[kind]]

    def _hash(self, values: dict[str, Any]) -> str:
        """The hash of the messages that a summary stands for, as the store's own have it."""
        from wilk.services.memory.summarizing import hash_of

        one = models.Message
        covered = (one.session == values["session"]) & one.sequence.between(
            values["first_sequence"], values["last_sequence"]
        )
        query = one.select(one.id, one.text, one.parts).where(covered).order_by(one.sequence)
        return hash_of([_Said(*row) for row in self._engine.rows(query)])

    def _id(self, item: IncomingRecord) -> str:
        wanted = item.id or item.key
        one = kind_named(item.kind)
        free = usable(wanted) and self._ledger.owner(item.kind, wanted) in (None, item.key)
        if free and one.key == ("id",):
            id = one.model()._meta.fields["id"]
            free = not self._engine.select(one.model().select(id).where(id == wanted))
        return wanted if free else derived(self._report.importer, item.kind, item.key)

    def _default(self, kind: str, name: str, field: Any, values: dict[str, Any]) -> Any:
        if name in _TIMES and not field.null:
            known = [values[other] for other in _TIMES if isinstance(values.get(other), datetime)]
            return known[0] if known else clock.to_datetime(self._engine.clock.now())
        if name == "tokens":
            return self._count_tokens(str(values.get("content") or values.get("text") or ""))
        if name == "content_hash":
            return codec.content_hash(values.get("data"))
        if field.null:
            return None
        if name in _DEFAULTS:
            return _DEFAULTS[name]
        raise Invalid(f"{kind}: {name} is missing")

    def _fit(self, field: Any, value: Any) -> Any:
        """A text as every engine can keep it: what cannot be kept is replaced, and reported."""
        if isinstance(value, str) and isinstance(field, peewee.TextField) and field.field_type == "TEXT":
            clean, original = codec.storable_text(value)
            if original is not None:
                self._report.warn(
                    f"characters that no database keeps were replaced in {field.model.__name__}.{field.name}"
                )
            return clean
        return value
