"""One computation of a key at a time: a lock file per key, which the system lets go when its holder dies.

A file is there only while somebody computes. Keys do not share locks, so that computations that need
each other's values wait for nothing but these.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import chain, repeat
from pathlib import Path

from wilk.archives.locking import let_go, taken
from wilk.caches import forking
from wilk.files import private_folder

_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02)
_OLD = 3600.0


class KeyLocks:
    """The locks of one namespace: files of a folder, named by the hash of a key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._handles: set[int] = set()
        forking.told(self)

    @contextmanager
    def held(self, key: str, timeout: float) -> Iterator[bool]:
        """Hold the lock of a key while the block runs; False when others held it for ``timeout`` seconds.

        Where no lock file can be made (a full disk, too many open files), everybody computes.
        """
        file = self._folder / sha256(key.encode()).hexdigest()[:40]
        handle = self._waited(file, time.monotonic() + timeout)
        try:
            yield handle is not None
        finally:
            if handle:
                self._release(file, handle)

    def _waited(self, file: Path, until: float) -> int | None:
        """The locked file, 0 where none can be made, None when the time passed first."""
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            try:
                handle = self._opened(file)
            except OSError:
                return 0
            left = until - time.monotonic()
            if handle is not None or left <= 0:
                return handle
            time.sleep(min(left, pause))
        return None

    def clean(self) -> None:
        """Remove the files of processes that died."""
        files: list[Path] = []
        with suppress(OSError):
            files = list(self._folder.iterdir())
        for file in files:
            with suppress(OSError):  # another process is faster
                if time.time() - file.stat().st_mtime > _OLD and (handle := self._opened(file)) is not None:
                    self._release(file, handle)

    def _opened(self, file: Path) -> int | None:
        """The locked file; None when another holds it."""
        flags = os.O_CREAT | os.O_RDWR
        try:
            handle = os.open(file, flags, 0o600)
        except FileNotFoundError:
            private_folder(self._folder)
            handle = os.open(file, flags, 0o600)
        try:
            if taken(handle):
                # Its last holder may have removed it in between: the name is another file's then.
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(handle), file.stat()):
                        with self._lock:
                            self._handles.add(handle)
                        return handle
                let_go(handle)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        return None

    def _release(self, file: Path, handle: int) -> None:
        with self._lock:
            if handle not in self._handles:
                return  # this is a forked child, and the lock its parent's
            self._handles.discard(handle)
        with suppress(OSError):
            file.unlink()
        with suppress(OSError):
            let_go(handle)
        os.close(handle)

    def _born(self) -> None:
        self._lock = threading.RLock()
        for handle in self._handles:
            os.close(handle)
        self._handles = set()
