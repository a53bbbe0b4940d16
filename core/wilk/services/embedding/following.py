"""Keeps what is derived of records in step with them, in the transactions that change them.

Passages are written with their record and go with it; a record whose vectors are to be made is noted
in ``pending_vectors``, so that a crash loses no such work. Vectors themselves are archived with their
record and come back with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.engine import Engine
from wilk.models.statements import param
from wilk.services.embedding.passages import KINDS, SOURCES, VERSION, model_of, passages

if TYPE_CHECKING:
    from wilk.services.keeping.archiver import Archiver

_CHUNK = 500
_ASKED_AGAIN = 5.0  # seconds after which a process without an embedder looks whether another one has one


class Following:
    """What the archiver, restoring and the events of one store tell of changed records.

    ``embeds`` tells whether the settings name an embedder; ``wake`` lets it work after a commit.
    """

    def __init__(
        self,
        engine: Engine,
        archiver: Callable[[], Archiver],
        *,
        embeds: bool,
        wake: Callable[[], object],
    ) -> None:
        self._engine = engine
        self._archiver = archiver
        self._wake = wake
        self._queues = embeds
        self._ask_at = 0.0

    @property
    def queues(self) -> bool:
        """Whether changed records are noted for embedding: there is an embedder, or there was one."""
        if not self._queues and monotonic() > self._ask_at:
            self._queues = bool(self._engine.fetch("vector_spaces.kept", _kept, (1,)))
            self._ask_at = monotonic() + _ASKED_AGAIN
        return self._queues

    def begin(self) -> None:
        """Note from now on what changes: vectors of records are being made."""
        self._queues = True

    # -- what changes ---------------------------------------------------------------------

    def saved(self, kind: str, record: Any) -> None:
        """A record is being written, in the transaction that writes it. Messages queue by their verbs."""
        if kind in SOURCES:
            self._write(kind, [record])

    def queue(self, kind: str, ids: Sequence[str]) -> None:
        """Note records whose vectors are to be made, or made anew."""
        if not ids or not self.queues:
            return
        engine = self._engine
        now = engine.clock.now()
        engine.insert_many(engine.statement("pending.add", _add), [(kind, id, 1, 0, now) for id in ids])
        engine.after_commit(self._wake)

    def removing(self, kind: str, condition: Any) -> None:
        """Rows are about to leave their table: what is derived of them goes."""
        drop = self._archiver().drop_derived
        if kind == "vector":
            self._forget_tags(condition)
        if kind not in KINDS:
            return
        model = model_of(kind)
        going = model.select(model.id).where(condition)
        if kind != "message":
            passage: Any = models.Passage
            drop(models.Passage, (passage.kind == kind) & passage.record_id.in_(going))
        if self.queues:
            pending: Any = models.Pending
            drop(models.Pending, (pending.kind == kind) & pending.record_id.in_(going))

    def returned(self, kind: str, ids: Sequence[str]) -> None:
        """Records are back from the archive. Vectors that they have brought may be of an earlier text, or of
        one model alone: it costs little to find that nothing is wanting."""
        if kind in SOURCES:
            self.rebuild(kind, ids, queue=False)
        if kind in KINDS:
            self.queue(kind, ids)

    def rebuild(self, kind: str, ids: Sequence[str], *, queue: bool = True) -> None:
        """Make the passages of records anew, from their rows."""
        source = SOURCES[kind]
        model: Any = source.model()
        for start in range(0, len(ids), _CHUNK):
            query = model.select(*models.fields_of(model, source.record)).where(
                model.id.in_(ids[start : start + _CHUNK])
            )
            self._write(kind, [source.record(*row) for row in self._engine.rows(query)], queue=queue)

    # -- passages -------------------------------------------------------------------------

    def _write(self, kind: str, records: Iterable[Any], *, queue: bool = True) -> None:
        """Bring the passages of records in line with what they say now."""
        engine, source = self._engine, SOURCES[kind]
        insert = engine.statement("passages.insert", _insert)
        changed: list[str] = []
        for record in records:
            session, user = source.scope(record)
            texts = enumerate(passages(source.text(record)))
            rows = [(kind, record.id, part, text, session, user) for part, text in texts]
            there = engine.fetch("passages.of", _of, (kind, record.id))
            if (before := {tuple(row) for row in there}) == (wanted := set(rows)):
                continue
            # Of a long text, those that stay are left alone.
            if gone := [row[2] for row in before - wanted]:
                passage: Any = models.Passage
                of_record = (passage.kind == kind) & (passage.record_id == record.id)
                self._archiver().drop_derived(models.Passage, of_record & passage.part.in_(gone))
            if new := [row for row in rows if row not in before]:
                engine.insert_many(insert, new)
            changed.append(record.id)
        if queue:
            self.queue(kind, changed)

    def _forget_tags(self, condition: Any) -> None:
        """The tags of vectors that go, and their number in the count of each space."""
        from peewee import fn  # with Peewee; see wilk.models

        vector: Any = models.Vector
        query = vector.select(vector.space, fn.COUNT(vector.pk)).where(condition).group_by(vector.space)
        for space, count in self._engine.select(query):
            tag: Any = models.VectorTag
            numbers = vector.select(vector.number).where(condition, vector.space == space)
            self._archiver().drop_derived(models.VectorTag, (tag.space_id == space) & tag.number.in_(numbers))
            one: Any = models.VectorSpace
            self._engine.run(one.update({one.count: one.count - count}).where(one.id == space))


def stale(engine: Engine) -> list[str]:
    """The kinds whose passages were made by other rules, or not at all: those of an older database."""
    made = {
        kind
        for kind, version, cursor in engine.fetch("indexed_kinds.list", _made)
        if version == VERSION and cursor is None
    }
    return [kind for kind in SOURCES if kind not in made]


def _kept() -> Any:
    space = models.VectorSpace
    return space.select(space.id).where(space.kind.is_null(False)).limit(param("limit"))


def _add() -> Any:
    from peewee import SQL  # with Peewee; see wilk.models

    one = models.Pending
    names = ("kind", "record_id", "revision", "attempts", "queued_at")
    nothing = SQL("NULL")
    return one.insert({getattr(one, name): param(name) for name in names}).on_conflict(
        conflict_target=[one.kind, one.record_id],
        preserve=[one.attempts],
        update={
            one.revision: one.revision + SQL("1"),
            one.not_before: nothing,
            one.claimed_until: nothing,
            one.error: nothing,
        },
    )


def _insert() -> Any:
    one = models.Passage
    names = ("kind", "record_id", "part", "text", "session_id", "user_id")
    return one.insert({getattr(one, name): param(name) for name in names})


def _of() -> Any:
    one = models.Passage
    fields = (one.kind, one.record_id, one.part, one.text, one.session_id, one.user_id)
    return (
        one.select(*fields).where(one.kind == param("kind"), one.record_id == param("id")).order_by(one.part)
    )


def _made() -> Any:
    one = models.IndexedKind
    return one.select(one.kind, one.version, one.cursor)
