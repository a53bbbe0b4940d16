"""``wilk tools`` and the results of ``wilk tool-calls``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wilk import open_store

from .conftest import Result

Cli = Callable[..., Result]

REPEAT = '''\
"""Says things again."""


def run(text: str, times: int = 1, mode: str | None = None) -> str | list[str]:
    """Say a text several times."""
    return [text] * times if mode == "list" else text * times
'''


@pytest.fixture
def on(good: Cli, home: Path) -> Path:
    """A home folder that runs the files of its tools, with a current session and an agent."""
    good("init")
    (home / "config.yaml").write_text("custom_tools: true\n")
    (home / "tools").mkdir()
    (home / "tools" / "repeat.py").write_text(REPEAT)
    agent = home / "agents" / "helper" / "agent.yaml"
    agent.parent.mkdir()
    agent.write_text("name: Helper\ntools: [repeat, memory_pin]\n")
    good("sessions", "new", "--use")
    return home


class TestList:
    def test_shows_every_tool_and_where_it_is_from(self, on: Path, good: Cli) -> None:
        shown = good("tools", "list").out
        assert "repeat" in shown
        assert "tools/repeat.py" in shown
        assert "Say a text several times." in shown
        assert "plugin memory_tools (wilk)" in shown

    def test_says_which_are_off(self, on: Path, good: Cli) -> None:
        (on / "config.yaml").write_text("")
        rows = {tool["name"]: tool["status"] for tool in good("tools", "list", "--json").json}
        assert (rows["repeat"], rows["memory_pin"]) == ("off", "ready")

    def test_says_which_are_broken(self, on: Path, wilk: Cli) -> None:
        (on / "tools" / "repeat.py").write_text("1 / 0")
        listed = wilk("tools", "list", "--json")
        (row,) = [tool for tool in listed.json if tool["name"] == "repeat"]
        assert "tools/repeat.py is quarantined" in listed.err
        assert (row["status"], row["problem"]) == ("broken", "line 1: ZeroDivisionError: division by zero")

    def test_takes_an_agent_whose_own_count_too(self, on: Path, good: Cli, wilk: Cli) -> None:
        own = on / "agents" / "helper" / "tools"
        own.mkdir()
        (own / "mine.py").write_text("def run(): ...")
        listed = [tool["name"] for tool in good("tools", "list", "--agent", "helper", "--json").json]
        assert "mine" in listed
        assert "mine" not in good("tools", "list").out
        failed = wilk("tools", "list", "--agent", "x")
        assert (failed.code, failed.err) == (1, "wilk: error: no agent 'x'\n")


class TestShow:
    def test_shows_the_parameters(self, on: Path, good: Cli) -> None:
        shown = good("tools", "show", "repeat").out
        assert "Say a text several times." in shown
        assert "integer" in shown
        assert good("tools", "show", "repeat", "--json").json["parameters"]["required"] == ["text"]

    def test_says_what_was_meant(self, on: Path, wilk: Cli) -> None:
        failed = wilk("tools", "show", "repaet")
        assert failed.code == 1
        assert "did you mean 'repeat'?" in failed.err


class TestCheck:
    def test_says_that_an_agent_has_its_tools(self, on: Path, good: Cli) -> None:
        assert (
            good("tools", "check", "helper").out == "agent helper has all of its tools: repeat, memory_pin\n"
        )

    def test_says_what_is_missing(self, on: Path, wilk: Cli) -> None:
        (on / "config.yaml").write_text("")
        failed = wilk("tools", "check", "helper")
        assert failed.code == 1
        assert "agents/helper/agent.yaml" in failed.err
        assert "set custom_tools: true in config.yaml" in failed.err


class TestRun:
    def test_gives_the_result(self, on: Path, good: Cli) -> None:
        assert good("tools", "run", "repeat", "text=7", "times=3").out == "777\n"
        assert good("tools", "run", "repeat", "text=7", "mode=list").json == ["7"]

    def test_logs_the_call_in_the_current_session(self, on: Path, good: Cli) -> None:
        good("tools", "run", "repeat", "text=wolf", "--agent", "helper")
        (call,) = good("tool-calls", "list", "--json").json
        assert (call["name"], call["agent_id"], call["result"]) == ("repeat", "helper", "wolf")
        assert (call["status"], call["arguments"]) == ("ok", {"text": "wolf"})

    def test_takes_arguments_as_json_also_from_stdin(self, on: Path, good: Cli) -> None:
        given = '{"text": "ab", "times": 2}'
        assert good("tools", "run", "repeat", "--arguments", given).out == "abab\n"
        assert good("tools", "run", "repeat", "times=3", "--arguments", "-", stdin=given).out == "ababab\n"

    def test_gives_the_whole_call_as_json(self, on: Path, good: Cli) -> None:
        call = good("tools", "run", "repeat", "text=x", "--json").json
        assert (call["result"], call["status"]) == ("x", "ok")

    @pytest.mark.parametrize(
        ("arguments", "code", "told"),
        [
            (["repeat"], 1, "argument text is missing"),
            (["repeat", "text=x", "times=y"], 1, "argument times 'y': integer is wanted"),
            (["repeat", "text"], 2, "'text' is not NAME=VALUE"),
            (["repeat", "--arguments", "[1]"], 2, "--arguments takes a JSON object"),
            (["repeat", "--arguments", "{"], 1, "line 1"),
            (["repeat", "text=x", "--timeout", "0"], 2, "--timeout: '0' is not a number of seconds above 0"),
            (["repeat", "text=x", "--timeout", "soon"], 2, "'soon' is not a number of seconds above 0"),
            (["repeat", "text=x", "--timeout", "1"], 1, "a plain function"),
            (["memory_save", "text=x", "--agent", "helper"], 1, "does not name it"),
            (["repeat", "text=x", "--session", "none"], 1, "no session 'none'"),
        ],
    )
    def test_says_what_is_wrong(
        self, on: Path, wilk: Cli, arguments: list[str], code: int, told: str
    ) -> None:
        failed = wilk("tools", "run", *arguments)
        assert (failed.code, failed.out) == (code, "")
        assert told in failed.err

    def test_an_error_of_the_tool_is_no_traceback(self, on: Path, wilk: Cli, good: Cli) -> None:
        (on / "tools" / "fail.py").write_text("def run():\n    raise KeyError('x')\n")
        failed = wilk("tools", "run", "fail")
        assert (failed.code, failed.err) == (1, "wilk: error: tool 'fail' failed: KeyError: 'x'\n")
        assert good("tool-calls", "list", "--status", "error", "--json").json[0]["error"] == "KeyError: 'x'"


class TestResults:
    def test_are_given_whole_however_large(self, on: Path, good: Cli) -> None:
        good("tools", "run", "repeat", "text=x", "times=20000")
        (call,) = good("tool-calls", "list", "--json").json
        assert (call["result"], call["result_size"]) == ("x" * 1000, 20_002)
        assert good("tool-calls", "result", call["id"]).out == "x" * 20_000 + "\n"
        assert good("tool-calls", "result", call["id"], "--json").json == "x" * 20_000
        shown = good("tool-calls", "show", call["id"]).out
        assert call["result_hash"] in shown
        assert f"`wilk tool-calls result {call['id']}` gives the whole" in shown

    def test_of_other_kinds_are_json(self, on: Path, good: Cli) -> None:
        good("tools", "run", "repeat", "text=x", "mode=list", "times=9000")
        (call,) = good("tool-calls", "list", "--json").json
        assert good("tool-calls", "result", call["id"]).json == ["x"] * 9000


class TestEnd:
    def test_notes_that_a_call_is_over_whose_program_was_killed(self, on: Path, good: Cli, wilk: Cli) -> None:
        with open_store(home=on) as store:
            call = store.tool_calls.start(store.sessions.list()[0].id, "repeat")
        assert "is over: its program was killed" in good("tool-calls", "end", call.id).out
        (row,) = good("tool-calls", "list", "--json").json
        assert (row["status"], row["error"]) == ("error", "its program was killed")
        assert "has ended already" in wilk("tool-calls", "end", call.id, "--error", "again").err
