"""Integrity: whether the engine itself finds its database sound."""

from __future__ import annotations

from collections.abc import Iterator

from wilk.care.doctor.patient import Check, Found, Patient


def _look(patient: Patient) -> Iterator[Found]:
    yield from ()


CHECK = Check("integrity", "whether the engine finds its database sound", _look, rows=False)
