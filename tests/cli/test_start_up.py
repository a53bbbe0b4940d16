"""What a command imports: reading commands must not pay for what they do not use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result

pytestmark = pytest.mark.sqlite

HEAVY = {
    "asyncio",
    "cachetools",
    "email",
    "importlib.metadata",
    "importlib.resources",
    "numpy",
    "rich",
    "shutil",
    "subprocess",
    "tempfile",
    "watchdog",
    "yaml",
}


def modules_after(*arguments: str) -> set[str]:
    """The modules that a process has imported once it has run a command, not for the first time.

    The first time on a search path, plugins are looked for and asked what they offer.
    """
    program = (
        "import sys, json\nfrom wilk.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    return set(modules)


def test_version_imports_nothing_but_the_names() -> None:
    loaded = modules_after("--version")
    assert not loaded & {"argparse", "dataclasses", "peewee", "pluggy", "orjson", "logging", "pathlib"}
    assert {name for name in loaded if name.partition(".")[0] == "wilk"} == {"wilk", "wilk.cli"}


def test_a_list_of_tools_imports_nothing_heavy(good: Callable[..., Result]) -> None:
    good("init")
    assert modules_after("tools", "list") & HEAVY == set()


def test_lists_import_nothing_heavy(good: Callable[..., Result]) -> None:
    good("init")
    assert modules_after("users", "list") & HEAVY == set()


@pytest.mark.parametrize("noun", ["agents", "prompts", "sessions"])
def test_lists_that_are_asked_for_often_do_without_peewee(
    good: Callable[..., Result], agent_file: Path, noun: str
) -> None:
    good("sync")
    assert modules_after(noun, "list") & {*HEAVY, "peewee"} == set()


def test_showing_an_agent_does_without_peewee(good: Callable[..., Result], agent_file: Path) -> None:
    good("sync")
    assert modules_after("agents", "show", "reviewer") & {*HEAVY, "peewee"} == set()


def test_showing_a_session_does_without_peewee(good: Callable[..., Result]) -> None:
    good("sessions", "new", "talk", "--use")
    good("messages", "add", "user", "hello")
    assert modules_after("sessions", "show") & {*HEAVY, "peewee"} == set()


@pytest.mark.parametrize(
    "command",
    [
        "context show",
        "context stats",
        "context manifests",
        "pins list",
        "blocks list",
        "summaries list",
        "memory status",
        "archive list",
        "archive stats",
        "facts list",
        "documents list",
        "memories list",
        "interactions list",
        "patterns list",
    ],
)
def test_what_is_remembered_is_shown_without_peewee(good: Callable[..., Result], command: str) -> None:
    good("sessions", "new", "talk", "--use")
    good("messages", "add", "user", "hello")
    assert modules_after(*command.split()) & {*HEAVY, "peewee"} == set()


def test_a_noun_imports_no_other_nouns(good: Callable[..., Result]) -> None:
    good("sessions", "list")
    loaded = modules_after("sessions", "list")
    assert "wilk.cli.sessions" in loaded
    assert not loaded & {"wilk.cli.agents", "wilk.cli.demo", "wilk.cli.watch", "wilk.cli.editing"}
