"""chaite.db of chatai: conversations, memories, what it learned of people, keys and values, and its graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wilk.contracts import (
    Incoming,
    IncomingCall,
    IncomingMessage,
    IncomingRecord,
    IncomingSession,
    IncomingUser,
)
from wilk.definitions.redaction import names_secret
from wilk.transfer.importers import chatai_graph as graph
from wilk.transfer.reading.columns import Again, Values
from wilk.transfer.reading.tables import Groups, Row, Tables, chosen, opened, recognized, rest

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source

_MESSAGE = ("id", "conversation_id", "role", "content", "timestamp")
_BESIDE = {
    "memories": ("user_id", "content", "importance", "timestamp"),
    "kv_store": ("key", "value", "updated_at"),
    "kg_entities": ("entity_id", "entity_type", "name"),
    "structured_memories": ("user_id", "category", "content"),
}
_READ = ("messages", *_BESIDE, *graph.READ)


def recognize(source: Source) -> str | None:
    """Tell chaite.db by messages with a conversation and a timestamp, and a table of chatai's beside them."""
    return recognized(source, _fits, lambda _: "chaite.db, a database of chatai")


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Yield people, conversations, memories, the key-value store and the graph as facts."""
    for file in chosen(source, _fits, "a chaite.db with messages (conversation_id, timestamp) is"):
        with opened(source, file) as tables:
            tables.tell_others(reading, _READ)
            values = Values(reading, unit="ms")
            yield from _users(tables)
            yield from _sessions(tables, values)
            yield from _memories(tables, values)
            yield from _structured(tables, values)
            yield from _keys(tables, values)
            yield from graph.facts(tables, values)


def _fits(tables: Tables) -> bool:
    beside = any(tables.has(name, *columns) for name, columns in _BESIDE.items())
    return tables.has("messages", *_MESSAGE) and beside


def _users(tables: Tables) -> Iterator[IncomingUser]:
    seen = set()
    for table in ("memories", "structured_memories"):
        if tables.has(table, "user_id"):
            for user in tables.grouped(table, "user_id").values():
                if user not in (None, "") and str(user) not in seen:
                    seen.add(str(user))
                    yield IncomingUser(str(user), str(user))


def _sessions(tables: Tables, values: Values) -> Iterator[IncomingSession]:
    messages = tables.grouped("messages", "conversation_id", "timestamp, rowid")
    for number, id in enumerate(messages.values(), 1):
        if id is None:
            for row in messages.of(None):
                values.reading.fail("messages", str(row["id"]), "conversation_id is NULL", "conversation_id")
            continue
        yield _session(id, messages, values)
        values.reading.at(number, number)


def _session(id: Any, messages: Groups, values: Values) -> IncomingSession:
    def made(values: Values) -> Iterator[IncomingMessage]:
        previous = None
        for row in messages.of(id):
            one = _message(row, previous, values)
            yield one
            previous = one.key

    first = next(messages.of(id), None)
    began = None if first is None else values.quietly().time(first["timestamp"], "messages.timestamp")
    metadata = {"chatai": {"conversation_id": id}}
    return IncomingSession(str(id), Again(values, made), metadata=metadata, created_at=began)


def _message(row: Row, previous: str | None, values: Values) -> IncomingMessage:
    content = row["content"]
    # Contents are texts, or the JSON of parts.
    known = values.quietly().json(content, "") if str(content)[:1] in ("[", "{") else None
    metadata = values.mapping(row.get("metadata"), "messages.metadata")
    if isinstance(known, dict) and "content" in known:
        metadata |= {name: value for name, value in known.items() if name not in ("content", "role")}
        known = known["content"]
    parts = known if isinstance(known, list) and all(isinstance(one, dict) for one in known) else None
    text = _text(parts) if parts is not None else known if isinstance(known, str) else None
    role = values.text(row["role"], "messages.role") or "user"
    asked, calls = _calls(metadata.get("toolCalls"), values)
    if role == "tool" and parts is not None:
        parts = [_result(part) for part in parts]
    return IncomingMessage(
        key=f"{row['conversation_id']}:{row['id']}:{row['timestamp']}",
        role=role,
        text=values.text(content, "messages.content") if text is None else text,
        parts=[*(parts or []), *asked] or None,
        parent=previous,
        calls=calls,
        metadata={"chatai": {**metadata, **rest(row, *_MESSAGE[1:], "metadata")}},
        created_at=values.time(row["timestamp"], "messages.timestamp"),
    )


def _text(parts: list[Any]) -> str:
    return "\n\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _calls(given: Any, values: Values) -> tuple[list[dict[str, Any]], list[IncomingCall]]:
    parts, calls = [], []
    for call in given if isinstance(given, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments, name = function.get("arguments"), str(function.get("name") or "unknown")
            if isinstance(arguments, str):
                arguments = values.json(arguments, "messages.toolCalls.arguments")
            parts.append({"type": "tool_call", "id": call.get("id"), "name": name, "arguments": arguments})
            calls.append(IncomingCall(call.get("id"), name, arguments))
    return parts, calls


def _result(part: dict[str, Any]) -> dict[str, Any]:
    if part.get("type") == "tool" and "tool_call_id" in part:
        return {**part, "type": "tool_result"}
    return part


def _memories(tables: Tables, values: Values) -> Iterator[IncomingRecord]:
    if not tables.has("memories", *_BESIDE["memories"]):
        return
    used = ("user_id", "content", "importance", "timestamp", "metadata")
    for row in tables.rows("memories"):
        # From 1 to 10 there, from 0 to 1 here.
        score = values.number(row["importance"], "memories.importance", 0, 1, scale=0.1)
        about = {**values.mapping(row.get("metadata"), "memories.metadata"), **rest(row, *used)}
        yield _memory(f"memory:{row['id']}:{row['timestamp']}", row, values, {
            "kind": "note",
            "importance": score,
            "metadata": {"chatai": about},
            "created_at": values.time(row["timestamp"], "memories.timestamp"),
        })  # fmt: skip


def _structured(tables: Tables, values: Values) -> Iterator[IncomingRecord]:
    if not tables.has("structured_memories", *_BESIDE["structured_memories"]):
        return
    used = ("user_id", "category", "content", "confidence", "metadata", "created_at", "updated_at")
    for row in tables.rows("structured_memories"):
        about = {**values.mapping(row.get("metadata"), "structured_memories.metadata"), **rest(row, *used)}
        active = row.get("is_active") in (None, 1, True)
        yield _memory(f"structured:{row['id']}:{row.get('created_at')}", row, values, {
            "kind": str(row["category"] or "custom")[:64],
            "confidence": values.number(row.get("confidence"), "structured_memories.confidence", 0, 1),
            "metadata": {"chatai": about},
            "created_at": values.time(row.get("created_at"), "structured_memories.created_at"),
            "updated_at": values.time(row.get("updated_at"), "structured_memories.updated_at"),
        }, archived=None if active else "inactive in its source")  # fmt: skip


def _memory(
    key: str, row: Row, values: Values, given: dict[str, Any], archived: str | None = None
) -> IncomingRecord:
    user = row["user_id"]
    record = {
        "content": values.text(row["content"], "memories.content"),
        "user_id": None if user in (None, "") else str(user),
        **{name: value for name, value in given.items() if value is not None},
    }
    return IncomingRecord("memory", key, record, {"user_id": "user"}, archived=archived)


def _keys(tables: Tables, values: Values) -> Iterator[IncomingRecord]:
    if not tables.has("kv_store", "key", "value"):
        return
    for row in tables.rows("kv_store"):
        key = str(row["key"])
        if names_secret(key):
            values.reading.lost("kv_store: a value whose key names a secret")
            continue
        value = row["value"]
        looks = isinstance(value, str) and value[:1] in tuple('[{"0123456789-tfn')
        found = values.quietly().json(value, "") if looks else value
        data = value if isinstance(found, dict) and "unreadable" in found else found
        record: dict[str, Any] = {"key": f"chatai/{key}", "data": data}
        if (moment := values.time(row.get("updated_at"), "kv_store.updated_at")) is not None:
            record |= {"created_at": moment, "updated_at": moment}
        yield IncomingRecord("system_state", key, record)
