"""Summaries and embeddings for wilk by any endpoint that speaks the protocol of OpenAI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wilk import Embedder, hookimpl

if TYPE_CHECKING:
    from wilk import Embedding, Message, Settings, Store


@hookimpl
def summarize(store: Store, messages: Sequence[Message], longest: int) -> str | None:
    """Ask the model that ``config.yaml`` names; None, so that wilk summarizes itself, if that fails."""
    section = store.settings.plugins.get("openai")
    if not section:
        return None
    from wilk_openai.summaries import summary  # the HTTP library is imported when it is used

    return summary(store, section, messages, longest)


@hookimpl
def register_embedders() -> Iterator[Embedder]:
    yield Embedder(name="openai", open=open_embeddings, summary="a model behind an HTTP endpoint")


def open_embeddings(settings: Settings, model: str | None) -> Embedding:
    """Open the model of that id, or the configured one. Nothing is sent before the first text."""
    from wilk_openai.embeddings import Embeddings
    from wilk_openai.options import options_of

    return Embeddings(options_of(settings.plugins.get("openai") or {}), model)
