"""Statistics: how much there is of each kind of records, how large it is, and how fast it grows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import clock, models
from wilk.engine import Engine
from wilk.records.care import FolderSize, KindStatistics, SessionSize, Statistics
from wilk.services import checks

if TYPE_CHECKING:
    from peewee import Model

    from wilk.contracts.figures import Figures, Sizes, TableSize
    from wilk.settings import Settings

ESTIMATE = "estimate"
_DAY = 86_400_000_000
_TIMES = ("created_at", "recorded_at", "started_at", "archived_at", "queued_at")
"""The columns that tell when a row came, the first one that a kind has."""
_SAMPLE = 200
_ROW_COST = 24
"""Bytes of a row beside its values, about: its header, its place in the tree, pages that are not full."""
_LARGEST = 10
_FOLDERS = {"cache": "caches", "indexes": "vector indexes", "archive": "archived rows", "backups": "backups"}


class _Table(NamedTuple):
    """A kind of records and its table."""

    kind: str
    model: Any

    @property
    def name(self) -> str:
        return str(self.model._meta.table_name)


class Measuring:
    """Counts and measures one store. ``plugins`` gives the models of plugins, by the name of their set."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        figures: Figures | None,
        *,
        folder: Path | None,
        plugins: Callable[[], Sequence[tuple[str, Collection[type[Model]]]]],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._figures = figures
        self._folder = folder
        self._plugins = plugins

    def take(self, *, quick: bool = False) -> Statistics:
        """Return the figures; see ``Store.statistics``."""
        checks.flag("quick", quick)
        engine = self._engine
        now = engine.clock.now()
        with engine.snapshot():
            sizes = None if self._figures is None else self._figures.sizes(engine.execute, measure=not quick)
            kinds = [self._kind(table, now, sizes, quick) for table in self._tables()]
            sessions = self._largest(quick)
        measured = "" if quick else (sizes.measured_by if sizes is not None else "") or ESTIMATE
        known = [(one.bytes or 0) + (one.index_bytes or 0) for one in kinds if one.bytes is not None]
        total = sizes.total_bytes if sizes is not None else None
        return Statistics(
            taken_at=clock.to_datetime(now),
            backend=self._settings.url.partition("://")[0],
            rows=sum(one.rows for one in kinds),
            bytes=sum(known) if total is None and known else total,
            free_bytes=None if sizes is None else sizes.free_bytes,
            measured_by=measured,
            kinds=tuple(sorted(kinds, key=lambda one: (-(one.bytes or 0), -one.rows, one.kind))),
            sessions=tuple(sessions),
            folders=tuple(self._folders()),
        )

    def size(self) -> int | None:
        """Return the bytes of the database, where the engine tells them; no table is read."""
        if self._figures is None:
            return None
        with self._engine.snapshot():
            return self._figures.sizes(self._engine.execute, measure=False).total_bytes

    # -- tables ---------------------------------------------------------------------------

    def _tables(self) -> Iterator[_Table]:
        """Every table of wilk's, then those of plugins, with the name of their set before the kind."""
        for names in models._FAMILIES.values():
            for name in names:
                yield _Table(_snake(name), getattr(models, name))
        for family, some in self._plugins():
            for model in some:
                yield _Table(f"{family}.{_snake(model.__name__)}", model)

    def _kind(self, table: _Table, now: int, sizes: Sizes | None, quick: bool) -> KindStatistics:
        from peewee import SQL, Case, fn  # with Peewee; see wilk.models

        model, fields = table.model, table.model._meta.fields
        time = next((fields[name] for name in _TIMES if name in fields), None)
        columns: list[Any] = [fn.COUNT(SQL("*"))]
        if time is not None and not quick:
            columns += [fn.SUM(Case(None, [(time >= now - days * _DAY, 1)], 0)) for days in (7, 30)]
        rows, *new = self._engine.select(model.select(*columns))[0]
        week, month = (new[0] or 0, new[1] or 0) if new else (None, None)
        size = self._size(table, rows, sizes, quick)
        return KindStatistics(
            kind=table.kind,
            table=table.name,
            rows=rows,
            bytes=None if size is None else size[0],
            index_bytes=None if size is None else size[1],
            per_day_7=None if week is None else week / 7,
            per_day_30=None if month is None else month / 30,
        )

    def _size(
        self, table: _Table, rows: int, sizes: Sizes | None, quick: bool
    ) -> tuple[int, int | None] | None:
        """Bytes of rows and of indexes: as measured, or by the length of some rows."""
        if quick:
            return None
        if sizes is not None and sizes.measured_by:
            found: TableSize | None = sizes.tables.get(table.name)
            return (0, 0) if found is None else (found.bytes, found.index_bytes)
        if not rows:
            return 0, None
        model = table.model
        columns, keys = model._meta.sorted_fields, model._meta.get_primary_keys()
        lengths = []
        for order in (
            [key.desc() for key in keys],
            [key.asc() for key in keys],
        ):  # the newest, and the oldest
            some = model.select(*columns).order_by(*order).limit(_SAMPLE // 2)
            lengths += [_ROW_COST + sum(map(_length, row)) for row in self._engine.select(some)]
        return round(sum(lengths) / len(lengths) * rows), None

    # -- sessions and folders ---------------------------------------------------------------

    def _largest(self, quick: bool) -> list[SessionSize]:
        """The sessions with the most messages."""
        from peewee import fn  # with Peewee; see wilk.models

        one: Any = models.Session
        text: Any = models.Message
        query = one.select(one.id, one.name, one.message_count, one.token_count)
        query = query.where(one.message_count > 0).order_by(one.message_count.desc(), one.id).limit(_LARGEST)
        found = []
        for id, name, messages, tokens in self._engine.select(query):
            characters = None
            if not quick:
                length = text.select(fn.SUM(fn.LENGTH(text.text))).where(text.session == id)
                characters = self._engine.select(length)[0][0] or 0
            found.append(SessionSize(id, name, messages, tokens, characters))
        return found

    def _folders(self) -> Iterator[FolderSize]:
        """What lies beside the database: caches, indexes, archives, backups."""
        seen: set[Path] = set()
        database = None if self._figures is None else self._figures.folder
        for base in (self._folder, database):
            for name, what in _FOLDERS.items():
                folder = None if base is None else base / name
                if folder is not None and folder not in seen and folder.is_dir():
                    seen.add(folder)
                    files, size = _files(folder)
                    yield FolderSize(what, str(folder), files, size)


def _files(folder: Path) -> tuple[int, int]:
    """How many files there are below a folder, and their bytes. One that goes meanwhile is not counted."""
    files = size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 (thousands)
                files += 1
            except OSError:
                continue
    return files, size


def _length(value: Any) -> int:
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    return len(value) if isinstance(value, (bytes, memoryview)) else 8


def _snake(name: str) -> str:
    """The kind of a model's class name, such as tool_call of ToolCall."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
