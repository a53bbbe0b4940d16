"""The elements of a JSON file, one after the other, however large the file is.

A file may be one array, one object a line, objects one after the other, or one object. Where an element ends
is found by its brackets alone, in one pass over the bytes; then it is parsed by :func:`wilk.codec.foreign`.
So one that is damaged is told, and the others go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from wilk import codec
from wilk.errors import Invalid
from wilk.transfer.reading.windows import Window

LARGEST = 512 * 2**20
"""Bytes of the largest element that is read."""
MOST_DAMAGED = 1000
"""Damaged elements after which the rest of a file is left alone."""

_SPACE = re.compile(rb"[ \t\r\n,]*+")
_STRING = rb'"(?:[^"\\\n]++|\\.|\n(?!\{))*+"'
# Up to the next bracket. A text is passed over as a whole; one with a line break before ``{`` is cut off.
_SKIP = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+", re.DOTALL)
_OPEN_STRING = re.compile(_STRING[:-1], re.DOTALL)
_SCALAR = re.compile(rb'"(?:[^"\\\n]++|\\.)*+"|[^\s,\[\]{}"]++', re.DOTALL)
_UNCLOSED = re.compile(rb'"(?:[^"\\\n]++|\\.)*+', re.DOTALL)
_KNOWN = re.compile(rb'".*"|true|false|null|NaN|-?Infinity|-?\d[-+.eE\d]*', re.DOTALL)
_SHELL = re.compile(rb"\b(?:ObjectId|ISODate|Number(?:Long|Int|Decimal)|Long|UUID|BinData|Timestamp)\(")
_PAIRS = {ord("}"): ord("{"), ord("]"): ord("[")}
_CUT = "it is cut off"
_SHELL_TEXT = (
    "it is what mongosh prints, not JSON; export it with mongoexport "
    "(mongoexport --db=DATABASE --collection=COLLECTION --out=FILE)"
)


def items(
    file: BinaryIO,
    name: str,
    on_error: Callable[[str, str], None],
    *,
    unwrap: Callable[[dict[str, Any]], Any] | None = None,
    notice: Callable[[str], object] | None = None,
) -> Iterator[Any]:
    """Go through the elements of a JSON file, its byte order mark and line ends being as they may.

    ``on_error(place, sentence)`` is told of elements that cannot be read, without their content; the place is
    such as ``conversations.json, element 12``. ``unwrap`` and ``notice`` are those of
    :func:`wilk.codec.foreign`. Raises Invalid, with what to do, for a file that is no JSON at all.
    """
    window = Window(file)
    array = _begin(window, name)
    number = damaged = 0
    for data, problem in _elements(window, array=array):
        number += 1
        told: list[str] = []
        try:
            if problem is not None:
                raise Invalid(problem)
            value = codec.foreign(data, unwrap=unwrap, notice=told.append)
        except Invalid as error:
            shell = _SHELL.search(data, 0, 4096) is not None
            if shell and number == 1:
                raise Invalid(f"{name}: {_SHELL_TEXT}") from None
            on_error(f"{name}, element {number:,}", _SHELL_TEXT if shell else str(error))
            damaged += 1
            if damaged >= MOST_DAMAGED:
                on_error(f"{name}, byte {window.here:,}", "too much is damaged; the rest is not read")
                return
            continue
        if notice is not None:
            for text in told:
                notice(text)
        yield value


def _begin(window: Window, name: str) -> bool:
    """Go to the first element; True when they stand in an array. Raises Invalid for what is no JSON."""
    window.has(4)
    start = window.data[:4]
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
        raise Invalid(f"{name} is not UTF-8 but UTF-16, or no text at all; save it as UTF-8")
    if start[:3] == b"\xef\xbb\xbf":
        window.at = 3
    if not _space(window):
        return False
    first = window.data[window.at : window.at + 1]
    if first == b"[":
        window.at += 1
        return True
    if first != b"{":
        line = window.data[window.at : window.at + 4096].split(b"\n")[0]
        if re.search(rb"[,;\t]", line):
            raise Invalid(
                f"{name} is not JSON; it looks like CSV, which has lost what was text and what a number. "
                "Export it as JSON (mongoexport writes it unless told otherwise; Compass: Export, JSON)"
            )
        raise Invalid(f"{name} is not JSON: it begins with neither {{ nor [")
    return False


def _space(window: Window) -> bool:
    """Go past white space and commas; False at the end of the file."""
    while True:
        found = _SPACE.match(window.data, window.at)
        window.at = found.end() if found else window.at
        if window.at < len(window.data):
            return True
        if not window.more():
            return False


def _elements(window: Window, *, array: bool) -> Iterator[tuple[bytes, str | None]]:
    """The bytes of each element, or what is wrong with it."""
    inside = array
    problem = None
    while _space(window):
        first = window.data[window.at : window.at + 1]
        if inside and first == b"]":
            inside = False
            window.at += 1
        elif array and not inside and first == b"[":
            inside = True
            window.at += 1
        else:
            data, problem = _structured(window) if first in b"{[" else _scalar(window, inside=inside)
            yield data, problem
    if inside and problem is None:
        yield b"", f"{_CUT}: the array has no end"


def _structured(window: Window) -> tuple[bytes, str | None]:
    """Find the end of an object or array that begins here, and go behind it."""
    opened = bytearray()
    deeper = 0  # levels past those that are read
    problem = None
    done = 0  # bytes of it that are looked at
    while True:
        found = _SKIP.match(window.data, window.at + done)
        end = found.end() if found else window.at + done
        if end == len(window.data) or (window.data[end] == ord('"') and _unfinished(window.data, end)):
            done = end - window.at
            if problem is None and done > LARGEST:
                problem = f"it is larger than {LARGEST // 2**20} MB"
            if problem is not None:  # nothing of it is wanted
                window.at, done = end, 0
            if window.more():
                continue
            window.at = len(window.data)
            return b"", problem or f"{_CUT}: the file ends within it"
        mark = window.data[end]
        if mark == ord('"'):  # a text that goes over the end of a line, where another element begins
            cut = _OPEN_STRING.match(window.data, end)
            start, window.at = window.at, (cut.end() if cut else end) + 1
            return window.data[start:end], problem or f"{_CUT}: another one begins within it"
        done = end + 1 - window.at
        if mark in b"{[":
            # In files with one element a line: not where its first bracket stands alone in a line.
            begins = opened and mark == ord("{") and window.data[end - 1 : end] == b"\n"
            if begins and window.data[window.at + 1 : window.at + 2] not in (b"\n", b"\r"):
                start, window.at = window.at, end
                return window.data[start:end], problem or f"{_CUT}: another one begins within it"
            if len(opened) < codec.FOREIGN_DEPTH:
                opened.append(mark)
            else:
                deeper += 1
                problem = problem or f"nested deeper than {codec.FOREIGN_DEPTH} levels"
            continue
        if deeper:
            deeper -= 1
            continue
        while opened and opened[-1] != _PAIRS[mark]:
            problem = problem or "its brackets do not belong together"
            opened.pop()
        if not opened and mark == ord("]"):  # of the array around it
            window.at = end
            return b"", problem
        if opened:
            opened.pop()
        if not opened:
            data = b"" if problem else window.data[window.at : end + 1]
            window.at = end + 1
            return data, problem


def _unfinished(data: bytes, at: int) -> bool:
    """Whether a text goes on past the bytes that are there."""
    found = _OPEN_STRING.match(data, at)
    end = found.end() if found else at
    # The last byte may be half of an escape, or a line break whose next line is not there yet.
    return end >= len(data) - 1


def _scalar(window: Window, *, inside: bool) -> tuple[bytes, str | None]:
    """Take a text, a number or a word; what is none of them is passed over, with its line."""
    if window.data[window.at] in b"}]":
        window.at += 1
        return b"", "its brackets do not belong together"
    while True:
        # Not a text that is not closed; anything else may go on behind what there is.
        found = _SCALAR.match(window.data, window.at) or _UNCLOSED.match(window.data, window.at)
        end = found.end() if found else window.at + 1
        if end < len(window.data) - 1 or window.ended or end - window.at > LARGEST:
            break
        window.more()
    data = window.data[window.at : end]
    if _KNOWN.fullmatch(data):
        window.at = end
        return data, None
    window.at = end
    while not inside:
        line = window.data.find(b"\n", window.at)
        if line >= 0:
            window.at = line
            break
        window.at = len(window.data)
        if not window.more():
            break
    return data, "it is no JSON"
