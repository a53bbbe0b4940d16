"""``wilk sync``: take over what changed in the definition files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wilk.cli.parsing import Verb
from wilk.cli.reports import show_change, show_failure
from wilk.errors import Invalid

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> Verb:
    """The command."""
    return Verb(_sync, "take over what changed in the definition files, all of them or some", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "paths", metavar="PATH", nargs="*", type=Path, help="files or folders (the whole home folder)"
    )


def _sync(context: Context) -> int:
    store, out = context.store, context.out
    paths = [path.absolute() for path in context.arguments.paths]
    for path in paths:
        if store.home is not None and store.home.resolve() not in (path.resolve(), *path.resolve().parents):
            raise Invalid(f"{path} does not lie in the home folder {store.home}")
    report = store.sync(paths or None)
    if out.json:
        out.document(report)
        return 1 if report.failures else 0
    for change in report.changes:
        show_change(out, store, change)
    for failure in report.failures:
        show_failure(out, failure)
    out.note(f"{report.seen} files seen, {report.parsed} read, {len(report.changes)} taken over")
    return 1 if report.failures else 0
