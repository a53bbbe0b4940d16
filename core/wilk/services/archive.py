"""Archive before delete: the only place from which a row leaves its table.

The whole row goes into ``archive`` as JSON, with the reason, in the transaction that deletes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import Invalid
from wilk.models.statements import param
from wilk.records.archive import Archived
from wilk.records.decoding import decoder
from wilk.services.arguments import limit as limits

if TYPE_CHECKING:
    from wilk.models.base import Model

_CHUNK = 500


class Archive:
    """What was removed from a store, and why."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(
        self,
        *,
        kind: str | None = None,
        reason: str | None = None,
        session: str | None = None,
        limit: int = 100,
    ) -> Sequence[Archived]:
        """List archived rows, the latest first."""
        if kind is reason is session is None:
            return decoder(Archived)(
                self._engine.fetch("archive.list", lambda: _latest().limit(param("limit")), (limits(limit),))
            )
        query = _latest().limit(limits(limit))
        if kind is not None:
            query = query.where(models.ArchiveEntry.kind == kind)
        if reason is not None:
            query = query.where(models.ArchiveEntry.reason == reason)
        if session is not None:
            query = query.where(models.ArchiveEntry.session_id == session)
        return decoder(Archived)(self._engine.select(query))

    def statistics(self) -> dict[str, dict[str, int]]:
        """Count archived rows by reason and kind."""
        from peewee import fn  # with Peewee; see wilk.models

        query = models.ArchiveEntry.select(
            models.ArchiveEntry.reason, models.ArchiveEntry.kind, fn.COUNT(models.ArchiveEntry.pk)
        ).group_by(models.ArchiveEntry.reason, models.ArchiveEntry.kind)
        counts: dict[str, dict[str, int]] = {}
        for reason, kind, count in self._engine.rows(query):
            counts.setdefault(reason, {})[kind] = count
        return counts


def move(
    engine: Engine, model: type[Model], condition: Any, *, kind: str, reason: str, key: str = "id"
) -> int:
    """Move the rows of a model that meet the condition into the archive; return how many.

    ``key`` is the field that names the record; a composite key is joined with ``/``.
    """
    if not reason or not reason.strip():
        raise Invalid("reason '': say why; the archive keeps it")
    fields = model._meta.sorted_fields
    insert = engine.statement("archive.insert", _insert)
    moved = 0
    with engine.transaction():
        now = engine.clock.now()
        for rows in _chunks(engine, model, condition):
            entries = []
            for values in rows:
                row = dict(zip([field.column_name for field in fields], values, strict=True))
                id = "/".join(str(row[model._meta.combined[name].column_name]) for name in key.split("/"))
                session = row.get("session_id") if kind != "session" else id
                entries.append((kind, id, session, codec.dumps(row), reason, row.get("interaction_id"), now))
            engine.execute_many(insert.sql, entries)
            moved += len(rows)
        engine.run(model.delete().where(condition))
    return moved


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


def _insert() -> Any:
    return models.ArchiveEntry.insert({field: param(field.name) for field in _fields()})


def _latest() -> Any:
    return models.ArchiveEntry.select(*_fields()).order_by(models.ArchiveEntry.pk.desc())


def _fields() -> list[Any]:
    return models.fields_of(models.ArchiveEntry, Archived)
