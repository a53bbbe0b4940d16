"""From a save in an editor to the row in the table, with a watcher in another process."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wilk
from benchmarks import material
from benchmarks.measuring import Report, quantile

AGENTS = 100
CHECKOUT = 1000
POLL = 0.001
"""Seconds between looks at the row: the resolution of the figures."""
LIMIT = 30.0


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Save files as editors do and wait for their rows; then write a thousand at once."""
    saves = 30 if quick else 150
    report = Report("watch", f"save → row, {saves} saves of each kind among {AGENTS} agents")
    home = folder / "home"
    material.write_agents(home, AGENTS)
    context = multiprocessing.get_context("spawn")
    ready, stop, told = context.Event(), context.Event(), context.SimpleQueue()
    watcher = context.Process(target=_watch, args=(home, ready, stop, told))
    watcher.start()
    if not ready.wait(LIMIT):
        raise RuntimeError("the watcher did not start")
    every: list[float] = []
    with wilk.open_store(home=home) as store:
        for name, save in (("write in place", _in_place), ("rename over", _rename_over)):
            samples = [_seconds_to_row(store, home, number, save) for number in range(saves)]
            every += samples
            report.figure(f"{name}: each", samples, "ms")
            report.figure(f"{name}: p99", [quantile(samples, 0.99)], "ms")
        revisions = sum(store.agents.get(f"reviewer-{number}").revision - 1 for number in range(AGENTS))
        before = _told(told)
        seconds = _checkout(store, home)
        time.sleep(0.3)  # a second batch, if there were one
        batches = _told(told)
        stop.set()
        watcher.join()
    report.figure(f"checkout of {CHECKOUT:,} files: from the last write to the last row", [seconds], "ms")
    report.state("p50 of all saves", quantile(every, 0.5) * 1000, unit="ms")
    report.state("p99 of all saves", quantile(every, 0.99) * 1000, at_most=150, unit="ms")
    report.state("revisions per save", revisions / (2 * saves), at_most=1, unit="count")
    report.state("batches per save", len(before) / (2 * saves), at_most=1, unit="count")
    report.state(f"batches of a checkout of {CHECKOUT:,} files", len(batches), at_most=1, unit="count")
    if sum(batches) != CHECKOUT:
        report.notes.append(f"the checkout's batches held {sum(batches)} changes")
    return report


def _watch(home: Path, ready: Any, stop: Any, told: Any) -> None:
    """Watch a home folder in a process of its own and tell the number of changes in each batch."""
    with wilk.open_store(home=home) as store:
        watcher = store.watch(lambda report: told.put(len(report.changes)))
        while not told.empty():
            told.get()  # the first sync
        ready.set()
        stop.wait()
        watcher.stop()


def _told(told: Any) -> list[int]:
    heard = []
    while not told.empty():
        heard.append(told.get())
    return heard


def _seconds_to_row(store: wilk.Store, home: Path, number: int, save: Callable[[Path, str], None]) -> float:
    """Save a new version of an agent and wait until its row has it."""
    agent = number % AGENTS
    name = f"reviewer-{agent}"
    before = store.agents.get(name).revision
    content = material.agent(agent, patch=before + 1)
    time.sleep(0.02)
    begun = time.monotonic()
    save(material.agent_file(home, agent), content)
    begun_waiting = time.monotonic()
    while store.agents.get(name).revision == before:
        if time.monotonic() - begun_waiting > LIMIT:
            raise RuntimeError(f"{name} was saved {LIMIT:g} s ago and its row has not followed")
        time.sleep(POLL)
    return time.monotonic() - begun


def _in_place(file: Path, content: str) -> None:
    with file.open("w") as opened:
        opened.write(content)


def _rename_over(file: Path, content: str) -> None:
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(content)
    temporary.replace(file)


def _checkout(store: wilk.Store, home: Path) -> float:
    """Write a thousand new agents as fast as a checkout does, and wait for the last row."""
    for number in range(AGENTS, AGENTS + CHECKOUT):
        file = material.agent_file(home, number)
        file.parent.mkdir()
        _in_place(file, material.agent(number))
    begun = time.monotonic()
    last = f"reviewer-{AGENTS + CHECKOUT - 1}"
    while store.agents.find(last) is None or len(store.agents.list()) < AGENTS + CHECKOUT:
        if time.monotonic() - begun > LIMIT:
            raise RuntimeError("the checkout's rows have not all come")
        time.sleep(0.01)
    return time.monotonic() - begun
