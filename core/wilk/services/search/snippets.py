"""Snippets: the place of a text that fits a query best, in one line, with the hits in it marked.

Made from the text itself, so that they are the same whatever engine found it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from wilk.services.search.words import Term, places

WIDTH = 200
"""Characters of a snippet, at most, without the ``…`` where something is left out."""

_LEAD = 40  # of these, what may stand before the first hit
_LONGEST = 500_000  # characters of one text that are looked through
_SPACE = re.compile(r"\s+")


class Snippet(NamedTuple):
    """A piece of a text in one line, and what was hit in it as positions (begin, end)."""

    text: str
    marks: tuple[tuple[int, int], ...]


def snippet(
    text: str, terms: Sequence[Term], weights: Sequence[float] = (), *, width: int = WIDTH
) -> Snippet:
    """The part of a text with the most of the terms by their weights, of equal ones the first.

    A text without any of them gives its beginning.
    """
    text = text[:_LONGEST]
    values = list(weights) or [1.0] * len(terms)
    begin, end = _window(text, places(text, terms), values, width)
    piece = _SPACE.sub(" ", text[begin:end]).strip()
    before = "…" if text[:begin].strip() else ""
    after = "…" if text[end:].strip() else ""
    marks = tuple((start + len(before), stop + len(before)) for start, stop, _ in places(piece, terms))
    return Snippet(f"{before}{piece}{after}", marks)


def _window(
    text: str, hits: Sequence[tuple[int, int, int]], weights: Sequence[float], width: int
) -> tuple[int, int]:
    """Begin and end of the best piece of at most ``width`` characters, at the borders of words."""
    first = last = 0
    if hits:
        best = (-1.0, 0)
        held: Counter[int] = Counter()
        left, value = 0, 0.0
        for right, (_, stop, number) in enumerate(hits):
            held[number] += 1
            if held[number] == 1:
                value += weights[number]
            while left < right and stop - hits[left][0] > width:
                gone = hits[left][2]
                held[gone] -= 1
                if not held[gone]:
                    value -= weights[gone]
                left += 1
            score = (round(value, 9), right - left)
            if score > best:
                best, first, last = score, hits[left][0], stop
    spare = max(0, width - (last - first))
    begin = max(0, first - min(_LEAD, spare // 2))
    end = min(len(text), max(last, begin + width))
    end = min(end, begin + max(width, last - begin))
    begin = max(0, min(begin, end - width)) if end == len(text) else begin
    return _at_border(text, begin, first, forward=True), _at_border(text, end, last, forward=False)


def _at_border(text: str, place: int, bound: int, *, forward: bool) -> int:
    """Move a cut towards the hits until it is between two words, if one of them ends before those."""
    if place in (0, len(text)):
        return place
    step = 1 if forward else -1
    for moved in range(place, bound + step if bound != place else place, step):
        if text[moved - 1 : moved + 1].strip() != text[moved - 1 : moved + 1]:
            return moved
    return _between_characters(text, place, step)


def _between_characters(text: str, place: int, step: int) -> int:
    """Keep accents, joiners and what they join together."""
    from unicodedata import combining

    while 0 < place < len(text) and (
        combining(text[place]) or text[place] in "\u200d\ufe0f" or text[place - 1] == "\u200d"
    ):
        place += step
    return place
