"""Recovery: as much as can be read of a damaged SQLite database, in a new and sound one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.care.recovering import image, log, target
from wilk.care.recovering.image import Image
from wilk.care.recovering.layouts import Known, Layout, known_of, of_database, quoted
from wilk.care.recovering.salvage import Salvage, Taken
from wilk.care.recovering.writing import DERIVED, AsideFile, Writer
from wilk.clock import Clock
from wilk.errors import BackendError, Conflict, NotFound, SchemaError
from wilk.host import Host
from wilk.records.recovery import Recovered, RecoveredTable
from wilk.settings import Settings

if TYPE_CHECKING:
    from wilk.records.transfer import Progress

ASIDE = ".aside.jsonl"


def recover(
    damaged: str | Path,
    new: str | Path,
    *,
    host: Host | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> Recovered:
    """Write as much as can be read of a damaged SQLite database into a new one, and tell what is lost.

    ``damaged`` is a file of wilk's of any schema version, with its write-ahead log beside it if there is
    one; it is copied before anything else, and never written. ``new`` must not exist; it is there when
    all is done, sound and at today's schema, or not at all. It takes about three times the room of the file
    meanwhile. Rows that were found and could not be taken lie beside it, in a file that ends in
    ``.aside.jsonl``. A file with which nothing is wrong is copied.

    Raises NotFound, Conflict when ``new`` is there or another program writes ``damaged``, SchemaError for a
    database that is not wilk's or a newer wilk's, and BackendError for what is no database, and when the disk
    is full.
    """
    source, goal = Path(damaged).expanduser().absolute(), Path(new).expanduser().absolute()
    _check(source, goal)
    chosen = host if host is not None else Host()
    aside = goal.with_name(goal.name + ASIDE)
    try:
        with _workplace(goal) as folder:
            result, made, kept = _recover(source, goal, folder, chosen, progress)
            if kept is not None:
                _publish(kept, aside)
            try:
                _publish(made, goal)
            except BaseException:
                if kept is not None:
                    aside.unlink(missing_ok=True)
                raise
    except (OSError, sqlite3.Error) as error:
        said = getattr(error, "strerror", None) or error
        raise BackendError(
            f"{source} could not be recovered to {goal}: {said}; nothing was left there. "
            "It takes about three times the room of the file; name a place on a larger disk"
        ) from error
    return result


def _check(source: Path, goal: Path) -> None:
    if source.is_dir():
        raise Conflict(
            f"{source} is a folder. The index of a store on files can be thrown away: remove the folder "
            f"{source / '.index'}, and opening files:///{source} builds it again"
        )
    if not source.is_file():
        raise NotFound("database file", str(source))
    for file in (goal, goal.with_name(goal.name + ASIDE)):
        if file.exists() or file.is_symlink():
            raise Conflict(f"{file} is there already; name a file that is not")
    if not goal.parent.is_dir():
        raise NotFound("folder", str(goal.parent), "make it first")


@contextmanager
def _workplace(goal: Path) -> Iterator[Path]:
    """A private folder on the disk where the new database will lie."""
    folder = Path(tempfile.mkdtemp(prefix=f".{goal.name}.recovering-", dir=goal.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(made: Path, goal: Path) -> None:
    """Move a file to where nothing is."""
    try:
        os.link(made, goal)
    except FileExistsError:
        raise Conflict(f"{goal} was made meanwhile; name a file that is not there") from None
    except OSError:  # a file system without links
        if goal.exists():
            raise Conflict(f"{goal} was made meanwhile; name a file that is not there") from None
        made.rename(goal)


def _recover(
    source: Path, goal: Path, folder: Path, host: Host, progress: Callable[[Progress], object] | None
) -> tuple[Recovered, Path, Path | None]:
    copy = image.copied(source, folder)
    fresh = folder / "fresh.db"
    settings = Settings()
    target.make(fresh, host, settings, target.newest(host))
    with closing(sqlite3.connect(fresh)) as connection:
        known = known_of(connection, target.json_columns(host))
    chosen, notes = _best(copy, folder, known)
    if _is_sound(chosen, known) and not _foreign(chosen, known):
        return _copied(source, goal, chosen, folder, host, settings, notes)
    found = Image(chosen)
    try:
        if not found.is_database:
            raise BackendError(
                f"{source} is no SQLite database as far as anything of it tells: it is encrypted, or of "
                "another kind"
            )
        salvage = Salvage(found, known)
        if not salvage.tables.keys() & known.layouts.keys():
            raise SchemaError(
                f"{source} holds no table of wilk's: {', '.join(sorted(salvage.tables)[:5]) or 'none'}"
            )
        notes += found.notes
        return _written(source, goal, folder, host, settings, salvage, notes, progress)
    finally:
        found.close()


# -- which state is the database --------------------------------------------------------------------


def _best(copy: Path, folder: Path, known: Known) -> tuple[Path, list[str]]:
    """The database with its log taken over, if that is the better one; and what was found."""
    notes: list[str] = []
    beside = copy.with_name(copy.name + "-wal")
    if not beside.exists() or not beside.stat().st_size:
        if copy.with_name(copy.name + "-journal").exists():
            _roll_back(copy, notes)
        image.make_plain(copy)
        return copy, notes
    wal = log.Log(beside)
    if wal.problem:
        notes.append(f"the write-ahead log was left out: {wal.problem}")
    elif wal.ignored:
        notes.append(
            f"{wal.ignored} frames of the write-ahead log were left out: they are damaged, lie behind a "
            "damaged one, or were not committed"
        )
    if not wal:
        beside.unlink()
        image.make_plain(copy)
        return copy, notes
    with_log = folder / "with-log.db"
    image.apply_log(copy, wal, with_log)
    beside.unlink()
    for file in (copy, with_log):
        image.make_plain(file)
    if not _is_sound(with_log, known):
        mine = _page_size(copy)
        foreign = mine is not None and mine != wal.size
        if foreign or _is_sound(copy, known) or _faults(copy, known) < _faults(with_log, known):
            notes.append("the write-ahead log was left out: it does not belong to this file")
            with_log.unlink()
            return copy, notes
    copy.unlink()
    return with_log, notes


def _roll_back(copy: Path, notes: list[str]) -> None:
    """Let SQLite undo what a transaction had begun when its process died."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(copy)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        if not copy.with_name(copy.name + "-journal").exists():
            notes.append("a transaction that had not ended was undone, by the journal beside the file")
    copy.with_name(copy.name + "-journal").unlink(missing_ok=True)


def _page_size(file: Path) -> int | None:
    found = Image(file)
    try:
        return found.size if found.sound_header else None
    finally:
        found.close()


def _faults(file: Path, known: Known) -> int:
    found = Image(file)
    try:
        return Salvage(found, known).faults if found.is_database else 1 << 30
    finally:
        found.close()


def _is_sound(file: Path, known: Known | None) -> bool:
    """Whether SQLite finds nothing wrong with a file without a log; with ``known``, nor we in its texts."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute("PRAGMA integrity_check(1)").fetchall()
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
            if rows != [("ok",)] or broken is not None:
                return False
            if known is None:
                return True
            tables = of_database(connection, known.json)
            return bool(tables) and all(_reads(connection, layout) for layout in tables.values())
    except (sqlite3.Error, UnicodeDecodeError):
        return False


def _reads(connection: sqlite3.Connection, layout: Layout) -> bool:
    """Whether what a table holds can be read; SQLite does not look into texts."""
    texts = [quoted(one.name) for one in layout.columns if one.kind == "text"]
    for row in connection.execute(f"SELECT {', '.join(texts) or 'NULL'} FROM {quoted(layout.name)}"):  # noqa: S608
        for value in row:
            if isinstance(value, str) and "\0" in value:
                return False
    for column in (quoted(one.name) for one in layout.columns if one.name in layout.json):
        wrong = f"{column} IS NOT NULL AND NOT json_valid({column})"
        if connection.execute(f"SELECT 1 FROM {quoted(layout.name)} WHERE {wrong} LIMIT 1").fetchone():  # noqa: S608
            return False
    return True


def _foreign(file: Path, known: Known) -> bool:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        names = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    return not names & known.layouts.keys()


# -- the new database --------------------------------------------------------------------------------


def _copied(
    source: Path, goal: Path, chosen: Path, folder: Path, host: Host, settings: Settings, notes: list[str]
) -> tuple[Recovered, Path, Path | None]:
    """A copy of a database with which nothing is wrong, at today's schema."""
    made = folder / "new.db"
    with closing(sqlite3.connect(chosen)) as one, closing(sqlite3.connect(made)) as other:
        one.backup(other)
    made.chmod(0o600)
    _migrate(made, host, settings, passages=False)
    with closing(sqlite3.connect(made)) as connection:
        names = sorted(of_database(connection, {}))
        counts = [connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0] for name in names]  # noqa: S608
    tables = [_whole(name, count) for name, count in zip(names, counts, strict=True)]
    notes.append("nothing is wrong with the file; the new one is a copy of it")
    return Recovered(str(source), str(goal), healthy=True, tables=tables, notes=notes), made, None


def _whole(table: str, rows: int) -> RecoveredTable:
    return RecoveredTable(table, rows, scavenged=0, changed=0, lost=0, exact=True, aside=0, made=0)


def _written(
    source: Path,
    goal: Path,
    folder: Path,
    host: Host,
    settings: Settings,
    salvage: Salvage,
    notes: list[str],
    progress: Callable[[Progress], object] | None,
) -> tuple[Recovered, Path, Path | None]:
    if not salvage.schema_is_whole:
        notes.append("the list of tables is damaged; what it does not tell was taken from wilk's own schema")
    if not salvage.pages.free_is_known:
        notes.append(
            "the list of free pages is damaged; rows that may have been removed came over only where an "
            "index still names them"
        )
    made = folder / "new.db"
    applied = target.versions(
        host, lambda table: _recorded(salvage, table), set(salvage.tables), whole=salvage.schema_is_whole
    )
    if applied == target.newest(host):
        shutil.copyfile(folder / "fresh.db", made)
        made.chmod(0o600)
    else:
        target.make(made, host, settings, applied)
    own = {table for table, last in applied.items() if last is not None}
    aside = AsideFile(folder / "aside.jsonl")
    try:
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("PRAGMA synchronous = off")
            writer = Writer(connection, salvage.known.json, aside, progress)
            with connection:
                writer.write(salvage, own)
            with connection:
                writer.make_parents(settings, Clock().now())
                short = writer.count_again(salvage)
            tables = writer.results(salvage)
    finally:
        aside.close()
    if writer.made_again:
        notes.append(f"{writer.made_again} vectors whose space is lost are made again by the embedder")
    _migrate(made, host, settings, passages=True)
    if not _is_sound(made, None):
        raise BackendError(f"what was recovered of {source} is not sound; nothing was left at {goal}")
    kept = aside.file if aside.written else None
    return (
        Recovered(
            source=str(source),
            target=str(goal),
            healthy=False,
            tables=[one for one in tables if one.table not in own],
            sessions=short,
            notes=notes,
            rebuilt=("full text", *DERIVED),
            aside=None if kept is None else str(goal.with_name(goal.name + ASIDE)),
        ),
        made,
        kept,
    )


def _recorded(salvage: Salvage, table: str) -> set[str]:
    """The migrations that a database says it has had."""
    found = salvage.tables.get(table)
    if found is None:
        return set()
    place = next((n for n, column in enumerate(found.layout.columns) if column.name == "name"), None)
    if place is None:
        return set()
    rows = (one.values[place] for one in salvage.rows(found) if isinstance(one, Taken))
    return {name for name in rows if isinstance(name, str)}


def _migrate(file: Path, host: Host, settings: Settings, *, passages: bool) -> None:
    """Bring a database to today's schema, and make what is derived in it."""
    from wilk.store import open_store

    quiet = replace(target.settings_for(settings, file), disabled_plugins=())
    with open_store(settings=quiet, host=host) as store:
        if passages:
            store.index.update()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
