"""Embeddings for wilk by a model that runs in the process, with weights out of a package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk import Embedder, hookimpl

if TYPE_CHECKING:
    from wilk import Embedding, Settings


@hookimpl
def register_embedders() -> Iterator[Embedder]:
    yield Embedder(name="local", open=open_local, summary="a model in this process, without network")


def open_local(settings: Settings, model: str | None) -> Embedding:
    """Open the model of that id, or the configured one; weights are loaded with the first text."""
    from wilk_local.embedding import Local  # it imports numpy
    from wilk_local.options import chosen

    return Local(*chosen(settings.plugins.get("local") or {}, model))
