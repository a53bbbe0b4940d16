"""Private folders, safe paths and atomic writes: every file that wilk makes goes through here."""

from __future__ import annotations

import os
from pathlib import Path

from wilk.errors import Invalid

_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))]
)


def private_folder(path: Path) -> Path:
    """Make a folder and its missing parents, readable by its owner alone (0700)."""
    if path.is_dir():
        return path
    for folder in reversed((path, *path.parents)):  # mkdir(parents=True) would leave the parents open
        if not folder.is_dir():
            folder.mkdir(exist_ok=True, mode=0o700)
    return path


def check_id(id: str, kind: str) -> str:
    """Return an id that may name a file or folder on every system, or raise Invalid.

    Letters, digits, ``-``, ``_`` and ``.`` inside, at most 100 characters; no separators, no
    leading dot, no name that Windows reserves.
    """
    fine = (
        isinstance(id, str)
        and 0 < len(id) <= 100
        and all(c.isalnum() or c in "-_." for c in id)
        and id[0] not in ".-"
        and id[-1] != "."
        and id.partition(".")[0].lower() not in _RESERVED
    )
    if not fine:
        raise Invalid(
            f"{kind} id {id!r}: use 1 to 100 letters, digits, '-', '_' or '.', not starting with '.' or '-'"
        )
    return id


def inside(root: Path, *parts: str) -> Path:
    """Join parts to a folder and resolve links; raise Invalid when the result leaves the folder."""
    base = root.resolve()
    path = base.joinpath(*parts).resolve()
    if path != base and base not in path.parents:
        raise Invalid(f"{'/'.join(parts)!r} leads out of {base}")
    return path


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file so that a reader, or a crash, sees the old bytes or the new, never a mixture.

    Temporary file beside it, fsync, rename, fsync of the folder. The file's own mode is kept;
    a new one is private (0600).
    """
    private_folder(path.parent)
    temporary = path.with_name(f".tmp-{os.urandom(6).hex()}")
    handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    if os.name != "nt":  # Windows has no handle on a folder that could be synced
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
