"""One primary with a streaming standby: who reads where, what is seen, and who carries on when one dies."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from tests.servers.postgres import PostgresServer
from tests.servers.sessions import end, processes, wait_until, with_options

import wilk
from wilk import BackendError, Busy, NotFound, ReadOnly, Settings
from wilk_postgres.addresses import parsed
from wilk_postgres.pool import ServerPool

Opens = Callable[..., wilk.Store]


class Pair:
    """A primary and its standby, with the database ``kept``."""

    def __init__(self, primary: PostgresServer, standby: PostgresServer) -> None:
        self.primary = primary
        self.standby = standby
        self.url = primary.url("kept")
        self.replica = f"127.0.0.1:{standby.port}"
        self.both = f"postgresql://wilk@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/kept"

    def caught_up(self) -> None:
        """Wait until the standby has replayed all."""
        ((goal,),) = self.primary.execute("SELECT pg_current_wal_insert_lsn()")
        wait_until(lambda: self.standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{goal}'") == [(True,)])

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the standby fall behind for a block."""
        self.standby.execute("SELECT pg_wal_replay_pause()")
        wait_until(lambda: self.standby.execute("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])
        try:
            yield
        finally:
            self.standby.execute("SELECT pg_wal_replay_resume()")


@contextmanager
def made_pair(server: PostgresServer) -> Iterator[Pair]:
    servers = [PostgresServer(server.programs).start()]
    try:
        servers.append(PostgresServer(server.programs, standby_of=servers[0]).start())
        servers[0].execute("CREATE DATABASE kept")
        pair = Pair(*servers)
        wilk.open_store(pair.url).close()
        pair.caught_up()
        yield pair
    finally:
        for one in servers:
            one.remove()


@pytest.fixture(scope="module")
def pair(server: PostgresServer) -> Iterator[Pair]:
    """A pair of servers of which none is ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WILK_HOME", raising=False)
        with made_pair(server) as made:
            yield made


@pytest.fixture
def mortal(server: PostgresServer) -> Iterator[Pair]:
    """A pair of servers that the test may end."""
    with made_pair(server) as made:
        yield made


@contextmanager
def opened(pair: Pair, url: str | None = None, **options: object) -> Iterator[wilk.Store]:
    """A store that reads from the standby."""
    options = {"replicas": pair.replica, **options}
    with wilk.open_store(with_options(url or pair.url, **options)) as store:
        yield store


def port_of(store: wilk.Store) -> int:
    """Which server a reading statement runs on."""
    return int(store._engine.execute("SELECT inet_server_port()")[0][0])


def test_reading_verbs_run_on_the_replica(pair: Pair) -> None:
    with opened(pair) as store:
        assert port_of(store) == pair.standby.port
        with store._engine.snapshot():
            assert port_of(store) == pair.standby.port
        with store.reading():
            assert port_of(store) == pair.standby.port


def test_the_servers_count_who_was_read(pair: Pair) -> None:
    def queries() -> list[str]:
        rows = pair.standby.execute("SELECT query FROM pg_stat_activity WHERE datname = 'kept'")
        return [query for (query,) in rows]

    with opened(pair) as store:
        session = store.sessions.create().id
        wait_until(lambda: store.sessions.get(session) and any("sessions" in one for one in queries()))


class Hall:
    """A bus that is not the server's: everybody in the hall hears at once what is said."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[str, str], None]] = []

    @wilk.hookimpl
    def register_buses(self) -> Iterator[wilk.BusKind]:
        yield wilk.BusKind("hall", lambda *_: self, "a hall")

    def publish(self, topic: str, text: str) -> None:
        for listener in list(self.listeners):
            listener(topic, text)

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        self.listeners.append(listener)

    def close(self) -> None:
        """Nothing is open."""


def test_who_hears_of_a_change_by_any_bus_reads_nothing_older(pair: Pair) -> None:
    hall, found = Hall(), list[str]()

    def store_at(url: str) -> wilk.Store:
        disabled = tuple(os.environ["WILK_DISABLED_PLUGINS"].split(","))
        settings = Settings(url=url, bus="hall://here", disabled_plugins=disabled)
        return wilk.open_store(settings=settings, host=wilk.Host(hall, disabled=disabled))

    with store_at(pair.url) as writing, store_at(with_options(pair.url, replicas=pair.replica)) as reading:
        reading.watch(lambda report: found.extend(reading.prompts.get(one.id).id for one in report.changes))
        wait_until(lambda: port_of(reading) == pair.standby.port)
        with pair.paused():
            writing.prompts.save("heard", {"name": "Heard", "system": "hello"})
            assert reading.settle(30)
        assert found == ["heard"]


def test_transactions_run_on_the_primary_with_all_that_they_read(pair: Pair) -> None:
    with opened(pair) as store, store.transaction():
        session = store.sessions.create().id
        assert port_of(store) == pair.primary.port
        assert store.sessions.get(session).id == session


def test_without_the_option_the_standby_is_left_alone(pair: Pair) -> None:
    with opened(pair, replicas=None) as store:
        assert port_of(store) == pair.primary.port


def test_what_a_process_wrote_it_reads_at_once(pair: Pair) -> None:
    with opened(pair) as store:
        session = store.sessions.create().id
        for number in range(1, 101):
            store.messages.append(session, "user", str(number))
            assert store.messages.count(session) == number


def test_what_threads_wrote_they_read_at_once(pair: Pair) -> None:
    with opened(pair) as store:

        def work(number: int) -> list[int]:
            session = store.sessions.create().id
            counts = []
            for _ in range(20):
                store.messages.append(session, "user")
                counts.append(store.messages.count(session))
            return counts

        with ThreadPoolExecutor(6) as threads:
            assert all(counts == [*range(1, 21)] for counts in threads.map(work, range(6)))


def test_while_a_replica_lags_the_primary_is_read_and_later_the_replica_again(pair: Pair) -> None:
    with opened(pair) as store:
        with pair.paused():
            session = store.sessions.create().id
            assert store.sessions.get(session).id == session
            assert port_of(store) == pair.primary.port
        wait_until(lambda: port_of(store) == pair.standby.port)
        assert store.sessions.get(session).id == session


def test_a_little_is_waited_for_a_replica(pair: Pair) -> None:
    with opened(pair, replica_wait=20) as store, ThreadPoolExecutor(1) as threads:
        store.sessions.list()
        with pair.paused():
            store.sessions.create()
            reading = threads.submit(port_of, store)
            assert not reading.done()
        assert reading.result(30) == pair.standby.port


def test_what_was_read_on_the_primary_is_not_unread_on_the_replica(pair: Pair) -> None:
    """Another process writes; this one has seen it in a transaction, and sees it from then on."""
    with opened(pair) as store, opened(pair, replicas=None) as other, pair.paused():
        wait_until(lambda: port_of(store) == pair.standby.port)
        other.sessions.create(id="theirs")
        assert store.sessions.find("theirs") is None  # a replica may be a little behind
        with store.transaction():
            assert store.sessions.find("theirs") is not None
        assert store.sessions.find("theirs") is not None
        other.sessions.remove("theirs")


def test_nor_is_what_was_read_in_a_transaction_that_was_undone(pair: Pair) -> None:
    """No commit tells where the primary was then."""
    with opened(pair) as store, opened(pair, replicas=None) as other, pair.paused():
        wait_until(lambda: port_of(store) == pair.standby.port)
        other.sessions.create(id="theirs")
        with pytest.raises(NotFound), store.transaction():
            assert store.sessions.find("theirs") is not None
            store.messages.append("nobody", "user")
        assert store.sessions.find("theirs") is not None
        other.sessions.remove("theirs")


def test_what_others_tell_of_is_seen(pair: Pair) -> None:
    """As the listener for notifications uses it, so that caches are not filled anew with what is old."""
    pool = ServerPool(parsed(with_options(pair.url, replicas=pair.replica), Settings()))
    with opened(pair, replicas=None) as other, pair.paused():
        pool.give(pool.take(reading=True))
        other.sessions.create()
        connection = pool.take(reading=True)
        assert connection.info.port == pair.standby.port
        pool.give(connection)
        pool.heard()
        connection = pool.take(reading=True)
        assert connection.info.port == pair.primary.port
        pool.give(connection)
    pool.close()


def test_a_store_that_opens_sees_all_that_was_written_before(pair: Pair) -> None:
    with opened(pair, replicas=None) as other, pair.paused():
        session = other.sessions.create().id
        with opened(pair) as store:
            assert store.sessions.get(session).id == session


def test_a_migration_is_not_made_twice_because_a_replica_lags(pair: Pair) -> None:
    with pair.paused():
        wilk.open_store(with_options(pair.url, schema="late", replicas=pair.replica)).close()
        with opened(pair, schema="late") as store:
            assert store.sessions.create(id="s").id == "s"


def test_a_server_that_follows_none_is_no_replica(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    with opened(pair, replicas=f"127.0.0.1:{pair.primary.port}") as store:
        store.sessions.list()
    assert "it follows no other server" in caplog.text


def test_a_replica_that_is_not_there_is_told_once_and_not_missed(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(pair, replicas="127.0.0.1:1") as store:
        for _ in range(5):
            assert port_of(store) == pair.primary.port
    assert caplog.text.count("is left alone for") == 1


def test_of_two_replicas_the_other_is_read_when_one_is_away(pair: Pair) -> None:
    for _ in range(3):  # the order is drawn
        with opened(pair, replicas=f"127.0.0.1:1,{pair.replica}") as store:
            assert port_of(store) == pair.standby.port


def test_a_standby_alone_can_be_opened_to_be_read(pair: Pair) -> None:
    with opened(pair, replicas=None) as store:
        session = store.sessions.create().id
    pair.caught_up()
    with wilk.open_store(with_options(pair.standby.url("kept"), readonly=1)) as store:
        assert store.sessions.get(session).id == session
        with pytest.raises(ReadOnly, match="opened with readonly"):
            store.sessions.create()


def test_writing_to_a_standby_is_told_with_what_to_do(pair: Pair) -> None:
    told = "it is a standby.*target_session_attrs=read-write"
    with wilk.open_store(pair.standby.url("kept")) as store, pytest.raises(ReadOnly, match=told):
        store.sessions.create()


def test_opening_a_standby_that_has_no_tables_yet_is_told(pair: Pair) -> None:
    with pytest.raises(ReadOnly, match="it is a standby"):
        wilk.open_store(with_options(pair.standby.url("kept"), schema="nothing_there"))


def test_several_hosts_lead_to_the_one_that_writes(pair: Pair) -> None:
    hosts = f"127.0.0.1:{pair.standby.port},127.0.0.1:{pair.primary.port}"
    url = f"postgresql://wilk@{hosts}/kept?target_session_attrs=read-write"
    with wilk.open_store(url) as store:
        assert port_of(store) == pair.primary.port


def test_connections_to_replicas_are_closed_with_the_store(pair: Pair) -> None:
    with opened(pair) as store:
        store.sessions.list()
        assert processes(pair.standby, pair.url)
    wait_until(lambda: not processes(pair.standby, pair.url, "application_name = 'wilk'"))


def test_a_connection_to_a_replica_that_was_ended_is_replaced(pair: Pair) -> None:
    with opened(pair) as store:
        store.sessions.list()
        for process in processes(pair.standby, pair.url, "application_name = 'wilk'"):
            end(pair.standby.url("kept"), process)
        assert port_of(store) == pair.standby.port


# -- servers that die ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_standby_is_killed_and_comes_back(mortal: Pair) -> None:
    with opened(mortal) as store:
        session = store.sessions.create().id
        wait_until(lambda: port_of(store) == mortal.standby.port)
        mortal.standby.stop(signal.SIGKILL)
        for number in range(1, 11):
            store.messages.append(session, "user")
            assert store.messages.count(session) == number
        mortal.standby.start()
        wait_until(lambda: port_of(store) == mortal.standby.port)
        assert store.messages.count(session) == 10


@pytest.mark.slow
def test_a_primary_is_killed_and_reading_goes_on(mortal: Pair) -> None:
    with opened(mortal) as store:
        session = store.sessions.create().id
        store.messages.append(session, "user", "kept")
        wait_until(lambda: port_of(store) == mortal.standby.port)
        mortal.primary.stop(signal.SIGKILL)
        assert [message.text for message in store.messages.last(session)] == ["kept"]
        with pytest.raises(BackendError, match=r"no connection to PostgreSQL|connection .* was lost"):
            store.messages.append(session, "user", "refused")
        assert [message.text for message in store.messages.last(session)] == ["kept"]


@pytest.mark.slow
def test_a_standby_is_promoted_and_the_store_carries_on(mortal: Pair) -> None:
    """The primary is killed while threads write; what it acknowledged is all on the standby, which had to
    have it first; the store finds the new primary by itself."""
    mortal.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    mortal.primary.execute("SELECT pg_reload_conf()")
    wait_until(lambda: mortal.primary.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"))
    url = f"{mortal.both}?target_session_attrs=read-write"
    acknowledged: dict[str, list[str]] = {}
    errors: list[Exception] = []
    with opened(mortal, url) as store:

        def write(session: str) -> None:
            store.sessions.create(id=session)
            acknowledged[session] = []
            for number in range(100_000):
                try:
                    store.messages.append(session, "user", str(number))
                except wilk.WilkError as error:
                    errors.append(error)
                    return
                acknowledged[session].append(str(number))

        with ThreadPoolExecutor(4) as threads:
            writing = [threads.submit(write, name) for name in "abcd"]
            wait_until(lambda: sum(map(len, acknowledged.values())) > 100)
            mortal.primary.stop(signal.SIGKILL)
            for one in writing:
                one.result(60)
        assert {type(error) for error in errors} <= {BackendError, Busy}
        mortal.standby.promote()
        for session, texts in acknowledged.items():
            there = [message.text for message in store.messages.page(session, limit=100_000)]
            # One more may be there: its acknowledgement was lost, and the error said so.
            assert there[: len(texts)] == texts
            assert len(there) <= len(texts) + 1
            again = store.messages.append(session, "user", "after")
            assert again.sequence == len(there) + 1
        assert port_of(store) == mortal.standby.port


@pytest.mark.slow
def test_a_primary_that_becomes_a_standby_is_left_for_the_new_one(mortal: Pair) -> None:
    """As when an operator switches over: the connections work, but they do not write any more."""
    url = f"{mortal.both}?target_session_attrs=read-write"
    with wilk.open_store(url) as store:
        store.sessions.create(id="s")
        mortal.caught_up()
        mortal.standby.promote()
        mortal.primary.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        mortal.primary.execute("SELECT pg_reload_conf()")
        with psycopg.connect(mortal.primary.url("kept")) as other:
            wait_until(lambda: other.execute("SHOW default_transaction_read_only").fetchone() == ("on",))
        with pytest.raises(ReadOnly):
            wait_until(lambda: store.messages.append("s", "user", "perhaps") and False)
        assert store.messages.append("s", "user", "there").sequence == 1
        assert port_of(store) == mortal.standby.port
