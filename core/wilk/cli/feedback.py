"""``wilk feedback``: what somebody said, and whether it was applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import Verb, completed

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "add": Verb(_add, "keep what somebody said", _add_arguments),
        "list": Verb(_list, "list feedback, the latest first", _list_arguments),
        "show": Verb(_show, "show feedback", _one),
        "applied": Verb(_applied, "note that feedback was acted on", _one),
        "remove": Verb(_remove, "move feedback into the archive", _remove_arguments),
    }


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("type", metavar="TYPE", help="any word, such as correct or prefer")
    parser.add_argument("message", metavar="TEXT", help="what was said")
    completed(
        parser.add_argument("--interaction", metavar="ID", help="the interaction that it is about"),
        "interactions",
    )


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("--type", help="that of a type")
    parser.add_argument("--applied", choices=("yes", "no"), help="what was acted on, or not")
    parser.add_argument("--interaction", metavar="ID", help="what is about an interaction")
    kept.limit_argument(parser)


def _one(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "feedback")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    kept.remove_arguments(parser)


def _add(context: Context) -> None:
    arguments = context.arguments
    one = context.store.feedback.add(arguments.type, arguments.message, interaction=arguments.interaction)
    context.out.result(one, f"kept feedback {one.id}", id=one.id)


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    found = context.store.feedback.list(
        type=arguments.type,
        applied=None if arguments.applied is None else arguments.applied == "yes",
        interaction=arguments.interaction,
        limit=arguments.limit,
    )
    if out.json:
        out.document(found)
    elif not found:
        out.note("no feedback")
    else:
        rows = [
            [Styled(one.id, "cyan"), one.type, moment(one.created_at), word(one.applied), one.message]
            for one in found
        ]
        out.table(["ID", "TYPE", "TIME", "APPLIED", "MESSAGE"], rows, whole=[0])


def _show(context: Context) -> None:
    one = context.store.feedback.get(context.arguments.id)
    if context.out.json:
        context.out.document(one)
    else:
        context.out.fields(one._asdict().items())


def _applied(context: Context) -> None:
    one = context.store.feedback.mark_applied(context.arguments.id)
    context.out.result(one, f"feedback {one.id} is applied", id=one.id)


def _remove(context: Context) -> int:
    feedback = context.store.feedback
    one = feedback.get(context.arguments.id)
    return kept.remove(context, f"feedback {one.id}", one, feedback.remove, one.id)
