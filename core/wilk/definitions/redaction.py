"""Keeps secrets in files out of the database: they are replaced by a mark, and put back on saving."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from wilk.errors import Invalid

MARK = "<kept in the file>"
"""What stands in a record for a value that only the file holds."""

_REFERENCE = re.compile(r"\$[A-Za-z_]\w*|\$\{(?:\w+:)?[A-Za-z_][\w.-]*\}|%[A-Za-z_]\w*%")
_SECRET_NAME = re.compile(
    r"(?i)(api|access|auth|private|secret|signing|encryption)[-_ ]?key|token$|secret|passw|passphrase"
    r"|(access|api|auth|bearer|refresh)[-_ ]?tokens$|credential|authorization$|^bearer$|^dsn$|pwd$"
    r"|(^|[-_])cookie$"
)
_INNOCENT_NAME = re.compile(
    r"(?i)(max|min|bos|eos|pad|unk|sep|cls|mask|stop|start|end|first|last|next|image|special|per)[-_ ]?token$"
    r"|[-_](env|env[-_]?var|variable|file|path|type|count|limit|budget)$"
)
"""Counts and marks of a model's tokens, and names that say where a secret is, not what."""
_SHORT_NAME = re.compile(r"(?i)(^|[-_.])(key|pass|pat|sig|signature)$")
"""What tells of a secret in arguments and URLs, but may be anything as a field."""

_LOGIN = re.compile(r"(?<=://)(?:[^/?#\s]+(?=@)|[^/?#\s:@]*:(?!\d*(?:[/?#\s]|$))\S*(?=@))")
"""All up to the last ``@`` of the host; of a password with a bare ``/`` in it, up to the last of all."""
_PARAMETER = re.compile(r"(?<=[?&#;])([^=&#;?\s]+)=")
_VALUE = re.compile(r"[^&\s]*")
_URL = re.compile(r"\s*[\w+.-]+://|\S*\?\S*\Z")
_PAIR = re.compile(r"(?<![\w.-])(-*)([A-Za-z_][\w.-]*)(?:([\"']?\s*[=:]\s*)|\s+)(?=\S)")
_GIVEN = re.compile(r"[A-Za-z_][\w.-]*(?:=|:\s*)(?=\S)")
_JOINED = re.compile(r"(?:-[eH](?=[A-Z_])|--env=|--header=)[A-Za-z_][\w.-]*(?:=|:\s*)(?=\S)")
_GIVES = ("-e", "-H", "--env", "--header")
"""The options whose arguments are ``NAME=value`` and ``Name: value``, as ``env`` and ``headers`` are."""

_OF_PROMPTS = ("system", "user_template", "template", "variables")


def hide(value: Any) -> Any:
    """Replace the secrets of a definition: values under telling names, logins and keys in URLs.

    What holds none is given back as it is, not copied: this runs for every value of every file.
    """
    if isinstance(value, str):
        return _url(value) if ("://" in value or "?" in value) and _URL.match(value) else value
    if isinstance(value, dict):
        changed = {}
        for key, item in value.items():
            if names_secret(key):
                shown = _hidden(item)
            elif type(item) is str and "?" not in item and "://" not in item:
                continue  # the usual case
            else:
                shown = hide(item)
            if shown is not item:
                changed[key] = shown
        return {**value, **changed} if changed else value
    if isinstance(value, list):
        items = [hide(item) for item in value]
        return value if all(map(operator.is_, items, value)) else items
    return value


def hide_prompt(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace the secrets of a prompt.

    Its texts are to be filled in, so they stay. The names of its variables are no fields: what
    describes the variable ``token`` is no secret, only its default is.
    """
    variables = definition.get("variables")
    described: Any = variables
    if isinstance(variables, dict):
        described = {name: _variable(name, item) for name, item in variables.items()}
    elif isinstance(variables, list):
        described = [
            _variable(item.get("name"), item) if isinstance(item, dict) else item for item in variables
        ]
    rest = {key: item for key, item in definition.items() if key not in _OF_PROMPTS}
    hidden = hide(rest)
    if hidden is rest and described == variables:
        return definition
    return {**definition, **hidden, **({"variables": described} if "variables" in definition else {})}


def hide_servers(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace the secrets of ``mcp-servers.json``, among them all of ``env`` and ``headers``."""
    return {
        key: {name: _server(server) for name, server in item.items()}
        if key in ("mcpServers", "servers") and isinstance(item, dict)
        else hide({key: item})[key]
        for key, item in definition.items()
    }


@lru_cache(maxsize=4096)
def names_secret(name: Any) -> bool:
    """Whether what stands under this name in a definition is a secret."""
    return isinstance(name, str) and bool(_SECRET_NAME.search(name)) and not _INNOCENT_NAME.search(name)


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


def _variable(name: Any, described: Any) -> Any:
    """A variable of a prompt, without the default that is a secret."""
    if isinstance(described, dict) and "default" in described and names_secret(name):
        return {**described, "default": _hidden(described["default"])}
    return hide(described) if isinstance(described, dict) else described


def _server(server: Any) -> Any:
    if not isinstance(server, dict):
        return _hidden(server)
    shown = {}
    for field, value in server.items():
        if field in ("env", "headers"):
            shown[field] = _hidden(value)
        elif field == "args" and isinstance(value, list):
            shown[field] = _arguments(value)
        elif field == "command" and isinstance(value, str):
            shown[field] = _argument(_url(value))
        else:
            shown[field] = hide({field: value})[field]
    return shown


def _url(text: str) -> str:
    if "@" in text:
        text = _LOGIN.sub(lambda found: str(_hidden(found[0])), text)
    shown, done = "", 0
    for found in _PARAMETER.finditer(text):
        if found.start() < done or not _is_secret(found[1]):
            continue
        value = _VALUE.match(text, found.end())
        if value and value[0]:
            shown += text[done : found.end()] + str(_hidden(value[0]))
            done = value.end()
    return shown + text[done:]


def _arguments(arguments: list[Any]) -> list[Any]:
    """Hide ``--token=x``, the argument after a bare ``--token``, and what ``--env`` and ``--header`` give."""
    shown: list[Any] = []
    before = ""
    for argument in arguments:
        if not isinstance(argument, str):
            shown.append(_hidden(argument) if before.startswith("-") and _is_secret(before) else argument)
        elif before.startswith("-") and _is_secret(before) and not argument.startswith("--"):
            shown.append(_hidden(argument))
        else:
            shown.append(_argument(_url(argument), given=before in _GIVES))
        before = argument if isinstance(argument, str) else ""
    return shown


def _argument(text: str, *, given: bool = False) -> str:
    """Hide what follows a telling name: ``--token=x``, ``X_TOKEN=x``, ``Authorization: x``."""
    found = _JOINED.match(text) or (_GIVEN.match(text) if given else None)
    if found:
        return text[: found.end()] + str(_hidden(text[found.end() :]))
    for pair in _PAIR.finditer(text):
        flag, name, sign = pair.groups()
        rest = text[pair.end() :]
        if (flag or sign) and _is_secret(name) and not rest.startswith(MARK):
            return text[: pair.end()] + str(_hidden(rest))
    return text


def _is_secret(name: str) -> bool:
    name = name.lstrip("-")
    return names_secret(name) or bool(_SHORT_NAME.search(name))
