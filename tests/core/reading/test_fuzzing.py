"""Files made by chance and real ones that were damaged: readers end, and raise nothing but wilk's errors."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.core.reading.telling import Telling, archive, canonical_bson, relaxed

import wilk
from wilk import codec
from wilk.definitions import reader as definitions
from wilk.transfer.reading import bson, ejson, json_items
from wilk.transfer.reading.collections import collections
from wilk.transfer.reading.sources import Source

pytestmark = pytest.mark.storeless

DOCUMENT = {
    "_id": {"$oid": "65a1b2c3d4e5f60718293a4b"}, "messageId": "m1", "conversationId": "c1", "text": "a wolf 🐺",
    "n": {"$numberInt": "5"}, "at": {"$date": {"$numberLong": "1714581311530"}}, "none": None, "yes": True,
    "double": {"$numberDouble": "0.5"}, "long": {"$numberLong": "1"}, "in": {"a": [{"b": ["x", None]}]},
    "bytes": {"$binary": {"base64": "AP8=", "subType": "00"}}, "t": {"$timestamp": {"t": 1, "i": 2}},
    "re": {"$regularExpression": {"pattern": "a", "options": "i"}}, "low": {"$minKey": 1},
}  # fmt: skip
LINES = b"".join(json.dumps(relaxed(DOCUMENT)).encode() + b"\n" for _ in range(4))
ARRAY = json.dumps([DOCUMENT] * 4, indent=1).encode()
DUMP = canonical_bson(DOCUMENT) * 4
BLOCKS = archive([("messages", [canonical_bson(DOCUMENT)] * 2, False), ("messages", [], True)])
YAML = b"""# an agent
name: Wolf
model: &m {provider: openai, name: "gpt-4o", parameters: {temperature: 0.2}}
other: *m
tools: [search, 'run']
prompts:
  system: |
    You are a wolf.
  date: 2024-01-01
"""


def zipped() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/messages.json", LINES)
        archive.writestr("users.json.gz", gzip.compress(LINES, mtime=0))
    return made.getvalue()


ZIP = zipped()


def damaged(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Real files of which bytes are changed, left out, doubled or cut off."""
    change = st.tuples(
        st.sampled_from(["flip", "cut", "insert", "double", "remove"]),
        st.integers(0, 10_000),
        st.binary(max_size=6),
    )

    def applied(seed: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
        data = seed
        for how, where, with_ in changes:
            at = where % (len(data) + 1)
            if how == "flip":
                data = data[:at] + with_ + data[at + len(with_) :]
            elif how == "cut":
                data = data[: max(at, 5)]
            elif how == "insert":
                data = data[:at] + with_ + data[at:]
            elif how == "double":
                data = data[:at] + data[max(0, at - 40) :]
            else:
                data = data[:at] + data[at + 1 + where % 30 :]
        return data

    return st.builds(applied, st.sampled_from(seeds), st.lists(change, min_size=1, max_size=4))


few = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def quietly(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except wilk.WilkError as error:
        text = str(error)
    assert "wolf" not in text
    return None


class Told(list[tuple[str, str]]):
    def __call__(self, place: str, text: str) -> None:
        assert text
        assert "wolf" not in place + text
        self.append((place, text))


@few
@given(
    damaged(LINES, ARRAY)
    | st.binary(max_size=60)
    | st.text('[]{}":, \\\n\r01aeutrfnN', max_size=40).map(str.encode)
)
@example(b"[[]")
@example(b'{"a":"\\')
@example(b"\xef\xbb")
def test_json_of_any_bytes(data: bytes) -> None:
    told = Told()
    found = quietly(lambda: list(json_items.items(io.BytesIO(data), "f", told, unwrap=ejson.unwrap)))
    for one in found or []:
        there = ejson.plain(one)
        assert codec.canonical(codec.loads(codec.dumps(there))) == codec.canonical(there)


@few
@given(damaged(DUMP) | st.binary(max_size=80))
def test_bson_of_any_bytes(data: bytes) -> None:
    told = Told()
    found = list(bson.documents(io.BytesIO(data), "f", told))
    for one in found:
        there = ejson.plain(one)
        assert codec.canonical(codec.loads(codec.dumps(there))) == codec.canonical(there)
    assert found or told or not data


@few
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.sampled_from(["2024-01-01T00:00:00Z", "65a1b2c3d4e5f60718293a4b", "5", "AP8=", "00", "NaN"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$binary", "$type", "$uuid",
        "$regex", "$options", "$regularExpression", "pattern", "options", "base64", "subType", "$symbol", "$undefined",
        "$timestamp", "$code", "$scope", "a",
    ]), inner, max_size=2),
    max_leaves=8,
))  # fmt: skip
def test_extended_json_of_any_values(value: Any) -> None:
    once = ejson.decode(value)
    assert codec.canonical(ejson.plain(ejson.decode(ejson.encode_relaxed(once)))) == codec.canonical(
        ejson.plain(once)
    )


@few
@given(damaged(BLOCKS, ZIP, gzip.compress(LINES, mtime=0), gzip.compress(BLOCKS, mtime=0)))
def test_archives_and_zips_of_any_bytes(tmp_path: Path, data: bytes) -> None:
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    place = folder / "source"
    place.write_bytes(data)
    telling = Telling()
    source = Source([place])
    try:
        parts = quietly(lambda: collections(source, telling)) or {}
        for documents in (one for several in parts.values() for one in several):
            for found in quietly(lambda documents=documents: list(documents())) or []:  # type: ignore[misc]
                codec.dumps(ejson.plain(found))
        quietly(source.describe)
    finally:
        source.close()
    assert "wolf" not in str(telling.failed) + str(telling.warned) + str(source.remarks)
    assert place.read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in folder.iterdir()] == ["source"]


@few
@given(st.lists(st.tuples(st.text("./\\ab:\0C", min_size=1, max_size=12), st.binary(max_size=8)), max_size=4))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_in_a_zip_never_lead_anywhere(tmp_path: Path, members: list[tuple[str, bytes]]) -> None:
    place = tmp_path / "x.zip"
    with zipfile.ZipFile(place, "w") as made:
        for name, data in members:
            if not name.startswith("\0"):
                made.writestr(zipfile.ZipInfo(name), data)
    source = Source([place])
    try:
        for file in source.files:
            parts = file.name.split("/")
            assert "" not in parts
            assert not {".", ".."} & set(parts)
            assert "\\" not in file.name
            assert file.path is None
            quietly(file.head)
    finally:
        source.close()
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@few
@given(
    damaged(YAML)
    | st.text("abc: -\n&*!<>[]{}|'\"#%@?,01\t", max_size=50).map(str.encode)
    | st.binary(max_size=30)
)
@example(b"a: " + b"[" * 3000)
@example(b"a: &a [*a]")
@example(b"a: !!python/object/apply:os.system ['true']")
def test_yaml_of_any_bytes(data: bytes) -> None:
    quietly(lambda: definitions.parse(data, "agent.yaml"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.binary(min_size=1, max_size=64)), min_size=1, max_size=4),
    st.integers(0, 20_000),
)
def test_sqlite_of_damaged_bytes(tmp_path: Path, changes: list[tuple[int, bytes]], cut: int) -> None:
    place = tmp_path / "x.db"
    whole = tmp_path / "whole.db"
    if not whole.exists():
        with sqlite3.connect(whole) as connection:
            connection.execute("CREATE TABLE t (a PRIMARY KEY, b)")
            connection.executemany(
                "INSERT INTO t VALUES (?, ?)", [(number, "wolf" * 20) for number in range(100)]
            )
        connection.close()
    data = bytearray(whole.read_bytes())
    for at, with_ in changes:
        at %= len(data)
        data[at : at + len(with_)] = with_
    place.write_bytes(data[: max(cut, 16)] if cut < len(data) // 2 else data)
    source = Source([place])
    try:
        source.describe()
        for file in source.databases():
            quietly(lambda file=file: source.tables(file))  # type: ignore[misc]
    finally:
        source.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole.db", "x.db"]
