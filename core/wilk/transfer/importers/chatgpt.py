"""ChatGPT's data export: conversations as trees, by their mapping, with what else lies in the ZIP.

No schema of it is published; what it holds is told by files of several years. Fields that are not known are
kept in the metadata under ``chatgpt``, so that the exporter of that name can give back what came in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from wilk.contracts import Incoming, IncomingRecord, IncomingUser
from wilk.errors import Invalid
from wilk.transfer.importers.chatgpt_conversations import NAME, Conversation
from wilk.transfer.reading import foreign
from wilk.transfer.reading.outlines import outline

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

WANTED = (
    "the ZIP that OpenAI sends, the folder unpacked from it, or a conversations.json with a list of "
    "conversations that each have a mapping"
)
_FILE = re.compile(r"file[-_][A-Za-z0-9]+")
_LOOKED_AT = 100
_WHOLE = 4 * 2**20
"""Up to how many bytes a further JSON file is kept whole, as a document."""


def recognize(source: Source) -> str | None:
    found = _conversations(source, _LOOKED_AT)
    if not found:
        return None
    return f"ChatGPT export, {len(found)} file{'s' if len(found) > 1 else ''} of conversations"


def read(source: Source, reading: Reading) -> Iterable[Incoming]:
    files = _conversations(source)
    if not files:
        raise Invalid(f"{source.text} is no ChatGPT export: it is {source.describe()}. Wanted: {WANTED}")
    export = _Export(source, reading, files)
    yield from export.user()
    seen: set[str] = set()
    for file in files:
        yield from export.sessions(file, seen)
    export.unmatched()
    yield from export.files()


def _conversations(source: Source, most: int | None = None) -> list[SourceFile]:
    if source.url is not None:
        return []
    files = source.find("conversations*.json") or source.find("*.json")[:most]
    if not files and source.only is not None:
        files = [source.only]
    found = []
    for file in files:
        paths = outline(file)
        if paths.get("[].mapping") == "object" or paths.get("mapping") == "object":
            found.append(file)
        elif paths.get("") == "array" and len(paths) == 1 and source.find("user.json", "chat.html"):
            found.append(file)  # a shard or an export without any conversation
    return sorted(found, key=lambda file: [int(n) for n in re.findall(r"\d+", file.name)])


class _Export:
    """What lies beside the conversations, as far as these need it."""

    def __init__(self, source: Source, reading: Reading, conversations: list[SourceFile]) -> None:
        self._source = source
        self._reading = reading
        self._owner: str | None = None
        self._taken = {file.name for file in conversations}
        self._course = foreign.Course(reading, conversations)
        self._named: dict[str, str] = {}  # ids of files, and their names in the export
        for file in source.files:
            if found := _FILE.search(file.name.rsplit("/", 1)[-1]):
                self._named[found[0]] = file.name
        self._whole = len(source.files) > len(conversations)
        self._feedback = self._by_key("message_feedback.json", "message_id", "id")
        self._shared = self._by_key("shared_conversations.json", "conversation_id")
        self._told: set[str] = set()  # ids of messages whose feedback was found

    def user(self) -> Iterator[Incoming]:
        """The person whose export it is."""
        for file in self._source.find("user.json"):
            for person in foreign.elements(file, self._failed(file)):
                if not isinstance(person, dict):
                    continue
                self._taken.add(file.name)
                email = foreign.name(person.get("email"))
                self._owner = foreign.key(person.get("id"), email)
                shown = foreign.name(person.get("name")) or email or self._owner
                more = foreign.rest(person, "id", "email", "name")
                yield IncomingUser(self._owner, shown, email=email, metadata=_under(more))
                return

    def sessions(self, file: SourceFile, seen: set[str]) -> Iterator[Incoming]:
        """The conversations of a file, one at a time."""
        for number, item in enumerate(self._course.elements(file, self._failed(file)), 1):
            where = f"{file.name}[{number - 1}]"
            if not isinstance(item, dict):
                self._reading.fail("sessions", where, "it is no object; a conversation is wanted")
                continue
            key = foreign.key(
                item.get("conversation_id") or item.get("id"), item.get("title"), item.get("create_time")
            )
            if not isinstance(item.get("mapping"), dict):
                self._reading.fail("sessions", key, "it has no mapping of messages", f"{where}.mapping")
                continue
            if key in seen:
                self._reading.skip("sessions", key, "the same conversation stood in the export before")
                continue
            seen.add(key)
            yield Conversation(self, key, item, self._reading).session(self._owner)

    def file_of(self, pointer: Any) -> str | None:
        """The name that a file has in the export, by its id or pointer."""
        found = _FILE.search(pointer.rpartition("://")[2]) if isinstance(pointer, str) else None
        return None if found is None else self._named.get(found[0])

    @property
    def has_files(self) -> bool:
        return self._whole

    def feedback(self, message: str) -> list[Any]:
        """What a message was rated."""
        found = self._feedback.get(message, [])
        if found:
            self._told.add(message)
        return found

    def shared(self, conversation: str) -> list[Any]:
        """How a conversation was shared."""
        return self._shared.get(conversation, [])

    def unmatched(self) -> None:
        """Tell of feedback on messages that are not in the export."""
        for message in self._feedback.keys() - self._told:
            self._reading.skip("feedback", message, "feedback on a message that the export does not hold")

    def files(self) -> Iterator[Incoming]:
        """The other files: JSON whole, of everything else its name, size and hash."""
        again: Counter[str] = Counter()
        for file in self._source.files:
            if file.name in self._taken:
                continue
            again[file.name] += 1  # a ZIP may hold several of one name
            name = file.name if again[file.name] == 1 else f"{file.name}#{again[file.name]}"
            base = file.name.rsplit("/", 1)[-1]
            if base == "chat.html":
                self._reading.skip("document", file.name, "chat.html shows what the conversations hold")
                continue
            data: dict[str, Any] = {"name": file.name, "size": file.size}
            with file.open() as opened:
                hash = sha256()
                while some := opened.read(1 << 20):
                    hash.update(some)
            data["sha256"] = hash.hexdigest()
            if found := _FILE.search(base):
                data["file_id"] = found[0]
            if base.endswith(".json") and file.size <= _WHOLE:
                data["content"] = foreign.kept(list(foreign.elements(file, self._failed(file))))
            yield IncomingRecord(
                "document",
                f"file:{name}",
                {"kind": "file", "title": foreign.name(base), "data": data, "user_id": self._owner},
                {"user_id": "user"},
                id=f"{NAME}-{sha256(name.encode(errors='surrogatepass')).hexdigest()[:24]}",
            )

    def _by_key(self, name: str, *keys: str) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for file in self._source.find(name):
            self._taken.add(file.name)
            for number, item in enumerate(foreign.elements(file, self._failed(file))):
                fields = foreign.mapping(item)
                key = next((foreign.text(fields[one]) for one in keys if fields.get(one)), "")
                if key:
                    found.setdefault(key, []).append(foreign.kept(item))
                else:
                    self._reading.fail("feedback", f"{file.name}[{number}]", f"it has no {keys[0]}")
        return found

    def _failed(self, file: SourceFile) -> Any:
        return lambda place, error: self._reading.fail(
            "sessions" if file.name in self._taken else "document", place, error
        )


def _under(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {NAME: foreign.apart(fields)} if fields else {}
