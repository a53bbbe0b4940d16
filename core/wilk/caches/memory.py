"""The tier in memory: entries of one namespace, the least recently used of which go first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cachetools import LRUCache

if TYPE_CHECKING:
    from wilk.caches.values import Entry

OVERHEAD = 400
"""Bytes that an entry takes beside its key and value: the objects around them."""


def _size(entry: Entry) -> int:
    return entry.size


class Memory(LRUCache["str", "Entry"]):
    """Entries by name, bounded by bytes. Whoever uses it sees to it that one thread does at a time."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, _size)
        self.evictions = 0

    def popitem(self) -> tuple[str, Entry]:
        """Drop the least recently used entry, to make room."""
        self.evictions += 1
        return super().popitem()

    def put(self, name: str, entry: Entry) -> bool:
        """Keep an entry in place of any other; False when it alone is larger than the tier."""
        if name in self:
            del self[name]
        entry.size += len(name) + OVERHEAD
        if entry.size > self.maxsize:
            return False
        self[name] = entry
        return True

    def drop(self, names: Iterable[str]) -> int:
        """Remove entries; return how many there were."""
        found = [name for name in names if name in self]
        for name in found:
            del self[name]
        return len(found)

    def expired(self, now: int) -> list[str]:
        """The names of what has expired."""
        return [name for name in self if (end := self._peek(name).expires_at) is not None and end <= now]

    def matching(self, prefix: str | None, tag: str | None) -> list[str]:
        """The names that begin with a prefix, or whose entries have a tag."""
        if prefix is not None:
            return [name for name in self if name.startswith(prefix)]
        return [name for name in self if tag in self._peek(name).tags]

    def read(self) -> list[str]:
        """The names of what was read since this was last asked."""
        found = []
        for name in self:
            entry = self._peek(name)
            if entry.read:
                entry.read = False
                found.append(name)
        return found

    def _peek(self, name: str) -> Entry:
        """An entry, without that counting as use."""
        return super(LRUCache, self).__getitem__(name)
