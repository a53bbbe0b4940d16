"""Safe JSON: any JSON value comes back as it was, and anything else is refused by its path."""

from __future__ import annotations

import enum
import json
import math
import uuid
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wilk import Invalid, NotStorable, codec

pytestmark = pytest.mark.storeless

text = st.text(st.characters(), max_size=20)  # lone surrogates and NUL among it
huge = st.integers(-(10**40), 10**40)
values = st.recursive(
    st.none() | st.booleans() | huge | st.floats() | text | st.just("$wilk"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text | st.just("$wilk"), inner, max_size=4),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal in value and type; NaN is itself, and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (
            one != one and other != other
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@given(value=values)
@example({"$wilk": ["int", "5"]})
@example({"$wilk": {"$wilk": None}})
@example([{"$wilk": 1, "other": float("nan")}])
@example({"a\0": 1, "\ud800": 2, "$wilk": 3})
@example(2**63)
@example(2**64)
@example(-(2**63) - 1)
@example(-0.0)
@example('null \\u0000 "$wilk"')
def test_any_json_value_comes_back_as_it_was(value: Any) -> None:
    assert same(codec.loads(codec.dumps(value)), value)


@given(value=values)
@example("\0")
@example([{"a\0": "\0"}])
@example("the letters \\u0000")
def test_what_is_written_is_strict_json_that_every_engine_holds(value: Any) -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    written = codec.dumps(value)
    json.loads(written, parse_constant=refuse)
    written.encode()
    assert "\\u0000" not in written.replace("\\\\", ""), "PostgreSQL refuses it"


def test_an_integer_of_ten_thousand_digits_comes_back() -> None:
    value = -(7**12_000)
    assert codec.loads(codec.dumps([value])) == [value]


def test_the_order_of_keys_is_kept() -> None:
    value = {"b": 1, "a": None, "c": 2}
    assert list(codec.loads(codec.dumps(value))) == ["b", "a", "c"]


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Shape(enum.Enum):
    ROUND = "round"


ID = uuid.UUID(int=7)


class Sub(dict[str, Any]):
    """A dictionary of somebody's own."""


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ((1, (2,)), [1, [2]]),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        (Shape.ROUND, "round"),
        ([Shape.ROUND, None], ["round", None]),
        (ID, str(ID)),
        ([ID, None], [str(ID), None]),
        (Sub(a=1), {"a": 1}),
        (MappingProxyType({"a": float("inf")}), {"a": float("inf")}),
        (
            {"n": None, "level": Level.LOW, "colours": (Colour.RED,)},
            {"n": None, "level": 1, "colours": ["red"]},
        ),
    ],
)
def test_what_only_looks_different_is_kept_as_plain_json(value: Any, kept: Any) -> None:
    assert same(codec.loads(codec.dumps(value)), kept)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"x", "the value: bytes"),
        ({"a": [1, {"b": b"x"}]}, r"a\.1\.b: bytes"),
        ({"a": datetime(2026, 1, 1, tzinfo=UTC)}, "a: datetime"),
        ([{1, 2}], "0: set"),
        ({"a": {1: 2}}, "a: the key 1 is int, not text"),
        ({"a": {None: 2}}, "a: the key None is NoneType"),
        ([object()], "0: object"),
        ([1j], "0: complex"),
    ],
)
def test_what_has_no_json_form_is_refused_by_its_path(value: Any, message: str) -> None:
    with pytest.raises(NotStorable, match=message):
        codec.dumps(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotStorable, match="deeper than"):
        codec.dumps(value)


@given(value=values)
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(value: Any) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    if "$wilk" not in codec.dumps(value):
        assert codec.canonical(turned(value)) == codec.canonical(value)


def test_different_values_have_different_hashes() -> None:
    different = [
        None,
        0,
        0.5,
        "",
        [],
        {},
        [None],
        {"a": 1},
        {"a": "1"},
        float("nan"),
        2**70,
        str(2**70),
        "\ud800",
    ]
    assert len({codec.content_hash(value) for value in different}) == len(different)


@given(text=text)
def test_text_is_split_into_what_engines_hold_and_the_original(text: str) -> None:
    clean, original = codec.storable_text(text)
    clean.encode()
    assert "\0" not in clean
    assert (text if original is None else codec.original_text(original)) == text
    assert (original is None) == (clean == text)


class TestParse:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"a": 1, "b": {"x": 1, "x": 2}}', "'x' stands twice"),
            ("[NaN]", "NaN is not JSON"),
            ("[-Infinity]", "-Infinity is not JSON"),
            ('{\n "a": }', "line 2, column 7"),
            (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
            ("[" * 100_000, "nested too deeply"),
            ("1" * 5000, "too long"),
            ("", "line 1"),
        ],
    )
    def test_tells_what_is_wrong_and_where(self, text: str | bytes, message: str) -> None:
        with pytest.raises(Invalid, match=message):
            codec.parse(text)

    def test_takes_a_byte_order_mark(self) -> None:
        assert codec.parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@given(value=values)
def test_pretty_writes_any_json_value_as_utf_8(value: Any) -> None:
    json.loads(codec.pretty(value).encode())


def test_foreign_json_is_refused_with_a_place_and_without_its_content() -> None:
    with pytest.raises(Invalid, match=r"is no JSON at its character 14: ") as raised:
        codec.foreign(b'{"canary": 1 canary}')
    assert "canary" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_foreign_json_is_read_as_deep_as_a_store_keeps_it_and_no_deeper() -> None:
    deepest = codec.foreign(b"[" * codec.FOREIGN_DEPTH + b"]" * codec.FOREIGN_DEPTH)
    assert codec.loads(codec.dumps({"one": {"more": deepest}})) == {"one": {"more": deepest}}
    for deep in (b"[" * 181 + b"]" * 181, b'{"a":' * 100_000, b"[" * 1_000_000):
        with pytest.raises(Invalid, match="nested deeper than 180 levels"):
            codec.foreign(deep)
    assert codec.foreign(b'["' + b"[{" * 5000 + b'"]') == ["[{" * 5000]


def test_keys_that_repeat_in_foreign_json_are_all_kept() -> None:
    told: list[str] = []
    found = codec.foreign(b'{"$repeated": 1, "a": 1, "a": [2], "a": 3, "b": {}}', notice=told.append)
    assert found == {"$repeated": 1, "a": 3, "b": {}, "$$repeated": {"a": [1, [2]]}}
    assert len(told) == 1


def test_objects_of_foreign_json_are_unwrapped_from_the_inside() -> None:
    seen: list[object] = []

    def unwrap(value: dict[str, object]) -> object:
        seen.append(value)
        return len(seen)

    assert codec.foreign(b'{"a": {"b": {}}, "c": [{}]}', unwrap=unwrap) == 4
    assert seen == [{}, {"b": 1}, {}, {"a": 2, "c": [3]}]


@given(values)
def test_foreign_json_keeps_every_value_of_the_standard_library(value: Any) -> None:
    assert same(codec.foreign(json.dumps(value).encode()), value)
