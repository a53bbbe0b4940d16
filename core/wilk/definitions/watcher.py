"""Follows the definition files: what an editor saves is in the tables a moment later."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from wilk.definitions import reader
from wilk.definitions.places import Place
from wilk.definitions.quiet import CONFIRM, CROWD, Batch, Pending
from wilk.definitions.scope import Identity, Scope
from wilk.definitions.signals import Source, open_source, warn_of_limit
from wilk.errors import BackendError, Closed, SettingsError, WilkError
from wilk.records.definitions import Change, SyncReport

_log = logging.getLogger("wilk.watcher")

HEARTBEAT = 1.0
"""Seconds between looks at whether the watched folders are still the ones at their paths."""

FIRST_RETRY = 0.1
LAST_RETRY = 30.0
"""Seconds until a failed sync is tried again; the wait doubles from the one to the other."""


class Watched(Protocol):
    """What a watcher needs of a catalog."""

    @property
    def home(self) -> Path | None: ...

    def places(self) -> Mapping[str, Place]: ...

    def sync(self, paths: Collection[Path] | None = None) -> SyncReport: ...


class Watcher:
    """Syncs a catalog with its home folder once, and then whenever files change, until stopped.

    ``quiet`` is how many seconds a file must be left alone before it is read. ``polling`` is
    ``auto`` (where the system gives no signals of changes), ``always`` or ``never``; it looks
    every ``polling_interval`` seconds. ``on_report`` gets the report of each sync that changed or
    found something, on the thread that ran it; what it raises is logged. ``release`` is called
    on the watcher's own thread before that ends, to give back what it held of the store.

    Use it as a context manager, or with :meth:`start` and :meth:`stop`. A home folder that
    vanishes is waited for, and nothing is archived meanwhile. A link to a folder is followed; of a
    file that is itself a link, changes are only noticed when the link is made anew.
    """

    def __init__(
        self,
        catalog: Watched,
        *,
        quiet: float = 0.05,
        polling: str = "auto",
        polling_interval: float = 1.0,
        on_report: Callable[[SyncReport], object] | None = None,
        release: Callable[[], object] | None = None,
    ) -> None:
        if catalog.home is None:
            raise SettingsError("this store has no home folder to watch; open it with home=FOLDER")
        self._catalog = catalog
        self._home = catalog.home
        self._scope = Scope(catalog.home, catalog.places().values())
        self._polling = polling
        self._interval = polling_interval
        self._on_report = on_report
        self._release = release
        self._pending = Pending(quiet)
        self._changed = threading.Condition()  # guards what follows, and _pending
        self._stopping = False
        self._lost: str | None = None
        self._limit: OSError | None = None
        self._retry = FIRST_RETRY
        self._source: Source | None = None
        self._identity: Identity | None = None
        self._thread: threading.Thread | None = None
        self.beside: list[Watcher] = []
        """Watchers of something else, which stop with this one."""

    @property
    def mode(self) -> str:
        """How changes are noticed: ``inotify``, ``native`` (the system's own way), ``polling``,
        ``bus`` (a store without a folder), or ``waiting`` while there is no home folder, and ``stopped``."""
        if not self.alive:
            return "stopped"
        source = self._source
        return "waiting" if source is None else source.mode

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> Self:
        """Begin to watch, sync everything once, and return when that is done.

        Raises what the first sync raises, and BackendError when the system refuses to watch and
        polling is ``never``.
        """
        if self.alive:
            return self
        self._stopping = False
        try:
            self._open_source()
        except OSError as error:
            raise BackendError(
                f"cannot watch {self._home}: {error}; raise fs.inotify.max_user_watches and "
                "max_user_instances, or set watch_polling to auto"
            ) from error
        try:
            if self._source is not None:  # after its start, so that no change falls between
                self._report(self._catalog.sync())
        except BaseException:
            self._close_source()
            raise
        self._thread = threading.Thread(target=self._run, name="wilk-watcher", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop watching, and sync what has changed up to now."""
        for other in self.beside:
            other.stop()
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the watcher has been stopped; False when ``timeout`` seconds were over first."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.alive

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def follow(self, changes: Collection[Change]) -> None:
        """Report what another store changed."""
        if self.alive:
            self._report(SyncReport(0, 0, tuple(changes), ()))

    # -- called by the source's threads ---------------------------------------------------

    def changed(self, path: str, *, writing: bool | None = None) -> None:
        with self._changed:
            self._pending.add(path, time.monotonic(), writing=writing)
            self._changed.notify()

    def lost(self, why: str) -> None:
        with self._changed:
            self._lost = why
            self._changed.notify()

    def limited(self, error: OSError) -> None:
        with self._changed:
            self._limit = error
            self._changed.notify()

    # -- the watcher's thread -------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._wait():
                self._step()
            self._close_source()
            self._flush()
        finally:
            self._close_source()
            if self._release is not None:
                self._release()

    def _step(self) -> None:
        try:
            self._keep_watch()
            self._settle()
        except Exception:
            _log.exception("watching failed; it begins anew")
            self._identity = None

    def _wait(self) -> bool:
        """Sleep until changes are due, the watch needs care, or a heartbeat; False to stop."""
        beat = time.monotonic() + HEARTBEAT
        with self._changed:
            while not (self._stopping or self._lost or self._limit):
                due = self._pending.due() if self._source is not None else None
                left = (beat if due is None else min(due, beat)) - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return not self._stopping

    def _keep_watch(self) -> None:
        """Put the watch back where folders came, went or were swapped, or signals were lost."""
        with self._changed:
            lost, self._lost = self._lost, None
            limit, self._limit = self._limit, None
        if limit is not None and self._polling == "auto":
            warn_of_limit(limit, self._interval)
            self._polling = "always"
            lost = str(limit)
        elif limit is not None:
            _log.error("a folder is not watched: %s", limit)
        if self._source is not None and not self._source.alive:
            lost = "the source of signals has died"
        if lost is not None:
            _log.warning("watching anew and reading everything: %s", lost)
        elif self._scope.identity() == self._identity:
            return
        self._close_source()
        with self._changed:  # a signal that fell into the gap, such as a file's closing, is not waited for
            self._pending.clear()
            self._pending.add_everything(time.monotonic())
        try:
            self._open_source()
        except OSError as error:
            _log.error("cannot watch %s, trying again: %s", self._home, error)
            self._identity = None

    def _settle(self) -> None:
        """Sync the changes that are due and look final."""
        with self._changed:
            now = time.monotonic()
            due = self._pending.due()
            if due is None or due > now or self._source is None:
                return
            batch = self._pending.take(now)
        if not batch.confirmed and not self._is_whole(batch):
            with self._changed:
                self._pending.hold(batch, time.monotonic())
            return
        if self._home.is_dir():  # else it went just now, and all is read on its return
            self._sync(batch)

    def _flush(self) -> None:
        """Sync what is left when the watch has ended, after the second look that it may need."""
        with self._changed:
            batch = self._pending.take(time.monotonic())
        if not (batch.paths or batch.everything) or not self._home.is_dir():
            return
        if not self._is_whole(batch):
            time.sleep(CONFIRM)
        self._sync(batch)

    def _sync(self, batch: Batch) -> None:
        try:
            report = self._catalog.sync(self._files(batch))
        except Closed:
            self._stopping = True
        except Exception as error:
            if self._stopping:
                _log.warning("the last changes were not synced: %s", error)
                return
            _log.warning(
                "sync failed, trying again in %g s: %s",
                self._retry,
                error,
                exc_info=not isinstance(error, WilkError),
            )
            with self._changed:
                self._pending.retry(batch, time.monotonic() + self._retry)
            self._retry = min(self._retry * 2, LAST_RETRY)
        else:
            self._retry = FIRST_RETRY
            self._report(report)

    def _report(self, report: SyncReport) -> None:
        if self._on_report is None or not (report.changes or report.failures or report.parsed):
            return
        try:
            self._on_report(report)
        except Exception:
            _log.exception("on_report failed")

    # -- looking --------------------------------------------------------------------------

    def _files(self, batch: Batch) -> list[Path] | None:
        if batch.everything:
            return None
        files = {file for path in batch.paths for file in self._scope.files_of(path)}
        return [Path(file) for file in sorted(files)]

    def _is_whole(self, batch: Batch) -> bool:
        """Whether nothing of the batch looks like the middle of a save: a file broken or gone."""
        if not all(map(os.path.exists, batch.paths)):
            return False
        files = [file for path in batch.paths for file in self._scope.files_below(path)]
        if len(files) > CROWD:  # reading all of a checkout twice would take as long again
            return all(map(_has_content, files))
        return all(map(self._reads_well, files))

    def _reads_well(self, path: str) -> bool:
        kind = self._scope.kind(path)
        if kind is None:
            return True
        try:
            with open(path, "rb") as file:
                definition = reader.parse(file.read(reader.MAX_BYTES + 1), path)
            return all(problem.warning for problem in kind.schema.check(definition))
        except Exception:  # plugins bring schemas; the sync knows what to say of each error
            return False

    # -- the source -----------------------------------------------------------------------

    def _open_source(self) -> None:
        self._identity = self._scope.identity()
        if self._identity[0] is None:
            _log.warning("%s is missing: waiting for it", self._home)
            return
        self._source = open_source(self._scope, self, polling=self._polling, interval=self._interval)

    def _close_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.stop()


def _has_content(path: str) -> bool:
    try:
        return Path(path).stat().st_size > 0
    except OSError:
        return False
