"""``wilk completion``: commands, options and ids, completed by the shell."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import Any

from wilk.cli.context import Context
from wilk.cli.nouns import NOUNS, plugins_command, tree, words_of
from wilk.cli.parsing import Parser, Verb
from wilk.errors import WilkError

SHELLS = ("bash", "zsh", "fish")
_MOST = 200


def commands() -> Verb:
    """The command."""
    return Verb(_completion, "print the script that completes wilk's commands in a shell", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument("shell", choices=SHELLS, help='source its output: `eval "$(wilk completion bash)"`')


def _completion(context: Context) -> None:
    from argcomplete.shell_integration import shellcode

    context.out.raw(shellcode(["wilk"], shell=context.arguments.shell).strip() + "\n")


def complete() -> int:
    """Answer the shell, which asks through environment variables what the next word may be."""
    import argcomplete

    line = os.environ.get("COMP_LINE", "")
    place = os.environ.get("COMP_POINT", "")
    if place.isdecimal():
        line = line.encode()[: int(place)].decode(errors="replace")
    typed = line.split()[1:]
    words = words_of(typed if line.endswith(" ") else typed[:-1])
    command, nouns = None, list(NOUNS)
    try:
        if words and words[0] not in NOUNS:
            command = plugins_command(words[0], typed)
            nouns.append(words[0])
        elif not words:
            nouns += _plugins_nouns()
    except WilkError:
        pass
    parser = tree(nouns, words, command)
    _complete_ids(parser)
    argcomplete.autocomplete(parser, always_complete_options=False)
    return 0


def _complete_ids(parser: ArgumentParser) -> None:
    """Give every argument that takes an id its completer, in this parser and those below it."""
    for action in parser._actions:
        if (noun := getattr(action, "takes_id_of", None)) is not None:
            action.completer = _Ids(noun)  # type: ignore[attr-defined]
        elif isinstance(action, _SubParsersAction):
            for below in action.choices.values():
                _complete_ids(below)


class _Ids:
    """Completes the ids of a noun's records; argcomplete calls it with what it knows."""

    def __init__(self, noun: str) -> None:
        self._noun = noun

    def __call__(self, prefix: str, parsed_args: Namespace, **_: Any) -> list[str]:
        return _ids_of(self._noun, prefix, parsed_args)


def _ids_of(noun: str, prefix: str, arguments: Namespace) -> list[str]:
    """The ids of a noun's records that begin with a prefix; nothing where there is no store to ask."""
    arguments.readonly = True
    context = Context(arguments)
    try:
        records = getattr(context.store, noun.replace("-", "_")).list()
        return [record.id for record in records if record.id.startswith(prefix)][:_MOST]
    except WilkError:
        return []
    finally:
        context.close()


def _plugins_nouns() -> list[str]:
    context = Context(Namespace())
    try:
        return [command.name for command in context.host.commands()]
    finally:
        context.close()
