"""Records of care: whether a store is well, and how large it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Finding(NamedTuple):
    """Something that is not as it should be.

    ``check`` found it; ``severity`` is ``error`` (something is lost, or will be) or ``warning``. ``what`` says in
    a sentence what is wrong with how many (``affected``); ``remedy`` what a repair would do, None where only a
    person can; ``records`` are the first ones.
    """

    check: str
    severity: str
    affected: int
    what: str
    remedy: str | None
    records: Sequence[str] = ()


class Diagnosis(NamedTuple):
    """What the doctor found. ``checks`` are those that were made."""

    examined_at: datetime
    checks: Sequence[str]
    findings: Sequence[Finding]

    @property
    def well(self) -> bool:
        return not self.findings


class Repaired(NamedTuple):
    """What a repair did: ``batch`` undoes it (None: nothing was to be undone). ``mended`` are the findings that it
    was about, ``changes`` the rows and files that it changed, ``left`` what only a person can mend."""

    batch: str | None
    mended: Sequence[Finding]
    changes: int
    left: Sequence[Finding]


class RepairInfo(NamedTuple):
    """One repair, as a list shows it."""

    batch: str
    repaired_at: datetime
    checks: Sequence[str]
    changes: int
    undone_at: datetime | None


class RecoveredTable(NamedTuple):
    """What came over of one table of a damaged database.

    ``rows`` came over; of these ``scavenged`` from pages that no tree reached any more, and ``changed`` without
    some of their values. ``lost`` rows are known to be gone; ``exact`` tells whether no others can be, and
    ``names`` are the keys of the first ones. ``aside`` rows were found and not taken, and ``made`` are
    placeholders for lost rows that others refer to.
    """

    table: str
    rows: int
    scavenged: int
    changed: int
    lost: int
    exact: bool
    aside: int
    made: int
    names: Sequence[str] = ()


class ShortSession(NamedTuple):
    """A session that has fewer messages than it says that it had."""

    id: str
    name: str | None
    said: int
    found: int


class Recovered(NamedTuple):
    """What came of a damaged database.

    ``healthy``: nothing was wrong with it, and ``target`` is a copy. ``notes`` tell what was found, a sentence
    each. ``aside`` is the file that holds what was found and not taken, or was changed, one JSON object a
    line; None when there was nothing. ``rebuilt``: tables that were made anew from others.
    """

    source: str
    target: str
    healthy: bool
    tables: Sequence[RecoveredTable]
    sessions: Sequence[ShortSession] = ()
    notes: Sequence[str] = ()
    rebuilt: Sequence[str] = ()
    aside: str | None = None

    @property
    def rows(self) -> int:
        """How many rows came over."""
        return sum(one.rows for one in self.tables)

    @property
    def lost(self) -> int:
        """How many rows are known to be gone."""
        return sum(one.lost for one in self.tables)

    @property
    def exact(self) -> bool:
        """Whether no other rows can be gone than those."""
        return all(one.exact for one in self.tables)


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


class Backup(NamedTuple):
    """A backup that lies in a folder.

    ``why`` is manual, or why it was made by itself. ``good`` by what is seen at a glance; ``problems`` say
    what is not. ``rows``, ``wilk``, ``schema`` (the newest migration of wilk and of each plugin) and
    ``backend`` are None, or empty, where no manifest tells them. ``notes`` tell what is not in it.
    """

    id: str
    name: str | None
    why: str
    created_at: datetime
    good: bool
    problems: Sequence[str]
    rows: int | None
    bytes: int
    files: int
    wilk: str | None
    schema: Mapping[str, str]
    backend: str | None
    notes: Sequence[str]
    folder: str


class BackupCheck(NamedTuple):
    """What came of trying a backup: ``problems`` say what is bad, file by file and table by table."""

    id: str
    good: bool
    problems: Sequence[str]
    rows: int | None


class BackupRestored(NamedTuple):
    """What a restore has done.

    ``safety`` is the id of the backup of what was there before; None for a restore elsewhere. ``written``
    and ``removed`` are files; ``migrated`` names migrations that brought the rows to this wilk's schema.
    """

    id: str
    into: str
    safety: str | None
    rows: int
    written: int
    removed: int
    migrated: Sequence[str]
    notes: Sequence[str]


class ForgettingPlan(NamedTuple):
    """What would be forgotten: ``rows`` by table, ``archived`` rows by kind and ``archives`` by where they lie,
    ``plugins`` what theirs hold, ``caches`` that are emptied, ``files`` by what they are, ``copies`` (backups and
    the like) with the rows that go from each. ``forks`` are sessions of others that hold copies of messages and
    stay, ``shared`` memories and patterns that were made of others' records as well, and stay. ``notes`` are what
    cannot be reached."""

    kind: str
    id: str
    rows: Mapping[str, int]
    archived: Mapping[str, int]
    archives: Mapping[str, int]
    plugins: Mapping[str, int]
    caches: Sequence[str]
    files: Mapping[str, int]
    copies: Mapping[str, int]
    forks: int
    shared: int
    notes: Sequence[str]


class SearchedPlace(NamedTuple):
    """A file, or a folder with all that is in it, that was read to the last byte."""

    name: str
    files: int
    bytes: int


class Residue(NamedTuple):
    """Where something was found that should be gone: the file, how many strings, and in what."""

    place: str
    strings: int
    where: str


class Remaining(NamedTuple):
    """What a look at every byte gave: ``files`` and ``bytes`` read, ``strings`` looked for (``left_out`` more were
    not), ``residues`` where some were found, and ``notes`` on what could not be looked at."""

    files: int
    bytes: int
    strings: int
    left_out: int
    places: Sequence[SearchedPlace]
    residues: Sequence[Residue]
    notes: Sequence[str]


class Certificate(NamedTuple):
    """What was forgotten. ``subject`` is its kind and the hash of its id; ``status`` is ``finished``, or
    ``running`` for a run that was broken off or goes on; ``report`` is the certificate as it is kept, with its
    hash."""

    id: str
    created_at: datetime
    finished_at: datetime | None
    status: str
    subject: Mapping[str, str]
    rows: Mapping[str, int]
    remaining: Remaining
    report: Mapping[str, Any]


class Verified(NamedTuple):
    """Whether a certificate is as it was issued (``sound``), of how many records marks are kept, and rows by table
    that are back."""

    id: str
    sound: bool
    marks: int
    back: Mapping[str, int]
