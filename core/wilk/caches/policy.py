"""Policies of namespaces: the ones that wilk has, and the changes of the setting ``caches``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import EllipsisType
from typing import Any

from wilk.amounts import size, span
from wilk.contracts import CachePolicy
from wilk.errors import Invalid, SettingsError

Ttl = timedelta | str | int | EllipsisType | None
"""How long an entry lasts: a span of time, 0 (expired already), None (for ever), ``...`` (by the policy)."""

FORMATS = ("json", "binary")
_FIELDS = ("ttl", "max_bytes", "memory_bytes", "compression", "format", "persistent", "refresh")
_MEMORY_SHARE = 5
_LATEST = 2**63 - 1
_MICROSECOND = timedelta(microseconds=1)

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "responses": {"ttl": "1h", "max_bytes": "50MB", "compression": True},
    "context": {"ttl": "24h", "max_bytes": "100MB", "format": "binary"},
    "models": {"ttl": "1w", "max_bytes": "500MB", "format": "binary"},
    "registry": {"ttl": "1h", "max_bytes": "10MB", "refresh": "45m"},
}
"""The seed's namespaces. What is not said here is as in ``OTHERS``."""

OTHERS: Mapping[str, Any] = {
    "ttl": "1m",
    "max_bytes": "50MB",
    "compression": False,
    "format": "json",
    "persistent": True,
    "refresh": None,
}
"""Any other namespace."""


def policy(namespace: str, settings: Mapping[str, Any]) -> CachePolicy:
    """The policy of a namespace: what ``settings`` say of it over what wilk has; raises SettingsError."""
    given = settings.get(namespace)
    if given is not None and not isinstance(given, Mapping):
        raise SettingsError(
            f"caches: {namespace}: {given!r}: a mapping is wanted, such as {{ttl: 2h, max_bytes: 100MB}}"
        )
    given = given or {}
    if unknown := [name for name in given if name not in _FIELDS]:
        from difflib import get_close_matches

        close = get_close_matches(str(unknown[0]), _FIELDS, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(_FIELDS)}"
        raise SettingsError(f"caches: {namespace}: there is no {unknown[0]!r}; {hint}")
    chosen = {**OTHERS, **DEFAULTS.get(namespace, {}), **given}
    try:
        return _made(chosen)
    except Invalid as error:
        raise SettingsError(f"caches: {namespace}: {error}") from error


def check(settings: Mapping[str, Any]) -> None:
    """Raise SettingsError for the first fault of the setting ``caches``."""
    from wilk.files import check_id

    for namespace in settings:
        try:
            check_id(str(namespace), "cache")
        except Invalid as error:
            raise SettingsError(f"caches: {error}") from error
        policy(namespace, settings)


def duration(value: Any) -> timedelta | None:
    """A span of time, 0 for none at all, None for ever; raises Invalid."""
    if value is None:
        return None
    if type(value) is int and value == 0:
        return timedelta(0)
    try:
        return span(value)
    except Invalid as error:
        raise Invalid(f"ttl {error}; 0 is expired already, None never expires") from None


def expiry(ttl: Ttl, default: timedelta | None, now: int) -> int | None:
    """The moment from which an entry of today counts no more, in microseconds; None for never."""
    lasting = default if ttl is ... else duration(ttl)
    return None if lasting is None else min(now + lasting // _MICROSECOND, _LATEST)


def _made(chosen: Mapping[str, Any]) -> CachePolicy:
    for name in ("compression", "persistent"):
        if not isinstance(chosen[name], bool):
            raise Invalid(f"{name} {chosen[name]!r}: true or false is wanted")
    if chosen["format"] not in FORMATS:
        raise Invalid(f"format {chosen['format']!r}: one of {', '.join(FORMATS)} is wanted")
    largest = _size("max_bytes", chosen["max_bytes"])
    memory = chosen.get("memory_bytes")
    if memory is None:
        memory = largest // _MEMORY_SHARE if chosen["persistent"] else largest
    else:
        memory = _size("memory_bytes", memory)
    refresh = chosen["refresh"]
    if refresh is not None:
        try:
            refresh = span(refresh)
        except Invalid as error:
            raise Invalid(f"refresh {error}") from None
    return CachePolicy(
        ttl=duration(chosen["ttl"]),
        max_bytes=largest,
        memory_bytes=memory,
        compression=chosen["compression"],
        format=chosen["format"],
        persistent=chosen["persistent"],
        refresh=refresh,
    )


def _size(name: str, value: Any) -> int:
    try:
        return size(value)
    except Invalid as error:
        raise Invalid(f"{name} {error}") from None
