"""Health: one read and one write of the store, and whatever else tells how it fares, within a time limit."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from wilk import clock, models
from wilk.engine import Engine
from wilk.errors import Busy, WilkError
from wilk.records.care import CacheState, Disk, EmbeddingState, Health, Quarantined
from wilk.services import checks

if TYPE_CHECKING:
    from wilk.caches.caches import Caches
    from wilk.contracts.figures import EngineState, Figures, PoolFigures
    from wilk.host import PluginInfo
    from wilk.services.embedding.indexing import Indexing
    from wilk.settings import Settings

_LEAST_FREE = 100_000_000
"""Bytes below which a disk is as good as full."""
_LONGEST_LAG = 60.0
"""Seconds above which a replica is behind."""
_LOOKED_FOR = 2.0
"""Seconds for which a database is looked for that does not answer."""


class _Undone(Exception):
    """Undoes the write that is tried."""


class _Asked:
    """What the database said so far. Another thread fills this in, and may be left behind."""

    def __init__(self) -> None:
        self.failing: list[str] = []
        self.degraded: list[str] = []
        self.at = "reading"
        self.schema: str | None = None
        self.read_seconds: float | None = None
        self.write_seconds: float | None = None
        self.state: EngineState | None = None
        self.embedding: EmbeddingState | None = None

    def given_up(self, seconds: float) -> _Asked:
        """What is known when the time is over: the thread that still waits changes nothing of it."""
        known = _Asked()
        vars(known).update(vars(self))
        known.failing, known.degraded = list(self.failing), list(self.degraded)
        if self.at == "reading":
            known.failing.append(f"reading got no answer within {seconds:g} s")
        elif self.at == "writing":
            known.degraded.append(f"writing got no turn within {seconds:g} s; another writer holds the store")
        elif self.at:
            known.degraded.append(f"{self.at}: no answer within {seconds:g} s")
        return known


class _Around:
    """What is told without the database."""

    def __init__(self) -> None:
        self.unreachable: str | None = None
        self.degraded: list[str] = []
        self.pool: PoolFigures | None = None
        self.disk: Disk | None = None
        self.caches: CacheState | None = None
        self.quarantined: list[Quarantined] = []


class HealthCheck:
    """Looks at one store. ``indexing`` makes vectors, ``plugins``
    are what has been imported so far; ``closed`` whether the store has been closed."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        figures: Figures | None,
        *,
        folder: Path | None,
        caches: Callable[[], Caches],
        indexing: Callable[[], Indexing],
        plugins: Callable[[], Iterable[PluginInfo]],
        closed: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._figures = figures
        self._folder = folder
        self._caches = caches
        self._indexing = indexing
        self._plugins = plugins
        self._closed = closed
        self._begin()

    def _begin(self) -> None:
        """Also in a forked child, where the thread that asks for its parent is not."""
        self._process = os.getpid()
        self._turn = threading.Lock()

    def check(self, *, timeout: float = 5.0) -> Health:
        """Tell how the store fares, in about twice ``timeout`` seconds at most; see ``Store.health``."""
        limit = checks.seconds("timeout", timeout)
        if self._process != os.getpid():
            self._begin()
        asked, around = _Asked(), _Around()
        if self._closed():
            asked.failing.append("the store has been closed; open it again with wilk.open_store")
        else:
            asked = self._ask_within(limit)
        try:
            in_time = _beside(lambda: self._look_around(around, limit, not asked.failing), limit)
        except RuntimeError:  # the system has no thread left
            in_time = True
        if not in_time:
            around = _copied(around)
            around.degraded.append(f"the folder of the store, or its caches: no answer within {limit:g} s")
        return self._told(asked, around)

    # -- asking the database ----------------------------------------------------------------

    def _ask_within(self, limit: float) -> _Asked:
        """Ask on a thread that is left behind when it does not come back in time; one at a time does so."""
        engine, asked = self._engine, _Asked()
        inside = engine.in_transaction
        if inside and engine.shared:  # another thread would wait for this one
            self._ask(asked, limit, writes=False)
            return asked
        begun = perf_counter()
        if not self._turn.acquire(timeout=limit):
            asked.failing.append("an earlier check still waits for the database")
            return asked
        turn = self._turn

        def ask() -> None:
            try:
                self._ask(asked, limit, writes=not inside)
            finally:
                try:
                    engine.release()
                finally:
                    turn.release()

        try:
            in_time = _beside(ask, max(0.0, limit - (perf_counter() - begun)))
        except RuntimeError as error:  # the system has no thread left
            turn.release()
            asked.failing.append(f"nothing can be asked: {error}")
            return asked
        return asked if in_time else asked.given_up(limit)

    def _ask(self, asked: _Asked, limit: float, *, writes: bool) -> None:
        if self._figures is not None and (gone := self._figures.missing()) is not None:
            asked.failing.append(gone)  # before a connection makes an empty one in its place
            return
        begun = perf_counter()
        try:
            asked.schema = self._read()
        except Exception as error:
            asked.failing.append(f"the store cannot be read: {_said(error)}")
            return
        asked.read_seconds = perf_counter() - begun
        try:
            with self._engine.pinned():
                self._ask_engine(asked, limit, writes=writes)
            asked.at = "the queue of embedding"
            asked.embedding = self._embedding_state()
        except Exception as error:
            if asked.at == "writing":
                asked.failing.append(f"the store cannot be written: {_said(error)}")
            else:
                asked.degraded.append(f"{asked.at} failed: {_said(error)}")
        asked.at = ""

    def _read(self) -> str | None:
        """Read the newest of what every store has: damage shows where pages are looked at."""
        engine = self._engine
        for model in (models.Session, models.Message, models.Document, models.Memory):
            meta: Any = model._meta
            engine.select(model.select(*meta.sorted_fields).order_by(meta.primary_key.desc()).limit(1))
        schema: str | None = engine.execute("SELECT MAX(name) FROM wilk_migrations")[0][0]
        return schema

    def _ask_engine(self, asked: _Asked, limit: float, *, writes: bool) -> None:
        figures, execute = self._figures, self._engine.execute
        asked.at = "what the engine tells of itself"
        with nullcontext() if figures is None else figures.limited(execute, limit / 2):
            if figures is not None:
                try:
                    asked.state = figures.state(execute)
                except WilkError as error:
                    asked.degraded.append(f"{figures.name} does not tell how it fares: {error}")
            if writes and not self._engine.readonly:
                asked.at = "writing"
                self._write(asked)
                asked.at = "what the engine tells of itself"

    def _embedding_state(self) -> EmbeddingState | None:
        settings = self._settings
        if settings.embedder == "none":
            return None
        indexing = self._indexing()
        waiting = indexing.queue.counts().values()
        return EmbeddingState(
            settings.embedder,
            settings.vector_index,
            pending=sum(one.pending for one in waiting),
            failed=sum(one.failed for one in waiting),
            error=indexing.error or next((one.error for one in waiting if one.error is not None), None),
        )

    def _write(self, asked: _Asked) -> None:
        """Write a row and undo it: nothing of it stays, and nobody is told."""
        engine, state = self._engine, models.SystemState
        now = engine.clock.now()
        begun = perf_counter()
        row: dict[str, Any] = {"key": f"wilk.health {engine.clock.new_id()}", "data": None}
        try:
            with engine.transaction():
                engine.run(state.insert(**row, created_at=now, updated_at=now))
                raise _Undone
        except _Undone:
            asked.write_seconds = perf_counter() - begun
        except Busy as error:
            asked.degraded.append(f"writing got no turn: {error}")

    # -- what is told without the database ------------------------------------------------------

    def _look_around(self, around: _Around, limit: float, answered: bool) -> None:
        figures, degraded = self._figures, around.degraded
        if figures is not None:
            try:
                if not answered:
                    around.unreachable = figures.unreachable(min(limit, _LOOKED_FOR))
                around.pool = pool = figures.pool()
            except Exception as error:
                degraded.append(f"{figures.name} cannot be looked for: {_said(error)}")
            else:
                if pool is not None and pool.waiting and not pool.idle and pool.size >= pool.largest:
                    degraded.append(
                        f"all {pool.largest} connections are in use, and {pool.waiting} threads wait"
                    )
        around.disk = disk = _disk((figures.folder if figures is not None else None) or self._folder)
        if disk is not None and disk.free_bytes < _LEAST_FREE:
            degraded.append(f"the disk of {disk.folder} has {disk.free_bytes:,} bytes left")
        if not self._closed():
            around.caches = self._cache_state(degraded)
        around.quarantined = [
            Quarantined(one.name, one.distribution, one.error or "")
            for one in self._plugins()
            if one.status == "quarantined"
        ]
        degraded += [f"plugin {one.name} is quarantined: {one.error}" for one in around.quarantined]

    def _cache_state(self, degraded: list[str]) -> CacheState:
        tier = self._settings.cache_tier
        try:
            caches = self._caches()
            there = len(caches.namespaces())
            error = "its server cannot be reached" if caches.away else None
        except Exception as failure:
            there, error = 0, _said(failure)
        if error is not None:
            degraded.append(f"the cache tier {tier!r} is away, and caches go on without it: {error}")
        return CacheState(tier, there, error)

    # -- telling --------------------------------------------------------------------------

    def _told(self, asked: _Asked, around: _Around) -> Health:
        engine, state, embedding = self._engine, asked.state, asked.embedding
        failing = asked.failing if around.unreachable is None else [around.unreachable, *asked.failing]
        degraded = asked.degraded + around.degraded
        if state is not None:
            degraded += state.problems
            degraded += [
                f"replica {one.name} is {one.lag_seconds:.0f} s behind"
                for one in state.replicas
                if one.lag_seconds is not None and one.lag_seconds > _LONGEST_LAG
            ]
        if embedding is not None and embedding.error is not None:
            degraded.append(f"vectors of records are not made: {embedding.error}")
        return Health(
            status="failing" if failing else "degraded" if degraded else "ok",
            reasons=tuple(dict.fromkeys([*failing, *degraded])),
            checked_at=clock.to_datetime(engine.clock.now()),
            backend=self._settings.url.partition("://")[0],
            engine=None if self._figures is None else self._figures.name,
            version=None if state is None else state.version,
            schema=asked.schema,
            readonly=engine.readonly,
            full_text=engine.full_text is not None,
            read_seconds=asked.read_seconds,
            write_seconds=asked.write_seconds,
            pool=around.pool,
            writing=None if state is None else state.writing,
            locks=() if state is None else tuple(state.locks),
            wal_bytes=None if state is None else state.wal_bytes,
            replicas=() if state is None else tuple(state.replicas),
            disk=around.disk,
            caches=around.caches,
            embedding=embedding,
            quarantined=tuple(around.quarantined),
        )


def _beside(call: Callable[[], None], seconds: float) -> bool:
    """Run a call on a thread that is left behind after so many seconds; return whether it came to its end."""
    over = threading.Event()

    def run() -> None:
        try:
            call()
        finally:
            over.set()

    threading.Thread(target=run, name="wilk-health", daemon=True).start()
    return over.wait(seconds)


def _copied(around: _Around) -> _Around:
    """What is known so far, which the thread that still waits does not change."""
    known = _Around()
    vars(known).update(vars(around))
    known.degraded = list(around.degraded)
    return known


def _disk(folder: Path | None) -> Disk | None:
    import shutil  # slow to import

    while folder is not None:
        try:
            total, _, free = shutil.disk_usage(folder)
        except OSError:  # a folder that is made when it is first needed
            folder = None if folder == folder.parent else folder.parent
        else:
            return Disk(str(folder), free, total)
    return None


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, WilkError) else f"{type(error).__name__}: {error}"
