"""When changed files may be read: once they are quiet, and a second look agrees with the first.

No clock and no lock in here: whoever holds a :class:`Pending` brings both. Times are seconds of
one monotonic clock.
"""

from __future__ import annotations

from typing import NamedTuple

CONFIRM = 0.1
"""How long a file that is broken or gone may take to become whole before it is taken for that."""

BOUND = 2.0
"""How long changes may wait for quiet, counted from the first of them."""

CROWD = 16
"""More changed paths than this are no save in an editor: a checkout, a copy, a removal."""

CROWD_PATIENCE = 5
"""How many times longer a crowd must be quiet, and may wait for it, so that a pause of the
copying program, or a slow disk, does not cut it in two."""


class Batch(NamedTuple):
    """Paths to read in one go; ``everything`` when that must be the whole home folder."""

    paths: frozenset[str]
    everything: bool
    since: float
    confirmed: bool


class Pending:
    """Changes that wait for quiet."""

    def __init__(self, quiet: float) -> None:
        self._quiet = quiet
        self.clear()

    def clear(self) -> None:
        self._paths: set[str] = set()
        self._writing: set[str] = set()
        self._everything = False
        self._first = self._last = self._not_before = 0.0
        self._held = False

    def __bool__(self) -> bool:
        return bool(self._paths) or self._everything

    def add(self, path: str, now: float, *, writing: bool | None = None) -> None:
        """Note a change; ``writing`` as in :class:`wilk.definitions.signals.Sink`."""
        self._touch(now)
        self._paths.add(path)
        if writing:
            self._writing.add(path)
        elif writing is False:
            self._writing.discard(path)

    def add_everything(self, now: float) -> None:
        """Note that anything may have changed."""
        self._touch(now)
        self._everything = True

    def due(self) -> float | None:
        """When the changes may be taken, if no more come; None when there are none."""
        if not self:
            return None
        limit = self._limit()
        if self._writing:
            return max(limit, self._not_before)
        quiet = self._quiet * self._patience()
        if self._held:
            quiet = max(quiet, CONFIRM)
        return max(min(self._last + quiet, limit), self._not_before)

    def take(self, now: float) -> Batch:
        """Hand over all changes; those that come later wait anew."""
        confirmed = self._held or now >= self._limit()
        batch = Batch(frozenset(self._paths), self._everything, self._first, confirmed)
        self.clear()
        return batch

    def hold(self, batch: Batch, now: float) -> None:
        """Take a batch back for a second look, unless more changes come first."""
        untouched = not self
        self._restore(batch)
        if untouched:
            self._last = now
            self._held = True

    def retry(self, batch: Batch, at: float) -> None:
        """Take a batch back that could not be read into the tables, to try again at a time."""
        self._restore(batch)
        self._first = self._last = self._not_before = at

    def _patience(self) -> int:
        return CROWD_PATIENCE if self._everything or len(self._paths) > CROWD else 1

    def _limit(self) -> float:
        return self._first + BOUND * self._patience()

    def _touch(self, now: float) -> None:
        if not self:
            self._first = now
        self._last = now
        self._held = False

    def _restore(self, batch: Batch) -> None:
        self._first = batch.since
        self._paths |= batch.paths
        self._everything |= batch.everything
