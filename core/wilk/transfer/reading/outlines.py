"""The outline of JSON from its beginning: which fields it has, without reading all of it.

Importers tell by it whose a file is. What is cut off or broken further on does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wilk.transfer.reading.sources import SourceFile

_HEAD = 262_144
_DEEP = 6
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_KINDS = {"{": "object", "[": "array", '"': "text"}


def outline(file: SourceFile, size: int = _HEAD) -> Mapping[str, str]:
    """The paths in a file's first bytes, such as ``[].mapping``, each with ``object``, ``array``, ``text`` or
    ``other``. The value itself is at the path "". Of lines of JSON all are taken together."""
    return paths(file.head(size))


def paths(head: bytes) -> Mapping[str, str]:
    """The paths in the first bytes of JSON; see :func:`outline`."""
    content = head.decode("utf-8-sig", errors="replace")
    found: dict[str, str] = {}
    ways: list[tuple[str, bool]] = []  # the path of each open object or list, and whether it is a list
    name: str | None = None  # the field whose value comes next
    awaited = False  # whether the next text is the name of a field
    for token in _TOKEN.findall(content):
        first = token[0]
        if first == ":":
            awaited = False
            continue
        if first == ",":
            name, awaited = None, bool(ways) and not ways[-1][1]
            continue
        if first in "}]":
            if ways:
                ways.pop()
            name, awaited = None, False
            continue
        if awaited and first == '"':
            name, awaited = token[1:-1], False
            continue
        if not ways and first not in '{["' and not re.match(r"-?\d|true|false|null|NaN", token):
            return found  # no JSON
        here = ways[-1] if ways else ("", False)
        path = ""
        if len(ways) <= _DEEP:
            path = "" if not ways else f"{here[0]}[]" if here[1] else f"{here[0]}.{name}".lstrip(".")
            found.setdefault(path, _KINDS.get(first, "other"))
        if first in "{[":
            ways.append((path, first == "["))
            name, awaited = None, first == "{"
    return found
