"""Where backups lie, what they are called, and the files by which processes keep out of each other's way."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

from wilk import codec
from wilk.archives.locking import locked
from wilk.errors import BackendError, Busy, Conflict, Invalid
from wilk.files import check_id, private_folder, sync_folder, write_atomic
from wilk.settings import Settings

FOLDER = "backups"
PARTIAL = ".partial"
STAGE = ".restoring"
WHYS = ("manual", "interval", "before-migration", "before-restore", "before-repair")
"""Why backups are made. Those of people are ``manual``; all others are made by themselves."""

_LOCK = ".lock"
_MARKER = "restoring.json"
_STAMP = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"(\d{8}T\d{6}Z)-([\w.-]+)")


def root(settings: Settings) -> Path:
    """The folder of a store's backups: the setting ``backup_folder``, or ``backups`` in the home folder, or
    beside the database. Raises Invalid where the database lies on a server and no folder is named."""
    if settings.backup_folder:
        return (settings.home or Path.cwd()) / Path(settings.backup_folder).expanduser()
    if settings.home is not None:
        return settings.home / FOLDER
    place = _local(settings.url)
    if place is None:
        raise Invalid(
            "this store has no folder in which backups could lie: open it with home=DIR (--home DIR), or "
            "name one by the setting backup_folder (--folder DIR)"
        )
    return place / FOLDER


def database(settings: Settings) -> str:
    """By what a database is told from others whose backups lie in the same folder: the name of its file."""
    scheme, _, rest = settings.url.partition("://")
    if scheme != "sqlite":
        return scheme
    return Path(unquote(rest.partition("?")[0])).name


def own(settings: Settings) -> bool:
    """Whether all that lies in the folder is of this store: home folders have one of their own."""
    return settings.home is not None and not settings.backup_folder


def _local(url: str) -> Path | None:
    scheme, _, rest = url.partition("://")
    path = unquote(rest.partition("?")[0].removeprefix("/"))
    if scheme == "sqlite" and path != ":memory:":
        return Path(path).expanduser().absolute().parent
    return Path(path).expanduser().absolute() if scheme == "files" and path else None


# -- names --------------------------------------------------------------------------------


def checked_name(name: str) -> str:
    """A name that a person may give a backup; raises Invalid."""
    if not isinstance(name, str):
        raise Invalid(f"name {name!r}: a text is wanted")
    check_id(name, "backup")
    if name.lower() in WHYS or _ID.fullmatch(name):
        raise Invalid(f"name {name!r}: backups that are made by themselves are called so; choose another")
    if len(name) > 60:
        raise Invalid(f"name {name!r}: at most 60 characters")
    return name


def new_id(folder: Path, now: datetime, label: str) -> str:
    """An id that no backup has: the time, and a label."""
    base = wanted = f"{now.astimezone(UTC).strftime(_STAMP)}-{label}"
    number = 1
    while (folder / wanted).exists() or (folder / (wanted + PARTIAL)).exists():
        number += 1
        wanted = f"{base}.{number}"
    return wanted


def parts_of(id: str) -> tuple[datetime, str] | None:
    """The time and the label that an id is made of; None for what is no id of a backup."""
    found = _ID.fullmatch(id)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC), re.sub(r"\.\d+$", "", found[2])
    except ValueError:
        return None


def ids(folder: Path) -> Iterator[str]:
    """The ids of the backups that lie in a folder, in no order; leftovers are none."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir() and not entry.name.endswith(PARTIAL) and parts_of(entry.name) is not None:
                    yield entry.name
    except FileNotFoundError:
        return
    except OSError as error:
        raise BackendError(f"{folder} cannot be listed: {error.strerror}") from error


# -- one at a time ------------------------------------------------------------------------


def alone(folder: Path, timeout: float) -> AbstractContextManager[None]:
    """Keep other threads and processes from changing what lies in the folder; raises Busy, and BackendError
    for a folder that cannot be written."""
    return locked(folder / _LOCK, timeout)


def sweep(folder: Path, *, staged: bool) -> None:
    """Remove what processes have left that were killed. Whoever calls holds the folder."""
    for entry in list(folder.iterdir()):
        if entry.name.endswith(PARTIAL) or (staged and entry.name == STAGE):
            shutil.rmtree(entry, ignore_errors=True)


def make(folder: Path) -> None:
    """Make a folder that its owner alone can read; raises BackendError."""
    try:
        private_folder(folder)
    except OSError as error:
        raise BackendError(f"{error.filename or folder} cannot be written: {error.strerror}") from error


# -- restores that are under way ----------------------------------------------------------


class Marker:
    """A note in the home folder that a restore is under way, as long as not all of it is done."""

    def __init__(self, home: Path | None) -> None:
        self._file = None if home is None else home / _MARKER

    def set(self, backup: str, safety: str, folder: Path) -> None:
        """Note it down, for good, before anything is changed."""
        if self._file is not None:
            write_atomic(
                self._file,
                codec.pretty({"backup": backup, "safety": safety, "folder": str(folder)}).encode() + b"\n",
            )

    def clear(self) -> None:
        """All is done."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            sync_folder(self._file.parent)

    def read(self) -> dict[str, str] | None:
        """What was noted down; None where no restore is under way."""
        if self._file is None:
            return None
        try:
            found = codec.loads(self._file.read_bytes().decode())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Conflict(
                f"{self._file} tells that a restore is under way, and cannot be read ({error}); run `wilk "
                "backup restore ID` with the backup that you want"
            ) from error
        return {str(key): str(value) for key, value in found.items()}


def refuse(home: Path) -> None:
    """Raise for a home folder amid a restore: Busy while it goes on, Conflict when it was interrupted."""
    found = Marker(home).read()
    if found is None:
        return
    folder = Path(found.get("folder", home / FOLDER))
    backup = found.get("backup", "ID")
    try:
        with alone(folder, 0.0):
            pass
    except Busy:
        raise Busy(f"backup {backup} is being restored into {home}; try again when it is done") from None
    except BackendError:
        pass
    safety = found.get("safety")
    before = f", or `wilk backup restore {safety}` for what was there before" if safety else ""
    raise Conflict(
        f"a restore of backup {backup} into {home} was interrupted, so that files and rows may not belong "
        f"together: run `wilk backup restore {backup}` again{before}"
    )
