"""A row of any kind as the archive keeps it: JSON, with bytes as base64."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from wilk import codec


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row, column by column, with what JSON has no form for written as text.

    Restoring knows by the kind which columns hold bytes.
    """
    return {name: _plain(value) for name, value in row.items()}


def encoded(row: Mapping[str, Any]) -> str:
    """The row as JSON."""
    return codec.dumps(plain(row))


def _plain(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, (bytes, memoryview)) else value
