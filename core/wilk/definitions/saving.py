"""Writes definitions: the file, when the store has a folder, and the row, as one change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from wilk import codec
from wilk.definitions import loading, reader, redaction, writer
from wilk.definitions.applying import Applied, Applying
from wilk.definitions.known import Known
from wilk.definitions.loading import Reading
from wilk.definitions.places import Place, signature
from wilk.definitions.syncing import clash_text, no_folder
from wilk.definitions.tables import File, Files
from wilk.definitions.undo import Undo
from wilk.definitions.waiting import Late, Waiting
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, InvalidDefinition, NotFound, Protected
from wilk.events import Events
from wilk.files import inside


class _Draft(NamedTuple):
    """A definition on its way: where its file is (None: nowhere), and the bytes for it."""

    id: str
    path: str
    file: Path | None
    data: bytes
    definition: dict[str, Any]


class Saving:
    """Writes the definitions of one store. ``sync`` brings rows in line with files written late."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        known: Known,
        files: Files,
        waiting: Waiting,
        home: Path | None,
        sync: Callable[[list[Path]], object],
    ) -> None:
        self._engine = engine
        self._events = events
        self._known = known
        self._files = files
        self._waiting = waiting
        self._home = home
        self._sync = sync

    def save(self, kind: str, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        """Write some definitions of a kind, by id, as one change: all of them or none.

        The files are written last, so that what a row may not hold never reaches a file. Inside
        of a transaction they are written when that commits.
        """
        place = self._known.place(kind)
        if self._home is not None:
            # What a person changed since the last sync becomes a revision of its own.
            self._sync([Path(self._target(place, id)[0]) for id in definitions])
        drafts = [self._draft(place, id, definition) for id, definition in definitions.items()]
        readings = [
            Reading(
                draft.path, draft.id, None, False, sha256(draft.data).hexdigest(),
                loading.content_of(place.kind, draft.id, draft.definition),
            )
            for draft in drafts
        ]  # fmt: skip
        nested = self._engine.in_transaction
        awaited = {draft.path: draft.definition for draft in drafts}
        with self._change(place, awaited, partial(self._write_late, place, drafts)) as undo:
            applied = Applying(self._engine, self._events, self._known.table(kind), readings, []).run()
            for reading in readings:
                if reading.id in applied.clashes:
                    raise Conflict(clash_text(place, reading.path, applied.clashes[reading.id]))
                if reading.id in applied.refused:
                    raise applied.refused[reading.id]
            self._tell(applied)
            # Who gives up a claim was applied first. In that order no sync sees two files with it,
            # even when the second is never written.
            order = [file.id for file in applied.files]
            drafts.sort(key=lambda draft: order.index(draft.id))
            for draft in drafts:
                if draft.file is not None:
                    if nested:
                        self._note(place, draft, None)
                    else:
                        undo.write(draft.file, draft.data)
                        self._note(place, draft, signature(draft.file.stat()))

    def remove(self, kind: str, id: str) -> None:
        """Remove a file, and its folder when nothing else lies in it, and archive the row."""
        place = self._known.place(kind)
        path, file = self._target(place, id)
        nested = self._engine.in_transaction
        with self._change(place, {path: None}, partial(self._remove_late, place, file)) as undo:
            known = self._files.of([path]).get(path) or File(path, kind, id, None, None, "ok", None)
            applied = Applying(self._engine, self._events, self._known.table(kind), [], [known]).run()
            if id in applied.clashes:
                raise Protected(clash_text(place, path, applied.clashes[id]))
            self._tell(applied)
            if file is not None:
                self._files.put(applied.files, self._engine.clock.now())
                if not nested:
                    undo.remove(file)

    def read(self, kind: str, id: str) -> dict[str, Any]:
        """Read a definition from its file as it is now; raises NotFound and InvalidDefinition."""
        place = self._known.place(kind)
        path, file = self._target(place, id)
        if file is None:
            raise no_folder()
        try:
            return reader.parse(file.read_bytes(), path)
        except FileNotFoundError:
            raise NotFound("file", path) from None
        except OSError as error:
            raise Invalid(f"{path} cannot be read: {error.strerror}") from error

    @contextmanager
    def _change(
        self,
        place: Place,
        definitions: Mapping[str, dict[str, Any] | None],
        act: Callable[[Collection[str]], None],
    ) -> Iterator[Undo]:
        """Change rows and files together, or, inside of a transaction, rows now and files later.

        ``definitions`` are by path, None for a file that goes; ``act`` is what is done later.
        """
        undo = Undo(place)
        late = None
        if self._home is not None and self._engine.in_transaction:
            late = Late(self._waiting, definitions, act)
        try:
            # The inner block puts files back while no sync can take them over; the outer one does
            # when it is the commit that fails.
            with undo, self._engine.transaction(), undo:
                # This comes before what plugins do after the commit: they find the files written,
                # and what they raise takes nothing back.
                if late is None:
                    self._engine.after_commit(partial(self._settle, undo, definitions))
                else:
                    self._waiting.add(late)
                    self._engine.after_commit(late)
                yield undo
        except BaseException:
            if late is not None:
                # The engine has dropped it, but the traceback may hold it for long.
                self._waiting.leave(late)
            raise

    def _settle(self, undo: Undo, paths: Collection[str]) -> None:
        """The rows are committed: the files stay, and what waited for the same paths is outdated."""
        undo.forget()
        self._waiting.forget(paths)

    def _draft(self, place: Place, id: str, definition: Mapping[str, Any]) -> _Draft:
        path, file = self._target(place, id)
        plain: dict[str, Any] = codec.loads(codec.dumps(dict(definition)))
        if file is not None and redaction.is_marked(plain):
            held = self._waiting.definition(path)
            if held is None:
                held = self.read(place.kind.name, id)
            plain = redaction.reveal(plain, held, place.kind.redact(held))
        problems = [problem for problem in place.kind.schema.check(plain) if not problem.warning]
        if problems:
            raise InvalidDefinition([reader.describe(problem, path) for problem in problems])
        data = b"" if file is None else writer.rendered(file, path, plain, place.kind.schema)
        return _Draft(id, path, file, data, plain)

    def _target(self, place: Place, id: str) -> tuple[str, Path | None]:
        """The path of a record's file, in ``.yml`` if that is what there is; raises Invalid for a bad id."""
        path = place.path(id)
        if self._home is None:
            return path, None
        for other in place.paths(id):
            if (self._home / other).exists():
                path = other
                break
        return path, inside(self._home, path)

    def _tell(self, applied: Applied) -> None:
        for change in applied.changes:
            self._events.synced(change)

    def _note(self, place: Place, draft: _Draft, stat: str | None) -> None:
        """Remember a file that wilk itself writes, so that no sync takes it for a change."""
        file_hash = sha256(draft.data).hexdigest() if stat else None
        file = File(draft.path, place.kind.name, draft.id, stat, file_hash, "ok", None)
        self._files.put([file], self._engine.clock.now())

    def _write_late(self, place: Place, drafts: Sequence[_Draft], paths: Collection[str]) -> None:
        """Write files after the commit, all or none, and take them over.

        The rows have been open to every sync since the commit, and one that saw the old files took
        the rows back to them. What holds already is no change to this sync. Where a file cannot be
        written, the rows go back to what the files say.
        """
        mine = [draft for draft in drafts if draft.path in paths]
        try:
            with Undo(place) as undo:
                for draft in mine:
                    if draft.file is not None:
                        # A person may have changed the file since it was drafted.
                        undo.write(
                            draft.file,
                            writer.rendered(draft.file, draft.path, draft.definition, place.kind.schema),
                        )
        finally:
            self._sync([Path(draft.path) for draft in mine])

    def _remove_late(self, place: Place, file: Path | None, paths: Collection[str]) -> None:
        """Remove a file after the commit; a row that a sync took back meanwhile goes with it."""
        try:
            if file is not None:
                writer.remove(file, place)
        finally:
            self._sync([Path(path) for path in paths])
