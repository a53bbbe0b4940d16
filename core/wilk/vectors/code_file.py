"""The file of codes: written whole, mapped into memory on opening, and only used where it fits the rows.

A line of JSON, filled up with blanks, then the arrays one after another, each at a multiple of 64 bytes.
"""

from __future__ import annotations

import json
import mmap
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from wilk.files import write_atomic
from wilk.vectors.codes import Coded, Coder

if TYPE_CHECKING:
    from wilk.contracts import SpaceRows

_NAME = "exact.codes"
_FORMAT = 1
_HEAD = 1024
_SAMPLE = 64
_ALIGNED = 64


class Opened:
    """Codes that lie in a file. Changes to their arrays stay in memory."""

    def __init__(
        self, mapped: mmap.mmap, head: dict[str, Any], arrays: dict[str, Any], rows: SpaceRows
    ) -> None:
        self._mapped = mapped
        self.last = int(head["last"])
        self.trained = int(head["trained"])
        self.numbers: NDArray[np.int64] = arrays["numbers"]
        self.coded = Coded(arrays["words"], arrays["norms"], arrays["base"])
        self.coder = Coder(rows.distance, rows.dimension, arrays["center"].copy(), float(head["scale"]))

    def close(self) -> None:
        """Let go of the file, unless a search still reads in it."""
        del self.numbers, self.coded
        with suppress(BufferError):  # then it goes with the last array
            self._mapped.close()


def save(
    rows: SpaceRows,
    numbers: NDArray[np.int64],
    coder: Coder,
    coded: Coded,
    kept: NDArray[np.int64],
    last: int,
    trained: int,
) -> None:
    """Write the codes of the vectors at ``kept``; nowhere, where there is no folder."""
    if rows.folder is None:
        return
    arrays = {
        "center": coder.center.astype("<f8"),
        "numbers": numbers.astype("<i8"),
        "norms": coded.norms[kept].astype("<f4"),
        "base": coded.base[kept].astype("<f4"),
        "words": np.ascontiguousarray(coded.words[:, kept]),
    }
    head = {
        "format": _FORMAT,
        "order": sys.byteorder,
        "token": rows.token,
        "distance": rows.distance,
        "dimension": rows.dimension,
        "count": len(numbers),
        "last": last,
        "trained": trained,
        "scale": coder.scale,
        "center": crc32(arrays["center"].tobytes()),
    }
    parts = [json.dumps(head).encode().ljust(_HEAD - 1) + b"\n"]
    for array in arrays.values():
        data = array.tobytes()
        parts.append(data + bytes(-len(data) % _ALIGNED))
    write_atomic(rows.folder / _NAME, b"".join(parts))


def load(rows: SpaceRows) -> Opened | None:
    """The codes that were saved; None where there are none, or they do not fit the rows."""
    if rows.folder is None:
        return None
    file = rows.folder / _NAME
    try:
        opened = _open(file, rows)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if opened is not None and not _fits(opened, rows):
        opened.close()
        return None
    return opened


def _open(file: Path, rows: SpaceRows) -> Opened | None:
    with file.open("rb") as handle:
        head = json.loads(handle.read(_HEAD))
        wanted = {
            "format": _FORMAT,
            "order": sys.byteorder,
            "token": rows.token,
            "distance": rows.distance,
            "dimension": rows.dimension,
        }
        if any(head[name] != value for name, value in wanted.items()):
            return None
        mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_COPY)
    try:
        count, words = int(head["count"]), -(-rows.dimension // 64)
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {
            "center": ("<f8", (rows.dimension,)),
            "numbers": ("<i8", (count,)),
            "norms": ("<f4", (count,)),
            "base": ("<f4", (count,)),
            "words": ("u8", (words, count)),
        }
        arrays, offset = {}, _HEAD
        for name, (kind, shape) in shapes.items():
            length = int(np.prod(shape))
            arrays[name] = np.frombuffer(mapped, kind, length, offset).reshape(shape)
            offset += -(-arrays[name].nbytes // _ALIGNED) * _ALIGNED
        sound = offset == len(mapped) and crc32(arrays["center"].tobytes()) == head["center"]
        numbers = arrays["numbers"]
        if sound and (
            not count or (numbers[0] > 0 and (np.diff(numbers) > 0).all() and numbers[-1] <= head["last"])
        ):
            return Opened(mapped, head, arrays, rows)
        del arrays, numbers
        mapped.close()
    except BaseException:
        with suppress(BufferError):
            mapped.close()
        raise
    return None


def _fits(opened: Opened, rows: SpaceRows) -> bool:
    """Whether vectors lie under the numbers as their codes say: a database that was put back from a backup
    gives numbers again, the latest first of all."""
    numbers = opened.numbers
    if not len(numbers):
        return True
    newest = np.arange(max(0, len(numbers) - _SAMPLE), len(numbers))
    spread = np.linspace(0, len(numbers) - 1, _SAMPLE).astype(np.int64)
    places = np.union1d(newest, spread)
    found, vectors = rows.rows(numbers[places])
    if len(found) * 2 < len(places):
        return False  # most are gone: what is left is soon cut anew
    again = opened.coder.code(vectors)
    at = np.searchsorted(numbers, found)
    differing = np.bitwise_count(again.words ^ opened.coded.words[:, at]).sum(axis=0)
    return bool((differing <= max(2, rows.dimension // 50)).all())
