"""Tool calls and their results: providers refuse a conversation in which one stands without the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wilk import clock, codec, models
from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient, behind_key
from wilk.context.units import EXTRA, links
from wilk.errors import WilkError
from wilk.records.context import ContextItem
from wilk.records.doctor import Finding

_DAY = 86_400_000_000
_PAGE = 2000


def _look(patient: Patient) -> Iterator[Found]:
    yield from _pairs(patient)
    yield from _never_ended(patient)


def _pairs(patient: Patient) -> Iterator[Found]:
    """Sessions whose messages make calls that nobody answers, or answer calls that nobody makes."""
    broken: dict[str, tuple[int, int]] = {}
    session: str | None = None
    calls, results, last = set[str](), set[str](), (0, set[str]())
    newest: dict[str, int] = dict(
        patient.engine.select(models.Session.select(models.Session.id, models.Session.last_sequence))
    )

    def close() -> None:
        open_calls = calls - results
        if last[0] == newest.get(session or ""):  # the turn to answer may still be open
            open_calls -= last[1]
        if open_calls or results - calls:
            broken[str(session)] = (len(open_calls), len(results - calls))

    for of, sequence, parts, metadata in _shaped(patient):
        if of != session:
            if session is not None:
                close()
            session, calls, results, last = of, set(), set(), (0, set())
        found = _links(parts, metadata)
        if found is None:
            continue
        calls |= found.calls
        results |= found.results
        last = (sequence, set(found.calls))
    if session is not None:
        close()
    compacted = {
        id for (id,) in patient.engine.select(models.Summary.select(models.Summary.session).distinct())
    }
    broken = {id: counts for id, counts in broken.items() if id not in compacted}
    if broken:
        calls_left = sum(counts[0] for counts in broken.values())
        results_left = sum(counts[1] for counts in broken.values())
        finding = Finding(
            "tools", "warning", len(broken),
            f"{len(broken):,} sessions have broken pairs: {calls_left:,} tool calls without a result, "
            f"{results_left:,} results without a call; contexts "
            "leave these out, and messages stay as they were",
            None, list(broken)[:SHOWN],
        )  # fmt: skip
        yield Found(finding, None)


def _shaped(patient: Patient) -> Iterator[tuple[Any, ...]]:
    """Session, sequence, parts and metadata of the messages that have such, in order, a page at a time."""
    message = models.Message
    fields = (message.session, message.sequence, message.parts, message.metadata)
    shaped = message.parts.is_null(False) | message.metadata.is_null(False)
    query = message.select(*fields).where(shaped).order_by(message.session, message.sequence).limit(_PAGE)
    page = patient.engine.select(query)
    while page:
        yield from page
        behind = behind_key([message.session, message.sequence], page[-1][:2])
        page = patient.engine.select(query.where(behind)) if len(page) == _PAGE else []


def _links(parts: str | None, metadata: str | None) -> Any:
    try:
        held = codec.loads(parts) if parts else None
        extra = codec.loads(metadata) if metadata else {}
    except (WilkError, ValueError, TypeError):
        return None  # poisoned: another check's
    if not isinstance(extra, dict):
        return None
    sent = {name: extra[name] for name in EXTRA if extra.get(name)} or None
    if not isinstance(held, list) and sent is None:
        return None
    item = ContextItem._make([None] * len(ContextItem._fields))
    return links(item._replace(parts=held if isinstance(held, list) else None, extra=sent))


def _never_ended(patient: Patient) -> Iterator[Found]:
    """Calls in the log that began over a day ago and never ended: what made them is gone."""
    call = models.ToolCall
    now = patient.engine.clock.now()
    table = next(one for one in patient.tables if one.name == "tool_calls")
    condition = (call.status == "running") & (call.started_at < clock.to_datetime(now - _DAY))
    names = [column.name for column in table.columns]
    rows = [
        dict(zip(names, values, strict=True))
        for values in patient.engine.select(call.select(*table.fields).where(condition))
    ]
    if not rows:
        return

    def mend(work: Mending) -> None:
        for row in rows:
            values = {"status": "error", "error": "it never ended", "finished_at": row["started_at"]}
            work.change(table, row, values, "it never ended")

    finding = Finding(
        "tools", "warning", len(rows), f"{len(rows):,} tool calls began over a day ago and never ended",
        "mark them as ended in an error", [row["id"] for row in rows[:SHOWN]],
    )  # fmt: skip
    yield Found(finding, mend)


CHECK = Check("tools", "tool calls and their results", _look)
