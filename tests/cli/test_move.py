"""``wilk move``: what it shows, when it refuses, and how it goes on."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as library
from wilk.cli.bars import Bar
from wilk.cli.output import Output
from wilk.records.transfer import Progress

from .conftest import Result, spawn

Run = Callable[..., Result]

pytestmark = pytest.mark.sqlite


@pytest.fixture
def to(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new.db"


@pytest.fixture
def talk(good: Run) -> None:
    """A home folder with a session of two messages."""
    good("init")
    good("sessions", "new", "talk", "--use")
    good("messages", "add", "user", "hello")
    good("messages", "add", "user", "wolf")


def test_shows_rows_and_hashes_of_each_kind(good: Run, talk: None, to: str) -> None:
    lines = good("move", "--to", to).out.splitlines()
    assert lines[0].split() == ["KIND", "ROWS", "THERE", "COPIED", "HASH", "HASH", "THERE"]
    session, messages = (line.split() for line in lines[1:3])
    assert session[:5] == ["sessions", "1", "1", "1", "equal"]
    assert messages[:5] == ["messages", "2", "2", "2", "equal"]
    assert messages[5] == messages[6] != session[5]
    assert lines[3].endswith(f"are now in {to}, compared row by row")


def test_asks_about_a_source_that_holds_nothing(good: Run, to: str, tmp_path: Path) -> None:
    shown = good("move", "--url", f"sqlite:///{tmp_path}/misspelt.db", "--to", to)
    assert "misspelt.db holds nothing: is that the store that you mean?" in shown.out


def test_tells_the_line_that_switches_over_and_writes_it_only_if_asked(
    good: Run, talk: None, to: str, home: Path
) -> None:
    before = (home / "config.yaml").read_text()
    out = good("move", "--to", to).out
    assert f"url: '{to}'" in out
    assert (home / "config.yaml").read_text() == before
    good("move", "--to", to, "--switch")
    assert (home / "config.yaml").read_text() == f"{before}\nurl: '{to}'\n"
    assert good("config", "show", "--json").json["url"] == {"value": to, "origin": "config.yaml"}
    assert [one["text"] for one in good("messages", "list", "--json").json] == ["hello", "wolf"]


def test_the_url_that_is_written_can_be_used_from_any_folder(
    good: Run, talk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good("move", "--to", "sqlite:///new.db", "--switch")
    assert good("config", "show", "--json").json["url"]["value"] == f"sqlite:///{tmp_path}/new.db"


def test_gives_json_and_nothing_else(good: Run, talk: None, to: str) -> None:
    found = good("move", "--to", to, "--json").json
    assert (found["equal"], found["rows"], found["copied"], found["switched"]) == (True, 3, 3, False)
    messages = next(one for one in found["kinds"] if one["kind"] == "messages")
    assert (messages["rows"], messages["rows_there"], messages["equal"]) == (2, 2, True)
    assert messages["hash"] == messages["hash_there"]


def test_is_silent_if_it_shall_be(good: Run, talk: None, to: str) -> None:
    assert good("move", "--to", to, "--quiet").out == ""


def test_verifying_names_what_differs_and_fails(good: Run, wilk: Run, talk: None, to: str) -> None:
    good("move", "--to", to)
    assert good("move", "--verify", "--to", to).out.splitlines()[-1].startswith("3 rows of ")
    good("messages", "add", "user", "more")
    result = wilk("move", "--verify", "--to", to)
    assert result.code == 1
    assert "messages 3: missing" in result.err
    assert "different" in result.out
    found = wilk("move", "--verify", "--to", to, "--json")
    assert (found.code, found.json["equal"]) == (1, False)
    assert list(found.json["differences"][-1].values()) == ["messages", [3], "missing", None]


def test_a_target_in_use_is_an_error_that_says_what_to_do(wilk: Run, good: Run, talk: None, to: str) -> None:
    good("--url", to, "sessions", "new", "mine")
    result = wilk("move", "--to", to)
    assert result.code == 1
    assert "holds rows (sessions 1)" in result.err
    assert "name another one" in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--to"),
        (("--to", "nowhere"), "write SCHEME://"),
        (("--to", "nothing://x"), "no plugin offers the backend 'nothing'"),
        (("--to", "sqlite:///x.db", "--verify", "--switch"), "--switch belongs to a move"),
        (("--to", "sqlite:///x.db", "--switch", "--url", "sqlite:///y.db"), "--url names the database"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_done(
    wilk: Run,
    talk: None,
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = wilk("move", *arguments)
    assert result.code in (1, 2)
    assert said in result.err
    assert not list(tmp_path.glob("*.db"))


def test_a_variable_that_goes_before_the_file_is_told(
    wilk: Run, talk: None, to: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILK_URL", f"sqlite:///{home}/wilk.db")
    result = wilk("move", "--to", to, "--switch")
    assert result.code == 2
    assert "WILK_URL names the database" in result.err


def test_a_password_is_not_shown(wilk: Run, talk: None, home: Path) -> None:
    result = wilk("move", "--to", f"sqlite:///{home}/new.db?timeout=5", "--json")
    assert result.code == 0
    shown = wilk("move", "--to", "postgresql://wolf:secret@127.0.0.1:1/x")
    assert shown.code == 1
    assert "secret" not in shown.err + shown.out


def test_the_source_is_not_written(good: Run, talk: None, to: str, home: Path) -> None:
    before = {file.name: file.read_bytes() for file in home.iterdir() if file.is_file()}
    good("move", "--to", to)
    assert {file.name: file.read_bytes() for file in home.iterdir() if file.name in before} == before


@pytest.mark.slow
def test_interrupted_it_tells_how_to_go_on_and_does(talk: None, good: Run, to: str, home: Path) -> None:
    with library.open_store(home=home) as store:
        store.sessions.create(id="long", max_tokens=10**9)
        for _ in range(4):
            store.messages.extend("long", [{"role": "user", "text": f"wolf {n}"} for n in range(5_000)])
    reading, writing = os.pipe()
    room = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"." * (room - 40))  # the first tenth's line goes in, and the second waits
    process = subprocess.Popen(
        [sys.executable, "-m", "wilk", "move", "--to", to], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    deadline = time.monotonic() + 60
    while held(reading) == room - 40 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    with open(reading) as output:
        assert "copying: " in output.read()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "goes on from there" in errors, "Traceback" in errors) == (
        130,
        True,
        False,
    ), errors
    found = good("move", "--to", to, "--json").json
    assert (found["equal"], 0 < found["copied"] < found["rows"] == 20_004) == (True, True)


def held(pipe: int) -> int:
    """The bytes that wait in a pipe."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0])


class TestTheBar:
    def test_is_a_line_for_each_tenth_where_nobody_looks_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        bar = Bar(Output())
        for done in range(0, 20_001, 1_000):
            bar(Progress("copying", "messages", done, 20_000))
        lines = capsys.readouterr().out.splitlines()
        assert (len(lines), lines[-1]) == (10, "copying: 20,000 of 20,000 rows")

    def test_where_nobody_looks_on_says_once_that_all_was_read(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bar = Bar(Output())
        for written in range(3):
            bar(Progress("reading", "", 20_000, 20_000))
            bar(Progress("writing", "sessions", written, 0))
        assert capsys.readouterr().out == "reading: 20,000 of 20,000\n"

    def test_of_what_nobody_knows_the_end_of_it_counts(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        bar = Bar(Output())
        bar(Progress("reading", "", 90, 90))
        bar(Progress("writing", "sessions", 1_200, 0))
        drawn = capsys.readouterr().err
        assert "reading [########################] 100%" in drawn
        assert drawn.endswith("\rwriting: 1,200 records, at sessions\x1b[K")

    def test_is_drawn_on_a_terminal_and_taken_away(self, talk: None, to: str) -> None:
        controller, terminal = pty.openpty()
        result = spawn_with(terminal, "move", "--to", to)
        os.close(terminal)
        drawn = os.read(controller, 65536).decode()
        os.close(controller)
        assert result == 0
        assert "copying [" in drawn
        assert "of 3 rows" in drawn
        assert drawn.endswith("\r\x1b[K")


def spawn_with(terminal: int, *arguments: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "wilk", *arguments], stdout=subprocess.DEVNULL, stderr=terminal, check=False
    ).returncode


def test_help_tells_of_it() -> None:
    assert "copy every row into another database" in spawn("move", "--help").out.lower()
