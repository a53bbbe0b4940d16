"""The archive as it is read: what left its table, why and when; and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from wilk import clock, models
from wilk.engine import Engine
from wilk.errors import NotFound
from wilk.models.statements import param
from wilk.records.archive import ArchiveCount, Archived
from wilk.records.decoding import decoder
from wilk.services.checks import limit as limits
from wilk.services.checks import moment
from wilk.services.keeping.archiver import Archiver
from wilk.services.keeping.outbox import Outbox

_decoded = decoder(Archived)
_DATA = Archived._fields.index("data")


class Archive:
    """What was removed from a store, and why."""

    def __init__(self, engine: Engine, archiver: Archiver, outbox: Outbox) -> None:
        self._engine = engine
        self._archiver = archiver
        self._outbox = outbox

    def list(
        self,
        *,
        kind: str | None = None,
        reason: str | None = None,
        session: str | None = None,
        record: str | None = None,
        interaction: str | None = None,
        batch: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        restored: bool | None = False,
        limit: int = 100,
        after: int | None = None,
        data: bool = True,
    ) -> Sequence[Archived]:
        """List archived rows, the latest first; ``after`` is the last id of the page before.

        ``since`` and ``before`` bound the time at which they left. ``restored=True`` lists those that
        are back in their tables, None both. ``data=False`` leaves the rows where they lie, and tells
        what there is when an archive outside of the database cannot be read.
        """
        given = (kind, reason, session, record, interaction, batch, since, before, after)
        if restored is False and all(one is None for one in given):
            return self._records(self._engine.fetch("archive.list", _list, (limits(limit),)), data)
        conditions = _conditions(kind, reason, session, record, interaction, batch, since, before, restored)
        if after is not None:
            conditions.append(models.ArchiveEntry.pk < after)
        query = _latest().limit(limits(limit))
        return self._records(self._engine.select(query.where(*conditions) if conditions else query), data)

    def get(self, id: int) -> Archived:
        """Return one entry; raises NotFound."""
        rows = self._engine.fetch("archive.find", _find, (id,))
        if not rows:
            raise NotFound("archive entry", str(id), "`wilk archive list` shows the ones there are")
        return self._records(rows)[0]

    def count(
        self,
        *,
        kind: str | None = None,
        reason: str | None = None,
        session: str | None = None,
        record: str | None = None,
        interaction: str | None = None,
        batch: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        restored: bool | None = False,
    ) -> int:
        """Count archived rows; the options are those of :meth:`list`."""
        from peewee import fn  # with Peewee; see wilk.models

        conditions = _conditions(kind, reason, session, record, interaction, batch, since, before, restored)
        query = models.ArchiveEntry.select(fn.COUNT(models.ArchiveEntry.pk))
        count: int = self._engine.select(query.where(*conditions) if conditions else query)[0][0]
        return count

    def statistics(self) -> Sequence[ArchiveCount]:
        """Count archived rows and their bytes by reason and kind; restored ones are not counted."""
        return [ArchiveCount(*row) for row in self._engine.fetch("archive.statistics", _statistics)]

    def restore(
        self,
        ids: int | Iterable[int] | None = None,
        *,
        kind: str | None = None,
        record: str | None = None,
        batch: str | None = None,
        session: str | None = None,
    ) -> dict[str, int]:
        """Put archived rows back as they were, and return how many, by kind: all of them, or none.

        - ``restore(5)``, ``restore([5, 6])``: these entries and nothing else;
        - ``restore(session=id)``: a session with all that left with it;
        - ``restore(kind="user", record=id)``: what left last under that id, with what hung on it;
        - ``restore(batch=entry.batch)``: all that left in one go.

        Raises NotFound, and Conflict when a record is there again, what it belongs to is not there,
        or it was restored already.
        """
        return self._archiver.restore(ids, kind=kind, record=record, batch=batch, session=session)

    def flush(self) -> int:
        """Hand over what waits in the database to the archive in use; return how many rows.

        With the archive ``table`` nothing waits. Otherwise it happens by itself after each removal;
        by hand it tells what is in the way, such as a full disk.
        """
        return self._outbox.flush()

    def _records(self, rows: Sequence[Sequence[Any]], data: bool = True) -> Sequence[Archived]:
        """Rows of ``_fields()``, whose last is the place, as records, with their data or without."""
        places = [
            (row[_DATA], row[-1] if row[-2] is None else None) if data else (None, None) for row in rows
        ]
        found = self._outbox.read(places)
        entries = _decoded((*row[:_DATA], None, *row[_DATA + 1 : -1]) for row in rows)
        return [entry._replace(data=data) for entry, data in zip(entries, found, strict=True)]


def _conditions(
    kind: str | None,
    reason: str | None,
    session: str | None,
    record: str | None,
    interaction: str | None,
    batch: str | None,
    since: datetime | None,
    before: datetime | None,
    restored: bool | None,
) -> list[Any]:
    entry: Any = models.ArchiveEntry
    equal = {
        entry.kind: kind,
        entry.reason: reason,
        entry.session_id: session,
        entry.record_id: record,
        entry.interaction_id: interaction,
        entry.batch: batch,
    }
    conditions = [field == value for field, value in equal.items() if value is not None]
    if since is not None:
        conditions.append(entry.archived_at >= clock.to_microseconds(moment("since", since)))
    if before is not None:
        conditions.append(entry.archived_at < clock.to_microseconds(moment("before", before)))
    if restored is not None:
        conditions.append(entry.restored_at.is_null(not restored))
    return conditions


def _latest() -> Any:
    return models.ArchiveEntry.select(*_fields()).order_by(models.ArchiveEntry.pk.desc())


def _list() -> Any:
    return _latest().where(models.ArchiveEntry.restored_at.is_null()).limit(param("limit"))


def _find() -> Any:
    return _latest().where(models.ArchiveEntry.pk == param("id"))


def _statistics() -> Any:
    from peewee import fn  # with Peewee; see wilk.models

    entry: Any = models.ArchiveEntry
    columns = (entry.reason, entry.kind)
    return (
        entry.select(*columns, fn.COUNT(entry.pk), fn.SUM(entry.size))
        .where(entry.restored_at.is_null())
        .group_by(*columns)
        .order_by(*columns)
    )


def _fields() -> list[Any]:
    entry = models.ArchiveEntry
    return [
        *(entry.pk if name == "id" else getattr(entry, name) for name in Archived._fields),
        entry.place,
    ]
