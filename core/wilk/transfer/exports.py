"""Exports: a store, or some of its sessions, as files that people and other programs read."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.contracts import Choice
from wilk.errors import Conflict, Invalid
from wilk.records.transfer import Exported

_DATABASE = b"SQLite format 3\0"

if TYPE_CHECKING:
    from wilk.contracts import Exporter
    from wilk.store import Store


class Exports:
    """The exports of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(
        self,
        exporter: str,
        target: str | Path,
        *,
        sessions: Sequence[str] | None = None,
        user: str | None = None,
        replace: bool = False,
    ) -> Exported:
        """Write a file or folder: everything, the ``sessions`` of these ids, or those of a ``user``.

        What stands there under that name stays, unless ``replace``; it is never half written. Raises
        PluginError for an unknown exporter, NotFound for a session or user that is not there, and Conflict
        for a target that is.
        """
        chosen = self._store.host.exporter(exporter)
        if isinstance(sessions, str):
            raise Invalid(f"sessions {sessions!r}: a list of ids is wanted")
        if sessions is not None and user is not None:
            raise Invalid("an export takes sessions or user, not both")
        for id in sessions or ():
            self._store.sessions.get(id)
        if user is not None:
            self._store.users.get(user)
        path = Path(target).expanduser().absolute()
        if path.exists() and not replace:
            raise Conflict(f"{path} is there already; name another file, or let it be replaced (--replace)")
        if path.exists() and not path.is_file() and not path.is_dir():
            raise Conflict(f"{path} is neither a file nor a folder; name one that is to be written")
        if not path.parent.is_dir():
            raise Invalid(f"{path.parent} is no folder; make it first")
        writing = _Writing()
        partial = path.with_name(f".{os.getpid()}-partial-{path.name}")  # its suffix says how to pack it
        try:
            chosen.write(self._store, partial, Choice(sessions, user), writing)
            if path.exists():
                _check_replaced(path, partial)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            partial.replace(path)
        finally:
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink(missing_ok=True)
        counts, lost = dict(writing.counts), dict(writing.losses)
        return Exported(chosen.name, str(path), counts, lost, tuple(writing.warnings))

    def exporters(self) -> Sequence[Exporter]:
        """List the exporters there are, plugins' among them."""
        return self._store.host.exporters()


def _check_replaced(path: Path, new: Path) -> None:
    """Raise Conflict for what no earlier export can have been: a database, a folder of other things."""
    if path.is_dir() != new.is_dir():
        what, wanted = ("folder", "file") if path.is_dir() else ("file", "folder")
        raise Conflict(f"{path} is a {what}, and this export is a {wanted}; name another one")
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_DATABASE)) == _DATABASE:
                raise Conflict(f"{path} is a database, which is not written over; name another file")
        return
    kinds = {one.suffix for one in new.iterdir()}
    for one in path.iterdir():
        if one.suffix not in kinds or one.is_dir() != any(other.is_dir() for other in new.glob(one.name)):
            raise Conflict(
                f"{path} holds {one.name}, which is of no such export, and would be lost; name another folder"
            )


class _Writing:
    """What an exporter tells of while it writes."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.losses: Counter[str] = Counter()
        self.warnings: dict[str, None] = {}

    def count(self, kind: str, number: int = 1) -> None:
        self.counts[kind] += number

    def lost(self, path: str, count: int = 1) -> None:
        self.losses[path] += count

    def warn(self, text: str) -> None:
        self.warnings[text] = None
