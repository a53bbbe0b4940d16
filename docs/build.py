"""Writes the parts of the pages that come from the code.

They stand between ``<!-- begin NAME -->`` and ``<!-- end -->``; all else on the pages is written by hand.

``python docs/build.py`` writes them, ``python docs/build.py --check`` tells which are out of date.
Needs wilk installed, and nothing more.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import EllipsisType
from typing import Any

import wilk
import wilk.services
from wilk import errors
from wilk.caches.cache import Cache
from wilk.cli.nouns import NOUNS, tree
from wilk.cli.parsing import common
from wilk.nouns import Nouns
from wilk.services.conversation.sessions import Unset
from wilk.services.definitions.definitions import Records
from wilk.settings import SETTINGS, Settings
from wilk.transfer.own.form import shapes

DOCS = Path(__file__).parent
_DEFINITIONS = ("agents", "prompts", "personas", "presets")
_REGION = re.compile(r"(?P<begin><!-- begin (?P<name>[\w-]+) -->\n).*?(?P<end><!-- end -->)", re.S)


def main(arguments: list[str] | None = None) -> int:
    """Write or check the pages; 1 when a check finds one out of date."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page is out of date")
    check = parser.parse_args(arguments).check
    stale = []
    for page, current in outdated():
        stale.append(page)
        if not check:
            page.write_text(current, encoding="utf-8")
    for page in stale:
        told = "is out of date; run python docs/build.py" if check else "written"
        sys.stdout.write(f"{page.relative_to(DOCS.parent)} {told}\n")
    return 1 if check and stale else 0


def outdated() -> Iterator[tuple[Path, str]]:
    """The pages whose generated parts differ from the code, each with the text that it should have."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        current = _REGION.sub(_filled, text)
        if current != text:
            yield page, current


def _filled(region: re.Match[str]) -> str:
    return f"{region['begin']}\n{REGIONS[region['name']]().strip()}\n\n{region['end']}"


# -- settings -------------------------------------------------------------------------------


def _settings_table() -> str:
    defaults = Settings()
    rows = []
    for setting in SETTINGS:
        variable = "" if setting.expected == "a mapping" else f"`WILK_{setting.name.upper()}`"
        rows.append(
            [
                f"`{setting.name}`",
                variable,
                setting.summary,
                setting.expected,
                _default(getattr(defaults, setting.name)),
            ]
        )
    return _table(["setting", "variable", "what it is", "value", "default"], rows)


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else f"`{value}`" if value else ""


# -- errors ---------------------------------------------------------------------------------


def _error_tree() -> str:
    lines = (errors.__doc__ or "").partition("::\n\n")[2].rstrip().splitlines()
    tree = "\n".join(line.removeprefix("    ") for line in lines)
    return f"```text\n{_markdown(tree).replace('`', '')}\n```"


def _error_list() -> str:
    parts = []
    for name, error in vars(errors).items():
        if not (isinstance(error, type) and issubclass(error, errors.WilkError)):
            continue
        part = [f"### {name}", "", _markdown(inspect.getdoc(error) or "")]
        if error is not errors.WilkError:
            part += ["", f"A kind of `{error.__bases__[0].__name__}`."]
        if told := "; ".join(_verbs_that_tell_of(name)):
            part += ["", f"Verbs that say so: {told}."]
        parts.append("\n".join(part))
    return "\n\n".join(parts)


def _verbs_that_tell_of(error: str) -> Iterator[str]:
    """The verbs in whose documentation an error stands, noun by noun."""
    for noun, service in _nouns():
        verbs = [
            f"`{name}`"
            for name, verb in _own(Records) * issubclass(service, Records) + _own(service)
            if re.search(rf"[Rr]aises [^.]*\b{error}\b", inspect.getdoc(verb) or "")
        ]
        if verbs:
            yield f"`store.{noun}`: {', '.join(verbs)}"


# -- the verbs ------------------------------------------------------------------------------


def _verb_tables() -> str:
    shared = [f"`store.{noun}`" for noun, service in _nouns() if issubclass(service, Records)]
    parts = [
        f"### What {', '.join(shared[:-1])} and {shared[-1]} share\n\n{_verbs(Records)}",
        *(f"### store.{noun}\n\n{_about(noun)}\n\n{_verbs(service)}" for noun, service in _nouns()),
        f"### store.cache(namespace)\n\n{_markdown(inspect.getdoc(Cache) or '')}\n\n{_verbs(Cache)}",
        f"### The whole store\n\n{_verbs(wilk.Store)}",
    ]
    return "\n\n".join(parts)


def _nouns() -> Iterator[tuple[str, type]]:
    """The nouns of a store, each with the class of its verbs."""
    modules = [import_module(one.name) for one in walk_packages(wilk.services.__path__, "wilk.services.")]
    services = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }
    for name, value in vars(Nouns).items():
        if isinstance(value, cached_property):
            service = services.get(value.func.__annotations__["return"])
            if service is not None and not name.startswith("_"):
                yield name, service


def _about(noun: str) -> str:
    return _markdown(inspect.getdoc(vars(Nouns)[noun].func) or "")


def _own(service: type) -> list[tuple[str, Callable[..., Any]]]:
    """The verbs that a class adds to those of its base."""
    return [
        (name, value)
        for name, value in vars(service).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]


def _verbs(service: type) -> str:
    rows = [[f"`{_signature(name, verb)}`", _first_sentence(verb)] for name, verb in _own(service)]
    return _table(["verb", "what it does"], rows)


def _signature(name: str, verb: Callable[..., Any]) -> str:
    """A signature without types: ``append(session_id, role, text='', *, key, …)``."""
    shown: list[str] = []
    named = False
    for parameter in inspect.signature(verb).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not named:
            named = True
            shown.append("*")
        if parameter.kind is parameter.VAR_KEYWORD:
            shown.append(f"**{parameter.name}")
        elif parameter.default is parameter.empty:
            shown.append(parameter.name)
        else:
            default = "…" if isinstance(parameter.default, (Unset, EllipsisType)) else repr(parameter.default)
            shown.append(f"{parameter.name}={default}")
    return f"{name}({', '.join(shown)})"


def _first_sentence(thing: Any) -> str:
    text = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    return _markdown(re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)[0])


# -- the command line -----------------------------------------------------------------------


def _common_options() -> str:
    return _table(["option", "what it does"], _rows(common()._actions))


def _command_reference() -> str:
    parts = []
    told: dict[str, str] = {}
    for noun, (_, summary) in NOUNS.items():
        parser = _choices(tree([noun], [noun]))[noun]
        part = f"## wilk {noun}\n\n{_sentence(summary)}"
        verbs = _choices(parser)
        if not verbs:
            part += f"\n\n{_command(parser)}"
        for name, verb in verbs.items():
            taken = _command(verb)
            # Agents, prompts, personas and presets have most verbs in common.
            alike = told.setdefault(taken.replace(f"wilk {noun} ", "", 1), f"wilk {noun} {name}")
            if alike.endswith(f" {name}") and alike != verb.prog and noun in _DEFINITIONS:
                taken = f"It takes what `{alike}` takes."
            part += f"\n\n### {verb.prog}\n\n{_sentence(verb.description or '')}\n\n{taken}"
        parts.append(part)
    return "\n\n".join(parts)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def _command(parser: argparse.ArgumentParser) -> str:
    """The usage line of a command and a table of what it takes beyond the common options."""
    shared = {action.dest for action in common()._actions} | {"help"}
    own = [action for action in parser._actions if action.dest not in shared]
    usage = textwrap.fill(
        " ".join([parser.prog, *(_usage(action).replace(" ", "\0") for action in own)]),
        width=100,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    ).replace("\0", " ")
    rows = [row for row in _rows(own) if row[1]]
    table = f"\n\n{_table(['argument', 'what it is'], rows)}" if rows else ""
    return f"```text\n{usage}\n```{table}"


def _rows(actions: Iterable[argparse.Action]) -> list[list[str]]:
    rows = []
    for action in actions:
        named = ", ".join(f"`{option}{_value(action)}`" for option in action.option_strings)
        rows.append([named or f"`{_placeholder(action)}`", action.help or ""])
    return rows


def _usage(action: argparse.Action) -> str:
    if action.option_strings:
        return f"[{action.option_strings[-1]}{_value(action)}]" + (" …" if _repeats(action) else "")
    shown = _placeholder(action)
    if action.nargs in ("*", "+"):
        return f"[{shown} …]" if action.nargs == "*" else f"{shown} …"
    return f"[{shown}]" if action.nargs == "?" else shown


def _value(action: argparse.Action) -> str:
    return "" if action.nargs == 0 else f" {_placeholder(action)}"


def _repeats(action: argparse.Action) -> bool:
    return type(action).__name__ == "_AppendAction"


def _placeholder(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


# -- Markdown -------------------------------------------------------------------------------


def _json_tables() -> str:
    parts = []
    for shape in shapes(()).values():
        header = shape.header()
        key = ", ".join(f"`{name}`" for name in header["key"])
        rows = [
            [f"`{one['name']}`", one["type"] + ("?" if one.get("optional") else ""), one["about"]]
            for one in header["columns"]
        ]
        parts.append(f"### {shape.name}\n\n{header['about']}; known by {key}.\n")
        parts.append(_table(["column", "type", "meaning"], rows) + "\n")
    return "\n".join(parts)


def _table(headings: list[str], rows: Iterable[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown(text: str) -> str:
    """A docstring as Markdown: literals and references as code, without notes for maintainers."""
    text = re.sub(r"\s*\(trap T\d+\)", "", text)
    text = re.sub(r":(?:class|func|meth|data):`([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


REGIONS: dict[str, Callable[[], str]] = {
    "settings": _settings_table,
    "error-tree": _error_tree,
    "errors": _error_list,
    "verbs": _verb_tables,
    "options": _common_options,
    "commands": _command_reference,
    "json-tables": _json_tables,
}

if __name__ == "__main__":
    sys.exit(main())
