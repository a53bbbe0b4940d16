"""A store: one open backend with its host, its transaction seam and its verbs."""

from __future__ import annotations

import logging
import re
import weakref
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wilk import settings as settings_module
from wilk.clock import Clock
from wilk.contracts import Opened
from wilk.engine import Engine
from wilk.errors import Conflict, SettingsError
from wilk.events import Events
from wilk.host import Host
from wilk.migrations import runner
from wilk.nouns import Nouns
from wilk.settings import Settings
from wilk.worker import Worker

if TYPE_CHECKING:
    from wilk.buses import Joined
    from wilk.caches.cache import Cache
    from wilk.care.backups.backups import Backups
    from wilk.care.doctor.doctor import Doctor
    from wilk.care.forgetting.forgetting import Forgetting
    from wilk.care.maintenance import Maintainer
    from wilk.definitions.watcher import Watcher
    from wilk.records.care import Health, Maintenance, Statistics
    from wilk.records.definitions import SyncReport
    from wilk.records.search import Found
    from wilk.records.transfer import Moved, Progress
    from wilk.transactions import Transaction
    from wilk.transfer.exports import Exports
    from wilk.transfer.imports import Imports
    from wilk.transfer.moves.ends import End


logger = logging.getLogger("wilk.store")

_PATIENCE = 10.0
"""Seconds for which closing waits for an embedding model before it is let go of."""


def open_store(
    url: str | None = None,
    *,
    backend: str | None = None,
    base_dir: str | Path | None = None,
    db_path: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
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
      in its tables alone;
    - ``open_store(backend="sqlite", db_path=file)``, ``open_store(backend="files", base_dir=folder)``, and
      ``open_store(backend="postgresql", options={"host": …, "dbname": …})``: the same without a URL;
      ``options`` are those of the URL.

    ``settings`` takes the place of arguments, ``config.yaml`` and ``WILK_*`` variables. Use the
    store as a context manager, or call :meth:`Store.close`. Raises SettingsError, PluginError,
    BackendError and SchemaError.
    """
    if url is not None and not isinstance(url, str):
        raise SettingsError(f"url {url!r}: a text such as sqlite:///path/to/file.db is wanted")
    if any(value is not None for value in (backend, base_dir, db_path, options)):
        url = _address(url, backend, base_dir=base_dir, db_path=db_path, options=options)
    if settings is None:
        settings = settings_module.load(home=home, url=url, readonly=readonly)
    elif url is not None or home is not None or readonly is not None:
        raise SettingsError("open_store takes settings=, or url, home and readonly, not both")
    if host is None:
        host = Host(disabled=settings.disabled_plugins, prefer=settings.choose)
    return _open(settings, host, clock or Clock())


def _open(settings: Settings, host: Host, clock: Clock, *, restoring: bool = False) -> Store:
    """Open the store that settings describe; with ``restoring`` also one amid a restore, to do that again."""
    if settings.home is not None and not restoring and (settings.home / "restoring.json").exists():
        from wilk.care.backups.places import refuse

        refuse(settings.home)
    engine, opened = _opened(settings, host, clock)
    try:
        return Store(settings, host, engine, opened)
    except BaseException:
        engine.close()
        raise


def _address(url: str | None, backend: str | None, **place: Any) -> str:
    if url is not None:
        raise SettingsError("open_store takes a url, or backend, base_dir, db_path and options, not both")
    if backend is None:
        names = " and ".join(name for name, value in place.items() if value is not None)
        raise SettingsError(f"open_store({names}=…) wants backend= as well, such as 'sqlite' or 'files'")
    from wilk.addressing import address  # rarely needed

    return address(backend, **place)


def _opened(settings: Settings, host: Host, clock: Clock) -> tuple[Engine, Opened]:
    """Open the backend of the URL; the engine is the caller's to close."""
    backend = host.backend(_scheme(settings.url))
    opened = backend.open(settings.url, settings)
    if not isinstance(opened, Opened):
        opened = Opened(opened)
    engine = Engine(
        opened, clock, timeout=settings.timeout, readonly=settings.readonly, verbose=settings.verbose
    )
    return engine, opened


class Store(Nouns):
    """Everything that agents know, in one place. Made by :func:`open_store`.

    The nouns (``agents``, ``sessions``, ``messages``, …) hold the verbs. A store may be used from
    several threads; each has its own connection.
    """

    def __init__(
        self, settings: Settings, host: Host, engine: Engine, opened: Opened, *, quiet: bool = False
    ) -> None:
        """``quiet``: no plugin is told of the store, and nothing goes on behind it."""
        self.settings = settings
        self._quiet = quiet
        self.host = host
        self._engine = engine
        self._figures_of = opened.figures
        self._backend = opened
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
        self._joined = self._events.joined = self._joined_to(opened)
        runner.migrate(engine, opened, host.model_sets(), backup=self._backed_up)
        self._followed = None if opened.follow is None else opened.follow(self)
        if quiet:
            return
        if settings.archive != "table" and not engine.readonly:
            self._outbox.begin()
        if not engine.readonly:
            self._start_timers()
        try:
            if self._joined is not None and host.listens("definition_synced"):
                self._joined.follow()
            host.store_opened(self)
        except BaseException:
            if self._joined is not None:
                self._joined.close()
            raise

    def _joined_to(self, opened: Opened) -> Joined | None:
        """This store's end of the bus that the settings or the backend name; None without one."""
        chosen, host, made = self.settings.bus, self.host, vars(self)
        open_bus = opened.bus
        if chosen not in ("auto", "none"):
            kind = host.bus_kind(_scheme(chosen))
            folder = None if self._folder is None else self._folder / "cache"
            open_bus = partial(kind.open, chosen, self.settings, folder)
        if chosen == "none" or open_bus is None:
            return None
        from wilk.buses import Joined

        return Joined(
            open_bus,
            self._worker,
            caches=lambda: made.get("_caches"),
            catalog=lambda: self.catalog,
            synced=lambda change: host.definition_synced(self, change),
            listens=lambda: host.listens("definition_synced"),
            heard=opened.heard,
        )

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
        if settings.backup_interval:
            self.backups._begin(self._worker)
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
        """Take over what changed in the definition files: all of them, or those of ``paths``.

        Without ``paths`` a store on files takes over what changed in these as well.
        """
        if self._followed is None or paths is not None:
            return self.catalog.sync(paths)
        followed = self._followed.sync()
        if self.home is None:
            return followed
        from wilk.records.definitions import SyncReport

        report = self.catalog.sync()
        return SyncReport(
            report.seen + followed.seen,
            report.parsed + followed.parsed,
            report.changes + followed.changes,
            report.failures + followed.failures,
        )

    def watch(self, on_report: Callable[[SyncReport], None] | None = None) -> Watcher:
        """Follow the definition files as they are edited, until ``stop()`` or the store closes; in a store on
        files, these as well.

        Returns a started watcher. ``on_report`` hears of each sync that changed or found something, and
        with a bus of what other stores change, also where this one has no folder.
        """
        from wilk.definitions.watcher import Watcher

        files = None if self._followed is None else self._followed.watch(on_report)
        if files is not None:
            self._watchers.add(files)
            if self.home is None:
                if self._joined is not None:
                    self._joined.follow(files)
                return files
        if self.home is None and self._joined is not None:
            from wilk.definitions.listening import Listening

            listening = Listening(on_report)
            self._joined.follow(listening)
            self._watchers.add(listening)
            return listening
        watcher = Watcher(
            self.catalog,
            quiet=self.settings.watch_quiet,
            polling=self.settings.watch_polling,
            polling_interval=self.settings.watch_polling_interval,
            on_report=on_report,
            release=self._engine.release,
        )
        if files is not None:
            watcher.beside.append(files)
        watcher.start()
        if self._joined is not None:
            self._joined.follow(watcher)
        self._watchers.add(watcher)
        return watcher

    def move(
        self,
        to: str,
        *,
        without: Collection[str] = (),
        progress: Callable[[Progress], object] | None = None,
    ) -> Moved:
        """Copy every row of this store into the database at the URL ``to``, and compare both at the end.

        The target must hold no rows, but for those of an earlier move from here that was interrupted,
        which goes on. This store is only read, and files of its home folder stay where they are; nothing
        is switched over. Rows that change meanwhile are caught up with. Plugins are not told of the rows.
        ``without``: plugins that are not installed any more, whose tables may stay behind. ``progress`` is
        called after each batch and must not use this store; what it raises ends the move. Raises Conflict
        for a target that is in use, MoveFailed for rows that it does not take, Busy when this store changes
        again and again, and what opening raises.
        """
        from wilk.transfer.moves.moving import Move

        with self._other(to, readonly=False) as (here, there):
            return Move(here, there, self.host.model_sets(), progress, without).run()

    def compare(
        self,
        to: str,
        *,
        without: Collection[str] = (),
        progress: Callable[[Progress], object] | None = None,
    ) -> Moved:
        """Compare every row of this store with those of the database at the URL ``to``; neither is written.

        The arguments are those of :meth:`move`.
        """
        from wilk.transfer.moves.moving import Move

        with self._other(to, readonly=True) as (here, there):
            return Move(here, there, self.host.model_sets(), progress, without).compare()

    @cached_property
    def imports(self) -> Imports:
        """What was taken over from other programs, and taking it over."""
        from wilk.transfer.imports import Imports

        return Imports(self)

    @cached_property
    def doctor(self) -> Doctor:
        """What finds and mends what is not as it should be."""
        from wilk.care.doctor.doctor import Doctor

        return Doctor(self)

    @cached_property
    def forgetting(self) -> Forgetting:
        """Forgetting a person or a session for good, and the certificates of that."""
        from wilk.care.forgetting.forgetting import Forgetting

        return Forgetting(self)

    @cached_property
    def exports(self) -> Exports:
        """Files that other programs, and people, read."""
        from wilk.transfer.exports import Exports

        return Exports(self)

    @cached_property
    def backups(self) -> Backups:
        """Backups: made while others write, tried, put back."""
        from wilk.care.backups.backups import Backups

        return Backups(self)

    def _backed_up(self, label: str) -> object:
        """Back the database up before its schema changes; nothing where its engine has its own way."""
        opened = self._backend
        if opened.copy is None:
            return None if opened.backup is None else opened.backup(label)
        from wilk.care.backups.backups import before_migration

        return before_migration(self, label)

    @contextmanager
    def _other(self, url: str, *, readonly: bool) -> Generator[tuple[End, End], None, None]:
        """This database and another one, which is open for the block; no plugin is told of it, and no work
        goes on behind it."""
        if not isinstance(url, str):
            raise SettingsError(f"url {url!r}: a text such as sqlite:///path/to/file.db is wanted")
        if self._engine.in_transaction:
            raise Conflict("a move sees what is committed: end the transaction before it")
        with self._beside(url, readonly=readonly) as other:
            yield self._end(), other._end()

    @contextmanager
    def _beside(
        self, url: str, *, readonly: bool = False, copy: bool = False
    ) -> Generator[Store, None, None]:
        """Another database as a store without a home folder, for a block. ``copy``: it is one of this one's,
        so that nothing of it needs to be backed up."""
        settings = replace(self.settings, home=None, url=url, readonly=readonly, bus="none")
        engine, opened = _opened(settings, self.host, self._engine.clock)
        if copy:
            opened = replace(opened, copy=None, backup=None)
        try:
            if opened.shared and opened.folder is None:
                raise Conflict(f"{url} is in memory, and would end with the move; name a database that stays")
            with Store(settings, self.host, engine, opened, quiet=True) as other:
                yield other
        finally:
            engine.close()

    def _end(self) -> End:
        """This database as one end of a move."""
        from wilk.transfer.moves.ends import End

        return End(self._engine, self._backend, self._shown_url())

    def _shown_url(self) -> str:
        """The URL without a password."""
        return _without_password(self.settings.url)

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

    def health(self, *, timeout: float = 5.0) -> Health:
        """Tell how the store fares: ``ok``, ``degraded`` or ``failing``, with the reasons.

        Something is read, and something written and undone, so that nothing of it stays; within a
        transaction nothing is written. What gives no answer within ``timeout`` seconds is a reason too: this
        returns in about twice that at most, and raises nothing but Invalid for a ``timeout`` that is none.
        """
        return self._health.check(timeout=timeout)

    def statistics(self, *, quick: bool = False) -> Statistics:
        """Tell how much there is of each kind, how large it is and grows, and what lies in folders.

        Rows are counted, by an index where there is one. Bytes of each kind and growth read the tables;
        ``quick`` leaves those out.
        """
        return self._measuring.take(quick=quick)

    def maintain(
        self,
        steps: Collection[str] | None = None,
        *,
        quick: bool = False,
        progress: Callable[[Progress], object] | None = None,
    ) -> Maintenance:
        """Check the database, and do what keeps it fast and small; tell of each step what came of it.

        By default all steps that keep nobody waiting for long; with ``quick`` the short ones. ``steps`` names
        those to do; ``compact`` is done only when it is named. Others may write meanwhile: what they keep
        from being done is told as ``busy``. Nothing that somebody wrote is changed or removed. ``progress``
        is called before each step. Raises Invalid for a step that there is none of, and Conflict within a
        transaction.
        """
        return self._maintainer.run(steps, quick=quick, progress=progress)

    @cached_property
    def _maintainer(self) -> Maintainer:
        """What keeps the engine well."""
        from wilk.care.maintenance import Maintainer

        make = self._backend.maintenance
        name = self.settings.url.partition("://")[0]
        return Maintainer(self._engine, name, self._figures, None if make is None else make())

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
            if not self._quiet:
                self.host.store_closing(self)
        finally:
            made = vars(self)
            with ExitStack() as closing:  # each is closed, whatever the ones before it raise
                if self._followed is not None:
                    closing.callback(self._followed.close)
                closing.callback(self._engine.close)
                if "_outbox" in made:
                    closing.callback(self._outbox.close)
                if "tools" in made:
                    closing.callback(self.tools._close)
                for derived in ("_indexing", "_vector_indexes", "_caches"):
                    if derived in made:
                        closing.callback(made[derived].close)
                if self._joined is not None:
                    closing.callback(self._joined.close)

    def _stop_embedding(self) -> None:
        """Let the embedder end what it is at; a model that needs long for it is let go of before."""
        if not self._embedding_worker.stop(_PATIENCE):
            logger.warning("the embedder is still at work, and is interrupted, for the store closes")
            self._embedding_worker.drop(0.0)  # or the next job would open the model again
            self._indexing.close()
            self._embedding_worker.stop()

    @property
    def closed(self) -> bool:
        """Whether the store has been closed."""
        return self._closed

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
