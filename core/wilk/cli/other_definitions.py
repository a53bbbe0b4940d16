"""``wilk definitions``: kinds without a noun of their own, as ``mcp-servers.json`` is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.definitions import show_difference, show_tree
from wilk.cli.kinds import refreshed
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list every definition file and its state"),
        "show": Verb(_show, "show a definition; its secrets stay in the file", _one),
        "history": Verb(_history, "show what the newest revision of a definition changed", _one),
    }


def _one(parser: Parser) -> None:
    parser.add_argument("kind", metavar="KIND", help="such as mcp-servers, config, agents")
    parser.add_argument("id", metavar="ID", nargs="?", help="not for kinds of one file")


def _list(context: Context) -> None:
    files, out = refreshed(context).definitions.files(), context.out
    if out.json:
        out.document(files)
    elif files:
        styles = {"ok": "green", "broken": "red", "missing": "yellow"}
        rows = [
            [
                file.kind,
                Styled(file.id, "cyan"),
                Styled(file.state, styles[file.state]),
                moment(file.synced_at),
                file.path,
            ]
            for file in files
        ]
        out.table(["KIND", "ID", "STATE", "SYNCED", "FILE"], rows)
    else:
        out.note("no definition files")


def _show(context: Context) -> None:
    arguments, out = context.arguments, context.out
    record = refreshed(context).definitions.get(arguments.kind, arguments.id)
    if out.json:
        out.document(record)
    elif record.definition:
        show_tree(out, record.definition)
    else:
        out.note("it is empty")


def _history(context: Context) -> None:
    definitions, arguments, out = refreshed(context).definitions, context.arguments, context.out
    if out.json:
        out.document(definitions.history(arguments.kind, arguments.id))
        return
    difference = definitions.difference(arguments.kind, arguments.id)
    show_difference(out, difference.diff or str(difference))
