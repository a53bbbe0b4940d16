"""Work off the caller's path: in order, once per key, finished before the store closes."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wilk.worker import Worker

pytestmark = pytest.mark.storeless


class Released:
    """Counts how often a thread let go of the store."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def released() -> Released:
    return Released()


@pytest.fixture
def worker(released: Released) -> Iterator[Worker]:
    one = Worker(released, lambda: 0.1)
    yield one
    one.stop()


@pytest.fixture
def held(worker: Worker) -> Iterator[Callable[[], None]]:
    """Keeps the worker busy with a first job until it is let go."""
    begun, go = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go.wait(30)

    worker.submit("first", first)
    begun.wait(30)
    yield go.set
    go.set()


class TestJobs:
    def test_run_in_order_on_another_thread(self, worker: Worker) -> None:
        done: list[tuple[int, bool]] = []
        for number in range(5):
            worker.submit(
                str(number),
                lambda number=number: done.append((number, threading.current_thread().name == "wilk-worker")),
            )
        assert worker.settle(30)
        assert done == [(number, True) for number in range(5)]

    def test_that_wait_under_one_key_run_once_in_their_last_form(
        self, worker: Worker, held: Callable[[], None]
    ) -> None:
        done: list[int] = []
        for number in range(10):
            worker.submit("same", lambda number=number: done.append(number))
        held()
        assert worker.settle(30)
        assert done == [9]

    def test_that_fail_are_logged_and_the_others_run(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        done: list[str] = []
        worker.submit("bad", lambda: 1 / 0)
        worker.submit("good", lambda: done.append("good"))
        with caplog.at_level(logging.ERROR, "wilk.worker"):
            assert worker.settle(30)
        assert done == ["good"]
        assert "bad failed" in caplog.text

    def test_are_waited_for_only_so_long(self, worker: Worker, held: Callable[[], None]) -> None:
        assert not worker.settle(0.01)
        held()
        assert worker.settle(30)

    def test_leave_no_thread_behind(self, worker: Worker, released: Released) -> None:
        worker.submit("one", lambda: None)
        assert worker.settle(30)
        worker.stop()
        assert released.times == 1
        assert not [one for one in threading.enumerate() if one.name == "wilk-worker"]


class TestStopping:
    def test_finishes_what_was_submitted(self, worker: Worker, held: Callable[[], None]) -> None:
        done: list[str] = []
        worker.submit("last", lambda: done.append("last"))
        threading.Timer(0.05, held).start()
        worker.stop()
        assert done == ["last"]

    def test_refuses_what_comes_later(self, worker: Worker) -> None:
        worker.stop()
        assert worker.submit("late", lambda: pytest.fail("ran")) is False

    def test_ends_what_is_repeated(self, worker: Worker) -> None:
        worker.repeat("never due", 3600, lambda: None)
        worker.stop()
        assert not [one for one in threading.enumerate() if one.name == "wilk-worker"]


def test_a_repeated_job_runs_again_and_again(worker: Worker) -> None:
    times: list[int] = []
    thrice = threading.Event()

    def job() -> None:
        times.append(1)
        if len(times) == 3:
            thrice.set()

    worker.repeat("often", 0.001, job)
    assert thrice.wait(30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_worker_of_its_own(
    worker: Worker, held: Callable[[], None], tmp_path: Path
) -> None:
    mark = tmp_path / "child"
    worker.submit("the parent's", lambda: (tmp_path / "parent").write_text("x"))
    child = os.fork()
    if child == 0:
        worker.submit("the child's", lambda: mark.write_text("x"))
        os._exit(0 if worker.settle(30) and not (tmp_path / "parent").exists() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mark.exists()
    held()
    assert worker.settle(30)
    assert (tmp_path / "parent").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_is_not_born_amid_a_job(released: Released) -> None:
    worker = Worker(released)
    begun, go = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        go.wait(30)

    worker.submit("long", job)
    assert begun.wait(30)
    threading.Timer(0.05, go.set).start()
    child = os.fork()
    if child == 0:
        os._exit(0 if released.times == 1 and worker.settle(0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    worker.stop()


def test_a_job_that_would_be_repeated_while_the_store_closes_does_not_hold_it_up(worker: Worker) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def asks_for_more() -> None:
        begun.set()
        go_on.wait(30)
        worker.repeat("more", 3_600, asks_for_more)

    worker.submit("first", asks_for_more)
    begun.wait(30)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    while not worker.stopping:
        go_on.wait(0.01)
    go_on.set()
    stopping.join(30)
    assert not stopping.is_alive()
