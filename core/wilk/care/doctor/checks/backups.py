"""Backups: whether they are whole, as far as a look at their files tells."""

from __future__ import annotations

from collections.abc import Iterator

from wilk.care.doctor.patient import Check, Found, Patient


def _look(patient: Patient) -> Iterator[Found]:
    yield from ()


CHECK = Check("backups", "whether backups are whole", _look, rows=False)
