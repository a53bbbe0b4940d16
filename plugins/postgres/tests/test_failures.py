"""Turns that do not come, limits, and faults of a server: told with what to do, and the next verb works."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest
from tests.servers.postgres import PostgresServer
from tests.servers.sessions import end, processes, wait_until

import wilk
from wilk import BackendError, Busy, Conflict, ReadOnly
from wilk_postgres.failures import Undone

Opens = Callable[..., wilk.Store]


def test_a_turn_that_does_not_come_is_told_with_the_seconds(opens: Opens, store: wilk.Store) -> None:
    hurried = opens(timeout=0.1)
    with store.transaction(), pytest.raises(Busy, match=r"another writer held the store for over 0\.1 s"):
        hurried.sessions.create()
    assert hurried.sessions.create(id="s").id == "s"


def test_no_patience_at_all_is_not_endless_patience(opens: Opens, store: wilk.Store) -> None:
    hurried = opens(timeout=0)
    with store.transaction(), pytest.raises(Busy):
        hurried.sessions.create()


def test_a_statement_that_takes_too_long_is_ended(opens: Opens) -> None:
    store = opens(statement_timeout=0.1)
    with pytest.raises(Busy, match=r"after 0\.1 s \(statement_timeout\)"):
        store._engine.execute("SELECT pg_sleep(30)")
    store.sessions.create()


def test_a_statement_that_an_operator_ends_is_told(store: wilk.Store, url: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        sleeping = threads.submit(store._engine.execute, "SELECT pg_sleep(60)")
        with psycopg.connect(url, autocommit=True) as other:
            wait_until(
                lambda: other.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' "
                    "AND datname = current_database() AND wait_event = 'PgSleep'"
                ).fetchone()
            )
        error = sleeping.exception(20)
    assert isinstance(error, Busy)
    assert "user request" in str(error)


def test_what_follows_a_failed_statement_is_not_taken_for_kept(opens: Opens) -> None:
    """The server answers COMMIT with ROLLBACK then, and calls that a success."""
    store = opens(statement_timeout=0.1)
    with pytest.raises(BackendError, match="nothing of it is kept"), store.transaction():
        store.sessions.create(id="s")
        with suppress(Busy):
            store._engine.execute("SELECT pg_sleep(30)")
    assert store.sessions.find("s") is None


def test_nor_is_it_where_a_migration_commits(store: wilk.Store) -> None:
    with store._engine.pinned():
        database = store._engine.database
        with pytest.raises(Undone), database.atomic(), suppress(Exception):
            database.execute_sql("SELECT nothing")
        assert database.execute_sql("SELECT 1").fetchone() == (1,)


def test_a_migration_may_take_longer_than_a_statement(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF EXISTS (SELECT 1 FROM pg_event_trigger_ddl_commands() "
            "WHERE object_identity = 'public.messages') THEN PERFORM pg_sleep(0.6); END IF; END $$"
        )
        other.execute("CREATE EVENT TRIGGER slow ON ddl_command_end EXECUTE FUNCTION slow()")
    with wilk.open_store(f"{empty}?statement_timeout=0.5") as store:
        assert store._engine.execute("SHOW statement_timeout") == [("500ms",)]


def test_a_deadlock_is_busy_and_one_of_the_two_gets_through(
    store: wilk.Store, opens: Opens, url: str
) -> None:
    """With a program that takes no turns: the store's own writers cannot have one."""
    for id in "ab":
        store.sessions.create(id=id)
    rename = "UPDATE sessions SET name = 'theirs' WHERE id = %s"
    with psycopg.connect(url) as other, ThreadPoolExecutor(1) as threads:
        other.execute("SET deadlock_timeout = '20s'")  # the store's side is the one that gives way
        other.execute(rename, ["a"])
        with pytest.raises(Busy, match="deadlock"), store.transaction():
            store._engine.execute("SET LOCAL deadlock_timeout = '50ms'")
            store.sessions.update("b", name="mine")
            theirs = threads.submit(other.execute, rename, ["b"])
            store.sessions.update("a", name="mine")
        theirs.result(20)
    assert {session.name for session in store.sessions.list()} == {"theirs"}


def test_a_serialization_failure_is_busy(store: wilk.Store) -> None:
    error = psycopg.errors.SerializationFailure("could not serialize access due to concurrent update")
    assert isinstance(store._engine.translated(error), Busy)


def test_a_default_of_the_database_for_isolation_changes_nothing(url: str, server: PostgresServer) -> None:
    """With a snapshot of before its turn, a writer would not see what the one before it wrote."""
    name = url.rpartition("/")[2]
    server.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    with wilk.open_store(url) as store, ThreadPoolExecutor(4) as threads:
        session = store.sessions.create().id
        list(threads.map(lambda n: store.messages.append(session, "user", str(n)), range(40)))
        assert [m.sequence for m in store.messages.page(session, limit=99)] == [*range(1, 41)]


def test_a_server_that_only_reads_is_told_with_what_to_do(url: str, server: PostgresServer) -> None:
    with wilk.open_store(url) as store:
        name = url.rpartition("/")[2]
        server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        for process in processes(server, url):
            end(url, process)
        with pytest.raises(ReadOnly, match="target_session_attrs=read-write"):
            store.sessions.create()
        server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        assert store.sessions.create(id="s").id == "s"  # on a connection that was made anew


def test_a_store_that_is_only_read_is_refused_by_the_server_too(store: wilk.Store, opens: Opens) -> None:
    store.sessions.create(id="s")
    reader = opens(readonly=1)
    with pytest.raises(ReadOnly, match="without readonly"):
        reader._engine.execute("DELETE FROM sessions")
    assert reader.sessions.get("s").id == "s"


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (psycopg.errors.DiskFull("could not extend file"), BackendError, "disk is full"),
        (psycopg.errors.TooManyConnections("too many"), Busy, "smaller pool_size"),
        (psycopg.errors.AdminShutdown("terminating connection"), BackendError, "lost"),
        (psycopg.errors.CrashShutdown("terminating connection"), BackendError, "lost"),
        (psycopg.errors.ConnectionFailure("gone"), BackendError, "lost"),
        (psycopg.errors.NumericValueOutOfRange("bigint out of range"), wilk.Invalid, "64 bits"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors_that_servers_rarely_have_are_known(
    error: Exception, kind: type[Exception], says: str, store: wilk.Store
) -> None:
    """How wilk takes them, by the classes that psycopg gives their codes."""
    found = store._engine.translated(error)
    assert (type(found), says in str(found)) == (kind, True)


def test_a_full_disk_undoes_the_change_and_nothing_else(store: wilk.Store, url: str) -> None:
    """As far as the server tells of it: the error that a full disk raises, out of the table itself."""
    store.sessions.create(id="s")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
        )
        other.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
        with pytest.raises(BackendError, match="disk is full, and nothing of this change is kept"):
            store.messages.append("s", "user")
        other.execute("DROP TRIGGER full_disk ON messages")
    assert store.messages.append("s", "user").sequence == 1


def test_the_chain_of_an_error_is_followed_to_the_drivers(store: wilk.Store) -> None:
    wrapped = RuntimeError("as Peewee does")
    wrapped.__context__ = psycopg.errors.DeadlockDetected("deadlock detected")
    assert isinstance(store._engine.translated(wrapped), Busy)


def test_a_batch_that_is_refused_is_told_by_its_error_alone(
    store: wilk.Store, caplog: pytest.LogCaptureFixture
) -> None:
    """What the driver logs of it would stand on the terminal of whoever has set up no logging."""
    for id in "ab":
        store.sessions.create(id=id)
    with pytest.raises(Conflict), store.transaction():
        store._engine.execute_many("UPDATE sessions SET id = %s WHERE id = %s", [("a", "b")] * 2000)
    assert [record.getMessage() for record in caplog.records] == []
