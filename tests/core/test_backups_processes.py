"""Backups while processes write, and processes that are killed while they make or restore one."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

import wilk

pytestmark = [pytest.mark.sqlite, pytest.mark.slow]

HERE = Path(__file__).parent
WRITERS = 8


class Writers:
    """Processes that write, each into a session of its own."""

    def __init__(self, folder: Path) -> None:
        self.files = {f"writer-{n}": folder / f"writer-{n}" for n in range(WRITERS)}
        command = [sys.executable, str(HERE / "backups_worker.py")]
        self.processes = [
            subprocess.Popen(
                [*command, id, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for id, file in self.files.items()
        ]
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def acknowledged(self) -> dict[str, int]:
        return {id: int(file.read_bytes() or b"0") for id, file in self.files.items()}

    def wait_for(self, more: int) -> None:
        """Until each has written so many messages more."""
        before = self.acknowledged()
        while any(number < before[id] + more for id, number in self.acknowledged().items()):
            assert all(process.poll() is None for process in self.processes)
            time.sleep(0.02)

    def stop(self) -> None:
        for process in self.processes:
            process.communicate("stop\n", timeout=60)
            assert process.returncode == 0


@pytest.fixture(autouse=True)
def _uncompacted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all messages stay where they are counted here."""
    monkeypatch.setenv("WILK_COMPACTION", "manual")


@contextmanager
def writers(folder: Path) -> Iterator[Writers]:
    with ExitStack() as stack:
        made = Writers(folder)
        for process in made.processes:
            stack.callback(process.kill)
        yield made
        made.stop()


def check(file: Path) -> dict[str, int]:
    """Nothing refers to nothing, and no session has a hole; return how many messages each has."""
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        found = {}
        for id, number in connection.execute("SELECT id, message_count FROM sessions").fetchall():
            rows = connection.execute(
                "SELECT sequence, text FROM messages WHERE session_id = ? ORDER BY sequence", (id,)
            ).fetchall()
            assert [sequence for sequence, _ in rows] == [*range(1, len(rows) + 1)]
            assert number == len(rows)
            if id.startswith("writer"):
                assert [text for _, text in rows] == [f"{id} {n}" for n in range(1, len(rows) + 1)]
                found[id] = len(rows)
        return found


def test_backups_while_eight_processes_write_hold_all_that_was_acknowledged(tmp_path: Path) -> None:
    with wilk.open_store() as store, writers(tmp_path) as working:
        working.wait_for(5)
        made = []
        for _ in range(3):
            before = working.acknowledged()
            made.append((store.backups.create(), before, working.acknowledged()))
            working.wait_for(5)
        for number, (backup, before, after) in enumerate(made):
            assert store.backups.verify(backup.id).good
            new = tmp_path / f"new-{number}"
            store.backups.restore(backup.id, to=new)
            found = check(new / "wilk.db")
            assert all(before[id] <= found[id] <= after[id] + 1 for id in before)


def test_a_restore_under_writers_leaves_no_hole(tmp_path: Path) -> None:
    """What was written since goes; they write on behind what was put back."""
    home = tmp_path / "home"
    with wilk.open_store() as store:
        with writers(tmp_path) as working:
            working.wait_for(5)
            made = store.backups.create()
            working.wait_for(20)
            store.backups.restore(made.id)
            working.wait_for(20)
        with closing(sqlite3.connect(home / "wilk.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        for id in working.files:
            rows = store.messages.page(id, limit=5000)
            assert [one.sequence for one in rows] == [*range(1, len(rows) + 1)]
            numbers = [one.metadata["n"] for one in rows]
            assert numbers == sorted(numbers)
            assert any(later - earlier >= 15 for earlier, later in pairwise(numbers))


def test_two_processes_do_not_make_one_by_interval_at_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.yaml").write_text("backup_interval: 1h\n")
    script = "import wilk\nwith wilk.open_store() as store: store.settle()"
    processes = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(6)]
    assert [process.wait(60) for process in processes] == [0] * 6
    with wilk.open_store() as store:
        store.settle()
        assert [(one.why, one.good) for one in store.backups.list()] == [("interval", True)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a backup, and with other rows and files than are in it."""
    home = tmp_path_factory.mktemp("killed") / "home"
    (home / "personas").mkdir(parents=True)
    (home / "config.yaml").write_text("archive: jsonl\n")
    persona = home / "personas/wolf.yaml"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WILK_DISABLED_PLUGINS", "wilk-audit")
        with wilk.open_store(home=home) as store:
            persona.write_text("name: Wolf\nprompt: then\n")
            store.sync()
            for id in ("then", "gone"):
                store.sessions.create(id=id)
                store.messages.append(id, "user", id)
            store.sessions.remove("gone")
            store.settle()
            store.backups.create(name="first")
            store.sessions.remove("then")
            store.sessions.create(id="now")
            persona.write_text("name: Wolf\nprompt: now\n")
            (home / "personas/bear.yaml").write_text("name: Bear\nprompt: now\n")
            store.sync()
            store.settle()
    return home


def run(what: str, boundary: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "backups_killed.py"), what, str(boundary)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def count(what: str, template: Path, home: Path) -> int:
    """How many boundaries there are."""
    for _ in range(2):  # the first one also notes which plugins there are
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(template, home)
        found = int(run(what, 0).stdout)
    return found


def is_then(store: wilk.Store) -> bool:
    """Whether all is as in the backup; False where all is as it was before it was restored."""
    found = (
        [one.id for one in store.sessions.list()],
        [(one.id, one.prompt) for one in store.personas.list()],
        sorted(file.name for file in (store.settings.home or Path()).glob("personas/*")),
    )
    then = (["then"], [("wolf", "then")], ["wolf.yaml"])
    now = (["now"], [("bear", "now"), ("wolf", "now")], ["bear.yaml", "wolf.yaml"])
    assert found in (then, now)
    return found == then


def test_killed_while_it_is_made_there_is_a_whole_backup_or_none(
    template: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boundaries = count("create", template, home)
    assert boundaries > 20
    for boundary in range(1, boundaries + 1, 2):
        shutil.rmtree(home)
        shutil.copytree(template, home)
        assert run("create", boundary).returncode == -signal.SIGKILL
        with wilk.open_store() as store:
            found = [one for one in store.backups.list() if one.name == "new" or not one.good]
            assert all(store.backups.verify(one.id).good for one in found), boundary
            if not found:
                store.backups.create(name="new")
            left = [path.name for path in (home / "backups").iterdir() if path.name.endswith(".partial")]
            assert left == []


def test_killed_while_it_is_restored_it_is_refused_or_whole_and_can_be_done_again(
    template: Path, home: Path
) -> None:
    boundaries = count("restore", template, home)
    assert boundaries > 40
    refused = 0
    for boundary in range(1, boundaries + 1, 5):
        shutil.rmtree(home)
        shutil.copytree(template, home)
        assert run("restore", boundary).returncode == -signal.SIGKILL
        try:
            wilk.open_store().close()
        except wilk.Conflict as error:
            refused += "backup restore" in str(error)
        else:
            with wilk.open_store() as store:
                store.sync()
                is_then(store)
        done = run("restore", 0)
        assert done.returncode == 0, (boundary, done.stderr)
        with wilk.open_store() as store:
            assert is_then(store), boundary
            assert store.archive.restore(session="gone")
            assert not (home / "backups" / ".restoring").exists()
            safeties = [one for one in store.backups.list() if one.why == "before-restore"]
            assert safeties
            assert all(one.good for one in safeties)
    assert refused
