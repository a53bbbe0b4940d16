"""Permissions: what the store keeps is its owner's alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient
from wilk.records.doctor import Finding

_OTHERS = 0o077
_PRIVATE = ("wilk.db*", "*.db", "*.db-wal", "*.db-shm", "*.lock", "backups", "archive", "cache", "indexes")
"""What of a home folder others have no business with; definitions may be shared."""


def _look(patient: Patient) -> Iterator[Found]:
    home = patient.home
    if home is None or os.name != "posix" or not home.is_dir():
        return
    yield from _open(home)
    found = [(path, _status(path)) for path in (home, *_private(home))]
    foreign = [path for path, one in found if one is not None and one.st_uid != os.geteuid()]
    if foreign and os.geteuid() != 0:
        told = f"{len(foreign):,} files belong to another user of this machine; `chown` them as root"
        names = [str(path) for path in foreign[:SHOWN]]
        yield Found(Finding("permissions", "warning", len(foreign), told, None, names), None)


def _open(home: Path) -> Iterator[Found]:
    writable = [home] if home.stat().st_mode & 0o022 else []
    found = [(path, _status(path)) for path in _private(home)]
    readable = [path for path, one in found if one is not None and one.st_mode & _OTHERS]
    loose = writable + readable
    if not loose:
        return

    def mend(work: Mending) -> None:
        for path in loose:
            if (status := _status(path)) is None:
                continue
            mode = status.st_mode & 0o7777
            work.mode(path, mode & ~(0o022 if path == home else _OTHERS), "others could get at it")

    finding = Finding(
        "permissions", "warning", len(loose),
        f"{len(loose):,} files and folders can be read or written by other users of this machine",
        "leave them to their owner alone", [str(path) for path in loose[:SHOWN]],
    )  # fmt: skip
    yield Found(finding, mend)


def _private(home: Path) -> list[Path]:
    found = {path for pattern in _PRIVATE for path in home.glob(pattern)}
    statuses = {path: _status(path) for path in found}
    return sorted(path for path, one in statuses.items() if one is not None and not stat.S_ISLNK(one.st_mode))


def _status(path: Path) -> os.stat_result | None:
    """What the system says of a file; None for one that is gone, as logs of a database come and go."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


CHECK = Check("permissions", "who may read and write the store's files", _look, rows=False)
