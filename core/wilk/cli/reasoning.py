"""``wilk reasoning``: the reasoning chains of agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import Verb, completed, count

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "add": Verb(_add, "keep a chain, given as JSON", _add_arguments),
        "list": Verb(_list, "list chains, the latest first", _list_arguments),
        "show": Verb(_show, "show a chain's data as JSON", _one),
        "render": Verb(
            _render, "show the messages that are made of an agent's latest chains", _render_arguments
        ),
        "remove": Verb(_remove, "move a chain into the archive", _remove_arguments),
    }


def _agent(parser: Parser) -> None:
    completed(parser.add_argument("agent", metavar="AGENT", help="the id of the agent"), "agents")


def _add_arguments(parser: Parser) -> None:
    _agent(parser)
    parser.add_argument("data", metavar="JSON", nargs="?", help="the chain; left out or -, stdin is read")
    completed(parser.add_argument("--session", metavar="ID", help="the session, by its id"), "sessions")


def _list_arguments(parser: Parser) -> None:
    completed(parser.add_argument("--agent", metavar="ID", help="those of one agent"), "agents")
    completed(parser.add_argument("--session", metavar="ID", help="those of one session"), "sessions")
    kept.limit_argument(parser)


def _render_arguments(parser: Parser) -> None:
    _agent(parser)
    parser.add_argument("--last", type=count, default=10, metavar="N", help="the last N chains (10)")


def _one(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "reasoning")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    kept.remove_arguments(parser)


def _add(context: Context) -> None:
    arguments = context.arguments
    data = kept.read_json(arguments.data)
    chain = context.store.reasoning.add(arguments.agent, data, session=arguments.session)
    context.out.result(chain, f"kept reasoning chain {chain.id}", id=chain.id)


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    chains = context.store.reasoning.list(
        agent=arguments.agent, session=arguments.session, limit=arguments.limit
    )
    if out.json:
        out.document(chains)
    elif not chains:
        out.note("no reasoning chains")
    else:
        rows = [
            [Styled(one.id, "cyan"), one.agent_id, moment(one.created_at), word(one.data)] for one in chains
        ]
        out.table(["ID", "AGENT", "CREATED", "CHAIN"], rows, whole=[0])


def _show(context: Context) -> None:
    chain = context.store.reasoning.get(context.arguments.id)
    if context.out.json:
        context.out.document(chain)
    else:
        context.out.document(chain.data)


def _render(context: Context) -> None:
    out = context.out
    messages = context.store.reasoning.render(context.arguments.agent, context.arguments.last)
    if out.json:
        out.document(messages)
    elif not messages:
        out.note("no reasoning chains")
    for message in messages if not out.json else ():
        out.line(Styled(message["role"], "bold"))
        out.lines(message["content"], indent="  ")


def _remove(context: Context) -> int:
    reasoning = context.store.reasoning
    chain = reasoning.get(context.arguments.id)
    return kept.remove(context, f"reasoning chain {chain.id}", chain, reasoning.remove, chain.id)
