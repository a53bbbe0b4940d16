"""Tool calls: from their start to what came of them; and the archive's own verbs."""

from __future__ import annotations

from typing import Any

import pytest

import wilk


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
