"""Counts that sessions and vector spaces keep, against the rows themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peewee import fn

from wilk import models
from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient
from wilk.records.doctor import Finding
from wilk.services.keeping.archiver import COMPACTED


def _look(patient: Patient) -> Iterator[Found]:
    yield from _sessions(patient)
    yield from _spaces(patient)


def _sessions(patient: Patient) -> Iterator[Found]:
    engine = patient.engine
    message, entry = models.Message, models.ArchiveEntry
    live = {
        session: (count, tokens, last)
        for session, count, tokens, last in engine.select(
            message.select(
                message.session, fn.COUNT(message.pk), fn.SUM(message.tokens), fn.MAX(message.sequence)
            ).group_by(message.session)
        )
    }
    compacted = {
        session: (count, last)
        for session, count, last in engine.select(
            entry.select(entry.session_id, fn.COUNT(entry.pk), fn.MAX(entry.position))
            .where(entry.kind == "message", entry.reason == COMPACTED, entry.restored_at.is_null())
            .group_by(entry.session_id)
        )
    }
    table = next(one for one in patient.tables if one.name == "sessions")
    wrong: list[tuple[dict[str, Any], dict[str, int]]] = []
    for row in patient.rows(table):
        count, tokens, last = live.get(row["id"], (0, 0, 0))
        more, behind = compacted.get(row["id"], (0, 0))
        wanted = {"message_count": int(count) + int(more), "token_count": int(tokens or 0)}
        if (row["last_sequence"] or 0) < max(last or 0, behind or 0):
            wanted["last_sequence"] = int(max(last or 0, behind or 0))
        if any(row[name] != value for name, value in wanted.items()):
            wrong.append((row, wanted))
    if not wrong:
        return

    def mend(work: Mending) -> None:
        for row, wanted in wrong:
            work.change(table, row, wanted, "it did not count its messages right")

    finding = Finding(
        "counts"
        "", "warning", len(wrong), f"{len(wrong):,} sessions do not count their messages or tokens right",
        "count them anew", [row["id"] for row, _ in wrong[:SHOWN]],
    )  # fmt: skip
    yield Found(finding, mend)


def _spaces(patient: Patient) -> Iterator[Found]:
    vector = models.Vector
    counted: dict[int, int] = dict(
        patient.engine.select(vector.select(vector.space, fn.COUNT(vector.pk)).group_by(vector.space))
    )
    highest: dict[int, int] = dict(
        patient.engine.select(vector.select(vector.space, fn.MAX(vector.number)).group_by(vector.space))
    )
    table = next(one for one in patient.tables if one.name == "vector_spaces")
    wrong = []
    for row in patient.rows(table):
        if row["state"] in ("retired", "dropped"):
            continue
        wanted = {"count": counted.get(row["id"], 0)}
        if row["last_number"] < highest.get(row["id"], 0):
            wanted["last_number"] = highest[row["id"]]
        if any(row[name] != value for name, value in wanted.items()):
            wrong.append((row, wanted))
    if not wrong:
        return

    def mend(work: Mending) -> None:
        for row, wanted in wrong:
            work.change(table, row, wanted, "it did not count its vectors right")

    finding = Finding(
        "counts", "warning", len(wrong), f"{len(wrong):,} collections of vectors do not count them right",
        "count them anew", [row["collection"] for row, _ in wrong[:SHOWN]],
    )  # fmt: skip
    yield Found(finding, mend)


CHECK = Check("counts", "what sessions and collections count, against what there is", _look)
