"""Records of the search family: vectors, their collections, what a search found and why."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple


class Collection(NamedTuple):
    """A named set of vectors of one model: ``distance`` is cosine, dot or euclidean.

    ``kind`` is the kind of records whose vectors the store's embedder makes here, if it does; ``state``
    is active, or building while a new model's vectors are made beside the old ones.
    """

    name: str
    kind: str | None
    model: str
    embedder: str | None
    dimension: int
    distance: str
    state: str
    count: int  # type: ignore[assignment]  # nobody counts the values of a record
    created_at: datetime
    updated_at: datetime


class Vector(NamedTuple):
    """One vector of a collection, as a tuple of floats."""

    collection: str
    id: str
    part: int
    values: tuple[float, ...]
    model: str
    metadata: Mapping[str, Any]
    created_at: datetime


class Near(NamedTuple):
    """A vector that a search found, the nearest first.

    ``score`` is greater for what is nearer: the cosine (-1.0–1.0), the dot product, or for euclidean
    the distance taken negative. ``distance`` is smaller for what is nearer: 1 - cosine, the dot product
    taken negative, or the euclidean distance.
    """

    id: str
    part: int
    score: float
    distance: float
    metadata: Mapping[str, Any]


class Reason(NamedTuple):
    """Why a record was found: its place in one of the lists that were fused, from 1.

    ``by`` is ``text`` or ``vector``; ``value`` what that list is sorted by (BM25 or cosine), ``share``
    what it adds to the score.
    """

    by: str
    rank: int
    value: float
    share: float


class Found(NamedTuple):
    """A record that a search found. ``snippet`` is the place that fits best, ``marks`` what was hit in it,
    as positions (begin, end) in the snippet. ``score`` is the sum of the shares of ``reasons``."""

    kind: str
    id: str
    score: float
    snippet: str
    marks: Sequence[tuple[int, int]]
    session_id: str | None
    created_at: datetime | None
    reasons: Sequence[Reason]
    record: Any


class IndexStatus(NamedTuple):
    """How far the vectors of one kind of records are.

    ``state`` is ``none`` (no embedder, or none made yet), ``active`` or ``building``; ``records`` how many
    there are, ``embedded`` how many have vectors by ``model``, ``pending`` how many wait, ``failed`` how many
    of these were refused; ``error`` the last error. ``searched_by`` names the index that finds the
    nearest of its vectors, None while there are none; ``searched_by_reason`` tells why that is not the
    backend's own.
    """

    kind: str
    state: str
    model: str | None
    dimension: int | None
    records: int
    embedded: int
    pending: int
    failed: int
    error: str | None
    searched_by: str | None = None
    searched_by_reason: str | None = None
