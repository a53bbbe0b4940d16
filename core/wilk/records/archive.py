"""Records of the archive: what left its table."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Archived(NamedTuple):
    """A row that left its table: its columns as they were, why, and when.

    ``id`` numbers the entries of a store. ``batch`` joins what left together: a session and its
    messages have one. ``position`` is a message's sequence. ``restored_at`` tells when the row went
    back to its table; ``data`` is empty from then on. ``size`` is bytes of JSON.
    """

    id: int
    kind: str
    record_id: str
    session_id: str | None
    data: Mapping[str, Any]
    reason: str
    interaction_id: str | None
    archived_at: datetime
    batch: str | None
    position: int | None
    size: int | None
    restored_at: datetime | None


class ArchiveCount(NamedTuple):
    """How many rows of a kind were archived for a reason, and the bytes of their JSON."""

    reason: str
    kind: str
    records: int
    size: int


class RetentionStep(NamedTuple):
    """What one rule takes: records of its kind, and by kind what hangs on them (``also``).

    ``size`` is bytes of all these rows as JSON; ``oldest`` and ``newest`` are of the records.
    """

    kind: str
    rule: str
    records: int
    also: Mapping[str, int]
    size: int
    oldest: datetime | None
    newest: datetime | None


class RetentionPlan(NamedTuple):
    """What the rules of retention take, or have taken, in the order in which they run."""

    steps: tuple[RetentionStep, ...]

    @property
    def rows(self) -> int:
        """All rows, with those that hang on others."""
        return sum(step.records + sum(step.also.values()) for step in self.steps)

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return sum(step.size for step in self.steps)
