"""Edits YAML in place by the positions that PyYAML gives: what stands outside of a change stays.

For where no better editor is installed. It replaces scalars, flow collections and whole blocks
without comments, adds keys at the end of a mapping, and removes keys; it moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from wilk import codec
from wilk.definitions.dumping import dump_block, dump_inline

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotPossible(Exception):
    """The change cannot be made without touching more than it."""


class _Patch(NamedTuple):
    start: int
    stop: int
    text: str


def patch(text: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Change a document from one definition to another; raises NotPossible."""
    root = yaml.compose(text, Loader=_Loader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise NotPossible
    lines = _Lines(text)
    for change in sorted(_changes(lines, root, before, after), key=lambda change: change.start, reverse=True):
        text = text[: change.start] + change.text + text[change.stop :]
    return text


def has_comments(text: str) -> bool:
    """Whether a comment stands anywhere in a YAML text; True when in doubt."""
    if "#" not in text:
        return False
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        return True
    return root is None or "#" in _without_scalars(text, root, 0, len(text))


class _Lines:
    """A text, and where its lines begin and end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"

    def begin(self, index: int) -> int:
        """The index at which the line of an index begins."""
        return self.text.rfind("\n", 0, index) + 1

    def end(self, index: int) -> int:
        """The index after the end of the line of an index."""
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    def block(self, value: Any, column: int) -> str:
        """A value in block style, indented to a column."""
        lines = dump_block(value).splitlines()
        return "".join(f"{' ' * column if line else ''}{line}{self.newline}" for line in lines)


def _changes(
    lines: _Lines, node: yaml.MappingNode, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[_Patch]:
    pairs = {key.value: (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    if any(key not in pairs for key in before):
        raise NotPossible  # it comes from a merge
    for key in before:
        if key not in after:
            yield _whole(lines, *pairs[key], "")
        elif codec.canonical(before[key]) != codec.canonical(after[key]):
            yield from _replaced(lines, *pairs[key], before[key], after[key])
    added = {key: value for key, value in after.items() if key not in before}
    if added:
        if not pairs or all(key not in after for key in before):
            raise NotPossible
        end = _content_end(lines, list(pairs.values())[-1][1])
        column = next(iter(pairs.values()))[0].start_mark.column
        gap = "" if end == 0 or lines.text[end - 1] == "\n" else lines.newline
        yield _Patch(end, end, gap + lines.block(added, column))


def _replaced(lines: _Lines, key: yaml.Node, node: yaml.Node, before: Any, after: Any) -> Iterator[_Patch]:
    text, start, stop = lines.text, node.start_mark.index, node.end_mark.index
    is_here = start >= key.end_mark.index
    if not is_here or (text[start : start + 1] in ("&", "*", "!")):
        raise NotPossible  # an anchor, an alias or a tag
    if isinstance(node, yaml.MappingNode) and not node.flow_style and isinstance(after, Mapping) and after:
        yield from _changes(lines, node, before, after)
    elif isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">"):
        if _is_short(after) or "#" in text[stop : lines.end(stop)]:
            space = " " if start == key.end_mark.index + 1 else ""
            yield _Patch(start, stop, space + dump_inline(after))
        else:
            yield _whole(lines, key, node, lines.block({key.value: after}, key.start_mark.column))
    elif isinstance(node, yaml.CollectionNode) and node.flow_style and "#" not in text[start:stop]:
        yield _Patch(start, stop, dump_inline(after))
    else:
        end = _content_end(lines, node)
        if "#" in _without_scalars(text, node, key.end_mark.index, end):
            raise NotPossible
        yield _whole(lines, key, node, lines.block({key.value: after}, key.start_mark.column))


def _whole(lines: _Lines, key: yaml.Node, node: yaml.Node, text: str) -> _Patch:
    """Replace the lines of a key and its value."""
    begin = lines.begin(key.start_mark.index)
    if lines.text[begin : key.start_mark.index].strip():
        raise NotPossible  # the first key of a mapping in a list: `- key: value`
    return _Patch(begin, _content_end(lines, node), text)


def _content_end(lines: _Lines, node: yaml.Node) -> int:
    """The index after the last line of a value; comments behind it are not part of it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _content_end(lines, last[1] if isinstance(last, tuple) else last)
    start, stop = node.start_mark.index, node.end_mark.index
    content = lines.text[start:stop].rstrip()  # a block of text ends after the blank lines below it
    return lines.end(max(start + len(content) - 1, start))


def _is_short(value: Any) -> bool:
    return not isinstance(value, (Mapping, list)) and not (isinstance(value, str) and "\n" in value)


def _without_scalars(text: str, node: yaml.Node, start: int, stop: int) -> str:
    """The text from start to stop without the scalars in it."""
    left = list(text[start:stop])
    stack: list[Any] = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, yaml.ScalarNode):
            for i in range(max(one.start_mark.index, start), min(one.end_mark.index, stop)):
                left[i - start] = ""
        else:
            for item in one.value:
                stack.extend(item if isinstance(item, tuple) else [item])
    return "".join(left)
