"""Arguments of tools: signatures as JSON Schemas, and the check of what is given."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk.services.tools.arguments import check
from wilk.services.tools.signatures import schema_of

pytestmark = pytest.mark.storeless

SCHEMAS = [
    (str, {"type": "string"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (bool, {"type": "boolean"}),
    (None, {"type": "null"}),
    (Any, {}),
    (list, {"type": "array"}),
    (list[int], {"type": "array", "items": {"type": "integer"}}),
    (Sequence[str], {"type": "array", "items": {"type": "string"}}),
    (dict, {"type": "object"}),
    (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    (Mapping[str, Any], {"type": "object"}),
    (Literal["a", "b"], {"enum": ["a", "b"]}),
    (str | None, {"type": ["string", "null"]}),
    (Optional[int], {"type": ["integer", "null"]}),  # noqa: UP045
    (list[int] | str, {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "string"}]}),
    (int | Any, {}),
    (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
]


def taking(annotation: Any) -> Callable[..., Any]:
    def run(value: Any) -> None: ...

    run.__annotations__["value"] = annotation
    return run


class TestSignatures:
    @pytest.mark.parametrize(("annotation", "schema"), SCHEMAS)
    def test_say_what_a_tool_takes(self, annotation: Any, schema: Any) -> None:
        assert schema_of(taking(annotation))["properties"] == {"value": schema}

    @pytest.mark.parametrize("annotation", [bytes, complex, set[int], tuple[int], dict[int, str], object()])
    def test_of_types_without_a_json_form_are_told(self, annotation: Any) -> None:
        with pytest.raises(wilk.Invalid, match="parameter value has no JSON form; use str, int"):
            schema_of(taking(annotation))

    def test_without_annotations_take_anything(self) -> None:
        assert schema_of(lambda a, b=1: None) == {
            "type": "object",
            "properties": {"a": {}, "b": {"default": 1}},
            "required": ["a"],
            "additionalProperties": False,
        }

    def test_with_open_ended_names_take_others(self) -> None:
        assert schema_of(lambda **more: None)["additionalProperties"] is True

    def test_leave_out_defaults_that_json_cannot_hold(self) -> None:
        assert schema_of(lambda a=b"x": None)["properties"] == {"a": {}}

    def test_are_those_of_what_is_left_of_a_partial_and_of_a_method(self) -> None:
        def add(a: int, b: int) -> int:
            return a + b

        class Adder:
            def add(self, a: int) -> int:
                return a

        assert schema_of(functools.partial(add, 1))["required"] == ["b"] or list(
            schema_of(functools.partial(add, b=1))["properties"]
        ) == ["a", "b"]
        assert list(schema_of(Adder().add)["properties"]) == ["a"]

    def test_that_cannot_be_read_are_told(self) -> None:
        with pytest.raises(wilk.Invalid, match="signature cannot be read.*give the tool parameters"):
            schema_of(dict)


def told(value: Any, schema: Any) -> str:
    with pytest.raises(wilk.Invalid) as caught:
        check("t", {"a": value}, {"properties": {"a": schema}})
    return str(caught.value)


class TestCheck:
    @pytest.mark.parametrize(
        ("value", "schema", "text"),
        [
            (1, {"type": "string"}, "argument a 1: string is wanted"),
            (True, {"type": "integer"}, "argument a True: integer is wanted"),
            (2.0, {"type": "integer"}, "argument a 2.0: integer is wanted"),
            (True, {"type": "number"}, "argument a True: number is wanted"),
            ("x", {"type": ["integer", "null"]}, "argument a 'x': integer or null is wanted"),
            ("c", {"enum": ["a", "b"]}, "argument a 'c': one of 'a', 'b' is wanted"),
            (True, {"enum": [1]}, "one of 1 is wanted"),
            (2, {"const": 1}, "argument a 2: 1 is wanted"),
            ([1, "x"], {"items": {"type": "integer"}}, "argument a.1 'x': integer is wanted"),
            ([], {"minItems": 1}, "at least 1 items are wanted, there are 0"),
            ([1, 2], {"maxItems": 1}, "at most 1 items"),
            ("", {"minLength": 1}, "at least 1 characters"),
            ("abc", {"maxLength": 2}, "at most 2 characters"),
            ("abc", {"pattern": "^b"}, "a text that fits '^b' is wanted"),
            ("abc", {"pattern": "("}, "the pattern '(' of the tool is none"),
            (1, {"minimum": 2}, "a number from 2 is wanted"),
            (3, {"maximum": 2}, "a number up to 2 is wanted"),
            (2, {"exclusiveMinimum": 2}, "a number above 2 is wanted"),
            (2, {"exclusiveMaximum": 2}, "a number below 2 is wanted"),
            ({"b": 1}, {"properties": {"b": {"type": "string"}}}, "argument a.b 1: string is wanted"),
            ({}, {"required": ["b"]}, "argument a.b is missing"),
            ({"bc": 1}, {"additionalProperties": False}, "argument a.bc is unknown; it takes none"),
            ({"x": 1}, {"additionalProperties": {"type": "string"}}, "argument a.x 1: string is wanted"),
            (1, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "argument a 1: string is wanted"),
            (1, {"oneOf": [{"type": "integer"}, {"minimum": 0}]}, "fits 2 of the forms"),
            (1, {"allOf": [{"type": "integer"}, {"minimum": 2}]}, "a number from 2 is wanted"),
            (1, False, "nothing is wanted here"),
        ],
    )
    def test_tells_what_is_wrong(self, value: Any, schema: Any, text: str) -> None:
        assert text in told(value, schema)

    @pytest.mark.parametrize(
        ("value", "schema"),
        [
            (None, {}), (1, {"type": "number"}), (1, {"type": "text"}), ("x", {"format": "date"}),
            ({"b": 1}, {"type": "object"}), ([1], {"type": "array"}), (None, {"type": ["string", "null"]}),
            (1, {"anyOf": [{"type": "string"}, {"type": "integer"}]}), (1, {"$ref": "#/x"}), (1, True),
            ("abc", {"pattern": "b"}), (2, {"minimum": 2, "maximum": 2}), ("x", {"const": "x"}),
        ],
    )  # fmt: skip
    def test_passes_what_fits(self, value: Any, schema: Any) -> None:
        check("t", {"a": value}, {"properties": {"a": schema}})

    def test_names_what_was_meant(self) -> None:
        with pytest.raises(wilk.Invalid, match="argument query_ is unknown; did you mean 'query'"):
            check("t", {"query_": 1}, {"properties": {"query": {}}})

    def test_lets_others_through_where_the_schema_does(self) -> None:
        check("t", {"other": 1}, {"properties": {}, "additionalProperties": True})

    def test_tells_of_five_problems_and_counts_the_rest(self) -> None:
        with pytest.raises(wilk.Invalid, match="argument e is missing; and 2 more"):
            check("t", {}, {"required": list("abcdefg")})

    def test_shows_little_of_what_is_long(self) -> None:
        assert len(told("x" * 10_000, {"type": "integer"})) < 200

    @given(st.sampled_from([annotation for annotation, _ in SCHEMAS if annotation is not None]), st.data())
    def test_passes_every_value_of_the_type_that_a_signature_names(
        self, annotation: Any, data: st.DataObject
    ) -> None:
        vague = annotation in (Any, int | Any, Mapping[str, Any])
        value = data.draw(st.dictionaries(st.text(), st.integers()) if vague else st.from_type(annotation))
        if isinstance(value, Sequence) and not isinstance(value, str):
            value = list(value)
        if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            return
        check("t", {"value": value}, schema_of(taking(annotation)))


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"x": {"enum": 5}}},
        {"properties": {"x": {"type": 5}}},
        {"properties": {"x": {"allOf": 5}}},
        {"properties": {"x": {"properties": 5}}},
        {"required": 5},
    ],
)
def test_a_schema_that_is_none_is_told(schema: Any) -> None:
    with pytest.raises(wilk.Invalid, match="tool 'x': its parameters are no JSON Schema"):
        check("x", {"x": {"a": 1}}, schema)


def test_a_number_of_very_many_digits_is_told() -> None:
    with pytest.raises(wilk.Invalid, match="argument x a number of very many digits: string is wanted"):
        check("x", {"x": 10**5000}, {"properties": {"x": {"type": "string"}}})
