"""``render``: fill in the template of a prompt or an agent."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from wilk.cli.kinds import Kind, refreshed
from wilk.cli.parsing import UsageError, Verb, completed

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def verb(kind: Kind) -> Verb:
    """The verb, for a kind that has templates."""
    return Verb(partial(_render, kind), f"fill in the template of {kind.one}", partial(_arguments, kind))


def _arguments(kind: Kind, parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), kind.name)
    parser.add_argument(
        "values",
        metavar="NAME=VALUE",
        nargs="*",
        help="values of the variables; NAME=- takes what stdin gives",
    )


def _render(kind: Kind, context: Context) -> None:
    service = getattr(refreshed(context), kind.name)
    values = dict(map(_pair, context.arguments.values))
    text: str = service.render(context.arguments.id, **values)
    if context.out.json:
        context.out.document({"id": context.arguments.id, "text": text})
    else:
        context.out.raw(text if text.endswith("\n") else f"{text}\n")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{text!r} is not NAME=VALUE, such as language=Python")
    return name, sys.stdin.read() if value == "-" else value
