"""Open WebUI's export of chats: a list of chats, each with its messages as a tree.

Fields that are not known are kept in the metadata under ``open_webui``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk.clock import EPOCH
from wilk.contracts import Incoming, IncomingCall, IncomingMessage, IncomingSession
from wilk.errors import Invalid
from wilk.transfer.importers.mapped_trees import Family, family, ordered
from wilk.transfer.reading import foreign
from wilk.transfer.reading.outlines import outline

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

NAME = "open_webui"
WANTED = 'the JSON of Open WebUI\'s "Export Chats": a list of chats that each have chat.history'
_LOOKED_AT = 100


def recognize(source: Source) -> str | None:
    found = _files(source, _LOOKED_AT)
    return f"Open WebUI chats, {len(found)} file{'s' if len(found) > 1 else ''}" if found else None


def read(source: Source, reading: Reading) -> Iterable[Incoming]:
    files = _files(source)
    if not files:
        raise Invalid(
            f"{source.text} is no export of Open WebUI: it is {source.describe()}. Wanted: {WANTED}"
        )
    course = foreign.Course(reading, files)
    seen: set[str] = set()
    for file in files:
        failed = lambda place, error: reading.fail("sessions", place, error)  # noqa: E731
        for number, item in enumerate(course.elements(file, failed)):
            where = f"{file.name}[{number}]"
            if not isinstance(item, dict) or not isinstance(item.get("chat"), dict):
                reading.fail("sessions", where, "it has no chat", f"{where}.chat")
                continue
            key = foreign.key(item.get("id"), item.get("title"), item.get("created_at"), where)
            if key in seen:
                reading.skip("sessions", key, "the same chat stood in the export before")
                continue
            seen.add(key)
            yield _session(key, item, reading)


def _files(source: Source, most: int | None = None) -> list[SourceFile]:
    if source.url is not None:
        return []
    files = source.find("*.json") or ([source.only] if source.only is not None else [])
    return [file for file in files[:most] if _is_one(outline(file))]


def _is_one(paths: Mapping[str, str]) -> bool:
    return any(
        f"{start}chat.history" in paths or {f"{start}chat.messages", f"{start}chat.models"} <= paths.keys()
        for start in ("[].", "")
    )


def _session(key: str, item: Mapping[str, Any], reading: Reading) -> IncomingSession:
    chat: Mapping[str, Any] = item["chat"]
    history = foreign.mapping(chat.get("history"))
    nodes = _nodes(key, chat, history, reading)
    told = family(nodes, "parentId", "childrenIds")
    if not isinstance(history.get("messages"), dict):
        order = [*nodes]
        told = Family(dict(zip(order, [None, *order], strict=False)), {}, 0)
    if told.missing:
        reading.warn("messages whose parent is not in the export begin a tree of their own", key)
    found = ordered(told, nodes)
    if found.broken:
        reading.warn("messages that follow themselves in a circle begin a tree of their own", key)
    began = foreign.moment(item.get("created_at")) or foreign.moment(chat.get("timestamp"))
    times: dict[str, datetime | None] = {}
    last: dict[str, str] = {}
    messages: list[IncomingMessage] = []
    for id in found.order:
        parent = found.parents[id]
        given = foreign.moment(nodes[id].get("timestamp"))
        times[id] = given or (began if parent is None else times[parent])
        made = _made(id, nodes[id], None if parent is None else last[parent], times[id])
        messages += made
        last[id] = made[-1].key
    current = history.get("currentId")
    if not isinstance(current, str) or current not in nodes:
        followed = set(found.parents.values())
        ends = [(times[id] or EPOCH, n, id) for n, id in enumerate(found.order) if id not in followed]
        current = max(ends)[2] if ends else None
    models = [one for one in foreign.listed(chat.get("models")) if isinstance(one, str) and one]
    owner = item.get("user_id")
    return IncomingSession(
        key,
        messages,
        name=foreign.name(item.get("title")) or foreign.name(chat.get("title")),
        leaf=None if current is None else last[current],
        user=foreign.key(owner) if isinstance(owner, str) and owner else None,
        model=foreign.name(models[0]) if models else None,
        status="archived" if item.get("archived") is True else "active",
        metadata={NAME: _kept(item, chat, history)},
        created_at=began,
        updated_at=foreign.moment(item.get("updated_at")),
    )


def _nodes(
    key: str, chat: Mapping[str, Any], history: Mapping[str, Any], reading: Reading
) -> dict[str, Mapping[str, Any]]:
    """The messages by id; older exports have a list of the visible ones alone."""
    found: dict[str, Mapping[str, Any]] = {}
    if isinstance(history.get("messages"), dict):
        for id, message in history["messages"].items():
            if isinstance(message, dict):
                found[id] = message
            else:
                reading.fail("messages", f"{key}/{id}", "it is no object")
        return found
    for number, message in enumerate(foreign.listed(chat.get("messages"))):
        if isinstance(message, dict):
            found[foreign.key(message.get("id"), key, number)] = message
        else:
            reading.fail("messages", f"{key}/chat.messages[{number}]", "it is no object")
    return found


def _kept(item: Mapping[str, Any], chat: Mapping[str, Any], history: Mapping[str, Any]) -> dict[str, Any]:
    own = foreign.rest(item, "chat", "title", "created_at", "updated_at", "user_id")
    inner = foreign.rest(chat, "history", "messages", "title")
    if item.get("title") is not None and not isinstance(item["title"], str):
        own["title"] = item["title"]
    if chat.get("title") != item.get("title"):
        inner["title"] = chat.get("title")
    if more := foreign.rest(history, "messages", "currentId"):
        inner["history"] = more
    said = foreign.mapping(history.get("messages"))
    beside = [one for one in foreign.listed(chat.get("messages")) if not _is_in(one, said)]
    if said and beside:  # the list repeats what is visible, but for these
        inner["messages"] = beside
    own.update({name: item[name] for name in ("created_at", "updated_at") if item.get(name) is not None
                and foreign.moment(item[name]) is None})  # fmt: skip
    return foreign.apart({**own, "chat": inner})


def _is_in(one: Any, said: Mapping[str, Any]) -> bool:
    return isinstance(one, dict) and isinstance(one.get("id"), str) and said.get(one["id"]) == one


def _made(id: str, node: Mapping[str, Any], parent: str | None, at: datetime | None) -> list[IncomingMessage]:
    """The messages that a node becomes: what tools were asked and answered are messages of their own."""
    role = foreign.name(node.get("role")) or "user"
    content = node.get("content")
    own = foreign.rest(node, "id", "parentId", "childrenIds", "role", "content", "model", "timestamp")
    if node.get("timestamp") is not None and foreign.moment(node["timestamp"]) is None:
        own["timestamp"] = node["timestamp"]
    if node.get("parentId") not in (None, parent):
        own["parentId"] = node["parentId"]
    parts: list[Any] | None = None
    if isinstance(content, list):
        parts = [one if isinstance(one, dict) else {"type": "text", "text": one} for one in content]
        text = foreign.joined([foreign.text(one.get("text")) for one in parts])
    else:
        text = foreign.text(content)
        if content is not None and not isinstance(content, str):
            own["content"] = content
    if isinstance(node.get("files"), list) and node["files"]:
        attached = [{"type": "attachment", "attachment": one} for one in own.pop("files")]
        parts = [*(parts or ([{"type": "text", "text": text}] if text else [])), *attached]
    usage = foreign.mapping(node.get("usage"))
    counts = (usage.get(name) for name in ("completion_tokens", "output_tokens", "eval_count"))
    tokens = next((count for one in counts if (count := foreign.whole(one))), None)
    before = _tools(id, node, parent, at)
    own = foreign.apart({"id": id, **own})
    model = foreign.name(node.get("model"))
    return [
        *before,
        IncomingMessage(
            id,
            role,
            text,
            parts=parts,
            parent=before[-1].key if before else parent,
            model=model,
            tokens=tokens if role == "assistant" else None,
            metadata={NAME: own},
            created_at=at,
        ),
    ]


def _tools(
    id: str, node: Mapping[str, Any], parent: str | None, at: datetime | None
) -> list[IncomingMessage]:
    """The calls of tools and their answers among a message's ``output``, which came before its text."""
    items = [one for one in foreign.listed(node.get("output")) if isinstance(one, dict)]
    results = {
        one["call_id"]: one
        for one in items
        if one.get("type") == "function_call_output" and isinstance(one.get("call_id"), str)
    }
    made: list[IncomingMessage] = []
    for number, one in enumerate(items):
        if one.get("type") != "function_call":
            continue
        call = foreign.name(one.get("call_id")) or f"{id}-call-{number}"
        name = foreign.name(one.get("name")) or "unknown"
        answer = results.get(call)
        result = None if answer is None else answer.get("output")
        asked = {"type": "tool_call", "id": call, "name": name, "arguments": one.get("arguments")}
        status, error = ("ok", None) if answer is not None else ("error", "the export holds no result")
        log = IncomingCall(call, name, one.get("arguments"), result, status, error, at, at)
        where = {NAME: {"id": id, "output": number}}
        made.append(
            IncomingMessage(
                f"{id}~{number}", "assistant", "", parts=[asked], parent=parent, calls=(log,),
                metadata=where, created_at=at,
            )
        )  # fmt: skip
        parent = made[-1].key
        if answer is not None:
            said = {"type": "tool_result", "tool_call_id": call, "name": name, "content": result}
            made.append(
                IncomingMessage(
                    f"{id}~{number}r", "tool", _said(result), parts=[said], parent=parent,
                    metadata=where, created_at=at,
                )
            )  # fmt: skip
            parent = made[-1].key
    return made


def _said(result: Any) -> str:
    if isinstance(result, list):
        return foreign.joined([foreign.text(one.get("text")) for one in result if isinstance(one, dict)])
    return foreign.text(result)
