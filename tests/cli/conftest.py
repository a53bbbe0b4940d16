"""The command, run in this process or in one of its own, against a real home folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from wilk.cli import main

AGENT = """\
# A comment that a person wrote.
name: Reviewer
version: 1.0.0
category: development
model:
  provider: openai
  name: gpt-4
  parameters:
    temperature: 0.1
prompts:
  user_template: 'Look at {code}'
"""


class Result(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def wilk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in this process: ``wilk("sessions", "list")``; ``stdin=`` is what it reads."""

    def run(*arguments: str, stdin: str | bytes = b"") -> Result:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capsys.readouterr()
        code = main(list(arguments))
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def good(wilk: Callable[..., Result]) -> Callable[..., Result]:
    """Runs a command in this process, and fails the test when the command fails."""

    def run(*arguments: str, stdin: str | bytes = b"") -> Result:
        result = wilk(*arguments, stdin=stdin)
        assert result.code == 0, result
        assert result.err == ""
        return result

    return run


def spawn(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> Result:
    """Run a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "wilk", *arguments],
        capture_output=True,
        env={**os.environ, **(env or {})},
        timeout=60,
        check=False,
        **options,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def agent_file(home: Path) -> Path:
    """The file of the agent ``reviewer``."""
    file = home / "agents" / "reviewer" / "agent.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(AGENT)
    return file


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Installs plugins: ``plugins(name, source)`` makes a distribution on the search path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    made: list[str] = []

    def install(name: str, source: str) -> None:
        made.append(f"wilk_{name}")
        (folder / f"wilk_{name}.py").write_text(source)
        info = folder / f"wilk_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: wilk-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[wilk]\n{name} = wilk_{name}\n")

    yield install
    for module in made:
        sys.modules.pop(module, None)
