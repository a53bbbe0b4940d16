"""What the text of records has to do with a query: candidates from the engine, ranked here by BM25.

The engine's index says which rows hold which words. Ranking the candidates here makes messages and
passages, which lie in two tables, comparable, and gives the same order with every engine. What is ranked is
bounded: words that very many rows hold decide nothing where rarer ones are left, and where none are, the
newest rows that hold all of them are ranked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from wilk import models
from wilk.contracts import FullText
from wilk.engine import Engine
from wilk.services.search.fusing import Key
from wilk.services.search.words import Term, Text

COUNTED = 10_000
"""Rows up to which the rows that hold a word are counted; one that more hold is common."""

_RANKED = 30_000  # rows that the engine ranks for one list, at most
_READ = 10_000  # characters of a candidate that are looked at for ranking
_PER_RECORD = 3  # passages of one record that are ranked
_CHUNK = 500
_K1, _B = 1.2, 0.75
_COMPARED = 1000


class Scope(NamedTuple):
    """What a search looks at: kinds of records, and where given those of a session or a user."""

    kinds: Collection[str]
    session: str | None = None
    user: str | None = None

    @property
    def passages(self) -> list[str]:
        """The kinds that are searched by their passages."""
        return [kind for kind in self.kinds if kind != "message"]

    def of_messages(self) -> list[Any]:
        """The conditions on messages."""
        message: Any = models.Message
        conditions = [] if self.session is None else [message.session == self.session]
        if self.user is not None:
            conditions.append(message.session.in_(self._sessions()))
        return conditions

    def of_passages(self) -> list[Any]:
        """The conditions on passages: what is of a session is also its user's."""
        passage: Any = models.Passage
        conditions = [passage.kind.in_(self.passages)]
        if self.session is not None:
            conditions.append(passage.session_id == self.session)
        if self.user is not None:
            conditions.append((passage.user_id == self.user) | passage.session_id.in_(self._sessions()))
        return conditions

    def _sessions(self) -> Any:
        session: Any = models.Session
        return session.select(session.id).where(session.user == self.user)


class Hit(NamedTuple):
    """A record that holds words of a query: its best text, how well that fits, and which share of the
    query, by how rare its words are, it holds (1.0: every word)."""

    key: Key
    text: str
    score: float
    share: float


class Matches(NamedTuple):
    """The records that hold words of a query, the best first, and what each word weighs."""

    hits: list[Hit]
    weights: list[float]


class _Row(NamedTuple):
    key: Key
    text: str
    whole: bool  # the engine found every word in it


class _Table(NamedTuple):
    """A table with text: its name for the index, its model, the conditions of the scope, whether they are
    of a session or a user, and how its rows are read. ``record`` is the column that names the record of a
    row."""

    name: str
    model: Any
    record: Any
    conditions: list[Any]
    scoped: bool
    read: Callable[[list[int]], Any]


class Candidates:
    """The full-text side of the search of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def search(self, terms: Sequence[Term], scope: Scope, limit: int) -> Matches:
        """Rank at least ``limit`` records that hold words of a query, where there are so many.

        First come those that hold all words.
        """
        if not terms:
            return Matches([], [])
        rows: list[_Row] = []
        counts = [0.0] * len(terms)
        size = 0.0
        for table in _tables(scope):
            if self._engine.full_text is None:
                found = _Compared(self._engine, table).candidates(terms, limit)
            else:
                found = _Indexed(self._engine, self._engine.full_text, table).candidates(terms, limit)
            counts = [one + other for one, other in zip(counts, found.counts, strict=True)]
            size += found.size
            rows += self._rows(table, found)
        return _ranked(rows, terms, _weights(counts, size, terms, rows))

    def _rows(self, table: _Table, found: _Found) -> Iterator[_Row]:
        pks = list(found.rows)
        for start in range(0, len(pks), _CHUNK):
            for pk, kind, id, text in self._engine.select(table.read(pks[start : start + _CHUNK])):
                yield _Row((kind, id), text, found.rows[pk])


class _Found(NamedTuple):
    """The candidates of a table by their keys, with whether they hold all words; in about how many rows
    each word is, and about how many rows there are."""

    rows: dict[int, bool]
    counts: list[float]
    size: float


class _Indexed:
    """A table whose words the engine has an index of."""

    def __init__(self, engine: Engine, full_text: FullText, table: _Table) -> None:
        self._engine = engine
        self._full_text = full_text
        self._table = table

    def candidates(self, terms: Sequence[Term], limit: int) -> _Found:
        indexed = [term for term in terms if term.tokens and self._matching([term]) is not None]
        pieces = [term for term in terms if term not in indexed]
        counts, size = self._counts(indexed)
        if not size:
            return _Found({}, [0.0] * len(terms), 0.0)
        known = dict(zip(indexed, counts, strict=True))
        present = sorted((term for term in indexed if known[term]), key=lambda term: known[term])
        rare = _rare(present, known)
        rows: dict[int, bool] = {}
        if len(present) == len(indexed):
            for pk in self._all(present, rare, pieces, limit):
                rows[pk] = True
        if len(rows) < limit and len(terms) > 1:
            for pk in self._any(present, rare, pieces, limit):
                rows.setdefault(pk, False)
        return _Found(rows, [known.get(term, 0.0) for term in terms], size)

    def _all(
        self, present: Sequence[Term], rare: Sequence[Term], pieces: Sequence[Term], limit: int
    ) -> list[int]:
        """Rows that hold all words: ranked by the rare ones, or the newest if there are none."""
        held = [self._table.model.text.contains(piece.text) for piece in pieces]
        if not present:
            return self._newest(held, limit)
        if not rare:
            return self._hits(self._matching(present), held, limit, ranked=False)
        among = self._matching(present) if len(rare) < len(present) else None
        return self._hits(self._matching(rare), held, limit, among=among)

    def _any(
        self, present: Sequence[Term], rare: Sequence[Term], pieces: Sequence[Term], limit: int
    ) -> list[int]:
        """Rows that hold at least one word."""
        found: list[int] = []
        if pieces:
            either = self._table.model.text.contains(pieces[0].text)
            for piece in pieces[1:]:
                either |= self._table.model.text.contains(piece.text)
            found += self._newest([either], limit)
        if rare:
            found += self._hits(self._matching(rare, any_word=True), [], limit)
        elif present:
            found += self._hits(self._matching(present[:1]), [], limit, ranked=False)
        return found

    def _matching(self, terms: Sequence[Term], *, any_word: bool = False) -> Any:
        text = " ".join(term.text for term in terms)
        return self._full_text.matching(text, self._table.name, any_word=any_word)

    def _hits(
        self, matching: Any, held: list[Any], limit: int, *, ranked: bool = True, among: Any = None
    ) -> list[int]:
        """Keys of what matches and lies in the scope; the best or the newest first."""
        from peewee import Select  # with Peewee; see wilk.models

        hits = matching.alias("hits")
        model = self._table.model
        conditions = [*self._table.conditions, *held]
        query = Select([hits], [hits.c.pk, self._table.record if conditions else hits.c.pk])
        if conditions:
            query = query.join(model, on=(model.pk == hits.c.pk)).where(*conditions)
        if among is not None:
            both = among.alias("both")
            # A sum is no key: the engine is not to look up each row of one in the other.
            query = query.where((hits.c.pk + 0).in_(Select([both], [both.c.pk])))
        if not ranked and self._table.scoped:
            # Few of the many rows with a common word lie in the scope: only its span is walked through.
            first, last = self._span()
            if first is None:
                return []
            query = query.where(hits.c.pk >= first, hits.c.pk <= last)
        order = [hits.c.rank, hits.c.pk.desc()] if ranked else [hits.c.pk.desc()]
        return self._of_records(query.order_by(*order), limit)

    def _of_records(self, query: Any, limit: int) -> list[int]:
        """The first rows of a query that belong to so many records, of each record a few: one with very many
        passages does not keep the others out."""
        rows_read = limit
        while True:
            rows = self._engine.select(query.limit(rows_read))
            held: dict[Any, int] = {}
            found = []
            for pk, record in rows:
                if record not in held and len(held) == limit:
                    break
                held[record] = held.get(record, 0) + 1
                if held[record] <= _PER_RECORD:
                    found.append(pk)
            if len(held) >= limit or len(rows) < rows_read:
                return found
            rows_read *= 4

    def _span(self) -> tuple[Any, Any]:
        """The first and the last key of the scope; None where nothing lies in it."""
        from peewee import fn  # with Peewee; see wilk.models

        model = self._table.model
        query = model.select(fn.MIN(model.pk), fn.MAX(model.pk)).where(*self._table.conditions)
        ((first, last),) = self._engine.select(query)
        return first, last

    def _newest(self, held: list[Any], limit: int) -> list[int]:
        model = self._table.model
        query = model.select(model.pk, self._table.record).where(*self._table.conditions, *held)
        return self._of_records(query.order_by(model.pk.desc()), limit)

    def _counts(self, terms: Sequence[Term]) -> tuple[list[float], float]:
        """In about how many rows each word is, and about how many rows there are; in one statement.

        Of a common word only its newest rows are counted: how close together they lie tells the rest.
        """
        from peewee import Select, fn  # with Peewee; see wilk.models

        model = self._table.model
        columns: list[Any] = [model.select(fn.MAX(model.pk))]
        for number, term in enumerate(terms):
            for made in (fn.COUNT, fn.MIN):
                hits = self._matching([term]).alias(f"hits{number}")
                newest = Select([hits], [hits.c.pk]).order_by(hits.c.pk.desc()).limit(COUNTED)
                newest = newest.alias(f"newest{number}")
                columns.append(Select([newest], [made(newest.c.pk)]))
        ((size, *values),) = self._engine.select(Select(columns=columns))
        if size is None:
            return [0.0] * len(terms), 0.0
        counts = []
        for count, oldest in zip(values[::2], values[1::2], strict=True):
            spread = count * size / (size - oldest + 1) if count == COUNTED else count
            counts.append(float(spread))
        return counts, float(size)


class _Compared:
    """A table without an index: its rows are read, the newest first, until enough hold all words."""

    def __init__(self, engine: Engine, table: _Table) -> None:
        self._engine = engine
        self._table = table

    def candidates(self, terms: Sequence[Term], limit: int) -> _Found:
        rows: dict[int, bool] = {}
        some: dict[int, int] = {}
        of: dict[Any, int] = {}  # rows with all words, by the record that they belong to
        counts = [0] * len(terms)
        size = 0
        for pk, record, text in self._texts():
            size += 1
            one = Text(text)
            held = [one.count(term) > 0 for term in terms]
            counts = [count + there for count, there in zip(counts, held, strict=True)]
            if all(held):
                of[record] = of.get(record, 0) + 1
                if of[record] <= _PER_RECORD:
                    rows[pk] = True
                if len(of) >= limit:
                    break
            elif any(held):
                some[pk] = sum(held)
        if len(of) < limit:
            for pk in sorted(some, key=lambda pk: (-some[pk], -pk))[: _PER_RECORD * limit]:
                rows[pk] = False
        return _Found(rows, [float(count) for count in counts], float(size))

    def _texts(self) -> Iterator[tuple[int, Any, str]]:
        model, last = self._table.model, None
        while True:
            query = model.select(model.pk, self._table.record, model.text)
            conditions = [*self._table.conditions, *([] if last is None else [model.pk < last])]
            if conditions:
                query = query.where(*conditions)
            rows = self._engine.select(query.order_by(model.pk.desc()).limit(_COMPARED))
            yield from rows
            if len(rows) < _COMPARED:
                return
            last = rows[-1][0]


def _tables(scope: Scope) -> list[_Table]:
    from peewee import Value, fn  # with Peewee; see wilk.models

    message: Any = models.Message
    passage: Any = models.Passage

    def messages(pks: list[int]) -> Any:
        text = fn.SUBSTR(message.text, 1, _READ)
        return message.select(message.pk, Value("message"), message.id, text).where(message.pk.in_(pks))

    def passages(pks: list[int]) -> Any:
        return passage.select(passage.pk, passage.kind, passage.record_id, passage.text).where(
            passage.pk.in_(pks)
        )

    scoped = scope.session is not None or scope.user is not None
    tables = []
    if "message" in scope.kinds:
        tables.append(_Table("messages", message, message.pk, scope.of_messages(), scoped, messages))
    if scope.passages:
        tables.append(_Table("passages", passage, passage.record_id, scope.of_passages(), scoped, passages))
    return tables


def _rare(present: Sequence[Term], counts: dict[Term, float]) -> list[Term]:
    """The words, the rarest first, whose rows are few enough to be ranked."""
    rare: list[Term] = []
    rows = 0.0
    for term in present:
        rows += counts[term]
        if counts[term] >= COUNTED or rows > _RANKED:
            break
        rare.append(term)
    return rare


def _weights(
    counts: Sequence[float], size: float, terms: Sequence[Term], rows: Sequence[_Row]
) -> list[float]:
    """How much each word tells: the logarithm of how rare it is (IDF, as BM25 has it)."""
    weights = []
    for term, count in zip(terms, counts, strict=True):
        known = count or (sum(Text(row.text).count(term) > 0 for row in rows) if not term.tokens else 0)
        weights.append(math.log(1 + (max(size, known) - known + 0.5) / (known + 0.5)))
    return weights


def _ranked(rows: Iterable[_Row], terms: Sequence[Term], weights: list[float]) -> Matches:
    """Order records by the best of their texts: those with all words first, then by BM25."""
    texts = [(row, Text(row.text)) for row in rows]
    usual = sum(len(text) for _, text in texts) / len(texts) if texts else 1.0
    total = sum(weights)
    best: dict[Key, Hit] = {}
    for row, text in texts:
        counts = [text.count(term) for term in terms]
        norm = _K1 * (1 - _B + _B * len(text) / max(usual, 1.0))
        score = sum(
            weight * count * (_K1 + 1) / (count + norm) for weight, count in zip(weights, counts, strict=True)
        )
        held = sum(weight for weight, count in zip(weights, counts, strict=True) if count)
        share = 1.0 if row.whole else held / total if total else 0.0
        hit = Hit(row.key, row.text, score, share)
        earlier = best.get(row.key)
        if earlier is None or _place(hit) > _place(earlier):
            best[row.key] = hit
    hits = sorted(best.values(), key=_place, reverse=True)
    return Matches(hits, weights)


def _place(hit: Hit) -> tuple[bool, float, str, str]:
    return hit.share >= 1.0, hit.score, hit.key[1], hit.key[0]
