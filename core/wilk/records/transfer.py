"""Records of the transfer family: how far a move is, and what it ended with."""

from collections.abc import Sequence
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a move is: the step (``copying``, ``comparing`` or ``catching up``), the table that it is at,
    and rows done of those there are in all tables."""

    step: str
    kind: str
    done: int
    of: int


class Difference(NamedTuple):
    """A row that is not the same in both databases.

    ``what`` is ``missing`` (in the target), ``different``, or ``extra`` (only in the target); ``reason`` is
    why the target does not take it, where it was tried.
    """

    kind: str
    key: tuple[str | int, ...]
    what: str
    reason: str | None = None


class MovedKind(NamedTuple):
    """One table in both databases: rows and content hashes, and how many rows were copied in this run.

    A hash is the sum, modulo 2^256, of the SHA-256 of each row as a JSON array of its columns.
    """

    kind: str
    rows: int
    rows_there: int
    hash: str
    hash_there: str
    copied: int

    @property
    def equal(self) -> bool:
        return self.rows == self.rows_there and self.hash == self.hash_there


class Moved(NamedTuple):
    """What a move or a comparison ended with.

    ``differences`` are the first ones found. ``passes`` is how often both databases were read from end to
    end.
    """

    source: str
    target: str
    kinds: Sequence[MovedKind]
    differences: Sequence[Difference] = ()
    passes: int = 0

    @property
    def equal(self) -> bool:
        return all(one.equal for one in self.kinds)

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.kinds)

    @property
    def copied(self) -> int:
        return sum(one.copied for one in self.kinds)
