"""The index ``exact``: nothing to build, and what it answers is what comparing every vector gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk.contracts import VectorIndex
from wilk.hookspecs import hookimpl

if TYPE_CHECKING:
    from wilk.contracts import Nearest, SpaceRows
    from wilk.settings import Settings


def _open(rows: SpaceRows, settings: Settings) -> Nearest:
    from wilk.vectors.flat import Flat

    return Flat(rows, settings)


@hookimpl
def register_vector_indexes() -> Iterator[VectorIndex]:
    yield VectorIndex("exact", _open, "compares all vectors, by short codes first; nothing to build")
