"""The one transaction seam: all or nothing, savepoints, hooks after the commit, threads, stores."""

from __future__ import annotations

import gc
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.engines import held

import wilk
from wilk import hookimpl
from wilk.backends import sqlite as backend
from wilk.models.conversation import Session as SessionModel

pytestmark = pytest.mark.backends


class Boom(Exception):
    """What the tests throw."""


def texts(store: wilk.Store, session: str) -> list[str]:
    return [message.text for message in store.messages.last(session)]


class TestOneStore:
    def test_a_block_is_kept_as_a_whole(self, store: wilk.Store) -> None:
        with store.transaction():
            session = store.sessions.create().id
            store.messages.append(session, "user", "one")
        assert texts(store, session) == ["one"]

    def test_an_exception_undoes_the_whole_block(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(Boom), store.transaction():
            store.messages.append(session, "user", "one")
            store.users.save("u", name="Ada")
            raise Boom
        assert (texts(store, session), store.users.find("u"), store.messages.count(session)) == ([], None, 0)

    def test_the_block_reads_what_it_wrote(self, store: wilk.Store, session: str) -> None:
        with store.transaction():
            store.messages.append(session, "user", "one")
            assert texts(store, session) == ["one"]

    def test_others_do_not_see_it_before_the_end(self, store: wilk.Store, session: str, home: Path) -> None:
        with wilk.open_store(home=home, readonly=True) as other, store.transaction():
            store.messages.append(session, "user", "one")
            assert texts(other, session) == []

    def test_an_inner_rollback_keeps_the_outer(self, store: wilk.Store, session: str) -> None:
        with store.transaction():
            store.messages.append(session, "user", "outer")
            with pytest.raises(Boom), store.transaction():
                store.messages.append(session, "user", "inner")
                raise Boom
            store.messages.append(session, "user", "after")
        assert texts(store, session) == ["outer", "after"]

    def test_an_outer_rollback_undoes_an_inner_block_that_ended_well(
        self, store: wilk.Store, session: str
    ) -> None:
        with pytest.raises(Boom), store.transaction():
            with store.transaction():
                store.messages.append(session, "user", "inner")
            raise Boom
        assert texts(store, session) == []

    def test_a_refused_verb_inside_undoes_only_itself(self, store: wilk.Store, session: str) -> None:
        with store.transaction():
            store.messages.append(session, "user", "one", id="m")
            with pytest.raises(wilk.Conflict):
                store.messages.append(session, "user", "two", id="m")
            store.messages.append(session, "user", "three")
        assert texts(store, session) == ["one", "three"]
        assert [message.sequence for message in store.messages.last(session)] == [1, 2]

    def test_ten_levels_nest(self, store: wilk.Store, session: str) -> None:
        def nest(depth: int) -> None:
            with store.transaction():
                store.messages.append(session, "user", str(depth))
                if depth:
                    nest(depth - 1)

        nest(10)
        assert store.messages.count(session) == 11

    def test_a_failing_commit_is_told_and_leaves_the_store_usable(
        self, store: wilk.Store, session: str
    ) -> None:
        # A constraint that is looked at only when the transaction commits.
        store._engine.execute(
            "CREATE TABLE deferred (s TEXT REFERENCES sessions(id) DEFERRABLE INITIALLY DEFERRED)"
        )
        with pytest.raises(wilk.Conflict), store.transaction():
            store.messages.append(session, "user", "lost")
            store._engine.execute("INSERT INTO deferred VALUES ('nobody')")
        store.messages.append(session, "user", "kept")
        assert texts(store, session) == ["kept"]

    def test_a_failing_commit_runs_no_after_commit_action(self, store: wilk.Store) -> None:
        ran: list[int] = []
        store._engine.execute(
            "CREATE TABLE deferred (s TEXT REFERENCES sessions(id) DEFERRABLE INITIALLY DEFERRED)"
        )
        with pytest.raises(wilk.Conflict), store.transaction():
            store._engine.after_commit(lambda: ran.append(1))
            store._engine.execute("INSERT INTO deferred VALUES ('nobody')")
        with store.transaction():
            pass
        assert ran == []

    def test_after_the_engine_undid_it_by_itself_nothing_of_the_block_is_kept(
        self, store: wilk.Store, session: str
    ) -> None:
        """A full disk makes SQLite roll back a whole transaction, not the statement alone."""
        with pytest.raises(wilk.BackendError), store.transaction():
            store.messages.append(session, "user", "before")
            with pytest.raises(Boom), store.transaction():
                store._engine.execute("ROLLBACK")
                raise Boom
            with pytest.raises(wilk.BackendError, match="undone the whole transaction"):
                store.messages.append(session, "user", "after")
        assert texts(store, session) == []
        store.messages.append(session, "user", "again")
        assert texts(store, session) == ["again"]

    def test_a_keyboard_interrupt_undoes_it_too(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(KeyboardInterrupt), store.transaction():
            store.messages.append(session, "user", "one")
            raise KeyboardInterrupt
        assert texts(store, session) == []

    def test_models_are_bound_inside_and_not_outside(self, store: wilk.Store, session: str) -> None:
        with store.transaction():
            assert [row.id for row in SessionModel.select()] == [session]
        with pytest.raises(Exception, match="bound"):
            list(SessionModel.select())


class Listener:
    """A plugin that notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, Any]] = []

    @hookimpl
    def after_save(self, kind: str, record: Any) -> None:
        self.heard.append(("saved", kind, record))

    @hookimpl
    def after_delete(self, kind: str, record: Any) -> None:
        self.heard.append(("deleted", kind, record))

    def kinds(self) -> list[str]:
        return [f"{what} {kind}" for what, kind, _ in self.heard]


Plugged = Callable[..., wilk.Store]


class TestHooks:
    def test_after_save_gets_the_record(self, plugged: Plugged) -> None:
        store = plugged(listener := Listener())
        session = store.sessions.create()
        message = store.messages.append(session.id, "user", "one")
        assert listener.heard == [("saved", "session", session), ("saved", "message", message)]

    def test_after_save_waits_for_the_outermost_commit(self, plugged: Plugged) -> None:
        store = plugged(listener := Listener())
        with store.transaction():
            with store.transaction():
                store.users.save("u", name="Ada")
            assert listener.heard == []
        assert listener.kinds() == ["saved user"]

    def test_a_rollback_forgets_what_was_to_be_told(self, plugged: Plugged) -> None:
        store = plugged(listener := Listener())
        with pytest.raises(Boom), store.transaction():
            store.users.save("u", name="Ada")
            raise Boom
        store.users.save("v", name="Bob")
        assert [record.id for _, _, record in listener.heard] == ["v"]

    def test_a_rolled_back_savepoint_is_not_told_but_the_rest_is(self, plugged: Plugged) -> None:
        store = plugged(listener := Listener())
        with store.transaction():
            store.users.save("before", name="A")
            with pytest.raises(Boom), store.transaction():
                store.users.save("inner", name="B")
                raise Boom
            store.users.save("after", name="C")
        assert [record.id for _, _, record in listener.heard] == ["before", "after"]

    def test_after_delete_tells_the_last_state(self, plugged: Plugged) -> None:
        store = plugged(listener := Listener())
        session = store.sessions.create()
        removed = store.sessions.remove(session.id)
        assert listener.heard[-1] == ("deleted", "session", removed)

    def test_every_message_of_a_batch_is_told_in_order(self, plugged: Plugged) -> None:
        store = plugged(listener := Listener())
        session = store.sessions.create().id
        store.messages.extend(session, [{"role": "user", "text": str(number)} for number in range(3)])
        assert [record.text for _, kind, record in listener.heard if kind == "message"] == ["0", "1", "2"]

    def test_a_retry_is_not_told_again(self, plugged: Plugged) -> None:
        store = plugged(listener := Listener())
        session = store.sessions.create().id
        for _ in range(2):
            store.messages.append(session, "user", "one", key="k")
        assert listener.kinds().count("saved message") == 1

    def test_a_hook_may_write_to_the_store(self, plugged: Plugged) -> None:
        class Echo:
            @hookimpl
            def after_save(self, store: wilk.Store, kind: str, record: Any) -> None:
                if kind == "message" and record.role == "user":
                    store.messages.append(record.session_id, "assistant", "echo " + record.text)

        store = plugged(Echo())
        session = store.sessions.create().id
        store.messages.append(session, "user", "one")
        assert texts(store, session) == ["one", "echo one"]

    def test_before_save_refuses_and_undoes_the_whole(self, plugged: Plugged) -> None:
        class Guard:
            @hookimpl
            def before_save(self, kind: str, record: Any) -> None:
                if kind == "message" and "secret" in record.text:
                    raise wilk.Rejected("no secrets")

        store = plugged(Guard())
        session = store.sessions.create().id
        with pytest.raises(wilk.Rejected, match="no secrets"), store.transaction():
            store.messages.append(session, "user", "fine")
            store.messages.append(session, "user", "a secret")
        assert store.messages.count(session) == 0

    def test_before_save_that_refuses_one_of_a_batch_undoes_the_batch(self, plugged: Plugged) -> None:
        class Guard:
            @hookimpl
            def before_save(self, kind: str, record: Any) -> None:
                if kind == "message" and record.text == "2":
                    raise wilk.Rejected("not 2")

        store = plugged(Guard())
        session = store.sessions.create().id
        with pytest.raises(wilk.Rejected):
            store.messages.extend(session, [{"role": "user", "text": text} for text in "123"])
        assert (texts(store, session), store.messages.append(session, "user").sequence) == ([], 1)

    def test_before_save_that_fails_stops_the_write_and_names_the_plugin(self, plugged: Plugged) -> None:
        class Broken:
            @hookimpl
            def before_save(self) -> None:
                raise ZeroDivisionError("oops")

        store = plugged(Broken())
        with pytest.raises(wilk.PluginError, match=r"Broken.*oops"):
            store.users.save("u", name="Ada")
        assert store.users.find("u") is None

    def test_after_save_that_fails_is_logged_and_breaks_nothing(
        self, plugged: Plugged, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken:
            @hookimpl
            def after_save(self) -> None:
                raise ZeroDivisionError

        store = plugged(Broken(), listener := Listener())
        store.users.save("u", name="Ada")
        assert (store.users.get("u").name, listener.kinds()) == ("Ada", ["saved user"])
        assert "Broken" in caplog.text


class TestThreads:
    def test_each_has_a_connection_of_its_own(self, store: wilk.Store) -> None:
        with ThreadPoolExecutor(1) as other:
            here = store._engine.database

            def look() -> Any:
                with store.reading():
                    return here.connection()

            with store.reading():
                assert other.submit(look).result() is not here.connection()

    def test_write_to_one_session_without_a_gap(self, store: wilk.Store, session: str) -> None:
        def write(thread: int) -> None:
            for number in range(50):
                store.messages.append(session, "user", f"{thread}-{number}")

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(write, thread) for thread in range(8)]:
                done.result()
        found = store.messages.page(session, limit=1000)
        assert [message.sequence for message in found] == list(range(1, 401))
        for thread in range(8):
            own = [message.text for message in found if message.text.startswith(f"{thread}-")]
            assert own == [f"{thread}-{number}" for number in range(50)]

    def test_with_one_key_write_one_message(self, store: wilk.Store, session: str) -> None:
        barrier = threading.Barrier(8)

        def write() -> str:
            barrier.wait()
            return store.messages.append(session, "user", "hello", key="k").id

        with ThreadPoolExecutor(8) as pool:
            found = {done.result() for done in [pool.submit(write) for _ in range(8)]}
        assert (len(found), store.messages.count(session)) == (1, 1)

    def test_do_not_join_each_others_transactions(self, store: wilk.Store, session: str) -> None:
        with ThreadPoolExecutor(1) as other:
            with pytest.raises(Boom), store.transaction():
                store.messages.append(session, "user", "undone")
                waiting = other.submit(store.messages.append, session, "user", "kept")
                raise Boom
            waiting.result()
        assert texts(store, session) == ["kept"]

    def test_that_ended_leave_no_connection(self, store: wilk.Store) -> None:
        for _ in range(5):
            thread = threading.Thread(target=store.sessions.list)
            thread.start()
            thread.join()
        assert len(store._engine._connections._open) <= 1

    @pytest.mark.usefixtures("hurried")
    def test_that_wait_too_long_for_each_other_hear_busy(self, home: Path) -> None:
        with wilk.open_store(home=home) as store, ThreadPoolExecutor(1) as other, store.transaction():
            waiting = other.submit(store.sessions.create)
            with pytest.raises(wilk.Busy, match="another writer"):
                waiting.result()

    def test_of_a_store_in_memory_share_one_database(self) -> None:
        with wilk.open_store("sqlite:///:memory:") as store, ThreadPoolExecutor(4) as pool:
            session = store.sessions.create().id
            for done in [pool.submit(store.messages.append, session, "user") for _ in range(40)]:
                done.result()
            assert store.messages.count(session) == 40

    def test_of_a_store_in_memory_do_not_see_an_open_transaction(self) -> None:
        with wilk.open_store("sqlite:///:memory:") as store, ThreadPoolExecutor(1) as other:
            session = store.sessions.create().id
            with pytest.raises(Boom), store.transaction():
                store.messages.append(session, "user")
                waiting = other.submit(store.messages.last, session)
                raise Boom
            assert waiting.result() == []


class TestTwoStores:
    def test_in_one_process_keep_apart(self, store: wilk.Store, elsewhere: str) -> None:
        with wilk.open_store(elsewhere) as other:
            store.sessions.create(id="here")
            other.sessions.create(id="there")
            assert [one.id for one in store.sessions.list()] == ["here"]
            assert [one.id for one in other.sessions.list()] == ["there"]

    def test_in_nested_blocks_keep_apart(self, store: wilk.Store, elsewhere: str) -> None:
        with wilk.open_store(elsewhere) as other:
            with pytest.raises(Boom), store.transaction():
                store.sessions.create(id="undone")
                with other.transaction():
                    other.sessions.create(id="kept")
                    assert [row.id for row in SessionModel.select()] == ["kept"]
                assert [row.id for row in SessionModel.select()] == ["undone"]
                raise Boom
            assert (store.sessions.find("undone"), other.sessions.get("kept").id) == (None, "kept")

    def test_on_threads_keep_apart(self, store: wilk.Store, elsewhere: str) -> None:
        def write(one: wilk.Store, name: str) -> None:
            for number in range(30):
                with one.transaction():
                    one.sessions.create(id=f"{name}-{number}")

        with wilk.open_store(elsewhere) as other, ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(write, store, "a"), pool.submit(write, other, "b")]:
                done.result()
            assert {one.id[0] for one in store.sessions.list(limit=100)} == {"a"}
            assert len(other.sessions.list(limit=100)) == 30

    def test_on_one_file_see_each_others_writes(self, store: wilk.Store, session: str, home: Path) -> None:
        with wilk.open_store(home=home) as other:
            other.messages.append(session, "user", "from the other")
            store.messages.append(session, "user", "from here")
            assert texts(other, session) == ["from the other", "from here"]

    def test_may_have_different_plugins(self, plugged: Plugged) -> None:
        heard = Listener()
        one, two = plugged(heard), plugged()
        two.users.save("u", name="A")
        one.users.save("v", name="B")
        assert [record.id for _, _, record in heard.heard] == ["v"]


class TestSnapshots:
    def test_show_one_state_while_others_write(self, store: wilk.Store, session: str, home: Path) -> None:
        with store._engine.snapshot():
            assert store.messages.count(session) == 0
            with wilk.open_store(home=home) as other:
                other.messages.append(session, "user", "new")
            assert store.messages.count(session) == 0
        assert store.messages.count(session) == 1

    def test_inside_a_transaction_are_that_transaction(self, store: wilk.Store, session: str) -> None:
        with store.transaction():
            store.messages.append(session, "user", "new")
            with store._engine.snapshot():
                assert store.messages.count(session) == 1

    def test_end_after_an_error(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(ZeroDivisionError), store._engine.snapshot():
            store.messages.count(session)
            raise ZeroDivisionError
        store.messages.append(session, "user", "new")
        assert store.messages.count(session) == 1

    def test_of_one_shared_connection_keep_other_threads_out(self) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            session = store.sessions.create().id
            writer = threading.Thread(target=lambda: store.messages.append(session, "user", "new"))
            with store._engine.snapshot():
                writer.start()
                time.sleep(0.05)
                assert store.messages.count(session) == 0
            writer.join()
            assert store.messages.count(session) == 1


class TestBusy:
    @pytest.mark.usefixtures("hurried")
    def test_is_said_after_the_time_limit_with_what_to_do(self, home: Path) -> None:
        told = pytest.raises(wilk.Busy, match=r"over 0\.1 s; try again")
        with wilk.open_store(home=home) as store, held(), told:
            store.sessions.create()

    @pytest.mark.usefixtures("hurried")
    def test_is_over_when_the_other_has_ended(self, home: Path) -> None:
        with wilk.open_store(home=home) as store:
            with held(), pytest.raises(wilk.Busy):
                store.sessions.create()
            assert store.sessions.create().message_count == 0

    def test_does_not_keep_readers_waiting(self, store: wilk.Store, session: str, home: Path) -> None:
        with held():
            assert texts(store, session) == []

    def test_is_not_said_while_the_other_is_quick(self, store: wilk.Store, home: Path) -> None:
        with ThreadPoolExecutor(1) as pool, held() as let_go:
            begun = threading.Event()
            waiting = pool.submit(lambda: (begun.set(), store.sessions.create())[1])
            begun.wait()
            let_go()
            assert waiting.result().status == "active"


class TestReadOnly:
    @pytest.fixture
    def reader(self, store: wilk.Store, session: str, home: Path) -> Iterator[wilk.Store]:
        store.messages.append(session, "user", "one")
        with wilk.open_store(home=home, readonly=True) as opened:
            yield opened

    def test_reads(self, reader: wilk.Store, session: str) -> None:
        assert texts(reader, session) == ["one"]

    def test_refuses_to_write_and_says_how(self, reader: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.ReadOnly, match="open it without"):
            reader.messages.append(session, "user")

    def test_refuses_a_transaction(self, reader: wilk.Store) -> None:
        with pytest.raises(wilk.ReadOnly), reader.transaction():
            pass

    def test_cannot_be_tricked_by_sql(self, reader: wilk.Store) -> None:
        with pytest.raises(wilk.ReadOnly):
            reader._engine.execute("DELETE FROM messages")

    def test_by_the_url_refuses_as_well(self, store: wilk.Store) -> None:
        with wilk.open_store(f"{store.settings.url}?readonly=1") as reader, pytest.raises(wilk.ReadOnly):
            reader.sessions.create()

    @pytest.mark.sqlite
    def test_of_a_file_that_is_not_there_says_so_and_makes_none(self, tmp_path: Path) -> None:
        with pytest.raises(wilk.NotFound, match="without readonly"):
            wilk.open_store(home=tmp_path / "none", readonly=True)
        assert not (tmp_path / "none").exists()


class TestClosed:
    @pytest.fixture
    def closed(self, home: Path) -> wilk.Store:
        store = wilk.open_store(home=home)
        store.sessions.create(id="s")
        store.close()
        return store

    @pytest.mark.parametrize(
        "use",
        [
            lambda store: store.sessions.get("s"),
            lambda store: store.messages.last("s"),
            lambda store: store.messages.append("s", "user"),
            lambda store: store.messages.extend("s", [{"role": "user"}]),
            lambda store: store.transaction().__enter__(),
        ],
        ids=["get", "last", "append", "extend", "transaction"],
    )
    def test_says_so_and_what_to_do(self, closed: wilk.Store, use: Callable[[wilk.Store], Any]) -> None:
        with pytest.raises(wilk.Closed, match="open_store"):
            use(closed)

    def test_twice_does_nothing(self, closed: wilk.Store) -> None:
        closed.close()

    def test_in_the_middle_of_a_transaction_keeps_nothing_of_it(self, home: Path) -> None:
        store = wilk.open_store(home=home)
        session = store.sessions.create().id
        with pytest.raises(wilk.Closed), store.transaction():
            store.messages.append(session, "user", "lost")
            store.close()
        with wilk.open_store(home=home) as again:
            assert again.messages.count(session) == 0

    def test_closes_the_connections_of_other_threads(self, home: Path) -> None:
        store = wilk.open_store(home=home)
        with ThreadPoolExecutor(1) as other:
            other.submit(store.sessions.list).result()
            store.close()
            with pytest.raises(wilk.Closed):
                other.submit(store.sessions.list).result()

    def test_opens_no_connection_that_nobody_would_close(self, closed: wilk.Store) -> None:
        """A thread that was about to open one when the store was closed."""

        def reach() -> None:
            try:
                closed._engine._connections.ensure()
                closed._engine._connections.pin(reading=True)
            except psycopg.Error as error:
                raise closed._engine.translated(error) from error

        with ThreadPoolExecutor(1) as other, pytest.raises(wilk.Closed):
            other.submit(reach).result()

    @pytest.mark.sqlite
    def test_leaves_no_wal_behind(self, home: Path, closed: wilk.Store) -> None:
        assert [file.name for file in home.glob("wilk.db-*")] == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
class TestFork:
    def in_child(self, work: Callable[[], Any]) -> int:
        """Run work in a forked child; return its exit code: 0, or 1 when the work raised."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def test_a_child_opens_a_connection_of_its_own(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "parent")
        assert self.in_child(lambda: store.messages.append(session, "user", "child")) == 0
        store.messages.append(session, "user", "parent again")
        assert texts(store, session) == ["parent", "child", "parent again"]

    def test_a_child_whose_parent_closes_loses_nothing(self, store: wilk.Store, session: str) -> None:
        """SQLite takes over, in a child, the memory of locks that only the parent holds: whoever opens
        the file while a connection is inherited believes that it is kept, until somebody removes its WAL."""
        store.messages.append(session, "user", "parent")
        ready, told = os.pipe()
        go, said = os.pipe()

        child = os.fork()
        if child == 0:
            code = 1
            try:
                store.messages.append(session, "user", "child 0")
                os.write(told, b".")
                os.read(go, 1)
                for number in range(1, 20):
                    store.messages.append(session, "user", f"child {number}")
                code = 0
            finally:
                os._exit(code)
        os.read(ready, 1)
        store.close()
        os.write(said, b".")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        for handle in (ready, told, go, said):
            os.close(handle)
        with wilk.open_store() as again:
            assert texts(again, session) == ["parent", *(f"child {number}" for number in range(20))]

    def test_a_child_of_a_waiting_writer_can_write(self, store: wilk.Store, session: str) -> None:
        """The semaphore of the writer is not inherited as taken."""
        taken, free = threading.Event(), threading.Event()

        def hold() -> None:
            with store.transaction():
                taken.set()
                free.wait()

        with ThreadPoolExecutor(1) as other:
            holding = other.submit(hold)
            taken.wait()

            def check() -> None:
                assert store._engine._writer.acquire(timeout=0)
                assert not store._engine.in_transaction

            code = self.in_child(check)
            free.set()
            holding.result()
        assert code == 0

    @pytest.mark.sqlite  # it watches its driver
    def test_a_child_leaves_the_open_transaction_of_a_parents_thread_alone(
        self, store: wilk.Store, session: str
    ) -> None:
        taken, free = threading.Event(), threading.Event()

        def write() -> int:
            with store.transaction():
                store.messages.extend(session, [{"role": "user", "text": "x" * 500}] * 300)
                taken.set()
                free.wait()
                store.messages.extend(session, [{"role": "user", "text": "y" * 500}] * 300)
                return len(store.messages.page(session, limit=1000))

        closed: list[sqlite3.Connection] = []
        close = backend._Connection.close

        def noting(connection: backend._Connection) -> None:
            closed.append(connection)
            close(connection)

        def check() -> None:
            gc.collect()
            store.close()
            assert closed == []

        with ThreadPoolExecutor(1) as other, pytest.MonkeyPatch.context() as patch:
            writing = other.submit(write)
            taken.wait()
            store._engine.release()
            gc.collect()  # what was closed before this is not of interest
            patch.setattr(backend._Connection, "close", noting)
            code = self.in_child(check)
            free.set()
            assert writing.result() == 600
        assert code == 0
        assert store._engine.execute("PRAGMA integrity_check") == [("ok",)]

    def test_a_child_forked_inside_a_transaction_does_not_use_its_parents_connection(
        self, store: wilk.Store
    ) -> None:
        def check() -> None:
            assert not store._engine.in_transaction
            with store.reading():
                assert store._engine.database.connection() is not parents

        with store.transaction():
            parents = store._engine.database.connection()
            assert self.in_child(check) == 0

    def test_a_child_gives_other_ids(self, store: wilk.Store) -> None:
        read, write = os.pipe()
        self.in_child(lambda: os.write(write, store._engine.clock.new_id().encode()))
        mine = store._engine.clock.new_id()
        theirs = os.read(read, 100).decode()
        os.close(read)
        os.close(write)
        assert len(theirs) == 36
        assert mine != theirs
