"""What is nearest: an index proposes numbers, and the rows decide what there is and how far away it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec, models
from wilk.engine import Engine
from wilk.services.vectors.filters import conditions, fits
from wilk.services.vectors.indexes import Indexes
from wilk.services.vectors.rows import Row, Rows
from wilk.services.vectors.spaces import Space

if TYPE_CHECKING:
    from numpy import float32, int64
    from numpy.typing import NDArray

_FEW = 256
_MANY = 5000
_BLOCK = 2048


class Hit(NamedTuple):
    """A vector that was found, with its number in its space."""

    number: int
    record_id: str
    part: int
    score: float
    distance: float
    metadata: Mapping[str, Any]


class Neighbours:
    """Searches the spaces of one store."""

    def __init__(self, engine: Engine, indexes: Indexes) -> None:
        self._engine = engine
        self._indexes = indexes

    def nearest(
        self,
        space: Space,
        query: NDArray[float32],
        k: int,
        *,
        records: Any | None = None,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """The k vectors of a space, as just read, that are nearest to a query; of equals the older one first.

        ``records`` is a query of the ids of those records that count, ``where`` a filter of metadata.
        ``exact`` compares every vector, whatever the index.
        """
        import numpy as np

        wanted = [] if where is None else conditions(space.id, where)
        if not k:
            return []
        if where and records is None and not exact and space.count > _MANY and k < _FEW:
            # Most filters leave enough of what is nearest; asking for all that they leave would take longer.
            hits = [
                hit for hit in self._proposed(space, query, 3 * k + 16, None) if fits(hit.metadata, where)
            ]
            if len(hits) >= k:
                return hits[:k]
        among = self._among(space, records, wanted)
        rows = self._indexes.rows(space)
        if among == []:
            return []
        if among is not None and len(among) <= max(_FEW, k):
            return _hits(space, query, rows.whole(among))[:k]
        chosen = None if among is None else np.array(among, np.int64)
        if exact:
            return _hits(space, query, rows.whole(_all(rows, query, k, chosen, 0)))
        return self._proposed(space, query, k, chosen)

    def _proposed(
        self, space: Space, query: NDArray[float32], k: int, chosen: NDArray[int64] | None
    ) -> list[Hit]:
        opened = self._indexes.following(space)
        own = self._engine.in_transaction
        tail: list[int] = []
        if own and opened.seen < space.last_number:  # what this transaction wrote, and no index knows
            tail = _all(opened.rows, query, k, chosen, opened.seen)
        wanted = k
        while True:
            numbers = opened.nearest.search(query, wanted, chosen)[0].tolist()
            rows = opened.rows.whole(sorted({*numbers, *tail}))
            there = {row.number for row in rows}
            missing = [one for one in numbers if one not in there]
            gone = [one for one in missing if one <= space.last_number]
            enough = len(numbers) - len(missing) >= k or len(numbers) < wanted
            if gone and not own:
                self._indexes.forget(opened, gone)
            if opened.rows.missed and not own:
                self._indexes.review(opened, space.last_number)
            if enough:
                return _hits(space, query, rows)[:k]
            wanted += 2 * len(missing)  # by no more: all that lies beyond a group may be about as near

    def _among(self, space: Space, records: Any | None, wanted: list[Any]) -> list[int] | None:
        """The numbers of the vectors that count, in order; None for all of them."""
        if records is None and not wanted:
            return None
        vector: Any = models.Vector
        if records is not None:
            wanted.append(vector.record_id.in_(records))
        query = vector.select(vector.number).where(vector.space == space.id, *wanted)
        return [row[0] for row in self._engine.select(query.order_by(vector.number))]


def _all(rows: Rows, query: NDArray[float32], k: int, chosen: NDArray[int64] | None, after: int) -> list[int]:
    """The numbers of the nearest vectors after a number, found by comparing all of them."""
    import numpy as np

    from wilk.vectors.distances import distances, nearest

    best = np.empty(0, np.int64), np.empty(0, np.float64)
    while True:
        numbers, vectors = rows.after(after, _BLOCK)
        count = len(numbers)
        if count:
            after = int(numbers[-1])
            if chosen is not None:
                kept = np.isin(numbers, chosen)
                numbers, vectors = numbers[kept], vectors[kept]
            found = distances(rows.distance, vectors, query)
            best = nearest(np.concatenate([best[0], numbers]), np.concatenate([best[1], found]), k)
        if count < _BLOCK:
            return list(best[0].tolist())


def _hits(space: Space, query: NDArray[float32], rows: Sequence[Row]) -> list[Hit]:
    """The rows by their distance, of equals the older one first."""
    import numpy as np

    from wilk.vectors.distances import distances, score

    if not rows:
        return []
    data = np.frombuffer(b"".join([row.data for row in rows]), "<f4").reshape(len(rows), -1)
    found = distances(space.distance, data, query).tolist()
    return [
        Hit(
            row.number,
            row.record_id,
            row.part,
            score(space.distance, distance),
            distance,
            codec.kept(row.metadata, dict) if row.metadata else {},
        )
        for distance, _, row in sorted(
            (distance, row.number, row) for distance, row in zip(found, rows, strict=True)
        )
    ]
