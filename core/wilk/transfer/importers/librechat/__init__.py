"""LibreChat: its MongoDB collections, however they were written out, and its own files of conversations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.errors import Invalid
from wilk.transfer.importers.librechat import agents, files, people, prompts, secrets
from wilk.transfer.importers.librechat.conversations import Conversations

if TYPE_CHECKING:
    from wilk.contracts import Incoming, Reading
    from wilk.transfer.reading.sources import Source

KNOWN = frozenset(
    ["agents", "actions", "conversations", "messages", "prompts", "promptgroups", "presets", "users", "files",
     "aclentries", "accessroles", "agentcategories", "memoryentries", "conversationtags", "toolcalls",
     "chatprojects", "skills", "transactions", "groups", "roles", "projects"]
)  # fmt: skip
"""The collections that LibreChat has; others of its database come over as documents."""

_OWN_WAY = frozenset(
    ["agents", "conversations", "messages", "prompts", "promptgroups", "presets", "users", "groups",
     "memoryentries", "toolcalls", "aclentries"]
)  # fmt: skip
_TEMPORARY = ("skip", "include")

_Opened = Mapping[str, list[Callable[[], Iterator[dict[str, Any]]]]]


def recognize(source: Source) -> str | None:
    """Tell what of LibreChat a source holds, or None."""
    from wilk.transfer.importers.librechat.looking import look

    found = look(source)
    return None if not found else f"LibreChat: {', '.join(found)}"


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Read all that a source holds: people first, then definitions, documents, and conversations."""
    from wilk.transfer.importers.librechat.looking import opened

    temporary = reading.options.get("temporary", "skip")
    if temporary not in _TEMPORARY:
        raise Invalid(f"temporary={temporary!r}: one of {', '.join(_TEMPORARY)} is wanted")
    folder = None
    if (given := reading.options.get("files-dir")) is not None:
        folder = Path(given).expanduser()
        if not folder.is_dir():
            raise Invalid(f"files-dir={given!r} is no folder")
    collections, exported = opened(source, reading)
    yield from _each(collections, "users", "users", reading, lambda one: people.user(one, reading.lost))
    yield from _each(collections, "groups", "groups", reading, lambda one: people.group(one, reading.lost))
    yield from _agents(collections, reading)
    yield from _each(
        collections, "presets", "presets", reading, lambda one: prompts.preset(one, reading.lost)
    )
    yield from _prompts(collections, reading)
    for name in collections:
        if name in secrets.NEVER:
            for _ in _documents(collections, name):
                reading.lost(name)
        elif name not in _OWN_WAY or name == "aclentries":
            yield from _each(collections, name, "document", reading, _as_document(name, reading, folder))
    yield from _each(
        collections, "memoryentries", "memory", reading, lambda one: people.memory(one, reading.lost)
    )
    with Conversations(reading, expired=temporary == "skip") as talks:
        for one in _documents(collections, "conversations"):
            talks.conversation(one)
        for one in _documents(collections, "messages"):
            talks.message(one)
        for conversation, messages in exported:
            talks.conversation(conversation)
            for one in messages:
                talks.message(one)
        yield from talks.sessions()
        yield from _each(
            collections, "toolcalls", "tool_call", reading,
            lambda one: files.tool_call(one, talks.holds(one), reading.lost),
        )  # fmt: skip


def _as_document(
    name: str, reading: Reading, folder: Path | None
) -> Callable[[dict[str, Any]], Incoming | None]:
    return lambda one: files.document(name, one, reading.lost, reading.warn, folder)


def _agents(collections: _Opened, reading: Reading) -> Iterator[Incoming]:
    sharing: dict[str, list[dict[str, Any]]] = {}
    for entry in _documents(collections, "aclentries") if "agents" in collections else ():
        if entry.get("resourceType") == "agent" and (one := agents.sharing(entry)) is not None:
            sharing.setdefault(str(entry.get("resourceId")), []).append(one)
    seen: set[str] = set()

    def made(document: Mapping[str, Any]) -> Incoming | None:
        shared = sorted(sharing.get(str(document.get("_id")), ()), key=repr)
        item = agents.agent(document, reading.lost, reading.warn, shared)
        if item.key in seen:
            reading.skip("agents", item.key, "an agent of the same id was there before it in the source")
            return None
        seen.add(item.key)
        return item

    yield from _each(collections, "agents", "agents", reading, made)


def _prompts(collections: _Opened, reading: Reading) -> Iterator[Incoming]:
    of_groups: dict[str, list[dict[str, Any]]] = {}
    for one in _documents(collections, "prompts"):
        of_groups.setdefault(str(one.get("groupId") or one.get("_id")), []).append(one)
    for made in of_groups.values():
        made.sort(key=lambda one: (str(one.get("createdAt") or ""), str(one.get("_id"))))
    commands: set[str] = set()

    def of_group(group: Mapping[str, Any]) -> Incoming:
        key = people.key_of(group)
        command = group.get("command")
        if isinstance(command, str) and command:
            if command in commands:
                reading.warn("prompts of the same command: all but the first got an id of their own", key)
            commands.add(command)
        return prompts.prompt(key, group, of_groups.pop(key, []), reading.lost, reading.warn)

    yield from _each(collections, "promptgroups", "prompts", reading, of_group)
    for key, versions in of_groups.items():
        yield prompts.prompt(key, None, versions, reading.lost, reading.warn)


def _each(
    collections: _Opened,
    name: str,
    kind: str,
    reading: Reading,
    made: Callable[[dict[str, Any]], Incoming | None],
) -> Iterator[Incoming]:
    """The records of a collection; of a document that has no key it is told."""
    for document in _documents(collections, name):
        try:
            item = made(document)
        except KeyError as error:
            key = document.get("_id")
            reading.fail(
                kind, str(key) if isinstance(key, str) else "unknown", f"{error.args[0]} is missing", name
            )
            continue
        if item is not None:
            yield item


def _documents(collections: _Opened, name: str) -> Iterable[dict[str, Any]]:
    for begin in collections.get(name, ()):
        yield from begin()
