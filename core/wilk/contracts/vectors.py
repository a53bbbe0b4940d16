"""What an index of vectors hands over, and what it is given of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from numpy import float32, int64
    from numpy.typing import NDArray

    from wilk.settings import Settings


class SpaceRows(Protocol):
    """The vectors that an index follows: one collection by one model. Numbers only go up."""

    collection: str
    model: str
    dimension: int
    distance: str
    token: str
    folder: Path | None

    def after(self, number: int, limit: int) -> tuple[NDArray[int64], NDArray[float32]]:
        """The vectors with a greater number, in order: n numbers and n x dimension values."""

    def rows(self, numbers: NDArray[int64]) -> tuple[NDArray[int64], NDArray[float32]]:
        """Those of the vectors that are still there, in any order."""

    def count(self) -> int:
        """How many vectors there are."""

    def last(self) -> int:
        """The last number that was given, whether its vector is still there or not."""


class Nearest(Protocol):
    """An open index of one space. It is derived: the rows decide what is there.

    Vectors of a space for cosine are given as they were added; a zero vector has cosine 0 to all.
    ``add``, ``remove`` and ``save`` are called one at a time, ``search`` by several threads at once and
    while one of the others runs. What ``search`` proposes is compared once more, from the rows, before
    anybody sees it.
    """

    @property
    def last(self) -> int:
        """The greatest number that was taken in; those after it are handed over by ``add`` before a search.

        An index that processes share asks where it lies; an attribute does for the others.
        """

    def add(self, numbers: NDArray[int64], vectors: NDArray[float32]) -> None:
        """Take in vectors whose numbers are all greater than ``last``."""

    def remove(self, numbers: NDArray[int64]) -> None:
        """Forget vectors; unknown numbers are nothing to it."""

    def search(
        self, query: NDArray[float32], k: int, among: NDArray[int64] | None
    ) -> tuple[NDArray[int64], NDArray[float32]]:
        """Return at most k numbers and their distances (see ``Near``), the nearest first.

        With ``among`` (sorted numbers) only those count. Numbers whose rows are gone may be among the
        answers: the store drops them, and asks again for more.
        """

    def __len__(self) -> int:
        """How many vectors are held, those removed left out."""

    def save(self) -> None:
        """Write to ``rows.folder`` what is needed to go on from here, atomically."""

    def close(self) -> None:
        """Let go of files and memory."""


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """An index that finds the nearest vectors, offered by ``register_vector_indexes`` and chosen by the
    setting ``vector_index``.

    ``open(rows, settings)`` gives one that goes on from its files where they fit the rows (the same
    ``token``, and samples of the numbers they hold), and an empty one otherwise.

    ``work(index)`` is for an index that puts off what takes long, while it answers without it: it does a
    piece of that, of a second or less, on a thread of the store's, and returns whether more is left. Beside
    it the index is searched, added to and saved, so one with ``work`` guards itself.

    ``refuses(dimension)`` is for one that cannot be used everywhere: why it cannot hold vectors of a
    dimension, or None.
    """

    name: str
    open: Callable[[SpaceRows, Settings], Nearest]
    summary: str = ""
    work: Callable[[Any], bool] | None = None
    refuses: Callable[[int], str | None] | None = None
