"""Rows and files of the form on their way into a store: what is missing is written, what is there stays.

Rows are known by their identity (:class:`~wilk.transfer.own.form.Shape`), not by the numbers that an engine
gave them, so that a store with rows takes others in. A batch of rows is one transaction: a run that was
interrupted goes on where it was, because what it wrote is equal by then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec, models
from wilk.care.tombstones import Tombstones
from wilk.errors import Busy, Closed, Invalid, ReadOnly, WilkError
from wilk.models.statements import compiled, param
from wilk.services.embedding.passages import KINDS as SEARCHED
from wilk.services.embedding.passages import SOURCES
from wilk.services.keeping.kinds import KINDS
from wilk.services.keeping.rows import encoded
from wilk.services.vectors import spaces
from wilk.transfer.moves.ends import End
from wilk.transfer.moves.hashing import Tally
from wilk.transfer.moves.tables import Row
from wilk.transfer.own.definition_files import Files, found_in
from wilk.transfer.own.form import DERIVED, Shape, row_of, shapes

if TYPE_CHECKING:
    from wilk.store import Store
    from wilk.transfer.landing.report import Report
    from wilk.transfer.own.lines import Line

logger = logging.getLogger("wilk.transfer")

_BATCH = 200
_BYTES = 4_000_000
_FATAL = (Busy, Closed, ReadOnly)
REPLACED = "replaced by an import"
"""The reason in the archive of a row that another one was written over."""


class _Waiting(NamedTuple):
    line: int
    row: Row


class Restoring:
    """One file on its way into one store."""

    def __init__(self, store: Store, report: Report, header: Mapping[str, Any], *, replace: bool) -> None:
        self._store = store
        self._engine = store._engine
        self._end = End(store._engine, store._backend, "this store")
        self._report = report
        self._replace = replace
        self._shapes = shapes(store.host.model_sets())
        self._kinds = {one.model()._meta.table_name: name for name, one in KINDS.items()}
        self._tallies = {name: Tally() for name in self._shapes}
        self._spaces: dict[int, int | None] = {}  # numbers of vector spaces in the file → here
        self._unknown: set[str] = set()
        self._files = Files(store.catalog, replace=replace, dry_run=report.dry_run)
        self._tombstones = Tombstones(store._engine)
        self._forgotten = lru_cache(50_000)(self._tombstones.holds)
        self._any_forgotten: bool | None = None
        self._shape: Shape | None = None
        self._waiting: list[_Waiting] = []
        self._size = 0
        self._later: list[tuple[Shape, Row]] = []  # rows that refer to such as come behind them
        self._gaps = self._compared(header)

    # -- what comes -------------------------------------------------------------------------

    def take(self, line: Line) -> None:
        """Take one line: a row or a file."""
        value = line.value or {}
        name = value.get("table")
        if isinstance(name, str) and isinstance(value.get("row"), dict):
            if name in DERIVED:
                return
            shape = self._shapes.get(name)
            if shape is None:
                self._unknown.add(name)
                self._report.lost(f"tables.{name}")
                return
            self._row(shape, line, value["row"])
        elif "file" in value:
            self._flush()
            self._file(line, value)
        else:
            self._report.fail("lines", f"line {line.number}", "neither a row nor a file")

    def end(self, trailer: Mapping[str, Any] | None) -> None:
        """Write what is left, and compare with what the file tells of itself."""
        self._flush()
        report = self._report
        for name in sorted(self._unknown):
            report.warn(
                f"{name} is no table here: rows of it were left out; install the plugin whose it is, and "
                "import again"
            )
        tables = (trailer or {}).get("tables")
        for name, told in (tables if isinstance(tables, dict) else {}).items():
            tally = self._tallies.get(name)
            if tally is None or name in self._gaps or not isinstance(told, dict):
                continue
            if (tally.rows, tally.state) != (told.get("rows"), told.get("sha256")):
                report.fail(
                    name,
                    "all rows",
                    f"{tally.rows:,} rows were read, which are not as they were written, or not all",
                )
        if report.dry_run:
            return
        self._refer()
        with self._engine.transaction():
            for shape in self._shapes.values():
                self._end.renumber(shape.table)
        if self._files.written:
            for failure in self._store.catalog.sync().failures:
                report.warn(f"{failure.path} was written, and cannot be read as a definition")

    def _refer(self) -> None:
        """Fill in what was left empty until what it names is there."""
        for shape, row in self._later:
            update = self._end.statements(shape.table).update
            if update is None:
                continue
            try:
                with self._engine.transaction():
                    rows = shape.table.given([row])
                    self._engine.execute_many(update.statement.sql, update.parameters(rows))
            except _FATAL:
                raise
            except WilkError as error:
                logger.info("%s: %s", shape.name, error)
                self._report.warn(f"{shape.name}: rows lost what they refer to, for it is not there")

    def _compared(self, header: Mapping[str, Any]) -> set[str]:
        """Tables whose columns there are others than here; what has no column here is told."""
        odd = set()
        for told in header["tables"]:
            shape = self._shapes.get(str(told.get("name"))) if isinstance(told, dict) else None
            if shape is None:
                continue
            columns = [str(one.get("name")) for one in told.get("columns", ()) if isinstance(one, dict)]
            if columns != shape.names:
                odd.add(shape.name)
        return odd

    # -- rows -------------------------------------------------------------------------------

    def _row(self, shape: Shape, line: Line, values: Mapping[str, Any]) -> None:
        if self._shape is not shape:
            self._flush()
            self._shape = shape
        for name in values.keys() - set(shape.names) if shape.name in self._gaps else ():
            self._report.lost(f"{shape.name}.{name}")
        try:
            row = row_of(shape, values)
        except Invalid as error:
            self._report.fail(shape.name, f"line {line.number}", str(error))
            return
        self._tallies[shape.name].add([row])
        if shape.name in self._gaps:
            row = _filled(shape, row)
        self._waiting.append(_Waiting(line.number, row))
        self._size += sum(len(one) for one in row if isinstance(one, (str, bytes)))
        if len(self._waiting) >= _BATCH or self._size > _BYTES:
            self._flush()

    def _flush(self) -> None:
        waiting, shape = self._waiting, self._shape
        self._waiting, self._size = [], 0
        if not waiting or shape is None:
            return
        try:
            with self._engine.transaction():
                counts = self._batch(shape, waiting)
        except _FATAL:
            raise
        except WilkError as error:
            if len(waiting) == 1:
                logger.info("%s, line %d: %s", shape.name, waiting[0].line, error)
                said = (
                    f"this store does not take it ({type(error).__name__}): what it refers to is missing, or "
                    "another row has what no two may have"
                )
                self._report.fail(shape.name, f"line {waiting[0].line}", said)
                return
            half = len(waiting) // 2
            for some in (waiting[:half], waiting[half:]):
                self._waiting, self._shape = some, shape
                self._flush()
            return
        for what, reason, line in counts:
            if what == "conflict":
                self._report.fail(shape.name, f"line {line}", reason)
            elif what == "skipped":
                self._report.skip(shape.name, f"line {line}", reason)
            else:
                self._report.count(shape.name, what, read=True)

    def _batch(self, shape: Shape, waiting: Sequence[_Waiting]) -> list[tuple[str, str, int]]:
        """Write some rows; tell of each what became of it."""
        counts: list[tuple[str, str, int]] = []
        coming: dict[tuple[Any, ...], _Waiting] = {}
        for one in waiting:
            row = self._placed(shape, one.row)
            if row is None:
                counts.append(("skipped", "vectors whose collection is another one here", one.line))
            elif self._is_forgotten(shape, row):
                counts.append(("skipped", "forgotten: it was removed for good, on request", one.line))
            else:
                coming[shape.known_by(row)] = _Waiting(one.line, row)
        there = self._there(shape, list(coming))
        new: list[Row] = []
        for identity, one in coming.items():
            known = there.get(identity)
            if known is None:
                new.append(one.row)
                counts.append(("created", "", one.line))
            elif self._same(shape, known, one.row):
                counts.append(("unchanged", "", one.line))
                self._note_space(shape, one.row, known)
            elif self._replace and shape.name in self._kinds:
                counts.append(("updated", "", one.line))
                if not self._report.dry_run:
                    self._overwrite(shape, known, one.row)
            else:
                counts.append(("conflict", self._why(shape, known, one.row), one.line))
                self._note_space(shape, one.row, known)
        if new and not self._report.dry_run:
            self._insert(shape, new)
        return counts

    def _there(self, shape: Shape, identities: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], Row]:
        """The rows of this store that have these identities."""
        table = shape.table
        fields = [table.fields[place] for place in shape.identity]
        outward = [table.columns[place].outward for place in shape.identity]
        given = [
            tuple([change(one) if change else one for change, one in zip(outward, key, strict=True)])
            for key in identities
        ]
        found: list[Row] = []
        query = table.model.select(*table.fields)
        if len(fields) == 1:
            wanted = [key[0] for key in given if key[0] is not None]
            if wanted:
                found = table.taken(self._engine.select(query.where(fields[0].in_(wanted))))
        else:
            for start in range(0, len(given), 40):
                condition = None
                for key in given[start : start + 40]:
                    one = _matching(fields, key)
                    condition = one if condition is None else condition | one
                if condition is not None:
                    found += table.taken(self._engine.select(query.where(condition)))
        return {shape.known_by(row): row for row in found}

    def _same(self, shape: Shape, here: Row, coming: Row) -> bool:
        return not self._differences(shape, here, coming)

    def _differences(self, shape: Shape, here: Row, coming: Row) -> list[str]:
        if shape.name == "archive":
            here = self._resolved(shape, here)
        without = {shape.counter, *self._numbers(shape)}
        return [
            name
            for place, name in enumerate(shape.names)
            if place not in without and here[place] != coming[place]
        ]

    def _numbers(self, shape: Shape) -> list[int]:
        """The places of numbers that mean something within one store alone."""
        if shape.name == "archive":
            return [shape.names.index("place")]
        if shape.name == "vector_spaces":
            return [shape.names.index(name) for name in ("id", "last_number", "count", "updated_at")]
        return [shape.names.index("number")] if shape.name == "vectors" else []

    def _resolved(self, shape: Shape, row: Row) -> Row:
        data, place = shape.names.index("data"), shape.names.index("place")
        if row[data] is not None or row[place] is None:
            return row
        values = list(row)
        values[data] = codec.dumps(self._store._outbox.read([(None, row[place])])[0])
        return tuple(values)

    def _why(self, shape: Shape, here: Row, coming: Row) -> str:
        names = ", ".join(self._differences(shape, here, coming))
        if shape.name in self._kinds:
            hint = "the one here was left; the option replace=yes writes over it"
        else:
            hint = "the one here was left"
        return f"it is here already and differs in {names}; {hint}"

    def _insert(self, shape: Shape, rows: list[Row]) -> None:
        table, counter = shape.table, shape.counter
        if table.late:
            refer = [row for row in rows if any(row[place] is not None for place in table.late)]
            self._later += [(shape, row) for row in refer]
            rows = [_without(row, table.late) for row in rows]
        taken: set[Any] = set()
        if counter is not None:
            field = table.fields[counter]
            wanted = [row[counter] for row in rows]
            query = table.model.select(field).where(field.in_(wanted))
            taken = {number for (number,) in self._engine.select(query)}
        kept = [row for row in rows if counter is None or row[counter] not in taken]
        if kept:
            insert = self._end.statements(table).insert
            self._engine.insert_many(insert.statement, insert.parameters(table.given(kept)))
            self._note_spaces(shape, [(row, row) for row in kept])
        others = [row for row in rows if counter is not None and row[counter] in taken]
        if others:
            self._end.renumber(table)
            statement, order = _without_counter(self._engine, shape)
            given = [[row[place] for place in order] for row in table.given(others)]
            self._engine.insert_many(statement, given)
            if shape.name == "vector_spaces":
                there = self._there(shape, [shape.known_by(row) for row in others])
                self._note_spaces(shape, [(row, there[shape.known_by(row)]) for row in others])
        self._derive(shape, rows)

    def _overwrite(self, shape: Shape, here: Row, coming: Row) -> None:
        """Write over a row; as it was, it goes into the archive."""
        kind = self._kinds[shape.name]
        values = dict(zip(shape.names, here, strict=True))
        key = [str(values[column]) for column in KINDS[kind].columns_of_key()]
        entry: Any = models.ArchiveEntry
        kept = encoded(values)
        self._engine.run(
            entry.insert(
                {
                    entry.kind: kind,
                    entry.record_id: "/".join(key),
                    entry.session_id: KINDS[kind].session_of(values),
                    entry.data: codec.loads(kept),
                    entry.reason: REPLACED,
                    entry.archived_at: self._engine.clock.now(),
                    entry.batch: self._report.run,
                    entry.size: len(kept.encode()),
                }
            )
        )
        self._store._outbox.filled()
        new = list(coming)
        for place in {*shape.table.key_places, *self._numbers(shape)}:
            new[place] = here[place]
        update = self._end.statements(shape.table).update
        if update is not None:
            rows = shape.table.given([tuple(new)])
            self._engine.execute_many(update.statement.sql, update.parameters(rows))
        self._derive(shape, [tuple(new)])

    def _derive(self, shape: Shape, rows: Sequence[Row]) -> None:
        """Make again what is made of rows: passages, the queue of an embedder, what filters vectors."""
        kind = self._kinds.get(shape.name)
        following = self._store._following
        if shape.name == "vectors":
            space, number, metadata = (shape.names.index(name) for name in ("space_id", "number", "metadata"))
            for row in rows:
                if row[metadata] is not None:
                    spaces.tag(self._engine, row[space], [(row[number], codec.loads(row[metadata]))])
        elif kind in SEARCHED:
            ids = [row[shape.names.index("id")] for row in rows]
            if kind in SOURCES:
                following.rebuild(kind, ids)
            else:
                following.queue(kind, ids)

    # -- vectors ----------------------------------------------------------------------------

    def _placed(self, shape: Shape, row: Row) -> Row | None:
        """A row with the number that its vector space has here; None where it has no place."""
        if shape.name != "vectors":
            return row
        place = shape.names.index("space_id")
        if row[place] not in self._spaces:
            return row if self._report.dry_run else None
        here = self._spaces[row[place]]
        return None if here is None else (*row[:place], here, *row[place + 1 :])

    def _note_space(self, shape: Shape, coming: Row, here: Row) -> None:
        self._note_spaces(shape, [(coming, here)])

    def _note_spaces(self, shape: Shape, pairs: Sequence[tuple[Row, Row]]) -> None:
        if shape.name == "vector_spaces":
            place = shape.names.index("id")
            self._spaces.update({coming[place]: here[place] for coming, here in pairs})
            if any(here[shape.names.index("kind")] is not None for _, here in pairs):
                self._store._following.begin()  # records have vectors here from now on

    # -- what was forgotten -------------------------------------------------------------------

    def _is_forgotten(self, shape: Shape, row: Row) -> bool:
        if self._any_forgotten is None and shape.name not in ("certificates", "forgotten"):
            self._any_forgotten = self._tombstones.any()  # those of the file are here by now
        if not self._any_forgotten:
            return False
        values = dict(zip(shape.names, row, strict=True))
        asked = [("session", values.get("session_id")), ("user", values.get("user_id"))]
        if shape.name == "archive":
            asked.append((values["kind"], values["record_id"]))
        kind = self._kinds.get(shape.name)
        if kind is not None:
            key = [values[column] for column in KINDS[kind].columns_of_key()]
            asked.append((kind, "/".join(map(str, key))))
        return any(isinstance(id, str) and self._forgotten(one, id) for one, id in asked)

    # -- files ------------------------------------------------------------------------------

    def _file(self, line: Line, value: Mapping[str, Any]) -> None:
        report = self._report
        try:
            found = found_in(value)
            what = self._files.put(found, report.warn)
        except Invalid as error:
            report.fail("files", f"line {line.number}", str(error))
            return
        if what == "skipped":
            report.skip("files", found.path, "this store has no home folder, so it has no files")
        elif what == "conflict":
            report.fail("files", found.path, "another file is there; the option replace=yes writes over it")
        else:
            report.count("files", what, read=True)


def _matching(fields: Sequence[Any], key: Sequence[Any]) -> Any:
    condition: Any = None
    for field, value in zip(fields, key, strict=True):
        one = field.is_null() if value is None else field == value
        condition = one if condition is None else condition & one
    return condition


def _without(row: Row, places: Sequence[int]) -> Row:
    return tuple([None if place in places else value for place, value in enumerate(row)])


def _without_counter(engine: Any, shape: Shape) -> tuple[Any, list[int]]:
    """The statement that writes a row with a new number, and the order of a row's values in it."""
    places = [place for place in range(len(shape.names)) if place != shape.counter]
    fields = shape.table.fields
    query = shape.table.model.insert({fields[place]: param(shape.names[place]) for place in places})
    statement = compiled(engine.database, query)
    return statement, [shape.names.index(name) for name in statement.names]


_EMPTY = {"text": "", "integer": 0, "real": 0.0, "boolean": False, "time": 0, "bytes": b""}


def _filled(shape: Shape, row: Row) -> Row:
    """A row of another schema, with something in the columns that must not be empty here."""
    return tuple(
        [
            _EMPTY.get(kind) if value is None and not field.null and place != shape.counter else value
            for place, (value, kind, field) in enumerate(
                zip(row, shape.kinds, shape.table.fields, strict=True)
            )
        ]
    )
