"""The spaces of the kinds of records: made, filled beside the old ones, switched to, emptied.

One step is short, in a transaction of its own, and begins where the last one ended: ``cursor`` of a
space tells how far putting its records into the queue has come. It is ``>KEY`` while records after that key
are left, ``=PLACE`` when those up to that place of the queue are waited for, and NULL when all have vectors.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.engine import Engine
from wilk.models.statements import param
from wilk.services.embedding.passages import KINDS, VERSION, model_of
from wilk.services.embedding.queue import Queue
from wilk.services.vectors.spaces import Space, make, spaces

if TYPE_CHECKING:
    from wilk.services.embedding.following import Following
    from wilk.services.keeping.archiver import Archiver

logger = logging.getLogger("wilk.embedding")

BEGINNING = ">"
_PAGE = 500
_DROPPED = 1000


class Building:
    """The spaces of one store that its embedder fills."""

    def __init__(self, engine: Engine, archiver: Archiver, following: Following, queue: Queue) -> None:
        self._engine = engine
        self._archiver = archiver
        self._following = following
        self._queue = queue

    # -- which spaces there are --------------------------------------------------------------

    def open_spaces(self) -> dict[str, list[Space]]:
        """The spaces of each kind that take in vectors; the oldest, which is searched, comes first."""
        found: dict[str, list[Space]] = {}
        for one in spaces(self._engine):
            if one.kind is not None:
                found.setdefault(one.kind, []).append(one)
        return found

    def missing(self, embedder: str, model: str) -> list[str]:
        """The kinds that have no space of a model, as the one that is searched or the one being built."""
        there = self.open_spaces()
        return [kind for kind in KINDS if _wanting(there.get(kind, ()), embedder, model) != ("there", [])]

    def make(self, kinds: Collection[str], embedder: str, model: str, dimension: int) -> None:
        """Make the spaces of a model: searched at once where a kind has none, else beside the old ones.

        One that is being built for yet another model is given up.
        """
        with self._engine.transaction():
            there = self.open_spaces()
            for kind in kinds:
                known = there.get(kind, [])
                state, given_up = _wanting(known, embedder, model)
                for one in given_up:
                    self._retire(one)
                if state == "other":
                    self._add(kind, embedder, model, dimension, "building")
                elif state == "none":
                    self._add(kind, embedder, model, dimension, "active")
            self._following.begin()

    def again(self, kinds: Collection[str], embedder: str, model: str, dimension: int) -> None:
        """Begin to build all vectors of kinds anew, beside those that are searched."""
        with self._engine.transaction():
            there = self.open_spaces()
            for kind in kinds:
                known = there.get(kind, [])
                for one in known[1:]:
                    self._retire(one)
                self._add(kind, embedder, model, dimension, "building" if known else "active")
            self._following.begin()

    def any_records(self) -> bool:
        """Whether there is a record that could have vectors."""
        return any(
            self._engine.select(model.select(model._meta.primary_key).limit(1))
            for model in map(model_of, KINDS)
        )

    def _add(self, kind: str, embedder: str, model: str, dimension: int, state: str) -> None:
        made = make(
            self._engine,
            kind,
            model=model,
            dimension=dimension,
            distance="cosine",
            state=state,
            kind=kind,
            embedder=embedder,
        )
        self._set(made, cursor=BEGINNING)
        self._walk(made)  # where there are few records, this is all of it

    # -- steps -----------------------------------------------------------------------------------

    def unfinished(self) -> bool:
        """Whether records are to be walked through, or old vectors are left."""
        return bool(self._engine.fetch("vector_spaces.unfinished", _unfinished, (1,)))

    def queue_missing(self) -> None:
        """Put records into the queue that have text and no vector, whatever the reason: a process that knew
        of no embedder wrote them, or an older copy of the database was put back."""
        from peewee import fn  # with Peewee; see wilk.models

        pending: Any = models.Pending
        vector: Any = models.Vector
        for kind, known in self.open_spaces().items():
            if known[-1].cursor is not None:
                continue  # all of them are on their way into the queue
            id, key, texts = _with_text(kind)
            waits = pending.select(pending.pk).where(pending.kind == kind, pending.record_id == id)
            has = vector.select(vector.pk).where(vector.space == known[-1].id, vector.record_id == id)
            query = texts.where(~fn.EXISTS(waits), ~fn.EXISTS(has)).order_by(key).limit(_PAGE)
            last = -1
            while rows := self._engine.select(query.where(key > last)):
                with self._engine.transaction():
                    self._queue.renew(kind, [record for _, record in rows])
                last = rows[-1][0]

    def left(self) -> int:
        """How many records are still to be put into the queue."""
        from peewee import fn  # with Peewee; see wilk.models

        count = 0
        for known in self.open_spaces().values():
            for one in known:
                if one.cursor is not None and one.cursor.startswith(BEGINNING):
                    key = model_of(str(one.kind))._meta.primary_key
                    query = key.model.select(fn.COUNT(key)).where(_after(key, one.cursor))
                    count += self._engine.select(query)[0][0]
        return count

    def step(self) -> bool:
        """Do the next thing there is to do; False when there is nothing.

        Records go into the queue page by page. Where all of them have vectors, the new space takes the
        place of the old one, whose vectors go after that.
        """
        for row in self._engine.fetch("vector_spaces.unfinished", _unfinished, (100,)):
            one = Space(*row)
            if one.state == "retired":
                self._empty(one)
                return True
            if str(one.cursor).startswith(BEGINNING):
                self._walk(one)
                return True
            if self._switch(one):
                return True
        return False

    def _walk(self, space: Space) -> None:
        """Put the next page of records into the queue."""
        kind = str(space.kind)
        model = model_of(kind)
        key = model._meta.primary_key
        with self._engine.transaction():
            cursor = self._cursor(space)
            if cursor is None or not cursor.startswith(BEGINNING):
                return  # another process was faster
            query = model.select(key, model.id).where(_after(key, cursor)).order_by(key).limit(_PAGE)
            rows = self._engine.select(query)
            self._queue.renew(kind, [id for _, id in rows])
            if len(rows) == _PAGE:
                self._set(space, cursor=f"{BEGINNING}{rows[-1][0]}")
            elif space.state == "active":
                self._set(space, cursor=None)
            else:
                self._set(space, cursor=f"={self._queue.last()}")

    def _switch(self, space: Space) -> bool:
        """Search a new space from now on, if nothing is missing in it."""
        kind = str(space.kind)
        with self._engine.transaction():
            cursor = self._cursor(space)
            if cursor is None or not cursor.startswith("="):
                return True
            if self._queue.before(kind, int(cursor.removeprefix("="))):
                return False
            for one in spaces(self._engine, kind):
                if one.id != space.id and one.state == "active":
                    self._retire(one)
            self._set(space, state="active", cursor=None)
        logger.info("%s: searched by the vectors of %s from now on", kind, space.model)
        return True

    def _empty(self, space: Space) -> None:
        """Take a page of vectors out of a space that is not used any more."""
        with self._engine.transaction():
            if self._archiver.drop_retired(space.id, _DROPPED) < _DROPPED:
                self._set(space, state="dropped", count=0)

    def _retire(self, space: Space) -> None:
        self._set(space, state="retired", cursor=None)

    def _cursor(self, space: Space) -> str | None:
        """How far a space has come by now; None also when it is not in use any more."""
        one: Any = models.VectorSpace
        query = one.select(one.cursor).where(one.id == space.id, one.state == space.state)
        rows = self._engine.select(query)
        return rows[0][0] if rows else None

    def _set(self, space: Space, **values: Any) -> None:
        one: Any = models.VectorSpace
        values["updated_at"] = self._engine.clock.now()
        query = one.update({getattr(one, name): value for name, value in values.items()})
        self._engine.run(query.where(one.id == space.id))

    # -- rules ------------------------------------------------------------------------------------

    def check_rules(self) -> None:
        """Walk through messages again when the rules by which they are parted have changed."""
        one: Any = models.IndexedKind
        with self._engine.transaction():
            query = one.select(one.version).where(one.kind == "message")
            rows = self._engine.select(query)
            if rows and rows[0][0] == VERSION:
                return
            if rows:
                for space in self.open_spaces().get("message", ()):
                    self._set(space, cursor=BEGINNING)
            note_rules(self._engine, "message", None)


def note_rules(engine: Engine, kind: str, cursor: str | None) -> None:
    """Note how far a kind is indexed by the rules of today. Within a transaction."""
    one: Any = models.IndexedKind
    row = {one.kind: kind, one.version: VERSION, one.cursor: cursor, one.updated_at: engine.clock.now()}
    insert = one.insert(row)
    engine.run(
        insert.on_conflict(conflict_target=[one.kind], preserve=[one.version, one.cursor, one.updated_at])
    )


def _with_text(kind: str) -> tuple[Any, Any, Any]:
    """The field of a record's id, the key, and the query of both over the records of a kind with text."""
    if kind == "message":
        message: Any = models.Message
        return message.id, message.pk, message.select(message.pk, message.id).where(message.text != "")
    one: Any = models.Passage
    first = one.select(one.pk, one.record_id).where(one.kind == kind, one.part == 0)
    return one.record_id, one.pk, first


def _after(key: Any, cursor: str) -> Any:
    """The condition on records that a cursor has not come to."""
    after = cursor.removeprefix(BEGINNING)
    if key.name == "pk":
        return key > int(after or -1)
    return key > after  # no id is empty


def _wanting(known: Sequence[Space], embedder: str, model: str) -> tuple[str, list[Space]]:
    """How a kind stands to a model, and which spaces that are being built are not wanted for it.

    ``there`` when it is searched by that model, or will be; ``other`` when it is searched by another one;
    ``none`` when it has no vectors.
    """
    of_model = [one for one in known if (one.embedder, one.model) == (embedder, model)]
    given_up = [one for one in known if one not in of_model and one.state == "building"]
    return ("there" if of_model else "other" if known else "none"), given_up


def _unfinished() -> Any:
    from peewee import SQL  # with Peewee; see wilk.models

    one: Any = models.VectorSpace
    waiting = one.cursor.is_null(False) | (one.state == SQL("'retired'"))
    fields = models.fields_of(models.VectorSpace, Space)
    query = one.select(*fields).where(one.kind.is_null(False), waiting)
    return query.order_by(one.id).limit(param("limit"))
