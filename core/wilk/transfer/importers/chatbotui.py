"""ChatbotUI's export, version 4 and before: conversations in a row, folders, and prompts.

Fields that are not known are kept in the metadata under ``chatbotui``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wilk.contracts import Incoming, IncomingDefinition, IncomingMessage, IncomingRecord, IncomingSession
from wilk.errors import Invalid
from wilk.transfer.reading import foreign
from wilk.transfer.reading.outlines import outline

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

NAME = "chatbotui"
WANTED = 'the JSON of ChatbotUI\'s "Export data", an object with version, history, folders and prompts'
_LOOKED_AT = 100
_BRACES = re.compile(r"\{\{([^{}]+)\}\}|\{([^\W\d]\w*)\}")


def recognize(source: Source) -> str | None:
    found = _files(source, _LOOKED_AT)
    return f"ChatbotUI export, {len(found)} file{'s' if len(found) > 1 else ''}" if found else None


def read(source: Source, reading: Reading) -> Iterable[Incoming]:
    files = _files(source)
    if not files:
        raise Invalid(f"{source.text} is no export of ChatbotUI: it is {source.describe()}. Wanted: {WANTED}")
    course = foreign.Course(reading, files)
    seen: set[tuple[str, str]] = set()
    for file in files:
        failed = lambda place, error: reading.fail("sessions", place, error)  # noqa: E731
        for export in course.elements(file, failed):
            if isinstance(export, dict):
                yield from _export(export, file.name, reading, seen)


def _files(source: Source, most: int | None = None) -> list[SourceFile]:
    if source.url is not None:
        return []
    files = source.find("*.json") or ([source.only] if source.only is not None else [])
    return [file for file in files[:most] if _is_one(outline(file))]


def _is_one(paths: Mapping[str, str]) -> bool:
    beside = {"folders", "prompts"} & paths.keys() or (
        paths.get("version") == "other" and "history[].messages" in paths
    )
    return paths.get("history") == "array" and bool(beside) and "conversationId" not in paths


def _export(
    export: Mapping[str, Any], file: str, reading: Reading, seen: set[tuple[str, str]]
) -> Iterable[Incoming]:
    folders = {
        one["id"]: foreign.kept(one)
        for one in foreign.listed(export.get("folders"))
        if isinstance(one, dict) and isinstance(one.get("id"), (str, int))
    }
    used: set[Any] = set()
    for kind, name in (("prompts", "prompts"), ("sessions", "history")):
        for number, item in enumerate(foreign.listed(export.get(name))):
            where = f"{file}:{name}[{number}]"
            if not isinstance(item, dict):
                reading.fail(kind, where, "it is no object")
                continue
            key = foreign.key(item.get("id"), item.get("name"), number)
            if (kind, key) in seen:
                reading.skip(kind, key, "one of the same id stood in the export before")
                continue
            seen.add((kind, key))
            id = item.get("folderId")
            folder = folders.get(id) if isinstance(id, (str, int)) else None
            if folder is not None:
                used.add(id)
            if kind == "sessions":
                yield _session(key, item, folder, where, reading)
            elif (prompt := _prompt(key, item, folder, reading)) is not None:
                yield prompt
    more = foreign.rest(export, "version", "history", "folders", "prompts")
    if unused := [folder for id, folder in folders.items() if id not in used]:
        more["folders"] = unused
    if more:
        values = {"kind": "chatbotui", "title": file, "data": foreign.kept(more)}
        yield IncomingRecord("document", foreign.key(f"{file}:more"), values)


def _prompt(key: str, item: Mapping[str, Any], folder: Any, reading: Reading) -> IncomingDefinition | None:
    name = foreign.name(item.get("name")) or key
    content = foreign.text(item.get("content"))
    if not content.strip():
        reading.skip("prompts", key, "prompts without a text")
        return None
    own = {**foreign.rest(item, "name", "description", "content"), **({"folder": folder} if folder else {})}
    template = _BRACES.sub(_variable, content)
    if template != content:
        own["content"] = content
    definition: dict[str, Any] = {"name": name, "template": template, "metadata": {NAME: foreign.apart(own)}}
    if foreign.text(item.get("description")):
        definition["description"] = item["description"]
    return IncomingDefinition("prompts", key, name, foreign.definition(definition, reading, key))


def _variable(found: re.Match[str]) -> str:
    """``{{name}}`` there is ``{name}`` here; and ``{name}``, which is only text there, ``{{name}}``."""
    if found[2] is not None:
        return f"{{{{{found[2]}}}}}"
    name = re.sub(r"\W+", "_", found[1].strip()).strip("_")
    if not name:
        return found[0]
    return f"{{{name}}}" if not name[0].isdigit() else f"{{_{name}}}"


def _session(key: str, item: Mapping[str, Any], folder: Any, where: str, reading: Reading) -> IncomingSession:
    messages: list[IncomingMessage] = []
    parent: str | None = None
    for number, message in enumerate(foreign.listed(item.get("messages"))):
        if not isinstance(message, dict):
            reading.fail("messages", f"{where}.messages[{number}]", "it is no object")
            continue
        content = message.get("content")
        own = foreign.rest(message, "role", "content")
        parts = None
        text = foreign.text(content)
        if isinstance(content, list):
            parts = [one if isinstance(one, dict) else {"type": "text", "text": one} for one in content]
            text = foreign.joined([foreign.text(one.get("text")) for one in parts])
        elif content is not None and not isinstance(content, str):
            own["content"] = content
        role = foreign.name(message.get("role")) or "user"
        metadata = {NAME: foreign.apart(own)} if own else {}
        messages.append(
            IncomingMessage(f"{key}-{number}", role, text, parts=parts, parent=parent, metadata=metadata)
        )
        parent = messages[-1].key
    model = item.get("model")
    told = foreign.mapping(model)
    own = foreign.rest(item, "name", "messages")
    if not isinstance(item.get("messages"), list):
        reading.warn("conversations without a list of messages came over empty", key)
        own["messages"] = item.get("messages")
    if folder is not None:
        own["folder"] = folder
    return IncomingSession(
        key,
        messages,
        name=foreign.name(item.get("name")),
        model=foreign.name(told.get("id")) or foreign.name(model),
        metadata={NAME: foreign.apart(own)},
    )
