"""Watching: edits in the tree are taken over a moment after they are saved, by the rules of definition files.

Signals of the system tell of changed files where there are any; elsewhere all files are looked at again
and again. What the store itself has written is known by its stat and costs one small query.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from wilk.backends.files.tree import BACKUPS
from wilk.definitions.quiet import Pending
from wilk.definitions.signals import file_system, is_remote, observed, warn_of_limit
from wilk.definitions.watcher import FIRST_RETRY, LAST_RETRY, Watcher
from wilk.errors import BackendError, Closed, WilkError
from wilk.records.definitions import SyncReport

if TYPE_CHECKING:
    from wilk.backends.files.following import Follower
    from wilk.backends.files.tree import Tree
    from wilk.store import Store

logger = logging.getLogger("wilk.watcher")


class TreeWatcher(Watcher):
    """A watcher of a tree: it syncs once, and then whenever files change, until :meth:`stop`."""

    def __init__(
        self,
        tree: Tree,
        follower: Follower,
        store: Store,
        on_report: Callable[[SyncReport], object] | None = None,
    ) -> None:
        settings = store.settings
        self._base = str(tree.base)
        self._follower = follower
        self._on_report = on_report
        self._release = store._engine.release
        self._polling = settings.watch_polling
        self._interval = settings.watch_polling_interval
        self._pending = Pending(settings.watch_quiet)
        self._changed = threading.Condition()
        self._stopping = False
        self._retry = FIRST_RETRY
        self._observer: Any = None
        self._thread: threading.Thread | None = None
        self.beside = []

    @property
    def mode(self) -> str:
        if not self.alive:
            return "stopped"
        return "polling" if self._observer is None else "native"

    def start(self) -> Self:
        if self.alive:
            return self
        self._stopping = False
        self._observer = self._observing()
        try:
            self._report(self._follower.sync())
        except BaseException:
            self._end_observing()
            raise
        self._thread = threading.Thread(target=self._follow, name="wilk-tree-watcher", daemon=True)
        self._thread.start()
        return self

    # -- signals --------------------------------------------------------------------------

    def _observing(self) -> Any:
        """What gives signals, already begun; None to poll."""
        if self._polling == "always" or (self._polling == "auto" and is_remote(file_system(self._base))):
            return None
        try:
            return observed(self._base, self.told)
        except OSError as error:
            if self._polling == "never":
                raise BackendError(
                    f"cannot watch {self._base}: {error}; set watch_polling to auto"
                ) from error
            warn_of_limit(error, self._interval)
            return None

    def _end_observing(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    def told(self, path: str, folder: bool) -> None:
        """Note a signal of a path."""
        name = os.path.relpath(path, self._base).replace(os.sep, "/")
        if name.startswith((".", f"{BACKUPS}/")) or not (folder or name.endswith(".json")):
            return
        with self._changed:
            if folder:
                self._pending.add_everything(time.monotonic())
            else:
                self._pending.add(name, time.monotonic())
            self._changed.notify()

    # -- the watcher's thread -------------------------------------------------------------

    def _follow(self) -> None:
        try:
            while self._waited():
                self._step_in()
            self._end_observing()
            self._step_in(last=True)
        finally:
            self._end_observing()
            if self._release is not None:
                self._release()

    def _waited(self) -> bool:
        """Sleep until changes are due; False to stop."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if self._observer is None:
                    if not self._pending:
                        self._changed.wait(self._interval)
                        self._pending.add_everything(now)
                    due = self._pending.due()
                    self._changed.wait(0 if due is None else max(0.0, due - time.monotonic()))
                    return not self._stopping
                due = self._pending.due()
                if due is not None and due <= now:
                    return True
                self._changed.wait(None if due is None else due - now)
            return False

    def _step_in(self, *, last: bool = False) -> None:
        """Take over what is due."""
        with self._changed:
            batch = self._pending.take(time.monotonic())
        if not batch.paths and not batch.everything and not last:
            return
        try:
            report = self._follower.sync(None if batch.everything or last else sorted(batch.paths))
        except Closed:
            self._stopping = True
        except Exception as error:
            logger.warning(
                "sync failed%s: %s",
                "" if self._stopping else f", trying again in {self._retry:g} s",
                error,
                exc_info=not isinstance(error, WilkError),
            )
            with self._changed:
                self._pending.retry(batch, time.monotonic() + self._retry)
            self._retry = min(self._retry * 2, LAST_RETRY)
        else:
            self._retry = FIRST_RETRY
            self._report(report)
