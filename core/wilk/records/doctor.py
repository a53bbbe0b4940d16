"""Records of the doctor: what was found, and what was mended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple


class Finding(NamedTuple):
    """Something that is not as it should be.

    ``check`` found it; ``severity`` is ``error`` (something is lost, or will be) or ``warning``. ``what``
    says in a sentence what is wrong with how many (``affected``); ``remedy`` what a repair would do, None
    where only a person can; ``records`` are the first ones.
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
    """What a repair did: ``batch`` undoes it (None: nothing was to be undone). ``mended`` are the findings
    that it was about, ``changes`` the rows and files that it changed, ``left`` what only a person can
    mend."""

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
