"""``wilk consolidation``: interactions become memories, by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, completed, count

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "run": Verb(_run, "make memories of what is due", _run_arguments),
        "plan": Verb(_plan, "tell what waits, and what a run would make of it", _numbers),
        "statistics": Verb(_statistics, "count what there is on each step"),
        "sources": Verb(_sources, "list what a memory was made from", _sources_arguments),
    }


def _numbers(parser: Parser) -> None:
    completed(parser.add_argument("--session", metavar="ID", help="of a session, by its id"), "sessions")
    completed(parser.add_argument("--user", metavar="ID", help="of a user"), "users")
    for name, default, what in (
        ("interactions", 10, "interactions make a working memory"),
        ("working", 5, "working memories make an episodic one"),
        ("episodic", 10, "episodic memories make a semantic one"),
    ):
        parser.add_argument(
            f"--{name}", type=count, default=default, metavar="N", help=f"so many {what} ({default})"
        )
    parser.add_argument(
        "--min-confidence",
        type=float,
        default=0.7,
        metavar="X",
        help="how sure an episodic memory must be to go on, 0.0 to 1.0 (0.7)",
    )


def _run_arguments(parser: Parser) -> None:
    _numbers(parser)
    parser.add_argument("-n", "--dry-run", action="store_true", help="change nothing; the same as plan")


def _sources_arguments(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="the memory's id"), "memories")


def _given(context: Context) -> dict[str, Any]:
    names = ("session", "user", "interactions", "working", "episodic", "min_confidence")
    return {name: getattr(context.arguments, name) for name in names}


def _run(context: Context) -> None:
    if context.arguments.dry_run:
        _plan(context)
        return
    report, out = context.store.consolidation.run(**_given(context)), context.out
    if out.json:
        out.document(report)
    elif not any(report):
        out.note("nothing is due; `wilk consolidation plan` tells what waits")
    else:
        out.note(f"archived {report.interactions} interactions and {report.memories} memories")
        for kind in ("working", "episodic", "semantic"):
            for id in getattr(report, kind):
                out.note(f"made {kind} memory", Styled(id, "cyan"))
        for id in report.patterns:
            out.note("saw pattern", Styled(id, "cyan"))


def _plan(context: Context) -> None:
    plan, out = context.store.consolidation.plan(**_given(context)), context.out
    if out.json:
        out.document(plan)
    elif not plan:
        out.note("nothing waits")
    else:
        rows = [
            [
                one.step,
                one.user_id or "",
                one.agent_id or "",
                str(one.waiting),
                str(one.needed),
                str(one.held),
                str(one.due),
            ]
            for one in plan
        ]
        headings = ["MEMORY", "USER", "AGENT", "WAITING", "NEEDED", "HELD", "DUE"]
        out.table(headings, rows, right=[3, 4, 5, 6])


def _statistics(context: Context) -> None:
    counts, out = context.store.consolidation.statistics(), context.out
    if out.json:
        out.document(counts)
        return
    rows = [[name, str(number)] for name, number in counts._asdict().items() if name != "archived"]
    rows += [[f"archived, {reason}", str(number)] for reason, number in counts.archived.items()]
    out.table(["WHAT", "RECORDS"], rows, right=[1])


def _sources(context: Context) -> None:
    found, out = context.store.consolidation.sources(context.arguments.id), context.out
    if out.json:
        out.document(found)
    elif not found:
        out.note("nothing in the archive was made into this")
    else:
        rows = [
            [
                one.kind,
                Styled(one.record_id, "cyan"),
                moment(one.archived_at),
                str(one.data.get("user_query") or one.data.get("content") or ""),
            ]
            for one in found
        ]
        out.table(["KIND", "ID", "ARCHIVED", "TEXT"], rows, whole=[1])
