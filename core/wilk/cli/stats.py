"""``wilk stats``: how much there is of each kind, how large it is, and how fast it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.amounts import written_size
from wilk.cli.output import Styled
from wilk.cli.parsing import Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.care import KindStatistics, Statistics

_MEASURED = {
    "estimate": "sizes of kinds are estimated from the lengths of some rows of each",
    "dbstat": "sizes of kinds are measured (dbstat)",
    "pg_total_relation_size": "sizes of kinds are measured (pg_total_relation_size)",
}


def commands() -> Verb:
    """The command."""
    return Verb(_stats, "show records, sizes and growth by kind, the largest sessions, and files", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument("--quick", action="store_true", help="count only: no sizes of kinds, no growth")
    parser.add_argument("--all", action="store_true", help="kinds without records as well")


def _stats(context: Context) -> None:
    found, out = context.store.statistics(quick=context.arguments.quick), context.out
    if out.json:
        out.document(found)
        return
    size = "" if found.bytes is None else f"{written_size(found.bytes)}"
    free = f", {written_size(found.free_bytes)} of it free" if found.free_bytes else ""
    out.line(Styled(f"{found.rows:,} records", "bold"), f"in {size}{free}" if size else "")
    kinds = [one for one in found.kinds if one.rows or context.arguments.all]
    if kinds:
        out.line()
        _show_kinds(context, found, kinds)
    if found.sessions:
        out.line()
        rows = [
            [
                one.id,
                one.name or "",
                f"{one.messages:,}",
                f"{one.tokens:,}",
                "" if one.characters is None else f"{one.characters:,}",
            ]
            for one in found.sessions
        ]
        out.table(
            ["LARGEST SESSIONS", "NAME", "MESSAGES", "TOKENS", "CHARACTERS"], rows, right=[2, 3, 4], whole=[0]
        )
    if found.folders:
        out.line()
        rows = [[one.what, f"{one.files:,}", written_size(one.bytes), one.folder] for one in found.folders]
        out.table(["FILES", "COUNT", "SIZE", "FOLDER"], rows, right=[1, 2])
    if found.measured_by in _MEASURED:
        out.line()
        out.note(_MEASURED[found.measured_by])


def _show_kinds(context: Context, found: Statistics, kinds: list[KindStatistics]) -> None:
    rows = []
    for one in kinds:
        row = [Styled(one.kind, "cyan"), f"{one.rows:,}"]
        if found.measured_by:
            row += [_size(one.bytes), _size(one.index_bytes), _pace(one.per_day_7), _pace(one.per_day_30)]
        rows.append(row)
    headings = ["KIND", "RECORDS"]
    if found.measured_by:
        headings += ["SIZE", "INDEXES", "A DAY (7 DAYS)", "A DAY (30 DAYS)"]
    context.out.table(headings, rows, right=range(1, len(headings)))


def _size(value: int | None) -> str:
    return "" if value is None else written_size(value)


def _pace(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"
