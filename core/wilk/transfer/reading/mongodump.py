"""What mongodump writes: a folder of ``<database>/<collection>.bson``, or all of it in one archive.

The archive (source: mongo-tools, common/archive/spec.md): a magic number; a header, then one document for
each collection, then a terminator; then blocks: a document that names database and collection, documents of
it, a terminator. Blocks of several collections stand mixed, so each collection is put together in a scratch
file first.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote

from wilk.errors import Invalid
from wilk.transfer.reading import bson
from wilk.transfer.reading.windows import Window

MAGIC = struct.pack("<I", 0x8199E26D)
# A terminator behind which another block begins: a length, and a text called "db".
_BLOCK = re.compile(rb"\xff\xff\xff\xff(?=[\s\S]{4}\x02db\0)")
_LOOKED_AT = 12
_END = -1
_INT32 = struct.Struct("<i")
_OWN = ("admin", "config", "local")


class Dumped(NamedTuple):
    """A collection of a dump."""

    database: str
    collection: str


def named(name: str) -> Dumped | None:
    """The collection that a file of a dump's folder is, by its path; None for what is none.

    What MongoDB keeps for itself, with its users and their passwords, is none.
    """
    folders, _, file = name.removesuffix(".gz").rpartition("/")
    collection = unquote(file.removesuffix(".bson"))
    database = folders.rpartition("/")[2]
    oplog = file == "oplog.bson" and "/" not in folders  # beside the folders of the databases
    if not file.endswith(".bson") or oplog or is_own(database, collection):
        return None
    return Dumped(database, collection)


def is_own(database: str, collection: str) -> bool:
    """Whether a collection is one that MongoDB keeps for itself."""
    return database in _OWN or collection.startswith("system.") or (not database and collection == "oplog")


def spool(
    file: BinaryIO, name: str, folder: Path, on_error: Callable[[str, str], None]
) -> dict[Dumped, Path]:
    """Put the collections of an archive together, each in a file of ``folder`` that holds its BSON.

    ``on_error(place, sentence)`` is told where the archive is damaged or cut off; what is whole is kept.
    Raises Invalid for what is no archive.
    """
    window = Window(file)
    if not window.has(4) or window.data[:4] != MAGIC:
        raise Invalid(f"{name} is no archive of mongodump")
    window.at = 4

    def damaged(text: str) -> None:
        on_error(f"{name}, byte {window.here:,}", text)

    found: dict[Dumped, Path] = {}
    ended: set[Dumped] = set()
    _block(window, None, damaged)  # the header and what it tells of the collections
    last: Dumped | None = None
    while window.has(1):
        header = _header(window)
        if header is None:
            damaged("no block begins here; what follows is taken as part of the one before")
            one = last
        else:
            one = Dumped(str(header["db"]), str(header["collection"]))
            if header.get("EOF") is True:
                ended.add(one)
        last = one
        if one is None or is_own(*one):
            _block(window, None, damaged)
            continue
        path = found.setdefault(one, folder / f"{len(found)}.bson")
        with path.open("ab") as out:
            _block(window, out, damaged)
    for one in sorted(found.keys() - ended):
        on_error(name, f"the archive ends before the collection {one.collection} does")
    return found


def _header(window: Window) -> dict[str, Any] | None:
    """The document that begins a block, taken off the window; None when there is none."""
    try:
        size = _INT32.unpack_from(window.data, window.at)[0] if window.has(4) else 0
        if not bson.SMALLEST <= size <= bson.LARGEST or not window.has(size):
            return None
        header = bson.parse(window.data, window.at, size)
    except Invalid:
        return None
    if not isinstance(header.get("db"), str) or not isinstance(header.get("collection"), str):
        return None
    window.at += size
    return header


def _block(window: Window, out: BinaryIO | None, damaged: Callable[[str], None]) -> None:
    """Take the documents up to the next terminator; where they are damaged, the bytes as they are."""
    while window.has(4):
        size = _INT32.unpack_from(window.data, window.at)[0]
        if size == _END:
            window.at += 4
            return
        if (
            not bson.SMALLEST <= size <= bson.LARGEST
            or not window.has(size)
            or window.data[window.at + size - 1]
        ):
            damaged("the archive is damaged or cut off")
            _rest(window, out)
            return
        if out is not None:
            out.write(window.data[window.at : window.at + size])
        window.at += size
    damaged("the archive is cut off")
    window.at = len(window.data)


def _rest(window: Window, out: BinaryIO | None) -> None:
    """Take all bytes up to a terminator that another block follows, or up to the end."""
    while True:
        found = _BLOCK.search(window.data, window.at)
        more = found is None and not window.ended
        # What a terminator may begin in stays for the next look.
        end = found.start() if found else max(window.at, len(window.data) - (_LOOKED_AT if more else 0))
        if out is not None:
            out.write(window.data[window.at : end])
        window.at = found.end() if found else end
        if not more:
            return
        window.more()
