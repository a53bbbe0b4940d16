"""Taking definition files into their tables: all of them at first, and again when nothing changed."""

from __future__ import annotations

import os
from itertools import count as numbers
from pathlib import Path

import yaml

import wilk
from benchmarks import material
from benchmarks.measuring import Report, interleaved, timed


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare a cold sync with parsing the files, and a second one with ``scandir`` and ``stat``."""
    count, rounds = (1000, 5) if quick else (10_000, 5)
    report = Report("sync", f"{count:,} agents of {len(material.agent(0)):,} bytes")
    home = folder / "home"
    files = material.write_agents(home, count)
    databases = numbers()
    loader = getattr(yaml, "CSafeLoader", None)
    if loader is None:
        report.skipped.append("PyYAML's C loader (this PyYAML was built without libyaml)")
        loader = yaml.SafeLoader

    def parse() -> float:
        return timed(lambda: [yaml.load(file.read_bytes(), loader) for file in files])

    def cold() -> float:
        url = f"sqlite:///{folder / f'cold-{next(databases)}.db'}"
        with wilk.open_store(url, home=home) as store:
            seconds = timed(store.sync)
            found = len(store.agents.list())
            if found != count:
                raise RuntimeError(f"the sync of {count} files made {found} agents")
            return seconds

    samples = interleaved({"parse": parse, "cold": cold}, rounds)
    report.figure("parse with PyYAML's C loader", samples["parse"], "s")
    report.figure("cold sync", samples["cold"], "s")
    report.compare("cold sync ÷ parsing", samples["cold"], samples["parse"], at_most=1.5)

    agents = str(home / "agents")
    with wilk.open_store(f"sqlite:///{folder / 'again.db'}", home=home) as store:
        store.sync()
        samples = interleaved(
            {"stat": lambda: timed(lambda: _look(agents)), "again": lambda: timed(store.sync)}, rounds * 4
        )
        again = store.sync()
    report.figure("os.scandir and os.stat over the files", samples["stat"], "ms")
    report.figure("sync when nothing changed", samples["again"], "ms")
    report.compare("unchanged sync ÷ scandir and stat", samples["again"], samples["stat"], at_most=3.0)
    report.state("files parsed by an unchanged sync", again.parsed, at_most=0, unit="count")
    return report


def _look(agents: str) -> list[os.stat_result]:
    """List the agents' folders and look at each agent's file: the least that a scan can do."""
    with os.scandir(agents) as entries:
        return [os.stat(entry.path + "/agent.yaml") for entry in entries]  # noqa: PTH116 (the baseline)
