"""One and the same ten documents in every form that a source may have give the same rows."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.core.librechat import documents
from tests.core.librechat.conftest import rows
from tests.core.librechat.documents import agent, bson, canonical, conversation, first_version, message, user

import wilk
from wilk.transfer.reading.ejson import encode_relaxed

pytestmark = pytest.mark.sqlite

TEN: Mapping[str, list[dict[str, Any]]] = {
    "users": [user()],
    "agents": [agent(), agent("agent_two", _id=documents.oid(2), name="Two", tokens=2**40, ratio=0.5)],
    "conversations": [conversation()],
    "messages": [
        message("u1", text="Grüße, 東京, \U0001f600"),
        *(message(f"a{n}", "u1", f"Answer {n}", minute=10 + n) for n in range(1, 6)),
    ],
}


def lines(encode: Callable[[Any], Any], end: bytes = b"\n") -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name, found in TEN.items():
            text = end.join(json.dumps(encode(one), ensure_ascii=False).encode() for one in found)
            (folder / f"{name}.json").write_bytes(text + end)

    return write


def array(folder: Path) -> None:
    for name, found in TEN.items():
        encoded = [encode_relaxed(one) for one in found]
        (folder / f"{name}.json").write_text(json.dumps(encoded, indent=2))


def marked(folder: Path) -> None:
    for name, found in TEN.items():
        (folder / f"{name}.json").write_bytes(b"\xef\xbb\xbf" + documents_of(found))


def documents_of(found: list[dict[str, Any]]) -> bytes:
    return documents.relaxed(found)


def dumped(folder: Path) -> None:
    (folder / "LibreChat").mkdir()
    for name, found in TEN.items():
        (folder / f"LibreChat/{name}.bson").write_bytes(b"".join(map(bson, found)))
        (folder / f"LibreChat/{name}.metadata.json").write_text('{"indexes":[]}')


def dumped_packed(folder: Path) -> None:
    (folder / "LibreChat").mkdir()
    for name, found in TEN.items():
        data = gzip.compress(b"".join(map(bson, found)))
        (folder / f"LibreChat/{name}.bson.gz").write_bytes(data)


def zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for name, found in TEN.items():
            archive.writestr(f"export/{name}.json", documents_of(found))


FORMS: Mapping[str, Callable[[Path], None]] = {
    "canonical": lines(canonical),
    "version 1": lines(first_version),
    "CRLF": lines(encode_relaxed, b"\r\n"),
    "an array": array,
    "a byte order mark": marked,
    "mongodump": dumped,
    "mongodump, packed": dumped_packed,
    "a ZIP": zipped,
}


def imported(folder: Path, home: Path) -> dict[str, Any]:
    with wilk.open_store(home=home) as store:
        source = folder / "all.zip" if (folder / "all.zip").exists() else folder
        result = store.imports.run("librechat", source)
        assert (result.failed, store.imports.recognize(source)[0].importer) == (0, "librechat")
        return rows(store)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("relaxed")
    (folder / "dump").mkdir()
    lines(encode_relaxed)(folder / "dump")
    return imported(folder / "dump", folder / "home")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_ten_documents_gives_the_same_rows(
    form: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    FORMS[form](folder)
    assert imported(folder, tmp_path / "home") == expected


def test_a_last_line_that_is_cut_off_is_told_and_the_others_come_over(
    store: wilk.Store, tmp_path: Path
) -> None:
    whole = documents.relaxed(TEN["messages"])
    (tmp_path / "messages.json").write_bytes(whole[:-40])
    result = store.imports.run("librechat", tmp_path / "messages.json")
    assert [one.kind for one in result.errors] == ["messages"]
    assert len(store.branches.list("c-1")) + 1 == 4


@pytest.mark.parametrize("count", [40])
def test_a_nested_file_of_a_conversation_is_read_however_deep_it_is(
    store: wilk.Store, tmp_path: Path, count: int
) -> None:
    tree: dict[str, Any] = {}
    for number in reversed(range(count * 10)):
        one = {
            "messageId": f"m{number}", "sender": "User", "isCreatedByUser": number % 2 == 0,
            "text": f"text {number}", "children": [tree] if tree else [],
        }  # fmt: skip
        tree = one
    text = json.dumps({"conversationId": "deep", "endpoint": "openAI", "title": "Deep", "exportAt": "13:18:04",
                       "branches": True, "recursive": True, "messagesTree": [tree]})  # fmt: skip
    (tmp_path / "deep.json").write_text(text)
    assert store.imports.run("auto", tmp_path / "deep.json").failed == 0
    assert [one.text for one in store.messages.last("deep", 1000)] == [f"text {n}" for n in range(count * 10)]


@pytest.mark.parametrize("key", ["messages", "messagesTree"])
def test_a_nested_file_may_name_its_messages_either_way(store: wilk.Store, tmp_path: Path, key: str) -> None:
    child = {"messageId": "b", "text": "two", "isCreatedByUser": False, "parentMessageId": "a"}
    file = {
        "conversationId": "n", "title": "Nested", "endpoint": "openAI", "recursive": True,
        "options": {"model": "gpt-4"}, "exportAt": "13:18:04 GMT-0400 (Eastern Daylight Time)",
        key: [{"messageId": "a", "text": "one", "isCreatedByUser": True, "children": [child]}],
    }  # fmt: skip
    (tmp_path / "nested.json").write_text(json.dumps(file))
    store.imports.run("librechat", tmp_path / "nested.json")
    assert [(one.role, one.text) for one in store.messages.last("n")] == [
        ("user", "one"),
        ("assistant", "two"),
    ]
    assert store.sessions.get("n").model == "gpt-4"


def test_a_message_with_neither_text_nor_content_comes_over_with_all_below_it(
    store: wilk.Store, tmp_path: Path
) -> None:
    held = [
        {"messageId": "a", "isCreatedByUser": True, "children": [{"messageId": "b", "text": "still here"}]}
    ]
    (tmp_path / "x.json").write_text(
        json.dumps({"conversationId": "e", "recursive": True, "messagesTree": held})
    )
    store.imports.run("librechat", tmp_path / "x.json")
    assert [one.text for one in store.messages.last("e")] == ["", "still here"]


def test_a_file_of_a_conversation_that_is_cut_off_is_told(store: wilk.Store, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"conversationId":"e","messages":[{"messageId":"a","text":"b"}')
    result = store.imports.run("librechat", tmp_path / "x.json")
    assert [(one.kind, one.id) for one in result.errors] == [("sessions", "x.json")]


def test_what_is_not_librechats_is_refused_with_advice(store: wilk.Store, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(wilk.Invalid, match="mongoexport"):
        store.imports.run("librechat", tmp_path / "notes.txt")


@pytest.mark.parametrize(
    "file",
    [
        '[{"id": "x", "title": "t", "mapping": {"r": {"id": "r", "message": null}}, "current_node": "r"}]',
        '[{"uuid": "x", "name": "n", "chat_messages": []}]',
        '[{"id": "x", "chat": {"history": {"messages": {}}}}]',
        '{"version": 4, "history": [], "folders": [], "prompts": []}',
    ],
)
def test_the_exports_of_others_are_not_taken_for_librechats(
    store: wilk.Store, tmp_path: Path, file: str
) -> None:
    (tmp_path / "conversations.json").write_text(file)
    found = [one.importer for one in store.imports.recognize(tmp_path / "conversations.json")]
    assert "librechat" not in found


def test_conversations_that_name_no_messages_are_a_collection(store: wilk.Store, tmp_path: Path) -> None:
    kept = [{"conversationId": f"c{n}", "title": f"Talk {n}", "messages": []} for n in range(3)]
    (tmp_path / "dump").mkdir()
    (tmp_path / "dump" / "conversations.json").write_text("".join(f"{json.dumps(one)}\n" for one in kept))
    store.imports.run("librechat", tmp_path / "dump")
    assert sorted(str(one.name) for one in store.sessions.list()) == ["Talk 0", "Talk 1", "Talk 2"]


def test_sessions_of_this_stores_own_come_back_from_an_export(store: wilk.Store, tmp_path: Path) -> None:
    for name in ("Wolves", "Bears", "Owls"):
        session = store.sessions.create(name=name).id
        store.messages.append(session, "user", f"What of {name}?")
    store.exports.run("librechat", tmp_path / "out")
    with wilk.open_store(home=tmp_path / "elsewhere") as elsewhere:
        elsewhere.imports.run("librechat", tmp_path / "out")
        found = {one.name: elsewhere.messages.last(one.id)[0].text for one in elsewhere.sessions.list()}
    assert found == {name: f"What of {name}?" for name in ("Wolves", "Bears", "Owls")}
