"""Brings a database to the current schema: one process at a time, after a backup, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

from wilk.contracts import ModelSet, Opened
from wilk.engine import Engine
from wilk.errors import BackendError, Busy, Closed, ReadOnly, SchemaError, WilkError

FOLDER = Path(__file__).parent
TABLE = "wilk_migrations"


def migrate(
    engine: Engine,
    opened: Opened,
    model_sets: Iterable[ModelSet],
    *,
    backup: Callable[[str], object] | None = None,
) -> list[str]:
    """Apply what is pending of wilk's migrations and of the plugins'; return the names applied.

    Costs one small query per set when nothing is pending. Otherwise the backend's lock is taken
    (the runner itself is not safe when several processes start at once), a database that holds
    data is backed up by ``backup``, which is given a label, and the full-text index is put back if
    a rebuilt table lost its triggers.
    """
    sets = [(TABLE, FOLDER, "wilk")]
    sets += [(f"{one.name}_migrations", one.migrations, f"plugin {one.name}") for one in model_sets]
    with engine.pinned():  # where there is no connection to be had, that is the error
        applied = {table: _applied(engine, table) for table, _, _ in sets}
    if not any(_pending(folder, applied[table], owner) for table, folder, owner in sets):
        return []
    if engine.readonly:
        raise SchemaError(
            "the database is not at this wilk's schema; open it once without readonly to migrate it"
        )
    done = []
    with opened.migration_lock() if opened.migration_lock else nullcontext():
        backed_up = False
        for table, folder, owner in sets:
            before = _applied(engine, table)
            if not _pending(folder, before, owner):
                continue  # another process was faster
            if table == TABLE and not before:
                _refuse_foreign(engine)
            if backup is not None and not backed_up and applied[TABLE]:
                backup(f"before-{_pending(folder, before, owner)[-1]}")
                backed_up = True
            with engine.pinned():
                done += apply(engine, opened, folder, table)
    return done


def apply(engine: Engine, opened: Opened, folder: Path, table: str, *, last: str | None = None) -> list[str]:
    """Apply a folder's migrations up to and with the one named ``last``, by default all; return their names.

    Within ``engine.pinned()``, and while nobody else migrates.
    """
    from playhouse.migrations import Runner  # slow to import, and rarely needed

    names: list[str] = []
    try:
        runner = Runner(engine.database, str(folder), table_name=table)
        runner.History.create_table()
        for migration in runner.status():
            if last is not None and migration.name > last:
                break
            if migration.applied is None and migration.path is not None:
                module = migration.load()
                with runner.migrator.migration_context(getattr(module, "atomic", True)):
                    module.up(runner.migrator, engine.database)
                    # In the same transaction: a process that is killed here must not leave messages
                    # that nobody finds.
                    if opened.full_text is not None:
                        opened.full_text.install(engine.database)
                    runner.History.create(name=migration.name)
                names.append(migration.name)
    except WilkError:
        raise
    except Exception as error:  # a migration is code, a plugin's even foreign code
        translated = engine.translated(error)
        if isinstance(translated, (Busy, Closed, ReadOnly)):
            raise translated from error
        name = names[-1] if names else "none"
        raise SchemaError(
            f"a migration in {folder} failed (the last that went well: {name}): {error}"
        ) from error
    return names


def _applied(engine: Engine, table: str) -> set[str] | None:
    """The names recorded in a migration table, or None when there is no such table."""
    query = f'SELECT name FROM "{table}"'  # noqa: S608 (own name)
    try:
        rows = engine.execute(query)
    except BackendError as error:
        try:
            with engine.pinned():
                present = engine.database.table_exists(table)
        except Exception as unreadable:
            raise SchemaError(f"this is no database that wilk can read: {error}") from unreadable
        if not present:
            return None
        rows = engine.execute(query)  # another process has made it meanwhile
    return {name for (name,) in rows}


def _pending(folder: Path, applied: set[str] | None, owner: str) -> list[str]:
    known = sorted(file.stem for file in folder.iterdir() if re.match(r"\d+_\w+\.py$", file.name))
    unknown = (applied or set()) - set(known)
    if unknown:
        raise SchemaError(
            f"the database was written by a newer {owner} (it has {max(unknown)}); upgrade {owner}, "
            "or restore the backup that was made before that upgrade"
        )
    return [name for name in known if name not in (applied or ())]


def _refuse_foreign(engine: Engine) -> None:
    with engine.pinned():
        tables = engine.database.get_tables()
    if any(table for table in tables if table != TABLE):
        raise SchemaError(
            f"the database holds tables that are not wilk's ({', '.join(tables[:5])}); name a file of its own"
        )
