"""``wilk summaries``: ranges of a session in few words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, count, mapping

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list a session's summaries, in the order of what they cover", _list_arguments),
        "show": Verb(_show, "show a summary", _one),
        "add": Verb(_add, "summarize the next messages that no summary covers", _add_arguments),
        "remove": Verb(_remove, "move a summary into the archive", _remove_arguments),
    }


def _list_arguments(parser: Parser) -> None:
    session_argument(parser, optional=True)
    parser.add_argument("--limit", type=count, default=1000, metavar="N", help="at most N (1000)")


def _one(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="its id")


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "last", type=count, metavar="LAST", help="the last message to summarize, by its number"
    )
    parser.add_argument(
        "text",
        nargs="?",
        metavar="TEXT",
        help="the summary (made from the messages); -: read from stdin",
    )
    session_argument(parser, option=True)
    parser.add_argument("--importance", type=float, default=0.7, metavar="X", help="0.0 to 1.0 (0.7)")
    parser.add_argument("--method", metavar="NAME", help="who made the text (given)")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    parser.add_argument("--reason", default="removed", help="why; the archive keeps it")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    session = chosen_session(context, arguments.session)
    summaries = context.store.summaries.list(session.id, limit=arguments.limit)
    if out.json:
        out.document(summaries)
    elif not summaries:
        out.note(f"session {session.id} has no summaries")
    else:
        rows = [
            [
                Styled(one.id, "cyan"),
                f"{one.first_sequence}-{one.last_sequence}",
                "archived" if one.compacted else "live",
                one.method,
                moment(one.created_at),
                one.text,
            ]
            for one in summaries
        ]
        out.table(["ID", "RANGE", "MESSAGES", "BY", "MADE", "TEXT"], rows, whole=[0])


def _show(context: Context) -> None:
    summary = context.store.summaries.get(context.arguments.id)
    if context.out.json:
        context.out.document(summary)
        return
    shown = summary._asdict()
    text = shown.pop("text")
    context.out.fields(shown.items())
    context.out.line()
    context.out.lines(text)


def _add(context: Context) -> None:
    arguments = context.arguments
    session = chosen_session(context, arguments.session)
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    summary = context.store.summaries.add(
        session.id,
        text,
        last=arguments.last,
        importance=arguments.importance,
        method=arguments.method,
        metadata=arguments.metadata,
    )
    told = f"summarized messages {summary.first_sequence} to {summary.last_sequence} as {summary.id}"
    context.out.result(summary, told, id=summary.id)


def _remove(context: Context) -> int:
    summary = context.store.summaries.get(context.arguments.id)
    what = f"summary {summary.id} of messages {summary.first_sequence} to {summary.last_sequence}"
    if not context.confirmed(f"Move {what} into the archive?"):
        context.out.note("nothing was changed")
        return 1
    context.store.summaries.remove(summary.id, reason=context.arguments.reason)
    context.out.result(summary, f"moved {what} into the archive")
    return 0
