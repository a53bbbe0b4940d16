"""Prompts and presets of LibreChat: groups with their versions, variables, commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.librechat.documents import ANNA, at, everything, oid

import wilk
from wilk.records.transfer import MigrationResult
from wilk.transfer.importers.librechat import variables

pytestmark = pytest.mark.sqlite
Take = Callable[..., MigrationResult]


def group(**more: Any) -> dict[str, Any]:
    return {"_id": oid(50), "name": "Explain", "oneliner": "", "category": "", "author": ANNA, **more}


def prompts(*texts: str) -> list[dict[str, Any]]:
    return [
        {"_id": oid(60 + number), "groupId": oid(50), "author": ANNA, "type": "text", "prompt": text,
         "createdAt": at(number)}
        for number, text in enumerate(texts)
    ]  # fmt: skip


def test_a_group_is_one_prompt_and_its_published_version_counts(take: Take, store: wilk.Store) -> None:
    take({"promptgroups": [group(productionId=oid(60))], "prompts": prompts("first", "second")})
    (one,) = store.prompts.list()
    assert (one.name, one.user_template) == ("Explain", "first")
    assert one.definition["metadata"]["published"] is True
    said = [old.definition["user_template"] for old in store.prompts.history(one.id)]
    assert said == ["first", "second", "first"]


@pytest.mark.parametrize("production", [{}, {"productionId": None}, {"productionId": oid(999)}])
def test_where_none_is_published_the_newest_counts(
    take: Take, store: wilk.Store, production: dict[str, Any]
) -> None:
    take({"promptgroups": [group(**production)], "prompts": prompts("first", "second")})
    (one,) = store.prompts.list()
    assert one.user_template == "second"
    assert one.definition["metadata"]["published"] is False


def test_a_prompt_that_is_published_later_adds_one_revision(take: Take, store: wilk.Store) -> None:
    take({"promptgroups": [group(productionId=oid(60))], "prompts": prompts("first")})
    take({"promptgroups": [group(productionId=oid(61))], "prompts": prompts("first", "second")})
    (one,) = store.prompts.list()
    said = [old.definition["user_template"] for old in store.prompts.history(one.id)]
    assert said == ["first", "second"]


def test_a_group_without_prompts_is_an_empty_prompt(take: Take, store: wilk.Store) -> None:
    assert take({"promptgroups": [group()]}).failed == 0
    assert store.prompts.list()[0].name == "Explain"


def test_prompts_without_their_group_come_over_with_a_warning(take: Take, store: wilk.Store) -> None:
    result = take({"prompts": prompts("alone")})
    assert store.prompts.list()[0].user_template == "alone"
    assert any("group is not in the source" in text for text in result.warnings)


def test_two_prompts_of_one_command_are_both_there_with_a_warning(take: Take, store: wilk.Store) -> None:
    result = take({"promptgroups": [group(command="x"), group(_id=oid(51), name="Other", command="x")]})
    ids = [one.id for one in store.prompts.list()]
    assert len(ids) == 2
    assert "x" in ids
    assert any("same command" in text for text in result.warnings)


@pytest.mark.parametrize("command", [None, ""])
def test_a_prompt_without_a_command_is_called_by_its_name(
    take: Take, store: wilk.Store, command: str | None
) -> None:
    take({"promptgroups": [group(command=command)]})
    assert store.prompts.list()[0].id == "Explain"


def test_variables_can_be_filled_in(take: Take, store: wilk.Store) -> None:
    take({name: everything()[name] for name in ("promptgroups", "prompts")})
    text = store.prompts.render("explain", topic="tides", current_date="today")
    assert text == "On today: explain tides in {words} words."


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Hello {{name}}", "Hello {name}"),
        ("{{tone:kind|strict}} words", "{tone} words"),
        ("{{current_date}}", "{current_date}"),
        ("code {x} and {{y}}", "code {{x}} and {y}"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
        ("{{ spaced name }}", "{spaced_name}"),
        ("{{a}}{{b}}", "{a}{b}"),
        ("{{{x}}}", None),
        ("{{unclosed", "{{unclosed"),
    ],
)
def test_variables_of_both_forms_are_read(theirs: str, ours: str | None) -> None:
    made, _ = variables.ours(theirs)
    assert ours is None or made == ours


@pytest.mark.parametrize(
    "text", ["Hello {{name}}", "{{tone:kind|strict}} words {x}", "{{a}} {{{b}}}", "a {b} c"]
)
def test_plain_texts_come_back_letter_by_letter(text: str) -> None:
    made, described = variables.ours(text)
    back = variables.theirs(made, described)
    assert back == text or variables.ours(back)[0] == made


def test_options_are_told_of(take: Take, store: wilk.Store) -> None:
    _, described = variables.ours("{{reader:a child|an expert}}")
    assert described == {
        "reader": {"description": "one of a child, an expert", "options": ["a child", "an expert"]}
    }


def test_a_preset_keeps_its_parameters_and_its_place(take: Take, store: wilk.Store) -> None:
    take({"presets": everything()["presets"]})
    one = store.presets.get("p-1")
    assert (one.name, one.provider, one.model) == ("Careful", "openAI", "gpt-4o")
    assert one.parameters == {"temperature": 0.1, "top_p": 0.9}
    assert one.definition["metadata"]["librechat"]["defaultPreset"] is True
    assert one.definition["metadata"]["librechat"]["order"] == 0


def test_a_preset_with_nothing_but_a_parameter_out_of_range_comes_over(take: Take, store: wilk.Store) -> None:
    take({"presets": everything()["presets"]})
    assert store.presets.get("p-2").definition["metadata"]["librechat"]["temperature"] == 3.5


def test_memories_are_those_of_their_user(take: Take, store: wilk.Store) -> None:
    take({"memoryentries": everything()["memoryentries"], "users": everything()["users"]})
    (one,) = store.memories.list(user=str(ANNA))
    assert (one.content, one.tokens) == ("She likes short answers.", 5)
    assert one.metadata["librechat"]["key"] == "likes"


def test_groups_have_their_members(take: Take, store: wilk.Store) -> None:
    take({"groups": everything()["groups"], "users": everything()["users"]})
    assert [one.user_id for one in store.groups.members(str(oid(60)))] == [str(ANNA)]
