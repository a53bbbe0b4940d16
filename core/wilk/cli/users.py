"""``wilk users``: the people whose sessions are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import people
from wilk.cli.output import Styled, word
from wilk.cli.parsing import Verb, completed, count

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list users", _list_arguments),
        "show": Verb(_show, "show a user with their groups", _one),
        "save": Verb(_save, "add a user, or change one", _save_arguments),
        "remove": Verb(
            _remove, "move a user into the archive; their sessions must be gone first", _remove_arguments
        ),
    }


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("--limit", type=count, default=1000, metavar="N", help="at most N (1000)")


def _one(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "users")


def _save_arguments(parser: Parser) -> None:
    people.save_arguments(parser, "users")
    parser.add_argument("--email", metavar="ADDRESS", help="their address")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    people.remove_arguments(parser)


def _list(context: Context) -> None:
    users = context.store.users.list(limit=context.arguments.limit)
    if context.out.json:
        context.out.document(users)
    elif not users:
        context.out.note("no users; `wilk users save ID --name NAME` adds one")
    else:
        rows = [
            [Styled(user.id, "cyan"), user.name, user.email or "", user.external_id or ""] for user in users
        ]
        context.out.table(["ID", "NAME", "EMAIL", "ID ELSEWHERE"], rows)


def _show(context: Context) -> None:
    store, out = context.store, context.out
    user = store.users.get(context.arguments.id)
    memberships = store.groups.of(user.id)
    if out.json:
        out.document({**user._asdict(), "groups": memberships})
        return
    groups = [f"{membership.group_id} ({membership.role})" for membership in memberships]
    out.fields([*user._asdict().items(), ("groups", word(groups))])


def _save(context: Context) -> None:
    arguments, users = context.arguments, context.store.users
    with context.store.transaction():
        known = users.find(arguments.id) if arguments.id else None
        user = users.save(
            arguments.id,
            email=known.email if known and arguments.email is None else arguments.email,
            **people.saved(arguments, known),
        )
    context.out.result(user, f"saved user {user.id}", id=user.id)


def _remove(context: Context) -> int:
    return people.remove(context, "user", context.store.users)
