"""What ``wilk users`` and ``wilk groups`` have in common."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from wilk.cli.parsing import UsageError, completed, mapping

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.people import Group, User
    from wilk.services.people import Groups, Users


def save_arguments(parser: Parser, noun: str) -> None:
    """Add what both take when they are saved."""
    completed(
        parser.add_argument("id", metavar="ID", nargs="?", help="an id of your own; left out, one is made"),
        noun,
    )
    parser.add_argument("--name", help="the name; wanted for a new one")
    parser.add_argument("--external-id", metavar="ID", help="the id elsewhere")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more, as a JSON object")


def saved(arguments: Namespace, known: User | Group | None) -> dict[str, Any]:
    """The fields to save: what is given, else what is known. Raises UsageError without a name."""
    given = {name: getattr(arguments, name) for name in ("name", "external_id", "metadata")}
    if known is not None:
        given = {name: getattr(known, name) if value is None else value for name, value in given.items()}
    if given["name"] is None:
        raise UsageError("a new one needs a name; give it with --name")
    return given


def remove_arguments(parser: Parser) -> None:
    """Add what both take when they are removed."""
    parser.add_argument("--reason", default="removed", help="why; the archive keeps it")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def remove(context: Context, kind: str, service: Users | Groups) -> int:
    """Move a user or a group into the archive, once that is confirmed."""
    record = service.get(context.arguments.id)
    if not context.confirmed(f"Move {kind} {record.id} ({record.name}) into the archive?"):
        context.out.note("nothing was changed")
        return 1
    service.remove(record.id, reason=context.arguments.reason)
    context.out.result(record, f"moved {kind} {record.id} into the archive")
    return 0
