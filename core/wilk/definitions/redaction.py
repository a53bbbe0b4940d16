"""Keeps secrets in files out of the database: they are replaced by a mark, and put back on saving."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wilk.errors import Invalid

MARK = "<kept in the file>"
"""What stands in a record for a value that only the file holds."""

_REFERENCE = re.compile(r"\$\w+|\$\{[^{}]*\}|%\w+%")
_SECRET_NAME = re.compile(
    r"(?i)(api|access|auth|private|secret)[-_]?key|token$|secret|passw|credential|^authorization$|^dsn$"
)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_PARAMETER = re.compile(r"(?<=[?&])([^=&#]+)=([^&#]+)")


def hide(value: Any) -> Any:
    """Replace the secrets of a definition: values under telling names, logins in URLs."""
    if isinstance(value, Mapping):
        return {key: _hidden(item) if _SECRET_NAME.search(key) else hide(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hide(item) for item in value]
    return _url(value) if isinstance(value, str) and "://" in value else value


def hide_servers(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the secrets of ``mcp-servers.json``, among them all of ``env`` and ``headers``."""
    hidden: dict[str, Any] = hide(definition)
    for section in ("mcpServers", "servers"):
        servers = hidden.get(section)
        for server in servers.values() if isinstance(servers, dict) else ():
            for field in ("env", "headers"):
                if isinstance(server.get(field), dict):
                    server[field] = {key: _hidden(value) for key, value in server[field].items()}
            if isinstance(server.get("args"), list):
                server["args"] = _arguments(server["args"])
    return hidden


def is_marked(value: Any) -> bool:
    """Whether a mark stands anywhere in a definition."""
    if isinstance(value, Mapping):
        return any(map(is_marked, value.values()))
    if isinstance(value, list):
        return any(map(is_marked, value))
    return isinstance(value, str) and MARK in value


def reveal(definition: Any, held: Any, shown: Any, path: str = "") -> Any:
    """Put back what was hidden: ``held`` is what the file holds, ``shown`` the same with marks.

    Raises Invalid for a mark that stands where the file has nothing to put back.
    """
    if definition == shown:
        return held
    if isinstance(definition, Mapping):
        held, shown = (value if isinstance(value, Mapping) else {} for value in (held, shown))
        return {
            key: reveal(item, held.get(key), shown.get(key), f"{path}.{key}" if path else key)
            for key, item in definition.items()
        }
    if isinstance(definition, (list, tuple)):
        both = held if isinstance(held, list) and isinstance(shown, list) else []
        return [
            reveal(item, *_counterpart(item, i, both, shown), f"{path}[{i}]")
            for i, item in enumerate(definition)
        ]
    if isinstance(definition, str) and MARK in definition:
        raise Invalid(f"{path}: {MARK!r} stands for a value in the file, which has none here; give the value")
    return definition


def _counterpart(item: Any, position: int, held: list[Any], shown: Any) -> tuple[Any, Any]:
    """The item of the file that an item of a list came from: the only equal one."""
    same = [i for i in range(len(held)) if shown[i] == item]
    if len(same) > 1 and position in same:
        same = [position]
    return (held[same[0]], shown[same[0]]) if len(same) == 1 else (None, None)


def _hidden(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    if value is None or isinstance(value, bool) or (isinstance(value, str) and _REFERENCE.fullmatch(value)):
        return value
    return MARK


def _url(text: str) -> str:
    text = _LOGIN.sub(MARK, text)
    return _PARAMETER.sub(lambda found: f"{found[1]}={MARK}" if _is_secret(found[1]) else found[0], text)


def _arguments(arguments: list[Any]) -> list[Any]:
    """Hide ``--token=x``, and the argument after a bare ``--token``."""
    shown: list[Any] = []
    after_flag = False
    for argument in arguments:
        if not isinstance(argument, str):
            shown.append(argument)
            continue
        flag, equals, value = argument.partition("=")
        secret = flag.startswith("-") and _is_secret(flag.lstrip("-"))
        if after_flag and not argument.startswith("-"):
            shown.append(_hidden(argument))
        elif secret and equals:
            shown.append(f"{flag}={_hidden(value)}")
        else:
            shown.append(argument)
        after_flag = secret and not equals
    return shown


def _is_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) or name.lower() in ("key", "apikey")
