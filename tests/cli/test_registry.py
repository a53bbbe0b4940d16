"""``wilk registry``."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from .conftest import Result
from .test_start_up import HEAVY, modules_after

Run = Callable[..., Result]

AGENT = """\
# Looks at what others wrote.
name: Reviewer
version: {version}
category: development
model: {{provider: openai, name: gpt-4}}
"""


def offer(root: Path, version: str = "1.0.0", definition: str = AGENT) -> None:
    """Put a package into a folder, with an index of it alone."""
    made = BytesIO()
    with ZipFile(made, "w") as archive:
        archive.writestr("agent.yaml", definition.format(version=version))
        archive.writestr("tools/diff.py", "def run(): ...\n")
    root.mkdir(exist_ok=True)
    (root / "reviewer.zip").write_bytes(made.getvalue())
    entry = {
        "name": "reviewer", "version": version, "location": "reviewer.zip", "category": "development",
        "checksum": sha256(made.getvalue()).hexdigest(), "downloads": 12, "rating": 4.5, "tags": ["code"],
        "description": "reads diffs", "size": len(made.getvalue()), "homepage": "https://example.org",
    }  # fmt: skip
    (root / "index.json").write_text(json.dumps({"packages": [entry]}))


@pytest.fixture
def shelf(tmp_path: Path, home: Path) -> Path:
    home.mkdir()
    (home / "config.yaml").write_text(f"registries: {{main: {tmp_path}/shelf}}\n")
    offer(tmp_path / "shelf")
    return tmp_path / "shelf"


@pytest.fixture
def edited(good: Run, home: Path, shelf: Path) -> Path:
    """An installed agent that was edited, while its package changed as well; gives the file."""
    good("registry", "install", "reviewer")
    file = home / "agents" / "reviewer" / "agent.yaml"
    file.write_text(file.read_text().replace("gpt-4", "mine"))
    offer(shelf, "2.0.0", AGENT.replace("gpt-4", "gpt-5"))
    good("registry", "refresh")
    return file


def test_search_shows_what_there_is(good: Run, shelf: Path) -> None:
    assert good("registry", "search").out == (
        "NAME      VERSION  CATEGORY     DOWNLOADS  RATING  SOURCE  DESCRIPTION\n"
        "reviewer  1.0.0    development         12     4.5  main    reads diffs\n"
    )


def test_search_narrows(good: Run, shelf: Path) -> None:
    assert [one["name"] for one in good("registry", "search", "reads", "--tag", "code", "--json").json] == [
        "reviewer"
    ]
    assert good("registry", "search", "--category", "poetry").out == "no package is like that\n"


def test_search_without_sources_says_what_names_them(good: Run) -> None:
    assert good("registry", "search").out == "no sources; the setting registries names them\n"


def test_search_tells_of_a_source_that_is_away_and_uses_what_is_known(
    good: Run, wilk: Run, shelf: Path, home: Path
) -> None:
    good("registry", "search")
    (home / "config.yaml").write_text(f"registries: {{main: {shelf}}}\ncaches: {{registry: {{ttl: 0s}}}}\n")
    good("registry", "refresh")
    shutil.rmtree(shelf)
    result = wilk("registry", "search")
    assert result.code == 0
    assert "reviewer" in result.out
    assert "source main cannot be asked" in result.err


def test_show_tells_everything(good: Run, shelf: Path) -> None:
    shown = good("registry", "show", "reviewer").out
    for said in ("reads diffs", "4.5", "12", "https://example.org", "checksum", "reviewer.zip"):
        assert said in shown
    assert good("registry", "show", "main/reviewer", "--json").json["versions"] == ["1.0.0"]


def test_show_of_nothing_is_an_error(wilk: Run, shelf: Path) -> None:
    result = wilk("registry", "show", "nothing")
    assert (result.code, result.err) == (
        1, "wilk: error: no package 'nothing'; `wilk registry search` shows the ones there are\n",
    )  # fmt: skip


def test_install_tells_of_python_files(good: Run, shelf: Path) -> None:
    assert good("registry", "install", "reviewer").out == (
        "installed main/reviewer 1.0.0 as agent reviewer\n"
        "agent reviewer brings Python files (tools/diff.py), which run only if custom_tools is set\n"
    )
    assert "reviewer" in good("agents", "list").out


def test_install_may_be_quiet_or_json(good: Run, shelf: Path) -> None:
    assert good("registry", "install", "reviewer", "--quiet", "--id", "a").out == "a\n"
    (shelf / "reviewer.zip").unlink()
    offer(shelf, "1.0.0", AGENT.replace("Reviewer", "Another"))
    good("registry", "refresh")
    assert good("registry", "install", "reviewer", "--id", "b", "--json").json["id"] == "b"


def test_install_of_a_changed_package_is_an_error(wilk: Run, shelf: Path) -> None:
    wilk("registry", "search")
    (shelf / "reviewer.zip").write_bytes(b"other")
    result = wilk("registry", "install", "reviewer")
    assert result.code == 1
    assert "SHA-256" in result.err


def test_installed_shows_what_was_edited(good: Run, edited: Path) -> None:
    first, second = good("registry", "installed").out.splitlines()
    assert first.split() == ["ID", "PACKAGE", "VERSION", "AVAILABLE", "EDITED", "MISSING", "SINCE"]
    assert second.split()[:5] == ["reviewer", "main/reviewer", "1.0.0", "2.0.0", "agent.yaml"]


def test_update_tells_what_it_did(good: Run, shelf: Path, home: Path) -> None:
    good("registry", "install", "reviewer")
    offer(shelf, "2.0.0")
    good("registry", "refresh")
    assert good("registry", "update").out == "reviewer: 1.0.0 → 2.0.0\n  replaced agent.yaml\n"
    assert good("registry", "update").out == "reviewer: nothing newer than 2.0.0\n"


def test_update_says_that_it_cannot(wilk: Run, edited: Path) -> None:
    before = edited.read_text()
    one, every = wilk("registry", "update", "reviewer"), wilk("registry", "update")
    assert (one.code, every.code) == (1, 1)
    assert "agent.yaml: both changed model.name" in one.err
    assert "agent.yaml: both changed model.name" in every.out
    assert edited.read_text() == before


def test_update_keeps_the_side_that_is_named(good: Run, edited: Path) -> None:
    before = edited.read_text()
    assert good("registry", "update", "--keep", "package").out == (
        "reviewer: 1.0.0 → 2.0.0\n  merged agent.yaml; yours is agent.yaml.local\n"
    )
    assert "gpt-5" in edited.read_text()
    assert edited.with_name("agent.yaml.local").read_text() == before


def test_update_to_a_version_wants_an_agent(wilk: Run, shelf: Path) -> None:
    assert wilk("registry", "update", "--version", "1").code == 2


def test_remove_asks_first(wilk: Run, good: Run, shelf: Path) -> None:
    good("registry", "install", "reviewer")
    assert wilk("registry", "remove", "reviewer").code == 2
    assert good("registry", "remove", "reviewer", "--yes").out == "removed agent reviewer\n"
    assert good("agents", "list", "--json").json == []


def test_remove_of_an_edited_agent_wants_force(wilk: Run, good: Run, edited: Path) -> None:
    refused = wilk("registry", "remove", "reviewer", "--yes")
    assert (refused.code, edited.exists()) == (1, True)
    good("registry", "remove", "reviewer", "--yes", "--force")
    assert edited.with_name("agent.yaml.local").exists()


def test_remove_of_what_was_not_installed_is_an_error(wilk: Run, shelf: Path) -> None:
    result = wilk("registry", "remove", "nobody", "--yes")
    assert (result.code, result.err) == (
        1, "wilk: error: no installed agent 'nobody'; `wilk registry installed` shows the ones there are\n",
    )  # fmt: skip


def test_sources_and_refresh_tell_of_each(good: Run, wilk: Run, shelf: Path) -> None:
    assert good("registry", "sources").out.splitlines()[1].split() == ["main", str(shelf), "0", "never"]
    assert good("registry", "refresh").out == "main: 1 package\n"
    (shelf / "index.json").write_text('{"packages": [{"name": "../x"}]}')
    (shelf / "reviewer.zip").unlink()
    assert "left out ../x" in wilk("registry", "refresh").out
    shutil.rmtree(shelf)
    assert wilk("registry", "refresh").code == 1


def test_pack_makes_what_can_be_installed(good: Run, shelf: Path, tmp_path: Path) -> None:
    good("registry", "install", "reviewer")
    packed = good("registry", "pack", "reviewer", "--to", str(tmp_path / "out"), "--quiet").out.strip()
    assert sorted(ZipFile(packed).namelist()) == ["agent.yaml", "tools/diff.py"]


@pytest.mark.parametrize("command", ["search", "installed", "sources"])
@pytest.mark.sqlite
def test_lists_import_nothing_heavy(good: Run, shelf: Path, command: str) -> None:
    good("registry", "search")
    heavy = {*HEAVY, "peewee", "urllib.request", "zipfile"} - {"yaml"}  # the settings name the sources
    assert modules_after("registry", command) & heavy == set()


def test_what_a_killed_process_began_to_install_can_be_removed(
    good: Run, wilk: Run, home: Path, shelf: Path
) -> None:
    program = (
        "import os, signal\n"
        "from wilk.cli import main\n"
        "from wilk.definitions.installing import Installing\n"
        "Installing._note = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main(['registry', 'install', 'reviewer'])"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert good("registry", "installed", "--json").json == []
    removed = wilk("registry", "remove", "reviewer", "--yes")
    assert (removed.code, removed.out) == (0, "removed agent reviewer\n")
    assert "finished what another process had begun" in removed.err
    assert [path for path in (home / "agents").rglob("*") if path.is_file()] == []
    assert good("agents", "list", "--json").json == []
