"""Writers take turns; appends to different sessions do not wait for each other."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
from tests.servers.sessions import wait_until, with_options

import wilk
from wilk import Busy, NotFound, WilkError
from wilk.records.conversation import Message

Opens = Callable[..., wilk.Store]

_APPENDS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import wilk
url, session, threads, count = json.loads(sys.argv[1])
with wilk.open_store(url) as store, ThreadPoolExecutor(threads) as pool:
    def append(thread):
        for number in range(count):
            store.messages.append(session, "user", f"{sys.argv[2]} {thread} {number}")
    list(pool.map(append, range(threads)))
"""


@contextmanager
def held(url: str, session: str) -> Iterator[None]:
    """The row of a session is locked for a block, so that appends to it have to wait."""
    with psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM sessions WHERE id = %s FOR UPDATE", [session])
        yield


def waits(url: str) -> bool:
    """Whether some session of the database waits for a lock."""
    with psycopg.connect(url) as other:
        rows = other.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return rows.fetchone() is not None


@contextmanager
def waiting_append(store: wilk.Store, url: str, session: str) -> Iterator[Future[Message]]:
    """An append that is held up for a block."""
    with ThreadPoolExecutor(1) as threads:
        with held(url, session):
            append = threads.submit(store.messages.append, session, "user", "held up")
            wait_until(lambda: waits(url))
            yield append
        append.result(20)


def test_an_append_that_is_held_up_holds_up_no_other_session(store: wilk.Store, url: str) -> None:
    for id in "ab":
        store.sessions.create(id=id)
    with waiting_append(store, url, "a") as append:
        assert [store.messages.append("b", "user").sequence for _ in range(5)] == [1, 2, 3, 4, 5]
        assert not append.done()


def test_nor_does_it_in_another_process(store: wilk.Store, opens: Opens, url: str) -> None:
    for id in "ab":
        store.sessions.create(id=id)
    other = opens(timeout=5)
    with waiting_append(store, url, "a") as append:
        assert other.messages.append("b", "user").sequence == 1
        assert not append.done()


def test_appends_to_one_session_come_one_after_the_other(store: wilk.Store, url: str) -> None:
    store.sessions.create(id="a")
    with ThreadPoolExecutor(4) as threads, waiting_append(store, url, "a") as first:
        others = [threads.submit(store.messages.append, "a", "user") for _ in range(4)]
        assert not any(one.done() for one in others)
    # Which of them is let on first, is the server's choice.
    assert sorted(one.result(20).sequence for one in (first, *others)) == [1, 2, 3, 4, 5]


def test_another_change_waits_for_appends_that_run(store: wilk.Store, opens: Opens, url: str) -> None:
    """It may depend on all rows, so that nothing may be written beside it."""
    store.sessions.create(id="a")
    hurried = opens(timeout=0.2)
    with waiting_append(store, url, "a"), pytest.raises(Busy, match=r"over 0\.2 s"):
        hurried.sessions.create(id="b")
    assert hurried.sessions.create(id="b").id == "b"


def test_two_changes_wait_for_each_other(store: wilk.Store, opens: Opens) -> None:
    hurried = opens(timeout=0.2)
    with store.transaction(), pytest.raises(Busy):
        hurried.sessions.create()


def test_two_schemas_do_not_wait_for_each_other(store: wilk.Store, opens: Opens) -> None:
    other = opens(schema="other", timeout=0.5)
    with store.transaction():
        store.sessions.create(id="s")
        assert other.sessions.create(id="s").id == "s"
        with store.transaction(), other.transaction():
            other.messages.append("s", "user")


@pytest.mark.slow
def test_threads_of_two_processes_number_a_session_without_gap_or_repeat(store: wilk.Store, url: str) -> None:
    store.sessions.create(id="s")
    told = json.dumps([url, "s", 8, 25])
    both = [subprocess.Popen([sys.executable, "-c", _APPENDS, told, name]) for name in "ab"]
    assert [process.wait(120) for process in both] == [0, 0]
    messages = store.messages.page("s", limit=1000)
    assert [message.sequence for message in messages] == [*range(1, 401)]
    for name in "ab":
        for thread in range(8):
            own = [m.text for m in messages if m.text.startswith(f"{name} {thread} ")]
            assert own == [f"{name} {thread} {number}" for number in range(25)]


def _append_until_gone(
    store: wilk.Store, session: str, acknowledged: list[str], begun: threading.Event
) -> None:
    for number in range(500):
        try:
            store.messages.append(session, "user", str(number))
        except NotFound:
            return
        acknowledged.append(str(number))
        if number == 5:
            begun.set()


@pytest.mark.slow
def test_an_append_beside_a_removal_is_either_kept_or_refused(opens: Opens) -> None:
    """What was acknowledged is in the archive or in the session, and never nowhere."""
    appending, removing = opens(), opens()
    for round_ in range(12):
        id = f"s{round_}"
        appending.sessions.create(id=id)
        acknowledged: list[str] = []
        begun = threading.Event()

        def append(
            id: str = id, acknowledged: list[str] = acknowledged, begun: threading.Event = begun
        ) -> None:
            for number in range(200):
                try:
                    appending.messages.append(id, "user", str(number))
                except NotFound:
                    return
                acknowledged.append(str(number))
                if number == 5:
                    begun.set()

        with ThreadPoolExecutor(1) as threads:
            working = threads.submit(append)
            begun.wait(20)
            removing.sessions.remove(id)
            working.result(30)
        removing.archive.restore(session=id)
        texts = [message.text for message in appending.messages.page(id, limit=1000)]
        assert texts == acknowledged


def test_a_batch_is_not_mixed_with_what_others_append(store: wilk.Store) -> None:
    store.sessions.create(id="s")

    def work(number: int) -> None:
        store.messages.extend("s", [{"role": "user", "text": str(number)}] * 10)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(12)))
    texts = [message.text for message in store.messages.page("s", limit=200)]
    assert all(len(set(texts[start : start + 10])) == 1 for start in range(0, 120, 10))


def test_a_writer_that_waits_is_not_passed_by_appends_for_ever(store: wilk.Store, opens: Opens) -> None:
    store.sessions.create(id="s")
    other, stop = opens(), threading.Event()

    def append() -> None:
        while not stop.is_set():
            store.messages.append("s", "user")

    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(append)
        try:
            for _ in range(10):
                other.sessions.create()
        finally:
            stop.set()


def test_a_key_is_taken_once_by_many_that_append_it(store: wilk.Store, opens: Opens) -> None:
    store.sessions.create(id="s")
    stores = [store, opens()]
    with ThreadPoolExecutor(8) as threads:
        written = list(
            threads.map(lambda n: stores[n % 2].messages.append("s", "user", "once", key="k").id, range(16))
        )
    assert (len(set(written)), store.messages.count("s")) == (1, 1)


def test_a_message_id_is_taken_once_by_two_sessions_that_append_it(store: wilk.Store, opens: Opens) -> None:
    stores = [store, opens()]
    for id in "ab":
        store.sessions.create(id=id)

    def append(number: int) -> bool:
        try:
            stores[number % 2].messages.append("ab"[number % 2], "user", id=f"m{number // 2}")
        except WilkError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(append, range(40))) == 20
    assert [[m.sequence for m in store.messages.page(id, limit=99)] for id in "ab"] == [
        [*range(1, store.messages.count(id) + 1)] for id in "ab"
    ]


def test_the_option_timeout_is_the_limit_of_a_turn(url: str) -> None:
    with wilk.open_store(with_options(url, timeout=1.5)) as store:
        assert store._engine.execute("SHOW lock_timeout") == [("1500ms",)]
