"""The text in JSON that is kept as it came: what is counted, shown and searched of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wilk import codec

_TEXTS = ("content", "text", "text_content", "memory_summary", "summary", "messages", "properties")
"""The keys under which applications keep what is said, in the order in which they are tried."""
_CALLS = ("tool_calls", "tool_results")


def text_of(value: Any) -> str:
    """What is said in a message, a list of parts or messages, or another object; "" if nothing is.

    Text that no engine could keep has U+FFFD in the place of NUL and lone surrogates.
    """
    return codec.storable_text(_said(value))[0]


def counted(message: Any) -> str:
    """The text of a message whose tokens are counted: what is said, and what tools were called with."""
    said = text_of(message)
    if not isinstance(message, Mapping):
        return said
    calls = [codec.dumps(message[key]) for key in _CALLS if message.get(key)]
    return "\n".join([said, *calls]) if calls else said


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        for key in _TEXTS:
            if said := _said(value.get(key)):
                return said
        return ""
    if isinstance(value, (list, tuple)):
        return "\n".join(filter(None, map(_said, value)))
    return ""
