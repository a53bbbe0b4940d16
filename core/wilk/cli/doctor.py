"""``wilk doctor``: what is not as it should be, and mending it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.output import Output, Styled, moment
from wilk.cli.parsing import UsageError, Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.doctor import Finding

_STYLES = {"error": "red", "warning": "yellow"}
_RECORDS = 5


def commands() -> Verb:
    """The command."""
    return Verb(_doctor, "find what is not as it should be, and mend it on request", _arguments)


def _arguments(parser: Parser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--repair", action="store_true", help="mend what can be mended; each repair can be undone"
    )
    what.add_argument("--undo", metavar="ID", help="put back what a repair changed")
    what.add_argument("--repairs", action="store_true", help="the repairs so far")
    what.add_argument("--checks", action="store_true", help="the checks that are made")
    parser.add_argument(
        "--only", metavar="CHECK", action="append", default=[], help="make this check; may be given again"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask before a repair")


def _doctor(context: Context) -> int:
    arguments = context.arguments
    if arguments.checks:
        return _show_checks(context)
    if arguments.repairs:
        return _show_repairs(context)
    if arguments.undo is not None:
        return _undo(context)
    return _repair(context) if arguments.repair else _examine(context)


def _examine(context: Context) -> int:
    out = context.out
    found = context.store.doctor.examine(context.arguments.only or None)
    if out.json:
        out.document({**found._asdict(), "well": found.well})
        return 0 if found.well else 1
    _show(out, found.findings)
    if found.well:
        out.note(f"{len(found.checks)} checks, and nothing to find fault with")
    elif any(one.remedy for one in found.findings):
        out.line()
        out.note("`wilk doctor --repair` mends what it can; it can be undone")
    return 0 if found.well else 1


def _repair(context: Context) -> int:
    out, doctor = context.out, context.store.doctor
    only = context.arguments.only or None
    found = doctor.examine(only)
    mendable = [one for one in found.findings if one.remedy]
    if not out.json:
        _show(out, found.findings)
    if mendable:
        if out.json and not context.arguments.yes:
            raise UsageError("--repair with --json asks nothing: say so with --yes")
        if not context.confirmed(f"Mend {len(mendable)} of {len(found.findings)} findings?"):
            out.note("Nothing was changed")
            return 1
    done = doctor.repair(only)
    if out.json:
        out.document(done)
    elif done.mended:
        if not out.quiet:
            out.line()
        out.note(f"{len(done.mended)} findings mended, {done.changes:,} changes")
        if done.batch is not None:
            out.note(f"`wilk doctor --undo {done.batch}` puts back what was changed")
    elif not found.findings:
        out.note(f"{len(found.checks)} checks, and nothing to find fault with")
    if done.left and not out.json:
        out.note(f"{len(done.left)} findings are left, which only a person can mend")
    return 1 if done.left else 0


def _undo(context: Context) -> int:
    batch = context.arguments.undo
    changes = context.store.doctor.undo(batch)
    if context.out.json:
        context.out.document({"batch": batch, "changes": changes})
    else:
        context.out.note(f"{changes:,} changes put back as they were")
    return 0


def _show_checks(context: Context) -> int:
    checks, out = context.store.doctor.checks(), context.out
    if out.json:
        out.document([{"name": one.name, "summary": one.summary} for one in checks])
        return 0
    for one in checks:
        out.line(Styled(f"{one.name:<12}", "cyan"), one.summary)
    return 0


def _show_repairs(context: Context) -> int:
    repairs, out = context.store.doctor.repairs(), context.out
    if out.json:
        out.document(repairs)
        return 0
    if not repairs:
        out.note("nothing was repaired so far")
        return 0
    rows = [
        [
            moment(one.repaired_at),
            f"{one.changes:,}",
            ", ".join(one.checks),
            "" if one.undone_at is None else moment(one.undone_at),
            one.batch,
        ]
        for one in repairs
    ]
    out.table(["REPAIRED", "CHANGES", "CHECKS", "UNDONE", "ID"], rows, right=[1], whole=[4])
    return 0


def _show(out: Output, findings: Sequence[Finding]) -> None:
    if out.quiet:
        return
    for one in findings:
        out.line(Styled(f"{one.severity:<8}", _STYLES[one.severity]), Styled(one.check, "cyan"), one.what)
        if one.records:
            more = ", …" if one.affected > _RECORDS else ""
            out.line(Styled(f"{', '.join(one.records[:_RECORDS])}{more}", "dim"), indent=" " * 9)
        if one.remedy:
            out.line(f"repair: {one.remedy}", indent=" " * 9)
