"""What was begun and never ended: imports, moves, left-over files of writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wilk import clock, models
from wilk.care.doctor.mending import Mending
from wilk.care.doctor.patient import SHOWN, Check, Found, Patient
from wilk.records.doctor import Finding

_DAY = 86_400_000_000
_LEFT = ("*.partial", ".*.partial", "*.tmp-wilk")


def _look(patient: Patient) -> Iterator[Found]:
    yield from _imports(patient)
    yield from _moves(patient)
    yield from _files(patient)


def _imports(patient: Patient) -> Iterator[Found]:
    run = models.ImportRun
    table = next(one for one in patient.tables if one.name == "imports")
    before = clock.to_datetime(patient.engine.clock.now() - _DAY)
    names = [column.name for column in table.columns]
    query = run.select(*table.fields).where(run.status == "running", run.started_at < before)
    rows = [dict(zip(names, values, strict=True)) for values in patient.engine.select(query)]
    if not rows:
        return

    def mend(work: Mending) -> None:
        for row in rows:
            work.change(table, row, {"status": "interrupted"}, "it never ended")

    finding = Finding(
        "unfinished", "warning", len(rows),
        f"{len(rows):,} imports began over a day ago and never ended; the same command goes on with them",
        "note that they were interrupted", [f"{row['importer']} {row['source']}" for row in rows[:SHOWN]],
    )  # fmt: skip
    yield Found(finding, mend)


def _moves(patient: Patient) -> Iterator[Found]:
    move = models.Move
    left = patient.values(move.select(move.address).where(move.finished_at.is_null()).distinct())
    if left:
        told = (
            f"a move from {', '.join(map(str, left[:3]))} into this "
            "database never ended; `wilk move` goes on with it"
        )
        yield Found(Finding("unfinished", "error", len(left), told, None, ()), None)


def _files(patient: Patient) -> Iterator[Found]:
    home = patient.home
    if home is None or not home.is_dir():
        return
    places = [home, *[folder for folder in (home / "backups",) if folder.is_dir()]]
    old: list[Path] = []
    for place in places:
        for pattern in _LEFT:
            old += [path for path in place.glob(pattern) if _aged(patient, path)]
    if old:
        told = f"{len(old):,} files and folders of interrupted writes are left over; they can be deleted"
        names = [str(path) for path in old[:SHOWN]]
        yield Found(Finding("unfinished", "warning", len(old), told, None, names), None)


def _aged(patient: Patient, path: Path) -> bool:
    return path.lstat().st_mtime * 1_000_000 < patient.engine.clock.now() - _DAY


CHECK = Check("unfinished", "what was begun and never ended", _look)
