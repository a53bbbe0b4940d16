"""Messages: appending, retries, reading by sequence, counting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk

pytestmark = pytest.mark.backends


def texts(messages: Any) -> list[str]:
    return [message.text for message in messages]


def say(store: wilk.Store, session: str, n: int) -> None:
    store.messages.extend(session, [{"role": "user", "text": str(number)} for number in range(1, n + 1)])


class TestAppend:
    def test_returns_what_get_reads(self, store: wilk.Store, session: str) -> None:
        first = store.messages.append(session, "user", "one")
        written = store.messages.append(
            session,
            "assistant",
            "two",
            parts=[{"type": "text", "text": "two"}, {"type": "image", "url": "x"}],
            agent="coder",
            model="gpt-4",
            tokens=7,
            importance=0.25,
            interaction="i-1",
            key="k-1",
            parent=first.id,
            id="m-2",
            metadata={"a": {"b": [1, None]}},
            created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        )
        assert store.messages.get("m-2") == written

    def test_gives_each_session_a_gapless_sequence_of_its_own(self, store: wilk.Store) -> None:
        one, two = store.sessions.create().id, store.sessions.create().id
        order = [one, one, two, one, two]
        sequences = [store.messages.append(id, "user").sequence for id in order]
        assert sequences == [1, 2, 1, 3, 2]

    def test_to_an_unknown_session_is_not_found_and_says_what_to_do(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match=r"no session 'x'; .*sessions\.create"):
            store.messages.append("x", "user", "hello")

    def test_with_an_id_that_is_taken_is_a_conflict_and_writes_nothing(
        self, store: wilk.Store, session: str
    ) -> None:
        store.messages.append(session, "user", "one", id="m")
        with pytest.raises(wilk.Conflict, match="message 'm' already"):
            store.messages.append(session, "user", "two", id="m")
        assert (texts(store.messages.last(session)), store.messages.count(session)) == (["one"], 1)

    def test_after_a_refused_one_leaves_no_gap(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "one", id="m")
        with pytest.raises(wilk.Conflict):
            store.messages.append(session, "user", "two", id="m")
        assert store.messages.append(session, "user", "three").sequence == 2

    def test_keeps_a_time_in_another_zone_exactly(self, store: wilk.Store, session: str) -> None:
        moment = datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
        written = store.messages.append(session, "user", created_at=moment)
        assert (store.messages.get(written.id).created_at, written.created_at.tzinfo) == (moment, UTC)

    def test_refuses_a_time_without_a_zone(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.Invalid, match=r"created_at: .*no time zone"):
            store.messages.append(session, "user", created_at=datetime(2026, 1, 1))

    @pytest.mark.parametrize("role", ["", "x" * 65, None, 7])
    def test_refuses_a_role_that_is_no_short_text(self, store: wilk.Store, session: str, role: Any) -> None:
        with pytest.raises(wilk.Invalid, match="role"):
            store.messages.append(session, role, "hello")

    def test_refuses_structured_content_as_text_and_names_parts(
        self, store: wilk.Store, session: str
    ) -> None:
        with pytest.raises(wilk.Invalid, match="parts="):
            store.messages.append(session, "user", [{"type": "text"}])  # type: ignore[arg-type]

    @pytest.mark.parametrize("tokens", [-1, 1.5, True, "3"])
    def test_refuses_tokens_that_are_no_count(self, store: wilk.Store, session: str, tokens: Any) -> None:
        with pytest.raises(wilk.Invalid, match="tokens"):
            store.messages.append(session, "user", tokens=tokens)

    def test_refuses_a_number_that_no_engine_holds(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.Invalid, match="64 bits"):
            store.messages.append(session, "user", tokens=2**70)

    def test_names_the_path_of_what_cannot_be_kept_and_writes_nothing(
        self, store: wilk.Store, session: str
    ) -> None:
        with pytest.raises(wilk.NotStorable, match=r"a\.1: bytes"):
            store.messages.append(session, "user", metadata={"a": [1, b"x"]})
        assert store.messages.count(session) == 0

    def test_counts_tokens_that_are_not_given(self, store: wilk.Store, session: str) -> None:
        assert store.messages.append(session, "user", "12345678").tokens > 0

    def test_keeps_zero_tokens_as_given(self, store: wilk.Store, session: str) -> None:
        assert store.messages.append(session, "user", "12345678", tokens=0).tokens == 0

    def test_notes_the_activity_on_its_session(self, timed: wilk.Store, now: Any) -> None:
        session = timed.sessions.create()
        now.pass_by(seconds=5)
        timed.messages.append(session.id, "user")
        assert timed.sessions.get(session.id).updated_at - session.updated_at == timedelta(seconds=5)

    @given(text=st.text(st.characters(), max_size=200))
    def test_gives_back_any_text_as_it_came(self, store: wilk.Store, session: str, text: str) -> None:
        written = store.messages.append(session, "user", text)
        assert (written.text, store.messages.get(written.id).text) == (text, text)

    def test_gives_back_a_megabyte_as_it_came(self, store: wilk.Store, session: str) -> None:
        text = "0123456789abcdef" * 65_536
        assert store.messages.get(store.messages.append(session, "user", text).id).text == text


class TestAKey:
    def test_makes_a_retry_return_the_first_message(self, store: wilk.Store, session: str) -> None:
        first = store.messages.append(session, "user", "hello", key="k")
        again = store.messages.append(session, "user", "hello", key="k")
        assert (again, store.messages.count(session)) == (first, 1)

    @pytest.mark.parametrize(
        "other",
        [
            {"role": "assistant", "text": "hello"},
            {"role": "user", "text": "other"},
            {"role": "user", "text": "hello", "parts": []},
        ],
        ids=["role", "text", "parts"],
    )
    def test_used_for_other_content_is_a_conflict(
        self, store: wilk.Store, session: str, other: dict[str, Any]
    ) -> None:
        store.messages.append(session, "user", "hello", key="k")
        with pytest.raises(wilk.Conflict, match="key 'k'"):
            store.messages.append(session, **other, key="k")

    def test_tells_texts_apart_that_differ_only_in_what_no_engine_holds(
        self, store: wilk.Store, session: str
    ) -> None:
        store.messages.append(session, "user", "\ud800", key="k")
        with pytest.raises(wilk.Conflict):
            store.messages.append(session, "user", "\ud801", key="k")

    def test_counts_within_its_session_only(self, store: wilk.Store, session: str) -> None:
        other = store.sessions.create().id
        first = store.messages.append(session, "user", "hello", key="k")
        assert store.messages.append(other, "user", "another", key="k").id != first.id

    def test_makes_a_repeated_batch_return_the_first_one(self, store: wilk.Store, session: str) -> None:
        batch = [{"role": "user", "text": str(number), "key": f"k{number}"} for number in range(3)]
        first = store.messages.extend(session, batch)
        assert (store.messages.extend(session, batch), store.messages.count(session)) == (first, 3)

    def test_of_a_batch_that_was_cut_short_writes_only_the_rest(
        self, store: wilk.Store, session: str
    ) -> None:
        batch = [{"role": "user", "text": str(number), "key": f"k{number}"} for number in range(4)]
        store.messages.extend(session, batch[:2])
        found = store.messages.extend(session, batch)
        assert [(message.text, message.sequence) for message in found] == [
            ("0", 1),
            ("1", 2),
            ("2", 3),
            ("3", 4),
        ]

    def test_that_stands_twice_in_a_batch_writes_one_message(self, store: wilk.Store, session: str) -> None:
        twice = [{"role": "user", "text": "same", "key": "k"}] * 2
        first, second = store.messages.extend(session, twice)
        assert (first, store.messages.count(session)) == (second, 1)

    def test_that_stands_twice_in_a_batch_with_other_content_is_a_conflict(
        self, store: wilk.Store, session: str
    ) -> None:
        batch = [{"role": "user", "text": text, "key": "k"} for text in ("one", "two")]
        with pytest.raises(wilk.Conflict, match="key 'k' stands twice"):
            store.messages.extend(session, batch)
        assert store.messages.count(session) == 0

    def test_of_other_content_in_a_batch_is_a_conflict_and_writes_nothing(
        self, store: wilk.Store, session: str
    ) -> None:
        store.messages.append(session, "user", "hello", key="k")
        with pytest.raises(wilk.Conflict):
            store.messages.extend(
                session, [{"role": "user", "text": "new"}, {"role": "user", "text": "other", "key": "k"}]
            )
        assert texts(store.messages.last(session)) == ["hello"]


class TestExtend:
    def test_writes_in_the_order_given(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "0")
        written = store.messages.extend(session, ({"role": "user", "text": str(n)} for n in (1, 2, 3)))
        assert [message.sequence for message in written] == [2, 3, 4]
        assert texts(store.messages.last(session)) == ["0", "1", "2", "3"]

    def test_returns_what_get_reads(self, store: wilk.Store, session: str) -> None:
        (written,) = store.messages.extend(
            session,
            [
                {
                    "role": "tool",
                    "text": "t",
                    "parts": [1],
                    "agent": "a",
                    "model": "m",
                    "tokens": 3,
                    "importance": 1,
                    "interaction": "i",
                    "key": "k",
                    "parent": "p",
                    "id": "x",
                    "metadata": {"n": 1},
                    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
                }
            ],
        )
        assert store.messages.get("x") == written

    def test_of_nothing_writes_nothing(self, store: wilk.Store, session: str) -> None:
        assert (store.messages.extend(session, []), store.messages.count(session)) == ([], 0)

    def test_of_nothing_to_an_unknown_session_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound):
            store.messages.extend("x", [])

    def test_names_the_message_and_the_field_that_it_does_not_take(
        self, store: wilk.Store, session: str
    ) -> None:
        with pytest.raises(wilk.Invalid, match="message 2: no 'content'"):
            store.messages.extend(session, [{"role": "user"}, {"role": "user", "content": "x"}])

    def test_names_the_message_that_has_no_role(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.Invalid, match="message 1: a role"):
            store.messages.extend(session, [{"text": "x"}])

    def test_with_an_id_that_is_taken_writes_none_of_them(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "one", id="m")
        with pytest.raises(wilk.Conflict, match="id that is taken"):
            store.messages.extend(session, [{"role": "user"}, {"role": "user", "id": "m"}])
        assert texts(store.messages.last(session)) == ["one"]


class TestReading:
    def test_an_unknown_message_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no message 'x'"):
            store.messages.get("x")

    def test_find_gives_none_for_an_unknown_message(self, store: wilk.Store) -> None:
        assert store.messages.find("x") is None

    def test_pages_after_a_sequence_follow_each_other(self, store: wilk.Store, session: str) -> None:
        say(store, session, 10)
        pages, after = [], 0
        while page := store.messages.page(session, after=after, limit=4):
            pages.append(texts(page))
            after = page[-1].sequence
        assert pages == [["1", "2", "3", "4"], ["5", "6", "7", "8"], ["9", "10"]]

    def test_pages_before_a_sequence_go_back_in_reading_order(self, store: wilk.Store, session: str) -> None:
        say(store, session, 10)
        assert texts(store.messages.page(session, before=8, limit=3)) == ["5", "6", "7"]

    def test_a_page_takes_after_or_before_not_both(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.Invalid, match="not both"):
            store.messages.page(session, after=1, before=3)

    def test_last_0_is_nothing(self, store: wilk.Store, session: str) -> None:
        say(store, session, 2)
        assert store.messages.last(session, 0) == []

    @pytest.mark.parametrize("n", [-1, 1.0, "2", True, None])
    def test_last_refuses_what_is_no_count(self, store: wilk.Store, session: str, n: Any) -> None:
        with pytest.raises(wilk.Invalid):
            store.messages.last(session, n)

    @pytest.mark.parametrize("verb", ["last", "page", "count"])
    def test_an_unknown_session_is_not_found_rather_than_empty(self, store: wilk.Store, verb: str) -> None:
        with pytest.raises(wilk.NotFound, match="no session 'x'"):
            getattr(store.messages, verb)("x")

    @given(n=st.integers(0, 30), total=st.integers(0, 25))
    def test_last_n_is_the_end_of_the_whole(self, store: wilk.Store, n: int, total: int) -> None:
        session = store.sessions.create().id
        say(store, session, total)
        whole = [str(number) for number in range(1, total + 1)]
        assert texts(store.messages.last(session, n)) == (whole[-n:] if n else [])


class TestUsage:
    def test_counts_messages_and_tokens_per_agent(self, store: wilk.Store, session: str) -> None:
        for agent, tokens in [("a", 10), ("b", 1), ("a", 20), (None, 99)]:
            store.messages.append(session, "assistant", agent=agent, tokens=tokens)
        found = [
            (one.agent_id, one.messages, one.tokens, one.average_tokens) for one in store.messages.usage()
        ]
        assert found == [("a", 2, 30, 15.0), ("b", 1, 1, 1.0)]

    def test_leaves_out_what_is_older(self, timed: wilk.Store, now: Any) -> None:
        session = timed.sessions.create().id
        timed.messages.append(session, "assistant", agent="old")
        now.pass_by(days=31)
        timed.messages.append(session, "assistant", agent="new")
        assert [one.agent_id for one in timed.messages.usage(days=30)] == ["new"]

    def test_tells_the_first_and_the_last_time(self, timed: wilk.Store, now: Any) -> None:
        session = timed.sessions.create().id
        first = timed.messages.append(session, "assistant", agent="a").created_at
        now.pass_by(seconds=3)
        last = timed.messages.append(session, "assistant", agent="a").created_at
        (usage,) = timed.messages.usage()
        assert (usage.first_at, usage.last_at) == (first, last)
