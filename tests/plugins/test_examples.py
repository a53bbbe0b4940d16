"""Every example is built into a wheel, installed into a fresh environment, and does what its README shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.storeless

ROOT = Path(__file__).parents[2]
EXAMPLES = ("host-app", "hot-reload", "hook-extension", "backend-encrypted", "connectome-component")


class Environment:
    """A virtual environment with wilk and the examples in it, installed from wheels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / ("Scripts" if os.name == "nt" else "bin")

    def environ(self, home: Path, **more: str) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("WILK_", "PYTHON"))}
        return {**kept, "WILK_HOME": str(home), "XDG_CACHE_HOME": str(home.parent / "cache"), **more}

    def run(self, home: Path, *command: str, code: int = 0, **more: str) -> str:
        program, *arguments = command
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            env=self.environ(home, **more),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("fresh")
    wheels = folder / "wheels"
    sources = [ROOT, *(ROOT / "examples" / name for name in EXAMPLES)]
    _call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(wheels),
          *map(str, sources))  # fmt: skip
    _call(sys.executable, "-m", "venv", str(folder / "venv"))
    environment = Environment(folder / "venv")
    _call(str(environment.programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
          *map(str, sorted(wheels.glob("*.whl"))))  # fmt: skip
    return environment


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr


def test_the_host_app_keeps_its_talk_from_one_run_to_the_next(fresh: Environment, tmp_path: Path) -> None:
    home = tmp_path / "talk"
    first = fresh.run(home, "wilk-chat", "--home", str(home), "hello", "there")
    assert first == "hello there (that was 1 of this talk, which began with 'hello there')\n"
    second = fresh.run(home, "wilk-chat", "--home", str(home), "and", "again")
    assert second == "and again (that was 2 of this talk, which began with 'hello there')\n"
    kept = json.loads(fresh.run(home, "wilk", "messages", "list", "--json"))
    assert [message["role"] for message in kept] == ["assistant", "user", "assistant", "user", "assistant"]


def test_the_host_app_follows_its_agents_file(fresh: Environment, tmp_path: Path) -> None:
    home = tmp_path / "talk"
    fresh.run(home, "wilk-chat", "--home", str(home), "hello")
    file = home / "agents" / "parrot" / "agent.yaml"
    file.write_text(file.read_text().replace("system: ", "system: Be loud. ", 1))
    assert "HELLO" in fresh.run(home, "wilk-chat", "--home", str(home), "hello")


def test_the_connectome_component_goes_on_where_it_ended(fresh: Environment, tmp_path: Path) -> None:
    file = tmp_path / "talk.db"
    home = tmp_path / "home"
    first = fresh.run(home, "wilk-component", "--db", str(file), "reviewer", "Why", "is", "it", "slow?")
    assert first == "reviewer knows of 0 turns before: WHY IS IT SLOW?\n"
    second = fresh.run(home, "wilk-component", "--db", str(file), "reviewer", "And", "now?")
    assert second == "reviewer knows of 1 turns before: AND NOW?\n"
    fresh.run(home, "wilk-component", "--db", str(file), "other", "hello")
    url = f"sqlite:///{file}"
    kept = json.loads(fresh.run(home, "wilk", "--url", url, "reasoning", "render", "reviewer", "--json"))
    assert [message["content"] for message in kept if message["role"] == "user"] == [
        "Why is it slow?",
        "[shout gave WHY IS IT SLOW?]",
        "And now?",
        "[shout gave AND NOW?]",
    ]


def test_hot_reload_shows_each_good_save_and_names_the_fault_of_a_bad_one(
    fresh: Environment, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    file = home / "agents" / "coder" / "agent.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("name: Coder\nprompts: {system: Write Python.}\n")
    program = subprocess.Popen(
        [str(fresh.programs / "wilk-reload"), "--home", str(home), "coder"],
        env=fresh.environ(home, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    try:
        assert program.stdout.readline() == "revision 1: Write Python.\n"
        time.sleep(0.5)  # the program says nothing when it has begun to watch
        for text, expected in (
            ("name: Coder\nprompts: {system: Write tests.}\n", "revision 2: Write tests.\n"),
            ("name: [\n", "kept the last good one: agents/coder/agent.yaml:"),
            ("name: Coder\nprompts: {system: Write both.}\n", "revision 3: Write both.\n"),
        ):
            file.write_text(text)
            assert program.stdout.readline().startswith(expected)
    finally:
        program.terminate()
        program.wait(timeout=20)
        program.stdout.close()


def test_the_hook_extension_hears_of_messages_and_adds_its_command(
    fresh: Environment, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    fresh.run(home, "wilk", "sessions", "new", "--id", "planning")
    fresh.run(home, "wilk", "messages", "add", "-s", "planning", "user", "hello there")
    told = [json.loads(line) for line in fresh.run(home, "wilk", "outbox").splitlines()]
    assert {"event": "message", "session": "planning", "role": "user", "words": 2} in told
    assert (home / "outbox.jsonl").stat().st_mode & 0o077 == 0


def test_the_encrypted_backend_opens_with_its_key_and_no_other(fresh: Environment, tmp_path: Path) -> None:
    file = tmp_path / "private.db"
    url = f"encrypted:///{file}"
    key = "correct horse battery staple"
    home = tmp_path / "home"
    fresh.run(home, "wilk", "--url", url, "sessions", "new", "Diary", WILK_ENCRYPTED_KEY=key)
    assert "Diary" in fresh.run(home, "wilk", "--url", url, "sessions", "list", WILK_ENCRYPTED_KEY=key)
    assert b"Diary" not in file.read_bytes()
    assert not file.read_bytes().startswith(b"SQLite format 3")
    refused = fresh.run(home, "wilk", "--url", url, "sessions", "list", code=1, WILK_ENCRYPTED_KEY="wrong")
    assert "does not open with this key" in refused


@pytest.mark.slow
def test_the_encrypted_backend_meets_the_contract(fresh: Environment, tmp_path: Path) -> None:
    _call(str(fresh.programs / "python"), "-m", "pip", "install", "--quiet", "pytest>=9,<10")
    tests = str(ROOT / "examples" / "backend-encrypted" / "tests")
    out = fresh.run(tmp_path / "home", "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
                    "--rootdir", str(tmp_path), tests)  # fmt: skip
    assert " passed" in out


def test_the_plugins_list_shows_what_the_examples_offer(fresh: Environment, tmp_path: Path) -> None:
    listed = json.loads(fresh.run(tmp_path / "home", "wilk", "plugins", "--json"))
    offers = {offer for plugin in listed for offer in plugin["offers"]}
    assert {"backends.encrypted", "backends.sqlite", "commands.outbox"} <= offers
    assert {plugin["status"] for plugin in listed} == {"loaded"}
