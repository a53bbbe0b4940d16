"""The processes that faults are done to: ``python -m wilk.testing.faults.child`` forks one for every job.

A job is a line of JSON: which function is to run with it, and where to report. It reports into a file,
a line at a time, so that what was said outlives a kill as surely as what was written.
"""

from __future__ import annotations

import json
import os
import pkgutil
import select
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

Job = Mapping[str, Any]
_PATIENCE = 0.005


class Report:
    """What a process says of itself: a file of lines."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        self.around: Callable[[Callable[[], object]], object] = lambda write: write()
        """Called to write: a disk that is full for others has room for this."""

    def __call__(self, said: str, **more: Any) -> None:
        line = json.dumps({"said": said, **more}).encode() + b"\n"
        with self._lock:
            self.around(lambda: os.write(self._file, line))


def run(job: Job) -> int:
    """Do a job in this process; return the exit code."""
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["folder"])
    sys.path[:] = job["path"]
    errors = os.open(job["report"] + ".errors", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(errors, 2)
    report = Report(job["report"])
    module, _, name = job["run"].partition(":")
    try:
        getattr(import_module(module), name)(job, report)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()
    return 0


def nursery() -> None:
    """Fork a process for every job on standard input; say its number, and later how it ended."""
    # What every job needs is imported once. None of it starts a thread, so that forking is safe.
    names = ("peewee", "numpy", "wilk.testing.faults.script", "wilk.testing.faults.storm")
    for name in (*names, *_modules("wilk.services"), *_modules("wilk.models")):
        import_module(name)
    running: dict[int, int] = {}
    waiting, ended = b"", False
    while not ended or running:
        if select.select([] if ended else [0], [], [], _PATIENCE if running or ended else None)[0]:
            read = os.read(0, 1 << 16)
            ended = not read
            waiting += read
            *lines, waiting = waiting.split(b"\n")
            for line in lines:
                job = json.loads(line)
                number = os.fork()
                if not number:
                    os.close(0)
                    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                    os._exit(run(job))
                running[number] = job["number"]
                _say(started=job["number"], process=number)
            if ended:
                for number in running:
                    os.kill(number, 9)
        _reap(running)


def _modules(package: str) -> Iterator[str]:
    folder = import_module(package).__path__
    return (found.name for found in pkgutil.walk_packages(folder, f"{package}."))


def _reap(running: dict[int, int]) -> None:
    while running:
        number, status = os.waitpid(-1, os.WNOHANG)
        if not number:
            return
        _say(ended=running.pop(number), status=os.waitstatus_to_exitcode(status))


def _say(**event: int) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:  # where nothing can be forked, a process per job
        sys.exit(run(json.loads(Path(sys.argv[1]).read_bytes())))
    nursery()
