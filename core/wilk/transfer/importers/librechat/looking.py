"""What of LibreChat a source holds: collections, and its own files of conversations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import copy
from itertools import islice
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.errors import Invalid
from wilk.transfer.importers.librechat import native
from wilk.transfer.reading import ejson, json_items, mongodump
from wilk.transfer.reading.collections import Documents, collections, recognized

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

_JSON = re.compile(r"\.(?:json|jsonl|ndjson)(?:\.gz)?$", re.IGNORECASE)
_CONVERSATION = re.compile(rb'"conversationId"\s*:')
_MESSAGES = re.compile(rb'"messages(?:Tree)?"\s*:\s*\[\s*(?:\{(?!\s*"\$oid")|\])')
_TELLING = frozenset(
    ["agents", "messages", "conversations", "presets", "promptgroups", "aclentries", "conversationtags"]
)
_LOOKED_AT = 5
_MOST_FILES = 60
_HEAD = 1 << 17
_LARGEST = 256 * 2**20


def look(source: Source) -> list[str]:
    """Tell what a source holds, in words, without reading much of it."""
    if source.url is not None:
        return ["a live database"] if source.url.startswith(("mongodb://", "mongodb+srv://")) else []
    found: dict[str, None] = {}
    for file in source.files[:_MOST_FILES]:
        if (what := _what(file)) is not None:
            found[what] = None
    return sorted(found) if found.keys() & (_TELLING | {"conversation files"}) or len(found) > 1 else []


def opened(source: Source, reading: Reading) -> tuple[dict[str, list[Documents]], Exported]:
    """The collections of a source, and the conversations that LibreChat itself wrote out."""
    if source.url is not None:
        return collections(source, reading), Exported([], reading)
    exported = [file for file in source.files if _is_native(file)]
    names = {file.name for file in exported}
    rest = copy(source)
    rest._files = [file for file in source.files if file.name not in names]
    found = collections(rest, reading) if rest.files else {}
    if not found and not exported:
        raise Invalid(
            f"{source.text} holds nothing of LibreChat: it is {source.describe()}. Name the files of "
            "mongoexport (`mongoexport --db=LibreChat --collection=messages --out=messages.json`), the "
            "folder of mongodump, or a conversation that LibreChat exported as JSON"
        )
    return found, Exported(exported, reading)


class Exported:
    """LibreChat's own files: each as its conversation and its messages."""

    def __init__(self, files: list[SourceFile], reading: Reading) -> None:
        self._files = files
        self._reading = reading

    def __iter__(self) -> Iterator[tuple[dict[str, Any], Iterator[dict[str, Any]]]]:
        for file in self._files:
            with file.open() as opened:
                data = opened.read(_LARGEST + 1)
            parts = native.split(data) if len(data) <= _LARGEST else None
            try:
                if parts is None:
                    raise Invalid("it is cut off, damaged, or too large to be read at once")
                head = codec.foreign(parts[0], unwrap=ejson.unwrap, notice=self._reading.warn)
            except Invalid as error:
                self._reading.fail("sessions", file.name, str(error))
                continue
            if isinstance(head, dict) and isinstance(head.get("conversationId"), str):
                yield native.conversation(head), self._messages(file.name, head, parts[1])
            else:
                self._reading.fail("sessions", file.name, "conversationId is missing")

    def _messages(
        self, name: str, head: Mapping[str, Any], parts: list[tuple[bytes, int | None]]
    ) -> Iterator[dict[str, Any]]:
        ids: list[str | None] = []
        for number, (data, around) in enumerate(parts, 1):
            try:
                one = codec.foreign(data, unwrap=ejson.unwrap, notice=self._reading.warn)
            except Invalid as error:
                self._reading.fail("messages", f"{name}, message {number:,}", str(error))
                ids.append(None if around is None else ids[around])
                continue
            made = native.message(one, head, None if around is None else ids[around])
            id = made.get("messageId")
            ids.append(id if isinstance(id, str) else None)
            yield made


def _what(file: SourceFile) -> str | None:
    if file.name.removesuffix(".gz").endswith(".bson"):
        dumped = mongodump.named(file.name)
        return dumped.collection.lower() if dumped is not None else None
    try:
        head = file.head(_HEAD)
        if head[:4] == mongodump.MAGIC:
            return "messages" if b"messages" in head else None
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
            return None
        if _is_native(file):
            return "conversation files"
        with file.open() as opened:
            for one in islice(json_items.items(opened, file.name, _ignore, unwrap=ejson.unwrap), _LOOKED_AT):
                if isinstance(one, dict) and (name := recognized(one)) is not None:
                    return name
    except Invalid:
        return None
    return None


def _is_native(file: SourceFile) -> bool:
    """Whether a file is one that LibreChat itself writes of a conversation."""
    if not _JSON.search(file.name):
        return False
    try:
        head = file.head(_HEAD)
    except Invalid:
        return False
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] != b"{":
        return False
    first, _, more = text.partition(b"\n")
    if first.rstrip().endswith(b"}") and more.lstrip()[:1] == b"{":
        return False  # one document a line: a collection, whose conversations may name messages as well
    return bool(_CONVERSATION.search(head) and _MESSAGES.search(head)) and b'"$oid"' not in head[:200]


def _ignore(_place: str, _text: str) -> None:
    pass
