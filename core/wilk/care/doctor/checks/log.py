"""The write-ahead log, and what else the engine says of itself."""

from __future__ import annotations

from collections.abc import Iterator

from wilk.care.doctor.patient import Check, Found, Patient
from wilk.records.doctor import Finding

_LONG = 64 * 2**20
"""Bytes of a log above which something keeps it from being taken over into the database."""


def _look(patient: Patient) -> Iterator[Found]:
    figures = patient.store._figures
    if figures is None:
        return
    with patient.engine.pinned():
        state = figures.state(patient.engine.execute)
    if (state.wal_bytes or 0) > _LONG:
        told = f"the write-ahead log has {state.wal_bytes:,} bytes"
        finding = Finding("log", "warning", 1, told, "take it over into the database, and empty it", ())
        yield Found(finding, lambda work: work.derive(lambda: patient.maintained("checkpoint", quick=True)))
    for lock in state.locks:
        if lock.seconds is not None and lock.seconds > patient.engine.timeout:
            told = (
                f"{lock.who} {'waits' if lock.waits else 'has held the store'} "
                f"for {lock.seconds:.0f} s: {lock.what}"
            )
            yield Found(Finding("log", "warning", 1, f"{told}; end it if it hangs", None, ()), None)


CHECK = Check("log", "the write-ahead log, and who holds the store", _look, rows=False)
