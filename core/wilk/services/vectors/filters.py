"""Filters over the metadata of vectors, as conditions on their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wilk import models
from wilk.errors import Invalid
from wilk.services import checks
from wilk.services.vectors.spaces import tag_of, tags

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "not in", "exists")

_MOST_CONDITIONS, _MOST_VALUES = 100, 10_000  # more than engines take in one statement

_BY_NUMBER: dict[str, Callable[[Any, float], Any]] = {
    "<": lambda field, value: field < value,
    "<=": lambda field, value: field <= value,
    ">": lambda field, value: field > value,
    ">=": lambda field, value: field >= value,
}


def conditions(space: int, where: Any) -> list[Any]:
    """The conditions that a vector's number meets when its metadata meet the filter; all of them must hold.

    Raises Invalid for what is no filter, naming the key and what there is.
    """
    if not isinstance(where, Mapping):
        raise Invalid(
            f"where {where!r}: an object is wanted, such as {{'lang': 'en', 'year': {{'>=': 2020}}}}"
        )
    found: list[Any] = []
    values = 0
    for key, wanted in where.items():
        checks.identifier("where: a key", key)
        if isinstance(wanted, (list, tuple, set, frozenset)):
            raise Invalid(f"where: {key}: write {{'in': [...]}} for one of several values")
        if not isinstance(wanted, Mapping):
            wanted = {"=": wanted}
        if not wanted:
            raise Invalid(f"where: {key}: an operator is missing, one of {', '.join(OPERATORS)}")
        values += sum(_size(value) for value in wanted.values())
        if values > _MOST_VALUES or len(found) + len(wanted) > _MOST_CONDITIONS:
            raise Invalid(
                f"where: at most {_MOST_CONDITIONS} conditions with {_MOST_VALUES} values are taken in; "
                "keep what tells the wanted vectors in their metadata"
            )
        found += [_condition(space, key, operator, value) for operator, value in wanted.items()]
    return found


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (list, tuple, set, frozenset)) else 1


def fits(metadata: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Whether metadata meet a filter that :func:`conditions` has taken."""
    there: dict[str, list[tuple[str, float | None]]] = {}
    for key, text, real in tags(metadata):
        there.setdefault(key, []).append((text, real))
    return all(
        _holds(there.get(key, []), operator, value)
        for key, wanted in where.items()
        for operator, value in (wanted if isinstance(wanted, Mapping) else {"=": wanted}).items()
    )


def _holds(found: list[tuple[str, float | None]], operator: str, value: Any) -> bool:
    if operator == "exists":
        return bool(found) is bool(value)
    if operator in _BY_NUMBER:
        compared = _BY_NUMBER[operator]
        return any(real is not None and compared(real, float(value)) for _, real in found)
    texts = {tag_of(one)[0] for one in (value if operator in ("in", "not in") else [value])}
    same = any(text in texts for text, _ in found)
    return same is (operator not in ("!=", "not in"))


def _condition(space: int, key: str, operator: Any, value: Any) -> Any:
    vector: Any = models.Vector
    if operator == "exists":
        if not isinstance(value, bool):
            raise Invalid(f"where: {key}: exists takes True or False, not {value!r}")
        some = _tagged(space, key)
        return vector.number.in_(some) if value else vector.number.not_in(some)
    tag: Any = models.VectorTag
    if operator in ("=", "!="):
        some = _tagged(space, key).where(tag.text == _text(key, value))
        return vector.number.in_(some) if operator == "=" else vector.number.not_in(some)
    if operator in ("in", "not in"):
        if not isinstance(value, (list, tuple, set, frozenset)):
            raise Invalid(f"where: {key}: {operator} takes a list, not {value!r}")
        some = _tagged(space, key).where(tag.text.in_([_text(key, one) for one in value]))
        return vector.number.in_(some) if operator == "in" else vector.number.not_in(some)
    if operator in _BY_NUMBER:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Invalid(
                f"where: {key}: {operator} compares numbers, not {value!r}; keep a time as seconds since 1970"
            )
        real = tag_of(value)[1]
        if real is None or real != real:
            raise Invalid(f"where: {key}: nothing is {operator} {value!r}")
        return vector.number.in_(_tagged(space, key).where(_BY_NUMBER[operator](tag.real, real)))
    raise Invalid(f"where: {key}: there is no operator {operator!r}; one of {', '.join(OPERATORS)} is wanted")


def _tagged(space: int, key: str) -> Any:
    tag: Any = models.VectorTag
    return tag.select(tag.number).where(tag.space_id == space, tag.key == key)


def _text(key: str, value: Any) -> str:
    try:
        return tag_of(value)[0]
    except Invalid as error:
        raise Invalid(f"where: {key}: {error}") from None
