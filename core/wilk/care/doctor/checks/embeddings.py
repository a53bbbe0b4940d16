"""Embeddings: of one model within a collection, of the right size, and of records that are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wilk import models
from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient, missing
from wilk.records.doctor import Finding
from wilk.services.embedding.passages import KINDS, model_of


def _look(patient: Patient) -> Iterator[Found]:
    yield from _sizes(patient)
    yield from _without_record(patient)
    yield from _models(patient)


def _sizes(patient: Patient) -> Iterator[Found]:
    """Vectors whose bytes are not those of their space's dimension: mixed embeddings."""
    space = models.VectorSpace
    wanted: dict[int, int] = dict(patient.engine.select(space.select(space.id, space.dimension)))
    table = next(one for one in patient.tables if one.name == "vectors")
    bad = [
        row for row in patient.rows(table)
        if not isinstance(row["data"
        ""], (bytes, memoryview)) or len(row["data"]) != 4 * wanted.get(row["space_id"], -1)
    ]  # fmt: skip
    if not bad:
        return
    made = [row for row in bad if row["kind"] is not None]

    def mend(work: Mending) -> None:
        for row in bad:
            work.remove(table, row, "its vector was of another model's size")
        following = patient.store._following
        for kind in {row["kind"] for row in made}:
            following.queue(kind, [row["record_id"] for row in made if row["kind"] == kind])
        work.derive(lambda: patient.store._indexing.wake() if patient.settings.embedder != "none" else None)

    finding = Finding(
        "embeddings", "error", len(bad),
        f"{len(bad):,} vectors are not of the size of their collection, as those of another model are",
        "archive them, and embed their records again", [str(row["record_id"]) for row in bad[:SHOWN]],
    )  # fmt: skip
    yield Found(finding, mend)


def _without_record(patient: Patient) -> Iterator[Found]:
    vector: Any = models.Vector
    table = next(one for one in patient.tables if one.name == "vectors")
    names = [column.name for column in table.columns]
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        model = model_of(kind)
        condition = (vector.kind == kind) & missing(vector.record_id, model)
        for values in patient.engine.select(vector.select(*table.fields).where(condition)):
            rows.append(dict(zip(names, values, strict=True)))  # noqa: PERF401
    if not rows:
        return

    def mend(work: Mending) -> None:
        for row in rows:
            work.remove(table, row, "its record was not there")

    finding = Finding(
        "embeddings", "warning", len(rows), f"{len(rows):,} vectors are of records that are not there",
        "archive them", [f"{row['kind']} {row['record_id']}" for row in rows[:SHOWN]],
    )  # fmt: skip
    yield Found(finding, mend)


def _models(patient: Patient) -> Iterator[Found]:
    """Kinds of records that are searched by vectors of different models."""
    space = models.VectorSpace
    query = space.select(space.kind, space.model).where(space.kind.is_null(False), space.state == "active")
    by_model: dict[str, list[str]] = {}
    for kind, model in patient.engine.select(query):
        by_model.setdefault(str(model), []).append(str(kind))
    if len(by_model) < 2:
        return
    told = "; ".join(f"{', '.join(kinds)} by {model}" for model, kinds in by_model.items())
    finding = Finding(
        "embeddings", "warning", len(by_model), f"kinds of records have vectors of different models: {told}",
        "embed what is of another model than the embedder in use again", (),
    ) if patient.settings.embedder != "none" else Finding(
        "embeddings", "warning", len(by_model),
        f"kinds of records have vectors of different models: "
        f"{told}; name an embedder, and `wilk index update`",
        None, (),
    )  # fmt: skip

    def mend(work: Mending) -> None:
        work.derive(lambda: patient.store.index.update())

    yield Found(finding, mend if patient.settings.embedder != "none" else None)


CHECK = Check("embeddings", "vectors of the right model, size and record", _look)
