"""The files of a home folder that a backup takes along: definitions, tools, and what else is not derived."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from wilk.definitions.places import Place

_BESIDE = ("tools", "sessions")
_PASSED_OVER = ("__pycache__",)


class Found(NamedTuple):
    """A file below the home folder: its path with slashes, and whether it is a definition or state."""

    path: str
    what: str


def files(home: Path, places: Iterable[Place]) -> tuple[list[Found], list[str]]:
    """The files to take along, by path, and notes on what cannot be."""
    found: dict[str, str] = {}
    notes: list[str] = []
    folders: set[str] = set(_BESIDE)
    for place in places:
        if place.single:
            if _is_file(home / place.kind.pattern):
                found[place.kind.pattern] = "definition"
        elif place.folder:
            folders.add(place.folder.split("/")[0])
        else:
            for path in _names(home):
                if place.id(path) is not None and _is_file(home / path):
                    found[path] = "definition"
    for folder in sorted(folders):
        what = "state" if folder == "sessions" else "definition"
        for path in _below(home, folder, notes):
            found.setdefault(path, what)
    return [Found(path, found[path]) for path in sorted(found)], notes


def kind_of(path: str, places: Iterable[Place]) -> tuple[Place, str] | None:
    """The kind that a path is a definition of, and the definition's id; None for a file of no kind."""
    for place in places:
        id = place.id(path)
        if id is not None:
            return place, id
    return None


def unreadable(home: Path, paths: Iterable[str], places: Mapping[str, Place]) -> list[str]:
    """What is wrong with definitions among files, as they lie below a folder."""
    from wilk.definitions.loading import parsed
    from wilk.errors import InvalidDefinition

    told: list[str] = []
    for path in paths:
        found = kind_of(path, places.values())
        if found is None:
            continue
        place, id = found
        try:
            parsed(place.kind, id, (home / path).read_bytes(), path, lambda _: None)
        except InvalidDefinition as error:
            told.append(error.problems[0])
        except OSError as error:
            told.append(f"{path}: cannot be read: {error.strerror}")
    return told


def _below(home: Path, folder: str, notes: list[str]) -> Iterator[str]:
    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            notes.append(f"{error.filename}: cannot be listed: {error.strerror}")

    for place, folders, names in os.walk(home / folder, onerror=failed):
        base = Path(place)
        links = [base / name for name in folders if (base / name).is_symlink()]
        notes += [
            f"{link.relative_to(home).as_posix()}: a link to a folder is not followed" for link in links
        ]
        folders[:] = sorted(name for name in folders if name not in _PASSED_OVER)
        for name in sorted(names):
            path = (base / name).relative_to(home).as_posix()
            if name.startswith(".tmp-"):
                continue
            if not _writable(path):
                notes.append(f"{path!r}: a name that is no UTF-8 cannot be kept")
            elif _is_file(base / name):
                yield path


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if _writable(name))  # noqa: PTH208 (text is wanted)
    except OSError:
        return []


def _writable(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
