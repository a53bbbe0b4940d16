"""An index over HTTP as a source of agent packages, by the standard library alone."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from wilk import codec
from wilk.contracts import Registry
from wilk.definitions.addresses import shown
from wilk.errors import BackendError, Invalid, SettingsError
from wilk.files import write_atomic
from wilk.hookspecs import hookimpl
from wilk.registries.indexes import INDEX, MAX_INDEX, packages
from wilk.settings import Settings

_SILENCE = 30.0
"""Seconds without a byte after which a server is given up, unless the plugin's setting ``timeout`` says."""

_PATIENCE = 20
"""How many times as long a whole answer may take."""

_PIECE = 1 << 16


@hookimpl
def register_registries() -> Iterator[Registry]:
    """Offer indexes over HTTP."""
    yield Registry("https", open_index, summary="an index over HTTPS")
    yield Registry("http", open_index, summary="an index over HTTP")


def open_index(address: str, settings: Settings) -> Index:
    """Open an index by its URL; ``/index.json`` is put behind one that does not end in ``.json``.

    ``plugins: {http-registry: {timeout: 10}}`` sets how long a server may be silent.
    """
    own = settings.plugins.get("http-registry") or {}
    silence = own.get("timeout", _SILENCE)
    if isinstance(silence, bool) or not isinstance(silence, (int, float)) or not 0 < silence <= 3600:
        raise SettingsError(
            f"plugins: http-registry: timeout: {silence!r} is not seconds above 0, at most 3600"
        )
    kept = None
    if settings.home is not None:
        name = sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        kept = settings.home / "cache" / "indexes" / f"{name}.json"
    return Index(address, float(silence), kept, settings.readonly)


class Index:
    """An open index. ``kept`` is the file of its last answer, so that an unchanged one is not sent again."""

    def __init__(self, address: str, silence: float, kept: Path | None, readonly: bool) -> None:
        parts = _split(address)
        self._login = _login(parts)
        path = parts.path if parts.path.endswith(".json") else parts.path.rstrip("/") + f"/{INDEX}"
        self._url = urlunsplit((parts.scheme.lower(), _host(parts), path, parts.query, ""))
        self._silence = silence
        self._kept = kept
        self._readonly = readonly
        self._opener = request.OpenerDirector()
        for handler in (
            request.ProxyHandler(),  # by the environment: https_proxy, no_proxy, …
            request.UnknownHandler(),
            request.HTTPHandler(),
            request.HTTPSHandler(),
            request.HTTPDefaultErrorHandler(),
            request.HTTPErrorProcessor(),
            _Redirects(),
        ):
            self._opener.add_handler(handler)

    def index(self) -> Sequence[Mapping[str, Any]]:
        """Ask for the index; an answer that still holds is taken from the file of the last one."""
        before = self._last()
        told = {
            header: before[name]
            for header, name in (("If-None-Match", "etag"), ("If-Modified-Since", "modified"))
            if before.get(name)
        }
        data, headers = self._get(self._url, MAX_INDEX, told)
        if data is None:
            return packages(before["body"].encode(), self._url)
        found = packages(data, self._url)
        self._keep(data, headers.get("ETag"), headers.get("Last-Modified"))
        return found

    def fetch(self, location: str, longest: int) -> bytes:
        """Fetch a package; its location is relative to the index, or a URL."""
        parts = _split(urljoin(self._url, location))
        url = urlunsplit((parts.scheme, _host(parts), parts.path, parts.query, ""))
        if urlsplit(self._url).scheme == "https" and urlsplit(url).scheme != "https":
            raise BackendError(
                f"{shown(url)}: the index came by https, so its packages must; nothing was fetched"
            )
        data, _ = self._get(url, longest, {})
        if data is None:
            raise BackendError(f"{shown(url)} answered that nothing has changed, without having been asked")
        return data

    def close(self) -> None:
        """Let go of handlers."""
        self._opener.close()

    # -- one request ------------------------------------------------------------------------

    def _get(
        self, url: str, longest: int, headers: Mapping[str, str]
    ) -> tuple[bytes | None, Mapping[str, str]]:
        """The body (None: not modified) and headers of an answer; raises BackendError."""
        # _split and _Redirects have seen to it that this is http or https.
        told = {"User-Agent": "wilk", "Accept": "*/*", **headers}
        asked = request.Request(url, headers=told)  # noqa: S310
        if self._login is not None and _origin(url) == _origin(self._url):
            asked.add_unredirected_header("Authorization", self._login)
        try:
            with self._opener.open(asked, timeout=self._silence) as answer:
                return _read(answer, longest, self._silence * _PATIENCE, url), answer.headers
        except HTTPError as error:
            with error:
                if error.code == 304 and headers:
                    return None, {}
            raise BackendError(f"{shown(url)} answered {error.code} {error.reason}") from error
        except URLError as error:
            raise BackendError(f"{shown(url)} cannot be reached: {error.reason}") from error
        except TimeoutError as error:
            raise BackendError(f"{shown(url)} was silent for over {self._silence:g} s") from error
        except (OSError, HTTPException, ValueError) as error:
            raise BackendError(
                f"{shown(url)} cannot be read: {str(error) or type(error).__name__}"
            ) from error

    # -- the last answer ----------------------------------------------------------------------

    def _last(self) -> dict[str, Any]:
        """What was kept of the last answer; nothing when it cannot be used."""
        if self._kept is None:
            return {}
        with suppress(OSError, ValueError, LookupError, AttributeError, Invalid, BackendError):
            found = codec.loads(self._kept.read_bytes())
            if (
                isinstance(found, dict)
                and found.get("url") == self._url
                and isinstance(found.get("body"), str)
            ):
                packages(found["body"].encode(), self._url)
                return found
        return {}

    def _keep(self, data: bytes, etag: str | None, modified: str | None) -> None:
        if self._kept is None or self._readonly or not (etag or modified):
            return
        with suppress(OSError, ValueError, Invalid):  # the next answer is then sent whole
            kept = {"url": self._url, "etag": etag, "modified": modified, "body": data.decode("utf-8-sig")}
            write_atomic(self._kept, codec.dumps(kept).encode())


class _Redirects(request.HTTPRedirectHandler):
    """Follows to http and https alone, never from https to http, and takes no login to another host."""

    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> request.Request | None:
        scheme = urlsplit(newurl).scheme.lower()
        if scheme not in ("http", "https") or (scheme == "http" and req.type == "https"):
            raise URLError(f"it leads to {shown(newurl)}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read(answer: Any, longest: int, patience: float, url: str) -> bytes:
    """The body of an answer, when it is no longer than it may be and comes in time."""
    told = answer.headers.get("Content-Length")
    if told is not None and told.isdecimal() and int(told) > longest:
        raise BackendError(f"{shown(url)} has {told} bytes; at most {longest} are taken")
    until = time.monotonic() + patience
    pieces, size = [], 0
    while piece := answer.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > longest:
            raise BackendError(f"{shown(url)} has more than {longest} bytes, which is too long")
        if time.monotonic() > until:
            raise BackendError(f"{shown(url)} took over {patience:g} s, and is given up")
    if told is not None and told.isdecimal() and size != int(told):
        raise BackendError(f"{shown(url)} broke off after {size} of {told} bytes")
    return b"".join(pieces)


def _split(url: str) -> Any:
    """The parts of an http or https URL; raises BackendError."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        sound = False
    if not sound or any(c.isspace() or not c.isprintable() for c in url):
        raise BackendError(f"{shown(url)!r} is no address that can be fetched; http or https is wanted")
    return parts


def _host(parts: Any) -> str:
    return str(parts.netloc).rpartition("@")[2]


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, _host(parts).lower()


def _login(parts: Any) -> str | None:
    """The header for a user and password in an address."""
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
