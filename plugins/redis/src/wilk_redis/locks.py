"""Locks of keys that are computed: a key with a token on the server, renewed while its holder lives."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import chain, repeat
from typing import TYPE_CHECKING

from wilk import BackendError
from wilk_redis import scripts
from wilk_redis.connecting import translated

if TYPE_CHECKING:
    from redis import Redis

    from wilk_redis.options import Options

LASTS = 10.0
"""Seconds after which the lock of a holder that died is free."""
_RENEWED = 3.0
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)


class KeyLocks:
    """The locks of one cache. A thread renews them; it ends when there is none to renew."""

    def __init__(self, server: Redis, options: Options, base: str) -> None:
        self._server = server
        self._options = options
        self._base = base
        self._unlock = server.register_script(scripts.UNLOCK)
        self._renew = server.register_script(scripts.RENEW)
        self._begin()

    def _begin(self) -> None:
        """Begin without a lock; also in a forked child, where those that are held are its parent's."""
        self._process = os.getpid()
        self._change = threading.Condition()
        self._held: dict[str, str] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def held(self, key: str, timeout: float) -> Iterator[bool]:
        """Hold the lock of a key while the block runs; False when others held it for ``timeout`` seconds.

        Raises BackendError before the block when the server is away; what becomes of the lock then is told
        by its time.
        """
        if self._process != os.getpid():
            self._begin()
        name = self._base + "lock:" + sha256(key.encode()).hexdigest()[:40]
        token = secrets.token_hex(16)
        mine = self._waited(name, token, time.monotonic() + timeout)
        try:
            yield mine
        finally:
            if mine and self._process == os.getpid():
                self._release(name, token)

    def _waited(self, name: str, token: str, until: float) -> bool:
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            with translated(self._options):
                if self._server.set(name, token, nx=True, px=round(LASTS * 1000)):
                    break
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, pause))
        with self._change:
            self._held[token] = name
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="wilk-redis-locks", daemon=True)
                self._thread.start()
        return True

    def _release(self, name: str, token: str) -> None:
        with self._change:
            if self._held.pop(token, None) is None:
                return
        with suppress(BackendError), translated(self._options):
            self._unlock(keys=[name], args=[token])

    def close(self) -> None:
        """End the thread. What is held is let go by its holders, or by its time."""
        if self._process != os.getpid():
            return
        with self._change:
            self._closed = True
            thread = self._thread
            self._change.notify_all()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed, _RENEWED)
                held = dict(self._held)
                if self._closed or not held:
                    self._thread = None
                    return
            for token, name in held.items():
                with suppress(BackendError), translated(self._options):
                    self._renew(keys=[name], args=[token, round(LASTS * 1000)])
