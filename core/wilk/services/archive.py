"""The archive as it is read: what left its table, why, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import NotFound
from wilk.models.statements import param
from wilk.records.archive import Archived
from wilk.records.decoding import decoder
from wilk.services.archiver import Archiver
from wilk.services.arguments import limit as limits

_decoded = decoder(Archived)


class Archive:
    """What was removed from a store, and why."""

    def __init__(self, engine: Engine, archiver: Archiver) -> None:
        self._engine = engine
        self._archiver = archiver

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
            return _decoded(
                self._engine.fetch("archive.list", lambda: _latest().limit(param("limit")), (limits(limit),))
            )
        query = _latest().limit(limits(limit))
        if kind is not None:
            query = query.where(models.ArchiveEntry.kind == kind)
        if reason is not None:
            query = query.where(models.ArchiveEntry.reason == reason)
        if session is not None:
            query = query.where(models.ArchiveEntry.session_id == session)
        return _decoded(self._engine.select(query))

    def get(self, id: int) -> Archived:
        """Return one entry; raises NotFound."""
        rows = self._engine.select(_latest().where(models.ArchiveEntry.pk == id))
        if not rows:
            raise NotFound("archive entry", str(id), "`wilk archive list` shows the ones there are")
        return _decoded(rows)[0]

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


def _latest() -> Any:
    return models.ArchiveEntry.select(*_fields()).order_by(models.ArchiveEntry.pk.desc())


def _fields() -> list[Any]:
    entry = models.ArchiveEntry
    return [entry.pk if name == "id" else getattr(entry, name) for name in Archived._fields]
