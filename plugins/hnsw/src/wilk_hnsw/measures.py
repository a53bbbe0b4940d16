"""Distances as wilk defines them, in the terms of the library: inner products and squared lengths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import faiss
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.int64]

METRICS = {
    "cosine": faiss.METRIC_INNER_PRODUCT,
    "dot": faiss.METRIC_INNER_PRODUCT,
    "euclidean": faiss.METRIC_L2,
}


def prepared(distance: str, vectors: Floats) -> Floats:
    """Vectors as the graph holds them: for cosine of length 1, or of length 0."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    if distance != "cosine":
        return vectors
    # Scaled first: the squares of very large and very small values are no float32.
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    lengths = np.sqrt(np.square(scaled).sum(axis=1, keepdims=True))
    ready: Floats = np.divide(scaled, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return ready


def prepared_query(distance: str, query: Floats) -> Floats:
    """One vector, likewise."""
    query = np.ascontiguousarray(query, np.float32)
    if distance != "cosine":
        return query
    wide = query.astype(np.float64)
    square = float(wide.dot(wide))
    if 1e-20 < square < 1e20:
        ready: Floats = query * np.float32(1 / math.sqrt(square))
        return ready
    whole: Floats = prepared(distance, query[None])[0]
    return whole


def distances(distance: str, found: Floats) -> Floats:
    """What the library found, as distances."""
    if distance == "euclidean":
        lengths: Floats = np.sqrt(np.maximum(found, np.float32(0)))
        return lengths
    return (np.float32(1) if distance == "cosine" else np.float32(0)) - found


def compared(distance: str, vectors: Floats, query: Floats, k: int) -> tuple[Numbers, Floats]:
    """Compare all vectors: the places of the k nearest, and their distances, in order."""
    if METRICS[distance] == faiss.METRIC_L2:
        found, places = faiss.knn(query[None], vectors, min(k, len(vectors)), metric=faiss.METRIC_L2)
        return places[0], distances(distance, found[0])
    all_of_them = distances(distance, vectors @ query)
    chosen = np.arange(len(all_of_them))
    if len(chosen) > k:
        chosen = np.argpartition(all_of_them, k - 1)[:k]
    chosen = chosen[np.argsort(all_of_them[chosen], kind="stable")]
    return chosen, all_of_them[chosen]


def first(numbers: Numbers, found: Floats, k: int) -> tuple[Numbers, Floats]:
    """The k nearest in order; of equal distances the smaller number goes first."""
    order = np.lexsort((numbers, found))[:k]
    return numbers[order], found[order]
