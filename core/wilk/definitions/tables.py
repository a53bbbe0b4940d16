"""The rows behind definitions: one table per kind with a model, the common table for the rest.

Bulk work and plain reading go through statements that are compiled once from the models; the
models, and Peewee with them, are asked for when a query is to be built.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from wilk import codec, models
from wilk.clock import to_datetime
from wilk.contracts import DefinitionKind
from wilk.definitions.homes import Homes
from wilk.engine import Engine, Rows
from wilk.models import fields_of
from wilk.models.statements import Statement, param
from wilk.records import definitions as records
from wilk.records.decoding import decoder

_FEW = 200
"""Up to so many ids are named in a query; for more, the whole table is read."""

_RECORDS: dict[str, type[Any]] = {
    "agents": records.Agent,
    "prompts": records.Prompt,
    "personas": records.Persona,
    "presets": records.Preset,
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
        self.record: type[Any] = _RECORDS.get(kind.name, records.Definition)
        self.noun = kind.name.removesuffix("s") if kind.name in _RECORDS else "definition"
        self._engine = engine
        self._decoded = decoder(self.record)

    @cached_property
    def model(self) -> Any:
        """The model of the kind."""
        return self.kind.model() if self.kind.model else models.Definition

    @cached_property
    def _fields(self) -> list[Any]:
        return list(self.model._meta.sorted_fields)

    @cached_property
    def _names(self) -> list[str]:
        return [field.name for field in self._fields]

    @cached_property
    def _json(self) -> list[Any]:
        from wilk.models.base import JsonField  # with Peewee; see wilk.models

        return [f for f in self._fields if isinstance(f, JsonField) and f.name != "definition"]

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
        persona = self.record is records.Persona
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
        if self.record is records.Definition:
            return frozenset()
        if is_default:
            return frozenset({("name", name), ("default", category or "")})
        return frozenset({("name", name)})

    def find(self, id: str) -> Any | None:
        """The record with that id, archived or not, or None."""
        parameters = (id,) if self.own else (id, self.kind.name)
        rows = self._engine.fetch(self._name("find"), self._find, parameters)
        return next(iter(self._made(rows)), None)

    def states(self) -> Any:
        """A query of kind, id, revision and the time of archiving of every record."""
        from peewee import Value  # with Peewee; see wilk.models

        model = self.model
        query = model.select(Value(self.kind.name), model.id, model.revision, model.archived_at)
        return query if self.own else query.where(model.kind == self.kind.name)

    def living(self) -> list[Any]:
        """The records that are not archived, by id."""
        rows = self._engine.fetch(self._name("living"), self._living, () if self.own else (self.kind.name,))
        return self._made(rows)

    def select(self, *conditions: Any) -> list[Any]:
        """The records that meet the conditions, by id."""
        query = self._select()
        if not self.own:
            conditions = (*conditions, self.model.kind == self.kind.name)
        if conditions:
            query = query.where(*conditions)
        return self._made(self._engine.select(query))

    def alive(self) -> Any:
        """The condition that a record is not archived."""
        return self.model.archived_at.is_null()

    def _select(self) -> Any:
        fields = (
            fields_of(self.model, self.record)
            if not self._nameless
            else [getattr(self.model, name) for name in records.Definition._fields[1:]]
        )
        return self.model.select(*fields).order_by(self.model.id)

    def _find(self) -> Any:
        query = self._select().where(self.model.id == param("id"))
        return query if self.own else query.where(self.model.kind == param("kind"))

    def _living(self) -> Any:
        query = self._select().where(self.alive())
        return query if self.own else query.where(self.model.kind == param("kind"))

    @property
    def _nameless(self) -> bool:
        """Whether the rows do not say of which kind they are, and the records do."""
        return self.own and self.record is records.Definition

    def _made(self, rows: Rows) -> list[Any]:
        return self._decoded([(self.kind.name, *row) for row in rows] if self._nameless else rows)

    def _name(self, verb: str) -> str:
        """The name of a statement: kinds without a model share theirs."""
        return f"definitions.{verb}.{self.kind.name}" if self.own else f"definitions.{verb}"

    # -- writing --------------------------------------------------------------------------

    def as_record(self, values: Mapping[str, Any], created_at: Any) -> Any:
        """The record that values of a row make, before they are written."""
        known = {
            **values,
            "definition": codec.kept(values["definition"], dict),
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
        changed = [field for field in self._fields if field.name not in kept]
        return self._engine.statement(
            self._name("put"), lambda: _upserted(model, self._fields, target, changed)
        )

    def _archive(self) -> Statement:
        model = self.model
        installs = [model.is_installed] if "is_installed" in self._names else []
        changed = [model.archived_at, model.updated_at, *installs]

        def build() -> Any:
            query = model.update({field: param(field.name) for field in changed}).where(
                model.id == param("id")
            )
            return query if self.own else query.where(model.kind == param("kind"))

        return self._engine.statement(self._name("archive"), build)


class File(NamedTuple):
    """What the last sync knew of a file; see :class:`wilk.models.definitions.DefinitionFile`."""

    path: str
    kind: str
    id: str
    stat: str | None
    file_hash: str | None
    state: str
    error: str | None


_COLUMNS = {"content_hash": "file_hash"}
"""What the records of files call otherwise than the table."""

_decoded_files = decoder(records.DefinitionFile)


class Files:
    """The table of definition files, as one home folder knows them."""

    def __init__(self, engine: Engine, homes: Homes | None = None) -> None:
        self._engine = engine
        self._homes = homes or Homes(None, shared=False)

    @cached_property
    def _fields(self) -> list[Any]:
        return fields_of(models.DefinitionFile, File)

    def states(self) -> list[tuple[Any, ...]]:
        """Path, stat, state and kind of every file: what a sync of an unchanged folder reads."""
        rows = self._engine.fetch("definition_files.states", _states)
        return [(path, *row[1:]) for row in rows if (path := self._homes.path(row[0])) is not None]

    def of(self, paths: Collection[str]) -> dict[str, File]:
        """What is known of these paths."""
        found: dict[str, File] = {}
        prefix = self._homes.prefix
        wanted = [prefix + path for path in paths]
        for start in range(0, len(wanted), _FEW):
            some = models.DefinitionFile.path.in_(wanted[start : start + _FEW])
            rows = self._engine.rows(models.DefinitionFile.select(*self._fields).where(some))
            found.update(self._mine(rows))
        return found

    def broken(self) -> dict[str, File]:
        """The files whose content could not be taken over."""
        rows = self._engine.fetch("definition_files.in_state", _in_state, ("broken",))
        return self._mine(rows)

    def put(self, files: Iterable[File], now: int) -> None:
        """Write what is known now."""
        prefix = self._homes.prefix
        _run(
            self._engine,
            self._upsert(),
            ({**file._asdict(), "path": prefix + file.path, "synced_at": now} for file in files),
        )

    def list(self, kind: str | None) -> list[records.DefinitionFile]:
        """The records of files, by path."""
        rows = self._engine.fetch("definition_files.list", _files)
        found = [
            file._replace(path=path)
            for file in _decoded_files(rows)
            if (path := self._homes.path(file.path)) is not None
        ]
        return found if kind is None else [file for file in found if file.kind == kind]

    def _mine(self, rows: Iterable[tuple[Any, ...]]) -> dict[str, File]:
        """The files of this home folder, by path."""
        return {path: File(path, *row[1:]) for row in rows if (path := self._homes.path(row[0])) is not None}

    def _upsert(self) -> Statement:
        model = models.DefinitionFile
        fields = [*self._fields, model.synced_at]
        return self._engine.statement(
            "definition_files.put", lambda: _upserted(model, fields, [model.path], fields[1:])
        )


def _states() -> Any:
    model = models.DefinitionFile
    return model.select(model.path, model.stat, model.state, model.kind)


def _in_state() -> Any:
    model = models.DefinitionFile
    return model.select(*fields_of(model, File)).where(model.state == param("state"))


def _files() -> Any:
    model = models.DefinitionFile
    fields = [getattr(model, _COLUMNS.get(name, name)) for name in records.DefinitionFile._fields]
    return model.select(*fields).order_by(model.path)


class Revisions:
    """The table of revisions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, revisions: Iterable[Mapping[str, Any]]) -> None:
        """Write new revisions, whose ``definition`` is JSON text already."""
        statement = self._engine.statement(
            "revisions.add",
            lambda: models.Revision.insert({f: param(f.name) for f in models.Revision._meta.sorted_fields}),
        )
        _run(self._engine, statement, revisions)

    def list(self, kind: str, id: str) -> list[records.Revision]:
        """The revisions of a definition, oldest first."""
        return decoder(records.Revision)(self._engine.fetch("revisions.list", _history, (kind, id)))


def _history() -> Any:
    model = models.Revision
    query = model.select(*fields_of(model, records.Revision)).order_by(model.number)
    return query.where(model.kind == param("kind"), model.id == param("id"))


def _upserted(model: Any, fields: Sequence[Any], target: Sequence[Any], changed: Sequence[Any]) -> Any:
    """INSERT … ON CONFLICT DO UPDATE of the changed fields."""
    from peewee import EXCLUDED  # with Peewee; see wilk.models

    return model.insert({field: param(field.name) for field in fields}).on_conflict(
        conflict_target=target, update={field: getattr(EXCLUDED, field.column_name) for field in changed}
    )


def _run(engine: Engine, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
    """Run a compiled statement over rows whose values are already in the engine's form."""
    parameters = [[row[name] for name in statement.names] for row in rows]
    if parameters:
        engine.execute_many(statement.sql, parameters)
