"""A reader of BSON, MongoDB's own form, as mongodump and the wire have it.

It gives exactly the values that :mod:`wilk.transfer.reading.ejson` gives for the same documents. Every length
is checked against the bytes that are there before anything is made of it, and nesting is bounded. Source:
bsonspec.org, version 1.1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from wilk import codec
from wilk.errors import Invalid
from wilk.transfer.reading import ejson
from wilk.transfer.reading.windows import Window

LARGEST = 32 * 2**20
"""Bytes of the largest document that is read; MongoDB itself keeps none over 16 MiB."""
SMALLEST = 5
MOST_DAMAGED = 1000
"""Damaged places of a file after which the rest of it is left alone."""
DEEPEST = codec.FOREIGN_DEPTH
_PLAUSIBLE = re.compile(rb"[\x01-\x13\x7f\xff]_id\0")
_BEGINS = len(b"\x07_id\0")
_INT32 = struct.Struct("<i")
_INT64 = struct.Struct("<q")
_DOUBLE = struct.Struct("<d")
_PAIR32 = struct.Struct("<II")
_PAIR64 = struct.Struct("<QQ")


def documents(file: BinaryIO, name: str, on_error: Callable[[str, str], None]) -> Iterator[dict[str, Any]]:
    """Go through the documents of a file that holds one after the other.

    One that is damaged is told to ``on_error(place, sentence)``, and reading goes on where the next one
    begins: after it, or where a length, an ``_id`` and an end fit together.
    """
    window = Window(file)
    damaged = 0
    while window.has(1):
        place = f"{name}, byte {window.here:,}"
        size = _INT32.unpack_from(window.data, window.at)[0] if window.has(4) else 0
        try:
            if not window.has(SMALLEST):
                raise Invalid("the file is cut off within a document")
            if not SMALLEST <= size <= LARGEST:
                raise Invalid("no document begins here")
            if not window.has(size):
                raise Invalid("the file is cut off within a document, or its length is damaged")
            document = parse(window.data, window.at, size)
        except Invalid as error:
            on_error(place, str(error))
            damaged += 1
            if not _next(window, size):
                return
            if damaged >= MOST_DAMAGED:
                on_error(f"{name}, byte {window.here:,}", "too much is damaged; the rest is not read")
                return
            continue
        window.at += size
        yield document


def parse(data: bytes, at: int = 0, size: int | None = None) -> dict[str, Any]:
    """The document that lies at a place of ``data``. Raises Invalid for a damaged one."""
    size = len(data) - at if size is None else size
    try:
        found, end = _object(data, at, at + size, 0)
    except (IndexError, struct.error, ValueError):
        raise Invalid("the document is damaged: something in it has no end") from None
    if end != at + size:
        raise Invalid("the document is damaged: its length is another one")
    return found


def _next(window: Window, size: int) -> bool:
    """Go to the next document after a damaged one; False when there is none."""
    if _whole(window, size):
        window.at += size
        return True
    window.at += 1
    while True:
        found = _PLAUSIBLE.search(window.data, window.at + 4)
        if found is None:
            window.at = max(window.at, len(window.data) - _BEGINS - 3)
            if not window.more():
                return False
            continue
        window.at = found.start() - 4
        if _whole(window, _INT32.unpack_from(window.data, window.at)[0]):
            return True
        window.at += 1


def _whole(window: Window, size: int) -> bool:
    """Whether so many bytes are there, end as a document does, and another one or nothing follows."""
    if not SMALLEST <= size <= LARGEST or not window.has(size) or window.data[window.at + size - 1]:
        return False
    if not window.has(size + 1):
        return True
    return window.has(size + 4 + _BEGINS) and bool(_PLAUSIBLE.match(window.data, window.at + size + 4))


def _object(data: bytes, at: int, limit: int, depth: int) -> tuple[dict[str, Any], int]:
    items, end = _items(data, at, limit, depth)
    found = dict(items)
    return (found if len(found) == len(items) else codec.beside(items)), end


def _items(data: bytes, at: int, limit: int, depth: int) -> tuple[list[tuple[str, Any]], int]:
    """The names and values of a document, and where it ends; ``limit`` is the end of what it lies in."""
    if depth >= DEEPEST:
        raise Invalid(f"the document is nested deeper than {DEEPEST} levels")
    end = at + _INT32.unpack_from(data, at)[0]
    if not at + SMALLEST <= end <= limit or data[end - 1]:
        raise Invalid("the document is damaged: a length in it is wrong")
    at += 4
    stop = end - 1
    items: list[tuple[str, Any]] = []
    while at < stop:
        kind = data[at]
        nul = data.index(0, at + 1, stop)
        name = str(data[at + 1 : nul], "utf-8", "surrogateescape")
        at = nul + 1
        if kind == 0x02:  # text, what most of it is
            last = at + 3 + _INT32.unpack_from(data, at)[0]
            if not at + 4 <= last < stop or data[last]:
                raise Invalid("the document is damaged: the length of a text is wrong")
            items.append((name, str(data[at + 4 : last], "utf-8", "surrogateescape")))
            at = last + 1
            continue
        value, at = _value(data, kind, at, stop, depth)
        if at > stop:
            raise Invalid("the document is damaged: a value goes past its end")
        items.append((name, value))
    return items, end


def _value(data: bytes, kind: int, at: int, stop: int, depth: int) -> tuple[Any, int]:
    """A value of a type, and where it ends."""
    if kind == 0x10:
        return _INT32.unpack_from(data, at)[0], at + 4
    if kind == 0x07:
        return ejson.ObjectId(data[at : at + 12].hex()), at + 12
    if kind == 0x09:
        return ejson.moment(_INT64.unpack_from(data, at)[0]), at + 8
    if kind == 0x03:
        return _object(data, at, stop, depth + 1)
    if kind == 0x04:
        items, at = _items(data, at, stop, depth + 1)
        return [value for _, value in items], at
    if kind == 0x08:
        if data[at] > 1:
            raise Invalid("the document is damaged: a value is neither true nor false")
        return data[at] == 1, at + 1
    if kind in (0x0A, 0x06):
        return None, at
    if kind == 0x01:
        return _DOUBLE.unpack_from(data, at)[0], at + 8
    if kind == 0x12:
        return _INT64.unpack_from(data, at)[0], at + 8
    return _rare(data, kind, at, stop, depth)


def _rare(data: bytes, kind: int, at: int, stop: int, depth: int) -> tuple[Any, int]:
    if kind in (0x0D, 0x0E):
        text, at = _text(data, at, stop)
        return ({"$code": text} if kind == 0x0D else text), at
    if kind == 0x05:
        return _binary(data, at, stop)
    if kind == 0x13:
        low, high = _PAIR64.unpack_from(data, at)
        return {"$numberDecimal": _decimal(low, high)}, at + 16
    if kind == 0x11:
        low, high = _PAIR32.unpack_from(data, at)
        return {"$timestamp": {"t": high, "i": low}}, at + 8
    if kind == 0x0B:
        middle = data.index(0, at, stop)
        last = data.index(0, middle + 1, stop)
        pattern, options = (
            part.decode("utf-8", "surrogateescape") for part in (data[at:middle], data[middle + 1 : last])
        )
        return ejson.regex(pattern, options), last + 1
    if kind == 0x0C:
        text, at = _text(data, at, stop)
        return {"$dbPointer": {"$ref": text, "$id": ejson.ObjectId(data[at : at + 12].hex())}}, at + 12
    if kind == 0x0F:
        end = at + _INT32.unpack_from(data, at)[0]
        text, middle = _text(data, at + 4, stop)
        scope, last = _object(data, middle, stop, depth + 1)
        if last != end:
            raise Invalid("the document is damaged: a length in it is wrong")
        return {"$code": text, "$scope": scope}, end
    if kind in (0xFF, 0x7F):
        return {"$minKey" if kind == 0xFF else "$maxKey": 1}, at
    raise Invalid(f"the document is damaged: there is no type {kind:#04x}")


def _text(data: bytes, at: int, stop: int) -> tuple[str, int]:
    size = _INT32.unpack_from(data, at)[0]
    end = at + 4 + size
    if size < 1 or end > stop or data[end - 1]:
        raise Invalid("the document is damaged: the length of a text is wrong")
    return data[at + 4 : end - 1].decode("utf-8", "surrogateescape"), end


def _binary(data: bytes, at: int, stop: int) -> tuple[Any, int]:
    size = _INT32.unpack_from(data, at)[0]
    subtype, begin = data[at + 4], at + 5
    end = begin + size
    if size < 0 or end > stop:
        raise Invalid("the document is damaged: the length of binary data is wrong")
    if subtype == 2 and size >= 4 and _INT32.unpack_from(data, begin)[0] == size - 4:
        begin += 4  # the old form has its length twice
    return ejson.binary(data[begin:end], subtype), end


def _decimal(low: int, high: int) -> str:
    """The text of a decimal128: IEEE 754-2008, with the integer as its coefficient."""
    from decimal import Decimal

    sign = high >> 63
    if high >> 58 & 0x1F == 0x1F:
        return "NaN"
    if high >> 58 & 0x1F == 0x1E:
        return "-Infinity" if sign else "Infinity"
    if high >> 61 & 3 == 3:  # a coefficient past what is allowed counts as nought
        exponent, coefficient = high >> 47 & 0x3FFF, 0
    else:
        exponent, coefficient = high >> 49 & 0x3FFF, (high & (1 << 49) - 1) << 64 | low
    if coefficient >= 10**34:
        coefficient = 0
    return str(Decimal((sign, tuple(map(int, str(coefficient))), exponent - 6176)))
