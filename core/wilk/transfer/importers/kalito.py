"""kalito.db: sessions with their messages, personas, summaries and pins of Kalito.

What newer files hold about health (patients, journals, therapy records) is not read, and told of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wilk.contracts import (
    Incoming,
    IncomingDefinition,
    IncomingMessage,
    IncomingRecord,
    IncomingSession,
)
from wilk.transfer.reading.columns import Again, Values
from wilk.transfer.reading.tables import Groups, Row, Tables, chosen, opened, recognized, rest

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source

_SESSION = ("id", "recap", "persona_id", "saved")
_MESSAGE = ("id", "session_id", "role", "text", "importance_score")
_READ = ("sessions", "messages", "personas", "conversation_summaries", "semantic_pins")
_PINS = frozenset({"user", "manual", "auto", "code", "concept", "system"})
_PERSONA = {
    "name": "name", "prompt": "prompt", "description": "description", "icon": "icon",
    "category": "category", "default_model": "default_model",
}  # fmt: skip
_SETTINGS = {
    "temperature": ("temperature", 0, 2),
    "topP": ("top_p", 0, 1),
    "repeatPenalty": ("repeat_penalty", 0, 1e9),
}


def recognize(source: Source) -> str | None:
    """Tell a database of Kalito by its sessions with a recap and its scored messages."""
    return recognized(source, _fits, lambda _: "kalito.db, a database of Kalito")


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Yield personas, then each session with its summaries and pins."""
    for file in chosen(source, _fits, "a kalito.db with sessions (recap, persona_id) and messages is"):
        with opened(source, file) as tables:
            tables.tell_others(reading, _READ)
            yield from _database(tables, Values(reading))


def _fits(tables: Tables) -> bool:
    return tables.has("sessions", *_SESSION) and tables.has("messages", *_MESSAGE)


def _database(tables: Tables, values: Values) -> Iterator[Incoming]:
    for row in tables.rows("personas"):
        yield _persona(row, values)
    messages = tables.grouped("messages", "session_id", "id")
    summaries = tables.grouped("conversation_summaries", "session_id")
    pins = tables.grouped("semantic_pins", "session_id")
    of, seen = tables.count("sessions"), set()
    for done, row in enumerate(tables.rows("sessions", order="created_at, rowid"), 1):
        id = str(row["id"])
        seen.add(row["id"])
        yield _session(row, messages, values)
        yield from _Summaries(tables, id, values).records(summaries.of(row["id"]))
        for pin in pins.of(row["id"]):
            yield _pin(tables, pin, id, values)
        values.reading.at(done, of)
    for id in messages.values():
        if id not in seen:
            values.reading.warn("messages whose session is gone got a session of their own")
            yield _session({"id": id}, messages, values)
    for name, groups in (("summaries", summaries), ("pins", pins)):
        for id in groups.values():
            if id not in seen:
                for row in groups.of(id):
                    values.reading.fail(name, str(row["id"]), f"its session {id!r} is not in the database")


def _persona(row: Row, values: Values) -> IncomingDefinition:
    definition: dict[str, Any] = {
        ours: values.text(row[name], f"personas.{name}")
        for name, ours in _PERSONA.items()
        if row.get(name) not in (None, "")
    }
    definition.setdefault("name", str(row["id"]))
    suggested = values.json(row.get("suggested_models"), "personas.suggested_models")
    if isinstance(suggested, list):
        definition["suggested_models"] = [str(one) for one in suggested]
    for name, (ours, low, high) in _SETTINGS.items():
        if (number := values.number(row.get(name), f"personas.{name}", low, high)) is not None:
            definition[ours] = number
    if most := values.whole(row.get("maxTokens"), "personas.maxTokens"):
        definition["max_tokens"] = most
    if (stop := row.get("stopSequences")) not in (None, ""):
        found = values.json(stop, "personas.stopSequences") if str(stop).startswith("[") else stop
        definition["stop_sequences"] = [str(one) for one in found] if isinstance(found, list) else str(found)
    if row.get("is_default") and definition.get("category"):
        definition["default"] = True
    used = (*_PERSONA, *_SETTINGS, "suggested_models", "maxTokens", "stopSequences", "is_default")
    definition["metadata"] = {"kalito": rest(row, *used)}
    return IncomingDefinition("personas", str(row["id"]), str(row["id"]), definition)


def _session(row: Row, messages: Groups, values: Values) -> IncomingSession:
    id = row["id"]

    def made(values: Values) -> Iterator[IncomingMessage]:
        previous = None
        for message in messages.of(id):
            one = _message(message, previous, values)
            yield one
            previous = one.key

    return IncomingSession(
        key=str(id),
        messages=Again(values, made),
        name=row.get("name"),
        persona=None if row.get("persona_id") is None else str(row["persona_id"]),
        model=row.get("model") or None,
        saved=bool(row.get("saved", 1)),
        recap=row.get("recap"),
        metadata={
            "kalito": {
                "timezone": values.zone,
                **rest(row, "id", "name", "model", "recap", "saved", "created_at", "updated_at"),
            }
        },
        created_at=values.time(row.get("created_at"), "sessions.created_at"),
        updated_at=values.time(row.get("updated_at"), "sessions.updated_at"),
    )


def _message(row: Row, previous: str | None, values: Values) -> IncomingMessage:
    used = ("session_id", "role", "text", "model_id", "importance_score", "created_at")
    return IncomingMessage(
        key=_key(row["session_id"], row["id"]),
        role=values.text(row["role"], "messages.role") or "user",
        text=values.text(row["text"], "messages.text"),
        parent=previous,
        model=row.get("model_id"),
        # What Kalito counts is four times too much; it is kept, and counted anew.
        importance=values.number(row["importance_score"], "messages.importance_score", 0, 1),
        metadata={"kalito": rest(row, *used)},
        created_at=values.time(row.get("created_at"), "messages.created_at"),
    )


class _Summaries:
    """The summaries of one session: their ranges are ids as text, which are compared as the numbers that
    they are."""

    def __init__(self, tables: Tables, session: str, values: Values) -> None:
        self._tables = tables
        self._session = session
        self._values = values

    def records(self, rows: Iterator[Row]) -> Iterator[IncomingRecord]:
        """Records, in the order of what they cover; where two overlap the later one becomes a memory."""
        found = []
        for row in rows:
            span = self._span(row)
            if span is None:
                self._values.reading.warn("summaries whose range is not there became memories")
                yield self._memory(row)
            else:
                found.append((*span, row))
        end = -1
        for first, last, row in sorted(found, key=lambda one: one[:2]):
            if first <= end:
                self._values.reading.warn("summaries that overlap with an earlier one became memories")
                yield self._memory(row)
                continue
            end = last
            yield self._summary(row, first, last)

    def _span(self, row: Row) -> tuple[int, int] | None:
        """The first and the last message that are there, of the range that a summary names."""
        try:
            low, high = int(row["start_message_id"]), int(row["end_message_id"])
        except (TypeError, ValueError):
            return None
        within = "session_id = ? AND id BETWEEN ? AND ?"
        given = (row["session_id"], low, high)
        rows = self._tables.rows("messages", where=within, given=given, order="id LIMIT 1")
        first = next(rows, None)
        rows = self._tables.rows("messages", where=within, given=given, order="id DESC LIMIT 1")
        last = next(rows, None)
        return None if first is None or last is None else (first["id"], last["id"])

    def _summary(self, row: Row, first: int, last: int) -> IncomingRecord:
        return IncomingRecord(
            "summary",
            str(row["id"]),
            {
                "session": self._session,
                "first_sequence": _key(self._session, first),
                "last_sequence": _key(self._session, last),
                "message_count": self._values.whole(row["message_count"], "summaries.message_count") or 0,
                "text": self._values.text(row["summary"], "summaries.summary"),
                **self._common(row),
            },
            {"session": "session", "first_sequence": "sequence", "last_sequence": "sequence"},
        )

    def _memory(self, row: Row) -> IncomingRecord:
        values = {
            "kind": "summary",
            "session_id": self._session,
            "content": self._values.text(row["summary"], "summaries.summary"),
            **self._common(row),
        }
        return IncomingRecord("memory", f"summary:{row['id']}", values, {"session_id": "session"})

    def _common(self, row: Row) -> dict[str, Any]:
        values, used = self._values, ("session_id", "summary", "importance_score", "created_at")
        score = values.number(row.get("importance_score"), "summaries.importance_score", 0, 1)
        found = {
            "importance": 0.7 if score is None else score,
            "metadata": {"kalito": rest(row, *used)},
            "created_at": values.time(row.get("created_at"), "summaries.created_at"),
        }
        return {name: value for name, value in found.items() if value is not None}


def _pin(tables: Tables, row: Row, session: str, values: Values) -> IncomingRecord:
    kind = row.get("pin_type") or "user"
    if kind not in _PINS:
        values.reading.warn("pins of a type that is not known are of the type user; theirs is in metadata")
    score = values.number(row.get("importance_score"), "pins.importance_score", 0, 1)
    source = row.get("source_message_id")
    there = source not in (None, "") and tables.one(
        "messages", "session_id = ? AND id = CAST(? AS INTEGER)", row["session_id"], source
    )
    if source not in (None, "") and not there:
        values.reading.warn("pins name messages that are not there; the pins stay without them")
    record = {
        "session": session,
        "content": values.text(row["content"], "pins.content"),
        "type": kind if kind in _PINS else "user",
        "source_message_id": _key(row["session_id"], there["id"]) if there else None,
        "importance": 0.8 if score is None else score,
        "metadata": {"kalito": rest(row, "session_id", "content", "importance_score", "created_at")},
    }
    if (created := values.time(row.get("created_at"), "pins.created_at")) is not None:
        record |= {"created_at": created, "updated_at": created}
    refers = {"session": "session", "source_message_id": "message"}
    return IncomingRecord("pin", str(row["id"]), record, refers)


def _key(session: Any, id: Any) -> str:
    """Kalito numbers the messages of all sessions; here an id is to be one of its own."""
    return f"{session}:{id}"
