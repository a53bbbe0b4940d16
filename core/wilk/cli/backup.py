"""``wilk backup``: copies of everything, made while others write, tried, and put back."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.amounts import written_size
from wilk.cli.output import Output, Styled, moment
from wilk.cli.parsing import UsageError, Verb, completed, count
from wilk.errors import BackendError, Busy, SchemaError, WilkError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from wilk.care.backups.shelf import Shelf
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.backups import Backup, BackupRestored
    from wilk.settings import Settings
    from wilk.store import Store


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "create": Verb(_create, "make a backup while others write, and try it", _create_arguments),
        "list": Verb(_list, "list backups, the newest first, and whether they are whole", _folder_argument),
        "verify": Verb(_verify, "read every byte of backups, and open the copies", _verify_arguments),
        "restore": Verb(_restore, "put a backup back, or into another place", _restore_arguments),
        "remove": Verb(_remove, "remove a backup for good", _remove_arguments),
        "prune": Verb(_prune, "remove the oldest of those made by themselves", _prune_arguments),
    }


def _folder_argument(parser: Parser) -> None:
    parser.add_argument("--folder", metavar="DIR", help="where the backups lie (backups in the home folder)")


def _create_arguments(parser: Parser) -> None:
    parser.add_argument("--name", metavar="NAME", help="a name by which to find it again")
    _folder_argument(parser)


def _verify_arguments(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", nargs="*", help="backups, by id or name"), "backups")
    parser.add_argument("--all", action="store_true", help="all that there are")
    _folder_argument(parser)


def _restore_arguments(parser: Parser) -> None:
    _id_argument(parser)
    parser.add_argument(
        "--to", metavar="PLACE", help="a new home folder, or the URL of a database without rows (this store)"
    )
    parser.add_argument(
        "--aside",
        action="store_true",
        help="where the database file cannot be opened: move it out of the way first",
    )
    _asking(parser)


def _remove_arguments(parser: Parser) -> None:
    _id_argument(parser)
    _asking(parser)


def _prune_arguments(parser: Parser) -> None:
    parser.add_argument("--keep", type=count, metavar="N", help="keep so many of each kind (backup_keep)")
    parser.add_argument("--dry-run", action="store_true", help="show what would go, and leave it")
    _asking(parser)


def _id_argument(parser: Parser) -> None:
    text = "its id, the beginning of its id, or its name"
    completed(parser.add_argument("id", metavar="ID", help=text), "backups")


def _asking(parser: Parser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    _folder_argument(parser)


# -- making and showing ---------------------------------------------------------------------


def _create(context: Context) -> None:
    from wilk.store import open_store

    arguments, out = context.arguments, context.out
    # Nothing that is due by itself is made beside the one that is asked for.
    settings = replace(_settings(context), backup_interval=0.0)
    with open_store(settings=settings, host=context.host) as store:
        made = store.backups.create(name=arguments.name)
    told = f"made backup {made.id}: {_rows(made)}, {written_size(made.bytes)}, tried and found good"
    out.result(made, told, id=made.id)
    _show_notes(out, made.notes)


def _list(context: Context) -> None:
    out, shelf = context.out, _shelf(context)
    found = shelf.list()
    if out.json:
        out.document(found)
        return
    if not found:
        out.note(f"there are no backups in {shelf.root}; `wilk backup create` makes one")
        return
    rows = [
        [
            Styled(one.id, "cyan"),
            moment(one.created_at),
            one.why,
            "-" if one.rows is None else f"{one.rows:,}",
            written_size(one.bytes),
            one.schema.get("wilk", "-"),
            Styled("good", "green") if one.good else Styled("bad", "red"),
        ]
        for one in found
    ]
    out.table(["ID", "MADE", "WHY", "ROWS", "SIZE", "SCHEMA", ""], rows, right=[3, 4], whole=[0])
    for one in found:
        _show_problems(one.id, one.problems)


def _verify(context: Context) -> int:
    arguments, out, shelf = context.arguments, context.out, _shelf(context)
    if bool(arguments.id) == arguments.all:
        raise UsageError("name the backups to try, or say --all")
    ids = [shelf.find(id).id for id in arguments.id] or [one.id for one in shelf.list()]
    checks = [shelf.verify(id) for id in ids]
    if out.json:
        out.document(checks)
    else:
        for one in checks:
            rows = "" if one.rows is None else f": {one.rows:,} rows, each as it was copied"
            if one.good:
                out.note(Styled("good", "green"), f"{one.id}{rows}")
            else:
                _show_problems(one.id, one.problems)
        if not checks:
            out.note(f"there are no backups in {shelf.root}")
    return 0 if all(one.good for one in checks) else 1


# -- putting back ---------------------------------------------------------------------------


def _restore(context: Context) -> None:
    arguments, out = context.arguments, context.out
    found = _shelf(context).get(arguments.id)
    if arguments.to is None and not context.confirmed(
        f"Put backup {found.id} of {moment(found.created_at)} back in place of what is there now? "
        "A safety copy is made first."
    ):
        out.note("nothing was changed")
        return
    with _opened(context, found) as store:
        done = store.backups.restore(found.id, to=arguments.to)
    if out.json:
        out.document(done)
        return
    _tell(out, done)


def _tell(out: Output, done: BackupRestored) -> None:
    rows = f"{done.rows:,} row" + ("s" if done.rows != 1 else "")
    files = ", ".join(
        f"{number:,} file{'s' if number != 1 else ''} {what}"
        for number, what in ((done.written, "written"), (done.removed, "removed"))
        if number
    )
    out.note(f"restored backup {done.id} into {done.into}: {rows}{', ' if files else ''}{files}")
    if done.migrated:
        out.note(f"its schema was older; applied: {', '.join(done.migrated)}")
    _show_notes(out, done.notes)
    if done.safety is not None:
        out.note(f"what was there before is backup {done.safety}")


def _opened(context: Context, found: Backup) -> AbstractContextManager[Store]:
    """The store, also amid a restore; nothing goes on behind it. One whose file is damaged is set aside if
    that is wanted."""
    from wilk.clock import Clock
    from wilk.store import _open

    arguments = context.arguments
    settings = replace(
        _settings(context), backup_interval=0.0, retention={}, consolidation="manual", embedder="none"
    )
    try:
        return _open(settings, context.host, Clock(), restoring=True)
    except Busy:
        raise
    except (BackendError, SchemaError) as error:
        if not arguments.aside:
            raise WilkError(
                f"the store cannot be opened to put a backup back: {error}\nWith --aside its file is moved "
                "out of the way first; or restore elsewhere, --to a new home folder"
            ) from error
        from wilk.care.backups.restoring import set_aside

        for file in set_aside(settings, found.id):
            context.out.note(f"moved aside: {file}")
        return _open(settings, context.host, Clock(), restoring=True)


# -- removing -------------------------------------------------------------------------------


def _remove(context: Context) -> None:
    out, shelf = context.out, _shelf(context)
    found = shelf.get(context.arguments.id)
    if not context.confirmed(f"Remove backup {found.id} of {moment(found.created_at)} for good?"):
        out.note("nothing was removed")
        return
    out.result(shelf.remove(found.id), f"removed backup {found.id}", id=found.id)


def _prune(context: Context) -> None:
    arguments, out, shelf = context.arguments, context.out, _shelf(context)
    keep = arguments.keep or _settings(context).backup_keep
    surplus = shelf.prune(keep, dry_run=True)
    if surplus and not arguments.dry_run:
        if not out.json and not arguments.yes:
            _show_surplus(out, surplus)
        if not context.confirmed(f"Remove {_backups(len(surplus))} for good?"):
            out.note("nothing was removed")
            return
        surplus = shelf.prune(keep)
    if out.json:
        out.document(surplus)
    elif not surplus:
        out.note(f"there is nothing to remove: at most {keep} of each kind, and those that people made stay")
    elif arguments.dry_run:
        _show_surplus(out, surplus)
    else:
        out.note(f"removed {_backups(len(surplus))}, {written_size(sum(one.bytes for one in surplus))}")


def _show_surplus(out: Output, surplus: Sequence[Backup]) -> None:
    rows = [
        [Styled(one.id, "cyan"), moment(one.created_at), one.why, written_size(one.bytes)] for one in surplus
    ]
    out.table(["ID", "MADE", "WHY", "SIZE"], rows, right=[3], whole=[0])


# -- what they share --------------------------------------------------------------------------


def _settings(context: Context) -> Settings:
    folder = context.arguments.folder
    if folder is None:
        return context.settings
    return replace(context.settings, backup_folder=str(Path(folder).expanduser().absolute()))


def _shelf(context: Context) -> Shelf:
    """The backups; the database is not opened, for it may be damaged."""
    from wilk.care.backups.shelf import Shelf

    return Shelf(_settings(context))


def _show_problems(id: str, problems: Sequence[str]) -> None:
    if problems:
        err = Output(sys.stderr)
        err.line(Styled("bad", "red"), f"{id}:")
        for told in problems:
            err.line(told, indent="  ")


def _show_notes(out: Output, notes: Sequence[str]) -> None:
    for told in notes:
        out.note(Styled("note:", "yellow"), told)


def _rows(made: Backup) -> str:
    return f"{made.rows or 0:,} row" + ("" if made.rows == 1 else "s")


def _backups(number: int) -> str:
    return f"{number} backup" + ("" if number == 1 else "s")
