"""``wilk help``, and what ``wilk`` alone shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.nouns import NOUNS
from wilk.cli.output import Styled
from wilk.cli.parsing import Verb
from wilk.errors import WilkError

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser

_GROUPS = {
    "Begin": ("init", "demo"),
    "Definitions": ("agents", "prompts", "personas", "presets", "definitions", "sync", "watch"),
    "Conversations": ("sessions", "messages", "branches", "context", "tool-calls", "users", "groups"),
    "Memory": (
        "pins",
        "blocks",
        "facts",
        "summaries",
        "memory",
        "documents",
        "memories",
        "reasoning",
        "state",
        "interactions",
        "patterns",
        "feedback",
        "preferences",
        "world-models",
        "consolidation",
    ),
    "Search": ("search", "index", "vectors"),
    "Tools and packages": ("tools", "registry"),
    "Archive": ("archive", "retention", "forget"),
    "In and out": ("import", "export", "move"),
    "The rest": (
        "backup",
        "maintain",
        "recover",
        "health",
        "doctor",
        "stats",
        "cache",
        "plugins",
        "plugin",
        "config",
        "completion",
        "help",
    ),
}


def commands() -> Verb:
    """The command."""
    return Verb(_help, "help on a noun or a verb", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument("words", metavar="NOUN [VERB]", nargs="*", help="what to tell about")


def overview(context: Context) -> None:
    """Show all nouns, a line each."""
    out = context.out
    out.line(Styled("wilk", "bold"), "keeps what AI agents know. Usage: wilk NOUN VERB …")
    groups: dict[str, list[tuple[str, str]]] = {
        title: [(name, NOUNS[name].summary) for name in names] for title, names in _GROUPS.items()
    }
    if plugins := _plugins_commands(context):
        groups["From plugins"] = plugins
    column = max(len(name) for nouns in groups.values() for name, _ in nouns)
    for title, nouns in groups.items():
        out.line()
        out.line(Styled(title, "bold"))
        for name, summary in nouns:
            out.line(Styled(f"{name:<{column}}", "cyan"), f" {summary}", indent="  ")
    out.line()
    out.line("`wilk NOUN --help` tells more, also of the options that every command takes.")


def _help(context: Context) -> None:
    """``wilk help`` alone; the program turns ``wilk help NOUN`` into ``wilk NOUN --help``."""
    overview(context)


def _plugins_commands(context: Context) -> list[tuple[str, str]]:
    """Commands that plugins bring; settings that cannot be read must not keep help from being shown."""
    try:
        return [(command.name, command.summary) for command in context.host.commands()]
    except WilkError:
        return []
