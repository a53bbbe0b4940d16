"""What changed in a cache while its tier was away: kept in a file, so that it outlives the process."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

from wilk import codec
from wilk.files import private_folder

Change = list["str | None"]
"""One key; or a prefix and a tag: all below the one or with the other, or, without both, simply all."""

_MOST = 10_000
_ALL: Change = [None, None]
_numbers = itertools.count(1)


class Journal:
    """The changes of one namespace. Several processes write to one file, a line at a time.

    Where the file cannot be written, the changes lie in memory alone.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._own: dict[str, Change] = {}
        self._taking: dict[str, Change] = {}
        self._files: list[Path] = []

    def __bool__(self) -> bool:
        return bool(self._own or self._taking)

    def add(self, change: Change) -> None:
        """Note a change; of very many there is left that all may have changed."""
        if len(self._own) >= _MOST:
            change = _ALL
        line = codec.dumps(change)
        if line in self._own:
            return
        self._own[line] = change
        if self._file is not None:
            with suppress(OSError):
                private_folder(self._file.parent)
                handle = os.open(self._file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
                try:
                    os.write(handle, line.encode() + b"\n")
                finally:
                    os.close(handle)

    def take(self) -> list[Change]:
        """What changed, by this process and by others of the machine; it stays until :meth:`done`."""
        self._taking.update(self._own)
        self._own = {}
        found = dict(self._taking)
        if self._file is not None:
            with suppress(OSError):
                self._file.rename(self._file.with_name(f"{self._file.name}.{os.getpid()}-{next(_numbers)}"))
            with suppress(OSError):
                self._files = list(self._file.parent.glob(f"{self._file.name}.*"))
        for file in self._files:
            with suppress(OSError):
                for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                    with suppress(ValueError):  # of a process that was killed amid a line
                        found[line] = codec.loads(line)
        changes = [change for change in found.values() if _is_change(change)]
        if _ALL in changes:
            return [_ALL]
        return changes

    def done(self) -> None:
        """What was taken has been seen to."""
        self._taking = {}
        for file in self._files:
            with suppress(OSError):
                file.unlink()
        self._files = []


def _is_change(found: object) -> bool:
    return (
        isinstance(found, list)
        and len(found) in (1, 2)
        and all(part is None or isinstance(part, str) for part in found)
        and not (len(found) == 1 and found[0] is None)
    )
