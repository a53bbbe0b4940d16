"""Puts a backup back: into the store that it came from, into another database, or into a new home folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from wilk import models
from wilk.care.backups import copies, homes, manifest, places
from wilk.care.backups.manifest import ARCHIVE, DATABASE, HOME, Manifest, Part
from wilk.care.backups.rows import Filling, PuttingBack
from wilk.errors import BackendError, Conflict, Invalid, SchemaError, WilkError
from wilk.files import private_folder, sync_folder, write_atomic
from wilk.settings import CONFIG_FILE, DATABASE_FILE

if TYPE_CHECKING:
    from wilk.definitions.places import Place
    from wilk.settings import Settings
    from wilk.store import Store

Beside = Callable[..., AbstractContextManager["Store"]]


class Staged:
    """A copy of a backup's database that is made ready to be put back."""

    def __init__(self, store: Store, folder: Path, made: Manifest | None, source: Path) -> None:
        """``folder`` is the backup's, ``source`` the file with its rows; a plain copy has no manifest."""
        self._store = store
        self._folder = folder
        self._made = made
        self._source = source
        self._stage = places.root(store.settings) / places.STAGE
        self.file = self._stage / DATABASE
        self.migrated: list[str] = []
        self.notes: list[str] = []

    def __enter__(self) -> Staged:
        """Copy it, bring it to this wilk's schema, and tell it what was forgotten since."""
        shutil.rmtree(self._stage, ignore_errors=True)
        try:
            self._stage.mkdir(mode=0o700)
            shutil.copyfile(self._source, self.file)
            self.file.chmod(0o600)
            before = copies.schema(self.file)
            with self.opened() as copy:
                self._keep_forgotten(copy)
                _retoken(copy)
            after = copies.schema(self.file)
            self.migrated = [
                f"{name} {after[name]}" for name in sorted(after) if after[name] != before.get(name)
            ]
        except SchemaError as error:
            self.__exit__()
            said = str(error).replace("the database was", "it was")
            raise SchemaError(f"the backup cannot be restored by this wilk: {said}") from error
        except OSError as error:
            self.__exit__()
            raise BackendError(f"{self._stage} cannot be written: {error.strerror or error}") from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        shutil.rmtree(self._stage, ignore_errors=True)

    def opened(self) -> AbstractContextManager[Store]:
        """The copy as a store, of which nobody is told."""
        return self._store._beside(f"sqlite:///{quote(str(self.file))}?journal_mode=delete", copy=True)

    def _keep_forgotten(self, copy: Store) -> None:
        """What was forgotten here stays forgotten, however old the copy is."""
        for model in (models.Forgotten, models.Certificate):
            fields = list(model._meta.sorted_fields)
            for row in self._store._engine.rows(model.select(*fields)):
                with copy._engine.transaction():
                    insert = model.insert(dict(zip(fields, row, strict=True))).on_conflict("nothing")
                    copy._engine.run(insert)

    # -- rows -----------------------------------------------------------------------------

    def rows(self) -> int:
        """How many rows the backup holds."""
        if self._made is not None:
            return self._made.rows
        return sum(one.rows for one in copies.counted(self.file).values())

    def put_back(self) -> None:
        """Make the store's database what the copy holds; others see all of it at once."""
        store = self._store
        if store._backend.put_back is not None:
            store._engine.release()
            store._backend.put_back(self.file)
            return
        with self.opened() as copy:
            PuttingBack(copy._end(), store._end(), store.host.model_sets(), None, ()).run()

    def fill(self, url: str) -> None:
        """Write the rows into another database, which must have none."""
        with self.opened() as copy, self._store._beside(url) as other:
            Filling(copy._end(), other._end(), self._store.host.model_sets(), None, ()).run()

    # -- files ----------------------------------------------------------------------------

    def put_archives(self) -> int:
        """Put back what is missing of archives; what they hold in addition by now does no harm, and other
        processes read it. Returns how many files were written."""
        written = 0
        for name, parts in self._archived().items():
            try:
                storage = self._store._outbox._opened(name)
            except WilkError as error:
                self.notes.append(f"archive {name} cannot be opened, so that its files are left out: {error}")
                continue
            folder: Path | None = getattr(storage, "folder", None)
            if storage is None or folder is None:
                self.notes.append(f"archive {name} has no folder here, so that its files are left out")
                continue
            with storage.exclusive():
                for part in parts:
                    target = folder / part.path.rpartition("/")[2]
                    if not _begins_with(target, part):
                        self._write(part, target)
                        written += 1
        return written

    def _archived(self) -> dict[str, list[Part]]:
        found: dict[str, list[Part]] = {}
        for part in () if self._made is None else self._made.of(ARCHIVE):
            found.setdefault(part.path.split("/")[1], []).append(part)
        return found

    def put_files(
        self, home: Path, kinds: Mapping[str, Place], safety: Manifest, *, again: bool
    ) -> tuple[int, int]:
        """Make the files of a home folder those of the backup; return how many were written and removed.

        A file that is no part of the backup goes only if the safety copy has it as it is. ``again``: what a
        run that was broken off has left half written goes as well.
        """
        if self._made is None:
            return 0, 0
        for part in self._made.of("definition", "state") if again else ():
            for left in (home / part.path.removeprefix(f"{HOME}/")).parent.glob(".tmp-*"):
                left.unlink(missing_ok=True)
        wanted = {part.path.removeprefix(f"{HOME}/"): part for part in self._made.of("definition", "state")}
        there, _ = homes.files(home, kinds.values())
        kept = {part.path: part.sha256 for part in safety.files}
        removed = written = 0
        for path, _ in there:
            if path in wanted or path == CONFIG_FILE:
                continue
            if kept.get(f"{HOME}/{path}") != manifest.hashed(home / path):
                self.notes.append(f"{path} stays: the safety copy does not have it as it is")
                continue
            (home / path).unlink()
            removed += 1
        for path, part in wanted.items():
            if path == CONFIG_FILE and not self._same_database(home / path, part):
                self.notes.append(f"{CONFIG_FILE} stays as it is: that of the backup names another database")
                continue
            if (home / path).is_file() and manifest.hashed(home / path) == part.sha256:
                continue
            self._write(part, home / path)
            written += 1
        for folder in sorted({(home / path).parent for path, _ in there}, key=lambda one: -len(one.parts)):
            _tidy(folder, home)
        return written, removed

    def copy_files(self, home: Path) -> int:
        """Write the files of the backup into a new home folder; return how many."""
        parts = [] if self._made is None else self._made.of("definition", "state")
        for part in parts:
            self._write(part, home / part.path.removeprefix(f"{HOME}/"))
        for name, archived in self._archived().items():
            folder = home / "archive" if name == "jsonl" else home / "archive" / name
            for part in archived:
                self._write(part, folder / part.path.rpartition("/")[2])
        return len(parts) + sum(map(len, self._archived().values()))

    def _same_database(self, file: Path, part: Part) -> bool:
        """Whether two config.yaml name the same database, or neither names any."""
        from wilk.definitions.reader import parse_yaml

        def url(data: bytes) -> object:
            found = parse_yaml(data, CONFIG_FILE)
            return found.get("url") if isinstance(found, dict) else None

        try:
            now = url(file.read_bytes()) if file.exists() else None
            return now == url((self._folder / part.path).read_bytes())
        except (WilkError, OSError):
            return False

    def _write(self, part: Part, target: Path) -> None:
        try:
            write_atomic(target, (self._folder / part.path).read_bytes())
            target.chmod(part.mode)
        except OSError as error:
            raise BackendError(f"{target} cannot be written: {error.strerror or error}") from error


def _retoken(copy: Store) -> None:
    """Let indexes of vectors be made anew, in all processes: numbers that they know are given again."""
    engine = copy._engine
    space = models.VectorSpace
    for (id,) in engine.rows(space.select(space.id)):
        with engine.transaction():
            engine.run(space.update({space.token: engine.clock.new_id()}).where(space.id == id))


def into_new_home(staged: Staged, home: Path) -> int:
    """Make a new home folder of a backup; raises Conflict for one that is there and not empty."""
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise Conflict(f"{home} is there already, and not empty; name a folder that is not, or is empty")
    places.make(home.parent)
    partial = home.with_name(home.name + places.PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        private_folder(partial)
        shutil.copyfile(staged.file, partial / DATABASE_FILE)
        (partial / DATABASE_FILE).chmod(0o600)
        with (partial / DATABASE_FILE).open("rb+") as copy:
            os.fsync(copy.fileno())
        written = staged.copy_files(partial)
        _name_its_own_database(partial / CONFIG_FILE, home)
        for folder, _, _ in os.walk(partial):
            sync_folder(Path(folder))
        partial.replace(home)
        sync_folder(home.parent)
    except OSError as error:
        raise BackendError(f"{home} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return written


def _name_its_own_database(config: Path, home: Path) -> None:
    """Keep a copy's settings from naming the database of the original."""
    from wilk.definitions.reader import parse_yaml
    from wilk.definitions.settings_file import set_setting

    if config.exists():
        try:
            names = "url" in (parse_yaml(config.read_bytes(), CONFIG_FILE) or {})
        except Invalid:
            return
        if names:
            set_setting(config, "url", f"sqlite:///{quote(str(home / DATABASE_FILE))}")


def set_aside(settings: Settings, backup: str) -> list[Path]:
    """Move a database file that cannot be opened out of the way, with what SQLite keeps beside it; return
    the new names. Until the backup is restored nobody can open the store, and find it empty."""
    scheme, _, rest = settings.url.partition("://")
    file = Path(unquote(rest.partition("?")[0].removeprefix("/"))).expanduser().absolute()
    if scheme != "sqlite" or not file.is_file():
        raise Conflict("only a database that is an SQLite file can be set aside")
    places.Marker(settings.home).set(backup, "", places.root(settings))
    number, aside = 1, file.with_name(f"{file.name}.damaged")
    while aside.exists():
        number += 1
        aside = file.with_name(f"{file.name}.damaged-{number}")
    moved = []
    for ending in ("-shm", "-wal", "-journal", ""):  # the file last: what is left of a kill is done again
        one = file.with_name(file.name + ending)
        if one.exists():
            one.rename(aside.with_name(aside.name + ending))
            moved.append(aside.with_name(aside.name + ending))
    sync_folder(file.parent)
    return moved[::-1]


def drop_indexes(folder: Path | None, tokens: Iterable[str]) -> None:
    """Remove the files of indexes of vectors that are of no use any more."""
    known = set(tokens)
    indexes = None if folder is None else folder / "indexes"
    if indexes is not None and indexes.is_dir():
        for entry in indexes.iterdir():
            if entry.is_dir() and entry.name not in known:
                shutil.rmtree(entry, ignore_errors=True)


def _begins_with(file: Path, part: Part) -> bool:
    """Whether a file that only grows is what it was, or has grown since."""
    from hashlib import sha256

    try:
        with file.open("rb") as opened:
            digest, left = sha256(), part.bytes
            while left and (piece := opened.read(min(left, 1 << 20))):
                digest.update(piece)
                left -= len(piece)
    except OSError:
        return False
    return not left and digest.hexdigest() == part.sha256


def _tidy(folder: Path, home: Path) -> None:
    """Remove folders that a removed file has left empty."""
    while folder != home and folder.parent != home and home in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def was_forgotten(store: Store) -> bool:
    """Whether anything was ever forgotten that an earlier copy may bring back."""
    from wilk.care.tombstones import Tombstones

    return Tombstones(store._engine).any()


def tokens(store: Store) -> list[str]:
    """The tokens of all spaces of vectors."""
    space: Any = models.VectorSpace
    return [token for (token,) in store._engine.rows(space.select(space.token))]
