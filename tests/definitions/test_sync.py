"""Syncing: rows follow files, an unchanged file costs a stat, and nothing is ever lost."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.definitions import loading, reader
from wilk.errors import NotFound, SettingsError

Put = Callable[[str, str], Path]
AGENT = "name: {name}\nversion: '1'\n"


def actions(report: Any) -> list[tuple[str, str, int]]:
    return [(change.action, f"{change.kind}/{change.id}", change.revision) for change in report.changes]


def agent(put: Put, id: str, text: str | None = None) -> Path:
    return put(f"agents/{id}/agent.yaml", text or AGENT.format(name=id))


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that are parsed."""
    found: list[str] = []
    parse = reader.parse

    def counted(data: bytes, where: str) -> dict[str, Any]:
        found.append(where)
        return parse(data, where)

    monkeypatch.setattr(reader, "parse", counted)
    return found


def settle() -> None:
    """Let the file system's clock tick, so that what was written is known by its times."""
    time.sleep(0.03)


def test_a_new_file_makes_a_record(store: wilk.Store, put: Put, seed_agent: str) -> None:
    agent(put, "code", seed_agent)
    assert actions(store.sync()) == [("created", "agents/code", 1)]
    found = store.agents.get("code")
    assert (found.name, found.version, found.provider, found.model) == (
        "code-analyzer",
        "1.2.0",
        "openai",
        "gpt-4",
    )
    assert (found.is_installed, found.install_path, found.author) == (True, "agents/code", "team@company.com")
    assert found.definition["permissions"]["shell"]["blocked"] == ["rm -rf", "sudo"]


def test_every_kind_has_its_place(store: wilk.Store, put: Put) -> None:
    agent(put, "a")
    put("prompts/p.yaml", "template: x\n")
    put("personas/q.yaml", "name: Q\nprompt: x\n")
    put("presets/r.yaml", "model: m\n")
    put("mcp-servers.json", '{"mcpServers": {}}')
    put("config.yaml", "max_tokens: 100\n")
    assert sorted(name for _, name, _ in actions(store.sync())) == [
        "agents/a",
        "config/config",
        "mcp-servers/mcp-servers",
        "personas/q",
        "presets/r",
        "prompts/p",
    ]


def test_a_prompt_may_end_in_yml(store: wilk.Store, put: Put) -> None:
    put("prompts/p.yml", "template: x\n")
    store.sync()
    assert store.prompts.get("p").user_template == "x"


def test_of_two_files_for_one_record_yaml_goes_first(store: wilk.Store, put: Put) -> None:
    put("prompts/p.yaml", "template: one\n")
    put("prompts/p.yml", "template: two\n")
    report = store.sync()
    assert store.prompts.get("p").user_template == "one"
    assert [failure.path for failure in report.failures] == ["prompts/p.yml"]


def test_when_the_file_that_went_first_goes_the_other_takes_its_place(store: wilk.Store, put: Put) -> None:
    first = put("prompts/p.yaml", "template: one\n")
    put("prompts/p.yml", "template: two\n")
    store.sync()
    first.unlink()
    assert actions(store.sync([first])) == [("updated", "prompts/p", 2)]
    assert store.prompts.get("p").user_template == "two"


def test_an_unchanged_folder_is_not_parsed_again(store: wilk.Store, put: Put, parses: list[str]) -> None:
    for i in range(5):
        agent(put, f"a{i}")
    settle()
    first = store.sync()
    second = store.sync()
    assert (first.seen, first.parsed, second.seen, second.parsed) == (5, 5, 5, 0)
    assert len(parses) == 5


def test_an_unchanged_folder_costs_no_transaction(
    store: wilk.Store, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent(put, "a")
    settle()
    store.sync()
    monkeypatch.setattr(store._engine, "transaction", lambda: pytest.fail("nothing was to be written"))
    store.sync()


def test_one_changed_file_of_many_is_the_only_one_parsed(
    store: wilk.Store, put: Put, parses: list[str]
) -> None:
    for i in range(5):
        agent(put, f"a{i}")
    settle()
    store.sync()
    parses.clear()
    agent(put, "a3", "name: a3\nversion: '2'\n")
    assert actions(store.sync()) == [("updated", "agents/a3", 2)]
    assert parses == ["agents/a3/agent.yaml"]


def test_a_file_that_was_only_touched_is_read_but_not_parsed(
    store: wilk.Store, put: Put, parses: list[str]
) -> None:
    file = agent(put, "a")
    settle()
    store.sync()
    os.utime(file)
    assert store.sync().changes == ()
    assert len(parses) == 1


def test_a_change_of_comments_is_no_new_revision(store: wilk.Store, put: Put) -> None:
    agent(put, "a")
    store.sync()
    agent(put, "a", "# said differently\n" + AGENT.format(name="a"))
    assert store.sync().changes == ()
    assert store.agents.get("a").revision == 1


def test_two_changes_within_one_tick_of_the_clock_are_both_seen(store: wilk.Store, put: Put) -> None:
    file = agent(put, "a", "name: a\nversion: '1'\n")
    before = file.stat()
    store.sync()
    file.write_text("name: a\nversion: '2'\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    store.sync()
    assert store.agents.get("a").version == "2"


def test_a_deleted_file_archives_its_record(store: wilk.Store, put: Put) -> None:
    file = agent(put, "a")
    store.sync()
    file.unlink()
    assert actions(store.sync()) == [("archived", "agents/a", 1)]
    assert store.agents.find("a") is None
    (archived,) = store.agents.list(archived=True)
    assert archived.archived_at is not None
    assert archived.is_installed is False


def test_an_archived_record_tells_where_it_went(store: wilk.Store, put: Put) -> None:
    file = agent(put, "a")
    store.sync()
    file.unlink()
    store.sync()
    with pytest.raises(NotFound, match="history shows what it held"):
        store.agents.get("a")
    assert len(store.agents.history("a")) == 1


def test_a_file_that_comes_back_equal_restores_its_revision(store: wilk.Store, put: Put) -> None:
    file = agent(put, "a")
    store.sync()
    text = file.read_text()
    file.unlink()
    store.sync()
    file.write_text(text)
    assert actions(store.sync()) == [("restored", "agents/a", 1)]
    assert len(store.agents.history("a")) == 1


def test_a_file_that_comes_back_changed_is_the_next_revision(store: wilk.Store, put: Put) -> None:
    file = agent(put, "a")
    store.sync()
    created = store.agents.get("a").created_at
    file.unlink()
    store.sync()
    agent(put, "a", "name: other\n")
    assert actions(store.sync()) == [("restored", "agents/a", 2)]
    assert store.agents.get("a").created_at == created


def test_a_renamed_folder_archives_one_record_and_makes_another(
    store: wilk.Store, put: Put, home: Path
) -> None:
    agent(put, "b", "name: same\n")
    store.sync()
    (home / "agents/b").rename(home / "agents/a")
    assert sorted(actions(store.sync())) == [("archived", "agents/b", 1), ("created", "agents/a", 1)]
    assert store.agents.by_name("same").id == "a"


def test_two_records_can_swap_their_names(store: wilk.Store, put: Put) -> None:
    agent(put, "a", "name: one\n")
    agent(put, "b", "name: two\n")
    store.sync()
    agent(put, "a", "name: two\n")
    agent(put, "b", "name: one\n")
    assert store.sync().failures == ()
    assert (store.agents.by_name("one").id, store.agents.by_name("two").id) == ("b", "a")


def test_a_vanished_kind_folder_archives_and_its_return_restores(
    store: wilk.Store, put: Put, home: Path
) -> None:
    for i in range(3):
        agent(put, f"a{i}")
    store.sync()
    (home / "agents").rename(home / "aside")
    assert [action for action, _, _ in actions(store.sync())] == ["archived"] * 3
    (home / "aside").rename(home / "agents")
    assert sorted(actions(store.sync())) == [("restored", f"agents/a{i}", 1) for i in range(3)]


def test_a_home_folder_that_is_gone_archives_nothing(store: wilk.Store, put: Put, home: Path) -> None:
    agent(put, "a")
    store.sync()
    home.rename(home.with_name("unmounted"))
    try:
        report = store.sync()
        assert report.changes == ()
        assert [failure.kind for failure in report.failures] == ["home"]
        assert store.agents.get("a").archived_at is None
    finally:
        home.with_name("unmounted").rename(home)
    assert store.sync().failures == ()


def test_a_home_folder_that_is_gone_archives_nothing_by_path_either(
    store: wilk.Store, put: Put, home: Path
) -> None:
    file = agent(put, "a")
    store.sync()
    home.rename(home.with_name("unmounted"))
    try:
        assert store.sync([file]).changes == ()
    finally:
        home.with_name("unmounted").rename(home)


def test_a_kind_folder_that_cannot_be_listed_archives_nothing(
    store: wilk.Store, put: Put, home: Path
) -> None:
    agent(put, "a")
    put("prompts/p.yaml", "template: x\n")
    store.sync()
    shutil.move(home / "agents", home / "aside")
    (home / "agents").write_text("a file in the way")
    report = store.sync()
    assert report.changes == ()
    assert [failure.path for failure in report.failures] == ["agents"]
    (home / "agents").unlink()
    shutil.move(home / "aside", home / "agents")
    assert store.sync() == store.sync()
    assert store.sync().failures == ()


def test_the_same_folder_gives_the_same_tables_to_a_second_store(
    store: wilk.Store, put: Put, home: Path
) -> None:
    agent(put, "a")
    store.sync()
    with wilk.open_store(f"sqlite:///{home.parent / 'other.db'}", home=home) as other:
        other.sync()
        assert other.agents.get("a").content_hash == store.agents.get("a").content_hash


def test_two_stores_on_one_database_make_one_revision_of_one_save(
    store: wilk.Store, put: Put, home: Path
) -> None:
    agent(put, "a")
    store.sync()
    with wilk.open_store(home=home) as other:
        agent(put, "a", "name: a\nversion: '2'\n")
        assert (len(store.sync().changes), len(other.sync().changes)) == (1, 0)
        assert len(other.agents.history("a")) == 2


def test_a_file_that_changes_while_it_is_taken_over_is_read_again(
    store: wilk.Store, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = agent(put, "a")
    read = loading.read

    def overtaken(*args: Any) -> Any:
        reading = read(*args)
        if file.read_text() == AGENT.format(name="a"):
            file.write_text("name: a\nversion: later\n")
        return reading

    monkeypatch.setattr(loading, "read", overtaken)
    assert actions(store.sync()) == [("created", "agents/a", 1)]
    assert store.agents.get("a").version == "later"


def test_a_file_that_is_put_back_while_it_is_archived_stays(
    store: wilk.Store, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = agent(put, "a")
    store.sync()
    text = file.read_text()
    file.unlink()
    begin = store._engine.transaction

    def late() -> Any:
        file.write_text(text)
        return begin()

    monkeypatch.setattr(store._engine, "transaction", late)
    assert store.sync().changes == ()
    assert store.agents.get("a").archived_at is None


# -- by path --------------------------------------------------------------------------------


def test_only_the_given_paths_are_taken_over(store: wilk.Store, put: Put) -> None:
    agent(put, "b")
    assert actions(store.sync([agent(put, "a")])) == [("created", "agents/a", 1)]


def test_paths_may_be_relative_to_the_home_folder(store: wilk.Store, put: Put) -> None:
    agent(put, "a")
    assert len(store.sync([Path("agents/a/agent.yaml")]).changes) == 1


def test_a_folder_stands_for_what_is_in_it(store: wilk.Store, put: Put, home: Path) -> None:
    agent(put, "a")
    agent(put, "b")
    put("prompts/p.yaml", "template: x\n")
    assert len(store.sync([home / "agents"]).changes) == 2


def test_a_folder_that_went_archives_what_was_in_it(store: wilk.Store, put: Put, home: Path) -> None:
    agent(put, "a")
    agent(put, "b")
    store.sync()
    shutil.rmtree(home / "agents/a")
    assert actions(store.sync([home / "agents/a"])) == [("archived", "agents/a", 1)]


def test_the_home_folder_stands_for_everything(store: wilk.Store, put: Put, home: Path) -> None:
    agent(put, "a")
    assert len(store.sync([home]).changes) == 1


def test_paths_that_are_no_definitions_are_passed_over(store: wilk.Store, put: Put, tmp_path: Path) -> None:
    tool = put("agents/a/tools/x.py", "")
    assert store.sync([tool, tmp_path / "elsewhere.yaml", Path("/etc/passwd")]).seen == 0


def test_paths_through_a_link_to_the_home_folder_are_known(put: Put, home: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(home)
    agent(put, "a")
    with wilk.open_store(home=link) as store:
        assert len(store.sync([home / "agents/a/agent.yaml"]).changes) == 1


def test_a_store_without_a_folder_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WILK_HOME")
    with (
        wilk.open_store(f"sqlite:///{tmp_path / 'x.db'}") as store,
        pytest.raises(SettingsError, match="home=FOLDER"),
    ):
        store.sync()


# -- what lies in the way -------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "agent.yaml~",
        ".agent.yaml.swp",
        ".#agent.yaml",
        "#agent.yaml#",
        "4913",
        ".tmp-x",
        "agent.yaml.bak",
        "agent.yaml.orig",
        "notes.md",
    ],
)
def test_files_that_editors_leave_beside_are_no_definitions(store: wilk.Store, put: Put, name: str) -> None:
    put(f"agents/a/{name}", "name: a\n")
    put(f"prompts/{name}", "template: x\n")
    assert store.sync().seen == 0


@pytest.mark.parametrize("name", [".hidden", "copy~", "old.bak", "#x#"])
def test_folders_that_are_put_aside_are_no_agents(store: wilk.Store, put: Put, name: str) -> None:
    agent(put, name)
    assert store.sync().seen == 0


def test_a_link_to_a_file_is_followed(store: wilk.Store, put: Put, home: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles.yaml").write_text("name: linked\n")
    (home / "agents/a").mkdir(parents=True)
    (home / "agents/a/agent.yaml").symlink_to(tmp_path / "dotfiles.yaml")
    store.sync()
    (tmp_path / "dotfiles.yaml").write_text("name: linked again\n")
    store.sync()
    assert store.agents.get("a").name == "linked again"


def test_a_link_that_leads_nowhere_is_a_failure_and_archives_nothing(
    store: wilk.Store, put: Put, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text("name: a\n")
    (home / "agents/a").mkdir(parents=True)
    (home / "agents/a/agent.yaml").symlink_to(tmp_path / "x.yaml")
    store.sync()
    (tmp_path / "x.yaml").unlink()
    report = store.sync()
    assert (report.changes, len(report.failures)) == ((), 1)
    assert store.agents.get("a").name == "a"


def test_a_link_to_itself_is_a_failure(store: wilk.Store, home: Path) -> None:
    (home / "prompts").mkdir()
    (home / "prompts/p.yaml").symlink_to("p.yaml")
    assert len(store.sync().failures) == 1


def test_a_pipe_is_a_failure_and_blocks_nothing(store: wilk.Store, home: Path) -> None:
    (home / "prompts").mkdir()
    os.mkfifo(home / "prompts/p.yaml")
    (failure,) = store.sync().failures
    assert failure.problems == ("prompts/p.yaml: this is not a file; remove or rename it",)


def test_a_folder_where_a_file_belongs_is_a_failure(store: wilk.Store, home: Path) -> None:
    (home / "agents/a/agent.yaml").mkdir(parents=True)
    assert "this is not a file" in store.sync().failures[0].problems[0]


def test_a_name_that_is_no_id_is_a_failure_once(store: wilk.Store, put: Put) -> None:
    put("prompts/two words.yaml", "template: x\n")
    (failure,) = store.sync().failures
    assert "use 1 to 100 letters" in failure.problems[0]
    assert store.sync().failures == (failure,)


def test_a_name_that_is_not_utf_8_is_told_and_harms_nothing(store: wilk.Store, put: Put, home: Path) -> None:
    put("prompts/fine.yaml", "template: x\n")
    try:
        with open(os.fsencode(home) + b"/prompts/b\xffd.yaml", "w") as file:
            file.write("template: x\n")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    report = store.sync()
    assert [failure.path for failure in report.failures] == ["prompts/b\\xffd.yaml"]
    assert [change.id for change in report.changes] == ["fine"]
    assert store.sync().changes == ()
