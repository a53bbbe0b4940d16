"""``wilk messages``: what was said in a session."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.output import Styled, is_terminal, moment
from wilk.cli.parsing import UsageError, Verb, completed, count, mapping
from wilk.cli.transcript import show_messages
from wilk.errors import Invalid

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "add": Verb(_add, "append a message to a session", _add_arguments),
        "list": Verb(
            _list, "list messages of a session: the last ones, or those after a number", _list_arguments
        ),
        "show": Verb(_show, "show one message", _show_arguments),
        "search": Verb(_search, "find messages that hold all words of a text", _search_arguments),
    }


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("role", metavar="ROLE", help="user, assistant, system, tool, developer, or another")
    parser.add_argument(
        "text", metavar="TEXT", nargs="?", help="what was said; left out or -, it is read from stdin"
    )
    session_argument(parser, option=True)
    completed(parser.add_argument("--agent", metavar="ID", help="the agent that said it"), "agents")
    parser.add_argument("--model", help="the model that said it")
    parser.add_argument("--tokens", type=int, metavar="N", help="how many tokens it has (counted)")
    parser.add_argument("--importance", type=float, metavar="X", help="0.0 to 1.0 (from role and text)")
    parser.add_argument("--key", help="a key that makes a repeated call harmless")
    parser.add_argument("--interaction", metavar="ID", help="the interaction that it belongs to")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _list_arguments(parser: Parser) -> None:
    session_argument(parser, option=True)
    page = parser.add_mutually_exclusive_group()
    page.add_argument("--last", type=count, default=50, metavar="N", help="the last N (50)")
    page.add_argument("--after", type=int, metavar="N", help="those after message N")
    page.add_argument("--before", type=count, metavar="N", help="those before message N")
    parser.add_argument(
        "--limit", type=count, default=100, metavar="N", help="with --after or --before: at most N (100)"
    )


def _show_arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="its id")


def _search_arguments(parser: Parser) -> None:
    parser.add_argument("text", metavar="TEXT", nargs="+", help="any text")
    session_argument(parser, option=True, default="all sessions")
    completed(parser.add_argument("--user", metavar="ID", help="in sessions of one user"), "users")
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="at most N (20)")


def _add(context: Context) -> None:
    arguments = context.arguments
    text = read_stdin() if arguments.text in (None, "-") else arguments.text
    session = chosen_session(context, arguments.session)
    message = context.store.messages.append(
        session.id,
        arguments.role,
        text,
        agent=arguments.agent,
        model=arguments.model,
        tokens=arguments.tokens,
        importance=arguments.importance,
        key=arguments.key,
        interaction=arguments.interaction,
        metadata=arguments.metadata,
    )
    about = f"importance {message.importance:g}, {message.tokens} tokens"
    told = f"message {message.sequence} of session {session.id}: {about}"
    context.out.result(message, told, id=message.id)


def read_stdin() -> str:
    """Text from standard input; one line break at its end is the terminal's, not the text's."""
    if is_terminal(sys.stdin):
        raise UsageError("TEXT is wanted, or text on stdin, such as `wilk messages add user < file`")
    data = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    try:
        return data.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise Invalid(f"stdin is not UTF-8 at byte {error.start}") from error


def _list(context: Context) -> None:
    arguments, messages = context.arguments, context.store.messages
    session = chosen_session(context, arguments.session)
    if arguments.after is None and arguments.before is None:
        found = messages.last(session.id, arguments.last)
    else:
        found = messages.page(
            session.id, after=arguments.after, before=arguments.before, limit=arguments.limit
        )
    if context.out.json:
        context.out.document(found)
    elif found:
        show_messages(context.out, found)
    else:
        context.out.note("no messages; `wilk messages add ROLE TEXT` appends one")


def _show(context: Context) -> None:
    out, message = context.out, context.store.messages.get(context.arguments.id)
    if out.json:
        out.document(message)
        return
    shown = message._asdict()
    del shown["text"], shown["parts"]
    out.fields(shown.items())
    show_messages(out, [message])


def _search(context: Context) -> None:
    arguments, out = context.arguments, context.out
    session = chosen_session(context, arguments.session).id if arguments.session else None
    hits = context.store.messages.search(
        " ".join(arguments.text), session=session, user=arguments.user, limit=arguments.limit
    )
    if out.json:
        out.document(hits)
        return
    if not hits:
        out.note("nothing was found")
        return
    rows = [
        [Styled(hit.message.session_id, "cyan"), str(hit.message.sequence), hit.message.role,
         moment(hit.message.created_at), hit.message.text]
        for hit in hits
    ]  # fmt: skip
    out.table(["SESSION", "NO", "ROLE", "TIME", "TEXT"], rows, right=[1])
