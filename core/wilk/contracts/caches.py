"""What a tier of caches hands over, and the policies that it keeps to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from wilk.settings import Settings


@dataclass(frozen=True)
class CachePolicy:
    """How one namespace of a cache keeps what it is given.

    ``ttl`` is how long an entry lasts when nothing else is said (None: for ever), ``max_bytes`` how much
    the tier holds before the least recently used go, ``memory_bytes`` how much of it is kept in memory.
    ``compression`` writes values compressed where that is shorter; ``format`` is ``json`` or ``binary``
    (bytes). ``persistent`` False keeps entries in memory alone. ``refresh`` is the age from which a read
    by ``get_or_compute`` has a value computed anew behind it.
    """

    ttl: timedelta | None
    max_bytes: int
    memory_bytes: int
    compression: bool = False
    format: str = "json"
    persistent: bool = True
    refresh: timedelta | None = None


class CacheStorage(Protocol):
    """Keeps the entries of one namespace. Several threads and processes may use one at once.

    Keys are texts of at most 1,000 bytes in UTF-8, times microseconds since 1970. A tier that cannot
    read or write raises BackendError, and the cache goes on without it.

    A storage may have one more method, ``place()``: a text that is the same for all storages that share
    their entries, on whatever machine. Where it differs from that of a store that changed something, and
    told so over a bus, the old entry is removed here as well; without it, it goes from memory alone.
    """

    def get(self, key: str, now: int) -> tuple[bytes, int, int | None] | None:
        """Return value, time of writing and of expiry; None for no sound entry, or an expired one."""

    def set(
        self, key: str, value: bytes, *, now: int, expires_at: int | None, tags: Collection[str] = ()
    ) -> None:
        """Keep a value in place of any other; evict the least recently used beyond ``max_bytes``."""

    def touch(self, key: str, *, now: int, expires_at: int | None) -> bool:
        """Give an entry another time of expiry; False when there is none."""

    def delete(self, keys: Collection[str]) -> int:
        """Remove entries; return how many there were."""

    def clear(self, *, prefix: str | None = None, tag: str | None = None) -> int:
        """Remove all entries, or those of a prefix or a tag; return how many there were."""

    def sweep(self, now: int) -> int:
        """Remove what has expired; return how much."""

    def version(self) -> int | None:
        """Return a number that is another one after entries were changed through any other storage than
        this; None where that cannot be told, and what lies in memory counts for a second then."""

    def noted(self, keys: Collection[str], *, now: int, hits: int, misses: int) -> None:
        """Take note of entries that were read in memory, and of how often reads found something or not."""

    def statistics(self) -> Mapping[str, int]:
        """Return ``entries``, ``bytes``, ``evictions``, ``hits`` and ``misses``."""

    def computing(self, key: str, timeout: float) -> AbstractContextManager[bool]:
        """Let one caller of one process at a time compute a key; False when ``timeout`` passed first.

        It is let go when its holder dies, and may be let go by another thread than took it.
        """

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass(frozen=True, eq=False)
class CacheTier:
    """Where caches outlive the process, offered by ``register_caches`` and chosen by the setting
    ``cache_tier``.

    ``open(settings, folder, namespace, policy)`` gives the storage of one namespace; ``folder`` is where
    files may lie, None for a store without any, in which case the answer may be None: memory alone.
    ``namespaces(settings, folder)`` lists those that hold something. ``remote``: it lies on a server, which
    may be away; caches then go on without it (memory, and files below ``folder``), and what changed is
    removed from it when it is back.
    """

    name: str
    open: Callable[[Settings, Path | None, str, CachePolicy], CacheStorage | None]
    summary: str = ""
    namespaces: Callable[[Settings, Path | None], Collection[str]] = field(
        default=lambda _settings, _folder: ()
    )
    remote: bool = False
