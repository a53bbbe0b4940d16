"""Home folders that share one database: each is known by an id, and remembers its own files.

What was last seen of a file belongs to the folder in which it lies. On a database that many machines reach,
a file that another machine has is not gone because it was never here.
"""

from __future__ import annotations

import os
from pathlib import Path

from wilk.files import private_folder

MARK = "@"
"""What the paths of a home folder begin with, where several share a database; no place of files does."""

_FOLDER, _FILE = "cache", "home.id"


class Homes:
    """Paths in the table of files, for one home folder. ``shared``: other machines reach the database."""

    def __init__(self, home: Path | None, *, shared: bool) -> None:
        self._home = home if shared else None
        self._prefix: str | None = None

    @property
    def prefix(self) -> str:
        """What stands before each path of this folder; nothing where it has the database to itself."""
        if self._home is None:
            return ""
        if self._prefix is None:
            if not self._home.is_dir():
                return f"{MARK}/"  # nothing is known of a folder that is not there
            self._prefix = f"{MARK}{home_id(self._home)}/"
        return self._prefix

    def path(self, key: str) -> str | None:
        """The path that a key of the table stands for; None for a file of another folder."""
        prefix = self.prefix
        if prefix:
            return key[len(prefix) :] if key.startswith(prefix) else None
        return None if key.startswith(MARK) else key


def home_id(home: Path) -> str:
    """The id of a home folder, made when it is first asked for. A copy of the folder has another."""
    file = home / _FOLDER / _FILE
    found = _read(file)
    if found is not None:
        return found
    import platform
    from hashlib import sha256
    from uuid import uuid4

    try:
        private_folder(file.parent)
        temporary = file.with_name(f"{_FILE}.{os.getpid()}")
        with open(temporary, "x", encoding="ascii", opener=_private) as out:
            out.write(f"{uuid4().hex} {os.fstat(out.fileno()).st_ino}\n")
        temporary.replace(file)
        found = _read(file)
    except OSError:
        pass
    return found or sha256(f"{platform.node()}:{home.resolve()}".encode()).hexdigest()[:32]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(file: Path) -> str | None:
    try:
        id, inode = file.read_text(encoding="ascii").split()
        return id if int(inode) == file.stat().st_ino and id.isalnum() else None
    except (OSError, ValueError):
        return None
