"""What a run of an importer tells: counts by kind, failures, reasons, and what was lost, field by field."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from wilk.records.transfer import Counted, Failed, MigrationResult, Progress

logger = logging.getLogger("wilk.transfer")

_MOST = 1000
"""Failures that are kept one by one, and different warnings, reasons and lost fields; all are counted."""


class Report:
    """The report of one run, as it grows; what an importer sees as its :class:`wilk.contracts.Reading`."""

    def __init__(
        self,
        importer: str,
        source: str,
        options: Mapping[str, str],
        *,
        dry_run: bool,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self.run = ""
        self.importer = importer
        self.source = source
        self.options = options
        self.dry_run = dry_run
        self.counts: dict[str, Counter[str]] = {}
        self.errors: list[Failed] = []
        self.skipped: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.lost_fields: Counter[str] = Counter()
        self._progress = progress
        self._kind = ""
        self._place = (0, 0)

    # -- what an importer tells -----------------------------------------------------------

    def lost(self, path: str, count: int = 1) -> None:
        """Count a field that has no place here."""
        self.lost_fields[_one_of(self.lost_fields, path)] += count

    def warn(self, text: str, key: str | None = None) -> None:
        """Tell of something odd that was dealt with; the same sentence is counted, whatever the record."""
        if key is not None:
            logger.debug("%s: %s", key, text)
        if text in self.warnings or len(self.warnings) < _MOST:
            self.warnings[text] += 1

    def skip(self, kind: str, key: str, reason: str) -> None:
        """Count a record that is left out on purpose."""
        logger.debug("%s %s is left out: %s", kind, key, reason)
        self.skipped[_one_of(self.skipped, reason)] += 1
        self.count(kind, "skipped", read=True)

    def fail(self, kind: str, key: str, error: str, path: str | None = None) -> None:
        """Count a record that cannot be taken over."""
        if len(self.errors) < _MOST:
            self.errors.append(Failed(kind, key, error, path))
        self.count(kind, "failed", read=True)

    def at(self, done: int, of: int) -> None:
        """Tell how far reading is."""
        self._place = (done, of)
        self._tell(Progress("reading", self._kind, done, of))

    # -- what the landing tells -----------------------------------------------------------

    def count(self, kind: str, what: str, number: int = 1, *, read: bool = False) -> None:
        """Count what became of records."""
        counted = self.counts.setdefault(kind, Counter())
        counted[what] += number
        if read:
            counted["read"] += number
        self._kind = kind
        if not read:
            return
        done, of = self._place
        if 0 < of <= done:  # all was read and put in order before; nobody knows how many records it makes
            written = sum(one["read"] for one in self.counts.values())
            self._tell(Progress("writing", kind, written, 0))
        else:
            self._tell(Progress("reading", kind, done, of))

    def mark(self) -> Mapping[str, Counter[str]]:
        """The counts as they are, to come back to."""
        return {kind: counted.copy() for kind, counted in self.counts.items()}

    def back_to(self, counts: Mapping[str, Counter[str]]) -> None:
        """Take back what was counted since a mark: it was not written."""
        self.counts = dict(counts)

    def result(self, status: str = "finished") -> MigrationResult:
        """The report as it stands."""
        kinds = [
            Counted(kind, **{name: counted[name] for name in Counted._fields[1:]})
            for kind, counted in self.counts.items()
        ]
        return MigrationResult(
            self.run, self.importer, self.source, status, self.dry_run, kinds, tuple(self.errors),
            dict(self.skipped), dict(self.warnings), dict(self.lost_fields),
        )  # fmt: skip

    def _tell(self, progress: Progress) -> None:
        if self._progress is not None:
            self._progress(progress)


def _one_of(counted: Counter[str], name: str) -> str:
    """A name to count under: a source of millions of different ones does not fill the memory."""
    return name if name in counted or len(counted) < _MOST else "others"


def document(result: MigrationResult) -> dict[str, Any]:
    """A result as JSON has it; ``errors`` have the seed's name ``agentId`` for agents as well."""
    return {
        **result._asdict(),
        "success": result.success,
        "failed": result.failed,
        "updated": result.updated,
        "kinds": [one._asdict() for one in result.kinds],
        "errors": [
            {**({"agentId": one.id} if one.kind == "agents" else {}), **one._asdict()}
            for one in result.errors
        ],
    }


def restored(kept: Mapping[str, Any]) -> MigrationResult:
    """The result that :func:`document` was made of."""
    values = {name: kept[name] for name in MigrationResult._fields}
    values["kinds"] = [Counted(**one) for one in kept["kinds"]]
    values["errors"] = [Failed(**{name: one[name] for name in Failed._fields}) for one in kept["errors"]]
    return MigrationResult(**values)
