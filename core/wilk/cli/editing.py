"""Writing definition files: a starter with comments, and the person's own editor."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.cli import starters
from wilk.cli.kinds import Kind, file_of, refreshed
from wilk.cli.output import is_terminal
from wilk.cli.reports import show_change, show_failure
from wilk.errors import Conflict, Invalid, NotFound, ReadOnly, WilkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wilk.cli.context import Context
    from wilk.records.definitions import Failure
    from wilk.store import Store


def new(kind: Kind, context: Context) -> int:
    """Write a new file, and take it over."""
    store, arguments = refreshed(context), context.arguments
    if store.settings.readonly:
        raise ReadOnly("the store was opened with readonly; open it without to write")
    file = file_of(store, kind.name, arguments.id)
    if file.exists():
        raise Conflict(f"{file} is there already; `wilk {kind.name} edit {arguments.id}` opens it")
    given = {
        name: value
        for name in ("name", "description", "model")
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.source is None:
        text = starters.text(kind.name, arguments.id, given)
    else:
        text = _checked(store, kind, arguments.id, arguments.source)
    _place(store, file, text)
    if arguments.source is not None and given:
        store.catalog.save(
            kind.name, arguments.id, _with(kind, store.catalog.read(kind.name, arguments.id), given)
        )
    record = store.definitions.get(kind.name, arguments.id)
    context.out.result(
        record, f"made {file}: {kind.name}/{record.id} revision {record.revision}", id=record.id
    )
    return 0


def edit(kind: Kind, context: Context) -> int:
    """Open a file in an editor, again while it is broken and the person wants to."""
    store, out, name = refreshed(context), context.out, context.arguments.id
    file = file_of(store, kind.name, name)
    if not file.is_file():
        raise NotFound(kind.noun, name, f"`wilk {kind.name} new {name}` begins one")
    before = store.definitions.find(kind.name, name)
    while True:
        _run_editor(file)
        failures = store.sync([file]).failures
        for failure in () if out.json else failures:
            show_failure(out, failure)
        if not failures or not _again():
            break
    after = store.definitions.find(kind.name, name)
    if out.json:
        out.document({"record": after, "failures": failures})
    elif after is not None and (before is None or before.revision != after.revision):
        show_change(out, store, _change(kind, after, before))
    elif after is None and before is not None:
        out.note(f"{kind.noun} {name} was archived: its file is gone")
    elif not failures:
        out.note("nothing changed")
    return 1 if failures else 0


def _change(kind: Kind, after: Any, before: Any) -> Any:
    """What happened since ``before``, whoever synced it: a watcher may have been quicker."""
    from wilk.records.definitions import Change

    action, previous = ("created", None) if before is None else ("updated", before.revision)
    return Change(kind.name, after.id, action, "", after.revision, previous)


def _checked(store: Store, kind: Kind, id: str, source: str) -> str:
    """Read a file that is to be taken over; raises InvalidDefinition before anything is written."""
    from wilk.definitions import loading

    if source == "-":
        data, where = sys.stdin.buffer.read(), "stdin"
    else:
        data, where = Path(source).read_bytes(), source
    place = store.catalog.places()[kind.name]
    warnings: list[str] = []
    loading.parsed(place.kind, id, data, where, warnings.append)
    return data.decode("utf-8-sig")


def _place(store: Store, file: Path, text: str) -> None:
    """Write a file and take it over; one whose name is taken goes away again."""
    from wilk.files import write_atomic

    write_atomic(file, text.encode())
    failures = store.sync([file]).failures
    if failures:
        file.unlink()
        if not any(file.parent.iterdir()):
            file.parent.rmdir()
        store.sync([file])
        raise Conflict("; ".join(_problems(failures)))


def _problems(failures: Sequence[Failure]) -> list[str]:
    return [problem for failure in failures for problem in failure.problems]


def _with(kind: Kind, definition: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """Put what the command line gives into a definition, where its kind has the field."""
    changed: dict[str, Any] = definition | {
        name: given[name] for name in ("name", "description") if name in given
    }
    if "model" not in given:
        return changed
    if kind.name == "agents":
        changed["model"] = {**(definition.get("model") or {}), "name": given["model"]}
    else:
        changed["default_model" if kind.name == "personas" else "model"] = given["model"]
    return changed


def _run_editor(file: Path) -> None:
    import shlex
    import subprocess
    from shutil import which

    line = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    try:
        command = shlex.split(line, posix=os.name != "nt")
    except ValueError as error:
        raise Invalid(f"the editor {line!r} cannot be read: {error}") from error
    if not command or which(command[0]) is None:
        raise NotFound("editor", line, "set VISUAL or EDITOR to a program that is there")
    code = subprocess.run([*command, str(file)], check=False).returncode  # noqa: S603  (the person's own choice)
    if code:
        raise WilkError(f"the editor {command[0]} ended with {code}; nothing was taken over")


def _again() -> bool:
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return False
    sys.stderr.write("Edit again? [Y/n] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")
