"""The async face: tasks that interleave around a transaction, cancellation, a loop that is never blocked."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.engines import held

import wilk
from wilk import aio, hookimpl
from wilk.host import Host
from wilk.store import Store

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Boom(Exception):
    """What the tests throw."""


async def texts(store: wilk.AsyncStore, session: str) -> list[str]:
    return [message.text for message in await store.messages.last(session)]


async def turn(times: int = 20) -> None:
    """Let other tasks run."""
    for _ in range(times):
        await asyncio.sleep(0)


class Gate:
    """A plugin that holds a write of a message saying "slow" until it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.free = threading.Event()

    @hookimpl
    def before_save(self, kind: str, record: Any) -> None:
        if kind == "message" and record.text == "slow":
            self.reached.set()
            assert self.free.wait(30)

    async def is_reached(self) -> None:
        await asyncio.to_thread(self.reached.wait, 30)


class TestVerbs:
    def test_are_the_same_on_a_store_that_is_awaited(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = await store.sessions.create(name="talk")
                message = await store.messages.append(session.id, "user", "hello")
                assert await store.messages.last(session.id) == [message]
                assert (await store.sessions.list())[0].name == "talk"

        run(scenario())

    def test_work_on_a_store_opened_without_a_block(self, run: Run) -> None:
        async def scenario() -> None:
            store = await wilk.open_async_store()
            await store.sessions.create(id="s")
            await store.close()
            await store.close()
            with pytest.raises(wilk.Closed, match="open_async_store"):
                await store.sessions.get("s")
            with pytest.raises(wilk.Closed):
                await store.sessions.create()

        run(scenario())

    def test_raise_what_the_sync_ones_raise(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                with pytest.raises(wilk.NotFound, match="no session 'x'"):
                    await store.messages.append("x", "user")

        run(scenario())

    def test_of_a_readonly_store_refuse_to_write(self, store: wilk.Store, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store(readonly=True) as reader:
                with pytest.raises(wilk.ReadOnly):
                    await reader.sessions.create()
                with pytest.raises(wilk.ReadOnly):
                    async with reader.transaction():
                        pass

        run(scenario())

    def test_write_in_the_order_in_which_they_were_asked(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id
                await asyncio.gather(*(store.messages.append(session, "user", str(n)) for n in range(100)))
                found = [message.text for message in await store.messages.page(session)]
                assert found == [str(number) for number in range(100)]

        run(scenario())

    def test_of_a_store_in_memory_work(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store("sqlite:///:memory:") as store:
                session = (await store.sessions.create()).id
                await asyncio.gather(*(store.messages.append(session, "user") for _ in range(20)))
                reads = await asyncio.gather(*(store.messages.count(session) for _ in range(20)))
                assert reads == [20] * 20

        run(scenario())


class TestTransactions:
    def test_keep_what_the_block_did(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                async with store.transaction():
                    session = (await store.sessions.create()).id
                    await store.messages.append(session, "user", "one")
                    assert await texts(store, session) == ["one"]
                assert await texts(store, session) == ["one"]

        run(scenario())

    def test_undo_all_of_it_on_an_exception(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id
                with pytest.raises(Boom):
                    async with store.transaction():
                        await store.messages.append(session, "user", "one")
                        raise Boom
                assert await texts(store, session) == []

        run(scenario())

    def test_nest_as_savepoints(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id
                async with store.transaction():
                    await store.messages.append(session, "user", "outer")
                    with pytest.raises(Boom):
                        async with store.transaction():
                            await store.messages.append(session, "user", "inner")
                            raise Boom
                    await store.messages.append(session, "user", "after")
                assert await texts(store, session) == ["outer", "after"]

        run(scenario())

    @pytest.mark.parametrize("started", ["before", "inside", "after"])
    @pytest.mark.parametrize("undone", [True, False], ids=["rolled back", "committed"])
    def test_neither_take_in_nor_swallow_the_write_of_another_task(
        self, run: Run, started: str, undone: bool
    ) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id
                inside, go = asyncio.Event(), asyncio.Event()

                async def other() -> None:
                    await go.wait()
                    await store.messages.append(session, "user", "other")

                task = asyncio.create_task(other()) if started == "before" else None

                async def block() -> None:
                    async with store.transaction():
                        await store.messages.append(session, "user", "mine")
                        inside.set()
                        await turn()
                        if undone:
                            raise Boom

                if started == "inside":
                    # The task inherits the context of the transaction, which is not its own.
                    with pytest.raises(Boom) if undone else _nothing():
                        async with store.transaction():
                            await store.messages.append(session, "user", "mine")
                            task = asyncio.create_task(other())
                            go.set()
                            await turn()
                            assert not task.done()
                            if undone:
                                raise Boom
                else:
                    blocking = asyncio.create_task(block())
                    await inside.wait()
                    go.set()
                    task = task or asyncio.create_task(other())
                    await asyncio.wait([blocking])
                    assert isinstance(blocking.exception(), Boom) is undone
                assert task is not None
                await task
                assert await texts(store, session) == (["other"] if undone else ["mine", "other"])

        run(scenario())

    def test_of_many_tasks_are_each_whole_or_nothing(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id

                async def two(number: int) -> None:
                    async with store.transaction():
                        await store.messages.append(session, "user", f"{number} a")
                        await turn(number % 3)
                        await store.messages.append(session, "user", f"{number} b")
                        if number % 2:
                            raise Boom

                await asyncio.gather(*(two(number) for number in range(20)), return_exceptions=True)
                found = await texts(store, session)
                pairs = [(found[place], found[place + 1]) for place in range(0, len(found), 2)]
                # Several lanes are handed out in order, but reach the database in any.
                assert sorted(pairs) == sorted((f"{number} a", f"{number} b") for number in range(0, 20, 2))

        run(scenario())

    def test_hide_their_writes_from_other_tasks_until_the_end(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id
                async with store.transaction():
                    await store.messages.append(session, "user", "one")
                    assert await asyncio.create_task(texts(store, session)) == []

        run(scenario())

    @pytest.mark.usefixtures("hurried")
    @pytest.mark.parametrize("work", ["append", "transaction"])
    def test_whose_children_write_end_in_busy_instead_of_hanging(self, run: Run, work: str) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id

                async def begin() -> None:
                    async with store.transaction():
                        pass

                with pytest.raises(wilk.Busy, match="a task that is started inside"):
                    async with store.transaction():
                        child = store.messages.append(session, "user") if work == "append" else begin()
                        await asyncio.gather(child)
                await store.messages.append(session, "user", "afterwards")
                assert await texts(store, session) == ["afterwards"]

        run(scenario())

    def test_of_two_stores_nest_without_mixing(self, run: Run, elsewhere: str) -> None:
        async def scenario() -> None:
            async with (
                wilk.open_async_store() as one,
                wilk.open_async_store(elsewhere) as two,
            ):
                with pytest.raises(Boom):
                    async with one.transaction():
                        await one.sessions.create(id="undone")
                        async with two.transaction():
                            await two.sessions.create(id="kept")
                        raise Boom
                assert await one.sessions.find("undone") is None
                assert (await two.sessions.get("kept")).id == "kept"

        run(scenario())

    def test_of_a_sync_and_an_async_store_on_one_file_take_turns(self, store: wilk.Store, run: Run) -> None:
        session = store.sessions.create().id

        async def scenario() -> None:
            async with wilk.open_async_store() as other:
                async with other.transaction():
                    await other.messages.append(session, "user", "async")
                    waiting = asyncio.create_task(
                        asyncio.to_thread(store.messages.append, session, "user", "sync")
                    )
                    await turn()
                await waiting
                assert await texts(other, session) == ["async", "sync"]

        run(scenario())


class _nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *failure: object) -> None: ...


class TestCancellation:
    """Wherever it strikes, the store works afterwards and the write has happened fully or not at all."""

    async def usable(self, store: wilk.AsyncStore, session: str, *expected: str) -> None:
        async with store.transaction():
            await store.messages.append(session, "user", "usable")
        assert await texts(store, session) == [*expected, "usable"]

    def opened(self, gate: Gate) -> Any:
        return wilk.open_async_store(host=Host(gate))

    @pytest.mark.sqlite  # with several lanes the others wait in the database, and happen
    def test_while_waiting_for_the_lane_writes_nothing(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id
                async with store.transaction():
                    waiting = [
                        asyncio.create_task(store.messages.append(session, "user", "never")) for _ in range(3)
                    ]
                    await turn()
                    for task in waiting:
                        task.cancel()
                    await asyncio.wait(waiting)
                    assert all(task.cancelled() for task in waiting)
                await self.usable(store, session)

        run(scenario())

    def test_while_waiting_to_begin_a_transaction_begins_none(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id

                async def block() -> None:
                    async with store.transaction():
                        await store.messages.append(session, "user", "never")

                async with store.transaction():
                    waiting = asyncio.create_task(block())
                    await turn()
                    waiting.cancel()
                    await asyncio.wait([waiting])
                assert waiting.cancelled()
                await self.usable(store, session)

        run(scenario())

    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_while_begin_waits_for_another_process_leaves_nothing_open(self, run: Run, times: int) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id

                async def block() -> None:
                    async with store.transaction():
                        await store.messages.append(session, "user", "never")

                with held() as let_go:
                    waiting = asyncio.create_task(block())
                    await asyncio.sleep(
                        0.05
                    )  # BEGIN is on its thread by now, or will be refused: both are fine
                    for _ in range(times):
                        waiting.cancel()
                        await turn()
                    let_go()
                await asyncio.wait([waiting])
                assert waiting.cancelled()
                await self.usable(store, session)

        run(scenario())

    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_while_a_verb_runs_lets_it_happen_fully(self, run: Run, times: int) -> None:
        async def scenario() -> None:
            async with self.opened(gate := Gate()) as store:
                session = (await store.sessions.create()).id
                task = asyncio.create_task(store.messages.append(session, "user", "slow"))
                await gate.is_reached()
                for _ in range(times):
                    task.cancel()
                    await turn()
                gate.free.set()
                await asyncio.wait([task])
                assert task.cancelled()
                await self.usable(store, session, "slow")

        run(scenario())

    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_while_a_verb_of_a_transaction_runs_undoes_the_transaction(self, run: Run, times: int) -> None:
        async def scenario() -> None:
            async with self.opened(gate := Gate()) as store:
                session = (await store.sessions.create()).id

                async def block() -> None:
                    async with store.transaction():
                        await store.messages.append(session, "user", "one")
                        await store.messages.append(session, "user", "slow")

                task = asyncio.create_task(block())
                await gate.is_reached()
                for _ in range(times):
                    task.cancel()
                    await turn()
                gate.free.set()
                await asyncio.wait([task])
                assert task.cancelled()
                await self.usable(store, session)

        run(scenario())

    @pytest.mark.parametrize("times", [1, 2])
    def test_while_commit_runs_lets_it_commit(
        self, run: Run, times: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gate = Gate()

        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id
                database = store._store._engine.database
                commit = database.commit

                def slow_commit() -> Any:
                    gate.reached.set()
                    assert gate.free.wait(30)
                    return commit()

                async def block() -> None:
                    async with store.transaction():
                        await store.messages.append(session, "user", "one")
                        monkeypatch.setattr(database, "commit", slow_commit)

                task = asyncio.create_task(block())
                await gate.is_reached()
                for _ in range(times):
                    task.cancel()
                    await turn()
                gate.free.set()
                await asyncio.wait([task])
                monkeypatch.undo()
                assert task.cancelled()
                await self.usable(store, session, "one")

        run(scenario())

    def test_while_begin_is_still_behind_a_cancelled_write_begins_nothing(self, run: Run) -> None:
        """The cancelled write gave its lane back, but its thread is still at work."""

        async def scenario() -> None:
            async with self.opened(gate := Gate()) as store:
                session = (await store.sessions.create()).id
                task = asyncio.create_task(store.messages.append(session, "user", "slow"))
                await gate.is_reached()
                task.cancel()
                await asyncio.wait([task])

                async def block() -> None:
                    async with store.transaction():
                        await store.messages.append(session, "user", "never")

                behind = asyncio.create_task(block())
                await turn()
                behind.cancel()
                await turn()
                gate.free.set()
                await asyncio.wait([behind])
                assert behind.cancelled()
                await self.usable(store, session, "slow")

        run(scenario())

    def test_between_two_verbs_of_a_transaction_undoes_it(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id
                inside = asyncio.Event()

                async def block() -> None:
                    async with store.transaction():
                        await store.messages.append(session, "user", "one")
                        inside.set()
                        await asyncio.sleep(60)

                task = asyncio.create_task(block())
                await inside.wait()
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled()
                await self.usable(store, session)

        run(scenario())

    def test_by_a_timeout_raises_timeout_error(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01), store.transaction():
                        await store.messages.append(session, "user", "one")
                        await asyncio.sleep(60)
                await self.usable(store, session)

        run(scenario())

    def test_of_many_at_random_moments_loses_no_lane(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                session = (await store.sessions.create()).id

                async def pair(number: int) -> None:
                    async with store.transaction():
                        await store.messages.append(session, "user", f"{number} a")
                        await store.messages.append(session, "user", f"{number} b")

                tasks = [asyncio.create_task(pair(number)) for number in range(60)]
                for number, task in enumerate(tasks):
                    await asyncio.sleep(0.0003 * (number % 5))
                    if number % 2:
                        task.cancel()
                        if number % 3 == 0:
                            await turn(1)
                            task.cancel()
                await asyncio.wait(tasks)
                found = await store.messages.page(session, limit=1000)
                kept = [message.text for message in found]
                assert kept[0::2] == [text.replace("b", "a") for text in kept[1::2]]
                assert {f"{number} a" for number in range(0, 60, 2)} <= set(kept)
                assert [message.sequence for message in found] == list(range(1, len(kept) + 1))
                async with store.transaction():
                    last = await store.messages.append(session, "user", "usable")
                assert last.sequence == len(kept) + 1

        run(scenario())


class TestTheEventLoop:
    def test_keeps_ticking_during_a_slow_write(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store(host=Host(gate := Gate())) as store:
                session = (await store.sessions.create()).id
                writing = asyncio.create_task(store.messages.append(session, "user", "slow"))
                await gate.is_reached()
                for _ in range(1000):
                    await asyncio.sleep(0)
                assert not writing.done()
                assert await texts(store, session) == []  # and readers read
                gate.free.set()
                await writing

        run(scenario())

    def test_keeps_ticking_while_another_process_holds_the_lock(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                with held() as let_go:
                    writing = asyncio.create_task(store.sessions.create())
                    for _ in range(20):
                        await asyncio.sleep(0.001)
                    assert not writing.done()
                    let_go()
                assert (await writing).message_count == 0

        run(scenario())

    def test_never_runs_a_verb_itself(self, run: Run) -> None:
        seen: list[threading.Thread] = []

        class Watcher:
            @hookimpl
            def before_save(self) -> None:
                seen.append(threading.current_thread())

        async def scenario() -> None:
            async with wilk.open_async_store(host=Host(Watcher())) as store:
                await store.sessions.create()
                async with store.transaction():
                    await store.sessions.create()

        run(scenario())
        assert len(seen) == 2
        assert threading.current_thread() not in seen


class TestClosing:
    def test_waits_for_an_open_transaction(self, run: Run) -> None:
        async def scenario() -> None:
            store = await wilk.open_async_store()
            session = (await store.sessions.create()).id
            inside, go = asyncio.Event(), asyncio.Event()

            async def block() -> None:
                async with store.transaction():
                    inside.set()
                    await go.wait()
                    await store.messages.append(session, "user", "one")

            task = asyncio.create_task(block())
            await inside.wait()
            closing_it = asyncio.create_task(store.close())
            await turn()
            assert not closing_it.done()
            go.set()
            await task
            await closing_it
            async with wilk.open_async_store() as again:
                assert await texts(again, session) == ["one"]

        run(scenario())

    def test_from_two_tasks_at_once_ends_for_both_when_it_is_done(self, run: Run) -> None:
        async def scenario() -> None:
            store = await wilk.open_async_store()
            inside, go = asyncio.Event(), asyncio.Event()

            async def block() -> None:
                async with store.transaction():
                    inside.set()
                    await go.wait()

            task = asyncio.create_task(block())
            await inside.wait()
            both = [asyncio.create_task(store.close()) for _ in range(2)]
            await turn()
            assert not any(one.done() for one in both)
            go.set()
            await asyncio.gather(task, *both)

        run(scenario())

    def test_begins_nothing_new_while_it_waits(self, run: Run) -> None:
        async def scenario() -> None:
            store = await wilk.open_async_store()
            async with store.transaction():
                closing_it = asyncio.create_task(store.close())
                await turn()
                with pytest.raises(wilk.Closed):
                    await asyncio.create_task(store.sessions.create())
            await closing_it

        run(scenario())

    @pytest.mark.usefixtures("hurried")
    def test_that_waited_too_long_leaves_the_store_open(self, run: Run) -> None:
        async def scenario() -> None:
            store = await wilk.open_async_store()
            async with store.transaction():
                with pytest.raises(wilk.Busy):
                    await asyncio.create_task(store.close())
                await store.sessions.create(id="s")
            assert (await store.sessions.get("s")).id == "s"
            await store.close()

        run(scenario())

    def test_is_done_for_a_store_whose_opening_was_cancelled(self, run: Run) -> None:
        reached, free, heard = threading.Event(), threading.Event(), threading.Event()

        class Slow:
            @hookimpl
            def store_opened(self) -> None:
                reached.set()
                assert free.wait(30)

            @hookimpl
            def store_closing(self) -> None:
                heard.set()

        async def scenario() -> None:
            async def open_it() -> None:
                await wilk.open_async_store(host=Host(Slow()))

            task = asyncio.create_task(open_it())
            await asyncio.to_thread(reached.wait, 30)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            free.set()
            assert await asyncio.to_thread(heard.wait, 30)

        run(scenario())


NOUNS = ("agents", "prompts", "personas", "presets", "definitions", "users", "groups", "sessions", "messages",
         "branches", "imports", "exports", "doctor", "backups", "forgetting",
         "tool_calls", "tools", "summaries", "memory", "pins", "blocks", "facts", "contexts", "archive", "retention",
         "registry", "index", "vectors", "documents", "raw_messages", "chunks", "memories", "reasoning", "state",
         "interactions", "patterns", "feedback", "preferences", "world_models", "consolidation")  # fmt: skip

WRITING = {"add", "append", "build", "clear", "compact", "correct", "create", "divide", "drop", "extend", "finish", "flush", "fork",
           "link", "make_default", "remove", "replace", "rescore", "retract", "save", "save_info",
           "save_sequence", "set", "start", "uncompact", "update", "use",
           "act", "archive", "deactivate", "mark_applied", "merge", "observe", "observe_relation", "promote",
           "put_entity", "restore", "run", "show", "snapshot", "stop"}  # fmt: skip


THEIR_OWN_WAY = {
    "imports": {"run"},
    "exports": {"run"},
    "forgetting": {"run"},
    "tools": {"run"},
    "registry": {"remove", "update"},
    "index": {"update"},
    "backups": {"create", "remove", "restore"},
}
"""Verbs that write now and then and may take long: a tool holds up no lane while it works."""


def verbs(noun: type) -> dict[str, Any]:
    return {name: verb for name, verb in inspect.getmembers(noun, callable) if not name.startswith("_")}


class TestParity:
    @pytest.mark.parametrize("name", NOUNS)
    def test_every_verb_is_there_with_its_signature_and_its_sentence(self, name: str, run: Run) -> None:
        async def nouns() -> tuple[type, type]:
            async with wilk.open_async_store() as store:
                return type(getattr(store._store, name)), type(getattr(store, name))

        sync, awaited = map(verbs, run(nouns()))
        assert sync.keys() == awaited.keys()
        for verb, function in sync.items():
            assert inspect.iscoroutinefunction(awaited[verb]), verb
            assert inspect.signature(awaited[verb]) == inspect.signature(function), verb
            assert awaited[verb].__doc__ == function.__doc__, verb

    @pytest.mark.parametrize("name", NOUNS)
    def test_verbs_that_write_go_through_the_lanes_and_no_others(self, name: str, run: Run) -> None:
        async def noun() -> type:
            async with wilk.open_async_store() as store:
                return type(getattr(store, name))

        lanes = {
            verb
            for verb, it in verbs(run(noun())).items()
            if it.__code__.co_qualname.partition(".")[0] in ("writing", "adding")
        }
        assert lanes == {verb for verb in verbs(run(noun())) if verb in WRITING} - THEIR_OWN_WAY.get(
            name, set()
        )

    def test_every_noun_is_there(self) -> None:
        is_noun = {name for name in dir(Store) if not name.startswith("_")} - {
            *(
                "close",
                "sync",
                "watch",
                "transaction",
                "home",
                "catalog",
                "tokenizer",
                "count_tokens",
                "settle",
                "search",
                "health",
                "statistics",
                "closed",
                "move",
                "compare",
                "maintain",
            ),
            "reading",  # binds models to the calling thread, which a task does not have
            "cache",  # has verbs of its own; see test_cache_once.py
        }
        assert is_noun == set(NOUNS)

    def test_the_verbs_of_the_store_have_the_same_parameters(self) -> None:
        shared = [name for name in verbs(Store) if name in verbs(aio.AsyncStore)]
        assert set(shared) == {
            *("cache", "close", "sync", "watch", "transaction", "count_tokens", "settle", "search"),
            *("health", "statistics", "move", "compare", "maintain"),
        }
        for name in shared:
            one, other = getattr(Store, name), getattr(aio.AsyncStore, name)
            assert inspect.signature(one).parameters == inspect.signature(other).parameters, name

    def test_opening_takes_the_same_arguments(self) -> None:
        one, other = inspect.signature(wilk.open_store), inspect.signature(wilk.open_async_store)
        assert one.parameters == other.parameters
