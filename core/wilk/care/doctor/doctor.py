"""The doctor's verbs: examine, repair, undo."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING

from wilk import clock
from wilk.care.doctor import mending
from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import Check, Found, Patient
from wilk.errors import Conflict, Invalid, ReadOnly, WilkError
from wilk.records.doctor import Diagnosis, Finding, Repaired, RepairInfo

if TYPE_CHECKING:
    from wilk.store import Store

_CHECKS = (
    "integrity", "schema", "poisoned", "references", "counts", "tools", "contents", "embeddings", "search",
    "full_text", "definitions", "backups", "log", "permissions", "unfinished",
)  # fmt: skip
"""The checks, in their order: a module of ``checks`` each. What others rest upon comes first."""


class Doctor:
    """Looks after one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engine = store._engine

    def checks(self) -> Sequence[Check]:
        """List the checks there are."""
        return [check(name) for name in _CHECKS]

    def examine(self, checks: Collection[str] | None = None) -> Diagnosis:
        """Make the checks of these names, or all, and tell what is not as it should be. Nothing is changed.

        Reads every row. Raises Invalid for a check that there is not.
        """
        made = _chosen(checks)
        patient = Patient(self._store)
        findings: list[Finding] = []
        failed: dict[str, list[str]] = {}
        for one in made:
            # What is compared is read of one state, whoever writes meanwhile.
            try:
                with self._engine.snapshot() if one.rows else nullcontext():
                    findings += [found.finding for found in one.look(patient)]
            except WilkError as error:
                failed.setdefault(str(error), []).append(one.name)
        for text, names in failed.items():
            what = f"{', '.join(names)} could not be checked: {text}"
            findings.append(Finding(names[0], "error", len(names), what, None))
        moment = clock.to_datetime(self._engine.clock.now())
        return Diagnosis(moment, [one.name for one in made], findings)

    def repair(self, checks: Collection[str] | None = None) -> Repaired:
        """Mend what the checks of these names, or all, find, as far as that can be without a person.

        It is one transaction, and can be undone by its batch. Raises Invalid, ReadOnly, and Conflict for a
        database that is damaged itself: nothing is written into such.
        """
        if self._engine.readonly:
            raise ReadOnly("the store was opened with readonly; open it without to repair it")
        if self._engine.in_transaction:
            raise Conflict("a repair is a transaction of its own: end the one around it first")
        made = _chosen(checks)
        patient = Patient(self._store)
        mended: list[Finding] = []
        left: list[Finding] = []
        sound = patient.maintained("integrity", quick=True)
        if sound is not None and sound.result == "found":
            raise Conflict(f"nothing is mended: {sound.said}")
        work = Mending(patient)
        before = {one.name: list(_look(one, patient)) for one in made if not one.rows}
        unchecked = self._store._backend.unchecked
        guard = unchecked(self._engine.execute) if unchecked else nullcontext()
        with self._engine.pinned(), guard, self._engine.transaction():
            for one in made:
                work.begin(one.name)
                for found in list(_look(one, patient)) if one.rows else before[one.name]:
                    if found.mend is None:
                        left.append(found.finding)
                    elif (error := self._mend(work, found)) is None:
                        mended.append(found.finding)
                    else:
                        what = f"{found.finding.what}; it could not be mended: {error}"
                        left.append(found.finding._replace(what=what, remedy=None))
        kept = any(info.batch == work.batch for info in mending.repairs(patient))
        return Repaired(work.batch if kept else None, mended, work.changes, left)

    def _mend(self, work: Mending, found: Found) -> WilkError | None:
        """Mend one finding; what stands in the way of that undoes it, and leaves the others."""
        changes = work.changes
        try:
            with self._engine.transaction():
                if found.mend is not None:
                    found.mend(work)
        except WilkError as error:
            work.changes = changes
            return error
        return None

    def undo(self, batch: str) -> int:
        """Put back what a repair changed, and return how many changes that were.

        What the repair made anew of other rows, such as indexes, stays. Raises NotFound, and Conflict where
        something has changed since; nothing is undone then.
        """
        return mending.undo(Patient(self._store), batch)

    def repairs(self) -> Sequence[RepairInfo]:
        """List the repairs so far, the latest first."""
        return mending.repairs(Patient(self._store))


def check(name: str) -> Check:
    """The check of that name."""
    found: Check = import_module(f"wilk.care.doctor.checks.{name}").CHECK
    return found


def _chosen(names: Collection[str] | None) -> list[Check]:
    if isinstance(names, str):
        raise Invalid(f"checks {names!r}: a list of names is wanted")
    for name in names or ():
        if name not in _CHECKS:
            raise Invalid(f"there is no check {name!r}; there are {', '.join(_CHECKS)}")
    return [check(name) for name in _CHECKS if names is None or name in names]


def _look(one: Check, patient: Patient) -> Iterator[Found]:
    """What a check finds; one that cannot be made is a finding itself, and the others go on."""
    try:
        yield from one.look(patient)
    except WilkError as error:
        yield Found(
            Finding(one.name, "error", 1, f"the check {one.name!r} could not be made: {error}", None), None
        )
