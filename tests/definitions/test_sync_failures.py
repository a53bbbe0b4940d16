"""What cannot be taken over: broken files, taken names, defaults, refusals; and how they heal."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peewee
import pytest

import wilk
from wilk import DefinitionKind, Rejected, hookimpl
from wilk.definitions.schema import Section, Text
from wilk.host import Host

Put = Callable[[str, str], Path]


class Listener:
    """A plugin that writes down what it is told."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.synced: list[tuple[str, str]] = []
        self.saved: list[tuple[str, str]] = []
        self.deleted: list[str] = []

    @hookimpl
    def definition_failed(self, failure: Any) -> None:
        self.failed += failure.problems

    @hookimpl
    def definition_synced(self, change: Any) -> None:
        self.synced.append((change.action, change.id))

    @hookimpl
    def after_save(self, kind: str, record: Any) -> None:
        self.saved.append((kind, record.id))

    @hookimpl
    def after_delete(self, record: Any) -> None:
        self.deleted.append(record.id)


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_a_broken_file_leaves_the_last_good_record(store: wilk.Store, put: Put) -> None:
    put("agents/a/agent.yaml", "name: a\nversion: '1'\n")
    store.sync()
    put("agents/a/agent.yaml", "name: a\nversion: 2\ntools: [")
    report = store.sync()
    assert store.agents.get("a").version == "1"
    assert [(failure.kind, failure.id, failure.path) for failure in report.failures] == [
        ("agents", "a", "agents/a/agent.yaml")
    ]


def test_a_failure_names_file_line_column_and_field(store: wilk.Store, put: Put) -> None:
    put("agents/a/agent.yaml", "name: a\nmodel:\n  parameters:\n    temperature: 9\n")
    (failure,) = store.sync().failures
    (problem,) = failure.problems
    place, _, text = problem.partition(": ")
    assert place == "agents/a/agent.yaml:4:18"
    assert text == "model.parameters.temperature: expected a number from 0 to 2, found the number 9"


def test_a_broken_file_is_known_as_broken(store: wilk.Store, put: Put) -> None:
    put("agents/a/agent.yaml", "name: [")
    store.sync()
    (file,) = store.definitions.files("agents")
    assert (file.state, file.id) == ("broken", "a")
    assert file.error is not None


def test_a_broken_file_heals_on_the_next_good_save(store: wilk.Store, put: Put) -> None:
    put("agents/a/agent.yaml", "name: [")
    store.sync()
    put("agents/a/agent.yaml", "name: a\n")
    report = store.sync()
    assert ([change.action for change in report.changes], report.failures) == (["created"], ())


def test_a_broken_file_that_is_put_back_as_it_was_heals_without_a_revision(
    store: wilk.Store, put: Put
) -> None:
    put("agents/a/agent.yaml", "name: a\n")
    store.sync()
    put("agents/a/agent.yaml", "name: [")
    store.sync()
    put("agents/a/agent.yaml", "name: a\n")
    report = store.sync()
    assert (report.changes, report.failures) == ((), ())


def test_a_failure_is_in_every_report_and_told_once(plugged: Any, home: Path, listener: Listener) -> None:
    store = plugged(listener)
    (home / "prompts").mkdir(parents=True)
    (home / "prompts/p.yaml").write_text("template: 3\n")
    reports = [store.sync() for _ in range(3)]
    assert [len(report.failures) for report in reports] == [1, 1, 1]
    assert listener.failed == [
        "prompts/p.yaml:1:11: template: expected text, found the number 3; write '3' in quotes"
    ]


def test_another_fault_in_the_same_file_is_told_again(plugged: Any, home: Path, listener: Listener) -> None:
    store = plugged(listener)
    (home / "prompts").mkdir(parents=True)
    for text in ("template: 3\n", "template: 4\n"):
        (home / "prompts/p.yaml").write_text(text)
        store.sync()
    assert len(listener.failed) == 2


def test_a_file_that_may_not_be_read_is_a_failure_and_archives_nothing(
    store: wilk.Store, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = put("agents/a/agent.yaml", "name: a\n")
    store.sync()
    os.utime(file, (1, 1))

    def refuse(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    report = store.sync()
    monkeypatch.undo()
    assert [failure.problems for failure in report.failures] == [
        ("agents/a/agent.yaml: cannot be read: Permission denied",)
    ]
    assert (report.changes, store.sync().failures) == ((), ())


# -- names ----------------------------------------------------------------------------------


def test_of_two_with_one_name_the_first_keeps_its_record(store: wilk.Store, put: Put) -> None:
    put("agents/z/agent.yaml", "name: same\n")
    store.sync()
    put("agents/a/agent.yaml", "name: same\n")
    (failure,) = store.sync().failures
    (problem,) = failure.problems
    assert problem.startswith("agents/a/agent.yaml: name: agents/z/agent.yaml has the name 'same' already")
    assert [agent.id for agent in store.agents.list()] == ["z"]


def test_of_two_newcomers_with_one_name_the_first_by_id_gets_it(store: wilk.Store, put: Put) -> None:
    put("agents/b/agent.yaml", "name: same\n")
    put("agents/a/agent.yaml", "name: same\n")
    store.sync()
    assert [agent.id for agent in store.agents.list()] == ["a"]


def test_who_takes_a_name_that_is_taken_keeps_the_old_one(store: wilk.Store, put: Put) -> None:
    put("agents/a/agent.yaml", "name: one\n")
    put("agents/b/agent.yaml", "name: two\n")
    store.sync()
    put("agents/b/agent.yaml", "name: one\n")
    put("agents/c/agent.yaml", "name: two\n")
    assert sorted(failure.id for failure in store.sync().failures) == ["b", "c"]
    assert {agent.id: agent.name for agent in store.agents.list()} == {"a": "one", "b": "two"}


@pytest.mark.parametrize("whole", [True, False])
def test_a_clash_ends_when_the_first_goes(store: wilk.Store, put: Put, whole: bool) -> None:
    first = put("agents/a/agent.yaml", "name: same\n")
    put("agents/b/agent.yaml", "name: same\n")
    store.sync()
    first.unlink()
    report = store.sync(None if whole else [first])
    assert sorted((change.action, change.id) for change in report.changes) == [
        ("archived", "a"),
        ("created", "b"),
    ]
    assert report.failures == ()


@pytest.mark.parametrize("whole", [True, False])
def test_a_clash_ends_when_the_first_takes_another_name(store: wilk.Store, put: Put, whole: bool) -> None:
    put("agents/a/agent.yaml", "name: same\n")
    put("agents/b/agent.yaml", "name: same\n")
    store.sync()
    first = put("agents/a/agent.yaml", "name: other\n")
    store.sync(None if whole else [first])
    assert store.agents.by_name("same").id == "b"


def test_a_clash_is_told_once(plugged: Any, home: Path, listener: Listener) -> None:
    store = plugged(listener)
    for id in "ab":
        (home / "agents" / id).mkdir(parents=True)
        (home / "agents" / id / "agent.yaml").write_text("name: same\n")
    store.sync()
    store.sync()
    assert len(listener.failed) == 1


# -- defaults -------------------------------------------------------------------------------

DEFAULT = "name: {}\nprompt: x\ndefault: true\n"


def test_a_category_has_one_default(store: wilk.Store, put: Put) -> None:
    put("personas/a.yaml", DEFAULT.format("A"))
    put("personas/b.yaml", DEFAULT.format("B"))
    put("personas/c.yaml", DEFAULT.format("C") + "category: work\n")
    (failure,) = store.sync().failures
    assert failure.problems[0].startswith(
        "personas/b.yaml: default: personas/a.yaml is the default of the category"
    )
    assert (store.personas.default().id, store.personas.default("work").id) == ("a", "c")


def test_a_default_whose_file_goes_stays_and_says_why(store: wilk.Store, put: Put) -> None:
    file = put("personas/a.yaml", DEFAULT.format("A"))
    store.sync()
    file.unlink()
    (failure,) = store.sync().failures
    assert "make another persona the default" in failure.problems[0]
    assert store.personas.default().id == "a"


def test_a_default_whose_file_went_is_archived_when_another_takes_its_place(
    store: wilk.Store, put: Put
) -> None:
    file = put("personas/a.yaml", DEFAULT.format("A"))
    store.sync()
    file.unlink()
    store.sync()
    other = put("personas/b.yaml", DEFAULT.format("A"))
    report = store.sync([other])
    assert sorted((change.action, change.id) for change in report.changes) == [
        ("archived", "a"),
        ("created", "b"),
    ]


def test_a_default_whose_file_comes_back_is_as_before(store: wilk.Store, put: Put) -> None:
    file = put("personas/a.yaml", DEFAULT.format("A"))
    store.sync()
    file.unlink()
    store.sync()
    put("personas/a.yaml", DEFAULT.format("A"))
    report = store.sync()
    assert (report.changes, report.failures) == ((), ())


def test_a_default_can_be_handed_over_by_editing_both_files(store: wilk.Store, put: Put) -> None:
    put("personas/a.yaml", DEFAULT.format("A"))
    put("personas/b.yaml", "name: B\nprompt: x\n")
    store.sync()
    put("personas/a.yaml", "name: A\nprompt: x\n")
    put("personas/b.yaml", DEFAULT.format("B"))
    assert store.sync().failures == ()
    assert store.personas.default().id == "b"


# -- plugins --------------------------------------------------------------------------------


def test_plugins_hear_of_each_change_after_it_is_committed(
    plugged: Any, home: Path, listener: Listener
) -> None:
    store = plugged(listener)
    (home / "prompts").mkdir(parents=True)
    (home / "prompts/p.yaml").write_text("template: x\n")
    store.sync()
    (home / "prompts/p.yaml").unlink()
    store.sync()
    assert listener.synced == [("created", "p"), ("archived", "p")]
    assert (listener.saved, listener.deleted) == ([("prompt", "p")], ["p"])


class Guard:
    """A plugin that refuses records named ``bad``."""

    @hookimpl
    def before_save(self, record: Any) -> None:
        if record.name == "bad":
            raise Rejected("no bad names here")


def test_what_a_plugin_refuses_is_a_failure_and_the_rest_is_taken_over(plugged: Any, home: Path) -> None:
    listener = Listener()
    store = plugged(Guard(), listener)
    for name in ("bad", "fine"):
        (home / "agents" / name).mkdir(parents=True)
        (home / "agents" / name / "agent.yaml").write_text(f"name: {name}\n")
    report = store.sync()
    assert [failure.problems for failure in report.failures] == [
        ("agents/bad/agent.yaml: no bad names here",)
    ]
    assert listener.saved == [("agent", "fine")]
    assert [agent.id for agent in store.agents.list()] == ["fine"]


class RecipePlugin:
    """A plugin with a kind of its own that has a table of its own."""

    @hookimpl
    def register_definition_kinds(self) -> Any:
        yield DefinitionKind(
            name="recipes",
            pattern="recipes/{id}.yaml",
            schema=Section(required={"name": Text()}),
            model=lambda: Recipe,
            columns=lambda id, definition: {"dish": definition.get("dish", id)},
        )
        yield DefinitionKind(name="notes", pattern="notes/{id}/note.yaml", schema=Section())


class Recipe(wilk.Model):
    id = peewee.TextField(primary_key=True)
    name = peewee.TextField()
    dish = peewee.TextField(unique=True)
    definition = wilk.JsonField(empty=dict)
    content_hash = peewee.TextField()
    revision = peewee.IntegerField()
    created_at = wilk.TimeField()
    updated_at = wilk.TimeField()
    archived_at = wilk.TimeField(null=True)


@pytest.fixture
def recipes(home: Path, tmp_path: Path) -> Any:
    (home / "recipes").mkdir(parents=True)
    with wilk.open_store(home=home) as store, store.transaction():
        store._engine.database.create_tables([Recipe])
    with wilk.open_store(home=home, host=Host(RecipePlugin())) as store:
        yield store


def test_a_kind_of_a_plugin_is_synced_into_its_own_table(recipes: wilk.Store, home: Path) -> None:
    (home / "recipes/soup.yaml").write_text("name: Soup\n")
    recipes.sync()
    found = recipes.definitions.get("recipes", "soup")
    assert (found.kind, found.id, found.name, found.definition) == (
        "recipes",
        "soup",
        "Soup",
        {"name": "Soup"},
    )


def test_a_constraint_of_a_plugins_table_turns_away_one_file_only(recipes: wilk.Store, home: Path) -> None:
    for name, dish in (("a", "stew"), ("b", "stew"), ("c", "soup")):
        (home / f"recipes/{name}.yaml").write_text(f"name: {name}\ndish: {dish}\n")
    report = recipes.sync()
    assert [failure.id for failure in report.failures] == ["b"]
    assert [record.id for record in recipes.definitions.list("recipes")] == ["a", "c"]


def test_a_kind_without_a_table_lives_in_the_common_one(recipes: wilk.Store, home: Path) -> None:
    (home / "notes/n").mkdir(parents=True)
    (home / "notes/n/note.yaml").write_text("# empty\n")
    recipes.sync()
    assert recipes.definitions.get("notes", "n").name == "n"
    (home / "notes/n/note.yaml").unlink()
    recipes.sync()
    assert recipes.definitions.find("notes", "n") is None
    assert len(recipes.definitions.list("notes", archived=True)) == 1


def test_files_of_a_plugin_that_is_gone_are_left_as_they_are(recipes: wilk.Store, home: Path) -> None:
    (home / "recipes/soup.yaml").write_text("name: Soup\n")
    recipes.sync()
    with wilk.open_store(home=home) as store:
        assert store.sync().changes == ()
    assert recipes.sync().changes == ()


# -- checking -------------------------------------------------------------------------------


def test_check_tells_what_is_wrong_and_writes_nothing(store: wilk.Store, put: Put) -> None:
    put("agents/a/agent.yaml", "name: same\n")
    put("agents/b/agent.yaml", "name: same\n")
    put("agents/c/agent.yaml", "name: [\n")
    put("agents/d/agent.yaml", "name: d\ndescripton: x\n")
    found = {failure.id: failure.problems for failure in store.definitions.check()}
    assert found["b"][0].startswith("agents/b/agent.yaml: name: agents/a/agent.yaml has the name 'same'")
    assert found["c"][0].startswith("agents/c/agent.yaml:2:1: ")
    assert found["d"] == (
        "warning: agents/d/agent.yaml:2:13: descripton: no known field; did you mean 'description'?",
    )
    assert (set(found), store.agents.list(), store.definitions.files()) == ({"b", "c", "d"}, [], [])


def test_check_looks_at_one_kind_when_asked(store: wilk.Store, put: Put) -> None:
    put("agents/c/agent.yaml", "name: [\n")
    assert store.definitions.check("prompts") == []


# -- kinds that fail ------------------------------------------------------------------------


class BrokenPlugin:
    """A plugin whose kind does not expect what it gets."""

    @hookimpl
    def register_definition_kinds(self) -> Any:
        yield DefinitionKind(
            name="broken",
            pattern="broken/{id}.yaml",
            schema=Section(),
            columns=lambda id, definition: {"size": len(definition["items"])},
        )


def test_a_kind_that_fails_on_a_file_stops_no_other(plugged: Any, home: Path) -> None:
    store = plugged(BrokenPlugin())
    for path in ("broken/a.yaml", "prompts/p.yaml"):
        (home / path).parent.mkdir(parents=True)
        (home / path).write_text("template: x\n")
    report = store.sync()
    (failure,) = report.failures
    assert failure.problems[0].startswith(
        "broken/a.yaml: the kind 'broken' failed on this file (KeyError('items'))"
    )
    assert [change.id for change in report.changes] == ["p"]


def test_json_that_is_too_deep_is_a_failure(store: wilk.Store, put: Put) -> None:
    put("mcp-servers.json", '{"x": ' * 300 + "1" + "}" * 300)
    assert len(store.sync().failures) == 1


@pytest.mark.parametrize("name", ["3", "{}", '"\\u0000"', '"\\ud800"', '""', "null"])
def test_a_strange_name_in_json_harms_nothing(store: wilk.Store, put: Put, name: str) -> None:
    put("mcp-servers.json", f'{{"name": {name}, "version": {name}}}')
    assert store.sync().failures == ()
    assert store.definitions.get("mcp-servers").definition.keys() == {"name", "version"}
