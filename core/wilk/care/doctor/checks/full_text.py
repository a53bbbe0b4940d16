"""Full text: whether the engine's index of words agrees with the texts that it is of."""

from __future__ import annotations

from collections.abc import Iterator

from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient
from wilk.records.doctor import Finding


def _look(patient: Patient) -> Iterator[Found]:
    outcome = patient.maintained("full-text", quick=True)
    if outcome is None or outcome.result != "found":
        return

    def mend(work: Mending) -> None:
        work.derive(lambda: patient.maintained("full-text", quick=False))

    details = list(outcome.details)
    yield Found(
        Finding("full_text", "warning", len(details) or 1, outcome.said, "make it anew", details[:SHOWN]),
        mend,
    )


CHECK = Check("full_text", "the index of words, against the texts that it is of", _look, rows=False)
