"""``wilk archive``: what was removed, and why; and the way back."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from wilk.amounts import written_size
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import UsageError, Verb, count, days
from wilk.cli.text import one_line
from wilk.errors import BackendError

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list archived records, the latest first", _list_arguments),
        "show": Verb(_show, "show an archived record with its columns", _show_arguments),
        "restore": Verb(_restore, "put archived records back as they were", _restore_arguments),
        "stats": Verb(_stats, "count archived records and their bytes by reason and kind"),
        "flush": Verb(_flush, "hand over what waits in the database to the archive in use"),
    }


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("--kind", help="session, message, tool_call, user, group, …")
    parser.add_argument("--reason", help="those archived for one reason")
    parser.add_argument("--session", metavar="ID", help="those of one session, by its whole id")
    parser.add_argument("--record", metavar="ID", help="those of one record, by its whole id")
    parser.add_argument("--interaction", metavar="ID", help="those of one interaction")
    parser.add_argument("--batch", metavar="ID", help="what left in one go")
    parser.add_argument("--days", type=days, metavar="N", help="those that left in the last N days")
    parser.add_argument("--restored", action="store_true", help="those that are back, instead")
    parser.add_argument("--after", type=count, metavar="ENTRY", help="those that left before this entry")
    parser.add_argument("--limit", type=count, default=100, metavar="N", help="at most N (100)")


def _show_arguments(parser: Parser) -> None:
    parser.add_argument("entry", type=count, metavar="ENTRY", help="its number, as `list` shows it")


def _restore_arguments(parser: Parser) -> None:
    parser.add_argument("entry", type=count, nargs="*", metavar="ENTRY", help="these and nothing else")
    parser.add_argument("--session", metavar="ID", help="a session with all that left with it")
    parser.add_argument("--batch", metavar="ID", help="all that left in one go")
    parser.add_argument("--kind", help="with --record: its kind")
    parser.add_argument("--record", metavar="ID", help="a record, with what hung on it")


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    since = None
    if arguments.days is not None:
        from wilk.clock import Clock, to_datetime
        from wilk.services.checks import days_ago

        since = to_datetime(days_ago(Clock().now(), arguments.days))
    chosen = partial(
        context.store.archive.list,
        kind=arguments.kind,
        reason=arguments.reason,
        session=arguments.session,
        record=arguments.record,
        interaction=arguments.interaction,
        batch=arguments.batch,
        since=since,
        restored=arguments.restored,
        after=arguments.after,
        limit=arguments.limit,
    )
    if out.json:
        out.document(chosen())
        return
    try:
        entries = chosen()
    except BackendError as error:  # a file of the archive is not there; what there is can be told still
        entries = chosen(data=False)
        sys.stderr.write(f"wilk: warning: {one_line(str(error))}; names and texts are left out\n")
    if not entries:
        out.note("nothing is archived")
        return
    rows = [
        [
            Styled(str(entry.id), "cyan"),
            entry.kind,
            entry.record_id,
            entry.reason,
            moment(entry.archived_at),
            str(entry.data.get("name") or entry.data.get("text") or ""),
        ]
        for entry in entries
    ]
    out.table(["ENTRY", "KIND", "ID", "REASON", "ARCHIVED", "NAME OR TEXT"], rows, right=[0])


def _show(context: Context) -> None:
    entry = context.store.archive.get(context.arguments.entry)
    if context.out.json:
        context.out.document(entry)
        return
    about = entry._asdict()
    data = about.pop("data")
    context.out.fields([*about.items(), *((f"  {name}", word(value)) for name, value in data.items())])


def _restore(context: Context) -> None:
    arguments, out = context.arguments, context.out
    given = [bool(arguments.entry), *(value is not None for value in (arguments.session, arguments.batch))]
    if sum(given) + (arguments.record is not None) != 1 or (arguments.record is None) != (
        arguments.kind is None
    ):
        raise UsageError("say what to restore: entries, or --session, or --batch, or --kind with --record")
    counts = context.store.archive.restore(
        arguments.entry or None,
        kind=arguments.kind,
        record=arguments.record,
        batch=arguments.batch,
        session=arguments.session,
    )
    if out.json:
        out.document(counts)
        return
    out.note("restored " + ", ".join(f"{n} × {kind}" for kind, n in counts.items()))


def _stats(context: Context) -> None:
    counts, out = context.store.archive.statistics(), context.out
    if out.json:
        out.document(counts)
        return
    if not counts:
        out.note("nothing is archived")
        return
    rows = [[one.reason, one.kind, str(one.records), written_size(one.size)] for one in counts]
    out.table(["REASON", "KIND", "RECORDS", "SIZE"], rows, right=[2, 3])


def _flush(context: Context) -> None:
    handed, out = context.store.archive.flush(), context.out
    if out.json:
        out.document({"handed_over": handed})
    else:
        out.note(f"handed over {handed} rows" if handed else "nothing waits")
