"""One computation of a key: among threads, coroutines and processes, with failures, nesting and deaths."""

from __future__ import annotations

import asyncio
import gc
import inspect
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.aio.caches import AsyncCache, AsyncResponseCache
from wilk.caches.awaiting import get_or_compute
from wilk.caches.cache import Cache
from wilk.caches.responses import ResponseCache

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def at_once(count: int, work: Callable[[], Any]) -> list[Any]:
    """What ``count`` threads return, or the exceptions that they end in."""
    barrier, found = threading.Barrier(count), []

    def turn() -> None:
        barrier.wait()
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=turn) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


class TestThreads:
    @pytest.mark.slow
    @pytest.mark.parametrize("url", [None, "sqlite:///:memory:"])
    def test_a_thousand_compute_once(self, url: str | None) -> None:
        computed = []

        def compute() -> dict[str, int]:
            computed.append(1)
            time.sleep(0.2)
            return {"a": 1}

        with wilk.open_store(url) as store:
            cache = store.cache("x")
            found = at_once(1000, lambda: cache.get_or_compute("key", compute))
        assert found == [{"a": 1}] * 1000
        assert len(computed) == 1

    def test_of_two_stores_over_one_folder_compute_once(self, store: wilk.Store, home: Path) -> None:
        computed = []

        def compute() -> int:
            computed.append(1)
            time.sleep(0.05)
            return 1

        with wilk.open_store(home=home) as other:
            both = [store.cache("x"), other.cache("x")] * 10
            assert at_once(20, lambda: both.pop().get_or_compute("key", compute)) == [1] * 20
        assert len(computed) == 1

    def test_different_keys_do_not_wait_for_each_other(self, store: wilk.Store) -> None:
        barrier = threading.Barrier(8)
        cache = store.cache("x")
        keys = list(map(str, range(8)))
        found = at_once(8, lambda: cache.get_or_compute(keys.pop(), lambda: barrier.wait(20) >= 0))
        assert found == [True] * 8

    def test_a_failure_is_its_callers_and_the_next_one_tries(self, store: wilk.Store) -> None:
        turns = iter(range(100))
        inside = []

        def compute() -> str:
            inside.append(1)
            assert len(inside) == 1, "one after another"
            time.sleep(0.005)
            inside.clear()
            if next(turns) < 3:
                raise OSError("no network")
            return "fine"

        found = at_once(10, lambda: store.cache("x").get_or_compute("key", compute))
        assert sorted(map(str, found)) == ["fine"] * 7 + ["no network"] * 3
        assert next(turns) == 4

    def test_nothing_of_a_failure_is_kept(self, store: wilk.Store) -> None:
        cache = store.cache("x")
        with pytest.raises(ZeroDivisionError):
            cache.get_or_compute("key", lambda: 1 // 0)
        assert cache.get("key", "none") == "none"

    def test_a_computation_may_need_others_and_itself(self, store: wilk.Store) -> None:
        cache = store.cache("x")

        def inner() -> int:
            return cache.get_or_compute("outer", lambda: 1, ttl="1h") + 1

        assert cache.get_or_compute("outer", lambda: cache.get_or_compute("inner", inner) + 1) == 3

    def test_who_has_waited_long_enough_computes_by_himself(self, store: wilk.Store) -> None:
        cache = store.cache("x")
        free = threading.Event()
        begun = threading.Event()

        def hang() -> str:
            begun.set()
            assert free.wait(20)
            return "late"

        thread = threading.Thread(target=lambda: cache.get_or_compute("key", hang))
        thread.start()
        assert begun.wait(20)
        assert cache.get_or_compute("key", lambda: "mine", wait="0.05s") == "mine"
        free.set()
        thread.join()

    def test_computations_that_wait_for_each_other_come_to_an_end(self, store: wilk.Store) -> None:
        cache = store.cache("x")
        barrier = threading.Barrier(2)

        def crossed(mine: str, other: str) -> str:
            def compute() -> str:
                barrier.wait(20)
                return cache.get_or_compute(other, lambda: "direct", wait="0.1s")

            return cache.get_or_compute(mine, compute)

        pairs = [("a", "b"), ("b", "a")]
        assert len(at_once(2, lambda: crossed(*pairs.pop()))) == 2

    def test_each_gets_a_copy_that_looks_as_it_will_later(self, store: wilk.Store) -> None:
        cache = store.cache("x")
        first = cache.get_or_compute("key", lambda: {"a": (1, 2)})
        first["a"].append(3)
        assert cache.get("key") == {"a": [1, 2]}

    def test_with_a_ttl_of_zero_each_computes(self, store: wilk.Store) -> None:
        turns = iter(range(5))
        found = [store.cache("x").get_or_compute("key", lambda: next(turns), ttl=0) for _ in range(3)]
        assert found == [0, 1, 2]

    def test_a_coroutine_function_is_for_the_other_face(self, store: wilk.Store) -> None:
        async def compute() -> int:
            return 1

        with pytest.raises(wilk.Invalid, match="coroutine function"):
            store.cache("x").get_or_compute("key", compute)


WORKER = """
import sys, threading, time, wilk
with wilk.open_store() as store:
    cache = store.cache("x")
    def compute():
        with open(sys.argv[1], "a") as file:
            file.write("once\\n")
        time.sleep(0.5)
        return {"a": 1}
    print("ready", flush=True)
    sys.stdin.readline()
    found = []
    threads = [threading.Thread(target=lambda: found.append(cache.get_or_compute("key", compute))) for _ in range(250)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert found == [{"a": 1}] * 250
"""
HOLDER = """
import time, wilk
with wilk.open_store() as store:
    def compute():
        print("computing", flush=True)
        time.sleep(60)
    store.cache("x").get_or_compute("key", compute)
"""


class TestProcesses:
    @pytest.mark.slow
    def test_four_with_a_thousand_threads_compute_once(self, store: wilk.Store, tmp_path: Path) -> None:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(tmp_path / "log")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for _ in range(4)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write(b"\n")
            worker.stdin.flush()
        for worker in workers:
            worker.communicate(timeout=60)
            assert worker.returncode == 0
        assert (tmp_path / "log").read_text() == "once\n"

    @pytest.mark.slow
    def test_one_that_is_killed_while_it_computes_holds_nobody_up(self, store: wilk.Store) -> None:
        holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE)
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"computing\n"
        found: list[str] = []
        waiting = threading.Thread(
            target=lambda: found.append(store.cache("x").get_or_compute("key", lambda: "mine", wait=None))
        )
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
        waiting.join(30)
        assert found == ["mine"]


class TestCoroutines:
    @pytest.mark.slow
    @pytest.mark.parametrize("url", [None, "sqlite:///:memory:"])
    def test_a_thousand_compute_once(self, run: Run, url: str | None) -> None:
        computed = []

        async def compute() -> dict[str, int]:
            computed.append(1)
            await asyncio.sleep(0.1)
            return {"a": 1}

        async def scenario() -> list[Any]:
            async with wilk.open_async_store(url) as store:
                cache = store.cache("x")
                return await asyncio.gather(*(cache.get_or_compute("key", compute) for _ in range(1000)))

        assert run(scenario()) == [{"a": 1}] * 1000
        assert len(computed) == 1

    def test_and_threads_compute_once(self, run: Run) -> None:
        computed = []

        def slow() -> int:
            computed.append(1)
            time.sleep(0.1)
            return 1

        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                sync = store._store.cache("x")
                found = await asyncio.gather(
                    *(asyncio.to_thread(sync.get_or_compute, "key", slow) for _ in range(4)),
                    *(store.cache("x").get_or_compute("key", slow) for _ in range(4)),
                )
                assert found == [1] * 8

        run(scenario())
        assert len(computed) == 1

    def test_one_that_is_cancelled_leaves_the_others_to_try(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                cache = store.cache("x")
                begun = asyncio.Event()

                async def never() -> None:
                    begun.set()
                    await asyncio.sleep(60)

                async def fine() -> str:
                    return "fine"

                first = asyncio.create_task(cache.get_or_compute("key", never))
                await begun.wait()
                others = [asyncio.create_task(cache.get_or_compute("key", fine)) for _ in range(3)]
                await asyncio.sleep(0.02)
                others[0].cancel()
                first.cancel()
                assert await asyncio.gather(*others[1:]) == ["fine", "fine"]
                with pytest.raises(asyncio.CancelledError):
                    await first

        run(scenario())

    def test_a_failure_is_its_callers(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                turns = iter(range(9))

                async def compute() -> int:
                    await asyncio.sleep(0.01)
                    if (turn := next(turns)) < 2:
                        raise OSError(str(turn))
                    return turn

                found = await asyncio.gather(
                    *(store.cache("x").get_or_compute("key", compute) for _ in range(5)),
                    return_exceptions=True,
                )
                assert sorted(map(str, found)) == ["0", "1", "2", "2", "2"]

        run(scenario())

    def test_may_need_others_and_themselves(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                cache = store.cache("x")

                async def inner() -> int:
                    return int(await cache.get_or_compute("outer", lambda: 1)) + 1

                async def outer() -> int:
                    return int(await cache.get_or_compute("inner", inner)) + 1

                assert await cache.get_or_compute("outer", outer) == 3

        run(scenario())

    def test_refresh_ahead_goes_on_behind(self, run: Run, tmp_path: Path, now: Any, clock: Any) -> None:
        settings = wilk.Settings(
            home=tmp_path, url=f"sqlite:///{tmp_path}/wilk.db", caches={"x": {"ttl": "1h", "refresh": "10m"}}
        )

        async def scenario() -> None:
            async with wilk.open_async_store(settings=settings, clock=clock) as store:
                cache = store.cache("x")
                await cache.set("key", "old")
                now.pass_by(seconds=700)

                async def new() -> str:
                    return "new"

                assert await cache.get_or_compute("key", new) == "old"
                while await cache.get("key") == "old":
                    await asyncio.sleep(0.005)

        run(scenario())

    def test_refresh_ahead_is_not_done_again_when_it_was_done_meanwhile(
        self, run: Run, tmp_path: Path, now: Any, clock: Any
    ) -> None:
        settings = wilk.Settings(
            home=tmp_path, url=f"sqlite:///{tmp_path}/wilk.db", caches={"x": {"ttl": "1h", "refresh": "10m"}}
        )

        async def scenario() -> None:
            async with wilk.open_async_store(settings=settings, clock=clock) as store:
                cache = store.cache("x")
                await cache.set("key", "old")
                now.pass_by(seconds=700)

                computed = []

                async def new() -> str:
                    computed.append(1)
                    return "newer"

                plain = store._store.cache("x")
                assert await cache.get_or_compute("key", new) == "old"
                plain.set("key", "new")  # before the task of the refresh has its turn
                await asyncio.gather(*plain._tasks)
                assert (await cache.get("key"), computed) == ("new", [])

        run(scenario())

    def test_one_that_goes_on_when_its_store_is_closed_holds_nobody_up(self, run: Run, home: Path) -> None:
        async def scenario() -> None:
            begun, free = asyncio.Event(), asyncio.Event()

            async def slow() -> int:
                begun.set()
                await free.wait()
                return 1

            async with wilk.open_async_store() as store:
                task = asyncio.create_task(store.cache("x").get_or_compute("key", slow))
                await begun.wait()
            free.set()
            with pytest.raises(wilk.Closed):
                await task

        run(scenario())
        assert list((home / "cache" / "x.locks").iterdir()) == []

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_one_whose_loop_was_closed_amid_it_holds_nobody_up(self, store: wilk.Store, home: Path) -> None:
        cache = store.cache("x")

        async def scenario() -> None:
            begun = asyncio.Event()

            async def never() -> None:
                begun.set()
                await asyncio.sleep(60)

            asyncio.get_running_loop().abandoned = asyncio.create_task(  # type: ignore[attr-defined]
                get_or_compute(cache, "key", never)
            )
            await begun.wait()

        loop = asyncio.new_event_loop()
        loop.run_until_complete(scenario())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        del loop
        gc.collect()
        assert cache._flights._going == {}
        assert list((home / "cache" / "x.locks").iterdir()) == []
        assert cache.get_or_compute("key", lambda: "mine", wait=None) == "mine"

    def test_verbs_do_what_those_of_the_sync_cache_do(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                cache = store.cache("x")
                await cache.set("key", None, tags=["t"])
                assert await cache.get("key", "default") is None
                assert await cache.get("other", "default") == "default"
                assert await cache.touch("key", ttl="1h")
                assert (await cache.statistics()).entries == 1
                assert await cache.sweep() == 0
                assert await cache.clear(tag="t") == 1
                assert not await cache.delete("key")
                with pytest.raises(wilk.Invalid):
                    store.cache("../x")
            with pytest.raises(wilk.Closed):
                await cache.get("key")

        run(scenario())

    def test_a_transaction_of_another_task_holds_no_cache_up(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store, store.transaction():
                await store.sessions.create()
                await asyncio.create_task(store.cache("x").set("key", 1))

        run(scenario())


@pytest.mark.parametrize(("one", "other"), [(Cache, AsyncCache), (ResponseCache, AsyncResponseCache)])
def test_both_faces_have_the_same_verbs(one: type, other: type) -> None:
    def verbs(kind: type) -> dict[str, Any]:
        return {name: verb for name, verb in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"}

    assert verbs(one).keys() == verbs(other).keys()
    for name, verb in verbs(one).items():
        assert list(inspect.signature(verb).parameters.values())[1:3] or name
        assert (
            inspect.signature(verb).parameters.keys()
            == inspect.signature(verbs(other)[name]).parameters.keys()
        )
