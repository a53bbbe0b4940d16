"""The rows behind definitions: one table per kind with a model, the common table for the rest.

Bulk work goes through statements that are compiled once from the models.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from peewee import EXCLUDED

from wilk import codec
from wilk.clock import to_datetime
from wilk.contracts import DefinitionKind
from wilk.engine import Engine
from wilk.models import definitions as models
from wilk.models import fields_of
from wilk.models.base import JsonField
from wilk.models.statements import Statement, param
from wilk.records import definitions as records

_FEW = 200
"""Up to so many ids are named in a query; for more, the whole table is read."""

_RECORDS: dict[Any, type[Any]] = {
    models.Agent: records.Agent,
    models.Prompt: records.Prompt,
    models.Persona: records.Persona,
    models.Preset: records.Preset,
}

Claim = tuple[str, ...]
"""What only one living record of a kind may have: ``("name", "Ada")``, ``("default", "general")``."""


class Row(NamedTuple):
    """What a sync needs to know of a record as it stands."""

    id: str
    name: str
    content_hash: str
    revision: int
    created_at: Any
    archived: bool
    claims: frozenset[Claim]


class Table:
    """The rows of one kind."""

    def __init__(self, engine: Engine, kind: DefinitionKind) -> None:
        self.kind = kind
        self.own = kind.model is not None
        self._engine = engine
        self.model: Any = kind.model() if kind.model else models.Definition
        self.record: type[Any] = _RECORDS.get(self.model, records.Definition)
        self.noun = kind.name.removesuffix("s") if self.model in _RECORDS else "definition"
        self._fields: list[Any] = list(self.model._meta.sorted_fields)
        self._names = [field.name for field in self._fields]
        self._json = [f for f in self._fields if isinstance(f, JsonField) and f.name != "definition"]
        self._installs = "is_installed" in self._names

    # -- reading --------------------------------------------------------------------------

    def rows(self, ids: Collection[str], names: Collection[str]) -> dict[str, Row]:
        """The rows with these ids, and those that hold these names; or simply all."""
        model = self.model
        fields = [
            model.id,
            model.name,
            model.content_hash,
            model.revision,
            model.created_at,
            model.archived_at,
        ]
        persona = model is models.Persona
        if persona:
            fields += [model.is_default, model.category]
        query = model.select(*fields)
        if not self.own:
            query = query.where(model.kind == self.kind.name)
        elif len(ids) <= _FEW and not persona:
            query = query.where(model.id.in_(list(ids)) | model.name.in_(list(names)))
        found = {}
        for id, name, content_hash, revision, created_at, archived_at, *rest in self._engine.rows(query):
            claims = self._claims(name, *rest)
            found[id] = Row(id, name, content_hash, revision, created_at, archived_at is not None, claims)
        return found

    def claims_of(self, name: str, columns: Mapping[str, Any]) -> frozenset[Claim]:
        """What a living record of that name and with these columns has for itself."""
        return self._claims(name, columns.get("is_default", False), columns.get("category"))

    def _claims(self, name: str, is_default: bool = False, category: str | None = None) -> frozenset[Claim]:
        if self.model not in _RECORDS:
            return frozenset()
        if is_default:
            return frozenset({("name", name), ("default", category or "")})
        return frozenset({("name", name)})

    def find(self, id: str) -> Any | None:
        """The record with that id, archived or not, or None."""
        return next(iter(self.select(self.model.id == id)), None)

    def select(self, *conditions: Any) -> list[Any]:
        """The records that meet the conditions, by id."""
        query = self.model.select(*self._record_fields()).order_by(self.model.id)
        if not self.own:
            conditions = (*conditions, self.model.kind == self.kind.name)
        if conditions:
            query = query.where(*conditions)
        return [self._made(row) for row in self._engine.rows(query)]

    def alive(self) -> Any:
        """The condition that a record is not archived."""
        return self.model.archived_at.is_null()

    def _record_fields(self) -> list[Any]:
        if self.record is records.Definition and self.own:
            return [getattr(self.model, name) for name in records.Definition._fields[1:]]
        return fields_of(self.model, self.record)

    def _made(self, row: Sequence[Any]) -> Any:
        if self.record is records.Definition and self.own:
            return records.Definition(self.kind.name, *row)
        return self.record(*row)

    # -- writing --------------------------------------------------------------------------

    def as_record(self, values: Mapping[str, Any], created_at: Any) -> Any:
        """The record that values of a row make, before they are written."""
        known = {
            **values,
            "definition": codec.loads(values["definition"]),
            "kind": self.kind.name,
            "created_at": created_at,
        }
        known["updated_at"] = to_datetime(values["updated_at"])
        known.setdefault("archived_at", None)
        return self.record(**{name: known.get(name) for name in self.record._fields})

    def put(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or update rows by id: never REPLACE, which would delete another's row (trap T2).

        The ``definition`` of each is JSON text already.
        """
        _run(self._engine, self._upsert(), map(self._encoded, rows))

    def archive(self, ids: Iterable[str], now: int) -> None:
        """Mark rows as archived. Their names are free then."""
        values = {"archived_at": now, "updated_at": now, "is_installed": False, "kind": self.kind.name}
        _run(self._engine, self._archive(), ({**values, "id": id} for id in ids))

    def _encoded(self, values: Mapping[str, Any]) -> dict[str, Any]:
        row = {name: values.get(name) for name in self._names}
        for field in self._json:
            row[field.name] = field.db_value(row[field.name])
        return row

    def _upsert(self) -> Statement:
        model = self.model
        target = [model.id] if self.own else [model.kind, model.id]
        kept = {"id", "kind", "created_at"}
        return self._engine.statement(
            f"definitions.put.{self.kind.name}",
            lambda: model.insert({field: param(field.name) for field in self._fields}).on_conflict(
                conflict_target=target,
                update={
                    field: getattr(EXCLUDED, field.column_name)
                    for field in self._fields
                    if field.name not in kept
                },
            ),
        )

    def _archive(self) -> Statement:
        model = self.model
        changed = [model.archived_at, model.updated_at, *([model.is_installed] if self._installs else [])]

        def build() -> Any:
            query = model.update({field: param(field.name) for field in changed}).where(
                model.id == param("id")
            )
            return query if self.own else query.where(model.kind == param("kind"))

        return self._engine.statement(f"definitions.archive.{self.kind.name}", build)


class File(NamedTuple):
    """What the last sync knew of a file; see :class:`wilk.models.definitions.DefinitionFile`."""

    path: str
    kind: str
    id: str
    stat: str | None
    file_hash: str | None
    state: str
    error: str | None


class Files:
    """The table of definition files."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.model: Any = models.DefinitionFile
        self._fields = [getattr(self.model, name) for name in File._fields]

    def states(self) -> list[tuple[Any, ...]]:
        """Path, stat, state and kind of every file: what a sync of an unchanged folder reads."""
        model = self.model
        statement = self._engine.statement(
            "definition_files.states", lambda: model.select(model.path, model.stat, model.state, model.kind)
        )
        return self._engine.execute(statement.sql)

    def of(self, paths: Collection[str]) -> dict[str, File]:
        """What is known of these paths."""
        found: dict[str, File] = {}
        wanted = list(paths)
        for start in range(0, len(wanted), _FEW):
            some = self.model.path.in_(wanted[start : start + _FEW])
            found.update(
                (row[0], File(*row))
                for row in self._engine.rows(self.model.select(*self._fields).where(some))
            )
        return found

    def broken(self) -> dict[str, File]:
        """The files whose content could not be taken over."""
        query = self.model.select(*self._fields).where(self.model.state == "broken")
        return {row[0]: File(*row) for row in self._engine.rows(query)}

    def put(self, files: Iterable[File], now: int) -> None:
        """Write what is known now."""
        _run(self._engine, self._upsert(), ({**file._asdict(), "synced_at": now} for file in files))

    def list(self, kind: str | None) -> list[records.DefinitionFile]:
        """The records of files, by path."""
        model = self.model
        fields = [
            model.path,
            model.kind,
            model.id,
            model.state,
            model.error,
            model.file_hash,
            model.synced_at,
        ]
        query = model.select(*fields).order_by(model.path)
        if kind is not None:
            query = query.where(model.kind == kind)
        return [records.DefinitionFile(*row) for row in self._engine.rows(query)]

    def _upsert(self) -> Statement:
        fields = [*self._fields, self.model.synced_at]
        return self._engine.statement(
            "definition_files.put",
            lambda: self.model.insert({field: param(field.name) for field in fields}).on_conflict(
                conflict_target=[self.model.path],
                update={field: getattr(EXCLUDED, field.column_name) for field in fields[1:]},
            ),
        )


class Revisions:
    """The table of revisions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.model: Any = models.Revision

    def add(self, revisions: Iterable[Mapping[str, Any]]) -> None:
        """Write new revisions, whose ``definition`` is JSON text already."""
        statement = self._engine.statement(
            "revisions.add",
            lambda: self.model.insert({field: param(field.name) for field in self.model._meta.sorted_fields}),
        )
        _run(self._engine, statement, revisions)

    def list(self, kind: str, id: str) -> list[records.Revision]:
        """The revisions of a definition, oldest first."""
        model = self.model
        query = model.select(*fields_of(model, records.Revision)).where(model.kind == kind, model.id == id)
        return [records.Revision(*row) for row in self._engine.rows(query.order_by(model.number))]


def _run(engine: Engine, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
    """Run a compiled statement over rows whose values are already in the engine's form."""
    parameters = [[row[name] for name in statement.names] for row in rows]
    if parameters:
        engine.execute_many(statement.sql, parameters)
