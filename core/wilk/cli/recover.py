"""``wilk recover``: what can be read of a damaged database, in a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wilk.cli.output import Styled
from wilk.cli.parsing import UsageError, Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.recovery import Recovered

_NAMES = 3


def commands() -> Verb:
    """The command."""
    return Verb(_recover, "write what can be read of a damaged SQLite file into a new one", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument("damaged", metavar="DAMAGED", help="the damaged file; it is only read")
    parser.add_argument("new", metavar="NEW", help="the file to be made, which must not be there")


def _recover(context: Context) -> int:
    from wilk.care.recovering import recover
    from wilk.cli.bars import Bar

    arguments, out = context.arguments, context.out
    _check(arguments.damaged, arguments.new)
    bar = Bar(out)
    try:
        found = recover(arguments.damaged, arguments.new, host=context.host, progress=bar)
    finally:
        bar.close()
    if out.json:
        out.document(_document(found))
    else:
        _show(context, found)
    return 0


def _check(damaged: str, new: str) -> None:
    """Say for what else there is another way."""
    for given in (damaged, new):
        scheme, mark, _ = given.partition("://")
        if not mark:
            continue
        if scheme in ("postgresql", "postgres"):
            raise UsageError(
                "a PostgreSQL server recovers by its own means (its write-ahead log, pg_amcheck, a base "
                "backup, pg_dump of what can be read); `wilk recover` is for SQLite files"
            )
        raise UsageError(f"{given!r} is a URL; name the file itself")


def _document(found: Recovered) -> dict[str, Any]:
    return {**found._asdict(), "rows": found.rows, "lost": found.lost, "exact": found.exact}


def _show(context: Context, found: Recovered) -> None:
    out = context.out
    if found.healthy:
        out.line(Styled("healthy", "green"), f"nothing is wrong with {found.source}")
        out.line(f"{found.rows:,} rows were copied to {found.target}")
        return
    out.line(Styled(f"{found.rows:,} rows recovered", "bold"), f"into {found.target}")
    _lost(context, found)
    for note in found.notes:
        out.line(note, indent="  ")
    out.line()
    rows = [
        [
            Styled(one.table, "cyan"),
            f"{one.rows:,}",
            f"{one.scavenged:,}" if one.scavenged else "",
            f"{one.changed:,}" if one.changed else "",
            Styled(f"{one.lost:,}" if one.exact else f"{one.lost:,} or more", "red")
            if one.lost or not one.exact
            else "",
            f"{one.aside:,}" if one.aside else "",
            f"{one.made:,}" if one.made else "",
        ]
        for one in found.tables
        if one.rows or one.lost or one.aside or one.made
    ]
    headings = ["TABLE", "ROWS", "FROM LOOSE PAGES", "CHANGED", "LOST", "SET ASIDE", "PLACEHOLDERS"]
    out.table(headings, rows, right=range(1, len(headings)))
    if found.sessions:
        out.line()
        rows = [[one.id, one.name or "", f"{one.said:,}", f"{one.found:,}"] for one in found.sessions]
        out.table(["SESSION", "NAME", "HAD MESSAGES", "HAS"], rows, right=[2, 3], whole=[0])
    for one in found.tables:
        if one.names:
            more = f" and {one.lost - _NAMES:,} more" if one.lost > _NAMES else ""
            out.note(f"lost of {one.table}: {', '.join(one.names[:_NAMES])}{more}")
    if found.aside is not None:
        out.note(f"what was found and not taken, or changed, lies as it was in {found.aside}")
    out.note(
        "full text and passages were made anew; look at the result, then put it in the place of the old one"
    )


def _lost(context: Context, found: Recovered) -> None:
    out = context.out
    if found.lost or not found.exact:
        atleast = "" if found.exact else "at least "
        out.line(Styled(f"{atleast}{found.lost:,} rows are lost", "red"), indent="  ")
    else:
        out.line(Styled("no row is lost", "green"), indent="  ")
