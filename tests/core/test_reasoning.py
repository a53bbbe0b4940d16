"""Reasoning chains: the most recent ones, and messages made of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk

pytestmark = pytest.mark.backends

CHAIN = {
    "context_received": "The login is slow.",
    "agent_response": "Let me look.",
    "tool_calls": [{"id": "1", "name": "search", "arguments": {"q": "login"}}],
    "tool_results": [{"tool_call_id": "1", "result": "no index"}],
    "reasoning_notes": "Look first.",
    "metadata": {"z": 1},
}


class TestChains:
    def test_come_back_as_they_came(self, store: wilk.Store) -> None:
        chain = store.reasoning.add("a", CHAIN, session="s")
        assert store.reasoning.get(chain.id) == chain
        assert list(chain.data) == list(CHAIN)

    def test_recent_gives_the_newest_the_oldest_of_them_first(self, store: wilk.Store) -> None:
        for n in range(5):
            store.reasoning.add("a", n)
            store.reasoning.add("b", -n)
        assert [one.data for one in store.reasoning.recent("a", 2)] == [3, 4]
        assert [one.data for one in store.reasoning.recent("a")] == [0, 1, 2, 3, 4]
        assert store.reasoning.recent("a", 0) == []

    def test_their_order_owes_nothing_to_the_clock(self, timed: wilk.Store, now: Any) -> None:
        for n in range(3):
            timed.reasoning.add("a", n)
            now.pass_by(seconds=-60)
        assert [one.data for one in timed.reasoning.recent("a", 2)] == [1, 2]

    def test_list_gives_the_latest_first_and_filters(self, store: wilk.Store) -> None:
        for n in range(3):
            store.reasoning.add("a", n, session=str(n))
        store.reasoning.add("b", 9)
        assert [one.data for one in store.reasoning.list(limit=2)] == [9, 2]
        assert [one.data for one in store.reasoning.list(agent="a", session="1")] == [1]

    def test_removed_ones_are_archived(self, store: wilk.Store) -> None:
        chain = store.reasoning.add("a", CHAIN)
        store.reasoning.remove(chain.id)
        assert store.reasoning.find(chain.id) is None
        assert [entry.record_id for entry in store.archive.list(kind="reasoning_chain")] == [chain.id]
        with pytest.raises(wilk.NotFound, match="reasoning chain"):
            store.reasoning.get(chain.id)

    def test_an_agent_is_needed(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="agent_id"):
            store.reasoning.add("", CHAIN)


class TestRender:
    def test_tells_what_was_heard_thought_called_and_what_came_of_it(self, store: wilk.Store) -> None:
        store.reasoning.add("a", CHAIN)
        assert store.reasoning.render("a") == [
            {"role": "user", "content": "The login is slow."},
            {"role": "assistant", "content": 'Look first.\n\nLet me look.\n\n[called search({"q":"login"})]'},
            {"role": "user", "content": "[search gave no index]"},
        ]

    def test_takes_the_most_recent_ones_in_their_order(self, store: wilk.Store) -> None:
        for n in range(4):
            store.reasoning.add("a", {"agent_response": str(n)})
        assert [one["content"] for one in store.reasoning.render("a", 2)] == ["2", "3"]

    @pytest.mark.parametrize(
        ("calls", "results", "shown"),
        [
            ([{"id": "1", "name": "f"}], [], 0),
            ([], [{"id": "1", "result": 1}], 0),
            ([{"id": "1", "name": "f"}], [{"tool_call_id": "2", "result": 1}], 0),
            ([{"id": "1", "name": "f"}, {"id": "2", "name": "g"}], [{"tool_call_id": "2", "result": 1}], 1),
            ([{"name": "f"}, {"name": "g"}], [{"result": 1}, {"result": 2}], 2),
            ([{"name": "f"}, {"name": "g"}], ["plain"], 1),
            ([{"function": {"name": "f"}, "id": "1"}], [{"call_id": "1", "content": "x"}], 1),
            (["f"], ["x"], 1),
            ({"name": "f"}, {"result": 0}, 1),
        ],
    )
    def test_a_call_never_stands_without_its_result(
        self, store: wilk.Store, calls: Any, results: Any, shown: int
    ) -> None:
        store.reasoning.add("a", {"tool_calls": calls, "tool_results": results})
        text = "".join(message["content"] for message in store.reasoning.render("a"))
        assert (text.count("[called "), text.count(" gave ")) == (shown, shown)

    @given(
        data=st.dictionaries(
            st.sampled_from([*CHAIN, "other"]),
            st.recursive(
                st.none() | st.text() | st.integers(),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
                max_leaves=6,
            ),
        )
    )
    def test_makes_messages_with_text_of_chains_of_any_shape(self, store: wilk.Store, data: Any) -> None:
        store.reasoning.add("a", data)
        for message in store.reasoning.render("a", 1):
            assert message.keys() == {"role", "content"}
            assert message["content"]
