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
