"""The search index: how far it is, and making it anew."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import Invalid, ReadOnly
from wilk.records.search import IndexStatus
from wilk.services import checks
from wilk.services.embedding.indexing import Indexing
from wilk.services.embedding.passages import KINDS, SOURCES, model_of
from wilk.services.embedding.queue import Waiting
from wilk.services.vectors.spaces import Space, spaces

if TYPE_CHECKING:
    from wilk.services.vectors.indexes import Indexes


class Index:
    """The search index of a store: the passages of its records, and their vectors."""

    def __init__(self, engine: Engine, indexing: Indexing, indexes: Callable[[], Indexes]) -> None:
        self._engine = engine
        self._indexing = indexing
        self._indexes = indexes

    def status(self) -> list[IndexStatus]:
        """Tell how far the vectors of each kind of records are.

        Records without text have no vectors, so that ``embedded`` may stay below ``records``.
        """
        there = self._indexing.building.open_spaces()
        waiting = self._indexing.queue.counts()
        return [self._of(kind, there.get(kind, []), waiting.get(kind)) for kind in KINDS]

    def update(self, *, progress: Callable[[int, int], object] | None = None) -> int:
        """Make what is missing of the index now, and return when nothing is; without an embedder, the
        passages alone.

        Every record that has text and no vector is looked at, whether it was noted as waiting or not.
        What another process has claimed, or what waits for a further attempt, is made as well. Then the
        indexes that find the nearest vectors are built to their end. ``progress(done, of)`` is called between
        batches with numbers of records. Returns how many there were to look at. Raises BackendError when the
        embedder fails; what is left waits, and nothing is lost.
        """
        self._check_transaction("update")
        indexing, done = self._indexing, 0
        if indexing.embeds:
            try:
                with indexing.turn:
                    done = self._make(progress or (lambda *_: None))
            finally:
                indexing.resume()
        else:
            indexing.prepare()
        indexes = self._indexes()
        for space in spaces(self._engine):
            if space.state == "active":
                indexes.build(space)
        return done

    def _make(self, progress: Callable[[int, int], object]) -> int:
        """Make what is missing of passages and vectors."""
        indexing = self._indexing
        if not indexing.ready():
            return 0
        indexing.building.queue_missing()
        left, before, done, of = indexing.left(), indexing.handled, 0, 0
        while indexing.step(others=True):
            if indexing.handled - before > done:
                done = indexing.handled - before
                of = max(done, left)
                progress(done, of)
        if done < of:  # some were in line twice, or another process has made them
            progress(done, done)
        return done

    def rebuild(
        self,
        kinds: Collection[str] | None = None,
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> list[IndexStatus]:
        """Make the index of some kinds of records anew, or of all; return the status afterwards.

        New vectors are built beside those that are searched meanwhile, and take their place when they
        are complete. When this is interrupted, it goes on when the store is next opened. Without an
        embedder the passages alone are made. ``progress`` is as with ``update``.
        """
        self._check_transaction("rebuild")
        chosen = list(KINDS) if kinds is None else _checked(kinds)
        indexing = self._indexing
        indexing.forget_passages([kind for kind in chosen if kind in SOURCES])
        indexing.prepare()
        if indexing.embeds:
            with indexing.turn:
                indexing.build_again(chosen)
            self.update(progress=progress)
        return [one for one in self.status() if one.kind in chosen]

    def _of(self, kind: str, known: list[Space], waiting: Waiting | None) -> IndexStatus:
        newest = known[-1] if known else None
        pending, failed, error = waiting or Waiting(0, 0, None)
        building = newest is not None and (newest.state == "building" or newest.cursor is not None)
        chosen = None if newest is None else self._indexes().chosen(newest.dimension)
        return IndexStatus(
            kind=kind,
            state="none" if newest is None else "building" if building else "active",
            model=None if newest is None else newest.model,
            dimension=None if newest is None else newest.dimension,
            records=self._count(model_of(kind)),
            embedded=0 if newest is None else self._embedded(newest),
            pending=pending,
            failed=failed,
            error=error or (self._indexing.error if pending else None),
            searched_by=None if chosen is None else chosen.found_by.name,
            searched_by_reason=None if chosen is None else chosen.instead_of,
        )

    def _count(self, model: Any) -> int:
        from peewee import fn  # with Peewee; see wilk.models

        count: int = self._engine.select(model.select(fn.COUNT(model._meta.primary_key)))[0][0]
        return count

    def _embedded(self, space: Space) -> int:
        """How many records have vectors in a space."""
        from peewee import fn  # with Peewee; see wilk.models

        one: Any = models.Vector
        query = one.select(fn.COUNT(one.record_id.distinct())).where(one.space == space.id)
        count: int = self._engine.select(query)[0][0]
        return count

    def _check_transaction(self, verb: str) -> None:
        if self._engine.readonly:
            raise ReadOnly(f"index.{verb} writes, and the store was opened with readonly; open it without")
        if self._engine.in_transaction:
            raise Invalid(
                f"index.{verb} works in many short transactions, so that other writers get their turn; "
                "call it outside of one"
            )


def _checked(kinds: Collection[str]) -> list[str]:
    return [checks.one_of("kind", one, KINDS) for one in checks.texts("kinds", kinds)]
