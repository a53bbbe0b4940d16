"""Elements of JSON files: every way of writing them, and what becomes of damaged ones."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk.transfer.reading import json_items, windows

pytestmark = pytest.mark.storeless

ONE, TWO = {"a": 1, "t": 'x]}"{['}, {"b": [1, {"c": [None]}], "t": "ż🐺"}
LINES = b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in (ONE, TWO))


def read(data: bytes) -> tuple[list[Any], list[tuple[str, str]], list[str]]:
    failed: list[tuple[str, str]] = []
    noticed: list[str] = []
    found = list(
        json_items.items(io.BytesIO(data), "f.json", lambda *told: failed.append(told), notice=noticed.append)
    )
    return found, failed, noticed


@pytest.mark.parametrize(
    "data",
    [
        LINES,
        LINES.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + LINES,
        LINES.replace(b"\n", b""),
        LINES.rstrip(),
        b"\n\n" + LINES.replace(b"\n", b"\n\n \t\n"),
        json.dumps([ONE, TWO]).encode(),
        b"\xef\xbb\xbf  " + json.dumps([ONE, TWO], indent=2).encode() + b"\r\n",
        json.dumps([ONE, TWO], indent=0).encode(),
        json.dumps([ONE, TWO], indent="\t").encode(),
        b"".join(json.dumps(one, indent=4).encode() + b"\n" for one in (ONE, TWO)),
        b"".join(json.dumps(one, indent=0).encode() for one in (ONE, TWO)),
        b"[" + LINES.rstrip().replace(b"\n", b",\n") + b"]\n",
        b"[" + json.dumps(ONE).encode() + b"]\n[" + json.dumps(TWO).encode() + b"]",
    ],
    ids=[
        "lines", "crlf", "bom", "together", "no last break", "empty lines", "array", "array, bom, indented",
        "array without indents", "array with tabs", "objects, indented", "objects without indents",
        "array of mongoexport", "two arrays",
    ],
)  # fmt: skip
@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
def test_every_way_of_writing_the_elements_gives_the_same(
    data: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "CHUNK", chunk)
    assert read(data) == ([ONE, TWO], [], [])


@pytest.mark.parametrize("data", [b"", b"  \n", b"[]", b"\xef\xbb\xbf[ ]\r\n"])
def test_a_file_without_elements_has_none(data: bytes) -> None:
    assert read(data) == ([], [], [])


def test_elements_need_not_be_objects() -> None:
    assert read(b'[1, "a", null, -1.5e3, [true, {}], NaN]')[0][:5] == [1, "a", None, -1500.0, [True, {}]]


@pytest.mark.parametrize(
    ("data", "left", "told"),
    [
        (b'{"a":1}\n{"b":"cut\n{"c":1}\n', [{"a": 1}, {"c": 1}], [2]),
        (b'{"a":1}\n{"b":\n{"c":1}\n', [{"a": 1}, {"c": 1}], [2]),
        (b'{"a":1}\n{"b":1', [{"a": 1}], [2]),
        (b'{"a":1}\n{"b":"x', [{"a": 1}], [2]),
        (b'{"a":1}\n{"b":"x\\', [{"a": 1}], [2]),
        (b'{"a":1}\nno json at all\n{"c":1}', [{"a": 1}, {"c": 1}], [2]),
        (b'{"a":1}\n{"b" 1}\n{"c":1}', [{"a": 1}, {"c": 1}], [2]),
        (b'[{"a":1},{"b":[1},{"c":1}]', [{"a": 1}, {"c": 1}], [2]),
        (b'[{"a":1},{"b":tru},{"c":1}]', [{"a": 1}, {"c": 1}], [2]),
        (b'[{"a":1},{"b":1', [{"a": 1}], [2]),
        (b'[{"a":1},', [{"a": 1}], [2]),
        (b'[{"a":1}]}{"c":1}', [{"a": 1}, {"c": 1}], [2]),
        (b'[{"a":1},' + b'{"b":' * 500 + b"1" + b"}" * 500 + b',{"c":1}]', [{"a": 1}, {"c": 1}], [2]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_a_damaged_element_is_told_by_its_number_and_the_others_are_read(
    data: bytes, left: list[Any], told: list[int], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "CHUNK", chunk)
    found, failed, _ = read(data)
    assert found == left
    assert [place for place, _ in failed] == [f"f.json, element {number}" for number in told]


def test_an_error_holds_nothing_of_the_element() -> None:
    _, failed, _ = read(
        b'{"a":1}\n{"password": "canary" canary}\n{"canary": [1}\n{"x":"canary\n{"a":1}\n{"canary'
    )
    assert len(failed) == 4
    assert "canary" not in str(failed)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        ('{"a":1}'.encode("utf-16"), "save it as UTF-8"),
        ('{"a":1}'.encode("utf-16-le"), "save it as UTF-8"),
        ('{"a":1}'.encode("utf-32"), "save it as UTF-8"),
        (b"sender,text,isCreatedByUser\nUser,hello,true\n", "looks like CSV.*mongoexport"),
        (b'"sender";"text"\n', "looks like CSV"),
        (
            b"[\n  {\n    _id: ObjectId('65a1b2c3d4e5f60718293a4b'),\n    n: Long('5')\n  }\n]",
            "mongosh.*mongoexport",
        ),
        (
            b'{"_id": ObjectId("65a1b2c3d4e5f60718293a4b"), "at": ISODate("2024-01-01")}\n',
            "mongosh.*mongoexport",
        ),
        (b"<html><title>Log in</title>", "begins with neither"),
        (b"%PDF-1.7 \xe2\xe3", "begins with neither"),
    ],
)
def test_what_is_no_json_is_refused_with_what_to_do(data: bytes, advice: str) -> None:
    with pytest.raises(wilk.Invalid, match=f"(?s)^f.json.*{advice}"):
        read(data)


def test_a_text_with_line_breaks_is_read_though_json_forbids_them() -> None:
    assert read(b'{"t":"one\r\ntwo"}\n{"a":1}')[:2] == ([{"t": "one\r\ntwo"}, {"a": 1}], [])


def test_what_json_leaves_open_is_kept_and_noticed() -> None:
    found, failed, noticed = read(
        b'{"n": NaN, "i": -Infinity, "big": 18446744073709551617, "l": "\\ud800", "z": "\\u0000", '
        b'"huge": 1e400, "tiny": 1e-400, "nought": 0e-400, "long": '
        + b"7"
        * 10_000
        + b', "bad": "\xff\xe9", '
        b'"twice": 1, "twice": 2, "twice": {"x": 1, "x": 2}}'
    )
    assert failed == []
    assert repr(found[0].pop("n")) == "nan"
    assert found == [
        {
            "i": float("-inf"), "big": 18446744073709551617, "l": "\ud800", "z": "\0", "huge": 10**400,
            "tiny": "1e-400", "nought": 0.0, "long": "7" * 10_000, "bad": "\udcff\udce9",
            "twice": {"x": 2, "$repeated": {"x": [1]}}, "$repeated": {"twice": [1, 2]},
        }
    ]  # fmt: skip
    assert len(noticed) == 6


def test_such_values_go_through_a_store_and_come_back() -> None:
    found, _, _ = read(
        b'{"big": 1e400, "l": "\\ud800\\u0000", "bad": "\xff", "twice": 1, "twice": 2, "i": Infinity}'
    )
    assert wilk.codec.loads(wilk.codec.dumps(found[0])) == found[0]


def test_a_file_that_is_damaged_all_over_is_given_up() -> None:
    found, failed, _ = read(b'{"a":1}\n' + b"{]}\n" * 5000 + b'{"b":1}')
    assert found == [{"a": 1}]
    assert len(failed) == 1001
    assert "the rest is not read" in failed[-1][1]


class Endless(io.RawIOBase):
    """A long file that is made while it is read."""

    def __init__(self, element: bytes, count: int) -> None:
        self._parts = self._made(element, count)

    def _made(self, element: bytes, count: int) -> Iterator[bytes]:
        yield b"["
        for _ in range(count // 100):
            yield element * 100
        yield b"{}]"

    def read(self, size: int = -1) -> bytes:
        return next(self._parts, b"")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file() -> None:
    element = json.dumps({"text": "wolf " * 200, "n": [1, 2]}).encode() + b","
    tracemalloc.start()
    try:
        file = Endless(element, 100_000)  # 100 MB
        count = sum(1 for _ in json_items.items(file, "f", lambda *told: pytest.fail(str(told))))  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 100_001
    assert peak < 8 * 2**20


def test_an_element_that_is_refused_is_not_kept_in_memory() -> None:
    class Deep(Endless):
        def _made(self, element: bytes, count: int) -> Iterator[bytes]:
            yield b'[{"a":' + b"[" * 300
            for _ in range(count):
                yield element
            yield b"]" * 300 + b"},{}]"

    failed: list[str] = []
    tracemalloc.start()
    try:
        file = Deep(b'"wolf",' * 150_000, 24)  # 25 MB
        found = list(json_items.items(file, "f", lambda place, text: failed.append(text)))  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [{}]
    assert failed == ["nested deeper than 180 levels"]
    assert peak < 8 * 2**20


@pytest.mark.parametrize(
    "data",
    [
        b'{"t":"' + b'\\"' * 2_000_000 + b'"}',
        b"[" * 1_000_000,
        b'{"t":"' + b"x" * 4_000_000,
        b'{"a":"x\n' * 300_000,
        b'[{"a":1}' + b"}" * 300_000,
        b'["' * 300_000,
    ],
    ids=["escapes", "brackets", "no end", "lines cut off", "closings", "quotes"],
)
def test_a_file_made_to_be_slow_is_not(data: bytes) -> None:
    _, failed, _ = read(data)
    assert len(failed) <= 1001


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=4), max_size=6), st.integers(1, 40),
       st.sampled_from(["lines", "array", "indented", "together"]))  # fmt: skip
def test_any_objects_come_back_however_they_are_written(values: list[Any], chunk: int, how: str) -> None:
    before, windows.CHUNK = windows.CHUNK, chunk
    try:
        if how == "array":
            data = json.dumps(values)
        elif how == "indented":
            data = json.dumps(values, indent=1, ensure_ascii=False)
        else:
            data = ("\n" if how == "lines" else "").join(json.dumps(one) for one in values)
        assert read(data.encode("utf-8", "surrogatepass")) == (values, [], [])
    finally:
        windows.CHUNK = before
