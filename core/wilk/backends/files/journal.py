"""The journal: what a commit is about to do to files, safe on the disk before the index commits.

New contents are in the journal, which is made safe, and in temporary files, which need not be. Once the
index has committed, these are renamed into place. A journal that is left amid that tells by its number
whether its commit was: the index carries the number of the last one (``PRAGMA user_version``). Without an
index what was begun is finished.

Journals of what is in place stay for a while (``.done``), for the files themselves may lie in the system's
memory yet. When enough of them have come together, files and folders are made safe at once; after a loss of
power they are written again.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from wilk import codec
from wilk.backends.files.backups import keep_copy, keep_version
from wilk.backends.files.tree import Seen, Tree, hash_of, state_of
from wilk.errors import BackendError, WilkError
from wilk.files import private_folder, sync_folder, write_atomic

logger = logging.getLogger("wilk.files")

Execute = Callable[..., list[tuple[Any, ...]]]

MOST = 64
"""Journals that come together before files are made safe."""

_LAST = 2**31


class Step(NamedTuple):
    """One file to be put in place, or removed if ``temporary`` is None. ``keep``: the earlier version is
    kept as a backup. ``text`` is its content, in the journal alone."""

    path: str
    temporary: str | None
    hash: str | None
    stat: str | None
    keep: bool
    text: str | None = None


class Staging:
    """What one commit does to files, until it is put in place or dropped."""

    def __init__(self, tree: Tree, number: int) -> None:
        self.number = number % _LAST
        self.steps: list[Step] = []
        self.parts: list[tuple[str, int, bool]] = []
        self._before: dict[str, str | None] = {}
        self._tree = tree
        self._file = tree.journal / f"{self.number}.json"
        self._lines: Any = None

    def put(self, path: str, data: bytes, *, keep: bool = False) -> Step:
        """Write a file's new content, beside where it will be."""
        temporary = f"{self.number}-{len(self.steps)}.new"
        self._before[path] = _state(self._tree.path(path))
        # Noted first, so that a file which cannot be written whole is dropped with the others.
        self.steps.append(Step(path, temporary, None, None, keep))
        handle = os.open(self._tree.journal / temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            stat = state_of(os.fstat(file.fileno()))
        private_folder(self._tree.path(path).parent)
        step = self.steps[-1] = Step(path, temporary, hash_of(data), stat, keep)
        self._note(step._replace(text=data.decode()))
        return step

    def remove(self, path: str, *, keep: bool = False) -> None:
        """Remove a file."""
        self._before[path] = _state(self._tree.path(path))
        step = Step(path, None, None, None, keep)
        self.steps.append(step)
        self._note(step)

    def _note(self, step: Step) -> None:
        self._write(list(step))

    def _write(self, line: Any) -> None:
        if self._lines is None:
            handle = os.open(self._begun, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            self._lines = os.fdopen(handle, "wb")
        self._lines.write(codec.file_text(line, indent=False) + b"\n")

    @property
    def _begun(self) -> Path:
        return self._file.with_suffix(".new")

    def write(self) -> None:
        """Make the journal safe; from here on the commit decides."""
        self._write({"number": self.number, "parts": self.parts, "boot": _boot()})
        self._lines.flush()
        os.fsync(self._lines.fileno())
        self._lines.close()
        self._begun.replace(self._file)
        sync_folder(self._tree.journal)

    def finish(self) -> None:
        """Put the files in place. What cannot be is tried again by the next commit, or the next open."""
        try:
            for path, before in self._before.items():
                if _state(self._tree.path(path)) not in (before, None):
                    _keep_edit(self._tree, path)
            _finish(self._tree, self._file, self.steps)
            _safe(self._tree, MOST)
        except OSError as error:
            logger.error("%s: the change is committed, its file is not in place yet: %s", self._file, error)

    def drop(self) -> None:
        """Forget what was staged: the commit did not happen."""
        with suppress(OSError):
            if self._lines is not None:
                self._lines.close()
            self._begun.unlink(missing_ok=True)
            _drop(self._tree, self._file, self.steps)


def settle(tree: Tree, execute: Execute | None) -> None:
    """Finish or drop what a process that died, or a disk that failed, has left. Under the tree's lock.

    Without ``execute`` there is no index. Raises BackendError when a file cannot be put in place.
    """
    files = _files(tree)
    for file in files:
        if file.suffix == ".json":
            _settle_one(tree, file, execute)
    for file in files:
        if file.suffix == ".new":
            with suppress(FileNotFoundError):
                file.unlink()


def recover(tree: Tree) -> None:
    """After a loss of power: write again what may not have come to the disk. Under the tree's lock."""
    done = [file for file in _files(tree) if file.suffix == ".done"]
    lost = False
    last: dict[str, tuple[Step, int]] = {}
    for file in sorted(done, key=lambda one: int(one.stem)):
        written = file.stat().st_mtime_ns
        for line in _lines(file):
            if isinstance(line, dict):
                lost = lost or _of_another_run(line)
            else:
                last[line[0]] = Step(*line), written
    for step, written in last.values() if lost else ():
        _recover_one(tree, step, written)
    _safe(tree, 0)


def forget(tree: Tree) -> None:
    """When a store closes: make all files safe, so that nothing people do to them later is taken for what
    a loss of power did. Whoever is at work on the tree does it instead."""
    with suppress(OSError, WilkError):
        if any(file.suffix == ".done" for file in _files(tree)):
            with tree.locked(0.0):
                _safe(tree, 0)


def unfinished(tree: Tree) -> list[str]:
    """The journals of changes that were begun and not ended; none while others are at work on the tree."""
    with suppress(OSError, WilkError), tree.locked(0.0):
        return [file.name for file in _files(tree) if file.suffix == ".json"]
    return []


def _of_another_run(end: dict[str, Any]) -> bool:
    """Whether the machine may have lost its power since a journal was written."""
    return not end["boot"] or end["boot"] != _boot()


def _recover_one(tree: Tree, step: Step, written: int) -> None:
    """Write a file again, if it is not as its journal says that was ``written`` then."""
    file = tree.path(step.path)
    found = hash_of(file.read_bytes()) if file.exists() else None
    if found == step.hash:
        return
    if found is not None and (stat := file.stat()).st_size:
        if stat.st_mtime_ns > written:
            return  # a later commit's, or a person's
        logger.warning("%s is not what was written last; it is kept as %s", file, keep_copy(tree, step.path))
    if step.text is None:
        file.unlink(missing_ok=True)
    else:
        write_atomic(file, step.text.encode())
        os.utime(file, ns=(written, written))


def _settle_one(tree: Tree, file: Path, execute: Execute | None) -> None:
    *lines, end = _lines(file)
    steps = [Step(*line) for line in lines]
    if execute is not None and execute("PRAGMA main.user_version")[0][0] != end["number"]:
        _drop(tree, file, steps)
        return
    try:
        written, lost = file.stat().st_mtime_ns, _of_another_run(end)
        for step in steps:
            _prepare(tree, step, written, lost=lost)
        _finish(tree, file, steps)
        for step in steps if lost else ():
            _recover_one(tree, step, written)
    except OSError as error:
        raise BackendError(
            f"{error.filename or file} cannot be written, which a change waits for that is committed: "
            f"{error.strerror}"
        ) from error
    if execute is not None:
        for step in steps:
            seen = None if step.temporary is None else Seen(step.stat, step.hash, "ok", None)
            tree.note(execute, step.path, seen)
        note_parts(execute, [tuple(part) for part in end["parts"]])


def _prepare(tree: Tree, step: Step, written: int, *, lost: bool) -> None:
    """See to it that what waits to be put in place is whole, and that no edit made meanwhile is lost."""
    temporary, target = tree.journal / (step.temporary or ""), tree.path(step.path)
    if step.temporary is not None:
        if not temporary.exists():
            return  # in place already
        if lost and step.text is not None and hash_of(temporary.read_bytes()) != step.hash:
            temporary.write_bytes(step.text.encode())
    if target.exists() and target.stat().st_mtime_ns > written:
        _keep_edit(tree, step.path)


def _keep_edit(tree: Tree, path: str) -> None:
    """Put aside what a person saved after a commit had looked at the file that it writes."""
    logger.warning(
        "%s was changed by hand while it was written; it is kept as %s",
        tree.path(path),
        keep_copy(tree, path),
    )


def _state(file: Path) -> str | None:
    try:
        return state_of(file.stat())
    except FileNotFoundError:
        return None


def note_parts(execute: Execute, parts: list[tuple[str, int, bool]]) -> None:
    """Note where files of rows begin, or that one is no more."""
    for head, first, there in parts:
        if there:
            execute(
                "INSERT INTO tree.parts (head, first) VALUES (?, ?) ON CONFLICT DO NOTHING", (head, first)
            )
        else:
            execute("DELETE FROM tree.parts WHERE head = ? AND first = ?", (head, first))


def _finish(tree: Tree, file: Path, steps: list[Step]) -> None:
    for step in steps:
        target = tree.path(step.path)
        if step.temporary is None:
            if step.keep:
                keep_version(tree, step.path)
            target.unlink(missing_ok=True)
            _prune(tree, target.parent)
            continue
        temporary = tree.journal / step.temporary
        if not temporary.exists():
            continue  # it is in place already
        if step.keep:
            keep_version(tree, step.path)
        private_folder(target.parent)
        try:
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
            temporary.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            write_atomic(target, temporary.read_bytes())  # a folder that lies on another disk
            temporary.unlink()
    file.replace(file.with_suffix(".done"))


def _safe(tree: Tree, most: int) -> None:
    """Make all files safe on the disk, if there are more journals than that, and forget the journals."""
    done = [file for file in _files(tree) if file.suffix == ".done"]
    if len(done) <= most:
        return
    paths = {line[0] for file in done for line in _lines(file) if isinstance(line, list)}
    folders = set()
    for path in paths:
        target = tree.path(path)
        with suppress(FileNotFoundError):
            handle = os.open(target, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        folder = target.parent
        while folder not in folders and folder != tree.base.parent:
            if folder.is_dir():
                folders.add(folder)
            folder = folder.parent
    for folder in folders:
        sync_folder(folder)
    for file in done:
        file.unlink(missing_ok=True)


def _drop(tree: Tree, file: Path, steps: list[Step]) -> None:
    file.unlink(missing_ok=True)
    for step in steps:
        if step.temporary is not None:
            (tree.journal / step.temporary).unlink(missing_ok=True)
            _prune(tree, tree.path(step.path).parent)


def _prune(tree: Tree, folder: Path) -> None:
    """Remove folders that hold nothing any more."""
    while folder != tree.base:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _files(tree: Tree) -> list[Path]:
    try:
        return sorted(tree.journal.iterdir())
    except FileNotFoundError:
        return []


def _lines(file: Path) -> Iterator[Any]:
    """What a journal says: a list for each file, and at the end an object."""
    with file.open("rb") as lines:
        for line in lines:
            yield codec.parse(line)


def _boot() -> str | None:
    """What tells this run of the machine from every other; None where the system does not say."""
    if sys.platform != "linux":
        return None
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
