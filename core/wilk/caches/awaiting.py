"""Computing a value once while coroutines wait for it; threads and other processes are kept away too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from time import monotonic
from typing import Any, Protocol, TypeVar

from wilk.caches.cache import WAIT, Cache, _seconds, _tags
from wilk.caches.flights import Flight
from wilk.caches.policy import Ttl
from wilk.caches.values import entry
from wilk.errors import Closed

logger = logging.getLogger("wilk.caches")
_T = TypeVar("_T")
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02)


class Run(Protocol):
    """Runs a call on a thread that may wait."""

    def __call__(self, call: Callable[[], _T], /) -> Awaitable[_T]: ...


async def get_or_compute(
    cache: Cache,
    key: str,
    compute: Callable[[], Any],
    run: Run = asyncio.to_thread,
    *,
    ttl: Ttl = ...,
    tags: Collection[str] = (),
    wait: Ttl = WAIT,
) -> Any:
    """As :meth:`Cache.get_or_compute`; ``compute`` is a coroutine function, or a function for a thread."""
    found = cache._at_once(key) or await run(lambda: cache._found(key))
    name = cache._name(key)
    if found is not None:
        if cache._refresh_due(name, found):
            _refresh_behind(cache, name, compute, run, ttl, tags)
        return found.value
    _tags(tags)
    if cache._expires_at_once(ttl) or cache._flights.nested(name):
        return await _computed(cache, name, compute, run, ttl, tags)
    until = monotonic() + _seconds(wait)
    while True:
        flight, mine = cache._flights.join(name)
        if mine:
            with cache._flights.computing(name, flight):
                async with _alone(cache, name, run, until):
                    again = await run(lambda: cache._found(key, counted=False))
                    if again is not None:
                        return again.value
                    return await _computed(cache, name, compute, run, ttl, tags, flight)
        try:
            async with asyncio.timeout(max(0.0, until - monotonic())):
                blob = await asyncio.wrap_future(flight)
        except TimeoutError:
            return await _computed(cache, name, compute, run, ttl, tags)
        if blob is not None:
            return entry(blob, written=0, expires_at=None).value
        found = await run(lambda: cache._found(key, counted=False))
        if found is not None:
            return found.value


async def _computed(
    cache: Cache,
    name: str,
    compute: Callable[[], Any],
    run: Run,
    ttl: Ttl,
    tags: Collection[str],
    flight: Flight | None = None,
) -> Any:
    value = await compute() if iscoroutinefunction(compute) else await asyncio.to_thread(compute)
    if isawaitable(value):
        value = await value
    return await run(lambda: cache._taken(name, value, ttl, tags, flight))


@asynccontextmanager
async def _alone(cache: Cache, name: str, run: Run, until: float) -> AsyncIterator[bool]:
    """Keep other processes from computing a key, without a thread that waits for them."""
    tries = 0
    while True:
        guard = cache._alone(name, 0.0)
        taken = await _entered(guard, run)
        left = until - monotonic()
        if taken or left <= 0:
            break
        await _left(guard, run)
        await asyncio.sleep(min(left, _PAUSES[min(tries, len(_PAUSES) - 1)]))
        tries += 1
    closed = False
    try:
        yield taken
    except GeneratorExit:  # the loop was closed amid the computation: nobody is left to await anything
        closed = True
        guard.__exit__(None, None, None)
        raise
    finally:
        if not closed:
            await _left(guard, run)


async def _entered(guard: Any, run: Run) -> bool:
    """Enter a block on a thread. When that is cancelled, it is left again."""
    entering = asyncio.ensure_future(run(guard.__enter__))
    try:
        return bool(await asyncio.shield(entering))
    except asyncio.CancelledError:
        await asyncio.wait([entering])
        if not entering.cancelled() and entering.exception() is None:
            await _left(guard, run)
        raise


async def _left(guard: Any, run: Run) -> None:
    """Leave a block on a thread; where the store was closed in between, and has none, here."""
    leave = partial(guard.__exit__, None, None, None)
    try:
        await _to_its_end(run(leave))
    except (Closed, RuntimeError):  # leaving twice does nothing
        leave()


async def _to_its_end(work: Awaitable[Any]) -> None:
    """Await what must happen in spite of cancellation."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _refresh_behind(
    cache: Cache, name: str, compute: Callable[[], Any], run: Run, ttl: Ttl, tags: Collection[str]
) -> None:
    async def refreshed() -> None:
        try:
            async with _alone(cache, name, run, 0.0) as alone:
                if alone and await run(lambda: cache._is_old(name)):
                    await _computed(cache, name, compute, run, ttl, tags)
            cache._refreshing.pop(name, None)
        except Exception as error:
            logger.warning("cache %s: a value is not refreshed: %s", cache.namespace, error)

    task = asyncio.get_running_loop().create_task(refreshed())
    cache._tasks.add(task)  # a loop itself keeps no hold of its tasks
    task.add_done_callback(cache._tasks.discard)
