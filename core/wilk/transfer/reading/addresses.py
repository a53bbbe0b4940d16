"""Addresses of databases for people: what is secret in one is never shown."""

from __future__ import annotations

import re
from urllib.parse import unquote

from wilk.transfer.reading.folders import shown

_SECRET = re.compile(r"(?i)([?&][^=&]*(?:password|secret|token|key|properties|credential)[^=&]*=)([^&#]*)")
_SHORT = 2


def hidden(url: str) -> str:
    """An address without its password, and without what else in it is secret."""
    scheme, _, rest = url.partition("://")
    user, secret, rest = _parted(rest)
    if secret is not None:
        user = f"{user}:***@"
    masked = _SECRET.sub(r"\1***", rest)
    return shown(f"{scheme}://{user}{masked}")


def secrets(url: str) -> set[str]:
    """The parts of an address that may stand in no text; also as they are with their escapes read."""
    _, secret, rest = _parted(url.partition("://")[2])
    found = {value for _, value in _SECRET.findall(rest)}
    if secret is not None:
        # A password with a / or @ in it is taken apart by those who read addresses.
        found |= {secret, *re.split(r"[/:@?#,&=]", secret)}
    found |= {unquote(value) for value in found}
    return {value for value in found if len(value) > _SHORT or (value == secret and value)}


def _parted(rest: str) -> tuple[str, str | None, str]:
    """The user, the password and what follows them, of what stands behind ``://``.

    A password may hold any of ``/ ? @`` by mistake, so all up to the last ``@`` is taken for one.
    """
    before, at, after = rest.rpartition("@")
    if not at:
        return "", None, rest
    user, colon, secret = before.partition(":")
    if not colon:
        return ("", before, after) if re.search(r"[/?#@]", before) else (f"{before}@", None, after)
    return ("***", secret, after) if re.search(r"[/?#@]", user) else (user, secret, after)
