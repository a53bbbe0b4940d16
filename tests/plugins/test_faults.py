"""What is broken is caught: by the fault that it is about, with its grade, and with the rows named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from wilk.testing import grades

BROKEN = Path(__file__).with_name("broken")


class Case(NamedTuple):
    """A broken plugin: the test that is to notice, its fault, the grade, and what is found."""

    suite: str
    test: str
    fault: str
    grade: str
    kind: str
    row: str


AT_WRITES = "test_killed_at_its_writes_it_has_what_it_acknowledged"
AT_ANY_TIME = "test_killed_at_any_time_it_has_what_it_acknowledged"
DISK = "test_a_full_disk_is_told_and_loses_nothing"
STORM = "test_a_storm_of_writers_loses_and_doubles_nothing"
CLOCK = "test_a_clock_that_jumps_changes_no_order"
TEXTS = "test_odd_texts_come_back_or_are_refused"
DROP = "test_a_connection_that_drops_takes_its_transaction_with_it"
FULL_TEXT = "test_full_text_is_there_if_it_is_promised"

BACKENDS = [
    Case("lazy", AT_WRITES, "kill", "F", "lost", r"(user|message) w\w+-"),
    Case("replaying", AT_WRITES, "kill", "F", "doubled", r"message w\w+-\d-m\d+ \(2 times\)"),
    Case("guarded", AT_WRITES, "kill", "D", "stuck", "in-use says that the database is in use"),
    Case("content", DISK, "full disk", "F", "lost", r"message w\w+-1-m\d+"),
    Case("blunt", DISK, "full disk", "C", "unclear", r"RuntimeError: E\d+"),
    Case("lockless", STORM, "lock storm", "F", "lost", r"\d+ of \d+ additions to state w\w+"),
    Case("byclock", CLOCK, "clock jumps", "F", "changed", r"page: message \d+ stands where \d+ was"),
    Case("trimming", TEXTS, "hostile text", "F", "changed", r"x \\n' is 'x'"),
    Case("reconnecting", DROP, "dropped connection", "F", "half", r"state w\w+"),
    Case("hiding", FULL_TEXT, "capabilities", "B", "hidden", "capability 'full-text'"),
    Case("boasting", FULL_TEXT, "capabilities", "D", "promised", "capability 'full-text'"),
]
MIXES = "test_a_storm_of_writers_loses_and_mixes_nothing"
OTHERS = [
    Case(
        "stale",
        "test_a_clock_that_jumps_gives_nothing_that_has_expired",
        "clock jumps",
        "F",
        "stale",
        r"entry 'hour' of w\w+",
    ),
    Case("forgetful", AT_WRITES, "kill", "F", "lost", r"entry '\w' of w\w+"),
    Case("unlocked", MIXES, "lock storm", "F", "lost", r"\d+ of \d+ additions to w\w+"),
    Case(
        "mixing",
        "test_odd_keys_and_namespaces_come_back_or_are_refused",
        "hostile text",
        "F",
        "changed",
        "of the namespace 'plain', which is that of 'Plain'",
    ),
    # Which of both it is, depends on the moments at which it was killed.
    Case("tearing", AT_ANY_TIME, "kill", "F", "changed|doubled", r"entry \d+ of w\w+ \("),
    Case("twice", AT_WRITES, "kill", "F", "doubled", r"entry \d+ of w\w+ \(2 times\)"),
    Case(
        "hoarding",
        "test_what_was_removed_is_proposed_by_no_index_that_is_opened_later",
        "kill",
        "F",
        "stale",
        r"vector \d+",
    ),
    Case(
        "sleeping",
        "test_what_was_removed_is_proposed_by_no_index_that_is_opened_later",
        "kill",
        "F",
        "lost",
        r"vector \d+",
    ),
    Case(
        "growing",
        "test_all_vectors_are_of_one_dimension",
        "contract",
        "F",
        "changed",
        "the vector of a long word, of dimension 32",
    ),
]
Graded = dict[str, Mapping[str, Any]]


def _grades(file: str, cases: Sequence[Case], folder: Path) -> Graded:
    """Run the tests of broken plugins that are to notice them; return the reports by suite."""
    target = folder / "grades.json"
    nodes = [f"{BROKEN / file}::Test_{case.suite}::{case.test}" for case in cases]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "wilk.testing.summary", "-c",
         os.devnull, "--rootdir", str(BROKEN), "--confcutdir", str(BROKEN), "--import-mode=importlib",
         "--wilk-grades", str(target), *nodes],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(BROKEN)},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert target.exists(), done.stdout + done.stderr
    return {
        report["tested"]["suite"].removeprefix("Test_"): report for report in json.loads(target.read_text())
    }


def _check(case: Case, graded: Graded) -> None:
    report = graded[case.suite]
    findings = report["faults"][case.fault]["findings"]
    assert [
        kind for kind, row, _ in findings if re.fullmatch(case.kind, kind) and re.search(case.row, row)
    ], findings
    assert report["grade"] == report["faults"][case.fault]["grade"] == case.grade, findings
    assert report["sha256"] == grades.checksum(report)


@pytest.fixture(scope="module")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    return _grades("suites_backends.py", BACKENDS, tmp_path_factory.mktemp("broken"))


@pytest.mark.slow
@pytest.mark.parametrize("case", BACKENDS, ids=[case.suite for case in BACKENDS])
def test_a_broken_backend_is_caught(case: Case, backends: Graded) -> None:
    _check(case, backends)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    return _grades("suites_others.py", OTHERS, tmp_path_factory.mktemp("broken"))


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS, ids=[case.suite for case in OTHERS])
def test_another_broken_plugin_is_caught(case: Case, others: Graded) -> None:
    _check(case, others)


def test_every_fault_has_a_backend_that_it_catches() -> None:
    assert {case.fault for case in BACKENDS} == set(grades.FAULTS) - {"contract"}


@pytest.mark.parametrize("kind", grades.KINDS)
def test_a_grade_is_no_better_than_what_was_found(kind: str) -> None:
    record = {
        "plugin": {"kind": "backend", "name": "x", "distribution": "d", "version": "1", "suite": "T", "faults": ["kill"]},
        "fault": "kill", "tried": 1, "findings": [grades.Finding(kind, "row", "then")], "not_applicable": [],
    }  # fmt: skip
    (report,) = grades.reports([record, {**record, "fault": "contract", "findings": []}])
    assert report["grade"] == report["faults"]["kill"]["grade"] == grades.KINDS[kind][0]
    assert report["faults"]["contract"]["grade"] == "A"
    assert any(kind in line and "row, then" in line for line, _ in grades.lines(report))
