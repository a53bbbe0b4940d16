"""Work off the caller's path: one thread per store, started when there is something to do."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable

logger = logging.getLogger("wilk.worker")
_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


class Worker:
    """Runs jobs one after another, on a thread that ends when nothing is left to do.

    A job that fails is logged; whoever submits it sees to it that nothing is lost by that.
    ``release`` closes what the thread holds of the store, after each job. ``patience()`` is how many
    seconds a process that forks waits for the job that runs: a child must not be born amid a
    transaction of this thread, for it would believe that it is in one itself.
    """

    def __init__(self, release: Callable[[], None], patience: Callable[[], float] = lambda: 30.0) -> None:
        self._release = release
        self._patience = patience
        self._begin()
        _workers.add(self)

    def _begin(self) -> None:
        """Begin without a job; also in a forked child, where the thread is not and its jobs are the
        parent's."""
        self._at_work = threading.RLock()
        self._paused = False
        self._change = threading.Condition()
        self._jobs: dict[str, Callable[[], object]] = {}
        self._repeated: dict[str, tuple[float, float, Callable[[], object]]] = {}
        self._running = False
        self._stopping = False
        self._idle = True
        self._thread: threading.Thread | None = None

    def submit(self, key: str, job: Callable[[], object]) -> bool:
        """Run a job soon. One that waits under the same key already is replaced by it.

        Returns False while the store closes: nothing new is begun then, and what a job would have
        done is due again when the store is next used.
        """
        with self._change:
            if self._stopping:
                return False
            self._jobs[key] = job
            self._wake()
            return True

    def repeat(self, key: str, seconds: float, job: Callable[[], object]) -> None:
        """Run a job every so many seconds, the first time after that time, until the store closes."""
        with self._change:
            if self._stopping:  # the thread would wait for it, and closing for the thread
                return
            self._repeated[key] = (time.monotonic() + seconds, seconds, job)
            self._wake()

    def cancel(self, key: str) -> None:
        """Do not repeat a job any more; one that runs just then ends as it would."""
        with self._change:
            self._repeated.pop(key, None)
            self._change.notify_all()

    def settle(self, timeout: float = 60.0) -> bool:
        """Wait until every submitted job is done; False if that takes longer than ``timeout`` seconds."""
        with self._change:
            return self._change.wait_for(lambda: not self._jobs and not self._running, timeout)

    def stop(self, timeout: float | None = None) -> bool:
        """Finish what was submitted, then end the thread; False if that takes longer than ``timeout``
        seconds."""
        return self._end(timeout)

    def drop(self, timeout: float) -> None:
        """Leave undone what has not begun, and wait so many seconds for the job that runs."""
        with self._change:
            self._jobs.clear()
        self._end(timeout)

    def _end(self, timeout: float | None) -> bool:
        with self._change:
            self._stopping = True
            self._repeated.clear()
            self._change.notify_all()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether the store closes: a long job leaves the rest for the next time."""
        return self._stopping

    def _wake(self) -> None:
        if self._idle:
            self._idle = False
            self._thread = threading.Thread(target=self._run, name="wilk-worker", daemon=True)
            self._thread.start()
        self._change.notify_all()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            key, call = job
            try:
                with self._at_work:
                    try:
                        call()
                    finally:
                        self._release()
            except (Exception, SystemExit) as error:  # else nothing would ever run again
                logger.error("%s failed, and is tried again when there is reason to: %s", key, error)
                logger.debug("%s", key, exc_info=error)
            finally:
                with self._change:
                    self._running = False
                    self._change.notify_all()

    def _pause(self) -> None:
        """Before a fork: let the job that runs come to its end, and no other begin."""
        self._paused = self._at_work.acquire(timeout=self._patience())
        if not self._paused:
            logger.warning("a process forks while work of its store goes on; wait with store.settle()")

    def _resume(self) -> None:
        """After a fork, in the parent."""
        if self._paused:
            self._at_work.release()

    def _next(self) -> tuple[str, Callable[[], object]] | None:
        """The next job; None when there is none left and none to come."""
        with self._change:
            while True:
                if self._jobs:
                    key = next(iter(self._jobs))
                    self._running = True
                    return key, self._jobs.pop(key)
                if not self._repeated:
                    self._idle = True
                    return None
                key = min(self._repeated, key=lambda name: self._repeated[name][0])
                due, seconds, job = self._repeated[key]
                wait = due - time.monotonic()
                if wait <= 0:
                    self._repeated[key] = (time.monotonic() + seconds, seconds, job)
                    self._running = True
                    return key, job
                self._change.wait(wait)


def _forking() -> None:
    for worker in list(_workers):
        worker._pause()


def _forked() -> None:
    for worker in list(_workers):
        worker._resume()


def _born() -> None:
    for worker in list(_workers):
        worker._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forking, after_in_parent=_forked, after_in_child=_born)
