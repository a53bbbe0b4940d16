"""The words of a query, and whether a text holds them: folded as the full-text index folds.

What a script without spaces writes (Chinese, Japanese, Thai, Lao, Khmer), and input without any word,
is looked for as it stands. Engines that cannot search text themselves use the same rules, so that
the answer does not depend on the index.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

MOST = 32
"""Words of a query that count; of longer queries the longest words, which are the rarest ones."""

LONGEST_QUERY = 10_000
"""Characters of a query that are looked at."""

_LONGEST_PIECE = 100
_MOST_TOKENS = 32  # of one word: a phrase of thousands costs its length at each place of a text
# An accent may be a character of its own behind its letter, and is folded away with it.
_ASCII_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"(?:[^\W_]|[\u0300-\u0331])+")
_ASCII_TOKEN = re.compile(r"[a-z0-9]+")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


class Term(NamedTuple):
    """One word of a query. ``tokens`` are what the index takes it apart into (``snake_case`` is two, one
    behind the other); without any, ``text`` is compared as it stands."""

    text: str
    tokens: tuple[str, ...]


def terms(text: str) -> list[Term]:
    """The distinct words of a query in their order; of one without words, what spaces part it into."""
    text = text[:LONGEST_QUERY]
    found: dict[tuple[str, ...], Term] = {}
    for word in _words_of(text):
        if _UNSPACED.search(word):
            piece = word[:_LONGEST_PIECE]
            found.setdefault((piece.lower(), ""), Term(piece, ()))
        elif parts := tokens(word):
            found.setdefault(tuple(parts[:_MOST_TOKENS]), _term(word, parts))
    if not found:
        found = {(part,): Term(part[:_LONGEST_PIECE], ()) for part in text.split()}
    chosen = list(found.values())
    if len(chosen) > MOST:
        longest = set(sorted(range(len(chosen)), key=lambda i: (-len(chosen[i].text), i))[:MOST])
        chosen = [term for i, term in enumerate(chosen) if i in longest]
    return chosen


def _term(word: str, parts: list[str]) -> Term:
    if len(parts) > _MOST_TOKENS:
        *_, last = islice(_words(word), _MOST_TOKENS)
        return Term(word[: last[2]], tuple(parts[:_MOST_TOKENS]))
    return Term(word, tuple(parts))


def _words_of(text: str) -> list[str]:
    """The words of a text. Signs for vowels and the like belong to the letters that they stand at: an
    index takes a word apart there, and finds it as those parts one behind the other."""
    if text.isascii():
        return _ASCII_WORD.findall(text)
    from unicodedata import category  # see _fold

    held = (c if c.isalnum() or c == "_" or category(c)[0] == "M" else " " for c in text)
    return "".join(held).split()


def tokens(text: str) -> list[str]:
    """The folded words of a text."""
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())
    return [token for word in _TOKEN.findall(text) if (token := _fold(word))]


def features(text: str) -> frozenset[str]:
    """What two texts are compared by: their folded words, or pairs of characters where no spaces are."""
    found: set[str] = set()
    for word in _words_of(text):
        if _UNSPACED.search(word):
            found.update(word[i : i + 2].lower() for i in range(max(1, len(word) - 1)))
        else:
            found.update(tokens(word))
    return frozenset(found)


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """How much two texts have in common, 0.0–1.0: the cosine between their sets of words."""
    if not one or not other:
        return 0.0
    shared: float = len(one & other) / (len(one) * len(other)) ** 0.5
    return min(1.0, shared)


class Text:
    """A text in which terms are counted."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._counts = Counter(self._tokens)
        self._lowered = text.lower()

    def __len__(self) -> int:
        """How many words it has."""
        return len(self._tokens)

    def count(self, term: Term) -> int:
        """How often it holds a term."""
        wanted = term.tokens
        if not wanted:
            return self._lowered.count(term.text.lower())
        if len(wanted) == 1 or not all(token in self._counts for token in wanted):
            return self._counts[wanted[0]] if len(wanted) == 1 else 0
        width = len(wanted)
        return sum(tuple(self._tokens[i : i + width]) == wanted for i in range(len(self._tokens) - width + 1))


def places(text: str, wanted: Sequence[Term]) -> list[tuple[int, int, int]]:
    """Where a text holds terms: begin, end, and the number of the term; in order, none within another."""
    spans: list[tuple[int, int, int]] = []
    by_first: dict[str, list[int]] = {}
    for number, term in enumerate(wanted):
        if term.tokens:
            by_first.setdefault(term.tokens[0], []).append(number)
        else:
            spans += [(*hit.span(), number) for hit in re.finditer(re.escape(term.text), text, re.IGNORECASE)]
    if by_first:
        words = list(_words(text))
        for i, (token, begin, _) in enumerate(words):
            for number in by_first.get(token, ()):
                own = wanted[number].tokens
                if tuple(one for one, _, _ in words[i : i + len(own)]) == own:
                    spans.append((begin, _with_marks(text, words[i + len(own) - 1][2]), number))
    spans.sort(key=lambda span: (span[0], -span[1], span[2]))
    kept: list[tuple[int, int, int]] = []
    for span in spans:
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def _with_marks(text: str, end: int) -> int:
    """The end of a word with the signs at its last letter."""
    while end < len(text) and not text[end].isascii():
        from unicodedata import category  # see _fold

        if category(text[end])[0] != "M":
            break
        end += 1
    return end


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    for match in _TOKEN.finditer(text):
        if token := _fold(match[0]):
            yield token, match.start(), match.end()


@lru_cache(maxsize=20_000)
def _fold(word: str) -> str:
    """A word without case and accents."""
    if word.isascii():
        return word.lower()
    from unicodedata import normalize  # a megabyte that ASCII does not need

    letters = (letter for letter in normalize("NFD", word) if not "\u0300" <= letter <= "\u036f")
    return "".join(letters).lower().replace("ς", "σ")
