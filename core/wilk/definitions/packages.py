"""Packages of agents: ZIP archives that hold one agent's definition and what goes with it.

Reading one trusts nothing in it: names, sizes and kinds of its members are checked before anything is
unpacked, and nothing is unpacked to a disk here.
"""

from __future__ import annotations

import io
import os
import stat as modes
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

from wilk.definitions import reader
from wilk.definitions.places import MAX_BYTES
from wilk.errors import Invalid
from wilk.files import check_id

DEFINITIONS = ("agent.yaml", "agent.yml")
"""What the definition of an agent is called in its folder; the first goes first."""

FOLDERS = ("tools", "workflows", "prompts", "docs", "tests", "examples")
"""The folders that a package may hold."""

_DOCUMENTS = ("readme", "license", "licence", "changelog", "notice", "authors", "copying")
_COMPILED = (".pyc", ".pyo", ".pyd")

MAX_PACKAGE = 16 << 20
"""The most bytes of a package, packed."""

MAX_UNPACKED = 32 << 20
MAX_FILE = 8 << 20
MAX_MEMBERS = 500
MAX_PATH = 200
MAX_RATIO = 200
"""How many times its packed size a package may be unpacked."""

_SMALL = 1 << 20
"""Up to so many bytes, however well they were packed, are no bomb."""

_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, EOFError, OSError, ValueError,
           RuntimeError, OverflowError, LookupError)  # fmt: skip
_MADE = (1980, 1, 1, 0, 0, 0)


class Contents(NamedTuple):
    """The files of a package, path → bytes, and which of them is the definition."""

    definition: str
    files: Mapping[str, bytes]

    def renamed(self, definition: str) -> Contents:
        """The same with the definition under the other name that it may have."""
        files = {definition if path == self.definition else path: data for path, data in self.files.items()}
        return Contents(definition, dict(sorted(files.items())))


def read(data: bytes, what: str = "the package") -> Contents:
    """Check and unpack a package in memory; raises Invalid that names what is wrong with it."""
    if len(data) > MAX_PACKAGE:
        raise Invalid(f"{what} has {len(data)} bytes; at most {MAX_PACKAGE} are taken")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _checked(archive.infolist(), len(data), what)
            files = {path: _unpacked(archive, member) for path, member in members.items()}
    except Invalid:
        raise
    except _BROKEN as error:
        raise Invalid(f"{what} is no sound ZIP archive: {error}") from error
    files = _without_top_folder(files)
    return Contents(_definition_of(files, what), dict(sorted(files.items())))


def pack(folder: Path) -> bytes:
    """Pack an agent's folder. The same files give the same bytes, on every machine.

    Hidden files, what editors put aside, and compiled Python stay out. Raises Invalid for a link, for
    what a package may not hold, and for a folder without a definition.
    """
    files = dict(_files_of(folder))
    definition = _definition_of(files, str(folder))
    if sum(map(len, files.values())) > MAX_UNPACKED:
        raise Invalid(f"{folder} has more than {MAX_UNPACKED} bytes, which a package may not have")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # not compressed: that differs from machine to machine
        for path in sorted(files, key=lambda path: (path != definition, path)):
            member = zipfile.ZipInfo(path, _MADE)
            member.create_system = 3
            member.external_attr = (modes.S_IFREG | 0o644) << 16
            archive.writestr(member, files[path])
    data = packed.getvalue()
    read(data, str(folder))
    return data


def described(contents: Contents, where: str) -> dict[str, Any]:
    """What the definition of a package says of it, as an index has it; raises InvalidDefinition."""
    definition = reader.parse(contents.files[contents.definition], f"{where}/{contents.definition}")
    metadata = definition.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, Mapping) else None
    found = {name: definition.get(name) for name in ("version", "category", "description", "author")}
    found["title"] = definition.get("name")
    return {
        **{name: value for name, value in found.items() if isinstance(value, str) and value},
        **({"tags": tags} if isinstance(tags, list) else {}),
    }


def is_agent(folder: Path) -> bool:
    """Whether a folder holds the definition of an agent."""
    return any((folder / name).is_file() for name in DEFINITIONS)


# -- reading --------------------------------------------------------------------------------


def _checked(members: list[zipfile.ZipInfo], packed: int, what: str) -> dict[str, zipfile.ZipInfo]:
    """The members that are files, by path, when all members may be there."""
    if len(members) > MAX_MEMBERS:
        raise Invalid(f"{what} has {len(members)} members; at most {MAX_MEMBERS} are taken")
    total = sum(member.file_size for member in members)
    if total > MAX_UNPACKED:
        raise Invalid(f"{what} would unpack to {total} bytes; at most {MAX_UNPACKED} are taken")
    if total > max(_SMALL, packed * MAX_RATIO):
        raise Invalid(f"{what} would unpack to {total // max(packed, 1)} times its size; that is no agent")
    found: dict[str, zipfile.ZipInfo] = {}
    taken: dict[str, str] = {}
    for member in members:
        name = member.orig_filename
        path = _path(name.removesuffix("/"), what)
        mode = modes.S_IFMT(member.external_attr >> 16)
        is_folder = name.endswith("/")
        if mode and not (modes.S_ISDIR(mode) if is_folder else modes.S_ISREG(mode)):
            raise Invalid(f"{what}: {name!r} is a link or a device; only files are taken")
        if is_folder:
            continue
        if member.flag_bits & 1:
            raise Invalid(f"{what}: {name!r} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Invalid(f"{what}: {name!r} is compressed in a way that is not read; use deflate")
        if member.file_size > MAX_FILE:
            raise Invalid(f"{what}: {name!r} has {member.file_size} bytes; at most {MAX_FILE} are taken")
        key = path.casefold()
        if key in taken:
            raise Invalid(f"{what}: {taken[key]!r} and {path!r} are one file on some systems; rename one")
        taken[key] = path
        found[path] = member
    for path in found:
        for folder in _parents(path):
            if folder.casefold() in taken:
                raise Invalid(f"{what}: {taken[folder.casefold()]!r} is a file and a folder")
    return found


def _path(name: str, what: str) -> str:
    """The path of a member, when it stays in its folder and may be made on every system."""
    if "\\" in name or name.startswith("/") or ".." in name.split("/") or ":" in name:
        raise Invalid(f"{what}: {name!r} leads out of the package; nothing of it was used")
    if len(name) > MAX_PATH:
        raise Invalid(f"{what}: {name[:40] + '…'!r}: a path of at most {MAX_PATH} characters is wanted")
    for part in name.split("/"):
        try:
            check_id(normalize("NFKC", check_id(part, "file")), "file")
        except Invalid as error:
            raise Invalid(
                f"{what}: {name!r} is no name for a file on every system; use letters, digits, - _ and ."
            ) from error
    return name


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as stream:
        data = stream.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise Invalid(f"{member.filename!r} has another size than the package says")
    return data


def _without_top_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files without the one folder that holds them all, as some programs pack it."""
    tops = {path.split("/")[0] for path in files}
    if len(tops) != 1 or any("/" not in path for path in files):
        return files
    (top,) = tops
    return {path.removeprefix(f"{top}/"): data for path, data in files.items()}


def _definition_of(files: Mapping[str, bytes], what: str) -> str:
    """The one definition among files that all may be there; raises Invalid."""
    definitions = [path for path in files if path in DEFINITIONS]
    if len(definitions) != 1:
        count = "more than one definition" if definitions else "no definition"
        raise Invalid(f"{what} has {count}; {' or '.join(DEFINITIONS)} is wanted, once")
    if len(files[definitions[0]]) > MAX_BYTES:
        raise Invalid(f"{what}: {definitions[0]} has over {MAX_BYTES} bytes")
    for path in files:
        if path in DEFINITIONS:
            continue
        top, _, below = path.partition("/")
        if not (top in FOLDERS if below else top.partition(".")[0].lower() in _DOCUMENTS):
            raise Invalid(
                f"{what}: {path!r} is nothing that an agent has; its definition, README, LICENSE and the "
                f"like, and the folders {', '.join(FOLDERS)} are"
            )
        if path.lower().endswith(_COMPILED) or "__pycache__" in path.split("/"):
            raise Invalid(f"{what}: {path!r} is compiled Python, which nobody can read; leave it out")
    return definitions[0]


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


# -- packing --------------------------------------------------------------------------------


def _files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of an agent's folder that go into a package."""
    try:
        for base, folders, names in os.walk(folder):
            top = Path(base) == folder
            folders[:] = sorted(name for name in folders if (name in FOLDERS if top else not _left_out(name)))
            for name in sorted([*names, *folders]):
                file = Path(base, name)
                path = file.relative_to(folder).as_posix()
                if _left_out(name) or (top and name not in folders and not _belongs(path)):
                    continue
                if file.is_symlink():
                    raise Invalid(f"{file} is a link; a package holds only files")
                if name in folders:
                    continue
                if file.stat().st_size > MAX_FILE:
                    raise Invalid(f"{file} has more than {MAX_FILE} bytes, which a package may not have")
                yield _path(path, str(folder)), file.read_bytes()
    except OSError as error:
        raise Invalid(f"{error.filename or folder} cannot be read: {error.strerror}") from error


def _left_out(name: str) -> bool:
    return (
        name.startswith((".", "#"))
        or name.endswith(("~", ".local", ".package", *_COMPILED))
        or name == "__pycache__"
    )


def _belongs(path: str) -> bool:
    return path in DEFINITIONS or path.partition(".")[0].lower() in _DOCUMENTS
