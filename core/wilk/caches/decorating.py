"""``@cached``: what a function returns, kept under its arguments."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from inspect import iscode, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

from wilk import codec
from wilk.caches.policy import Ttl
from wilk.errors import Invalid, NotStorable

if TYPE_CHECKING:
    from wilk.aio.caches import AsyncCache
    from wilk.caches.cache import Cache

_P = ParamSpec("_P")
_R = TypeVar("_R", covariant=True)
Tags = Collection[str] | Callable[..., Collection[str]]


class Cached(Protocol[_P, _R]):
    """A function whose results are kept; of a coroutine function the two verbs are awaited."""

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...

    def invalidate(self, *args: _P.args, **kwargs: _P.kwargs) -> Any:
        """Remove what is kept for these arguments; return whether there was something."""

    def clear(self) -> Any:
        """Remove what is kept of this function; return how much."""


def cached(
    cache: Cache | AsyncCache | Callable[[], Cache | AsyncCache],
    *,
    ttl: Ttl = ...,
    key: Callable[..., str] | None = None,
    tags: Tags = (),
) -> Callable[[Callable[_P, _R]], Cached[_P, _R]]:
    """Keep what a function, or a coroutine function, returns, and compute it once for each set of arguments.

    ``cache`` is ``store.cache(name)``, or a function that gives it at the first call. Arguments are told
    apart as JSON, whether they are given by position or by name; where they are no JSON, ``key`` makes a
    text of them. ``tags`` are texts, or a function of the arguments that gives them.
    """

    def decorate(function: Callable[_P, _R]) -> Cached[_P, _R]:
        kept = _Kept(function, cache, ttl, key, tags)
        if iscoroutinefunction(function):
            return cast("Cached[_P, _R]", _awaited(function, kept))

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return kept.sync().get_or_compute(
                kept.key(args, kwargs),
                lambda: function(*args, **kwargs),
                ttl=ttl,
                tags=kept.tags(args, kwargs),
            )

        def invalidate(*args: Any, **kwargs: Any) -> bool:
            return kept.sync().delete(kept.key(args, kwargs))

        made: Any = wrapper
        made.invalidate = invalidate
        made.clear = lambda: kept.sync().clear(prefix=kept.prefix)
        return cast("Cached[_P, _R]", made)

    return decorate


def _awaited(function: Callable[..., Any], kept: _Kept) -> Any:
    """The wrapper of a coroutine function. A cache that waits for its disk does so on a thread."""

    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        from wilk.caches.awaiting import get_or_compute

        async def compute() -> Any:
            return await function(*args, **kwargs)

        name, tags = kept.key(args, kwargs), kept.tags(args, kwargs)
        cache = kept.cache()
        if kept.is_sync(cache):
            return await get_or_compute(cache, name, compute, ttl=kept.ttl, tags=tags)
        return await cache.get_or_compute(name, compute, ttl=kept.ttl, tags=tags)

    async def verb(name: str, *args: Any, **options: Any) -> Any:
        import asyncio

        cache = kept.cache()
        if kept.is_sync(cache):
            return await asyncio.to_thread(getattr(cache, name), *args, **options)
        return await getattr(cache, name)(*args, **options)

    async def invalidate(*args: Any, **kwargs: Any) -> Any:
        return await verb("delete", kept.key(args, kwargs))

    async def clear() -> Any:
        return await verb("clear", prefix=kept.prefix)

    made: Any = wrapper
    made.invalidate = invalidate
    made.clear = clear
    return made


class _Kept:
    """One decorated function: its cache, and how its arguments become a key."""

    def __init__(
        self,
        function: Callable[..., Any],
        cache: Any,
        ttl: Ttl,
        key: Callable[..., str] | None,
        tags: Tags,
    ) -> None:
        self.ttl = ttl
        self._given = cache
        self._key = key
        self._tags = tags
        self._signature = signature(function)
        self._name = function.__qualname__
        self.prefix = f"{_module_of(function)}.{self._name}{_place_of(function)}:"

    def cache(self) -> Any:
        """The cache; asked for at each call where a function gives it."""
        return self._given if hasattr(self._given, "get_or_compute") else self._given()

    def is_sync(self, cache: Any) -> bool:
        from wilk.caches.cache import Cache

        return isinstance(cache, Cache)

    def sync(self) -> Cache:
        """The cache of a function that is not awaited."""
        cache = self.cache()
        if not self.is_sync(cache):
            raise Invalid(
                f"@cached: {self._name} is no coroutine function; give it the cache of a store from "
                "wilk.open_store, or make it `async def`"
            )
        return cache  # type: ignore[no-any-return]

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        if self._key is not None:
            made = self._key(*args, **kwargs)
            if not isinstance(made, str):
                raise Invalid(f"@cached: key of {self._name}: {made!r}: a text is wanted")
            return self.prefix + made
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        try:
            return self.prefix + codec.canonical(bound.arguments).decode()
        except NotStorable as error:
            raise NotStorable(
                f"@cached: an argument of {self._name} is no JSON ({error}); say with key= how its arguments "
                "are told apart"
            ) from error

    def tags(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Collection[str]:
        return self._tags(*args, **kwargs) if callable(self._tags) else self._tags


def _place_of(function: Callable[..., Any]) -> str:
    """What tells a lambda from others, which are all called alike: its place in the file, and its code."""
    code = getattr(function, "__code__", None)
    if code is None or function.__name__ != "<lambda>":
        return ""
    from zlib import crc32

    constants = [one for one in code.co_consts if not iscode(one)]
    parts = (list(code.co_positions()), code.co_code, code.co_names, constants)
    return f"@{code.co_firstlineno}-{crc32(repr(parts).encode('utf-8', 'surrogatepass')):08x}"


def _module_of(function: Callable[..., Any]) -> str:
    """The module of a function; of a program that is run by its file that file, as each of them is
    ``__main__``."""
    name = function.__module__
    if name != "__main__":
        return name
    import sys
    from pathlib import Path

    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name)  # python -m name
    return name if file is None else str(Path(file).resolve())
