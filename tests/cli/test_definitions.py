"""``wilk agents``, ``prompts``, ``personas``, ``presets``, ``definitions`` and ``sync``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as package

from .conftest import AGENT, Result

Run = Callable[..., Result]
NOUNS = ["agents", "prompts", "personas", "presets"]


def test_a_list_takes_over_what_is_in_the_files(good: Run, agent_file: Path) -> None:
    assert [agent["name"] for agent in good("agents", "list", "--json").json] == ["Reviewer"]
    agent_file.write_text(AGENT.replace("Reviewer", "Renamed"))
    assert [agent["name"] for agent in good("agents", "list", "--json").json] == ["Renamed"]


def test_a_list_is_narrowed(good: Run, agent_file: Path) -> None:
    good("agents", "new", "other")
    assert [agent["id"] for agent in good("agents", "list", "--category", "development", "--json").json] == [
        "reviewer"
    ]
    assert [agent["id"] for agent in good("agents", "list", "--name", "oth", "--json").json] == ["other"]


def test_a_list_tells_of_broken_files(wilk: Run, agent_file: Path) -> None:
    wilk("agents", "list")
    agent_file.write_text("name: [")
    code, out, err = wilk("agents", "list")
    assert code == 0
    assert "Reviewer" in out
    assert "agents/reviewer/agent.yaml" in err


def test_show_has_every_field(good: Run, agent_file: Path) -> None:
    shown = good("agents", "show", "reviewer").out
    assert str(agent_file) in shown
    assert "temperature: 0.1" in shown


def test_show_yaml_is_the_file(good: Run, agent_file: Path) -> None:
    assert good("agents", "show", "reviewer", "--yaml").out == AGENT


def test_show_json_is_the_record(good: Run, agent_file: Path) -> None:
    agent = good("agents", "show", "reviewer", "--json").json
    assert agent["definition"]["model"]["parameters"] == {"temperature": 0.1}
    assert (agent["revision"], agent["file"]["state"]) == (1, "ok")


@pytest.mark.parametrize("noun", NOUNS)
def test_a_new_one_is_sound_and_synced(good: Run, home: Path, noun: str) -> None:
    record = good(noun, "new", "mine", "--name", 'My "own": #1', "--description", "yes", "--json").json
    assert (record["name"], record["description"], record["revision"]) == ('My "own": #1', "yes", 1)
    assert good(noun, "check").out == f"{noun}: nothing is wrong\n"


@pytest.mark.parametrize(
    ("noun", "field"), [("agents", "model"), ("personas", "default_model"), ("presets", "model")]
)
def test_a_new_one_gets_its_model(good: Run, noun: str, field: str) -> None:
    assert good(noun, "new", "mine", "--model", "gpt-9", "--json").json[field] == "gpt-9"


def test_a_new_one_does_not_replace_an_old_one(wilk: Run, agent_file: Path) -> None:
    assert wilk("agents", "new", "reviewer").code == 1
    assert agent_file.read_text() == AGENT


def test_a_new_one_whose_name_is_taken_leaves_no_file(wilk: Run, home: Path, agent_file: Path) -> None:
    code, _, err = wilk("agents", "new", "second", "--name", "Reviewer")
    assert code == 1
    assert "Reviewer" in err
    assert not (home / "agents" / "second").exists()


def test_a_new_one_from_a_file_keeps_its_comments(good: Run, home: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.yaml"
    source.write_text(AGENT)
    agent = good(
        "agents", "new", "copy", "--from", str(source), "--name", "Copy", "--model", "gpt-9", "--json"
    ).json
    assert (agent["name"], agent["model"]) == ("Copy", "gpt-9")
    kept = (home / "agents" / "copy" / "agent.yaml").read_text()
    assert kept == AGENT.replace("name: Reviewer", "name: Copy").replace("name: gpt-4", "name: gpt-9")


def test_a_new_one_from_stdin(good: Run, home: Path) -> None:
    good("agents", "new", "copy", "--from", "-", stdin=AGENT)
    assert (home / "agents" / "copy" / "agent.yaml").read_text() == AGENT


def test_a_new_one_from_a_broken_file_leaves_nothing(wilk: Run, home: Path) -> None:
    code, _, err = wilk("agents", "new", "copy", "--from", "-", stdin="name: 3\n")
    assert code == 1
    assert "stdin:1:7: name: expected text" in err
    assert not (home / "agents" / "copy").exists()


def test_readonly_makes_no_file(wilk: Run, good: Run, home: Path) -> None:
    good("init")
    assert wilk("agents", "new", "mine", "--readonly").code == 1
    assert not (home / "agents" / "mine").exists()


# -- check --


def test_check_tells_file_line_column_and_field(wilk: Run, agent_file: Path) -> None:
    agent_file.write_text(AGENT.replace("0.1", "warm"))
    code, out, err = wilk("agents", "check")
    assert (code, err) == (1, "")
    assert "agents/reviewer/agent.yaml:9:18: model.parameters.temperature: expected a number" in out


@pytest.mark.parametrize("how", ["id", "path"])
def test_check_of_one_ignores_the_others(wilk: Run, good: Run, agent_file: Path, how: str) -> None:
    good("agents", "new", "sound")
    agent_file.write_text("name: 3\n")
    sound = agent_file.parent.parent / "sound" / "agent.yaml"
    assert wilk("agents", "check", "sound" if how == "id" else str(sound)).code == 0
    assert wilk("agents", "check", "reviewer" if how == "id" else str(agent_file)).code == 1


def test_check_of_a_file_elsewhere(wilk: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: 3\n")
    code, out, _ = wilk("agents", "check", str(file))
    assert code == 1
    assert f"{file}:1:7: name: expected text" in out
    file.write_text(AGENT)
    assert wilk("agents", "check", str(file)).code == 0


def test_a_warning_is_told_and_is_no_fault(wilk: Run, agent_file: Path) -> None:
    agent_file.write_text(AGENT.replace("category:", "categroy:"))
    code, out, _ = wilk("agents", "check")
    assert code == 0
    assert "did you mean 'category'?" in out


def test_check_as_json(wilk: Run, agent_file: Path) -> None:
    agent_file.write_text("name: 3\n")
    result = wilk("agents", "check", "--json")
    assert result.code == 1
    assert [(one["kind"], one["id"]) for one in result.json] == [("agents", "reviewer")]


# -- history --


@pytest.fixture
def edited(good: Run, agent_file: Path) -> Path:
    """An agent with three revisions."""
    good("sync")
    agent_file.write_text(AGENT.replace("0.1", "0.3"))
    good("sync")
    agent_file.write_text(AGENT.replace("0.1", "0.5"))
    good("sync")
    return agent_file


def test_history_lists_revisions_with_what_changed(good: Run, edited: Path) -> None:
    lines = good("agents", "history", "reviewer").out.splitlines()
    assert len(lines) == 4
    assert "0.1 → 0.3" in lines[2]
    assert "0.3 → 0.5" in lines[3]


@pytest.mark.parametrize(
    ("span", "old", "new"), [((), "0.3", "0.5"), (("2",), "0.1", "0.3"), (("1:3",), "0.1", "0.5")]
)
def test_history_shows_a_difference(
    good: Run, edited: Path, span: tuple[str, ...], old: str, new: str
) -> None:
    shown = good("agents", "history", "reviewer", "--diff", *span).out
    assert f"-    temperature: {old}" in shown
    assert f"+    temperature: {new}" in shown


def test_a_revision_that_is_not_there_is_told(wilk: Run, edited: Path) -> None:
    code, _, err = wilk("agents", "history", "reviewer", "--diff", "9")
    assert code == 1
    assert "1 to 3" in err


def test_history_as_json(good: Run, edited: Path) -> None:
    assert [one["number"] for one in good("agents", "history", "reviewer", "--json").json] == [1, 2, 3]
    change = good("agents", "history", "reviewer", "--diff", "--json").json["changes"][0]
    assert (change["field"], change["old"], change["new"]) == ("model.parameters.temperature", 0.3, 0.5)


# -- remove --


def test_remove_takes_the_file_and_keeps_the_history(good: Run, wilk: Run, edited: Path) -> None:
    good("agents", "remove", "reviewer", "--yes")
    assert not edited.exists()
    assert good("agents", "list", "--json").json == []
    assert [one["id"] for one in good("agents", "list", "--archived", "--json").json] == ["reviewer"]
    assert len(good("agents", "history", "reviewer", "--json").json) == 3


def test_remove_without_yes_changes_nothing_where_nobody_can_be_asked(wilk: Run, edited: Path) -> None:
    assert wilk("agents", "remove", "reviewer").code == 2
    assert edited.exists()


# -- edit --


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Sets an editor that replaces a text in the file by another."""

    def use(old: str, new: str) -> None:
        script = tmp_path / "my editor.py"
        script.write_text(
            "import pathlib, sys\nfile = pathlib.Path(sys.argv[1])\n"
            f"file.write_text(file.read_text().replace({old!r}, {new!r}))\n"
        )
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", f"{sys.executable} '{script}'")

    return use


def test_edit_shows_what_changed(good: Run, agent_file: Path, editor: Callable[[str, str], None]) -> None:
    editor("0.1", "0.9")
    shown = good("agents", "edit", "reviewer").out
    assert shown == "updated agents/reviewer revision 2: model.parameters.temperature: 0.1 → 0.9\n"


def test_edit_tells_of_errors_with_their_place(
    wilk: Run, agent_file: Path, editor: Callable[[str, str], None]
) -> None:
    editor("0.1", "warm")
    code, out, _ = wilk("agents", "edit", "reviewer")
    assert code == 1
    assert "agents/reviewer/agent.yaml:9:18" in out


def test_edit_as_json_is_one_document(
    wilk: Run, agent_file: Path, editor: Callable[[str, str], None]
) -> None:
    editor("0.1", "warm")
    result = wilk("agents", "edit", "reviewer", "--json")
    assert result.code == 1
    assert result.json["record"]["revision"] == 1
    assert result.json["failures"][0]["id"] == "reviewer"


def test_edit_that_changes_nothing(good: Run, agent_file: Path, editor: Callable[[str, str], None]) -> None:
    editor("not there", "")
    assert good("agents", "edit", "reviewer").out == "nothing changed\n"


@pytest.mark.parametrize(
    "line", ["/no/such/editor", "'unbalanced", f"{sys.executable} -c 'raise SystemExit(3)'"]
)
def test_an_editor_that_does_not_work_is_told(
    wilk: Run, agent_file: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("VISUAL", line)
    code, _, err = wilk("agents", "edit", "reviewer")
    assert code == 1
    assert "editor" in err
    assert "should not happen" not in err


# -- what single kinds have --


def test_prompts_are_rendered(good: Run, home: Path) -> None:
    good("prompts", "new", "mine")
    assert good("prompts", "render", "mine", "input=a = b").out == "a = b\n"
    assert good("prompts", "render", "mine", "input=-", stdin="from stdin").out == "from stdin\n"


def test_agents_are_rendered(good: Run, agent_file: Path) -> None:
    assert good("agents", "render", "reviewer", "code=x", "--json").json["text"] == "Look at x"


def test_a_variable_without_a_value_is_told(wilk: Run, good: Run) -> None:
    good("prompts", "new", "mine")
    code, _, err = wilk("prompts", "render", "mine")
    assert code == 1
    assert "{input}" in err


def test_one_persona_of_a_category_is_its_default(good: Run) -> None:
    good("personas", "new", "a")
    good("personas", "new", "b")
    good("personas", "default", "a")
    good("personas", "default", "b")
    assert [persona["id"] for persona in good("personas", "default", "--json").json] == ["b"]


def test_a_default_persona_stays(wilk: Run, good: Run, home: Path) -> None:
    good("personas", "new", "a")
    good("personas", "default", "a")
    assert wilk("personas", "remove", "a", "--yes").code == 1
    assert (home / "personas" / "a.yaml").exists()


def test_secrets_of_mcp_servers_are_not_shown(good: Run, home: Path) -> None:
    home.mkdir()
    (home / "mcp-servers.json").write_text(
        '{"mcpServers": {"x": {"command": "c", "env": {"TOKEN": "hush-hush"}}}}'
    )
    for arguments in (
        ("definitions", "show", "mcp-servers"),
        ("definitions", "show", "mcp-servers", "--json"),
    ):
        shown = good(*arguments).out
        assert "TOKEN" in shown
        assert "hush-hush" not in shown


def test_definition_files_are_listed_with_their_state(wilk: Run, agent_file: Path) -> None:
    agent_file.write_text("name: 3\n")
    files = wilk("definitions", "list", "--json").json
    assert [(file["path"], file["state"]) for file in files] == [("agents/reviewer/agent.yaml", "broken")]
    assert "broken" in wilk("definitions", "list").out


# -- sync --


def test_sync_tells_each_change(good: Run, agent_file: Path) -> None:
    assert good("sync").out.splitlines()[0] == "created agents/reviewer revision 1"
    agent_file.write_text(AGENT.replace("0.1", "0.3"))
    told = good("sync", str(agent_file)).out.splitlines()[0]
    assert told == "updated agents/reviewer revision 2: model.parameters.temperature: 0.1 → 0.3"


def test_sync_fails_for_broken_files_and_takes_over_the_others(
    wilk: Run, good: Run, agent_file: Path
) -> None:
    agent_file.write_text("name: 3\n")
    other = agent_file.parent.parent / "other" / "agent.yaml"
    other.parent.mkdir()
    other.write_text("name: other\n")
    code, out, _ = wilk("sync")
    assert code == 1
    assert "created agents/other revision 1" in out
    assert "agents/reviewer/agent.yaml:1:7" in out


def test_sync_as_json(wilk: Run, agent_file: Path) -> None:
    report = wilk("sync", "--json").json
    assert [change["action"] for change in report["changes"]] == ["created"]
    assert report["failures"] == []


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(wilk: Run, agent_file: Path) -> None:
    agent_file.chmod(0)
    assert wilk("agents", "check").code == 1


def test_a_store_without_a_home_says_so(wilk: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WILK_HOME")
    url = f"sqlite:///{tmp_path}/x.db"
    with package.open_store(url) as store:
        store.agents.save("a", {"name": "a"})
    assert wilk("--url", url, "agents", "list", "--json").json[0]["id"] == "a"
    for arguments in (
        ("agents", "check"),
        ("sync",),
        ("agents", "new", "b"),
        ("agents", "edit", "a"),
        ("init",),
    ):
        code, _, err = wilk("--url", url, *arguments)
        assert code == 1
        assert "home" in err
