"""What the nouns of definitions have in common: list, show, check, history, remove.

A noun adds its columns and what it alone can do; new and edit are in ``editing.py``.
"""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.cli.kinds import Kind, file_of, refreshed
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import Verb, completed
from wilk.cli.text import one_line
from wilk.errors import InvalidDefinition, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wilk.cli.context import Context
    from wilk.cli.output import Output
    from wilk.cli.parsing import Parser
    from wilk.records.definitions import DefinitionFile, Failure
    from wilk.store import Store

_RECORD_FIELDS = frozenset(
    {"id", "definition", "content_hash", "revision", "created_at", "updated_at", "archived_at"}
)


def verbs(kind: Kind) -> dict[str, Verb]:
    """The verbs that every kind of definitions has."""
    one = kind.one
    return {
        "list": Verb(partial(_list, kind), f"list {kind.name}", partial(_list_arguments, kind)),
        "show": Verb(partial(_show, kind), f"show {one}", partial(_show_arguments, kind)),
        "new": Verb(partial(_new, kind), f"begin {one}: a file with comments", _new_arguments),
        "edit": Verb(
            partial(_edit, kind),
            f"edit {one} in $VISUAL or $EDITOR, and take it over",
            partial(_one, kind),
        ),
        "check": Verb(
            partial(_check, kind), "find what is wrong with files", partial(_check_arguments, kind)
        ),
        "history": Verb(
            partial(_history, kind), f"show the revisions of {one}", partial(_history_arguments, kind)
        ),
        "remove": Verb(
            partial(_remove, kind),
            f"remove the file of {one}; the archive keeps its content",
            partial(_yes, kind),
        ),
    }


def _one(kind: Kind, parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), kind.name)


def _list_arguments(kind: Kind, parser: Parser) -> None:
    field = kind.narrowed_by
    parser.add_argument(f"--{field}", metavar=field.upper(), help=f"those of one {field}")
    parser.add_argument("--name", metavar="TEXT", help="those with a text in their names")
    parser.add_argument("--archived", action="store_true", help="also those whose files are gone")


def _show_arguments(kind: Kind, parser: Parser) -> None:
    _one(kind, parser)
    parser.add_argument("--yaml", action="store_true", help="give the file as it is")


def _new_arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="names the file: letters, digits, - _ .")
    parser.add_argument("--name", help="the name (the id)")
    parser.add_argument("--description", metavar="TEXT", help="what it is for")
    parser.add_argument("--model", help="the model")
    parser.add_argument("--from", dest="source", metavar="FILE", help="take over a file, or - for stdin")


def _check_arguments(kind: Kind, parser: Parser) -> None:
    completed(
        parser.add_argument(
            "names", metavar="ID|FILE", nargs="*", help="records, or files anywhere (all of the kind)"
        ),
        kind.name,
    )


def _history_arguments(kind: Kind, parser: Parser) -> None:
    _one(kind, parser)
    parser.add_argument(
        "--diff", metavar="N[:M]", nargs="?", const="", type=_span,
        help="show what the newest revision changed, what revision N changed, or what lies between N and M",
    )  # fmt: skip


def _yes(kind: Kind, parser: Parser) -> None:
    _one(kind, parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _list(kind: Kind, context: Context) -> None:
    store, out = refreshed(context), context.out
    arguments, field = context.arguments, kind.narrowed_by
    records = getattr(store, kind.name).list(
        name=arguments.name, archived=arguments.archived, **{field: getattr(arguments, field)}
    )
    if out.json:
        out.document(records)
        return
    broken = [file for file in store.definitions.files(kind.name) if file.state == "broken"]
    if records:
        ids = {file.id for file in broken}
        headings = ["ID", *(heading for heading, _ in kind.columns), "REVISION", "UPDATED"]
        rows = [
            [
                Styled(record.id, "red" if record.id in ids else "cyan"),
                *(word(getattr(record, field)) for _, field in kind.columns),
                str(record.revision),
                moment(record.updated_at),
            ]
            for record in records
        ]
        out.table(headings, rows, right=[len(headings) - 2])
    else:
        out.note(f"no {kind.name}; `wilk {kind.name} new ID` begins one")
    if broken:
        paths = word([file.path for file in broken])
        sys.stderr.write(f"wilk: warning: broken: {one_line(paths)}; `wilk {kind.name} check` tells more\n")


def _new(kind: Kind, context: Context) -> int:
    from wilk.cli import editing

    return editing.new(kind, context)


def _edit(kind: Kind, context: Context) -> int:
    from wilk.cli import editing

    return editing.edit(kind, context)


def _show(kind: Kind, context: Context) -> None:
    store, out = refreshed(context), context.out
    record = store.definitions.get(kind.name, context.arguments.id)
    if context.arguments.yaml:
        out.raw(file_of(store, kind.name, record.id).read_text(encoding="utf-8"))
        return
    file = next((file for file in store.definitions.files(kind.name) if file.id == record.id), None)
    if out.json:
        out.document({**record._asdict(), "file": file})
        return
    out.fields(
        [
            (kind.noun, Styled(record.id, "cyan")),
            ("revision", f"{record.revision}, {moment(record.updated_at)}"),
            ("file", None if file is None or store.home is None else str(store.home / file.path)),
            ("state", _state(file)),
        ]
    )
    out.line()
    show_tree(out, record.definition)


def _state(file: DefinitionFile | None) -> str | None:
    if file is None or file.state == "ok":
        return None
    return Styled(f"{file.state}: {file.error or ''}".rstrip(": "), "red")


def show_tree(out: Output, value: Mapping[str, Any], indent: str = "") -> None:
    """Show a definition, a field a line, deeper ones further in."""
    for name, item in value.items():
        label = Styled(f"{name}:", "dim")
        if isinstance(item, dict) and item:
            out.line(label, indent=indent)
            show_tree(out, item, indent + "  ")
        elif isinstance(item, list) and any(isinstance(one, dict) for one in item):
            out.line(label, indent=indent)
            for number, one in enumerate(item, 1):
                show_tree(out, {str(number): one}, indent + "  ")
        elif isinstance(item, str) and "\n" in item.strip():
            out.line(label, indent=indent)
            out.lines(item.rstrip(), indent=indent + "  ")
        else:
            out.line(label, word(item) or "-", indent=indent)


def _check(kind: Kind, context: Context) -> int:
    store, out, names = context.store, context.out, context.arguments.names
    failures = list(store.definitions.check(kind.name))
    if names:
        failures = [
            failure for name in dict.fromkeys(names) for failure in _checked(store, kind, name, failures)
        ]
    faults = sum(not problem.startswith("warning:") for failure in failures for problem in failure.problems)
    if out.json:
        out.document(failures)
        return 1 if faults else 0
    for failure in failures:
        for problem in failure.problems:
            warning = problem.startswith("warning:")
            out.line(
                Styled("warning", "yellow") if warning else Styled("error", "red"),
                problem.removeprefix("warning: "),
            )
    if not any(failure.problems for failure in failures):
        out.note(f"{word(names) or kind.name}: nothing is wrong")
    return 1 if faults else 0


def _checked(store: Store, kind: Kind, name: str, failures: list[Failure]) -> list[Failure]:
    """The failures of one record, by its id or its file; a file elsewhere is read as it is."""
    from wilk.definitions import loading
    from wilk.records.definitions import Failure

    place = store.catalog.places()[kind.name]
    path = Path(name)
    relative = path.absolute()
    if store.home is not None and relative.is_relative_to(store.home):
        name = place.id(relative.relative_to(store.home).as_posix()) or name
    found = [failure for failure in failures if name in (failure.id, failure.path)]
    if found or store.definitions.find(kind.name, name) is not None or _has_file(store, kind, name):
        return found
    if not path.is_file():
        raise NotFound(kind.noun, name, f"`wilk {kind.name} list` shows the ones there are")
    warnings: list[str] = []
    try:
        loading.parsed(place.kind, path.stem, path.read_bytes(), str(path), warnings.append)
    except InvalidDefinition as error:
        return [Failure(kind.name, path.stem, str(path), error.problems)]
    problems = tuple(f"warning: {line}" for line in warnings)
    return [Failure(kind.name, path.stem, str(path), problems)] if problems else []


def _has_file(store: Store, kind: Kind, id: str) -> bool:
    home, place = store.home, store.catalog.places()[kind.name]
    return home is not None and any((home / path).is_file() for path in place.paths(id))


def _span(text: str) -> tuple[int | None, int | None]:
    """``N`` or ``N:M``; the second number is the revision that is looked at."""
    old, colon, new = text.partition(":")
    if not text:
        return None, None
    if not old.isdecimal() or (colon and not new.isdecimal()):
        raise ArgumentTypeError(f"{text!r} is neither N nor N:M, such as 3 or 1:3")
    return (int(old), int(new)) if colon else (None, int(old))


def _history(kind: Kind, context: Context) -> None:
    definitions, out, name = refreshed(context).definitions, context.out, context.arguments.id
    if context.arguments.diff is not None:
        old, new = context.arguments.diff
        difference = definitions.difference(kind.name, name, old=old, new=new)
        if out.json:
            out.document(difference)
        else:
            show_difference(out, difference.diff or str(difference))
        return
    revisions = definitions.history(kind.name, name)
    if out.json:
        out.document(revisions)
        return
    rows = []
    for revision in revisions:
        changes = ""
        if revision.number > revisions[0].number:
            changes = "; ".join(
                map(str, definitions.difference(kind.name, name, new=revision.number).changes)
            )
        rows.append(
            [str(revision.number), revision.version or "", moment(revision.created_at, seconds=True), changes]
        )
    out.table(["REVISION", "VERSION", "TIME", "WHAT CHANGED"], rows, right=[0])


def show_difference(out: Output, diff: str) -> None:
    """Show a unified diff, or lines of changes, with what was added and removed in colours."""
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in diff.splitlines():
        out.lines(line, style=styles.get(line[:1], ""))
    if not diff:
        out.note("no difference")


def _remove(kind: Kind, context: Context) -> int:
    store = refreshed(context)
    record = store.definitions.get(kind.name, context.arguments.id)
    what = f"{kind.name}/{record.id}"
    if not context.confirmed(f"Remove {what} ({record.name}) and its file? Its revisions stay."):
        context.out.note("nothing was changed")
        return 1
    store.definitions.remove(kind.name, record.id)
    context.out.result(record, f"removed {what}; `wilk {kind.name} history {record.id}` shows what it held")
    return 0
