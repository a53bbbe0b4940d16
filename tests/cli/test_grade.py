"""``wilk plugin grade``: a plugin's grade without a test file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wilk.testing import grades

from .conftest import Result

Run = Callable[..., Result]
BROKEN = Path(__file__).parents[1] / "plugins" / "broken"

pytestmark = pytest.mark.sqlite  # each plugin is tested in a place of its own


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module with plugins that are broken."""
    monkeypatch.syspath_prepend(str(BROKEN))
    yield "broken_others"
    sys.modules.pop("broken_others", None)


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.slow
def test_a_sound_plugin_has_an_a_and_what_was_left_out_is_said(wilk: Run) -> None:
    result = wilk("plugin", "grade", "disk", "--quick")
    assert result.code == 0, result.err
    told, first, *faults = result.out.splitlines()
    assert first.startswith("cache disk (wilk ")
    assert first.endswith("Test: A, without kill, full disk, lock storm")
    assert [line.split()[:2] for line in faults] == [["A", "contract"], ["A", "clock"], ["A", "hostile"]]
    assert told == "Testing cache disk; this may take a minute."


@pytest.mark.slow
def test_a_broken_plugin_of_a_module_is_graded_with_a_report(wilk: Run, broken: str, tmp_path: Path) -> None:
    report = tmp_path / "grade.json"
    result = wilk("plugin", "grade", "growing", "--quick", "--module", broken, "--out", str(report), "--json")
    assert result.code == 1
    (written,) = json.loads(report.read_text())
    assert written == result.json
    assert (written["tested"]["kind"], written["grade"]) == ("embedder", "F")
    findings = written["faults"]["contract"]["findings"]
    assert ["changed", "the vector of a long word, of dimension 32", "after one of 16"] in findings
    assert written["tested"]["distribution"] == "the module broken_others"
    assert written["sha256"] == grades.checksum(written)
    written["grade"] = "A"
    assert written["sha256"] != grades.checksum(written)


AWAY = """
from wilk import Archive, BackendError, hookimpl


def opened(*arguments):
    raise BackendError("the server is away")


@hookimpl
def register_archives():
    yield Archive(name="away", open=opened, summary="nowhere")
"""


@pytest.mark.slow
def test_what_a_failed_test_said_is_told(wilk: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "away_archive.py").write_text(AWAY)
    monkeypatch.syspath_prepend(str(tmp_path))
    result = wilk("plugin", "grade", "away", "--quick", "--module", "away_archive")
    assert result.code == 1
    assert "BackendError: the server is away" in result.out


def test_a_name_that_nobody_offers_is_told_with_those_there_are(wilk: Run) -> None:
    code, _, said = wilk("plugin", "grade", "nothing")
    assert code == 1
    assert "no plugin that can be graded offers 'nothing'; there is" in said
    assert "sqlite" in said


def test_a_module_that_cannot_be_imported_is_named(wilk: Run) -> None:
    code, _, said = wilk("plugin", "grade", "x", "--module", "no_such_module")
    assert code == 1
    assert "module 'no_such_module' cannot be imported" in said


def test_without_pytest_it_says_what_to_install(wilk: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    code, _, said = wilk("plugin", "grade", "sqlite")
    assert code == 1
    assert "needs pytest; install it: python -m pip install pytest" in said


def test_a_place_where_nothing_can_be_tested_is_a_grade_and_no_traceback(wilk: Run) -> None:
    code, out, said = wilk("plugin", "grade", "sqlite", "--kind", "cache", "--quick")
    assert code == 1
    assert "Traceback" not in said
    assert "sqlite" in out + said
