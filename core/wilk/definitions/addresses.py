"""Shows addresses of sources and packages as anybody may see them."""

from __future__ import annotations

import re

_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::\d*)?")


def shown(address: str) -> str:
    """An address without a login, and without what it asks by, where keys lie too."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    host, slash, path = rest.partition("/")
    if "@" in host:
        host = host.rpartition("@")[2]
    elif "@" in path and not _HOST.fullmatch(re.split("[?#]", host)[0]):
        host, slash, path = path.rpartition("@")[2].partition("/")  # a password with a bare / in it
    plain = re.split("[?#]", f"{host}{slash}{path}", maxsplit=1)[0]
    return f"{scheme}{mark}{plain}"
