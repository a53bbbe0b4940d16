"""The search over full text and vectors, fused by reciprocal rank."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import Invalid, WilkError
from wilk.records.decoding import decoder
from wilk.records.search import Found
from wilk.services import checks
from wilk.services.checks import limit as limits
from wilk.services.conversation.message_rows import columns
from wilk.services.conversation.message_rows import message as as_message
from wilk.services.embedding.passages import KINDS, SOURCES, of_message
from wilk.services.memory.origins import check_session
from wilk.services.search.candidates import Candidates, Matches, Scope
from wilk.services.search.fusing import Entry, Fused, Key, fused
from wilk.services.search.snippets import snippet
from wilk.services.search.words import LONGEST_QUERY, Term, terms

if TYPE_CHECKING:
    from wilk.services.embedding.indexing import Indexing
    from wilk.services.vectors.nearest import Neighbours

logger = logging.getLogger("wilk.search")

DEFAULT_KINDS = ("message", "memory", "pin", "document", "summary", "fact")
"""What is searched when nothing is said; interactions and patterns are found on request."""

# How far each list is trusted. Found on the tuning half of benchmarks/retrieval_set.json with two models,
# and with vectors drawn by lot, which must not spoil what the words find. The values lie on a plateau.
VECTORS = 0.6
"""What the nearest vector counts, where a text that holds every word counts 1."""

FLOOR = 0.3
"""Vectors that are not this part of the way from the farthest looked at to the nearest count nothing."""

STEEPNESS = 4
"""How fast texts lose weight that hold less of the query than the best of them does."""

_LEAST = 60  # records that are looked at for each list, at least
_MOST = 10**9  # records; twice and four times as many are still numbers that an engine takes
_PARTS = 3  # vectors that are asked for per record wanted: several may be parts of one record
_CHUNK = 500


class _Near(NamedTuple):
    """The part of a record that is nearest to the query."""

    key: Key
    part: int
    cosine: float


class Searching:
    """Searches the records of one store."""

    def __init__(self, engine: Engine, indexing: Indexing, vectors: Callable[[], Neighbours]) -> None:
        self._engine = engine
        self._indexing = indexing
        self._vectors = vectors
        self._candidates = Candidates(engine)
        self._failed = False

    def search(
        self,
        text: str,
        *,
        kinds: Collection[str] | None = None,
        session: str | None = None,
        user: str | None = None,
        limit: int = 20,
    ) -> list[Found]:
        """Find records by their text and, with an embedder, by their meaning; the best first."""
        if not isinstance(text, str):
            raise Invalid(f"text is {type(text).__name__}, not text")
        scope = Scope(_kinds(kinds), checks.optional("session", session), checks.optional("user", user))
        wanted = min(limits(limit), _MOST)
        text = codec.storable_text(text[:LONGEST_QUERY])[0].strip()
        if not text or not wanted or not scope.kinds:
            return []
        self._indexing.prepare()
        query = self._indexing.query(text)
        words = terms(text)
        looked_at = max(_LEAST, 2 * wanted)
        with self._engine.snapshot():
            matches = self._candidates.search(words, scope, looked_at)
            near = self._near(query, scope, looked_at)
            ranked = fused({"text": _by_text(matches), "vector": _by_vector(near)})
            found = self._read(ranked, wanted, words, matches, {one.key: one.part for one in near})
            if not found and session is not None:
                check_session(self._engine, session)
        return found

    # -- vectors --------------------------------------------------------------------------

    def _near(self, query: dict[str, Any], scope: Scope, limit: int) -> list[_Near]:
        """The records with the nearest vectors, each by its best part."""
        best: dict[Key, _Near] = {}
        for kind in scope.kinds:
            if kind not in query:
                continue
            space, vector = query[kind]
            try:
                hits = self._vectors().nearest(space, vector, _PARTS * limit, records=_records(kind, scope))
            except WilkError as error:
                # Words find on; the failure is told once, and again after a search that went well.
                logger.log(
                    logging.DEBUG if self._failed else logging.WARNING,
                    "vectors of %s cannot be searched, so that words alone are: %s", kind, error,
                )  # fmt: skip
                self._failed = True
                return []
            for hit in hits:
                one = _Near((kind, hit.record_id), hit.part, hit.score)
                if one.key not in best or hit.score > best[one.key].cosine:
                    best[one.key] = one
        self._failed = False
        found = sorted(best.values(), key=lambda one: (one.key[1], one.key[0]), reverse=True)
        return sorted(found, key=lambda one: one.cosine, reverse=True)[:limit]

    # -- reading --------------------------------------------------------------------------

    def _read(
        self,
        ranked: Sequence[Fused],
        limit: int,
        words: Sequence[Term],
        matches: Matches,
        parts: dict[Key, int],
    ) -> list[Found]:
        """Read the best records, a statement per kind; those that are gone make room for others."""
        texts = {hit.key: hit.text for hit in matches.hits}
        found: list[Found] = []
        place = 0
        while place < len(ranked) and len(found) < limit:
            some = ranked[place : place + limit - len(found)]
            place += len(some)
            records = self._records([one.key for one in some])
            absent = [one.key for one in some if one.key in records and one.key not in texts]
            texts.update(self._parts(absent, parts, records))
            found += [
                _found(one, records[one.key], texts[one.key], words, matches.weights)
                for one in some
                if one.key in records and one.key in texts
            ]
        return found

    def _records(self, keys: Sequence[Key]) -> dict[Key, Any]:
        """The records of keys, those that are there."""
        found: dict[Key, Any] = {}
        for kind, ids in _by_kind(keys).items():
            for start in range(0, len(ids), _CHUNK):
                some = ids[start : start + _CHUNK]
                if kind == "message":
                    query = models.Message.select(*columns()).where(models.Message.id.in_(some))
                    records: list[Any] = [as_message(row) for row in self._engine.select(query)]
                else:
                    source = SOURCES[kind]
                    model: Any = source.model()
                    query = model.select(*models.fields_of(model, source.record)).where(model.id.in_(some))
                    records = decoder(source.record)(self._engine.select(query))
                found.update({(kind, record.id): record for record in records})
        return found

    def _parts(self, keys: Sequence[Key], parts: dict[Key, int], records: dict[Key, Any]) -> dict[Key, str]:
        """The texts of records that vectors found: the part that is nearest, or what took its place."""
        found: dict[Key, str] = {}
        for kind, ids in _by_kind(keys).items():
            if kind == "message":
                pieces = {id: [records[kind, id].text] for id in ids}
                for id in ids:
                    pieces[id] = of_message(records[kind, id].role, records[kind, id].text)
            else:
                pieces = self._passages(kind, ids)
            for id, texts in pieces.items():
                if texts:
                    found[kind, id] = texts[min(parts.get((kind, id), 0), len(texts) - 1)]
        return found

    def _passages(self, kind: str, ids: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        passage: Any = models.Passage
        for start in range(0, len(ids), _CHUNK):
            query = passage.select(passage.record_id, passage.text).where(
                passage.kind == kind, passage.record_id.in_(ids[start : start + _CHUNK])
            )
            for id, text in self._engine.select(query.order_by(passage.record_id, passage.part)):
                found.setdefault(id, []).append(text)
        return found


def _kinds(kinds: Collection[str] | None) -> list[str]:
    if kinds is None:
        return list(DEFAULT_KINDS)
    given = checks.sequence("kinds", kinds)
    return list(dict.fromkeys(checks.one_of("kinds", kind, KINDS) for kind in given))


def _by_kind(keys: Sequence[Key]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, id in keys:
        found.setdefault(kind, []).append(id)
    return found


def _records(kind: str, scope: Scope) -> Any:
    """The ids of the records in a scope, as a query; None for all of them."""
    if scope.session is None and scope.user is None:
        return None
    one: Any
    if kind == "message":
        one = models.Message
        return one.select(one.id).where(*scope.of_messages())
    one = models.Passage
    return one.select(one.record_id).where(*scope._replace(kinds=[kind]).of_passages())


def _by_text(matches: Matches) -> list[Entry]:
    """Texts, each with what it counts: where even the best holds little of the query, all count less."""
    best = max((hit.share for hit in matches.hits), default=0.0)
    return [
        Entry(hit.key, hit.score, best**0.5 * (hit.share / best) ** STEEPNESS if best else 0.0)
        for hit in matches.hits
    ]


def _by_vector(near: Sequence[_Near]) -> list[Entry]:
    """Neighbours, each with what it counts: nothing for one that is hardly nearer than any record is.

    Models differ in what cosine unrelated texts have, so the farthest of those looked at is the measure.
    """
    if not near or (best := near[0].cosine) <= 0:
        return []
    last = near[-1].cosine
    if len(near) < _LEAST:  # all that there is, which may all be related
        last = min(last, best / 2)
    found = []
    for one in near:
        closeness = ((one.cosine - last) / (best - last) - FLOOR) / (1 - FLOOR) if best > last else 1.0
        if closeness > 0:
            found.append(Entry(one.key, one.cosine, VECTORS * closeness))
    return found


def _found(one: Fused, record: Any, text: str, words: Sequence[Term], weights: Sequence[float]) -> Found:
    kind, id = one.key
    piece = snippet(text, words, weights)
    if kind == "message" and one.reasons[0].by == "text" and not piece.marks and len(record.text) > len(text):
        # The engine found it beyond what was read for ranking.
        piece = snippet(codec.storable_text(record.text)[0], words, weights)
    created = record.recorded_at if kind == "fact" else record.created_at
    return Found(
        kind=kind,
        id=id,
        score=one.score,
        snippet=piece.text,
        marks=piece.marks,
        session_id=getattr(record, "session_id", None),
        created_at=created,
        reasons=one.reasons,
        record=record,
    )
