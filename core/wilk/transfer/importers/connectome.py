"""Storage of Connectome: its folder of JSON files, or its SQLite database.

``_storage_metadata``, which the file backend adds, is taken off; timestamped ``.backup`` files and the
cache are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.contracts import Incoming, IncomingRecord
from wilk.errors import Invalid, NotStorable
from wilk.transfer.reading.columns import Values, loads
from wilk.transfer.reading.tables import Row, Tables, chosen, opened, recognized

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

ADDED = "_storage_metadata"
_PLACE = re.compile(
    r"(?:^|.*/)(?:(?P<family>conversations|agents)/(?P<id>[^/]+)/(?P<what>current|raw_messages|chunks|memories"
    r"|reasoning_chains)|(?P<flat>system|cache)/(?P<key>[^/]+))\.json$"
)
_ORDER = ("current", "raw_messages", "chunks", "memories", "reasoning_chains", "system")
_LISTS = ("messages", "raw_messages", "memories", "chains", "reasoning_chains", "data")
_READ = (
    "conversations", "raw_messages", "memories", "reasoning_chains", "chunk_info", "cache_entries",
    "system_state",
)  # fmt: skip
_TIMES = ("created_at", "timestamp", "createdAt")


def recognize(source: Source) -> str | None:
    """Tell a storage folder by the names of its files, a database by the columns of its tables."""
    if any((place := _PLACE.match(file.name)) and place["what"] for file in source.files):
        return "a storage folder of Connectome"
    return recognized(source, _fits, lambda _: "an SQLite database of Connectome")


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Yield conversations, and what belongs to each, then reasoning chains and the system's state."""
    values = Values(reading)
    found = _placed(source, reading)
    if found:
        yield from _Folder(values).records(found)
        return
    wanted = (
        "a folder with conversations/<id>/current.json, or a database with conversations and raw_messages, is"
    )
    for file in chosen(source, _fits, wanted):
        with opened(source, file) as tables:
            tables.tell_others(reading, _READ)
            yield from _database(tables, values)


def hash_of(data: Any) -> str:
    """The hash of a document, as the store makes it; of what cannot be kept, which is told later, of its
    spelling."""
    try:
        return codec.text_hash(codec.dumps(data))
    except NotStorable:
        return codec.text_hash(repr(data))


class Making:
    """Makes records; the same for files and for rows."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self._documents: set[str] = set()

    def document(self, id: str, data: Any, **times: Any) -> IncomingRecord:
        """A conversation, as it came."""
        self._documents.add(id)
        from wilk.services.connectome.documents import title_of

        record = {
            "kind": "conversation", "title": title_of(data), "data": data,
            "content_hash": hash_of(data), **_given(times),
        }  # fmt: skip
        return IncomingRecord("document", id, record)

    def raw(self, id: str, position: int, message: Any, **times: Any) -> IncomingRecord:
        """A raw message."""
        record = {
            "position": position, "data": message, "content_hash": hash_of(message),
            **_without_change(self._when(message, times)),
        }  # fmt: skip
        return self._of(id, "raw_message", f"{id}/{position}", record)

    def chunks(self, id: str, data: Any, **times: Any) -> IncomingRecord:
        """What the application decided on chunks."""
        return self._of(id, "chunk_info", id, {"data": data, **_given(times)})

    def memory(self, id: str, memory: Any, number: int, named: Any = None, **times: Any) -> IncomingRecord:
        """A memory that a conversation was compressed into."""
        from wilk.services.connectome.said import text_of

        known = memory if isinstance(memory, dict) else {}
        memory_id = str(named or known.get("memory_id") or known.get("id") or f"memory-{number}")
        sources = next((s for n in ("source_chunks", "source_chunk_ids", "sources")
                        if isinstance(s := known.get(n), list)), [])  # fmt: skip
        iteration = next((n for name in ("compression_iteration", "iteration")
                          if type(n := known.get(name)) is int and n >= 0), 0)  # fmt: skip
        record = {
            "kind": "compressed", "memory_id": memory_id, "content": text_of(memory), "data": memory,
            "sources": sources, "iteration": iteration, **self._when(memory, times),
        }  # fmt: skip
        return self._of(id, "memory", f"{id}/{memory_id}", record)

    def chain(self, agent: str, chain: Any, **times: Any) -> IncomingRecord:
        """A reasoning chain of an agent, known by what it holds: old ones go, and the others move up."""
        key = f"{agent}/{hash_of(chain)[:32]}"
        record = {"agent_id": agent, "data": chain, **_without_change(self._when(chain, times))}
        return IncomingRecord("reasoning_chain", key, record)

    def state(self, key: str, data: Any, **times: Any) -> IncomingRecord:
        """A part of the system's state."""
        return IncomingRecord("system_state", key, {"key": key, "data": data, **_given(times)})

    def _of(self, id: str, kind: str, key: str, record: dict[str, Any]) -> IncomingRecord:
        refers = {"conversation_id": "document"} if id in self._documents else {}
        return IncomingRecord(kind, key, {"conversation_id": id, **record}, refers)

    def _when(self, data: Any, times: dict[str, Any]) -> dict[str, Any]:
        """The time of a record: its column's, else the one in it."""
        given = _given(times)
        if "created_at" not in given and isinstance(data, dict):
            said = next(
                (data[name] for name in _TIMES if isinstance(data.get(name), (str, float, int))), None
            )
            if (found := self.values.time(said, "timestamp")) is not None:
                given["created_at"] = found
        return given


class _Folder:
    """Reads a storage folder."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._making = Making(values)

    def records(self, found: list[tuple[SourceFile, str, str]]) -> Iterator[Incoming]:
        for done, (file, what, id) in enumerate(found, 1):
            data = self._data(file, what, id)
            if data is not _NOTHING:
                yield from self._of(what, id, data, file.name)
            self._values.reading.at(done, len(found))

    def _of(self, what: str, id: str, data: Any, name: str) -> Iterator[Incoming]:
        making = self._making
        if what == "current":
            yield making.document(id, data)
        elif what == "chunks":
            yield making.chunks(id, data)
        elif what == "system":
            yield making.state(id, data)
        else:
            items = _listed(data)
            if items is None:
                self._values.reading.fail(what, id, "a list is wanted", name)
                return
            for number, item in enumerate(items):
                if what == "raw_messages":
                    yield making.raw(id, number, item)
                elif what == "memories":
                    yield making.memory(id, item, number)
                else:
                    yield making.chain(id, item)

    def _data(self, file: SourceFile, what: str, id: str) -> Any:
        try:
            with file.open() as opened:
                data = loads(opened.read(), self._values.reading.warn)
        except Invalid as error:
            self._values.reading.fail(what, id, f"its file cannot be read: {error}", file.name)
            return _NOTHING
        if isinstance(data, dict) and ADDED in data:
            self._values.reading.lost(ADDED)
            data = {name: value for name, value in data.items() if name != ADDED}
        return data


_NOTHING = object()


def _placed(source: Source, reading: Reading) -> list[tuple[SourceFile, str, str]]:
    """The files that are read: conversations one by one, each with its document first."""
    found = []
    for file in source.files:
        place = _PLACE.match(file.name)
        if place is None:
            if ".backup" in file.name:
                reading.skip("files", file.name, "an earlier version of a file, kept as a backup")
            continue
        if place["flat"] == "cache":
            reading.skip("cache", place["key"], "caches are computed again")
        elif (what := place["what"] or place["flat"]) is not None:
            found.append((file, what, place["id"] or place["key"]))
    found.sort(key=lambda one: (_ORDER.index(one[1]) > 3, one[2], _ORDER.index(one[1])))
    return found if any(what != "system" for _, what, _ in found) else []


def _listed(data: Any) -> list[Any] | None:
    if isinstance(data, dict):
        lists = [data[name] for name in _LISTS if isinstance(data.get(name), list)]
        return lists[0] if len(lists) == 1 else list(data.values()) if not lists else None
    return data if isinstance(data, list) else None


def _fits(tables: Tables) -> bool:
    return (
        tables.has("raw_messages", "conversation_id", "message_data", "message_index")
        or tables.has("conversations", "conversation_id", "data")
        or tables.has("system_state", "state_key", "state_data")
    )


def _database(tables: Tables, values: Values) -> Iterator[Incoming]:
    making = Making(values)
    reader = _Rows(values)
    if tables.has("conversations", "conversation_id", "data"):
        for id, data, times in reader.of(
            tables.rows("conversations"), "documents", "conversation_id", "data"
        ):
            yield making.document(id, data, **times)
    if tables.has("raw_messages", "message_data", "message_index"):
        rows = tables.rows("raw_messages", order="conversation_id, message_index, rowid")
        last, position = None, 0
        for id, data, times in reader.of(rows, "raw_messages", "conversation_id", "message_data"):
            position, last = (position + 1 if id == last else 0), id
            yield making.raw(id, position, data, **times)
    if tables.has("chunk_info", "conversation_id", "chunk_data"):
        rows = tables.rows("chunk_info")
        for id, data, times in reader.of(rows, "chunk_info", "conversation_id", "chunk_data"):
            yield making.chunks(id, data, **times)
    if tables.has("memories", "conversation_id", "memory_id", "memory_data"):
        rows = tables.rows("memories", order="created_at, rowid")
        named = reader.of(rows, "memories", "conversation_id", "memory_data", keep="memory_id")
        for number, (id, data, times) in enumerate(named):
            yield making.memory(id, data, number, times.pop("memory_id"), **times)
    if tables.has("reasoning_chains", "agent_id", "chain_data"):
        rows = tables.rows("reasoning_chains", order="created_at, rowid")
        for id, data, times in reader.of(rows, "reasoning_chains", "agent_id", "chain_data"):
            yield making.chain(id, data, **times)
    if tables.has("system_state", "state_key", "state_data"):
        rows = tables.rows("system_state")
        for id, data, times in reader.of(rows, "system_state", "state_key", "state_data"):
            yield making.state(id, data, **times)
    if "cache_entries" in tables.columns:
        for row in tables.rows("cache_entries"):
            values.reading.skip("cache", str(row.get("cache_key")), "caches are computed again")


class _Rows:
    """Reads rows with an id and JSON; those that cannot be read are told of."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def of(
        self, rows: Iterable[Row], kind: str, key: str, column: str, keep: str | None = None
    ) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        for number, row in enumerate(rows, 1):
            id = row[key]
            if id is None:
                self._values.reading.fail(kind, f"row {number}", f"{key} is NULL", key)
                continue
            try:
                data = loads(row[column], self._values.reading.warn)
            except Invalid:
                self._values.reading.fail(kind, str(id), f"{column} is no JSON", column)
                continue
            if isinstance(data, dict) and ADDED in data:
                self._values.reading.lost(ADDED)
                data = {name: value for name, value in data.items() if name != ADDED}
            times: dict[str, Any] = {
                name: self._values.time(row.get(name), f"{kind}.{name}")
                for name in ("created_at", "updated_at")
            }
            if keep is not None:
                times[keep] = row[keep]
            yield str(id), data, times


def _given(times: dict[str, datetime | None]) -> dict[str, Any]:
    return {name: moment for name, moment in times.items() if moment is not None}


def _without_change(times: dict[str, Any]) -> dict[str, Any]:
    """The times of records that never change."""
    return {name: moment for name, moment in times.items() if name != "updated_at"}
