"""The Wilk seed's folder ~/.wilk: wilk.db with sessions and messages, and its definitions beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.contracts import Incoming, IncomingDefinition, IncomingMessage, IncomingRecord, IncomingSession
from wilk.errors import Invalid, WilkError
from wilk.transfer.reading.columns import Again, Values
from wilk.transfer.reading.tables import Groups, Row, Tables, matching, opened, rest

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

_SESSION = ("id", "working_directory", "active_agents", "context_strategy", "default_model", "last_activity")
_MESSAGE = ("id", "session_id", "role", "content", "tokens_used")
_READ = ("sessions", "messages", "agents", "registry_cache", "session_summaries", "session_agents")


def recognize(source: Source) -> str | None:
    """Tell the seed's database by sessions with a last_activity, its folder by agents' definitions."""
    if matching(source, _fits):
        return "wilk.db as the Wilk seed lays it out"
    if any(kind == "agents" for kind, _, _ in _definitions(source)):
        return "a folder with definitions as the Wilk seed lays them out"
    return None


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Yield definitions, agents that only the database knows, then sessions."""
    databases, files = matching(source, _fits), list(_definitions(source))
    if not databases and not files:
        raise Invalid(
            "a wilk.db whose sessions have a last_activity, or a folder of definitions, is wanted, and not "
            f"found: {source.text} is {source.describe()}"
        )
    known = set()
    for kind, id, file in files:
        definition = _parsed(kind, id, file, reading)
        if definition is not None:
            known |= {(kind, id), (kind, str(definition.get("name")))}
            yield IncomingDefinition(kind, id, id, definition)
    _tell_files(source, reading, {file.name for _, _, file in files})
    for file in databases:
        with opened(source, file) as tables:
            tables.tell_others(reading, _READ)
            yield from _database(tables, Values(reading), known)


def _fits(tables: Tables) -> bool:
    return tables.has("sessions", *_SESSION) and tables.has("messages", *_MESSAGE)


def _definitions(source: Source) -> Iterator[tuple[str, str, SourceFile]]:
    """Files of definitions by where they lie: kind, id and file."""
    from wilk.definitions.kinds import register_definition_kinds

    ways = []
    for kind in register_definition_kinds():
        if "{id}" in kind.pattern:
            before, after = map(re.escape, kind.pattern.split("{id}"))
            ways.append((kind.name, re.compile(rf"(?:.*/)?{before}(?P<id>[^/]+){after}")))
    for file in source.files:
        for name, way in ways:
            if found := way.fullmatch(file.name):
                yield name, found["id"], file


def _parsed(kind: str, id: str, file: SourceFile, reading: Reading) -> dict[str, Any] | None:
    from wilk.definitions import reader

    try:
        with file.open() as opened:
            return reader.parse(opened.read(reader.MAX_BYTES + 1), file.name)
    except WilkError as error:
        reading.fail(kind, id, str(error), file.name)
        return None


def _tell_files(source: Source, reading: Reading, read: set[str]) -> None:
    """Name the files that are not taken over: tools and workflows are code, the rest is derived."""
    for file in source.files:
        if file.name in read or file.is_sqlite or file.name.endswith(("-wal", "-shm", ".db-journal")):
            continue
        if "cache" in file.name.split("/")[:-1]:
            reading.skip("cache", file.name, "caches are computed again")
        else:
            reading.skip(
                "files", file.name, "files beside definitions are not taken over; copy those you want"
            )


def _database(tables: Tables, values: Values, known: set[tuple[str, str]]) -> Iterator[Incoming]:
    for row in tables.rows("agents"):
        if ("agents", str(row.get("id"))) not in known and ("agents", str(row.get("name"))) not in known:
            yield _agent(row)
    messages = tables.grouped("messages", "session_id", "created_at, rowid")
    of, seen = tables.count("sessions"), set()
    for done, row in enumerate(tables.rows("sessions", order="created_at, rowid"), 1):
        seen.add(row["id"])
        yield _session(row, messages, values)
        values.reading.at(done, of)
    for id in messages.values():
        if id is None:
            for row in messages.of(None):
                values.reading.fail("messages", str(row["id"]), "session_id is NULL", "messages.session_id")
        elif id not in seen:
            values.reading.warn("messages whose session is gone got a session of their own")
            yield _session({"id": id}, messages, values)
    for row in tables.rows("session_summaries"):
        yield _summary(row, values)
    for table in ("registry_cache", "session_agents"):
        for row in tables.rows(table):
            values.reading.skip(table, str(next(iter(row.values()))), "it is fetched or derived again")


def _agent(row: Row) -> IncomingDefinition:
    used = ("id", "name", "description", "category", "version")
    texts = {name: str(row[name]) for name in used[1:] if row.get(name) not in (None, "")}
    definition = {"name": str(row["id"]), **texts, "metadata": {"wilk_seed": rest(row, *used)}}
    return IncomingDefinition("agents", str(row["id"]), str(row["id"]), definition)


def _session(row: Row, messages: Groups, values: Values) -> IncomingSession:
    id = row["id"]

    def made(values: Values) -> Iterator[IncomingMessage]:
        previous = None
        for message in messages.of(id):
            one = _message(message, previous, values)
            yield one
            previous = one.key

    agents = values.json(row.get("active_agents"), "sessions.active_agents", [])
    most = values.whole(row.get("max_tokens"), "sessions.max_tokens")
    status = row.get("status")
    return IncomingSession(
        key=str(id),
        messages=Again(values, made),
        name=row.get("name"),
        agents=[str(one) for one in agents] if isinstance(agents, list) else [],
        model=row.get("default_model") or None,
        max_tokens=most or None,
        status=status if status in ("active", "paused", "completed", "archived") else "active",
        working_directory=row.get("working_directory") or None,
        metadata={
            "wilk_seed": {
                "timezone": values.zone,
                **rest(
                    row, "id", "name", "active_agents", "default_model", "max_tokens", "working_directory"
                ),
            }
        },
        created_at=values.time(row.get("created_at"), "sessions.created_at"),
        updated_at=values.time(row.get("last_activity"), "sessions.last_activity"),
    )


def _message(row: Row, previous: str | None, values: Values) -> IncomingMessage:
    tokens = values.whole(row["tokens_used"], "messages.tokens_used")
    metadata = values.mapping(row.get("metadata"), "messages.metadata")
    used = ("id", "session_id", "role", "content", "agent_id", "tokens_used", "metadata", "created_at")
    return IncomingMessage(
        key=str(row["id"]),
        role=values.text(row["role"], "messages.role") or "user",
        text=values.text(row["content"], "messages.content"),
        parent=previous,
        agent=None if row.get("agent_id") is None else str(row["agent_id"]),
        # 0 is the column's default, not a count.
        tokens=tokens or None,
        metadata={**metadata, "wilk_seed": rest(row, *used)},
        created_at=values.time(row.get("created_at"), "messages.created_at"),
    )


def _summary(row: Row, values: Values) -> IncomingRecord:
    """A summary names no messages, so it is a memory of its session."""
    record: dict[str, Any] = {
        "kind": "summary",
        "session_id": str(row.get("session_id")),
        "content": values.text(row.get("summary_content"), "session_summaries.summary_content"),
        "metadata": {"wilk_seed": rest(row, "session_id", "summary_content", "created_at")},
    }
    if (moment := values.time(row.get("created_at"), "session_summaries.created_at")) is not None:
        record["created_at"] = moment
    key = str(row.get("id") or codec.content_hash(record["content"])[:32])
    return IncomingRecord("memory", f"summary:{key}", record, {"session_id": "session"})
