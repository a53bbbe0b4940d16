"""Definitions: files that cannot be read, and rows that do not follow their files."""

from __future__ import annotations

from collections.abc import Iterator

from wilk.care.doctor.patient import SHOWN, Check, Found, Patient
from wilk.records.doctor import Finding

_WARNING = "warning:"


def _look(patient: Patient) -> Iterator[Found]:
    store = patient.store
    if store.home is None:
        return
    failures = [
        one
        for one in store.definitions.check()
        if not all(text.startswith(_WARNING) for text in one.problems)
    ]
    if failures:
        told = (
            f"{len(failures):,} definition files cannot be read; `wilk agents check` and the like say where"
        )
        paths = [one.path for one in failures]
        yield Found(Finding("definitions", "error", len(failures), told, None, paths[:SHOWN]), None)
    behind = [one.path for one in store.definitions.files() if one.state == "missing"]
    if behind:
        finding = Finding(
            "definitions"
            "", "warning", len(behind), f"{len(behind):,} definition files are gone since the last sync",
            "sync, which archives their rows", behind[:SHOWN],
        )  # fmt: skip
        yield Found(finding, lambda work: work.derive(store.sync))


CHECK = Check("definitions", "files that cannot be read, rows that do not follow", _look, rows=False)
