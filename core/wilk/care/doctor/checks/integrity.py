"""Integrity: whether the engine itself finds its database sound."""

from __future__ import annotations

from collections.abc import Iterator

from wilk.care.doctor.patient import SHOWN, Check, Found, Patient
from wilk.records.doctor import Finding


def _look(patient: Patient) -> Iterator[Found]:
    outcome = patient.maintained("integrity", quick=False)
    if outcome is not None and outcome.result == "found":
        faults = list(outcome.details)
        finding = Finding("integrity", "error", max(len(faults), 1), outcome.said, None, faults[:SHOWN])
        yield Found(finding, None)


CHECK = Check("integrity", "whether the engine finds its database sound", _look, rows=False)
