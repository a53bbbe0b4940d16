"""Streams that unpack: gzip in all its shapes, and a limit on how much may come out."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

from wilk.errors import Invalid

MOST_RATIO = 200
"""How many times larger than its packed form a file may be, from :data:`ALWAYS_FINE` bytes on."""
ALWAYS_FINE = 64 * 2**20
GZIP = b"\x1f\x8b"
_CHUNK = 1 << 18


def gunzipped(file: BinaryIO, damaged: Callable[[str], object]) -> BinaryIO:
    """Read gzip: one member or several, as ``cat`` makes them.

    What follows the last member and is no gzip is passed over. Where the data are cut off or damaged the
    file ends, with what could be unpacked; ``damaged`` is told either.
    """
    return cast(BinaryIO, io.BufferedReader(_Gunzip(file, damaged), _CHUNK))


def limited(file: BinaryIO, name: str, packed: int, damaged: Callable[[str], object]) -> BinaryIO:
    """Read through, as long as no more comes than ``packed`` bytes may become; then raise Invalid.

    Where unpacking fails the file ends, and ``damaged`` is told.
    """
    return cast(BinaryIO, io.BufferedReader(_Limited(file, name, packed, damaged), _CHUNK))


def counted(file: BinaryIO, told: Callable[[int], object]) -> BinaryIO:
    """Read through, and tell how many bytes have been read each time."""
    return cast(BinaryIO, io.BufferedReader(_Counted(file, told), _CHUNK))


class _Through(io.RawIOBase):
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _Counted(_Through):
    def __init__(self, file: BinaryIO, told: Callable[[int], object]) -> None:
        super().__init__(file)
        self._told = told
        self._done = 0

    def _read(self, size: int) -> bytes:
        data = super()._read(size)
        self._done += len(data)
        self._told(self._done)
        return data


class _Limited(_Through):
    def __init__(self, file: BinaryIO, name: str, packed: int, damaged: Callable[[str], object]) -> None:
        super().__init__(file)
        self._name = name
        self._left = max(packed * MOST_RATIO, ALWAYS_FINE)
        self._damaged: Callable[[str], object] | None = damaged

    def _read(self, size: int) -> bytes:
        if self._damaged is None:
            return b""
        try:
            data = super()._read(min(size, _CHUNK))
        except Invalid:
            raise
        except Exception as error:  # each way of packing has errors of its own
            self._damaged(f"it is damaged ({type(error).__name__}); what could be unpacked is read")
            self._damaged = None
            return b""
        self._left -= len(data)
        if self._left < 0:
            raise Invalid(
                f"{self._name} unpacks to over {MOST_RATIO} times its size, as nothing does that was packed "
                "to be read; unpack it yourself if you trust it"
            )
        return data


class _Gunzip(_Through):
    def __init__(self, file: BinaryIO, damaged: Callable[[str], object]) -> None:
        super().__init__(file)
        self._damaged = damaged
        self._raw = b""
        self._member: zlib._Decompress | None = None
        self._ended = False

    def _read(self, size: int) -> bytes:
        while not self._ended:
            if self._member is None and not self._begins():
                break
            ended = not self._raw and not self._more()
            member = cast("zlib._Decompress", self._member)
            try:
                data = member.decompress(self._raw, size)
            except zlib.error:
                self._damaged("it is damaged; what could be unpacked is read")
                break
            self._raw = member.unconsumed_tail
            if member.eof:
                self._raw = member.unused_data
                self._member = None
            if data:
                return data
            if ended and self._member is not None:
                self._damaged("it is cut off; what could be unpacked is read")
                break
        self._ended = True
        return b""

    def _begins(self) -> bool:
        """Whether another member begins."""
        while len(self._raw) < len(GZIP) and self._more():
            pass
        if self._raw[:2] == GZIP:
            self._member = zlib.decompressobj(wbits=31)
            return True
        if self._raw.strip(b"\0"):
            self._damaged("something follows its end that is no gzip; it is passed over")
        return False

    def _more(self) -> bool:
        read = self._file.read(_CHUNK)
        self._raw += read
        return bool(read)
