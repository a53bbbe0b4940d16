"""A process that is killed while it makes vectors: a second one finishes, and none is missing or doubled."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.embedding import Bag
from tests.places import Places

from .indexed import check_passages, check_vectors, opened

SCRIPT = Path(__file__).with_name("indexing_killed.py")
TIMES = 12


def _run(home: Path, model: str, boundary: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(home), model, str(boundary)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
@pytest.mark.usefixtures("apart")
def test_killed_anywhere_a_second_process_finishes(tmp_path: Path, places: Places) -> None:
    whole = tmp_path / "whole"
    places.make(whole)
    first = _run(whole, "bag-1", 0)
    assert first.returncode == 0, first.stderr
    plugin = Bag()
    with opened(whole, plugin) as store:
        check_vectors(store, plugin)
    boundaries = int(first.stdout)
    assert boundaries > 50
    killed = 0
    for boundary in sorted(random.Random(4).sample(range(1, boundaries), TIMES)):
        home = tmp_path / f"at {boundary}"
        places.make(home)
        died = _run(home, "bag-1", boundary)
        if died.returncode == 0:
            continue  # how many there are differs by what the store's thread does at once
        assert died.returncode == -signal.SIGKILL, died.stderr
        killed += 1
        with opened(home, plugin) as store:
            check_passages(store)
            store.index.update()
            check_vectors(store, plugin)
    assert killed >= TIMES // 2


@pytest.mark.slow
@pytest.mark.usefixtures("apart")
def test_killed_while_the_model_changes_a_second_process_finishes(tmp_path: Path, places: Places) -> None:
    """It is killed while it builds the vectors of another model beside the old ones."""
    start = tmp_path / "start"
    places.make(start)
    assert _run(start, "bag-1", 0).returncode == 0
    plugin = Bag("bag-2")
    whole = tmp_path / "whole"
    places.copy(start, whole)
    boundaries = int(_run(whole, "bag-2", 0).stdout)
    killed = 0
    for boundary in sorted(random.Random(5).sample(range(1, boundaries), TIMES)):
        home = tmp_path / f"at {boundary}"
        places.copy(start, home)
        died = _run(home, "bag-2", boundary)
        if died.returncode == 0:
            continue
        assert died.returncode == -signal.SIGKILL, died.stderr
        killed += 1
        with opened(home, plugin) as store:
            store.index.update()
            check_passages(store)
            check_vectors(store, plugin)
    assert killed >= TIMES // 2
