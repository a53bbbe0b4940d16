"""``wilk blocks``: working memory, labelled blocks with a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wilk.cli import kept
from wilk.cli.choosing import chosen_session
from wilk.cli.messages import read_stdin
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, completed, count, mapping

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.memory import Block


def commands() -> dict[str, Verb]:
    """The verbs. Without an owner they mean the store's own blocks."""
    return {
        "list": Verb(_list, "list the blocks of an owner, or all that concern a session", _list_arguments),
        "show": Verb(_show, "show a block", _show_arguments),
        "set": Verb(_set, "make a block, or change one", _set_arguments),
        "remove": Verb(_remove, "move a block into the archive", _remove_arguments),
    }


def _owner_arguments(parser: Parser) -> None:
    group = parser.add_mutually_exclusive_group()
    completed(
        group.add_argument(
            "-s",
            "--session",
            metavar="SESSION",
            help="of a session: its id, its beginning, or its name",
        ),
        "sessions",
    )
    completed(group.add_argument("--agent", metavar="ID", help="of an agent"), "agents")
    completed(group.add_argument("--user", metavar="ID", help="of a user"), "users")


def _list_arguments(parser: Parser) -> None:
    _owner_arguments(parser)
    completed(
        parser.add_argument("--for", dest="for_session", metavar="SESSION", help="what concerns a session"),
        "sessions",
    )


def _show_arguments(parser: Parser) -> None:
    parser.add_argument("label", metavar="LABEL", help="its label")
    _owner_arguments(parser)


def _set_arguments(parser: Parser) -> None:
    parser.add_argument("label", metavar="LABEL", help="its label")
    parser.add_argument("value", metavar="TEXT", nargs="?", help="what it holds; -: read from stdin")
    _owner_arguments(parser)
    parser.add_argument("--description", metavar="TEXT", help="what it is for")
    parser.add_argument("--max-tokens", type=count, metavar="N", help="how many tokens it may hold (500)")
    access = parser.add_mutually_exclusive_group()
    access.add_argument("--read-only", action="store_true", default=None, help="refuse changes from now on")
    access.add_argument("--writable", dest="read_only", action="store_false", help="take changes again")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _remove_arguments(parser: Parser) -> None:
    _show_arguments(parser)
    kept.remove_arguments(parser)


def _owner(context: Context) -> dict[str, Any]:
    """The owner that is given, as the verbs take it."""
    arguments = context.arguments
    if arguments.session is not None:
        return {"session": chosen_session(context, arguments.session).id}
    return {kind: id for kind in ("agent", "user") if (id := getattr(arguments, kind)) is not None}


def _list(context: Context) -> None:
    blocks, out = context.store.blocks, context.out
    if context.arguments.for_session is not None:
        found = blocks.for_session(chosen_session(context, context.arguments.for_session).id)
    else:
        found = blocks.list(**_owner(context))
    if out.json:
        out.document(found)
    elif not found:
        out.note("no blocks; `wilk blocks set LABEL TEXT` makes one")
    else:
        out.table(
            ["OWNER", "LABEL", "LIMIT", "ACCESS", "CHANGED", "TEXT"],
            [
                [
                    _whose(block),
                    Styled(block.label, "cyan"),
                    str(block.max_tokens),
                    "read-only" if block.read_only else "",
                    moment(block.updated_at),
                    block.value,
                ]
                for block in found
            ],
            right=[2],
        )


def _show(context: Context) -> None:
    block = context.store.blocks.get(context.arguments.label, **_owner(context))
    if context.out.json:
        context.out.document(block)
        return
    context.out.fields((name, value) for name, value in block._asdict().items() if name != "value")
    if block.value:
        context.out.line()
        context.out.lines(block.value)


def _set(context: Context) -> None:
    arguments = context.arguments
    if arguments.value == "-":
        arguments.value = read_stdin()
    given = {
        name: getattr(arguments, name)
        for name in ("value", "description", "max_tokens", "read_only", "metadata")
    }
    given = {name: value for name, value in given.items() if value is not None}
    block = context.store.blocks.set(arguments.label, **given, **_owner(context))
    context.out.result(block, f"set block {block.label} of {_whose(block)}", id=block.id)


def _remove(context: Context) -> int:
    blocks, owner = context.store.blocks, _owner(context)
    block = blocks.get(context.arguments.label, **owner)

    def remove(label: str, *, reason: str) -> None:
        blocks.remove(label, reason=reason, **owner)

    return kept.remove(context, f"block {block.label} of {_whose(block)}", block, remove, block.label)


def _whose(block: Block) -> str:
    return f"{block.owner_kind} {block.owner_id}" if block.owner_id else "the store"
