"""Refuses records that hold what must not be stored, such as keys pasted into a chat."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from wilk import Rejected, SettingsError

if TYPE_CHECKING:
    from wilk import Store


def check(store: Store, kind: str, record: Any) -> None:
    """Raise Rejected if any text of the record matches a pattern. The text is not repeated."""
    patterns = store.settings.plugins["audit"]["refuse"]
    compiled = _compiled((patterns,) if isinstance(patterns, str) else tuple(patterns))
    for field, value in zip(record._fields, record, strict=True):
        for text in _texts(value):
            for pattern in compiled:
                if pattern.search(text):
                    raise Rejected(
                        f"{kind} refused: its {field} matches {pattern.pattern!r}, which "
                        "plugins.audit.refuse keeps out of the store; take it out and try again"
                    )


@lru_cache(maxsize=32)
def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    found = []
    for pattern in patterns:
        try:
            found.append(re.compile(pattern))
        except (re.error, TypeError) as fault:
            text = f"plugins.audit.refuse: {pattern!r} is no pattern: {fault}"
            raise SettingsError(text) from fault
    return tuple(found)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
