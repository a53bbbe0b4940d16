"""Cache entries: values that can be computed again, each for as long as it was said to last.

They are the only rows that go without being archived.
"""

from __future__ import annotations

from functools import reduce
from math import isfinite
from operator import or_
from typing import Any

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import Invalid
from wilk.models.statements import param
from wilk.services.checks import identifier
from wilk.services.keeping.archiver import Archiver

_SWEPT = 50
"""Expired entries that a write takes along."""
_FOREVER = 2**62


class CacheEntries:
    """The cache of a store: namespaces with keys."""

    def __init__(self, engine: Engine, archiver: Archiver) -> None:
        self._engine = engine
        self._archiver = archiver

    def set(self, namespace: str, key: str, data: Any, *, ttl: float | None = None) -> None:
        """Keep a value for ``ttl`` seconds, or until it is replaced. With 0 it has expired at once."""
        identifier("namespace", namespace)
        identifier("key", key)
        text = codec.dumps(data)
        engine = self._engine
        with engine.transaction():
            now = engine.clock.now()
            self._sweep(now)
            row = (namespace, key, text, now, _expiry(now, ttl))
            engine.execute(engine.statement("cache_entries.set", _set).sql, row)

    def get(self, namespace: str, key: str) -> Any:
        """Return the value, or None when there is none or it has expired."""
        rows = self._engine.fetch("cache_entries.get", _get, (namespace, key))
        if not rows:
            return None
        text, expires_at = rows[0]
        expired = expires_at is not None and expires_at <= self._engine.clock.now()
        return None if expired else codec.loads(text)

    def _sweep(self, now: int) -> None:
        expired: dict[str, list[str]] = {}
        for namespace, key in self._engine.fetch("cache_entries.expired", _expired, (now, _SWEPT)):
            expired.setdefault(namespace, []).append(key)
        if expired:
            entry: Any = models.CacheEntry
            chosen = reduce(
                or_, ((entry.namespace == name) & entry.key.in_(keys) for name, keys in expired.items())
            )
            self._archiver.drop_derived(models.CacheEntry, chosen & (entry.expires_at <= now))


def _expiry(now: int, ttl: float | None) -> int | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not ttl >= 0:
        raise Invalid(f"ttl {ttl!r}: seconds from 0 are wanted, or None for no end")
    return min(now + round(ttl * 1_000_000), _FOREVER) if isfinite(ttl) else _FOREVER


def _set() -> Any:
    entry = models.CacheEntry
    fields = [entry.namespace, entry.key, entry.data, entry.created_at, entry.expires_at]
    return entry.insert({field: param(field.name) for field in fields}).on_conflict(
        conflict_target=[entry.namespace, entry.key], preserve=fields[2:]
    )


def _get() -> Any:
    entry = models.CacheEntry
    return entry.select(entry.data, entry.expires_at).where(
        entry.namespace == param("namespace"), entry.key == param("key")
    )


def _expired() -> Any:
    entry = models.CacheEntry
    chosen = entry.select(entry.namespace, entry.key).where(entry.expires_at <= param("now"))
    return chosen.order_by(entry.expires_at).limit(param("limit"))
