"""``wilk pins``: what a session must not forget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.messages import read_stdin
from wilk.cli.output import Styled
from wilk.cli.parsing import UsageError, Verb, mapping

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list the pins of a session, the most important first", _list_arguments),
        "add": Verb(_add, "pin a text to a session", _add_arguments),
        "edit": Verb(_edit, "change a pin", _edit_arguments),
        "remove": Verb(_remove, "move a pin into the archive", _remove_arguments),
    }


def _list_arguments(parser: Parser) -> None:
    session_argument(parser, optional=True)
    parser.add_argument("--type", help="pins of one type")
    kept.limit_argument(parser)


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "content", metavar="TEXT", nargs="?", help="what is pinned; left out or -, it is read from stdin"
    )
    session_argument(parser, option=True)
    parser.add_argument(
        "--type",
        default="user",
        help="user, manual, auto, code, concept, system, or one of your own (user)",
    )
    parser.add_argument("--source", metavar="ID", help="the message that it comes from")
    _importance_argument(parser, " (0.8; 0.7 for the type auto)")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _edit_arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="its id")
    parser.add_argument("--content", metavar="TEXT", help="what is pinned")
    parser.add_argument("--type", help="its type")
    _importance_argument(parser)
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _remove_arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="its id")
    kept.remove_arguments(parser)


def _importance_argument(parser: Parser, default: str = "") -> None:
    parser.add_argument("--importance", type=float, metavar="X", help=f"0.0 to 1.0{default}")


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    session = chosen_session(context, arguments.session)
    pins = context.store.pins.list(session.id, type=arguments.type, limit=arguments.limit)
    if out.json:
        out.document(pins)
    elif not pins:
        out.note("no pins; `wilk pins add TEXT` adds one")
    else:
        rows = [[Styled(pin.id, "cyan"), pin.type, f"{pin.importance:.2f}", pin.content] for pin in pins]
        out.table(["ID", "TYPE", "IMPORTANCE", "TEXT"], rows, right=[2], whole=[0])


def _add(context: Context) -> None:
    arguments = context.arguments
    if arguments.content in (None, "-"):
        arguments.content = read_stdin()
    session = chosen_session(context, arguments.session)
    pin = context.store.pins.add(
        session.id,
        arguments.content,
        type=arguments.type,
        source=arguments.source,
        importance=arguments.importance,
        metadata=arguments.metadata,
    )
    context.out.result(pin, f"pinned {pin.id} to session {session.id}", id=pin.id)


def _edit(context: Context) -> None:
    arguments = context.arguments
    given = {name: getattr(arguments, name) for name in ("content", "type", "importance", "metadata")}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        raise UsageError("say what is to be changed, such as --importance 0.9")
    pin = context.store.pins.update(arguments.id, **given)
    context.out.result(pin, f"changed pin {pin.id}", id=pin.id)


def _remove(context: Context) -> int:
    pins = context.store.pins
    pin = pins.get(context.arguments.id)
    return kept.remove(context, f"pin {pin.id}", pin, pins.remove, pin.id)
