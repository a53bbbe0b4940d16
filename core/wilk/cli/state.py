"""``wilk state``: what applications keep under keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list what is kept, by key", _list_arguments),
        "show": Verb(_show, "show what is kept under a key as JSON", _one),
        "set": Verb(_set, "keep a JSON value under a key", _set_arguments),
        "remove": Verb(_remove, "move what is kept under a key into the archive", _remove_arguments),
    }


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("--prefix", default="", metavar="TEXT", help="keys that begin with it")
    parser.add_argument("--after", metavar="KEY", help="those after a key")
    kept.limit_argument(parser)


def _one(parser: Parser) -> None:
    parser.add_argument("key", metavar="KEY", help="its key")


def _set_arguments(parser: Parser) -> None:
    _one(parser)
    parser.add_argument("data", metavar="JSON", nargs="?", help="the value; left out or -, stdin is read")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    kept.remove_arguments(parser)


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    found = context.store.state.list(prefix=arguments.prefix, after=arguments.after, limit=arguments.limit)
    if out.json:
        out.document(found)
    elif not found:
        out.note("no state")
    else:
        rows = [[Styled(one.key, "cyan"), moment(one.updated_at), word(one.data)] for one in found]
        out.table(["KEY", "UPDATED", "VALUE"], rows)


def _show(context: Context) -> None:
    state = context.store.state.get(context.arguments.key)
    if context.out.json:
        context.out.document(state)
    else:
        context.out.document(state.data)


def _set(context: Context) -> None:
    arguments = context.arguments
    state = context.store.state.set(arguments.key, kept.read_json(arguments.data))
    context.out.result(state, f"kept {state.key}", id=state.key)


def _remove(context: Context) -> int:
    states = context.store.state
    state = states.get(context.arguments.key)
    return kept.remove(context, f"state {state.key}", state, states.remove, state.key)
