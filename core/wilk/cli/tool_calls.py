"""``wilk tool-calls``: the log of tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import Verb, count
from wilk.cli.transcript import STATUS_STYLES

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


KILLED = "its program was killed"


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list tool calls, the latest first", _list_arguments),
        "show": Verb(_show, "show a tool call with its arguments and result", _show_arguments),
        "result": Verb(_result, "give the whole result of a tool call, however large", _show_arguments),
        "end": Verb(_end, "note that a call is over whose program was killed amid it", _end_arguments),
    }


def _list_arguments(parser: Parser) -> None:
    session_argument(parser, option=True, default="all sessions")
    parser.add_argument("--name", help="calls of one tool")
    parser.add_argument("--status", help="running, ok or error")
    parser.add_argument("--limit", type=count, default=100, metavar="N", help="at most N (100)")


def _show_arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="its id")


def _end_arguments(parser: Parser) -> None:
    _show_arguments(parser)
    parser.add_argument(
        "--error", metavar="TEXT", default=KILLED, help=f"what is to be said of it ({KILLED})"
    )


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    session = chosen_session(context, arguments.session).id if arguments.session else None
    calls = context.store.tool_calls.list(
        session, name=arguments.name, status=arguments.status, limit=arguments.limit
    )
    if out.json:
        out.document(calls)
        return
    if not calls:
        out.note("no tool calls")
        return
    rows = [
        [
            Styled(call.id, "cyan"),
            call.name,
            Styled(call.status, STATUS_STYLES.get(call.status, "")),
            moment(call.started_at),
            "" if call.duration is None else f"{call.duration:.3g} s",
            word(call.arguments),
            call.error or word(call.result),
        ]
        for call in calls
    ]
    out.table(["ID", "TOOL", "STATUS", "STARTED", "TOOK", "ARGUMENTS", "RESULT"], rows, right=[4], whole=[0])


def _result(context: Context) -> None:
    result = context.store.tool_calls.result(context.arguments.id)
    if isinstance(result, str) and not context.out.json:
        context.out.raw(result if result.endswith("\n") else f"{result}\n")
    else:
        context.out.document(result)


def _show(context: Context) -> None:
    call = context.store.tool_calls.get(context.arguments.id)
    if context.out.json:
        context.out.document(call)
    else:
        context.out.fields(call._asdict().items())
        if call.result_hash is not None:
            context.out.note(f"this is the beginning; `wilk tool-calls result {call.id}` gives the whole")


def _end(context: Context) -> None:
    arguments = context.arguments
    call = context.store.tool_calls.finish(arguments.id, error=arguments.error)
    context.out.result(call, f"tool call {call.id} ({call.name}) is over: {call.error}", id=call.id)
