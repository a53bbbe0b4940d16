"""Grades a plugin without a test file of its own: writes one over the suites, and has pytest run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wilk.errors import Invalid, PluginError, WilkError
from wilk.host import Host

SUITES = {
    "backend": ("BackendSuite", "backends", ""),
    "cache": ("CacheSuite", "cache_tiers", "tier"),
    "archive": ("ArchiveSuite", "archives", "archive"),
    "vectors": ("VectorIndexSuite", "vector_indexes", "index"),
    "embedder": ("EmbedderSuite", "embedders", "embedder"),
}
"""Each kind: its suite, the host's method that lists what is offered, and the fixture of the suite."""

_HEAD = """\
import pytest
from importlib import import_module
from wilk.contracts import *
from wilk.host import Host
from wilk.settings import Settings
from wilk.testing import {suite}
from wilk.testing.faults.recording import new_tag

OFFERED = {{one.name: one for one in Host(*map(import_module, {modules!r})).{offers}()}}

class Test({suite}):
    modules = {modules!r}
"""
_BACKEND = """\
    without = {without!r}

    @pytest.fixture
    def url(self, tmp_path):
        return {url!r}.replace("{{folder}}", str(tmp_path)).replace("{{unique}}", new_tag())

    @pytest.fixture
    def settings(self):
        return {{"plugins": {plugins!r}}}
"""
_OTHER = """\
    recall = {recall!r}

    @pytest.fixture
    def section(self):
        return {plugins!r}

    @pytest.fixture
    def settings(self, tmp_path):
        home = tmp_path / "home"
        return Settings(home=home, url=f"sqlite:///{{home}}/wilk.db", plugins={plugins!r})

    @pytest.fixture
    def {fixture}(self):
        return OFFERED[{name!r}]
"""


@dataclass(frozen=True)
class Tested:
    """What is to be graded. ``url`` may hold ``{folder}`` and ``{unique}``: each test has its own."""

    name: str
    kind: str
    url: str = ""
    modules: Sequence[str] = ()
    without: Sequence[str] = ()
    recall: float = 1.0
    plugins: Mapping[str, Any] = field(default_factory=dict)


def kind_of(name: str, host: Host) -> str:
    """The kind of plugin that offers a name; raises PluginError when none does, or more than one."""
    found = [
        kind
        for kind, (_, offers, _) in SUITES.items()
        if any(one.name == name for one in getattr(host, offers)())
    ]
    if not found:
        known = sorted(one.name for _, offers, _ in SUITES.values() for one in getattr(host, offers)())
        raise PluginError(f"no plugin that can be graded offers {name!r}; there is {', '.join(known)}")
    if len(found) > 1:
        raise PluginError(f"{name!r} is {' and '.join(found)}; say which is meant with --kind")
    return found[0]


def grade(tested: Tested, *, quick: bool = False, verbose: bool = False) -> Mapping[str, Any]:
    """Run the suite of a plugin; return its report. ``quick`` leaves out what takes over a second."""
    with tempfile.TemporaryDirectory(prefix="wilk-grade-") as folder:
        file, target = Path(folder, "test_grade.py"), Path(folder, "grades.json")
        file.write_text(_test_file(tested), encoding="utf-8")
        apart = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", folder, "--confcutdir", folder]
        wanted = ["-q", "--tb=short" if verbose else "--tb=line", "--wilk-grades", str(target), str(file)]
        command = [sys.executable, "-m", "pytest", "-p", "wilk.testing.summary", *apart, *wanted]
        if quick:
            command += ["-m", "not slow"]
        done = subprocess.run(  # noqa: S603 (this Python, and arguments of our own)
            command,
            check=False,
            text=True,
            stdout=None if verbose else subprocess.PIPE,
            stderr=None if verbose else subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))},
        )
        if not target.exists():
            said = (done.stdout or "").strip().splitlines()[-15:]
            raise WilkError("\n".join([f"pytest could not test {tested.name!r}:", *said]))
        found: Mapping[str, Any] = json.loads(target.read_bytes())[0]
        return found


def _test_file(tested: Tested) -> str:
    if tested.kind not in SUITES:
        raise Invalid(f"kind {tested.kind!r}: one of {', '.join(SUITES)} is wanted")
    suite, offers, fixture = SUITES[tested.kind]
    body = _BACKEND if tested.kind == "backend" else _OTHER
    words = {**vars(tested), "modules": tuple(tested.modules), "without": tuple(tested.without)}
    words["url"] = tested.url or f"{tested.name}:///{{folder}}/t.db"
    words["plugins"] = {name: dict(section) for name, section in tested.plugins.items()}
    return (_HEAD + body).format(suite=suite, offers=offers, fixture=fixture, **words)
