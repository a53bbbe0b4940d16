"""Reads a page as its reader does, and does what it says: writes its files, runs its code and commands.

A page is done from top to bottom in one empty folder, with a home folder of its own.

- A block whose first line is ``# FILE``, or with ``title="FILE"`` behind its language, is that file.
- Other ``python`` blocks run in one interpreter; a block without a language after one is what it prints.
- ``console`` blocks: lines that begin with ``$ `` are run, what follows each is what it shows. One that
  ends in ``&`` goes on in the background, and what it shows stands behind the next ``diff``.
- A ``diff`` block is an edit of the file that its first line names.

In what is shown, ``...`` stands for any part of a line, and alone on a line for any lines. How wide the
columns of a table are does not count: that follows from what is in them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TIME_LIMIT = 60
_FENCE = re.compile(
    r"^(?P<indent> {0,3})```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$", re.M | re.S
)
_FILE = re.compile(r"# (?P<file>[~\w][\w./~-]*\.(?:py|toml|ya?ml|json))\n")
_TITLE = re.compile(r'title="(?P<file>[^"]+)"')

# Installing is unpacking the wheel that a package's own build makes: no index is asked.
_PIP = """
import contextlib, io, os, pathlib, sys, zipfile
from hatchling.build import build_wheel
here, out = os.getcwd(), pathlib.Path(sys.argv[0]).parent.absolute()
for folder in [word for word in sys.argv[1:] if word != "install" and not word.startswith("-")]:
    os.chdir(os.path.join(here, folder))
    with contextlib.redirect_stdout(io.StringIO()):
        made = build_wheel(str(out))
    zipfile.ZipFile(out / made).extractall(out.parent / "site")
    print("installed", made)
"""

_INTERPRETER = """
import contextlib, importlib, io, json, sys, traceback
sys.path.insert(0, "")
space = {"__name__": "__main__"}
for line in sys.stdin:
    told = json.loads(line)
    shown, error = io.StringIO(), None
    importlib.invalidate_caches()
    try:
        with contextlib.redirect_stdout(shown):
            exec(compile(told["code"], told["name"], "exec"), space)
    except BaseException:
        error = traceback.format_exc()
    print(json.dumps([shown.getvalue(), error]), flush=True)
"""


class Block(NamedTuple):
    """A fenced block of a page: its language, what else its fence says, its text, its first line's number."""

    language: str
    info: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that the block shows."""
        if found := _TITLE.search(self.info):
            return found["file"]
        named = _FILE.match(self.text)
        return named["file"] if named and self.language in ("python", "toml", "yaml", "json") else None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        language, _, info = fence["info"].strip().partition(" ")
        body = re.sub(rf"^{fence[1]}", "", fence["text"], flags=re.M)
        found.append(Block(language, info, body, text.count("\n", 0, fence.start()) + 2))
    return found


def fits(expected: str, shown: str) -> bool:
    """Whether ``shown`` is what ``expected`` says."""
    pattern = ""
    for line in _narrow(expected.rstrip()).splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(map(re.escape, line.rstrip().split("..."))) + r"[ ]*\n"
    return re.fullmatch(pattern, _narrow(shown.rstrip()) + "\n") is not None


def _narrow(text: str) -> str:
    """Text whose columns stand two blanks apart."""
    return re.sub(r"(?<=\S) {2,}(?=\S)", "  ", text)


class Reader:
    """Someone who does what one page says."""

    def __init__(self, page: Path, folder: Path) -> None:
        self._page = page
        self._folder = folder / "here"
        self._user = folder / "user"
        self._tools = folder / "tools"
        for new in (self._folder, self._user, self._tools, folder / "site"):
            new.mkdir()
        self._cwd = self._folder
        self._environment = self._with_tools(folder)
        self._interpreter: subprocess.Popen[str] | None = None
        self._background: list[_Background] = []

    def _with_tools(self, folder: Path) -> dict[str, str]:
        tools = {
            "wilk": f'exec "{sys.executable}" -W error -m wilk "$@"',
            "python": f'exec "{sys.executable}" "$@"',
            "pip": f'exec "{sys.executable}" "{self._tools}/pip.py" "$@"',
            "editor": 'sed "s/^description: .*/description: Reads pull requests, twice/" "$1" > "$1.new" && '
            'mv "$1.new" "$1"',
        }
        for name, script in tools.items():
            (self._tools / name).write_text(f"#!/bin/sh\n{script}\n")
            (self._tools / name).chmod(0o755)
        (self._tools / "pip.py").write_text(_PIP)
        ours = ("WILK_", "CONNECTOME_", "PYTEST", "XDG_", "FORCE_COLOR", "VISUAL")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        path = [str(folder / "site"), os.environ.get("PYTHONPATH", "")]
        return kept | {
            "HOME": str(self._user),
            "WILK_DISABLED_PLUGINS": "wilk-tokens",  # pages show the counts that wilk itself makes
            "PATH": f"{self._tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8",
            "EDITOR": "editor",
            "COLUMNS": "100",
            "NO_COLOR": "1",
        }

    def read(self) -> None:
        """Do all of it; an assertion says where the page is wrong."""
        try:
            self.do(blocks(self._page))
        finally:
            self.leave()

    def do(self, found: list[Block]) -> None:
        """Do what some blocks say, one after the other."""
        for before, block, after in zip([None, *found], found, [*found[1:], None], strict=False):
            self._do(before, block, after)

    def _do(self, before: Block | None, block: Block, after: Block | None) -> None:
        if block.file is not None:
            file = self._path(block.file)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "diff":
            self._edit(block)
        elif block.language == "python":
            shown = self._run_python(block)
            if after is not None and after.language == "":
                self._compare(after.line, after.text, shown)
        elif block.language == "console":
            self._type(block)
        elif block.language == "" and before is not None and before.language == "diff":
            self._background[-1].expect(self, block.text)

    def _path(self, name: str) -> Path:
        return self._user / name[2:] if name.startswith("~/") else self._folder / name

    def _edit(self, block: Block) -> None:
        name, *lines = block.text.splitlines()
        file = self._path(name.removeprefix("--- ").strip())
        old = "".join(f"{line[1:]}\n" for line in lines if line[:1] in ("-", " "))
        new = "".join(f"{line[1:]}\n" for line in lines if line[:1] in ("+", " "))
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{self._at(block.line)}: {name} holds {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new), encoding="utf-8")

    # -- Python ---------------------------------------------------------------------------

    def _run_python(self, block: Block) -> str:
        if self._interpreter is None:
            self._interpreter = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", _INTERPRETER],
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._interpreter.stdin is not None
        assert self._interpreter.stdout is not None
        code = "\n" * (block.line - 1) + block.text
        self._interpreter.stdin.write(json.dumps({"code": code, "name": str(self._page)}) + "\n")
        self._interpreter.stdin.flush()
        answer = self._interpreter.stdout.readline()
        assert answer, f"{self._at(block.line)}: the interpreter ended"
        shown, error = json.loads(answer)
        assert error is None, f"{self._at(block.line)}:\n{block.text}\n{error}"
        return str(shown)

    # -- the command line -----------------------------------------------------------------

    def _type(self, block: Block) -> None:
        for number, command, expected in _typed(block):
            if command.endswith("&"):
                self._background.append(_Background(self._start(command.rstrip("& ")), self._at(number)))
                if expected:
                    self._background[-1].expect(self, expected)
                continue
            code, shown = self._run(command)
            if expected:
                self._compare(number, expected, shown)
            assert code == 0 or expected, f"{self._at(number)}: `{command}` ended with {code}:\n{shown}"

    def _run(self, command: str) -> tuple[int, str]:
        line = f'{command}\ncode=$?\npwd > "{self._tools}/cwd"\nexit $code'
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self._cwd,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIME_LIMIT,
        )
        self._cwd = Path((self._tools / "cwd").read_text().strip())
        return done.returncode, done.stdout.replace(str(self._user), "~")

    def _start(self, command: str) -> subprocess.Popen[str]:
        with (self._tools / "background").open("w") as output:
            return subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self._cwd,
                env=self._environment | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def shown_in_background(self) -> str:
        return (self._tools / "background").read_text().replace(str(self._user), "~")

    # -- comparing ------------------------------------------------------------------------

    def _at(self, line: int) -> str:
        return f"{self._page.relative_to(ROOT)}:{line}"

    def _compare(self, line: int, expected: str, shown: str) -> None:
        assert fits(expected, shown), (
            f"{self._at(line)}: the page shows\n{expected}\nand it really is\n{shown}"
        )

    def leave(self) -> None:
        """End what still runs."""
        for background in self._background:
            background.end()
        if self._interpreter is not None:
            assert self._interpreter.stdin is not None
            assert self._interpreter.stdout is not None
            self._interpreter.stdin.close()
            self._interpreter.stdout.close()
            self._interpreter.wait(TIME_LIMIT)


class _Background:
    """A command that goes on while the page does; what it showed so far has been compared."""

    def __init__(self, process: subprocess.Popen[str], at: str) -> None:
        self._process = process
        self._at = at
        self._compared = 0

    def expect(self, reader: Reader, expected: str) -> None:
        """Wait until it shows what is expected."""
        deadline = time.monotonic() + TIME_LIMIT
        while True:
            shown = reader.shown_in_background()
            if fits(expected, shown[self._compared :]):
                self._compared = len(shown)
                return
            assert self._process.poll() is None, f"{self._at}: it ended:\n{shown}"
            assert time.monotonic() < deadline, f"{self._at}: expected\n{expected}\nand it shows\n{shown}"
            time.sleep(0.02)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(TIME_LIMIT)


def _typed(block: Block) -> Iterator[tuple[int, str, str]]:
    """The commands of a console block, each with its line and what is shown after it."""
    number, command, shown = 0, "", ""
    for line, text in enumerate(block.text.splitlines(), block.line):
        if text.startswith("$ "):
            if command:
                yield number, command, shown
            number, command, shown = line, text[2:].strip(), ""
        elif command.endswith("\\"):
            command += f"\n{text}"
        elif command:
            shown += f"{text}\n"
    if command:
        yield number, command, shown
