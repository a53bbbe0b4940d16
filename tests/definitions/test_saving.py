"""Saving through the store: file and row as one change, and a person's file stays a person's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engines import kept

import wilk
from wilk import Conflict, Invalid, InvalidDefinition, NotFound, Protected, Rejected, hookimpl
from wilk.definitions import redaction, writer
from wilk.host import Host

Put = Callable[[str, str], Path]


def test_saving_writes_file_and_row(store: wilk.Store, home: Path) -> None:
    saved = store.agents.save("a", {"version": "1", "name": "A"})
    assert (saved.name, saved.revision) == ("A", 1)
    assert (home / "agents/a/agent.yaml").read_text() == "name: A\nversion: '1'\n"


def test_a_new_file_has_its_fields_in_the_order_of_the_seed(store: wilk.Store, home: Path) -> None:
    store.agents.save(
        "a", {"metadata": {"license": "MIT", "tags": ["x"]}, "zeta": 1, "tools": ["t"], "name": "A"}
    )
    assert (home / "agents/a/agent.yaml").read_text() == (
        "name: A\n\ntools:\n  - t\n\nmetadata:\n  tags:\n    - x\n  license: MIT\n\nzeta: 1\n"
    )


def test_long_texts_are_written_as_blocks(store: wilk.Store, home: Path) -> None:
    store.prompts.save("p", {"template": "Look at 🐺:\n{code}\n"})
    assert (home / "prompts/p.yaml").read_text() == "template: |\n  Look at 🐺:\n  {code}\n"


@pytest.mark.parametrize("text", ["no", "1.10", "2026-01-31", "12:30", "~", "1e3", "0o7", "y"])
def test_text_that_looks_like_something_else_is_quoted(store: wilk.Store, home: Path, text: str) -> None:
    store.agents.save("a", {"name": "A", "version": text})
    assert f"version: '{text}'" in (home / "agents/a/agent.yaml").read_text()


def test_saving_again_keeps_what_a_person_wrote(store: wilk.Store, put: Put) -> None:
    file = put("agents/a/agent.yaml", "# mine\nversion: \"1\"   # first\nname: 'A'\n")
    store.sync()
    store.agents.save("a", {"name": "A", "version": "2", "category": "new"})
    assert file.read_text() == "# mine\nversion: \"2\"   # first\nname: 'A'\ncategory: new\n"


def test_what_was_saved_is_no_change_to_the_next_sync(store: wilk.Store) -> None:
    store.agents.save("a", {"name": "A"})
    assert store.sync().changes == ()
    assert len(store.agents.history("a")) == 1


def test_saving_the_same_again_is_no_new_revision(store: wilk.Store) -> None:
    store.agents.save("a", {"name": "A"})
    assert store.agents.save("a", {"name": "A"}).revision == 1


def test_a_faulty_definition_is_refused_with_every_problem(store: wilk.Store, home: Path) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        store.agents.save("a", {"name": 3, "tools": "x"})
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == ["agents/a/agent.yaml"] * 2
    assert not (home / "agents/a").exists()


def test_a_name_that_is_taken_is_refused_before_anything_is_written(store: wilk.Store, home: Path) -> None:
    store.agents.save("a", {"name": "same"})
    with pytest.raises(Conflict, match=r"agents/a/agent\.yaml has the name 'same' already"):
        store.agents.save("b", {"name": "same"})
    assert not (home / "agents/b").exists()
    assert store.agents.find("b") is None


def test_what_a_plugin_refuses_reaches_no_file(home: Path) -> None:
    class Guard:
        @hookimpl
        def before_save(self) -> None:
            raise Rejected("not today")

    with wilk.open_store(home=home, host=Host(Guard())) as store:
        with pytest.raises(Rejected, match="not today"):
            store.agents.save("a", {"name": "A"})
        assert not (home / "agents/a").exists()
        assert store.agents.list(archived=True) == []


@pytest.mark.parametrize("id", ["../x", "a/b", "", ".hidden", "con", "a" * 101, "/etc", "a\0b", "é/..", "-x"])
def test_an_id_that_is_no_name_of_a_file_is_refused(store: wilk.Store, id: str) -> None:
    with pytest.raises(Invalid):
        store.agents.save(id, {"name": "A"})


def test_a_folder_that_leads_out_is_not_written_to(store: wilk.Store, home: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (home / "agents").mkdir()
    (home / "agents/a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Invalid, match="leads out"):
        store.agents.save("a", {"name": "A"})
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_within_the_folder_is_written_through(store: wilk.Store, put: Put, home: Path) -> None:
    put("shared/base.yaml", "name: A # c\n")
    (home / "agents/a").mkdir(parents=True)
    (home / "agents/a/agent.yaml").symlink_to("../../shared/base.yaml")
    store.sync()
    store.agents.save("a", {"name": "B"})
    assert (home / "agents/a/agent.yaml").is_symlink()
    assert (home / "shared/base.yaml").read_text() == "name: B # c\n"
    assert store.sync().changes == ()


def test_a_broken_file_is_not_written_over(store: wilk.Store, put: Put) -> None:
    file = put("agents/a/agent.yaml", "name: [ # half done")
    with pytest.raises(Invalid, match="is broken, and writing would lose what is in it"):
        store.agents.save("a", {"name": "A"})
    assert file.read_text() == "name: [ # half done"


def test_a_write_that_fails_leaves_file_and_row_as_they_were(
    store: wilk.Store, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put("agents/a/agent.yaml", "name: A\n")
    store.sync()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "write_atomic", full)
    with pytest.raises(Invalid, match="No space left"):
        store.agents.save("a", {"name": "B"})
    assert (file.read_text(), store.agents.get("a").name) == ("name: A\n", "A")
    assert len(store.agents.history("a")) == 1


def test_a_file_in_yml_stays_one(store: wilk.Store, put: Put, home: Path) -> None:
    put("prompts/p.yml", "template: x # c\n")
    store.sync()
    store.prompts.save("p", {"template": "y"})
    assert [file.name for file in (home / "prompts").iterdir()] == ["p.yml"]
    assert (home / "prompts/p.yml").read_text() == "template: y # c\n"


# -- inside of a transaction ----------------------------------------------------------------


def test_a_transaction_that_is_undone_leaves_no_file(store: wilk.Store, home: Path) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        store.agents.save("a", {"name": "A"})
        raise RuntimeError
    assert not (home / "agents/a").exists()
    assert store.sync().changes == ()


def test_a_transaction_writes_its_files_when_it_commits(store: wilk.Store, home: Path) -> None:
    with store.transaction():
        store.agents.save("a", {"name": "A"})
        store.agents.save("a", {"name": "B"})
        store.prompts.save("p", {"template": "x"})
        assert not (home / "agents/a").exists()
    assert (home / "agents/a/agent.yaml").read_text() == "name: B\n"
    assert store.sync().changes == ()
    assert store.agents.get("a").name == "B"


def test_a_removal_that_is_undone_leaves_the_file(store: wilk.Store, home: Path) -> None:
    store.agents.save("a", {"name": "A"})
    with pytest.raises(RuntimeError), store.transaction():
        store.agents.remove("a")
        raise RuntimeError
    assert (home / "agents/a/agent.yaml").exists()
    assert store.agents.get("a").name == "A"


def test_a_file_that_fails_after_the_commit_takes_its_row_back(
    store: wilk.Store, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("agents/a/agent.yaml", "name: A\n")
    store.sync()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "write_atomic", full)
    with pytest.raises(Invalid, match="No space left"), store.transaction():
        store.agents.save("a", {"name": "B"})
    assert store.agents.get("a").name == "A"


# -- removing -------------------------------------------------------------------------------


def test_removing_takes_the_file_and_its_empty_folder(store: wilk.Store, home: Path) -> None:
    store.agents.save("a", {"name": "A"})
    assert store.agents.remove("a").name == "A"
    assert not (home / "agents/a").exists()
    assert store.agents.find("a") is None
    assert store.sync().changes == ()


def test_removing_leaves_an_agents_tools(store: wilk.Store, put: Put, home: Path) -> None:
    store.agents.save("a", {"name": "A"})
    put("agents/a/tools/t.py", "")
    store.agents.remove("a")
    assert [path.name for path in (home / "agents/a").iterdir()] == ["tools"]


def test_what_is_not_there_cannot_be_removed(store: wilk.Store) -> None:
    with pytest.raises(NotFound):
        store.agents.remove("a")


def test_a_default_persona_cannot_be_removed(store: wilk.Store, home: Path) -> None:
    store.personas.save("a", {"name": "A", "prompt": "x", "default": True})
    with pytest.raises(Protected, match="make another persona the default"):
        store.personas.remove("a")
    assert (home / "personas/a.yaml").exists()


# -- without a folder -----------------------------------------------------------------------


@pytest.fixture
def rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("WILK_HOME")
    with wilk.open_store(f"sqlite:///{tmp_path / 'x.db'}") as store:
        yield store


def test_without_a_folder_definitions_live_in_the_tables(rows_only: wilk.Store) -> None:
    rows_only.agents.save("a", {"name": "A"})
    rows_only.agents.save("a", {"name": "B"})
    assert (rows_only.agents.get("a").name, len(rows_only.agents.history("a"))) == ("B", 2)
    assert rows_only.agents.tools("a") == []
    rows_only.agents.remove("a")
    assert rows_only.agents.find("a") is None
    assert rows_only.agents.save("a", {"name": "B"}).revision == 2


def test_without_a_folder_a_name_is_still_one_agents_own(rows_only: wilk.Store) -> None:
    rows_only.agents.save("a", {"name": "A"})
    with pytest.raises(Conflict):
        rows_only.agents.save("b", {"name": "A"})


# -- secrets --------------------------------------------------------------------------------

SERVERS = {
    "mcpServers": {
        "db": {
            "command": "npx",
            "args": ["-y", "server", "--api-key", "sk-in-args", "--token=sk-joined"],
            "env": {"PASSWORD": "sk-in-env", "HOST": "${HOST}"},
        },
        "web": {
            "url": "https://me:sk-login@host/x?token=sk-query&page=1",
            "headers": {"Authorization": "Bearer sk-header"},
        },
    }
}


def test_no_secret_reaches_the_database(store: wilk.Store) -> None:
    store.definitions.save("mcp-servers", SERVERS)
    store.definitions.save("config", {"plugins": {"x": {"api_key": "sk-plugin", "size": 3}}, "url": ""})
    assert b"sk-" not in kept(store)
    assert store.definitions.get("config").definition["plugins"]["x"] == {
        "api_key": redaction.MARK,
        "size": 3,
    }


def test_what_is_no_secret_stays_in_the_record(store: wilk.Store) -> None:
    servers = store.definitions.save("mcp-servers", SERVERS).definition["mcpServers"]
    assert servers["db"]["args"][:3] == ["-y", "server", "--api-key"]
    assert servers["db"]["env"]["HOST"] == "${HOST}"
    assert servers["web"]["url"].endswith("&page=1")


def test_the_file_and_reading_it_have_the_secrets(store: wilk.Store, home: Path) -> None:
    store.definitions.save("mcp-servers", SERVERS)
    assert json.loads((home / "mcp-servers.json").read_text()) == SERVERS
    assert store.definitions.read("mcp-servers") == SERVERS


def test_saving_a_record_back_keeps_the_secrets_in_the_file(store: wilk.Store) -> None:
    store.definitions.save("mcp-servers", SERVERS)
    changed = json.loads(json.dumps(store.definitions.get("mcp-servers").definition))
    changed["mcpServers"]["db"]["args"].insert(0, "--verbose")
    changed["mcpServers"]["new"] = {"command": "x"}
    store.definitions.save("mcp-servers", changed)
    held = store.definitions.read("mcp-servers")["mcpServers"]
    assert held["db"]["args"] == ["--verbose", *SERVERS["mcpServers"]["db"]["args"]]
    assert (held["db"]["env"], held["web"]) == (
        SERVERS["mcpServers"]["db"]["env"],
        SERVERS["mcpServers"]["web"],
    )


def test_a_mark_where_the_file_holds_nothing_is_refused(store: wilk.Store) -> None:
    store.definitions.save("mcp-servers", SERVERS)
    with pytest.raises(Invalid, match=r"mcpServers\.other\.env\.KEY: .* give the value"):
        store.definitions.save(
            "mcp-servers", {"mcpServers": {"other": {"command": "x", "env": {"KEY": redaction.MARK}}}}
        )


def test_a_change_of_a_secret_alone_is_no_new_revision(store: wilk.Store) -> None:
    store.definitions.save("mcp-servers", SERVERS)
    other = json.loads(json.dumps(SERVERS).replace("sk-in-env", "sk-other"))
    assert store.definitions.save("mcp-servers", other).revision == 1
    assert store.definitions.read("mcp-servers") == other


def test_an_edit_that_was_not_synced_yet_is_a_revision_before_the_save(store: wilk.Store, put: Put) -> None:
    store.agents.save("a", {"name": "A", "version": "1"})
    put("agents/a/agent.yaml", "name: A\nversion: mine\n")
    store.agents.save("a", {"name": "A", "version": "2"})
    assert [revision.version for revision in store.agents.history("a")] == ["1", "mine", "2"]


@pytest.mark.parametrize("id", ["x.bak", "x.tmp", "x.orig", "x.swp"])
def test_an_id_that_a_sync_would_pass_over_is_refused(store: wilk.Store, id: str) -> None:
    with pytest.raises(Invalid, match="put aside by editors"):
        store.agents.save(id, {"name": "A"})
