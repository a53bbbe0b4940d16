"""The network below HTTP, kept to the time limit of a whole request.

The libraries limit each wait. An endpoint that sends a byte now and then, such as one header for ever, keeps
to that and never ends; so every wait here is at most as long as what is left of the request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    import ssl

    import httpx

_GLANCE = 0.25  # seconds after which a wait looks whether it is wanted any more
_CONNECT = 5.0  # seconds for a connection, which cannot be looked at meanwhile


class _Ends(threading.local):
    end = float("inf")


class Limit:
    """When the request of the calling thread has to be done, and whether any is wanted any more."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._ends = _Ends()

    @contextmanager
    def until(self, end: float) -> Iterator[None]:
        """Let what the calling thread waits for within the block end at a moment of the monotonic clock."""
        self._ends.end = end
        try:
            yield
        finally:
            self._ends.end = float("inf")

    def left(self, timeout: float | None, late: type[Exception]) -> float:
        """Seconds that the calling thread may wait; raises ``late`` when there are none."""
        left = self._ends.end - time.monotonic()
        if left <= 0 or self.stopped.is_set():
            raise late("the time limit of the request")
        return left if timeout is None else min(left, timeout)

    def keep(self, client: httpx.Client) -> None:
        """Have a client's connections keep to this."""
        transports: list[Any] = [client._transport, *client._mounts.values()]
        for transport in transports:
            if transport is not None:  # where a proxy is set, and not used for some hosts
                transport._pool._network_backend = _Backend(self)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, limit: Limit) -> None:
        self._below = httpcore.SyncBackend()
        self._limit = limit

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = min(_CONNECT, self._limit.left(timeout, httpcore.ConnectTimeout))
        return _Stream(self._below.connect_tcp(host, port, left, local_address, socket_options), self._limit)

    def sleep(self, seconds: float) -> None:
        self._limit.stopped.wait(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, below: httpcore.NetworkStream, limit: Limit) -> None:
        self._below = below
        self._limit = limit

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            left = self._limit.left(end - time.monotonic(), httpcore.ReadTimeout)
            try:
                return self._below.read(max_bytes, max(0.001, min(_GLANCE, left)))
            except httpcore.ReadTimeout:
                if time.monotonic() >= end:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._below.write(buffer, self._limit.left(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = min(_CONNECT, self._limit.left(timeout, httpcore.ConnectTimeout))
        return _Stream(self._below.start_tls(ssl_context, server_hostname, left), self._limit)

    def close(self) -> None:
        self._below.close()

    def get_extra_info(self, info: str) -> Any:
        return self._below.get_extra_info(info)
