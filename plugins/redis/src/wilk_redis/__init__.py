"""Redis or Valkey for wilk: a tier of caches that machines share, and a bus between stores."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from wilk import BusKind, CacheTier, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from wilk import Bus, CachePolicy, CacheStorage, Settings

wilk_api = (1, 0)


def _open(
    settings: Settings, folder: Path | None, namespace: str, policy: CachePolicy
) -> CacheStorage | None:
    from wilk_redis.tier import open_cache  # the driver is imported when it is used

    return open_cache(settings, folder, namespace, policy)


def _namespaces(settings: Settings, folder: Path | None) -> Collection[str]:
    from wilk_redis.tier import namespaces

    return namespaces(settings, folder)


def _open_bus(url: str, settings: Settings, folder: Path | None) -> Bus:
    from wilk_redis.bus import open_bus

    return open_bus(url, settings, folder)


@hookimpl
def register_caches() -> Iterator[CacheTier]:
    yield CacheTier(
        "redis", _open, "a Redis or Valkey server, for several machines", _namespaces, remote=True
    )


@hookimpl
def register_buses() -> Iterator[BusKind]:
    yield BusKind(scheme="redis", open=_open_bus, summary="a Redis or Valkey server (redis://host)")
    yield BusKind(scheme="rediss", open=_open_bus, summary="the same over TLS (rediss://host)")
    yield BusKind(scheme="unix", open=_open_bus, summary="the same by a socket (unix:///path)")
