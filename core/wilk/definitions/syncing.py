"""Takes over what changed in the files: reads outside, compares and writes inside one transaction."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from wilk.definitions import loading, looking
from wilk.definitions.applying import Applied, Applying, missing
from wilk.definitions.claims import Clash
from wilk.definitions.known import Known
from wilk.definitions.loading import Reading
from wilk.definitions.looking import HOME, View
from wilk.definitions.places import Place, look, printable, signature
from wilk.definitions.tables import File, Files
from wilk.definitions.waiting import Waiting
from wilk.engine import Engine
from wilk.errors import SettingsError
from wilk.events import Events
from wilk.records.definitions import Change, Failure, SyncReport

_log = logging.getLogger("wilk.definitions")

_ROUNDS = 3
"""How often a sync looks again when files change under its hands; the next sync sees the rest."""


class Syncing:
    """Syncs one folder with one store."""

    def __init__(
        self, engine: Engine, events: Events, known: Known, files: Files, waiting: Waiting, home: Path
    ) -> None:
        self._engine = engine
        self._events = events
        self._known = known
        self._files = files
        self._waiting = waiting
        self._home = home

    def run(self, paths: Collection[Path] | None) -> SyncReport:
        """Sync the whole folder, or only some paths."""
        places = self._known.places()
        seen = parsed = 0
        changes: list[Change] = []
        for _ in range(_ROUNDS):
            view = self._look(places, paths)
            seen = max(seen, view.seen)
            if view.is_empty:
                break
            readings = self._read(view)
            parsed += sum(not reading.same and reading.file_hash is not None for _, reading in readings)
            done, moved = self._take(readings, view)
            changes += done
            if not moved and len(readings) == len(view.changed):
                break
        return SyncReport(seen, parsed, tuple(changes), tuple(self._failures(paths)))

    def _look(self, places: Mapping[str, Place], paths: Collection[Path] | None) -> View:
        """Look for changes, passing over the files that the thread's transaction is yet to write."""
        if paths is None:
            view = looking.around(self._home, places, self._files)
        else:
            view = looking.at(self._home, places, self._files, paths)
        waiting = self._waiting.paths()
        if not waiting:
            return view
        return view._replace(
            changed=[(place, seen) for place, seen in view.changed if printable(seen.path) not in waiting],
            gone=[path for path in view.gone if path not in waiting],
        )

    def _read(self, view: View) -> list[tuple[Place, Reading]]:
        """Read the files that differ, leaving out those that are gone by now."""
        known = self._files.of([printable(seen.path) for _, seen in view.changed])
        readings = []
        for place, seen in view.changed:
            reading = loading.read(self._home, place, seen, known.get(printable(seen.path)), _log.warning)
            if reading is not None:
                readings.append((place, reading))
        return readings

    def _take(self, readings: list[tuple[Place, Reading]], view: View) -> tuple[list[Change], bool]:
        """Write what was read and what is gone. Tells also whether files changed meanwhile.

        All that was compared before is compared again, now that no other process can write: of
        several that saw the same change, one takes it over.
        """
        changes: list[Change] = []
        files: list[File] = []
        with self._engine.transaction():
            known = self._files.of([*(reading.path for _, reading in readings), *view.gone, *view.unlisted])
            fresh, moved = self._fresh(readings, known, files)
            gone = [known[path] for path in view.gone if path in known and known[path].state != "missing"]
            files += [missing(file) for file in gone if not file.id]
            for path, (kind, text) in view.unlisted.items():
                files.append(File(path, kind, "", None, None, "broken", text))
            for name, place in self._known.places().items():
                mine = [reading for other, reading in fresh if other is place]
                left = [file for file in gone if file.kind == name and file.id]
                if mine or left:
                    lost = [file for file in left if not self._has_other(place, file)]
                    files += [missing(file) for file in left if file not in lost]
                    applied = Applying(self._engine, self._events, self._known.table(name), mine, lost).run()
                    changes += applied.changes
                    files += applied.files
                    files += _turned_away(place, mine, lost, applied)
            self._files.put(
                [file for file in files if known.get(file.path) != file], self._engine.clock.now()
            )
            for change in changes:
                self._events.synced(change)
            for file in files:
                if file.error is not None and (
                    file.path not in known or known[file.path].error != file.error
                ):
                    self._events.failed(_failure(file))
        return changes, moved

    def _fresh(
        self, readings: list[tuple[Place, Reading]], known: Mapping[str, File], files: list[File]
    ) -> tuple[list[tuple[Place, Reading]], bool]:
        """The readings that are still news, and whether some are out of date already."""
        fresh: list[tuple[Place, Reading]] = []
        moved = False
        for place, reading in readings:
            before = known.get(reading.path)
            taken = before is not None and before.state == "ok" and before.file_hash == reading.file_hash
            if before is not None and (taken or reading.same):
                if reading.settled:
                    files.append(before._replace(stat=reading.stat))
            elif reading.file_hash is not None and self._has_changed(reading):
                moved = True
            else:
                fresh.append((place, reading))
        return fresh, moved

    def _has_changed(self, reading: Reading) -> bool:
        seen = next(look(self._home, reading.path, reading.id), None)
        return seen is None or seen.stat is None or signature(seen.stat) != reading.stat

    def _has_other(self, place: Place, file: File) -> bool:
        """Whether a record has a file after all: in ``.yaml`` instead of ``.yml``, or back again."""
        return any(next(look(self._home, path, file.id), None) for path in place.paths(file.id))

    def _failures(self, paths: Collection[Path] | None) -> list[Failure]:
        """The files that cannot be taken over as things stand, found now or before."""
        places = self._known.places()
        broken = {
            path: file
            for path, file in self._files.broken().items()
            if file.kind in places or file.kind == HOME
        }
        if paths is not None:
            wanted = looking.beneath(self._home, places, self._files, paths)
            if wanted is not None:
                broken = {path: file for path, file in broken.items() if path in wanted}
        return [_failure(file) for _, file in sorted(broken.items())]


def no_folder() -> SettingsError:
    """What to raise where files are wanted of a store that has none."""
    return SettingsError("this store has no home folder, so it has no files; open it with home=FOLDER")


def clash_text(place: Place, path: str, clash: Clash) -> str:
    """Say what a file wants that another has."""
    field, value = clash.claim
    if clash.holder is None:
        return (
            f"{path}: this persona is the default of the category {value!r}, so it stays; "
            "make another persona the default (`default: true`), or put the file back"
        )
    holder = place.path(clash.holder)
    if field == "default":
        return (
            f"{path}: default: {holder} is the default of the category {value!r} already; "
            "take `default: true` out of one of them"
        )
    return f"{path}: name: {holder} has the name {value!r} already; give one of them another name"


def _turned_away(place: Place, readings: list[Reading], gone: list[File], applied: Applied) -> list[File]:
    """What is to be known of files that could not be taken over."""
    kind = place.kind.name
    files: list[File] = []
    for reading in readings:
        if reading.problems:
            files.append(reading.file(kind, "\n".join(reading.problems)))
        elif reading.id in applied.clashes:
            text = clash_text(place, reading.path, applied.clashes[reading.id])
            files.append(reading.file(kind, text, lasting=False))
        elif reading.id in applied.refused:
            files.append(reading.file(kind, f"{reading.path}: {applied.refused[reading.id]}", lasting=False))
    for file in gone:
        clash = applied.clashes.get(file.id)
        if clash is not None and clash.holder is None:
            files.append(file._replace(stat=None, state="broken", error=clash_text(place, file.path, clash)))
    return files


def _failure(file: File) -> Failure:
    return Failure(file.kind, file.id, file.path, tuple((file.error or "").split("\n")))
