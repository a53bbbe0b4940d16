"""What lies outside of the tables: archives, caches, indexes, files; and the look at every byte of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import models
from wilk.care.forgetting.copies import Copies, goes, line_goes, names_gone, replace, rows_of
from wilk.care.forgetting.links import Gone
from wilk.care.forgetting.needles import Needles
from wilk.care.forgetting.removing import empty
from wilk.care.forgetting.rows import Rows, of_store
from wilk.care.forgetting.scanning import Scan, scan, shared
from wilk.care.forgetting.searching import Search
from wilk.errors import WilkError
from wilk.files import sync_folder
from wilk.records.forgetting import Remaining, Residue, SearchedPlace

if TYPE_CHECKING:
    from wilk.store import Store


class Looked(NamedTuple):
    """What a look at all bytes gave, and what is known beside it."""

    scan: Scan
    real: Mapping[Path, set[str | bytes]]
    needles: Needles
    mentions: int
    notes: Sequence[str]
    roots: Sequence[Path]

    @property
    def repairable(self) -> bool:
        """Whether writing anew may help."""
        return any(file in self.scan.hits for file in self.real)

    def remaining(self) -> Remaining:
        """The same as a record, which says where, how many, and never what."""
        notes = list(self.notes)
        if self.mentions:
            notes.append(
                f"{self.mentions} ids or texts of what was forgotten are in records of others too, which stay"
            )
        notes += [
            f"{_shown(file, self.roots)}: could not be read: {why}"
            for file, why in self.scan.unreadable.items()
        ]
        residues = [
            Residue(
                _shown(file, self.roots),
                len(found),
                "its name" if file not in self.scan.hits else "its bytes",
            )
            for file, found in sorted(self.real.items())
        ]
        return Remaining(
            files=self.scan.files,
            bytes=self.scan.bytes,
            strings=len(self.needles),
            left_out=self.needles.left_out,
            places=[SearchedPlace(*one) for one in self.scan.places],
            residues=residues,
            notes=notes,
        )


class Outside:
    """What a store has beside its tables."""

    def __init__(self, store: Store, copies: Copies) -> None:
        self._store = store
        self._engine = store._engine
        self._home = store.settings.home
        self._copies = copies
        self._erasing = None if store._backend.erasing is None else store._backend.erasing(store._engine)

    # -- for the plan ---------------------------------------------------------------------

    def caches(self) -> list[str]:
        """The caches that would be emptied: nobody can tell whose prompts an entry is made of."""
        try:
            return list(self._store._caches.namespaces())
        except WilkError:
            return []

    def files(self, context_files: Iterable[str], gone: Gone) -> dict[str, int]:
        """Which files of the home folder would go, by what they are."""
        counts = {
            "current session": int(any(names_gone(file, gone) for file in self._current())),
            "context files": len(self._own(context_files)),
        }
        return {name: count for name, count in counts.items() if count}

    def notes(self, context_files: Iterable[str]) -> list[str]:
        """What forgetting cannot reach, in sentences."""
        own = set(self._own(context_files))
        notes = [
            f"{file}: a working context file outside of the home folder stays; remove it yourself"
            for file in sorted(context_files)
            if Path(file) not in own
        ]
        notes += [
            f"archive {name}: it cannot remove single rows, so that those in it stay"
            for name in self._archives()
            if not hasattr(self._store._outbox._opened(name), "forget")
        ]
        if self._erasing is None:
            notes.append("the database gives no way to write its files anew: its free space is not searched")
        return notes

    # -- doing it -------------------------------------------------------------------------

    def archives(self, gone: Gone, needles: Needles) -> dict[str, int]:
        """Remove lines from archives outside of the database; return how many, by archive."""
        counts: dict[str, int] = {}
        for name in self._archives():
            storage: Any = self._store._outbox._opened(name)
            if storage is None or not hasattr(storage, "forget"):
                continue

            def moved(changed: Mapping[str, str], name: str = name) -> None:
                with self._engine.transaction():
                    replace(of_store(self._store), name, changed)

            with storage.exclusive():
                if count := storage.forget(line_goes(gone, needles), moved):
                    counts[name] = count
        return counts

    def _archives(self) -> list[str]:
        """The archives outside of the database that hold rows, and the one in use."""
        names = {self._store.settings.archive}
        entry = models.ArchiveEntry
        for (place,) in self._engine.select(
            entry.select(entry.place).where(entry.place.is_null(False)).distinct()
        ):
            names.add(place.partition(":")[0])
        return sorted(names - {"table"})

    def empty_caches(self) -> dict[str, int]:
        """Empty all caches, in memory and below; return how many entries each held."""
        counts: dict[str, int] = {}
        caches = self._store._caches
        for name in self.caches():
            with suppress(WilkError):
                counts[name] = caches.clear(name)
        for file in self._cache_files():
            with suppress(sqlite3.Error), closing(self._opened(file)) as connection:
                counts[file.stem] = counts.get(file.stem, 0) + empty(rows_of(connection), "entries")
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {name: count for name, count in counts.items() if count}

    def _opened(self, file: Path) -> sqlite3.Connection:
        return sqlite3.connect(file, timeout=self._engine.timeout, isolation_level=None)

    def _cache_files(self) -> list[Path]:
        folder = None if self._store._folder is None else self._store._folder / "cache"
        return [] if folder is None or not folder.is_dir() else sorted(folder.rglob("*.db"))

    def drop_indexes(self, numbers: Iterable[int]) -> None:
        """Drop the files of indexes that hold vectors which went; they are made again from the rows."""
        wanted = set(numbers)
        if wanted:
            from wilk.services.vectors.spaces import spaces

            for space in spaces(self._engine):
                if space.id in wanted:
                    self._store._vector_indexes.drop(space)

    def remove_files(self, context_files: Iterable[str], gone: Gone) -> dict[str, int]:
        """Remove the choice of a session that went, and working context files in the home folder."""
        counts = {"current session": 0, "context files": 0}
        for file in self._current():
            if names_gone(file, gone):
                file.unlink(missing_ok=True)
                sync_folder(file.parent)
                counts["current session"] += 1
        for file in self._own(context_files):
            file.unlink(missing_ok=True)
            sync_folder(file.parent)
            counts["context files"] += 1
        return {name: count for name, count in counts.items() if count}

    def _current(self) -> list[Path]:
        return [] if self._home is None else [self._home / "sessions" / "current.json"]

    def _own(self, context_files: Iterable[str]) -> list[Path]:
        """Those of the files that lie in the home folder."""
        if self._home is None:
            return []
        home = self._home.resolve()
        found = []
        for name in context_files:
            file = Path(name) if Path(name).is_absolute() else self._home / name
            with suppress(OSError, RuntimeError):
                if home in file.resolve().parents and file.is_file():
                    found.append(file)
        return found

    def copies_of_rows(self, gone: Gone) -> int:
        """Remove earlier versions of files that a backend keeps; return how many rows they held."""
        return 0 if self._erasing is None else self._erasing.forget(goes(gone))

    def erase(self, *, full: bool = False) -> list[str]:
        """Write the database anew; what could not be done."""
        problems = [] if self._erasing is None else list(self._erasing.erase(full=full))
        if self._erasing is None and not self._engine.shared:
            problems.append(
                "the database gives no way to write its files anew: what its free space holds is unknown"
            )
        return problems

    # -- looking --------------------------------------------------------------------------

    def roots(self) -> list[Path]:
        """All folders and files of the store, none within another."""
        store = self._store
        found = [self._home, store._folder, *(self._erasing.folders() if self._erasing else ())]
        found += self._copies.roots()
        for name in self._archives():
            found.append(getattr(store._outbox._opened(name), "folder", None))
        there = sorted({one.absolute() for one in found if one is not None and one.exists()})
        return [one for one in there if not any(other in one.parents for other in there)]

    def look(
        self,
        needles: Needles,
        notes: Sequence[str],
        only: Iterable[Path] | None = None,
        *,
        anybodys: bool = False,
    ) -> Looked:
        """Read everything, and tell what is there of what should be gone. What rows say that stay is none of
        it, but for ``anybodys``."""
        search = Search(needles)
        roots = self.roots()
        found = scan(roots, search, only)
        every = {one for some in (*found.hits.values(), *found.named.values()) for one in some}
        mentioned: set[str | bytes] = set()
        if every and not anybodys:
            with ExitStack() as opened:
                databases = [of_store(self._store)]
                for path in self._copies.roots():
                    databases += _copy(path, opened)
                mentioned = shared(search, every, databases)
        real = {
            file: left
            for file in {*found.hits, *found.named}
            if (left := (found.hits.get(file, set()) | found.named.get(file, set())) - mentioned)
        }
        return Looked(found, real, needles, len(mentioned), list(notes), roots)

    def look_again(self, looked: Looked, gone: Gone, *, full: bool = False) -> Looked:
        """Write anew what still held something, and look at it once more."""
        self.copies_of_rows(gone)
        notes = self.erase(full=full)
        self._copies.repair()
        self.empty_caches()
        more = self.look(looked.needles, notes, only=looked.real)
        return looked._replace(
            real=more.real,
            notes=list(dict.fromkeys([*looked.notes, *notes])),
            scan=looked.scan._replace(hits=more.scan.hits, named=more.scan.named),
        )


def live_files(store: Store) -> set[Path]:
    """The files of the store's own database, and of caches: none of them is a copy."""
    found: set[Path] = set()
    if store._backend.erasing is not None:
        for folder in store._backend.erasing(store._engine).folders():
            found |= {folder} if folder.is_file() else set()
    with suppress(WilkError):
        for row in store._engine.execute("PRAGMA database_list") if not store._engine.on_server else ():
            if row[2]:
                found.add(Path(row[2]))
    return found


def _copy(path: Path, opened: ExitStack) -> list[Rows]:
    file = path / "wilk.db" if path.is_dir() else path
    try:
        connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        opened.callback(connection.close)
        return [rows_of(connection)]
    except sqlite3.Error:
        return []


def _shown(file: Path, roots: Sequence[Path]) -> str:
    """A file as people know it: from the folder on that it lies in."""
    for root in roots:
        if root in file.parents:
            return file.relative_to(root).as_posix()
    return file.name
