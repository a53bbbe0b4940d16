"""Faults that end a process or its writes: kills, and a full disk."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from wilk.testing.faults.processes import KILLED, Child, Processes
from wilk.testing.faults.recording import Graded, Seen, fault, new_tag
from wilk.testing.faults.steps import Steps

Run = Callable[..., Child]
Opening = Callable[[str], AbstractContextManager[Any]]


class Killed(Graded):
    """A plugin that is led through steps by a process which is killed, or whose disk is full.

    ``kills`` is how often it is killed at its writes, at the most, ``fillings`` how often its disk is full;
    ``act`` leads it, in the process.
    """

    kills = 30
    fillings = 8
    act = ""

    def steps(self, tag: str) -> Steps:
        """What it is led through."""
        raise NotImplementedError

    @pytest.fixture
    def job(self) -> Mapping[str, Any]:
        """What the process is told, beside what is done to it."""
        raise NotImplementedError

    @pytest.fixture
    def opening(self) -> Opening:
        """Opens what the process with a tag has left behind."""
        raise NotImplementedError

    @pytest.fixture
    def ends_with_its_process(self) -> str:
        """Why there is nothing to be seen after a kill; empty when there is."""
        return ""

    @pytest.fixture
    def run(self, children: Processes, job: Mapping[str, Any], tmp_path: Path) -> Run:
        """Runs the steps in another process: ``run(tag, at=…)``."""
        return lambda tag, **more: children.start(
            self.act, {"modules": list(self.modules), **job, "tag": tag, "files": str(tmp_path), **more}
        )

    # -- kill ---------------------------------------------------------------------------------

    @fault("kill", slow=True)
    def test_killed_at_its_writes_it_has_what_it_acknowledged(
        self, run: Run, opening: Opening, ends_with_its_process: str, seen: Seen
    ) -> None:
        if ends_with_its_process:
            seen.not_applicable(ends_with_its_process)
            return
        script = self.steps(new_tag())
        whole = run(script.tag)
        assert whole.wait() == 0, whole.errors()
        _whole(script, whole, opening, seen, "when nothing was done to it")
        seen.check()  # what is wrong anyhow need not be killed
        for at in _spread(whole.said()[-1]["points"], self.kills):
            script = self.steps(new_tag())
            child = run(script.tag, at=at)
            if child.wait() == 0:
                continue  # it came by fewer, by what goes on behind the verbs
            if seen.enough:
                break
            assert child.status == KILLED, child.errors()
            self._look(script, child, opening, seen, f"killed {whole.said()[-1]['points'][at - 1]}")
        seen.check()

    @fault("kill", slow=True)
    def test_killed_at_any_time_it_has_what_it_acknowledged(
        self, run: Run, opening: Opening, ends_with_its_process: str, seen: Seen
    ) -> None:
        """Right after a step and in the midst of one, for what is written where Python does not see it."""
        if ends_with_its_process:
            seen.not_applicable(ends_with_its_process)
            return
        chance = random.Random(1)  # noqa: S311 (moments, not secrets)
        steps = len(self.steps("x").steps)
        for number in range(0, steps, 2):
            script = self.steps(new_tag())
            child = run(script.tag)
            child.heard("done", number + 1)
            if number % 4:
                child.wait(chance.uniform(0, 0.003))
            child.kill()
            if seen.enough:
                break
            self._look(script, child, opening, seen, f"killed after {script.steps[number].name!r}")
        seen.check()

    @fault("kill", slow=True)
    @pytest.mark.parametrize("at", [2, 20, 60, 100])
    def test_killed_while_it_is_made_it_is_made_by_the_next(
        self, run: Run, opening: Opening, ends_with_its_process: str, seen: Seen, at: int
    ) -> None:
        if ends_with_its_process:
            seen.not_applicable(ends_with_its_process)
            return
        script = self.steps(new_tag())
        child = run(script.tag, at=at, making=True)
        if child.wait() == KILLED:
            self._look(script, child, opening, seen, f"killed at write {at} of making it")
        again = self.steps(new_tag())
        child = run(again.tag)
        if child.wait() != 0:
            seen.found("stuck", "the database cannot be made", f"after a kill at write {at}: {_end(child)}")
        else:
            _whole(again, child, opening, seen, f"after a kill at write {at}")
        seen.check()

    # -- a full disk --------------------------------------------------------------------------

    @fault("full disk", slow=True)
    def test_a_full_disk_is_told_and_loses_nothing(self, run: Run, opening: Opening, seen: Seen) -> None:
        for limit in self._limits(run, seen, "no file grows beside it"):
            script = self.steps(new_tag())
            child = run(script.tag, bytes=limit, kill=False)
            during = f"with files that cannot grow beyond {limit:,} bytes"
            if child.wait() is None:
                child.kill()
                seen.found("stuck", "the process", during)
            refused = [one for one in child.said() if one["said"] == "refused"]
            if child.status and not refused:
                seen.found("unclear", _end(child), during)
            for one in refused:
                during = f"{during}, in {script.steps[one['step']].name!r}"
                if not one["clear"]:
                    seen.found("unclear", one["error"], during)
                if one["again"]:
                    seen.found("stuck", one["again"], f"when there was room again, {during}")
            self._look(script, child, opening, seen, during, undone=bool(refused))
        seen.check()

    @fault("kill", slow=True)
    def test_killed_in_the_middle_of_a_write_it_has_what_it_acknowledged(
        self, run: Run, opening: Opening, ends_with_its_process: str, seen: Seen
    ) -> None:
        if ends_with_its_process:
            seen.not_applicable(ends_with_its_process)
            return
        for limit in self._limits(run, seen, "in the middle of a write, for no file grows beside it"):
            script = self.steps(new_tag())
            child = run(script.tag, bytes=limit, kill=True)
            child.wait()
            self._look(script, child, opening, seen, f"killed when a file grew beyond {limit:,} bytes")
        seen.check()

    def _limits(self, run: Run, seen: Seen, reason: str) -> list[int]:
        """Sizes beyond which files may not grow: within what the files of the backend grow by in a run."""
        if find_spec("resource") is None:
            seen.not_applicable("files cannot be kept from growing on this platform")
            return []
        run(new_tag()).wait()  # it makes the database
        whole = run(new_tag())
        assert whole.wait() == 0, whole.errors()
        first, last = (one["sizes"] for one in whole.said() if "sizes" in one)
        grown = {(first.get(file, 0), size) for file, size in last.items() if size > first.get(file, 0)}
        if not grown:
            seen.not_applicable(reason)
        shares = (0.0, 0.03, 0.1, 0.3, 0.6, 0.9)
        limits = {low + int((high - low) * share) for low, high in grown for share in shares}
        return _some(sorted(limits), self.fillings)

    def _look(
        self, script: Steps, child: Child, opening: Opening, seen: Seen, during: str, *, undone: bool = False
    ) -> None:
        """Compare what is there with what the process had acknowledged; then go on to the end.

        The step that was begun last may be there or not, unless it was refused (``undone``).
        """
        seen.tried()
        done = sum(one["said"] == "done" for one in child.said())
        _hear(script, child)
        states = script.states()
        before, after = states[done], states[done if undone else min(done + 1, len(states) - 1)]
        try:
            with opening(script.tag) as subject:
                there = list(script.observe(subject))
                seen.compare(there, before, after, during)
                if dict(there) in (before, after):
                    for number in range(done + (dict(there) != before), len(script.steps)):
                        script.take(number, subject)
                    seen.compare(script.observe(subject), states[-1], states[-1], f"going on, {during}")
        except Exception as error:
            seen.found("stuck", f"{type(error).__name__}: {error}", f"opened again, {during}")


def _whole(script: Steps, child: Child, opening: Opening, seen: Seen, during: str) -> None:
    """After all of its steps, all that a script wrote must be there."""
    _hear(script, child)
    with opening(script.tag) as subject:
        seen.compare(script.observe(subject), script.states()[-1], script.states()[-1], during)


def _hear(script: Steps, child: Child) -> None:
    """Take note of what the steps gave in the process."""
    script.gave.update({one["step"]: one["gave"] for one in child.said() if one["said"] == "done"})


def _spread(points: list[str], most: int) -> list[int]:
    """Which points to kill at, from 1: those around commits and files first, of the others some."""
    numbers = range(1, len(points) + 1)
    around = [n for n in numbers if any(word in points[n - 1] for word in (" commit", "file"))]
    others = [n for n in numbers if n not in set(around)]
    chosen = _some(around, most * 2 // 3)
    return sorted({*chosen, *_some(others, most - len(chosen))})


def _some(numbers: list[int], most: int) -> list[int]:
    """At most so many of the numbers, evenly apart."""
    if len(numbers) <= most:
        return numbers
    return [numbers[n * len(numbers) // most] for n in range(most)]


def _end(child: Child) -> str:
    """How a process ended, in a line."""
    return (child.errors().strip().splitlines() or [f"it ended with {child.status}"])[-1]
