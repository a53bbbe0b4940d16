"""The kinds that ship: what each takes, what it says of the rest, and which columns follow."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from wilk.contracts import DefinitionKind
from wilk.definitions import reader
from wilk.definitions.kinds import register_definition_kinds
from wilk.definitions.schema import Choice, Integer, ListOf, MapOf, Number, Section, Text

pytestmark = pytest.mark.storeless

KINDS: dict[str, DefinitionKind] = {kind.name: kind for kind in register_definition_kinds()}


def faults(kind: str, definition: Any) -> list[str]:
    return [
        reader.describe(problem, "f")
        for problem in KINDS[kind].schema.check(definition)
        if not problem.warning
    ]


def doubts(kind: str, definition: Any) -> list[str]:
    return [
        reader.describe(problem, "f") for problem in KINDS[kind].schema.check(definition) if problem.warning
    ]


def test_importing_the_kinds_imports_neither_yaml_nor_peewee() -> None:
    code = "import sys, wilk.definitions.kinds; print({'yaml', 'peewee', 'orjson'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": 3}, "f: name: expected text, found the number 3"),
        ({"name": " "}, "f: name: this field is blank"),
        ({"model": "gpt-4"}, "f: model: expected a mapping, found the text 'gpt-4'"),
        (
            {"model": {"parameters": {"temperature": 2.1}}},
            "f: model.parameters.temperature: expected a number from 0 to 2",
        ),
        (
            {"model": {"parameters": {"temperature": True}}},
            "f: model.parameters.temperature: expected a number",
        ),
        (
            {"model": {"parameters": {"temperature": float("nan")}}},
            "f: model.parameters.temperature: expected a number",
        ),
        (
            {"model": {"parameters": {"max_tokens": 0}}},
            "f: model.parameters.max_tokens: expected a whole number from 1",
        ),
        (
            {"model": {"parameters": {"max_tokens": 1.5}}},
            "f: model.parameters.max_tokens: expected a whole number",
        ),
        (
            {"model": {"parameters": {"top_p": 1.1}}},
            "f: model.parameters.top_p: expected a number from 0 to 1",
        ),
        ({"tools": {"a": 1}}, "f: tools: expected a list, found a mapping"),
        ({"tools": ["a", None]}, "f: tools[1]: expected text, found nothing"),
        ({"permissions": {"filesystem": {"read": "./x"}}}, "f: permissions.filesystem.read: expected a list"),
        ({"permissions": {"shell": []}}, "f: permissions.shell: expected a mapping, found a list"),
        ({"prompts": {"system": ["x"]}}, "f: prompts.system: expected text, found a list"),
        ({"memory": {"project_context": "yes"}}, "f: memory.project_context: expected true or false"),
        (
            {"memory": {"max_context_tokens": -1}},
            "f: memory.max_context_tokens: expected a whole number from 1",
        ),
        ({"metadata": {"tags": "a"}}, "f: metadata.tags: expected a list"),
        ({"description": "a\0b"}, "f: description: NUL characters cannot be kept"),
    ],
)
def test_each_field_of_an_agent_is_checked(change: dict[str, Any], fault: str) -> None:
    (found,) = faults("agents", {"name": "x", **change})
    assert found.startswith(fault)


def test_a_number_past_all_floats_is_a_fault() -> None:
    (fault,) = faults("personas", {"name": "P", "prompt": "x", "repeat_penalty": 10**400})
    assert fault.startswith("f: repeat_penalty: expected a number from 0")


def test_an_agent_needs_a_name_and_nothing_else() -> None:
    assert (faults("agents", {"name": "x"}), faults("agents", {})) == ([], ["f: name: this field is missing"])


def test_every_fault_of_a_definition_is_told() -> None:
    assert len(faults("agents", {"name": 1, "version": 2, "tools": [3, 4], "memory": []})) == 5


def test_unknown_fields_and_parameters_are_taken() -> None:
    definition = {"name": "x", "owner": {"team": 1}, "model": {"parameters": {"mirostat": 2}}}
    assert list(KINDS["agents"].schema.check(definition)) == []


def test_a_field_that_looks_misspelled_is_a_doubt() -> None:
    assert doubts("agents", {"name": "x", "descripton": "y"}) == [
        "f: descripton: no known field; did you mean 'description'?"
    ]


def test_a_field_without_a_value_counts_as_left_out() -> None:
    assert faults("agents", {"name": "x", "model": None, "tools": None}) == []


def test_a_prompt_needs_a_text() -> None:
    assert faults("prompts", {"name": "x"}) == [
        "f: one of the fields system, user_template, template is needed"
    ]


def test_a_prompt_has_one_template() -> None:
    assert "another name of user_template" in faults("prompts", {"user_template": "a", "template": "b"})[0]


@pytest.mark.parametrize(
    "variables",
    [
        ["code"],
        [{"name": "code", "default": 1}],
        {"code": None},
        {"code": "what to read"},
        {"code": {"required": False}},
    ],
)
def test_variables_may_be_described_in_several_ways(variables: Any) -> None:
    assert faults("prompts", {"user_template": "{code}", "variables": variables}) == []


def test_a_fault_in_the_description_of_a_variable_is_told_where_it_is() -> None:
    definition = {"user_template": "x", "variables": {"code": {"required": "no"}}}
    assert faults("prompts", definition)[0].startswith("f: variables.code.required: expected true or false")


def test_the_variables_of_a_prompt_are_those_of_its_template_in_order() -> None:
    columns = KINDS["prompts"].columns("p", {"template": "{b} {a} {b} {{c}}"})
    assert (columns["variables"], columns["user_template"]) == (["b", "a"], "{b} {a} {b} {{c}}")


def test_a_persona_takes_kalitos_names() -> None:
    definition = {
        "name": "P",
        "prompt": "x",
        "temperature": 0.7,
        "maxTokens": 100,
        "topP": 0.9,
        "repeatPenalty": 1.1,
        "stopSequences": ["###"],
        "default_model": "m",
        "suggested_models": ["n"],
        "icon": "i",
        "default": True,
    }
    assert faults("personas", definition) == []
    columns = KINDS["personas"].columns("p", definition)
    assert columns == {
        "prompt": "x",
        "description": None,
        "icon": "i",
        "category": "general",
        "default_model": "m",
        "suggested_models": ["n"],
        "temperature": 0.7,
        "max_tokens": 100,
        "top_p": 0.9,
        "repeat_penalty": 1.1,
        "stop_sequences": ["###"],
        "is_default": True,
    }


def test_a_persona_says_a_setting_once() -> None:
    definition = {"name": "P", "prompt": "x", "max_tokens": 1, "maxTokens": 2}
    assert faults("personas", definition) == [
        "f: maxTokens: this is another name of max_tokens, which is there too; keep one"
    ]


@pytest.mark.parametrize("definition", [{"name": "P"}, {"prompt": "x"}, {"name": "P", "prompt": " "}])
def test_a_persona_needs_a_name_and_a_prompt(definition: dict[str, Any]) -> None:
    assert len(faults("personas", definition)) == 1


def test_a_preset_gathers_its_parameters() -> None:
    definition = {
        "title": "T",
        "endpoint": "openai",
        "model": "gpt-4",
        "maxTokens": 5,
        "parameters": {"top_p": 0.5},
    }
    assert faults("presets", definition) == []
    columns = KINDS["presets"].columns("p", definition)
    assert columns == {
        "description": None,
        "provider": "openai",
        "model": "gpt-4",
        "parameters": {"top_p": 0.5, "max_tokens": 5},
    }


@pytest.mark.parametrize("section", ["mcpServers", "servers"])
def test_mcp_servers_may_be_told_in_both_ways(section: str) -> None:
    servers = {
        "a": {"command": "x", "args": ["-y"], "env": {"K": "v"}},
        "b": {"url": "https://h", "headers": {"A": "b"}},
    }
    assert faults("mcp-servers", {section: servers}) == []


def test_an_mcp_server_needs_a_command_or_a_url() -> None:
    assert faults("mcp-servers", {"servers": {"a": {"args": []}}}) == [
        "f: servers.a: one of the fields command, url is needed"
    ]


def test_a_faulty_secret_is_not_shown() -> None:
    assert (
        "123456" not in faults("mcp-servers", {"servers": {"a": {"command": "x", "env": {"PIN": 123456}}}})[0]
    )


def test_the_configuration_is_checked_by_the_settings() -> None:
    assert faults("config", {"max_tokens": 100, "plugins": {"x": {}}}) == []
    assert faults("config", {"max_tokens": "many"})[0].startswith(
        "f: max_tokens: expected a whole number from 1"
    )


def test_an_unknown_setting_is_a_fault() -> None:
    assert faults("config", {"max_token": 1}) == [
        "f: max_token: there is no such setting; did you mean 'max_tokens'?"
    ]


def test_nodes_make_schemas_of_plugins() -> None:
    schema = Section(
        required={"mode": Choice("fast", "slow")},
        optional={
            "size": Integer(1, 3),
            "share": Number(most=1),
            "names": ListOf(Text()),
            "limits": MapOf(Integer()),
        },
    )
    value = {"mode": "fsat", "size": 4, "share": 2, "names": "x", "limits": {"a": "b"}}
    assert [reader.describe(problem, "f") for problem in schema.check(value)] == [
        "f: mode: expected fast or slow, found the text 'fsat'; did you mean 'fast'?",
        "f: size: expected a whole number from 1 to 3, found the number 4",
        "f: share: expected a number up to 1, found the number 2",
        "f: names: expected a list, found the text 'x'",
        "f: limits.a: expected a whole number, found the text 'b'",
    ]
