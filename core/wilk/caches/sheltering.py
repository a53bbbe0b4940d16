"""Caches over a tier on a server that may go away: they go on with files of this machine until it is back.

An outage is told once, and so is its end. What was set, removed or cleared meanwhile is removed from the
tier before it is read again, by whichever process of this machine finds it there first: nobody else is to
find there what is old. What was kept in files meanwhile is dropped then, for others may have changed it.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, time_ns
from typing import TYPE_CHECKING, TypeVar

from wilk.caches import forking
from wilk.caches.cache import BLIND_LOOK
from wilk.caches.journal import Journal
from wilk.errors import BackendError

if TYPE_CHECKING:
    from wilk.contracts import CachePolicy, CacheStorage, CacheTier
    from wilk.settings import Settings
    from wilk.worker import Worker

logger = logging.getLogger("wilk.caches")
_T = TypeVar("_T")

RETRY = 1.0
"""Seconds between two looks at whether the tier is back; more of them when it does not stay for long."""
_LONGEST = 60.0
_PROBE = "wilk: whether this can be written"
_JOB = "look for the tier of the caches"
_AT_ONCE = 500
_SHARE = 20
"""So many times as long as asking for changes takes, the answer counts."""


class Shelter:
    """Whether the tier is there, for all caches of a store: one look at it serves them all."""

    def __init__(
        self,
        tier: CacheTier,
        settings: Settings,
        folder: Path | None,
        tiers: Callable[[str], CacheTier],
        worker: Worker,
    ) -> None:
        self.tier = tier
        self.settings = settings
        self.folder = folder
        self.away = False
        self._tiers = tiers
        self._worker = worker
        self._since = self._back = 0.0
        self._pause = RETRY
        self._lock = threading.RLock()
        self._members: weakref.WeakSet[Sheltered] = weakref.WeakSet()
        forking.told(self)

    def storage(self, namespace: str, policy: CachePolicy) -> CacheStorage | None:
        """The storage of a namespace; None where the tier has no place for this store's caches."""
        try:
            remote = self.tier.open(self.settings, self.folder, namespace, policy)
        except BackendError as error:
            self.failed(error)
            remote = None
        else:
            if remote is None:
                return None
        made = Sheltered(self, namespace, policy, remote)
        with self._lock:
            self._members.add(made)
        return made

    def namespaces(self) -> Collection[str]:
        """Those that hold something, as far as that can be told now."""
        if not self.away:
            try:
                return self.tier.namespaces(self.settings, self.folder)
            except BackendError as error:
                self.failed(error)
        return ()

    @property
    def spare_folder(self) -> Path | None:
        """Where the files lie that are used meanwhile."""
        return None if self.folder is None else self.folder / "away"

    def spare(self, namespace: str, policy: CachePolicy) -> CacheStorage | None:
        """A cache in files; None without a place for them."""
        folder = self.spare_folder
        if folder is None:
            return None
        try:
            return self._tiers("disk").open(self.settings, folder, namespace, policy)
        except (BackendError, OSError) as error:
            logger.debug("no files for the cache %s: %s", namespace, error)
            return None

    def has_spare(self, namespace: str) -> bool:
        """Whether there are files of a namespace, of this process or another."""
        folder = self.spare_folder
        return folder is not None and namespace in self._tiers("disk").namespaces(self.settings, folder)

    def failed(self, error: Exception) -> None:
        """The tier cannot be reached. The first to notice tells, and has it looked for."""
        with self._lock:
            if self.away:
                return
            self.away = True
            self._since = monotonic()
            stayed = self._since - self._back > 10 * RETRY
            self._pause = RETRY if stayed else min(2 * self._pause, _LONGEST)
            for member in list(self._members):
                member.leave()
        own = "in memory" if self.folder is None else "in memory and in files of this machine"
        logger.warning(
            "the cache tier %s is away: %s; caches go on %s, nothing is shared with other machines, and what "
            "is kept meanwhile is dropped when it is back",
            self.tier.name, error, own,
        )  # fmt: skip
        self._worker.repeat(_JOB, self._pause, self.look)

    def look(self) -> bool:
        """See whether the tier is back: then what changed meanwhile is removed from it."""
        with self._lock:
            members = list(self._members)
        try:
            while True:
                for member in members:
                    member.make_up()
                with self._lock:  # nothing is noted beside this
                    members = [member for member in self._members if not member.made_up]
                    if not members:
                        self.away = False
                        self._back = monotonic()
                        break
        except BackendError as error:
            logger.debug("the cache tier %s is still away: %s", self.tier.name, error)
            return False
        self._worker.cancel(_JOB)
        logger.warning("the cache tier %s is back after %.0f s", self.tier.name, monotonic() - self._since)
        return True

    def _born(self) -> None:
        self._lock = threading.RLock()
        if self.away:
            self._worker.repeat(_JOB, self._pause, self.look)


class Sheltered:
    """The storage of one namespace, whether its tier is there or not. No verb raises because it is away."""

    def __init__(
        self, shelter: Shelter, namespace: str, policy: CachePolicy, remote: CacheStorage | None
    ) -> None:
        self._shelter = shelter
        self._namespace = namespace
        self._policy = policy
        self._remote = remote
        self._spare: CacheStorage | None = None
        self._met = False
        self._outdated = False
        self._lock = threading.RLock()
        folder = shelter.spare_folder
        self._journal = Journal(None if folder is None else folder / f"{namespace}.changes")
        self._number = 0
        self._told: int | None = None
        self._told_by: object = None
        self._asked_again = 0.0
        self._closed = False
        forking.told(self)

    # -- the contract ---------------------------------------------------------------------

    def get(self, key: str, now: int) -> tuple[bytes, int, int | None] | None:
        """Return value, time of writing and of expiry."""
        return self._either(lambda storage: storage.get(key, now), None)

    def set(
        self, key: str, value: bytes, *, now: int, expires_at: int | None, tags: Collection[str] = ()
    ) -> None:
        """Keep a value."""
        self._change(
            [[key]], lambda storage: storage.set(key, value, now=now, expires_at=expires_at, tags=tags), None
        )

    def touch(self, key: str, *, now: int, expires_at: int | None) -> bool:
        """Give an entry another time of expiry."""
        return self._change(
            [[key]], lambda storage: storage.touch(key, now=now, expires_at=expires_at), False
        )

    def delete(self, keys: Collection[str]) -> int:
        """Remove entries."""
        return self._change([[key] for key in keys], lambda storage: storage.delete(keys), 0)

    def clear(self, *, prefix: str | None = None, tag: str | None = None) -> int:
        """Remove all entries, or those of a prefix or a tag."""
        return self._change([[prefix, tag]], lambda storage: storage.clear(prefix=prefix, tag=tag), 0)

    def sweep(self, now: int) -> int:
        """Remove what has expired."""
        return self._either(lambda storage: storage.sweep(now), 0)

    def version(self) -> int | None:
        """Return a number that others' changes make another.

        It stays the same when the tier goes away, so that what lies in memory is of use then; and it is
        another one once the tier is back. A server that takes its time is asked less often, so that this is a
        small part of what reads cost.
        """
        begun = monotonic()
        with self._lock:
            if begun < self._asked_again and not self._shelter.away:
                return self._number
        asked: list[CacheStorage] = []

        def number(storage: CacheStorage) -> int | None:
            asked[:] = [storage]
            return storage.version()

        none: int | None = 0
        told = self._either(number, none)
        by = asked[0] if asked else None
        with self._lock:
            if by is self._told_by:
                self._number += told != self._told
            else:
                self._number += by is self._remote
            self._told, self._told_by = told, by
            if told is None:
                return None
            now = monotonic()
            self._asked_again = now + min(_SHARE * (now - begun), BLIND_LOOK)
            return self._number

    def noted(self, keys: Collection[str], *, now: int, hits: int, misses: int) -> None:
        """Take note of what was read in memory."""
        self._either(lambda storage: storage.noted(keys, now=now, hits=hits, misses=misses), None)

    def statistics(self) -> Mapping[str, int]:
        """Return the totals of the tier in use."""
        none = dict.fromkeys(("entries", "bytes", "evictions", "hits", "misses"), 0)
        return self._either(lambda storage: storage.statistics(), none)

    @contextmanager
    def computing(self, key: str, timeout: float) -> Iterator[bool]:
        """Let one caller at a time compute a key: of all machines, or of this one while the tier is away."""
        with ExitStack() as stack:
            yield self._either(lambda storage: stack.enter_context(storage.computing(key, timeout)), True)

    def place(self) -> str | None:
        """Where the entries lie: elsewhere while the tier is away, as nobody shares them."""
        remote = self._remote
        if self._shelter.away or remote is None:
            return f"away:{os.getpid()}:{id(self)}"
        place: Callable[[], str | None] | None = getattr(remote, "place", None)
        return None if place is None else place()

    def close(self) -> None:
        """Let go of both tiers. What changed in an outage is left to the next process that finds the tier."""
        with self._lock:
            self._closed = True
            storages, self._remote, self._spare = (self._remote, self._spare), None, None
        for storage in storages:
            if storage is not None:
                storage.close()

    # -- going away and coming back -------------------------------------------------------

    def leave(self) -> None:
        """The tier is away. What lies in files from an earlier outage is no good now; a process that begins
        amid this one finds there what others keep."""
        if self._met:
            self._met = False
            self._outdated = True

    def make_up(self) -> None:
        """Remove from the tier what changed while it was away; raises BackendError while it is."""
        if self._closed:
            return
        remote = self._reached()
        if self._shelter.away:  # a server that is full answers, and keeps nothing
            now = time_ns() // 1000
            remote.set(_PROBE, b"", now=now, expires_at=now + 1_000_000)
            remote.delete([_PROBE])
        else:
            remote.version()
        with self._shelter._lock:
            changes = self._journal.take()
        names = [change[0] for change in changes if len(change) == 1]
        for change in changes:
            if len(change) != 1:
                remote.clear(prefix=change[0], tag=change[1])
        for start in range(0, len(names), _AT_ONCE):
            remote.delete([name for name in names[start : start + _AT_ONCE] if name is not None])
        self._journal.done()
        if self._shelter.has_spare(self._namespace):
            self._outdated = True
            self._opened_spare()
        with self._lock:
            self._number += 1  # what lies in memory from before may be old
            self._asked_again = 0.0
        self._met = True

    @property
    def made_up(self) -> bool:
        """Whether there is nothing left to be removed from the tier."""
        return self._closed or (self._met and not self._journal)

    def _reached(self) -> CacheStorage:
        with self._lock:
            if self._closed:
                raise BackendError("the cache has been closed")
            if self._remote is None:
                shelter = self._shelter
                self._remote = shelter.tier.open(
                    shelter.settings, shelter.folder, self._namespace, self._policy
                )
                if self._remote is None:
                    raise BackendError(f"the tier {shelter.tier.name} has no place for {self._namespace}")
            return self._remote

    def _opened_spare(self) -> CacheStorage | None:
        """The files, without what is of no use any more; None where there are none."""
        with self._lock:
            if self._spare is None and not self._closed:
                self._spare = self._shelter.spare(self._namespace, self._policy)
            if self._spare is not None and self._outdated:
                try:
                    self._spare.clear()
                except BackendError:
                    return None  # what is old is still there
                self._outdated = False
            return self._spare

    # -- one or the other -----------------------------------------------------------------

    def _either(self, call: Callable[[CacheStorage], _T], otherwise: _T) -> _T:
        """Ask the tier, or the files while it is away, or neither where there are none."""
        if not self._shelter.away:
            try:
                return self._there(call)
            except BackendError as error:
                self._failed(error)
        return self._aside(call, otherwise)

    def _change(
        self, changes: list[list[str | None]], call: Callable[[CacheStorage], _T], otherwise: _T
    ) -> _T:
        """As :meth:`_either`, and note what changed while the tier is away."""
        while True:
            if not self._shelter.away:
                try:
                    return self._there(call)
                except BackendError as error:
                    self._failed(error)
            with self._shelter._lock:
                if not self._shelter.away:
                    continue  # it is back since
                for change in changes:
                    self._journal.add(change)
            return self._aside(call, otherwise)

    def _there(self, call: Callable[[CacheStorage], _T]) -> _T:
        if not self._met:
            with self._lock:
                if self._shelter.away:
                    raise BackendError("the tier is away")
                if not self._met:
                    try:
                        self.make_up()
                    except BackendError as error:
                        self._failed(error)  # before the next thread tries it as well
                        raise
        return call(self._reached())

    def _aside(self, call: Callable[[CacheStorage], _T], otherwise: _T) -> _T:
        spare = self._opened_spare()
        if spare is not None:
            with suppress(BackendError):
                return call(spare)
        return otherwise

    def _failed(self, error: BackendError) -> None:
        if self._closed:
            raise error
        self._shelter.failed(error)

    def _born(self) -> None:
        self._lock = threading.RLock()
