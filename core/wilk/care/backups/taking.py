"""Makes a backup: everything is copied into a folder that is called partial until it was tried."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.care.backups import checking, copies, homes, manifest, places
from wilk.care.backups.manifest import ARCHIVE, DATABASE, HOME, Manifest, Part
from wilk.clock import to_datetime
from wilk.definitions.places import Place
from wilk.errors import BackendError, WilkError
from wilk.files import private_folder, sync_folder

if TYPE_CHECKING:
    from wilk.contracts import Opened
    from wilk.engine import Engine
    from wilk.host import Host
    from wilk.settings import Settings

logger = logging.getLogger("wilk.backups")

_PIECE = 1 << 20
_TRIES = 5


class Source:
    """What a backup is made of: the parts of one open store. ``rows`` copies them one by one into a new
    SQLite file, for backends that cannot copy themselves; ``archive`` gives the archive of a name."""

    def __init__(
        self,
        settings: Settings,
        host: Host,
        engine: Engine,
        opened: Opened,
        *,
        address: str,
        rows: Callable[[Path], object],
        archive: Callable[[str], Any],
    ) -> None:
        self.settings = settings
        self.host = host
        self.engine = engine
        self.opened = opened
        self.address = address
        self.rows = rows
        self.archive = archive
        self.root = places.root(settings)

    def places(self) -> dict[str, Place]:
        """The places of all kinds of definitions."""
        return {kind.name: Place(kind) for kind in self.host.definition_kinds()}


def take(
    source: Source, why: str, *, name: str | None = None, label: str | None = None, light: bool = False
) -> str:
    """Make a backup, and return its id. Whoever calls holds the folder.

    With ``light``, before the schema changes, the copy is read once instead of twice. Raises BackendError
    when it cannot be written, or does not hold what it should: nothing is left of it then.
    """
    root = source.root
    places.make(root)
    places.sweep(root, staged=False)
    started = to_datetime(source.engine.clock.now())
    id = places.new_id(root, started, label or name or why)
    partial = root / (id + places.PARTIAL)
    with _written(partial):
        partial.mkdir(mode=0o700)
        building = _Building(source, partial, light=light)
        building.copy()
        finished = to_datetime(source.engine.clock.now())
        made = Manifest(
            id=id,
            name=name,
            why=why,
            label=label or name or why,
            started_at=started.isoformat(),
            finished_at=finished.isoformat(),
            wilk=version("wilk"),
            schema=copies.schema(partial / DATABASE),
            backend=source.settings.url.partition("://")[0],
            engine=copies.engine(),
            database=places.database(source.settings),
            source=source.address,
            notes=tuple(building.notes),
            tables=building.tables,
            files=tuple(building.parts),
        )
        manifest.write(partial, made)
        for folder, _, _ in os.walk(partial):
            sync_folder(Path(folder))
        found = copies.problems(partial / DATABASE) if light else checking.verify(partial).problems
        if found:
            raise BackendError(
                f"the backup is not sound, and was thrown away: {'; '.join(found)}; the store is as it was"
            )
        partial.rename(root / id)
        sync_folder(root)
    return id


@contextmanager
def _written(partial: Path) -> Iterator[None]:
    """Leave nothing half written; say in wilk's words why it could not be written."""
    try:
        yield
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise BackendError(
                f"the backup cannot be written to {partial.parent}: {error.strerror or error}; nothing of it "
                "is left"
            ) from error
        raise


class _Building:
    """One backup on its way."""

    def __init__(self, source: Source, folder: Path, *, light: bool) -> None:
        self._source = source
        self._folder = folder
        self._light = light
        self.parts: list[Part] = []
        self.notes: list[str] = []
        self.tables: dict[str, manifest.Counted] = {}

    def copy(self) -> None:
        """Copy the database first: what archives hold in addition by then does not matter, for they grow."""
        self._tree()
        self._database()
        self._archives()
        self._home()

    def _database(self) -> None:
        file = self._folder / DATABASE
        if self._source.opened.copy is not None:
            self._source.opened.copy(file)
        else:
            self._source.rows(file)
        with file.open("rb+") as copy:
            os.fsync(copy.fileno())
        try:
            self.tables = copies.counted(file)
            self.notes += [checking.ASTRAY + told for told in copies.astray(file)]
        except sqlite3.Error as error:
            raise BackendError(f"the copy of the database cannot be read: {error}") from error
        self._note(file, "database", 0o600)

    def _tree(self) -> None:
        """What a backend keeps in its own way before the schema changes, such as files that people edit."""
        backup = self._source.opened.backup
        if not self._light or backup is None:
            return
        made = backup("before")
        if made is not None:
            file = self._folder / made.name
            shutil.move(made, file)
            with file.open("rb+") as copy:
                os.fsync(copy.fileno())
            file.chmod(0o600)
            self._note(file, "tree", 0o600)

    def _archives(self) -> None:
        for name in copies.archives(self._folder / DATABASE):
            try:
                storage = self._source.archive(name)
            except WilkError as error:
                self.notes.append(f"archive {name}: its rows are not in this backup: {error}")
                continue
            folder: Path | None = getattr(storage, "folder", None)
            if storage is None or folder is None:
                self.notes.append(f"archive {name}: its rows lie elsewhere, and are not in this backup")
                continue
            with storage.exclusive():
                for file in sorted(folder.iterdir()):
                    if file.is_file() and file.name != "lock":
                        self._take(file, f"{ARCHIVE}/{name}/{file.name}", ARCHIVE)

    def _home(self) -> None:
        home = self._source.settings.home
        if home is None:
            return
        kinds = self._source.places()
        found, notes = homes.files(home, kinds.values())
        self.notes += notes
        for path, what in found:
            self._take(home / path, f"{HOME}/{path}", what)
        if not self._light:
            there = [part.path.removeprefix(f"{HOME}/") for part in self.parts if part.what == "definition"]
            self.notes += [
                f"kept as it is, though broken: {told}"
                for told in homes.unreadable(self._folder / HOME, there, kinds)
            ]

    def _take(self, file: Path, path: str, what: str) -> None:
        """Copy a file as it is at one moment; one that is gone by now is left out."""
        target = self._folder / path
        private_folder(target.parent)
        for _ in range(_TRIES):
            try:
                before = file.stat()
                digest, size = _copied(file, target)
                after = file.stat()
            except FileNotFoundError:
                target.unlink(missing_ok=True)
                return
            except PermissionError as error:
                if error.filename != str(file):
                    raise
                self.notes.append(f"{path}: cannot be read: {error.strerror}")
                return
            if (before.st_size, before.st_mtime_ns, before.st_ino) == (
                after.st_size,
                after.st_mtime_ns,
                after.st_ino,
            ):
                break
        else:
            self.notes.append(f"{path}: it changed while it was copied")
        self._put(target, path, what, stat.S_IMODE(after.st_mode), digest, size)

    def _note(self, file: Path, what: str, mode: int) -> None:
        self._put(file, file.name, what, mode, manifest.hashed(file), file.stat().st_size)

    def _put(self, file: Path, path: str, what: str, mode: int, digest: str, size: int) -> None:
        self.parts.append(Part(path, what, size, digest, mode, file.stat().st_mtime_ns))


def _copied(file: Path, target: Path) -> tuple[str, int]:
    digest, size = sha256(), 0
    with file.open("rb") as opened, open(target, "wb", opener=_private) as copy:
        while piece := opened.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest(), size


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
