"""Templates: ``{name}`` is a variable and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk import Invalid
from wilk.definitions import templates


def test_variables_are_found_in_order_and_once() -> None:
    assert templates.variables("{b} {a} {b}", None, "{c}") == ["b", "a", "c"]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": 1}}',
        "{}",
        "{ code }",
        "{0}",
        "{a.b}",
        "{a[0]}",
        "{a!r}",
        "{a:>10}",
        "{a",
        "a}",
        "{{",
        "}}",
        "{{ x }}",
        "{a-b}",
        "${",
        "function() { return 1; }",
    ],
)
def test_other_braces_are_what_they_are(text: str) -> None:
    assert (templates.variables(text), templates.render(text, {})) == ([], text)


def test_doubled_braces_around_a_name_stand_for_the_name_in_braces() -> None:
    assert templates.render("{{code}} is {code}", {"code": "x"}) == "{code} is x"


def test_a_variable_may_stand_in_json() -> None:
    assert (
        templates.render('{"text": "{text}", "n": {"m": {n}}}', {"text": "x", "n": 1})
        == '{"text": "x", "n": {"m": 1}}'
    )


def test_a_value_is_no_template() -> None:
    assert templates.render("{a}{b}", {"a": "{b}", "b": "{a}"}) == "{b}{a}"


def test_names_may_have_letters_of_any_script() -> None:
    assert templates.render("{größe} {名前}", {"größe": 1, "名前": 2}) == "1 2"


def test_a_missing_value_is_named() -> None:
    with pytest.raises(Invalid, match=r"no value for \{b\}, \{c\}; this template takes \{a\}, \{b\}, \{c\}"):
        templates.render("{a}{b}{c}", {"a": 1})


@given(text=st.text(), values=st.dictionaries(st.from_regex(r"[a-z]{1,2}", fullmatch=True), st.text()))
def test_rendering_touches_variables_only(text: str, values: dict[str, str]) -> None:
    wanted = {name: values.get(name, "") for name in templates.variables(text)}
    if not templates.variables(text) and "{{" not in text:
        assert templates.render(text, wanted) == text
    templates.render(text, wanted)


# -- through the store ----------------------------------------------------------------------


def prompt(store: wilk.Store, **definition: Any) -> None:
    store.prompts.save("p", definition)


def test_a_prompt_is_filled_in(store: wilk.Store) -> None:
    prompt(store, user_template="Look at {code} in {context}.")
    assert store.prompts.render("p", code="x", context="y") == "Look at x in y."


def test_a_prompt_without_a_template_gives_its_system_text(store: wilk.Store) -> None:
    prompt(store, system="You are {who}.")
    assert store.prompts.render("p", who="x") == "You are x."


def test_a_value_without_a_variable_is_an_error(store: wilk.Store) -> None:
    prompt(store, template="{code}")
    with pytest.raises(Invalid, match=r"prompt 'p' has no variable \{cod\}; it takes \{code\}"):
        store.prompts.render("p", cod="x")


@pytest.mark.parametrize(
    "variables",
    [
        {"code": None, "style": {"default": "short"}, "note": {"required": False}},
        ["code", {"name": "style", "default": "short"}, {"name": "note", "required": False}],
    ],
)
def test_described_variables_have_defaults(store: wilk.Store, variables: Any) -> None:
    prompt(store, template="{code}|{style}|{note}", variables=variables)
    assert store.prompts.render("p", code="x") == "x|short|"
    assert store.prompts.render("p", code="x", style="long", note="n") == "x|long|n"


def test_a_variable_may_be_called_id(store: wilk.Store) -> None:
    prompt(store, template="{id} {self}")
    assert store.prompts.render("p", id=1, self=2) == "1 2"


def test_an_agents_template_is_filled_in(store: wilk.Store) -> None:
    store.agents.save("a", {"name": "A", "prompts": {"user_template": "Code: {code}"}})
    assert store.agents.render("a", code="x") == "Code: x"


def test_an_agent_without_a_template_says_so(store: wilk.Store) -> None:
    store.agents.save("a", {"name": "A"})
    with pytest.raises(Invalid, match=r"has no prompts\.user_template"):
        store.agents.render("a")
