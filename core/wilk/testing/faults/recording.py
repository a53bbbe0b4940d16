"""What all suites have in common: they record what they see of a plugin, and fail by it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

from wilk.testing import grades, summary
from wilk.testing.faults import processes
from wilk.testing.faults.plugins import origin
from wilk.testing.faults.processes import Processes

PATIENCE = 120.0
"""Seconds after which a storm has not ended."""
_SHOWN = 20
_ABSENT = object()
_Test = TypeVar("_Test", bound=Callable[..., Any])


def fault(name: str, *, slow: bool = False) -> Callable[[_Test], _Test]:
    """Say which fault a test is about; those that say nothing are about the contract.

    ``slow``: it is marked ``slow``, so that ``-m "not slow"`` leaves it out.
    """

    def named(test: _Test) -> _Test:
        test.wilk_fault = name  # type: ignore[attr-defined]
        test.wilk_slow = slow  # type: ignore[attr-defined]
        return test

    return named


class Seen:
    """What one test saw of a plugin."""

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record

    def tried(self, times: int = 1) -> None:
        """Count what was done to the plugin."""
        self._record["tried"] += times

    def found(self, kind: str, row: str, during: str) -> None:
        """Something went wrong; ``kind`` is one of ``grades.KINDS``."""
        assert kind in grades.KINDS
        self._record["findings"].append([kind, row, during])  # as it can be sent between processes

    @property
    def enough(self) -> bool:
        """Whether so much was found that more would tell nothing new."""
        return len(self._record["findings"]) > 200

    def not_applicable(self, reason: str) -> None:
        """The fault cannot befall this plugin: the grade tells why."""
        self._record["not_applicable"].append(reason)

    def capability(self, name: str, *, promised: bool, works: bool, more: str = "") -> None:
        """A capability is there, or not, as it is declared or not."""
        self.tried()
        if promised != works:
            kind = "promised" if promised else "hidden"
            self.found(kind, f"capability {name!r}", more or "when it was used")

    def compare(
        self,
        there: Iterable[tuple[str, Any]],
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        during: str,
    ) -> None:
        """Compare what is there with the state before what was begun last, and with the one after it.

        It must be the one or the other as a whole.
        """
        rows = list(there)
        for row, count in Counter(row for row, _ in rows).items():
            if count > 1:
                self.found("doubled", f"{row} ({count} times)", during)
        have = dict(rows)
        if have in (before, after):
            return
        kept = {row for row in before if row in after and before[row] == after[row]}
        wrong = False
        for row in sorted(kept):
            if row not in have:
                self.found("lost", row, during)
            elif have[row] != before[row]:
                self.found("changed", f"{row} ({before[row]!r} is {have[row]!r})", during)
            wrong |= have.get(row, _ABSENT) != before[row]
        for row in sorted(have.keys() - before.keys() - after.keys()):
            self.found("half", row, during)
            wrong = True
        moving = sorted((before.keys() | after.keys()) - kept)
        as_before = {row: have.get(row, _ABSENT) == before.get(row, _ABSENT) for row in moving}
        as_after = {row: have.get(row, _ABSENT) == after.get(row, _ABSENT) for row in moving}
        if all(as_before.values()) or all(as_after.values()):
            return
        for row in moving:
            if row in before and row not in have:
                self.found("lost", row, during)
            elif as_after[row] and not as_before[row]:
                self.found("half", row, during)
            elif not as_before[row]:
                self.found("changed", _told(row, have, before, after), during)
            wrong = True
        assert wrong

    def check(self) -> None:
        """Fail the test by what was found."""
        findings = self._record["findings"]
        if findings:
            shown = [str(grades.Finding(*finding)) for finding in findings[:_SHOWN]]
            if len(findings) > _SHOWN:
                shown.append(f"… and {len(findings) - _SHOWN} more")
            pytest.fail("\n".join(shown), pytrace=False)


def _told(row: str, have: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    wanted = " or ".join(dict.fromkeys(repr(one[row]) for one in (before, after) if row in one))
    return f"{row} ({wanted} is {have[row]!r})" if row in have else row


class Graded:
    """The base of the suites: each test leaves a record, of which the grade is made.

    ``modules`` names modules with hooks of plugins that no package brings; the processes that faults are
    done to import them.
    """

    kind = ""
    faults: Collection[str] = ("contract",)
    modules: Collection[str] = ()

    def offer(self, request: pytest.FixtureRequest) -> Any:
        """What is tested: what an offering hook yields."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def seen(self, request: pytest.FixtureRequest) -> Seen:
        """What this test sees of the plugin."""
        config = request.config
        if not config.pluginmanager.is_registered(summary):
            config.pluginmanager.register(summary)
        offer = self.offer(request)
        found = origin(offer)
        record: dict[str, Any] = {
            "plugin": {
                "kind": self.kind,
                "name": offer.name,
                "distribution": found.distribution,
                "version": found.version,
                "suite": type(self).__name__,
                "faults": list(self.faults),
            },
            "fault": getattr(request.function, "wilk_fault", "contract"),
            "tried": 0,
            "findings": [],
            "not_applicable": [],
        }
        request.node.user_properties.append((grades.PROPERTY, record))
        return Seen(record)

    def stormed(
        self, children: Processes, act: str, job: Mapping[str, Any], go: Path, seen: Seen
    ) -> list[dict[str, Any]]:
        """Have three processes write at once; return what they said. ``go`` is the file they wait for."""
        job = {"modules": list(self.modules), **job, "go": str(go)}
        writers = [children.start(act, {**job, "writer": name}) for name in "abc"]
        for writer in writers:
            writer.heard("open")
        go.touch()
        said = []
        for writer in writers:
            if writer.wait(PATIENCE) is None:
                writer.kill()
                seen.found("stuck", f"process {writer.number}", f"for {PATIENCE:g} s, in the storm")
            elif writer.status:
                error = (writer.errors().strip().splitlines() or ["it said nothing"])[-1]
                seen.found("unclear", f"a process that ends with {writer.status}: {error}", "in the storm")
            said += writer.said()
        seen.tried(sum("id" in one for one in said))
        return said

    @pytest.fixture
    def children(self, request: pytest.FixtureRequest) -> Processes:
        """Starts processes to which faults can be done."""
        return processes.of(request.config)

    @pytest.fixture
    def tag(self) -> str:
        """A word that nothing else has."""
        return new_tag()


def new_tag() -> str:
    """A word that nothing else has: letters alone, so that full text takes it for one."""
    return "w" + "".join(random.SystemRandom().choices("bcdfghjklmnpqrstvwxz", k=11))
