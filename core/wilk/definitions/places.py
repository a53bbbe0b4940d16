"""Where the files of a kind lie, and finding them: a listing of the folder and one stat per file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wilk.contracts import DefinitionKind
from wilk.errors import Invalid
from wilk.files import check_id

MAX_BYTES = 1 << 20
"""The most that a definition file may hold."""

_ASIDE = re.compile(r"[.#].*|.*(~|#|\.sw[a-z]|\.bak|\.orig|\.tmp)", re.S | re.I)
"""Names that editors and people give to what is not the file itself."""


class Seen(NamedTuple):
    """Something that lies where a file of a kind belongs.

    ``stat`` is None for what cannot be looked at; ``fault`` then tells why.
    """

    path: str
    id: str
    stat: os.stat_result | None
    fault: str | None = None


class Place:
    """The place of one kind under the home folder, from its pattern.

    ``prompts/{id}.yaml`` is a file per record, ``agents/{id}/agent.yaml`` a folder per record,
    and ``config.yaml`` one file, whose record has the kind's name as id. Of the first two,
    ``.yml`` is understood as well; where both are there, ``.yaml`` goes first.
    """

    def __init__(self, kind: DefinitionKind) -> None:
        before, mark, tail = kind.pattern.partition("{id}")
        self.kind = kind
        self.single = not mark
        self.prefix = before
        self.folder = before.rstrip("/") if mark else ""
        self.tail = tail
        self._tails = (tail, tail[:-5] + ".yml") if tail.endswith(".yaml") else (tail,)

    def path(self, id: str) -> str:
        """The path of a record's file, relative to the home folder. Raises Invalid for a bad id."""
        if not self.single:
            if _ASIDE.fullmatch(check_id(id, self.kind.name)):
                raise Invalid(
                    f"{self.kind.name} id {id!r}: files of such names are put aside by editors, and not read"
                )
            return self.prefix + id + self.tail
        if id != self.kind.name:
            raise Invalid(f"{self.kind.name} is one file; its id is {self.kind.name!r}, not {id!r}")
        return self.kind.pattern

    def id(self, path: str) -> str | None:
        """The id of the record that a relative path is for; None when it is none of this kind's."""
        if self.single:
            return self.kind.name if path == self.kind.pattern else None
        for tail in self._tails:
            if path.startswith(self.prefix) and path.endswith(tail):
                id = path[len(self.prefix) : -len(tail)]
                return id if id and "/" not in id and not _ASIDE.fullmatch(id) else None
        return None

    def paths(self, id: str) -> list[str]:
        """Every path at which a record's file may lie, the one that goes first at the front."""
        return [self.kind.pattern] if self.single else [f"{self.prefix}{id}{tail}" for tail in self._tails]

    def may_lie_below(self, folder: str) -> bool:
        """Whether files of this kind may lie below a relative folder, which ends in ``/``."""
        return self.prefix.startswith(folder) or (not self.single and folder.startswith(self.prefix))

    def scan(self, home: Path) -> Iterator[Seen]:
        """Find the files of this kind. Raises OSError when their folder cannot be listed."""
        if self.single:
            yield from look(home, self.kind.pattern, self.kind.name)
            return
        try:
            listing = os.scandir(f"{home}/{self.folder}")
        except FileNotFoundError:
            return
        with listing:
            yield from self._folders(home, listing) if self.tail[0] == "/" else self._files(home, listing)

    def _files(self, home: Path, listing: Iterator[os.DirEntry[str]]) -> Iterator[Seen]:
        for entry in listing:
            path = self.prefix + entry.name
            id = self.id(path)
            if id is not None:
                yield from look(home, path, id)

    def _folders(self, home: Path, listing: Iterator[os.DirEntry[str]]) -> Iterator[Seen]:
        # This loop runs for every agent at every sync.
        stat, root, prefix, tail = os.stat, f"{home}/", self.prefix, self.tail
        for entry in listing:
            id = entry.name
            path = f"{prefix}{id}{tail}"
            try:
                found = stat(root + path)
            except OSError:
                if not _ASIDE.fullmatch(id):
                    for other in self._tails:
                        yield from look(home, f"{prefix}{id}{other}", id)
            else:
                if id[0] != "." and not _ASIDE.fullmatch(id):
                    yield Seen(path, id, found)


def look(home: Path, path: str, id: str) -> Iterator[Seen]:
    """Look at one path under the home folder: gives one Seen, or none when nothing is there."""
    full = f"{home}/{path}"
    try:
        yield Seen(path, id, os.stat(full))  # noqa: PTH116  (so is os.stat above: no Path per file)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(full):  # noqa: PTH114
            yield Seen(path, id, None, "this link leads nowhere; mend or remove it")
    except OSError as error:
        yield Seen(path, id, None, f"this cannot be looked at: {error.strerror}")


def signature(stat: os.stat_result) -> str:
    """What tells one state of a file from the next, without reading it."""
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"


def printable(path: str) -> str:
    """A path as text that every engine can keep, whatever bytes are in its names."""
    if path.isascii():
        return path
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
