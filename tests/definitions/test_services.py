"""The verbs of agents, prompts, personas, presets and definitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import wilk
from wilk import NotFound

pytestmark = pytest.mark.backends

Put = Callable[[str, str], Path]


def test_agents_are_listed_by_category_and_name(store: wilk.Store) -> None:
    store.agents.save("a", {"name": "Code reader", "category": "dev"})
    store.agents.save("b", {"name": "Code writer", "category": "dev"})
    store.agents.save("c", {"name": "Poet"})
    assert [agent.id for agent in store.agents.list()] == ["a", "b", "c"]
    assert [agent.id for agent in store.agents.list(category="dev")] == ["a", "b"]
    assert [agent.id for agent in store.agents.list(name="code W")] == ["b"]


@pytest.mark.parametrize("name", ["100%", "a_b", "back\\slash"])
def test_wildcards_in_a_name_are_ordinary_characters(store: wilk.Store, name: str) -> None:
    store.agents.save("a", {"name": f"the {name} agent"})
    store.agents.save("b", {"name": "100 axb backXslash"})
    assert [agent.id for agent in store.agents.list(name=name)] == ["a"]


def test_get_raises_and_find_returns_none(store: wilk.Store) -> None:
    with pytest.raises(NotFound, match="no agent 'a'"):
        store.agents.get("a")
    assert store.agents.find("a") is None


def test_an_agent_is_found_by_its_name(store: wilk.Store) -> None:
    store.agents.save("a", {"name": "A"})
    assert store.agents.by_name("A").id == "a"
    with pytest.raises(NotFound):
        store.agents.by_name("B")


def test_history_tells_every_revision_oldest_first(store: wilk.Store) -> None:
    for version in ("1", "2"):
        store.agents.save("a", {"name": "A", "version": version})
    assert [(revision.number, revision.version) for revision in store.agents.history("a")] == [
        (1, "1"),
        (2, "2"),
    ]


def test_tools_and_workflows_are_the_files_beside_an_agent(store: wilk.Store, put: Put, home: Path) -> None:
    store.agents.save("a", {"name": "A"})
    put("agents/a/tools/b.py", "")
    put("agents/a/tools/deep/a.py", "")
    put("agents/a/tools/.cache/x", "")
    put("agents/a/workflows/w.yaml", "")
    assert store.agents.tools("a") == [home / "agents/a/tools/b.py", home / "agents/a/tools/deep/a.py"]
    assert store.agents.workflows("a") == [home / "agents/a/workflows/w.yaml"]


def test_an_agent_without_tools_has_none(store: wilk.Store) -> None:
    store.agents.save("a", {"name": "A"})
    assert store.agents.tools("a") == []


def test_a_prompt_knows_its_variables(store: wilk.Store) -> None:
    assert store.prompts.save("p", {"template": "{b} {a}"}).variables == ["b", "a"]


def test_presets_are_listed_by_model(store: wilk.Store) -> None:
    store.presets.save("a", {"model": "gpt-4"})
    store.presets.save("b", {"model": {"provider": "x", "name": "other"}})
    assert [preset.id for preset in store.presets.list(model="other")] == ["b"]


def test_a_category_without_a_default_says_so(store: wilk.Store) -> None:
    with pytest.raises(NotFound, match="make_default"):
        store.personas.default("work")


def test_making_a_default_edits_both_files_and_keeps_their_comments(store: wilk.Store, put: Put) -> None:
    a = put("personas/a.yaml", "name: A # first\nprompt: x\ndefault: true # for now\n")
    b = put("personas/b.yaml", "# second\nname: B\nprompt: y\n")
    store.sync()
    assert store.personas.make_default("b").is_default
    assert a.read_text() == "name: A # first\nprompt: x\ndefault: false # for now\n"
    assert b.read_text() == "# second\nname: B\nprompt: y\ndefault: true\n"
    assert store.personas.default().id == "b"
    assert store.sync().changes == ()


def test_making_the_default_the_default_changes_nothing(store: wilk.Store) -> None:
    store.personas.save("a", {"name": "A", "prompt": "x", "default": True})
    assert store.personas.make_default("a").revision == 1


def test_a_persona_of_a_person_has_kalitos_columns(store: wilk.Store) -> None:
    saved = store.personas.save("a", {"name": "A", "prompt": "x", "maxTokens": 5, "stopSequences": "END"})
    assert (saved.max_tokens, saved.stop_sequences, saved.category, saved.is_default) == (
        5,
        ["END"],
        "general",
        False,
    )


def test_definitions_know_every_kind(store: wilk.Store) -> None:
    assert store.definitions.kinds() == ["agents", "config", "mcp-servers", "personas", "presets", "prompts"]


def test_an_unknown_kind_is_named_with_those_there_are(store: wilk.Store) -> None:
    with pytest.raises(NotFound, match="known: agents, config"):
        store.definitions.get("agent")


def test_a_kind_that_is_one_file_needs_no_id(store: wilk.Store, put: Put) -> None:
    put("mcp-servers.json", '{"servers": {"a": {"command": "x"}}}')
    store.sync()
    assert store.definitions.get("mcp-servers").definition == {"servers": {"a": {"command": "x"}}}
    assert store.definitions.find("config") is None


def test_files_tell_their_states(store: wilk.Store, put: Put) -> None:
    put("prompts/good.yaml", "template: x\n")
    put("prompts/bad.yaml", "template: [\n")
    gone = put("prompts/gone.yaml", "template: x\n")
    store.sync()
    gone.unlink()
    store.sync()
    assert {file.id: file.state for file in store.definitions.files("prompts")} == {
        "good": "ok",
        "bad": "broken",
        "gone": "missing",
    }


def test_a_default_whose_file_is_gone_makes_way_for_another(store: wilk.Store, home: Path) -> None:
    store.personas.save("old", {"name": "old", "prompt": "x", "default": True})
    store.personas.save("new", {"name": "new", "prompt": "y"})
    (home / "personas" / "old.yaml").unlink()
    assert len(store.sync().failures) == 1
    assert store.personas.make_default("new").is_default
    assert store.personas.find("old") is None
    assert not (home / "personas" / "old.yaml").exists()
    assert store.sync().failures == ()
