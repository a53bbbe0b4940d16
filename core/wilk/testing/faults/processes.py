"""Starts the processes that faults are done to, hears what they say, and kills them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

KILLED = -9
_CHILD = [sys.executable, "-m", "wilk.testing.faults.child"]


class Child:
    """A process with one job."""

    def __init__(self, owner: Processes, number: int, report: Path) -> None:
        self._owner = owner
        self._report = report
        self.number = number
        self.process: int | None = None
        self.status: int | None = None

    def said(self) -> list[dict[str, Any]]:
        """What it has said so far."""
        with suppress(FileNotFoundError):
            *lines, _ = self._report.read_bytes().split(b"\n")
            return [json.loads(line) for line in lines]
        return []

    def errors(self) -> str:
        """What it wrote on standard error; a traceback, if it failed."""
        with suppress(FileNotFoundError):
            return Path(f"{self._report}.errors").read_text(errors="replace")
        return ""

    def heard(self, said: str, count: int = 1, timeout: float = 60.0) -> bool:
        """Wait until it has said something so many times; False when it ended, or time was up, before."""
        end = time.monotonic() + timeout
        while True:
            over = self.status is not None or time.monotonic() > end
            if [one["said"] for one in self.said()].count(said) >= count:
                return True
            if over:
                return False
            self._owner.listen(0.001)

    def wait(self, timeout: float = 60.0) -> int | None:
        """Wait for its end; return its exit code, below 0 the signal that ended it, or None if it did not."""
        end = time.monotonic() + timeout
        while self.status is None and time.monotonic() < end:
            self._owner.listen(min(0.1, max(0.0, end - time.monotonic())))
        return self.status

    def kill(self) -> None:
        """Kill it (SIGKILL: it gets to do nothing more), and wait for its end."""
        self._owner.kill(self)
        self.wait()


class Processes:
    """The processes of one run of pytest; where it can be, forked from one that has imported wilk."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wilk-faults-")
        self._jobs = 0
        self._children: dict[int, Child] = {}
        self._alone: dict[int, subprocess.Popen[bytes]] = {}
        self._nursery: subprocess.Popen[bytes] | None = None
        self._heard = b""

    def start(self, run: str, job: Mapping[str, Any]) -> Child:
        """Have ``run`` (``module:function``) called with the job and a report in a process of its own."""
        self._jobs += 1
        number = self._jobs
        report = Path(self._folder.name, str(number))
        told = {
            **job,
            "run": run,
            "number": number,
            "report": str(report),
            "environment": dict(os.environ),
            "path": sys.path,
            "folder": str(Path.cwd()),
        }
        child = self._children[number] = Child(self, number, report)
        if not hasattr(os, "fork"):
            file = Path(f"{report}.job")
            file.write_text(json.dumps(told))
            alone = self._alone[number] = subprocess.Popen([*_CHILD, str(file)])  # noqa: S603 (this Python)
            child.process = alone.pid
            return child
        stdin = self._open().stdin
        assert stdin is not None
        stdin.write(json.dumps(told).encode() + b"\n")
        stdin.flush()
        while child.process is None:
            self.listen(1.0)
        return child

    def listen(self, timeout: float) -> None:
        """Hear of processes that started and ended, waiting for that at most ``timeout`` seconds."""
        if self._nursery is None:
            time.sleep(min(timeout, 0.005))
            for number, alone in self._alone.items():
                self._children[number].status = alone.poll()
            return
        stdout = self._nursery.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], timeout)[0]:
            return
        read = os.read(stdout.fileno(), 1 << 16)
        if not read:
            raise RuntimeError("the process that starts others for the faults has ended")
        *lines, self._heard = (self._heard + read).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if "started" in event:
                self._children[event["started"]].process = event["process"]
            else:
                self._children.pop(event["ended"]).status = event["status"]

    def kill(self, child: Child) -> None:
        if child.number in self._alone:
            self._alone[child.number].kill()
        elif child.status is None and child.process is not None:
            # Its parent has not said that it ended, so that the number may at worst be one of the dead.
            with suppress(ProcessLookupError):
                os.kill(child.process, 9)

    def close(self) -> None:
        """End what still runs."""
        for alone in self._alone.values():
            alone.kill()
            alone.wait()
        if self._nursery is not None:
            assert self._nursery.stdin is not None
            assert self._nursery.stdout is not None
            self._nursery.stdin.close()
            self._nursery.wait()
            self._nursery.stdout.close()
            self._nursery = None
        self._folder.cleanup()

    def _open(self) -> subprocess.Popen[bytes]:
        if self._nursery is None:
            self._nursery = subprocess.Popen(  # noqa: S603 (dito)
                _CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self._folder.name
            )
        return self._nursery


_KEY = pytest.StashKey[Processes]()


def of(config: pytest.Config) -> Processes:
    """The processes of a run; they end with it."""
    if _KEY not in config.stash:
        started = config.stash[_KEY] = Processes()
        config.add_cleanup(started.close)
    return config.stash[_KEY]
