"""A vector index for wilk that searches a graph (HNSW), built in the background."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk import VectorIndex, hookimpl

if TYPE_CHECKING:
    from wilk import Nearest, Settings, SpaceRows, Store
    from wilk_hnsw.index import Hnsw


def _open(rows: SpaceRows, settings: Settings) -> Nearest:
    from wilk_hnsw.index import open_index  # the library is imported when it is used
    from wilk_hnsw.options import options_of

    return open_index(rows, options_of(settings.plugins.get("hnsw")))


def _work(index: Hnsw) -> bool:
    return index.work()


@hookimpl
def register_vector_indexes() -> Iterator[VectorIndex]:
    """Offer the index ``hnsw``."""
    yield VectorIndex("hnsw", _open, "searches a graph: fast among very many, nearly exact", work=_work)


@hookimpl
def store_opened(store: Store) -> None:
    """Check the plugin's settings, so that a fault in them is told at once."""
    from wilk_hnsw.options import options_of

    options_of(store.settings.plugins.get("hnsw"))
