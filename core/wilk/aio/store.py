"""The store whose verbs are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from wilk.aio.caches import AsyncCache
from wilk.aio.care import AsyncBackups, AsyncDoctor, AsyncForgetting
from wilk.aio.connectome import (
    AsyncCacheEntries,
    AsyncChunks,
    AsyncDocuments,
    AsyncMemories,
    AsyncRawMessages,
    AsyncReasoning,
    AsyncState,
)
from wilk.aio.conversation import AsyncBranches, AsyncMessages, AsyncSessions, AsyncToolCalls
from wilk.aio.definitions import AsyncAgents, AsyncDefinitions, AsyncPersonas, AsyncPresets, AsyncPrompts
from wilk.aio.keeping import AsyncArchive, AsyncRetention
from wilk.aio.learning import (
    AsyncConsolidation,
    AsyncFeedback,
    AsyncInteractions,
    AsyncPatterns,
    AsyncPreferences,
    AsyncWorldModels,
)
from wilk.aio.memory import AsyncBlocks, AsyncContexts, AsyncFacts, AsyncMemory, AsyncPins, AsyncSummaries
from wilk.aio.people import AsyncGroups, AsyncUsers
from wilk.aio.registry import AsyncRegistry
from wilk.aio.search import AsyncIndex, AsyncVectors
from wilk.aio.tools import AsyncTools
from wilk.aio.transfer import AsyncExports, AsyncImports
from wilk.aio.workers import Workers
from wilk.store import Store, open_store

if TYPE_CHECKING:
    from wilk.clock import Clock
    from wilk.definitions.watcher import Watcher
    from wilk.host import Host
    from wilk.records.care import Health, Maintenance, Statistics
    from wilk.records.definitions import SyncReport
    from wilk.records.search import Found
    from wilk.records.transfer import Moved, Progress
    from wilk.settings import Settings


class AsyncStore:
    """A store whose verbs are awaited. Made by :func:`open_async_store`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._workers = workers = Workers(store)
        self.agents = AsyncAgents(workers, lambda: store.agents)
        self.prompts = AsyncPrompts(workers, lambda: store.prompts)
        self.personas = AsyncPersonas(workers, lambda: store.personas)
        self.presets = AsyncPresets(workers, lambda: store.presets)
        self.definitions = AsyncDefinitions(workers, lambda: store.definitions)
        self.users = AsyncUsers(workers, lambda: store.users)
        self.groups = AsyncGroups(workers, lambda: store.groups)
        self.sessions = AsyncSessions(workers, lambda: store.sessions)
        self.messages = AsyncMessages(workers, lambda: store.messages)
        self.branches = AsyncBranches(workers, lambda: store.branches)
        self.tool_calls = AsyncToolCalls(workers, lambda: store.tool_calls)
        self.tools = AsyncTools(workers, lambda: store.tools)
        self.pins = AsyncPins(workers, lambda: store.pins)
        self.blocks = AsyncBlocks(workers, lambda: store.blocks)
        self.facts = AsyncFacts(workers, lambda: store.facts)
        self.contexts = AsyncContexts(workers, lambda: store.contexts)
        self.documents = AsyncDocuments(workers, lambda: store.documents)
        self.raw_messages = AsyncRawMessages(workers, lambda: store.raw_messages)
        self.chunks = AsyncChunks(workers, lambda: store.chunks)
        self.memories = AsyncMemories(workers, lambda: store.memories)
        self.reasoning = AsyncReasoning(workers, lambda: store.reasoning)
        self.state = AsyncState(workers, lambda: store.state)
        self.interactions = AsyncInteractions(workers, lambda: store.interactions)
        self.patterns = AsyncPatterns(workers, lambda: store.patterns)
        self.feedback = AsyncFeedback(workers, lambda: store.feedback)
        self.preferences = AsyncPreferences(workers, lambda: store.preferences)
        self.world_models = AsyncWorldModels(workers, lambda: store.world_models)
        self.consolidation = AsyncConsolidation(workers, lambda: store.consolidation)
        self._cache_entries = AsyncCacheEntries(workers, lambda: store._cache_entries)
        self.summaries = AsyncSummaries(workers, lambda: store.summaries)
        self.memory = AsyncMemory(workers, lambda: store.memory)
        self.archive = AsyncArchive(workers, lambda: store.archive)
        self.retention = AsyncRetention(workers, lambda: store.retention)
        self.vectors = AsyncVectors(workers, lambda: store.vectors)
        self.index = AsyncIndex(workers, lambda: store.index)
        self.registry = AsyncRegistry(workers, lambda: store.registry)
        self.imports = AsyncImports(workers, lambda: store.imports)
        self.exports = AsyncExports(workers, lambda: store.exports)
        self.backups = AsyncBackups(workers, lambda: store.backups)
        self.doctor = AsyncDoctor(workers, lambda: store.doctor)
        self.forgetting = AsyncForgetting(workers, lambda: store.forgetting)

    @property
    def settings(self) -> Settings:
        return self._store.settings

    @property
    def host(self) -> Host:
        return self._store.host

    @property
    def home(self) -> Path | None:
        return self._store.home

    @property
    def closed(self) -> bool:
        """Whether the store has been closed."""
        return self._workers.closed

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Make what the block does one change: all of it happens, or nothing.

        Only verbs awaited by the task that entered the block belong to it: one that a task started
        inside (``gather``, ``TaskGroup``, ``wait_for`` on Python 3.11) awaits waits for the end of the
        block, and ends in Busy if the block waits for it. Raises Busy when other
        writers hold the store for longer than ``timeout``, and ReadOnly.
        """
        return self._workers.transaction()

    def cache(self, namespace: str) -> AsyncCache:
        """A cache: a tier in memory over one on disk, by the policy of its namespace.

        ``responses``, ``context``, ``models`` and ``registry`` have policies; others, and changes to these,
        come from the setting ``caches``.
        """
        self._store._caches.check(namespace)
        return AsyncCache(self._workers, lambda: self._store.cache(namespace))

    async def count_tokens(self, text: str, *, model: str | None = None) -> int:
        """Count the tokens that ``model`` sees in a text, by the tokenizer in use."""
        return await self._workers.read(lambda: self._store.count_tokens(text, model=model))

    async def search(
        self,
        text: str,
        *,
        kinds: Collection[str] | None = None,
        session: str | None = None,
        user: str | None = None,
        limit: int = 20,
    ) -> list[Found]:
        """Find records by their text and, with an embedder, by their meaning; the best first.

        Any text is a valid query. ``kinds`` are some of message, memory, pin, document, summary, fact,
        interaction and pattern (by default the first six).
        """
        return await self._workers.aside(
            lambda: self._store.search(text, kinds=kinds, session=session, user=user, limit=limit)
        )

    async def sync(self, paths: Collection[Path] | None = None) -> SyncReport:
        """Take over what changed in the definition files: all of them, or those of ``paths``."""
        return await self._workers.write(lambda: self._store.sync(paths))

    async def watch(self, on_report: Callable[[SyncReport], None] | None = None) -> Watcher:
        """Follow the definition files as they are edited, until ``stop()`` or the store closes.

        ``on_report`` is called on the event loop for each sync that changed or found something.
        """
        loop = asyncio.get_running_loop()

        def tell(report: SyncReport) -> None:
            if on_report is not None:
                loop.call_soon_threadsafe(on_report, report)

        return await self._workers.write(lambda: self._store.watch(tell))

    async def move(
        self,
        to: str,
        *,
        without: Collection[str] = (),
        progress: Callable[[Progress], object] | None = None,
    ) -> Moved:
        """Copy every row of this store into the database at the URL ``to``, and compare both at the end.

        The target must hold no rows, but for those of an earlier move from here that was interrupted,
        which goes on. This store is only read, and files of its home folder stay where they are; nothing
        is switched over. Rows that change meanwhile are caught up with. Plugins are not told of the rows.
        ``without``: plugins that are not installed any more, whose tables may stay behind. ``progress`` is
        called after each batch, on a thread of the store; what it raises ends the move. Raises Conflict for
        a target that is in use, MoveFailed for rows that it does not take, Busy when this store changes
        again and again, and what opening raises.
        """
        return await self._workers.aside(
            lambda: self._store.move(to, without=without, progress=progress), purpose="move"
        )

    async def compare(
        self,
        to: str,
        *,
        without: Collection[str] = (),
        progress: Callable[[Progress], object] | None = None,
    ) -> Moved:
        """Compare every row of this store with those of the database at the URL ``to``; neither is written.

        The arguments are those of :meth:`move`.
        """
        return await self._workers.aside(
            lambda: self._store.compare(to, without=without, progress=progress), purpose="move"
        )

    async def settle(self, timeout: float = 60.0) -> bool:
        """Wait for the work that goes on behind the verbs, such as compaction, at most ``timeout`` seconds.

        Returns whether it is done. Closing the store waits for it as well.
        """
        return await self._workers.read(lambda: self._store.settle(timeout))

    async def health(self, *, timeout: float = 5.0) -> Health:
        """Tell how the store fares: ``ok``, ``degraded`` or ``failing``, with the reasons.

        Something is read, and something written and undone, so that nothing of it stays; within a
        transaction nothing is written. What gives no answer within ``timeout`` seconds is a reason too: this
        returns in about twice that at most, and raises nothing but Invalid for a ``timeout`` that is none.
        """
        return await self._workers.whenever(lambda: self._store.health(timeout=timeout))

    async def statistics(self, *, quick: bool = False) -> Statistics:
        """Tell how much there is of each kind, how large it is and grows, and what lies in folders.

        Rows are counted, by an index where there is one. Bytes of each kind and growth read the tables;
        ``quick`` leaves those out.
        """
        return await self._workers.aside(lambda: self._store.statistics(quick=quick))

    async def maintain(
        self,
        steps: Collection[str] | None = None,
        *,
        quick: bool = False,
        progress: Callable[[Progress], object] | None = None,
    ) -> Maintenance:
        """Check the database, and do what keeps it fast and small; tell of each step what came of it.

        By default all steps that keep nobody waiting for long; with ``quick`` the short ones. ``steps`` names
        those to do; ``compact`` is done only when it is named. Others may write meanwhile: what they keep
        from being done is told as ``busy``. Nothing that somebody wrote is changed or removed. ``progress``
        is called before each step, on a thread of the store. Raises Invalid for a step that there is none of,
        and Conflict within a transaction.
        """
        return await self._workers.aside(lambda: self._store.maintain(steps, quick=quick, progress=progress))

    async def close(self) -> None:
        """Wait for open transactions, then close. Closing twice does nothing."""
        await self._workers.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Async{repr(self._store).removeprefix('<')}"


def _close_unwanted(opening: asyncio.Future[Store]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class _Opening:
    """A store that is being opened: ``await`` it, or enter it with ``async with``."""

    def __init__(self, open: Callable[[], Store]) -> None:
        self._open = open
        self._store: AsyncStore | None = None

    def __await__(self) -> Generator[Any, None, AsyncStore]:
        return self._opened().__await__()

    async def __aenter__(self) -> AsyncStore:
        self._store = await self._opened()
        return self._store

    async def __aexit__(self, *failure: object) -> None:
        if self._store is not None:
            await self._store.close()

    async def _opened(self) -> AsyncStore:
        opening = asyncio.get_running_loop().run_in_executor(None, self._open_here)
        try:
            return AsyncStore(await asyncio.shield(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise

    def _open_here(self) -> Store:
        store = self._open()
        store._engine.release()  # this thread is not one of the store's own
        return store


def open_async_store(
    url: str | None = None,
    *,
    backend: str | None = None,
    base_dir: str | Path | None = None,
    db_path: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    home: str | Path | None = None,
    readonly: bool | None = None,
    host: Host | None = None,
    clock: Clock | None = None,
    settings: Settings | None = None,
) -> _Opening:
    """Open a store whose verbs are awaited; the arguments are those of :func:`wilk.open_store`.

    ``async with wilk.open_async_store() as store:`` or ``store = await wilk.open_async_store()``.
    """
    return _Opening(
        partial(
            open_store,
            url,
            backend=backend,
            base_dir=base_dir,
            db_path=db_path,
            options=options,
            home=home,
            readonly=readonly,
            host=host,
            clock=clock,
            settings=settings,
        )
    )
