"""Claude.ai's data export: conversations, projects and memories, in each packaging that was seen.

One ZIP with ``conversations.json``, ``projects.json`` and ``users.json``; one with a file per project; and
several ZIPs that a manifest names. No schema of it is published. Fields that are not known are kept in the
metadata under ``claude``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wilk.contracts import (
    Incoming,
    IncomingDefinition,
    IncomingRecord,
    IncomingUser,
)
from wilk.errors import Invalid
from wilk.transfer.importers.claude_conversations import NAME, Conversation
from wilk.transfer.reading import foreign
from wilk.transfer.reading.outlines import outline

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

WANTED = (
    "the ZIPs that Claude.ai's export gives, the folder unpacked from them, or a conversations.json with a "
    "list of conversations that each have chat_messages"
)
_FEW = 50
_MEMORIES = ("conversations_memory", "project_memories")
_LINKED = re.compile(rb"\.zip\b")


def recognize(source: Source) -> str | None:
    found = _files(source)
    if found["conversations"] or found["projects"] or found["memories"]:
        told = [f"{len(files)} of {kind}" for kind, files in found.items() if files and kind != "manifest"]
        return f"Claude.ai export, files: {', '.join(told)}"
    return "the manifest of a Claude.ai export" if found["manifest"] else None


def read(source: Source, reading: Reading) -> Iterable[Incoming]:
    found = _files(source)
    if not (found["conversations"] or found["projects"] or found["memories"]):
        if found["manifest"]:
            raise Invalid(_to_download(found["manifest"][0]))
        raise Invalid(f"{source.text} is no Claude.ai export: it is {source.describe()}. Wanted: {WANTED}")
    export = _Export(reading, [file for files in found.values() for file in files])
    for file in found["users"]:
        yield from export.take(file, "users", export.user)
    for file in found["projects"]:
        yield from export.take(file, "personas", export.project)
    for file in found["memories"]:
        yield from export.take(file, "memory", export.memories)
    for file in found["conversations"]:
        yield from export.take(file, "sessions", export.conversation)
    taken = {file.name for files in found.values() for file in files}
    for file in source.files:
        if file.name not in taken:
            reading.skip("document", file.name, "files that are no part of the export's known ones")


def _files(source: Source) -> dict[str, list[SourceFile]]:
    found: dict[str, list[SourceFile]] = {
        "conversations": [], "projects": [], "memories": [], "users": [], "manifest": [],
    }  # fmt: skip
    if source.url is not None:
        return found
    unsure: list[tuple[str, SourceFile]] = []
    candidates = source.find("*.json") or ([source.only] if source.only is not None else [])
    few = len(candidates) <= _FEW
    for file in candidates:
        *_, folder, base = ("", *file.name.split("/"))
        named = base.startswith(("conversation", "project", "memor", "user", "manifest"))
        if not few and not named and folder not in ("projects", "conversations", "memories"):
            continue
        paths = outline(file, 65_536)
        kind = _kind(paths)
        if kind is None and len(paths) == 1 and paths.get("") == "array":
            unsure += [
                (name, file) for name in ("conversations", "projects", "memories") if base == f"{name}.json"
            ]
        elif kind is not None:
            found[kind].append(file)
        elif base.startswith("users") and ("[].uuid" in paths or paths.get("") == "array"):
            found["users"].append(file)
        elif base.startswith("manifest") and _is_manifest(file.head()):
            found["manifest"].append(file)
    if any(found.values()):  # lists without elements say nothing of whose they are
        for kind, file in unsure:
            found[kind].append(file)
    return found


def _kind(paths: Mapping[str, str]) -> str | None:
    """What a file holds, a list or one alone."""
    for at in ("[].", ""):
        has = {path.removeprefix(at) for path in paths if path.startswith(at)}
        if "chat_messages" in has:
            return "conversations"
        if {"uuid", "prompt_template"} <= has or {"uuid", "docs", "is_starter_project"} <= has:
            return "projects"
        if has.intersection(_MEMORIES):
            return "memories"
    return None


def _is_manifest(head: bytes) -> bool:
    return _LINKED.search(head) is not None and (b"conversations" in head or b"projects" in head)


def _to_download(file: SourceFile) -> str:
    """What a manifest names."""
    names: set[str] = set()
    waiting: list[Any] = list(foreign.elements(file, lambda *_: None))
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and (found := re.search(r"([\w.-]+\.(?:zip|json))(?:[?#]|$)", value)):
            names.add(found[1])
    told = ", ".join(sorted(names - {file.name})) or "the files that it names"
    return (
        f"{file.name} is only the manifest of a Claude.ai export. Download {told} by its links (they are "
        "open for a short time), put them into one folder, and name the folder or the ZIPs"
    )


class _Export:
    """One run through an export."""

    def __init__(self, reading: Reading, files: Sequence[SourceFile]) -> None:
        self._reading = reading
        self._course = foreign.Course(reading, files)
        self._seen: set[tuple[str, str]] = set()
        self._users: set[str] = set()
        self._owner: str | None = None

    def take(self, file: SourceFile, kind: str, make: Any) -> Iterator[Incoming]:
        """Go through what a file holds; what is broken is told of, the others go on."""

        def failed(place: str, error: str) -> None:
            self._reading.fail(kind, place, error)

        for number, item in enumerate(self._course.elements(file, failed)):
            where = f"{file.name}[{number}]"
            if isinstance(item, dict):
                yield from make(item, where)
            else:
                self._reading.fail(kind, where, "it is no object")

    def user(self, item: Mapping[str, Any], _where: str) -> Iterator[Incoming]:
        """A person; of one alone everything is."""
        email = foreign.name(item.get("email_address")) or foreign.name(item.get("email"))
        key = foreign.key(item.get("uuid"), email)
        shown = foreign.name(item.get("full_name")) or foreign.name(item.get("name")) or email or key
        self._owner = key if not self._users else None
        self._users.add(key)
        more = foreign.rest(item, "uuid", "full_name", "name", "email_address", "email")
        yield IncomingUser(key, shown, email=email, metadata=_under(more))

    def project(self, item: Mapping[str, Any], where: str) -> Iterator[Incoming]:
        """A project: a persona with its instructions, and a document for each of its files."""
        if self._again("projects", key := foreign.key(item.get("uuid"), item.get("name"), where)):
            return
        owner = self._owner_of(item.get("creator"))
        shown = foreign.name(item.get("name")) or key
        prompt = foreign.text(item.get("prompt_template"))
        more = foreign.rest(item, "name", "description", "prompt_template", "docs")
        if prompt.strip():
            metadata = {NAME: foreign.apart(more)}
            told = {"description": item.get("description")} if foreign.text(item.get("description")) else {}
            definition = {
                "name": shown,
                "prompt": prompt,
                "category": "project",
                **told,
                "metadata": metadata,
            }
            yield IncomingDefinition(
                "personas", key, shown, foreign.definition(definition, self._reading, key)
            )
        else:
            # A persona has a prompt; what is without one is kept as a document.
            data = foreign.kept(foreign.rest(item, "docs"))
            yield self._document(f"project:{key}", "project", shown, data, owner, item)
        for number, one in enumerate(foreign.listed(item.get("docs"))):
            if not isinstance(one, dict):
                self._reading.fail("document", f"{where}.docs[{number}]", "it is no object")
                continue
            name = foreign.name(one.get("filename")) or foreign.name(one.get("file_name"))
            id = foreign.key(one.get("uuid"), key, number, name)
            data = {**one, "project": {"uuid": item.get("uuid"), "name": item.get("name")}}
            yield self._document(f"doc:{id}", "project-file", name, foreign.kept(data), owner, one)

    def memories(self, item: Mapping[str, Any], where: str) -> Iterator[Incoming]:
        """What Claude remembers: one text on conversations, and one on each project."""
        owner = self._owner_of(item.get("account_uuid") or item.get("account"))
        more = foreign.rest(item, "conversations_memory", "project_memories", "account_uuid", "account")
        base = f"memories:{owner or ''}"
        found: list[tuple[str, Any, dict[str, Any]]] = []
        if item.get("conversations_memory"):
            found.append(("conversations", item["conversations_memory"], {}))
        projects = item.get("project_memories")
        if isinstance(projects, dict):
            found += [(f"project:{key}", said, {"project_uuid": key}) for key, said in projects.items()]
        else:
            for number, one in enumerate(foreign.listed(projects)):
                fields = foreign.mapping(one)
                key = foreign.key(fields.get("project_uuid") or fields.get("uuid"), number)
                found.append((f"project:{key}", one, {"project_uuid": key}))
        for name, said, extra in found:
            content = said if isinstance(said, str) else self._said(said)
            if not content:
                self._reading.fail("memory", f"{where}.{name}", "it holds no text")
                continue
            kept = {**extra, **(more if name == "conversations" else {})}
            if not isinstance(said, str):
                kept["whole"] = said
            fields = {
                "kind": "claude", "content": content, "data": None, "user_id": owner,
                "metadata": {NAME: foreign.apart({"memory": name, **kept})},
            }  # fmt: skip
            yield IncomingRecord(
                "memory", foreign.key(f"{base}:{name}"), fields, {"user_id": "user"},
            )  # fmt: skip
        if more and not item.get("conversations_memory"):
            yield self._document(
                f"{base}:more", "claude-memories", "memories", foreign.kept(more), owner, item
            )

    def conversation(self, item: Mapping[str, Any], where: str) -> Iterator[Incoming]:
        """A conversation."""
        key = foreign.key(item.get("uuid"), item.get("name"), item.get("created_at"), where)
        if not isinstance(item.get("chat_messages"), list):
            self._reading.fail("sessions", key, "it has no list chat_messages", f"{where}.chat_messages")
            return
        if self._again("sessions", key):
            return
        account = foreign.mapping(item.get("account")).get("uuid")
        yield Conversation(key, item, self._reading).session(self._owner_of(account))

    # -- what these need ------------------------------------------------------------------

    def _again(self, kind: str, key: str) -> bool:
        if (kind, key) in self._seen:
            self._reading.skip(kind, key, "the same one stood in the export before")
            return True
        self._seen.add((kind, key))
        return False

    def _owner_of(self, account: Any) -> str | None:
        if isinstance(account, dict):
            account = account.get("uuid")
        if isinstance(account, str) and account:
            return account if account in self._users else None
        return self._owner

    def _document(
        self, key: str, kind: str, title: str | None, data: Any, owner: str | None, item: Mapping[str, Any]
    ) -> IncomingRecord:
        times = {
            name: at
            for name in ("created_at", "updated_at")
            if (at := foreign.moment(item.get(name))) is not None
        }
        fields = {"kind": kind, "title": title, "data": data, "user_id": owner, **times}
        return IncomingRecord("document", foreign.key(key), fields, {"user_id": "user"})

    def _said(self, value: Any) -> str:
        found: list[str] = []
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, dict):
                waiting += [one[name] for name in ("memory", "content", "text", "summary") if name in one][
                    ::-1
                ]
            elif isinstance(one, list):
                waiting += one[::-1]
            elif isinstance(one, str) and one:
                found.append(one)
        return foreign.joined(found)


def _under(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {NAME: foreign.apart(fields)} if fields else {}
