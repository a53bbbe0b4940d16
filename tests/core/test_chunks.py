"""Chunks: they tile what lies before the tail, keep question and answer together, and stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk

pytestmark = pytest.mark.backends


def said(role: str, tokens: int = 10, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": "x" * (tokens * 4), **more}


def talk(turns: int, tokens: int = 10) -> list[dict[str, Any]]:
    return [said(role, tokens) for _ in range(turns) for role in ("user", "assistant")]


def spans(store: wilk.Store, conversation: str = "c") -> list[tuple[int, int]]:
    return [(chunk.first, chunk.last) for chunk in store.chunks.list(conversation)]


conversations = st.lists(
    st.builds(said, st.sampled_from(["user", "assistant", "system", "tool", "critic"]), st.integers(0, 40)),
    max_size=30,
)


class TestDivide:
    def test_makes_chunks_of_about_the_size_before_the_tail(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", talk(10))
        chunks = store.chunks.divide("c", chunk_tokens=40, tail_tokens=100)
        assert [(one.first, one.last, one.tokens, one.position) for one in chunks] == [
            (0, 3, 40, 0),
            (4, 7, 40, 1),
        ]
        assert chunks == store.chunks.list("c")

    def test_by_default_has_four_thousand_tokens_a_chunk_and_thirty_thousand_in_the_tail(
        self, store: wilk.Store
    ) -> None:
        store.raw_messages.save("c", talk(50, 500))
        chunks = store.chunks.divide("c")
        assert [one.tokens for one in chunks] == [4000] * 5
        assert sum(len(one.data["content"]) // 4 for one in store.raw_messages.list("c", after=39)) == 30_000

    @given(messages=conversations, size=st.integers(1, 60), tail=st.integers(0, 200))
    def test_tiles_without_gap_or_overlap(
        self, store: wilk.Store, messages: list[Any], size: int, tail: int
    ) -> None:
        store.raw_messages.save("c", [])
        store.chunks.divide("c", chunk_tokens=1, tail_tokens=10**9)
        store.raw_messages.save("c", messages)
        chunks = store.chunks.divide("c", chunk_tokens=size, tail_tokens=tail)
        places = [place for one in chunks for place in range(one.first, one.last + 1)]
        assert places == list(range(len(places)))
        left = messages[len(places) :]
        assert sum(len(message["content"]) // 4 for message in left) >= min(
            tail, sum(len(message["content"]) // 4 for message in messages)
        )

    @given(messages=conversations, size=st.integers(1, 60), tail=st.integers(0, 100))
    def test_never_parts_a_question_from_its_answer(
        self, store: wilk.Store, messages: list[Any], size: int, tail: int
    ) -> None:
        store.raw_messages.save("c", [])
        store.chunks.divide("c")
        store.raw_messages.save("c", messages)
        for chunk in store.chunks.divide("c", chunk_tokens=size, tail_tokens=tail):
            before, after = messages[chunk.last], messages[chunk.last + 1]
            assert (before["role"], after["role"]) != ("user", "assistant")
            assert after["role"] != "tool"

    @given(messages=conversations, size=st.integers(1, 60), tail=st.integers(0, 100), cut=st.integers(0, 30))
    def test_comes_to_the_same_whether_messages_come_at_once_or_bit_by_bit(
        self, store: wilk.Store, messages: list[Any], size: int, tail: int, cut: int
    ) -> None:
        store.documents.clear("at once")
        store.documents.clear("by bits")
        store.raw_messages.save("at once", messages)
        store.chunks.divide("at once", chunk_tokens=size, tail_tokens=tail)
        store.raw_messages.save("by bits", messages[:cut])
        early = store.chunks.divide("by bits", chunk_tokens=size, tail_tokens=tail)
        store.raw_messages.save("by bits", messages)
        late = store.chunks.divide("by bits", chunk_tokens=size, tail_tokens=tail)
        assert late[: len(early)] == early
        assert spans(store, "by bits") == spans(store, "at once")

    def test_results_of_tools_stay_with_what_called_them(self, store: wilk.Store) -> None:
        result = {"role": "user", "content": [{"type": "tool_result", "text": "x" * 40}]}
        store.raw_messages.save(
            "c", [said("user"), said("assistant"), said("tool"), result, said("assistant"), *talk(2)]
        )
        store.chunks.divide("c", chunk_tokens=1, tail_tokens=0)
        assert spans(store) == [(0, 4), (5, 6)]

    def test_the_last_turn_may_still_grow(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", [*talk(1), said("user")])
        store.chunks.divide("c", chunk_tokens=1, tail_tokens=0)
        assert spans(store) == [(0, 1)]

    def test_a_changed_message_makes_chunks_anew_from_there_on(self, store: wilk.Store) -> None:
        messages = talk(8)
        store.raw_messages.save("c", messages)
        before = store.chunks.divide("c", chunk_tokens=40, tail_tokens=0)
        messages[5] = said("assistant", 11)
        store.raw_messages.save("c", messages)
        after = store.chunks.divide("c", chunk_tokens=40, tail_tokens=0)
        assert after[0] == before[0]
        assert not {one.id for one in after[1:]} & {one.id for one in before}
        archived = store.archive.list(kind="chunk", reason="the messages changed")
        assert {entry.record_id for entry in archived} == {one.id for one in before[1:]}

    def test_a_conversation_that_became_shorter_loses_its_last_chunks(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", talk(8))
        first = store.chunks.divide("c", chunk_tokens=40, tail_tokens=0)[0]
        store.raw_messages.save("c", talk(3))
        assert store.chunks.divide("c", chunk_tokens=40, tail_tokens=0) == [first]

    @pytest.mark.sqlite  # it counts by a number that SQLite keeps
    def test_dividing_again_writes_nothing(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", talk(8))
        store.chunks.divide("c", chunk_tokens=40, tail_tokens=0)
        before = store._engine.database.connection().total_changes
        store.chunks.divide("c", chunk_tokens=40, tail_tokens=0)
        assert store._engine.database.connection().total_changes == before

    def test_refers_to_messages_by_their_own_ids(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", [said(role, uuid=role) for role in ("user", "assistant", "user")])
        (chunk,) = store.chunks.divide("c", chunk_tokens=1, tail_tokens=0)
        assert chunk.metadata == {"messages": ["user", "assistant"]}

    def test_counts_what_tools_were_called_with(self, store: wilk.Store) -> None:
        calls = [{"function": {"name": "f", "arguments": "x" * 400}}]
        store.raw_messages.save("c", [{"role": "user", "tool_calls": calls}, said("user")])
        (chunk,) = store.chunks.divide("c", chunk_tokens=1, tail_tokens=0)
        assert chunk.tokens > 100

    @pytest.mark.parametrize("odd", [None, 7, "text", [], {}, {"role": ["user"]}, {"content": {"a": 1}}])
    def test_takes_messages_of_any_shape(self, store: wilk.Store, odd: Any) -> None:
        store.raw_messages.save("c", [odd, odd, odd])
        assert store.chunks.divide("c", chunk_tokens=1, tail_tokens=0) is not None

    @pytest.mark.parametrize("options", [{"chunk_tokens": 0}, {"tail_tokens": -1}, {"chunk_tokens": 1.5}])
    def test_refuses_sizes_that_make_no_sense(self, store: wilk.Store, options: dict[str, Any]) -> None:
        with pytest.raises(wilk.Invalid, match="_tokens"):
            store.chunks.divide("c", **options)


class TestLinksAndInfo:
    def test_a_chunk_knows_the_memory_that_it_became(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", talk(2))
        (chunk,) = store.chunks.divide("c", chunk_tokens=1, tail_tokens=0)
        memory = store.memories.save_sequence("c", "m", {}, sources=[chunk.id])
        assert store.chunks.link(chunk.id, memory.id).memory_id == memory.id
        assert store.chunks.get(chunk.id).memory_id == memory.id
        assert store.chunks.link(chunk.id, None).memory_id is None

    def test_an_unknown_chunk_or_memory_is_not_found(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", talk(2))
        (chunk,) = store.chunks.divide("c", chunk_tokens=1, tail_tokens=0)
        with pytest.raises(wilk.NotFound, match="no memory 'm'"):
            store.chunks.link(chunk.id, "m")
        with pytest.raises(wilk.NotFound, match="no chunk 'x'"):
            store.chunks.link("x", None)

    def test_what_an_application_decided_is_kept_as_it_came(self, timed: wilk.Store, now: Any) -> None:
        assert timed.chunks.info("c") is None
        first = timed.chunks.save_info("c", {"z": 1, "a": 2})
        now.pass_by(seconds=1)
        second = timed.chunks.save_info("c", {"b": [None]})
        assert timed.chunks.info("c") == {"b": [None]}
        assert (second.created_at, second.updated_at > first.updated_at) == (first.created_at, True)
