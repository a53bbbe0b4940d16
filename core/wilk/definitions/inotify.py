"""Change signals from Linux's inotify, over watchdog's descriptor.

watchdog's own observer is not used here for three reasons: it holds a rename back for half a
second when it reads the first half alone, it stays silent about folders that it could not watch,
and it watches every folder below an agent's, where no definition ever is.
"""

# Paths are text here: a start makes thousands, and each event one.
# ruff: noqa: PTH112, PTH118

from __future__ import annotations

import errno
import itertools
import os
import threading

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from wilk.definitions.scope import Scope
from wilk.definitions.signals import Sink

LIMITS = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE})
"""Errors that say: no more watches, or no more inotify instances, for this user."""

_CHANGES = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
)
_CHANGES_AND_WRITES = Mask(_CHANGES | InotifyConstants.IN_MODIFY)


class InotifySource:
    """Watches the folders that lead to definitions, each on its own, and new ones as they come.

    A folder that is a link is watched where it leads.
    """

    mode = "inotify"

    def __init__(self, scope: Scope, sink: Sink) -> None:
        self._scope = scope
        self._sink = sink
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._folders: dict[WatchDescriptor, tuple[str, CallbackId]] = {}
        self._descriptors: dict[str, WatchDescriptor] = {}

    @property
    def alive(self) -> bool:
        return self._inotify.is_alive()

    def start(self) -> None:
        """Begin; raises OSError when the home folder is missing or a limit is reached."""
        self._inotify = InotifyFD()
        self._inotify.start()
        try:
            with self._lock:
                self._watch(self._scope.home)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._inotify.stop()
        if threading.current_thread() is not self._inotify:
            self._inotify.join()

    # -- called by the descriptor's thread ------------------------------------------------

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            folder, _ = self._folders.get(event.wd, ("", None))
            if not folder:
                return
            if event.is_delete_self or event.is_move_self:
                if folder == self._scope.home:
                    self._sink.lost("the home folder was moved or deleted")
                return
            path = os.path.join(folder, os.fsdecode(event.name))
            if self._scope.kind(path) is not None:
                self._sink.changed(path, writing=_writing(event))
            elif self._scope.is_folder(path) and not event.is_attrib and self._was_folder(path, event):
                self._folder_changed(path, event)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        with self._lock:
            path, _ = self._folders.pop(wd, ("", None))
            if self._descriptors.get(path) == wd:
                del self._descriptors[path]

    def on_queue_overflow(self) -> None:
        self._sink.lost("inotify's queue ran over")

    # -- folders, under the lock ----------------------------------------------------------

    def _was_folder(self, path: str, event: InotifyEvent) -> bool:
        # The event of a link to a folder does not say that it is one.
        return event.is_directory or path in self._descriptors or os.path.isdir(path)

    def _folder_changed(self, path: str, event: InotifyEvent) -> None:
        if event.is_moved_from or (event.is_delete and not event.is_directory):
            self._forget(path)  # a folder that was deleted, unlike a link to one, takes its watch along
        elif not event.is_delete:
            try:
                self._watch(path)
            except OSError as error:
                self._sink.limited(error)
        self._sink.changed(path)

    def _watch(self, path: str) -> None:
        """Watch a folder, then those in it: what comes into being in between is seen twice."""
        callback = CallbackId(next(self._ids))
        # The database lies in the home folder: its writes would wake this thread at each commit.
        mask = _CHANGES if path == self._scope.home else _CHANGES_AND_WRITES
        try:
            wd = self._inotify.add_callback(os.fsencode(path), mask, self, callback)
        except OSError as error:
            if error.errno in LIMITS or path == self._scope.home:
                raise
            return  # it vanished again, or is no folder
        if wd < 0:  # it may not be read: watchdog passes over this error
            return
        if wd in self._folders:  # the same folder under another name
            self._inotify.remove_callbacks([(wd, callback)])
            callback = self._folders[wd][1]
        self._folders[wd] = path, callback
        self._descriptors[path] = wd
        for child in self._scope.folders_in(path):
            self._watch(child)

    def _forget(self, path: str) -> None:
        gone = [path] if path in self._descriptors else []
        if self._scope.leads_on(path):
            gone += [known for known in self._descriptors if known.startswith(path + os.sep)]
        for known in gone:
            wd = self._descriptors.pop(known)
            folder, callback = self._folders.pop(wd, ("", CallbackId(0)))
            if folder:
                self._inotify.remove_callbacks([(wd, callback)])


def _writing(event: InotifyEvent) -> bool | None:
    if event.is_modify:
        return True
    return None if event.is_create or event.is_attrib else False
