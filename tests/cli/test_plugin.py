"""``wilk plugin new`` writes packages that pass their own tests as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wilk.cli.scaffolding import KINDS

from .conftest import Result

Run = Callable[..., Result]

pytestmark = pytest.mark.sqlite  # what is written brings its own store


def new(run: Run, kind: str, folder: Path, name: str = "my-own") -> Path:
    made = run("plugin", "new", name, "--kind", kind, "--in", str(folder), "--json").json
    return Path(made["package"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_installs_and_passes_its_tests(kind: str, good: Run, tmp_path: Path) -> None:
    package, site = new(good, kind, tmp_path), tmp_path / "site"
    environ = {**os.environ, "PYTHONPATH": str(site), "WILK_DISABLED_PLUGINS": ""}
    for command in (
        [
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            str(site),
            str(package),
        ],
        ["pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=package,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_no_place_of_a_template_is_left_open(good: Run, tmp_path: Path) -> None:
    for kind in KINDS:
        for file in new(good, kind, tmp_path, f"my-{kind}").rglob("*"):
            assert not re.search("@[A-Z]+@", file.read_text() if file.is_file() else ""), file


@pytest.mark.parametrize("name", ["My-Own", "my_own", "", "-x", "x--y", "../x", "9lives", "x" * 41])
def test_a_name_that_no_package_can_have_is_refused(name: str, wilk: Run, tmp_path: Path) -> None:
    code, _, said = wilk("plugin", "new", "--kind", "hooks", "--in", str(tmp_path), "--", name)
    assert code == 1
    assert "small letters, digits and single hyphens" in said
    assert list(tmp_path.glob("**/pyproject.toml")) == []


def test_a_folder_that_is_there_is_left_alone(good, wilk: Run, tmp_path: Path) -> None:
    package = new(good, "hooks", tmp_path)
    (package / "README.md").write_text("mine")
    result = wilk("plugin", "new", "my-own", "--kind", "cache", "--in", str(tmp_path))
    assert result.code == 1
    assert "is there already" in result.err
    assert (package / "README.md").read_text() == "mine"


def test_the_name_may_have_its_prefix(good: Run, tmp_path: Path) -> None:
    assert new(good, "hooks", tmp_path, "wilk-my-own").name == "wilk-my-own"


def test_it_says_what_comes_next(good: Run, tmp_path: Path) -> None:
    shown = good("plugin", "new", "my-own", "--kind", "hooks", "--in", str(tmp_path))
    assert "python -m pytest" in shown.out
