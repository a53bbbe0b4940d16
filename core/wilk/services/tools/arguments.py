"""Arguments against the JSON Schema of a tool's parameters: the common keywords, every problem at once.

Checked are ``type``, ``enum``, ``const``, ``properties``, ``required``, ``additionalProperties``, ``items``,
``minItems``, ``maxItems``, ``minLength``, ``maxLength``, ``pattern``, ``minimum``, ``maximum``,
``exclusiveMinimum``, ``exclusiveMaximum``, ``anyOf``, ``oneOf`` and ``allOf``. Others (``$ref``, ``format``)
are for the model and not checked. An argument that no property describes is refused, unless
``additionalProperties`` takes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from wilk.errors import Invalid

_SHOWN = 60
_LARGEST = 5


def check(name: str, arguments: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Raise Invalid, with every problem, unless the arguments are what the parameters say."""
    schema = {"additionalProperties": False, **parameters, "type": "object"}
    try:
        problems = list(_problems(dict(arguments), schema, ""))
    except (TypeError, AttributeError, LookupError, ValueError, RecursionError) as error:
        raise Invalid(f"tool {name!r}: its parameters are no JSON Schema: {error}") from error
    if problems:
        more = f"; and {len(problems) - _LARGEST} more" if len(problems) > _LARGEST else ""
        raise Invalid(f"tool {name!r}: {'; '.join(problems[:_LARGEST])}{more}")


def _problems(value: Any, schema: Any, path: str) -> Iterator[str]:
    if schema is False:
        yield f"{_at(path)}: nothing is wanted here"
        return
    if not isinstance(schema, Mapping):
        return
    kinds = schema.get("type")
    if kinds is not None:
        wanted = [kinds] if isinstance(kinds, str) else list(kinds)
        if not any(_is(value, kind) for kind in wanted):
            yield f"{_at(path)} {_shown(value)}: {' or '.join(map(str, wanted))} is wanted"
            return
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        yield f"{_at(path)} {_shown(value)}: one of {', '.join(map(_shown, schema['enum']))} is wanted"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{_at(path)} {_shown(value)}: {_shown(schema['const'])} is wanted"
    if isinstance(value, Mapping):
        yield from _of_object(value, schema, path)
    elif isinstance(value, (list, tuple)):
        yield from _of_array(value, schema, path)
    elif isinstance(value, str):
        yield from _of_text(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _of_number(value, schema, path)
    yield from _of_several(value, schema, path)


def _of_object(value: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    properties = schema.get("properties") or {}
    for key in schema.get("required") or ():
        if key not in value:
            yield f"{_at(_below(path, key))} is missing"
    others = schema.get("additionalProperties", True)
    for key, item in value.items():
        if key in properties:
            yield from _problems(item, properties[key], _below(path, key))
        elif others is False:
            close = get_close_matches(str(key), properties, 1)
            there = f"there is {', '.join(properties)}" if properties else "it takes none"
            yield f"{_at(_below(path, key))} is unknown; " + (
                f"did you mean {close[0]!r}?" if close else there
            )
        else:
            yield from _problems(item, others, _below(path, key))


def _of_array(value: Sequence[Any], schema: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _range(len(value), schema, path, "minItems", "maxItems", "items")
    for number, item in enumerate(value):
        yield from _problems(item, schema.get("items"), _below(path, str(number)))


def _of_text(value: str, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _range(len(value), schema, path, "minLength", "maxLength", "characters")
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        try:
            fits = re.search(pattern, value)
        except re.error as error:
            yield f"{_at(path)}: the pattern {pattern!r} of the tool is none: {error}"
        else:
            if fits is None:
                yield f"{_at(path)} {_shown(value)}: a text that fits {pattern!r} is wanted"


def _range(
    size: int, schema: Mapping[str, Any], path: str, least: str, most: str, what: str
) -> Iterator[str]:
    if _is(schema.get(least), "number") and size < schema[least]:
        yield f"{_at(path)}: at least {schema[least]} {what} are wanted, there are {size}"
    if _is(schema.get(most), "number") and size > schema[most]:
        yield f"{_at(path)}: at most {schema[most]} {what} are wanted, there are {size}"


def _of_number(value: float, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    bounds: dict[str, tuple[str, Callable[[float], bool]]] = {
        "minimum": ("from", lambda bound: value >= bound),
        "maximum": ("up to", lambda bound: value <= bound),
        "exclusiveMinimum": ("above", lambda bound: value > bound),
        "exclusiveMaximum": ("below", lambda bound: value < bound),
    }
    for keyword, (words, holds) in bounds.items():
        bound = schema.get(keyword)
        if bound is not None and _is(bound, "number") and not holds(bound):
            yield f"{_at(path)} {_shown(value)}: a number {words} {bound} is wanted"


def _of_several(value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for part in schema.get("allOf") or ():
        yield from _problems(value, part, path)
    for keyword in ("anyOf", "oneOf"):
        parts = schema.get(keyword)
        if not parts:
            continue
        answers = [list(_problems(value, part, path)) for part in parts]
        fitting = answers.count([])
        if not fitting:
            yield min(answers, key=len)[0]
        elif keyword == "oneOf" and fitting > 1:
            yield f"{_at(path)} {_shown(value)}: it fits {fitting} of the forms that exclude each other"


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is of a type of JSON Schema; a type that there is not takes everything."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)  # 2.0 would surprise a function
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "array":
            return isinstance(value, (list, tuple))
        case "object":
            return isinstance(value, Mapping)
        case "null":
            return value is None
        case _:
            return True


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else str(key)


def _at(path: str) -> str:
    return f"argument {path}" if path else "the arguments"


def _shown(value: Any) -> str:
    try:
        shown = repr(value)
    except ValueError:  # a number of more digits than Python writes
        shown = "a number of very many digits"
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 1]}…"
