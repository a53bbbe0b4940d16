"""``wilk move``: all rows into another database, compared at the end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.cli.output import Output, Styled
from wilk.cli.parsing import UsageError, Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.transfer import Moved
    from wilk.settings import Settings
    from wilk.store import Store

_HASH = 12


def commands() -> Verb:
    """The command."""
    return Verb(_move, "copy every row into another database, and compare both", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--to", metavar="URL", required=True, help="where to, such as postgresql://user@host/database"
    )
    parser.add_argument("--verify", action="store_true", help="compare both, and write nothing")
    parser.add_argument(
        "--switch",
        action="store_true",
        help="when all is equal, let url in config.yaml name the new database",
    )
    parser.add_argument(
        "--without",
        metavar="PLUGIN",
        action="append",
        default=[],
        help="leave the tables of a plugin behind that is not installed any more; may be given again",
    )


def _move(context: Context) -> int:
    from wilk.cli.bars import Bar

    arguments, out = context.arguments, context.out
    if arguments.switch:
        _check_switch(context)
    bar = Bar(out)
    try:
        with _source(context) as store:
            verb = store.compare if arguments.verify else store.move
            moved = verb(arguments.to, without=arguments.without, progress=bar)
    except KeyboardInterrupt:
        bar.close()
        if not arguments.verify:
            sys.stderr.write("wilk: stopped; what is copied stays, and the same command goes on from there\n")
        raise
    finally:
        bar.close()
    switched = bool(arguments.switch and moved.equal)
    if switched:
        from wilk.definitions.settings_file import set_setting

        set_setting(_config(context.settings), "url", _from_anywhere(arguments.to))
    if out.json:
        out.document(_document(moved, switched))
    else:
        _show(context, moved, switched)
    return 0 if moved.equal else 1


@contextmanager
def _source(context: Context) -> Iterator[Store]:
    """The store; nothing goes on behind it that would change it."""
    from dataclasses import replace

    from wilk.store import open_store

    quiet = replace(context.settings, retention={}, consolidation="manual", embedder="none", archive="table")
    with open_store(settings=quiet, host=context.host) as store:
        yield store


def _check_switch(context: Context) -> None:
    """Say before the move when the end of it could not be written."""
    if context.arguments.verify:
        raise UsageError("--switch belongs to a move, not to --verify")
    settings = context.settings
    if settings.home is None:
        raise UsageError("--switch writes config.yaml of a home folder, and there is none; give --home DIR")
    origin = settings.origins.get("url", "config.yaml")
    if origin != "config.yaml":
        named = "--url" if origin == "argument" else origin
        raise UsageError(
            f"--switch would have no effect: {named} names the database, and goes before config.yaml"
        )


def _config(settings: Settings) -> Path:
    from wilk.settings import CONFIG_FILE

    return (settings.home or Path()) / CONFIG_FILE


def _from_anywhere(url: str) -> str:
    """The URL with the whole path of a file or folder, where it was given from the working folder on."""
    scheme, _, rest = url.partition(":///")
    path, mark, options = rest.partition("?")
    if path and not Path(path).is_absolute() and Path(path).exists():
        return f"{scheme}:///{Path(path).absolute()}{mark}{options}"
    return url


def _document(moved: Moved, switched: bool) -> dict[str, Any]:
    return {
        **moved._asdict(),
        "kinds": [{**one._asdict(), "equal": one.equal} for one in moved.kinds],
        "rows": moved.rows,
        "copied": moved.copied,
        "equal": moved.equal,
        "switched": switched,
    }


def _show(context: Context, moved: Moved, switched: bool) -> None:
    arguments, out = context.arguments, context.out
    rows = [
        [
            one.kind,
            f"{one.rows:,}",
            f"{one.rows_there:,}",
            f"{one.copied:,}",
            Styled("equal", "green") if one.equal else Styled("different", "red"),
            one.hash[:_HASH],
            one.hash_there[:_HASH],
        ]
        for one in moved.kinds
        if one.rows or one.rows_there
    ]
    headings = ["KIND", "ROWS", "THERE", "COPIED", "", "HASH", "HASH THERE"]
    if not out.quiet:
        out.table(headings, rows, right=[1, 2, 3])
    if not moved.equal:
        _show_differences(moved)
        return
    verb = "are the same in" if arguments.verify else "are now in"
    out.note(f"{moved.rows:,} rows of {moved.source} {verb} {moved.target}, compared row by row")
    if not moved.rows:
        out.note(f"{moved.source} holds nothing: is that the store that you mean? See --url and --home")
    if arguments.verify:
        return
    home = context.settings.home
    if switched:
        out.note(f"{_config(context.settings)} names the new database; the old one is as it was")
    elif home is None:
        out.note("Nothing is switched over: open the new database by its URL from now on")
    else:
        from wilk.definitions.dumping import dump_inline

        out.note(f"Nothing is switched over. To use the new database, write into {_config(context.settings)}")
        hidden = "" if "***" in arguments.to or "***" not in moved.target else "with the password for ***, "
        out.note(f"  url: {dump_inline(_from_anywhere(moved.target))}")
        out.note(f"{hidden}or let --switch do it. The files of the home folder go with either database")


def _show_differences(moved: Moved) -> None:
    """Name on stderr what differs."""
    err = Output(sys.stderr)
    err.line(Styled("wilk: error:", "red"), f"{moved.target} does not hold what {moved.source} holds:")
    for one in moved.differences:
        err.line(f"{one.kind} {'/'.join(map(str, one.key))}: {one.what}", indent="  ")
    if len(moved.differences) >= 20:
        err.line("… and maybe more", indent="  ")
