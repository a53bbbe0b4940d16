"""Interleaved runs, ratios against a baseline of the same run, tables, and what child processes cost.

A machine that others use is noisy, and its noise drifts. So contestants take turns within a round,
and a ratio is the median of the ratios of single rounds; absolute times are there for orientation.
"""

from __future__ import annotations

import gc
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

Run = Callable[[], float]
"""One run of a contestant: does its work and returns what one operation cost."""

UNITS = {"µs": 1e6, "ms": 1e3, "s": 1.0, "CPU ms": 1e3, "MiB": 1.0, "/s": 1.0, "": 1.0}
"""What a figure is shown in, and the factor from seconds (or from itself)."""


_MET = {True: "yes", False: "NO", None: ""}


@dataclass(frozen=True)
class Figure:
    """What one contestant cost: the median of its runs, and the quartiles around it."""

    name: str
    median: float
    low: float
    high: float
    runs: int
    unit: str


@dataclass(frozen=True)
class Ratio:
    """One contestant over another, round by round; ``met`` is None where there is no goal."""

    name: str
    ratio: float
    goal: str | None = None
    met: bool | None = None


@dataclass
class Report:
    """The outcome of one heading."""

    heading: str
    title: str
    figures: list[Figure] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def figure(self, name: str, samples: Sequence[float], unit: str) -> None:
        """Keep what a contestant cost, in ``unit``; samples are seconds where the unit is a time."""
        factor = UNITS[unit]
        low, _, high = statistics.quantiles(samples, n=4) if len(samples) > 1 else (samples[0],) * 3
        median = statistics.median(samples)
        self.figures.append(Figure(name, median * factor, low * factor, high * factor, len(samples), unit))

    def compare(
        self,
        name: str,
        over: Sequence[float],
        under: Sequence[float],
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Keep the ratio of two contestants: the median of the ratios of their rounds."""
        median = statistics.median(map(float.__truediv__, over, under))
        self.state(name, median, at_most=at_most, at_least=at_least)

    def state(
        self,
        name: str,
        value: float,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        unit: str = "×",
    ) -> None:
        """Keep a value with its goal."""
        goal, met = None, None
        if at_most is not None:
            goal, met = f"≤ {at_most:g} {unit}", value <= at_most
        elif at_least is not None:
            goal, met = f"≥ {at_least:g} {unit}", value >= at_least
        self.ratios.append(Ratio(name if unit == "×" else f"{name} [{unit}]", value, goal, met))

    def __str__(self) -> str:
        costs = [
            (
                one.name,
                f"{_short(one.median)} {one.unit}",
                f"{_short(one.low)} – {_short(one.high)}",
                f"{one.runs}",
            )
            for one in self.figures
        ]
        ratios = [(one.name, f"{one.ratio:.2f}", one.goal or "", _MET[one.met]) for one in self.ratios]
        lines = [f"{self.heading}: {self.title}", ""]
        lines += [*aligned(("", "median", "quartiles", "runs"), costs), ""]
        lines += aligned(("", "ratio", "goal", "met"), ratios)
        lines += [f"  skipped: {name}" for name in self.skipped]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def interleaved(contestants: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """Let the contestants take turns, ``rounds`` times, after one turn each that does not count.

    Every second round goes the other way round, so that nobody always runs after the same one.
    """
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    # The modules of one contestant would be walked whenever another makes objects enough for a
    # collection; frozen, they are left out, and each pays for its own garbage.
    gc.collect()
    gc.freeze()
    try:
        for turn in range(rounds):
            for name in sorted(contestants, key=list(contestants).index, reverse=bool(turn % 2)):
                samples[name].append(contestants[name]())
    finally:
        gc.unfreeze()
    return samples


def timed(work: Callable[[], object], operations: int = 1) -> float:
    """Run ``work`` once and return its seconds per operation."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) / operations


def quantile(samples: Iterable[float], share: float) -> float:
    """The smallest sample that ``share`` (0–1) of all samples do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# -- child processes -----------------------------------------------------------------------


class Cost(NamedTuple):
    """What a child process took: CPU seconds (user and system), and its peak memory in MiB."""

    cpu: float
    peak: float


# A child begins with its parent's peak memory in its account, so children are started by a
# small process of their own: a Python that has imported nothing.
_LAUNCHER = """
import os, sys
out = os.dup(1)
nothing = os.open(os.devnull, os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, nothing, 0), (os.POSIX_SPAWN_DUP2, nothing, 1)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
_, status, usage = os.wait4(child, 0)
cpu = usage.ru_utime + usage.ru_stime
os.write(out, b"%d %.6f %d" % (os.waitstatus_to_exitcode(status), cpu, usage.ru_maxrss))
"""


def child(command: Sequence[str | Path], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end and return what it took; raises RuntimeError when it fails."""
    words = [str(word) for word in command]
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *words],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    code, cpu, peak = ended.stdout.split()
    if code != "0":
        raise RuntimeError(f"{' '.join(words)} ended with {code}: {ended.stderr.strip()[-500:]}")
    kibibytes = int(peak) / (1024 if sys.platform == "darwin" else 1)
    return Cost(float(cpu), kibibytes / 1024)


def child_environment(**more: str) -> dict[str, str]:
    """The environment for children: bytecode is kept, and nothing of wilk's is set but ``more``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WILK_", "PYTHON", "LLM_")) and name != "_ARGCOMPLETE"
    }
    return {**kept, **more}
