"""The threads behind the async face, and the rule of who runs where.

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
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from wilk.errors import Busy, Closed

if TYPE_CHECKING:
    from wilk.store import Store
    from wilk.transactions import Transaction

READERS = 4
"""Threads for reading verbs."""
ASIDE = 8
"""Threads for what may take long, for each purpose: tools, and whatever else."""

_CHILD = "a task that is started inside `async with store.transaction()` cannot write before that is left"

_R = TypeVar("_R")


class _Lane:
    """One writing thread, and whose transaction is open on it."""

    def __init__(self, number: int) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"wilk-write-{number}")

    def run(self, call: Callable[[], _R]) -> asyncio.Future[_R]:
        """Run a call on the thread. One that has begun is not cut short by cancellation."""
        return asyncio.get_running_loop().run_in_executor(self.thread, call)


class _Pin:
    """A task's open transaction: its lane, and which task that is."""

    open = False

    def __init__(self, lane: _Lane, transaction: Transaction, task: asyncio.Task[Any] | None) -> None:
        self.lane = lane
        self.transaction = transaction
        self.task = task


class Workers:
    """The threads of one store and the rule of who runs where."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engine = store._engine
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="wilk-read")
        self._aside: dict[str, ThreadPoolExecutor] = {}
        self._lanes = [_Lane(number) for number in range(self._engine.writers)]
        self._free: asyncio.Queue[_Lane] = asyncio.Queue()
        for lane in self._lanes:
            self._free.put_nowait(lane)
        self._places: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
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

    async def write(self, call: Callable[[], _R], *, place: object = None) -> _R:
        """Run a writing verb: in the task's transaction if it has one, else on a free lane. Those for the
        same ``place`` run one after the other."""
        pin = self._own_pin()
        if pin is not None:
            return await pin.lane.run(call)
        async with self._turn(place):
            lane = await self._take()
            try:
                with self._explaining():
                    return await lane.run(call)
            finally:
                # Whatever still runs is done before the next call on this one thread begins.
                self._free.put_nowait(lane)

    async def write_out(self, call: Callable[[], _R]) -> _R:
        """Run a writing verb that must happen, in spite of cancellation: as ``write`` does, and where another
        task's transaction goes on for too long, on a thread of its own, which may be told that it is Busy."""
        pin = self._own_pin()
        if pin is not None:
            return await finished(pin.lane.run(call))

        async def run() -> _R:
            try:
                lane = await self._take()
            except Busy:
                return await self.aside(call)
            try:
                return await lane.run(call)
            finally:
                self._free.put_nowait(lane)

        return await finished(asyncio.ensure_future(run()))

    async def aside(self, call: Callable[[], _R], *, purpose: str = "aside") -> _R:
        """Run what may take long and write now and then: in the task's transaction if it has one, else on
        a thread that holds up no other verb. Each purpose has threads of its own, so that a search does not
        wait for tools that run for minutes."""
        pin = self._own_pin()
        if pin is not None:
            return await pin.lane.run(call)
        self._check_open()
        if purpose not in self._aside:
            self._aside[purpose] = ThreadPoolExecutor(ASIDE, thread_name_prefix=f"wilk-{purpose}")
        return await asyncio.get_running_loop().run_in_executor(self._aside[purpose], call)

    async def whenever(self, call: Callable[[], _R]) -> _R:
        """Run what raises nothing and ends by itself: also when the store is closed, or all threads wait."""
        pin = self._own_pin()
        if pin is not None:
            return await pin.lane.run(call)
        return await asyncio.to_thread(call)

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
            with self._explaining():
                await asyncio.shield(entering)
        except asyncio.CancelledError as cancelled:
            await self._undo_entry(pin, entering, cancelled)
            raise
        token = self._pin.set(pin)
        pin.open = True
        try:
            yield
        except BaseException as error:
            await finished(pin.lane.run(partial(pin.transaction.__exit__, type(error), error, None)))
            raise
        else:
            await finished(pin.lane.run(partial(pin.transaction.__exit__, None, None, None)))
        finally:
            pin.open = False
            self._pin.reset(token)

    async def _undo_entry(self, pin: _Pin, entering: asyncio.Future[None], error: BaseException) -> None:
        """Leave a transaction whose beginning was cancelled, if it did begin."""
        try:
            await finished(entering)
        except asyncio.CancelledError:
            pass  # cancelled once more while it began
        except Exception:
            return  # it never began, so there is nothing to leave
        await finished(pin.lane.run(partial(pin.transaction.__exit__, type(error), error, None)))

    def _own_pin(self) -> _Pin | None:
        """The transaction of the running task. A task that was started inside another's transaction
        inherits its context, but not the transaction."""
        pin = self._pin.get()
        return pin if pin is not None and pin.task is asyncio.current_task() else None

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Say whose transaction it is that a task waited for in vain, where it is the one that it was
        started in."""
        try:
            yield
        except Busy as error:
            pin = self._pin.get()
            if pin is None or not pin.open or pin.task is asyncio.current_task():
                raise
            raise Busy(f"{error}: {_CHILD}") from error

    def _turn(self, place: object) -> AbstractAsyncContextManager[Any]:
        """Whose turn it is at a place; one lane alone keeps the order of asking by itself."""
        if len(self._lanes) == 1 or not isinstance(place, str):
            return nullcontext()
        return self._places.setdefault(place, asyncio.Lock())

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
                f"waited {self._engine.timeout:g} s for another task's transaction to end; {_CHILD}"
            ) from None

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the store has been closed; open it again with wilk.open_async_store")

    @property
    def closed(self) -> bool:
        return self._closed

    def end(self) -> None:
        """Close from outside of any loop, when the one that used this is gone; twice does no harm."""
        if not self._closed:
            self._closed = True
            self._end()
            for lane in self._lanes:
                lane.thread.shutdown(wait=True)

    def _end(self) -> None:
        """Wait for reads that have begun, then close."""
        self._readers.shutdown(wait=True)
        for threads in self._aside.values():
            threads.shutdown(wait=True)
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
                await finished(asyncio.get_running_loop().run_in_executor(None, self._end))
            finally:
                for lane in taken:
                    lane.thread.shutdown(wait=False)


async def finished(future: asyncio.Future[_R]) -> _R:
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
