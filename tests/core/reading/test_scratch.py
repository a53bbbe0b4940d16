"""Scratch folders: private, and swept when the run that made them was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from wilk.transfer.reading import scratch

pytestmark = pytest.mark.storeless


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def left(tmp_path: Path, *, age: float, process: int | None = None) -> Path:
    """A folder that a process left, which is gone unless it is named."""
    if process is None:
        done = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
        )
        process = int(done.stdout)
    folder = tmp_path / f"wilk-import-{process}-abc"
    folder.mkdir()
    (folder / "spool.db").write_text("what was being imported")
    for path in (folder / "spool.db", folder):
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    return folder


def test_it_is_its_owners_alone() -> None:
    folder = scratch.new_folder()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path: Path) -> None:
    folder = left(tmp_path, age=7200)
    scratch.new_folder()
    assert not folder.exists()


def test_what_was_written_to_of_late_stays(tmp_path: Path) -> None:
    folder = left(tmp_path, age=60)
    scratch.new_folder()
    assert (folder / "spool.db").exists()


def test_what_is_of_a_process_that_runs_stays(tmp_path: Path) -> None:
    folder = left(tmp_path, age=7200, process=os.getpid())
    scratch.new_folder()
    assert (folder / "spool.db").exists()


def test_what_has_another_name_stays(tmp_path: Path) -> None:
    other = tmp_path / "wilk-import-notes"
    other.mkdir()
    os.utime(other, (0, 0))
    scratch.sweep()
    assert other.exists()
