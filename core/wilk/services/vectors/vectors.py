"""Vectors: kept in collections, each by one model, and searched for what is nearest."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from wilk import clock, codec, models
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound, Protected
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.search import Collection, Near, Vector
from wilk.services import checks
from wilk.services.embedding.passages import KINDS
from wilk.services.keeping.archiver import Archiver
from wilk.services.vectors import spaces
from wilk.services.vectors.indexes import Indexes
from wilk.services.vectors.nearest import Neighbours
from wilk.services.vectors.spaces import DISTANCES, Entry, Space
from wilk.services.vectors.values import Item, item, matrix, values
from wilk.services.vectors.values import items as checked_items

_WRITTEN_AT_ONCE = 1000


class Vectors:
    """The vectors of a store, in collections."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        archiver: Archiver,
        indexes: Indexes,
        neighbours: Neighbours,
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._indexes = indexes
        self._neighbours = neighbours

    # -- collections ----------------------------------------------------------------------

    def collections(self) -> list[Collection]:
        """The collections, by name; those that the store's embedder keeps have a ``kind``, and are left out
        while nothing is in them."""
        found = sorted(spaces.spaces(self._engine), key=lambda one: (one.collection, one.state, one.id))
        return [_collection(one) for one in found if one.kind is None or one.count]

    def collection(self, name: str) -> Collection:
        """Return a collection as it is searched; raises NotFound."""
        return _collection(self._space(name))

    def create(
        self, collection: str, *, dimension: int, model: str = "", distance: str = "cosine"
    ) -> Collection:
        """Make an empty collection; ``add`` and ``extend`` make the one that they need by themselves.

        ``model`` names what the vectors come from: vectors of another one are refused. ``distance`` is
        cosine, dot or euclidean. Raises Conflict when there is one of that name, and Invalid for the names
        of kinds of records, which the store's embedder needs.
        """
        return _collection(self._create(collection, dimension, model, distance))

    def drop(self, collection: str, *, reason: str = "dropped") -> int:
        """Archive all vectors of a collection, and remove it; return how many vectors there were.

        Restoring a vector from the archive brings the collection back, unless there is a new one of
        that name.
        """
        with self._engine.transaction():
            space = self._own(collection)
            vector: Any = models.Vector
            moved = self._remove(vector.space == space.id, reason)
            one: Any = models.VectorSpace
            self._engine.run(one.update({one.state: "dropped"}).where(one.id == space.id))
            self._engine.after_commit(lambda: self._indexes.drop(space))
        return moved

    # -- vectors --------------------------------------------------------------------------

    def add(
        self,
        collection: str,
        id: str,
        vector: Any,
        *,
        metadata: Mapping[str, Any] | None = None,
        model: str | None = None,
        distance: str | None = None,
        part: int = 0,
    ) -> Vector:
        """Keep a vector under an id, in place of an earlier one; the first one makes the collection.

        ``vector`` is a list or an array of finite numbers, kept as float32. ``part`` tells several vectors
        of one id apart. ``model`` and ``distance`` not given are those of the collection (for a new one
        no name, and cosine). Raises Conflict for another model or distance than the collection's, and
        Invalid for another dimension, NaN and infinities.
        """
        one = item(id, vector, metadata, part)
        checked = values(vector)
        with self._engine.transaction():
            space = self._for(collection, len(checked), model, distance)
            _check_dimension(space, len(checked))
            return self._write(space, [one], [checked])[0]

    def extend(
        self,
        collection: str,
        items: Iterable[Any],
        *,
        model: str | None = None,
        distance: str | None = None,
    ) -> int:
        """Keep many vectors in one transaction; return how many.

        ``items`` are ``(id, vector)`` or ``(id, vector, metadata)``, or objects with ``id``, ``vector``,
        ``metadata`` and ``part``. The rest is as with ``add``.
        """
        waiting = checked_items(items)
        count = 0
        with self._engine.transaction():
            space: Space | None = None
            while some := list(islice(waiting, _WRITTEN_AT_ONCE)):
                if space is None:
                    space = self._for(collection, len(values(some[0].vector)), model, distance)
                self._write(space, some, matrix(some, count, space.dimension))
                count += len(some)
        return count

    def get(self, collection: str, id: str, *, part: int = 0) -> Vector:
        """Return a vector; raises NotFound."""
        found = self.find(collection, id, part=part)
        if found is None:
            self._space(collection)
            raise NotFound("vector", id, f"collection {collection!r} has none of that id and part {part}")
        return found

    def find(self, collection: str, id: str, *, part: int = 0) -> Vector | None:
        """Return a vector, or None."""
        space = spaces.active(self._engine, collection)
        rows = space and self._engine.fetch("vectors.find", _find, (space.id, id, part))
        return _vector(space, rows[0]) if space and rows else None

    def remove(self, collection: str, ids: str | Iterable[str], *, reason: str = "removed") -> int:
        """Archive the vectors of an id, or of several, with all of their parts; return how many went.

        Raises NotFound for an id that has none; nothing is removed then.
        """
        wanted = list(dict.fromkeys([ids] if isinstance(ids, str) else checks.texts("ids", ids)))
        with self._engine.transaction():
            space = self._own(collection)
            vector: Any = models.Vector
            moved = 0
            for start in range(0, len(wanted), _WRITTEN_AT_ONCE):
                some = wanted[start : start + _WRITTEN_AT_ONCE]
                chosen = (vector.space == space.id) & vector.record_id.in_(some)
                there = {row[0] for row in self._engine.select(vector.select(vector.record_id).where(chosen))}
                for id in some:
                    if id not in there:
                        raise NotFound("vector", id, f"collection {collection!r} has none of that id")
                moved += self._remove(chosen, reason)
        return moved

    # -- search ---------------------------------------------------------------------------

    def search(
        self,
        collection: str,
        vector: Any,
        k: int = 10,
        *,
        where: Mapping[str, Any] | None = None,
        model: str | None = None,
        least: float | None = None,
        exact: bool = False,
    ) -> list[Near]:
        """The k vectors that are nearest to a given one, the nearest first; of equals the older one.

        ``where`` filters by metadata, such as ``{"lang": "en", "year": {">=": 2020}}``. ``model`` is what
        the vector comes from: another one than the collection's raises Conflict, for vectors of two models
        cannot be compared. ``least`` leaves out what has a smaller score. ``exact`` compares every vector,
        whatever the index in use.
        """
        checks.whole("k", k)
        checks.flag("exact", exact)
        if least is not None and (isinstance(least, bool) or not isinstance(least, (int, float))):
            raise Invalid(f"least {least!r}: a number is wanted")
        space = self._space(collection)
        if model is not None:
            _check_model(space, model)
        query = values(vector, dimension=space.dimension)
        hits = self._neighbours.nearest(space, query, k, where=where, exact=exact)
        return [
            Near(hit.record_id, hit.part, hit.score, hit.distance, hit.metadata)
            for hit in hits
            if least is None or hit.score >= least
        ]

    # -- parts ----------------------------------------------------------------------------

    def _space(self, collection: str) -> Space:
        """The space of a collection; raises NotFound."""
        space = spaces.active(self._engine, collection)
        if space is None:
            raise NotFound("collection", collection, "add a vector to it, or see store.vectors.collections()")
        return space

    def _own(self, collection: str) -> Space:
        """The space of a collection that is changed by hand."""
        space = self._space(collection)
        _check_own(space)
        return space

    def _for(self, collection: str, dimension: int, model: str | None, distance: str | None) -> Space:
        """The space to write into, made if it is not there."""
        space = spaces.active(self._engine, collection)
        if space is None:
            return self._create(collection, dimension, model or "", distance or "cosine")
        _check_own(space)
        if model is not None:
            _check_model(space, model)
        if distance is not None and distance != space.distance:
            checks.one_of("distance", distance, DISTANCES)
            raise Conflict(
                f"collection {collection!r} compares by {space.distance}, not by {distance}; "
                "use another collection, or drop this one"
            )
        return space

    def _create(self, collection: str, dimension: int, model: str, distance: str) -> Space:
        checks.identifier("collection", collection, longest=200)
        if collection in KINDS:
            raise Invalid(
                f"collection {collection!r}: that is where the store's embedder keeps the vectors of each "
                f"{collection}; choose another name"
            )
        checks.whole("dimension", dimension, least=1)
        if model:
            checks.identifier("model", model)
        elif model != "":
            raise Invalid(f"model {model!r}: a text is wanted")
        checks.one_of("distance", distance, DISTANCES)
        return spaces.make(self._engine, collection, model=model, dimension=dimension, distance=distance)

    def _write(self, space: Space, some: Sequence[Item], rows: Any) -> list[Vector]:
        entries = [
            Entry(one.id, one.part, row.tobytes(), one.metadata) for one, row in zip(some, rows, strict=True)
        ]
        now = self._engine.clock.now()
        spaces.write(self._engine, self._archiver, space, entries, now=now)
        if len(entries) > 1 and not self._events.watch_saves:
            return []
        moment = clock.to_datetime(now)
        kept = [
            Vector(space.collection, one.id, one.part, tuple(row.tolist()), space.model, one.metadata, moment)
            for one, row in zip(some, rows, strict=True)
        ]
        for record in kept:
            self._events.saving("vector", record)
        return kept

    def _remove(self, chosen: Any, reason: str) -> int:
        if self._events.watch_deletes:
            one: Any = models.Vector
            known = {space.id: space for space in spaces.spaces(self._engine)}
            rows = self._engine.select(one.select(one.space, *_fields()).where(chosen).order_by(one.pk))
            for space, *row in rows:
                self._events.deleted("vector", _vector(known[space], row))
        return self._archiver.remove("vector", chosen, reason=reason).get("vector", 0)


def _check_own(space: Space) -> None:
    if space.kind is not None:
        raise Protected(
            f"the vectors of {space.collection!r} are made by the store's embedder, from each {space.kind}; "
            "keep your own in another collection"
        )


def _check_model(space: Space, model: Any) -> None:
    if model != space.model:
        raise Conflict(
            f"collection {space.collection!r} holds vectors of model {space.model!r}, and those of {model!r} "
            "cannot be compared with them; embed by the same model, use another collection, or drop this one"
        )


def _check_dimension(space: Space, dimension: int) -> None:
    if dimension != space.dimension:
        raise Invalid(
            f"vector: {dimension} values are given, and collection {space.collection!r} has vectors of "
            f"{space.dimension}"
        )


def _collection(space: Space) -> Collection:
    return Collection(
        space.collection,
        space.kind,
        space.model,
        space.embedder,
        space.dimension,
        space.distance,
        space.state,
        space.count,
        clock.to_datetime(space.created_at),
        clock.to_datetime(space.updated_at),
    )


def _vector(space: Space, row: Sequence[Any]) -> Vector:
    from array import array

    id, part, data, metadata, created_at = row
    numbers = array("f", bytes(data))
    if sys.byteorder == "big":
        numbers.byteswap()
    return Vector(
        space.collection,
        id,
        part,
        tuple(numbers),
        space.model,
        codec.kept(metadata, dict) if metadata else {},
        clock.to_datetime(created_at),
    )


def _fields() -> list[Any]:
    one = models.Vector
    return [one.record_id, one.part, one.data, one.metadata, one.created_at]


def _find() -> Any:
    one = models.Vector
    return one.select(*_fields()).where(
        one.space == param("space"), one.record_id == param("id"), one.part == param("part")
    )
