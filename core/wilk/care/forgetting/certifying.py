"""Certificates: what was forgotten, in numbers; where it was looked for; what is left. No content, no ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from wilk import clock, codec
from wilk.care.forgetting.copies import Copy
from wilk.care.forgetting.needles import Needles
from wilk.care.tombstones import mark
from wilk.records.forgetting import Certificate, Remaining, Residue, SearchedPlace

FORMAT = 1


def running(id: str, kind: str, subject: str, began: int) -> dict[str, Any]:
    """What is kept while a run is under way."""
    return {
        "format": FORMAT,
        "id": id,
        "status": "running",
        "subject": {"kind": kind, "hash": mark(kind, subject)},
        "started_at": _time(began),
    }


def report(
    id: str,
    kind: str,
    subject: str,
    began: int,
    ended: int,
    *,
    scheme: str,
    resumed: bool,
    forks: bool,
    rows: Mapping[str, int],
    plugins: Mapping[str, int],
    references: int,
    shared: int,
    archives: Mapping[str, int],
    caches: Mapping[str, int],
    files: Mapping[str, int],
    copies: Sequence[Copy],
    needles: Needles,
    remaining: Remaining,
) -> dict[str, Any]:
    """The whole certificate as JSON, with a hash over itself."""
    notes = list(remaining.notes)
    notes += [f"{copy.name}: {copy.problem}" for copy in copies if copy.problem]
    if resumed:
        notes.append(
            "it was broken off and went on: texts of rows that had gone before could not be looked for"
        )
    if needles.left_out:
        notes.append(f"{needles.left_out} further strings were not looked for: there were too many")
    held: dict[str, Any] = {
        **running(id, kind, subject, began),
        "status": "finished",
        "finished_at": _time(ended),
        "wilk": version("wilk"),
        "backend": scheme,
        "forks": forks,
        "rows": dict(sorted(rows.items())),
        "plugins": dict(sorted(plugins.items())),
        "references": references,
        "made_of_others_as_well": shared,
        "archives": dict(sorted(archives.items())),
        "caches": dict(sorted(caches.items())),
        "files": {name: count for name, count in sorted(files.items()) if count},
        "copies": {
            copy.name: "removed" if copy.removed else sum(copy.rows.values())
            for copy in copies
            if copy.rows or copy.removed
        },
        "searched": {
            "strings": remaining.strings,
            "files": remaining.files,
            "bytes": remaining.bytes,
            "places": [one._asdict() for one in remaining.places],
        },
        "remains": [one._asdict() for one in remaining.residues],
        "notes": notes,
    }
    return {**held, "hash": hash_of(held)}


def record(id: str, report: Mapping[str, Any], created_at: datetime) -> Certificate:
    """A certificate as a record."""
    searched = report.get("searched") or {}
    return Certificate(
        id=id,
        created_at=created_at,
        finished_at=datetime.fromisoformat(report["finished_at"]) if report.get("finished_at") else None,
        status=str(report.get("status")),
        subject=dict(report.get("subject") or {}),
        rows=dict(report.get("rows") or {}),
        remaining=Remaining(
            files=int(searched.get("files", 0)),
            bytes=int(searched.get("bytes", 0)),
            strings=int(searched.get("strings", 0)),
            left_out=0,
            places=[SearchedPlace(**one) for one in searched.get("places", ())],
            residues=[Residue(**one) for one in report.get("remains", ())],
            notes=list(report.get("notes", ())),
        ),
        report=dict(report),
    )


def hash_of(report: Mapping[str, Any]) -> str:
    """The SHA-256 of a certificate without its hash, as canonical JSON."""
    return sha256(codec.canonical({name: one for name, one in report.items() if name != "hash"})).hexdigest()


def is_sound(certificate: Certificate) -> bool:
    """Whether a certificate is as it was issued."""
    return certificate.report.get("hash") == hash_of(certificate.report)


def _time(moment: int) -> str:
    return clock.to_datetime(moment).isoformat()
