"""How alike records of one kind are: by their vectors, or without any by the words that they share.

By vectors the likeness is the cosine; by words it is the cosine between the sets of words, 1.0 for the
same words in any order and 0.0 for none in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import Invalid
from wilk.services import checks
from wilk.services.embedding.passages import SOURCES
from wilk.services.search.candidates import Candidates, Scope
from wilk.services.search.words import LONGEST_QUERY, features, overlap, terms
from wilk.services.vectors.spaces import Space

if TYPE_CHECKING:
    from wilk.services.embedding.indexing import Indexing
    from wilk.services.vectors.nearest import Neighbours

MOST = 1000
"""Records that are put into groups, the newest."""

_LEAST = 100  # records whose words are compared, at least
_PARTS = 3
_CHUNK = 500


class Like(NamedTuple):
    """A record that is like something: its id, and how much, at most 1.0."""

    id: str
    likeness: float


class Similarity:
    """Compares the records of one store, kind by kind."""

    def __init__(self, engine: Engine, indexing: Indexing, neighbours: Callable[[], Neighbours]) -> None:
        self._engine = engine
        self._indexing = indexing
        self._neighbours = neighbours
        self._candidates = Candidates(engine)

    def like(self, kind: str, text: str, *, k: int = 5, least: float = 0.7) -> list[Like]:
        """The k records of a kind that are most like a text, the most alike first; none below ``least``."""
        checks.one_of("kind", kind, tuple(SOURCES))
        checks.whole("k", k)
        _check_least(least)
        text = codec.storable_text(text[:LONGEST_QUERY])[0].strip()
        if not text or not k:
            return []
        self._indexing.prepare()
        query = self._indexing.query(text).get(kind)
        with self._engine.snapshot():
            if query is None or not self._vectors(query[0]):
                found = self._by_words(kind, text, k)
            else:
                found = self._by_vectors(*query, k)
        found = sorted((one for one in found if one.likeness >= least), key=lambda one: one.id, reverse=True)
        return sorted(found, key=lambda one: one.likeness, reverse=True)[:k]

    def groups(
        self, kind: str, *, least: float = 0.7, smallest: int = 3, most: int = MOST
    ) -> list[list[str]]:
        """Put the newest ``most`` records of a kind into groups of like ones; return their ids, the greatest
        group first, of equals the one that began first.

        Taken in the order of time, a record joins the first group whose founder it is like, by at least
        ``least``, or founds one. Groups of less than ``smallest`` are left out.
        """
        checks.one_of("kind", kind, tuple(SOURCES))
        _check_least(least)
        checks.whole("smallest", smallest, least=1)
        model: Any = SOURCES[kind].model()
        self._indexing.prepare()
        with self._engine.snapshot():
            newest = model.select(model.id).order_by(model.created_at.desc(), model.id.desc()).limit(most)
            ids = [id for (id,) in self._engine.select(newest)][::-1]
            space = self._space(kind)
            vectors = {} if space is None else self._read(space, ids)
            told = {} if vectors else self._texts(kind, ids)
        made = _founded(ids, vectors, least) if vectors else _founded_by_words(ids, told, least)
        large = [group for group in made if len(group) >= smallest]
        return sorted(large, key=len, reverse=True)

    # -- by vectors -----------------------------------------------------------------------

    def _space(self, kind: str) -> Space | None:
        """The space in which records of a kind are searched, if there is one with vectors."""
        if not self._indexing.embeds:
            return None
        for space in self._indexing.building.open_spaces().get(kind, ()):
            if space.state == "active" and self._vectors(space):
                return space
        return None

    def _vectors(self, space: Space) -> bool:
        one: Any = models.Vector
        return bool(self._engine.select(one.select(one.number).where(one.space == space.id).limit(1)))

    def _by_vectors(self, space: Space, vector: Any, k: int) -> list[Like]:
        best: dict[str, float] = {}
        for hit in self._neighbours().nearest(space, vector, _PARTS * k):
            best[hit.record_id] = max(hit.score, best.get(hit.record_id, -1.0))
        return [Like(id, score) for id, score in best.items()]

    def _read(self, space: Space, ids: Sequence[str]) -> dict[str, Any]:
        """The vectors of records, of length 1; of a record with several parts the first."""
        import numpy as np

        one: Any = models.Vector
        found: dict[str, Any] = {}
        for start in range(0, len(ids), _CHUNK):
            query = one.select(one.record_id, one.data).where(
                one.space == space.id, one.part == 0, one.record_id.in_(ids[start : start + _CHUNK])
            )
            for id, data in self._engine.select(query):
                vector = np.frombuffer(data, "<f4").astype(np.float64)
                length = float(np.linalg.norm(vector))
                found[id] = vector / length if length else vector
        return found

    # -- by words -------------------------------------------------------------------------

    def _by_words(self, kind: str, text: str, k: int) -> list[Like]:
        wanted = features(text)
        hits = self._candidates.search(terms(text), Scope([kind]), max(_LEAST, 10 * k)).hits
        return [Like(hit.key[1], overlap(wanted, features(hit.text))) for hit in hits]

    def _texts(self, kind: str, ids: Sequence[str]) -> dict[str, str]:
        passage: Any = models.Passage
        found: dict[str, str] = {}
        for start in range(0, len(ids), _CHUNK):
            query = passage.select(passage.record_id, passage.text).where(
                passage.kind == kind, passage.part == 0, passage.record_id.in_(ids[start : start + _CHUNK])
            )
            found.update(self._engine.select(query))
        return found


def _founded(ids: Sequence[str], vectors: dict[str, Any], least: float) -> list[list[str]]:
    """Groups by the cosine to their founders."""
    import numpy as np

    groups: list[list[str]] = []
    founders: Any = None
    for id in ids:
        if id not in vectors:
            continue
        if founders is None:
            founders = np.empty((len(ids), len(vectors[id])))
        near = founders[: len(groups)] @ vectors[id] >= least - 1e-6
        place = int(near.argmax()) if near.any() else len(groups)
        if place == len(groups):
            founders[place] = vectors[id]
            groups.append([])
        groups[place].append(id)
    return groups


def _founded_by_words(ids: Sequence[str], texts: dict[str, str], least: float) -> list[list[str]]:
    """Groups by the words shared with their founders."""
    groups: list[list[str]] = []
    founders: list[frozenset[str]] = []
    for id in ids:
        words = features(texts.get(id, ""))
        if not words:
            continue
        place = next((i for i, one in enumerate(founders) if overlap(one, words) >= least - 1e-9), None)
        if place is None:
            place = len(groups)
            founders.append(words)
            groups.append([])
        groups[place].append(id)
    return groups


def _check_least(least: float) -> None:
    if isinstance(least, bool) or not isinstance(least, (int, float)) or not -1.0 <= least <= 1.0:
        raise Invalid(f"least {least!r}: a number from -1.0 to 1.0 is wanted")
