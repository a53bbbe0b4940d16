"""Short codes of vectors: one bit for each direction of a turned space, and what the bits tell of distances.

Vectors are centred and turned at random, and of every coordinate the sign is kept (after RaBitQ, Gao and
Long 2024, with the query cut to signs as well). Two vectors at an angle a differ in each bit with
probability a/pi, so that the number of bits in which they differ bounds the angle, at any wanted
confidence, and with both lengths the distance. A search drops what such a bound rules out, and compares
the rest in full.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WORD = 64
_CONFIDENCE = 3.5
"""Standard deviations of the number of differing bits that are allowed for: a near vector is ruled out
once in a thousand times at most."""
_SLACK = np.float32(1e-5)
_LARGEST = 1e15
_BLOCK = 2048
_WIDEST = 512


class Coded(NamedTuple):
    """The codes of vectors: words × n bits, their lengths, and what is added to the bound of each."""

    words: NDArray[np.uint64]
    norms: NDArray[np.float32]
    base: NDArray[np.float32]


class CodedQuery(NamedTuple):
    """A query, cut as vectors are. A limit on distances becomes one on bounds by ``limit``."""

    words: NDArray[np.uint64]
    factor: float
    constant: float
    slack: float


class Coder:
    """Cuts the vectors of a space to codes.

    ``center`` is what they lie around, in units of ``scale``, a power of two: float32 would not hold the
    squares of every length.
    """

    def __init__(self, distance: str, dimension: int, center: NDArray[np.float64], scale: float) -> None:
        self.distance = distance
        self.dimension = dimension
        self.center = center
        self.scale = scale
        self.words = -(-dimension // WORD)
        width = self.words * WORD
        self._turning = _Turning(width)
        self._center = center.astype(np.float32)

    @classmethod
    def around(cls, distance: str, vectors: NDArray[np.float32]) -> Coder:
        """A coder for vectors such as these."""
        some = units(vectors) if distance == "cosine" else vectors
        exact = some.astype(np.float64)
        lengths = np.sqrt(np.square(exact).sum(axis=1))
        middle = float(np.median(lengths[lengths > 0])) if lengths.any() else 1.0
        scale = 1.0 if distance == "cosine" else 2.0 ** -math.frexp(middle)[1]
        usual = exact[lengths <= 64 * middle]
        return cls(distance, vectors.shape[1], usual.mean(axis=0) * scale, scale)

    def code(self, vectors: NDArray[np.float32]) -> Coded:
        """Cut vectors."""
        count = len(vectors)
        words = np.empty((self.words, count), np.uint64)
        norms = np.empty(count, np.float32)
        base = np.zeros(count, np.float32)
        for start in range(0, count, _BLOCK):
            part = slice(start, min(start + _BLOCK, count))
            centred = self._scaled(vectors[part]) - self._center
            with np.errstate(over="ignore", invalid="ignore"):
                lengths = np.sqrt(np.einsum("ij,ij->i", centred, centred))
                odd = ~(lengths < _LARGEST)
                if self.distance != "dot":
                    base[part] = np.square(lengths) * (1 - _SLACK)
            if odd.any():  # too long to be judged by a code: always compared in full
                centred[odd], lengths[odd] = 0.0, 0.0
                base[part][odd] = -np.inf
            norms[part] = lengths
            words[:, part] = self._bits(centred).T
        return Coded(words, norms, base)

    def query(self, query: NDArray[np.float32]) -> CodedQuery | None:
        """Cut a query; None when codes say nothing about it."""
        scaled = self._scaled(query[None])
        centred = scaled if self.distance == "dot" else scaled - self._center
        length = float(np.sqrt(np.square(centred.astype(np.float64)).sum()))
        if not 1.0 / _LARGEST < length < _LARGEST:
            return None
        words = self._bits(centred)[0]
        if self.distance == "dot":
            along = float(self.center @ scaled[0].astype(np.float64))
            beside = float(np.sqrt(np.square(self.center).sum())) * length
            return CodedQuery(words, -length, -along, float(_SLACK) * beside)
        return CodedQuery(words, -2.0 * length, length * length, float(_SLACK) * length * length)

    def limit(self, query: CodedQuery, distance: float) -> float:
        """The bound beyond which no vector is as near as a distance."""
        if self.distance == "cosine":
            metric = 2.0 * distance
        elif self.distance == "dot":
            metric = distance * self.scale * self.scale
        else:
            metric = (distance * self.scale) ** 2
        return metric - query.constant + query.slack + abs(metric) * float(_SLACK)

    def _scaled(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.distance == "cosine":
            return units(vectors)
        if 2.0**-60 < self.scale < 2.0**60:
            return vectors * np.float32(self.scale)
        with np.errstate(over="ignore"):
            return (vectors.astype(np.float64) * self.scale).astype(np.float32)

    def _bits(self, centred: NDArray[np.float32]) -> NDArray[np.uint64]:
        """The signs of turned vectors, a row of words for each."""
        count, width = len(centred), self.words * WORD
        wide = np.zeros((count, width), np.float32)
        wide[:, : self.dimension] = centred
        bits = self._turning.turned(wide) > 0
        return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


class _Turning:
    """A turn of the space that is drawn by lot, the same one for the same width.

    A large matrix costs the square of the width. Beyond some width rows and columns of the vector, laid
    out as a rectangle, are turned apart, twice over: once would leave a vector of few values uneven.
    """

    def __init__(self, width: int) -> None:
        chance = np.random.default_rng(width)
        self._whole = _turn(chance, width) if width <= _WIDEST else None
        self._rounds: list[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]] = []
        if self._whole is None:
            rows = next(n for n in range(math.isqrt(width), 0, -1) if width % n == 0)
            for _ in range(2):
                signs = np.where(chance.random(width) < 0.5, -1.0, 1.0).astype(np.float32)
                self._rounds.append((signs, _turn(chance, width // rows), _turn(chance, rows)))

    def turned(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn vectors; they may be changed."""
        if self._whole is not None:
            whole: NDArray[np.float32] = vectors @ self._whole
            return whole
        count, width = vectors.shape
        for signs, across, down in self._rounds:
            vectors *= signs
            half = np.matmul(vectors.reshape(-1, len(across)), across)
            half = half.reshape(count, len(down), len(across)).transpose(0, 2, 1)
            vectors = np.matmul(half.reshape(-1, len(down)), down).reshape(count, width)
        return vectors


class Bounds:
    """The smallest distance that vectors may have, by the number of bits in which they differ."""

    def __init__(self, bits: int) -> None:
        chances = np.linspace(0.0, 1.0, 4001)
        most = bits * chances + _CONFIDENCE * np.sqrt(bits * chances * (1.0 - chances)) + 0.5
        least = np.searchsorted(np.maximum.accumulate(most), np.arange(bits + 1))
        self.cosines = np.cos(np.pi * chances[np.minimum(least, len(chances) - 1)]).astype(np.float32)


def first_pass(
    coded: Coded, count: int, query: CodedQuery, bounds: Bounds, used: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A bound for each of the first ``count`` vectors by ``used`` words, and the number of differing bits."""
    found = np.empty(count, np.float32)
    bits = np.empty(count, np.uint8)
    table = bounds.cosines * np.float32(query.factor)
    wanted = query.words[:used, None]
    for start in range(0, count, 32_768):  # what lies in the processor's cache at once
        part = slice(start, min(start + 32_768, count))
        counted = np.bitwise_count(coded.words[:used, part] ^ wanted)
        sums = bits[part]
        sums[:] = counted[0]
        for word in range(1, used):
            sums += counted[word]
        bound = found[part]
        np.take(table, sums, out=bound, mode="clip")
        bound *= coded.norms[part]
        bound += coded.base[part]
    return found, bits


def second_pass(
    coded: Coded,
    positions: NDArray[np.int64],
    bits: NDArray[np.uint8],
    query: CodedQuery,
    bounds: Bounds,
    used: int,
) -> NDArray[np.float32]:
    """Bounds for some of the vectors, by all words."""
    sums = bits[positions].astype(np.int64)
    for word in range(used, len(query.words)):
        sums += np.bitwise_count(coded.words[word].take(positions) ^ query.words[word])
    found = (bounds.cosines * np.float32(query.factor)).take(sums)
    found *= coded.norms[positions]
    found += coded.base[positions]
    return found


def units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of length 1; zero vectors as they are."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    largest[largest == 0] = 1.0
    found: NDArray[np.float32] = vectors / largest  # whose squares float32 can hold
    lengths = np.sqrt(np.einsum("ij,ij->i", found, found))[:, None]
    lengths[lengths == 0] = 1.0
    found /= lengths
    return found


def _turn(chance: np.random.Generator, size: int) -> NDArray[np.float32]:
    turned: NDArray[np.float32] = np.linalg.qr(chance.normal(size=(size, size)))[0].astype(np.float32)
    return turned
