"""A lock between processes on a file, which the system takes back when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wilk.errors import BackendError, Busy
from wilk.files import private_folder

_PAUSE = 0.02


@contextmanager
def locked(file: Path, timeout: float) -> Iterator[None]:
    """Hold the lock while the block runs; raises Busy when others hold it for longer than ``timeout``,
    and BackendError when the file cannot be had.

    Each use opens the file anew, so that threads of one process keep each other out as well.
    """
    try:
        private_folder(file.parent)
        handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise BackendError(f"{error.filename or file} cannot be written: {error.strerror}") from error
    try:
        until = time.monotonic() + timeout
        while not taken(handle):
            if time.monotonic() > until:
                raise Busy(f"another process held {file} for over {timeout:g} s; try again")
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            let_go(handle)
    finally:
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def taken(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def let_go(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def taken(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def let_go(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
