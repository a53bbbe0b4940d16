"""What the plugin's section of ``config.yaml`` and its variables say, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from wilk import Settings, SettingsError

SCHEMES = ("redis", "rediss", "unix")
_VARIABLES = {"url": "WILK_REDIS_URL", "prefix": "WILK_REDIS_PREFIX", "timeout": "WILK_REDIS_TIMEOUT"}
_LONGEST_PREFIX = 100


@dataclass(frozen=True)
class Options:
    """Where the server is, and how it is used.

    ``prefix``: stores with the same one share what they keep there; empty: each store has its own.
    ``timeout``: seconds for each connecting and each answer, after which the server is away.
    """

    url: str = "redis://127.0.0.1:6379/0"
    prefix: str = ""
    timeout: float = 0.5


def options_of(settings: Settings, url: str | None = None) -> Options:
    """Gather them: variables go before the section; ``url`` stands for the one of the section.

    Raises SettingsError for the first fault.
    """
    section: Any = settings.plugins.get("redis") or {}
    if not isinstance(section, Mapping):
        raise SettingsError(f"plugins.redis: {section!r} is not a mapping with a url")
    known = [one.name for one in fields(Options)]
    for name in section:
        if name not in known:
            raise SettingsError(f"plugins.redis: there is no {name!r}; known: {', '.join(known)}")
    chosen: dict[str, Any] = {name: value for name, value in section.items() if value is not None}
    where = {name: f"plugins.redis.{name}" for name in known}
    for name, variable in _VARIABLES.items():
        if os.environ.get(variable):
            chosen[name] = os.environ[variable]
            where[name] = variable
    if url is not None:
        chosen["url"], where["url"] = url, "bus"
    options = Options(**chosen)
    _check_url(options.url, where["url"])
    prefix = options.prefix
    if not isinstance(prefix, str) or len(prefix) > _LONGEST_PREFIX or set(prefix) & set("{}* \r\n"):
        raise SettingsError(
            f"{where['prefix']}: {prefix!r} is not a text of at most {_LONGEST_PREFIX} characters without "
            "spaces, * and braces"
        )
    try:
        timeout = float(options.timeout)
    except (TypeError, ValueError):
        timeout = 0.0
    if isinstance(options.timeout, bool) or not 0.01 <= timeout <= 60:
        raise SettingsError(f"{where['timeout']}: {options.timeout!r} is not a number from 0.01 to 60")
    return Options(options.url, prefix, timeout)


def _check_url(url: Any, where: str) -> None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        sound = (
            parts is not None
            and parts.scheme in SCHEMES
            and bool(parts.path.strip("/") if parts.scheme == "unix" else parts.hostname)
            and (parts.port or 1) > 0
        )
    except ValueError:
        sound = False
    if not sound:  # it may hold a password, so it is not shown
        raise SettingsError(f"{where}: it is not the address of a server, such as redis://host:6379/0")
