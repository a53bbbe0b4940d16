"""Connections that drop and servers that end: what was acknowledged is kept, the rest undone as a whole."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from tests.servers.postgres import PostgresServer
from tests.servers.relay import LostAnswers
from tests.servers.sessions import end, processes, serving, wait_until, with_options

import wilk
from wilk import BackendError, Busy
from wilk.models.conversation import Message as MessageModel

# -- a connection that drops --------------------------------------------------------------


def test_a_transaction_whose_connection_drops_is_undone_as_a_whole(store: wilk.Store, url: str) -> None:
    store.sessions.create(id="s")
    with (
        pytest.raises(BackendError, match="connection to the server was lost, and what was not committed"),
        store.transaction(),
    ):
        store.messages.append("s", "user", "gone")
        end(url, serving(store))
        store.messages.append("s", "user", "gone too")
    assert store.messages.count("s") == 0
    assert store.messages.append("s", "user", "again").sequence == 1


def test_an_error_that_is_swallowed_does_not_let_half_a_transaction_through(
    store: wilk.Store, url: str
) -> None:
    store.sessions.create(id="s")
    with pytest.raises(BackendError), store.transaction():
        store.messages.append("s", "user", "gone")
        end(url, serving(store))
        with suppress(BackendError):
            store.messages.append("s", "user", "gone too")
    assert store.messages.count("s") == 0


def test_a_connection_that_dropped_before_the_commit_is_known_to_have_kept_nothing(
    store: wilk.Store, url: str
) -> None:
    with pytest.raises(BackendError, match="what was not committed is undone"), store.transaction():
        store.sessions.create(id="s")
        end(url, serving(store))
    assert store.sessions.find("s") is None


def test_a_connection_that_dropped_between_two_verbs_is_not_noticed(
    store: wilk.Store, url: str, server: PostgresServer
) -> None:
    store.sessions.create(id="s")
    for process in processes(server, url):
        end(url, process)
    assert store.messages.append("s", "user").sequence == 1
    for process in processes(server, url):
        end(url, process)
    assert store.messages.count("s") == 1


def test_a_dropped_connection_ends_a_walk_with_an_error(store: wilk.Store, url: str) -> None:
    store.sessions.create(id="s")
    store.messages.extend("s", [{"role": "user", "text": "x" * 1000}] * 1500)
    with pytest.raises(BackendError, match="connection to the server was lost"), store._engine.snapshot():
        walk = store._engine.walk("all", lambda: MessageModel.select(MessageModel.text), ())
        next(walk)
        end(url, serving(store))
        list(walk)
    assert store.messages.count("s") == 1500


@pytest.mark.parametrize("arrives", [True, False])
def test_a_commit_whose_answer_is_lost_is_told_as_not_known(url: str, arrives: bool) -> None:
    relay = LostAnswers(url, arrives=arrives)
    try:
        with wilk.open_store(relay.url) as store:
            store.sessions.create(id="s")
            relay.armed = True
            with pytest.raises(BackendError, match=r"whether the change was made is not known.*with a key"):
                store.messages.append("s", "user", "perhaps", key="k")
            assert store.messages.count("s") == (1 if arrives else 0)
            store.messages.append("s", "user", "perhaps", key="k")
            assert [message.text for message in store.messages.last("s")] == ["perhaps"]
    finally:
        relay.close()


def test_a_commit_that_is_ended_behind_its_end_is_told_as_not_known(
    opens: Callable[..., wilk.Store], server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With replicas a commit also asks for a position, and that may be what the server ends."""
    monkeypatch.setattr("wilk_postgres.database.POSITION", "SELECT pg_sleep(30)")
    store = opens(replicas=f"127.0.0.1:{server.port}", statement_timeout=0.3)
    with pytest.raises(BackendError, match="whether the change was made is not known"):
        store.sessions.create(id="s")
    assert store.sessions.find("s") is not None


# -- a server that ends -----------------------------------------------------------------------


@pytest.fixture
def own_server(server: PostgresServer) -> Iterator[PostgresServer]:
    """A server that the test may end."""
    one = PostgresServer(server.programs)
    try:
        yield one.start()
    finally:
        one.remove()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT], ids=lambda one: one.name)
def test_a_server_that_ends_in_the_middle_keeps_what_it_acknowledged(
    own_server: PostgresServer, how: signal.Signals
) -> None:
    own_server.execute("CREATE DATABASE kept")
    acknowledged: list[str] = []
    errors: list[Exception] = []
    with wilk.open_store(with_options(own_server.url("kept"), timeout=5)) as store:
        store.sessions.create(id="s")

        def write() -> None:
            for number in range(100_000):
                try:
                    store.messages.append("s", "user", str(number))
                except wilk.WilkError as error:
                    errors.append(error)
                    return
                acknowledged.append(str(number))

        with ThreadPoolExecutor(1) as threads:
            writing = threads.submit(write)
            wait_until(lambda: len(acknowledged) > 50)
            own_server.stop(how)
            writing.result(30)
        assert isinstance(errors[0], (BackendError, Busy)), errors
        with pytest.raises((BackendError, Busy), match="no connection to PostgreSQL"):
            store.sessions.get("s")
        own_server.start()
        texts = [message.text for message in store.messages.page("s", limit=100_000)]
        # The last one may be there without its acknowledgement.
        assert texts[: len(acknowledged)] == acknowledged
        assert len(texts) <= len(acknowledged) + 1
        assert store.messages.append("s", "user").sequence == len(texts) + 1
