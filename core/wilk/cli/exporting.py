"""``wilk export``: a store, or some of its sessions, as files that people and other programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.output import Styled
from wilk.cli.parsing import UsageError, Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> Verb:
    """The command."""
    return Verb(_export, "write conversations, or everything, as files that others read", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "exporter", metavar="FORM", nargs="?", help="json, markdown, …; without it, what there is"
    )
    parser.add_argument("target", metavar="TARGET", nargs="?", help="the file or folder to write")
    parser.add_argument(
        "--session", metavar="ID", action="append", default=[], help="only this session; may be given again"
    )
    parser.add_argument("--user", metavar="ID", help="only what is of this user")
    parser.add_argument("--replace", action="store_true", help="write over a file or folder that is there")


def _export(context: Context) -> None:
    arguments, out = context.arguments, context.out
    exports = context.store.exports
    if arguments.exporter is None:
        forms = exports.exporters()
        if out.json:
            out.document([{"name": one.name, "summary": one.summary, "suffix": one.suffix} for one in forms])
            return
        for one in forms:
            out.line(Styled(f"{one.name:<12}", "cyan"), one.summary)
        return
    if arguments.target is None:
        raise UsageError(f"name the file or folder to write: wilk export {arguments.exporter} TARGET")
    if arguments.target == "-":
        raise UsageError("an export is written into a file or folder: name one")
    done = exports.run(
        arguments.exporter,
        arguments.target,
        sessions=arguments.session or None,
        user=arguments.user,
        replace=arguments.replace,
    )
    if out.json:
        out.document(done)
        return
    if done.counts and not out.quiet:
        out.table(
            ["KIND", "WRITTEN"], [[kind, f"{count:,}"] for kind, count in done.counts.items()], right=[1]
        )
    if done.lost and not out.quiet:
        out.line()
        out.line(Styled("Without a place in this form", "bold"))
        for what, count in done.lost.items():
            out.line(f"{count:>9,}  {what}")
    for warning in done.warnings:
        out.note(warning)
    out.note(f"Written to {done.target}")
