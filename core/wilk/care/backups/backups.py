"""Backups of a store: made, listed, tried and put back."""

from __future__ import annotations

import builtins
import logging
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.care.backups import checking, manifest, places, restoring, taking
from wilk.care.backups.shelf import Held, Shelf
from wilk.clock import to_datetime
from wilk.errors import BackendError, Busy, Conflict, Invalid, ReadOnly, WilkError
from wilk.records.backups import Backup, BackupCheck, BackupRestored
from wilk.services.checks import whole

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from wilk.store import Store
    from wilk.worker import Worker

logger = logging.getLogger("wilk.backups")

_LOOKED_AFTER = 600.0
"""Seconds between two looks at whether a backup is due: others may have made one."""


class Backups:
    """The backups of one store: folders with its rows, definitions and archives, each with a manifest."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engine = store._engine

    @cached_property
    def _shelf(self) -> Shelf:
        return Shelf(self._store.settings)

    @property
    def folder(self) -> Path:
        """Where the backups lie."""
        return self._shelf.root

    # -- making ---------------------------------------------------------------------------

    def create(self, *, name: str | None = None, why: str = "manual") -> Backup:
        """Make a backup while others go on reading and writing, and try it before it is called one.

        It holds all rows as of one moment, the definitions, tools and state of the home folder, and archives
        that lie in files; no caches and no indexes. ``why`` is one of manual, interval, before-repair,
        before-restore and before-migration; only manual ones have a ``name`` and are never removed by
        themselves. Raises Conflict for a name that is taken, Busy when another process makes or restores
        one for longer than the time limit, and BackendError when it cannot be written, or is not sound:
        nothing is left of it then.
        """
        if why not in places.WHYS:
            raise Invalid(f"why {why!r}: one of {', '.join(places.WHYS)} is wanted")
        if name is not None:
            places.checked_name(name)
            if why != "manual":
                raise Invalid(
                    f"name {name!r}: only backups that people make have names, not those made {why}"
                )
        self._check_outside("a backup sees what is committed")
        with self._alone():
            if name is not None:
                self._check_free(name)
            return self.get(taking.take(source(self._store), why, name=name))

    def _check_free(self, name: str) -> None:
        for id in places.ids(self.folder):
            if (parts := places.parts_of(id)) and parts[1] == name:
                raise Conflict(
                    f"there is a backup {name!r} already ({id}); choose another name, or remove it"
                )

    def _begin(self, worker: Worker) -> None:
        """Make one now if it is due, and look again and again; what the setting lacks is told at once."""
        self._shelf  # noqa: B018 (raises where no folder is known)
        worker.submit("backup", self._make_due)
        worker.repeat("backup", min(self._store.settings.backup_interval, _LOOKED_AFTER), self._make_due)

    def _make_due(self) -> Backup | None:
        """Make a backup if the setting ``backup_interval`` wants one by now, and remove the oldest of those
        made so beyond ``backup_keep``. Returns it; None where none is due, or another process makes one."""
        if not self._is_due():
            return None
        try:
            with places.alone(self._made_folder(), 0.0):
                if not self._is_due():
                    return None
                made = self.get(taking.take(source(self._store), "interval"))
                for one in self._shelf.surplus(self._store.settings.backup_keep, "interval"):
                    self._shelf.discard(self._shelf.find(one.id))
                return made
        except Busy:
            return None

    def _is_due(self) -> bool:
        settings = self._store.settings
        if not settings.backup_interval or (settings.readonly and not settings.backup_folder):
            return False
        newest = self._shelf.newest("interval")
        now = to_datetime(self._engine.clock.now())
        # The clock may have been put back: one from the future does not hold up the others for ever.
        return newest is None or not newest <= now < newest + timedelta(seconds=settings.backup_interval)

    # -- reading --------------------------------------------------------------------------

    def list(self) -> builtins.list[Backup]:
        """All backups, the newest first, also damaged ones: ``good`` and ``problems`` tell by the manifest,
        and by size and time of each file; what was touched is read. Raises Invalid where no folder is
        known."""
        return self._shelf.list()

    def get(self, id: str) -> Backup:
        """One backup, by its id, the beginning of it, or its name.

        Raises NotFound, and Conflict where several may be meant.
        """
        return self._shelf.get(id)

    def verify(self, id: str) -> BackupCheck:
        """Try a backup: every byte is read and compared, the copy is opened, its rows are counted and hashed.

        ``problems`` say what is bad. Raises NotFound.
        """
        return self._shelf.verify(id)

    # -- removing -------------------------------------------------------------------------

    def remove(self, id: str) -> Backup:
        """Remove a backup for good, and return what it was. Raises NotFound, and Busy."""
        return self._shelf.remove(id)

    def prune(self, *, keep: int | None = None, dry_run: bool = False) -> builtins.list[Backup]:
        """Remove the oldest of those made by themselves, so that ``keep`` of each kind stay (the setting
        ``backup_keep``); return them. Those that people made stay. ``dry_run``: only tell."""
        keep = self._store.settings.backup_keep if keep is None else whole("keep", keep, least=1)
        return self._shelf.prune(keep, dry_run=dry_run)

    # -- putting back ---------------------------------------------------------------------

    def restore(self, id: str, *, to: str | Path | None = None) -> BackupRestored:
        """Put a backup back: into this store, or ``to`` the URL of a database without rows, or into a new
        home folder.

        It is tried first. Into this store: a safety copy is made, then files and rows become those of the
        backup, the rows in one transaction that other processes see; what is no part of it goes, and lies
        in the safety copy. Caches are emptied, indexes of vectors made anew. What was forgotten since stays
        forgotten. An older schema is migrated, a newer one refused (SchemaError). What is interrupted is
        done again by the same call; until then the store refuses to be opened. Raises NotFound, BackendError
        for a backup that is bad, Conflict for a target that is in use, ReadOnly, and Busy.
        """
        self._check_outside("a restore changes everything")
        if to is None and self._engine.readonly:
            raise ReadOnly(
                "the store was opened with readonly; open it without, or restore elsewhere with to="
            )
        held = self._shelf.find(id)
        with self._alone():
            checked = self._shelf.verify(held.id)
            if not checked.good:
                raise BackendError(
                    f"backup {held.id} is bad, and was not restored: {'; '.join(checked.problems)}; "
                    "`wilk backup list` shows the others"
                )
            made = None if held.folder is None else manifest.read(held.folder)
            with restoring.Staged(self._store, held.folder or held.file.parent, made, held.file) as staged:
                if to is None:
                    return self._restore_here(held, staged)
                return _restore_elsewhere(held, staged, to)

    def _restore_here(self, held: Held, staged: restoring.Staged) -> BackupRestored:
        store, home = self._store, self._store.settings.home
        marker = places.Marker(home)
        again = marker.read() is not None
        if home is not None and not again:
            store.sync()  # edits that were not taken over yet are in the safety copy with their rows
        with self._engine.transaction():
            pass  # where nothing can be written, nothing is begun
        safety = self._safety(marker)
        saved = manifest.read(self.folder / safety)
        marker.set(held.id, safety, self.folder)
        try:
            written = staged.put_archives()
            removed = 0
            if home is not None:
                more, removed = staged.put_files(home, source(store).places(), saved, again=again)
                written += more
            staged.put_back()
            self._forget_derived()
            if restoring.was_forgotten(store):
                from wilk.care import forgetting

                forgetting.again(store)
            if home is not None:
                store.sync()
        except WilkError as error:
            error.args = (
                f"the restore of {held.id} is not finished: {error}; run it again, or restore {safety}: "
                "that is what was there before",
            )
            raise
        marker.clear()
        if store._joined is not None:
            store._joined.set_back()
        return BackupRestored(
            held.id,
            "this store",
            safety,
            staged.rows(),
            written,
            removed,
            tuple(staged.migrated),
            tuple(staged.notes),
        )

    def _safety(self, marker: places.Marker) -> str:
        """A backup of what is there now; or of what was there before a restore that was interrupted."""
        earlier = marker.read()
        if earlier is not None:
            folder = self.folder / earlier.get("safety", "")
            if earlier.get("safety") and not checking.look(folder).problems:
                return earlier["safety"]
        return taking.take(source(self._store), "before-restore")

    def _forget_derived(self) -> None:
        """Empty caches, and remove indexes: nothing derived from other rows is left."""
        store = self._store
        try:
            store._caches.clear()
        except Exception as error:  # a server may be away; what it keeps expires
            logger.warning("caches were not emptied after the restore: %s", error)
        restoring.drop_indexes(store._folder, restoring.tokens(store))

    # -- what all have in common ----------------------------------------------------------

    def _check_outside(self, why: str) -> None:
        if self._engine.in_transaction:
            raise Conflict(f"{why}: end the transaction before it")

    def _made_folder(self) -> Path:
        places.make(self.folder)
        return self.folder

    def _alone(self) -> AbstractContextManager[None]:
        return places.alone(self._made_folder(), max(self._engine.timeout, 0.1))


def _restore_elsewhere(held: Held, staged: restoring.Staged, to: str | Path) -> BackupRestored:
    written = 0
    if isinstance(to, str) and "://" in to:
        staged.fill(to)
        staged.notes.append("files of the home folder are not in a database: they stay in the backup")
        into = to.partition("?")[0]
    else:
        home = Path(to).expanduser().absolute()
        written = restoring.into_new_home(staged, home)
        into = str(home)
    return BackupRestored(
        held.id, into, None, staged.rows(), written, 0, tuple(staged.migrated), tuple(staged.notes)
    )


def source(store: Store) -> taking.Source:
    """What backups of a store are made of."""
    return taking.Source(
        store.settings,
        store.host,
        store._engine,
        store._backend,
        address=store._shown_url(),
        rows=lambda file: _copy_rows(store, file),
        archive=lambda name: store._outbox._opened(name),
    )


def _copy_rows(store: Store, file: Path) -> None:
    from urllib.parse import quote

    from wilk.care.backups.rows import Copying

    url = f"sqlite:///{quote(str(file))}?journal_mode=delete"
    with store._beside(url, copy=True) as copy:
        Copying(store._end(), copy._end(), store.host.model_sets(), None, ()).run()
    file.with_name(file.name + ".lock").unlink(missing_ok=True)


def before_migration(store: Store, label: str) -> Path:
    """Make a backup of a database whose schema is about to change; return its folder."""
    made = source(store)
    places.make(made.root)
    with places.alone(made.root, max(store._engine.timeout, 60.0)):
        return made.root / taking.take(made, "before-migration", label=label, light=True)
