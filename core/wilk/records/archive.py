"""Records of the archive: what left its table."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Archived(NamedTuple):
    """A row that left its table: its columns as they were, why, and when."""

    kind: str
    record_id: str
    session_id: str | None
    data: Mapping[str, Any]
    reason: str
    interaction_id: str | None
    archived_at: datetime
