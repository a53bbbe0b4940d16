"""One endpoint over HTTP: requests with time limits, and new attempts where they may help.

Keys come from the environment at the moment of the request. They are in no error and no log.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from wilk import BackendError
from wilk_openai.limits import Allowance, retry_after

if TYPE_CHECKING:
    import httpx

    from wilk_openai.options import Options

LARGEST_ANSWER = 16_000_000
"""Bytes of an answer that are read; a larger one is refused."""

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_FIRST_WAIT = 0.5
_SHOWN = 300
_LOOKED_AT = 100_000


class EndpointError(BackendError):
    """The endpoint gave no answer that can be used; the text says why, without the key.

    ``status`` is that of the last answer, None when there was none.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class _Failed(Exception):
    """One attempt failed; ``wait`` is what the endpoint asks for in seconds, ``again`` if it may help."""

    def __init__(
        self, text: str, *, again: bool, wait: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(text)
        self.again = again
        self.wait = wait
        self.status = status


class Client:
    """Requests to one endpoint. Use it as a context manager, or close it. Several threads may use it.

    ``largest`` is how many bytes of an answer are read.
    """

    def __init__(
        self,
        options: Options,
        *,
        largest: int = 0,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        import httpx

        from wilk_openai.network import Limit

        self._options = options
        self._largest = largest
        self._limit = Limit()
        self._sleep = sleep or self._limit.stopped.wait
        self._allowance = Allowance()
        self._http = httpx.Client(timeout=options.timeout, follow_redirects=False)
        self._limit.keep(self._http)

    def post(self, path: str, body: Mapping[str, Any], *, within: float | None = None) -> Any:
        """Send JSON to ``path`` below the endpoint's URL, and return the JSON that it answers.

        Tries again after what passes by (429, 5xx, a broken connection, a time limit), as long as the
        endpoint says in ``Retry-After`` or twice as long each time. Waits before it asks when an earlier
        answer told that nothing is left of a rate limit. ``within`` is seconds for all of it.
        Raises EndpointError.
        """
        options = self._options
        end = time.monotonic() + within if within is not None else float("inf")
        attempt = 0
        while True:
            if (wait := self._allowance.wait()) > 0:
                self._pause(wait, end, "the rate limit is used up", None)
            if self._limit.stopped.is_set():
                raise EndpointError(f"{self._url(path)} was given up, for the embedder was closed")
            try:
                return self._attempt(path, body, min(options.timeout, end - time.monotonic()))
            except _Failed as failure:
                wait = _FIRST_WAIT * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
                if failure.wait is not None:
                    wait = failure.wait
                told = self.without_key(str(failure))
                if not failure.again or attempt >= options.retries or time.monotonic() >= end:
                    tries = f" ({attempt + 1} attempts)" if attempt else ""
                    raise EndpointError(f"{told}{tries}", failure.status) from None
                self._pause(wait, end, told, failure.status)
                attempt += 1

    def close(self) -> None:
        """Close the connections. Requests of other threads end soon, in EndpointError."""
        self._limit.stopped.set()
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _pause(self, wait: float, end: float, told: str, status: int | None) -> None:
        """Wait, unless that takes longer than the time limit, or than there is left."""
        limit = min(self._options.timeout, max(0.0, end - time.monotonic()))
        if wait > limit:
            raise EndpointError(
                f"{told}; it asks to wait for {wait:g} s, longer than the time limit of {limit:g} s", status
            ) from None
        self._sleep(wait)

    def _attempt(self, path: str, body: Mapping[str, Any], timeout: float) -> Any:
        import httpx

        url = self._url(path)
        end = time.monotonic() + timeout
        key = self._key()
        if not (key.isascii() and key.isprintable()):
            # The libraries below log a header that they refuse.
            told = f"the key in {self._options.key_variable} cannot be sent: printable ASCII is wanted"
            raise _Failed(told, again=False)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            with (
                self._limit.until(end),
                self._http.stream(
                    "POST", url, json=body, headers=headers, timeout=max(0.001, timeout)
                ) as response,
            ):
                self._allowance.heed(response.headers)
                data = _read(response, end, max(LARGEST_ANSWER, self._largest))
        except httpx.ConnectTimeout:
            raise _Failed(f"{url} cannot be reached: no connection in time", again=True) from None
        except (httpx.TimeoutException, _TooSlow):
            raise _Failed(f"{url} gave no answer within {timeout:.3g} s", again=True) from None
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
                f"{url} answers {response.status_code}{self._hint(response.status_code)}: {self._said(data)}",
                again=response.status_code in _AGAIN,
                wait=retry_after(response.headers.get("retry-after")),
                status=response.status_code,
            )
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise _Failed(f"{url} answers what is no JSON: {self._said(data)}", again=False) from None

    def _url(self, path: str) -> str:
        return f"{self._options.url.rstrip('/')}/{path.lstrip('/')}"

    def _key(self) -> str:
        return os.environ.get(self._options.key_variable, "").strip()

    def _hint(self, status: int) -> str:
        if status not in (401, 403):
            return ""
        variable = self._options.key_variable
        if not variable:
            return " (no variable is set to have its key)"
        return f" (the key in {variable} is refused)" if self._key() else f" ({variable} is not set)"

    def _said(self, data: bytes) -> str:
        """The beginning of an answer in one line, for an error. The key goes before anything is cut off, for
        a piece of it would not be known as such."""
        text = " ".join(self.without_key(data[:_LOOKED_AT].decode("utf-8", "replace")).split())
        return text[:_SHOWN] + ("…" if len(text) > _SHOWN else "") or "nothing"

    def without_key(self, text: str) -> str:
        """A text without the key, which an endpoint may repeat in what it answers."""
        key = self._key()
        return text.replace(key, "***") if key else text


class _TooSlow(Exception):
    """An answer comes, but not in time."""


def _read(response: httpx.Response, end: float, largest: int) -> bytes:
    """Read an answer up to its limits: each piece may be in time, and the whole too late."""
    pieces, size = [], 0
    for piece in response.iter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > largest:
            raise _Failed(f"{response.url} answers more than {largest} bytes", again=False)
        if time.monotonic() > end:
            raise _TooSlow
    return b"".join(pieces)
