"""Backups: whether they are whole, as far as a look at their files tells."""

from __future__ import annotations

from collections.abc import Iterator

from wilk.care.doctor.patient import SHOWN, Check, Found, Patient
from wilk.errors import Invalid, SettingsError
from wilk.records.doctor import Finding


def _look(patient: Patient) -> Iterator[Found]:
    try:
        kept = patient.store.backups.list()
    except (Invalid, SettingsError):
        return  # a store on a server, for which no folder is named
    bad = [one for one in kept if not one.good]
    if bad:
        told = (
            f"{len(bad):,} of {len(kept):,} backups are bad: {bad[0].problems[0]}; "
            "make a new one (`wilk backup create`)"
        )
        yield Found(Finding("backups", "error", len(bad), told, None, [one.id for one in bad[:SHOWN]]), None)


CHECK = Check("backups", "whether backups are whole", _look, rows=False)
