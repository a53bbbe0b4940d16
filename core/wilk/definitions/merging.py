"""Merges two changes of one definition by their fields: what only one side changed is taken from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from wilk import codec


class _Absent:
    """Stands for a field that is not there."""


_ABSENT: Final = _Absent()


class Merged(NamedTuple):
    """The definition with both changes, and the fields that both sides changed, each in its way."""

    definition: dict[str, Any]
    clashes: list[str]


def merge(
    base: Mapping[str, Any], local: Mapping[str, Any], other: Mapping[str, Any], *, local_wins: bool = True
) -> Merged:
    """Merge the changes from ``base`` to ``local`` and to ``other``.

    Mappings are merged key by key, lists and scalars as wholes. Where both sides changed a field, each in
    its way, it is among the clashes, and has the value of one side. Keys keep the order of ``local``.
    """
    clashes: list[str] = []
    merged = _mapping(base, local, other, "", clashes, local_wins)
    return Merged(merged, clashes)


def _mapping(
    base: Mapping[str, Any],
    local: Mapping[str, Any],
    other: Mapping[str, Any],
    field: str,
    clashes: list[str],
    local_wins: bool,
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key in [*local, *(key for key in other if key not in local)]:
        below = f"{field}.{key}" if field else str(key)
        sides = [side.get(key, _ABSENT) for side in (base, local, other)]
        value = _value(sides[0], sides[1], sides[2], below, clashes, local_wins)
        if value is not _ABSENT:
            merged[key] = value
    return merged


def _value(base: Any, local: Any, other: Any, field: str, clashes: list[str], local_wins: bool) -> Any:
    if _same(local, other) or _same(base, other):
        return local
    if _same(base, local):
        return other
    if isinstance(local, Mapping) and isinstance(other, Mapping):
        return _mapping(base if isinstance(base, Mapping) else {}, local, other, field, clashes, local_wins)
    clashes.append(field)
    return local if local_wins else other


def _same(one: Any, other: Any) -> bool:
    if one is _ABSENT or other is _ABSENT:
        return one is other
    return codec.canonical(one) == codec.canonical(other)
