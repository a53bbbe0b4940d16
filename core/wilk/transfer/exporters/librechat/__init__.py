"""Writes what LibreChat takes: a folder with a file for each collection, or one conversation as its own file.

The files are such as mongoexport writes, one document of relaxed Extended JSON a line. What once came from
LibreChat is the document that it was, with what has been changed here since.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

from wilk import codec
from wilk.transfer.exporters.librechat.conversations import Conversations
from wilk.transfer.exporters.librechat.records import Records
from wilk.transfer.reading.ejson import encode_relaxed, plain

if TYPE_CHECKING:
    from pathlib import Path

    from wilk.contracts import Choice, Writing
    from wilk.store import Store

_OF_FILE = "export"
_OPTIONS = (
    "presetId", "model", "chatGptLabel", "modelLabel", "promptPrefix", "temperature", "top_p", "topP", "topK",
    "presence_penalty", "frequency_penalty", "maxOutputTokens", "max_tokens", "maxContextTokens", "agent_id",
    "assistant_id", "instructions", "resendFiles", "imageDetail", "tools", "spec", "greeting", "iconURL",
)  # fmt: skip


def write(store: Store, target: Path, choice: Choice, writing: Writing) -> None:
    """Write a folder of collections; where the choice is one session, a file with that conversation."""
    records = Records(store, writing)
    talks = Conversations(store, writing, records)
    if choice.sessions is not None and len(choice.sessions) == 1:
        _conversation(talks, choice.sessions[0], target, writing)
        return
    target.mkdir(mode=0o700)
    with ExitStack() as closing:
        out = _Out(target, closing, writing)
        if choice.sessions is None:
            records.write(out.write, choice.user)
        for session in talks.chosen(choice):
            documents: list[Any] = []
            for message in talks.messages(session):
                out.write("messages", message)
                documents.append((message.get("createdAt"), message.get("_id")))
            if (one := talks.conversation(session, documents)) is not None:
                out.write("conversations", one)
        if choice.sessions is None and choice.user is None:
            records.left_out()
        out.begin("conversations")
        out.begin("messages")


class _Out:
    """The files of a folder, each opened when its first document comes."""

    def __init__(self, folder: Path, closing: ExitStack, writing: Writing) -> None:
        self._folder = folder
        self._closing = closing
        self._writing = writing
        self._files: dict[str, BinaryIO] = {}

    def begin(self, collection: str) -> BinaryIO:
        file = self._files.get(collection)
        if file is None:
            path = self._folder / f"{collection}.json"
            file = self._files[collection] = self._closing.enter_context(path.open("xb"))
            path.chmod(0o600)
        return file

    def write(self, collection: str, document: Mapping[str, Any]) -> None:
        self.begin(collection).write(codec.foreign_text(encode_relaxed(document)) + b"\n")
        self._writing.count(collection)


def _conversation(talks: Conversations, id: str, target: Path, writing: Writing) -> None:
    """One conversation in LibreChat's own form, flat; ids and times are text there."""
    session = talks.session(id)
    head = dict(talks.conversation(session, None, alone=True) or {})
    told = head.pop(_OF_FILE, None)
    head.pop("messages", None)
    if not isinstance(told, Mapping):
        told = {"options": {"presetId": None, **{name: head[name] for name in _OPTIONS if name in head}}}
    given = {**plain(head), **plain(dict(told)), "branches": True, "recursive": False}
    with target.open("xb") as file:
        target.chmod(0o600)
        file.write(codec.foreign_text(given)[:-1] + b',"messages":[')
        for number, message in enumerate(talks.messages(session)):
            file.write((b",\n" if number else b"\n") + codec.foreign_text(plain(message)))
            writing.count("messages")
        file.write(b"\n]}\n")
    writing.count("conversations")
