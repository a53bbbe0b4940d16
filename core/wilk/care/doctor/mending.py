"""Mending: every row that a repair changes is kept as it was, so that the repair can be undone.

A row goes into the table ``repairs`` before it is changed, in the same transaction; so does the mode of a
file. Undoing goes backwards, and only where nothing has changed since. What is derived (full text, indexes)
is made anew and has no way back, nor needs one.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk import clock, models
from wilk.care.doctor.patient import Patient, key_of, shown_key
from wilk.errors import Conflict, Invalid, NotFound
from wilk.records.doctor import RepairInfo
from wilk.services.keeping.kinds import KINDS, Kind

if TYPE_CHECKING:
    from wilk.transfer.moves.tables import Table

_MODE = "mode of a file"
_SCHEMA = "schema"


class Mending:
    """What one repair changes. Its verbs are for the checks that found what is to be mended."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient
        self.store = patient.store
        self.batch = patient.engine.clock.new_id()
        self.changes = 0
        self._engine = patient.engine
        self._check = ""

    def begin(self, check: str) -> None:
        """Note for which check the next changes are made."""
        self._check = check

    def change(self, table: Table, row: Mapping[str, Any], values: Mapping[str, Any], why: str) -> None:
        """Change columns of a row, which is as :meth:`Patient.rows` gives it."""
        after = {**row, **values}
        self._note(table.name, shown_key(table, row), plain(row), plain(after), why)
        _write(self._engine, table, row, after)

    def remove(self, table: Table, row: Mapping[str, Any], why: str) -> None:
        """Archive a row and take it out of its table."""
        kind = _kind_of(table)
        self._hanging(KINDS[kind], _this(table, row), why)
        self._note(table.name, shown_key(table, row), plain(row), None, why)
        self.store._archiver.remove(kind, _this(table, row), reason=f"doctor: {why}")

    def _hanging(self, kind: Kind, condition: Any, why: str) -> None:
        """Note what goes along with rows, so that undoing brings that back too."""
        for name, each in kind.hanging(condition):
            child = KINDS[name]
            self._hanging(child, each, why)
            table = next(one for one in self.patient.tables if one.model is child.model())
            columns = [column.name for column in table.columns]
            for values in self._engine.select(table.model.select(*table.fields).where(each)):
                row = dict(zip(columns, values, strict=True))
                self._note(table.name, shown_key(table, row), plain(row), None, why)

    def add(self, table: Table, row: Mapping[str, Any], why: str) -> None:
        """Put a row into a table that was not there."""
        self._note(table.name, shown_key(table, row), None, plain(row), why)
        _insert(self._engine, table, row)

    def mode(self, path: Path, mode: int, why: str) -> None:
        """Change who may read and write a file or folder."""
        before = path.stat().st_mode & 0o7777
        _set_mode(path, mode)
        self._note(_MODE, str(path), before, mode, why)

    def schema(self, kind: str, name: str, make: Callable[[], object]) -> None:
        """Make a table or an index that is missing."""
        self._note(_SCHEMA, name, None, {"kind": kind, "name": name}, f"the {kind} was missing")
        make()

    def derive(self, action: Callable[[], object]) -> None:
        """Make anew what is derived of rows, once the others are mended and committed."""
        self._engine.after_commit(action)
        self.changes += 1

    def _note(self, kind: str, record: str, before: Any, after: Any, why: str) -> None:
        one = models.Repair
        values = {
            one.id: self._engine.clock.new_id(), one.batch: self.batch, one.finding: self._check,
            one.kind: kind, one.record_id: record, one.before: before, one.after: after,
            one.summary: why, one.created_at: self._engine.clock.now(),
        }  # fmt: skip
        self._engine.run(one.insert(values))
        self.changes += 1


def undo(patient: Patient, batch: str) -> int:
    """Put back what a repair changed, the last change first; return how many changes that were.

    Raises NotFound, and Conflict for a repair that is undone already, or where a row has changed since.
    """
    engine, one = patient.engine, models.Repair
    fields = (one.id, one.kind, one.record_id, one.before, one.after, one.undone_at)
    tables = {table.name: table for table in patient.tables}
    unchecked = patient.store._backend.unchecked
    with engine.pinned(), unchecked(engine.execute) if unchecked else nullcontext(), engine.transaction():
        rows = engine.rows(one.select(*fields).where(one.batch == batch).order_by(one.id.desc()))
        if not rows:
            raise NotFound("repair", batch, "`wilk doctor --repairs` lists them")
        if any(undone is not None for *_, undone in rows):
            raise Conflict(f"repair {batch!r} is undone already")
        for _, kind, record, before, after, _ in rows:
            if kind == _MODE:
                continue
            if kind == _SCHEMA:
                _drop(patient, after["kind"], after["name"])
            elif kind in tables:
                _put_back(patient, tables[kind], record, before, after)
            else:
                raise Invalid(f"{kind} is a table of a plugin that is not installed; install it first")
        now = clock.to_datetime(engine.clock.now())
        engine.run(one.update({one.undone_at: now}).where(one.batch == batch))
        # No transaction takes these back, so they come when nothing else is in the way.
        for _, kind, record, before, *_ in rows:
            if kind == _MODE:
                with suppress(FileNotFoundError):  # such as a log, which comes and goes
                    _set_mode(Path(record), before)
    return len(rows)


def repairs(patient: Patient) -> list[RepairInfo]:
    """The repairs so far, the latest first."""
    one = models.Repair
    query = one.select(one.batch, one.created_at, one.finding, one.undone_at).order_by(one.id.desc())
    found: dict[str, list[Any]] = {}
    for batch, moment, check, undone in patient.engine.rows(query):
        known = found.setdefault(batch, [moment, {}, 0, undone])
        known[1][check] = None
        known[2] += 1
    return [
        RepairInfo(batch, moment, tuple(checks), changes, undone)
        for batch, (moment, checks, changes, undone) in found.items()
    ]


def _set_mode(path: Path, mode: int) -> None:
    try:
        path.chmod(mode)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Invalid(
            f"{path}: who may read it could not be changed: {error.strerror}; do it as its owner"
        ) from error


def _drop(patient: Patient, kind: str, name: str) -> None:
    """Take away a table or an index that a repair made; a table only while it is as empty as it was made."""
    table = next((one for one in patient.tables if kind == "table" and one.name == name), None)
    if table is not None and patient.engine.select(table.model.select(*table.fields).limit(1)):
        raise Conflict(f"{name} holds rows by now, which would be lost; nothing was undone")
    patient.engine.execute(f'DROP {kind.upper()} "{name}"')


def _put_back(patient: Patient, table: Table, record: str, before: Any, after: Any) -> None:
    engine = patient.engine
    kept = None if before is None else _taken(before)
    made = None if after is None else _taken(after)
    known: Any = made if made is not None else kept
    names = [column.name for column in table.columns]
    there = engine.select(table.model.select(*table.fields).where(_this(table, known)))
    now = dict(zip(names, there[0], strict=True)) if there else None
    if now != made:
        raise Conflict(
            f"{table.name} {record} has changed since the repair; nothing was undone: put it right by hand"
        )
    if kept is None:
        patient.store._archiver.remove(_kind_of(table), _this(table, known), reason="a repair was undone")
    elif made is None:
        _insert(engine, table, kept)
        if table.model is models.Vector:  # taking it out has counted it out of its collection
            space: Any = models.VectorSpace
            counted = space.update({space.count: space.count + 1})
            engine.run(counted.where(space.id == kept["space_id"]))
        entry: Any = models.ArchiveEntry
        latest = entry.select(entry.pk).where(
            entry.kind == _kind_of(table), entry.record_id == record, entry.restored_at.is_null()
        )
        for (pk,) in engine.select(latest.order_by(entry.pk.desc()).limit(1)):
            engine.run(entry.update({entry.restored_at: engine.clock.now()}).where(entry.pk == pk))
    else:
        _write(engine, table, made, kept)


def _taken(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The row that was made :func:`plain`."""
    return {
        name: b64decode(value["base64"]) if isinstance(value, dict) else value for name, value in kept.items()
    }


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON has it. Bytes may lie in any column of a damaged row, so they are marked."""
    return {
        name: {"base64": b64encode(value).decode()} if isinstance(value, (bytes, memoryview)) else value
        for name, value in row.items()
    }


def _this(table: Table, row: Mapping[str, Any]) -> Any:
    condition: Any = None
    for name in key_of(table):
        same = table.model._meta.columns[name] == row[name]
        condition = same if condition is None else condition & same
    return condition


def _write(engine: Any, table: Table, row: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Write columns as the engine holds them, whatever the models make of such values."""
    names = [name for name in after if name not in key_of(table)]
    _run(engine, table, "change", names, [after[name] for name in names], row)


def _insert(engine: Any, table: Table, row: Mapping[str, Any]) -> None:
    from wilk.models.statements import param

    fields = {field.column_name: field for field in table.fields}
    statement = engine.statement(
        f"doctor.insert {table.name}",
        lambda: table.model.insert({fields[name]: param(name) for name in fields}),
    )
    engine.execute(statement.sql, [row[name] for name in statement.names])


def _run(
    engine: Any, table: Table, verb: str, names: Sequence[str], values: Sequence[Any], row: Mapping[str, Any]
) -> None:
    from wilk.models.statements import param

    columns = table.model._meta.columns
    keys = key_of(table)

    def build() -> Any:
        condition: Any = None
        for name in keys:
            same = columns[name] == param(f"key {name}")
            condition = same if condition is None else condition & same
        return table.model.update({columns[name]: param(name) for name in names}).where(condition)

    statement = engine.statement(f"doctor.{verb} {table.name}: {' '.join(names)}", build)
    given = dict(zip(names, values, strict=True)) | {f"key {name}": row[name] for name in keys}
    engine.execute(statement.sql, [given[name] for name in statement.names])


def _kind_of(table: Table) -> str:
    for name, kind in KINDS.items():
        if kind.model() is table.model:
            return name
    raise Invalid(f"rows of {table.name} cannot be archived")
