"""Files of gzip members, each of which tells its own length: read and mended without unpacking all.

A member is what RFC 1952 describes, with its length in an extra field of the header, so that `zcat`
reads the whole file and this module finds a member's end without unpacking it.
"""

from __future__ import annotations

import gzip
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from wilk.errors import BackendError

# Magic and method (deflate), flags (extra field), no time, no hint, unknown system; then the extra
# field's length, and in it one subfield: name, length, and the length of the whole member.
_HEADER = struct.Struct("<4s6xH2sHQ")
_START = b"\x1f\x8b\x08\x04"
_NAME = b"wk"
_MARK = re.compile(re.escape(_START) + rb".{6}" + re.escape(struct.pack("<H2sH", 12, _NAME, 8)), re.DOTALL)
_PIECE = 1 << 20


def packed(data: bytes) -> bytes:
    """Compress bytes into one member."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(data) + deflate.flush()
    body += struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return _HEADER.pack(_START, 12, _NAME, 8, _HEADER.size + len(body)) + body


def unpacked(file: Path, offset: int) -> bytes:
    """Return what the member at an offset holds; raises BackendError for a damaged one."""
    try:
        with file.open("rb") as opened:
            opened.seek(offset)
            length = _length(opened.read(_HEADER.size))
            if length is None:
                raise BackendError(f"{file}: there is no archive member at byte {offset}")
            opened.seek(offset)
            return gzip.decompress(opened.read(length))
    except FileNotFoundError as error:
        raise BackendError(f"{file} is missing; put it back from a backup") from error
    except (OSError, EOFError, zlib.error) as error:
        raise BackendError(f"{file} cannot be read at byte {offset}: {error}") from error


def offsets(file: Path, start: int = 0) -> Iterator[tuple[int, int | None]]:
    """Give each member's offset and end, from ``start`` on.

    The last end is None when the file breaks off inside that member. What is no member raises
    BackendError, and so does one that seems to be cut off while others follow: its length is wrong.
    """
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        while start < size:
            opened.seek(start)
            header = opened.read(_HEADER.size)
            length = _length(header)
            if length is None and len(header) == _HEADER.size and any(header):
                raise BackendError(f"{file}: there is no archive member at byte {start}")
            end = None if length is None or start + length > size else start + length
            if end is None and _follows(opened, start + 1):
                raise BackendError(f"{file}: the archive member at byte {start} is damaged")
            yield start, end
            if end is None:
                return
            start = end


def _follows(opened: BinaryIO, start: int) -> bool:
    """Whether a member begins anywhere from there on."""
    opened.seek(start)
    overlap = b""
    while piece := opened.read(_PIECE):
        if _MARK.search(overlap + piece):
            return True
        overlap = piece[-_HEADER.size :]
    return False


def _length(header: bytes) -> int | None:
    """The length of the member that a header belongs to, or None when it is not one of a member."""
    if len(header) < _HEADER.size:
        return None
    start, extra, name, size, length = _HEADER.unpack(header)
    return int(length) if (start, extra, name, size) == (_START, 12, _NAME, 8) else None
