"""bicameral.db of bicamrl: interactions of both generations, patterns, feedback, preferences, world models,
and what it archived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from wilk.contracts import Incoming, IncomingRecord, IncomingSession
from wilk.transfer.reading.columns import Values
from wilk.transfer.reading.tables import Row, Tables, chosen, opened, recognized, rest

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source

_COMPLETE = ("interaction_id", "session_id", "user_query", "data")
_PATTERN = ("name", "pattern_type", "sequence", "frequency", "confidence", "last_seen")
_READ = (
    "complete_interactions", "interactions", "patterns", "feedback", "preferences", "sessions",
    "archived_interactions", "archived_patterns", "world_model_states", "world_model_snapshots",
)  # fmt: skip
_KINDS = ("approval", "correction", "followup", "clarification", "none")
_QUERIES = ("user_query", "query", "action", "description", "interaction_type", "type")
_INTERACTION = frozenset(
    ["interaction_id", "session_id", "timestamp", "user_query", "query_context", "ai_interpretation",
     "planned_actions", "confidence", "active_role", "tokens_used", "user_feedback", "feedback_type",
     "success", "tags", "metadata", "actions_taken", "data"]
)  # fmt: skip
_ACTION = ("action_type", "target", "details", "status", "result", "error", "timestamp")
_LISTS = (
    "entities", "relations", "goals", "discovered_entity_types", "discovered_relation_types", "constraints",
    "merged_from",
)  # fmt: skip


def recognize(source: Source) -> str | None:
    """Tell the database by its complete interactions, or by patterns with a last_seen."""
    return recognized(source, _fits, lambda _: "bicameral.db, a database of bicamrl")


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Yield sessions, interactions with their actions, what was learned, and the archives."""
    wanted = "a bicameral.db with complete_interactions, or patterns with last_seen, is"
    for file in chosen(source, _fits, wanted):
        with opened(source, file) as tables:
            tables.tell_others(reading, _READ)
            yield from _Database(tables, Values(reading)).records()


def _fits(tables: Tables) -> bool:
    return tables.has("complete_interactions", *_COMPLETE) or (
        tables.has("patterns", *_PATTERN) and "interactions" in tables.columns
    )


class _Database:
    """Reads one database."""

    def __init__(self, tables: Tables, values: Values) -> None:
        self._tables = tables
        self._values = values

    def records(self) -> Iterator[Incoming]:
        """Records, such before others that refer to them."""
        yield from self._each("sessions", "id", self._session)
        yield from self._each("complete_interactions", "interaction_id", self._complete)
        yield from self._each("interactions", "id", self._older)
        yield from self._each("patterns", "id", self._pattern)
        yield from self._each("feedback", "id", self._feedback)
        yield from self._each("preferences", "key", self._preference)
        yield from self._each("archived_interactions", "id", self._archived_interaction)
        yield from self._each("archived_patterns", "id", self._archived_pattern)
        yield from self._each("world_model_states", "id", self._world_model)
        yield from self._each("world_model_snapshots", "id", self._snapshot)

    def _each(
        self, table: str, key: str, make: Callable[[Row, str], Iterator[Incoming]]
    ) -> Iterator[Incoming]:
        if table not in self._tables.columns:
            return
        if key not in self._tables.columns[table]:
            self._values.reading.lost(f"table {table}, which has no {key}", self._tables.count(table))
            return
        of = self._tables.count(table)
        for done, row in enumerate(self._tables.rows(table), 1):
            if row[key] is None:
                self._values.reading.fail(table, f"row {done}", f"{key} is NULL", f"{table}.{key}")
                continue
            yield from make(row, str(row[key]))
            self._values.reading.at(done, of)

    # -- interactions ---------------------------------------------------------------------

    def _complete(self, row: Row, key: str) -> Iterator[Incoming]:
        data = self._values.mapping(row.get("data"), "complete_interactions.data")
        # The columns are what the database searched by; the JSON has all of it.
        known = {
            **data,
            **{name: value for name, value in row.items() if name != "data" and value is not None},
        }
        yield from self._interaction(known, key, key, "complete_interactions")

    def _older(self, row: Row, key: str) -> Iterator[Incoming]:
        named = str(row.get("interaction_id") or f"interaction-{key}")
        if self._tables.has("complete_interactions", "interaction_id") and self._tables.one(
            "complete_interactions", "interaction_id = ?", named
        ):
            self._values.reading.skip("interaction", named, "it is among the complete interactions as well")
            return
        query = next((row[name] for name in _QUERIES if row.get(name)), "")
        key = _apart(f"older:{key}", row.get("timestamp"))
        yield from self._interaction({**row, "user_query": query}, key, named, "interactions")

    def _interaction(
        self, known: Row, key: str, id: str, table: str, archived: str | None = None
    ) -> Iterator[Incoming]:
        values = self._values
        feedback = known.get("feedback_type")
        if feedback not in (None, *_KINDS):
            values.reading.warn("kinds of feedback that are not known are in the metadata")
        session, refers = self._of_session(known.get("session_id"))
        record = {
            "session_id": session,
            "user_query": values.text(known.get("user_query"), f"{table}.user_query"),
            "query_context": self._mapping(known, "query_context", table),
            "ai_interpretation": _text_or_none(known.get("ai_interpretation")),
            "planned_actions": self._list(known, "planned_actions", table),
            "confidence": values.number(known.get("confidence"), f"{table}.confidence", 0, 1),
            "active_role": _text_or_none(known.get("active_role")),
            "tokens_used": values.whole(known.get("tokens_used"), f"{table}.tokens_used"),
            "user_feedback": _text_or_none(known.get("user_feedback")),
            "feedback_type": feedback if feedback in _KINDS else "none",
            "success": None if known.get("success") is None else bool(known["success"]),
            "tags": self._list(known, "tags", table),
            "metadata": {
                **self._mapping(known, "metadata", table),
                "bicamrl": {
                    "timezone": values.zone,
                    **rest(known, *(_INTERACTION - ({"feedback_type"} if feedback not in _KINDS else set()))),
                },
            },
            **self._times(known.get("timestamp") or known.get("created_at"), table),
        }
        yield IncomingRecord("interaction", key, record, refers, id=id, archived=archived)
        actions = self._list(known, "actions_taken", table)
        if archived is not None:
            return
        for position, action in enumerate(actions):
            yield self._action(action, key, position, record.get("created_at"))

    def _action(self, action: Any, interaction: str, position: int, moment: Any) -> IncomingRecord:
        known = action if isinstance(action, dict) else {"action_type": action}
        details = known.get("details")
        record = {
            "interaction": interaction,
            "position": position,
            "action_type": str(known.get("action_type") or known.get("type") or "unknown"),
            "target": _text_or_none(known.get("target")),
            "details": {
                **(details if isinstance(details, dict) else {} if details is None else {"value": details}),
                **{name: value for name, value in known.items() if name not in (*_ACTION, "type")},
            },
            "status": str(known.get("status") or "completed"),
            "result": known.get("result"),
            "error": _text_or_none(known.get("error")),
        }
        said = self._values.time(known.get("timestamp"), "actions_taken.timestamp") or moment
        if said is not None:
            record["created_at"] = said
        return IncomingRecord("action", f"{interaction}/{position}", record, {"interaction": "interaction"})

    def _session(self, row: Row, key: str) -> Iterator[Incoming]:
        values, summary = self._values, _text_or_none(row.get("summary"))
        about = {name: values.json(row.get(name), f"sessions.{name}") for name in
                 ("files_touched", "patterns_used", "feedback_received")}  # fmt: skip
        yield IncomingSession(
            key,
            [],
            name=None if summary is None else summary[:80],
            recap=summary,
            status="completed" if row.get("end_time") else "active",
            metadata={
                "bicamrl": {
                    "timezone": values.zone,
                    **{name: value for name, value in about.items() if value is not None},
                    **rest(row, "id", "summary", *about),
                }
            },
            created_at=values.time(row.get("start_time"), "sessions.start_time"),
            updated_at=values.time(row.get("end_time"), "sessions.end_time"),
        )

    # -- what was learned -----------------------------------------------------------------

    def _pattern(
        self, row: Row, key: str, archived: str | None = None, id: str | None = None
    ) -> Iterator[Incoming]:
        values = self._values
        created = values.time(row.get("created_at"), "patterns.created_at")
        seen = values.time(row.get("last_seen"), "patterns.last_seen")
        frequency = values.whole(row.get("frequency"), "patterns.frequency")
        confidence = values.number(row.get("confidence"), "patterns.confidence", 0, 1)
        used = ("id", *_PATTERN[:5], "description", "metadata", "created_at")
        record = {
            "name": values.text(row.get("name"), "patterns.name") or key,
            "pattern_type": str(row.get("pattern_type") or "unknown"),
            "description": _text_or_none(row.get("description")),
            "sequence": self._list(row, "sequence", "patterns"),
            "frequency": 1 if frequency is None else frequency,
            "confidence": 0.5 if confidence is None else confidence,
            "metadata": {**self._mapping(row, "metadata", "patterns"), "bicamrl": rest(row, *used)},
            **{name: moment for name, moment in
               (("created_at", created or seen), ("updated_at", seen or created)) if moment is not None},
        }  # fmt: skip
        yield IncomingRecord(
            "pattern",
            _apart(key, row.get("created_at")),
            record,
            id=id or f"pattern-{key}",
            archived=archived,
        )

    def _feedback(self, row: Row, key: str) -> Iterator[Incoming]:
        record = {
            "type": str(row.get("type") or "none"),
            "message": self._values.text(row.get("message"), "feedback.message"),
            "context": {
                **self._mapping(row, "context", "feedback"),
                **rest(row, "id", "type", "message", "context", "applied", "timestamp"),
            },
            "applied": bool(row.get("applied")),
        }
        if (moment := self._values.time(row.get("timestamp"), "feedback.timestamp")) is not None:
            record["created_at"] = moment
        yield IncomingRecord("feedback", _apart(key, row.get("timestamp")), record, id=f"feedback-{key}")

    def _preference(self, row: Row, key: str) -> Iterator[Incoming]:
        category = str(row.get("category") or "general")
        value = row.get("value")
        looks = isinstance(value, str) and value[:1] in tuple('[{"')
        found = self._values.quietly().json(value, "") if looks else value
        confidence = self._values.number(row.get("confidence"), "preferences.confidence", 0, 1)
        record = {
            "category": category,
            "key": key,
            "value": value if isinstance(found, dict) and "unreadable" in found else found,
            "confidence": 1.0 if confidence is None else confidence,
            "source": _text_or_none(row.get("source")),
            **self._times(row.get("updated_at"), "preferences"),
        }
        yield IncomingRecord("preference", f"{category}/{key}", record, id=f"preference-{category}-{key}")

    # -- archives and world models --------------------------------------------------------

    def _archived_interaction(self, row: Row, key: str) -> Iterator[Incoming]:
        data = self._values.mapping(row.get("data"), "archived_interactions.data")
        about = rest(row, "id", "data")
        known = {**data, "metadata": {**_mapping(data.get("metadata")), "archived": about}}
        if known.get("actions_taken"):
            known["metadata"]["actions_taken"] = known["actions_taken"]
        id = str(row.get("interaction_id") or row.get("original_id") or f"archived-{key}")
        reason = str(row.get("archive_reason") or "archived in its source")
        key = _apart(f"archived:{key}", row.get("archived_at"))
        yield from self._interaction(known, key, id, "archived_interactions", archived=reason)

    def _archived_pattern(self, row: Row, key: str) -> Iterator[Incoming]:
        data = self._values.mapping(row.get("data"), "archived_patterns.data")
        known = {"name": row.get("pattern_name"), "pattern_type": row.get("pattern_type"), **data}
        known["metadata"] = {**_mapping(data.get("metadata")), "archived": rest(row, "id", "data")}
        id = f"pattern-{row.get('original_id') or f'archived-{key}'}"
        reason = str(row.get("archive_reason") or "archived in its source")
        key = _apart(f"archived:{key}", row.get("archived_at"))
        yield from self._pattern(known, key, archived=reason, id=id)

    def _world_model(self, row: Row, key: str) -> Iterator[Incoming]:
        values = self._values
        session, refers = self._of_session(row.get("session_id"))
        confidence = values.number(row.get("domain_confidence"), "world_model_states.domain_confidence", 0, 1)
        count = values.whole(row.get("interaction_count"), "world_model_states.interaction_count")
        record: dict[str, Any] = {
            "session_id": session,
            "domain": str(row.get("domain") or "unknown"),
            "domain_confidence": confidence or 0.0,
            "interaction_count": count or 0,
            **{name: self._list(row, name, "world_model_states") for name in _LISTS},
            "metrics": self._mapping(row, "metrics", "world_model_states"),
            "is_active": row.get("is_active") in (None, 1, True),
            "metadata": {"bicamrl": rest(
                row, "id", "session_id", "domain", "domain_confidence", "interaction_count", "metrics",
                "is_active", *_LISTS
            )},
        }  # fmt: skip
        created = values.time(row.get("created_at"), "world_model_states.created_at")
        updated = values.time(row.get("updated_at"), "world_model_states.updated_at")
        times = {"created_at": created or updated, "updated_at": updated or created}
        record |= {name: moment for name, moment in times.items() if moment is not None}
        yield IncomingRecord("world_model", key, record, refers)

    def _snapshot(self, row: Row, key: str) -> Iterator[Incoming]:
        data = self._values.mapping(row.get("snapshot_data"), "world_model_snapshots.snapshot_data")
        record: dict[str, Any] = {
            "world_model": str(row.get("world_model_id")),
            "data": data,
            "trigger_event": _text_or_none(row.get("trigger_event")),
        }
        if (
            moment := self._values.time(row.get("snapshot_time"), "world_model_snapshots.snapshot_time")
        ) is not None:
            record["created_at"] = moment
        refers = {"world_model": "world_model"}
        key = _apart(key, row.get("world_model_id"))
        yield IncomingRecord("world_model_snapshot", key, record, refers, id=f"snapshot-{key}")

    # -- columns --------------------------------------------------------------------------

    def _of_session(self, session: Any) -> tuple[str | None, dict[str, str]]:
        """A session's key; it is a session here where the database has it, else only a name."""
        if session in (None, ""):
            return None, {}
        there = self._tables.has("sessions", "id") and self._tables.one("sessions", "id = ?", session)
        return str(session), {"session_id": "session"} if there else {}

    def _list(self, row: Row, name: str, table: str) -> list[Any]:
        value = row.get(name)
        if isinstance(value, str):
            value = self._values.json(value, f"{table}.{name}", [])
        if isinstance(value, dict):
            # Kept by id there.
            return [{"id": key, **one} if isinstance(one, dict) else one for key, one in value.items()]
        return value if isinstance(value, list) else [] if value is None else [value]

    def _mapping(self, row: Row, name: str, table: str) -> dict[str, Any]:
        value = row.get(name)
        if isinstance(value, str):
            return self._values.mapping(value, f"{table}.{name}")
        return _mapping(value)

    def _times(self, value: Any, table: str) -> dict[str, Any]:
        moment = self._values.time(value, f"{table}.timestamp")
        return {} if moment is None else {"created_at": moment, "updated_at": moment}


def _apart(key: str, moment: Any) -> str:
    """The key of a row with a number: its time tells it from that of another project's database."""
    return key if moment is None else f"{key}@{moment}"


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {} if value is None else {"value": value}


def _text_or_none(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    from wilk import codec

    return codec.dumps(value)
