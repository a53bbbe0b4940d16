"""``wilk demo``, from beginning to end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as package
from wilk.cli.demo import AGENT

from .conftest import Result, spawn

Run = Callable[..., Result]


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    return tmp_path / "the demo"


def test_the_demo_shows_row_revision_difference_and_error(good: Run, demo: Path) -> None:
    shown = good("demo", "--home", str(demo)).out
    assert f"ok agents/{AGENT}/agent.yaml" in shown
    assert "model.parameters.temperature: 0.1 → 0.3" in shown
    assert "version: 1.2.0 → 1.3.0" in shown
    assert f"agents/{AGENT}/agent.yaml:12:18: model.parameters.temperature: expected a number" in shown
    assert "keeps its last good content: revision 2, temperature 0.3" in shown
    assert "model.parameters.temperature: 0.3 → 0.2" in shown
    assert "tool call file_search (path: src/login.py)" in shown
    assert "\x1b" not in shown


def test_what_the_demo_shows_is_in_the_store(good: Run, demo: Path) -> None:
    good("demo", "--home", str(demo))
    with package.open_store(f"sqlite:///{demo}/wilk.db", home=demo) as store:
        agent = store.agents.get(AGENT)
        assert (agent.version, agent.model, agent.revision) == ("1.3.0", "gpt-4", 3)
        (session,) = store.sessions.list()
        assert (session.saved, session.active_agents, session.message_count) == (True, [AGENT], 10)
        assert [call.name for call in store.tool_calls.list()] == ["file_search"]
        assert {prompt.id for prompt in store.prompts.list()} == {"code-review", "security-audit"}
        assert len(store.personas.list()) == 2
        assert len(store.presets.list()) == 1
        assert store.definitions.get("mcp-servers").definition["mcpServers"]
        assert not store.definitions.check()


def test_the_demo_runs_again_in_its_own_folder(good: Run, demo: Path) -> None:
    good("demo", "--home", str(demo))
    assert "model.parameters.temperature: 0.1 → 0.3" in good("demo", "--home", str(demo)).out
    with package.open_store(f"sqlite:///{demo}/wilk.db", home=demo) as store:
        assert store.agents.get(AGENT).revision == 6
        assert len(store.sessions.list()) == 2


def test_the_demo_leaves_other_folders_alone(wilk: Run, demo: Path) -> None:
    demo.mkdir()
    (demo / "mine.txt").write_text("mine")
    code, out, err = wilk("demo", "--home", str(demo))
    assert (code, out) == (1, "")
    assert "not empty" in err
    assert [path.name for path in demo.iterdir()] == ["mine.txt"]


def test_the_demo_uses_nothing_of_the_user(
    good: Run, demo: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILK_URL", f"sqlite:///{tmp_path}/mine.db")
    good("demo", "--home", str(demo))
    assert not home.exists()
    assert not (tmp_path / "mine.db").exists()


def test_without_a_home_the_demo_makes_a_folder_here(tmp_path: Path) -> None:
    done = spawn("demo", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "wilk-demo" / "agents" / AGENT / "agent.yaml").exists()


@pytest.mark.parametrize("set", [False, True])
def test_the_commands_to_try_next_work(
    good: Run, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set: bool
) -> None:
    import shlex

    if set:
        monkeypatch.setenv("WILK_URL", f"sqlite:///{tmp_path}/mine.db")
    shown = good("demo", "--home", str(demo)).out
    commands = [shlex.split(line) for line in shown.splitlines() if line.startswith("   wilk ")]
    tried = [words[1:] for words in commands if words[1] not in ("watch", "init")]
    assert len(tried) == 5
    for words in tried:
        assert "diff={diff}" not in words
        assert good(*words).out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other modes")
def test_the_demo_s_folder_is_private(good: Run, demo: Path) -> None:
    good("demo", "--home", str(demo))
    assert demo.stat().st_mode & 0o077 == 0
