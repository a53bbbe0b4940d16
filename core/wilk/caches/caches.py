"""The caches of a store: each is opened when it is first asked for, and all are swept by and by."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from wilk.caches.policy import policy
from wilk.errors import BackendError, Closed, Invalid, WilkError
from wilk.files import check_id
from wilk.records.cache import CacheStatistics

if TYPE_CHECKING:
    from wilk.caches.cache import Cache
    from wilk.caches.sheltering import Shelter
    from wilk.clock import Clock
    from wilk.contracts import CachePolicy, CacheStorage, CacheTier
    from wilk.settings import Settings
    from wilk.worker import Worker

logger = logging.getLogger("wilk.caches")

SWEEP = 60.0
"""Seconds between two sweeps."""

PATIENCE = 2.0
"""Seconds that closing waits for a refresh that runs."""


class Telling(Protocol):
    """What caches need of a bus."""

    def join(self) -> None: ...

    def tell(self, namespace: str, place: str | None, what: str, argument: Any) -> None: ...


class Caches:
    """The caches by namespace. ``folder`` is None for a store without one, or that is read only: its caches
    lie in memory alone."""

    def __init__(
        self,
        settings: Settings,
        tier: Callable[[str], CacheTier],
        folder: Path | None,
        clock: Clock,
        worker: Worker,
        refresher: Worker,
        bus: Telling | None = None,
    ) -> None:
        self._settings = settings
        self._tier = tier
        self._folder = None if folder is None else folder / "cache"
        self._clock = clock
        self._worker = worker
        self._bus = bus
        self._shelter: Shelter | None = None
        self._refresher = refresher  # computations of users: slow ones must hold up nothing else
        self._lock = threading.Lock()
        self._open: dict[str, Cache] = {}
        self._told = False
        self._closed = False

    def get(self, namespace: str) -> Cache:
        """The cache of a namespace; raises Invalid for no name, and SettingsError for a bad policy."""
        found = self._open.get(namespace) if isinstance(namespace, str) else None
        if found is not None:
            return found
        chosen = self._policy(namespace)
        from wilk.caches.cache import Cache

        with self._lock:
            if self._closed:
                raise Closed("the store has been closed; open it again with wilk.open_store")
            if namespace not in self._open:
                tell = None
                if self._bus is not None:
                    self._bus.join()  # before anything is read that others may change
                    from wilk.caches.hearing import telling

                    tell = telling(self._bus.tell)
                storage = self._storage(namespace, chosen)
                self._open[namespace] = Cache(
                    namespace, chosen, storage, self._clock, self._refresher.submit, tell
                )
                if len(self._open) == 1:
                    self._worker.repeat("sweep of the caches", SWEEP, self.sweep)
            return self._open[namespace]

    def check(self, namespace: str) -> None:
        """Raise what :meth:`get` would about a name or its policy, without opening anything."""
        self._policy(namespace)

    def namespaces(self) -> list[str]:
        """The namespaces that hold something, or are open."""
        tier = self._tier(self._settings.cache_tier)
        there = (
            self._sheltered(tier).namespaces()
            if tier.remote
            else tier.namespaces(self._settings, self._folder)
        )
        return sorted({*self._open, *filter(_is_name, there)})

    @property
    def away(self) -> bool:
        """Whether the tier is on a server that cannot be reached just now."""
        return self._shelter is not None and self._shelter.away

    def statistics(self, namespace: str | None = None) -> list[CacheStatistics]:
        """How each cache fares, or one. Those that nobody has opened are looked at from outside."""
        chosen = self.namespaces() if namespace is None else [namespace]
        return [self._statistics(name) for name in chosen]

    def clear(
        self, namespace: str | None = None, *, prefix: str | None = None, tag: str | None = None
    ) -> int:
        """Remove what is in all caches, or in one; return how much."""
        chosen = self.namespaces() if namespace is None else [namespace]
        return sum(self.get(name).clear(prefix=prefix, tag=tag) for name in chosen)

    def sweep(self) -> int:
        """Remove what has expired, also from namespaces that nobody has opened; return how much."""
        removed = 0
        remote = self._tier(self._settings.cache_tier).remote  # whoever uses a cache there sweeps it
        for namespace in list(self._open) if remote else self.namespaces():
            try:
                if namespace in self._open:
                    removed += self._open[namespace].sweep()
                elif (storage := self._storage(namespace, self._policy(namespace))) is not None:
                    with closing(storage):
                        removed += storage.sweep(self._clock.now())
            except WilkError as error:
                logger.warning("cache %s is not swept: %s", namespace, error)
        return removed

    def heard(self, namespace: str, place: str | None, what: str, argument: Any) -> None:
        """Take note of what another store changed, also in a cache that nobody has opened here yet."""
        from wilk.caches.hearing import heard

        if namespace not in self._open:
            if self._tier(self._settings.cache_tier).remote or namespace not in self.namespaces():
                return
            self.get(namespace)
        heard(self._open[namespace], place, what, argument)

    def lose(self) -> None:
        """Empty the memory of all caches: changes by other stores were missed."""
        from wilk.caches.hearing import lose

        for cache in list(self._open.values()):
            lose(cache)

    def close(self) -> None:
        """Close what is open. Refreshes that have not begun are due again another time; for the one that runs
        it waits for a little while, then what that computes is not kept."""
        self._refresher.drop(PATIENCE)
        with self._lock:
            self._closed = True
            for cache in self._open.values():
                cache._close()

    def _policy(self, namespace: str) -> CachePolicy:
        if not isinstance(namespace, str):
            raise Invalid(f"cache {namespace!r}: a name is wanted, such as 'responses'")
        return policy(check_id(namespace, "cache"), self._settings.caches)

    def _storage(self, namespace: str, chosen: CachePolicy) -> CacheStorage | None:
        """The tier below memory; None where there is none, or it cannot be opened."""
        if not chosen.persistent:
            return None
        tier = self._tier(self._settings.cache_tier)
        try:
            if tier.remote:
                return self._sheltered(tier).storage(namespace, chosen)
            return tier.open(self._settings, self._folder, namespace, chosen)
        except (BackendError, OSError) as error:
            if not self._told:
                self._told = True
                logger.warning("caches lie in memory alone: %s", error)
            return None

    def _sheltered(self, tier: CacheTier) -> Shelter:
        """What keeps a remote tier's caches going while it is away."""
        if self._shelter is None:
            from wilk.caches.sheltering import Shelter

            self._shelter = Shelter(tier, self._settings, self._folder, self._tier, self._worker)
        return self._shelter

    def _statistics(self, namespace: str) -> CacheStatistics:
        if namespace in self._open:
            return self._open[namespace].statistics()
        chosen = self._policy(namespace)
        storage = self._storage(namespace, chosen)
        found = dict.fromkeys(("entries", "bytes", "evictions", "hits", "misses"), 0)
        if storage is not None:
            with closing(storage):
                found.update(storage.statistics())
        return CacheStatistics(
            namespace, max_bytes=chosen.max_bytes, memory_entries=0, memory_bytes=0, memory_hits=0, **found
        )


def _is_name(name: str) -> bool:
    """Whether a file is a cache's by its name; others have nothing to say here."""
    try:
        return bool(check_id(name, "cache"))
    except Invalid:
        return False
