"""The built-in backend meets the contract, and the suite that says so notices what does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wilk.testing import BackendSuite

pytestmark = pytest.mark.storeless

LIARS = """
import pytest
from dataclasses import replace
from wilk import Host, Opened
from wilk.backends import sqlite
from wilk.definitions import kinds
from wilk.hookspecs import hookimpl
from wilk.testing import BackendSuite

class Liar:
    capabilities = None
    def changed(self, opened): return opened

    @hookimpl
    def register_backends(self):
        honest, = sqlite.register_backends()
        yield replace(
            honest,
            scheme="liar",
            open=lambda url, settings: self.changed(honest.open(url.replace("liar", "sqlite", 1), settings)),
            capabilities=honest.capabilities if self.capabilities is None else self.capabilities,
        )

class Suite(BackendSuite):
    plugin = Liar
    @pytest.fixture
    def url(self, tmp_path): return f"liar:///{tmp_path}/t.db"
    @pytest.fixture
    def host(self): return Host(self.plugin(), sqlite, kinds, entry_points=False)
"""
CASES = {
    "promises_text": (
        "class plugin(Liar):\n        def changed(self, opened): return replace(opened, full_text=None)",
        "test_full_text_is_there_if_it_is_promised",
    ),
    "hides_text": (
        "class plugin(Liar):\n        capabilities = {'persistent', 'processes', 'readonly', 'backup'}",
        "test_full_text_is_there_if_it_is_promised",
    ),
    "hides_persistence": (
        "class plugin(Liar):\n        capabilities = {'processes', 'readonly', 'backup', 'full-text'}",
        "test_it_outlives_the_store_if_that_is_promised",
    ),
    "promises_persistence": (
        "@pytest.fixture\n    def url(self): return 'liar:///:memory:'",
        "test_it_outlives_the_store_if_that_is_promised",
    ),
    "promises_readonly": (
        "@pytest.fixture\n    def url(self): return 'liar:///:memory:'",
        "test_it_can_be_opened_to_be_read_if_that_is_promised",
    ),
    "hides_backup": (
        "class plugin(Liar):\n        capabilities = {'persistent', 'processes', 'readonly', 'full-text'}",
        "test_it_makes_backups_if_that_is_promised",
    ),
    "promises_processes": (
        "@pytest.fixture\n    def url(self): return 'liar:///:memory:'",
        "test_another_process_can_write_if_that_is_promised",
    ),
    "ignores_references": (
        "class plugin(Liar):\n"
        "        def changed(self, opened):\n"
        "            def loose():\n"
        "                connection = opened.connect()\n"
        "                connection.execute('PRAGMA foreign_keys = 0')\n"
        "                return connection\n"
        "            return replace(opened, connect=loose)",
        "test_the_engine_refuses_a_reference_to_nothing",
    ),
    "invents_a_capability": (
        "class plugin(Liar):\n        capabilities = {'telepathy'}",
        "test_its_capabilities_are_known_ones",
    ),
    "lacks_what_nobody_promised": (
        "without = {'telepathy'}",
        "test_a_url_lacks_only_what_the_backend_promises",
    ),
}


class TestFile(BackendSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/t.db"


class TestMemory(BackendSuite):
    without = ("persistent", "processes", "readonly", "backup")

    @pytest.fixture
    def url(self) -> str:
        return "sqlite:///:memory:"


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of backends that lie, one class each; the tests named are run for all."""
    folder = tmp_path_factory.mktemp("liars")
    classes = [f"class Test_{name}(Suite):\n    {body}\n" for name, (body, _) in CASES.items()]
    (folder / "test_liars.py").write_text("\n".join([LIARS, *classes, "del Suite, BackendSuite"]))
    wanted = " or ".join({test for _, test in CASES.values()})
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-rA",
            "-q",
            "-p",
            "no:cacheprovider",
            "-k",
            wanted,
            "test_liars.py",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


@pytest.mark.parametrize(("name", "test"), [(name, test) for name, (_, test) in CASES.items()])
def test_the_suite_notices_a_backend_that_lies(name: str, test: str, verdicts: str) -> None:
    assert f"FAILED test_liars.py::Test_{name}::{test}" in verdicts


def test_the_suite_passes_what_such_a_backend_does_right(verdicts: str) -> None:
    assert "PASSED test_liars.py::Test_hides_text::test_it_makes_backups_if_that_is_promised" in verdicts


def test_only_the_suites_need_pytest() -> None:
    source = Path(sys.modules["wilk"].__file__ or "").parent
    users = [path for path in source.rglob("*.py") if "import pytest" in path.read_text()]
    assert {path.relative_to(source).parts[0] for path in users} == {"testing"}
