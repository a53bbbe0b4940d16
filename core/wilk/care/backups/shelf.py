"""The backups that lie in a folder: listing, checking and removing them, which needs no store."""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from wilk.care.backups import checking, copies, places
from wilk.care.backups.manifest import DATABASE, Manifest
from wilk.errors import BackendError, Conflict, Invalid, NotFound
from wilk.files import sync_folder
from wilk.records.backups import Backup, BackupCheck
from wilk.settings import Settings

_PLAIN = "*.db"


class Held(NamedTuple):
    """Where a backup's rows lie. ``folder`` is None for a plain copy of earlier versions, which has no
    manifest and nothing but rows."""

    id: str
    folder: Path | None
    file: Path


class Shelf:
    """The backups of one store."""

    def __init__(self, settings: Settings) -> None:
        self.root = places.root(settings)
        self._database = places.database(settings)
        self._own = places.own(settings)
        self._timeout = settings.timeout

    # -- reading --------------------------------------------------------------------------

    def list(self) -> list[Backup]:
        """All backups, the newest first; see :meth:`wilk.care.backups.backups.Backups.list`."""
        found = [self._described(id) for id in places.ids(self.root)]
        return sorted(
            [*(one for one in found if one is not None), *map(_plain, self._plain_files())],
            key=lambda one: (one.created_at, one.id),
            reverse=True,
        )

    def get(self, id: str) -> Backup:
        """One backup, by its id, the beginning of it, or its name."""
        held = self.find(id)
        found = _plain(held.file) if held.folder is None else self._described(held.id, others=True)
        assert found is not None  # noqa: S101 (it was found)
        return found

    def find(self, wanted: str) -> Held:
        """Where a backup lies; raises NotFound with what may have been meant, and Conflict for several."""
        if not isinstance(wanted, str) or not wanted:
            raise Invalid(f"backup {wanted!r}: an id or a name is wanted")
        folders = {id: id for id in places.ids(self.root)}
        plain = {file.stem: file for file in self._plain_files()}
        if wanted in folders:
            return self._held(wanted)
        if wanted in plain:
            return Held(wanted, None, plain[wanted])
        named = [id for id in folders if (parts := places.parts_of(id)) and parts[1] == wanted]
        meant = named or [id for id in (*folders, *plain) if id.startswith(wanted)]
        if len(meant) > 1:
            raise Conflict(f"{wanted!r} may be any of {len(meant)} backups: {', '.join(sorted(meant)[:5])}")
        if not meant:
            labels = {parts[1]: id for id in folders if (parts := places.parts_of(id))}
            close = get_close_matches(wanted, [*folders, *plain, *labels], 3, 0.5)
            hint = (
                f"did you mean {' or '.join(close)}?"
                if close
                else "`wilk backup list` shows the ones there are"
            )
            raise NotFound("backup", wanted, hint)
        return Held(meant[0], None, plain[meant[0]]) if meant[0] in plain else self._held(meant[0])

    def verify(self, id: str) -> BackupCheck:
        """Read every byte of a backup, and try it."""
        held = self.find(id)
        if held.folder is None:
            problems, rows = checking.verify_plain(held.file), None
        else:
            made, problems = checking.verify(held.folder)
            rows = None if made is None else made.rows
            if made is not None and made.id != held.id:
                problems.append(f"its manifest is that of {made.id}")
        return BackupCheck(held.id, not problems, tuple(problems), rows)

    def newest(self, why: str) -> datetime | None:
        """When the newest backup of a kind was made, by the ids alone."""
        times = [
            parts[0] for id in places.ids(self.root) if (parts := places.parts_of(id)) and parts[1] == why
        ]
        return max(times, default=None)

    # -- removing -------------------------------------------------------------------------

    def remove(self, id: str) -> Backup:
        """Remove a backup; return it as it was."""
        self.find(id)
        with places.alone(self.root, self._timeout):
            found = self.get(id)
            self.discard(self.find(found.id))
        return found

    def prune(self, keep: int, *, dry_run: bool = False) -> builtins.list[Backup]:
        """Remove those made by themselves that are more than ``keep`` of their kind; return them."""
        if dry_run or not self.root.is_dir():
            return self.surplus(keep)
        with places.alone(self.root, self._timeout):
            surplus = self.surplus(keep)
            for one in surplus:
                self.discard(self.find(one.id))
        return surplus

    def surplus(self, keep: int, why: str | None = None) -> builtins.list[Backup]:
        """Those made by themselves that are more than ``keep`` of their kind, the oldest ones. Damaged ones
        do not count as kept, nor do they go."""
        found: dict[str, builtins.list[Backup]] = {}
        for one in self.list():
            if one.good and one.why != "manual" and (why is None or one.why == why):
                found.setdefault(one.why, []).append(one)
        return [one for kind in found.values() for one in kind[keep:]]

    def discard(self, held: Held) -> None:
        """Remove what lies there; whoever calls holds the folder. A process that is killed amid it leaves
        what is swept later, and nothing that looks whole."""
        try:
            if held.folder is None:
                held.file.unlink(missing_ok=True)
            else:
                gone = held.folder.with_name(held.folder.name + places.PARTIAL)
                held.folder.rename(gone)
                shutil.rmtree(gone)
            sync_folder(self.root)
        except OSError as error:
            raise BackendError(
                f"{held.folder or held.file} cannot be removed: {error.strerror or error}"
            ) from error

    # -- what lies there ------------------------------------------------------------------

    def _held(self, id: str) -> Held:
        return Held(id, self.root / id, self.root / id / DATABASE)

    def _described(self, id: str, *, others: bool = False) -> Backup | None:
        """A backup as a record; None for one of another database, where several share the folder."""
        folder = self.root / id
        made, problems = checking.look(folder)
        if made is not None and not self._own and not others and made.database != self._database:
            return None
        if made is not None and made.id != id:
            problems.append(f"its manifest is that of {made.id}")
        parts = places.parts_of(id)
        assert parts is not None  # noqa: S101 (ids are such)
        return Backup(
            id=id,
            name=None if made is None else made.name,
            why=_why(parts[1]) if made is None else made.why,
            created_at=parts[0] if made is None else datetime.fromisoformat(made.started_at),
            good=not problems,
            problems=tuple(problems),
            rows=None if made is None else made.rows,
            bytes=_bytes(folder, made),
            files=0 if made is None else len(made.files),
            wilk=None if made is None else made.wilk,
            schema={} if made is None else dict(made.schema),
            backend=None if made is None else made.backend,
            notes=() if made is None else tuple(made.notes),
            folder=str(folder),
        )

    def _plain_files(self) -> Iterator[Path]:
        """Copies that earlier versions made before the schema changed."""
        for file in sorted(self.root.glob(_PLAIN)) if self.root.is_dir() else ():
            if file.is_file() and "-before-" in file.stem:
                stem = Path(self._database).stem
                if self._own or file.stem.startswith(f"{stem}-before-"):
                    yield file


def _plain(file: Path) -> Backup:
    sound = copies.looks_sound(file)
    found = file.stat()
    return Backup(
        id=file.stem,
        name=None,
        why="before-migration",
        created_at=datetime.fromtimestamp(found.st_mtime, UTC),
        good=sound,
        problems=() if sound else (f"{file.name}: it is no SQLite database, or a part of one is missing",),
        rows=None,
        bytes=found.st_size,
        files=1,
        wilk=None,
        schema=copies.schema(file) if sound else {},
        backend="sqlite",
        notes=("rows alone: an earlier version made it before the schema changed",),
        folder=str(file),
    )


def _why(label: str) -> str:
    return label if label in places.WHYS else "before-migration" if label.startswith("before-") else "manual"


def _bytes(folder: Path, made: Manifest | None) -> int:
    if made is not None:
        return sum(part.bytes for part in made.files)
    try:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    except OSError:
        return 0
