"""Records of the transfer family: how far a move or an import is, and what it ended with."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a move is: the step (``copying``, ``comparing`` or ``catching up``), the table that it is at,
    and rows done of those there are in all tables. An import is ``reading`` bytes or rows of its source; one
    that reads all of it first goes on ``writing`` records, of which ``of`` is 0: nobody knows how many."""

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


class Counted(NamedTuple):
    """What became of the records of one kind: ``created``, ``updated``, ``unchanged``, ``skipped``,
    ``failed``, of those ``read``."""

    kind: str
    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0


class Failed(NamedTuple):
    """A record of a source that could not be taken over. ``id`` is the source's; ``path`` the field."""

    kind: str
    id: str
    error: str
    path: str | None = None


class MigrationResult(NamedTuple):
    """What an import ended with (the seed's ``MigrationResult``, and a report of what was lost).

    ``skipped`` and ``lost_fields`` are reason or path of the source → how often; ``warnings`` the same by
    sentence. ``errors`` are the first ones. ``status`` is finished, or interrupted; ``dry_run``: nothing was
    written, and the numbers are what would have been.
    """

    run: str
    importer: str
    source: str
    status: str
    dry_run: bool
    kinds: Sequence[Counted]
    errors: Sequence[Failed]
    skipped: Mapping[str, int]
    warnings: Mapping[str, int]
    lost_fields: Mapping[str, int]

    @property
    def success(self) -> int:
        """Records that are here now as the source has them."""
        return sum(one.created + one.updated + one.unchanged for one in self.kinds)

    @property
    def failed(self) -> int:
        return sum(one.failed for one in self.kinds)

    @property
    def created(self) -> int:
        return sum(one.created for one in self.kinds)

    @property
    def updated(self) -> int:
        return sum(one.updated for one in self.kinds)

    @property
    def unchanged(self) -> int:
        return sum(one.unchanged for one in self.kinds)


class ImportInfo(NamedTuple):
    """A run of an importer, as a list shows it; ``result`` None while it runs, or was killed."""

    id: str
    importer: str
    source: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    result: MigrationResult | None


class Recognized(NamedTuple):
    """An importer that knows a source, and what it takes it for."""

    importer: str
    what: str


class Exported(NamedTuple):
    """What an export wrote: ``counts`` and ``lost`` are kind or path → how often."""

    exporter: str
    target: str
    counts: Mapping[str, int]
    lost: Mapping[str, int]
    warnings: Sequence[str]
