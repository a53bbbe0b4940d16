"""Every hook is used, tested and documented, with the arguments that it really has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from wilk import hookspecs

ROOT = Path(__file__).parents[2]
HOOKS = {name: spec for name, spec in vars(hookspecs).items() if hasattr(spec, "wilk_spec")}
PAGE = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")


def implementations(*folders: str) -> str:
    """The text of all modules below some folders."""
    files = (file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(files) if file != Path(__file__))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_use(hook: str) -> None:
    implemented = rf"^@hookimpl\ndef {hook}\("
    sources = implementations("core/wilk", *(str(folder) for folder in (ROOT / "plugins").glob("*/src")))
    assert re.search(implemented, sources, re.M)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_test_with_a_plugin_of_its_own(hook: str) -> None:
    tests = implementations("tests/plugins")
    assert re.search(rf"def {hook}\(|hook=\"{hook}\"", tests)


def documented(hook: str) -> str:
    """What the page says of a hook: from its heading to the next."""
    found = re.search(rf"^### `{hook}\((?P<arguments>[^)]*)\)`\n(?P<text>.*?)(?=^##|\Z)", PAGE, re.M | re.S)
    assert found, f"docs/hooks.md has no heading for {hook}"
    return found["arguments"] + "\n" + found["text"]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(HOOKS[hook]).parameters)
    assert documented(hook).partition("\n")[0] == arguments


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented_in_the_words_of_its_code(hook: str) -> None:
    def plain(text: str) -> str:
        return re.sub(r"`+", "`", " ".join(text.split()))

    assert plain(inspect.getdoc(HOOKS[hook]) or "-").rstrip(".") in plain(documented(hook))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_an_example_that_runs(hook: str) -> None:
    # That the examples of all pages run, and show what they say, is a test of the documentation.
    assert re.search(rf"    @wilk\.hookimpl\n    def {hook}\(self", PAGE)


def test_the_page_names_no_hook_that_is_not_there() -> None:
    assert set(re.findall(r"^### `(\w+)\(", PAGE, re.M)) == set(HOOKS)
