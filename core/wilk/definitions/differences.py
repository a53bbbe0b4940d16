"""Differences between two states of a definition, for people to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher, unified_diff
from typing import Any, NamedTuple

from wilk import codec

_WIDTH = 60


class FieldChange(NamedTuple):
    """One field that differs. ``action`` is ``added``, ``removed`` or ``changed``."""

    field: str
    action: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.action == "added":
            return f"{self.field}: added {_shown(self.new)}"
        if self.action == "removed":
            return f"{self.field}: removed {_shown(self.old)}"
        if isinstance(self.old, str) and isinstance(self.new, str) and "\n" in self.old + self.new:
            return f"{self.field}: {_line_counts(self.old, self.new)}"
        return f"{self.field}: {_shown(self.old)} → {_shown(self.new)}"


class Difference(NamedTuple):
    """What differs between two definitions: by field, and as a unified diff of their YAML."""

    changes: tuple[FieldChange, ...]
    diff: str

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes))


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    """Compare two definitions; the order of keys is no difference, that of lists is."""
    changes = tuple(_changes(old, new, ""))
    return Difference(changes, _diff(old, new) if changes else "")


def _changes(old: Any, new: Any, field: str) -> Iterator[FieldChange]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            below = f"{field}.{key}" if field else str(key)
            if key not in new:
                yield FieldChange(below, "removed", old[key], None)
            elif key not in old:
                yield FieldChange(below, "added", None, new[key])
            else:
                yield from _changes(old[key], new[key], below)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _list_changes(old, new, field)
    elif codec.canonical(old) != codec.canonical(new):
        yield FieldChange(field, "changed", old, new)


def _list_changes(old: list[Any], new: list[Any], field: str) -> Iterator[FieldChange]:
    """Changes of a list: what was put in and taken out; positions are those of the new list, or,
    for what is gone, of the old one."""
    shapes = [list(map(codec.canonical, items)) for items in (old, new)]
    matcher = SequenceMatcher(None, shapes[0], shapes[1], autojunk=False)
    for action, start, stop, first, last in matcher.get_opcodes():
        if action == "equal":
            continue
        both = min(stop - start, last - first)
        for i in range(both):
            yield from _changes(old[start + i], new[first + i], f"{field}[{first + i}]")
        for i in range(start + both, stop):
            yield FieldChange(f"{field}[{i}]", "removed", old[i], None)
        for i in range(first + both, last):
            yield FieldChange(f"{field}[{i}]", "added", None, new[i])


def _diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """A unified diff of the YAML of both, with the keys in the order of the new one."""
    from wilk.definitions.dumping import dump, in_order_of

    before, after = (
        dump(definition).splitlines(keepends=True) for definition in (in_order_of(old, new), new)
    )
    return "".join(unified_diff(before, after, "old", "new"))


def _line_counts(old: str, new: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    kept = sum(block.size for block in SequenceMatcher(None, before, after, False).get_matching_blocks())
    return f"{len(before)} → {len(after)} lines ({len(after) - kept} added, {len(before) - kept} removed)"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value and value == value.strip() else codec.dumps(value)
    text = " ".join(text.split())
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
