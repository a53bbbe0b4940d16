"""Connections are lent, tried, renewed and closed, also beside forks and many threads."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from tests.servers.postgres import PostgresServer
from tests.servers.sessions import end, process_of, processes, wait_until, with_options

import wilk
from wilk import Busy, Closed, Settings
from wilk_postgres.addresses import parsed
from wilk_postgres.connections import Connections
from wilk_postgres.pool import ServerPool

Pools = Callable[..., Connections]


@pytest.fixture
def pools(url: str) -> Iterator[Pools]:
    """Makes pools for the database with options of the URL, and closes them after the test."""
    with ExitStack() as stack:

        def made(**options: object) -> Connections:
            address = parsed(with_options(url, **options), Settings(timeout=0.05))
            pool = Connections(address, address.conninfo)
            stack.callback(pool.close)
            return pool

        yield made


def lent(pool: Connections) -> int:
    """Take a connection and give it back; which process served it."""
    connection = pool.take()
    try:
        return process_of(connection)
    finally:
        pool.give(connection)


def test_a_connection_is_lent_again(pools: Pools) -> None:
    pool = pools()
    assert lent(pool) == lent(pool)


def test_a_pool_that_is_not_used_opens_nothing(pools: Pools) -> None:
    assert pools().figures().size == 0


def test_a_connection_that_the_server_ended_is_replaced_before_it_is_lent(pools: Pools, url: str) -> None:
    pool = pools(pool_ping=86_400)  # it is not asked: the server has said so
    first = lent(pool)
    end(url, first)
    assert lent(pool) != first
    assert pool.figures().replaced == 1


def test_all_connections_that_the_server_ended_are_replaced(pools: Pools, url: str) -> None:
    pool = pools()
    taken = [pool.take() for _ in range(4)]
    before = [process_of(one) for one in taken]
    for one in taken:
        pool.give(one)
    for process in before:
        end(url, process)
    assert lent(pool) not in before
    assert pool.figures() == (1, 10, 0, 1, 0, 4)


def test_a_connection_that_idled_is_asked_before_it_is_lent(
    pools: Pools, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pools(pool_ping=0)
    first = lent(pool)
    end(url, first)
    monkeypatch.setattr("wilk_postgres.connecting._readable", lambda _: False)  # a network without a word
    assert lent(pool) != first


def test_an_old_connection_is_replaced(pools: Pools) -> None:
    pool = pools()
    connection = pool.take()
    first = process_of(connection)
    pool.give(connection)
    connection.expires = time.monotonic()
    assert lent(pool) != first


def test_a_connection_lives_at_most_as_long_as_the_option_says(pools: Pools) -> None:
    pool = pools(pool_lifetime=60)
    connection = pool.take()
    left = connection.expires - time.monotonic()
    pool.give(connection)
    assert 50 < left <= 60


def test_no_more_connections_are_opened_than_the_option_says(pools: Pools) -> None:
    pool = pools(pool_size=2)
    taken = [pool.take(), pool.take()]
    with pytest.raises(Busy, match=r"all 2 connections of this process were in use for over 0\.05 s"):
        pool.take()
    for one in taken:
        pool.give(one)
    assert pool.figures().size == 2


def test_who_waits_gets_the_connection_that_is_given_back(pools: Pools) -> None:
    pool = pools(pool_size=1, timeout=20)
    connection = pool.take()
    first = process_of(connection)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lent, pool)
        wait_until(lambda: pool.figures().waiting == 1)
        pool.give(connection)
        assert waiting.result(20) == first


def test_who_waits_may_open_one_when_what_is_given_back_is_dead(pools: Pools, url: str) -> None:
    pool = pools(pool_size=1, timeout=20)
    connection = pool.take()
    first = process_of(connection)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lent, pool)
        wait_until(lambda: pool.figures().waiting == 1)
        end(url, first)
        pool.give(connection)
        assert waiting.result(20) != first


def test_a_failed_attempt_to_connect_gives_its_place_free(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pools(pool_size=1)
    with monkeypatch.context() as patch:
        patch.setattr("wilk_postgres.connections.connect", _refuse)
        for _ in range(3):
            with pytest.raises(wilk.BackendError):
                pool.take()
    assert lent(pool)


def _refuse(*_: object) -> None:
    raise wilk.BackendError("no")


def test_many_threads_share_few_connections(pools: Pools) -> None:
    pool = pools(pool_size=3, timeout=30)
    with ThreadPoolExecutor(12) as threads:
        used = set(threads.map(lambda _: lent(pool), range(200)))
    assert len(used) <= 3
    assert pool.figures().in_use == 0


@pytest.mark.parametrize("sql", ["BEGIN", "BEGIN; SELECT no_such_thing"], ids=["open", "failed"])
def test_a_transaction_that_was_left_open_is_rolled_back(pools: Pools, sql: str) -> None:
    pool = pools()
    connection = pool.take()
    with pytest.raises(psycopg.Error) if ";" in sql else ExitStack():
        connection.execute(sql.encode())
    pool.give(connection)
    again = pool.take()
    assert again is connection
    assert again.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
    pool.give(again)


def test_a_connection_in_the_middle_of_a_statement_is_not_lent_again(pools: Pools) -> None:
    pool = pools()
    connection = pool.take()
    connection.pgconn.send_query(b"SELECT pg_sleep(60)")
    pool.give(connection)
    assert connection.closed


def test_a_closed_pool_closes_what_comes_back(pools: Pools) -> None:
    pool = pools()
    connection = pool.take()
    pool.close()
    pool.give(connection)
    assert connection.closed


def test_who_waits_is_told_that_the_pool_is_closed(pools: Pools) -> None:
    pool = pools(pool_size=1, timeout=60)
    connection = pool.take()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.take)
        wait_until(lambda: pool.figures().waiting == 1)
        pool.close()
        assert isinstance(waiting.exception(20), psycopg.OperationalError)
    pool.give(connection)


def test_connections_that_nobody_needs_any_more_are_closed(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pools()
    taken = [pool.take() for _ in range(3)]
    monkeypatch.setattr("wilk_postgres.connections._SPARE", 0.0)
    for one in taken:
        pool.give(one)
    assert pool.figures().size == 1


# -- a store's connections ---------------------------------------------------------------


def test_opening_and_closing_a_store_starts_no_thread(url: str) -> None:
    before = threading.active_count()
    with wilk.open_store(url) as store:
        store.sessions.list()
        assert threading.active_count() == before


def test_a_closed_store_leaves_no_connection(server: PostgresServer, url: str) -> None:
    with wilk.open_store(url) as store, ThreadPoolExecutor(4) as threads:
        session = store.sessions.create().id
        list(threads.map(lambda n: store.messages.append(session, "user", str(n)), range(8)))
    wait_until(lambda: not processes(server, url))


def test_a_thread_in_a_transaction_is_told_that_the_store_is_closed(store: wilk.Store) -> None:
    begun, closed = threading.Event(), threading.Event()

    def work() -> None:
        with store.transaction():
            begun.set()
            closed.wait(20)
            store.sessions.create()

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        begun.wait(20)
        store.close()
        closed.set()
        assert isinstance(working.exception(20), Closed)


def test_more_threads_than_connections_write(opens: Callable[..., wilk.Store]) -> None:
    store = opens(pool_size=2)
    session = store.sessions.create().id
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda n: store.messages.append(session, "user", str(n)), range(60)))
    assert [m.sequence for m in store.messages.page(session, limit=100)] == [*range(1, 61)]


def test_figures_of_a_store_count_its_connections(url: str) -> None:
    pool = ServerPool(parsed(url, Settings()))
    connection = pool.take(reading=False)
    assert (pool.figures().size, pool.figures().in_use) == (1, 1)
    pool.give(connection)
    pool.close()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@needs_fork
def test_parent_and_forked_child_use_connections_of_their_own(store: wilk.Store) -> None:
    store.sessions.create(id="before")
    child = _forked(lambda: _writes(store, "child", 20))
    _writes(store, "parent", 20)
    assert _code(child) == 0
    assert {len(store.messages.last(name, 50)) for name in ("parent", "child")} == {20}


@needs_fork
def test_a_parents_connections_outlive_its_child(store: wilk.Store, url: str) -> None:
    with store.transaction():
        store.sessions.create(id="mine")
        assert _code(_forked(store.close)) == 0
    assert store.sessions.get("mine").id == "mine"


@needs_fork
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_keeps_no_hold_on_what_its_parent_held(url: str, store: wilk.Store) -> None:
    """A parent that dies in a transaction gives its turn free, though a child of it lives on."""
    reading, writing = os.pipe()

    def dies() -> None:
        with wilk.open_store(url) as other, other.transaction():
            sleeper = _forked(lambda: time.sleep(60))
            os.write(writing, f"{sleeper}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    parent = _forked(dies)
    sleeper = int(os.read(reading, 100))
    os.waitpid(parent, 0)
    try:
        assert store.sessions.create(id="free").id == "free"
        os.kill(sleeper, 0)  # it lived meanwhile
    finally:
        os.kill(sleeper, signal.SIGKILL)
        os.close(reading)
        os.close(writing)


def _writes(store: wilk.Store, session: str, count: int) -> None:
    store.sessions.create(id=session)
    for number in range(count):
        store.messages.append(session, "user", str(number))


def _forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def _code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
