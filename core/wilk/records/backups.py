"""Records of backups: what lies there, what came of trying it, and of restoring it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple


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
