"""The older generation of llm's log: a row for each prompt with its response."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wilk.contracts import IncomingCall, IncomingMessage, IncomingSession
from wilk.transfer.importers.llm.contents import Contents
from wilk.transfer.reading.columns import Again, Values
from wilk.transfer.reading.tables import Groups, Row, Tables, rest

_USED = (
    "id", "prompt", "system", "prompt_json", "options_json", "response", "response_json", "conversation_id",
    "model", "datetime_utc", "token_details", "schema_id", "reasoning",
)  # fmt: skip


def there(tables: Tables) -> bool:
    """Whether a database has responses."""
    return tables.has("responses", "id", "model", "prompt", "response")


def sessions(tables: Tables, contents: Contents, values: Values) -> Iterator[IncomingSession]:
    """Yield each conversation, and each response that belongs to none; what is a turn too is left out."""
    if there(tables):
        yield from _Log(tables, contents, values).sessions()


class _Log:
    """Reads conversations."""

    def __init__(self, tables: Tables, contents: Contents, values: Values) -> None:
        self._tables = tables
        self._contents = contents
        self._values = values
        by = tables.has("responses", "conversation_id")
        self._of: Groups | None = tables.grouped("responses", "conversation_id", "id") if by else None
        self._calls = tables.grouped("tool_calls", "response_id", "id")
        self._results = tables.grouped("tool_results", "response_id", "id")

    def sessions(self) -> Iterator[IncomingSession]:
        tables, of = self._tables, self._tables.count("responses")
        if self._of is None:
            for row in tables.rows("responses"):
                yield self._session(str(row["id"]), {}, row)
            return
        done = 0
        for id in self._of.values():
            if id is None:
                for row in self._of.of(None):
                    if not self._is_turn(row):
                        yield self._session(str(row["id"]), {}, row)
                continue
            if all(self._is_turn(row) for row in self._of.of(id)):
                continue
            named = tables.one("conversations", "id = ?", id) if "conversations" in tables.columns else None
            yield self._session(str(id), named or {}, None)
            done += 1
            self._values.reading.at(min(done, of), of)

    def _is_turn(self, row: Row) -> bool:
        """Whether a response is in the newer generation too."""
        return "turns" in self._tables.columns and self._tables.one("turns", "id = ?", row["id"]) is not None

    def _session(self, id: str, about: Row, only: Row | None) -> IncomingSession:
        def rows() -> Iterator[Row]:
            if only is not None:
                yield only
            elif self._of is not None:
                yield from (row for row in self._of.of(id) if not self._is_turn(row))

        def made(values: Values) -> Iterator[IncomingMessage]:
            previous, system = None, None
            for row in rows():
                said = self._system(row, values)
                for message in self._messages(row, said if said != system else "", values):
                    yield _behind(message, previous)
                    previous = message.key
                system = said

        first = only or next(rows(), {})
        thread = "threads" in self._tables.columns and self._tables.one("threads", "id = ?", id)
        return IncomingSession(
            # A thread may go on with a conversation of the older generation, under its id.
            key=f"{id}:responses" if thread else id,
            messages=Again(self._values, made),
            name=about.get("name") or str(first.get("prompt") or "")[:80] or None,
            model=about.get("model") or first.get("model"),
            metadata={"llm": {"generation": "responses", **rest(about, "id", "name", "model")}},
            created_at=self._values.time(first.get("datetime_utc"), "responses.datetime_utc"),
        )

    def _system(self, row: Row, values: Values) -> str:
        pieces = self._contents.fragments_of("system_fragments", row["id"])
        return "\n".join(filter(None, [*pieces, values.text(row.get("system"), "responses.system")]))

    def _messages(self, row: Row, system: str, values: Values) -> Iterator[IncomingMessage]:
        id, moment = str(row["id"]), values.time(row.get("datetime_utc"), "responses.datetime_utc")
        if system:
            yield IncomingMessage(f"{id}:system", "system", system, created_at=moment)
        answered = 0
        for result in self._results.of(row["id"]):
            answered += 1
            yield IncomingMessage(
                f"{id}:result:{result['id']}",
                "tool",
                values.text(result["output"], "tool_results.output"),
                parts=[self._result(result)],
                created_at=moment,
            )
        prompt = self._prompt(row, values)
        attached = self._contents.attached_to("prompt_attachments", "response_id", row["id"])
        if prompt or attached or not answered:
            parts = [{"type": "text", "text": prompt}, *attached] if attached else None
            yield IncomingMessage(f"{id}:prompt", "user", prompt, parts=parts, created_at=moment)
        yield self._answer(row, id, values)

    def _prompt(self, row: Row, values: Values) -> str:
        pieces = self._contents.fragments_of("prompt_fragments", row["id"])
        return "\n".join(filter(None, [*pieces, values.text(row["prompt"], "responses.prompt")]))

    def _answer(self, row: Row, id: str, values: Values) -> IncomingMessage:
        text = values.text(row["response"], "responses.response")
        calls = list(self._calls.of(row["id"]))
        parts: list[dict[str, Any]] = []
        if row.get("reasoning"):
            parts.append({"type": "reasoning", "text": values.text(row["reasoning"], "responses.reasoning")})
        if text and (parts or calls):
            parts.append({"type": "text", "text": text})
        made = []
        for call in calls:
            arguments = values.json(call["arguments"], "tool_calls.arguments")
            key = _call_id(call)
            parts.append({"type": "tool_call", "id": key, "name": call["name"], "arguments": arguments})
            made.append(self._call(call, key, arguments))
        return IncomingMessage(
            key=id,
            role="assistant",
            text=text,
            parts=parts or None,
            model=row.get("model"),
            tokens=values.whole(row.get("output_tokens"), "responses.output_tokens"),
            calls=made,
            metadata={"llm": self._about(row, values)},
            created_at=values.time(row.get("datetime_utc"), "responses.datetime_utc"),
        )

    def _call(self, call: Row, key: str, arguments: Any) -> IncomingCall:
        result = None
        if self._tables.has("tool_results", "tool_call_id") and call.get("tool_call_id") is not None:
            result = self._tables.one("tool_results", "tool_call_id = ?", call["tool_call_id"])
        error = result.get("exception") if result else None
        return IncomingCall(
            call_id=key,
            name=str(call["name"] or "unknown"),
            arguments=arguments,
            result=result["output"] if result else None,
            status="error" if error else "ok" if result else "running",
            error=None if error is None else str(error),
        )

    def _result(self, row: Row) -> dict[str, Any]:
        attached = self._contents.attached_to("tool_results_attachments", "tool_result_id", row["id"])
        part = {
            "type": "tool_result", "tool_call_id": _call_id(row), "name": row.get("name"),
            "content": row["output"],
            **rest(row, "id", "response_id", "tool_id", "name", "output", "tool_call_id"),
        }  # fmt: skip
        return {**part, "attachments": attached} if attached else part

    def _about(self, row: Row, values: Values) -> dict[str, Any]:
        about = rest(row, *_USED)
        for name in ("prompt_json", "options_json", "response_json", "token_details"):
            if row.get(name) not in (None, "", "{}"):
                about[name.removesuffix("_json")] = values.json(row[name], f"responses.{name}")
        if (schema := self._contents.schema(row.get("schema_id"))) is not None:
            about["schema"] = schema
        if tools := self._contents.tools("tool_responses", "response_id", row["id"]):
            about["tools"] = tools
        return about


def _behind(message: IncomingMessage, parent: str | None) -> IncomingMessage:
    from dataclasses import replace

    return replace(message, parent=parent)


def _call_id(row: Row) -> str:
    """The provider's id of a call; older rows have none, and pair by the tool and the response."""
    return str(row.get("tool_call_id") or f"tool-{row.get('tool_id')}")
