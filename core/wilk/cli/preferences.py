"""``wilk preferences``: what a user prefers, or everybody."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.output import Styled, word
from wilk.cli.parsing import Verb, completed

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list what holds for a user, or without one everybody's", _list_arguments),
        "set": Verb(_set, "keep a preference", _set_arguments),
        "remove": Verb(_remove, "move a preference into the archive", _remove_arguments),
    }


def _whose(parser: Parser) -> None:
    completed(parser.add_argument("--user", metavar="ID", help="whose; left out, everybody's"), "users")


def _list_arguments(parser: Parser) -> None:
    _whose(parser)
    parser.add_argument("--category", help="those of a category")
    kept.limit_argument(parser)


def _key(parser: Parser) -> None:
    parser.add_argument("key", metavar="KEY", help="its key")
    _whose(parser)
    parser.add_argument("--category", default="general", help="its category (general)")


def _set_arguments(parser: Parser) -> None:
    _key(parser)
    parser.add_argument("value", metavar="VALUE", help="JSON; anything else is taken as text")
    parser.add_argument("--confidence", type=float, default=0.5, metavar="X", help="0.0 to 1.0 (0.5)")
    parser.add_argument("--source", help="where it is known from")


def _remove_arguments(parser: Parser) -> None:
    _key(parser)
    kept.remove_arguments(parser)


def _list(context: Context) -> None:
    arguments, out, preferences = context.arguments, context.out, context.store.preferences
    if arguments.user is None:
        found = preferences.list(category=arguments.category, limit=arguments.limit)
    else:
        found = preferences.of(arguments.user, category=arguments.category, limit=arguments.limit)
    if out.json:
        out.document(found)
    elif not found:
        out.note("no preferences")
    else:
        rows = [
            [
                one.category,
                Styled(one.key, "cyan"),
                word(one.value),
                one.user_id or "everybody",
                f"{one.confidence:.2f}",
                one.source or "",
            ]
            for one in found
        ]
        out.table(["CATEGORY", "KEY", "VALUE", "WHOSE", "CONFIDENCE", "SOURCE"], rows, right=[4])


def _set(context: Context) -> None:
    from wilk import codec
    from wilk.errors import Invalid

    arguments = context.arguments
    try:
        value = codec.parse(arguments.value)
    except Invalid:
        value = arguments.value
    one = context.store.preferences.set(
        arguments.key,
        value,
        category=arguments.category,
        user=arguments.user,
        confidence=arguments.confidence,
        source=arguments.source,
    )
    context.out.result(one, f"kept preference {one.key}", id=one.key)


def _remove(context: Context) -> int:
    arguments, preferences = context.arguments, context.store.preferences
    place = {"category": arguments.category, "user": arguments.user}
    one = preferences.get(arguments.key, **place)
    return kept.remove(context, f"preference {one.key}", one, partial(preferences.remove, **place), one.key)
