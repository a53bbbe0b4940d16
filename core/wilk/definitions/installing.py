"""Writes the files of an agent's folder and its rows as one change: packages are installed by this.

The files lie ready in a hidden folder beside the agent's, with a plan of what is to become of them,
before the first of them is moved. A process that is killed before the plan is written has changed
nothing; what it began after that is finished by the next one (:meth:`Installing.finish_others`).
"""

from __future__ import annotations

import logging
import os
import stat as modes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from wilk import codec
from wilk.definitions import loading, reader, writer
from wilk.definitions.applying import Applying
from wilk.definitions.known import Known
from wilk.definitions.loading import Reading
from wilk.definitions.packages import DEFINITIONS, MAX_FILE, Contents
from wilk.definitions.places import signature
from wilk.definitions.syncing import clash_text, no_folder
from wilk.definitions.tables import File, Files
from wilk.engine import Engine
from wilk.errors import BackendError, Conflict, Invalid
from wilk.events import Events
from wilk.files import inside, private_folder, sync_folder, write_atomic

_log = logging.getLogger("wilk.definitions")

_KIND = "agents"
_STAGE = ".wilk-"
_PLAN = "plan.json"


class Step(NamedTuple):
    """What becomes of one file: its bytes (None: it goes), and its hash as it is (None: it is not there)."""

    data: bytes | None
    before: str | None


class Installing:
    """Changes the folders of agents in one home folder. ``sync`` takes over what people changed."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        known: Known,
        files: Files,
        home: Path | None,
        sync: Callable[[list[Path]], object],
    ) -> None:
        self._engine = engine
        self._events = events
        self._known = known
        self._files = files
        self._home = home
        self._sync = sync

    @property
    def home(self) -> Path:
        """The home folder; raises SettingsError for a store without one."""
        if self._home is None:
            raise no_folder()
        return self._home

    # -- looking --------------------------------------------------------------------------

    def folder(self, id: str) -> Path:
        """The folder of an agent, there or not; raises Invalid for a bad id."""
        return self.home / self._place_of(id).rpartition("/")[0]

    def hash_of(self, id: str, path: str) -> str | None:
        """The SHA-256 of a file of an agent; None when it is not there. Raises Invalid for no file."""
        data = self.bytes_of(id, path)
        return None if data is None else sha256(data).hexdigest()

    def bytes_of(self, id: str, path: str) -> bytes | None:
        """A file of an agent; None when it is not there. Raises Invalid for what is no file."""
        file = self._file(id, path)
        try:
            stat = file.stat()
            if not modes.S_ISREG(stat.st_mode):
                raise Invalid(f"{file} is no file, and is to be one; move it away")
            if stat.st_size > MAX_FILE * 4:
                raise Invalid(f"{file} is too long to be part of a package; move it away")
            return file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Invalid(f"{file} cannot be read: {error.strerror}") from error

    def definition_of(self, id: str) -> str | None:
        """The name of an agent's definition file; None when there is none."""
        folder = self.folder(id)
        return next((name for name in DEFINITIONS if os.path.lexists(folder / name)), None)

    def check(self, id: str, name: str, data: bytes) -> list[str]:
        """Check a definition as `wilk agents check` does; return its doubts, or raise InvalidDefinition."""
        doubts: list[str] = []
        self._content(id, name, data, doubts.append)
        return doubts

    def check_public(self, id: str, contents: Contents) -> None:
        """Raise Invalid when a definition holds what a package must not: values that are kept in the file."""
        place = self._known.place(_KIND)
        where = f"{place.prefix}{id}/{contents.definition}"
        definition = reader.parse(contents.files[contents.definition], where)
        if codec.canonical(place.kind.redact(definition)) != codec.canonical(definition):
            raise Invalid(
                f"{where} holds secrets, and would give them away; refer to variables instead, such as "
                "${API_KEY}"
            )

    def merged(self, id: str, name: str, definition: Mapping[str, Any]) -> bytes:
        """The bytes of an agent's definition with other content; what a person wrote in it stays.

        Raises Invalid when that cannot be done.
        """
        schema = self._known.place(_KIND).kind.schema
        return writer.rendered(self._file(id, name), f"{_KIND}/{id}/{name}", definition, schema)

    # -- writing --------------------------------------------------------------------------

    def write(
        self, id: str, steps: Mapping[str, Step], rows: Callable[[], None], note: Mapping[str, Any]
    ) -> None:
        """Change files of an agent's folder, by path, and its rows: all of it happens, or nothing.

        ``rows`` is called in the same transaction. ``note`` is handed to :meth:`finish_others` when this
        process is killed on the way. Raises Conflict for a name that another agent has and for a file that
        was changed since, Rejected, and Invalid for what cannot be written.
        """
        if self._engine.in_transaction:
            raise Invalid("files of packages are written at once: call this outside of a transaction")
        self._take_over(id)  # what a person changed becomes a revision of its own
        stage = self.folder(id).with_name(_STAGE + id)
        with _staged(stage, steps) as names:
            plan = [
                {"path": path, "from": names.get(path), "before": step.before, "after": _hash(step.data)}
                for path, step in steps.items()
            ]
            moves = _Moves()
            # The inner block puts files back before others see the rows; the outer one does when it
            # is the commit that fails.
            with moves, self._engine.transaction(), moves:
                self._engine.after_commit(moves.forget)
                noted = self._apply(id, steps)
                rows()
                self._check_unchanged(id, steps)
                moves.plan = stage / _PLAN
                write_atomic(
                    stage / _PLAN, codec.dumps({"id": id, "steps": plan, "note": dict(note)}).encode()
                )
                for path in steps:
                    moves.make(stage / names[path] if path in names else None, self._file(id, path))
                if noted is not None:
                    path, file_hash = noted
                    stat = signature(self._file(id, path).stat())
                    self._note(id, path, stat, file_hash)
            _tidy(self.folder(id), steps)

    def finish_others(self, finish: Callable[[str, Mapping[str, Any]], None]) -> list[str]:
        """Finish what killed processes began, and drop what they only prepared; return the agents' ids.

        ``finish(id, note)`` writes the rows. The caller keeps other processes away. A file that a person
        changed since stays as it is; the one that was to replace it is put beside it.
        """
        finished = []
        try:
            stages = sorted((self.home / _KIND).glob(_STAGE + "*"))
        except OSError:
            return []
        for stage in stages:
            try:
                plan = codec.loads((stage / _PLAN).read_bytes())
            except FileNotFoundError:
                _drop(stage)
                continue
            except (OSError, ValueError) as error:
                raise BackendError(f"{stage / _PLAN} cannot be read ({error}); remove {stage}") from error
            id = plan["id"]
            for step in plan["steps"]:
                self._redo(id, stage, step)
            self._take_over(id)
            with self._engine.transaction():
                finish(id, plan["note"])
            _drop(stage)
            _tidy(self.folder(id), [step["path"] for step in plan["steps"]])
            _log.warning("agent %s: finished what another process had begun", id)
            finished.append(id)
        return finished

    def _take_over(self, id: str) -> None:
        self._sync([Path(path) for path in self._known.place(_KIND).paths(id)])

    def _redo(self, id: str, stage: Path, step: Mapping[str, Any]) -> None:
        path, name, now = step["path"], step["from"], self.hash_of(id, step["path"])
        target = self._file(id, path)
        try:
            if now == step["after"] or (name is not None and not (stage / name).exists()):
                return  # it was done, whatever became of the file since
            if now != step["before"]:
                _log.warning("%s was changed since, and stays; the package's is beside it", target)
                if name is not None:
                    (stage / name).replace(free_name(target, ".package"))
            elif name is None:
                target.unlink(missing_ok=True)
            else:
                private_folder(target.parent)
                (stage / name).replace(target)
                sync_folder(target.parent)
        except OSError as error:
            raise Invalid(f"{target} cannot be written: {error.strerror}") from error

    def _apply(self, id: str, steps: Mapping[str, Step]) -> tuple[str, str] | None:
        """Take over the definition among the steps; return its path and hash, if there is one."""
        place = self._known.place(_KIND)
        mine = {path: step for path, step in steps.items() if path in DEFINITIONS}
        if not mine:
            return None
        data = next((step.data for step in mine.values() if step.data is not None), None)
        if data is None:
            self._leave(id)
            return None
        path = next(path for path, step in mine.items() if step.data is not None)
        where = f"{place.prefix}{id}/{path}"
        content = self._content(id, path, data, _log.warning)
        reading = Reading(where, id, None, False, sha256(data).hexdigest(), content)
        applied = Applying(self._engine, self._events, self._known.table(_KIND), [reading], []).run()
        if id in applied.clashes:
            raise Conflict(clash_text(place, where, applied.clashes[id]))
        if id in applied.refused:
            raise applied.refused[id]
        for change in applied.changes:
            self._events.synced(change)
        return path, sha256(data).hexdigest()

    def _leave(self, id: str) -> None:
        """Archive the row of an agent whose definition goes."""
        place = self._known.place(_KIND)
        paths = place.paths(id)
        known = self._files.of(paths)
        path = next((path for path in paths if path in known), paths[0])
        file = known.get(path) or File(path, _KIND, id, None, None, "ok", None)
        applied = Applying(self._engine, self._events, self._known.table(_KIND), [], [file]).run()
        for change in applied.changes:
            self._events.synced(change)
        self._files.put(applied.files, self._engine.clock.now())

    def _check_unchanged(self, id: str, steps: Mapping[str, Step]) -> None:
        for path, step in steps.items():
            if self.hash_of(id, path) != step.before:
                raise Conflict(f"{self._file(id, path)} was changed just now; nothing was written, try again")

    def _note(self, id: str, path: str, stat: str, file_hash: str) -> None:
        """Remember the definition that was written, so that no sync takes it for a change."""
        where = f"{self._known.place(_KIND).prefix}{id}/{path}"
        self._files.put([File(where, _KIND, id, stat, file_hash, "ok", None)], self._engine.clock.now())

    def _content(self, id: str, name: str, data: bytes, doubt: Callable[[str], None]) -> loading.Content:
        place = self._known.place(_KIND)
        return loading.parsed(place.kind, id, data, f"{place.prefix}{id}/{name}", doubt)

    def _place_of(self, id: str) -> str:
        return self._known.place(_KIND).path(id)

    def _file(self, id: str, path: str) -> Path:
        folder = self.folder(id)
        inside(self.home, folder.relative_to(self.home).as_posix())
        inside(folder, *path.split("/"))
        return folder / path


class _Moves:
    """Files that were moved into place; a block that fails gets the old ones back. Blocks may be nested."""

    def __init__(self) -> None:
        self._before: list[tuple[Path, bytes | None]] = []
        self.plan: Path | None = None

    def __enter__(self) -> _Moves:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        while self._before:
            file, data = self._before.pop()
            with suppress(OSError):
                if data is None:
                    file.unlink(missing_ok=True)
                else:
                    write_atomic(file, data)
        if self.plan is not None:
            with suppress(OSError):
                self.plan.unlink(missing_ok=True)

    def make(self, staged: Path | None, target: Path) -> None:
        """Move a file into its place, or remove the one that is there; raises Invalid."""
        try:
            before = target.read_bytes() if target.exists() else None
            self._before.append((target, before))
            if staged is None:
                target.unlink(missing_ok=True)
                return
            private_folder(target.parent)
            if before is not None:
                staged.chmod(target.stat().st_mode & 0o777)
            staged.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            raise Invalid(f"{target} cannot be written: {error.strerror}") from error

    def forget(self) -> None:
        """Keep what was changed, whatever fails from now on."""
        self._before.clear()
        self.plan = None


def free_name(file: Path, ending: str) -> Path:
    """A name beside a file that nothing has yet: ``agent.yaml.local``, ``agent.yaml.2.local``."""
    found, number = file.with_name(file.name + ending), 2
    while os.path.lexists(found):
        found, number = file.with_name(f"{file.name}.{number}{ending}"), number + 1
    return found


@contextmanager
def _staged(stage: Path, steps: Mapping[str, Step]) -> Iterator[dict[str, str]]:
    """Write the new files into a folder for as long as the block runs; gives their names there, by path."""
    _drop(stage)
    try:
        private_folder(stage)
        names = {}
        for number, (path, step) in enumerate(steps.items()):
            if step.data is not None:
                names[path] = str(number)
                _write(stage / names[path], step.data)
        sync_folder(stage)
        sync_folder(stage.parent)
    except OSError as error:
        _drop(stage)
        raise Invalid(f"{error.filename or stage} cannot be written: {error.strerror}") from error
    try:
        yield names
    finally:
        _drop(stage)


def _write(file: Path, data: bytes) -> None:
    """Write a new file that only its owner reads, and bring it to the disk."""
    handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())


def _drop(stage: Path) -> None:
    """Remove a folder that held files for a while; its plan first, so that nobody follows half of it."""
    if os.path.lexists(stage):
        import shutil

        with suppress(OSError):
            (stage / _PLAN).unlink(missing_ok=True)
            sync_folder(stage)
        shutil.rmtree(stage, ignore_errors=True)


def _tidy(folder: Path, paths: Any) -> None:
    """Remove the folders that are left empty by files that went."""
    for path in paths:
        for parent in (folder / path).parents:
            if folder not in (parent, *parent.parents):
                break
            with suppress(OSError):
                parent.rmdir()


def _hash(data: bytes | None) -> str | None:
    return None if data is None else sha256(data).hexdigest()
