"""Writing: a transaction's changed rows become files, made safe before it commits.

:class:`Writer` is called within the transaction when it is about to commit, while no other process writes,
and holds the tree's lock until the files are in place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from wilk import codec
from wilk.backends.files.backups import keep_copy
from wilk.backends.files.journal import Staging, note_parts, settle
from wilk.backends.files.layout import FIRST
from wilk.backends.files.noting import NOTED, followed
from wilk.backends.files.rows import Execute, Table, quoted
from wilk.backends.files.schema import schema_file
from wilk.backends.files.tree import SCHEMA, Seen, Tree, hash_of, state_of
from wilk.errors import BackendError, WilkError

logger = logging.getLogger("wilk.files")

ROWS, BYTES = 100, 131_072
"""A file of rows is closed when it has so many, or is so long."""

_PAGE = 500
_LAST = 2**63 - 1


class Writer:
    """Writes the files of one tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.everything = False
        """Whether the next commit looks through all tables: the first one, and after a migration."""
        self._version: int | None = None
        self._tables: dict[str, Table] = {}
        self.left: dict[str, str] = {}
        """The hashes of what people have written, by path, and the rows say too; it is left as it is."""
        self.merge: Callable[[str, set[int]], None] | None = None
        """Takes over what a person has changed in a file of rows, but the rows of these orders."""

    def tables(self, execute: Execute) -> dict[str, Table]:
        """The tables whose rows lie in files, as the schema is now."""
        ((version,),) = execute("PRAGMA main.schema_version")
        if version != self._version:
            self._tables, self._version = followed(execute), version
        return self._tables

    def committing(self, execute: Execute) -> Callable[[bool], bool] | None:
        """Make the files of what has changed safe; returns what puts them in place, or drops them."""
        if not self.everything and not execute(f"SELECT 1 FROM {NOTED} LIMIT 1"):
            return None
        handle = self._tree.lock()
        staging = None
        try:
            self._tree.check_index()
            settle(self._tree, execute)
            number = execute("PRAGMA main.user_version")[0][0] + 1
            staging = Staging(self._tree, number)
            writing = _Writing(self._tree, execute, self.tables(execute), staging, self.left)
            if self.everything:
                writing.everything()
            else:
                edited = writing.edited(_noted(execute)) if self.merge is not None else {}
                for path, orders in edited.items():
                    self.merge(path, orders)  # type: ignore[misc]
                writing.changed(_noted(execute))
            execute(f"DELETE FROM {NOTED}")
            if staging.steps:
                staging.write()
                note_parts(execute, staging.parts)
                execute(f"PRAGMA main.user_version = {staging.number}")
        except BaseException as error:
            if staging is not None:
                staging.drop()
            self._tree.unlock(handle)
            if isinstance(error, OSError):
                raise BackendError(
                    f"{error.filename or self._tree.base} cannot be written, and the transaction is undone: "
                    f"{error.strerror or error}"
                ) from error
            raise

        def settled(committed: bool) -> bool:
            try:
                # Ctrl-C may come after the commit and before the return from it, and a full disk between the
                # index and what was seen of the files: the index decides, and the next commit settles it.
                late = not committed and bool(staging.steps) and _has_committed(execute, staging.number)
                if committed or late:
                    self.everything = False
                    if committed and staging.steps:
                        staging.finish()
                else:
                    staging.drop()
            except WilkError as error:  # nobody can tell now; the journal stays for who comes next
                logger.warning("change %d: whether it was committed is seen later: %s", staging.number, error)
                return False
            else:
                return committed or late
            finally:
                self.left.clear()
                self._tree.unlock(handle)

        return settled


class _Writing:
    """What one commit writes."""

    def __init__(
        self, tree: Tree, execute: Execute, tables: dict[str, Table], staging: Staging, left: dict[str, str]
    ) -> None:
        self._tree = tree
        self._execute = execute
        self._tables = tables
        self._staging = staging
        self._left = left
        self._sparing = False
        self._extras = bool(execute("SELECT 1 FROM tree.extras LIMIT 1"))

    def changed(self, notes: Sequence[tuple[Any, ...]]) -> None:
        """Write the files that are concerned by notes of changed rows."""
        orders: dict[tuple[str, tuple[Any, ...]], list[int]] = {}
        for name, *values, order in notes:
            table = self._tables[name]
            group = tuple(values[: len(table.placement.group)])
            if table.placement.order is None:
                self._one(table, group)
            else:
                orders.setdefault((name, group), []).append(order)
        for (name, group), numbers in orders.items():
            self._some(self._tables[name], group, numbers)

    def edited(self, notes: Sequence[tuple[Any, ...]]) -> dict[str, set[int]]:
        """Files of rows that a person has changed since they were last looked at, and which a transaction
        concerns as well; with the orders of the rows that it has changed."""
        found: dict[str, set[int] | None] = {}
        for name, *values, order in notes:
            place = self._tables[name].placement
            if place.order is None:
                continue
            group = values[: len(place.group)]
            begin = self._begin(place.path_of(group), order)
            path = place.path_of(group, FIRST if begin is None else begin)
            if path not in found:
                seen = self._tree.found(self._execute, path)
                file = self._tree.path(path)
                same = seen is None or not file.exists() or seen.stat == state_of(file.stat())
                found[path] = None if same else set()
            if (orders := found[path]) is not None:
                orders.add(order)
        return {path: orders for path, orders in found.items() if orders is not None}

    def everything(self) -> None:
        """Write whatever files do not say what the tables do, and remove those of rows that are not there."""
        self._sparing = True
        self._put(SCHEMA, schema_file(self._execute))
        there = {SCHEMA}
        for table in self._tables.values():
            place = table.placement
            columns = ", ".join(map(quoted, place.group)) or "NULL"
            groups = self._execute(f"SELECT DISTINCT {columns} FROM main.{quoted(table.name)}")
            for group in [tuple(group[: len(place.group)]) for group in groups]:
                if place.order is None:
                    there.add(self._one(table, group))
                else:
                    there |= self._range(table, group, FIRST, _LAST)
        for (path,) in self._execute("SELECT path FROM tree.seen WHERE state = 'ok'"):
            if path not in there:
                self._remove(path)

    # -- a row to a file ------------------------------------------------------------------

    def _one(self, table: Table, group: tuple[Any, ...]) -> str:
        path = table.placement.path_of(group)
        condition, parameters = _where(table.placement.group, group)
        rows = self._execute(
            f"SELECT {table.selected} FROM main.{quoted(table.name)} WHERE {condition}", parameters
        )
        keep = table.placement.versions
        if rows:
            self._put(path, self._text(table, rows[0]) + b"\n", keep=keep)
        else:
            self._remove(path, keep=keep)
        return path

    def _text(self, table: Table, values: Sequence[Any]) -> bytes:
        extras = None
        if self._extras:
            key = codec.dumps([str(part) for part in table.key_of(values)])
            found = self._execute(
                "SELECT data FROM tree.extras WHERE name = ? AND key = ?", (table.name, key)
            )
            extras = codec.parse(found[0][0]) if found else None
        return codec.file_text(table.written(values, extras), indent=self._tree.options.pretty)

    # -- files of rows --------------------------------------------------------------------

    def _some(self, table: Table, group: tuple[Any, ...], orders: Iterable[int]) -> None:
        """Write the files that rows of these orders belong to."""
        head = table.placement.path_of(group)
        after = FIRST - 1
        for order in sorted(set(orders)):
            if order < after:
                continue  # in the range that was written just now
            begin = self._begin(head, order)
            end = self._execute(
                "SELECT first FROM tree.parts WHERE head = ? AND first > ? ORDER BY first LIMIT 1",
                (head, order),
            )
            after = end[0][0] if end else _LAST
            self._range(table, group, FIRST if begin is None else begin, after)

    def _begin(self, head: str, order: int) -> int | None:
        """Where the file begins into which a row of that order belongs; None when there is none."""
        rows = self._execute(
            "SELECT first FROM tree.parts WHERE head = ? AND first <= ? ORDER BY first DESC LIMIT 1",
            (head, order),
        )
        return rows[0][0] if rows else None

    def _range(self, table: Table, group: tuple[Any, ...], begin: int, end: int) -> set[str]:
        """Write the rows of orders from ``begin`` to before ``end``; a file that is long enough is closed."""
        place = table.placement
        head = place.path_of(group)
        known = {
            first
            for (first,) in self._execute(
                "SELECT first FROM tree.parts WHERE head = ? AND first >= ? AND first < ?", (head, begin, end)
            )
        }
        bounds = sorted(known - {begin}, reverse=True)
        written: dict[int, str] = {}
        lines: list[bytes] = []
        first, size = begin, 0
        for order, values in self._rows(table, group, begin, end):
            bound = None
            while bounds and bounds[-1] <= order:
                bound = bounds.pop()
            if bound is None and (len(lines) >= ROWS or size >= BYTES):
                bound = order
            if bound is not None:
                if lines:
                    written[first] = self._part(table, group, first, lines)
                lines, first, size = [], bound, 0
            line = self._text(table, values)
            lines.append(line)
            size += len(line)
        if lines:
            written[first] = self._part(table, group, first, lines)
        for gone in known - written.keys():
            self._remove(place.path_of(group, gone), keep=place.versions)
        self._staging.parts += [(head, one, True) for one in written.keys() - known]
        self._staging.parts += [(head, one, False) for one in known - written.keys()]
        return set(written.values())

    def _rows(
        self, table: Table, group: tuple[Any, ...], begin: int, end: int
    ) -> Iterator[tuple[int, tuple[Any, ...]]]:
        place = table.placement
        order = str(place.order)
        condition, parameters = _where(place.group, group)
        sql = (
            f"SELECT {table.selected} FROM main.{quoted(table.name)} WHERE {condition} "
            f"AND {quoted(order)} >= ? AND {quoted(order)} < ? ORDER BY {quoted(order)} LIMIT {_PAGE}"
        )
        column = table.place[order]
        while True:
            rows = self._execute(sql, [*parameters, begin, end])
            for row in rows:
                yield row[column], row
            if len(rows) < _PAGE:
                return
            begin = rows[-1][column] + 1

    def _part(self, table: Table, group: tuple[Any, ...], first: int, lines: list[bytes]) -> str:
        path = table.placement.path_of(group, first)
        self._put(path, b"[\n" + b",\n".join(lines) + b"\n]\n", keep=table.placement.versions)
        return path

    # -- one file -------------------------------------------------------------------------

    def _put(self, path: str, data: bytes, *, keep: bool = False) -> None:
        seen = self._tree.found(self._execute, path)
        if self._sparing and seen is not None and seen.state == "broken":
            return  # no row of it has changed: it stays until it is mended
        if self._untouched(path, seen, hash_of(data)) or self._says(path, data):
            return
        step = self._staging.put(path, data, keep=keep and seen is not None)
        self._tree.note(self._execute, path, Seen(step.stat, step.hash, "ok", None))

    def _remove(self, path: str, *, keep: bool = False) -> None:
        seen = self._tree.found(self._execute, path)
        if seen is None and not self._tree.path(path).exists():
            return
        self._untouched(path, seen, None)
        self._staging.remove(path, keep=keep)
        self._tree.note(self._execute, path, None)

    def _untouched(self, path: str, seen: Seen | None, wanted: str | None) -> bool:
        """Whether the file is as it is wanted. A person's that was not taken over is kept beside it."""
        file = self._tree.path(path)
        try:
            stat = file.stat()
        except FileNotFoundError:
            return False
        if seen is not None and seen.state == "ok" and seen.stat == state_of(stat):
            return seen.hash == wanted
        found = hash_of(file.read_bytes())
        if found == wanted:
            self._tree.note(self._execute, path, Seen(state_of(stat), found, "ok", None))
            return True
        if seen is None or seen.state != "ok" or found != seen.hash:
            copy = keep_copy(self._tree, path)
            logger.warning(
                "%s was changed by hand and could not be taken over before it is written; it is kept as %s",
                file,
                copy,
            )
        return False

    def _says(self, path: str, data: bytes) -> bool:
        """Whether a person has written the same in other words, so that the file can stay as it is."""
        if path not in self._left:
            return False
        try:
            written = self._tree.path(path).read_bytes()
        except FileNotFoundError:
            return False
        return hash_of(written) == self._left[path] and codec.parse(written) == codec.parse(data)


def _has_committed(execute: Execute, number: int) -> bool:
    """Whether the index carries the number of a commit that was broken off."""
    with suppress(WilkError):
        execute("ROLLBACK")  # so that what is read next was committed; mostly there is nothing to undo
    return bool(execute("PRAGMA main.user_version")[0][0] == number)


def _noted(execute: Execute) -> list[tuple[Any, ...]]:
    return execute(f"SELECT DISTINCT name, a, b, c, o FROM {NOTED}")


def _where(columns: Sequence[str], values: Sequence[Any]) -> tuple[str, list[Any]]:
    conditions = [f"{quoted(name)} IS ?" for name in columns]
    return " AND ".join(conditions) or "1", list(values)
