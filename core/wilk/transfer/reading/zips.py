"""A ZIP, read with suspicion: no name in it leads anywhere, and no member is larger than it says."""

from __future__ import annotations

import re
import stat
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from wilk.errors import Invalid
from wilk.transfer.reading.folders import is_junk, shown
from wilk.transfer.reading.unpacking import ALWAYS_FINE, MOST_RATIO

_ENCRYPTED = 0x1
_LOCAL_HEADER = 30
_UNIX = 3


class Member(NamedTuple):
    """A file in a ZIP: ``size`` and ``packed`` are bytes, as the ZIP says."""

    name: str
    size: int
    packed: int
    open: Callable[[], BinaryIO]


class Archive:
    """A ZIP file. Raises Invalid for one that is damaged or a trap; ``remark`` is told what is odd."""

    def __init__(self, path: Path, remark: Callable[[str], object]) -> None:
        self._name = shown(path.name)
        self._remark = remark
        try:
            self._zip = zipfile.ZipFile(path)
        except Exception as error:  # a damaged ZIP makes the library raise many things
            raise Invalid(
                f"{self._name} is no sound ZIP ({type(error).__name__}); download or pack it again"
            ) from error

    def members(self, most: int) -> list[Member]:
        """The files in it; raises Invalid for over ``most``, and for a ZIP that was made to do harm."""
        found = [one for one in self._zip.infolist() if not one.filename.endswith("/")]
        if len(found) > most:
            raise Invalid(f"{self._name} has {len(found):,} members; at most {most:,} are read")
        self._check(found)
        members = []
        for one in found:
            name = _name(one.filename)
            if one.create_system == _UNIX and stat.S_ISLNK(one.external_attr >> 16):
                self._remark(f"{self._name}: {name} is a link; it is left out")
            elif not is_junk(name):
                members.append(Member(name, one.file_size, one.compress_size, partial(self._open, one, name)))
        for name, count in Counter(member.name for member in members).items():
            if count > 1:
                self._remark(f"{self._name} holds {name} {count} times; all of them are read")
        return members

    def close(self) -> None:
        self._zip.close()

    def _check(self, found: list[zipfile.ZipInfo]) -> None:
        packed = sum(one.compress_size for one in found)
        size = sum(one.file_size for one in found)
        if size > max(packed * MOST_RATIO, ALWAYS_FINE):
            raise Invalid(
                f"{self._name} unpacks to {size // 2**20:,} MB, over {MOST_RATIO} times its size, as nothing "
                "does that was packed to be read; unpack it yourself if you trust it"
            )
        end = 0
        for one in sorted(found, key=lambda one: one.header_offset):
            if one.header_offset < end:
                raise Invalid(f"{self._name} is no honest ZIP: members of it overlap; it is not read")
            end = one.header_offset + _LOCAL_HEADER + one.compress_size

    def _open(self, member: zipfile.ZipInfo, name: str) -> BinaryIO:
        if member.flag_bits & _ENCRYPTED:
            raise Invalid(
                f"{name} in {self._name} is encrypted; unpack it with its password, and import the folder"
            )
        try:
            return cast(BinaryIO, self._zip.open(member))
        except NotImplementedError as error:
            raise Invalid(
                f"{name} in {self._name} is packed in a way that Python does not know ({error}); unpack it "
                "and import the folder"
            ) from error
        except Exception as error:  # as above
            raise Invalid(f"{name} in {self._name} cannot be read ({type(error).__name__})") from error


def _name(name: str) -> str:
    """The name of a member, without what leads elsewhere."""
    parts = [part for part in re.split(r"[\\/]", name) if part not in ("", ".", "..")]
    if parts and re.fullmatch(r"[A-Za-z]:", parts[0]):
        parts = parts[1:]
    return shown("/".join(parts)) or "unnamed"
