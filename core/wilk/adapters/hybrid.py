"""The storage module's hybrid store and vector store over wilk, by their own method names, awaited.

The hybrid store is the module's store with what is similar: queries, patterns, corrections, successes,
clusters. With an embedder two texts are compared by their vectors; without one by the words that they
share, from 0.0 for none to 1.0 for the same. Nothing has to be embedded by hand: what is kept is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from wilk.adapters.learning import LearningStore
from wilk.aio import AsyncStore
from wilk.errors import Invalid, NotFound
from wilk.records.learning import Interaction, Pattern
from wilk.services import checks
from wilk.services.learning.outcomes import Outcomes
from wilk.services.search.words import features, overlap

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from wilk.store import Store

_R = TypeVar("_R")
_LOOKED_AT = 1000
_TYPES = ("user_query", "ai_interpretation", "user_feedback")

Similar = tuple[str, float, dict[str, Any]]
"""An id, how similar it is, and what is known of it."""


class HybridStore(LearningStore):
    """The storage module's store, with what is similar to what."""

    @property
    def vector_store(self) -> VectorStore:
        """The module's vector store over the same database: for vectors of your own."""
        return VectorStore(self.store)

    # -- what is similar ------------------------------------------------------------------

    async def search_similar_queries(self, query: str, k: int = 5, threshold: float = 0.7) -> list[Similar]:
        """Find interactions with similar queries of users, the most similar first."""
        return await self._read(lambda store: _similar_queries(store, query, k, threshold))

    async def search_similar_patterns(
        self, pattern: str, pattern_type: str = "all", k: int = 5
    ) -> list[Similar]:
        """Find what is similar to a text in all of interactions and among patterns.

        ``pattern_type`` is user_query, ai_interpretation, user_feedback, pattern, the type of a pattern
        (such as workflow), or all. Interpretations and feedback have no vectors: of the newest thousand
        interactions they are compared by their words.
        """
        return await self._read(lambda store: _similar_patterns(store, pattern, pattern_type, k))

    async def cluster_similar_queries(
        self, min_cluster_size: int = 3, similarity_threshold: float = 0.7
    ) -> list[list[dict[str, Any]]]:
        """Group the newest thousand interactions by their queries, the greatest cluster first.

        Taken in the order of time, a query joins the first cluster whose first query it is similar to.
        """

        def clusters(store: Store) -> list[list[dict[str, Any]]]:
            groups = store._similarity.groups(
                "interaction", least=similarity_threshold, smallest=min_cluster_size
            )
            known = _interactions(store, [id for group in groups for id in group])
            return [[known[id] for id in group if id in known] for group in groups]

        return await self._read(clusters)

    # -- what went well, and what did not -------------------------------------------------

    async def find_correction_patterns(self, limit: int = 20) -> list[dict[str, Any]]:
        """List the latest interactions that a user corrected, with the correction."""
        found = await self.store.interactions.list(feedback_type="correction", limit=limit)
        return [
            {
                "interaction_id": one.id,
                "original_query": one.user_query,
                "ai_interpretation": one.ai_interpretation,
                "correction": one.user_feedback,
                "timestamp": one.created_at.isoformat(),
            }
            for one in found
        ]

    async def find_successful_patterns(
        self, action_types: Sequence[str] | None = None, limit: int = 20
    ) -> list[dict[str, Any]]:
        """List the latest interactions that were successful: all, or those with one of the actions."""
        wanted = None if action_types is None else checks.texts("action_types", action_types)
        checks.limit(limit)

        def successes(store: Store) -> list[dict[str, Any]]:
            known = _interactions(store, Outcomes(store._engine).successes(wanted, limit))
            return [
                {
                    "query": about["text"],
                    "actions": about["actions"],
                    "interaction_id": id,
                    "timestamp": about["timestamp"],
                    "confidence": about["confidence"],
                }
                for id, about in known.items()
            ]

        return await self._read(successes)

    async def find_action_sequences(self, min_occurrences: int = 2) -> list[dict[str, Any]]:
        """Count which actions were taken one after the other, in the latest ten thousand interactions.

        The most frequent first, each with how often it went well.
        """
        checks.whole("min_occurrences", min_occurrences, least=1)

        return [
            {
                "actions": list(done.actions),
                "count": done.times,
                "success_count": done.successes,
                "success_rate": done.successes / done.times,
            }
            for done in await self._read(lambda store: Outcomes(store._engine).sequences())
            if done.times >= min_occurrences
        ]

    async def get_feedback_statistics(self) -> dict[str, Any]:
        """Count the interactions with feedback, by its type."""

        by_type = await self._read(lambda store: Outcomes(store._engine).feedback())
        return {"total_feedback": sum(by_type.values()), "by_type": by_type}

    async def get_interaction_by_id(self, interaction_id: str) -> dict[str, Any] | None:
        """Return an interaction with its actions, or None."""
        found = await self.get_complete_interactions(interaction_id=interaction_id)
        return found[0] if found else None

    # -- vectors --------------------------------------------------------------------------

    async def get_statistics(self) -> dict[str, Any]:
        """Count the vectors of interactions and patterns; all is 0 without an embedder."""
        named = {"interaction": "user_query", "pattern": "pattern"}
        status = [one for one in await self.store.index.status() if one.kind in named]
        dimension = next((one.dimension for one in status if one.dimension), 0)
        types = {named[one.kind]: one.embedded for one in status if one.embedded}
        total = sum(types.values())
        return {
            "total_embeddings": total,
            "embedding_dimension": dimension,
            "storage_size_mb": total * (dimension or 0) * 4 / 2**20,
            "embedding_types": types,
            "deleted_count": 0,
        }

    async def migrate_existing_interactions(self) -> int:
        """Make the vectors that interactions and patterns lack; return how many records waited for one."""
        return await self.store.index.update()

    async def _read(self, call: Callable[[Store], _R]) -> _R:
        store = self.store
        return await store._workers.aside(lambda: call(store._store))


class VectorStore:
    """The storage module's vector store: vectors of your own under ids, in one collection of a store."""

    def __init__(self, place: str | Path | AsyncStore, collection: str = "embeddings") -> None:
        """``place`` is a file, a URL such as ``sqlite:///x.db``, or an open store, which stays open."""
        self._below = LearningStore(place)
        self._collection = collection

    @property
    def store(self) -> AsyncStore:
        """The store below; raises Closed before :meth:`initialize` and after :meth:`close`."""
        return self._below.store

    async def initialize(self) -> None:
        """Open the database. A second time does nothing."""
        await self._below.initialize()

    async def close(self) -> None:
        """Close the database, if it was opened here."""
        await self._below.close()

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    async def add_embedding(
        self, embedding_id: str, embedding: Any, metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Keep a vector with its metadata, in place of the one with that id."""
        await self.store.vectors.add(self._collection, embedding_id, embedding, metadata=metadata)

    async def batch_add_embeddings(
        self, embeddings: Iterable[tuple[str, Any, Mapping[str, Any] | None]]
    ) -> None:
        """Keep many vectors, all or none."""
        await self.store.vectors.extend(self._collection, list(embeddings))

    async def search_similar(self, query_embedding: Any, k: int = 5, threshold: float = 0.0) -> list[Similar]:
        """Find the vectors whose cosine to a vector is at least ``threshold``, the nearest first."""
        try:
            found = await self.store.vectors.search(self._collection, query_embedding, k, least=threshold)
        except NotFound:
            return []
        return [(one.id, one.score, {**one.metadata, "id": one.id}) for one in found]

    async def get_embedding(self, embedding_id: str) -> tuple[NDArray[float32], dict[str, Any]] | None:
        """Return a vector and its metadata, or None."""
        import numpy as np

        found = await self.store.vectors.find(self._collection, embedding_id)
        if found is None:
            return None
        about = {**found.metadata, "id": found.id, "timestamp": found.created_at.isoformat()}
        return np.array(found.values, dtype=np.float32), about

    async def delete_embedding(self, embedding_id: str) -> None:
        """Move a vector into the archive; one that is not there is gone already."""
        try:
            await self.store.vectors.remove(self._collection, embedding_id)
        except NotFound:
            return

    async def clear(self) -> None:
        """Move all vectors into the archive; the next ones may have another dimension."""
        try:
            await self.store.vectors.drop(self._collection, reason="cleared")
        except NotFound:
            return

    async def statistics(self) -> dict[str, Any]:
        """Count the vectors; unlike the module's this is awaited."""
        try:
            found = await self.store.vectors.collection(self._collection)
        except NotFound:
            return {"count": 0, "dimension": 0, "storage_size_mb": 0.0, "deleted_count": 0}
        return {
            "count": found.count,
            "dimension": found.dimension,
            "storage_size_mb": found.count * found.dimension * 4 / 2**20,
            "deleted_count": 0,
        }


def _similar_queries(store: Store, query: str, k: int, threshold: float) -> list[Similar]:
    like = store._similarity.like("interaction", query, k=k, least=threshold)
    known = _interactions(store, [one.id for one in like])
    return [(f"query_{one.id}", one.likeness, known[one.id]) for one in like if one.id in known]


def _similar_patterns(store: Store, text: str, pattern_type: str, k: int) -> list[Similar]:
    if not isinstance(text, str):
        raise Invalid(f"pattern is {type(text).__name__}, not text")
    checks.filled("pattern_type", pattern_type)
    checks.whole("k", k)
    every = pattern_type == "all"
    found: list[Similar] = []
    if every or pattern_type == "user_query":
        found += _similar_queries(store, text, k, -1.0)
    if every or pattern_type not in _TYPES:
        own = None if every or pattern_type == "pattern" else pattern_type
        for one in store._similarity.like("pattern", text, k=k if own is None else _LOOKED_AT, least=-1.0):
            pattern = store.patterns.find(one.id)
            if pattern is not None and own in (None, pattern.pattern_type):
                found.append((f"pattern_{one.id}", one.likeness, _about_pattern(pattern)))
    wanted = features(text)
    for field, prefix in (("ai_interpretation", "interp"), ("user_feedback", "feedback")):
        if every or pattern_type == field:
            for interaction in store.interactions.list(limit=_LOOKED_AT):
                said = getattr(interaction, field)
                if said and (likeness := overlap(wanted, features(said))):
                    about = {**_about(interaction, []), "type": field, "text": said}
                    about["feedback_type"] = interaction.feedback_type
                    found.append((f"{prefix}_{interaction.id}", likeness, about))
    found.sort(key=lambda one: (-one[1], one[0]))
    return found[:k]


def _interactions(store: Store, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What is told of interactions, in the order of their ids."""
    actions = Outcomes(store._engine).actions(ids)
    found: dict[str, dict[str, Any]] = {}
    for id in ids:
        interaction = store.interactions.find(id)
        if interaction is not None:
            found[id] = _about(interaction, actions.get(id, []))
    return found


def _about(one: Interaction, actions: list[str]) -> dict[str, Any]:
    return {
        "interaction_id": one.id,
        "type": "user_query",
        "text": one.user_query,
        "timestamp": one.created_at.isoformat(),
        "success": one.success,
        "confidence": one.confidence,
        "actions": actions,
    }


def _about_pattern(one: Pattern) -> dict[str, Any]:
    return {
        "pattern_id": one.id,
        "type": "pattern",
        "pattern_type": one.pattern_type,
        "text": one.name,
        "description": one.description,
        "timestamp": one.updated_at.isoformat(),
        "frequency": one.frequency,
        "confidence": one.confidence,
        "sequence": one.sequence,
    }
