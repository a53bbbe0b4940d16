"""Threads of llm: messages by their hash, each naming the one before; threads share what they begin with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from wilk.contracts import IncomingCall, IncomingMessage, IncomingSession
from wilk.transfer.importers.llm.contents import Contents
from wilk.transfer.reading.columns import Again, Values
from wilk.transfer.reading.tables import Row, Tables, rest

_TURN = ("thread_id", "options_json", "schema_id", "token_details", "response_json", "datetime_utc")


def there(tables: Tables) -> bool:
    """Whether a database has threads."""
    return (
        tables.has("threads", "id", "tip_message_hash")
        and tables.has("turns", "id", "thread_id", "tip_message_hash")
        and tables.has("messages", "hash", "parent_hash", "role")
        and tables.has("parts", "message_hash", "position", "type", "payload")
    )


def sessions(tables: Tables, contents: Contents, values: Values) -> Iterator[IncomingSession]:
    """Yield each thread, the older first."""
    if not there(tables):
        return
    turns, parts = (
        tables.grouped("turns", "thread_id", "id"),
        tables.grouped("parts", "message_hash", "position, id"),
    )
    of = tables.count("threads")
    for done, row in enumerate(tables.rows("threads", order="id"), 1):
        yield _Thread(tables, contents, row, list(turns.of(row["id"])), parts, values).session()
        values.reading.at(done, of)
    loose = sum(1 for id in turns.values() if id is None or tables.one("threads", "id = ?", id) is None)
    if loose:
        values.reading.lost("turns of threads that are gone", loose)


class _Place(NamedTuple):
    """Where a message is in a thread: the turn that it came in, and whether it is the turn's answer."""

    parent: str | None
    turn: Row | None
    answer: bool


class _Thread:
    """One thread, and the messages of all its turns: those off the way to its tip are branches."""

    def __init__(
        self, tables: Tables, contents: Contents, row: Row, turns: list[Row], parts: Any, values: Values
    ) -> None:
        self._tables = tables
        self._contents = contents
        self._row = row
        self._turns = turns
        self._parts = parts
        self._values = values
        self._places = self._placed()
        self._results: dict[str, Mapping[str, Any]] = {}

    def session(self) -> IncomingSession:
        row, values = self._row, self._values
        last = self._turns[-1] if self._turns else {}
        latest = values.time(last.get("datetime_utc"), "turns.datetime_utc")
        created = values.time(row.get("datetime_utc"), "threads.datetime_utc")
        return IncomingSession(
            key=str(row["id"]),
            messages=Again(values, self._messages),
            leaf=row["tip_message_hash"],
            name=row.get("name"),
            model=last.get("model"),
            metadata={"llm": rest(row, "name", "tip_message_hash", "datetime_utc")},
            created_at=created,
            updated_at=max(created, latest) if created and latest else latest or created,
        )

    def _placed(self) -> dict[str, _Place]:
        """The messages, parents before children."""
        found: dict[str, _Place] = {}
        for turn in [*self._turns, {"tip_message_hash": self._row["tip_message_hash"]}]:
            way: list[tuple[str, _Place]] = []
            here: set[str] = set()
            at, answer = turn["tip_message_hash"], True
            while at is not None and at not in found and at not in here:
                row = self._tables.one("messages", "hash = ?", at)
                if row is None:
                    self._values.reading.warn("threads name messages that are not in the database")
                    break
                here.add(at)
                answer = answer and at != turn.get("parent_message_hash")
                way.append((at, _Place(row["parent_hash"], turn if "id" in turn else None, answer)))
                at = row["parent_hash"]
            if way and (at is None or at not in found):
                hash, place = way[-1]
                way[-1] = (hash, place._replace(parent=None))
            found.update(reversed(way))
        return found

    def _messages(self, values: Values) -> Iterator[IncomingMessage]:
        for hash, place in self._places.items():
            row = self._tables.one("messages", "hash = ?", hash)
            if row is not None:
                yield self._message(row, place, values)

    def _message(self, row: Row, place: _Place, values: Values) -> IncomingMessage:
        parts = [self._part(part, values) for part in self._parts.of(row["hash"])]
        texts = [part["text"] for part in parts if part["type"] == "text"]
        plain = all(part.keys() <= {"type", "text"} and part["type"] == "text" for part in parts)
        turn = place.turn
        tip = turn is not None and turn["tip_message_hash"] == row["hash"]
        metadata: dict[str, Any] = rest(row, "hash", "parent_hash", "role", "provider_metadata")
        if row.get("provider_metadata"):
            metadata["provider_metadata"] = values.json(
                row["provider_metadata"], "messages.provider_metadata"
            )
        if turn is not None:
            metadata["turn"] = self._about(turn, values) if tip else {"id": turn["id"]}
        return IncomingMessage(
            key=row["hash"],
            role=values.text(row["role"], "messages.role") or "user",
            text="\n\n".join(texts),
            parts=None if plain else parts,
            parent=place.parent,
            model=turn.get("model") if turn is not None and place.answer else None,
            tokens=values.whole(turn.get("output_tokens"), "turns.output_tokens") if turn and tip else None,
            calls=[self._call(part) for part in parts if part["type"] == "tool_call"],
            metadata={"llm": metadata},
            created_at=None if turn is None else values.time(turn.get("datetime_utc"), "turns.datetime_utc"),
        )

    def _part(self, row: Row, values: Values) -> dict[str, Any]:
        payload = values.mapping(row["payload"], "parts.payload")
        kind = str(row["type"])
        if "text_ref" in payload:
            payload["text"] = self._contents.joined(payload.pop("text_ref"))
        elif row.get("text") is not None:
            payload["text"] = values.text(row["text"], "parts.text")
        if kind == "text":
            return {"type": "text", "text": "", **payload}
        if kind == "tool_call":
            call = payload.pop("tool_call_id", None)
            arguments = payload.pop("arguments", None)
            name = payload.pop("name", None) or row.get("tool_name")
            return {"type": "tool_call", "id": call, "name": name, "arguments": arguments, **payload}
        if kind == "tool_result":
            call, output = payload.pop("tool_call_id", None), payload.pop("output", None)
            named = payload.pop("attachments", None)
            if isinstance(named, list):
                payload["attachments"] = [self._contents.attached(_id(one)) for one in named]
            return {"type": "tool_result", "tool_call_id": call, "content": output, **payload}
        if kind == "attachment":
            named = payload.pop("attachment", None)
            return {**self._contents.attached(_id(named)), **payload}
        return {"type": kind, **payload}

    def _call(self, part: Mapping[str, Any]) -> IncomingCall:
        if not self._results:
            self._results = self._answered()
        result = self._results.get(str(part["id"]), {})
        error = result.get("exception")
        return IncomingCall(
            call_id=part["id"],
            name=str(part["name"] or "unknown"),
            arguments=part["arguments"],
            result=result.get("content"),
            status="error" if error else "ok" if result else "running",
            error=None if error is None else str(error),
        )

    def _answered(self) -> dict[str, Mapping[str, Any]]:
        """The results of the thread's tools, by the id of their call."""
        found: dict[str, Mapping[str, Any]] = {"": {}}
        quiet = self._values.quietly()
        for hash in self._places:
            for row in self._parts.of(hash):
                if row["type"] == "tool_result":
                    part = self._part(row, quiet)
                    found[str(part["tool_call_id"])] = part
        return found

    def _about(self, turn: Row, values: Values) -> dict[str, Any]:
        about = rest(turn, *_TURN, "parent_message_hash", "tip_message_hash", "model")
        for name in ("options_json", "token_details", "response_json"):
            if turn.get(name) not in (None, "", "{}"):
                about[name.removesuffix("_json")] = values.json(turn[name], f"turns.{name}")
        if (schema := self._contents.schema(turn.get("schema_id"))) is not None:
            about["schema"] = schema
        if tools := self._contents.tools("turn_tools", "turn_id", turn["id"]):
            about["tools"] = tools
        return about


def _id(named: Any) -> Any:
    return named.get("id") if isinstance(named, dict) else named
