"""A plugin of pytest's: grades the plugins of wilk that a run has tested, at the end of its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from wilk.testing import grades

_NO_FAULTS = {"contract", "capabilities"}
_COLOURS = {"A": {"green": True}, "B": {"yellow": True}, "C": {"yellow": True}}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("wilk")
    group.addoption("--wilk-grades", metavar="FILE", help="write the grades of wilk's plugins as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes over a second")


def pytest_itemcollected(item: pytest.Item) -> None:
    if getattr(getattr(item, "function", None), "wilk_slow", False):
        item.add_marker("slow")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = grades.reports(_records(terminalreporter.stats))
    if not found:
        return
    target = config.getoption("--wilk-grades", None)
    if target:
        grades.write(found, Path(target))
    # Where nothing but the contract was tested, and held, there is no grade to speak of.
    shown = [one for one in found if target or one["grade"] != "A" or one["faults"].keys() - _NO_FAULTS]
    if shown:
        terminalreporter.section("grades of wilk's plugins")
    for report in shown:
        for line, grade in grades.lines(report):
            terminalreporter.write_line(line, **_COLOURS.get(grade, {"red": True}))


def _records(stats: Mapping[str, list[Any]]) -> Iterator[Mapping[str, Any]]:
    """What the tests recorded of plugins; a failure without a finding is one of its own."""
    for outcome, found in stats.items():
        for report in found:
            failed = outcome in ("failed", "error")
            if getattr(report, "when", "") not in ("call", "setup" if failed else "call"):
                continue
            for name, record in report.user_properties:
                if name != grades.PROPERTY:
                    continue
                if failed and not record["findings"]:
                    kind = "broken" if report.when == "call" else "unfinished"
                    finding = grades.Finding(kind, report.nodeid.rpartition("::")[2], _why(report))
                    record = {**record, "findings": [finding]}
                yield record


def _why(report: Any) -> str:
    """The first line of what a test that failed says."""
    message = str(getattr(getattr(report.longrepr, "reprcrash", None), "message", ""))
    return message.partition("\n")[0][:200] or "see above"
