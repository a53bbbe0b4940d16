"""What a ``postgresql://`` URL says: libpq's part of it, and wilk's own options."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import ProgrammingError

from wilk.errors import SettingsError
from wilk.settings import check

if TYPE_CHECKING:
    from wilk import Settings

_SETTINGS = ("timeout", "readonly")
_OWN = ("schema", "pool_size", "pool_lifetime", "statement_timeout")


@dataclass(frozen=True)
class Address:
    """Where a store lies on a server, and how it is reached.

    ``conninfo``: what libpq takes. ``schema``: the schema that holds the tables. ``pool_size``: the most
    connections of this process. ``pool_lifetime``: seconds after which a connection is replaced.
    ``statement_timeout``: seconds after which the server ends a statement (0: never). ``timeout``: seconds
    for which a writer waits for its turn, and anyone for a connection.
    """

    conninfo: str
    schema: str
    timeout: float
    readonly: bool
    pool_size: int
    pool_lifetime: float
    statement_timeout: float
    connect_timeout: int
    lock: int


def parsed(url: str, settings: Settings) -> Address:
    """Take a URL apart. Raises SettingsError for an unknown option or a bad value."""
    base, _, query = url.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    own = {name: options.pop(name) for name in (*_SETTINGS, *_OWN) if name in options}
    chosen = check({name: own[name] for name in _SETTINGS if name in own}, base)
    conninfo = base + ("?" + urlencode(options) if options else "")
    try:
        known = conninfo_to_dict(conninfo)
    except ProgrammingError as error:
        raise SettingsError(f"{str(error).strip()}; wilk's own options are {', '.join(_SETTINGS + _OWN)}") from error
    schema = own.get("schema", "public")
    timeout = chosen.get("timeout", settings.timeout)
    return Address(
        conninfo=conninfo,
        schema=schema,
        timeout=timeout,
        readonly=chosen.get("readonly", settings.readonly),
        pool_size=int(own.get("pool_size", 10)),
        pool_lifetime=float(own.get("pool_lifetime", 3600)),
        statement_timeout=float(own.get("statement_timeout", 0)),
        connect_timeout=int(known.get("connect_timeout") or 10),
        lock=int.from_bytes(sha256(b"wilk " + schema.encode()).digest()[:8], "big", signed=True) >> 2,
    )
