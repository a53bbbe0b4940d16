"""``wilk completion``: commands, options and ids, completed by the shell."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING

from wilk.cli.parsing import Verb
from wilk.errors import WilkError

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser

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

    from wilk.cli.program import NOUNS, plugins_command, tree, words_of

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
    argcomplete.autocomplete(tree(nouns, words, command), always_complete_options=False)
    return 0


def ids_of(noun: str, prefix: str, arguments: Namespace) -> list[str]:
    """The ids of a noun's records that begin with a prefix; nothing where there is no store to ask."""
    from wilk.cli.context import Context

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
    from wilk.cli.context import Context

    context = Context(Namespace())
    try:
        return [command.name for command in context.host.commands()]
    finally:
        context.close()
