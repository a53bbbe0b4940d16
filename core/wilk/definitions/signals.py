"""Where signals of changed files come from: inotify, the system's own way, or polling."""

# Paths are text here: they come so, one for each signal.
# ruff: noqa: PTH112, PTH114

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from wilk.definitions.scope import Scope

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

_log = logging.getLogger("wilk.watcher")

_REMOTE = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "fuse.",
    "drvfs",
    "virtiofs",
    "vboxsf",
    "ceph",
    "afs",
    "lustre",
    "prl_fs",
)
"""File systems, by the start of their name, where others' changes raise no signal on this machine."""


class Sink(Protocol):
    """Takes signals, on whatever thread they come."""

    def changed(self, path: str, *, writing: bool | None = None) -> None:
        """A definition file, or a folder that leads to some, changed.

        ``writing`` is True while a program writes to the file, False when it is done, and None
        when the signal does not tell.
        """

    def lost(self, why: str) -> None:
        """Signals were lost: everything must be watched and read anew."""

    def limited(self, error: OSError) -> None:
        """A folder cannot be watched, for want of a resource."""


class Source(Protocol):
    """Gives signals from ``start`` to ``stop``."""

    @property
    def mode(self) -> str: ...

    @property
    def alive(self) -> bool: ...

    def start(self) -> None:
        """Begin; raises OSError when the home folder is missing or a limit is reached."""

    def stop(self) -> None:
        """End, and wait for its threads."""


def open_source(scope: Scope, sink: Sink, *, polling: str, interval: float) -> Source:
    """Start the best source of signals for the home folder.

    ``polling`` is ``always``, ``never``, or ``auto``: where the system gives no signals. Raises
    OSError when the home folder is missing, or with ``never`` when a limit is reached.
    """
    if polling == "auto":
        remote = next((kind for kind in map(file_system, _roots(scope)) if kind.startswith(_REMOTE)), None)
        if remote:
            _log.info("%s lies on %s, which tells of no changes: polling", scope.home, remote)
            polling = "always"
    if polling != "always":
        source = _native(scope, sink)
        try:
            source.start()
        except OSError as error:
            if polling == "never" or not os.path.isdir(scope.home):
                raise
            warn_of_limit(error, interval)
        else:
            return source
    source = ObserverSource(scope, sink, interval)
    source.start()
    return source


def warn_of_limit(error: OSError, interval: float) -> None:
    """Say once that signals are not to be had, and what to do about it."""
    _log.warning(
        "cannot watch for changes (%s): polling every %g s instead; "
        "raise fs.inotify.max_user_watches and max_user_instances to have them at once",
        error,
        interval,
    )


class ObserverSource:
    """Signals from a watchdog observer: the system's own, or with an interval by polling."""

    def __init__(self, scope: Scope, sink: Sink, interval: float | None = None) -> None:
        from watchdog.observers import Observer
        from watchdog.observers.polling import PollingObserver

        self.mode = "native" if interval is None else "polling"
        self._scope = scope
        self._sink = sink
        self._observer: Any = Observer() if interval is None else PollingObserver(timeout=interval)

    @property
    def alive(self) -> bool:
        return bool(self._observer.is_alive())

    def start(self) -> None:
        scope = self._scope
        self._observer.schedule(_Handler(self, scope.home, scope.home), scope.home)
        for path, deep in scope.tops():
            if os.path.isdir(path):
                real = os.path.realpath(path)
                self._observer.schedule(_Handler(self, real, path), real, recursive=deep)
        try:
            self._observer.start()
        except BaseException:
            self._observer.stop()  # those of its threads that had begun
            raise

    def stop(self) -> None:
        if self.alive:
            self._observer.stop()
            self._observer.join()

    def take(self, path: str, event: FileSystemEvent) -> None:
        """Pass one path of an event on when it concerns definitions."""
        if not event.is_directory and self._scope.kind(path) is not None:
            self._sink.changed(path, writing=False if event.event_type == "closed" else None)
        elif event.event_type in ("created", "deleted", "moved") and self._scope.is_folder(path):
            self._sink.changed(path)


class _Handler:
    """Takes the events of one scheduled folder, and names them by the path that led to it."""

    def __init__(self, source: ObserverSource, real: str, path: str) -> None:
        self._source = source
        self._real = real
        self._path = path

    def dispatch(self, event: FileSystemEvent) -> None:
        for name in {os.fsdecode(event.src_path), os.fsdecode(event.dest_path or event.src_path)}:
            self._source.take(self._path + name[len(self._real) :], event)


def observed(folder: str, told: Callable[[str, bool], object]) -> Any:
    """Begin to tell ``told(path, whether it is a folder)`` of whatever changes below a folder.

    Returns what has ``stop()``, ``join()`` and ``is_alive()``; raises OSError where the system refuses.
    """
    import warnings

    from watchdog.observers import Observer

    # Folders that are made one in the other are met twice, of which watchdog warns at length on its thread.
    warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
    logging.getLogger("watchdog.observers.inotify").addFilter(_tells)
    observer: Any = Observer()
    observer.schedule(_Teller(told), folder, recursive=True)
    try:
        observer.start()
    except BaseException:
        observer.stop()
        raise
    return observer


def _tells(record: logging.LogRecord) -> bool:
    """Whether watchdog tells of anything: that it was stopped amid an event is no error."""
    return not record.getMessage().endswith("when the thread is inactive")


class _Teller:
    """Passes on the paths of events that tell of a change."""

    def __init__(self, told: Callable[[str, bool], object]) -> None:
        self._told = told

    def dispatch(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write"):
            return
        if event.is_directory and event.event_type == "modified":
            return
        for path in {event.src_path, event.dest_path or event.src_path}:
            self._told(os.fsdecode(path), event.is_directory)


def file_system(path: str) -> str:
    """The type of the file system that a path lies on, as Linux names it; empty elsewhere."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split() for line in file]
    except OSError:
        return ""
    real = os.path.realpath(path)
    # Fields: id, parent, device, root, mount point, options…, "-", type, …; later mounts cover.
    found = [
        (len(point), fields[fields.index("-") + 1])
        for fields in mounts
        if real == (point := fields[4].replace("\\040", " ")) or real.startswith(point.rstrip("/") + "/")
    ]
    return max(reversed(found), key=lambda each: each[0])[1] if found else ""


def is_remote(kind: str) -> bool:
    """Whether changes that others make on such a file system raise no signal on this machine."""
    return kind.startswith(_REMOTE)


def _roots(scope: Scope) -> Iterator[str]:
    yield scope.home
    yield from (path for path, _ in scope.tops() if os.path.islink(path))


def _native(scope: Scope, sink: Sink) -> Source:
    if sys.platform == "linux":
        from wilk.definitions.inotify import InotifySource

        return InotifySource(scope, sink)
    return ObserverSource(scope, sink)
