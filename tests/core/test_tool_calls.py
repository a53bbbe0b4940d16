"""Tool calls: from their start to what came of them, however large; and the archive's own verbs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import wilk
from wilk import codec, settings

pytestmark = pytest.mark.backends


class TestToolCalls:
    def test_start_returns_what_get_reads(self, store: wilk.Store, session: str) -> None:
        message = store.messages.append(session, "assistant").id
        call = store.tool_calls.start(
            session, "search", {"q": float("nan")}, message=message, call_id="c", agent="a", metadata={"x": 1}
        )
        kept = store.tool_calls.get(call.id)
        assert kept._replace(arguments=None) == call._replace(arguments=None)
        assert kept.arguments["q"] != kept.arguments["q"]

    def test_a_started_call_is_running(self, store: wilk.Store, session: str) -> None:
        call = store.tool_calls.start(session, "search")
        assert (call.status, call.duration, call.finished_at) == ("running", None, None)

    def test_a_finished_call_tells_its_result_and_how_long_it_took(self, timed: wilk.Store, now: Any) -> None:
        call = timed.tool_calls.start(timed.sessions.create().id, "search")
        now.pass_by(seconds=1.5)
        done = timed.tool_calls.finish(call.id, result=[1, 2])
        assert (done.status, done.result, done.error, done.duration) == ("ok", [1, 2], None, 1.5)
        assert timed.tool_calls.get(call.id) == done

    def test_an_error_makes_it_an_error(self, store: wilk.Store, session: str) -> None:
        call = store.tool_calls.start(session, "search")
        done = store.tool_calls.finish(call.id, error="no network")
        assert (done.status, done.error) == ("error", "no network")

    def test_a_clock_that_goes_back_makes_no_negative_duration(self, timed: wilk.Store, now: Any) -> None:
        call = timed.tool_calls.start(timed.sessions.create().id, "search")
        now.pass_by(seconds=-5)
        assert timed.tool_calls.finish(call.id).duration == 0.0

    def test_a_call_ends_once(self, store: wilk.Store, session: str) -> None:
        call = store.tool_calls.start(session, "search")
        store.tool_calls.finish(call.id, result=1)
        with pytest.raises(wilk.Conflict, match=r"ended already \(ok\)"):
            store.tool_calls.finish(call.id, error="x")
        assert store.tool_calls.get(call.id).result == 1

    def test_an_unknown_session_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no session 'x'"):
            store.tool_calls.start("x", "search")

    def test_a_message_of_another_session_is_not_found(self, store: wilk.Store, session: str) -> None:
        other = store.messages.append(store.sessions.create().id, "assistant").id
        with pytest.raises(wilk.NotFound, match="a message of session"):
            store.tool_calls.start(session, "search", message=other)

    def test_a_call_needs_a_name(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.Invalid, match="name"):
            store.tool_calls.start(session, "")

    def test_lists_filter_and_give_the_latest_first(self, store: wilk.Store, session: str) -> None:
        other = store.sessions.create().id
        first = store.tool_calls.start(session, "search")
        second = store.tool_calls.start(session, "search")
        store.tool_calls.start(session, "read")
        store.tool_calls.start(other, "search")
        store.tool_calls.finish(first.id)
        found = store.tool_calls.list(session, name="search")
        assert [one.id for one in found] == [second.id, first.id]
        assert [one.id for one in store.tool_calls.list(session, status="ok")] == [first.id]

    def test_an_unknown_status_is_refused(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="running, ok, error"):
            store.tool_calls.list(status="done")


@pytest.fixture
def short(home: Path) -> Iterator[wilk.Store]:
    """A store that keeps results above 100 bytes aside."""
    with wilk.open_store(settings=replace(settings.load(home=home), tool_output_bytes=100)) as opened:
        yield opened


def finished(store: wilk.Store, result: Any, session: str | None = None) -> Any:
    call = store.tool_calls.start(session or store.sessions.create().id, "read")
    return store.tool_calls.finish(call.id, result=result)


def blobs(store: wilk.Store) -> list[tuple[Any, ...]]:
    return store._engine.execute("SELECT hash, data, size FROM blobs")


LARGE = {"files": ["name"] * 100, "odd": [2**70, "a\0\ud800"]}


class TestLargeResults:
    def test_lie_aside_by_their_hash_with_their_beginning_in_the_row(self, short: wilk.Store) -> None:
        call = finished(short, LARGE)
        text = codec.dumps(LARGE)
        assert call.result == text[:100]
        assert (call.result_hash, call.result_size) == (codec.text_hash(text), len(text.encode()))
        assert short.tool_calls.get(call.id) == call
        assert blobs(short) == [(call.result_hash, text, call.result_size)]

    def test_are_given_whole(self, short: wilk.Store) -> None:
        assert short.tool_calls.result(finished(short, LARGE).id) == LARGE

    def test_of_text_begin_as_the_text_does(self, short: wilk.Store) -> None:
        call = finished(short, "ß" * 2000)
        assert call.result == "ß" * 100
        assert short.tool_calls.result(call.id) == "ß" * 2000

    def test_show_a_thousand_characters_at_most(self, store: wilk.Store) -> None:
        call = finished(store, "x" * 20_000)
        assert (call.result, call.result_size) == ("x" * 1000, 20_002)

    @pytest.mark.parametrize(("length", "aside"), [(98, False), (99, True)])
    def test_begin_above_the_size_of_the_setting(self, short: wilk.Store, length: int, aside: bool) -> None:
        call = finished(short, "x" * length)
        assert (call.result_hash is not None) is aside
        assert short.tool_calls.result(call.id) == "x" * length

    def test_are_measured_in_bytes(self, short: wilk.Store) -> None:
        assert finished(short, "ß" * 60).result_size == 122

    def test_that_are_alike_are_kept_once(self, short: wilk.Store) -> None:
        assert finished(short, LARGE).result_hash == finished(short, LARGE).result_hash
        assert len(blobs(short)) == 1

    def test_and_small_ones_are_given_by_the_same_verb(self, short: wilk.Store) -> None:
        assert short.tool_calls.result(finished(short, [1]).id) == [1]
        running = short.tool_calls.start(short.sessions.create().id, "read")
        assert short.tool_calls.result(running.id) is None
        with pytest.raises(wilk.NotFound, match="no tool call 'x'"):
            short.tool_calls.result("x")

    def test_come_back_with_their_session(self, short: wilk.Store) -> None:
        session = short.sessions.create().id
        call = finished(short, LARGE, session)
        short.sessions.remove(session)
        assert short.tool_calls.find(call.id) is None
        assert len(blobs(short)) == 1
        short.archive.restore(kind="session", record=session)
        assert short.tool_calls.result(call.id) == LARGE

    def test_are_in_a_fork_as_well(self, short: wilk.Store) -> None:
        session = short.sessions.create().id
        message = short.messages.append(session, "assistant").id
        call = short.tool_calls.start(session, "read", message=message)
        short.tool_calls.finish(call.id, result=LARGE)
        (copy,) = short.tool_calls.list(short.sessions.fork(session).id)
        assert copy.id != call.id
        assert short.tool_calls.result(copy.id) == LARGE

    def test_go_with_the_transaction_that_wrote_them(self, short: wilk.Store) -> None:
        with pytest.raises(ZeroDivisionError), short.transaction():
            finished(short, LARGE)
            raise ZeroDivisionError
        assert blobs(short) == []

    @pytest.mark.parametrize(("sql", "told"), [("DELETE FROM blobs", "missing"),
                                               ("UPDATE blobs SET data = '1'", "damaged")])  # fmt: skip
    def test_that_are_no_longer_there_are_told(self, short: wilk.Store, sql: str, told: str) -> None:
        call = finished(short, LARGE)
        short._engine.execute(sql)
        with pytest.raises(wilk.BackendError, match=f"is {told}; its beginning is in the record"):
            short.tool_calls.result(call.id)

    @given(value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=40,
    ))  # fmt: skip
    @hypothesis_settings(max_examples=40)
    def test_come_out_as_they_went_in(self, short: wilk.Store, value: Any) -> None:
        assert short.tool_calls.result(finished(short, value).id) == value


class TestArchive:
    def test_lists_the_latest_first_up_to_a_limit(self, store: wilk.Store) -> None:
        for id in "abc":
            store.users.save(id, name=id)
            store.users.remove(id)
        assert [entry.record_id for entry in store.archive.list(limit=2)] == ["c", "b"]

    def test_filters_by_kind_reason_and_session(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user")
        store.users.save("u", name="U")
        store.users.remove("u", reason="left")
        store.sessions.remove(session, reason="tidied")
        assert [entry.kind for entry in store.archive.list(reason="left")] == ["user"]
        assert [entry.kind for entry in store.archive.list(session=session)] == ["session", "message"]
        assert [entry.record_id for entry in store.archive.list(kind="session")] == [session]

    def test_counts_by_reason_and_kind(self, store: wilk.Store, session: str) -> None:
        store.messages.extend(session, [{"role": "user"}] * 3)
        store.sessions.remove(session, reason="tidied")
        assert [one[:3] for one in store.archive.statistics()] == [
            ("tidied", "message", 3),
            ("tidied", "session", 1),
        ]

    def test_keeps_every_column_of_a_message(self, store: wilk.Store, session: str) -> None:
        message = store.messages.append(
            session, "critic", "a\0b", interaction="i", key="k", metadata={"$wilk": 1}, parts=[2**70]
        )
        with store.reading():
            columns = set(store._engine.database.get_columns("messages"))
        store.sessions.remove(session)
        (entry,) = store.archive.list(kind="message")
        assert set(entry.data) == {column.name for column in columns}
        assert (entry.record_id, entry.interaction_id) == (message.id, "i")

    def test_a_removal_that_is_rolled_back_archives_nothing(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user")
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.sessions.remove(session)
            raise ZeroDivisionError
        assert (store.archive.list(), store.messages.count(session)) == ([], 1)
