"""An index of a plugin, whose failures come back as wilk's: what it cannot do, words or the rows do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wilk.errors import BackendError, WilkError

if TYPE_CHECKING:
    from numpy import float32, int64
    from numpy.typing import NDArray

    from wilk.contracts import Nearest, SpaceRows, VectorIndex
    from wilk.settings import Settings


class Guarded:
    """An open index. Raises BackendError for whatever the plugin raises, a fault of its own among it."""

    def __init__(self, index: VectorIndex, rows: SpaceRows, settings: Settings) -> None:
        self._name = index.name
        self._work = index.work
        with self._told("open"):
            self.below: Nearest = index.open(rows, settings)

    @property
    def last(self) -> int:
        return self.below.last

    @property
    def work(self) -> Callable[[], bool] | None:
        """Does a piece of what the index puts off, and tells whether more is left; None when it puts off
        nothing."""
        work = self._work
        return None if work is None else lambda: self._piece(work)

    def add(self, numbers: NDArray[int64], vectors: NDArray[float32]) -> None:
        with self._told("add"):
            self.below.add(numbers, vectors)

    def remove(self, numbers: NDArray[int64]) -> None:
        with self._told("remove"):
            self.below.remove(numbers)

    def search(
        self, query: NDArray[float32], k: int, among: NDArray[int64] | None
    ) -> tuple[NDArray[int64], NDArray[float32]]:
        with self._told("search"):
            return self.below.search(query, k, among)

    def __len__(self) -> int:
        return len(self.below)

    def save(self) -> None:
        with self._told("save"):
            self.below.save()

    def close(self) -> None:
        with self._told("close"):
            self.below.close()

    def _piece(self, work: Callable[[Nearest], bool]) -> bool:
        with self._told("work"):
            return work(self.below)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except WilkError:
            raise
        except Exception as error:
            raise BackendError(
                f"the vector index {self._name!r} failed ({what}): {type(error).__name__}: {error}"
            ) from error
