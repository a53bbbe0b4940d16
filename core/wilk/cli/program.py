"""The program: finds the noun, reads the arguments, runs the verb, and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from wilk.cli import text
from wilk.cli.context import Context
from wilk.cli.output import Output, Styled
from wilk.cli.parsing import Parser, UsageError, Verb, common, suggestion
from wilk.errors import WilkError

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
    "prompts": Noun("prompts", "prompts with variables"),
    "personas": Noun("personas", "personas: a prompt with the settings of its model"),
    "presets": Noun("presets", "presets: a model with its parameters"),
    "definitions": Noun("other_definitions", "definitions of every other kind"),
    "sync": Noun("sync", "take over what changed in the definition files"),
    "watch": Noun("watch", "follow the definition files as they are edited"),
    "sessions": Noun("sessions", "conversations"),
    "messages": Noun("messages", "messages of a conversation"),
    "tool-calls": Noun("tool_calls", "the log of tool calls"),
    "users": Noun("users", "users whose sessions are kept"),
    "groups": Noun("groups", "groups of users"),
    "archive": Noun("archive", "what was removed, and why"),
    "plugins": Noun("plugins", "what is installed, and how it fares"),
    "config": Noun("config", "settings, and where they come from"),
    "completion": Noun("completion", "completion of commands by the shell"),
    "help": Noun("help", "help on a noun or a verb"),
}

_WITH_VALUE = ("--home", "--url")


def run(argv: Sequence[str]) -> int:
    """Run the command that ``argv`` says; errors become lines on stderr and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        if "_ARGCOMPLETE" in os.environ:
            from wilk.cli.completion import complete

            return complete()
        code = _run(argv)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _failed(str(error), 2)
    except WilkError as error:
        return _failed(str(error), 1)
    except SystemExit as error:  # argparse has shown help
        return error.code if isinstance(error.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _silence_stdout()
        return 141
    except Exception as error:
        if os.environ.get("WILK_DEBUG"):
            raise
        if isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename is not None else ""
            return _failed(f"{where}{error.strerror}", 1)
        return _failed(
            f"{type(error).__name__}: {error}\nthis should not happen; WILK_DEBUG=1 shows where it did", 1
        )


def leave(code: int) -> int:
    """End the process at once: what would be taken down piece by piece goes with it anyway.

    Not while threads run that someone counts on, and not before what was registered for the end
    has been called and the output is written.
    """
    import atexit
    import threading

    if threading.active_count() > 1:
        return code
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 141
    except (OSError, ValueError, AttributeError):
        code = code or 1
    os._exit(code)


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


def _run(argv: Sequence[str]) -> int:
    words = words_of(argv)
    if not words:
        return _bare(argv)
    command = None if words[0] in NOUNS else plugins_command(words[0], argv)
    arguments, unknown = tree(words[:1], words, command).parse_known_args(argv)
    if unknown:
        arguments.parser.error(f"unknown arguments: {' '.join(unknown)}")
    context = Context(arguments)
    try:
        if arguments.run is None:
            arguments.parser.error(f"a verb is wanted: {', '.join(arguments.verbs)}")
        return arguments.run(context) or 0
    finally:
        context.close()


def _bare(argv: Sequence[str]) -> int:
    """Options without a noun: the version, or what there is."""
    arguments = tree([], []).parse_args([word for word in argv if word not in ("-h", "--help")])
    if arguments.version:
        from wilk import __version__

        print(f"wilk {__version__}")
        return 0
    from wilk.cli.help import overview

    context = Context(arguments)
    try:
        overview(context)
    finally:
        context.close()
    return 0


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


def _failed(message: str, code: int) -> int:
    """Tell on stderr what went wrong."""
    try:
        prefix = Output(sys.stderr).paint(Styled("wilk: error:", "red"))
        sys.stderr.write(f"{prefix} {text.lines(message)}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # there is no stderr to tell it on; the exit code does
    return code


def _silence_stdout() -> None:
    """Whatever is still buffered has no reader: the interpreter must not complain about it at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass
