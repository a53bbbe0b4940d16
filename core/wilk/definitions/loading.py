"""Turns a file that was found into what the tables are to hold, or into what is wrong with it."""

from __future__ import annotations

import os
import stat as modes
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from wilk import codec
from wilk.contracts import DefinitionKind
from wilk.definitions.places import MAX_BYTES, Place, Seen, printable, signature
from wilk.definitions.tables import File
from wilk.errors import Invalid, InvalidDefinition
from wilk.files import check_id

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_TICK = 20_000_000
_COARSE_TICK = 2_000_000_000
_SECOND = 1_000_000_000


class Content(NamedTuple):
    """A sound definition, without its secrets, and what its table holds beyond it.

    ``json`` is the definition as the table keeps it: one text instead of many objects, of which
    a first sync of a large folder holds thousands.
    """

    json: str
    hash: str
    name: str
    version: str | None
    columns: Mapping[str, Any]


class Reading(NamedTuple):
    """What became of one file.

    ``content`` is None when there are ``problems``, and when the bytes are those that the last
    sync saw (``same``). ``stat`` is the file's state while it was read; ``settled`` is False when
    it had changed so short a time before that a further change might not show in it.
    """

    path: str
    id: str
    stat: str | None
    settled: bool
    file_hash: str | None
    content: Content | None = None
    problems: tuple[str, ...] = ()
    same: bool = False

    def file(self, kind: str, error: str | None = None, *, lasting: bool = True) -> File:
        """What is to be known of the file. Without ``lasting`` the next sync reads it again."""
        kept = self.stat if lasting and self.settled else None
        return File(
            self.path, kind, self.id, kept, self.file_hash, "ok" if error is None else "broken", error
        )


def read(
    home: Path, place: Place, seen: Seen, known: File | None, doubt: Callable[[str], None]
) -> Reading | None:
    """Read and check a file; None when it is gone by now.

    The bytes that ``known`` tells of are not parsed again. ``doubt`` hears of warnings.
    """
    path = printable(seen.path)
    if seen.fault is not None:
        return _failed(seen, path, [f"{path}: {seen.fault}"])
    try:
        check_id(seen.id, place.kind.name)
    except Invalid as error:
        return _failed(seen, path, [f"{path}: {printable(str(error))}; rename it"])
    first = _goes_first(home, place, seen)
    if first is not None:
        return _failed(seen, path, [f"{path}: {first} is there too and goes first; remove one of them"])
    try:
        stat, data = _bytes(f"{home}/{seen.path}")
    except FileNotFoundError:
        return None
    except OSError as error:
        return _failed(seen, path, [f"{path}: cannot be read: {error.strerror}"])
    if data is None:
        return _failed(seen, path, [f"{path}: this is not a file; remove or rename it"])
    from hashlib import sha256  # and OpenSSL, which a folder without changes does not need

    file_hash = sha256(data).hexdigest()
    reading = Reading(path, seen.id, signature(stat), _settled(stat), file_hash)
    if known is not None and known.file_hash == file_hash and _still_holds(known):
        return reading._replace(same=True)
    try:
        content = parsed(place.kind, seen.id, data, path, doubt)
    except InvalidDefinition as error:
        return reading._replace(problems=error.problems)
    return reading._replace(content=content)


def parsed(kind: DefinitionKind, id: str, data: bytes, path: str, doubt: Callable[[str], None]) -> Content:
    """Parse and check the bytes of a file; raises InvalidDefinition with every problem."""
    from wilk.definitions import reader  # and PyYAML, which a folder without changes does not need

    definition = reader.parse(data, path)
    try:
        problems = list(kind.schema.check(definition))
        if problems:
            for line in reader.described([problem for problem in problems if problem.warning], data, path):
                doubt(line)
            faults = [problem for problem in problems if not problem.warning]
            if faults:
                raise InvalidDefinition(reader.described(faults, data, path))
        return content_of(kind, id, definition)
    except InvalidDefinition:
        raise
    except Invalid as error:
        raise InvalidDefinition([f"{path}: {error}"]) from error
    except Exception as error:  # a kind is a plugin's code: its fault must not stop the other kinds
        fault = (
            f"the kind {kind.name!r} failed on this file ({error!r}); that is for the author of its plugin"
        )
        raise InvalidDefinition([f"{path}: {fault}"]) from error


def content_of(kind: DefinitionKind, id: str, definition: Mapping[str, Any]) -> Content:
    """What the tables hold of a sound definition."""
    definition = kind.redact(definition)
    name, version = definition.get("name") or definition.get("title"), definition.get("version")
    return Content(
        codec.dumps(definition),
        codec.content_hash(definition),
        codec.storable_text(name)[0] if isinstance(name, str) else id,
        codec.storable_text(version)[0] if isinstance(version, str) else None,
        kind.columns(id, definition),
    )


def _bytes(path: str) -> tuple[os.stat_result, bytes | None]:
    """The state and the bytes of a file; None for what is none. Never waits for a pipe."""
    handle = os.open(path, _FLAGS)
    try:
        stat = os.fstat(handle)
        if not modes.S_ISREG(stat.st_mode):
            return stat, None
        data = os.read(handle, MAX_BYTES + 1)
        while len(data) <= MAX_BYTES and (more := os.read(handle, MAX_BYTES + 1)):
            data += more
        return stat, data
    finally:
        os.close(handle)


def _settled(stat: os.stat_result) -> bool:
    """Whether a change after this one would show in the file's times.

    Two changes within one tick of the file system's clock leave the same times. Where times have
    no fraction of a second, the tick is one or two seconds. It is the system's clock that counts
    here, not the store's, which may be told any time.
    """
    tick = _COARSE_TICK if stat.st_mtime_ns % _SECOND == 0 else _TICK
    return time.time_ns() - stat.st_mtime_ns > tick


def _still_holds(known: File) -> bool:
    """Whether what is known of the same bytes needs no second look; clashes do (they have no stat)."""
    return known.state == "ok" or (known.state == "broken" and known.stat is not None)


def _goes_first(home: Path, place: Place, seen: Seen) -> str | None:
    """The file in ``.yaml`` beside one in ``.yml``."""
    if place.single or not seen.path.endswith(".yml"):
        return None
    path = place.path(seen.id)
    return path if path != seen.path and os.path.lexists(f"{home}/{path}") else None


def _failed(seen: Seen, path: str, problems: list[str]) -> Reading:
    id = printable(seen.id)
    return Reading(
        path, id, signature(seen.stat) if seen.stat else None, False, None, problems=tuple(problems)
    )
