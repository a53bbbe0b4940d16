"""Records of care: whether a store is well, and how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wilk.contracts.figures import Lock, PoolFigures, Replica


class Disk(NamedTuple):
    """The disk that a folder lies on."""

    folder: str
    free_bytes: int
    total_bytes: int


class CacheState(NamedTuple):
    """The tier of caches below memory: ``namespaces`` hold something; ``error`` is why it cannot be asked."""

    tier: str
    namespaces: int
    error: str | None


class EmbeddingState(NamedTuple):
    """How the making of vectors fares: records that wait, of these the refused ones, and the last error."""

    embedder: str
    vector_index: str
    pending: int
    failed: int
    error: str | None


class Quarantined(NamedTuple):
    """A plugin that is left out, and why."""

    name: str
    distribution: str
    error: str


class Health(NamedTuple):
    """How a store fares.

    ``status`` is ``ok``, ``degraded`` (it works, and something is not as it should be) or ``failing``
    (it cannot be read, or not be written); ``reasons`` are sentences. ``read_seconds`` and ``write_seconds``
    are what one read and one write took; None where they failed, or were not tried. What could not be
    asked is None or empty.
    """

    status: str
    reasons: Sequence[str]
    checked_at: datetime
    backend: str
    engine: str | None
    version: str | None
    schema: str | None
    readonly: bool
    full_text: bool
    read_seconds: float | None
    write_seconds: float | None
    pool: PoolFigures | None
    writing: bool | None
    locks: Sequence[Lock]
    wal_bytes: int | None
    replicas: Sequence[Replica]
    disk: Disk | None
    caches: CacheState | None
    embedding: EmbeddingState | None
    quarantined: Sequence[Quarantined]


class KindStatistics(NamedTuple):
    """How much there is of one kind of records.

    ``bytes`` are those of its rows, ``index_bytes`` those of its indexes, its full text among them.
    ``per_day_7`` and ``per_day_30`` are rows a day over the last 7 and 30 days; None for a kind whose
    rows have no time.
    """

    kind: str
    table: str
    rows: int
    bytes: int | None
    index_bytes: int | None
    per_day_7: float | None
    per_day_30: float | None


class SessionSize(NamedTuple):
    """A session with many messages; ``characters`` of their text."""

    id: str
    name: str | None
    messages: int
    tokens: int
    characters: int | None


class FolderSize(NamedTuple):
    """What lies in one folder beside the database."""

    what: str
    folder: str
    files: int
    bytes: int


class Statistics(NamedTuple):
    """How large a store is.

    ``rows`` and ``bytes`` are totals; ``free_bytes`` are in the database and will be used again.
    ``measured_by`` says where the bytes of the kinds come from: ``dbstat`` or ``pg_total_relation_size`` are
    measured, ``estimate`` is from the lengths of some rows of each kind; empty: they were not asked for.
    """

    taken_at: datetime
    backend: str
    rows: int
    bytes: int | None
    free_bytes: int | None
    measured_by: str
    kinds: Sequence[KindStatistics]
    sessions: Sequence[SessionSize]
    folders: Sequence[FolderSize]


class Maintained(NamedTuple):
    """What one step of maintenance came to.

    ``result`` is ``ok``, ``found`` (something is wrong, or is to be done; ``said`` tells what), ``skipped``
    (this engine has no such thing, or it was not asked for) or ``busy`` (others kept it from being done).
    """

    step: str
    result: str
    said: str
    details: Sequence[str]
    seconds: float


class TableChange(NamedTuple):
    """The bytes of a table with its indexes, before and after."""

    table: str
    before: int
    after: int


class Maintenance(NamedTuple):
    """What maintenance came to, step by step, and the bytes of the database and of its tables before and
    after it; None where the engine does not tell. ``tables`` are empty where they were not measured."""

    backend: str
    steps: Sequence[Maintained]
    bytes_before: int | None
    bytes_after: int | None
    free_before: int | None
    free_after: int | None
    tables: Sequence[TableChange]

    @property
    def result(self) -> str:
        """The worst of the steps: ``found``, ``busy`` or ``ok``."""
        results = {one.result for one in self.steps}
        return next((one for one in ("found", "busy") if one in results), "ok")
