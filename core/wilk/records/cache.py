"""What is told of a cache."""

from __future__ import annotations

from typing import NamedTuple


class CacheStatistics(NamedTuple):
    """How one namespace of a cache fares.

    ``hits`` and ``misses`` count reads of all processes, ``memory_hits`` those hits of this one that
    were answered in memory; ``evictions`` are entries that made room for others. A cache in memory
    alone counts what is in memory.
    """

    namespace: str
    entries: int
    bytes: int
    max_bytes: int
    memory_entries: int
    memory_bytes: int
    hits: int
    memory_hits: int
    misses: int
    evictions: int
