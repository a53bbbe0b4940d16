"""``wilk watch``, in a process of its own, following real edits."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import AGENT

PATIENCE = 30.0


class Watching:
    """A running ``wilk watch`` whose lines are read as they come."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wilk", "watch", *options],
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))

    def until(self, part: str) -> str:
        """The next line that holds a text."""
        while part not in (line := self._lines.get(timeout=PATIENCE)):
            pass
        return line

    def event(self, name: str) -> Any:
        """The next event of that name, for ``--json``."""
        return json.loads(self.until(f'"event": "{name}"'))

    def end(self, number: int) -> int:
        """Send a signal, and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def watching(agent_file: Path) -> Iterator[type[Watching]]:
    """Starts ``wilk watch``; what is left running is stopped."""
    started: list[Watching] = []

    class Started(Watching):
        def __init__(self, *options: str) -> None:
            super().__init__(*options)
            started.append(self)

    yield Started
    for one in started:
        one.close()


def replaced(file: Path, text: str) -> None:
    """Save as editors do: a temporary file, renamed over the old one."""
    temporary = file.with_name(".new")
    temporary.write_text(text)
    temporary.replace(file)


def test_each_change_is_a_line(watching: type[Watching], agent_file: Path, home: Path) -> None:
    watch = watching()
    assert watch.until("created agents/reviewer revision 1")
    assert str(home) in watch.until("watching")
    replaced(agent_file, AGENT.replace("0.1", "0.3"))
    line = watch.until("updated")
    assert line.endswith("updated agents/reviewer revision 2: model.parameters.temperature: 0.1 → 0.3")
    assert line[2] == line[5] == ":"


def test_an_error_is_told_with_its_place_and_so_is_its_end(
    watching: type[Watching], agent_file: Path
) -> None:
    watch = watching()
    watch.until("watching")
    replaced(agent_file, AGENT.replace("0.1", "warm"))
    assert "agents/reviewer/agent.yaml:9:18: model.parameters.temperature" in watch.until("broken")
    replaced(agent_file, AGENT)
    assert watch.until("healed").endswith("healed agents/reviewer/agent.yaml")


def test_a_removed_file_is_a_line(watching: type[Watching], agent_file: Path) -> None:
    watch = watching()
    watch.until("watching")
    agent_file.unlink()
    assert watch.until("archived").endswith("archived agents/reviewer revision 1")


def test_json_is_an_object_a_line(watching: type[Watching], agent_file: Path, home: Path) -> None:
    watch = watching("--json")
    assert watch.event("created")["id"] == "reviewer"
    began = watch.event("watching")
    assert (began["home"], began["mode"] in ("inotify", "native", "polling")) == (str(home), True)
    replaced(agent_file, AGENT.replace("0.1", "0.3"))
    updated = watch.event("updated")
    assert (updated["revision"], updated["differences"]) == (2, ["model.parameters.temperature: 0.1 → 0.3"])
    replaced(agent_file, "name: [")
    assert watch.event("broken")["path"] == "agents/reviewer/agent.yaml"
    replaced(agent_file, AGENT)
    assert watch.event("healed")["path"] == "agents/reviewer/agent.yaml"


def test_polling_is_told(watching: type[Watching], agent_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILK_WATCH_POLLING", "always")
    monkeypatch.setenv("WILK_WATCH_POLLING_INTERVAL", "0.1")
    watch = watching()
    assert "(polling)" in watch.until("watching")
    replaced(agent_file, AGENT.replace("0.1", "0.3"))
    assert watch.until("updated")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(watching: type[Watching], number: int, code: int) -> None:
    watch = watching()
    watch.until("watching")
    assert watch.end(number) == code
    assert watch.process.stderr is not None
    assert watch.process.stderr.read() == ""


def test_a_reader_that_leaves_ends_it(watching: type[Watching], agent_file: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "wilk", "watch"],
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        while b"watching" not in process.stdout.readline():
            pass
        process.stdout.close()
        replaced(agent_file, AGENT.replace("0.1", "0.3"))
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 141


def test_a_store_without_files_cannot_be_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WILK_HOME")
    done = subprocess.run(
        [sys.executable, "-m", "wilk", "watch", "--url", f"sqlite:///{tmp_path}/x.db"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "home" in done.stderr
    assert "Traceback" not in done.stderr
    assert "should not happen" not in done.stderr


def test_a_broken_file_of_a_store_on_files_is_healed_when_it_is_mended_and_not_before(
    watching: type[Watching], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.parent / "tree" / "conversations" / "talk"
    folder.mkdir(parents=True)
    file = folder / "current.json"
    file.write_text('{"chatTitle": "Wolves"}')
    monkeypatch.setenv("WILK_URL", f"files:///{home.parent / 'tree'}")
    watch = watching("--json")
    watch.event("watching")
    file.write_text('{"chatTitle":')
    assert watch.event("broken")["path"] == "conversations/talk/current.json"
    other = folder.parent / "other"
    other.mkdir()
    (other / "current.json").write_text("{}")  # a report that says nothing of the broken one
    watch.until('"id": "other"')
    file.write_text('{"chatTitle": "Lynxes"}')
    assert json.loads(watch.until('"event"'))["event"] == "updated"
    assert watch.event("healed")["path"] == "conversations/talk/current.json"
