"""``wilk groups``: teams, channels or tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import people
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, completed, count

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list groups", _list_arguments),
        "show": Verb(_show, "show a group with its members", _one),
        "save": Verb(_save, "add a group, or change one", _save_arguments),
        "add": Verb(_add, "put a user into a group", _add_arguments),
        "drop": Verb(_drop, "take a user out of a group", _both),
        "remove": Verb(
            _remove, "move a group into the archive; its sessions must be gone first", _remove_arguments
        ),
    }


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("--limit", type=count, default=1000, metavar="N", help="at most N (1000)")


def _one(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "groups")


def _both(parser: Parser) -> None:
    _one(parser)
    completed(parser.add_argument("user", metavar="USER", help="the id of the user"), "users")


def _add_arguments(parser: Parser) -> None:
    _both(parser)
    parser.add_argument("--role", default="member", help="their role in it (member)")


def _save_arguments(parser: Parser) -> None:
    people.save_arguments(parser, "groups")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    people.remove_arguments(parser)


def _list(context: Context) -> None:
    groups = context.store.groups.list(limit=context.arguments.limit)
    if context.out.json:
        context.out.document(groups)
    elif not groups:
        context.out.note("no groups; `wilk groups save ID --name NAME` adds one")
    else:
        rows = [[Styled(group.id, "cyan"), group.name, group.external_id or ""] for group in groups]
        context.out.table(["ID", "NAME", "ID ELSEWHERE"], rows)


def _show(context: Context) -> None:
    store, out = context.store, context.out
    group = store.groups.get(context.arguments.id)
    members = store.groups.members(group.id)
    if out.json:
        out.document({**group._asdict(), "members": members})
        return
    out.fields(group._asdict().items())
    if members:
        out.line()
        rows = [
            [Styled(member.user_id, "cyan"), member.role, moment(member.created_at)] for member in members
        ]
        out.table(["MEMBER", "ROLE", "SINCE"], rows)


def _save(context: Context) -> None:
    arguments, groups = context.arguments, context.store.groups
    with context.store.transaction():
        known = groups.find(arguments.id) if arguments.id else None
        group = groups.save(arguments.id, **people.saved(arguments, known))
    context.out.result(group, f"saved group {group.id}", id=group.id)


def _add(context: Context) -> None:
    arguments = context.arguments
    member = context.store.groups.add(arguments.id, arguments.user, role=arguments.role)
    context.out.result(member, f"{member.user_id} is in {member.group_id} as {member.role}")


def _drop(context: Context) -> None:
    arguments = context.arguments
    context.store.groups.drop(arguments.id, arguments.user)
    context.out.note(f"{arguments.user} is no longer in {arguments.id}")


def _remove(context: Context) -> int:
    return people.remove(context, "group", context.store.groups)
