"""One endpoint over HTTP: requests with time limits, and new attempts where they may help.

Keys come from the environment at the moment of the request. They are in no error and no log.
"""

from __future__ import annotations

import email.utils
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from wilk import BackendError

if TYPE_CHECKING:
    import httpx

    from wilk_openai.options import Options

LARGEST_ANSWER = 16_000_000
"""Bytes of an answer that are read; a larger one is refused."""

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_FIRST_WAIT = 0.5
_SHOWN = 300


class EndpointError(BackendError):
    """The endpoint gave no answer that can be used; the text says why, without the key."""


class _Failed(Exception):
    """One attempt failed; ``wait`` is what the endpoint asks for in seconds, ``again`` if it may help."""

    def __init__(self, text: str, *, again: bool, wait: float | None = None) -> None:
        super().__init__(text)
        self.again = again
        self.wait = wait


class Client:
    """Requests to one endpoint. Use it as a context manager, or close it."""

    def __init__(self, options: Options, *, sleep: Callable[[float], None] = time.sleep) -> None:
        import httpx

        self._options = options
        self._sleep = sleep
        self._http = httpx.Client(timeout=options.timeout, follow_redirects=False)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send JSON to ``path`` below the endpoint's URL, and return the JSON that it answers.

        Tries again after what passes by (429, 5xx, a broken connection, a time limit), as long as the
        endpoint says in ``Retry-After`` or twice as long each time. Raises EndpointError.
        """
        options = self._options
        attempt = 0
        while True:
            try:
                return self._attempt(path, body)
            except _Failed as failure:
                wait = _FIRST_WAIT * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
                if failure.wait is not None:
                    wait = failure.wait
                if not failure.again or attempt >= options.retries:
                    tries = f" ({attempt + 1} attempts)" if attempt else ""
                    raise EndpointError(f"{self.without_key(str(failure))}{tries}") from None
                if wait > options.timeout:
                    raise EndpointError(
                        f"{self.without_key(str(failure))}; it asks to wait for {wait:g} s, longer than the "
                        f"time limit of {options.timeout:g} s"
                    ) from None
                self._sleep(wait)
                attempt += 1

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _attempt(self, path: str, body: Mapping[str, Any]) -> Any:
        import httpx

        url = f"{self._options.url.rstrip('/')}/{path.lstrip('/')}"
        end = time.monotonic() + self._options.timeout
        key = self._key()
        if not (key.isascii() and key.isprintable()):
            # The libraries below log a header that they refuse.
            told = f"the key in {self._options.key_variable} cannot be sent: printable ASCII is wanted"
            raise _Failed(told, again=False)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            with self._http.stream("POST", url, json=body, headers=headers) as response:
                data = _read(response, end)
        except httpx.TimeoutException:
            raise self._too_slow(url) from None
        except _TooSlow:
            raise self._too_slow(url) from None
        except (httpx.LocalProtocolError, httpx.InvalidURL, ValueError) as error:
            # The text of these may show a header.
            raise _Failed(
                f"{url}: the request cannot be sent ({type(error).__name__})", again=False
            ) from None
        except httpx.HTTPError as error:
            again = isinstance(error, httpx.TransportError)
            raise _Failed(f"{url}: {type(error).__name__}: {error}", again=again) from None
        if response.status_code != 200:
            raise _Failed(
                f"{url} answers {response.status_code}{self._hint(response.status_code)}: {_said(data)}",
                again=response.status_code in _AGAIN,
                wait=_retry_after(response.headers.get("retry-after")),
            )
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise _Failed(f"{url} answers what is no JSON: {_said(data)}", again=False) from None

    def _key(self) -> str:
        return os.environ.get(self._options.key_variable, "").strip()

    def _hint(self, status: int) -> str:
        if status not in (401, 403):
            return ""
        variable = self._options.key_variable
        return f" (the key in {variable} is refused)" if self._key() else f" ({variable} is not set)"

    def _too_slow(self, url: str) -> _Failed:
        return _Failed(f"{url} gave no answer within {self._options.timeout:g} s", again=True)

    def without_key(self, text: str) -> str:
        """A text without the key, which an endpoint may repeat in what it answers."""
        key = self._key()
        return text.replace(key, "***") if key else text


class _TooSlow(Exception):
    """An answer comes, but not in time."""


def _read(response: httpx.Response, end: float) -> bytes:
    """Read an answer up to its limits: each piece may be in time, and the whole too late."""
    pieces, size = [], 0
    for piece in response.iter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise _Failed(f"{response.url} answers more than {LARGEST_ANSWER} bytes", again=False)
        if time.monotonic() > end:
            raise _TooSlow
    return b"".join(pieces)


def _said(data: bytes) -> str:
    """The beginning of an answer in one line, for an error."""
    text = " ".join(data[: 4 * _SHOWN].decode("utf-8", "replace").split())
    return text[:_SHOWN] + ("…" if len(text) > _SHOWN else "") or "nothing"


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from a number or a date (RFC 9110 section 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None
