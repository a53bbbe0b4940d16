"""The nouns of the command line, and the parser over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from wilk.cli.context import Context
from wilk.cli.parsing import Parser, UsageError, Verb, common, suggestion

if TYPE_CHECKING:
    from wilk.contracts import Command


class Noun(NamedTuple):
    """A noun: the module of ``wilk.cli`` that has it, and what it is about."""

    module: str
    summary: str


NOUNS = {
    "init": Noun("init", "make a home folder"),
    "demo": Noun("demo", "see what wilk does, in a folder of its own"),
    "agents": Noun("agents", "agents: YAML files and the rows that follow them"),
    "registry": Noun("registry", "packages of agents: find, install, update"),
    "prompts": Noun("prompts", "prompts with variables"),
    "personas": Noun("personas", "personas: a prompt with the settings of its model"),
    "presets": Noun("presets", "presets: a model with its parameters"),
    "definitions": Noun("other_definitions", "definitions of every other kind"),
    "sync": Noun("sync", "take over what changed in the definition files"),
    "watch": Noun("watch", "follow the definition files as they are edited"),
    "search": Noun("search", "find what was said and kept, by words and by meaning"),
    "index": Noun("index", "how far the search index is, and making it anew"),
    "vectors": Noun("vectors", "collections of vectors"),
    "sessions": Noun("sessions", "conversations"),
    "messages": Noun("messages", "messages of a conversation"),
    "branches": Noun("branches", "what a conversation has beside its visible branch"),
    "context": Noun("contexts", "what is sent to a model, and why"),
    "pins": Noun("pins", "what a session must not forget"),
    "blocks": Noun("blocks", "working memory: labelled blocks with a limit"),
    "facts": Noun("facts", "what holds, since when, and since when it was known"),
    "summaries": Noun("summaries", "ranges of a conversation in few words"),
    "memory": Noun("memory", "what becomes of messages as a conversation grows"),
    "tools": Noun("tools", "tools that agents may name, and running them"),
    "tool-calls": Noun("tool_calls", "the log of tool calls"),
    "documents": Noun("documents", "conversations and other documents, kept as they came"),
    "memories": Noun("memories", "what is remembered: compressed, consolidated, or noted"),
    "reasoning": Noun("reasoning", "the reasoning chains of agents"),
    "state": Noun("state", "what applications keep under keys"),
    "interactions": Noun("interactions", "exchanges with users"),
    "patterns": Noun("patterns", "what was seen again and again"),
    "feedback": Noun("feedback", "what somebody said, and whether it was applied"),
    "preferences": Noun("preferences", "what a user prefers, or everybody"),
    "world-models": Noun("world_models", "what is believed of a domain, and how it was before"),
    "consolidation": Noun("consolidation", "interactions that become memories"),
    "users": Noun("users", "users whose sessions are kept"),
    "groups": Noun("groups", "groups of users"),
    "archive": Noun("archive", "what was removed, and why"),
    "cache": Noun("cache", "what can be computed again, and how often it was not"),
    "retention": Noun("retention", "how long and how much is kept"),
    "forget": Noun("forget", "remove a user or a session for good, everywhere, with a certificate"),
    "health": Noun("health", "whether the store is well"),
    "stats": Noun("stats", "how much there is, how large, and how fast it grows"),
    "backup": Noun("backup", "copies of everything: made, tried, put back"),
    "doctor": Noun("doctor", "what is not as it should be, and mending it"),
    "maintain": Noun("maintain", "check the database, and keep it fast and small"),
    "recover": Noun("recover", "what can be read of a damaged database, in a new one"),
    "move": Noun("move", "copy every row into another database, and compare both"),
    "import": Noun("importing", "take over what other programs keep"),
    "export": Noun("exporting", "write conversations, or everything, as files that others read"),
    "plugins": Noun("plugins", "what is installed, and how it fares"),
    "plugin": Noun("plugin", "begin a plugin of your own, and see what it is worth"),
    "config": Noun("config", "settings, and where they come from"),
    "completion": Noun("completion", "completion of commands by the shell"),
    "help": Noun("help", "help on a noun or a verb"),
}

_WITH_VALUE = ("--home", "--url")


def tree(nouns: Sequence[str], words: Sequence[str], command: Command | None = None) -> Parser:
    """The parser of the program. It knows ``nouns``, and the arguments of what ``words`` begin with.

    ``words`` are a noun and a verb; with the noun alone, all its verbs get their arguments.
    """
    program = Parser(prog="wilk", summary="keeps what AI agents know")
    program.add_argument("-V", "--version", action="store_true", help="show the version")
    program.set_defaults(run=None, parser=program)
    # Given prog, argparse does not format a usage line to find it.
    parsers = program.add_subparsers(dest="noun", metavar="NOUN", prog="wilk", parser_class=Parser)
    for name in nouns:
        summary = NOUNS[name].summary if name in NOUNS else command.summary if command else ""
        parser = parsers.add_parser(name, help=summary, prog=f"wilk {name}", summary=summary)
        parser.set_defaults(parser=parser)
        if name in words[:1]:
            _configure(parser, name, words[1:2], command)
    return program


def _configure(parser: Parser, noun: str, verb: Sequence[str], command: Command | None) -> None:
    """Give a noun's parser its arguments: the noun's module has them, or the plugin whose command it is."""
    if noun not in NOUNS:
        if command is not None:
            command.configure(parser)
            parser.set_defaults(run=lambda context: command.run(context.arguments, context.open_store))
        return
    found: Verb | Mapping[str, Verb] = import_module(f"wilk.cli.{NOUNS[noun].module}").commands()
    if isinstance(found, Verb):
        _fill(parser, found)
        return
    parser.set_defaults(verbs=tuple(found))
    parsers = parser.add_subparsers(
        dest="verb", metavar="VERB", prog=parser.prog, title="verbs", parser_class=Parser
    )
    # Making a parser takes longer than running it, so the others are left out where one is known.
    for name in verb if verb and verb[0] in found else found:
        own = parsers.add_parser(
            name, help=found[name].summary, prog=f"{parser.prog} {name}", summary=found[name].summary
        )
        _fill(own, found[name])


def _fill(parser: Parser, verb: Verb) -> None:
    parser.set_defaults(run=verb.run, parser=parser)
    if verb.arguments is not None:
        verb.arguments(parser)


def words_of(argv: Sequence[str]) -> list[str]:
    """The words that are no options, nor a common option's value: noun, verb, and what follows."""
    words = []
    rest = iter(argv)
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, None)
        elif not word.startswith("-"):
            words.append(word)
    return words


def plugins_command(noun: str, argv: Sequence[str]) -> Command:
    """The command of a plugin; raises UsageError for a word that none has, with what may have been meant."""
    context = Context(common().parse_known_args(list(argv))[0])
    try:
        host = context.host
        commands = {command.name: command for command in host.commands()}
        if noun in commands:
            return commands[noun]
        for plugin in host.plugins(load=False):
            if plugin.status in ("quarantined", "disabled") and noun in (
                plugin.name,
                *(offer.removeprefix("commands.") for offer in plugin.offers),
            ):
                host.command(noun)  # its error says which plugin would have it, and what is the matter
        raise UsageError(f"there is no command {noun!r}; {suggestion(noun, [*NOUNS, *commands])}")
    finally:
        context.close()
