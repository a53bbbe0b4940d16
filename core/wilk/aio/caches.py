"""The async face of caches: no verb waits for a disk on the event loop, nor for a transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from wilk.aio.nouns import Noun, reading
from wilk.caches.awaiting import get_or_compute
from wilk.caches.cache import WAIT, Cache
from wilk.caches.policy import Ttl
from wilk.caches.responses import IGNORED, Requests


class AsyncCache(Noun):
    """The verbs of a cache, awaited."""

    set = reading(Cache.set)
    delete = reading(Cache.delete)
    touch = reading(Cache.touch)
    clear = reading(Cache.clear)
    statistics = reading(Cache.statistics)
    sweep = reading(Cache.sweep)

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value under a key, or ``default`` when there is none or it has expired."""
        cache = await self._cache()
        found = cache._at_once(key) or await self._workers.read(lambda: cache._found(key))
        return default if found is None else found.value

    async def get_or_compute(
        self,
        key: str,
        compute: Callable[[], Any],
        *,
        ttl: Ttl = ...,
        tags: Collection[str] = (),
        wait: Ttl = WAIT,
    ) -> Any:
        """Return the value under a key; where there is none, what ``compute()`` gives, and keep it.

        ``compute`` is a coroutine function, or a function, which runs on a thread. One task computes, the
        others, in whichever loop, thread or process, wait for what comes of it; after ``wait`` each
        computes by itself. A computation that fails is raised to its caller, and the next one tries.
        """
        cache = await self._cache()
        return await get_or_compute(cache, key, compute, self._workers.read, ttl=ttl, tags=tags, wait=wait)

    async def _cache(self) -> Cache:
        """The cache itself, which is opened on a thread when it is first wanted."""
        self._workers._check_open()
        if not hasattr(self, "_opened"):
            self._opened: Cache = await self._workers.read(self._verbs)
        return self._opened


class AsyncResponseCache(Requests):
    """Answers of language models by request, over a cache of an async store; as ``wilk.ResponseCache``."""

    def __init__(
        self, cache: AsyncCache, *, ignored: Collection[str] = IGNORED, sampled: bool = False, ttl: Ttl = ...
    ) -> None:
        super().__init__(ignored=ignored, sampled=sampled)
        self.cache = cache
        self.ttl = ttl

    async def get(self, request: Mapping[str, Any], default: Any = None) -> Any:
        """Return the answer to a request, or ``default``."""
        key = self.key(request)
        return await self.cache.get(key, default) if self.cacheable(request) else default

    async def set(self, request: Mapping[str, Any], response: Any) -> bool:
        """Keep the answer to a request; False for one that is sampled."""
        key = self.key(request)
        if not self.cacheable(request):
            return False
        await self.cache.set(key, response, ttl=self.ttl, tags=self.tags(request))
        return True

    async def get_or_compute(
        self, request: Mapping[str, Any], call: Callable[[Mapping[str, Any]], Any | Awaitable[Any]]
    ) -> Any:
        """Return the answer to a request; where there is none, ``call(request)``, which is then kept."""
        key = self.key(request)

        async def compute() -> Any:
            import asyncio

            found = call(request) if iscoroutinefunction(call) else await asyncio.to_thread(call, request)
            return await found if isawaitable(found) else found

        if not self.cacheable(request):
            return await compute()
        return await self.cache.get_or_compute(key, compute, ttl=self.ttl, tags=self.tags(request))

    async def delete(self, request: Mapping[str, Any]) -> bool:
        """Remove the answer to a request; return whether there was one."""
        return await self.cache.delete(self.key(request))

    async def clear(self, *, model: str) -> int:
        """Remove all answers of a model; return how many."""
        return await self.cache.clear(tag=self.tags({"model": model})[0])
