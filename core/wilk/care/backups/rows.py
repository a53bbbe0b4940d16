"""Copies row by row, for databases that cannot copy themselves: of one moment; back in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from wilk.errors import Conflict
from wilk.records.transfer import Moved
from wilk.transfer.moves.hashing import Tally
from wilk.transfer.moves.ledger import Entry, Ledger
from wilk.transfer.moves.moving import PASSES, Found, Move, Samples
from wilk.transfer.moves.tables import Key, Table
from wilk.transfer.moves.writing import Refused, Writer


class _Unnoted:
    """A ledger that notes nothing: what is interrupted begins anew."""

    def __getitem__(self, table: Table) -> Entry:
        return Entry(None, 0, Tally().state, False)

    def note(self, table: Table, tally: Tally, last: Key | None) -> Entry:  # noqa: ARG002
        return self[table]

    def noted(self, table: Table, entry: Entry) -> None:
        """Nothing is kept."""


def _ledger() -> Ledger:
    return cast("Ledger", _Unnoted())


class Copying(Move):
    """Copies all rows of the source, as of one moment, into a database that nobody else knows."""

    def run(self) -> Moved:
        """Copy, and compare row by row within the same snapshot."""
        self._other_than_source()
        self._check_plugins()
        ledger = _ledger()
        writer = Writer(self._target, ledger)
        refused = Refused()
        with self._source.engine.snapshot():
            for table, done, of in self._counted("copying"):
                self._copy(table, ledger, writer, refused, done, of)
            found, samples, passes = self._made_equal(writer, refused)
        writer.renumber(self._tables)
        return self._report(found, samples, passes)

    def _made_equal(self, writer: Writer, refused: Refused) -> tuple[Sequence[Found], Samples, int]:
        """Write what differs until nothing does; raises MoveFailed for rows that the target does not take."""
        for number in range(1, PASSES + 1):
            found, samples = self._compare("comparing" if number == 1 else "catching up")
            odd = [one for one in found if not one.equal]
            if not odd:
                return found, samples, number
            refused = Refused()
            if not (self._mend(odd, writer, refused) or writer.exchange(refused)):
                break
        raise self._failed(refused, samples)


class PuttingBack(Copying):
    """Makes the rows of the target those of the source, in one transaction."""

    def run(self) -> Moved:
        """Remove, change and add rows until both are equal; until then others see what was there before."""
        self._other_than_source()
        self._check_plugins()
        writer = Writer(self._target, _ledger())
        with self._target.engine.transaction():
            found, samples, passes = self._made_equal(writer, Refused())
            for table in self._tables:
                self._target.renumber(table)
        return self._report(found, samples, passes)


class Filling(PuttingBack):
    """Puts rows into a database that has none."""

    def run(self) -> Moved:
        """Refuse a database that holds rows; then write all of them in one transaction."""
        held = [f"{table.name} {rows:,}" for table in self._tables if (rows := self._target.count(table))]
        if held:
            raise Conflict(
                f"{self._target.address} holds rows ({', '.join(held[:5])}); a "
                "backup is restored into a database without any: name another one"
            )
        return super().run()
