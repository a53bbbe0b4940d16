"""What Connectome's interface asks about the whole store: how much there is of each kind."""

from __future__ import annotations

from typing import Any

from wilk import models
from wilk.engine import Engine
from wilk.services.connectome.documents import CONVERSATION


def counts(engine: Engine) -> dict[str, int]:
    """Count the rows of the Connectome family, by the names of Connectome's own tables."""
    from peewee import fn  # with Peewee; see wilk.models

    document: Any = models.Document
    queries = {
        "conversations": document.select(fn.COUNT(document.id)).where(document.kind == CONVERSATION),
        "raw_messages": models.RawMessage.select(fn.COUNT(models.RawMessage.pk)),
        "memories": models.Memory.select(fn.COUNT(models.Memory.pk)),
        "reasoning_chains": models.ReasoningChain.select(fn.COUNT(models.ReasoningChain.pk)),
        "chunk_info": models.ChunkInfo.select(fn.COUNT(models.ChunkInfo.conversation_id)),
        "cache_entries": models.CacheEntry.select(fn.COUNT(models.CacheEntry.key)),
        "system_state": models.SystemState.select(fn.COUNT(models.SystemState.key)),
    }
    with engine.snapshot():
        return {name: engine.select(query)[0][0] for name, query in queries.items()}
