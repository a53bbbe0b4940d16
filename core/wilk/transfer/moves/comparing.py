"""Two databases side by side: chunks of the same range of keys, and what differs in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wilk.transfer.moves.ends import End, Pace
from wilk.transfer.moves.hashing import Tally
from wilk.transfer.moves.tables import Key, Row, Table


class Chunk(NamedTuple):
    """All rows of both databases within one range of keys, and both tallies."""

    here: list[Row]
    there: list[Row]
    tally: Tally
    tally_there: Tally


class Changes(NamedTuple):
    """What makes the target's rows of a chunk those of the source."""

    missing: list[Row]
    different: list[tuple[Row, Row]]  # as the target has it, as it is to be
    extra: list[Row]

    def __bool__(self) -> bool:
        return bool(self.missing or self.different or self.extra)


def chunks(table: Table, source: End, target: End) -> Iterator[Chunk]:
    """Walk along a table in both databases."""
    after: Key | None = None
    pace = Pace()
    while True:
        limit = pace.rows
        here = source.page(table, after, limit)
        there = target.page(table, after, limit)
        # Behind a full page there may be more rows: only up to the nearer of the two ends are all known.
        ends = [table.key(rows[-1]) for rows in (here, there) if len(rows) == limit]
        if ends:
            after = min(ends)
            here = _until(table, here, after)
            there = _until(table, there, after)
        tally = Tally()
        tally.add(here)
        if here == there:
            other = tally
        else:
            other = Tally()
            other.add(there)
        yield Chunk(here, there, tally, other)
        if not ends:
            return
        pace.learn(max(tally.rows, other.rows), max(tally.size, other.size))


def changes(table: Table, chunk: Chunk) -> Changes:
    """What differs in a chunk."""
    if chunk.here == chunk.there:
        return Changes([], [], [])
    there = {table.key(row): row for row in chunk.there}
    missing, different = [], []
    for row in chunk.here:
        other = there.pop(table.key(row), None)
        if other is None:
            missing.append(row)
        elif other != row:
            different.append((other, row))
    return Changes(missing, different, list(there.values()))


def _until(table: Table, rows: list[Row], last: Key) -> list[Row]:
    """The rows up to a key."""
    if rows and table.key(rows[-1]) <= last:
        return rows
    return [row for row in rows if table.key(row) <= last]
