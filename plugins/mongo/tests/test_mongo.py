"""Documents of a live database, and what is said when there is none."""

from __future__ import annotations

import datetime
import io
import logging
import socket
import uuid
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import json_util

import wilk
from wilk import codec
from wilk.transfer.reading import bson as reader
from wilk.transfer.reading import ejson
from wilk.transfer.reading.collections import collections
from wilk.transfer.reading.sources import Source
from wilk_mongo.database import open_database

SECRET = "canary-Pa55w0rd"
ALL_TYPES = {
    "text": "wolf \0 \U0001f43a", "double": 1.5, "whole": 2.0, "nan": float("inf"), "int": 5, "long": 2**40,
    "id": bson.ObjectId("65a1b2c3d4e5f60718293a4b"), "true": True, "none": None,
    "date": datetime.datetime(2024, 5, 1, 16, 35, 11, 530000, datetime.UTC),
    "past": datetime.datetime(1900, 1, 1, tzinfo=datetime.UTC), "later": bson.DatetimeMS(2**60),
    "decimal": bson.Decimal128("-1.50E+6000"), "nought": bson.Decimal128("0E-6176"),
    "binary": bson.Binary(b"\0\xff", 0x80), "uuid": bson.Binary.from_uuid(uuid.UUID(int=7)),
    "timestamp": bson.Timestamp(7, 9), "regex": bson.Regex("^a", "xi"), "code": bson.Code("f()"),
    "scope": bson.Code("f()", {"a": bson.Int64(1)}), "min": bson.MinKey(), "max": bson.MaxKey(),
    "ref": bson.DBRef("messages", bson.ObjectId("65a1b2c3d4e5f60718293a4b")),
    "list": [1, [2, {"three": bson.Int64(3)}]], "object": {"$set": {"$oid": "no id"}, "a.b": {}},
}  # fmt: skip


class Telling:
    def __init__(self) -> None:
        self.failed: list[tuple[str, str, str]] = []
        self.places: list[tuple[int, int]] = []
        self.options: dict[str, str] = {}

    def fail(self, kind: str, key: str, error: str, path: str | None = None) -> None:
        self.failed.append((kind, key, error))

    def at(self, done: int, of: int) -> None:
        self.places.append((done, of))

    def warn(self, text: str, key: str | None = None) -> None: ...
    def lost(self, path: str, count: int = 1) -> None: ...
    def skip(self, kind: str, key: str, reason: str) -> None: ...


def test_the_reader_gives_for_every_type_what_extended_json_gives() -> None:
    raw = bson.encode(ALL_TYPES)
    options = json_util.JSONOptions(
        json_mode=json_util.JSONMode.CANONICAL, uuid_representation=bson.binary.UuidRepresentation.STANDARD
    )
    canonical = json_util.dumps(bson.decode(raw, bson.CodecOptions(
        datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_AUTO, tz_aware=True,
        uuid_representation=bson.binary.UuidRepresentation.STANDARD,
    )), json_options=options)  # fmt: skip
    read = reader.parse(raw)
    assert read == ejson.decode(codec.foreign(canonical.encode()))
    assert read["decimal"] == {"$numberDecimal": "-1.50E+6000"}
    assert ejson.decode(ejson.encode_relaxed(read)) == read


def test_a_live_database_gives_what_a_dump_of_it_gives(server: str, filled: Any) -> None:
    documents: list[dict[str, Any]] = [
        {
            "_id": bson.ObjectId(), "messageId": f"m{number}", "text": "x" * number, "n": number, "half": 0.5,
            "createdAt": datetime.datetime(2024, 1, 1, 0, 0, number % 60, 5000, datetime.UTC),
            "content": [{"type": "text", "text": {"$value": None}}], "files": [], "done": number % 2 == 0,
        }
        for number in range(1201)
    ]  # fmt: skip
    filled["LibreChat"]["messages"].insert_many(documents)
    dump = io.BytesIO(b"".join(bson.encode(one) for one in documents))
    expected = list(reader.documents(dump, "messages.bson", lambda *told: pytest.fail(str(told))))
    database = open_database(f"{server}/LibreChat")
    try:
        assert database.collections() == {"messages": 1201}
        read = list(database.read("messages"))
        assert sorted(read, key=lambda one: one["n"]) == expected
        assert [one["_id"] for one in read] == sorted(one["_id"] for one in read)
    finally:
        database.close()


def test_an_importer_is_given_the_collections_behind_an_address(server: str, filled: Any) -> None:
    filled["LibreChat"]["agents"].insert_many([{"id": f"agent_{number}"} for number in range(450)])
    filled["LibreChat"]["Conversations"].insert_one({"conversationId": "c"})
    host = wilk.Host()
    source = Source([f"{server}/LibreChat"], host.source_kind)
    telling = Telling()
    try:
        found = collections(source, telling)
        assert sorted(found) == ["agents", "conversations"]
        once, again = (sorted(one["id"] for one in found["agents"][0]()) for _ in range(2))
        assert once == again
        assert len(once) == 450
        assert telling.places == [(200, 451), (400, 451)]
    finally:
        source.close()


def test_reading_changes_nothing_on_the_server(server: str, filled: Any) -> None:
    filled["LibreChat"]["users"].insert_one({"_id": 1, "email": "a@example.com"})
    before = (filled.list_database_names(), filled["LibreChat"].list_collection_names())
    database = open_database(f"{server}/LibreChat")
    list(database.read("users"))
    list(database.read("nothing"))
    database.close()
    assert (filled.list_database_names(), filled["LibreChat"].list_collection_names()) == before
    assert list(filled["LibreChat"]["users"].find()) == [{"_id": 1, "email": "a@example.com"}]


def test_an_address_without_a_database_names_those_there_are(server: str, filled: Any) -> None:
    filled["LibreChat"]["users"].insert_one({"a": 1})
    filled["Other"]["users"].insert_one({"a": 1})
    with pytest.raises(wilk.Invalid, match="names no database; there are LibreChat, Other"):
        open_database(server)


def test_a_database_that_is_empty_or_misspelt_is_told_with_the_others(server: str, filled: Any) -> None:
    filled["LibreChat"]["users"].insert_one({"a": 1})
    with pytest.raises(
        wilk.Invalid, match="'librechat2' holds no collections; (?:there is|there are) LibreChat"
    ):
        open_database(f"{server}/librechat2")


@pytest.mark.parametrize(
    "address",
    [
        f"mongodb://reader:{SECRET}@127.0.0.1:PORT/LibreChat?serverSelectionTimeoutMS=300",
        f"mongodb://reader:{SECRET}/x@127.0.0.1:PORT/LibreChat?serverSelectionTimeoutMS=300",
        f"mongodb://reader:a@{SECRET}@127.0.0.1:PORT/LibreChat?serverSelectionTimeoutMS=300",
        f"mongodb://reader:{SECRET}:9/x@127.0.0.1:PORT/LibreChat",
        f"mongodb://reader:{SECRET}/@127.0.0.1:PORT/LibreChat",
        f"mongodb://127.0.0.1:PORT/x?serverSelectionTimeoutMS=300&tlsCertificateKeyFilePassword={SECRET}",
        f"mongodb://r:x@127.0.0.1:PORT/x?serverSelectionTimeoutMS=300&authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:{SECRET}",
        f"mongodb+srv://reader:{SECRET}@nowhere.invalid/x?serverSelectionTimeoutMS=300&connectTimeoutMS=300",
        f"mongodb+srv://reader:{SECRET}@127.0.0.1/x",
        f"mongodb://reader:{SECRET}@127.0.0.1:PORT/x?unknownOption=%",
        f"mongodb://reader:{SECRET}@[::1/x",
    ],
)
def test_no_error_holds_a_password(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = address.replace("PORT", str(closed.getsockname()[1]))
        with caplog.at_level(logging.DEBUG, "wilk"), pytest.raises(wilk.WilkError) as raised:
            open_database(address)
    error: BaseException | None = raised.value
    assert SECRET not in str(error)
    assert error is not None
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert SECRET not in caplog.text
    source = Source([address])
    assert SECRET not in source.text
    assert SECRET not in source.describe()


def test_a_server_that_goes_away_is_told_as_such(server: str, filled: Any) -> None:
    filled["LibreChat"]["messages"].insert_many([{"n": number} for number in range(1200)])
    database = open_database(f"{server}/LibreChat?serverSelectionTimeoutMS=300&socketTimeoutMS=300")
    reading = database.read("messages")
    next(reading)
    database.close()
    with pytest.raises(wilk.BackendError, match="cannot be read"):
        list(database.read("messages"))


def test_the_plugin_stands_in_the_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kinds = {kind.scheme for kind in wilk.Host().source_kinds()}
    assert kinds >= {"mongodb", "mongodb+srv"}


def test_a_libre_chat_is_imported_from_its_live_database(server: str, filled: Any, tmp_path: Path) -> None:
    there = filled["LibreChat"]
    at = datetime.datetime(2025, 1, 12, 10, tzinfo=datetime.UTC)
    user = bson.ObjectId()
    there["users"].insert_one(
        {"_id": user, "name": "Ada", "email": "ada@example.com", "username": "ada", "password": SECRET,
         "provider": "local", "role": "USER", "createdAt": at}
    )  # fmt: skip
    there["conversations"].insert_one(
        {"conversationId": "c1", "title": "Wolves", "user": str(user), "endpoint": "openAI", "createdAt": at}
    )
    root = "00000000-0000-0000-0000-000000000000"
    there["messages"].insert_many(
        [
            {"messageId": f"m{number}", "conversationId": "c1", "user": str(user), "text": f"wolf {number}",
             "parentMessageId": f"m{number - 1}" if number else root, "isCreatedByUser": number % 2 == 0,
             "sender": "User", "createdAt": at + datetime.timedelta(seconds=number)}
            for number in range(6)
        ]
    )  # fmt: skip
    with wilk.open_store("sqlite:///:memory:") as store:
        first, second = (store.imports.run("librechat", f"{server}/LibreChat") for _ in range(2))
        assert (first.failed, second.failed, second.created) == (0, 0, 0)
        (session,) = store.sessions.list()
        texts = [message.text for message in store.messages.last(session.id)]
        assert texts == [f"wolf {number}" for number in range(6)]
        assert SECRET not in str(store.users.list())
        # A dump of the same database brings nothing new.
        for name in ("users", "conversations", "messages"):
            documents = there[name].find_raw_batches({})
            (tmp_path / f"{name}.bson").write_bytes(b"".join(map(bytes, documents)))
        dumped = store.imports.run("librechat", tmp_path)
        assert (dumped.created, dumped.updated, dumped.failed) == (0, 0, 0)
        assert sum(kind.unchanged for kind in dumped.kinds) > 0
