"""Takes what is forgotten out of copies: backups with all that is in them, copies of the database.

What is written anew gets new sums, so that it is a sound backup of what is left.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec, models
from wilk.care.backups import checking, manifest, places
from wilk.care.backups import copies as databases
from wilk.care.forgetting.closure import Closure, Found, belongs
from wilk.care.forgetting.gathering import gather
from wilk.care.forgetting.links import BY_TABLE, DISTINCTIVE, LEDGER, Gone
from wilk.care.forgetting.needles import Needles
from wilk.care.forgetting.removing import cut, empty, names_one, remove, remove_foreign
from wilk.care.forgetting.rows import Rows
from wilk.errors import BackendError, Invalid, WilkError

if TYPE_CHECKING:
    from wilk.contracts import Erasing
    from wilk.settings import Settings

MARKER = ".forgetting"
"""Lies in a backup while it is written anew."""

_SINGULAR: dict[str, str] = {word: kind for kind, word in LEDGER.items()}
_HEADER = b"SQLite format 3\0"


class Copy(NamedTuple):
    """What became of one copy: rows that went, by table, and what is in the way of more."""

    name: str
    rows: Mapping[str, int]
    problem: str | None = None
    removed: bool = False


class Copies:
    """The copies of one store."""

    def __init__(self, settings: Settings, live: set[Path], erasing: Erasing | None, timeout: float) -> None:
        self._settings = settings
        self._live = live
        self._erasing = erasing
        self._timeout = timeout

    def roots(self) -> list[Path]:
        """The folders and files that hold copies of this store."""
        return [*self._backups(), *self._plain()]

    def names(self) -> list[str]:
        """What copies there are."""
        return [path.name for path in self.roots()]

    def find(self, gone: Gone, *, forks: bool) -> list[Copy]:
        """Count what would go from each copy."""
        return [self._looked(path, gone, forks) for path in self.roots()]

    def clean(
        self, gone: Gone, needles: Needles, tombstones: list[tuple[str, str, str, int]], *, forks: bool
    ) -> list[Copy]:
        """Take what goes out of each copy. One that cannot be opened is removed, for nobody can tell what is
        in it; ``tombstones`` go in instead."""
        folder = self._root()
        if folder is None or not folder.is_dir():
            return [self._cleaned(path, gone, needles, tombstones, forks) for path in self.roots()]
        with places.alone(folder, self._timeout):
            for entry in list(folder.iterdir()):
                if entry.name.endswith(places.PARTIAL) or entry.name == places.STAGE:
                    shutil.rmtree(entry, ignore_errors=True)
            return [self._cleaned(path, gone, needles, tombstones, forks) for path in self.roots()]

    def repair(self) -> None:
        """Write the databases of all copies anew once more."""
        for path in self.roots():
            with _kept(path):
                _written_anew(_database(path), self._timeout)

    # -- which there are ------------------------------------------------------------------

    def _root(self) -> Path | None:
        try:
            return places.root(self._settings)
        except Invalid:
            return None

    def _backups(self) -> Iterator[Path]:
        root = self._root()
        if root is None or not root.is_dir():
            return
        for id in sorted(places.ids(root)):
            if places.own(self._settings) or self._ours(root / id):
                yield root / id

    def _ours(self, folder: Path) -> bool:
        try:
            return manifest.read(folder).database == places.database(self._settings)
        except Invalid:
            return False

    def _plain(self) -> Iterator[Path]:
        """Databases of wilk that are not this store's own: copies, whatever they are called; and what a
        restore set aside, which may be too damaged to be known as one."""
        home, root = self._settings.home, self._root()
        name = places.database(self._settings)
        stem, aside = Path(name).stem, re.compile(re.escape(name) + r"\.damaged(-\d+)?")
        folders = [one for one in (home, root) if one is not None and one.is_dir()]
        inside = {one / id for one in folders for id in places.ids(one)}
        seen: set[Path] = set()
        for folder in folders:
            for file in sorted(folder.rglob("*")):
                if file in seen or file in self._live or any(one in file.parents for one in inside):
                    continue
                seen.add(file)
                whose = home is not None and home in file.parents
                named = whose and aside.fullmatch(file.name) is not None and file.is_file()
                if named or ((whose or file.name.startswith(f"{stem}-")) and _is_wilks(file)):
                    yield file

    # -- one of them ----------------------------------------------------------------------

    def _looked(self, path: Path, gone: Gone, forks: bool) -> Copy:
        file = _database(path)
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                found = _found(connection, gone, forks)
        except sqlite3.Error as error:
            return Copy(path.name, {}, f"it cannot be read ({error}), and would be removed")
        return Copy(path.name, found.counts)

    def _cleaned(
        self,
        path: Path,
        gone: Gone,
        needles: Needles,
        tombstones: list[tuple[str, str, str, int]],
        forks: bool,
    ) -> Copy:
        sound = path.is_file() or _unfinished(path) or not checking.look(path).problems
        file = _database(path)
        if path.is_dir():
            (path / MARKER).touch(mode=0o600)
        counts: dict[str, int] = {}
        try:
            # The driver begins a transaction with the first change, and ends it with the block.
            way = sqlite3.connect(file, timeout=self._timeout, isolation_level="IMMEDIATE")
            with closing(way) as connection, connection:
                found = _found(connection, gone, forks)
                rows = rows_of(connection)
                gather(rows, found, needles)
                counts = remove(rows, found)
                counts |= remove_foreign(rows, found.gone, needles)
                cut(rows, found)
                if emptied := empty(rows, "cache_entries"):
                    counts["cache_entries"] = emptied
                if rows.has("forgotten", "kind", "hash", "certificate_id", "forgotten_at"):
                    rows.many(
                        "INSERT INTO forgotten (kind, hash, certificate_id, forgotten_at) "
                        "VALUES (?, ?, ?, ?) ON CONFLICT (kind, hash) DO UPDATE SET "
                        "certificate_id = excluded.certificate_id, forgotten_at = excluded.forgotten_at",
                        tombstones,
                    )
            problems = _written_anew(file, self._timeout)
        except (sqlite3.Error, WilkError) as error:
            return self._removed(path, str(error))
        if path.is_file():
            return Copy(path.name, counts, problems[0] if problems else None)
        try:
            counts |= self._beside(path, found.gone, needles)
        except (OSError, WilkError) as error:
            return self._removed(path, str(error))
        if sound:
            _resum(path)
        (path / MARKER).unlink(missing_ok=True)
        return Copy(path.name, counts, problems[0] if problems else None)

    def _removed(self, path: Path, why: str) -> Copy:
        """Remove a copy that cannot be cleaned; say so where that fails too."""
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
                for ending in ("-wal", "-shm", "-journal"):
                    path.with_name(path.name + ending).unlink(missing_ok=True)
        except OSError as error:
            return Copy(path.name, {}, f"it could be neither written anew nor removed: {error.strerror}")
        return Copy(path.name, {}, f"it could not be opened ({why}), and was removed", removed=True)

    def _beside(self, folder: Path, gone: Gone, needles: Needles) -> dict[str, int]:
        """What lies in a backup beside the database: archived rows, files of the home folder, trees."""
        counts: dict[str, int] = {}
        archives = folder / manifest.ARCHIVE
        for archive in sorted(archives.iterdir()) if archives.is_dir() else ():
            counts[f"archive {archive.name}"] = _lines_without(folder, archive, gone, needles)
        current = folder / manifest.HOME / "sessions" / "current.json"
        if names_gone(current, gone):
            current.unlink()
            counts["current session"] = 1
        for file in folder.glob("*.zip"):
            if self._erasing is not None:
                counts[f"tree {file.name}"] = self._erasing.forget(goes(gone), file)
        return {name: count for name, count in counts.items() if count}


def goes(gone: Gone) -> Any:
    """Whether a row of a table goes, told by its columns; of a plugin's table, those that name an id."""
    own = {model._meta.table_name for model in models.every()}

    @cache
    def ids() -> frozenset[str]:
        return frozenset(id for some in gone.ids.values() for id in some if len(id) >= DISTINCTIVE)

    def answer(table: str, row: Mapping[str, Any]) -> bool:
        if table == "archive":
            data = row.get("data")
            return belongs(gone, str(row.get("kind")), str(row.get("record_id")), row.get("session_id"),
                           data if isinstance(data, dict) else {})  # fmt: skip
        if table in ("repairs", "imported_records"):
            kind = str(row.get("kind"))
            return gone.has(_SINGULAR.get(kind, kind), row.get("record_id") or row.get("target_id"))
        if table == "vector_tags":
            return (row.get("space_id"), row.get("number")) in gone.numbers
        if table == "blobs":
            return gone.has("blob", row.get("hash"))
        if (member := BY_TABLE.get(table)) is not None:
            return gone.owns(member, row)
        return table not in own and any(names_one(value, ids()) for value in row.values())

    return answer


def names_gone(current: Path, gone: Gone) -> bool:
    """Whether ``sessions/current.json`` names a session that goes."""
    try:
        kept = codec.parse(current.read_bytes())
    except (OSError, Invalid):
        return False
    return isinstance(kept, dict) and gone.has("session", kept.get("session"))


def line_goes(gone: Gone, needles: Needles) -> Any:
    """Whether a line of an archive outside of the database goes; what it says is looked for then."""

    def answer(line: bytes) -> bool:
        try:
            entry = codec.loads(line)
            kind, record, row = entry["kind"], entry["record_id"], entry["data"]
        except (ValueError, TypeError, KeyError, WilkError):
            return False
        if not belongs(gone, kind, record, entry.get("session_id"), row if isinstance(row, dict) else {}):
            return False
        needles.row(row)
        return True

    return answer


def rows_of(connection: sqlite3.Connection) -> Rows:
    """The tables of a database in a file, as they are."""
    names = [
        name
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_") and "VIRTUAL" not in (sql or "")[:20]
    ]
    columns: dict[str, list[str]] = {}
    keys: dict[str, list[str]] = {}
    for name in names:
        information = connection.execute(f'PRAGMA table_info("{name}")').fetchall()
        columns[name] = [row[1] for row in information]
        keys[name] = [column for _, column in sorted((row[5], row[1]) for row in information if row[5])]

    def execute(sql: str, parameters: Any = ()) -> list[Any]:
        return connection.execute(sql, parameters).fetchall()

    return Rows(execute, connection.executemany, columns, keys)


def _found(connection: sqlite3.Connection, gone: Gone, forks: bool) -> Found:
    own = Gone(gone.marks)
    own.ids = {kind: set(ids) for kind, ids in gone.ids.items()}
    return Closure(rows_of(connection), Found(own), forks=forks).run(again=True)


def _lines_without(folder: Path, archive: Path, gone: Gone, needles: Needles) -> int:
    from wilk.archives.jsonl import Jsonl

    if not any(archive.glob("*.jsonl.gz")):
        return 0
    storage = Jsonl(archive, file_size=64_000_000, timeout=10.0)

    def moved(changed: Mapping[str, str]) -> None:
        with closing(sqlite3.connect(folder / manifest.DATABASE, isolation_level=None)) as connection:
            replace(rows_of(connection), archive.name, changed)

    return storage.forget(line_goes(gone, needles), moved)


def replace(rows: Rows, archive: str, changed: Mapping[str, str]) -> None:
    """Note where archived rows lie now."""
    named = {f"{archive}:{old}": f"{archive}:{new}" for old, new in changed.items()}
    found = [
        (named[place], pk)
        for pk, place in rows.pages("archive", ["place"], ["pk"], '"place" IS NOT NULL')
        if place in named
    ]
    if found:
        rows.many(f'UPDATE "archive" SET "place" = {rows.mark} WHERE "pk" = {rows.mark}', found)


def _database(path: Path) -> Path:
    return path / manifest.DATABASE if path.is_dir() else path


def _unfinished(folder: Path) -> bool:
    return (folder / MARKER).exists()


def _written_anew(file: Path, timeout: float) -> list[str]:
    from wilk.backends.sqlite_erasing import written_anew

    return written_anew(file, timeout)


class _kept:  # noqa: N801 (used as a block)
    """Makes a backup's sums anew when the block has changed its files, if it was whole before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sound = path.is_dir() and not checking.look(path).problems

    def __enter__(self) -> None:
        pass

    def __exit__(self, *failure: object) -> None:
        if self._sound:
            _resum(self._path)


def _resum(folder: Path) -> None:
    """Make the manifest of a backup anew, from what lies in it now."""
    try:
        before = manifest.read(folder)
    except Invalid:
        return
    known = {part.path: part for part in before.files}
    parts = []
    for path in sorted(manifest.below(folder)):
        if path in (manifest.MANIFEST, manifest.SUMS, MARKER):
            continue
        file = folder / path
        stat = file.stat()
        part = known.get(path)
        what = part.what if part is not None else manifest.ARCHIVE
        mode = part.mode if part is not None else 0o600
        parts.append(manifest.Part(path, what, stat.st_size, manifest.hashed(file), mode, stat.st_mtime_ns))
    try:
        tables = databases.counted(folder / manifest.DATABASE)
    except sqlite3.Error as error:
        raise BackendError(f"{folder}: {error}") from error
    manifest.write(folder, before._replace(tables=tables, files=parts))


def _is_wilks(file: Path) -> bool:
    """Whether a file is a SQLite database with wilk's tables."""
    try:
        with file.open("rb") as opened:
            if opened.read(16) != _HEADER:
                return False
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    except (OSError, sqlite3.Error):
        return False
    return "wilk_migrations" in names
