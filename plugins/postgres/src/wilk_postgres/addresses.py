"""What a ``postgresql://`` URL says: libpq's part of it, and wilk's own options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import ProgrammingError

from wilk.errors import SettingsError
from wilk.settings import check

if TYPE_CHECKING:
    from wilk import Settings

_DEFAULTS = {
    "fallback_application_name": "wilk",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""Parameters of libpq that differ from its own defaults: a server that is gone without a word is noticed."""

_SINGLE_SERVER = ("hostaddr", "target_session_attrs", "load_balance_hosts")
"""What is said of the hosts of the URL, and not of replicas."""


class Option(NamedTuple):
    """An option of the URL that is wilk's own. ``take`` raises ValueError for what is not ``expected``."""

    name: str
    take: Callable[[str], Any]
    default: Any
    expected: str


@dataclass(frozen=True)
class Address:
    """Where a store lies on a server, and how it is reached.

    ``conninfo``: what libpq takes. ``schema``: the schema that holds the tables. ``timeout``: seconds for
    which a writer waits for its turn, and anyone for a connection. ``pool_size``: the most connections to a
    server. ``pool_lifetime``: seconds after which a connection is replaced. ``pool_ping``: seconds of
    idleness after which it is tried before it is lent. ``statement_timeout``: seconds after which the server
    ends a statement (0: never). ``replicas``: what libpq takes for each of them. ``replica_wait``: seconds
    for which a reading verb waits for a replica to follow. ``lock``: the number of the lock by which writers
    take turns.
    """

    conninfo: str = field(repr=False)
    schema: str
    timeout: float
    readonly: bool
    pool_size: int
    pool_lifetime: float
    pool_ping: float
    statement_timeout: float
    replicas: tuple[str, ...] = field(repr=False)
    replica_wait: float
    lock: int


def parsed(url: str, settings: Settings) -> Address:
    """Take a URL apart. Raises SettingsError for an unknown option or a bad value, without the password."""
    base, _, query = url.partition("?")
    shown = _shown(base)
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    own = {name: unquote(value) for name, _, value in pairs if name in OWN or name in _SETTINGS}
    rest = [f"{name}={value}" for name, _, value in pairs if name not in own]
    # The settings' own checks, with the URL as the place of the fault.
    chosen = check({name: own[name] for name in _SETTINGS if name in own}, shown)
    values = {name: _taken(option, own, shown) for name, option in OWN.items()}
    conninfo = base + ("?" + "&".join(rest) if rest else "")
    known = _known(conninfo, [name for name, _, _ in pairs if name not in own], shown)
    values["replicas"] = tuple(
        make_conninfo(
            **_server({name: value for name, value in known.items() if name not in _SINGLE_SERVER}, one)
        )
        for one in values["replicas"]
    )
    schema = values["schema"]
    return Address(
        conninfo=make_conninfo(**known),
        timeout=chosen.get("timeout", settings.timeout),
        readonly=chosen.get("readonly", settings.readonly),
        lock=int.from_bytes(sha256(b"wilk " + schema.encode()).digest()[:8], "big", signed=True) >> 2,
        **values,
    )


def with_defaults(conninfo: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What libpq is told for a connection: what the URL says, and wilk's defaults for the rest."""
    params: dict[str, Any] = {**_DEFAULTS, **conninfo_to_dict(conninfo)}
    if "PGCONNECT_TIMEOUT" in environment and "connect_timeout" not in conninfo_to_dict(conninfo):
        del params["connect_timeout"]
    return params


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def _taken(option: Option, own: Mapping[str, str], where: str) -> Any:
    if option.name not in own:
        return option.default
    value = own[option.name]
    try:
        return option.take(value)
    except ValueError:
        raise SettingsError(f"{where}: {option.name}: {value!r} is not {option.expected}") from None


def _known(conninfo: str, names: list[str], shown: str) -> dict[str, Any]:
    """The parameters of libpq that a URL names."""
    authority, slash, path = conninfo.partition("?")[0].partition("://")[2].partition("/")
    if authority.count("@") > 1 or (slash and "@" in path) or any("@" in name for name in names):
        raise SettingsError(
            f"{shown.partition('://')[0]}://…: an @ too many; in a user, a password and a database's name "
            f"write @ as {quote('@')}, / as {quote('/', safe='')}, : as {quote(':')} and ? as {quote('?')}, "
            "or leave the password to PGPASSWORD or ~/.pgpass"
        )
    try:
        return dict(conninfo_to_dict(conninfo))
    except ProgrammingError as error:
        unknown = re.search(r'invalid URI query parameter: "(\w+)"', str(error))
        if unknown is None:
            secrets = [authority.partition("@")[0].partition(":")[2]]
            secrets += re.findall(r"(?i)[?&](?:ssl)?password=([^&]*)", conninfo)
            raise SettingsError(f"{shown}: {_without(str(error), secrets)}") from None
        name = unknown.group(1)
        known = (*_SETTINGS, *OWN)
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"wilk's own are {', '.join(known)}"
        raise SettingsError(f"{shown}: there is no option {name!r} of libpq or wilk; {hint}") from None


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***").replace(unquote(secret), "***")
    return " ".join(text.split())


def _shown(base: str) -> str:
    """A URL without its options and its password."""
    return re.sub(r"(?<=://)([^@:/]*):.*@", r"\1:***@", base, flags=re.DOTALL)


def _server(params: dict[str, Any], replica: tuple[str, str]) -> dict[str, Any]:
    host, port = replica
    first = str(params.get("port") or "5432").partition(",")[0]
    return {**params, "host": host, "port": port or first}


def _schema(value: str) -> str:
    if not 0 < len(value.encode()) <= 63 or "\0" in value or value.startswith("pg_"):
        raise ValueError
    return value


def _number(least: float, most: float) -> Callable[[str], float]:
    def take(value: str) -> float:
        number = float(value)
        if not least <= number <= most:
            raise ValueError
        return number

    return take


def _count(value: str) -> int:
    number = int(value)
    if not 1 <= number <= 1000:
        raise ValueError
    return number


def _hosts(value: str) -> tuple[tuple[str, str], ...]:
    """``host:port,host:port``: a port may be left out, and an IPv6 address stands in brackets."""
    hosts = []
    for one in value.split(","):
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|/[^:]+|[^\s\[\]:/@]+)(?::(\d{1,5}))?", one.strip())
        if match is None or not 0 < int(match[2] or 1) < 65536:
            raise ValueError
        hosts.append((match[1].strip("[]"), match[2] or ""))
    return tuple(hosts)


_SETTINGS = ("timeout", "readonly")

OWN = {
    option.name: option
    for option in (
        Option("schema", _schema, "public", "the name of a schema: 1 to 63 bytes that do not begin with pg_"),
        Option("pool_size", _count, 10, "a whole number from 1 to 1000"),
        Option("pool_lifetime", _number(1, 86_400), 3600.0, "seconds from 1 to 86400"),
        Option("pool_ping", _number(0, 86_400), 1.0, "seconds from 0 to 86400"),
        Option("statement_timeout", _number(0, 86_400), 0.0, "seconds from 0 to 86400"),
        Option("replicas", _hosts, (), "HOST:PORT, or several with commas between them"),
        Option("replica_wait", _number(0, 60), 0.01, "seconds from 0 to 60"),
    )
}
"""The options that this backend has beside those of libpq and the settings ``timeout`` and ``readonly``."""
