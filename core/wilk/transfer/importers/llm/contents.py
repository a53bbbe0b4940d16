"""What messages of llm are made of: fragments of text, attachments, schemas, tools."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from cachetools import LRUCache

from wilk.contracts import IncomingRecord
from wilk.errors import Invalid
from wilk.transfer.reading.columns import Values
from wilk.transfer.reading.tables import Row, Tables, as_bytes

_USUAL = 5_000_000
_FAMILIES = ("image", "audio", "video")


class Contents:
    """Looks up what rows refer to, in one database."""

    def __init__(self, tables: Tables, values: Values) -> None:
        self._tables = tables
        self._values = values
        self._schemas: LRUCache[str, Any] = LRUCache(100)
        self._most = _limit(values)

    def attachments(self) -> Iterator[IncomingRecord]:
        """Attachments as documents: their bytes as base64 up to the limit, else where they are."""
        for row in self._tables.rows("attachments"):
            content = as_bytes(row.get("content"))
            data: dict[str, Any] = {
                "media_type": row.get("type"), "path": row.get("path"), "url": row.get("url"),
                "sha256": row["id"],
            }  # fmt: skip
            if content is not None:
                data["size"] = len(content)
                if len(content) <= self._most:
                    data["base64"] = b64encode(content).decode()
                else:
                    self._values.reading.lost("attachments.content")
            title = str(row.get("path") or row.get("url") or "").rsplit("/", 1)[-1] or None
            yield IncomingRecord(
                "document", f"attachment:{row['id']}", {"kind": "attachment", "title": title, "data": data}
            )

    def attached(self, id: Any) -> dict[str, Any]:
        """The part that stands for an attachment."""
        row = self._tables.one("attachments", "id = ?", id) if "attachments" in self._tables.columns else None
        if row is None:
            self._values.reading.warn("messages name attachments that are not in the database")
            return {"type": "file", "sha256": id}
        kind = str(row.get("type") or "")
        family = kind.split("/")[0]
        part = {
            "type": family if family in _FAMILIES else "file", "media_type": kind or None, "sha256": id,
            "path": row.get("path"), "url": row.get("url"), "document": f"attachment:{id}",
        }  # fmt: skip
        return {name: value for name, value in part.items() if value is not None}

    def attached_to(self, table: str, column: str, id: Any) -> list[dict[str, Any]]:
        """The attachments that a table lays to something, in their order."""
        if not self._tables.has(table, column, "attachment_id"):
            return []
        order = '"order"' if self._tables.has(table, "order") else "rowid"
        rows = self._tables.rows(table, where=f"{column} = ?", given=(id,), order=order)
        return [self.attached(row["attachment_id"]) for row in rows]

    def fragment(self, id: Any) -> str:
        """The text of a fragment."""
        row = self._tables.one("fragments", "id = ?", id) if "fragments" in self._tables.columns else None
        if row is None:
            self._values.reading.warn("messages name fragments that are not in the database")
            return ""
        return self._values.text(row["content"], "fragments.content")

    def fragments_of(self, table: str, response: Any) -> list[str]:
        """The texts of the fragments that a table lays to a response, in their order."""
        if not self._tables.has(table, "response_id", "fragment_id"):
            return []
        order = '"order"' if self._tables.has(table, "order") else "rowid"
        rows = self._tables.rows(table, where="response_id = ?", given=(response,), order=order)
        return [self.fragment(row["fragment_id"]) for row in rows]

    def joined(self, pieces: Any) -> str:
        """The text that a ``text_ref`` stands for: fragments and literals."""
        found = []
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict) and "fragment" in piece:
                found.append(self.fragment(piece["fragment"]))
            elif isinstance(piece, dict):
                found.append(str(piece.get("literal") or ""))
        return "".join(found)

    def schema(self, id: Any) -> Any:
        """The JSON schema that an answer was to follow."""
        if id is None or "schemas" not in self._tables.columns:
            return None
        if id not in self._schemas:
            row = self._tables.one("schemas", "id = ?", id)
            self._schemas[id] = None if row is None else self._values.json(row["content"], "schemas.content")
        return self._schemas[id]

    def tools(self, table: str, column: str, id: Any) -> list[dict[str, Any]]:
        """The tools that were offered: name, description, schema and plugin of each."""
        if not self._tables.has(table, column, "tool_id") or "tools" not in self._tables.columns:
            return []
        found = []
        for row in self._tables.rows(table, where=f"{column} = ?", given=(id,)):
            tool = self._tables.one("tools", "id = ?", row["tool_id"])
            if tool is not None:
                schema = self._values.json(tool.get("input_schema"), "tools.input_schema")
                about = {name: tool.get(name) for name in ("name", "description", "plugin")}
                instance = self._instance(row)
                found.append(
                    {**about, "input_schema": schema, **({"instance": instance} if instance else {})}
                )
        return found

    def _instance(self, row: Row) -> dict[str, Any] | None:
        id = row.get("instance_id")
        if id is None or "tool_instances" not in self._tables.columns:
            return None
        found = self._tables.one("tool_instances", "id = ?", id)
        if found is None:
            return None
        # What a tool was made with may be a password of its.
        return {"plugin": found.get("plugin"), "name": found.get("name")}


def _limit(values: Values) -> int:
    given = values.reading.options.get("attachments")
    if given is None:
        return _USUAL
    if not given.isdigit():
        raise Invalid(f"attachments {given!r}: a number of bytes is wanted, such as 5000000, or 0")
    return int(given)
