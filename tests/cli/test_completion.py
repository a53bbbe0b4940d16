"""Completion, asked for by real shells."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result

Run = Callable[..., Result]

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")

GREETING = """
from wilk import Command, hookimpl

@hookimpl
def register_commands():
    yield Command("greet", "greets", lambda parser: parser.add_argument("--loudly"), lambda *given: 0)
"""


@pytest.fixture
def complete(tmp_path: Path) -> Callable[[str], set[str]]:
    """What bash offers for an unfinished line, asked by its own means: sourcing the script, and COMPREPLY."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "wilk"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wilk "$@"\n')
    command.chmod(0o755)

    def ask(line: str) -> set[str]:
        words = line.split(" ")
        script = f"""
            PATH="{folder}:$PATH"
            eval "$(wilk completion bash)"
            COMP_WORDS=({" ".join(words[:-1])} "{words[-1]}")
            COMP_CWORD={len(words) - 1}
            COMP_LINE="{line}"
            COMP_POINT=${{#COMP_LINE}}
            COMP_TYPE=9
            "$(complete -p wilk | sed 's/.*-F \\([^ ]*\\).*/\\1/')" wilk "{words[-1]}" "{words[-2]}"
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(
            ["bash", "--norc", "--noprofile", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.stderr == ""
        return {word.strip() for word in done.stdout.splitlines() if word.strip()}

    return ask


def test_nouns_are_completed(complete: Callable[[str], set[str]]) -> None:
    assert complete("wilk s") == {"search", "sessions", "state", "stats", "summaries", "sync"}


def test_verbs_are_completed(complete: Callable[[str], set[str]]) -> None:
    assert complete("wilk agents re") == {"remove", "render"}


def test_options_are_completed(complete: Callable[[str], set[str]]) -> None:
    assert complete("wilk sessions list --sa") == {"--saved"}


def test_common_options_before_the_noun_do_no_harm(complete: Callable[[str], set[str]], home: Path) -> None:
    assert complete(f"wilk --home {home} agents hi") == {"history"}


def test_ids_are_completed(good: Run, complete: Callable[[str], set[str]], agent_file: Path) -> None:
    good("sync")
    good("sessions", "new", "--id", "mine")
    assert complete("wilk agents show re") == {"reviewer"}
    assert complete("wilk sessions show m") == {"mine"}
    assert complete("wilk sessions new --agent re") == {"reviewer"}


def test_completion_makes_no_home(complete: Callable[[str], set[str]], home: Path) -> None:
    complete("wilk agents show x")
    assert not home.exists()


def test_plugins_commands_are_completed(
    complete: Callable[[str], set[str]], plugins: Callable[[str, str], None]
) -> None:
    plugins("greeting", GREETING)
    assert complete("wilk gre") == {"greet"}
    assert complete("wilk greet --lo") == {"--loudly"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script(good: Run, shell: str) -> None:
    assert "wilk" in good("completion", shell).out
