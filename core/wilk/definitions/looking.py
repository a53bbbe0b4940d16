"""Compares the folder with what the last sync knew, without opening a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from wilk.definitions.places import Place, Seen, look, printable, signature
from wilk.definitions.tables import Files

HOME = "home"
"""The kind under which a home folder that is not there is noted."""


class View(NamedTuple):
    """How many files there are, which differ from what is known, and which known ones are gone.

    ``unlisted`` are folders that are there but cannot be read, each with its kind and the reason.
    """

    seen: int
    changed: list[tuple[Place, Seen]]
    gone: list[str]
    unlisted: dict[str, tuple[str, str]]

    @property
    def is_empty(self) -> bool:
        return not (self.changed or self.gone or self.unlisted)


def around(home: Path, places: Mapping[str, Place], files: Files) -> View:
    """Look at the whole folder.

    A kind's folder that is not there has no files; one that cannot be read, or a home folder that
    is not there, tells nothing about its files.
    """
    known = {
        path: (stat, state) for path, stat, state, kind in files.states() if kind in places or kind == HOME
    }
    if not home.is_dir():
        fault = f"{home} is not there, so its records stay as they are; put the folder back"
        return View(0, [], [], {".": (HOME, fault)} if known else {})
    changed: list[tuple[Place, Seen]] = []
    unlisted: dict[str, tuple[str, str]] = {}
    count = 0
    for place in places.values():
        differing: list[tuple[Place, Seen]] = []
        try:
            # This loop runs for every file at every sync.
            for seen in place.scan(home):
                count += 1
                stat, state = known.pop(seen.path, (None, ""))
                if stat is None or seen.stat is None or stat != signature(seen.stat) or state == "missing":
                    differing.append((place, seen))
        except OSError as error:
            unlisted[place.folder or "."] = (place.kind.name, unlisted_text(place, error))
            known = {path: entry for path, entry in known.items() if not path.startswith(place.prefix)}
        else:
            changed += differing
    for _, seen in changed:
        known.pop(printable(seen.path), None)
    gone = [path for path, (_, state) in known.items() if state != "missing" and path not in unlisted]
    return View(count, changed, gone, unlisted)


def at(home: Path, places: Mapping[str, Place], files: Files, paths: Collection[Path]) -> View:
    """Look at some paths, and at those files that no change of their own can heal.

    The latter are files whose name is taken: it may have been given up by one of the paths.
    """
    wanted = beneath(home, places, files, paths)
    if wanted is None or not home.is_dir():
        return around(home, places, files)
    known = files.of(wanted)
    for path, file in files.broken().items():
        if file.stat is None and file.kind in places and file.id:
            known[path] = file
            wanted[path] = (places[file.kind], file.id)
    changed: list[tuple[Place, Seen]] = []
    gone: list[str] = []
    for path, (place, id) in wanted.items():
        before = known.get(path)
        seen = next(look(home, path, id), None)
        if seen is None:
            if before is not None and before.state != "missing":
                gone.append(path)
        elif (
            before is None or before.stat is None or seen.stat is None or before.stat != signature(seen.stat)
        ):
            changed.append((place, seen))
    return View(len(wanted), changed, gone, {})


def beneath(
    home: Path, places: Mapping[str, Place], files: Files, paths: Collection[Path]
) -> dict[str, tuple[Place, str]] | None:
    """The files that paths name or hold, known or there; None when they are the whole folder.

    Paths that no definition can lie at are passed over.
    """
    wanted: dict[str, tuple[Place, str]] = {}
    folders: set[str] = set()
    for path in paths:
        relative = _relative(home, path)
        if relative == ".":
            return None
        if relative is None:
            continue
        for place in places.values():
            id = place.id(relative)
            if id is not None:
                wanted[relative] = (place, id)
            elif place.may_lie_below(f"{relative}/"):
                folders.add(f"{relative}/")
    for place in places.values() if folders else ():
        try:
            there = [printable(seen.path) for seen in place.scan(home)]
        except OSError:
            return None  # the look at the whole knows what to say
        for path in (*there, *(path for path, _, _, kind in files.states() if kind == place.kind.name)):
            id = place.id(path)
            if id is not None and any(path.startswith(folder) for folder in folders):
                wanted[path] = (place, id)
    return wanted


def unlisted_text(place: Place, error: OSError) -> str:
    """What to tell of a folder that cannot be read."""
    folder = place.folder or "."
    return f"{folder}: this folder cannot be read ({error.strerror}), so its records stay as they are"


def _relative(home: Path, path: Path) -> str | None:
    """A path relative to the home folder, with ``/``; None when it lies elsewhere."""
    whole = home / path
    for base in (home, home.resolve()):
        if whole.is_relative_to(base):
            return whole.relative_to(base).as_posix()
    return None
