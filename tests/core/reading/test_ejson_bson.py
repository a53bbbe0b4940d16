"""Extended JSON in its three forms and BSON: the same documents give the same values."""

from __future__ import annotations

import gzip
import io
import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.reading.telling import Telling, archive, canonical_bson, relaxed, version_1

import wilk
from wilk import codec
from wilk.transfer.reading import bson, ejson
from wilk.transfer.reading.collections import collections
from wilk.transfer.reading.sources import Source

pytestmark = pytest.mark.storeless

ID = "65a1b2c3d4e5f60718293a4b"


def date(milliseconds: int) -> dict[str, Any]:
    return {"$date": {"$numberLong": str(milliseconds)}}


def number(value: int) -> dict[str, Any]:
    return {"$numberInt": str(value)}


def agents() -> list[dict[str, Any]]:
    """Ten documents as mongoexport --jsonFormat=canonical has them."""
    return [
        {
            "_id": {"$oid": f"65a1b2c3d4e5f60718293a{n:02x}"}, "id": f"agent_{n}", "name": f"Wolf {n} 🐺",
            "provider": "openAI", "model": "gpt-4o", "author": {"$oid": ID}, "versions": [
                {"name": "Wolf", "createdAt": date(1714581311530 + n), "tools": []}
            ],
            "model_parameters": {
                "temperature": {"$numberDouble": "0.7"}, "whole": {"$numberDouble": "2.0"}, "top": number(n),
                "big": {"$numberLong": "9007199254740993"}, "nan": {"$numberDouble": "Infinity"},
                "$set": {"$oid": "no id", "x": True}, "key": {"$date": "some day"},
            },
            "support_contact": None, "is_promoted": n % 2 == 0, "description": "",
            "avatar": {"$binary": {"base64": "AP8=", "subType": "00"}},
            "seen": {"$timestamp": {"t": 1714581311, "i": n}},
            "match": {"$regularExpression": {"pattern": "^w", "options": "i"}}, "lowest": {"$minKey": 1},
            "createdAt": date(1714581311500), "born": date(-5000), "ends": date(253402300800000),
            "whenever": date(2**60), "__v": number(0),
        }
        for n in range(10)
    ]  # fmt: skip


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read(place: Path, name: str = "agents") -> list[dict[str, Any]]:
    source, telling = Source([place]), Telling()
    try:
        found = collections(source, telling)
        assert list(found) == [name]
        values = [one for documents in found[name] for one in documents()]
        assert (telling.failed, telling.warned, source.remarks) == ([], [], [])
        return values
    finally:
        source.close()


def as_lines(values: list[Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in values)


FORMS = {
    "relaxed": ("agents.json", lambda: as_lines([relaxed(one) for one in agents()])),
    "canonical": ("agents.json", lambda: as_lines(agents())),
    "version 1": ("agents.json", lambda: as_lines([version_1(one) for one in agents()])),
    "array": ("LibreChat.agents.json", lambda: json.dumps([relaxed(one) for one in agents()]).encode()),
    "array, indented": ("x.agents.json", lambda: json.dumps(agents(), indent=2, ensure_ascii=False).encode()),
    "bom and crlf": (
        "agents.json", lambda: b"\xef\xbb\xbf" + as_lines(agents()).replace(b"\n", b"\r\n"),
    ),
    "gzip": ("agents.json.gz", lambda: gzip.compress(as_lines(agents()))),
    "name of its own": ("export-2024.json", lambda: as_lines(agents())),
    "bson": ("dump/LibreChat/agents.bson", lambda: b"".join(map(canonical_bson, agents()))),
    "bson.gz": (
        "dump/LibreChat/agents.bson.gz", lambda: gzip.compress(b"".join(map(canonical_bson, agents()))),
    ),
    "archive": (
        "all.archive",
        lambda: archive([("agents", list(map(canonical_bson, agents())), False), ("agents", [], True)]),
    ),
    "archive.gz": (
        "all.archive.gz",
        lambda: gzip.compress(
            archive([("agents", list(map(canonical_bson, agents())), False), ("agents", [], True)])
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_ten_documents_are_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    name, data = FORMS[form]
    written(tmp_path, name, data())
    values = read(tmp_path)
    assert values == [ejson.decode(one) for one in agents()]
    assert [codec.canonical(ejson.plain(one)) for one in values] == [
        codec.canonical(ejson.plain(ejson.decode(one))) for one in agents()
    ]
    first = values[0]
    assert first["createdAt"] == datetime(2024, 5, 1, 16, 35, 11, 500000, UTC)
    assert first["born"] == datetime(1969, 12, 31, 23, 59, 55, tzinfo=UTC)
    assert first["whenever"] == {"$date": {"$numberLong": str(2**60)}}
    assert first["model_parameters"] == {
        "temperature": 0.7, "whole": 2.0, "top": 0, "big": 9007199254740993, "nan": float("inf"),
        "$set": {"$oid": "no id", "x": True}, "key": {"$date": "some day"},
    }  # fmt: skip
    assert type(first["model_parameters"]["whole"]) is float
    assert type(first["author"]) is ejson.ObjectId
    assert first["avatar"] == {"$binary": {"base64": "AP8=", "subType": "00"}}


def test_a_cut_last_line_is_told_and_nine_are_read(tmp_path: Path) -> None:
    written(tmp_path, "agents.json", as_lines(agents())[:-20])
    source, telling = Source([tmp_path]), Telling()
    (documents,) = collections(source, telling)["agents"]
    assert len(list(documents())) == len(list(documents())) == 9
    assert [one[:2] for one in telling.failed] == [("agents", "agents.json, element 10")]


def test_odd_values_of_parameters_survive_on_their_way_into_a_store(tmp_path: Path) -> None:
    line = (
        b'{"id": "agent_1", "model_parameters": {"huge": 1e400, "nan": NaN, "nan2": {"$numberDouble": "NaN"}, '
        b'"past": 9223372036854775808, "nul": "a\\u0000b", "half": "\\ud83d", "wolf": "\\ud83d\\udc3a \xf0\x9f\x90\xba", '
        b'"$where": "x", "$oid": {"$oid": 1}, "$wilk": ["int", "0x5"]}, "x": {"$date": "soon", "$set": 1}}\n'
    )
    written(tmp_path, "agents.json", line)
    source, telling = Source([tmp_path]), Telling()
    (documents,) = collections(source, telling)["agents"]
    (one,) = documents()
    source.close()
    kept = codec.loads(codec.dumps(ejson.plain(one)))
    parameters = kept["model_parameters"]
    assert [repr(parameters.pop(name)) for name in ("nan", "nan2")] == ["nan", "nan"]
    assert parameters == {
        "huge": 10**400, "past": 2**63, "nul": "a\0b", "half": "\ud83d", "wolf": "🐺 🐺", "$where": "x",
        "$oid": {"$oid": 1}, "$wilk": ["int", "0x5"],
    }  # fmt: skip
    assert kept["x"] == {"$date": "soon", "$set": 1}
    assert telling.failed == []
    assert telling.warned == ["a number is past the range of floats; it is kept as the integer that it is"]


@pytest.mark.parametrize(
    "value",
    [
        {"$oid": "65a1"}, {"$oid": 5}, {"$oid": ID, "x": 1}, {"$date": "tomorrow"}, {"$date": None},
        {"$date": "2024-13-41T00:00:00Z"}, {"$date": 2**70}, {"$numberLong": "1.5"}, {"$numberLong": "9" * 30},
        {"$numberInt": "4294967296"}, {"$numberDouble": "x"}, {"$numberDouble": 1}, {"$binary": "AP8="},
        {"$binary": {"base64": "!", "subType": "00"}}, {"$binary": {"base64": "AA=="}}, {"$uuid": "x"},
        {"$regex": "a"}, {"$set": {"a": 1}}, {"$undefined": False}, {"$symbol": 1}, {"$": 1}, {"": {"$oid": 1}},
        {"$numberDecimal": "1.50"}, {"$timestamp": {"t": 1, "i": 2}}, {"$maxKey": 1}, {"$code": "f()"},
        {"$dbPointer": {"$ref": "a"}}, {"$code": "f()", "$scope": {}},
    ],
)  # fmt: skip
def test_what_is_no_wrapper_or_has_no_type_here_stays_as_it_is(value: dict[str, Any]) -> None:
    assert ejson.decode({"x": [value]}) == {"x": [value]}
    assert codec.foreign(json.dumps(value).encode(), unwrap=ejson.unwrap) == value
    assert ejson.decode(ejson.encode_relaxed(ejson.decode(value))) == ejson.decode(value)


@pytest.mark.parametrize(
    "text",
    ["2024-05-01T16:35:11.53Z", "2024-05-01T16:35:11.530+0000", "2024-05-01T18:35:11.530+02:00"],
)
def test_dates_are_moments_in_utc_whatever_their_zone(text: str) -> None:
    assert ejson.decode({"$date": text}) == datetime(2024, 5, 1, 16, 35, 11, 530000, UTC)


def test_uuids_are_one_in_all_their_forms() -> None:
    text = "00112233-4455-6677-8899-aabbccddeeff"
    binary = {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}
    one = {"$binary": "ABEiM0RVZneImaq7zN3u/w==", "$type": "4"}
    assert ejson.decode([binary, one, {"$uuid": text.upper()}]) == [{"$uuid": text}] * 3
    assert bson.parse(canonical_bson({"u": binary})) == {"u": {"$uuid": text}}


@pytest.mark.parametrize(
    ("high", "low", "text"),
    [
        (0x3040000000000000, 1, "1"), (0xB03C000000000000, 0x96, "-1.50"), (0x7800000000000000, 0, "Infinity"),
        (0xF800000000000000, 0, "-Infinity"), (0x7C00000000000000, 0, "NaN"), (0x3040000000000000, 0, "0"),
        (0x6C10000000000000, 1, "0"), (0x5FFE000000000000, 0x1, "1E+6111"), (0x2FF2000000000000, 0x1F, "3.1E-38"),
    ],
)  # fmt: skip
def test_decimals_have_the_text_that_mongodb_gives_them(high: int, low: int, text: str) -> None:
    raw = b"\x13d\0" + struct.pack("<QQ", low, high)
    found = bson.parse(struct.pack("<i", len(raw) + 5) + raw + b"\0")
    expected = text if text != "0" or high != 0x6C10000000000000 else found["d"]["$numberDecimal"]
    assert found == {"d": {"$numberDecimal": expected}}


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=6)
    | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)).map(
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
    | st.from_regex(r"\A[0-9a-f]{24}\Z").map(ejson.ObjectId),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5).map(lambda key: "k" + key), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(plain_values)
def test_what_is_written_relaxed_is_read_as_it_was(value: Any) -> None:
    there = json.dumps(ejson.encode_relaxed({"v": value})).encode()
    assert codec.foreign(there, unwrap=ejson.unwrap) == {"v": value}


# -- damaged BSON ---------------------------------------------------------------------------------


def documents(data: bytes) -> tuple[list[Any], list[tuple[str, str]]]:
    failed: list[tuple[str, str]] = []
    found = list(bson.documents(io.BytesIO(data), "a.bson", lambda *told: failed.append(told)))
    return found, failed


RAW = [canonical_bson({"_id": number(n), "text": f"document {n}", "in": {"a": [None]}}) for n in range(5)]


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda raw: [raw[0], raw[1][:-10], *raw[2:]], [0, 2, 3, 4]),  # bytes are missing
        (lambda raw: [raw[0], raw[1] + b"\0junk", *raw[2:]], [0, 1, 2, 3, 4]),  # bytes too many
        (lambda raw: [raw[0], b"\xff\xff\xff\x7f" + raw[1][4:], *raw[2:]], [0, 2, 3, 4]),  # a length past all
        (lambda raw: [raw[0], b"\x00\x00\x00\x00" + raw[1][4:], *raw[2:]], [0, 2, 3, 4]),
        (lambda raw: [raw[0], raw[1].replace(b"\x02text", b"\x44text"), *raw[2:]], [0, 2, 3, 4]),  # no such type
        (lambda raw: [raw[0], raw[1].replace(b"\x0b\0\0\0document", b"\xff\xff\0\0document"), *raw[2:]], [0, 2, 3, 4]),
        (lambda raw: [*raw[:4], raw[4][:-1]], [0, 1, 2, 3]),  # cut off
        (lambda raw: [*raw[:4], raw[4][:3]], [0, 1, 2, 3]),
        (lambda raw: [b"\x11" * 40, *raw], [0, 1, 2, 3, 4]),
    ],
)  # fmt: skip
def test_a_damaged_document_is_told_by_its_byte_and_the_others_are_read(damage: Any, left: list[int]) -> None:
    found, failed = documents(b"".join(damage(RAW)))
    assert [one["_id"] for one in found] == left
    assert len(failed) == 1
    assert failed[0][0].startswith("a.bson, byte ")


def test_text_that_is_not_utf_8_is_kept_reversibly() -> None:
    found, failed = documents(canonical_bson({"_id": "abcd"}).replace(b"abcd", b"a\xff\xe9d"))
    assert failed == []
    assert found[0]["_id"].encode("utf-8", "surrogateescape") == b"a\xff\xe9d"


def test_a_name_that_comes_twice_keeps_both_values() -> None:
    found, _ = documents(canonical_bson({"_id": "x", "a": "one", "b": "two"}).replace(b"\x02b\0", b"\x02a\0"))
    assert found == [{"_id": "x", "a": "two", "$repeated": {"a": ["one"]}}]


def test_a_document_nested_too_deeply_is_refused_by_name() -> None:
    deep = b"\x05\0\0\0\0"
    for _ in range(400):
        deep = struct.pack("<i", len(deep) + 8) + b"\x03d\0" + deep + b"\0"
    found, failed = documents(deep + RAW[0])
    assert [one["_id"] for one in found] == [0]
    assert failed == [("a.bson, byte 0", "the document is nested deeper than 180 levels")]


def test_a_length_that_lies_takes_no_memory() -> None:
    import tracemalloc

    data = struct.pack("<i", 2**31 - 1) + b"\x05_id\0" + struct.pack("<iB", 2**31 - 1, 0) + b"x" * 100
    tracemalloc.start()
    try:
        documents(data * 50)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def test_parse_raises_for_what_is_no_document() -> None:
    with pytest.raises(wilk.Invalid, match="damaged"):
        bson.parse(b"\x05\0\0\0\1")


def test_a_value_never_takes_bytes_of_what_follows_its_document() -> None:
    short = struct.pack("<i", 10) + b"\x10a\0\1\0\0"  # an int32 of which three bytes are missing
    short = short[:9] + b"\0"
    with pytest.raises(wilk.Invalid, match="damaged"):
        bson.parse(short + b"\0" * 20, 0, 10)
    with pytest.raises(wilk.Invalid, match="its length is another one"):
        bson.parse(RAW[0] + b"\0")


def test_the_old_form_of_binary_data_has_its_length_once() -> None:
    raw = b"\x05b\0" + struct.pack("<iBi", 6, 2, 2) + b"\0\xff"
    assert bson.parse(struct.pack("<i", len(raw) + 5) + raw + b"\0") == {
        "b": {"$binary": {"base64": "AP8=", "subType": "02"}}
    }


def test_a_dump_that_is_damaged_all_over_is_given_up() -> None:
    found, failed = documents((RAW[0] + RAW[1] + b"\x11" * 9) * 3000)
    assert len(found) == 2000
    assert len(failed) == 1001
    assert "the rest is not read" in failed[-1][1]
