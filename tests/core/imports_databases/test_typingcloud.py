"""JSON of Typingcloud: each chat is a document as it came, and a conversation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.imports_databases import databases
from tests.core.imports_databases.databases import Kept

import wilk
from wilk import Invalid


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, _new_database: Path) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("typingcloud")
    path = databases.typingcloud(folder / "cloud.json")
    with databases.kept("typingcloud", folder, _new_database, path) as found:
        yield found


def test_every_key_stays_in_its_order(kept: Kept, tmp_path: Path) -> None:
    chats = json.loads(databases.typingcloud(tmp_path / "again.json").read_text())["data"]["chats"]
    document = kept.store.documents.get("chat-1")
    assert document.data == chats[0]
    assert list(document.data) == list(chats[0])


def test_messages_come_in_their_order(kept: Kept) -> None:
    messages = kept.store.messages.last("chat-1", 9)
    assert [(one.role, one.text) for one in messages] == [
        ("user", "Look up"), ("assistant", "I do"), ("user", "Again")
    ]  # fmt: skip
    assert (messages[1].model, messages[1].tokens) == ("m-1", 3)
    assert messages[1].metadata["typingcloud"]["stop_reason"] == "end_turn"


def test_times_are_iso_or_milliseconds(kept: Kept) -> None:
    session = kept.store.sessions.get("chat-1")
    assert session.created_at.isoformat() == "2025-05-01T10:00:00+00:00"
    assert session.updated_at.timestamp() == 1_746_100_000
    assert session.metadata["typingcloud"]["chatParams"] == {"systemMessage": "Be kind"}


def test_a_deleted_chat_is_archived_and_what_is_no_message_reported(kept: Kept) -> None:
    assert kept.store.sessions.get("chat-2").status == "archived"
    assert [(one.kind, one.id) for one in kept.result.errors] == [("messages", "chat-1#2")]


def test_json_without_chats_is_refused(store: wilk.Store, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"data": {}}')
    with pytest.raises(Invalid, match=r"data\.chats"):
        store.imports.run("typingcloud", path)
