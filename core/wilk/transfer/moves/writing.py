"""Writes rows into the target by batches; rows that it refuses are put aside, and the others are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import uuid4

import peewee

from wilk.errors import BackendError, Conflict, Invalid, WilkError
from wilk.transfer.moves.comparing import Changes
from wilk.transfer.moves.ends import End
from wilk.transfer.moves.hashing import Tally
from wilk.transfer.moves.ledger import Ledger
from wilk.transfer.moves.tables import Key, Row, Table

Item = TypeVar("Item")
_SHOWN = 60
_STUCK = 1000


class Refused(list[tuple[Table, Row, Exception]]):
    """Rows that the target does not take: the first ones, and how many there are.

    ``stuck``: those that it has otherwise, as it has them and as they are to be.
    """

    most = 20

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.stuck: dict[Table, list[tuple[Row, Row]]] = {}

    def put(self, table: Table, row: Row, error: Exception) -> None:
        """Count a row in."""
        self.total += 1
        if len(self) < self.most:
            self.append((table, row, error))


class Writer:
    """Writes into one target, and notes in its ledger what it has written."""

    def __init__(self, target: End, ledger: Ledger) -> None:
        self._target = target
        self._engine = target.engine
        self._ledger = ledger

    def write(self, table: Table, changes: Changes, refused: Refused, *, last: Key | None = None) -> int:
        """Make changes in one transaction; return how many rows were written.

        What a row refers to among the rows that are still to come is left empty until they are there.
        """
        tally = Tally(self._ledger[table].rows, self._ledger[table].state)
        found = Refused()
        with self._engine.transaction():
            gone = self._each(changes.extra, lambda rows: self._remove(table, rows), found, table, _itself)
            missing = (
                [_without(row, table.late) for row in changes.missing] if table.late else changes.missing
            )
            new = self._each(missing, lambda rows: self._insert(table, rows), found, table, _itself)
            changed = self._each(
                changes.different, lambda rows: self._update(table, rows), found, table, _second
            )
            if len(changed) < len(changes.different) and table.unique:
                done = {id(pair) for pair in changed}
                stuck = refused.stuck.setdefault(table, [])
                stuck += [pair for pair in changes.different if id(pair) not in done][: _STUCK - len(stuck)]
            tally.take([*gone, *(before for before, _ in changed)])
            tally.add([*new, *(row for _, row in changed)])
            entry = self._ledger.note(table, tally, last)
        self._ledger.noted(table, entry)
        for one in found:
            refused.put(*one)
        refused.total += found.total - len(found)
        return len(gone) + len(new) + len(changed)

    def exchange(self, refused: Refused) -> int:
        """Change rows that are in each other's way, as two are that have swapped their names: each gets a
        name that nobody has in between. Return how many rows were written."""
        return sum(self._exchange(table, pairs) for table, pairs in refused.stuck.items())

    def _exchange(self, table: Table, pairs: Sequence[tuple[Row, Row]]) -> int:
        tally = Tally(self._ledger[table].rows, self._ledger[table].state)
        try:
            with self._engine.transaction():
                self._update(table, [(before, _parked(row, table.unique)) for before, row in pairs])
                self._update(table, pairs)
                tally.take([before for before, _ in pairs])
                tally.add([row for _, row in pairs])
                entry = self._ledger.note(table, tally, None)
        except WilkError as error:
            if not _is_about_a_value(error):
                raise
            return 0
        self._ledger.noted(table, entry)
        return len(pairs)

    def renumber(self, tables: Sequence[Table]) -> None:
        """Let rows that are written later get numbers of their own."""
        if any(table.counter is not None for table in tables):
            with self._engine.transaction():
                for table in tables:
                    self._target.renumber(table)

    def _each(
        self,
        items: Sequence[Item],
        action: Callable[[Sequence[Item]], None],
        refused: Refused,
        table: Table,
        row_of: Callable[[Item], Row],
    ) -> Sequence[Item]:
        """Do it for all items; where one of them is refused, for halves, until those stand alone that are.

        Returns the others.
        """
        if not items:
            return items
        try:
            with self._engine.transaction():
                action(items)
            return items
        except WilkError as error:
            if not _is_about_a_value(error):
                raise
            if len(items) == 1:
                refused.put(table, row_of(items[0]), error)
                return []
        half = len(items) // 2
        return [
            *self._each(items[:half], action, refused, table, row_of),
            *self._each(items[half:], action, refused, table, row_of),
        ]

    def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        insert = self._target.statements(table).insert
        self._engine.insert_many(insert.statement, insert.parameters(table.given(rows)))

    def _update(self, table: Table, pairs: Sequence[tuple[Row, Row]]) -> None:
        update = self._target.statements(table).update
        if update is not None:  # else a row is nothing but its key
            rows = table.given(row for _, row in pairs)
            self._engine.execute_many(update.statement.sql, update.parameters(rows))

    def _remove(self, table: Table, rows: Sequence[Row]) -> None:
        """Take copies away whose originals are gone from the source, or lie in its archive by now."""
        remove = self._target.statements(table).remove
        self._engine.execute_many(remove.statement.sql, remove.parameters(table.given(rows)))


def why(table: Table, row: Row, error: Exception | None, target: End) -> str | None:
    """The column for which the target refuses a row, or would not give back what it was given."""
    for field, column, value in zip(table.fields, table.columns, row, strict=True):
        if value is None:
            if not field.null and not isinstance(field, peewee.AutoField):
                return f"{column.name}: there is no value, and the target wants one"
            continue
        if column.kind is not object and not isinstance(value, column.kind):
            return f"{column.name}: {_shown(value)} is {type(value).__name__}, not {column.kind.__name__}"
        try:
            found = target.echo(value if column.outward is None else column.outward(value))
        except WilkError as own:
            return f"{column.name}: {_shown(value)}: {own}"
        if column.kind is not object and (column.inward(found) if column.inward else found) != value:
            return f"{column.name}: {_shown(value)} would come back as {_shown(found)}"
        if isinstance(field, peewee.ForeignKeyField) and not _is_there(field, value, target):
            there = field.rel_model._meta.table_name
            return f"{column.name}: it refers to {_shown(value)}, which is not there in {there}"
    return None if error is None else str(error)


def _is_there(field: Any, value: Any, target: End) -> bool:
    model, key = field.rel_model, field.rel_field
    return bool(target.engine.select(model.select(key).where(key == value).limit(1)))


def _is_about_a_value(error: WilkError) -> bool:
    """Whether another row may be taken where one brought this error."""
    if isinstance(error, (Conflict, Invalid)):
        return True
    kinds = {kind.__name__ for kind in type(error.__cause__).__mro__}
    return isinstance(error, BackendError) and bool(kinds & {"DataError", "ProgrammingError"})


def _without(row: Row, places: Sequence[int]) -> Row:
    values = list(row)
    for place in places:
        values[place] = None
    return tuple(values)


def _parked(row: Row, places: Sequence[int]) -> Row:
    """A row with texts that no other row has."""
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = f"wilk move {uuid4().hex}"
    return tuple(values)


def _itself(row: Row) -> Row:
    return row


def _second(pair: tuple[Row, Row]) -> Row:
    return pair[1]


def _shown(value: Any) -> str:
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
