"""Contents that lie apart: large results of tools and what manifests sent, by their hashes."""

from __future__ import annotations

from collections.abc import Iterator

from wilk import codec, models
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient
from wilk.records.doctor import Finding


def _look(patient: Patient) -> Iterator[Found]:
    call, blob = models.ToolCall, models.Blob
    gone = patient.values(
        call.select(call.id).where(
            call.result_hash.is_null(False), call.result_hash.not_in(blob.select(blob.hash))
        )
    )
    if gone:
        yield _lost(len(gone), f"{len(gone):,} tool calls have lost the whole of their result", gone)
    table = next(one for one in patient.tables if one.name == "blobs")
    bad = [
        str(row["hash"])
        for row in patient.rows(table)
        if not isinstance(row["data"], str) or codec.text_hash(row["data"]) != row["hash"]
    ]
    if bad:
        yield _lost(len(bad), f"{len(bad):,} contents are not what their hashes say", bad)


def _lost(count: int, what: str, records: list[str]) -> Found:
    told = f"{what}; put them back from a backup (`wilk backup list`)"
    return Found(Finding("contents", "error", count, told, None, records[:SHOWN]), None)


CHECK = Check("contents", "contents that lie apart, by their hashes", _look)
