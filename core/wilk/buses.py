"""A store's end of the bus: caches and watchers hear of what other stores over the same data changed.

A message is a topic and a JSON list that begins with its origin: stores pass over what they told
themselves. Where messages were missed, memory is emptied and the definitions are compared.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import weakref
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from wilk import codec
from wilk.errors import BackendError, WilkError
from wilk.records.definitions import Change

if TYPE_CHECKING:
    from wilk.contracts import Bus
    from wilk.definitions.catalog import Catalog
    from wilk.definitions.news import News
    from wilk.worker import Worker

logger = logging.getLogger("wilk.bus")

CACHE = "cache"
DEFINITIONS = "definitions"
LOST = "lost"
_CHANGES = ("set", "touch", "delete", "clear")
_JOB = "definitions that other stores changed"
_AGAIN = 1.0
"""Seconds after which definitions are compared again that could not be."""

_joined: weakref.WeakSet[Joined] = weakref.WeakSet()
_kinds: set[type] = set()


class Hearing(Protocol):
    """What the caches of a store do about others' changes."""

    def heard(self, namespace: str, place: str | None, what: str, argument: Any) -> None: ...

    def lose(self) -> None: ...


class Follower(Protocol):
    """What is told of definitions that others changed, as long as it is alive."""

    @property
    def alive(self) -> bool: ...

    def follow(self, changes: Collection[Change]) -> None: ...


class Joined:
    """Joins one store to a bus, when there is first something to hear or to tell.

    ``caches`` gives the store's caches, or None while it has none; ``catalog`` its definitions; ``synced``
    tells plugins of a change of theirs, and ``listens`` whether any wants to hear. ``heard`` is called before
    anything is done about a message: what is read from then on must not be older.
    """

    def __init__(
        self,
        open: Callable[[], Bus],
        worker: Worker,
        *,
        caches: Callable[[], Hearing | None],
        catalog: Callable[[], Catalog],
        synced: Callable[[Change], None],
        listens: Callable[[], bool],
        heard: Callable[[], object] | None = None,
    ) -> None:
        self._open = open
        self._worker = worker
        self._caches = caches
        self._catalog = catalog
        self._synced = synced
        self._listens = listens
        self._heard = heard
        self._news: News | None = None
        self._followers: list[Follower] = []
        self._inherited: list[Bus] = []
        self._rejoins = False
        self._told = False
        self._closed = False
        self._begin()
        _joined.add(self)

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._origin = secrets.token_hex(8)
        self._bus: Bus | None = None
        self._changes: list[Change] = []
        self._lost = False
        self._trying = False

    # -- hearing and telling --------------------------------------------------------------

    def join(self) -> None:
        """Open the bus, unless it is open; raises what is wrong with its settings."""
        with self._lock:
            if self._bus is None and not self._closed:
                try:
                    self._bus = self._open()
                except BackendError as error:
                    if not self._told:
                        self._told = True
                        logger.warning("there is no bus: %s; other stores are not told of changes", error)
                    return
                _watch_forks(type(self._bus))
                self._bus.subscribe(self._hear)

    def follow(self, follower: Follower | None = None) -> None:
        """Tell ``follower``, or plugins alone, of definitions that others change from now on."""
        from wilk.definitions.news import News

        self.join()
        with self._lock:
            self._followers = [one for one in self._followers if one.alive]
            if follower is not None:
                self._followers.append(follower)
            if self._news is None:
                self._news = News(self._catalog())
            news = self._news
        news.begin()  # what is heard meanwhile waits for the worker, who compares it with that

    def tell(self, namespace: str, place: str | None, what: str, argument: Any) -> None:
        """Tell others what this store changed in a cache."""
        self._publish(CACHE, [self._origin, namespace, place, what, argument])

    def synced(self, change: Change) -> None:
        """Tell others of a definition that this store changed; after the commit."""
        if self._news is not None:
            self._news.known([change])
        self._publish(DEFINITIONS, [self._origin, *change])

    def set_back(self) -> None:
        """Tell others that the whole store is another one by now: it was restored from a backup."""
        self._publish(LOST, [self._origin])

    def close(self) -> None:
        """Send what waits, and leave the bus."""
        with self._lock:
            self._closed = True
            bus, self._bus = self._bus, None
        if bus is not None:
            bus.close()

    def _publish(self, topic: str, message: list[Any]) -> None:
        try:
            self.join()
            bus = self._bus
            if bus is not None:
                bus.publish(topic, codec.dumps(message))
        except Exception as error:  # what was changed is changed, whether others hear of it or not
            logger.warning("other stores do not hear of a change: %s", error)

    # -- on the thread of the bus ---------------------------------------------------------

    def _hear(self, topic: str, text: str) -> None:
        try:
            if topic == LOST:
                if self._heard is not None:
                    self._heard()
                self._lose()
                return
            message = codec.loads(text)
            if not isinstance(message, list) or not message or message[0] == self._origin:
                return
            if self._heard is not None:
                self._heard()
            if topic == CACHE:
                self._hear_cache(*message[1:])
            elif topic == DEFINITIONS:
                self._hear_definition(Change(*message[1:]))
        except Exception as error:  # anybody may write to a bus
            if not self._closed:
                logger.warning("a message of the bus about %r is passed over: %s", topic, error)

    def _hear_cache(self, namespace: str, place: str | None, what: str, argument: Any) -> None:
        caches = self._caches()
        if caches is None or what not in _CHANGES or not isinstance(namespace, str):
            return
        texts = argument if what == "clear" else [argument, place]
        if not isinstance(texts, list) or len(texts) != 2:
            return
        if all(text is None or isinstance(text, str) for text in (*texts, place)):
            caches.heard(namespace, place, what, argument)

    def _hear_definition(self, change: Change) -> None:
        if self._news is None:
            return
        if not all(isinstance(part, str) for part in change[:4]) or not isinstance(change.revision, int):
            raise ValueError(f"{change} is no change")
        with self._lock:
            self._changes.append(change._replace(elsewhere=True))
        self._worker.submit(_JOB, self._tell)

    def _lose(self) -> None:
        caches = self._caches()
        if caches is not None:
            caches.lose()
        if self._news is not None:
            with self._lock:
                self._lost = True
            self._worker.submit(_JOB, self._tell)

    # -- on the worker's thread -----------------------------------------------------------

    def _tell(self) -> None:
        """Tell followers and plugins of the definitions that others changed.

        What cannot be read now, for a server may not be back yet, is read later.
        """
        news = self._news
        if news is None:
            return
        changes: list[Change] = []
        lost = self._lost
        try:
            news.begin()
            with self._lock:
                changes, self._changes = self._changes, []
                lost, self._lost = self._lost, False
            changes = news.fresh(changes)
            if lost:
                changes += news.missed()
        except WilkError as error:
            with self._lock:
                self._lost = self._lost or lost
            self._try_again(error)
        else:
            if self._trying:
                self._trying = False
                self._worker.cancel(_JOB)
        self._tell_of(news, changes)

    def _try_again(self, error: WilkError) -> None:
        if self._closed or self._trying:
            return
        self._trying = True
        logger.warning("definitions that other stores changed cannot be read now, but will be: %s", error)
        self._worker.repeat(_JOB, _AGAIN, self._tell)

    def _tell_of(self, news: News, changes: list[Change]) -> None:
        for change in changes:
            try:
                news.compare(change)
            except WilkError as error:
                logger.warning("the file of %s %s is not compared: %s", change.kind, change.id, error)
            if self._listens():
                self._synced(change)
        for follower in self._followers if changes else ():
            follower.follow(changes)

    # -- forks ----------------------------------------------------------------------------

    def _born(self) -> None:
        """In a forked child: the bus and its threads are the parent's, and so are its watchers."""
        bus = self._bus
        self._followers = []
        if self._news is not None:
            self._news.forked()
        self._begin()
        if bus is not None and not self._closed:
            self._inherited.append(bus)  # what closes it when it is collected would close the parent's
            self._rejoins = True

    def _rejoin(self) -> None:
        """Go on with a bus of the child's own."""
        self._rejoins = False
        try:
            self.join()
            self._lose()
        except Exception as error:
            logger.warning("a forked process does not hear of others' changes: %s", error)


def _watch_forks(kind: type) -> None:
    """Open buses of a kind anew in forked children: after whatever that kind itself does there, and that was
    registered when its module was imported."""
    if kind not in _kinds and hasattr(os, "register_at_fork"):
        _kinds.add(kind)
        os.register_at_fork(after_in_child=partial(_rejoined, kind))


def _rejoined(kind: type) -> None:
    for joined in list(_joined):
        if joined._rejoins and type(joined._inherited[-1]) is kind:
            joined._rejoin()


def _forked() -> None:
    for joined in list(_joined):
        joined._born()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
