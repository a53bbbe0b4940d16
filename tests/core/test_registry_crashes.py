"""Killed at every commit and every write to a file, an agent is as it was, or as it was to be."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.engines import ask
from tests.places import Places

import wilk
from wilk.definitions.installing import Installing

from .crashing import WORK
from .packaging import FILES, Shelf, agent, files_of, package, settings

SCRIPT = Path(__file__).with_name("crashing.py")
NEW = {"README.md": "# Better\n", "tools/more.py": "more\n"}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, places: Places) -> dict[str, Path]:
    """A home folder per work, as it is just before the work is done."""
    folder = tmp_path_factory.mktemp("registry-crashes")
    shelf = Shelf(folder / "shelf")
    shelf.put(package())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.delenv("WILK_URL", raising=False)
        patch.setenv("WILK_DISABLED_PLUGINS", "wilk-audit,wilk-tokens,wilk-keywords,wilk-openai")
        places.make(folder / "install", f"registries: {{main: {json.dumps(str(shelf.root))}}}\n")
        with wilk.open_store(home=folder / "install") as store:
            store.sync()
            store.registry.search()
        places.copy(folder / "install", folder / "upgrade")
        with wilk.open_store(home=folder / "upgrade") as store:
            store.registry.install("reviewer")
            file = folder / "upgrade" / "agents" / "reviewer" / "agent.yaml"
            file.write_text(file.read_text().replace("temperature: 0.1", "temperature: 0.7  # warm"))
            store.sync()
        places.copy(folder / "upgrade", folder / "uninstall")
        shelf.put(package("2.0.0", NEW), version="2.0.0")
        with wilk.open_store(home=folder / "upgrade") as store:
            store.registry.refresh(force=True)
    return {work: folder / work for work in ("install", "upgrade", "uninstall")}


def run(home: Path, work: str, boundary: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(home), work, str(boundary)],
        capture_output=True,
        text=True,
        check=False,
    )


def state(home: Path) -> tuple[Any, ...]:
    """What a user sees of it: the files, the agent's row, and the installation's."""
    agents = home / "agents"
    with wilk.open_store(home=home, readonly=True) as store:
        rows = ask(store, "SELECT id, version, archived_at IS NULL, revision FROM agents")
        installed = ask(store, "SELECT id, version, files FROM installations")
    return (files_of(agents) if agents.exists() else {}, rows, installed)


@pytest.mark.slow
@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("work", ["install", "upgrade", "uninstall"])
def test_killed_at_every_boundary(work: str, homes: dict[str, Path], tmp_path: Path, places: Places) -> None:
    whole = tmp_path / "whole"
    places.copy(homes[work], whole)
    done = run(whole, work, 0)
    assert done.returncode == 0, done.stderr
    before, after = state(homes[work]), state(whole)
    assert before != after
    killed = 0
    for boundary in count(1):
        home = tmp_path / f"at {boundary}"
        places.copy(homes[work], home)
        first = run(home, work, boundary)
        if first.returncode == 0:
            break
        assert first.returncode == -signal.SIGKILL, first.stderr
        killed += 1
        each = {path: text for path, text in state(home)[0].items() if "/.wilk-" not in f"/{path}"}
        assert each.items() <= before[0].items() | after[0].items(), (
            "a file is neither as it was nor as it is to be"
        )
        with wilk.open_store(home=home) as store:
            WORK[work](store)
            assert state(home) == after, f"after boundary {boundary}"
            assert [one for one in store.sync().changes if one.kind != "config"] == []
            assert [one.missing for one in store.registry.installed()] in ([], [[]])
        shutil.rmtree(home)
    assert killed >= 8


def interrupted(store: wilk.Store, work: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Do something that stops, as if killed, when its plan is written and nothing was moved."""

    class Killed(BaseException):
        pass

    def stop(*arguments: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("wilk.definitions.installing._Moves.make", stop)
        patch.setattr("wilk.definitions.installing._Moves.__exit__", lambda *_: None)
        patch.setattr("wilk.definitions.installing._drop", lambda stage: None)
        with pytest.raises(Killed):
            work()


@pytest.fixture
def shop(home: Path, tmp_path: Path) -> Any:
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(package())
    settings(home, main=shelf.root)
    with wilk.open_store(home=home) as store:
        store.registry.install("reviewer")
        shelf.put(package("2.0.0", NEW), version="2.0.0")
        store.registry.refresh(force=True)
        yield store


def test_what_a_person_changed_after_the_crash_is_kept(
    shop: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(shop, lambda: shop.registry.update("reviewer"), monkeypatch)
    folder = home / "agents" / "reviewer"
    assert files_of(folder) == {"agent.yaml": agent(), **FILES}
    (folder / "README.md").write_text("mine")
    assert [one.changed for one in shop.registry.update()] == [False]
    assert files_of(folder) == {
        "agent.yaml": agent("2.0.0"), "README.md": "mine", "README.md.package": NEW["README.md"],
        "tools/more.py": NEW["tools/more.py"],
    }  # fmt: skip
    assert [(one.version, one.edited) for one in shop.registry.installed()] == [("2.0.0", ["README.md"])]


def test_a_plan_that_cannot_be_read_is_told(shop: wilk.Store, home: Path) -> None:
    stage = home / "agents" / ".wilk-other"
    stage.mkdir()
    (stage / "plan.json").write_text("{")
    with pytest.raises(wilk.BackendError, match="cannot be read"):
        shop.registry.update()
    assert stage.exists()


def test_a_file_that_changes_at_the_last_moment_stops_it(
    shop: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Installing._check_unchanged

    def late(*arguments: Any) -> None:
        (home / "agents" / "reviewer" / "README.md").write_text("mine")
        check(*arguments)

    monkeypatch.setattr(Installing, "_check_unchanged", late)
    with pytest.raises(wilk.Conflict, match="was changed just now"):
        shop.registry.update("reviewer")
    assert files_of(home / "agents" / "reviewer") == {"agent.yaml": agent(), **FILES, "README.md": "mine"}
    assert [one.version for one in shop.registry.installed()] == ["1.0.0"]


@pytest.mark.slow
def test_of_several_processes_that_install_at_once_one_does(home: Path, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(package())
    settings(home, main=shelf.root)
    with wilk.open_store(home=home) as store:
        store.registry.search()
    command = [sys.executable, "-m", "wilk", "registry", "install", "reviewer", "--home", str(home)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    told = [one.communicate(timeout=60) for one in running]
    assert sorted(one.returncode for one in running) == [0, 1, 1, 1], told
    assert all("is installed" in err for (_, err), one in zip(told, running, strict=True) if one.returncode)
    with wilk.open_store(home=home) as store:
        assert files_of(home / "agents") == {
            f"reviewer/{path}": text for path, text in {"agent.yaml": agent(), **FILES}.items()
        }
        assert [one.edited for one in store.registry.installed()] == [[]]


def test_another_process_that_holds_the_folder_is_told(home: Path, shop: wilk.Store, hurried: None) -> None:
    from wilk.archives.locking import locked

    with wilk.open_store(home=home) as store, locked(home / ".registry.lock", 1), pytest.raises(wilk.Busy):
        store.registry.update()
