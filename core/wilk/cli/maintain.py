"""``wilk maintain``: checks of the database, and what keeps it fast and small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wilk.amounts import written_size
from wilk.cli.output import Styled
from wilk.cli.parsing import UsageError, Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.care import Maintenance

_STYLES = {"ok": "green", "found": "red", "busy": "yellow", "skipped": "dim"}


def commands() -> Verb:
    """The command."""
    return Verb(
        _maintain,
        "check the database, and do what keeps it fast; exit code 1 when something is wrong",
        _arguments,
    )


def _arguments(parser: Parser) -> None:
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="the short steps only; no sizes of tables")
    extent.add_argument(
        "--full", action="store_true", help="all steps but those that must be named (the default)"
    )
    parser.add_argument(
        "--only",
        metavar="STEP",
        action="append",
        help="do this step alone, such as integrity, vacuum or compact; may be given again",
    )
    parser.add_argument("--list", action="store_true", help="show the steps, and do nothing")


def _maintain(context: Context) -> int:
    from wilk.cli.bars import Bar

    arguments, out = context.arguments, context.out
    if arguments.list:
        if arguments.only or arguments.quick or arguments.full:
            raise UsageError("--list does nothing, and goes with no other option")
        return _list(context)
    bar = Bar(out)
    try:
        found = context.store.maintain(arguments.only, quick=arguments.quick, progress=bar)
    finally:
        bar.close()
    if out.json:
        out.document({**found._asdict(), "result": found.result})
    else:
        _show(context, found)
    return 1 if found.result == "found" else 0


def _list(context: Context) -> int:
    out, steps = context.out, context.store._maintainer.steps
    if out.json:
        out.document(steps)
        return 0
    rows = [
        [Styled(one.name, "cyan"), "named" if one.asked else "quick" if one.quick else "full", one.summary]
        for one in steps
    ]
    out.table(["STEP", "DONE WITH", "WHAT IT DOES"], rows)
    return 0


def _show(context: Context, found: Maintenance) -> None:
    out = context.out
    rows: list[list[Any]] = [
        [Styled(one.step, "cyan"), Styled(one.result, _STYLES[one.result]), f"{one.seconds:.1f} s", one.said]
        for one in found.steps
    ]
    out.table(["STEP", "RESULT", "TOOK", "WHAT CAME OF IT"], rows, right=[2], whole=[3])
    for one in found.steps:
        if one.details:
            out.line()
            out.line(Styled(one.step, "cyan"))
            for detail in one.details:
                out.line(detail, indent="  ")
    if found.bytes_before is not None and found.bytes_after is not None:
        out.line()
        free = f", {written_size(found.free_after)} of it free" if found.free_after else ""
        out.line(f"{written_size(found.bytes_before)} before, {written_size(found.bytes_after)} now{free}")
    changed = [one for one in found.tables if one.before != one.after]
    if changed:
        rows = [[one.table, written_size(one.before), written_size(one.after)] for one in changed]
        out.table(["TABLE", "BEFORE", "NOW"], rows, right=[1, 2])
