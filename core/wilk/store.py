"""A store: one open backend with its host, its transaction seam and its verbs."""

from __future__ import annotations

import logging
import re
import weakref
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wilk import settings as settings_module
from wilk.clock import Clock
from wilk.contracts import Opened
from wilk.engine import Engine, Transaction
from wilk.errors import SettingsError
from wilk.events import Events
from wilk.host import Host
from wilk.migrations import runner
from wilk.nouns import Nouns
from wilk.settings import Settings
from wilk.worker import Worker

if TYPE_CHECKING:
    from wilk.caches.cache import Cache
    from wilk.definitions.watcher import Watcher
    from wilk.records.definitions import SyncReport
    from wilk.records.search import Found


logger = logging.getLogger("wilk.store")

_PATIENCE = 10.0
"""Seconds for which closing waits for an embedding model before it is let go of."""


def open_store(
    url: str | None = None,
    *,
    home: str | Path | None = None,
    readonly: bool | None = None,
    host: Host | None = None,
    clock: Clock | None = None,
    settings: Settings | None = None,
) -> Store:
    """Open a store, and bring its database to the current schema.

    - ``open_store()``: the home folder ``WILK_HOME`` or ``~/.wilk``, with its ``wilk.db``;
    - ``open_store(home=folder)``: another home folder;
    - ``open_store("sqlite:///x.db")``: a database without a home folder, so that definitions live
      in its tables alone.

    ``settings`` takes the place of arguments, ``config.yaml`` and ``WILK_*`` variables. Use the
    store as a context manager, or call :meth:`Store.close`. Raises SettingsError, PluginError,
    BackendError and SchemaError.
    """
    if url is not None and not isinstance(url, str):
        raise SettingsError(f"url {url!r}: a text such as sqlite:///path/to/file.db is wanted")
    if settings is None:
        settings = settings_module.load(home=home, url=url, readonly=readonly)
    elif url is not None or home is not None or readonly is not None:
        raise SettingsError("open_store takes settings=, or url, home and readonly, not both")
    if host is None:
        host = Host(disabled=settings.disabled_plugins, prefer=settings.choose)
    backend = host.backend(_scheme(settings.url))
    opened = backend.open(settings.url, settings)
    if not isinstance(opened, Opened):
        opened = Opened(opened)
    engine = Engine(
        opened,
        clock or Clock(),
        timeout=settings.timeout,
        readonly=settings.readonly,
        verbose=settings.verbose,
    )
    try:
        return Store(settings, host, engine, opened)
    except BaseException:
        engine.close()
        raise


class Store(Nouns):
    """Everything that agents know, in one place. Made by :func:`open_store`.

    The nouns (``agents``, ``sessions``, ``messages``, …) hold the verbs. A store may be used from
    several threads; each has its own connection.
    """

    def __init__(self, settings: Settings, host: Host, engine: Engine, opened: Opened) -> None:
        self.settings = settings
        self.host = host
        self._engine = engine
        self._folder = settings.home or opened.folder
        self._events = Events(host, engine)
        self._events.store = self
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()
        self._closed = False
        if settings.verbose:
            logging.getLogger("wilk.statements").setLevel(logging.DEBUG)
        self._worker = Worker(engine.release, engine.patience)
        self._embedding_worker = Worker(engine.release, engine.patience)  # a slow model holds up nothing else
        self._refreshing_worker = Worker(engine.release, engine.patience)  # nor do users' computations
        runner.migrate(engine, opened, host.model_sets())
        if settings.archive != "table" and not engine.readonly:
            self._outbox.begin()
        if not engine.readonly:
            self._start_timers()
        host.store_opened(self)

    def _start_timers(self) -> None:
        """Begin what the settings want done again and again while the store is open."""
        settings = self.settings
        retention = settings.retention and settings.retention_interval
        if retention:
            self.retention._rules(None)  # a bad rule is told now, and not by a log an hour later
        if settings.consolidation == "timer":
            self.consolidation.start(settings.consolidation_interval)
        if retention:
            self._worker.repeat("retention", settings.retention_interval, self.retention.run)
        if settings.embedder != "none":
            self._indexing.begin()

    # -- verbs of the whole store ---------------------------------------------------------

    @property
    def home(self) -> Path | None:
        """The home folder, or None for a store without files."""
        return self.settings.home

    def transaction(self) -> Transaction:
        """Make what the block does one change: all of it happens, or nothing.

        Nested blocks are savepoints; hooks that tell of changes run after the outermost commit.
        Raises Busy when other writers hold the store for longer than ``timeout``, and ReadOnly.
        """
        return self._engine.transaction()

    def reading(self) -> AbstractContextManager[None]:
        """Bind plugins' own models to this store for a block that only reads."""
        return self._engine.reading()

    def count_tokens(self, text: str, *, model: str | None = None) -> int:
        """Count the tokens that ``model`` sees in a text, by the tokenizer in use."""
        return self.tokenizer.count(text, model)

    def cache(self, namespace: str) -> Cache:
        """A cache: a tier in memory over one on disk, by the policy of its namespace.

        ``responses``, ``context``, ``models`` and ``registry`` have policies; others, and changes to these,
        come from the setting ``caches``.
        """
        return self._caches.get(namespace)

    def search(
        self,
        text: str,
        *,
        kinds: Collection[str] | None = None,
        session: str | None = None,
        user: str | None = None,
        limit: int = 20,
    ) -> list[Found]:
        """Find records by their text and, with an embedder, by their meaning; the best first.

        Any text is a valid query. ``kinds`` are some of message, memory, pin, document, summary, fact,
        interaction and pattern (by default the first six).
        """
        return self._searching.search(text, kinds=kinds, session=session, user=user, limit=limit)

    def sync(self, paths: Collection[Path] | None = None) -> SyncReport:
        """Take over what changed in the definition files: all of them, or those of ``paths``."""
        return self.catalog.sync(paths)

    def watch(self, on_report: Callable[[SyncReport], None] | None = None) -> Watcher:
        """Follow the definition files as they are edited, until ``stop()`` or the store closes.

        Returns a started watcher. ``on_report`` hears of each sync that changed or found something.
        """
        from wilk.definitions.watcher import Watcher

        watcher = Watcher(
            self.catalog,
            quiet=self.settings.watch_quiet,
            polling=self.settings.watch_polling,
            polling_interval=self.settings.watch_polling_interval,
            on_report=on_report,
            release=self._engine.release,
        )
        watcher.start()
        self._watchers.add(watcher)
        return watcher

    def settle(self, timeout: float = 60.0) -> bool:
        """Wait for the work that goes on behind the verbs, such as compaction, at most ``timeout`` seconds.

        Returns whether it is done. Closing the store waits for it as well, except that no embedding model is
        loaded for that: records wait for the next process that has one.
        """
        if "_indexing" in vars(self):
            self._indexing.hurry()
        return (
            self._worker.settle(timeout)
            and self._embedding_worker.settle(timeout)
            and self._refreshing_worker.settle(timeout)
        )

    def close(self) -> None:
        """Stop watching, tell the plugins, and close every connection. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            for watcher in list(self._watchers):
                watcher.stop()
            self._worker.stop()
            self._stop_embedding()
            self.host.store_closing(self)
        finally:
            made = vars(self)
            with ExitStack() as closing:  # each is closed, whatever the ones before it raise
                closing.callback(self._engine.close)
                if "_outbox" in made:
                    closing.callback(self._outbox.close)
                if "tools" in made:
                    closing.callback(self.tools._close)
                for derived in ("_indexing", "_vector_indexes", "_caches"):
                    if derived in made:
                        closing.callback(made[derived].close)

    def _stop_embedding(self) -> None:
        """Let the embedder end what it is at; a model that needs long for it is let go of before."""
        if not self._embedding_worker.stop(_PATIENCE):
            logger.warning("the embedder is still at work, and is interrupted, for the store closes")
            self._embedding_worker.drop(0.0)  # or the next job would open the model again
            self._indexing.close()
            self._embedding_worker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {_without_password(self.settings.url)}{' closed' if self._closed else ''}>"


def _scheme(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        raise SettingsError(f"url {url!r}: write SCHEME://..., for example sqlite:///path/to/file.db")
    return scheme


def _without_password(url: str) -> str:
    address, mark, query = url.partition("?")
    address = re.sub(r"(?<=://)([^@:/]*):.*@", r"\1:***@", address)
    return address + mark + re.sub(r"(?i)((?:password|passwd|token|secret)=)[^&]*", r"\1***", query)
