"""``wilk memories``: what was compressed from conversations, consolidated, or noted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, completed, mapping

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "add": Verb(_add, "keep a memory", _add_arguments),
        "list": Verb(_list, "list memories, the latest first", _list_arguments),
        "show": Verb(_show, "show a memory with what it was made from", _one),
        "remove": Verb(_remove, "move a memory into the archive", _remove_arguments),
    }


def _owner_arguments(parser: Parser, whose: str) -> None:
    parser.add_argument("--conversation", metavar="ID", help=f"{whose} conversation")
    completed(parser.add_argument("--agent", metavar="ID", help=f"{whose} agent"), "agents")
    completed(parser.add_argument("--user", metavar="ID", help=f"{whose} user"), "users")
    completed(parser.add_argument("--session", metavar="ID", help=f"{whose} session, by its id"), "sessions")


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("content", metavar="TEXT", help="what is to be remembered")
    parser.add_argument("--kind", default="note", help="note, or another (note)")
    _owner_arguments(parser, "of a")
    parser.add_argument("--importance", type=float, default=0.5, metavar="X", help="0.0 to 1.0 (0.5)")
    parser.add_argument("--confidence", type=float, default=1.0, metavar="X", help="0.0 to 1.0 (1.0)")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("--kind", help="note, compressed, working, episodic, semantic, or another")
    _owner_arguments(parser, "those of one")
    parser.add_argument("--oldest", action="store_true", help="the oldest first")
    kept.limit_argument(parser)


def _one(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "memories")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    kept.remove_arguments(parser)


def _add(context: Context) -> None:
    arguments = context.arguments
    memory = context.store.memories.add(
        arguments.content,
        kind=arguments.kind,
        conversation=arguments.conversation,
        agent=arguments.agent,
        user=arguments.user,
        session=arguments.session,
        importance=arguments.importance,
        confidence=arguments.confidence,
        metadata=arguments.metadata,
    )
    context.out.result(memory, f"kept memory {memory.id}", id=memory.id)


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    memories = context.store.memories.list(
        kind=arguments.kind,
        conversation=arguments.conversation,
        agent=arguments.agent,
        user=arguments.user,
        session=arguments.session,
        oldest=arguments.oldest,
        limit=arguments.limit,
    )
    if out.json:
        out.document(memories)
    elif not memories:
        out.note("no memories; `wilk memories add TEXT` keeps one")
    else:
        rows = [
            [
                Styled(one.id, "cyan"),
                one.kind,
                f"{one.importance:g}",
                one.agent_id or one.user_id or one.conversation_id or "",
                moment(one.created_at),
                one.content,
            ]
            for one in memories
        ]
        out.table(["ID", "KIND", "IMPORTANCE", "OF", "CREATED", "CONTENT"], rows, right=[2], whole=[0])


def _show(context: Context) -> None:
    memory = context.store.memories.get(context.arguments.id)
    if context.out.json:
        context.out.document(memory)
    else:
        context.out.fields(memory._asdict().items())


def _remove(context: Context) -> int:
    memories = context.store.memories
    memory = memories.get(context.arguments.id)
    return kept.remove(context, f"memory {memory.id}", memory, memories.remove, memory.id)
