"""Dispatch, options, exit codes, and errors that are told instead of thrown."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as package
from wilk.cli.nouns import NOUNS

from .conftest import Result, spawn

Run = Callable[..., Result]

GREETING = """
from wilk import Command, hookimpl

def _configure(parser):
    parser.add_argument("name")

def _run(arguments, open_store):
    print(f"hello {arguments.name}, {len(open_store().sessions.list())} sessions")

@hookimpl
def register_commands():
    yield Command(name="greet", summary="greets", configure=_configure, run=_run)
"""


def test_version_is_told(good: Run) -> None:
    assert good("--version").out == f"wilk {package.__version__}\n"


def test_version_is_told_beside_other_options(good: Run) -> None:
    assert good("-q", "-V").out == f"wilk {package.__version__}\n"


def test_nothing_at_all_shows_every_noun(good: Run) -> None:
    shown = good().out
    assert all(f"  {noun} " in shown for noun in NOUNS)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_what_nothing_at_all_shows(good: Run, option: str) -> None:
    assert good(option).out == good().out == good("help").out


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_every_noun_has_help(good: Run, noun: str) -> None:
    assert f"usage: wilk {noun}" in good(noun, "--help").out


def test_help_of_a_verb_is_the_same_both_ways(good: Run) -> None:
    assert good("help", "sessions", "list").out == good("sessions", "list", "--help").out


def test_an_unknown_noun_is_answered_with_the_nearest(wilk: Run) -> None:
    code, out, err = wilk("agnets", "list")
    assert (code, out) == (2, "")
    assert "did you mean 'agents'?" in err


def test_an_unknown_verb_is_answered_with_the_nearest(wilk: Run) -> None:
    code, _, err = wilk("sessions", "shwo")
    assert code == 2
    assert "did you mean 'show'?" in err


def test_a_noun_without_a_verb_names_its_verbs(wilk: Run) -> None:
    code, _, err = wilk("sessions")
    assert code == 2
    assert "list, show, new" in err


@pytest.mark.sqlite  # where a folder is a store
def test_common_options_stand_before_or_after_the_noun(good: Run, tmp_path: Path) -> None:
    home = str(tmp_path / "other")
    good("sessions", "new", "one", "--home", home)
    assert len(good("--home", home, "--json", "sessions", "list").json) == 1
    assert len(good("sessions", "list", "--json", "--home", home).json) == 1
    assert good("sessions", "list", "--json").json == []


@pytest.mark.sqlite
def test_a_url_may_have_blanks(good: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'with blanks'}.db"
    good("sessions", "new", "one", "--url", url)
    assert len(good("--url", url, "sessions", "list", "--json").json) == 1


def test_a_url_is_a_store_without_a_home(good: Run, elsewhere: str) -> None:
    url = elsewhere
    good("sessions", "new", "one", "--url", url)
    assert len(good("--url", url, "sessions", "list", "--json").json) == 1


def test_readonly_refuses_to_write_with_one(wilk: Run, good: Run) -> None:
    good("sessions", "new", "one")
    code, _, err = wilk("sessions", "new", "two", "--readonly")
    assert code == 1
    assert "readonly" in err


def test_readonly_reads(good: Run, agent_file: Path) -> None:
    good("sync")
    assert [agent["id"] for agent in good("agents", "list", "--json", "--readonly").json] == ["reviewer"]


def test_settings_come_from_variables(good: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILK_DEFAULT_MODEL", "gpt-9")
    assert good("sessions", "new", "--json").json["model"] == "gpt-9"


BAD = [
    ["nonsense"],
    ["agents"],
    ["agents", "nonsense"],
    ["agents", "show"],
    ["agents", "show", "nobody"],
    ["agents", "show", "../../etc/passwd"],
    ["agents", "show", ""],
    ["agents", "list", "--bogus"],
    ["agents", "edit", "nobody"],
    ["agents", "new", "../out"],
    ["agents", "new", "con"],
    ["agents", "new", "a\nb"],
    ["agents", "new", "x", "--from", "/nowhere/at/all"],
    ["agents", "check", "nobody"],
    ["agents", "check", "/nowhere/at/all.yaml"],
    ["agents", "history", "nobody"],
    ["agents", "history", "nobody", "--diff", "x:y"],
    ["agents", "remove", "nobody", "--yes"],
    ["agents", "usage", "--days", "-1"],
    ["agents", "usage", "--days", "nan"],
    ["prompts", "render", "nothing", "a=b"],
    ["prompts", "render", "nothing", "novalue"],
    ["personas", "default", "nobody"],
    ["definitions", "show", "nothing"],
    ["definitions", "show", "agents", "nobody"],
    ["sessions", "show"],
    ["sessions", "show", "nothing"],
    ["sessions", "show", "--last", "0"],
    ["sessions", "list", "--status", "odd"],
    ["sessions", "list", "--limit", "many"],
    ["sessions", "list", "--saved", "--temporary"],
    ["sessions", "list", "--days", "1e99"],
    ["sessions", "new", "--persona", "nobody"],
    ["sessions", "new", "--user", "nobody"],
    ["sessions", "new", "--max-tokens", "-5"],
    ["sessions", "new", "--strategy", "odd"],
    ["sessions", "new", "--metadata", "{"],
    ["sessions", "new", "--metadata", "[1]"],
    ["sessions", "fork", "nothing"],
    ["sessions", "remove", "nothing", "--yes"],
    ["sessions", "use", "nothing"],
    ["messages", "add", "user", "hello"],
    ["messages", "add"],
    ["messages", "list", "--after", "1", "--before", "2"],
    ["messages", "show", "nothing"],
    ["messages", "search"],
    ["tool-calls", "list", "--status", "odd"],
    ["tool-calls", "show", "nothing"],
    ["users", "save", "x"],
    ["users", "show", "nobody"],
    ["groups", "add", "none", "nobody"],
    ["groups", "drop", "none", "nobody"],
    ["help", "nonsense"],
    ["completion", "tcsh"],
    ["completion"],
    ["demo", "--json"],
    ["config", "show", "--home"],
    ["--url", "nonsense", "sessions", "list"],
    ["--url", "nothing://x", "sessions", "list"],
    ["--url", "sqlite:////dev/null/x.db", "sessions", "list"],
    ["sessions", "new", "lone \udcff surrogate"],
]


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_input_is_told_in_words(wilk: Run, arguments: list[str]) -> None:
    code, out, err = wilk(*arguments)
    assert code in (1, 2)
    assert out == ""
    assert err.startswith("wilk: error: ")
    assert "Traceback" not in err
    assert "should not happen" not in err


def test_a_bad_config_is_told_with_its_place(wilk: Run, home: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("timeot: 3\n")
    code, _, err = wilk("sessions", "list")
    assert code == 1
    assert "config.yaml" in err
    assert "'timeout'" in err


def test_help_is_shown_whatever_the_config_holds(good: Run, home: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("timeot: 3\n")
    assert "agents" in good("help").out


def test_a_home_that_is_a_file_is_told(wilk: Run, home: Path) -> None:
    home.write_text("")
    code, _, err = wilk("init")
    assert code == 1
    assert str(home) in err


def test_what_should_not_happen_is_one_line(wilk: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr("wilk.settings.load", fail)
    code, _, err = wilk("sessions", "list")
    assert code == 1
    assert (
        err
        == "wilk: error: ZeroDivisionError: odd\nthis should not happen; WILK_DEBUG=1 shows where it did\n"
    )


def test_wilk_debug_shows_the_traceback() -> None:
    program = (
        "import wilk.settings; wilk.settings.load = None\n"
        "from wilk.cli import main; main(['sessions', 'list'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "WILK_DEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" in done.stderr


def test_ctrl_c_ends_with_130(wilk: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wilk.settings.load", interrupt)
    assert wilk("sessions", "list") == (130, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell with pipes")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_leaves_early_gets_no_complaint(good: Run, options: list[str]) -> None:
    good("sessions", "new", "long", "--use")
    good("messages", "add", "user", stdin="word\n" * 100_000)
    with subprocess.Popen(
        [sys.executable, "-m", "wilk", "messages", "list", *options],
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_terminal_that_is_not_unicode_gets_question_marks(good: Run) -> None:
    good("sessions", "new", "Gespräch 漢字")
    done = spawn("sessions", "list", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.code == 0
    assert "Gespr?ch ??" in done.out


def test_json_is_utf8_whatever_the_locale_says(good: Run) -> None:
    good("sessions", "new", "Gespräch 漢字")
    done = spawn("sessions", "list", "--json", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.json[0]["name"] == "Gespräch 漢字"


def test_python_m_wilk_is_wilk() -> None:
    assert spawn("--version").out == f"wilk {package.__version__}\n"


def test_the_process_ends_with_the_commands_exit_code() -> None:
    assert spawn("sessions", "show", "nothing").code == 1
    assert spawn("nonsense").code == 2


def test_what_is_registered_for_the_end_of_the_process_is_called(plugins: Callable[[str, str], None]) -> None:
    source = GREETING.replace("def _run", "import atexit\n\ndef _run").replace(
        "    print(f", "    atexit.register(print, 'goodbye')\n    print(f"
    )
    plugins("greeting", source)
    assert spawn("greet", "you").out == "hello you, 0 sessions\ngoodbye\n"


def test_a_plugins_command_is_a_noun_like_any_other(good: Run, plugins: Callable[[str, str], None]) -> None:
    plugins("greeting", GREETING)
    assert good("greet", "you").out == "hello you, 0 sessions\n"
    assert "greets" in good("help").out
    assert "usage: wilk greet" in good("help", "greet").out


def test_a_misspelled_plugins_command_is_suggested(wilk: Run, plugins: Callable[[str, str], None]) -> None:
    plugins("greeting", GREETING)
    assert "did you mean 'greet'?" in wilk("grete", "you").err


def test_a_command_of_a_broken_plugin_names_the_plugin(
    wilk: Run, plugins: Callable[[str, str], None]
) -> None:
    plugins("greet", "raise RuntimeError('it is broken')")
    code, _, err = wilk("greet", "you")
    assert code == 1
    assert "wilk-greet" in err
    assert "it is broken" in err
    assert "Traceback" not in err


def test_plugins_are_listed_with_what_is_wrong(wilk: Run, plugins: Callable[[str, str], None]) -> None:
    plugins("greeting", GREETING)
    plugins("broken", "import nothing_of_the_kind")
    code, out, err = wilk("plugins")
    assert (code, err) == (0, "")
    assert "commands.greet" in out
    assert "broken is quarantined: ModuleNotFoundError: No module named 'nothing_of_the_kind'" in out


def test_plugins_as_json(wilk: Run, plugins: Callable[[str, str], None]) -> None:
    plugins("broken", "import nothing_of_the_kind")
    found = {plugin["name"]: plugin for plugin in wilk("plugins", "--json").json}
    assert found["broken"]["status"] == "quarantined"
    assert found["sqlite"]["status"] == "loaded"
    assert "backends.sqlite" in found["sqlite"]["offers"]


def test_verbose_logs_to_stderr(wilk: Run) -> None:
    code, out, err = wilk("-vv", "sessions", "list", "--json")
    assert code == 0
    assert out == "[]\n"
    assert "wilk: debug: " in err


@pytest.mark.backends
def test_every_noun_reads_a_store_that_is_named_by_its_url(good: Run, elsewhere: str) -> None:
    """An empty store has an empty list of everything, or tells what there is to tell."""
    good("sessions", "new", "talk", "--use", "--url", elsewhere)
    lists = (
        "agents", "prompts", "personas", "presets", "vectors", "sessions", "blocks", "facts", "tools",
        "tool-calls", "documents", "memories", "state", "interactions", "patterns", "feedback", "preferences",
        "world-models", "users", "groups", "archive",
    )  # fmt: skip
    for noun in lists:
        told = good(noun, "list", "--url", elsewhere, "--json").json
        assert bool(told) == (noun in ("sessions", "tools")), noun
    for words in (
        "search talk", "index status", "context stats", "messages list", "pins list", "summaries list",
        "memory status", "consolidation statistics", "archive stats", "cache stats",
        "registry installed", "health", "stats",
    ):  # fmt: skip
        assert good(*words.split(), "--url", elsewhere, "--json").out, words
