"""``wilk archive``: what was removed, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, count

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list archived records, the latest first", _list_arguments),
        "statistics": Verb(_statistics, "count archived records by reason and kind"),
    }


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("--kind", help="session, message, tool_call, user, group, …")
    parser.add_argument("--reason", help="those archived for one reason")
    parser.add_argument("--session", metavar="ID", help="those of one session, by its whole id")
    parser.add_argument("--limit", type=count, default=100, metavar="N", help="at most N (100)")


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    entries = context.store.archive.list(
        kind=arguments.kind, reason=arguments.reason, session=arguments.session, limit=arguments.limit
    )
    if out.json:
        out.document(entries)
        return
    if not entries:
        out.note("nothing is archived")
        return
    rows = [
        [
            entry.kind,
            Styled(entry.record_id, "cyan"),
            entry.reason,
            moment(entry.archived_at),
            str(entry.data.get("name") or entry.data.get("text") or ""),
        ]
        for entry in entries
    ]
    out.table(["KIND", "ID", "REASON", "ARCHIVED", "NAME OR TEXT"], rows)


def _statistics(context: Context) -> None:
    counts, out = context.store.archive.statistics(), context.out
    if out.json:
        out.document(counts)
        return
    if not counts:
        out.note("nothing is archived")
        return
    rows = [
        [reason, kind, str(n)]
        for reason, kinds in sorted(counts.items())
        for kind, n in sorted(kinds.items())
    ]
    out.table(["REASON", "KIND", "RECORDS"], rows, right=[2])
