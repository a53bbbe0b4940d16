"""Writes definitions: the file, when the store has a folder, and the row, as one change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from wilk.definitions.syncing import clash_text
from wilk.definitions.tables import File, Files
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
    """Writes the definitions of one store. ``sync`` brings rows back in line when a file fails."""

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

    def save(self, kind: str, definitions: Mapping[str, Mapping[str, Any]]) -> None:
        """Write some definitions of a kind, by id, as one change.

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
        with self._engine.transaction():
            applied = Applying(self._engine, self._events, self._known.table(kind), readings, []).run()
            for reading in readings:
                if reading.id in applied.clashes:
                    raise Conflict(clash_text(place, reading.path, applied.clashes[reading.id]))
                if reading.id in applied.refused:
                    raise applied.refused[reading.id]
            self._tell(applied)
            for draft in drafts:
                if draft.file is not None:
                    if nested:
                        self._note(place, draft, None)
                        self._engine.after_commit(partial(self._write_late, place, draft, draft.file))
                    else:
                        writer.write(draft.file, draft.data)
                        self._note(place, draft, signature(draft.file.stat()))

    def remove(self, kind: str, id: str) -> None:
        """Remove a file, and its folder when nothing else lies in it, and archive the row."""
        place = self._known.place(kind)
        path, file = self._target(place, id)
        nested = self._engine.in_transaction
        with self._engine.transaction():
            known = self._files.of([path]).get(path) or File(path, kind, id, None, None, "ok", None)
            applied = Applying(self._engine, self._events, self._known.table(kind), [], [known]).run()
            if id in applied.clashes:
                raise Protected(clash_text(place, path, applied.clashes[id]))
            self._tell(applied)
            if file is not None:
                self._files.put(applied.files, self._engine.clock.now())
                if nested:
                    self._engine.after_commit(lambda: writer.remove(file, place))
                else:
                    writer.remove(file, place)

    def read(self, kind: str, id: str) -> dict[str, Any]:
        """Read a definition from its file as it is now; raises NotFound and InvalidDefinition."""
        place = self._known.place(kind)
        path, file = self._target(place, id)
        if file is None:
            raise Invalid("this store has no home folder, so it has no files; open it with home=FOLDER")
        try:
            return reader.parse(file.read_bytes(), path)
        except FileNotFoundError:
            raise NotFound("file", path) from None
        except OSError as error:
            raise Invalid(f"{path} cannot be read: {error.strerror}") from error

    def _draft(self, place: Place, id: str, definition: Mapping[str, Any]) -> _Draft:
        path, file = self._target(place, id)
        plain: dict[str, Any] = codec.loads(codec.dumps(dict(definition)))
        if file is not None and redaction.is_marked(plain):
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

    def _write_late(self, place: Place, draft: _Draft, file: Path) -> None:
        """Write a file after the commit; where that fails, the rows go back to what the file says."""
        try:
            # Another save of the same transaction may have changed the file by now.
            data = writer.rendered(file, draft.path, draft.definition, place.kind.schema)
            writer.write(file, data)
        except BaseException:
            self._sync([Path(draft.path)])
            raise
        with self._engine.transaction():
            self._note(place, draft._replace(data=data), signature(file.stat()))
