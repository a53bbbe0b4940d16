"""``wilk branches``: what a conversation has beside its visible branch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb
from wilk.cli.transcript import show_messages

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser

_SHOWN = 60


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list the branches of a session, the latest first", _session),
        "show": Verb(_show, "show the messages on the way to a branch's last one", _leaf),
        "fork": Verb(_fork, "begin a session of its own with a branch", _fork_arguments),
        "switch": Verb(_switch, "make a branch the visible one", _leaf),
    }


def _session(parser: Parser) -> None:
    session_argument(parser, option=True)


def _leaf(parser: Parser) -> None:
    parser.add_argument("leaf", metavar="ID", help="the last message of the branch, as list shows it")
    session_argument(parser, option=True)


def _fork_arguments(parser: Parser) -> None:
    _leaf(parser)
    parser.add_argument("--name", help="a name for the new session")


def _id(context: Context) -> str:
    return chosen_session(context, context.arguments.session).id


def _list(context: Context) -> None:
    out = context.out
    found = context.store.branches.list(_id(context))
    if out.json:
        out.document(found)
        return
    if not found:
        out.note("no branches: this conversation went one way")
        return
    rows = [
        [moment(one.created_at), f"{one.messages:,}", one.role, one.text[:_SHOWN], one.leaf_id]
        for one in found
    ]
    out.table(["LATEST", "MESSAGES", "BEGINS WITH", "TEXT", "ID"], rows, right=[1], whole=[4])


def _show(context: Context) -> None:
    out = context.out
    found = context.store.branches.messages(_id(context), context.arguments.leaf)
    if out.json:
        out.document(found)
        return
    show_messages(out, found)


def _fork(context: Context) -> None:
    arguments, out = context.arguments, context.out
    session = context.store.branches.fork(_id(context), arguments.leaf, name=arguments.name)
    if out.json:
        out.document(session)
        return
    out.note(f"Session {session.id} has the {session.message_count:,} messages of that branch")


def _switch(context: Context) -> None:
    out = context.out
    session = context.store.branches.show(_id(context), context.arguments.leaf)
    if out.json:
        out.document(session)
        return
    out.line(Styled(session.id, "cyan"), f"shows that branch now: {session.message_count:,} messages")
