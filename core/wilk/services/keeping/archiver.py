"""Archive before delete: the only place from which a row leaves its table.

The whole row goes into ``archive`` as JSON, with the reason, in the transaction that deletes it,
and what hangs on it goes along: cascades are walked here, by the table in ``services/keeping/kinds.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import Invalid
from wilk.events import Events
from wilk.models.statements import param
from wilk.services.keeping.kinds import kind
from wilk.services.keeping.outbox import Outbox
from wilk.services.keeping.rows import encoded

if TYPE_CHECKING:
    from wilk.models.base import Model
    from wilk.services.embedding.following import Following

COMPACTED = "consolidated_to_working"
"""The reason of messages that a summary stands for. They still belong to their session: they are
counted, and reading verbs find them."""

_CHUNK = 500

_DERIVED = ("cache_entries", "passages", "pending_vectors", "vector_tags", "registry_packages")


class Archiver:
    """Moves rows of one store into its archive, and out of it again."""

    def __init__(self, engine: Engine, events: Events, outbox: Outbox, following: Following) -> None:
        self._engine = engine
        self._events = events
        self._outbox = outbox
        self._following = following

    def remove(
        self,
        kind_name: str,
        condition: Any,
        *,
        reason: str,
        interaction: str | None = None,
        batch: str | None = None,
    ) -> dict[str, int]:
        """Archive and delete the rows of a kind that meet the condition, and all that hangs on them.

        Returns how many rows went, by kind. All have one ``batch``, by which they are restored
        together. ``interaction`` is kept with rows that have no interaction id of their own.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise Invalid(f"reason {reason!r}: say why; the archive keeps it")
        moved: dict[str, int] = {}
        batch = batch or self._engine.clock.new_id()
        with self._engine.transaction():
            self._walk(kind_name, condition, reason, interaction, batch, moved)
            if moved:
                self._events.archived(kind_name, reason, moved, batch)
                self._outbox.filled()
        return moved

    def restore(
        self,
        ids: int | Iterable[int] | None = None,
        *,
        kind: str | None = None,
        record: str | None = None,
        batch: str | None = None,
        session: str | None = None,
    ) -> dict[str, int]:
        """Put archived rows back as they were, parents before children; return how many, by kind.

        Raises NotFound, and Conflict when a record is there again, its parent is not there, or it
        was restored already; nothing is restored then.
        """
        from wilk.services.keeping.restoring import Restorer

        restorer = Restorer(self._engine, self._outbox, self._following)
        with self._engine.transaction():
            entries = restorer.chosen(ids, kind, record, batch, session)
            moved = restorer.restore(entries)
            self._events.restored([entry.pk for entry in entries], moved)
        return moved

    def read(self, entries: Sequence[tuple[str | None, str | None]]) -> list[dict[str, Any]]:
        """Return archived rows by their entries' ``data`` and ``place``, wherever they lie.

        Each is column → value as the engine holds it; empty for an entry with neither.
        """
        return self._outbox.read(entries)

    def _walk(
        self,
        name: str,
        condition: Any,
        reason: str,
        interaction: str | None,
        batch: str,
        moved: dict[str, int],
        *,
        with_parent: bool = False,
    ) -> None:
        one = kind(name)
        model = one.model()
        for child, each in one.hanging(condition):
            self._walk(child, each, reason, interaction, batch, moved, with_parent=True)
        engine = self._engine
        insert = engine.statement("archive.insert", _insert)
        columns = [field.column_name for field in model._meta.sorted_fields]
        key = one.columns_of_key()
        now = engine.clock.now()
        gone: dict[str, list[int]] = {}
        for rows in _chunks(engine, model, condition):
            entries = []
            for values in rows:
                row = dict(zip(columns, values, strict=True))
                data = encoded(row)
                entries.append(
                    (
                        name,
                        "/".join(str(row[column]) for column in key),
                        one.session_of(row),
                        data,
                        reason,
                        row["id"] if name == "interaction" else row.get("interaction_id") or interaction,
                        now,
                        batch,
                        row["sequence"] if name == "message" else None,
                        row.get("idempotency_key"),
                        len(data.encode()),
                    )
                )
                if name == "message":
                    counted = gone.setdefault(row["session_id"], [0, 0])
                    counted[0] += 1
                    counted[1] += row["tokens"]
            engine.execute_many(insert.sql, entries)
            moved[name] = moved.get(name, 0) + len(rows)
        if moved.get(name):
            self._following.removing(name, condition)
            engine.run(model.delete().where(condition))
        if not with_parent:
            for session, (count, tokens) in gone.items():
                self.count_messages(session, 0 if reason == COMPACTED else -count, -tokens)

    def count_messages(self, session: str, count: int, tokens: int) -> None:
        """Note in a session that so many messages and tokens were added to it or taken from it."""
        self._engine.execute(
            self._engine.statement("sessions.recount", _recount).sql, (count, tokens, session)
        )

    def drop_derived(self, model: type[Model], condition: Any) -> int:
        """Delete what can be computed again; return how many rows. Few tables hold such rows."""
        if model._meta.table_name not in _DERIVED:
            raise TypeError(f"{model.__name__} is not derived; archive it with remove()")
        return self._engine.run(model.delete().where(condition))

    def drop_outdated(self, space: int, numbers: Sequence[int]) -> int:
        """Delete vectors that the embedder made of what records do not say any more; return how many."""
        vector, one, count = models.Vector, models.VectorSpace, 0
        for start in range(0, len(numbers), _CHUNK):
            some = vector.number.in_(numbers[start : start + _CHUNK])
            condition = (vector.space == space) & vector.kind.is_null(False) & some
            count += self._engine.run(vector.delete().where(condition))
        if count:
            self._engine.run(one.update({one.count: one.count - count}).where(one.id == space))
        return count

    def drop_retired(self, space: int, most: int) -> int:
        """Delete at most so many vectors of a retired space, whose records have another model's by now;
        return how many."""
        vector, one = models.Vector, models.VectorSpace
        retired = one.select(one.id).where(one.id == space, one.state == "retired")
        some = vector.select(vector.pk).where(vector.space.in_(retired)).order_by(vector.pk).limit(most)
        return self._engine.run(vector.delete().where(vector.pk.in_(some)))


def _chunks(engine: Engine, model: type[Model], condition: Any) -> Iterator[list[tuple[Any, ...]]]:
    """The rows as the engine holds them, in pieces by primary key; in one piece if that is composite."""
    fields = model._meta.sorted_fields
    primary = model._meta.primary_key
    query = model.select(*fields).where(condition)
    if model._meta.composite_key:
        if rows := engine.select(query):
            yield rows
        return
    place, last = fields.index(primary), None
    while True:
        page = query if last is None else query.where(primary > last)
        rows = engine.select(page.order_by(primary).limit(_CHUNK))
        if not rows:
            return
        yield rows
        last = rows[-1][place]


_INSERTED = (
    "kind", "record_id", "session_id", "data", "reason", "interaction_id", "archived_at", "batch",
    "position", "unique_key", "size",
)  # fmt: skip


def _insert() -> Any:
    entry = models.ArchiveEntry
    return entry.insert({getattr(entry, name): param(name) for name in _INSERTED})


def _recount() -> Any:
    session = models.Session
    return session.update(
        {
            session.message_count: session.message_count + param("count"),
            session.token_count: session.token_count + param("tokens"),
        }
    ).where(session.id == param("id"))
