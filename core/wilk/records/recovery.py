"""Records of recovery: what came over of a damaged database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class RecoveredTable(NamedTuple):
    """What came over of one table of a damaged database.

    ``rows`` came over; of these ``scavenged`` from pages that no tree reached any more, and ``changed``
    without some of their values. ``lost`` rows are known to be gone; ``exact`` tells whether no others can
    be, and ``names`` are the keys of the first ones. ``aside`` rows were found and not taken, and ``made``
    are placeholders for lost rows that others refer to.
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

    ``healthy``: nothing was wrong with it, and ``target`` is a copy. ``notes`` tell what was found, a
    sentence each. ``aside`` is the file that holds what was found and not taken, or was changed, one JSON
    object a line; None when there was nothing. ``rebuilt``: tables that were made anew from others.
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
