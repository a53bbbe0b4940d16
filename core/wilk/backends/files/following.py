"""Following: what people change in the files is taken over into the index, and nothing of it is lost.

A file whose stat is not the one that was noted is read again. Rows that it has in other words are written,
rows that it has no more are archived, and so are those of a file that is gone. A file that cannot be read,
or that the index refuses, leaves the rows as they are, is told of, and is tried again at every sync.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec
from wilk.backends.files.backups import keep_copy
from wilk.backends.files.journal import forget, settle
from wilk.backends.files.layout import PLACEMENTS, Place, decoded, place_of
from wilk.backends.files.noting import NOTED
from wilk.backends.files.reading import read
from wilk.backends.files.rebuilding import note_part, remember_extras
from wilk.backends.files.rows import Row, Table, quoted
from wilk.backends.files.tree import SCHEMA, Seen, Tree, hash_of, state_of
from wilk.backends.files.writing import Writer
from wilk.errors import Conflict, WilkError
from wilk.records.definitions import Change, Failure, SyncReport

if TYPE_CHECKING:
    from wilk.definitions.watcher import Watcher
    from wilk.store import Store

logger = logging.getLogger("wilk.files")

DELETED = "file_deleted"
"""The reason of rows that are archived because a person has removed their file, or them from their file."""

_CONFIRM = 0.1
_LAST = 2**63 - 1


class _Changed(NamedTuple):
    """A file that is not as it was seen: its bytes and stat, or None for both when it is gone. The bytes are
    read when it is taken over, so that those of one file at a time are in memory."""

    path: str
    place: Place
    data: bytes | None
    stat: str | None


class Follower:
    """Takes over into one store what people change in its tree."""

    def __init__(self, tree: Tree, writer: Writer, store: Store) -> None:
        self._tree = tree
        self._writer = writer
        self._store = store
        self._engine = store._engine
        writer.merge = self.merge
        self._order = {one.table: number for number, one in enumerate(PLACEMENTS)}

    def sync(self, paths: Collection[str] | None = None) -> SyncReport:
        """Take over what has changed in all files, or in those of ``paths``, relative to the tree."""
        self._tree.check_index()
        seen, candidates, gone = self._look(paths)
        if gone and not self._engine.in_transaction:
            time.sleep(_CONFIRM)  # some editors remove a file before they write it anew
        if not candidates and not gone and not self._writer.everything and not self._left_over():
            return SyncReport(seen, 0, (), ())
        changes: list[Change] = []
        failures: list[Failure] = []
        with self._engine.transaction():
            changed = self._settled(sorted({*candidates, *gone}))
            for one in changed:
                now = self._now(one)
                if (now.data is None) == (one.data is None):  # else the next sync sees to it
                    self._take(now, changes, failures)
        return SyncReport(seen, len(changed), tuple(changes), tuple(failures))

    def broken(self) -> Collection[str]:
        """The paths of files that could not be taken over, and were not mended since."""
        return {path for (path,) in self._engine.execute("SELECT path FROM tree.seen WHERE state = 'broken'")}

    def watch(self, on_report: Callable[[SyncReport], object] | None) -> Watcher:
        """Take over changes as they are made, until the watcher is stopped."""
        from wilk.backends.files.watching import TreeWatcher

        return TreeWatcher(self._tree, self, self._store, on_report).start()

    def close(self) -> None:
        """Bring the files to the disk, which the journals stood for."""
        forget(self._tree)

    def merge(self, path: str, orders: set[int]) -> None:
        """Take over a file of rows that a transaction concerns as well which is about to commit: but for the
        rows of these orders, which are as the transaction has them. Under the tree's lock."""
        place = place_of(path, self._others())
        file = self._tree.path(path)
        if place is None:
            return
        try:
            one = _Changed(path, place, file.read_bytes(), state_of(file.stat()))
        except FileNotFoundError:
            return
        seen = self._tree.found(self._engine.execute, path)
        if one.data is None or seen is None or seen.hash == hash_of(one.data):
            return
        table = self._writer.tables(self._engine.execute)[place.placement.table]
        if not self._read(one, one.data, table, [], orders):
            self._writer.left.pop(path)
            logger.info("%s was changed by hand, and is taken over with a change of the store's own", file)

    # -- what has changed -----------------------------------------------------------------

    def _look(self, paths: Collection[str] | None) -> tuple[int, list[str], list[str]]:
        """How many files there are, which look changed, and which are gone. Without any lock."""
        execute = self._engine.execute
        others = self._others()
        if paths is None:
            rows = execute("SELECT path, stat, state FROM tree.seen")
            known = {path: (stat, state) for path, stat, state in rows}
            there = {path: state_of(stat) for path, stat in self._tree.files()}
        else:
            seen = {path: self._tree.found(execute, path) for path in paths}
            known = {path: (one.stat, one.state) for path, one in seen.items() if one is not None}
            there = {path: state for path in paths if (state := self._state(path)) is not None}
        changed = [
            path
            for path, state in there.items()
            if known.get(path) != (state, "ok") and path != SCHEMA and place_of(path, others) is not None
        ]
        gone = [path for path in known if path not in there and path != SCHEMA]
        return len(there), changed, gone

    def _others(self) -> list[Any]:
        tables = self._writer.tables(self._engine.execute).values()
        return [table.placement for table in tables if not table.placement.own]

    def _state(self, path: str) -> str | None:
        try:
            return state_of(os.stat(self._tree.path(path), follow_symlinks=False))  # noqa: PTH116 (cheaper)
        except OSError:
            return None

    def _left_over(self) -> bool:
        """Whether a commit is not quite done: another process is at it, or has died."""
        try:
            return any(file.suffix == ".json" for file in self._tree.journal.iterdir())
        except FileNotFoundError:
            return False

    def _settled(self, paths: Iterable[str]) -> list[_Changed]:
        """What has changed indeed, once all commits are in place. Within a transaction: none can follow."""
        execute = self._engine.execute
        others = self._others()
        found = []
        with self._tree.locked():
            self._tree.check_index()
            settle(self._tree, execute)
            for path in paths:
                seen = self._tree.found(execute, path)
                place = place_of(path, others)
                file = self._tree.path(path)
                try:
                    stat: str | None = state_of(file.stat())
                except FileNotFoundError:
                    stat = None
                if place is None or (seen is None and stat is None):
                    continue
                if seen is not None and seen.state == "ok" and stat is not None:
                    if seen.stat == stat:
                        continue
                    if seen.stat is not None and self._hash(path) == seen.hash:
                        self._tree.note(execute, path, seen._replace(stat=stat))
                        continue
                found.append(_Changed(path, place, None if stat is None else b"", stat))
        # What there is comes before what is gone, and the later ones of files of rows before the earlier,
        # so that a row which moved is not archived.
        return sorted(
            found,
            key=lambda one: (
                one.data is None,
                self._order.get(one.place.placement.table, 999),
                -one.place.first,
            ),
        )

    def _hash(self, path: str) -> str | None:
        try:
            return hash_of(self._tree.path(path).read_bytes())
        except FileNotFoundError:
            return None

    # -- taking over ----------------------------------------------------------------------

    def _now(self, one: _Changed) -> _Changed:
        """A file as it is now."""
        file = self._tree.path(one.path)
        try:
            return one._replace(stat=state_of(file.stat()), data=file.read_bytes())
        except FileNotFoundError:
            return one._replace(stat=None, data=None)

    def _take(self, one: _Changed, changes: list[Change], failures: list[Failure]) -> None:
        table = self._writer.tables(self._engine.execute)[one.place.placement.table]
        if one.data is None:
            problems = self._gone(one, table, changes)
        else:
            problems = self._read(one, one.data, table, changes)
        if problems:
            failures.append(Failure(_kind(table.name), "/".join(one.place.names), one.path, tuple(problems)))

    def _read(
        self,
        one: _Changed,
        data: bytes,
        table: Table,
        changes: list[Change],
        but: Collection[int] = (),
    ) -> list[str]:
        execute = self._engine.execute
        content = read(data, one.place, table, now=self._engine.clock.now())
        problems, rows = content.problems, content.rows
        if not problems:
            problems = self._out_of_range(one.place, table, rows)
        if but:
            column = table.place[str(one.place.placement.order)]
            both = [row.values for row in rows if row.values[column] in but]
            if not problems and not {*both} <= {*self._rows_of(one.place, table)}:
                logger.warning(
                    "%s has rows that the store writes now as well; it is kept as %s",
                    self._tree.path(one.path),
                    keep_copy(self._tree, one.path),
                )
            rows = [row for row in rows if row.values[column] not in but]
        made: list[Change] = []
        if not problems:
            try:
                with self._engine.transaction():
                    self._apply(one, table, rows, made, but)
                    remember_extras(execute, table, rows)
                    note_part(execute, one.place, table, rows)
            except WilkError as error:
                problems = [str(error)]
        state, told = ("broken", "; ".join(problems)) if problems else ("ok", None)
        seen = self._tree.found(execute, one.path)
        if problems and (seen is None or seen.error != told or seen.hash != hash_of(data)):
            logger.error("%s: %s; its rows stay as they were", self._tree.path(one.path), told)
        self._tree.note(execute, one.path, Seen(one.stat, hash_of(data), state, told))
        if not problems:
            self._writer.left[one.path] = hash_of(data)
            changes += made
        return problems

    def _out_of_range(self, place: Place, table: Table, rows: list[Row]) -> list[str]:
        order = place.placement.order
        if order is None or order == table.counted:
            return []
        first, end = self._range(place)
        column = table.place[order]
        strays = [row.values[column] for row in rows if not first <= row.values[column] < end]
        if not strays:
            return []
        return [
            f"{order} {strays[0]} belongs into another file: here it is from {max(first, 0)} to {end - 1}"
        ]

    def _range(self, place: Place) -> tuple[int, int]:
        head = place.placement.path.format(*place.names)
        if place.placement.nowhere is not None and not place.names:
            head = place.placement.nowhere[0]
        rows = self._engine.execute(
            "SELECT min(first) FROM tree.parts WHERE head = ? AND first > ?", (head, place.first)
        )
        return place.first, rows[0][0] if rows[0][0] is not None else _LAST

    def _apply(
        self, one: _Changed, table: Table, rows: list[Row], changes: list[Change], but: Collection[int]
    ) -> None:
        """Bring the table in line with what a file says."""
        execute = self._engine.execute
        order = one.place.placement.order
        there = {
            table.key_of(values): values
            for values in self._rows_of(one.place, table)
            if not but or values[table.place[str(order)]] not in but
        }
        keys = ", ".join(map(quoted, table.key))
        where = " AND ".join(f"{quoted(name)} = ?" for name in table.key)
        places = ", ".join("?" * len(table.names))
        changed: list[tuple[Any, ...]] = []
        for row in rows:
            values, key = row.values, table.key_of(row.values)
            old = there.pop(key, None)
            if old is None and None not in key:
                found = execute(f"SELECT {table.selected} FROM main.{quoted(table.name)} WHERE {where}", key)
                old = tuple(found[0]) if found else None
            if old == values:
                continue
            if old is None:
                execute(f"INSERT INTO main.{quoted(table.name)} ({table.selected}) VALUES ({places})", values)
                if None in key:
                    key = execute(
                        f"SELECT {keys} FROM main.{quoted(table.name)} WHERE rowid = last_insert_rowid()"
                    )[0]
                action = "created"
            else:
                values = _rehashed(table, old, values)
                execute(
                    f"UPDATE main.{quoted(table.name)} SET "
                    + ", ".join(f"{quoted(name)} = ?" for name in table.names)
                    + f" WHERE {where}",
                    [*values, *key],
                )
                action = "updated"
            changed.append(values)
            changes.append(_change(table, key, action, one.path))
        if there:
            self._archive(one, table, list(there), changes)
        self._derive(table, changed)

    def _rows_of(self, place: Place, table: Table) -> list[tuple[Any, ...]]:
        """The rows of the index that belong into a file."""
        group = self._group(place, table)
        if group is None:
            return []
        conditions = [f"{quoted(name)} IS ?" for name in place.placement.group]
        parameters = list(group)
        if place.placement.order is not None:
            conditions.append(f"{quoted(place.placement.order)} >= ? AND {quoted(place.placement.order)} < ?")
            parameters += self._range(place)
        return self._engine.execute(
            f"SELECT {table.selected} FROM main.{quoted(table.name)} WHERE {' AND '.join(conditions) or '1'}",
            parameters,
        )

    def _group(self, place: Place, table: Table) -> tuple[Any, ...] | None:
        """What the group of a file is in the index; None when there is no row of it."""
        columns = place.placement.group
        if len(place.names) < len(columns):
            return (None,) * len(columns)  # of those without one
        if not columns:
            return ()
        listed = ", ".join(map(quoted, columns))
        path = place.placement.path.format(*place.names)
        where = ""
        parameters: list[Any] = []
        names = [decoded(name) for name in place.names]
        if None not in names:
            where = " WHERE " + " AND ".join(f"{quoted(name)} = ?" for name in columns)
            parameters = list(names)
        rows = self._engine.execute(
            f"SELECT DISTINCT {listed} FROM main.{quoted(table.name)}{where}", parameters
        )
        return next((tuple(row) for row in rows if place.placement.path_of(row) == path), None)

    def _gone(self, one: _Changed, table: Table, changes: list[Change]) -> list[str]:
        """Archive the rows of a file that is gone."""
        problems: list[str] = []
        rows = self._rows_of(one.place, table)
        if rows:
            try:
                with self._engine.transaction():
                    self._archive(one, table, [table.key_of(values) for values in rows], changes)
            except WilkError as error:
                problems = [f"{error}; the file is put back"]
                logger.error("%s: %s", self._tree.path(one.path), problems[0])
                self._write_again(table, rows)
        self._tree.note(self._engine.execute, one.path, None)
        return problems

    def _archive(
        self, one: _Changed, table: Table, keys: list[tuple[Any, ...]], changes: list[Change]
    ) -> None:
        """Move rows into the archive. Those of a kind that is never removed so are written again."""
        from wilk.services.keeping.kinds import KINDS

        kind = _kind(table.name)
        if kind not in KINDS:
            raise Conflict(f"rows of {table.name} cannot be removed by removing them from files")
        model: Any = KINDS[kind].model()
        for key in keys:
            condition = None
            for name, value in zip(table.key, key, strict=True):
                each = model._meta.columns[name] == value
                condition = each if condition is None else condition & each
            self._store._archiver.remove(kind, condition, reason=DELETED)
            changes.append(_change(table, key, "archived", one.path))

    def _write_again(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        place = table.placement
        for values in rows:
            group = [*table.group_of(values), None, None, None][:3]
            order = values[table.place[place.order]] if place.order else None
            self._engine.execute(f"INSERT INTO {NOTED} VALUES (?, ?, ?, ?, ?)", (table.name, *group, order))

    # -- what follows of it ---------------------------------------------------------------

    def _derive(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        """Bring in step what is derived of rows that changed."""
        from wilk.services.embedding.passages import KINDS, SOURCES

        kind = _kind(table.name)
        if rows and kind in KINDS:
            ids = [str(values[table.place["id"]]) for values in rows]
            if kind in SOURCES:
                self._store._following.rebuild(kind, ids)
            else:
                self._store._following.queue(kind, ids)
        if table.name == "messages":
            for session in {values[table.place["session_id"]] for values in rows}:
                self._count(session)

    def _count(self, session: str) -> None:
        """Let a session count the messages that a person has added or changed."""
        self._engine.execute(
            "UPDATE main.sessions SET "
            "last_sequence = max(last_sequence, (SELECT coalesce(max(sequence), 0) FROM main.messages m "
            "WHERE m.session_id = sessions.id)), "
            "token_count = (SELECT coalesce(sum(tokens), 0) FROM main.messages m "
            "WHERE m.session_id = sessions.id), "
            "message_count = (SELECT count(*) FROM main.messages m WHERE m.session_id = sessions.id) "
            "+ (SELECT count(*) FROM main.archive a WHERE a.session_id = sessions.id AND a.kind = 'message' "
            "AND a.reason = 'consolidated_to_working' AND a.restored_at IS NULL) WHERE id = ?",
            (session,),
        )


def _rehashed(table: Table, old: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row with the hash of its data, where a person has changed the one and not the other."""
    if table.name not in ("documents", "raw_messages"):
        return values
    data, hashed = table.place["data"], table.place["content_hash"]
    if old[data] == values[data] or old[hashed] != values[hashed] or values[data] is None:
        return values
    return (*values[:hashed], codec.text_hash(values[data]), *values[hashed + 1 :])


def _kind(table: str) -> str:
    """The name of the kind of a table's records; the table's own where there is none."""
    from wilk.services.keeping.kinds import KINDS

    names = (name for name, one in KINDS.items() if one.model()._meta.table_name == table)
    return next(names, table)


def _change(table: Table, key: tuple[Any, ...], action: str, path: str) -> Change:
    return Change(_kind(table.name), "/".join(map(str, key)), action, path, 0, None)
