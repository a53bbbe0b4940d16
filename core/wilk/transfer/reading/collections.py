"""The collections of a document database, in whatever form a source has them.

Files of mongoexport (one document a line or an array, relaxed, canonical or version 1), a folder or an
archive of mongodump, either packed with gzip, or a live database through a plugin. All give the same values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from wilk.errors import BackendError, Invalid
from wilk.transfer.reading import bson, ejson, json_items, mongodump
from wilk.transfer.reading.sources import SourceFile

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source

Documents = Callable[[], Iterator[dict[str, Any]]]
"""Goes through the documents of a part of a collection, anew with every call."""

NAMES = frozenset({
    "accessroles", "aclentries", "actions", "agentcategories", "agents", "chatprojects", "conversations",
    "conversationtags", "files", "groups", "memoryentries", "messages", "presets", "projects",
    "promptgroups", "prompts", "roles", "skills", "toolcalls", "transactions", "users",
})  # fmt: skip
"""The collections of LibreChat."""

_FIELDS: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (name, frozenset(fields.split()))
    for name, fields in (
        ("toolcalls", "toolId messageId conversationId"),
        ("messages", "messageId conversationId"),
        ("presets", "presetId"),
        ("transactions", "tokenType rawAmount"),
        ("conversations", "conversationId endpoint"),
        ("conversations", "conversationId title user"),
        ("agents", "id provider model author"),
        ("agents", "id provider model versions"),
        ("prompts", "groupId prompt"),
        ("promptgroups", "name productionId"),
        ("promptgroups", "name numberOfGenerations"),
        ("users", "email provider role"),
        ("users", "email username emailVerified"),
        ("files", "file_id filename"),
        ("actions", "action_id metadata"),
        ("aclentries", "principalType resourceType resourceId"),
        ("accessroles", "accessRoleId permBits"),
        ("agentcategories", "value label order"),
        ("memoryentries", "userId key value"),
        ("conversationtags", "tag user position"),
        ("chatprojects", "name user conversationCount"),
        ("groups", "name memberIds"),
        ("roles", "name permissions"),
    )
)
_LOOKED_AT = 20
_EVERY = 200
_DATA = re.compile(r"\.(?:json|jsonl|ndjson)(?:\.gz)?$", re.IGNORECASE)
_TABLES = re.compile(r"\.(?:csv|tsv)(?:\.gz)?$", re.IGNORECASE)
_ASIDE = re.compile(r"(?:^|/)(?:prelude|[^/]*\.metadata)\.json(?:\.gz)?$", re.IGNORECASE)


def collections(source: Source, reading: Reading) -> dict[str, list[Documents]]:
    """The collections of a source by their names in lower case, each with what goes through its documents.

    Values are those of :mod:`wilk.transfer.reading.ejson`. Documents that cannot be read are told by
    ``reading.fail`` with the collection as their kind, once, however often they are gone through; how far
    reading is goes to ``reading.at``. A file whose name says nothing is known by its first documents; one
    that is none of a collection stands under its own name.
    """
    if source.url is not None:
        return _live(source, reading)
    files = [file for file in source.files if not _ASIDE.search(file.name)]
    place = _Place(reading, sum(file.size for file in files))
    found: dict[str, list[Documents]] = {}
    databases: dict[str, set[str]] = {}
    for file in files:
        for name, database, documents in _of(source, file, reading, place):
            found.setdefault(name, []).append(documents)
            databases.setdefault(name, set()).add(database)
    several = {database for names in databases.values() if len(names) > 1 for database in names if database}
    if len(several) > 1:
        reading.warn(
            f"the dump holds one collection in several databases ({', '.join(sorted(several))}); all of them "
            "are read: name the folder of one to have it alone"
        )
    return found


def recognized(document: Mapping[str, Any]) -> str | None:
    """The collection of LibreChat that a document seems to be of, by its fields."""
    for name, fields in _FIELDS:
        if fields <= document.keys():
            return name
    id = document.get("id")
    if isinstance(id, str) and id.startswith("agent_") and "provider" in document:
        return "agents"
    return None


# -- files ------------------------------------------------------------------------------------


class _Place:
    """How far reading is, over all files; who reads one again does not go back."""

    def __init__(self, reading: Reading, total: int) -> None:
        self._reading = reading
        self._total = total
        self._done: Counter[str] = Counter()

    def of(self, name: str) -> Callable[[int], None]:
        def told(done: int) -> None:
            if done > self._done[name]:
                self._done[name] = done
                self._reading.at(min(self._done.total(), self._total), self._total)

        return told


class _Once:
    """Tells of each place once."""

    def __init__(self, reading: Reading, kind: str) -> None:
        self._reading = reading
        self._kind = kind
        self._told: set[tuple[str, str]] = set()
        self.quiet = False

    def fail(self, place: str, text: str) -> None:
        if (place, text) not in self._told:
            self._told.add((place, text))
            self._reading.fail(self._kind, place, text)

    def notice(self, text: str) -> None:
        if not self.quiet:
            self._reading.warn(text)


def _of(
    source: Source, file: SourceFile, reading: Reading, place: _Place
) -> Iterator[tuple[str, str, Documents]]:
    """The collections that a file holds: name, database, documents."""
    try:
        head = file.head(4)
    except Invalid as error:
        reading.fail("files", file.name, str(error))
        return
    if file.name.removesuffix(".gz").endswith(".bson"):
        if (dumped := mongodump.named(file.name)) is not None:
            name = dumped.collection.lower()
            yield name, dumped.database, _documents(file, name, reading, place.of(file.name), binary=True)
    elif head == mongodump.MAGIC:
        with file.open(place.of(file.name)) as opened:
            once = _Once(reading, "archive")
            try:
                parts = mongodump.spool(opened, file.name, source.scratch(), once.fail)
            except OSError as error:
                raise _full(file.name, source, error) from error
        for one, path in parts.items():
            label = f"{file.name}, {one.collection}"
            part = SourceFile(label, path.stat().st_size, _opener(path), path)
            name = one.collection.lower()
            yield name, one.database, _documents(part, name, reading, lambda _done: None, binary=True)
    elif _TABLES.search(file.name):
        reading.fail("files", file.name, "it is CSV, which has lost types and fields; export it as JSON")
    elif _DATA.search(file.name) or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        known = _name(file, reading)
        if known is not None:
            yield known, "", _documents(file, known, reading, place.of(file.name), binary=False)
    else:
        reading.warn("a file that is no export of a collection is left out", file.name)


def _full(name: str, source: Source, error: OSError) -> BackendError:
    return BackendError(
        f"{name}: its collections cannot be put into {source.scratch().parent}: {error.strerror}; make room "
        "there, or set TMPDIR to another folder"
    )


def _opener(path: Any) -> Callable[[], Any]:
    return lambda: path.open("rb")


def _documents(
    file: SourceFile, name: str, reading: Reading, told: Callable[[int], None], *, binary: bool
) -> Documents:
    once = _Once(reading, name)

    def documents() -> Iterator[dict[str, Any]]:
        with file.open(told) as opened:
            for number, one in enumerate(_values(opened, file.name, once, binary=binary), 1):
                if isinstance(one, dict):
                    yield one
                else:
                    once.fail(f"{file.name}, element {number:,}", "it is no document")
        once.quiet = True

    return documents


def _values(opened: Any, name: str, once: _Once, *, binary: bool) -> Iterator[Any]:
    if binary:
        return bson.documents(opened, name, once.fail)
    return json_items.items(opened, name, once.fail, unwrap=ejson.unwrap, notice=once.notice)


def _name(file: SourceFile, reading: Reading) -> str | None:
    """The collection of a JSON file, by its name, or by its first documents; None if it cannot be read."""
    stem = _DATA.sub("", file.name.rsplit("/", 1)[-1]).lower()
    last = stem.rsplit(".", 1)[-1]
    if last in NAMES:
        return last
    try:
        with file.open() as opened:
            for one in islice(json_items.items(opened, file.name, _nothing, unwrap=ejson.unwrap), _LOOKED_AT):
                if isinstance(one, dict) and (name := recognized(one)) is not None:
                    return name
    except Invalid as error:
        reading.fail("files", file.name, str(error))
        return None
    words = [word for word in re.split(r"[^a-z]+", stem) if word in NAMES]
    return words[-1] if words else last


def _nothing(place: str, text: str) -> None:
    pass


# -- a live database --------------------------------------------------------------------------


def _live(source: Source, reading: Reading) -> dict[str, list[Documents]]:
    database = source.documents()
    counts = database.collections()
    total = sum(count or 0 for count in counts.values())
    done: Counter[str] = Counter()

    def of(name: str) -> Documents:
        def documents() -> Iterator[dict[str, Any]]:
            for number, one in enumerate(database.read(name), 1):
                if number % _EVERY == 0 and number > done[name]:
                    done[name] = number
                    reading.at(min(done.total(), total), total)
                yield one

        return documents

    return {name.lower(): [of(name)] for name in sorted(counts) if not mongodump.is_own("", name)}
