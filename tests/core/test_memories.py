"""Memories: kept in their order, replaced under their own ids, with whatever they were made from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk.services.connectome.memories import memory_id

pytestmark = pytest.mark.backends

SEQUENCE = {
    "messages": [
        {"role": "system", "content": "<context_manager>"},
        {"role": "user", "content": "<to_remember>the login was slow</to_remember>"},
        {"role": "assistant", "content": "They said the login was slow."},
        {"role": "user", "content": "And what does it mean to you?"},
        {"role": "assistant", "content": "An index was missing."},
        {"role": "user", "content": "Good."},
    ],
    "source_chunks": ["chunk-1", "chunk-2"],
    "compression_iteration": 2,
}


class TestAdd:
    def test_returns_what_get_reads(self, store: wilk.Store) -> None:
        memory = store.memories.add(
            "the login was slow", kind="episodic", conversation="c", memory_id="m", data={"b": 1, "a": 2},
            agent="reviewer", user="ann", session="s", importance=1, confidence=0.25, sources=["x"], iteration=3,
            interaction="i", metadata={"k": []},
        )  # fmt: skip
        assert store.memories.get(memory.id) == memory

    def test_is_a_note_that_counts_its_tokens(self, store: wilk.Store) -> None:
        memory = store.memories.add("x" * 40)
        assert (memory.kind, memory.tokens, memory.importance, memory.sources) == ("note", 10, 0.5, [])

    def test_under_the_same_id_replaces_and_keeps_the_place(self, timed: wilk.Store, now: Any) -> None:
        first = timed.memories.add("one", conversation="c", memory_id="m", agent="a", sources=[1])
        timed.memories.add("two", conversation="c", memory_id="n")
        now.pass_by(seconds=1)
        again = timed.memories.add("three", conversation="c", memory_id="m")
        assert [one.content for one in timed.memories.list(oldest=True)] == ["three", "two"]
        assert (again.id, again.created_at) == (first.id, first.created_at)
        assert (again.agent_id, again.sources) == (None, [])
        assert timed.memories.get(first.id) == again

    def test_the_same_id_in_another_conversation_is_another_memory(self, store: wilk.Store) -> None:
        for conversation in ("c", "d"):
            store.memories.add("one", conversation=conversation, memory_id="m")
        assert len(store.memories.list()) == 2

    def test_without_an_id_of_its_own_each_is_a_new_one(self, store: wilk.Store) -> None:
        for _ in range(2):
            store.memories.add("one", conversation="c")
        assert len(store.memories.list(conversation="c")) == 2

    def test_an_id_needs_its_conversation(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="give conversation too"):
            store.memories.add("one", memory_id="m")

    @given(content=st.text(st.characters(exclude_categories=[])))
    def test_loses_nothing_of_any_text(self, store: wilk.Store, content: str) -> None:
        kept = store.memories.get(store.memories.add(content).id)
        assert content in (kept.content, kept.data)

    @pytest.mark.parametrize(
        "options",
        [
            {"importance": 1.1}, {"confidence": -1}, {"iteration": -1}, {"sources": "abc"}, {"metadata": []},
            {"kind": ""}, {"agent": ""}, {"conversation": "a\0"},
        ],
    )  # fmt: skip
    def test_refuses_what_makes_no_sense_by_its_name(
        self, store: wilk.Store, options: dict[str, Any]
    ) -> None:
        with pytest.raises(wilk.Invalid, match=next(iter(options))):
            store.memories.add("one", **options)

    def test_refuses_content_that_is_no_text(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="data="):
            store.memories.add({"a": 1})  # type: ignore[arg-type]


class TestSequences:
    def test_keep_their_data_as_it_came(self, store: wilk.Store) -> None:
        memory = store.memories.save_sequence("c", "m", SEQUENCE)
        kept = store.memories.get(memory.id)
        assert (kept.data, list(kept.data)) == (SEQUENCE, list(SEQUENCE))

    def test_know_their_chunks_iteration_and_text(self, store: wilk.Store) -> None:
        memory = store.memories.save_sequence("c", "m", SEQUENCE)
        assert (memory.kind, memory.sources, memory.iteration) == ("compressed", ["chunk-1", "chunk-2"], 2)
        assert "An index was missing." in memory.content

    def test_take_what_is_given_over_what_they_say(self, store: wilk.Store) -> None:
        memory = store.memories.save_sequence("c", "m", SEQUENCE, sources=["other"], iteration=0, agent="a")
        assert (memory.sources, memory.iteration, memory.agent_id) == (["other"], 0, "a")

    @pytest.mark.parametrize("data", [None, [], "text", 7, {"iteration": -1, "sources": "no list"}])
    def test_may_have_any_shape(self, store: wilk.Store, data: Any) -> None:
        memory = store.memories.save_sequence("c", "m", data)
        assert (store.memories.get(memory.id).data, memory.iteration, memory.sources) == (data, 0, [])


class TestList:
    def test_gives_the_latest_first_up_to_a_limit(self, store: wilk.Store) -> None:
        for content in "abc":
            store.memories.add(content)
        assert [one.content for one in store.memories.list(limit=2)] == ["c", "b"]
        assert [one.content for one in store.memories.list(oldest=True, limit=2)] == ["a", "b"]

    def test_owes_nothing_to_the_clock(self, timed: wilk.Store, now: Any) -> None:
        for content in "abc":
            timed.memories.add(content)
            now.pass_by(seconds=-60)
        assert [one.content for one in timed.memories.list(oldest=True)] == ["a", "b", "c"]

    @pytest.mark.parametrize("name", ["kind", "conversation", "agent", "user", "session"])
    def test_filters(self, store: wilk.Store, name: str) -> None:
        store.memories.add("one", **{name: "this"})
        store.memories.add("two", **{name: "that"})
        assert [one.content for one in store.memories.list(**{name: "this"})] == ["one"]

    def test_gives_all_when_asked_to(self, store: wilk.Store) -> None:
        for n in range(120):
            store.memories.add(str(n))
        assert len(store.memories.list(limit=None)) == 120


class TestChanges:
    def test_update_changes_what_is_given_and_nothing_else(self, timed: wilk.Store, now: Any) -> None:
        memory = timed.memories.add("one", data={"a": 1}, importance=0.5, sources=[1])
        now.pass_by(seconds=1)
        changed = timed.memories.update(memory.id, content="x" * 40, importance=0.75)
        assert timed.memories.get(memory.id) == changed
        assert changed == memory._replace(
            content="x" * 40, tokens=10, importance=0.75, updated_at=changed.updated_at
        )

    def test_update_checks_as_add_does(self, store: wilk.Store) -> None:
        memory = store.memories.add("one")
        with pytest.raises(wilk.Invalid, match="confidence"):
            store.memories.update(memory.id, confidence=2)
        with pytest.raises(wilk.NotFound):
            store.memories.update("x", content="y")

    def test_removed_ones_are_archived(self, store: wilk.Store) -> None:
        memory = store.memories.add("one", data={"a": 1})
        assert store.memories.remove(memory.id, reason="wrong") == memory
        assert store.memories.find(memory.id) is None
        assert [entry.record_id for entry in store.archive.list(kind="memory", reason="wrong")] == [memory.id]


class TestMemoryId:
    def test_owes_nothing_to_the_order(self) -> None:
        assert memory_id("agent", ["b", "a"]) == memory_id("agent", ["a", "b"])

    def test_is_mem_and_twelve_digits(self) -> None:
        assert memory_id("agent", ["a", "b"]) == "mem_e7f1ba685905"

    def test_tells_agents_and_elements_apart(self) -> None:
        assert len({memory_id("a", ["x"]), memory_id("b", ["x"]), memory_id("a", ["y"])}) == 3
