"""A cache of what language models answered, keyed by the request in its canonical form."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from wilk import codec
from wilk.caches.cache import Cache
from wilk.caches.policy import Ttl
from wilk.errors import Invalid, NotStorable

IGNORED = frozenset(
    {
        "api_base", "api_key", "api_version", "base_url", "cache_control", "extra_headers", "headers",
        "idempotency_key", "max_retries", "metadata", "organization", "prompt_cache_key", "request_id",
        "request_timeout", "safety_identifier", "service_tier", "store", "stream", "stream_options",
        "timeout", "user",
    }
)  # fmt: skip
"""Fields of a request that do not change its answer, as the usual interfaces name them."""


class Requests:
    """How requests become keys, and which ones are answered from a cache at all."""

    def __init__(self, *, ignored: Collection[str] = IGNORED, sampled: bool = False) -> None:
        if isinstance(ignored, str):
            raise Invalid(f"ignored {ignored!r}: a list of fields is wanted")
        self.ignored = frozenset(ignored)
        self.sampled = sampled

    def canonical(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """A request without the fields that change nothing, and without those that are None; 0.0 is 0."""
        if not isinstance(request, Mapping) or not request.get("model"):
            raise Invalid(
                "request: a mapping with a model is wanted, such as {'model': ..., 'messages': [...]}"
            )
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in request.items()
            if value is not None and name not in self.ignored
        }

    def key(self, request: Mapping[str, Any]) -> str:
        """The key of a request: its model, and the hash of its canonical form."""
        kept = self.canonical(request)
        try:
            return f"{kept['model']}:{codec.content_hash(kept)}"
        except NotStorable as error:
            raise NotStorable(f"request: {error}") from error

    def tags(self, request: Mapping[str, Any]) -> list[str]:
        """The tag of an answer: ``model:`` and the model."""
        return [f"model:{request['model']}"[:200]]

    def cacheable(self, request: Mapping[str, Any]) -> bool:
        """Whether a request is answered from the cache: not where it asks for sampling, unless told so."""
        kept = self.canonical(request)
        temperature, count = kept.get("temperature", 0), kept.get("n", 1)
        return self.sampled or (not temperature and count == 1)


class ResponseCache(Requests):
    """Answers by request, over ``store.cache("responses")`` or another cache.

    A request is a mapping with ``model``, ``messages`` and parameters. The order of its keys does not
    count, nor do the fields in ``ignored``. A request with a ``temperature`` above 0, or an ``n`` above 1,
    is sampled: it is computed each time, unless ``sampled`` is True.
    """

    def __init__(
        self, cache: Cache, *, ignored: Collection[str] = IGNORED, sampled: bool = False, ttl: Ttl = ...
    ) -> None:
        super().__init__(ignored=ignored, sampled=sampled)
        self.cache = cache
        self.ttl = ttl

    def get(self, request: Mapping[str, Any], default: Any = None) -> Any:
        """Return the answer to a request, or ``default``."""
        key = self.key(request)
        return self.cache.get(key, default) if self.cacheable(request) else default

    def set(self, request: Mapping[str, Any], response: Any) -> bool:
        """Keep the answer to a request; False for one that is sampled."""
        key = self.key(request)
        if not self.cacheable(request):
            return False
        self.cache.set(key, response, ttl=self.ttl, tags=self.tags(request))
        return True

    def get_or_compute(self, request: Mapping[str, Any], call: Callable[[Mapping[str, Any]], Any]) -> Any:
        """Return the answer to a request; where there is none, ``call(request)``, which is then kept."""
        key = self.key(request)
        if not self.cacheable(request):
            return call(request)
        return self.cache.get_or_compute(key, lambda: call(request), ttl=self.ttl, tags=self.tags(request))

    def delete(self, request: Mapping[str, Any]) -> bool:
        """Remove the answer to a request; return whether there was one."""
        return self.cache.delete(self.key(request))

    def clear(self, *, model: str) -> int:
        """Remove all answers of a model; return how many."""
        return self.cache.clear(tag=self.tags({"model": model})[0])
