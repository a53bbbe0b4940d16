"""Rebuilding: an index that is lost, or was never made, comes back from the tree as it was.

It is built beside its place and moved there when it is whole. Whatever a file says that cannot be read is
left out and logged; the file stays, and is taken over once it is mended.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from types import SimpleNamespace
from typing import Any

from wilk import codec
from wilk.backends.files.layout import FIRST, Place, Placement, place_of
from wilk.backends.files.noting import followed
from wilk.backends.files.reading import read
from wilk.backends.files.rows import Row, Table, quoted
from wilk.backends.files.schema import build
from wilk.backends.files.tree import SCHEMA, Seen, Tree, hash_of, state_of
from wilk.backends.sqlite import FTS5
from wilk.errors import BackendError, Invalid
from wilk.files import private_folder, sync_folder

logger = logging.getLogger("wilk.files")


def rebuild(tree: Tree) -> None:
    """Build the index from the tree. Under the tree's lock."""
    kept = _schema(tree)
    folder = tree.index.parent
    for entry in list(folder.iterdir()):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if kept is None:
        return  # the store's migrations build one, and take over what there is
    private_folder(folder)
    building = Tree(tree.base, tree.options, tree.timeout)
    building.index, building.seen = folder / "building.db", folder / "building-tree.db"
    for file in (building.index, building.seen):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    connection = sqlite3.connect(building.index, isolation_level=None, uri=True)
    try:
        connection.execute("PRAGMA synchronous = off")
        building.attach(connection)
        connection.execute("BEGIN IMMEDIATE")
        _build(building, connection, kept)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise BackendError(f"the index of {tree.base} cannot be built again: {error}") from error
    finally:
        connection.close()
    for source, target in ((building.seen, tree.seen), (building.index, tree.index)):
        with source.open("rb+") as opened:
            os.fsync(opened.fileno())
        source.replace(target)
    sync_folder(folder)


def _schema(tree: Tree) -> dict[str, Any] | None:
    """What ``schema.json`` says; None when there is none that can be read."""
    try:
        data = tree.path(SCHEMA).read_bytes()
    except FileNotFoundError:
        return None
    try:
        kept = codec.parse(data)
        if not isinstance(kept, dict) or not all(
            isinstance(kept[key], dict) for key in ("schema", "migrations")
        ):
            raise Invalid("the keys 'schema' and 'migrations' are wanted")
    except (Invalid, KeyError) as error:
        logger.error("%s cannot be read (%s): the index is built by today's schema", tree.path(SCHEMA), error)
        return None
    return kept


def _build(tree: Tree, connection: sqlite3.Connection, kept: dict[str, Any]) -> None:
    def execute(sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        return connection.execute(sql, parameters).fetchall()

    build(execute, kept)
    tables = followed(execute)
    others = [table.placement for table in tables.values() if not table.placement.own]
    loaded: dict[str, list[str]] = {}
    for path, stat in tree.files():
        if path == SCHEMA:
            data = tree.path(path).read_bytes()
            tree.note(execute, path, Seen(state_of(stat), hash_of(data), "ok", None))
            continue
        place = place_of(path, others)
        if place is not None and place.placement.table in tables:
            _load(tree, connection, execute, path, place, tables[place.placement.table])
            loaded.setdefault(place.placement.table, []).append(path)
    _without_parents(tree, execute, tables)
    FTS5().install(SimpleNamespace(execute_sql=connection.execute))  # type: ignore[arg-type]


def _load(
    tree: Tree, connection: sqlite3.Connection, execute: Any, path: str, place: Place, table: Table
) -> None:
    file = tree.path(path)
    stat = file.stat()
    data = file.read_bytes()
    content = read(data, place, table, now=time.time_ns() // 1000)
    problems = content.problems
    if content.filled:
        return  # what a person left out is made up once, by the store that takes the file over
    if not problems:
        execute("SAVEPOINT file")
        try:
            insert(connection, table, content.rows)
            remember_extras(execute, table, content.rows)
        except (sqlite3.Error, OverflowError) as error:
            execute("ROLLBACK TO file")
            problems = [f"what it says is in another file as well, or is not what the table takes: {error}"]
        execute("RELEASE file")
    if problems:
        logger.error("%s: %s; mend it, and it is taken over", file, "; ".join(problems))
        tree.note(execute, path, Seen(state_of(stat), hash_of(data), "broken", "; ".join(problems)))
        return
    tree.note(execute, path, Seen(state_of(stat), hash_of(data), "ok", None))
    note_part(execute, place, table, content.rows)


def insert(connection: Any, table: Table, rows: list[Row]) -> None:
    """Put rows into their table as they are."""
    places = ", ".join("?" * len(table.names))
    connection.executemany(
        f"INSERT INTO main.{quoted(table.name)} ({table.selected}) VALUES ({places})",
        [row.values for row in rows],
    )


def remember_extras(execute: Any, table: Table, rows: list[Row]) -> None:
    """Keep what a person has written beside the columns; it is written again with its row."""
    kept = bool(execute("SELECT 1 FROM tree.extras LIMIT 1"))
    for row in rows:
        key = codec.dumps([str(part) for part in table.key_of(row.values)])
        if row.extras:
            execute(
                "INSERT INTO tree.extras (name, key, data) VALUES (?, ?, ?) "
                "ON CONFLICT (name, key) DO UPDATE SET data = excluded.data",
                (table.name, key, codec.file_text(row.extras, indent=False).decode()),
            )
        elif kept:
            execute("DELETE FROM tree.extras WHERE name = ? AND key = ?", (table.name, key))


def note_part(execute: Any, place: Place, table: Table, rows: list[Row]) -> None:
    """Note where a file of rows begins."""
    if place.placement.order is not None and rows:
        head = place.placement.path_of(table.group_of(rows[0].values))
        execute(
            "INSERT INTO tree.parts (head, first) VALUES (?, ?) ON CONFLICT DO NOTHING", (head, place.first)
        )


def _without_parents(tree: Tree, execute: Any, tables: dict[str, Table]) -> None:
    """Take out rows that refer to what no file holds: their files wait until it does."""
    removed = True
    while removed:
        removed = False
        for name, number, parent, _ in execute("PRAGMA main.foreign_key_check"):
            table = tables[name]
            if number is None:  # a plugin's table WITHOUT ROWID
                continue
            rows = execute(f"SELECT {table.selected} FROM main.{quoted(name)} WHERE rowid = ?", (number,))
            if not rows:
                continue
            path = _path_of(execute, table, rows[0])
            reason = f"it refers to a row of {parent} that no file holds"
            logger.error("%s: %s; mend it, and it is taken over", tree.path(path), reason)
            execute("UPDATE tree.seen SET state = 'broken', error = ? WHERE path = ?", (reason, path))
            execute(f"DELETE FROM main.{quoted(name)} WHERE rowid = ?", (number,))
            removed = True


def _path_of(execute: Any, table: Table, values: tuple[Any, ...]) -> str:
    place: Placement = table.placement
    group = table.group_of(values)
    if place.order is None:
        return place.path_of(group)
    found = execute(
        "SELECT first FROM tree.parts WHERE head = ? AND first <= ? ORDER BY first DESC LIMIT 1",
        (place.path_of(group), values[table.place[place.order]]),
    )
    return place.path_of(group, found[0][0] if found else FIRST)
