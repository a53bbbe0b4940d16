"""The fixtures that wilk brings to other projects' tests, as pytest runs them there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.sqlite

OWN = """
import pytest
@pytest.fixture
def store(): return "mine"
"""
PLUGIN = """
import pytest
import wilk

class Guard:
    @wilk.hookimpl
    def before_save(self, kind, record):
        if kind == "pin":
            raise wilk.Rejected("no pins")

@pytest.fixture
def wilk_plugins(): return [Guard()]

@pytest.fixture
def wilk_settings(): return {"default_model": "small"}
"""
SHARED = """
import pytest
import wilk

@pytest.fixture(scope="session")
def shared():
    with wilk.open_store("sqlite:///:memory:") as opened:
        yield opened
"""

# A folder of a project each: its conftest.py, and its tests.
PROJECT = {
    "new": ("", """
def test_one(store):
    store.sessions.create(id="s")
    assert store.settings.url == "sqlite:///:memory:"

def test_two(store):
    assert store.sessions.find("s") is None

def test_knows_no_other_plugins(store):
    assert {one.distribution for one in store.host.plugins() if one.status == "loaded"} == {"wilk"}
"""),
    "own": (OWN, "def test_it(store): assert store == 'mine'\n"),
    "plugin": (PLUGIN, """
import pytest
import wilk

def test_it(store):
    session = store.sessions.create()
    assert session.model == "small"
    with pytest.raises(wilk.Rejected):
        store.pins.add(session.id, "x")
"""),
    "awaited": ("", """
import asyncio
import threading

def test_it(async_store):
    async def work():
        async with async_store.transaction():
            await async_store.sessions.create(id="s")
        assert (await async_store.sessions.get("s")).id == "s"
    asyncio.run(work())

def test_then():
    assert [thread.name for thread in threading.enumerate() if "wilk" in thread.name] == []
"""),
    "factory": ("", """
import wilk

class Mine:
    @wilk.hookimpl
    def score_importance(self, score): return 1.0

def test_several(wilk_store_factory, tmp_path):
    one, two, three = (wilk_store_factory(on_disk=disk) for disk in (True, True, False))
    one.sessions.create(id="s")
    assert two.sessions.find("s") is None and three.sessions.find("s") is None
    assert one.home.parent == tmp_path and (one.home / "wilk.db").exists()

def test_given(wilk_store_factory):
    store = wilk_store_factory(Mine(), clock=wilk.Clock(lambda: 1_000_000), compaction="manual")
    session = store.sessions.create()
    assert session.created_at.year == 1970
    assert store.messages.append(session.id, "user", "x").importance == 1.0
    assert store.settings.compaction == "manual"

def test_installed(wilk_store_factory):
    store = wilk_store_factory(installed=True)
    assert "disabled" not in {one.status for one in store.host.plugins(load=False)}

def test_misspelled(wilk_store_factory):
    wilk_store_factory(default_mode="x")
"""),
    "forgetful": ("", """
import asyncio
import threading
import wilk

def test_sync(wilk_stores, tmp_path):
    wilk.open_store(f"sqlite:///{tmp_path}/x.db")

def test_async(wilk_stores):
    async def work():
        store = await wilk.open_async_store("sqlite:///:memory:")
        await store.sessions.create()
    asyncio.run(work())

def test_in_a_transaction(store):
    other = wilk.open_store("sqlite:///:memory:")
    other.transaction().__enter__()

def test_tidy(wilk_stores):
    with wilk.open_store("sqlite:///:memory:"):
        pass
    async def work():
        async with wilk.open_async_store("sqlite:///:memory:"):
            pass
    asyncio.run(work())

def test_threads():
    assert [thread.name for thread in threading.enumerate() if "wilk" in thread.name] == []
"""),
    "shared": (SHARED, """
def test_one(shared, store): shared.sessions.create(id="s")
def test_two(store, shared): assert shared.sessions.get("s")
"""),
}  # fmt: skip
PASS = (
    "new::test_one", "new::test_two", "new::test_knows_no_other_plugins", "own::test_it", "plugin::test_it",
    "awaited::test_it", "awaited::test_then", "factory::test_several", "factory::test_given",
    "factory::test_installed", "forgetful::test_sync", "forgetful::test_async",
    "forgetful::test_in_a_transaction", "forgetful::test_tidy", "forgetful::test_threads", "shared::test_one",
    "shared::test_two",
)  # fmt: skip

UNUSED = """
import sys

def test_it():
    print("MODULES", *[name for name in sys.modules if name.partition(".")[0] in ("wilk", "peewee", "orjson", "yaml")])
"""


def outcome(folder: Path, *options: str, variables: dict[str, str] | None = None) -> str:
    """What pytest says of the project; the plugin comes by its entry point."""
    plain = (
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:hypothesispytest",
        "--import-mode=importlib",
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "WILK_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-q", *plain, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**environment, "XDG_CACHE_HOME": str(folder / "cache"), **(variables or {})},
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "pytest.ini").write_text("[pytest]\n")
    for name, (conftest, tests) in PROJECT.items():
        folder = root / name
        folder.mkdir()
        (folder / "conftest.py").write_text(conftest)
        (folder / "test_it.py").write_text(tests.lstrip())
    (root / "unused.py").write_text(UNUSED)
    return root


@pytest.fixture(scope="module")
def said(project: Path) -> str:
    """Of all its tests, where a variable leads elsewhere."""
    return outcome(project, variables={"WILK_URL": f"sqlite:///{project}/real.db"})


@pytest.mark.parametrize("test", PASS)
def test_a_project_gets_what_it_asks_for(said: str, test: str) -> None:
    folder, _, name = test.partition("::")
    assert f"PASSED {folder}/test_it.py::{name}" in said


def test_no_store_but_those_of_the_tests_is_opened(said: str, project: Path) -> None:
    assert "passed" in said
    assert not (project / "real.db").exists()


def test_a_setting_that_is_none_is_named(said: str) -> None:
    assert "FAILED factory/test_it.py::test_misspelled" in said
    assert "there is no setting 'default_mode'; did you mean 'default_model'?" in said


def test_a_store_that_was_forgotten_is_told_with_the_line_that_opened_it(said: str) -> None:
    told = [line for line in said.splitlines() if "StoreLeftOpen: a store was left open" in line]
    lines = {line.rpartition(":")[2] for line in told if "forgetful" in line}
    assert lines == {"6", "10", "15"}
    assert all("forgetful" in line for line in told)


def test_a_store_that_was_forgotten_fails_its_test_where_warnings_do(project: Path) -> None:
    said = outcome(project, "-W", "error::wilk.testing.fixtures.StoreLeftOpen", "forgetful")
    assert "5 passed, 3 errors" in said


def test_a_project_that_does_not_use_it_pays_nothing(project: Path) -> None:
    said = outcome(project, "-s", "unused.py")
    (line,) = [line for line in said.splitlines() if "MODULES" in line]
    loaded = set(line.partition("MODULES")[2].split())
    assert "wilk.testing.fixtures" in loaded
    assert loaded <= {
        "wilk",
        "wilk.testing",
        *(f"wilk.testing.{name}" for name in ("fixtures", "summary", "grades")),
    }
