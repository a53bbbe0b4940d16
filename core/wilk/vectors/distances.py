"""What lies how far from what: the three distances, computed in float64 and alike for every row.

``cosine`` is 1 - cosine, and 1 to and from a zero vector; ``dot`` the dot product taken negative;
``euclidean`` the length of the difference. Smaller is nearer in all three. A row's distance does not
depend on the rows beside it, so that equal rows have equal distances to the last bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 20


def distances(kind: str, rows: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """The distances of rows (n × dimension) from a query, one by one in float64."""
    count, dimension = rows.shape
    found = np.empty(count, np.float64)
    wanted = query.astype(np.float64)
    step = max(1, _BLOCK // dimension)
    for start in range(0, count, step):
        block = rows[start : start + step].astype(np.float64)
        found[start : start + step] = _of_block(kind, block, wanted)
    return found


def nearest(
    numbers: NDArray[np.int64], found: NDArray[np.float64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k smallest distances with their numbers; of equal distances the smaller number goes first."""
    if len(numbers) > k:
        cut = np.partition(found, k - 1)[k - 1]
        kept = found <= cut
        numbers, found = numbers[kept], found[kept]
    order = np.lexsort((numbers, found))[:k]
    return numbers[order], found[order]


def score(kind: str, distance: float) -> float:
    """The score of a distance, which is greater for what is nearer: cosine, dot product, or the
    euclidean distance taken negative."""
    return 1.0 - distance if kind == "cosine" else 0.0 - distance


def _of_block(kind: str, rows: NDArray[np.float64], query: NDArray[np.float64]) -> NDArray[np.float64]:
    # Sums along the row, never a product of matrices: BLAS sums rows of a rest in another order.
    if kind == "euclidean":
        rows -= query
        squares: NDArray[np.float64] = np.sqrt(np.square(rows, out=rows).sum(axis=1))
        return squares
    products: NDArray[np.float64] = (rows * query).sum(axis=1)
    if kind == "dot":
        return 0.0 - products
    lengths = np.sqrt(np.square(rows, out=rows).sum(axis=1)) * np.sqrt(np.square(query).sum())
    cosines = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0.0)
    found: NDArray[np.float64] = 1.0 - np.clip(cosines, -1.0, 1.0)
    return found


def select(
    kind: str,
    rows: NDArray[np.float32],
    numbers: NDArray[np.int64],
    query: NDArray[np.float32],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest of rows with their distances, exactly as :func:`distances` and :func:`nearest` give them.

    All are compared in float32 first; those that its rounding leaves in doubt once more in float64.
    """
    if len(rows) > max(2 * k, 32):
        between = _roughly(kind, rows, query)
        if between is not None:
            lowest, highest = between
            kept = np.flatnonzero(lowest <= np.partition(highest, k - 1)[k - 1])
            rows, numbers = rows[kept], numbers[kept]
    return nearest(numbers, distances(kind, rows, query), k)


def reach(kind: str, rows: NDArray[np.float32], query: NDArray[np.float32], k: int) -> float:
    """A distance within which there are k of the rows, and hardly more than the smallest such one."""
    between = _roughly(kind, rows, query)
    if between is None:
        return float(np.partition(distances(kind, rows, query), k - 1)[k - 1])
    found = float(np.partition(between[1], k - 1)[k - 1])
    if kind == "cosine":
        return 1.0 + found
    length = float(np.sqrt(np.square(query.astype(np.float64)).sum()))
    return found * length if kind == "dot" else math.sqrt(max(0.0, found))


def _roughly(
    kind: str, rows: NDArray[np.float32], query: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """What the order of the rows goes by, computed in float32: at least and at most. None for queries
    that are too short or too long for it.

    For cosine that is the cosine, for dot the product with a query of length 1, both taken negative; for
    euclidean the square of the distance.
    """
    exact = query.astype(np.float64)
    length = float(np.sqrt(np.square(exact).sum()))
    if not 1e-15 < length < 1e15:
        return None
    with np.errstate(all="ignore"):
        squares = np.einsum("ij,ij->i", rows, rows)
        lengths = np.sqrt(squares)
        odd = ~((lengths > 1e-15) & (lengths < 1e15))
        found = rows @ (exact / -length).astype(np.float32)
        # Sums of n products are off by at most n roundings of what the lengths multiply to.
        error = rows.shape[1] * np.float32(2.4e-7)
        if kind == "cosine":
            found /= lengths
            off: NDArray[np.float32] | np.float32 = np.float32(error)
        elif kind == "dot":
            off = lengths * error
        else:
            found = squares + found * np.float32(2 * length) + np.float32(length * length)
            off = np.square(lengths + np.float32(length)) * error
        lowest, highest = found - off, found + off
        if odd.any():
            lowest[odd], highest[odd] = -np.inf, np.inf
    return lowest, highest
