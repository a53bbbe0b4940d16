"""What a backup says of itself: its manifest, and the sums of its files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from wilk import codec
from wilk.errors import Invalid

FORMAT = 1
DATABASE = "wilk.db"
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
HOME, ARCHIVE = "home", "archive"
_PIECE = 1 << 20


class Part(NamedTuple):
    """A file of a backup. ``what`` is database, definition, state, archive or tree; ``mode`` that of the
    original, ``changed`` the time of the copy's last change, in nanoseconds."""

    path: str
    what: str
    bytes: int
    sha256: str
    mode: int
    changed: int


class Counted(NamedTuple):
    """A table of the copy: its rows, and the sum of their SHA-256."""

    rows: int
    hash: str


class Manifest(NamedTuple):
    """What lies in a backup, and where it comes from. Times are ISO 8601."""

    id: str
    name: str | None
    why: str
    label: str
    started_at: str
    finished_at: str
    wilk: str
    schema: Mapping[str, str]
    backend: str
    engine: str
    database: str
    source: str
    notes: Sequence[str]
    tables: Mapping[str, Counted]
    files: Sequence[Part]

    @property
    def rows(self) -> int:
        return sum(one.rows for name, one in self.tables.items() if not name.endswith("_migrations"))

    def of(self, *kinds: str) -> list[Part]:
        """The files of some kinds."""
        return [part for part in self.files if part.what in kinds]


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest and the sums into a folder, and bring them to the disk."""
    data = _text(manifest)
    for name, content in ((MANIFEST, data), (SUMS, _sums(manifest, data))):
        with open(folder / name, "wb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def read(folder: Path) -> Manifest:
    """Read a manifest, and check it against the sums. Raises Invalid with what is wrong with it."""
    try:
        data = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise Invalid(f"{MANIFEST} is missing") from None
    except OSError as error:
        raise Invalid(f"{MANIFEST} cannot be read: {error.strerror}") from error
    try:
        sums = (folder / SUMS).read_bytes()
    except FileNotFoundError:
        raise Invalid(f"{SUMS} is missing") from None
    except OSError as error:
        raise Invalid(f"{SUMS} cannot be read: {error.strerror}") from error
    found = _parsed(data)
    if sums != _sums(found, data):
        raise Invalid(f"{MANIFEST} and {SUMS} do not belong together: one of them was changed")
    return found


def hashed(file: Path) -> str:
    """The SHA-256 of a file."""
    digest = sha256()
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def below(folder: Path) -> Iterator[str]:
    """The paths of all files below a folder, with slashes."""
    for place, _, names in os.walk(folder):
        for name in names:
            yield (Path(place) / name).relative_to(folder).as_posix()


def safe(path: str) -> bool:
    """Whether a path of a manifest stays in the folder that it is put under."""
    parts = PurePosixPath(path)
    return bool(path) and not parts.is_absolute() and ".." not in parts.parts and "\\" not in path


def _parsed(data: bytes) -> Manifest:
    try:
        held = codec.loads(data.decode())
    except ValueError:
        raise Invalid(f"{MANIFEST} is no JSON: it was changed") from None
    if not isinstance(held, dict) or held.get("format") != FORMAT:
        told = held.get("format") if isinstance(held, dict) else None
        raise Invalid(
            f"{MANIFEST} has format {told!r}, and this wilk reads {FORMAT}: a newer one may have made it"
        )
    try:
        values: dict[str, Any] = {name: held[name] for name in Manifest._fields}
        values["tables"] = {
            name: Counted(int(one["rows"]), str(one["hash"])) for name, one in held["tables"].items()
        }
        values["files"] = [Part(**one) for one in held["files"]]
        if not all(safe(part.path) for part in values["files"]):
            raise Invalid(f"{MANIFEST} names a file outside of the backup")
        return Manifest(**values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"{MANIFEST} is not complete ({error}): it was changed") from None


def _text(manifest: Manifest) -> bytes:
    held = {
        "format": FORMAT,
        **manifest._asdict(),
        "schema": dict(manifest.schema),
        "notes": list(manifest.notes),
        "rows": manifest.rows,
        "tables": {name: one._asdict() for name, one in manifest.tables.items()},
        "files": [part._asdict() for part in manifest.files],
    }
    return codec.pretty(held).encode() + b"\n"


def _sums(manifest: Manifest, data: bytes) -> bytes:
    """What ``sha256sum --check`` reads."""
    lines = [(sha256(data).hexdigest(), MANIFEST), *((part.sha256, part.path) for part in manifest.files)]
    return "".join(f"{sum}  {path}\n" for sum, path in lines).encode("utf-8", "surrogateescape")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
