"""Edits YAML in place by yaml-edit (``wilk[edit]``): only what differs is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import yaml_edit

from wilk import codec
from wilk.definitions.scalars import NotPlain, plain


class CommentsLost(ValueError):
    """The edit would have taken comments with it that stand beside, not in, what was removed."""


def edit(text: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Change a document from one definition to another.

    Raises ValueError where that cannot be done. The caller reads the result and compares it:
    yaml-edit follows YAML 1.2, and is young.
    """
    document = yaml_edit.Document.parse(text)
    root = document.as_mapping()
    if root is None:
        raise yaml_edit.YamlError("not a mapping")
    removed = _edit_mapping(root, before, after)
    result = str(document)
    if not removed and _comments(result) != _comments(text):
        raise CommentsLost
    return result


def _edit_mapping(node: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Tells whether anything was removed, whose comments go with it."""
    removed = False
    for key in before:
        if key not in after:
            node.remove(key)
            removed = True
    for key, value in after.items():
        if key not in before:
            node[key] = _written(value)
        elif codec.canonical(value) != codec.canonical(before[key]):
            removed |= _edit_value(node, key, before[key], value)
    return removed


def _edit_value(node: Any, key: Any, before: Any, after: Any) -> bool:
    """Change the value at a key of a mapping or a position of a list."""
    held = node[key]
    if isinstance(before, Mapping) and isinstance(after, Mapping) and before and after:
        mapping = held.as_mapping()
        if mapping is not None:
            return _edit_mapping(mapping, before, after)
    if isinstance(before, list) and isinstance(after, list) and before and after:
        sequence = held.as_sequence()
        if sequence is not None:
            return _edit_sequence(sequence, before, after)
    node[key] = _written(after)
    return isinstance(before, (Mapping, list))


def _edit_sequence(node: Any, before: Sequence[Any], after: Sequence[Any]) -> bool:
    removed = False
    shapes = [list(map(codec.canonical, items)) for items in (before, after)]
    matcher = SequenceMatcher(None, shapes[0], shapes[1], autojunk=False)
    # From the end, so that positions before stay as they are.
    for action, start, stop, first, last in reversed(matcher.get_opcodes()):
        if action == "replace" and stop - start == last - first:
            for i in range(stop - start):
                removed |= _edit_value(node, start + i, before[start + i], after[first + i])
        elif action != "equal":
            for i in reversed(range(start, stop)):
                del node[i]
            for item in reversed(after[first:last]):
                node.insert(start, _written(item))
            removed |= stop > start
    return removed


def _written(value: Any) -> Any:
    """A value as yaml-edit takes it, with quotes where YAML 1.1 needs them."""
    if isinstance(value, Mapping):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_written(item) for item in value]
    if isinstance(value, str) and not _is_safe(value):
        return yaml_edit.ScalarValue(value, style="double-quoted")
    return value


def _is_safe(text: str) -> bool:
    """Whether the text stays text without quotes, or has more than one line and becomes a block."""
    try:
        return "\t" not in text and ("\n" in text or plain(text) == text)
    except NotPlain:
        return False


def _comments(text: str) -> list[str]:
    return sorted(comment.content().strip() for comment in yaml_edit.Document.parse(text).comments())
