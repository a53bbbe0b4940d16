"""``wilk import``: what other programs keep, taken over."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from wilk.cli.output import Output, Styled, moment
from wilk.cli.parsing import UsageError, Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.transfer import MigrationResult

_SHOWN = 20


def commands() -> Verb:
    """The command."""
    return Verb(_import, "take over what other programs keep: chats, agents, databases", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "importer",
        metavar="FROM",
        nargs="?",
        help="what it is from: librechat, chatgpt, …, or auto; without it, what there is",
    )
    parser.add_argument("sources", metavar="SOURCE", nargs="*", help="a file, a folder, a ZIP, an address")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="write nothing, and tell what would be written"
    )
    parser.add_argument("--user", metavar="ID", help="a user here to whom all of it is to belong")
    parser.add_argument(
        "-o",
        "--option",
        metavar="NAME[=VALUE]",
        action="append",
        default=[],
        help="an option of the importer, which `wilk import` lists; may be given again",
    )
    parser.add_argument("--runs", action="store_true", help="the imports so far")


def _import(context: Context) -> int:
    arguments = context.arguments
    if arguments.runs or arguments.importer is None:
        (_show_runs if arguments.runs else _show_importers)(context)
        return 0
    if not arguments.sources:
        if os.path.exists(arguments.importer):  # noqa: PTH110 -- any text may stand there
            raise UsageError(
                f"say what {arguments.importer} is from, or have it found out: "
                f"wilk import auto {arguments.importer}"
            )
        raise UsageError(f"name what to import: wilk import {arguments.importer} FILE")
    from wilk.cli.bars import Bar
    from wilk.transfer.landing.report import document

    bar = Bar(context.out)
    try:
        result = context.store.imports.run(
            arguments.importer,
            *arguments.sources,
            options=_options(arguments.option),
            user=arguments.user,
            dry_run=arguments.dry_run,
            progress=bar,
        )
    except KeyboardInterrupt:
        bar.close()
        if not arguments.dry_run:
            sys.stderr.write(
                "wilk: stopped; what was taken over stays, and the same command goes on from there\n"
            )
        raise
    finally:
        bar.close()
    if context.out.json:
        context.out.document(document(result))
    else:
        _show(context.out, result)
    return 1 if result.failed else 0


def _options(given: list[str]) -> dict[str, str]:
    found = {}
    for option in given:
        name, _, value = option.partition("=")
        found[name.strip()] = value if "=" in option else "true"
    return found


def _show_importers(context: Context) -> None:
    importers, out = context.store.imports.importers(), context.out
    if out.json:
        out.document(
            [{"name": one.name, "summary": one.summary, "options": one.options} for one in importers]
        )
        return
    for one in importers:
        out.line(Styled(f"{one.name:<15}", "cyan"), one.summary)
        for name, summary in one.options.items():
            out.line(f"-o {name}: {summary}", indent=" " * 17)
    out.note("wilk import auto SOURCE finds out which of them it is")


def _show_runs(context: Context) -> None:
    from wilk.transfer.landing.report import document

    runs, out = context.store.imports.list(), context.out
    if out.json:
        out.document([{**one._asdict(), "result": one.result and document(one.result)} for one in runs])
        return
    rows = [
        [
            one.importer,
            one.status,
            moment(one.started_at),
            "" if one.result is None else f"{one.result.created:,}",
            "" if one.result is None else f"{one.result.updated:,}",
            "" if one.result is None else f"{one.result.failed:,}",
            one.source,
        ]
        for one in runs
    ]
    if rows:
        out.table(["FROM", "STATUS", "STARTED", "NEW", "CHANGED", "FAILED", "SOURCE"], rows, right=[3, 4, 5])
    else:
        out.note("nothing was imported so far")


def _show(out: Output, result: MigrationResult) -> None:
    rows = [
        [
            one.kind,
            f"{one.read:,}",
            f"{one.created:,}",
            f"{one.updated:,}",
            f"{one.unchanged:,}",
            f"{one.skipped:,}",
            Styled(f"{one.failed:,}", "red") if one.failed else "0",
        ]
        for one in result.kinds
    ]
    if rows and not out.quiet:
        out.table(
            ["KIND", "READ", "NEW", "CHANGED", "UNCHANGED", "LEFT OUT", "FAILED"], rows, right=range(1, 7)
        )
    _show_counts(out, "Left out", result.skipped)
    _show_counts(out, "Odd", result.warnings)
    _show_counts(out, "Without a place here", result.lost_fields)
    if result.errors:
        err = Output(sys.stderr)
        err.line(Styled("wilk: error:", "red"), f"{result.failed:,} records could not be taken over:")
        for one in result.errors[:_SHOWN]:
            path = f" ({one.path})" if one.path else ""
            err.line(f"{one.kind} {one.id}{path}: {one.error}", indent="  ")
        if result.failed > _SHOWN:
            err.line("… and more, which --json lists", indent="  ")
    if result.dry_run:
        out.note("Nothing was written (--dry-run)")
    elif not rows:
        out.note(f"{result.source} holds nothing that could be taken over")


def _show_counts(out: Output, title: str, found: Mapping[str, int]) -> None:
    if not found or out.quiet:
        return
    out.line()
    out.line(Styled(title, "bold"))
    for what, count in sorted(found.items(), key=lambda one: -one[1])[:_SHOWN]:
        out.line(f"{count:>9,}  {what}")
    if len(found) > _SHOWN:
        out.line(f"           … and {len(found) - _SHOWN} more, which --json lists")
