"""The lines of a file of the form, checked as they are read: numbers, hashes, whether the end is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec
from wilk.errors import Invalid
from wilk.transfer.own.form import FORMAT, VERSION

if TYPE_CHECKING:
    from wilk.transfer.reading.sources import SourceFile

LONGEST = 1 << 30
"""Bytes of one line; no record is that large."""


class Line(NamedTuple):
    """One line: its number from 1, and what it holds.

    ``value`` is None for a line that cannot be read; ``error`` tells why.
    """

    number: int
    value: dict[str, Any] | None
    error: str = ""


class Lines:
    """The lines of one file, once. ``problems`` are told when all were read; ``told`` hears how many bytes
    have been."""

    def __init__(self, file: SourceFile, told: Callable[[int], object]) -> None:
        self._file = file
        self._told = told
        self.trailer: dict[str, Any] | None = None
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Line]:
        hash, number = sha256(), 0
        source = self._file.open(self._told)
        try:
            while True:
                try:
                    data = source.readline(LONGEST)
                except Invalid as error:
                    self.problems.append(f"{error}; what comes before line {number + 1} was read")
                    return
                if not data:
                    break
                number += 1
                if self.trailer is not None:
                    self.problems.append(f"line {number}: there are lines behind the last one")
                    return
                found = _parsed(number, data)
                if found.value is not None and isinstance(found.value.get("trailer"), dict):
                    self.trailer = found.value["trailer"]
                    self._check(hash.hexdigest(), number)
                    continue
                hash.update(data)
                yield found
        finally:
            source.close()
        if self.trailer is None:
            self.problems.append(
                f"the file ends behind line {number}, without its last line: it was cut off; get it again"
            )

    def _check(self, hash: str, number: int) -> None:
        trailer = self.trailer or {}
        if trailer.get("lines") != number:
            self.problems.append(
                f"there are {number:,} lines, and its last one tells of {trailer.get('lines')}"
            )
        elif trailer.get("sha256") != hash:
            self.problems.append("its bytes are not those that were written: the hash is another one")


def checked_header(value: dict[str, Any] | None, name: str) -> dict[str, Any]:
    """The header in the first line; raises Invalid."""
    header = None if value is None else value.get("header")
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise Invalid(f"{name} does not begin with the header of wilk's JSON Lines")
    version = header.get("version")
    if type(version) is not int or version < 1 or not isinstance(header.get("tables"), list):
        raise Invalid(f"{name}: the header tells no version of the form")
    if version > VERSION:
        raise Invalid(
            f"{name} was written by wilk {header.get('wilk')} in version {version} of the form, and this one "
            f"reads version {VERSION}: install a newer wilk (`pip install -U wilk`)"
        )
    return header


def _parsed(number: int, data: bytes) -> Line:
    if len(data) >= LONGEST:
        return Line(number, None, f"over {LONGEST:,} bytes long")
    if not data.endswith(b"\n"):
        return Line(number, None, "its end is missing")
    try:
        value = codec.file_value(data)
    except Invalid:
        return Line(number, None, "no JSON")
    if not isinstance(value, dict):
        return Line(number, None, "no JSON object")
    return Line(number, value)
