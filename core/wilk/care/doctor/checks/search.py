"""The search index: passages that say what their records say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wilk import models
from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient, missing
from wilk.errors import WilkError
from wilk.records.doctor import Finding
from wilk.services.embedding.following import stale
from wilk.services.embedding.passages import SOURCES, passages

_SOME = 500


def _look(patient: Patient) -> Iterator[Found]:
    unmade = set(stale(patient.engine))
    for kind in SOURCES:
        if kind not in unmade:  # those are made when the store is next searched
            yield from _passages(patient, kind)


def _passages(patient: Patient, kind: str) -> Iterator[Found]:
    """Passages that are not what the rules make of their records, and those of records that are gone."""
    engine, source, one = patient.engine, SOURCES[kind], models.Passage
    model: Any = source.model()
    fields = models.fields_of(model, source.record)
    wrong: list[str] = []
    for ids in _pages(patient, model):
        try:
            rows = engine.rows(model.select(*fields).where(model.id.in_(ids)))
        except (WilkError, ValueError, TypeError, LookupError):
            continue  # poisoned: another check's
        kept: dict[str, dict[int, str]] = {}
        made = one.select(one.record_id, one.part, one.text).where(one.kind == kind, one.record_id.in_(ids))
        for id, part, text in engine.select(made):
            kept.setdefault(id, {})[part] = text
        for row in rows:
            record = source.record(*row)
            if kept.get(record.id, {}) != dict(enumerate(passages(source.text(record)))):
                wrong.append(record.id)
    without: Any = one.select(one.record_id).where(one.kind == kind, missing(one.record_id, model))
    gone = patient.values(without.distinct())
    if not wrong and not gone:
        return

    def mend(work: Mending) -> None:
        archiver = patient.store._archiver
        for start in range(0, len(gone), _SOME):
            some = gone[start : start + _SOME]
            archiver.drop_derived(one, (one.kind == kind) & one.record_id.in_(some))
        patient.store._following.rebuild(kind, wrong)
        work.derive(lambda: None)

    finding = Finding(
        "search", "warning", len(wrong) + len(gone),
        f"{len(wrong) + len(gone):,} records of the kind {kind} are searched by what they do not say",
        "make their passages anew", (wrong + gone)[:SHOWN],
    )  # fmt: skip
    yield Found(finding, mend)


def _pages(patient: Patient, model: Any) -> Iterator[list[str]]:
    after = ""
    while page := patient.values(
        model.select(model.id).where(model.id > after).order_by(model.id).limit(_SOME)
    ):
        yield page
        after = page[-1]


CHECK = Check("search", "passages, against the records", _look)
