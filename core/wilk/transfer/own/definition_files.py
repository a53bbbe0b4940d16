"""Definition files on their way: read without their secrets, and written where none is in the way."""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec
from wilk.definitions.redaction import names_secret
from wilk.errors import Invalid, InvalidDefinition
from wilk.files import inside, write_atomic

if TYPE_CHECKING:
    from wilk.contracts import Writing
    from wilk.definitions.catalog import Catalog
    from wilk.definitions.places import Place

LARGEST = 64 * 2**20
"""Bytes of a file beside a definition; a larger one is left out."""

_COMMENT = re.compile(r"#[\s#-]*[\"']?([A-Za-z_][\w.-]*)[\"']?\s*[:=]\s*\S")
_ASIDE = (".", "#")
_LEFT = ("~", "#", ".bak", ".orig", ".tmp", ".pyc")


class Found(NamedTuple):
    """A file: its path below the home folder, and its bytes; ``masked`` tells that secrets were left out."""

    path: str
    data: bytes
    masked: bool


def read(
    catalog: Catalog, writing: Writing, chosen: Mapping[str, Collection[str]] | None = None
) -> Iterator[Found]:
    """Read the definition files, and what lies in the folders of agents. What cannot be is told.

    ``chosen`` are ids by kind; None: all of them.
    """
    home = catalog.home
    if home is None or not home.is_dir():
        return
    for name, place in catalog.places().items():
        for seen in sorted(place.scan(home), key=lambda one: one.path):
            if chosen is not None and seen.id not in chosen.get(name, ()):
                continue
            found = _definition(home, place, seen.path, writing)
            if found is not None:
                yield found
            if place.tail.startswith("/"):
                yield from _beside(home, seen.path, writing)


def _definition(home: Path, place: Place, path: str, writing: Writing) -> Found | None:
    from wilk.definitions import reader, writer

    try:
        data = inside(home, path).read_bytes()
        if _only_comments(data) and not _comments_tell(data):
            return Found(path, data, False)  # as `wilk init` leaves its settings
        held = reader.parse(data, path)
        shown = place.kind.redact(held)
        if codec.canonical(shown) == codec.canonical(held) and not _comments_tell(data):
            return Found(path, data, False)
        # The file anew, and not its text with gaps: comments can hold what values do.
        masked = writer.rendered(home / f".{os.getpid()}.none", path, dict(shown), place.kind.schema)
    except InvalidDefinition:
        writing.lost(f"files.{path}")
        writing.warn(f"{path} is broken, so that nobody can tell whether it holds secrets; it was left out")
        return None
    except (OSError, Invalid) as error:
        writing.lost(f"files.{path}")
        writing.warn(f"{path} cannot be read and was left out: {type(error).__name__}")
        return None
    writing.lost(f"files.{path}: secrets")
    return Found(path, masked, True)


def _only_comments(data: bytes) -> bool:
    return all(not line or line.startswith(b"#") for line in map(bytes.strip, data.splitlines()))


def _comments_tell(data: bytes) -> bool:
    """Whether a secret stands in a comment, as in a setting that was put out of use."""
    found = (_COMMENT.search(line) for line in data.decode(errors="replace").splitlines())
    return any(one is not None and names_secret(one[1]) for one in found)


def _beside(home: Path, path: str, writing: Writing) -> Iterator[Found]:
    """What else lies in the folder of a definition, such as tools; never through a link."""
    folder = home / Path(path).parent
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            file = Path(root) / name
            below = file.relative_to(home).as_posix()
            if name.startswith(_ASIDE) or name.endswith(_LEFT) or below == path or file.is_symlink():
                continue
            try:
                if not file.is_file() or file.stat().st_size > LARGEST:
                    raise OSError
                yield Found(below, file.read_bytes(), False)
            except OSError:
                writing.lost(f"files.{below}")
                writing.warn(f"{below} is no file of at most {LARGEST >> 20} MB that can be read; left out")


# -- as lines ---------------------------------------------------------------------------------


def line_of(found: Found) -> dict[str, Any]:
    """A file as a line has it."""
    try:
        text = found.data.decode()
        content: dict[str, Any] = {"text": text}
    except UnicodeDecodeError:
        content = {"base64": b64encode(found.data).decode()}
    return {"file": found.path, **content, **({"masked": True} if found.masked else {})}


def found_in(line: Mapping[str, Any]) -> Found:
    """The file of a line; raises Invalid."""
    path, text, packed = line.get("file"), line.get("text"), line.get("base64")
    if not isinstance(path, str) or isinstance(text, str) == isinstance(packed, str):
        raise Invalid("file: a path with either text or base64 is wanted")
    try:
        data = text.encode() if isinstance(text, str) else b64decode(str(packed), validate=True)
    except (NotBase64, UnicodeEncodeError) as error:
        raise Invalid("file: its content is no text and no base64") from error
    return Found(path, data, line.get("masked") is True)


class Files:
    """Definition files on their way into one home folder."""

    def __init__(self, catalog: Catalog, *, replace: bool, dry_run: bool) -> None:
        self._catalog = catalog
        self._replace = replace
        self._dry_run = dry_run
        self._places = catalog.places().values()
        self.written: list[Path] = []

    def put(self, found: Found, warn: Callable[[str], object]) -> str:
        """Write a file; return ``created``, ``updated``, ``unchanged``, ``conflict`` or ``skipped``.

        Raises Invalid for a path that is none of a definition.
        """
        home = self._catalog.home
        if home is None:
            return "skipped"
        if not self._belongs(found.path):
            raise Invalid(f"{found.path!r} is no place of definitions here")
        file = inside(home, found.path)
        there = file.exists()
        if there:
            if file.is_file() and file.read_bytes() == found.data:
                return "unchanged"
            if found.masked or not self._replace:  # what is there may hold the secrets
                return "unchanged" if found.masked and self._masks_the_same(file, found) else "conflict"
        if not self._dry_run:
            try:
                write_atomic(file, found.data)
            except OSError as error:
                raise Invalid(f"{found.path} cannot be written: {error.strerror}") from error
            self.written.append(file)
            if found.masked:
                warn(f"{found.path}: secrets were left out of the file; put them in where it says so")
        return "updated" if there else "created"

    def _belongs(self, path: str) -> bool:
        parts = path.split("/")
        if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
            return False
        for place in self._places:
            if place.id(path) is not None:
                return True
            if place.tail.startswith("/") and path.startswith(place.prefix) and len(parts) > 2:
                return not any(part.startswith(".") for part in parts)
        return False

    def _masks_the_same(self, file: Path, found: Found) -> bool:
        from wilk.definitions import reader

        place = next((one for one in self._places if one.id(found.path) is not None), None)
        if place is None:
            return False
        try:
            held = reader.parse(file.read_bytes(), found.path)
            return codec.canonical(place.kind.redact(held)) == codec.canonical(
                reader.parse(found.data, found.path)
            )
        except (OSError, Invalid):
            return False
