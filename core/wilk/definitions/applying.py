"""Takes readings of files over into the rows of one kind, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from wilk.clock import to_datetime
from wilk.definitions.claims import Clash, resolve
from wilk.definitions.loading import Content, Reading
from wilk.definitions.tables import File, Revisions, Row, Table
from wilk.engine import Engine
from wilk.errors import Conflict, Rejected
from wilk.events import Events
from wilk.records.definitions import Change


class Applied(NamedTuple):
    """What was done, what is to be known of the files, and what could not be done, by id."""

    changes: list[Change]
    files: list[File]
    clashes: dict[str, Clash]
    refused: dict[str, Exception]


class _Refusals(Exception):
    """Some changes were refused; the attempt is undone and made again without them."""

    def __init__(self, refused: dict[str, Exception]) -> None:
        self.refused = refused


class Applying:
    """One kind's part of a sync: ``readings`` of files that hold something, and files that are gone."""

    def __init__(
        self, engine: Engine, events: Events, table: Table, readings: Sequence[Reading], gone: Sequence[File]
    ) -> None:
        self._engine = engine
        self._events = events
        self._table = table
        self._now = engine.clock.now()
        self._arriving = {reading.id: (reading, reading.content) for reading in readings if reading.content}
        self._gone = gone
        names = [content.name for _, content in self._arriving.values()]
        self._rows = table.rows([*self._arriving, *(file.id for file in gone)], names)

    def run(self) -> Applied:
        """Write the rows; what clashes or is refused is left as it was, and told."""
        refused: dict[str, Exception] = {}
        one_by_one = False
        while True:
            try:
                with self._engine.transaction():
                    return self._attempt(refused, one_by_one)
            except _Refusals as refusals:
                refused.update(refusals.refused)
            except Conflict:
                # A constraint of a plugin's table; the attempt that finds out which row it is.
                if one_by_one:
                    raise
                one_by_one = True

    def _attempt(self, refused: dict[str, Exception], one_by_one: bool) -> Applied:
        leaving = {
            file.id: file
            for file in self._gone
            if file.id in self._rows and not self._rows[file.id].archived and file.id not in self._arriving
        }
        wanted = {
            id: self._table.claims_of(content.name, content.columns)
            for id, (_, content) in self._arriving.items()
            if id not in refused
        }
        verdict = resolve(self._rows, wanted, leaving)
        changes: list[Change] = []
        files: list[File] = []
        written: list[dict[str, Any]] = []
        parked: list[str] = []
        for id in verdict.accepted:
            reading, content = self._arriving[id]
            files.append(reading.file(self._table.kind.name))
            change = self._change(self._rows.get(id), reading, content)
            if change is not None:
                changes.append(change)
                written.append(self._values(id, content, change.revision))
                row = self._rows.get(id)
                if row is not None and not row.archived and row.claims != wanted[id]:
                    parked.append(id)
        leavers = [id for id in leaving if id not in verdict.protected]
        self._ask(written)
        self._archive(leavers, parked)
        self._write(written, changes, one_by_one)
        changes += [self._left(leaving[id], self._rows[id]) for id in leavers]
        files += [missing(file) for file in self._gone if file.id not in verdict.protected]
        clashes = {**verdict.clashes, **verdict.protected}
        return Applied(changes, files, clashes, refused)

    def _change(self, row: Row | None, reading: Reading, content: Content) -> Change | None:
        """What taking over the content means for the record; None when it holds it already."""
        kind = self._table.kind.name
        if row is None:
            return Change(kind, reading.id, "created", reading.path, 1, None)
        same = row.content_hash == content.hash
        if row.archived:
            revision = row.revision if same else row.revision + 1
            return Change(kind, reading.id, "restored", reading.path, revision, row.revision)
        if same:
            return None
        return Change(kind, reading.id, "updated", reading.path, row.revision + 1, row.revision)

    def _left(self, file: File, row: Row) -> Change:
        return Change(self._table.kind.name, file.id, "archived", file.path, row.revision, row.revision)

    def _values(self, id: str, content: Content, revision: int) -> dict[str, Any]:
        return {
            "kind": self._table.kind.name,
            "id": id,
            "name": content.name,
            "definition": content.json,
            "content_hash": content.hash,
            "revision": revision,
            "created_at": self._now,
            "updated_at": self._now,
            "archived_at": None,
            **content.columns,
        }

    def _ask(self, written: list[dict[str, Any]]) -> None:
        """Let plugins refuse. They are asked about all, so that one more attempt is enough."""
        if not self._events.watch_saves:
            return
        refused: dict[str, Exception] = {}
        for values in written:
            row = self._rows.get(values["id"])
            record = self._table.as_record(values, row.created_at if row else to_datetime(self._now))
            try:
                self._events.saving(self._table.noun, record)
            except Rejected as error:
                refused[values["id"]] = error
        if refused:
            raise _Refusals(refused)

    def _archive(self, leavers: list[str], parked: list[str]) -> None:
        """Archive what left, before names are taken anew.

        Records that change their names are set aside in the same way for a moment, so that two
        of them can swap.
        """
        if self._events.watch_deletes:
            for id in leavers:
                self._events.deleted(self._table.noun, self._table.find(id))
        self._table.archive([*leavers, *parked], self._now)

    def _write(self, written: list[dict[str, Any]], changes: list[Change], one_by_one: bool) -> None:
        if one_by_one:
            refused: dict[str, Exception] = {}
            for values in written:
                try:
                    with self._engine.transaction():
                        self._table.put([values])
                except Conflict as error:
                    refused[values["id"]] = error
            if refused:
                raise _Refusals(refused)
        else:
            self._table.put(written)
        Revisions(self._engine).add(
            {
                "kind": values["kind"],
                "id": values["id"],
                "number": change.revision,
                "version": self._arriving[change.id][1].version,
                "definition": values["definition"],
                "content_hash": values["content_hash"],
                "created_at": self._now,
            }
            for values, change in zip(written, changes, strict=True)
            if change.revision != change.previous
        )


def missing(file: File) -> File:
    """What is to be known of a file that is gone."""
    return file._replace(stat=None, file_hash=None, state="missing", error=None)
