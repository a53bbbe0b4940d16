"""Collections of a source: exports, dumps and archives, found by name or by what is in them."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.reading.telling import Telling, archive, canonical_bson

import wilk
from wilk.transfer.reading.collections import NAMES, collections, recognized
from wilk.transfer.reading.sources import Source

pytestmark = pytest.mark.storeless


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Callable[[], tuple[dict[str, list[Any]], Telling, Source]]]:
    opened: list[Source] = []

    def read() -> tuple[dict[str, list[Any]], Telling, Source]:
        source, telling = Source([tmp_path / "in"]), Telling()
        opened.append(source)
        read = {
            name: [one for documents in parts for one in documents()]
            for name, parts in collections(source, telling).items()
        }
        return read, telling, source

    (tmp_path / "in").mkdir()
    yield read
    for source in opened:
        source.close()


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def doc(**fields: Any) -> bytes:
    return canonical_bson(fields)


def test_a_collection_is_known_by_the_name_of_its_file(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {
        "agents.json": line(n=1), "LibreChat.users.json": line(n=2), "PromptGroups.jsonl": line(n=3),
        "test.messages.json.gz": gzip.compress(line(n=4)), "sub/presets.ndjson": line(n=5),
        "agents.metadata.json": b"{}", "prelude.json": b"{}",
    })  # fmt: skip
    read, telling, _ = found()
    assert read == {
        "agents": [{"n": 1}], "users": [{"n": 2}], "promptgroups": [{"n": 3}], "messages": [{"n": 4}],
        "presets": [{"n": 5}],
    }  # fmt: skip
    assert telling.failed == []


def test_a_collection_in_several_files_is_one(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {"a/messages.json": line(n=1), "b/messages.json": line(n=2)})
    assert found()[0] == {"messages": [{"n": 1}, {"n": 2}]}


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"messageId": "m", "conversationId": "c", "text": ""}, "messages"),
        ({"messageId": "m", "conversationId": "c", "toolId": "t"}, "toolcalls"),
        ({"conversationId": "c", "endpoint": "openAI", "title": "x"}, "conversations"),
        ({"presetId": "p", "endpoint": "openAI", "conversationId": None}, "presets"),
        ({"id": "agent_x", "provider": "openAI", "model": "m"}, "agents"),
        ({"id": "x", "provider": "openAI", "model": "m", "author": "a"}, "agents"),
        ({"groupId": "g", "prompt": "p", "type": "text"}, "prompts"),
        ({"name": "g", "productionId": "p", "author": "a"}, "promptgroups"),
        ({"email": "a@example.com", "provider": "local", "role": "USER"}, "users"),
        ({"file_id": "f", "filename": "a.txt"}, "files"),
        ({"action_id": "a", "metadata": {}}, "actions"),
        ({"principalType": "user", "resourceType": "agent", "resourceId": "r"}, "aclentries"),
        ({"accessRoleId": "agent_viewer", "permBits": 1}, "accessroles"),
        ({"value": "general", "label": "General", "order": 1}, "agentcategories"),
        ({"userId": "u", "key": "k", "value": "v"}, "memoryentries"),
        ({"tag": "t", "user": "u", "position": 1}, "conversationtags"),
        ({"tokenType": "prompt", "rawAmount": -5, "conversationId": "c", "user": "u"}, "transactions"),
        ({"conversationId": "c", "messagesTree": []}, None),
        ({"a": 1}, None),
    ],
)
def test_a_document_tells_of_what_collection_it_is(document: dict[str, Any], name: str | None) -> None:
    assert recognized(document) == name
    assert name is None or name in NAMES


def test_a_file_whose_name_says_nothing_is_known_by_its_first_documents(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {
        "export (1).json": b"[" + line(a=1) + b"," + line(messageId="m", conversationId="c") + b"]",
        "data": line(presetId="p"), "my-agents-2024.json": line(x=1), "else.json": line(x=2),
    })  # fmt: skip
    read, _, _ = found()
    assert {name: len(values) for name, values in read.items()} == {
        "messages": 2, "presets": 1, "agents": 1, "else": 1,
    }  # fmt: skip


def test_what_is_no_export_is_told_and_the_others_are_read(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {
        "agents.json": line(n=1), "messages.csv": b"sender,text\n", "users.json": b"sender,text\n",
        "photo.png": b"\x89PNG\r\n", "roles.json": b"[\n  {\n    _id: ObjectId('1')\n  }\n]",
    })  # fmt: skip
    source, telling = Source([tmp_path / "in"]), Telling()
    parts = collections(source, telling)
    assert [one for one in parts["agents"][0]()] == [{"n": 1}]  # noqa: C416 -- a generator is what it is
    for name, advice in (("users", "CSV"), ("roles", "mongosh")):
        with pytest.raises(wilk.Invalid, match=advice):
            list(parts[name][0]())
    assert telling.failed == [
        ("files", "messages.csv", "it is CSV, which has lost types and fields; export it as JSON")
    ]
    assert telling.warned == ["a file that is no export of a collection is left out"]
    source.close()


def test_elements_that_are_no_documents_are_told_once(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {"agents.json": b'[{"n": 1}, 5, {"n": 2}, {"n": tru}]'})
    source, telling = Source([tmp_path / "in"]), Telling()
    (documents,) = collections(source, telling)["agents"]
    assert list(documents()) == list(documents()) == [{"n": 1}, {"n": 2}]
    assert [(kind, place) for kind, place, _ in telling.failed] == [
        ("agents", "agents.json, element 2"), ("agents", "agents.json, element 4"),
    ]  # fmt: skip


def test_what_is_odd_is_warned_of_once_however_often_it_is_read(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {"agents.json": b'{"a": 1, "a": 2}\n'})
    source, telling = Source([tmp_path / "in"]), Telling()
    (documents,) = collections(source, telling)["agents"]
    assert list(documents()) == list(documents()) == [{"a": 2, "$repeated": {"a": [1]}}]
    assert len(telling.warned) == 1


def test_progress_goes_up_to_the_size_of_all_files(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {
        "agents.json": line(n=1) * 20_000, "users.json.gz": gzip.compress(line(n=2) * 1000),
        "messages.bson": doc(n="x") * 1000,
    })  # fmt: skip
    _, telling, source = found()
    places = [done for done, _ in telling.places]
    assert places == sorted(places)
    total = sum(file.size for file in source.files)
    assert telling.places[-1] == (total, total)


# -- dumps ----------------------------------------------------------------------------------------


def test_a_dump_is_read_but_for_what_mongodb_keeps_for_itself(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {
        "dump/LibreChat/agents.bson": doc(n="1"), "dump/LibreChat/agents.metadata.json": b"{}",
        "dump/LibreChat/my%20notes.bson": doc(n="2"), "dump/LibreChat/system.views.bson": doc(n="3"),
        "dump/admin/system.users.bson": doc(credentials="canary"), "dump/admin/users.bson": doc(n="4"),
        "dump/oplog.bson": doc(n="5"), "dump/LibreChat/users.bson.gz": gzip.compress(doc(n="6")),
    })  # fmt: skip
    read, telling, _ = found()
    assert read == {"agents": [{"n": "1"}], "my notes": [{"n": "2"}], "users": [{"n": "6"}]}
    assert telling.failed == []


def test_one_collection_in_two_databases_is_read_from_both_and_told(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {"dump/LibreChat/agents.bson": doc(n="1"), "dump/Test/agents.bson": doc(n="2")})
    read, telling, _ = found()
    assert read == {"agents": [{"n": "1"}, {"n": "2"}]}
    assert telling.warned[0].startswith(
        "the dump holds one collection in several databases (LibreChat, Test)"
    )


MIXED = [
    ("messages", [doc(n="1"), doc(n="2")], False),
    ("agents", [doc(n="a")], False),
    ("messages", [doc(n="3")], False),
    ("empty", [], False),
    ("empty", [], True),
    ("agents", [], True),
    ("messages", [doc(n="4")], False),
    ("messages", [], True),
]
WHOLE = {
    "messages": [{"n": number} for number in "1234"], "agents": [{"n": "a"}], "empty": [],
}  # fmt: skip


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_archive_whose_collections_stand_mixed_is_taken_apart(
    pack: Any, tmp_path: Path, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    put(tmp_path, {"librechat.archive": pack(archive(MIXED))})
    read, telling, source = found()
    assert (read, telling.failed, source.remarks) == (WHOLE, [], [])
    source.close()
    assert list(scratch.iterdir()) == []


def test_an_archive_of_the_whole_server_leaves_its_users_out(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {"x": archive([("system.users", [doc(secret="canary")], False), *MIXED])})
    assert found()[0] == WHOLE
    put(
        tmp_path,
        {"x": archive([("users", [doc(secret="canary")], False), ("users", [], True)], database="admin")},
    )
    assert found()[0] == {}


def test_an_archive_that_is_cut_off_gives_what_is_there_and_tells(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {"x": archive(MIXED[:-1])[:-6]})
    read, telling, _ = found()
    assert read["agents"] == [{"n": "a"}]
    assert read["messages"][:3] == WHOLE["messages"][:3]
    assert any(
        "the archive ends before the collection messages does" in text for _, _, text in telling.failed
    )


@pytest.mark.parametrize("chunk", [16, 1 << 20])
def test_a_damaged_block_costs_its_damaged_document_alone(
    chunk: int, tmp_path: Path, found: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wilk.transfer.reading.windows.CHUNK", chunk)
    good = [doc(_id=f"{number}") for number in range(6)]
    data = archive([
        ("messages", [good[0], b"\x99\x99\x99\x7f" + good[1][4:], good[2]], False), ("agents", [good[3]], False),
        ("messages", [good[4], good[5]], False), ("messages", [], True), ("agents", [], True),
    ])  # fmt: skip
    put(tmp_path, {"x": data})
    read, telling, _ = found()
    assert read == {"messages": [{"_id": id} for id in "0245"], "agents": [{"_id": "3"}]}
    assert [(kind, place.split(",")[0]) for kind, place, _ in telling.failed] == [
        ("archive", "x"),
        ("messages", "x"),
    ]


def test_a_file_that_only_begins_like_an_archive_is_told(tmp_path: Path, found: Any) -> None:
    put(tmp_path, {"x": archive([])[:4] + b"\xff" * 50})
    read, telling, _ = found()
    assert read == {}
    assert telling.failed != []


def test_what_was_odd_about_a_source_stands_in_the_report_of_an_import(tmp_path: Path) -> None:
    presets = b"".join(
        line(presetId=f"p{number}", title=f"Preset {number}", endpoint="openAI") for number in range(99)
    )
    put(tmp_path, {"presets.json.gz": gzip.compress(presets, mtime=0)[:-20]})
    (tmp_path / "in" / "elsewhere").symlink_to("/")
    with wilk.open_store("sqlite:///:memory:") as store:
        result = store.imports.run("librechat", tmp_path / "in")
    assert result.created > 0
    assert [text for text in result.warnings if text.startswith(("presets.json.gz", "elsewhere"))] == [
        "elsewhere: a link that leads elsewhere is not followed; name that place as well",
        "presets.json.gz: it is cut off; what could be unpacked is read",
    ]
