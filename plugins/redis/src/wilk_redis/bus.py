"""The bus ``redis``: messages by publish and subscribe, over connections that are made anew when they end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wilk import SettingsError
from wilk_redis.options import Options, options_of
from wilk_redis.prefixes import prefix_of

if TYPE_CHECKING:
    from pathlib import Path

    from redis import Redis

    from wilk import Settings

logger = logging.getLogger("wilk.bus")

LOST = "lost"
_WAITING = 10_000
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0
_SILENCE = 5.0
"""Seconds without a word after which the server is asked whether it is there."""
_PATIENCE = 1.0
_SEPARATOR = "\n"


class RedisBus:
    """Two threads: one hears, the other, which is there once something is published, sends.

    Messages that cannot be sent wait, at most so many; of more than that, others are told that they are
    lost. Who was not connected for a while is told so as well: what was said meanwhile is gone.
    """

    def __init__(self, options: Options, prefix: str) -> None:
        self._options = options
        self._channel = f"wilk:{{{prefix}}}:bus"
        self._change = threading.Condition()
        self._listeners: list[Callable[[str, str], None]] = []
        self._waiting: deque[tuple[str, str]] = deque()
        self._sending = False
        self._closing = False
        self._away = False
        self._process = os.getpid()
        self._hearer: threading.Thread | None = None
        self._sender: threading.Thread | None = None
        self._subscribed: Any = None

    # -- the contract ---------------------------------------------------------------------

    def publish(self, topic: str, text: str) -> None:
        """Send a message as soon as that can be."""
        with self._change:
            if self._closing:
                return
            if len(self._waiting) >= _WAITING:
                self._waiting.clear()
                self._waiting.append((LOST, ""))
            self._waiting.append((topic, text))
            if self._sender is None:
                self._sender = threading.Thread(target=self._send, name="wilk-redis-sender", daemon=True)
                self._sender.start()
            self._change.notify_all()

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        """Tell ``listener`` of every message from now on."""
        with self._change:
            self._listeners.append(listener)
            if self._hearer is None and not self._closing:
                self._hearer = threading.Thread(target=self._hear, name="wilk-redis-bus", daemon=True)
                self._hearer.start()

    def close(self) -> None:
        """Send what waits, at most for a second, and end.

        A thread that waits for a server that does not answer then ends by the time limit of its wait.
        """
        if self._process != os.getpid():
            return
        with self._change:
            if self._sender is not None:
                self._change.wait_for(lambda: not self._waiting and not self._sending, _PATIENCE)
            self._closing = True
            self._change.notify_all()
            subscribed = self._subscribed
        if subscribed is not None:
            with suppress(Exception):  # the answer wakes who waits for messages
                subscribed.unsubscribe()
        until = time.monotonic() + 2 * _PATIENCE
        for thread in (self._hearer, self._sender):
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    # -- hearing --------------------------------------------------------------------------

    def _hear(self) -> None:
        pause = _FIRST_PAUSE
        while not self._closing:
            try:
                server = self._client()
                try:
                    self._listen(server)
                finally:
                    server.close()
                pause = _FIRST_PAUSE
            except Exception as error:
                if self._closing:
                    return
                if not self._tell_away(error):
                    pause = min(pause * 2, _LAST_PAUSE)
                with self._change:
                    self._change.wait_for(lambda: self._closing, pause)

    def _listen(self, server: Any) -> None:
        """Hear messages until the bus closes; raises when the connection ends, or nobody answers."""
        with server.pubsub() as subscribed:
            subscribed.subscribe(self._channel)
            asked = heard = time.monotonic()
            while not self._closing:
                message = subscribed.get_message(timeout=1.0)
                now = time.monotonic()
                if message is None:
                    if asked > heard and now - asked > max(self._options.timeout, 1.0):
                        raise ConnectionError("the server does not answer")
                    if asked <= heard and now - heard > _SILENCE:
                        subscribed.ping()
                        asked = now
                    continue
                heard = now
                if message["type"] == "subscribe":
                    with self._change:
                        self._subscribed = subscribed
                    self._tell_back()
                    self._tell(LOST, "")  # what was said before now was not heard
                elif message["type"] == "message":
                    topic, _, text = message["data"].decode(errors="replace").partition(_SEPARATOR)
                    self._tell(topic, text)
        with self._change:
            self._subscribed = None

    def _tell(self, topic: str, text: str) -> None:
        for listener in list(self._listeners):
            try:
                listener(topic, text)
            except Exception:
                logger.exception("a listener of the bus failed")

    def _tell_away(self, error: Exception) -> bool:
        """Log, once, that the server is away; return whether this was news."""
        with self._change:
            self._subscribed = None
            news, self._away = not self._away, True
        if news:
            from wilk_redis.connecting import shown

            logger.warning(
                "the bus %s is away: %s; other stores hear of changes when it is back",
                shown(self._options.url), str(error) or type(error).__name__,
            )  # fmt: skip
        return news

    def _tell_back(self) -> None:
        with self._change:
            back, self._away = self._away, False
        if back:
            from wilk_redis.connecting import shown

            logger.warning("the bus %s is there again", shown(self._options.url))

    # -- sending --------------------------------------------------------------------------

    def _send(self) -> None:
        server: Any = None
        pause = _FIRST_PAUSE
        try:
            while True:
                with self._change:
                    self._sending = False
                    self._change.notify_all()
                    self._change.wait_for(lambda: self._waiting or self._closing)
                    if self._closing:
                        return
                    topic, text = self._waiting[0]
                    self._sending = True
                try:
                    server = server or self._client()
                    server.publish(self._channel, topic + _SEPARATOR + text)
                except Exception as error:  # who hears says that the server is away
                    logger.debug("not sent yet: %s", error)
                    pause = min(pause * 2, _LAST_PAUSE)
                    with self._change:
                        self._sending = False
                        if self._change.wait_for(lambda: self._closing, pause):
                            return
                else:
                    pause = _FIRST_PAUSE
                    with self._change:
                        if self._waiting and self._waiting[0] == (topic, text):
                            self._waiting.popleft()
        finally:
            if server is not None:
                server.close()

    def _client(self) -> Redis:
        from wilk_redis.connecting import client  # the driver, which takes a while to import

        return client(self._options, connections=2)


def open_bus(url: str, settings: Settings, folder: Path | None) -> RedisBus:
    """Open the bus of a store; it connects behind that."""
    options = options_of(settings, url)
    prefix = prefix_of(settings, folder, options.prefix)
    if prefix is None:
        raise SettingsError(
            "bus: this store has nothing by which others could know it; say which stores belong together "
            "with plugins.redis.prefix or WILK_REDIS_PREFIX"
        )
    return RedisBus(options, prefix)
