"""The bus by LISTEN and NOTIFY: real servers, two processes, and a server that goes away."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.servers.postgres import PostgresServer, wheel

import wilk
from wilk_postgres.addresses import parsed
from wilk_postgres.notifying import LOST, ServerBus

WAIT = 30.0
_OTHER = """
import sys
from wilk import Settings
from wilk_postgres.addresses import parsed
from wilk_postgres.notifying import ServerBus
bus = ServerBus(parsed(sys.argv[1], Settings()))
for number in range(int(sys.argv[2])):
    bus.publish("number", str(number))
bus.close()
"""


class Ear:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[str, str]] = queue.Queue()

    def __call__(self, topic: str, text: str) -> None:
        self.heard.put((topic, text))

    def next(self) -> tuple[str, str]:
        return self.heard.get(timeout=WAIT)

    def until(self, wanted: tuple[str, str]) -> list[tuple[str, str]]:
        """What comes before a message."""
        before = []
        while (one := self.next()) != wanted:
            before.append(one)
        return before


@pytest.fixture
def url(server: PostgresServer) -> str:
    """Nothing is kept in it, so one database does for all."""
    return server.url("migrated")


@pytest.fixture
def bus(url: str) -> Iterator[Callable[..., ServerBus]]:
    made: list[ServerBus] = []

    def make(query: str = "", where: str = url) -> ServerBus:
        made.append(ServerBus(parsed(where + query, wilk.Settings())))
        return made[-1]

    yield make
    for one in made:
        one.close()


def listening(bus: ServerBus) -> Ear:
    """An ear of a bus that hears already."""
    ear = Ear()
    bus.subscribe(ear)
    assert ear.next() == (LOST, "")
    return ear


def sessions(url: str) -> int:
    with psycopg.connect(url) as plain:
        ((count,),) = plain.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'wilk bus'"
        ).fetchall()
    return int(count)


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


def test_others_and_oneself_hear_what_is_published(bus: Callable[..., ServerBus]) -> None:
    one, other = bus(), bus()
    ears = [listening(one), listening(other)]
    one.publish("topic", "text")
    assert [ear.next() for ear in ears] == [("topic", "text")] * 2


def test_every_listener_is_told_even_if_one_fails(bus: Callable[..., ServerBus]) -> None:
    one = bus()

    def failing(topic: str, text: str) -> None:
        raise RuntimeError("no")

    one.subscribe(failing)
    ear = Ear()
    one.subscribe(ear)
    one.publish("a", "b")
    ear.until(("a", "b"))


def test_a_schema_has_a_channel_of_its_own(bus: Callable[..., ServerBus]) -> None:
    here, there = bus(), bus("?schema=other")
    ear, far = listening(here), listening(there)
    there.publish("there", "")
    here.publish("here", "")
    assert (ear.next(), far.next()) == (("here", ""), ("there", ""))


def test_ten_thousand_messages_come_once_each_and_in_order(bus: Callable[..., ServerBus]) -> None:
    one, ear = bus(), listening(bus())
    for number in range(9_999):
        one.publish("n", str(number))
    one.publish("end", "")
    assert ear.until(("end", "")) == [("n", str(number)) for number in range(9_999)]


def test_the_same_message_twice_is_two_messages(bus: Callable[..., ServerBus]) -> None:
    one, ear = bus(), listening(bus())
    for _ in range(5):
        one.publish("same", "same")
    one.publish("end", "")
    assert ear.until(("end", "")) == [("same", "same")] * 5


@pytest.mark.parametrize("size", [7_700, 7_800, 7_900, 8_000, 16_000, 100_000])
def test_long_messages_come_whole(bus: Callable[..., ServerBus], size: int) -> None:
    one, ear = bus(), listening(bus())
    text = ("ab'\\\U0001f43a" * size)[:size]
    one.publish("long", text)
    one.publish("end", "")
    assert ear.until(("end", "")) == [("long", text)]


def test_a_message_too_long_for_the_bus_tells_that_something_was_lost(bus: Callable[..., ServerBus]) -> None:
    one, ear = bus(), listening(bus())
    one.publish("long", "x" * 1_000_001)
    one.publish("end", "")
    assert ear.until(("end", "")) == [(LOST, "")]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    topic=st.text(st.characters() | st.sampled_from("\0\ud800 .'\\%"), max_size=20), text=st.text(max_size=50)
)
def test_any_text_comes_as_it_was_sent(shared: tuple[ServerBus, Ear], topic: str, text: str) -> None:
    bus, ear = shared
    bus.publish(topic, text)
    assert ear.next() == (topic, text)


@pytest.fixture(scope="module")
def shared(server: PostgresServer) -> Iterator[tuple[ServerBus, Ear]]:
    one = ServerBus(parsed(server.url("migrated"), wilk.Settings()))
    yield one, listening(one)
    one.close()


@pytest.mark.parametrize(
    "payload", ["", "hello", "a.1.0.1 []", "a.1.5.9 x", "a.x.y.z {}", 'a.1.0.1 ["t", 1]', "a.1.0.9 ["]
)
def test_notifications_of_others_are_passed_over(
    bus: Callable[..., ServerBus], url: str, payload: str
) -> None:
    one = bus()
    ear = listening(one)
    with psycopg.connect(url, autocommit=True) as plain:
        plain.execute("SELECT pg_notify(%s, %s)", [one._channel, payload])
    one.publish("end", "")
    assert ear.until(("end", "")) == []


def test_another_process_is_heard_and_sends_all_before_it_ends(
    bus: Callable[..., ServerBus], url: str
) -> None:
    ear = listening(bus())
    subprocess.run([sys.executable, "-c", _OTHER, url, "2000"], check=True, timeout=60)
    assert [ear.next() for _ in range(2000)] == [("number", str(number)) for number in range(2000)]


# -- how it begins and ends ---------------------------------------------------------------


def test_it_connects_only_when_it_is_used(bus: Callable[..., ServerBus], url: str) -> None:
    before, threads = sessions(url), threading.active_count()
    one = bus()
    assert (sessions(url), threading.active_count()) == (before, threads)
    one.publish("a", "b")
    assert threading.active_count() == threads + 1
    one.close()
    assert threading.active_count() == threads
    eventually(lambda: sessions(url) == before)


def test_after_the_end_nothing_is_sent_and_nothing_raises(bus: Callable[..., ServerBus]) -> None:
    one, ear = bus(), listening(bus())
    one.close()
    one.close()
    one.publish("late", "")
    one.subscribe(Ear())
    other = bus()
    other.publish("end", "")
    assert ear.until(("end", "")) == []


def test_a_listener_may_publish_and_close(bus: Callable[..., ServerBus]) -> None:
    one = bus()
    ear = Ear()

    def answering(topic: str, text: str) -> None:
        ear(topic, text)
        if topic == "question":
            one.publish("answer", text)
        if topic == "answer":
            one.close()

    one.subscribe(answering)
    one.publish("question", "6 x 7")
    ear.until(("answer", "6 x 7"))


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield int(taken.getsockname()[1])


def test_it_ends_although_the_server_never_answers(bus: Callable[..., ServerBus], deaf: int) -> None:
    one = bus("", f"postgresql://nobody@127.0.0.1:{deaf}/none")
    one.publish("a", "b")
    one.subscribe(Ear())
    begun = time.monotonic()
    one.close()
    assert time.monotonic() - begun < WAIT
    assert one._thread is not None
    assert not one._thread.is_alive()


def test_it_ends_although_the_server_hangs(bus: Callable[..., ServerBus], own: PostgresServer) -> None:
    one = bus("", own.url("postgres"))
    listening(one)
    ((pid,),) = own.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'wilk bus'")
    os.kill(pid, signal.SIGSTOP)
    try:
        one.publish("a", "b" * 10_000_000)
        one.publish("a", "b")
        one.close()
        assert one._thread is not None
        assert not one._thread.is_alive()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_forked_child_begins_anew_and_leaves_the_parents_connection_alone(
    bus: Callable[..., ServerBus], url: str
) -> None:
    one = bus()
    ear = listening(one)
    context = multiprocessing.get_context("fork")

    def child() -> None:
        heard = Ear()
        one.subscribe(heard)
        heard.until((LOST, ""))
        one.publish("child", str(os.getpid()))
        heard.until(("child", str(os.getpid())))
        one.close()

    process = context.Process(target=child)
    process.start()
    process.join(WAIT)
    assert process.exitcode == 0
    ear.until(("child", str(process.pid)))
    one.publish("parent", "")
    ear.until(("parent", ""))


# -- a server that goes away ---------------------------------------------------------------


@pytest.fixture
def own(server: PostgresServer) -> Iterator[PostgresServer]:
    """A server of its own, which may be stopped."""
    one = PostgresServer(server.programs)
    try:
        yield one.start()
    finally:
        one.remove()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
def test_after_the_server_was_away_listeners_are_told_and_hear_again(
    bus: Callable[..., ServerBus], own: PostgresServer, how: int, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = bus("", own.url("postgres")), bus("", own.url("postgres"))
    ear = listening(one)
    listening(other)
    own.stop(how)
    eventually(lambda: one._away and other._away)
    other.publish("while", "away")
    own.start()
    eventually(lambda: not (one._away or other._away))
    other.publish("again", "")
    heard = ear.until(("again", ""))
    assert (LOST, "") in heard
    assert set(heard) <= {(LOST, ""), ("while", "away")}  # the latter if it was not sent too early
    told = [record.getMessage() for record in caplog.records if record.name == "wilk.bus"]
    assert len([one for one in told if "tells of no changes" in one]) == 2
    assert len([one for one in told if "tells of changes again" in one]) == 2


def test_too_many_messages_for_a_server_that_is_away_become_one(
    bus: Callable[..., ServerBus], own: PostgresServer
) -> None:
    one, other = bus("", own.url("postgres")), bus("", own.url("postgres"))
    ear = listening(one)
    own.stop()
    for number in range(10_500):
        other.publish("n", str(number))
    assert [*other._queue][:2] == [(LOST, ""), ("n", "10000")]
    assert len(other._queue) == 501
    own.start()
    ear.until((LOST, ""))
    eventually(lambda: not other._queue)
    eventually(lambda: not one._away)
    other.publish("end", "")
    assert len(ear.until(("end", ""))) <= 502


def test_a_connection_that_is_ended_by_the_server_is_made_anew(
    bus: Callable[..., ServerBus], own: PostgresServer
) -> None:
    one = bus("", own.url("postgres"))
    ear = listening(one)
    own.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wilk bus'")
    assert ear.next() == (LOST, "")
    one.publish("again", "")
    assert ear.next() == ("again", "")


def test_a_standby_on_which_nobody_can_listen_is_told_once(
    bus: Callable[..., ServerBus], own: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert wheel() is not None
    standby = PostgresServer(own.programs, standby_of=own)
    try:
        standby.start()
        one = bus("", standby.url("postgres"))
        one.subscribe(Ear())
        eventually(lambda: one._away)
        one.close()
    finally:
        standby.remove()
    told: list[Any] = [record.getMessage() for record in caplog.records if record.name == "wilk.bus"]
    assert len(told) == 1
    assert "recovery" in told[0]
