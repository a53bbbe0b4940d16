"""What a watcher looks at: the definition files, and the folders that lead to them."""

# Paths are text here: they come so, one for each signal.
# ruff: noqa: PTH112, PTH113, PTH116, PTH118, PTH206, PTH208

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from wilk.contracts import DefinitionKind
from wilk.definitions.places import Place

Identity = tuple[tuple[int, int] | None, ...]
_ID = "{id}"


class Scope:
    """The places of all kinds under one home folder, as questions about full paths.

    Folders count to the depth that a pattern names: what lies in an agent's ``tools/`` is not
    looked at. Editors' by-files are no definitions (see :class:`wilk.definitions.places.Place`).
    """

    def __init__(self, home: Path, places: Iterable[Place]) -> None:
        self.home = os.fspath(home)
        self._places = tuple(places)
        self._files = [tuple(place.kind.pattern.split("/")) for place in self._places]
        self._folders = {parts[:end] for parts in self._files for end in range(1, len(parts))}

    def kind(self, path: str) -> DefinitionKind | None:
        """The kind of the definition file that has its place there, existing or not."""
        name = path[len(self.home) + 1 :].replace(os.sep, "/")
        return next((place.kind for place in self._places if place.id(name) is not None), None)

    def is_folder(self, path: str) -> bool:
        """Whether a folder there leads to definition files."""
        names = self._names(path)
        return not names or any(_fits(names, parts) for parts in self._folders)

    def tops(self) -> Iterator[tuple[str, bool]]:
        """The folders right below the home folder, and whether there are folders below them."""
        deep = {parts[0] for parts in self._folders if len(parts) > 1}
        for top in sorted({parts[0] for parts in self._folders}):
            yield os.path.join(self.home, top), top in deep

    def folders_in(self, path: str) -> Iterator[str]:
        """The folders that exist right below one folder and lead to definition files."""
        found = self._next(path)
        for name in _listing(path) if _ID in found else found:
            child = os.path.join(path, name)
            if any(_fits([name], (part,)) for part in found) and os.path.isdir(child):
                yield child

    def leads_on(self, path: str) -> bool:
        """Whether folders below that one lead to definition files."""
        return bool(self._next(path))

    def files_below(self, path: str) -> Iterator[str]:
        """The definition files that exist at or below a path."""
        if os.path.isdir(path):
            for name in _listing(path):
                child = os.path.join(path, name)
                if self.kind(child) is not None and os.path.isfile(child):
                    yield child
            for folder in self.folders_in(path):
                yield from self.files_below(folder)
        elif os.path.isfile(path) and self.kind(path) is not None:
            yield path

    def files_of(self, path: str) -> Iterator[str]:
        """What to sync when a path has changed: a folder's files by their names, there or not.

        A folder whose files only a look can tell, such as all of ``prompts``, stays as it is.
        """
        names = self._names(path)
        rests = [parts[len(names) :] for parts in self._files if _fits(names, parts[: len(names)])]
        if self.kind(path) is not None or any(_ID in rest for rest in map("/".join, rests)):
            yield path
            return
        for rest in rests:
            file = os.path.join(path, *rest)
            yield from filter(self.kind, (file, file.removesuffix(".yaml") + ".yml"))

    def identity(self) -> Identity:
        """What now stands at the home folder and at each top folder: (device, inode) or None.

        A folder that was deleted and made again, or a link that was turned, has another identity.
        """
        return tuple(_identity(path) for path in (self.home, *(path for path, _ in self.tops())))

    def _next(self, path: str) -> set[str]:
        """What patterns say of the names of folders right below one folder."""
        names = self._names(path)
        depth = len(names)
        return {parts[depth] for parts in self._folders if len(parts) > depth and _fits(names, parts[:depth])}

    def _names(self, path: str) -> list[str]:
        return path[len(self.home) + 1 :].split(os.sep) if path != self.home else []


def _fits(names: list[str], parts: tuple[str, ...]) -> bool:
    return len(names) == len(parts) and all(
        name == part or (part == _ID and name[:1] not in (".", "#", "") and name[-1] != "~")
        for name, part in zip(names, parts, strict=True)
    )


def _listing(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:  # it vanished, which its own signal tells, or may not be read, which a sync tells
        return []


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
