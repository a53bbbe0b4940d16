"""A move: every table is copied, then compared, and what has changed in the meantime is caught up with.

A run reads one state of the source (a snapshot) from table to table, so that references hold. Rows are
copied by batches; the key of the last one is noted in the target in the same transaction, from where
another run goes on. Then both databases are walked along their keys, row by row, until nothing differs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from wilk.errors import Busy, Conflict, MoveFailed, ReadOnly
from wilk.records.transfer import Difference, Moved, MovedKind, Progress
from wilk.transfer.moves.comparing import Changes, changes, chunks
from wilk.transfer.moves.ends import End, Pace
from wilk.transfer.moves.hashing import Tally
from wilk.transfer.moves.ledger import Ledger, shown_key
from wilk.transfer.moves.tables import Row, Table, tables
from wilk.transfer.moves.writing import Refused, Writer, why

if TYPE_CHECKING:
    from wilk.contracts import ModelSet

PASSES = 5
"""How often both databases are read before a source that changes again and again is given up on."""

_TOLD = 20

Tell = Callable[[Progress], object]


class Found(NamedTuple):
    """What a walk along both databases has found of one table."""

    table: Table
    here: Tally
    there: Tally
    missing: int
    different: int
    extra: int

    @property
    def equal(self) -> bool:
        return self.here.same(self.there) and not (self.missing or self.different or self.extra)


class Samples(list[tuple[Table, str, Row]]):
    """The first rows that differ."""

    def put(self, table: Table, found: Changes) -> None:
        """Take some of what differs in a chunk."""
        told = [("missing", row) for row in found.missing] + [
            ("different", row) for _, row in found.different
        ]
        told += [("extra", row) for row in found.extra]
        self += [(table, what, row) for what, row in told[: max(0, _TOLD - len(self))]]


class Move:
    """One move from ``source`` to ``target``."""

    def __init__(
        self,
        source: End,
        target: End,
        sets: Iterable[ModelSet],
        tell: Tell | None,
        without: Collection[str],
    ) -> None:
        self._source = source
        self._target = target
        sets = tuple(sets)
        self._tables = tables(sets)
        self._plugins = {one.name for one in sets}
        self._without = frozenset(without)
        self._tell = tell or (lambda _: None)
        self._copied: dict[str, int] = {}

    def run(self) -> Moved:
        """Copy, compare, and catch up until both are equal; see :meth:`wilk.Store.move`."""
        source, target = self._source, self._target
        if target.engine.readonly:
            raise ReadOnly(f"{target.address} was opened with readonly; rows cannot be moved there")
        identity = self._other_than_source()
        self._check_plugins()
        ledger = Ledger(target, identity, source.address)
        ledger.begin(self._tables)
        self._refuse_used(ledger)
        writer = Writer(target, ledger)
        refused = Refused()
        with source.engine.snapshot():
            for table, done, of in self._counted("copying"):
                self._copy(table, ledger, writer, refused, done, of)
        for number in range(1, PASSES + 1):
            with source.engine.snapshot():
                found, samples = self._compare("comparing" if number == 1 else "catching up")
                odd = [one for one in found if not one.equal]
                if not odd:
                    break
                self._check_untouched(odd, ledger, samples)
                refused = Refused()
                written = self._mend(odd, writer, refused) or writer.exchange(refused)
            if not written:
                raise self._failed(refused, samples)
        else:
            told = ", ".join(f"{one.table.name} {_differing(one):,}" for one in odd)
            raise Busy(
                f"{source.address} is written to while it is moved: {PASSES} passes found changed rows, the "
                f"last one {told}; stop what writes there, and run the same move again"
            )
        writer.renumber(self._tables)
        with target.engine.transaction():
            ledger.finish([(one.table, one.there) for one in found])
        return self._report(found, samples, number)

    def compare(self) -> Moved:
        """Compare both databases as they stand, and write nothing."""
        self._other_than_source()
        self._check_plugins()
        with self._source.engine.snapshot(), self._target.engine.snapshot():
            found, samples = self._compare("comparing")
        return self._report(found, samples, 1)

    # -- what must hold before anything is written ----------------------------------------

    def _other_than_source(self) -> str:
        identity = self._source.identity
        if identity == self._target.identity:
            raise Conflict(
                f"{self._target.address} is the very database that {self._source.address} is; name "
                "another one"
            )
        return identity

    def _check_plugins(self) -> None:
        """No table may stay behind because the plugin whose it is cannot tell of it."""
        ending = "_migrations"
        made_by = {name.removesuffix(ending) for name in self._source.tables() if name.endswith(ending)}
        lost = sorted(made_by - {"wilk"} - self._plugins - self._without)
        if lost:
            names = " and ".join(lost)
            raise Conflict(
                f"{self._source.address} holds tables of {names}, which is not installed or cannot be used "
                f"(`wilk plugins` tells why); mend that, or leave them behind on purpose, without {names}"
            )

    def _refuse_used(self, ledger: Ledger) -> None:
        """After a move has ended, others may have come to use its target; only an untouched one is caught
        up with."""
        for table in [table for table in self._tables if ledger[table].finished]:
            tally, after, pace = Tally(), None, Pace()
            while rows := self._target.page(table, after, pace.rows):
                tally.add(rows)
                after = table.key(rows[-1])
                pace.learn(tally.rows, tally.size)
            self._check_state(table, tally, ledger)

    def _check_state(self, table: Table, tally: Tally, ledger: Ledger) -> None:
        known = ledger[table]
        if (tally.rows, tally.state) != (known.rows, known.state):
            raise Conflict(
                f"{table.name} of {self._target.address} was written to by others since rows were moved "
                "there; a move writes over nothing: name another database, without rows"
            )

    def _check_untouched(self, found: Sequence[Found], ledger: Ledger, samples: Samples) -> None:
        """Rows of the target are changed and taken away only where they are what this move has written."""
        for one in found:
            if one.different or one.extra:
                known = ledger[one.table]
                if (one.there.rows, one.there.state) != (known.rows, known.state):
                    reasons = [
                        Difference(table.name, table.key(row), what, reason)
                        for table, what, row in samples
                        if what == "different" and (reason := why(table, row, None, self._target))
                    ]
                    if reasons:  # the engine has made something else of them
                        raise self._refusing(reasons, len(reasons))
                    self._check_state(one.table, one.there, ledger)

    # -- steps ----------------------------------------------------------------------------

    def _counted(self, step: str) -> Iterable[tuple[Table, int, int]]:
        """The tables, each with the number of rows that are done before it, and of all rows."""
        counts = [self._source.count(table) for table in self._tables]
        of, done = sum(counts), 0
        for table, rows in zip(self._tables, counts, strict=True):
            self._tell(Progress(step, table.name, done, of))
            yield table, done, of
            done += rows
        self._tell(Progress(step, "", of, of))

    def _copy(
        self, table: Table, ledger: Ledger, writer: Writer, refused: Refused, done: int, of: int
    ) -> None:
        after, pace = ledger[table].last, Pace()
        done += ledger[table].rows
        copied = 0
        while rows := self._source.page(table, after, pace.rows):
            after = table.key(rows[-1])
            written = writer.write(table, Changes(rows, [], []), refused, last=after)
            copied += written
            done += len(rows)
            pace.learn(len(rows), _size(rows))
            self._tell(Progress("copying", table.name, min(done, of), of))
        self._copied[table.name] = copied
        if copied:
            writer.renumber([table])

    def _compare(self, step: str) -> tuple[list[Found], Samples]:
        found, samples = [], Samples()
        for table, done, of in self._counted(step):
            here, there = Tally(), Tally()
            missing = different = extra = 0
            for chunk in chunks(table, self._source, self._target):
                here.join(chunk.tally)
                there.join(chunk.tally_there)
                if odd := changes(table, chunk):
                    missing += len(odd.missing)
                    different += len(odd.different)
                    extra += len(odd.extra)
                    samples.put(table, odd)
                self._tell(Progress(step, table.name, min(done + here.rows, of), of))
            found.append(Found(table, here, there, missing, different, extra))
        return found, samples

    def _mend(self, found: Sequence[Found], writer: Writer, refused: Refused) -> int:
        """Make the target's rows those of the source; return how many rows were written.

        Rows that are gone go first, the referring before what they refer to: others may have their
        unique values by now. What cannot be done yet is refused, and comes again in the next pass.
        """
        written = 0
        for one in reversed(found):
            if one.extra:
                for chunk in chunks(one.table, self._source, self._target):
                    gone = changes(one.table, chunk)._replace(missing=[], different=[])
                    if gone:
                        written += writer.write(one.table, gone, refused)
        for one in found:
            if one.missing or one.different:
                for chunk in chunks(one.table, self._source, self._target):
                    due = changes(one.table, chunk)._replace(extra=[])
                    if due:
                        done = writer.write(one.table, due, refused)
                        self._copied[one.table.name] = self._copied.get(one.table.name, 0) + done
                        written += done
        return written

    # -- what comes out of it -------------------------------------------------------------

    def _failed(self, refused: Refused, samples: Samples) -> MoveFailed:
        differences = [
            Difference(table.name, table.key(row), "missing", why(table, row, error, self._target))
            for table, row, error in refused
        ]
        return self._refusing(differences or _told(samples), refused.total or len(samples))

    def _refusing(self, differences: Sequence[Difference], count: int) -> MoveFailed:
        lines = [f"  {one.kind} {shown_key(one.key)}: {one.reason or one.what}" for one in differences]
        if count > len(lines):
            lines.append(f"  … and {count - len(lines):,} more")
        return MoveFailed(
            "\n".join(
                [
                    f"{self._target.address} does not take {count:,} of the rows of {self._source.address} "
                    "as they are:",
                    *lines,
                    "Nothing was switched over, and the source is as it was. Mend these rows there, then run "
                    "the same move again: it goes on from here",
                ]
            ),
            tuple(differences),
        )

    def _report(self, found: Sequence[Found], samples: Samples, passes: int) -> Moved:
        kinds = [
            MovedKind(
                one.table.name,
                one.here.rows,
                one.there.rows,
                one.here.state,
                one.there.state,
                self._copied.get(one.table.name, 0),
            )
            for one in found
        ]
        return Moved(
            self._source.address,
            self._target.address,
            tuple(kinds),
            tuple(_told(samples)),
            passes,
        )


def _told(samples: Samples) -> list[Difference]:
    return [Difference(table.name, table.key(row), what) for table, what, row in samples]


def _differing(found: Found) -> int:
    return found.missing + found.different + found.extra


def _size(rows: Sequence[Row]) -> int:
    return sum(len(value) if isinstance(value, (str, bytes)) else 8 for row in rows for value in row)
