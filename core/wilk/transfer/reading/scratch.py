"""Scratch folders of imports: private, gone when they are closed, and swept where a run was killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_NAME = re.compile(r"wilk-import-(\d+)-\w+")
_UNTOUCHED = 3600
"""Seconds without a write after which a folder of a process that is gone is swept; processes of another
container that shares the folder look as if they were gone."""


def new_folder() -> Path:
    """Make a folder that its owner alone can read, where the system keeps such."""
    sweep()
    return Path(tempfile.mkdtemp(prefix=f"wilk-import-{os.getpid()}-"))


def sweep() -> None:
    """Remove what runs of this user left that were killed: it holds what was being imported."""
    with suppress(OSError):
        for path in Path(tempfile.gettempdir()).iterdir():
            found = _NAME.fullmatch(path.name)
            if found and _is_left(path, int(found.group(1))):
                shutil.rmtree(path, ignore_errors=True)


def _is_left(path: Path, process: int) -> bool:
    try:
        if path.is_symlink() or (hasattr(os, "geteuid") and path.stat().st_uid != os.geteuid()):
            return False
        latest = max(one.stat().st_mtime for one in (path, *path.iterdir()))
        return time.time() - latest > _UNTOUCHED and not _is_alive(process)
    except OSError:
        return False


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
