"""How important a message is when nobody says so: the table, and plugins that know better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk.services.memory import importance
from wilk.services.memory.importance import score


class Adding:
    """A plugin that scores by what it is told to add."""

    def __init__(self, added: float = 0.125) -> None:
        self.added = added
        self.asked: list[tuple[str, str, float]] = []

    @wilk.hookimpl
    def score_importance(self, role: str, text: str, score: float) -> float:
        self.asked.append((role, text, score))
        return score + self.added


class TestTable:
    @pytest.mark.parametrize(
        ("role", "text", "expected"),
        [
            ("user", "hello", 0.6),
            ("user", "Why does it fail", 0.8),
            ("user", "It fails, doesn't it?", 0.8),
            ("user", "def f(x): return x", 0.7),
            ("user", "What is ```x = 1```?", 0.9),
            ("assistant", "hello", 0.5),
            ("assistant", "I fixed the test", 0.8),
            ("assistant", "It fails because of the clock", 0.7),
            ("assistant", "I fixed it; it failed because of the clock", 1.0),
            ("system", "Why? ```x = 1``` is fixed because", 0.5),
            ("tool", "fixed", 0.5),
            ("critic", "fixed", 0.5),
        ],
    )
    def test_gives(self, role: str, text: str, expected: float) -> None:
        assert score(role, text) == expected

    @given(st.sampled_from(["user", "assistant", "system", "tool", "x"]), st.text())
    def test_stays_in_its_range(self, role: str, text: str) -> None:
        assert 0.5 <= score(role, text) <= 1.0

    def test_says_the_same_of_a_text_of_which_only_the_end_differs(self) -> None:
        assert score("user", "word " * 1000) == score("user", "word " * 1000 + "why? ```x```")

    def test_gives_pins_and_summaries_theirs(self) -> None:
        assert (importance.of_pin("user"), importance.of_pin("auto"), importance.SUMMARY) == (0.8, 0.7, 0.7)

    def test_counts_for_messages_of_a_batch_too(self, store: wilk.Store, session: str) -> None:
        batch = [{"role": "user", "text": "Why?"}, {"role": "assistant", "text": "because"}]
        assert [one.importance for one in store.messages.extend(session, batch)] == [0.8, 0.7]


class TestPlugins:
    def test_score_what_is_appended(self, plugged: Callable[..., wilk.Store]) -> None:
        plugin = Adding()
        store = plugged(plugin)
        session = store.sessions.create().id
        message = store.messages.append(session, "user", "Why?")
        assert plugin.asked == [("user", "Why?", 0.8)]
        assert message.importance == store.messages.get(message.id).importance == 0.925

    def test_score_each_message_of_a_batch(self, plugged: Callable[..., wilk.Store]) -> None:
        plugin = Adding()
        store = plugged(plugin)
        batch = [{"role": "user", "text": "a"}, {"role": "user", "text": "b", "importance": 0.1}]
        written = store.messages.extend(store.sessions.create().id, batch)
        assert [message.importance for message in written] == [0.725, 0.1]
        assert plugin.asked == [("user", "a", 0.6)]

    def test_are_not_asked_about_an_importance_that_is_given(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        plugin = Adding()
        store = plugged(plugin)
        message = store.messages.append(store.sessions.create().id, "user", "a", importance=0.0)
        assert (message.importance, plugin.asked) == (0.0, [])

    def test_that_are_registered_later_are_asked_from_then_on(self, store: wilk.Store, session: str) -> None:
        assert store.messages.append(session, "user", "a").importance == 0.6
        store.host.register(Adding())
        assert store.messages.append(session, "user", "a").importance == 0.725

    @pytest.mark.parametrize("answer", [2.0, -0.5, float("nan"), "high", True])
    def test_that_answer_nonsense_leave_it_to_the_table(
        self, plugged: Callable[..., wilk.Store], caplog: pytest.LogCaptureFixture, answer: Any
    ) -> None:
        class Nonsense:
            @wilk.hookimpl
            def score_importance(self) -> Any:
                return answer

        store = plugged(Nonsense())
        assert store.messages.append(store.sessions.create().id, "user", "a").importance == 0.6
        assert "Nonsense" in caplog.text
