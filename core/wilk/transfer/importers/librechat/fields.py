"""Fields of LibreChat's documents and their places in definitions, in both directions.

What has a place goes there. What has none, and what would come back from there as something else, is kept
as it is in the rest, which lies in the definition's ``metadata.librechat``; so a document can be put
together again, field by field, and what was changed here in the meantime comes along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from wilk import codec
from wilk.errors import NotStorable
from wilk.transfer.reading.ejson import decode, encode_relaxed

NAME = "librechat"
_TAG = "$utf-16-le"
"""Marks text that no file holds, such as half a character, written as hexadecimal digits."""


def same_value(value: Any) -> Any:
    return value


class Field(NamedTuple):
    """A field: ``take`` gives its value at ``path`` of the definition (None: it has no place there), and
    ``give`` the field of such a value."""

    name: str
    path: tuple[str, ...]
    take: Callable[[Any], Any]
    give: Callable[[Any], Any] = same_value


def text(value: Any) -> str | None:
    return value if type(value) is str else None


def filled(value: Any) -> str | None:
    return value if type(value) is str and value.strip() else None


def texts(value: Any) -> list[str] | None:
    return value if isinstance(value, list) and all(type(one) is str for one in value) else None


def mapping(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def take(
    document: Mapping[str, Any], fields: Sequence[Field], schema: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put fields where they belong; return the definition and the rest.

    What ``schema`` does not take (a temperature of 3) stays in the rest.
    """
    by_name = {field.name: field for field in fields}
    made: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in document.items():
        field = by_name.get(name)
        here = None if field is None else field.take(value)
        if field is None or here is None:
            rest[name] = value
            continue
        clean = storable(here)
        put(made, field.path, clean)
        if not same(field.give(clean), value):
            rest[name] = value
    for problem in [*schema.check(made)]:
        if problem.warning or not (path := _drop(made, problem.path)):
            continue
        for field in fields:
            reach = min(len(field.path), len(path))
            if field.name in document and field.path[:reach] == path[:reach]:
                rest[field.name] = document[field.name]
    return made, rest


def give(
    definition: Mapping[str, Any], rest: Mapping[str, Any], fields: Sequence[Field], schema: Any
) -> dict[str, Any]:
    """Put a document together again: the rest, and the fields as the definition has them by now."""
    then, _ = take(rest, fields, schema)
    document = dict(rest)
    for field in fields:
        here = at(definition, field.path)
        if field.name in rest:
            if same(at(then, field.path), here) or _renamed(field, at(then, field.path), here):
                continue
            document.pop(field.name)
        if here is not None:
            document[field.name] = field.give(here)
    return document


def _renamed(field: Field, then: Any, here: Any) -> bool:
    """Whether a name has only got an id behind it, as the landing does with names that are taken."""
    return field.path == ("name",) and isinstance(then, str) and str(here).startswith(f"{then} (")


def kept(rest: Mapping[str, Any]) -> dict[str, Any]:
    """The rest as a definition or metadata can hold it."""
    made = {}
    for name, value in rest.items():
        plain = encode_relaxed(value)
        try:
            held = codec.dumps({name: plain})
        except NotStorable:
            made[name] = "nested too deeply"
            continue
        if '"$wilk"' in held:
            # What YAML cannot hold either, such as half a character.
            name, plain = next(iter(_plain({name: plain}).items()))
        made[name] = plain
    return made


def restored(rest: Any) -> dict[str, Any]:
    """The rest as it was before it was :func:`kept`, dates and ids as such."""
    return {} if not isinstance(rest, Mapping) else {_name(n): decode(_lifted(v)) for n, v in rest.items()}


def _plain(value: Any) -> Any:
    """A value whose texts that no file holds are written as tags."""
    if isinstance(value, str):
        return value if _is_plain(value) else {_TAG: value.encode("utf-16-le", "surrogatepass").hex()}
    if isinstance(value, Mapping):
        return {_tagged_name(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _is_plain(value: str) -> bool:
    return codec.storable_text(value)[1] is None


def _tagged_name(name: str) -> str:
    return name if _is_plain(name) else f"{_TAG}:{name.encode('utf-16-le', 'surrogatepass').hex()}"


def _name(name: str) -> str:
    return _from_hex(name[len(_TAG) + 1 :], name) if name.startswith(f"{_TAG}:") else name


def _lifted(value: Any) -> Any:
    if isinstance(value, Mapping):
        if len(value) == 1 and isinstance(digits := value.get(_TAG), str):
            return _from_hex(digits, value)
        return {_name(key): _lifted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_lifted(item) for item in value]
    return value


def _from_hex(digits: str, otherwise: Any) -> Any:
    try:
        return bytes.fromhex(digits).decode("utf-16-le", "surrogatepass")
    except ValueError:
        return otherwise


def storable(value: Any) -> Any:
    """A value as a definition's file can hold it: characters that it cannot are replaced; plain types."""
    if isinstance(value, str):
        return codec.storable_text(str(value))[0]
    if isinstance(value, Mapping):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return encode_relaxed(value)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same and of the same types; NaN is the same as NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(item, other[key]) for key, item in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def put(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value at a path of nested mappings."""
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target[path[-1]] = value


def at(source: Any, path: Sequence[Any]) -> Any:
    """The value at a path of nested mappings, or None."""
    for name in path:
        if not isinstance(source, Mapping):
            return None
        source = source.get(name)
    return source


def _drop(definition: dict[str, Any], path: Sequence[Any]) -> tuple[Any, ...]:
    """Remove what stands at a path, as far in as there are mappings; return the path of what went."""
    inner: Any = definition
    for depth, name in enumerate(path):
        if not isinstance(inner, dict) or name not in inner:
            return ()
        if depth == len(path) - 1 or not isinstance(inner[name], dict):
            del inner[name]
            return tuple(path[: depth + 1])
        inner = inner[name]
    return ()
