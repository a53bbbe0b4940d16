"""The async face: every verb of the store once more, one typed line each.

Verbs run on worker threads, each with a connection of its own, so nothing blocks the event loop.
Reads share a few threads. Writes go through lanes, as many as the backend can take at once (one
for SQLite): a lane is one thread, handed out in order of asking. ``async with
store.transaction():`` keeps a lane for the task that entered it, and only that task's verbs run
in it: another task's write waits for its own lane, so that it can neither join the transaction
nor be swallowed by it.

A write that is cancelled while it waits has not happened; one that is cancelled while it runs
happens fully.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import partial, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from wilk.errors import Busy, Closed
from wilk.services.agents import Agents
from wilk.services.archive import Archive
from wilk.services.definitions import Definitions
from wilk.services.messages import Messages
from wilk.services.people import Groups, Users
from wilk.services.personas import Personas
from wilk.services.presets import Presets
from wilk.services.prompts import Prompts
from wilk.services.sessions import Sessions
from wilk.services.tool_calls import ToolCalls
from wilk.store import Store, open_store

if TYPE_CHECKING:
    from wilk.clock import Clock
    from wilk.definitions.watcher import Watcher
    from wilk.engine import Transaction
    from wilk.host import Host
    from wilk.records.definitions import SyncReport
    from wilk.settings import Settings

READERS = 4
"""Threads for reading verbs."""

_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S")


class _Lane:
    """One writing thread, and whose transaction is open on it."""

    def __init__(self, number: int) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"wilk-write-{number}")

    def run(self, call: Callable[[], _R]) -> asyncio.Future[_R]:
        """Run a call on the thread. One that has begun is not cut short by cancellation."""
        return asyncio.get_running_loop().run_in_executor(self.thread, call)


class _Pin:
    """A task's open transaction: its lane, and which task that is."""

    def __init__(self, lane: _Lane, transaction: Transaction, task: asyncio.Task[Any] | None) -> None:
        self.lane = lane
        self.transaction = transaction
        self.task = task


class _Workers:
    """The threads of one store and the rule of who runs where."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engine = store._engine
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="wilk-read")
        self._lanes = [_Lane(number) for number in range(self._engine.writers)]
        self._free: asyncio.Queue[_Lane] = asyncio.Queue()
        for lane in self._lanes:
            self._free.put_nowait(lane)
        self._pin: ContextVar[_Pin | None] = ContextVar("wilk_transaction", default=None)
        self._closing = asyncio.Lock()
        self._closed = False

    async def read(self, call: Callable[[], _R]) -> _R:
        """Run a reading verb: in the task's transaction if it has one, else on a reading thread."""
        pin = self._own_pin()
        if pin is not None:
            return await pin.lane.run(call)
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    async def write(self, call: Callable[[], _R]) -> _R:
        """Run a writing verb: in the task's transaction if it has one, else on a free lane."""
        pin = self._own_pin()
        if pin is not None:
            return await pin.lane.run(call)
        lane = await self._take()
        try:
            return await lane.run(call)
        finally:
            # Whatever still runs is done before the next call on this one thread begins.
            self._free.put_nowait(lane)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        pin = self._own_pin()
        if pin is None:
            lane = await self._take()
            try:
                async with self._entered(_Pin(lane, self._store.transaction(), asyncio.current_task())):
                    yield
            finally:
                self._free.put_nowait(lane)
        else:
            async with self._entered(_Pin(pin.lane, self._store.transaction(), pin.task)):
                yield

    @asynccontextmanager
    async def _entered(self, pin: _Pin) -> AsyncIterator[None]:
        entering = pin.lane.run(pin.transaction.__enter__)
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError as cancelled:
            await self._undo_entry(pin, entering, cancelled)
            raise
        token = self._pin.set(pin)
        try:
            yield
        except BaseException as error:
            await _finished(pin.lane.run(partial(pin.transaction.__exit__, type(error), error, None)))
            raise
        else:
            await _finished(pin.lane.run(partial(pin.transaction.__exit__, None, None, None)))
        finally:
            self._pin.reset(token)

    async def _undo_entry(self, pin: _Pin, entering: asyncio.Future[None], error: BaseException) -> None:
        """Leave a transaction whose beginning was cancelled, if it did begin."""
        try:
            await _finished(entering)
        except asyncio.CancelledError:
            pass  # cancelled once more while it began
        except Exception:
            return  # it never began, so there is nothing to leave
        await _finished(pin.lane.run(partial(pin.transaction.__exit__, type(error), error, None)))

    def _own_pin(self) -> _Pin | None:
        """The transaction of the running task. A task that was started inside another's transaction
        inherits its context, but not the transaction."""
        pin = self._pin.get()
        return pin if pin is not None and pin.task is asyncio.current_task() else None

    async def _take(self) -> _Lane:
        self._check_open()
        return await self._next_free()

    async def _next_free(self) -> _Lane:
        try:
            return self._free.get_nowait()
        except asyncio.QueueEmpty:
            pass
        try:
            async with asyncio.timeout(self._engine.timeout):
                return await self._free.get()
        except TimeoutError:
            raise Busy(
                f"waited {self._engine.timeout:g} s for another task's transaction to end; a task "
                "that is started inside `async with store.transaction()` cannot write before that is left"
            ) from None

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the store has been closed; open it again with wilk.open_async_store")

    def _end(self) -> None:
        """Wait for reads that have begun, then close."""
        self._readers.shutdown(wait=True)
        self._store.close()

    async def close(self) -> None:
        async with self._closing:
            if self._closed:
                return
            self._closed = True  # nothing new begins; what has begun is waited for
            taken: list[_Lane] = []
            try:
                while len(taken) < len(self._lanes):
                    taken.append(await self._next_free())
            except BaseException:
                self._closed = False
                for lane in taken:
                    self._free.put_nowait(lane)
                raise
            try:
                await _finished(asyncio.get_running_loop().run_in_executor(None, self._end))
            finally:
                for lane in taken:
                    lane.thread.shutdown(wait=False)


async def _finished(future: asyncio.Future[_R]) -> _R:
    """Await to the end in spite of cancellation, and pass the cancellation on afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            break
    result = future.result()
    if cancelled is not None:
        raise cancelled
    return result


class _Noun:
    """A noun of the store whose verbs are awaited."""

    def __init__(self, workers: _Workers, verbs: Callable[[], Any]) -> None:
        self._workers = workers
        self._verbs = verbs


def _reading(verb: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_Noun, _P], Awaitable[_R]]:
    """The awaited form of a verb that only reads."""

    async def awaited(noun: _Noun, /, *args: _P.args, **options: _P.kwargs) -> _R:
        return await noun._workers.read(lambda: verb(noun._verbs(), *args, **options))

    update_wrapper(awaited, verb)
    return awaited


def _writing(verb: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_Noun, _P], Awaitable[_R]]:
    """The awaited form of a verb that writes."""

    async def awaited(noun: _Noun, /, *args: _P.args, **options: _P.kwargs) -> _R:
        return await noun._workers.write(lambda: verb(noun._verbs(), *args, **options))

    update_wrapper(awaited, verb)
    return awaited


class AsyncAgents(_Noun):
    """The verbs of agents, awaited."""

    get = _reading(Agents.get)
    find = _reading(Agents.find)
    by_name = _reading(Agents.by_name)
    list = _reading(Agents.list)
    save = _writing(Agents.save)
    remove = _writing(Agents.remove)
    history = _reading(Agents.history)
    difference = _reading(Agents.difference)
    permissions = _reading(Agents.permissions)
    render = _reading(Agents.render)
    tools = _reading(Agents.tools)
    workflows = _reading(Agents.workflows)


class AsyncPrompts(_Noun):
    """The verbs of prompts, awaited."""

    get = _reading(Prompts.get)
    find = _reading(Prompts.find)
    by_name = _reading(Prompts.by_name)
    list = _reading(Prompts.list)
    save = _writing(Prompts.save)
    remove = _writing(Prompts.remove)
    history = _reading(Prompts.history)
    difference = _reading(Prompts.difference)
    render = _reading(Prompts.render)


class AsyncPersonas(_Noun):
    """The verbs of personas, awaited."""

    get = _reading(Personas.get)
    find = _reading(Personas.find)
    by_name = _reading(Personas.by_name)
    list = _reading(Personas.list)
    save = _writing(Personas.save)
    remove = _writing(Personas.remove)
    history = _reading(Personas.history)
    difference = _reading(Personas.difference)
    default = _reading(Personas.default)
    make_default = _writing(Personas.make_default)


class AsyncPresets(_Noun):
    """The verbs of presets, awaited."""

    get = _reading(Presets.get)
    find = _reading(Presets.find)
    by_name = _reading(Presets.by_name)
    list = _reading(Presets.list)
    save = _writing(Presets.save)
    remove = _writing(Presets.remove)
    history = _reading(Presets.history)
    difference = _reading(Presets.difference)


class AsyncDefinitions(_Noun):
    """The verbs of definitions of other kinds, awaited."""

    kinds = _reading(Definitions.kinds)
    get = _reading(Definitions.get)
    find = _reading(Definitions.find)
    list = _reading(Definitions.list)
    read = _reading(Definitions.read)
    save = _writing(Definitions.save)
    remove = _writing(Definitions.remove)
    history = _reading(Definitions.history)
    difference = _reading(Definitions.difference)
    check = _reading(Definitions.check)
    files = _reading(Definitions.files)


class AsyncMessages(_Noun):
    """The verbs of messages, awaited."""

    append = _writing(Messages.append)
    extend = _writing(Messages.extend)
    get = _reading(Messages.get)
    find = _reading(Messages.find)
    last = _reading(Messages.last)
    page = _reading(Messages.page)
    count = _reading(Messages.count)
    search = _reading(Messages.search)
    usage = _reading(Messages.usage)


class AsyncSessions(_Noun):
    """The verbs of sessions, awaited."""

    create = _writing(Sessions.create)
    get = _reading(Sessions.get)
    find = _reading(Sessions.find)
    list = _reading(Sessions.list)
    recent = _reading(Sessions.recent)
    update = _writing(Sessions.update)
    save = _writing(Sessions.save)
    fork = _writing(Sessions.fork)
    remove = _writing(Sessions.remove)
    use = _writing(Sessions.use)
    current = _reading(Sessions.current)


class AsyncToolCalls(_Noun):
    """The verbs of tool calls, awaited."""

    start = _writing(ToolCalls.start)
    finish = _writing(ToolCalls.finish)
    get = _reading(ToolCalls.get)
    find = _reading(ToolCalls.find)
    list = _reading(ToolCalls.list)


class AsyncUsers(_Noun):
    """The verbs of users, awaited."""

    save = _writing(Users.save)
    get = _reading(Users.get)
    find = _reading(Users.find)
    list = _reading(Users.list)
    remove = _writing(Users.remove)


class AsyncGroups(_Noun):
    """The verbs of groups, awaited."""

    save = _writing(Groups.save)
    get = _reading(Groups.get)
    find = _reading(Groups.find)
    list = _reading(Groups.list)
    remove = _writing(Groups.remove)
    add = _writing(Groups.add)
    drop = _writing(Groups.drop)
    members = _reading(Groups.members)
    of = _reading(Groups.of)


class AsyncArchive(_Noun):
    """The verbs of archive, awaited."""

    list = _reading(Archive.list)
    statistics = _reading(Archive.statistics)


class AsyncStore:
    """A store whose verbs are awaited. Made by :func:`open_async_store`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._workers = workers = _Workers(store)
        self.agents = AsyncAgents(workers, lambda: store.agents)
        self.prompts = AsyncPrompts(workers, lambda: store.prompts)
        self.personas = AsyncPersonas(workers, lambda: store.personas)
        self.presets = AsyncPresets(workers, lambda: store.presets)
        self.definitions = AsyncDefinitions(workers, lambda: store.definitions)
        self.users = AsyncUsers(workers, lambda: store.users)
        self.groups = AsyncGroups(workers, lambda: store.groups)
        self.sessions = AsyncSessions(workers, lambda: store.sessions)
        self.messages = AsyncMessages(workers, lambda: store.messages)
        self.tool_calls = AsyncToolCalls(workers, lambda: store.tool_calls)
        self.archive = AsyncArchive(workers, lambda: store.archive)

    @property
    def settings(self) -> Settings:
        return self._store.settings

    @property
    def host(self) -> Host:
        return self._store.host

    @property
    def home(self) -> Path | None:
        return self._store.home

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Make what the block does one change: all of it happens, or nothing.

        Only verbs awaited by the task that entered the block belong to it: one that a task started
        inside (``gather``, ``TaskGroup``, ``wait_for`` on Python 3.11) awaits waits for the end of the
        block, and ends in Busy if the block waits for it. Raises Busy when other
        writers hold the store for longer than ``timeout``, and ReadOnly.
        """
        return self._workers.transaction()

    async def count_tokens(self, text: str, *, model: str | None = None) -> int:
        """Count the tokens that ``model`` sees in a text, by the tokenizer in use."""
        return await self._workers.read(lambda: self._store.count_tokens(text, model=model))

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
        partial(open_store, url, home=home, readonly=readonly, host=host, clock=clock, settings=settings)
    )
