"""``wilk retention``: how long and how much is kept, as ``retention`` in ``config.yaml`` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.amounts import written_size
from wilk.cli.output import moment
from wilk.cli.parsing import Verb, mapping

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.archive import RetentionPlan


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "plan": Verb(_plan, "show what the rules would move into the archive", _plan_arguments),
        "run": Verb(_run, "move what the rules take into the archive", _run_arguments),
    }


def _plan_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--rules",
        type=mapping,
        metavar="JSON",
        help='instead of those of config.yaml: {"session": {"age": "90d"}}',
    )


def _run_arguments(parser: Parser) -> None:
    _plan_arguments(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _plan(context: Context) -> None:
    _show(context, context.store.retention.plan(context.arguments.rules))


def _run(context: Context) -> int:
    arguments, out = context.arguments, context.out
    retention = context.store.retention
    if not arguments.yes:
        plan = retention.plan(arguments.rules)
        if not plan.rows:
            _show(context, plan)
            return 0
        if not context.confirmed(f"Move {plan.rows} rows ({written_size(plan.size)}) into the archive?"):
            out.note("nothing was changed")
            return 1
    _show(context, retention.run(arguments.rules))
    return 0


def _show(context: Context, plan: RetentionPlan) -> None:
    out = context.out
    if out.json:
        out.document(plan)
        return
    if not plan.steps:
        out.note("there are no rules; set retention in config.yaml, or give --rules")
        return
    rows = [
        [
            step.kind,
            step.rule,
            str(step.records),
            ", ".join(f"{n} {kind}" for kind, n in step.also.items()),
            written_size(step.size),
            moment(step.oldest) if step.oldest else "",
            moment(step.newest) if step.newest else "",
        ]
        for step in plan.steps
    ]
    out.table(["KIND", "RULE", "RECORDS", "WITH", "SIZE", "OLDEST", "NEWEST"], rows, right=[2, 4])
