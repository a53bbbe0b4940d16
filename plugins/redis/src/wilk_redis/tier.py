"""The tier ``redis``: the entries of a cache on a server, with all that is known of them beside."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from wilk_redis import scripts
from wilk_redis.connecting import client, translated
from wilk_redis.locks import KeyLocks
from wilk_redis.options import Options, options_of
from wilk_redis.prefixes import prefix_of

if TYPE_CHECKING:
    from pathlib import Path

    from wilk import CachePolicy, Settings

OVERHEAD = 500
"""Bytes that the server has for an entry beside its key, value and tags."""
LINGER = 60_000
"""Milliseconds for which the server keeps what has expired: clocks differ, and the entry knows by itself."""
_AT_ONCE = 500
_NOTED = 1000
_SEPARATOR = "\x1f"
_SCRIPTS = ("SET", "TOUCH", "DELETE", "CLEAR", "CLEAR_SOME", "BURY", "SWEEP")


class SharedCache:
    """The entries of one namespace. Threads, processes and machines use them at once."""

    def __init__(self, options: Options, prefix: str, namespace: str, policy: CachePolicy) -> None:
        self._options = options
        self._prefix = prefix
        self._namespace = namespace
        self._base = f"wilk:{{{prefix}:{namespace}}}:"
        self._max_bytes = policy.max_bytes
        server: Any = client(options)
        self._server = server
        self._scripts = {name: server.register_script(getattr(scripts, name)) for name in _SCRIPTS}
        self._locks = KeyLocks(server, options, self._base)
        self._announced = False
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._used: dict[str, int] = {}
        self._own = 0
        self._version = 0

    # -- the contract ---------------------------------------------------------------------

    def get(self, key: str, now: int) -> tuple[bytes, int, int | None] | None:
        """Return value, time of writing and of expiry."""
        with translated(self._options):
            generation, entry = self._server.mget(self._base + "gen", self._entry(key))
        if generation is None or entry is None or not entry.startswith(generation):
            return None
        try:
            written, expires = int(entry[17:36]), entry[36 : scripts.HEAD].decode()
            expires_at = None if expires == scripts.NEVER else int(expires)
        except ValueError:
            return None  # somebody else wrote it
        if expires_at is not None and expires_at <= now:
            return None
        used = self._used
        used[key] = now
        if len(used) > _NOTED:
            self.noted((), now=now, hits=0, misses=0)
        return entry[scripts.HEAD :], written, expires_at

    def set(
        self, key: str, value: bytes, *, now: int, expires_at: int | None, tags: Collection[str] = ()
    ) -> None:
        """Keep a value. What goes beyond ``max_bytes`` makes room: first the expired, then the least used."""
        marks = _SEPARATOR + "".join(tag + _SEPARATOR for tag in tags) if tags else ""
        size = len(key.encode()) + len(value) + len(marks.encode()) + OVERHEAD
        if size > self._max_bytes:
            self.delete([key])
            return
        with self._writing(), translated(self._options):
            self._announce()
            self._flush()
            self._own += 1
            self._run(
                "SET", key, _digits(now), *_expiry(now, expires_at, value), size, marks, self._max_bytes
            )

    def touch(self, key: str, *, now: int, expires_at: int | None) -> bool:
        """Give an entry another time of expiry."""
        with self._writing(), translated(self._options):
            touched = self._run("TOUCH", key, _digits(now), *_expiry(now, expires_at))
            self._own += touched
            return bool(touched)

    def delete(self, keys: Collection[str]) -> int:
        """Remove entries."""
        removed = 0
        for some in _batches(list(keys)):
            with self._writing(), translated(self._options):
                self._own += 1
                removed += int(self._run("DELETE", *some))
        return removed

    def clear(self, *, prefix: str | None = None, tag: str | None = None) -> int:
        """Remove all entries at once, or those of a prefix or a tag step by step."""
        if tag is not None:
            return self._clear_some("tag", _SEPARATOR + tag + _SEPARATOR)
        if prefix:
            return self._clear_some("prefix", prefix)
        with self._writing(), translated(self._options):
            self._own += 1
            removed: int = self._run("CLEAR")
        self._bury()
        return removed

    def sweep(self, now: int) -> int:
        """Remove what has expired, in small steps, so that others come in between."""
        removed, step = 0, 1000
        while step == 1000:
            with translated(self._options):
                step = self._run("SWEEP", now)
            removed += step
        self._bury()
        return removed

    def version(self) -> int | None:
        """Return a number that others' changes make another: the server counts them, this process its own."""
        self._check_process()
        if not self._lock.acquire(timeout=0.02):
            return self._version
        try:
            name = self._base + "version"
            with translated(self._options):
                found = self._server.get(name)
                if found is None:  # from any number on, but the same for all
                    self._server.set(name, time.time_ns() // 1000, nx=True)
                    found = self._server.get(name)
            self._version = int(found or 0) - self._own
            return self._version
        finally:
            self._lock.release()

    def noted(self, keys: Collection[str], *, now: int, hits: int, misses: int) -> None:
        """Keep what was read and how often."""
        with self._writing(), translated(self._options):
            self._used.update(dict.fromkeys(keys, now))
            self._flush()
            if hits or misses:
                with self._server.pipeline(transaction=False) as pipeline:
                    pipeline.hincrby(self._base + "totals", "hits", hits)
                    pipeline.hincrby(self._base + "totals", "misses", misses)
                    pipeline.execute()

    def statistics(self) -> Mapping[str, int]:
        """Return the totals, as all machines have them."""
        names = ("bytes", "evictions", "hits", "misses")
        with translated(self._options), self._server.pipeline(transaction=False) as pipeline:
            pipeline.zcard(self._base + "used")
            pipeline.hmget(self._base + "totals", names)
            entries, totals = pipeline.execute()
        found = {name: int(total or 0) for name, total in zip(names, totals, strict=True)}
        return {"entries": entries, **found}

    def computing(self, key: str, timeout: float) -> AbstractContextManager[bool]:
        """Let one caller of all machines at a time compute a key."""
        return self._locks.held(key, timeout)

    def place(self) -> str | None:
        """The same for all that share these entries: who has one prefix has one server."""
        return f"redis:{self._prefix}:{self._namespace}"

    def close(self) -> None:
        """End the connections; those of a parent process are left alone."""
        self._locks.close()
        if self._process == os.getpid():
            self._server.close()

    # -- the server -----------------------------------------------------------------------

    def _run(self, name: str, *arguments: Any) -> Any:
        """Run a script. It names one of the cache's keys, by which a cluster finds the others."""
        return self._scripts[name](keys=[self._base + "totals"], args=[self._base, *arguments])

    def _entry(self, key: str) -> str:
        return f"{self._base}e:{key}"

    def _announce(self) -> None:
        """Put the namespace on the list of those that there are."""
        if not self._announced:
            self._server.sadd(_list_of(self._prefix), self._namespace)
            self._announced = True

    def _flush(self) -> None:
        """Tell the server which entries were read."""
        used, self._used = self._used, {}
        for some in _batches(list(used.items())):
            self._server.zadd(self._base + "used", dict(some), xx=True, gt=True)

    def _clear_some(self, what: str, which: str) -> int:
        removed, cursor = 0, b"0"
        while True:
            with self._writing(), translated(self._options):
                self._own += 1
                cursor, count = self._run("CLEAR_SOME", what, which, cursor)
            removed += int(count)
            if int(cursor) == 0:
                return removed

    def _bury(self) -> None:
        with translated(self._options):
            while self._run("BURY"):
                pass

    def _writing(self) -> threading.RLock:
        """Changes of this process follow each other, so that it knows which of them are its own."""
        self._check_process()
        return self._lock

    def _check_process(self) -> None:
        if self._process != os.getpid():  # a forked child: locks and counts are its parent's
            self._begin()


def open_cache(
    settings: Settings, folder: Path | None, namespace: str, policy: CachePolicy
) -> SharedCache | None:
    """Open the cache of a namespace; None for a store that has nothing by which others could know it.

    Nothing is sent before it is used.
    """
    options = options_of(settings)
    prefix = prefix_of(settings, folder, options.prefix)
    return None if prefix is None else SharedCache(options, prefix, namespace, policy)


def namespaces(settings: Settings, folder: Path | None) -> Collection[str]:
    """The namespaces of a store that the server knows of."""
    options = options_of(settings)
    prefix = prefix_of(settings, folder, options.prefix)
    if prefix is None:
        return ()
    server: Any = client(options, connections=1)
    try:
        with translated(options):
            return sorted(name.decode(errors="replace") for name in server.smembers(_list_of(prefix)))
    finally:
        server.close()


def _list_of(prefix: str) -> str:
    return f"wilk:{{{prefix}}}:namespaces"


def _digits(moment: int) -> str:
    return f"{max(0, moment):019d}"


def _expiry(now: int, expires_at: int | None, *between: bytes) -> tuple[Any, ...]:
    """When an entry expires, in digits and as a number, and for how many milliseconds the server keeps it."""
    if expires_at is None:
        return (scripts.NEVER, *between, "", "")
    return (_digits(expires_at), *between, expires_at, max(0, -((now - expires_at) // 1000)) + LINGER)


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
