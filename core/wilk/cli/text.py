"""Text as a terminal shows it: how wide it is, cut to a width, and without control characters."""

from __future__ import annotations

import re

# C0, DEL, C1, line and paragraph separators, whatever turns the direction of text, and halves of
# surrogate pairs: none of it may reach a terminal from data.
_CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"


def one_line(text: str) -> str:
    """Put text into one line: line breaks become blanks, control characters their escapes."""
    if text.isprintable():  # most is, and the patterns take a millisecond to compile
        return text
    return re.sub(f"[{_CONTROL}]", _escaped, re.sub(r"\s*[\r\n]\s*|\t", " ", text))


def lines(text: str) -> str:
    """Keep the lines of a text; other control characters become their escapes."""
    if text.replace("\n", "").isprintable():
        return text
    return re.sub(f"(?![\n\t])[{_CONTROL}]", _escaped, text.replace("\r\n", "\n"))


def width(text: str) -> int:
    """How many columns a terminal needs for a line: East Asian wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def shortened(text: str, limit: int) -> str:
    """Cut a line to at most ``limit`` columns, ending with ``…`` where something is left out."""
    if width(text) <= limit:
        return text
    kept, used = [], 1
    for character in text:
        used += _columns(character)
        if used > limit:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def padded(text: str, columns: int, *, right: bool = False) -> str:
    """Fill a line with blanks up to a width."""
    blanks = " " * (columns - width(text))
    return blanks + text if right else text + blanks


def _columns(character: str) -> int:
    if character.isascii():
        return 1
    from unicodedata import category, east_asian_width  # a megabyte that ASCII does not need

    if category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
