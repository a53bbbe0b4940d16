"""The records of LangGraph's databases: threads as sessions, items of the store as memories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from wilk import Incoming, IncomingRecord, IncomingVector, Invalid, Reading, Source
from wilk_langgraph.databases import CHECKPOINTS, OWN, STORE, VECTORS, Database
from wilk_langgraph.decoding import Decoder, Unreadable
from wilk_langgraph.threads import Threads

_TEXTS = ("text", "content", "memory", "data", "value")
_SAID = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
COLLECTION = "langgraph-store"


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Yield threads, items of the store, and their vectors. Raises Invalid when none of it is there."""
    history = reading.options.get("history", "no")
    if history not in _SAID:
        raise Invalid(f"history {history!r}: yes or no is wanted")
    seen, found = [], False
    for file in source.databases():
        with source.database(file) as connection:
            database = Database(connection)
            if not database.fits:
                seen.append(f"{file.name} has the tables {', '.join(database.tables) or 'none'}")
                continue
            found = True
            for table in sorted(database.tables.keys() - OWN):
                if number := database.count(table):
                    reading.lost(f"table {table}", number)
            if database.has("checkpoints", CHECKPOINTS):
                yield from Threads(database, reading, history=_SAID[history]).sessions()
            if database.has("store", STORE):
                yield from _items(database, reading)
            if database.has("store_vectors", VECTORS):
                yield from _vectors(database, reading)
    if not found:
        told = "; ".join(seen) or f"{source.text} is {source.describe()}"
        raise Invalid(f"checkpoints or a store of LangGraph are wanted, and not found: {told}")


def _items(database: Database, reading: Reading) -> Iterator[IncomingRecord]:
    decoder = Decoder(lambda: reading.lost("SecretStr"))
    expires = "expires_at" in database.tables["store"]
    for row in database.rows("SELECT * FROM store ORDER BY prefix, key"):
        key = f"{row['prefix']}/{row['key']}"
        try:
            value = decoder.json(row["value"])
        except Unreadable as error:
            reading.fail("memory", key, str(error), "store.value")
            continue
        about = {"namespace": str(row["prefix"]).split("."), "key": row["key"]}
        if expires and row["expires_at"] is not None:
            reading.warn("items of the store that would expire there stay here; metadata says when")
            about["expires_at"] = row["expires_at"]
        record: dict[str, Any] = {
            "kind": "langgraph", "content": _text(value), "data": value, "metadata": {"langgraph": about},
        }  # fmt: skip
        for name in ("created_at", "updated_at"):
            if (moment := _moment(row[name])) is not None:
                record[name] = moment
        yield IncomingRecord("memory", key, record)


def _vectors(database: Database, reading: Reading) -> Iterator[IncomingVector]:
    before, part = None, 0
    for row in database.rows("SELECT * FROM store_vectors ORDER BY prefix, key, field_name"):
        key = f"{row['prefix']}/{row['key']}"
        part, before = (part + 1 if key == before else 0), key
        if not isinstance(row["embedding"], bytes):
            reading.fail(
                "vectors", f"{key}/{row['field_name']}", "embedding is no BLOB", "store_vectors.embedding"
            )
            continue
        about = {"namespace": str(row["prefix"]).split("."), "key": row["key"], "field": row["field_name"]}
        yield IncomingVector(
            COLLECTION, f"{key}/{row['field_name']}", key, row["embedding"], metadata=about, part=part
        )


def _text(value: Any) -> str:
    """What an item says: the text under a usual name, else all texts in it."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        return ""
    for name in _TEXTS:
        if isinstance(found := value.get(name), str):
            return found
        if isinstance(found, Mapping) and (inner := _text(found)):
            return inner
    return "\n".join(one for one in value.values() if isinstance(one, str))


def _moment(value: Any) -> datetime | None:
    """SQLite's CURRENT_TIMESTAMP is in UTC, and does not say so."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
