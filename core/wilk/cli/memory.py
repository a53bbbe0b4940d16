"""``wilk memory``: what becomes of a session's messages as it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.parsing import Verb, count

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "status": Verb(_status, "show what of a session is live, summarized and archived", _session),
        "compact": Verb(
            _compact, "summarize a session's oldest messages and archive them", _compact_arguments
        ),
        "uncompact": Verb(_uncompact, "bring archived messages back as they were", _uncompact_arguments),
        "rescore": Verb(_rescore, "score the importance of a session's messages anew", _session),
    }


def _session(parser: Parser) -> None:
    session_argument(parser, optional=True)


def _compact_arguments(parser: Parser) -> None:
    _session(parser)
    parser.add_argument(
        "--keep-tokens",
        type=count,
        metavar="N",
        help="keep the newest, N tokens at most (half of the budget)",
    )
    parser.add_argument("--keep-messages", type=count, metavar="N", help="keep at most the newest N messages")
    parser.add_argument("--last", type=count, metavar="N", help="summarize up to message N and no further")
    parser.add_argument(
        "--no-archive", dest="archive", action="store_false", help="leave the messages where they are"
    )


def _uncompact_arguments(parser: Parser) -> None:
    _session(parser)
    parser.add_argument("--summary", metavar="ID", help="the messages of one summary (all)")


def _status(context: Context) -> None:
    session = chosen_session(context, context.arguments.session)
    status, out = context.store.memory.status(session.id), context.out
    if out.json:
        out.document(status)
        return
    summaries = f"{status.summaries}, {status.summary_tokens} tokens, up to message {status.summarized_to}"
    out.fields(
        [
            ("session", status.session_id),
            ("messages", status.messages),
            ("live", f"{status.live_messages} messages, {status.live_tokens} of {status.max_tokens} tokens"),
            ("compacted", f"{status.compacted_messages} messages" if status.compacted_messages else None),
            ("summaries", summaries if status.summaries else None),
            ("compaction", "due" if status.needs_compaction else "not due"),
        ]
    )


def _compact(context: Context) -> None:
    arguments, memory, out = context.arguments, context.store.memory, context.out
    session = chosen_session(context, arguments.session)
    summary = memory.compact(
        session.id,
        keep_tokens=arguments.keep_tokens,
        keep_messages=arguments.keep_messages,
        last=arguments.last,
        archive=arguments.archive,
    )
    if summary is None:
        out.result(None, f"session {session.id} has nothing to compact")
        return
    told = f"summarized messages up to {summary.last_sequence} of session {session.id}"
    status = memory.status(session.id)
    if summary.compacted:
        told += f"; {status.compacted_messages} of {status.messages} are archived"
    out.result(summary, told, id=summary.id)


def _uncompact(context: Context) -> None:
    arguments = context.arguments
    session = chosen_session(context, arguments.session)
    summaries = context.store.memory.uncompact(session.id, summary=arguments.summary)
    if not summaries:
        context.out.result([], f"session {session.id} has nothing that is compacted")
        return
    first, last = summaries[0].first_sequence, summaries[-1].last_sequence
    context.out.result(summaries, f"brought back messages {first} to {last} of session {session.id}")


def _rescore(context: Context) -> None:
    session = chosen_session(context, context.arguments.session)
    changed = context.store.memory.rescore(session.id)
    context.out.result({"changed": changed}, f"changed the importance of {changed} messages")
