"""Schema drift: tables, columns and indexes that are not those of the models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import peewee

from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient
from wilk.records.doctor import Finding

_OTHERS = re.compile(r"_litestream_|sqlite_|pgvector")
"""Indexes and tables that tools beside wilk keep in a database, and may."""


def _look(patient: Patient) -> Iterator[Found]:
    from playhouse.schema_diff import diff_models  # slow to import, and rarely needed

    models = [table.model for table in patient.tables]
    with patient.engine.pinned(), patient.engine.reading():
        drift = diff_models(patient.engine.database, models)
    if drift.create_tables:
        yield _tables(patient, drift.create_tables)
    missing = [(field.model._meta.table_name, field.column_name) for field in drift.add_columns]
    if missing:
        names = [f"{table}.{column}" for table, column in missing]
        told = (
            f"columns are missing: {', '.join(names[:SHOWN])}; restore "
            "a backup, or `wilk recover` into a new file"
        )
        yield Found(Finding("schema", "error", len(names), told, None, names[:SHOWN]), None)
    more = [f"{table}.{column}" for table, column in drift.drop_columns if not _OTHERS.search(table)]
    if more:
        told = f"columns are there that wilk does not know, and does not read: {', '.join(more[:SHOWN])}"
        yield Found(Finding("schema", "warning", len(more), told, None, more[:SHOWN]), None)
    lost = [index for index in drift.add_indexes if not _OTHERS.search(index.name or "")]
    if lost:
        yield _indexes(patient, models, lost)


def _tables(patient: Patient, missing: Any) -> Found:
    names = [model._meta.table_name for model in missing]

    def mend(work: Mending) -> None:
        for model in missing:
            make = partial(patient.engine.database.create_tables, [model])
            work.schema("table", model._meta.table_name, make)

    finding = Finding(
        "schema", "error", len(names), f"tables are missing, with what was in them: {', '.join(names)}",
        "make them, empty; look into a backup for their rows", names[:SHOWN],
    )  # fmt: skip
    return Found(finding, mend)


def _indexes(patient: Patient, models: list[Any], lost: Any) -> Found:
    wanted = {
        (model._meta.table_name, *_signature(index)): (model, index)
        for model in models
        for index in model._meta.fields_to_index()
    }
    known = []
    for index in lost:
        columns = None if index.columns is None else tuple(index.columns)
        name = index.name if columns is None else None
        known.append(wanted[index.table, name, columns, index.unique if columns else None])
    names = [str(index._name) for _, index in known]

    def mend(work: Mending) -> None:
        for model, index in known:
            work.schema("index", str(index._name), partial(_make, patient, model, index))

    finding = Finding(
        "schema", "warning", len(names),
        f"indexes are missing, so that verbs are slow, or take "
        f"what they would refuse: {', '.join(names[:SHOWN])}",
        "make them", names[:SHOWN],
    )  # fmt: skip
    return Found(finding, mend)


def _signature(index: Any) -> tuple[str | None, tuple[str, ...] | None, bool | None]:
    """What tells an index from others: its columns, or its name where it is partial or of expressions."""
    parts = index._expressions
    if index._where is None and all(isinstance(part, peewee.Field) for part in parts):
        return None, tuple(part.column_name for part in parts), bool(index._unique)
    return index._name, None, None


def _make(patient: Patient, model: Any, index: Any) -> None:
    patient.engine.execute(*model._schema._create_index(index).query())


CHECK = Check("schema", "tables, columns and indexes, against the models", _look)
