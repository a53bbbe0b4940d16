"""Ids for what comes in: the source's own where that can be, else one that is derived from it."""

from __future__ import annotations

import re
from hashlib import sha256

from wilk import codec

_LONGEST = 200


def usable(id: str) -> bool:
    """Whether every engine can keep a text as an id."""
    return 0 < len(id) <= _LONGEST and codec.storable_text(id)[1] is None and id.isprintable()


def derived(*parts: str) -> str:
    """An id that the same parts always give, and others never."""
    return sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def file_name(id: str) -> str:
    """An id that can be the name of a definition's file: letters, digits, ``.``, ``_`` and ``-``."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", id).strip("-.")[:100].rstrip("-.")
    return name or f"unnamed-{derived(id)[:8]}"
