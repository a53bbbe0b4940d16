"""The rows of one space as an index sees them: numbers and vectors, read from the database."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import models
from wilk.engine import Engine
from wilk.models.statements import param
from wilk.services.vectors.spaces import Space, parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import float32, int64
    from numpy.typing import NDArray


class Row(NamedTuple):
    """What a search tells of a vector; ``metadata`` is JSON."""

    number: int
    record_id: str
    part: int
    data: bytes
    metadata: str | None


class Rows:
    """The vectors of a space (:class:`wilk.SpaceRows`). They are read as the calling thread sees them."""

    def __init__(self, engine: Engine, space: Space, folder: Path | None) -> None:
        self._engine = engine
        self._space = space.id
        self.collection = space.collection
        self.model = space.model
        self.dimension = space.dimension
        self.distance = space.distance
        self.token = space.token
        self.folder = None if folder is None else folder / "indexes" / space.token
        self.missed: set[int] = set()
        """Numbers that an index asked for, and that had no row as the thread saw it that asked."""

    def after(self, number: int, limit: int) -> tuple[NDArray[int64], NDArray[float32]]:
        """The vectors with a greater number, in order."""
        return self._arrays(
            self._engine.fetch("vectors.after", _after, (self._space, number, limit)),
        )

    def rows(self, numbers: NDArray[int64]) -> tuple[NDArray[int64], NDArray[float32]]:
        """Those of the vectors that are still there, in any order."""
        found: list[Any] = []
        for some in parts(numbers.tolist()):
            build = partial(_some, len(some), "number", "data")
            found += self._engine.fetch(f"vectors.data.{len(some)}", build, (self._space, *some))
        if len(found) < len(numbers):
            self.missed.update(set(numbers.tolist()) - {row[0] for row in found})
        return self._arrays(found)

    def count(self, *, after: int = 0) -> int:
        """How many vectors there are, or how many with a greater number."""
        if after:
            found = self._engine.fetch("vectors.count_after", _count_after, (self._space, after))
            return int(found[0][0])
        return self._state()[0]

    def last(self) -> int:
        """The last number that was given."""
        return self._state()[1]

    def _state(self) -> tuple[int, int]:
        rows = self._engine.fetch("vector_spaces.state", _state, (self._space,))
        return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)

    def whole(self, numbers: Sequence[int]) -> list[Row]:
        """Those of the vectors that are still there, with what a search tells of them."""
        found: list[Row] = []
        for some in parts(numbers):
            build = partial(_some, len(some), *Row._fields)
            rows = self._engine.fetch(f"vectors.whole.{len(some)}", build, (self._space, *some))
            found += [Row(*row) for row in rows]
        return found

    def _arrays(self, rows: Sequence[Any]) -> tuple[NDArray[int64], NDArray[float32]]:
        import numpy as np

        numbers = np.array([row[0] for row in rows], np.int64)
        vectors = np.frombuffer(b"".join([row[1] for row in rows]), "<f4").astype(np.float32, copy=False)
        return numbers, vectors.reshape(len(rows), self.dimension)


def _after() -> Any:
    one = models.Vector
    return (
        one.select(one.number, one.data)
        .where(one.space == param("space"), one.number > param("number"))
        .order_by(one.number)
        .limit(param("limit"))
    )


def _count_after() -> Any:
    from peewee import fn  # with Peewee; see wilk.models

    one = models.Vector
    return one.select(fn.COUNT(one.number)).where(one.space == param("space"), one.number > param("number"))


def _state() -> Any:
    one = models.VectorSpace
    return one.select(one.count, one.last_number).where(one.id == param("id"))


def _some(size: int, *names: str) -> Any:
    one: Any = models.Vector
    numbers = [param("number") for _ in range(size)]
    return one.select(*[getattr(one, name) for name in names]).where(
        one.space == param("space"), one.number.in_(numbers)
    )
