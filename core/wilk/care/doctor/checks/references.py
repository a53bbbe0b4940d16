"""Orphans: rows that belong to something that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import peewee

from wilk import models
from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient, missing, shown_key
from wilk.records.doctor import Finding
from wilk.services.keeping.kinds import KINDS
from wilk.transfer.moves.tables import Table

_OF_MESSAGES = (("tool_calls", "message_id"), ("pins", "source_message_id"), ("facts", "source_message_id"))


def _look(patient: Patient) -> Iterator[Found]:
    for table in patient.tables:
        for field in table.fields:
            if isinstance(field, peewee.ForeignKeyField):
                yield from _without_parent(patient, table, field)
    by_name = {table.name: table for table in patient.tables}
    for name, column in _OF_MESSAGES:
        yield from _without_message(patient, by_name[name], column)
    yield from _branches(patient, by_name["branch_messages"])


def _without_parent(patient: Patient, table: Table, field: Any) -> Iterator[Found]:
    """Rows whose reference, which the database should hold, leads nowhere."""
    parent, key = field.rel_model, field.rel_field
    condition = field.is_null(False) & missing(field, parent, key.column_name)
    (count,) = patient.values(table.model.select(peewee.fn.COUNT(field)).where(condition))
    if not count:
        return
    names = [column.name for column in table.columns]
    query = table.model.select(*table.fields).where(condition)

    def mend(work: Mending) -> None:
        for values in patient.engine.select(query):
            row = dict(zip(names, values, strict=True))
            if field.null:
                work.change(table, row, {field.column_name: None}, f"its {field.name} was not there")
            else:
                work.remove(table, row, f"its {field.name} was not there")

    rows = [dict(zip(names, values, strict=True)) for values in patient.engine.select(query.limit(SHOWN))]
    known = any(kind.model() is table.model for kind in KINDS.values())
    parent_name = parent._meta.table_name
    remedy = "take the reference away" if field.null else "archive them, from where they can be restored"
    finding = Finding(
        "references", "error", count,
        f"{count:,} of {table.name} name one of {parent_name} that is not there",
        remedy if field.null or known else None,
        [shown_key(table, row) for row in rows],
    )  # fmt: skip
    yield Found(finding, mend if field.null or known else None)


def _without_message(patient: Patient, table: Table, column: str) -> Iterator[Found]:
    """Rows that name a message which is nowhere: not in its table, not among branches, not archived."""
    field = table.model._meta.columns[column]
    condition = field.is_null(False) & _nowhere(field)
    yield from _emptied(patient, table, column, condition, "a message that is nowhere")


def _branches(patient: Patient, table: Table) -> Iterator[Found]:
    one = models.BranchMessage
    condition = one.parent_id.is_null(False) & _nowhere(one.parent_id)
    yield from _emptied(patient, table, "parent_id", condition, "a message before them that is nowhere")


def _emptied(patient: Patient, table: Table, column: str, condition: Any, what: str) -> Iterator[Found]:
    names = [one.name for one in table.columns]
    query = table.model.select(*table.fields).where(condition)
    rows = [dict(zip(names, values, strict=True)) for values in patient.engine.select(query)]
    if not rows:
        return

    def mend(work: Mending) -> None:
        for row in rows:
            work.change(table, row, {column: None}, f"its {column} was nowhere")

    finding = Finding(
        "references", "warning", len(rows), f"{len(rows):,} of {table.name} name {what}",
        "take the reference away", [shown_key(table, row) for row in rows[:SHOWN]],
    )  # fmt: skip
    yield Found(finding, mend)


def _nowhere(field: Any) -> Any:
    entry: Any = models.ArchiveEntry.alias("gone")
    archived = entry.select(peewee.SQL("1")).where(
        entry.kind.in_(["message", "branch_message"]), entry.record_id == field
    )
    return missing(field, models.Message) & missing(field, models.BranchMessage) & ~peewee.fn.EXISTS(archived)


CHECK = Check("references", "rows that belong to something that is not there", _look)
