"""What a person sees: the command on a terminal of its own."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import AGENT, Result, spawn

pexpect = pytest.importorskip("pexpect") if sys.platform != "win32" else pytest.skip(allow_module_level=True)

Run = Callable[..., Result]
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def terminal(*arguments: str, columns: int = 80, **env: str) -> Any:
    """Run a command on a terminal."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    }
    return pexpect.spawn(
        sys.executable,
        ["-m", "wilk", *arguments],
        env={**variables, "TERM": "xterm", **env},
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=30,
    )


def shown(*arguments: str, columns: int = 80, **env: str) -> str:
    """What a command writes to a terminal."""
    child = terminal(*arguments, columns=columns, **env)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    return str(child.before).replace("\r\n", "\n")


@pytest.fixture
def long_names(good: Run) -> None:
    good("users", "save", "one", "--name", "word " * 40, "--email", "one@example.com")
    good("users", "save", "two", "--name", "漢字" * 40, "--email", "two@example.com")


def test_a_terminal_gets_colours_and_a_pipe_gets_none(good: Run, long_names: None) -> None:
    assert "\x1b[" in shown("users", "list")
    assert "\x1b[" not in good("users", "list").out


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours_gets_none(long_names: None, env: dict[str, str]) -> None:
    assert "\x1b" not in shown("users", "list", **env)


def test_a_pipe_gets_colours_when_they_are_asked_for(long_names: None) -> None:
    assert "\x1b[" in spawn("users", "list", env={"FORCE_COLOR": "1"}).out


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_tables_fit_the_terminal(long_names: None, columns: int) -> None:
    from wilk.cli.text import width

    lines = ANSI.sub("", shown("users", "list", columns=columns)).splitlines()
    assert len(lines) == 3
    assert all(width(line) <= columns for line in lines)
    assert lines[1].count("…") == lines[2].count("…") == 1
    assert "one@example.com" in lines[1]


def test_ids_that_other_commands_want_are_not_shortened(good: Run) -> None:
    good("sessions", "new", "--use")
    good("messages", "add", "user", "hello")
    good("context", "show", "--keep")
    id = good("context", "manifests", "--json").json[0]["id"]
    assert id in shown("context", "manifests", columns=80)


def test_a_pipe_gets_everything(good: Run, long_names: None) -> None:
    assert ("word " * 40).strip() in good("users", "list").out


def test_control_characters_are_escaped_on_a_terminal(good: Run) -> None:
    good("sessions", "new", "--use")
    good("messages", "add", "user", "\x1b]0;owned\x07")
    assert "\\x1b]0;owned\\x07" in shown("messages", "list")


def test_a_file_on_a_terminal_has_no_control_characters(good: Run, agent_file: Path) -> None:
    agent_file.write_bytes(AGENT.replace("# A comment", "# \x7f").encode())
    if "broken" not in good("definitions", "list").out:  # YAML takes no control characters; DEL it does
        assert "\x7f" not in shown("agents", "show", "reviewer", "--yaml")


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("n", 1), ("", 1)])
def test_remove_asks(good: Run, answer: str, left: int) -> None:
    id = good("sessions", "new", "talk", "--json").json["id"]
    child = terminal("sessions", "remove", id)
    child.expect(re.escape("[y/N]"))
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == (1 if left else 0)
    assert len(good("sessions", "list", "--json").json) == left


def test_ctrl_c_at_a_question_ends_with_130(good: Run) -> None:
    id = good("sessions", "new", "talk", "--json").json["id"]
    child = terminal("sessions", "remove", id)
    child.expect(re.escape("[y/N]"))
    deadline = time.monotonic() + 30
    child.sendintr()
    while child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=2) and time.monotonic() < deadline:
        child.sendintr()  # the one before came between the question and the waiting for its answer
    child.close()
    assert child.exitstatus == 130
    assert "Traceback" not in child.before


def test_a_broken_edit_can_be_mended_at_once(good: Run, agent_file: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\nfile = pathlib.Path(sys.argv[1])\ntext = file.read_text()\n"
        "file.write_text(text.replace('warm', '0.7') if 'warm' in text else text.replace('0.1', 'warm'))\n"
    )
    good("sync")
    child = terminal("agents", "edit", "reviewer", EDITOR=f"{sys.executable} {editor}", COLUMNS="200")
    child.expect("agent.yaml:9:18")
    child.expect(re.escape("Edit again? [Y/n]"))
    child.sendline("")
    child.expect("0.1 → 0.7")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_messages_want_text_from_a_terminal(good: Run) -> None:
    good("sessions", "new", "--use")
    child = terminal("messages", "add", "user")
    child.expect("TEXT is wanted")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


def test_the_demo_is_in_colours(tmp_path: Path) -> None:
    assert "\x1b[1m" in shown("demo", "--home", str(tmp_path / "demo"))
