"""A cache: one namespace, with a tier in memory over one that outlives the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from datetime import timedelta
from inspect import iscoroutine
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from wilk.caches import forking
from wilk.caches.memory import Memory
from wilk.caches.policy import Ttl, duration, expiry
from wilk.caches.values import Entry, entry, packed
from wilk.errors import BackendError, Closed, Invalid
from wilk.records.cache import CacheStatistics

if TYPE_CHECKING:
    from wilk.caches.flights import Flight, Flights
    from wilk.clock import Clock
    from wilk.contracts import CachePolicy, CacheStorage

logger = logging.getLogger("wilk.caches")
_T = TypeVar("_T")

LOOK = 0.005
"""Seconds for which this process takes it that no other one changed anything."""
BLIND_LOOK = 1.0
"""The same for a tier that cannot tell of changes."""
WAIT = "1m"
_SHORT = 250
_LONGEST = 1000
_HASHED = 64
_FUTURE = 60_000_000
_DISTRUSTED = 10_000
_TAG = 100
_FAILS = "its tier on disk fails"


class Cache:
    """Values under keys, each for a time. Made by ``store.cache(namespace)``.

    Values are JSON or bytes, and each caller gets a copy. Keys are texts of any length. A tier on disk
    that fails makes misses, and never an error of a read or of ``set``.
    """

    def __init__(
        self,
        namespace: str,
        policy: CachePolicy,
        storage: CacheStorage | None,
        clock: Clock,
        submit: Callable[[str, Callable[[], object]], bool],
        tell: Callable[[str, CacheStorage | None, str, Any], None] | None = None,
    ) -> None:
        self.namespace = namespace
        self.policy = policy
        self._storage = storage
        self._clock = clock
        self._submit = submit
        self._tell = tell
        self._lock = threading.RLock()
        self._memory = Memory(policy.memory_bytes)
        self._closed = False
        self._changes = 0  # by this process: what was read before one must not come into memory after it
        self._epoch = 0  # of changes by others: what was read before the last one is read again
        self._due = 0.0
        self._seen: int | None = None
        self._hits = self._memory_hits = self._misses = 0
        self._told = (0, 0)
        self._distrusted: set[str] = set()
        self._complaints: set[str] = set()
        self._refreshing: dict[str, float] = {}
        self._flights_made: Flights | None = None
        self._tasks: set[Any] = set()
        self._look()
        forking.told(self)

    # -- verbs ----------------------------------------------------------------------------

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value under a key, or ``default`` when there is none or it has expired."""
        found = self._found(key)
        return default if found is None else found.value

    def set(self, key: str, value: Any, *, ttl: Ttl = ..., tags: Collection[str] = ()) -> None:
        """Keep a value under a key, in place of any other, for ``ttl`` (``...``: as the policy says).

        A span such as "10m" or a timedelta; 0 is expired already, None is for ever. ``tags`` are names by
        which :meth:`clear` finds it. What is larger than the cache is not kept.
        """
        name = self._name(key)
        self._keep(name, packed(value, self.policy), ttl, tags)
        self._changed("set", name)

    def delete(self, key: str) -> bool:
        """Remove what is under a key; return whether there was something."""
        name = self._name(key)
        now = self._clock.now()
        storage = self._storage
        with self._lock:
            self._changes += 1
            known = self._memory.get(name)
            self._memory.drop([name])
        if storage is None:
            self._check_open()
            self._changed("delete", name)
            return known is not None and not _expired(known, now)
        try:
            removed = storage.delete([name]) > 0
        finally:
            with self._lock:
                self._changes += 1
                self._memory.drop([name])
            self._changed("delete", name)
        self._distrusted.discard(name)
        return removed

    def touch(self, key: str, *, ttl: Ttl = ...) -> bool:
        """Let what is under a key last for ``ttl`` from now; return whether there is something."""
        name = self._name(key)
        now = self._clock.now()
        expires_at = expiry(ttl, self.policy.ttl, now)
        if self._found(key, counted=False) is None:
            return False
        if expires_at is not None and expires_at <= now:
            return self.delete(key)
        storage = self._storage
        with self._lock:
            self._changes += 1
            changes = self._changes
        if storage is not None and name not in self._distrusted:
            try:
                if not storage.touch(name, now=now, expires_at=expires_at):
                    with self._lock:
                        self._memory.drop([name])  # it had to make room below: what is gone is gone here too
                    return False
            except BackendError as error:
                self._failed(error)
        with self._lock:
            known = self._memory.get(name)
            if known is not None and (storage is None or self._changes == changes):
                known.expires_at = expires_at
            elif storage is not None:
                self._memory.drop([name])  # another thread was in between: the tier below knows
        self._changed("touch", name)
        return True

    def clear(self, *, prefix: str | None = None, tag: str | None = None) -> int:
        """Remove everything, or what is under keys with a prefix, or what has a tag; return how much."""
        if prefix is not None and tag is not None:
            raise Invalid("clear takes prefix= or tag=, not both")
        if prefix is not None:
            prefix = _storable(_text("prefix", prefix)).encode()[: _LONGEST - _HASHED].decode(errors="ignore")
        if tag is not None:
            (tag,) = _tags([tag])
        storage, dropped = self._storage, 0
        with self._lock:
            self._changes += 1
            if storage is None:
                self._check_open()
                self._memory.drop(self._memory.expired(self._clock.now()))
                chosen = list(self._memory) if prefix is tag else self._memory.matching(prefix, tag)
                dropped = self._memory.drop(chosen)
            else:
                self._memory.clear()
        try:
            removed = dropped if storage is None else storage.clear(prefix=prefix, tag=tag)
        finally:
            if storage is not None:
                with self._lock:
                    self._changes += 1
                    self._memory.clear()
            self._changed("clear", [prefix, tag])
        if prefix is tag:  # neither: nothing old is left below
            self._distrusted.clear()
        return removed

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], _T],
        *,
        ttl: Ttl = ...,
        tags: Collection[str] = (),
        wait: Ttl = WAIT,
    ) -> _T:
        """Return the value under a key; where there is none, the one that ``compute()`` gives, and keep it.

        One caller computes, the others, in whichever thread or process, wait for what comes of it; after
        ``wait`` each computes by itself. A computation that fails is raised to its caller, and the next
        one tries. A value older than the policy's ``refresh`` is returned, and computed anew behind that.
        """
        found = self._found(key)
        name = self._name(key)
        if found is not None:
            if self._refresh_due(name, found):
                self._submit(
                    f"refresh of {self.namespace}/{name}", lambda: self._refreshed(name, compute, ttl, tags)
                )
            return found.value  # type: ignore[no-any-return]
        _tags(tags)
        if self._expires_at_once(ttl) or self._flights.nested(name):
            return self._computed(name, compute, ttl, tags)  # type: ignore[no-any-return]
        until = monotonic() + _seconds(wait)
        while True:
            flight, mine = self._flights.join(name)
            if mine:
                with self._flights.computing(name, flight), self._alone(name, until - monotonic()):
                    again = self._found(key, counted=False)  # another process may have been faster
                    if again is not None:
                        return again.value  # type: ignore[no-any-return]
                    return self._computed(name, compute, ttl, tags, flight)  # type: ignore[no-any-return]
            try:
                blob = flight.result(max(0.0, until - monotonic()))
            except TimeoutError:
                return self._computed(name, compute, ttl, tags)  # type: ignore[no-any-return]
            if blob is not None:
                return entry(blob, written=0, expires_at=None).value  # type: ignore[no-any-return]
            found = self._found(key, counted=False)
            if found is not None:
                return found.value  # type: ignore[no-any-return]

    def statistics(self) -> CacheStatistics:
        """Return how the cache fares: entries, bytes, hits, misses, evictions."""
        with self._lock:
            memory = self._memory
            hits, misses, evictions = self._hits, self._misses, memory.evictions
            entries, size = len(memory), int(memory.currsize)
        kept: dict[str, int] = {"entries": entries, "bytes": size, "evictions": evictions}
        limit = self.policy.memory_bytes
        if self._storage is not None:
            limit = self.policy.max_bytes
            try:
                self._note()
                kept = dict(self._storage.statistics())
                hits, misses = kept["hits"], kept["misses"]
            except BackendError as error:
                self._failed(error)
                kept = {"entries": 0, "bytes": 0, "evictions": 0}
        return CacheStatistics(
            namespace=self.namespace,
            entries=kept["entries"],
            bytes=kept["bytes"],
            max_bytes=limit,
            memory_entries=entries,
            memory_bytes=size,
            hits=hits,
            memory_hits=self._memory_hits,
            misses=misses,
            evictions=kept["evictions"],
        )

    def sweep(self) -> int:
        """Remove what has expired; return how much. The store does this by itself every minute."""
        now = self._clock.now()
        with self._lock:
            removed = self._memory.drop(self._memory.expired(now))
            self._refreshing = {name: at for name, at in self._refreshing.items() if at > monotonic()}
        if self._storage is None:
            return removed
        try:
            self._note()
            return self._storage.sweep(now)
        except BackendError as error:
            self._failed(error)
            return 0

    # -- reading --------------------------------------------------------------------------

    def _found(self, key: str, *, counted: bool = True) -> Entry | None:
        """The entry under a key, from memory or from the tier below."""
        name = key if type(key) is str and len(key) < _SHORT and key.isascii() else self._name(key)
        now = self._clock.now()
        if monotonic() >= self._due:
            self._look()
        with self._lock:
            try:
                found = self._memory[name]
            except KeyError:
                pass
            else:
                if found.epoch == self._epoch and ((end := found.expires_at) is None or end > now):
                    found.read = True
                    self._hits += counted
                    self._memory_hits += counted
                    return found
        return self._from_below(name, now, counted=counted)

    def _at_once(self, key: str) -> Entry | None:
        """The entry under a key, where that can be told without touching the tier below."""
        name = self._name(key)
        with self._lock:
            found: Entry | None = self._memory.get(name)
            if found is None or found.epoch != self._epoch or monotonic() >= self._due:
                return None
        return None if _expired(found, self._clock.now()) else self._found(key)

    def _from_below(self, name: str, now: int, *, counted: bool) -> Entry | None:
        with self._lock:
            changes, epoch = self._changes, self._epoch
        found = None
        storage = self._storage
        if storage is None:
            self._check_open()
        elif name not in self._distrusted:
            try:
                kept = storage.get(name, now)
                found = None if kept is None else self._read(storage, name, kept, now)
            except BackendError as error:
                self._failed(error)
        with self._lock:
            if found is None:
                self._misses += counted
                if self._changes == changes:
                    self._memory.drop([name])
                return None
            self._hits += counted
            if self._changes == changes:
                found.epoch = epoch
                self._memory.put(name, found)
        return found

    def _read(
        self, storage: CacheStorage, name: str, kept: tuple[bytes, int, int | None], now: int
    ) -> Entry | None:
        """What was kept, unless it makes no sense: that is removed."""
        blob, written, expires_at = kept
        try:
            if written <= now + _FUTURE:  # else the clock was wrong then, and so is the time of expiry
                return entry(blob, written=written, expires_at=expires_at)
        except (ValueError, TypeError) as error:
            logger.warning("cache %s: an entry that cannot be read is removed: %s", self.namespace, error)
        storage.delete([name])
        return None

    def _look(self) -> None:
        """See whether others changed something; if so, what lies in memory is read again."""
        storage = self._storage
        if storage is None:
            self._due = float("inf")
            return
        try:
            version = storage.version()
        except BackendError as error:
            self._failed(error)
            self._due = monotonic() + BLIND_LOOK  # what lies in memory is all that there is
            return
        with self._lock:
            if version is None or version != self._seen:
                self._epoch += 1
                self._seen = version
            self._due = monotonic() + (BLIND_LOOK if version is None else LOOK)

    # -- writing --------------------------------------------------------------------------

    def _keep(self, name: str, blob: bytes, ttl: Ttl, tags: Collection[str]) -> None:
        marks = _tags(tags)
        now = self._clock.now()
        expires_at = expiry(ttl, self.policy.ttl, now)
        storage = self._storage
        with self._lock:
            self._changes += 1
            changes, epoch = self._changes, self._epoch
            self._memory.drop([name])
        gone = expires_at is not None and expires_at <= now
        if storage is None:
            self._check_open()
        else:
            try:
                if gone:
                    storage.delete([name])
                else:
                    storage.set(name, blob, now=now, expires_at=expires_at, tags=marks)
                self._distrusted.discard(name)
                self._complaints.discard(_FAILS)
            except BackendError as error:
                self._failed(error)
                self._distrust(name)
        if gone:
            return
        kept = entry(blob, written=now, expires_at=expires_at)
        kept.tags = frozenset(marks)
        kept.size += sum(len(tag.encode()) + _TAG for tag in marks)
        kept.epoch = epoch
        with self._lock:
            if storage is None or self._changes == changes:
                large = not self._memory.put(name, kept) and storage is None
            else:
                large = False  # another thread was in between: the tier below knows who was last
                self._memory.drop([name])
            self._changes += 1
        if large or (storage is not None and len(blob) + len(name) > self.policy.max_bytes):
            self._complain("a value is larger than the cache, and is not kept", f": {len(blob)} bytes")

    def _changed(self, what: str, argument: Any) -> None:
        """Tell other stores of a change, where there is a bus."""
        if self._tell is not None:
            self._tell(self.namespace, self._storage, what, argument)

    def _distrust(self, name: str) -> None:
        """Do not read what lies below under a name: it could not be replaced."""
        self._distrusted.add(name)
        storage = self._storage
        if len(self._distrusted) > _DISTRUSTED and storage is not None:
            self._storage = None
            storage.close()
            with self._lock:
                # What came from below stays there: its tags are not known here.
                self._memory.drop([known for known in self._memory if known not in self._distrusted])
            self._complain("nothing could be written for long; it goes on in memory alone")

    def _failed(self, error: BackendError) -> None:
        if self._closed:
            raise Closed("the store has been closed; open it again with wilk.open_store") from error
        self._complain(_FAILS, f": {error}; what cannot be read is computed again")

    def _complain(self, what: str, more: str = "") -> None:
        """Log what is the matter, once."""
        if what not in self._complaints:
            self._complaints.add(what)
            logger.warning("cache %s: %s%s", self.namespace, what, more)

    def _note(self) -> None:
        """Tell the tier below what was read in memory, so that it is not the first to go there."""
        with self._lock:
            if self._storage is None:
                return
            hits, misses = self._hits, self._misses
            told, self._told = self._told, (hits, misses)
            names = self._memory.read()
        if names or (hits, misses) != told:
            try:
                self._storage.noted(
                    names, now=self._clock.now(), hits=hits - told[0], misses=misses - told[1]
                )
            except BackendError:
                self._told = told
                raise

    # -- computing ------------------------------------------------------------------------

    @property
    def _flights(self) -> Flights:
        if self._flights_made is None:
            from wilk.caches.flights import Flights

            with self._lock:
                self._flights_made = self._flights_made or Flights()
        return self._flights_made

    def _alone(self, name: str, timeout: float) -> Any:
        """Keep other processes from computing a key; where there are none, nothing."""
        storage = self._storage
        return nullcontext(True) if storage is None else storage.computing(name, max(0.0, timeout))

    def _computed(
        self,
        name: str,
        compute: Callable[[], Any],
        ttl: Ttl,
        tags: Collection[str],
        flight: Flight | None = None,
    ) -> Any:
        value = compute()
        if iscoroutine(value):
            value.close()
            raise Invalid("compute: a coroutine function is for the cache of an async store, or @wilk.cached")
        return self._taken(name, value, ttl, tags, flight)

    def _taken(
        self, name: str, value: Any, ttl: Ttl, tags: Collection[str], flight: Flight | None = None
    ) -> Any:
        """Keep what was computed, and return it as every later read will."""
        blob = packed(value, self.policy)
        self._keep(name, blob, ttl, tags)
        if flight is not None:
            from concurrent.futures import InvalidStateError

            with suppress(InvalidStateError):  # who was to wait for it has been told that it is cancelled
                flight.set_result(blob)
        return entry(blob, written=0, expires_at=None).value

    def _expires_at_once(self, ttl: Ttl) -> bool:
        lasting = self.policy.ttl if ttl is ... else duration(ttl)
        return lasting is not None and not lasting

    def _refresh_due(self, name: str, found: Entry) -> bool:
        """Whether a value is to be computed anew now; True for one caller at a time."""
        if not self._past_refresh(found):
            return False
        with self._lock:
            if self._refreshing.get(name, 0.0) > monotonic():
                return False
            self._refreshing[name] = monotonic() + _seconds(WAIT)  # a failure is not tried again before
            return True

    def _past_refresh(self, found: Entry) -> bool:
        refresh = self.policy.refresh
        return refresh is not None and self._clock.now() - found.written >= refresh // timedelta(
            microseconds=1
        )

    def _is_old(self, name: str) -> bool:
        """Whether a value is still to be computed anew when its turn comes: others may have done so, or
        removed it."""
        self._look()
        with self._lock:
            found: Entry | None = self._memory.get(name)
            if found is not None and found.epoch != self._epoch:
                found = None
        if found is None:
            found = self._from_below(name, self._clock.now(), counted=False)
        return found is not None and self._past_refresh(found)

    def _refreshed(self, name: str, compute: Callable[[], Any], ttl: Ttl, tags: Collection[str]) -> None:
        with self._alone(name, 0.0) as alone:
            if alone and self._is_old(name):
                self._computed(name, compute, ttl, tags)
        self._refreshing.pop(name, None)

    # -- its life -------------------------------------------------------------------------

    def _name(self, key: str) -> str:
        """The key as tiers take it: a long one is cut, and told apart by its hash."""
        text = _storable(_text("key", key))
        if text is key and len(key.encode()) < _LONGEST:
            return key
        from hashlib import sha256

        digest = sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return text.encode()[: _LONGEST - _HASHED].decode(errors="ignore") + digest

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the store has been closed; open it again with wilk.open_store")

    def _close(self) -> None:
        if self._closed:
            return
        try:
            self._note()
        except BackendError as error:
            logger.debug("cache %s: %s", self.namespace, error)
        with self._lock:
            self._closed = True
            self._memory.clear()
            storage, self._storage = self._storage, None
        if storage is not None:
            storage.close()

    def _born(self) -> None:
        self._lock = threading.RLock()
        self._flights_made = None
        self._told = (self._hits, self._misses)

    def __repr__(self) -> str:
        return f"<Cache {self.namespace}{' closed' if self._closed else ''}>"


def _expired(known: Entry, now: int) -> bool:
    return known.expires_at is not None and known.expires_at <= now


def _seconds(wait: Ttl) -> float:
    if wait is ...:
        wait = WAIT
    lasting = duration(wait)
    return (
        threading.TIMEOUT_MAX / 2
        if lasting is None
        else min(lasting.total_seconds(), threading.TIMEOUT_MAX / 2)
    )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{name} {value!r}: a text is wanted")
    return value


def _storable(text: str) -> str:
    """The text itself, or with escapes in place of lone surrogates, which UTF-8 has no bytes for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _tags(tags: Collection[str]) -> tuple[str, ...]:
    if isinstance(tags, str) or not isinstance(tags, Collection):
        raise Invalid(f"tags {tags!r}: a list of texts is wanted")
    for tag in tags:
        if not isinstance(tag, str) or not 0 < len(tag) <= _SHORT or "\x1f" in tag or _storable(tag) != tag:
            raise Invalid(f"tags: {tag!r}: a text of 1 to {_SHORT} characters is wanted")
    return tuple(dict.fromkeys(tags))
