"""What other stores changed: the entries that are old by that leave a cache."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.errors import BackendError

if TYPE_CHECKING:
    from wilk.caches.cache import Cache
    from wilk.contracts import CacheStorage

logger = logging.getLogger("wilk.caches")

_MEMORY = "memory"
"""The place of entries that lie in the memory of one process: no two stores share it."""


_BOOT = Path("/proc/sys/kernel/random/boot_id")


@lru_cache(maxsize=1)
def machine() -> str:
    """A text that is another one on every machine, and the same in the containers of one."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        import platform
        import uuid

        return f"{platform.node()}-{uuid.getnode():x}"


def place_of(storage: CacheStorage | None) -> str | None:
    """Where entries lie that outlive memory; None where that cannot be told."""
    if storage is None:
        return _MEMORY
    place: Callable[[], str | None] | None = getattr(storage, "place", None)
    return None if place is None else place()


def telling(
    tell: Callable[[str, str | None, str, Any], None],
) -> Callable[[str, CacheStorage | None, str, Any], None]:
    """Tell others of a change, and where the entries lie that were changed."""

    def told(namespace: str, storage: CacheStorage | None, what: str, argument: Any) -> None:
        tell(namespace, place_of(storage), what, argument)

    return told


def heard(cache: Cache, place: str | None, what: str, argument: Any) -> None:
    """Take note of what another store changed, whose entries lie at ``place``.

    ``what`` is ``set``, ``delete`` or ``touch`` with a key, or ``clear`` with a prefix and a tag. Where the
    entries are the same as this store's, what lies in memory is all that can be old. Elsewhere there is an
    old entry below as well, and that goes too; that another store's entry lasts longer makes none old.
    """
    storage = cache._storage
    mine = place_of(storage)
    apart = place is not None and mine is not None and (place != mine or mine == _MEMORY)
    if what == "touch" and apart:
        return
    _forget(cache, storage, what, argument)
    if storage is None or not apart:
        return
    try:
        if what == "clear":
            storage.clear(prefix=argument[0], tag=argument[1])
        else:
            storage.delete([argument])
    except BackendError as error:
        if not cache._closed:
            logger.warning("cache %s: what another store changed is still there: %s", cache.namespace, error)
    _forget(cache, storage, what, argument)


def lose(cache: Cache) -> None:
    """Empty the memory: other stores may have changed anything."""
    _forget(cache, cache._storage, "clear", [None, None])


def _forget(cache: Cache, storage: CacheStorage | None, what: str, argument: Any) -> None:
    with cache._lock:
        cache._changes += 1
        if what != "clear":
            cache._memory.drop([argument])
        elif storage is not None or argument == [None, None]:
            cache._memory.clear()
        else:
            cache._memory.drop(cache._memory.matching(*argument))
