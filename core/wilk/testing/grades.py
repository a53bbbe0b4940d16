"""The grade of a plugin: what the suites saw, weighed by one rule, printed and written as JSON."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

KINDS = {
    "lost": ("F", "acknowledged, and not there"),
    "doubled": ("F", "there more than once"),
    "changed": ("F", "there, and not as it was written"),
    "half": ("F", "there, though what it belongs to was undone, refused or never finished"),
    "stale": ("F", "given, though it had expired, or was removed"),
    "unfinished": ("E", "the test broke off before it could tell"),
    "stuck": ("D", "did not end, or did not work afterwards"),
    "promised": ("D", "a capability that is declared and does not work"),
    "unclear": ("C", "an error that is not wilk's, or none where one was due"),
    "broken": ("C", "a test of the contract that fails"),
    "hidden": ("B", "a capability that works and is not declared"),
}
"""Each kind of finding: the grade that a plugin has with one of it at best, and what it says."""

FAULTS = (
    "contract",
    "capabilities",
    "kill",
    "full disk",
    "lock storm",
    "clock jumps",
    "hostile text",
    "dropped connection",
)
PROPERTY = "wilk"
"""The name under which a test's record stands in the report of pytest."""

_SHOWN = 20


class Finding(NamedTuple):
    """One thing that went wrong: its kind, exactly which row, and what was being done to the plugin."""

    kind: str
    row: str
    during: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.row}, {self.during}"


def worst(grades: Iterable[str]) -> str:
    """The worst of some grades; A for none."""
    return max(grades, default="A")


def reports(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Gather the records of tests into a report for each plugin, with its grade and its checksum."""
    import time

    plugins: dict[str, dict[str, Any]] = {}
    for record in records:
        tested = record["plugin"]
        report = plugins.setdefault(
            json.dumps(tested, sort_keys=True),
            {"format": 1, "tested": tested, "grade": "A", "faults": {}},
        )
        fault = report["faults"].setdefault(
            record["fault"], {"grade": "A", "tests": 0, "tried": 0, "findings": [], "not_applicable": []}
        )
        fault["tests"] += 1
        fault["tried"] += record["tried"]
        fault["findings"] += [list(finding) for finding in record["findings"]]
        fault["not_applicable"] += record["not_applicable"]
    for report in plugins.values():
        known = report["faults"]
        report["faults"] = {name: known[name] for name in (*FAULTS, *known) if name in known}
        for fault in known.values():
            fault["grade"] = worst(KINDS[kind][0] for kind, *_ in fault["findings"])
        report["grade"] = worst(fault["grade"] for fault in known.values())
        report["not_run"] = [name for name in report["tested"]["faults"] if name not in known]
        report["at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        report["on"] = {"python": platform.python_version(), "platform": platform.platform()}
        report["sha256"] = checksum(report)
    return list(plugins.values())


def checksum(report: Mapping[str, Any]) -> str:
    """The SHA-256 of a report without its own: it shows that a copy is whole, and not who made it."""
    bare = {name: value for name, value in report.items() if name != "sha256"}
    text = json.dumps(bare, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def lines(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A report for people: each line with its grade, by which it may be coloured."""
    tested = report["tested"]
    part = f", without {', '.join(report['not_run'])}" if report["not_run"] else ""
    title = f"{tested['kind']} {tested['name']} ({_origin(tested)}), {tested['suite']}"
    found = [(f"{title}: {report['grade']}{part}", report["grade"])]
    for name, fault in report["faults"].items():
        tests = f"{fault['tests']} test{'' if fault['tests'] == 1 else 's'}"
        tried = f", {fault['tried']} times" if fault["tried"] else ""
        reasons = "".join(f"; not applicable: {reason}" for reason in dict.fromkeys(fault["not_applicable"]))
        found.append((f"  {fault['grade']}  {name:<19} {tests}{tried}{reasons}", fault["grade"]))
        for kind, row, during in fault["findings"][:_SHOWN]:
            found.append((f"       {kind:<8} {row}, {during}", fault["grade"]))
        if len(fault["findings"]) > _SHOWN:
            more = len(fault["findings"]) - _SHOWN
            found.append((f"       … and {more} more; --wilk-grades FILE has them all", fault["grade"]))
    return found


def write(found: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write reports as JSON."""
    path.write_text(json.dumps(list(found), indent=2, ensure_ascii=True) + "\n")


def _origin(tested: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (tested["distribution"], tested["version"])))
