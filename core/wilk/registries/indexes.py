"""Reads an index of packages: a JSON object whose ``packages`` are objects."""

from __future__ import annotations

from typing import Any

from wilk import codec
from wilk.errors import BackendError, Invalid

INDEX = "index.json"
"""What the index is called in a folder, and below an address that names no file."""

MAX_INDEX = 32 << 20
"""The most bytes of an index."""


def packages(data: bytes, where: str) -> list[Any]:
    """The packages that an index names, unchecked; raises BackendError when it is no index."""
    try:
        found = codec.parse(data)
    except Invalid as error:
        raise BackendError(f"{where} is no index of packages: {error}") from error
    listed = found.get("packages") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise BackendError(f'{where} is no index of packages: {{"packages": […]}} is wanted')
    return listed
