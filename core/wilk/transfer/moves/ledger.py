"""What a move has written so far: kept in the target, and changed in the same transaction as its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wilk import codec, models
from wilk.errors import Conflict
from wilk.transfer.moves.ends import End
from wilk.transfer.moves.hashing import Tally
from wilk.transfer.moves.tables import Key, Table

_TOLD = 5


class Entry(NamedTuple):
    """One table: the key of the last row copied, and a tally of what was written into it."""

    last: Key | None
    rows: int
    state: str
    finished: bool


class Ledger:
    """The table ``moves`` of a target, as far as it is about one source."""

    def __init__(self, target: End, identity: str, address: str) -> None:
        self._target = target
        self._engine = target.engine
        self._source = identity
        self._address = address
        self._entries: dict[str, Entry] = {}

    def __getitem__(self, table: Table) -> Entry:
        return self._entries[table.name]

    def begin(self, tables: Sequence[Table]) -> None:
        """Take up where an earlier run was, if there was one.

        Raises Conflict when the target holds rows that no run for this source has written.
        """
        move = models.Move
        columns = (
            move.source,
            move.address,
            move.kind,
            move.last_key,
            move.rows,
            move.state,
            move.finished_at,
        )
        found = self._engine.rows(move.select(*columns))
        for source, address, *_ in found:
            if source != self._source:
                raise Conflict(
                    f"{self._target.address} holds what was moved from another database ({address}); go on "
                    "from there, or name another database, without rows"
                )
        for _, _, kind, last, rows, state, finished in found:
            self._entries[kind] = Entry(tuple(last) or None, rows, state, finished is not None)
        self._check_counts(tables, begun=bool(found))
        now = self._engine.clock.now()
        with self._engine.transaction():
            for table in tables:
                if table.name not in self._entries:
                    entry = self._entries[table.name] = Entry(None, 0, Tally().state, False)
                    values = (self._source, table.name, self._address, entry.rows, entry.state, now, now)
                    self._engine.run(move.insert(dict(zip(_INSERTED, values, strict=True))))

    def note(self, table: Table, tally: Tally, last: Key | None) -> Entry:
        """Write down a table's tally and, while it is copied, the key of the last row; within a transaction.

        It counts from :meth:`noted` on, once the transaction has been committed.
        """
        entry = self._entries[table.name]
        move = models.Move
        values = {move.rows: tally.rows, move.state: tally.state, move.updated_at: self._engine.clock.now()}
        if last is not None:
            values[move.last_key] = list(last)
        # Whoever has written here since is another run of this move.
        same = (move.rows == entry.rows) & (move.state == entry.state)
        if not self._engine.run(move.update(values).where(self._of(table) & same)):
            raise Conflict(
                f"another process moves into {self._target.address} at this moment; let one of them end"
            )
        return Entry(last or entry.last, tally.rows, tally.state, entry.finished)

    def noted(self, table: Table, entry: Entry) -> None:
        """Count from what was written down and committed."""
        self._entries[table.name] = entry

    def finish(self, tallies: Sequence[tuple[Table, Tally]]) -> None:
        """Write down that both databases hold the same rows; within a transaction."""
        move = models.Move
        now = self._engine.clock.now()
        for table, tally in tallies:
            values = {
                move.rows: tally.rows,
                move.state: tally.state,
                move.updated_at: now,
                move.finished_at: now,
            }
            self._engine.run(move.update(values).where(self._of(table)))

    def _of(self, table: Table) -> object:
        move = models.Move
        return (move.source == self._source) & (move.kind == table.name)

    def _check_counts(self, tables: Sequence[Table], *, begun: bool) -> None:
        odd = []
        for table in tables:
            rows, known = self._target.count(table), self._entries.get(table.name)
            if rows != (known.rows if known else 0):
                odd.append(f"{table.name} {rows:,}" + (f" instead of {known.rows:,}" if known else ""))
        if not odd:
            return
        told = ", ".join(odd[:_TOLD]) + (", …" if len(odd) > _TOLD else "")
        if begun:
            raise Conflict(
                f"{self._target.address} was written to since rows were moved there (rows: {told}); a move "
                "writes over nothing: name another database, without rows"
            )
        raise Conflict(
            f"{self._target.address} holds rows ({told}); rows are moved into a database without any, and "
            "there is no option to write over it: name another one"
        )


_INSERTED = ("source", "kind", "address", "rows", "state", "started_at", "updated_at")


def shown_key(key: Key) -> str:
    """A key for people, whatever its parts are."""
    return codec.dumps(key[0] if len(key) == 1 else list(key))
