"""Pages of an SQLite file, read without SQLite: headers, cells, keys and records, checked as they are read.

Source: "Database File Format" of SQLite's documentation, sections 1.5 and 1.6 (b-tree pages), 2.1 (records).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF = 0x02, 0x05, 0x0A, 0x0D
_INTERIOR = (INDEX_INTERIOR, TABLE_INTERIOR)
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_LARGEST_ROW = 1 << 31


class Unread(ValueError):
    """Bytes that are not what they are to be."""


class Cut(NamedTuple):
    """The beginning of a value whose end is lost; ``text`` tells text from bytes."""

    data: bytes
    text: bool


class BadText(bytes):
    """Text whose bytes are no text in the database's encoding."""


class _Lost:
    """Stands for a value of which nothing is left."""

    def __repr__(self) -> str:
        return "LOST"


LOST = _Lost()


class Source(Protocol):
    """Where pages come from. ``usable`` are the bytes of a page that hold content."""

    usable: int
    count: int
    encoding: str

    def page(self, number: int) -> bytes | None:
        """The bytes of a page, counted from 1; None when they are not there."""


class Page(NamedTuple):
    """A page of a b-tree: its kind, where its cells begin, and the child behind them (0: none)."""

    number: int
    data: bytes
    kind: int
    cells: tuple[int, ...]
    right: int

    @property
    def is_interior(self) -> bool:
        return self.kind in _INTERIOR


class Cell(NamedTuple):
    """A cell: ``rowid`` of a table's, ``size`` of the whole record, its bytes in the page, where more lie."""

    child: int
    rowid: int
    size: int
    local: bytes
    overflow: int
    end: int


def parse(source: Source, number: int) -> Page | None:
    """A page of a b-tree, or None when its header cannot be one."""
    data = source.page(number)
    if data is None:
        return None
    start = 100 if number == 1 else 0
    kind = data[start]
    if kind not in (INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF):
        return None
    free, count, content, fragments = struct.unpack_from(">HHHB", data, start + 1)
    head = start + (12 if kind in _INTERIOR else 8)
    array = head + 2 * count
    content = content or 65536
    if array > source.usable or not array <= content <= source.usable or fragments > 60:
        return None
    if free and not content <= free <= source.usable - 4:
        return None
    cells = struct.unpack_from(f">{count}H", data, head)
    if any(not content <= place <= source.usable - 3 for place in cells):
        return None
    right = struct.unpack_from(">I", data, start + 8)[0] if kind in _INTERIOR else 0
    if kind in _INTERIOR and not 2 <= right <= source.count:
        return None
    return Page(number, data, kind, cells, right)


def varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of one to nine bytes, as 64 bits without a sign, and where it ends."""
    value = 0
    try:
        for n in range(place, place + 8):
            byte = data[n]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, n + 1
        return value << 8 | data[place + 8], place + 9
    except IndexError:
        raise Unread("a number goes beyond the page") from None


def signed(value: int) -> int:
    """64 bits as a number with a sign."""
    return value - (1 << 64) if value >> 63 else value


def cell(source: Source, page: Page, place: int) -> Cell:
    """One cell of a page. Raises Unread when it cannot be one."""
    data, kind, usable = page.data, page.kind, source.usable
    child = rowid = 0
    if kind in _INTERIOR:
        if place + 4 > usable:
            raise Unread("a child's number goes beyond the page")
        child = struct.unpack_from(">I", data, place)[0]
        place += 4
        if not 2 <= child <= source.count:
            raise Unread(f"page {child} is beyond the file")
    if kind == TABLE_INTERIOR:
        rowid, place = varint(data, place)
        return Cell(child, signed(rowid), 0, b"", 0, place)
    size, place = varint(data, place)
    if size >= _LARGEST_ROW or size < 2:
        raise Unread(f"a record of {size} bytes")
    if kind == TABLE_LEAF:
        rowid, place = varint(data, place)
    most = usable - 35 if kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
    local, overflow, end = size, 0, place + size
    if size > most:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        if local > most:
            local = least
        end = place + local + 4
        if end > usable:
            raise Unread("a record goes beyond the page")
        overflow = struct.unpack_from(">I", data, place + local)[0]
    if end > usable:
        raise Unread("a record goes beyond the page")
    return Cell(child, signed(rowid), size, data[place : place + local], overflow, end)


def payload(source: Source, found: Cell, taken: dict[int, int]) -> tuple[bytes, bool]:
    """All bytes of a record, and whether that is so: the pages behind it may be lost.

    ``taken``: pages that have an owner already, which no record can go on in; those of this one are added
    under a number that no page has, so that it can be read again.
    """
    if len(found.local) == found.size:
        return found.local, True
    parts, left, number = [found.local], found.size - len(found.local), found.overflow
    mine, owner = [], -found.overflow
    whole = True
    while left > 0:
        there = 2 <= number <= source.count and taken.get(number, owner) == owner
        data = source.page(number) if there else None
        if data is None or not any(data):
            whole = False
            break
        following = int.from_bytes(data[:4], "big")
        room = source.usable - 4
        last = left <= room
        if last == bool(following) or following > source.count:  # another page has come in its place
            whole = False
            break
        taken[number] = owner
        mine.append(number)
        parts.append(data[4 : 4 + min(left, room)])
        left -= room
        number = following
    if not whole:
        for number in mine:
            taken.pop(number, None)
    return b"".join(parts), whole


def record(data: bytes, size: int, encoding: str) -> list[Any]:
    """The values of a record; those behind the end of ``data`` are cut or lost. Raises Unread."""
    head, place = varint(data, 0)
    if not 1 <= head <= min(size, len(data)):
        raise Unread("a record whose head is longer than itself")
    kinds = []
    total = head
    while place < head:
        kind, place = varint(data, place)
        kinds.append(kind)
        total += _length(kind)
    if place != head or total != size:
        raise Unread("a record whose values are not as long as itself")
    values = []
    for kind in kinds:
        length = _length(kind)
        values.append(_value(kind, data[place : place + length], length, encoding))
        place += length
    return values


def _length(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind in (10, 11):
        raise Unread(f"a value of kind {kind}, which there is none of")
    return 8 if kind == 7 else _INTEGERS.get(kind, 0)


def _value(kind: int, data: bytes, length: int, encoding: str) -> Any:
    if len(data) < length:
        return Cut(bytes(data), bool(kind & 1)) if kind >= 12 and data else LOST
    if kind >= 13 and kind & 1:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            return BadText(data)
    if kind >= 12:
        return bytes(data)
    if kind == 0:
        return None
    if kind == 7:
        return struct.unpack(">d", data)[0]
    return kind - 8 if kind in (8, 9) else int.from_bytes(data, "big", signed=True)


def cells(source: Source, page: Page) -> Iterator[Cell | None]:
    """The cells of a page in their order; None for each that is damaged."""
    for place in page.cells:
        try:
            yield cell(source, page, place)
        except Unread:
            yield None


def fills(source: Source, page: Page) -> bool:
    """Whether the last byte of a page belongs to a cell, as in most pages; for guessing the size of pages."""
    return any(found is not None and found.end == source.usable for found in cells(source, page))
