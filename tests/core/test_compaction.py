"""Compaction: it changes what is live and nothing of what is read, and it can be undone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.engines import ask

import wilk
from wilk.context import rules
from wilk.host import Host
from wilk.services.keeping.archiver import COMPACTED
from wilk.services.memory.cuts import Line, leading, places
from wilk.services.memory.summarizing import hash_of
from wilk.settings import load

Open = Callable[..., wilk.Store]

SENTENCE = "The wolf number {} runs along the river, because the moon is bright tonight."


def fill(store: wilk.Store, session: str, n: int, *, tokens: int = 10) -> None:
    roles = ("user", "assistant")
    store.messages.extend(
        session,
        [
            {"role": roles[i % 2], "text": SENTENCE.format(i), "tokens": tokens, "key": f"k{i}"}
            for i in range(n)
        ],
    )


@contextmanager
def counted(store: wilk.Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that a block runs."""
    found: list[str] = []
    cursor = store._engine._cursor

    def noting(sql: str, parameters: Any) -> Any:
        found.append(sql)
        return cursor(sql, parameters)

    with monkeypatch.context() as patched:
        patched.setattr(store._engine, "_cursor", noting)
        yield found


def live(store: wilk.Store, session: str) -> list[int]:
    rows = ask(store, "SELECT sequence FROM messages WHERE session_id = ? ORDER BY sequence", (session,))
    return [row[0] for row in rows]


def tables(store: wilk.Store) -> list[list[tuple[Any, ...]]]:
    """Every row of messages and sessions, as the engine holds them."""
    return [store._engine.execute(f"SELECT * FROM {name} ORDER BY 1") for name in ("messages", "sessions")]


@pytest.fixture
def by_hand(home: Path, _new_database: Path) -> Iterator[wilk.Store]:
    """A store that compacts nothing by itself."""
    with opened(home, compaction="manual") as store:
        yield store


def opened(home: Path, *plugins: object, **settings: Any) -> wilk.Store:
    found = replace(load(home=home), **settings)
    return wilk.open_store(settings=found, host=Host(*plugins, disabled=("wilk-audit", "wilk-tokens")))


@pytest.fixture
def talk(by_hand: wilk.Store) -> str:
    """The id of a session of a prompt and twenty messages of ten tokens, with room for a hundred."""
    session = by_hand.sessions.create(max_tokens=100).id
    by_hand.messages.append(session, "system", "You are a wolf.", tokens=10)
    fill(by_hand, session, 20)
    return session


class TestCompact:
    def test_keeps_half_of_the_budget_by_default(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.memory.compact(talk)
        # A message of ten tokens costs fourteen: three have 42 of the 50.
        assert by_hand.sessions.get(talk).token_count == 30
        assert live(by_hand, talk) == [1, 20, 21]

    def test_makes_a_summary_of_at_most_the_budget_each(self, by_hand: wilk.Store, talk: str) -> None:
        latest = by_hand.memory.compact(talk)
        found = by_hand.summaries.list(talk)
        assert [(one.first_sequence, one.last_sequence) for one in found] == [(1, 10), (11, 19)]
        assert latest == found[-1]
        assert all(one.compacted for one in found)

    def test_archives_under_the_summary_with_its_reason(self, by_hand: wilk.Store, talk: str) -> None:
        summary = by_hand.memory.compact(talk, keep_messages=15)
        entries = by_hand.archive.list(kind="message", session=talk)
        assert {(one.reason, one.batch) for one in entries} == {(COMPACTED, summary.id if summary else None)}
        assert sorted(one.position or 0 for one in entries) == [2, 3, 4, 5, 6]

    def test_leaves_the_system_prompt_live_though_the_range_covers_it(
        self, by_hand: wilk.Store, talk: str
    ) -> None:
        summary = by_hand.memory.compact(talk, keep_messages=15)
        assert summary is not None
        assert (summary.first_sequence, summary.last_sequence, summary.message_count) == (1, 6, 6)
        assert live(by_hand, talk)[:2] == [1, 7]

    def test_keeps_so_many_messages(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.memory.compact(talk, keep_messages=3)
        assert live(by_hand, talk) == [1, 19, 20, 21]

    def test_ends_at_a_sequence(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.memory.compact(talk, last=4)
        assert live(by_hand, talk) == [1, *range(5, 22)]

    def test_always_keeps_the_newest_message(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.memory.compact(talk, keep_tokens=0)
        assert live(by_hand, talk) == [1, 21]

    def test_does_nothing_when_there_is_nothing_to_go(self, by_hand: wilk.Store, talk: str) -> None:
        assert by_hand.memory.compact(talk, keep_messages=50) is None
        assert by_hand.memory.compact(by_hand.sessions.create().id) is None
        by_hand.memory.compact(talk)
        assert by_hand.memory.compact(talk) is None

    def test_can_leave_messages_where_they_are(self, by_hand: wilk.Store, talk: str) -> None:
        summary = by_hand.memory.compact(talk, last=8, archive=False)
        assert summary is not None
        assert not summary.compacted
        assert len(live(by_hand, talk)) == 21

    def test_archives_later_what_was_summarized_before(self, by_hand: wilk.Store, talk: str) -> None:
        given = by_hand.summaries.add(talk, "of wolves", last=8)
        by_hand.memory.compact(talk, last=10)
        assert by_hand.summaries.get(given.id).compacted
        assert by_hand.summaries.get(given.id).text == "of wolves"
        assert live(by_hand, talk) == [1, *range(11, 22)]

    def test_does_not_cut_through_a_summary_that_is_there(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.summaries.add(talk, last=4)
        by_hand.summaries.add(talk, last=15)
        by_hand.memory.compact(talk, last=10)
        assert live(by_hand, talk) == [1, *range(5, 22)]

    def test_does_not_part_a_call_from_its_result_where_two_summaries_meet(self, by_hand: wilk.Store) -> None:
        session = by_hand.sessions.create().id
        fill(by_hand, session, 3)
        by_hand.messages.extend(session, [CALL, RESULT])
        fill_more(by_hand, session, 5)
        by_hand.summaries.add(session, last=4)
        by_hand.summaries.add(session, last=8)
        by_hand.memory.compact(session, last=7)
        assert live(by_hand, session) == list(range(1, 11))
        by_hand.memory.compact(session, last=8)
        assert live(by_hand, session) == [9, 10]

    @pytest.mark.parametrize("option", ["keep_tokens", "keep_messages", "last"])
    def test_refuses_what_is_no_number(self, by_hand: wilk.Store, talk: str, option: str) -> None:
        with pytest.raises(wilk.Invalid, match=option):
            by_hand.memory.compact(talk, **{option: -1})

    @pytest.mark.parametrize("verb", ["compact", "uncompact", "rescore", "status", "needs_compaction"])
    def test_and_the_others_refuse_an_unknown_session(self, by_hand: wilk.Store, verb: str) -> None:
        with pytest.raises(wilk.NotFound):
            getattr(by_hand.memory, verb)("x")


CALL = {"role": "assistant", "parts": [{"type": "tool_use", "id": "c", "name": "look"}], "tokens": 10}
RESULT = {
    "role": "user",
    "parts": [{"type": "tool_result", "tool_use_id": "c", "content": "a wolf"}],
    "tokens": 10,
}


class TestLengths:
    @pytest.mark.parametrize("strategy", ["summarize", "hybrid"])
    @pytest.mark.parametrize(
        ("sentence", "budget"),
        [(SENTENCE, 300), (SENTENCE, 2000), ("第{}只狼夜里沿着河奔跑，月光很亮。", 500)],
    )
    def test_two_summaries_fit_into_their_share_of_a_context(
        self, by_hand: wilk.Store, sentence: str, budget: int, strategy: str
    ) -> None:
        session = by_hand.sessions.create(max_tokens=budget).id
        for number in range(200):
            by_hand.messages.append(session, ("user", "assistant")[number % 2], sentence.format(number))
        by_hand.memory.compact(session)
        context = by_hand.contexts.build(session, strategy=strategy)
        assert sum(item.kind == "summary" for item in context.items) >= 2


class TestUnits:
    def test_a_call_goes_with_its_result(self, by_hand: wilk.Store) -> None:
        session = by_hand.sessions.create().id
        fill(by_hand, session, 2)
        by_hand.messages.extend(session, [CALL, {"role": "user", "text": "well?", "tokens": 10}, RESULT])
        by_hand.messages.append(session, "user", "thanks", tokens=10)
        by_hand.memory.compact(session, last=4)
        assert live(by_hand, session) == [3, 4, 5, 6]
        by_hand.memory.compact(session, last=5)
        assert live(by_hand, session) == [6]

    def test_a_tool_message_follows_the_one_before(self, by_hand: wilk.Store) -> None:
        session = by_hand.sessions.create().id
        fill(by_hand, session, 2)
        by_hand.messages.extend(session, [{"role": "tool", "text": "1"}, {"role": "tool", "text": "2"}])
        by_hand.messages.append(session, "user", "thanks")
        by_hand.memory.compact(session, last=3)
        assert live(by_hand, session) == [2, 3, 4, 5]

    def test_a_call_that_may_still_be_answered_stays(self, by_hand: wilk.Store) -> None:
        session = by_hand.sessions.create().id
        fill(by_hand, session, 3)
        other = {"role": "assistant", "text": "while I look", "tokens": 10}
        by_hand.messages.extend(session, [CALL, other, other])
        by_hand.memory.compact(session, keep_messages=1)
        assert live(by_hand, session) == [4, 5, 6]

    def test_no_place_parts_a_call_from_its_result(self) -> None:
        @given(
            st.lists(
                st.tuples(
                    st.sampled_from(["user", "assistant", "tool", "system"]),
                    st.sampled_from(["", "call", "result"]),
                    st.sampled_from("abc"),
                ),
                max_size=20,
            )
        )
        def law(shapes: list[tuple[str, str, str]]) -> None:
            from wilk.context.units import Links

            lines = [
                Line(
                    i,
                    role,
                    1,
                    Links(frozenset(id if kind == "call" else ""), frozenset(id if kind == "result" else "")),
                )
                for i, (role, kind, id) in enumerate(shapes, 1)
            ]
            for place in places(lines, leading(lines)):
                before, after = lines[: place + 1], lines[place + 1 :]
                assert after
                assert after[0].role != "tool"
                called = {id: i for i, line in enumerate(lines) for id in line.links.calls if i <= place}
                for i, line in enumerate(after, place + 1):
                    for id in line.links.results:
                        again = any(id in other.links.calls for other in lines[place + 1 : i + 1])
                        assert id not in called or again
                assert len(before) > leading(lines)

        law()


class TestReading:
    """What is read after compaction is what was read before."""

    def everything(self, store: wilk.Store, session: str) -> list[Any]:
        ids = [message.id for message in store.messages.page(session, limit=1000)]
        return [
            *[store.messages.last(session, n) for n in (0, 1, 3, 7, 21, 50)],
            *[store.messages.page(session, after=n, limit=m) for n in range(-1, 23) for m in (1, 4, 100)],
            *[
                store.messages.page(session, before=n, limit=m)
                for n in (-1, *range(24), 99)
                for m in (1, 4, 100)
            ],
            [store.messages.get(id) for id in ids],
            store.messages.count(session),
        ]

    @pytest.mark.parametrize("last", [2, 3, 9, 20])
    def test_is_the_same(self, by_hand: wilk.Store, talk: str, last: int) -> None:
        before = self.everything(by_hand, talk)
        by_hand.memory.compact(talk, last=last)
        assert self.everything(by_hand, talk) == before

    def test_is_the_same_with_two_parts_and_live_ones_in_between(
        self, by_hand: wilk.Store, talk: str
    ) -> None:
        before = self.everything(by_hand, talk)
        by_hand.memory.compact(talk, last=4)
        first = by_hand.memory.compact(talk, last=8)
        by_hand.memory.compact(talk, last=14)
        assert first is not None
        by_hand.memory.uncompact(talk, summary=first.id)
        assert len(live(by_hand, talk)) == 12
        assert self.everything(by_hand, talk) == before

    def test_is_the_same_when_one_of_them_was_restored_by_itself(
        self, by_hand: wilk.Store, talk: str
    ) -> None:
        before = self.everything(by_hand, talk)
        by_hand.memory.compact(talk, last=9)
        entry = next(one for one in by_hand.archive.list(kind="message") if one.position == 5)
        by_hand._archiver.restore(entry.id)
        assert self.everything(by_hand, talk) == before
        by_hand.memory.uncompact(talk)
        assert self.everything(by_hand, talk) == before

    def test_is_the_same_when_text_and_metadata_are_hard_to_keep(self, by_hand: wilk.Store) -> None:
        session = by_hand.sessions.create().id
        by_hand.messages.append(
            session, "user", "NUL \0 and \ud800", parts=[float("inf"), {"$wilk": "\0"}], metadata={"k": 2**70}
        )
        before = by_hand.messages.append(session, "user", "newest"), by_hand.messages.page(session)
        by_hand.memory.compact(session, last=1)
        assert by_hand.messages.page(session) == before[1]

    def test_a_key_is_known_still(self, by_hand: wilk.Store, talk: str) -> None:
        before = by_hand.messages.page(talk, after=2, limit=1)[0]
        by_hand.memory.compact(talk, last=9)
        again = by_hand.messages.append(talk, "assistant", SENTENCE.format(1), key="k1")
        assert again == before
        with pytest.raises(wilk.Conflict, match="was used for another message"):
            by_hand.messages.append(talk, "assistant", "other content", key="k1")
        assert by_hand.messages.count(talk) == 21

    def test_an_id_is_taken_still(self, by_hand: wilk.Store, talk: str) -> None:
        id = by_hand.messages.page(talk, after=2, limit=1)[0].id
        by_hand.memory.compact(talk, last=9)
        with pytest.raises(wilk.Conflict, match="there is a message"):
            by_hand.messages.append(talk, "user", "x", id=id)
        with pytest.raises(wilk.Conflict, match="there is a message"):
            by_hand.messages.extend(talk, [{"role": "user", "id": id}])

    def test_search_finds_live_messages_only(self, by_hand: wilk.Store, talk: str) -> None:
        assert by_hand.messages.search("number 1 wolf")
        by_hand.memory.compact(talk, keep_messages=1)
        assert [hit.message.sequence for hit in by_hand.messages.search("wolf river")] == [21]

    def test_a_removed_session_is_gone_with_what_was_compacted(self, by_hand: wilk.Store, talk: str) -> None:
        id = by_hand.messages.page(talk, after=2, limit=1)[0].id
        by_hand.memory.compact(talk, last=9)
        by_hand.sessions.remove(talk)
        assert by_hand.messages.find(id) is None
        with pytest.raises(wilk.NotFound):
            by_hand.messages.page(talk)

    def test_a_new_session_of_the_same_id_has_none_of_it(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.memory.compact(talk, last=9)
        by_hand.sessions.remove(talk)
        by_hand.sessions.create(id=talk)
        assert by_hand.messages.last(talk) == []
        assert by_hand.messages.append(talk, "user", "x", key="k1").sequence == 1

    def test_a_restored_session_has_all_of_it(self, by_hand: wilk.Store, talk: str) -> None:
        before = by_hand.messages.page(talk)
        by_hand.memory.compact(talk, last=9)
        by_hand.sessions.remove(talk)
        by_hand._archiver.restore(session=talk)
        assert by_hand.messages.page(talk) == before

    def test_a_fork_has_all_of_it_live(self, by_hand: wilk.Store, talk: str) -> None:
        texts = [message.text for message in by_hand.messages.page(talk)]
        tokens = by_hand.sessions.get(talk).token_count
        by_hand.memory.compact(talk, last=9)
        fork = by_hand.sessions.fork(talk)
        assert (fork.message_count, fork.token_count) == (21, tokens)
        assert live(by_hand, fork.id) == list(range(1, 22))
        assert [message.text for message in by_hand.messages.page(fork.id)] == texts

    @pytest.mark.parametrize("first", ["system", "user"])
    def test_is_the_same_when_retention_took_what_was_live(self, by_hand: wilk.Store, first: str) -> None:
        session = by_hand.sessions.create().id
        by_hand.messages.append(session, first, "Howl.")
        fill(by_hand, session, 9)
        wanted = by_hand.messages.page(session, limit=7)
        by_hand.memory.compact(session, last=7)
        by_hand.retention.run({"message": {"count": 0}})
        assert by_hand.messages.page(session) == wanted
        assert by_hand.messages.page(session, after=3) == wanted[3:]
        assert by_hand.messages.last(session, 1) == wanted[-1:]
        assert by_hand.messages.last(session, 99) == wanted
        assert [one.text for one in by_hand.messages.page(by_hand.sessions.fork(session).id)] == [
            one.text for one in wanted
        ]

    def test_a_fork_up_to_a_compacted_message_ends_there(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.memory.compact(talk, last=9)
        fork = by_hand.sessions.fork(talk, at=5)
        assert live(by_hand, fork.id) == [1, 2, 3, 4, 5]

    def test_a_fork_has_the_pins_and_the_working_memory(self, by_hand: wilk.Store, talk: str) -> None:
        second, tenth = (by_hand.messages.page(talk, after=n, limit=1)[0].id for n in (1, 9))
        by_hand.pins.add(talk, "of no message")
        by_hand.pins.add(talk, "of the second", source=second)
        by_hand.pins.add(talk, "of the tenth", source=tenth)
        by_hand.blocks.set("plan", "howl", session=talk)
        by_hand.memory.compact(talk, last=9)
        fork = by_hand.sessions.fork(talk, at=5).id
        pins = {pin.content: pin.source_message_id for pin in by_hand.pins.list(fork)}
        assert pins == {"of no message": None, "of the second": by_hand.messages.page(fork, after=1)[0].id}
        assert by_hand.blocks.get("plan", session=fork).value == "howl"


class TestUncompact:
    def test_brings_every_row_back_as_it_was(self, by_hand: wilk.Store, talk: str) -> None:
        before = tables(by_hand)
        by_hand.memory.compact(talk)
        assert tables(by_hand) != before
        by_hand.memory.uncompact(talk)
        assert tables(by_hand) == before

    def test_archives_the_summaries(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.memory.compact(talk)
        undone = by_hand.memory.uncompact(talk)
        assert len(undone) == 2
        assert by_hand.summaries.list(talk) == []
        assert {one.reason for one in by_hand.archive.list(kind="summary")} == {"uncompacted"}

    def test_takes_one_summary(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.memory.compact(talk)
        first, second = by_hand.summaries.list(talk)
        by_hand.memory.uncompact(talk, summary=first.id)
        assert by_hand.summaries.list(talk) == [second]
        assert live(by_hand, talk) == [*range(1, 11), 20, 21]

    def test_refuses_a_summary_that_is_not_compacted_or_not_of_the_session(
        self, by_hand: wilk.Store, talk: str
    ) -> None:
        summary = by_hand.summaries.add(talk, last=3)
        with pytest.raises(wilk.Conflict, match="not archived"):
            by_hand.memory.uncompact(talk, summary=summary.id)
        with pytest.raises(wilk.NotFound):
            by_hand.memory.uncompact(by_hand.sessions.create().id, summary=summary.id)

    def test_of_a_session_without_any_does_nothing(self, by_hand: wilk.Store, talk: str) -> None:
        assert by_hand.memory.uncompact(talk) == []


class TestByItself:
    @pytest.fixture
    def auto(self, home: Path, _new_database: Path) -> Iterator[Open]:
        stores: list[wilk.Store] = []

        def open_one(*plugins: object, **settings: Any) -> wilk.Store:
            stores.append(opened(home, *plugins, **settings))
            return stores[-1]

        yield open_one
        for store in stores:
            store.close()

    def test_a_session_over_its_budget_is_compacted(self, auto: Open) -> None:
        store = auto()
        session = store.sessions.create(max_tokens=100).id
        fill(store, session, 11)
        assert store.settle()
        assert live(store, session) == [9, 10, 11]
        assert not store.memory.needs_compaction(session)

    def test_a_session_within_three_quarters_of_its_budget_is_left_alone(self, auto: Open) -> None:
        store = auto()
        session = store.sessions.create(max_tokens=100).id
        fill(store, session, 5)  # of fourteen tokens each, with what a message costs beyond its text
        assert store.settle()
        assert store.summaries.list(session) == []

    @pytest.mark.parametrize("text", ["Short turn {}.", "{}"], ids=["short", "a word"])
    def test_no_turn_leaves_a_context_before_a_summary_stands_for_it(self, auto: Open, text: str) -> None:
        store = auto()
        session = store.sessions.create(max_tokens=400).id
        for number in range(200):
            store.messages.append(session, ("user", "assistant")[number % 2], text.format(number))
            assert store.settle()
            for strategy in ("summarize", "hybrid"):
                left_out = store.contexts.build(session, strategy=strategy).left_out
                parted = [one for one in left_out if one.kind == "message" and one.rule != rules.SUMMARIZED]
                covered = max((one.last_sequence for one in store.summaries.list(session)), default=0)
                assert all((one.last or 0) <= covered for one in parted), (number, strategy, parted)

    def test_so_is_one_whose_append_was_rolled_back(self, auto: Open) -> None:
        store = auto()
        session = store.sessions.create(max_tokens=100).id
        with pytest.raises(ZeroDivisionError), store.transaction():
            fill(store, session, 30)
            raise ZeroDivisionError
        assert store.settle()
        assert store.messages.count(session) == 0

    def test_closing_finishes_what_is_due(self, auto: Open) -> None:
        with auto() as store:
            session = store.sessions.create(max_tokens=100).id
            fill(store, session, 11)
        assert auto().summaries.list(session)

    def test_a_session_over_a_number_of_messages_is_compacted(self, auto: Open) -> None:
        store = auto(compact_messages=20)
        session = store.sessions.create().id
        for _ in range(3):
            fill_more(store, session, 7)
            assert store.settle()
        assert len(live(store, session)) == 10
        fill_more(store, session, 10)
        assert store.settle()
        assert len(live(store, session)) == 20
        fill_more(store, session, 1)
        assert store.settle()
        assert len(live(store, session)) == 10
        assert store.messages.count(session) == 32

    def test_the_strategy_discard_forbids_it(self, auto: Open) -> None:
        store = auto()
        session = store.sessions.create(max_tokens=100, context_strategy="discard").id
        fill(store, session, 30)
        assert store.settle()
        assert store.summaries.list(session) == []

    def test_so_does_the_setting_manual(self, by_hand: wilk.Store, talk: str) -> None:
        assert by_hand.settle()
        assert by_hand.summaries.list(talk) == []
        assert by_hand.memory.needs_compaction(talk)

    def test_the_setting_summarize_leaves_messages_where_they_are(self, auto: Open) -> None:
        store = auto(compaction="summarize")
        session = store.sessions.create(max_tokens=100).id
        for _ in range(30):
            fill_more(store, session, 1)
            assert store.settle()
        assert len(live(store, session)) == 30
        found = store.summaries.list(session)
        assert [(one.first_sequence, one.last_sequence) for one in found] == [
            (first, first + 2) for first in range(1, 27, 3)
        ]

    @pytest.mark.parametrize("limit", [{"max_tokens": 100}, {"compact_messages": 10}])
    def test_a_look_costs_no_more_with_more_summaries(
        self, auto: Open, limit: dict[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = auto(compaction="summarize", **limit)
        session = store.sessions.create().id
        costs = []
        for messages in (40, 200):
            for _ in range(messages):
                store.messages.append(session, "user", SENTENCE, tokens=10)
            assert store.settle()
            with counted(store, monkeypatch) as statements:
                store.memory.needs_compaction(session)
            costs.append(len(statements))
        assert costs[0] == costs[1]

    def test_a_prompt_over_the_budget_does_not_make_a_summary_per_message(self, auto: Open) -> None:
        store = auto()
        session = store.sessions.create(max_tokens=300).id  # an eighth is six of these messages
        store.messages.append(session, "system", "Be a wolf.", tokens=500)
        for _ in range(20):
            fill_more(store, session, 1, tokens=2)
            assert store.settle()
        assert len(store.summaries.list(session)) <= 4

    def test_a_failure_is_logged_and_not_raised(self, auto: Open, caplog: pytest.LogCaptureFixture) -> None:
        class Refusing:
            @wilk.hookimpl
            def before_save(self, kind: str) -> None:
                if kind == "summary":
                    raise wilk.Rejected("no summaries here")

        store = auto(Refusing())
        session = store.sessions.create(max_tokens=100).id
        with caplog.at_level(logging.ERROR, "wilk.worker"):
            fill(store, session, 11)
            assert store.settle()
        assert "no summaries here" in caplog.text
        assert len(live(store, session)) == 11

    def test_a_slow_summarizer_does_not_hold_up_writers(self, auto: Open) -> None:
        begun, free = threading.Event(), threading.Event()

        class Slow:
            @wilk.hookimpl
            def summarize(self) -> None:
                begun.set()
                assert free.wait(30)

        store = auto(Slow(), timeout=5.0)
        session = store.sessions.create(max_tokens=100).id
        fill(store, session, 11)
        assert begun.wait(30)
        store.messages.append(session, "user", "more", tokens=10)
        free.set()
        assert store.settle()
        assert store.messages.count(session) == 12
        assert len(store.summaries.list(session)) == 1

    def test_messages_that_came_back_meanwhile_are_archived_as_well(self, auto: Open) -> None:
        class Undoing:
            @wilk.hookimpl
            def summarize(self, store: wilk.Store, messages: Any) -> None:
                if first is not None and messages[0].sequence == 7:
                    store.memory.uncompact(session)

        first = None
        store = auto(Undoing(), compaction="manual")
        session = store.sessions.create().id
        fill(store, session, 20)
        first = store.memory.compact(session, last=6)
        store.memory.compact(session, last=12)
        assert live(store, session) == list(range(13, 21))

    def test_two_at_once_make_one_summary(self, auto: Open, home: Path) -> None:
        both = threading.Barrier(2, timeout=30)

        class Meeting:
            met = False

            @wilk.hookimpl
            def summarize(self) -> None:
                if not self.met:
                    self.met = True
                    both.wait()

        first = auto(Meeting(), compaction="manual")
        session = first.sessions.create().id
        fill(first, session, 12)
        second = auto(Meeting(), compaction="manual")
        threads = [
            threading.Thread(target=lambda store=store: store.memory.compact(session, keep_messages=4))
            for store in (first, second)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [(one.first_sequence, one.last_sequence) for one in first.summaries.list(session)] == [(1, 8)]
        assert live(first, session) == [9, 10, 11, 12]


def fill_more(store: wilk.Store, session: str, n: int, *, tokens: int = 10) -> None:
    for _ in range(n):
        store.messages.append(session, "user", SENTENCE.format(n), tokens=tokens)


class TestScores:
    class Scoring:
        score = 0.9

        @wilk.hookimpl
        def score_importance(self, text: str) -> float | None:
            return self.score if "moon" in text else None

    def test_rescore_takes_the_scorer_in_use(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.messages.append(talk, "user", "Why?", importance=0.1)
        assert by_hand.memory.rescore(talk) == 1
        assert by_hand.messages.last(talk, 1)[0].importance == 0.8
        assert by_hand.memory.rescore(talk) == 0

    def test_compaction_scores_by_a_plugin_what_stays_and_undoing_takes_it_back(self, home: Path) -> None:
        with opened(home, compaction="manual") as store:
            session = store.sessions.create().id
            fill(store, session, 6)
            store.messages.append(session, "user", "the moon", importance=0.2)
        with opened(home, self.Scoring(), compaction="manual") as store:
            before = tables(store)
            store.memory.compact(session, keep_messages=3)
            assert [message.importance for message in store.messages.last(session, 3)] == [0.9, 0.9, 0.2]
            store.memory.uncompact(session)
            assert tables(store) == before

    @pytest.mark.parametrize("one_by_one", [False, True])
    def test_are_as_they_were_once_all_summaries_are_undone(self, home: Path, one_by_one: bool) -> None:
        with opened(home, compaction="manual") as store:
            session = store.sessions.create().id
            fill(store, session, 20)
        with opened(home, self.Scoring(), compaction="manual") as store:
            before = tables(store)
            made = [store.memory.compact(session, last=last) for last in (6, 12, 16)]
            for one in made if one_by_one else [None]:
                store.memory.uncompact(session, summary=one and one.id)
            assert tables(store) == before


class TestStatus:
    def test_tells_how_a_session_stands(self, by_hand: wilk.Store, talk: str) -> None:
        by_hand.memory.compact(talk)
        status = by_hand.memory.status(talk)
        assert (status.messages, status.live_messages, status.compacted_messages) == (21, 3, 18)
        assert (status.live_tokens, status.max_tokens, status.summaries) == (30, 100, 2)
        assert (status.summarized_to, status.needs_compaction) == (19, False)
        assert status.summary_tokens == sum(one.tokens for one in by_hand.summaries.list(talk))


# -- laws -------------------------------------------------------------------------------------


class Lives(RuleBasedStateMachine):
    """Whatever is appended, compacted and undone in whatever order, what is read is what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.store = opened_in_memory()
        self.session = self.store.sessions.create(max_tokens=60).id
        self.other = self.store.sessions.create(max_tokens=60).id
        self.written: list[Any] = []

    def teardown(self) -> None:
        self.store.close()

    @initialize(prompt=st.integers(0, 2))
    def begin(self, prompt: int) -> None:
        for _ in range(prompt):
            self.written.append(self.store.messages.append(self.session, "system", "Be a wolf.", tokens=5))

    @rule(
        role=st.sampled_from(["user", "assistant", "tool", "system"]),
        text=st.sampled_from(["", "Why does the wolf howl?", "Because of the moon. " * 9]),
        call=st.sampled_from([None, "a", "b"]),
        kind=st.sampled_from(["tool_use", "tool_result"]),
        n=st.integers(1, 5),
    )
    def append(self, role: str, text: str, call: str | None, kind: str, n: int) -> None:
        name = "id" if kind == "tool_use" else "tool_use_id"
        parts = None if call is None else [{"type": kind, name: call}]
        for _ in range(n):
            key = f"k{len(self.written)}"
            self.written.append(
                self.store.messages.append(self.session, role, text, parts=parts, tokens=7, key=key)
            )
        self.store.messages.append(self.other, "user", "elsewhere")

    @rule(
        options=st.fixed_dictionaries(
            {},
            optional={
                "keep_tokens": st.integers(0, 80),
                "keep_messages": st.integers(0, 12),
                "last": st.integers(0, 60),
                "archive": st.booleans(),
            },
        )
    )
    def compact(self, options: dict[str, Any]) -> None:
        self.store.memory.compact(self.session, **options)

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        begin, end = self.store._summarizing.free(self.session, len(self.written))
        if begin <= end:
            self.store.summaries.add(self.session, last=data.draw(st.integers(begin, end)))

    @rule(data=st.data())
    def uncompact(self, data: st.DataObject) -> None:
        found = [one.id for one in self.store.summaries.list(self.session) if one.compacted]
        self.store.memory.uncompact(self.session, summary=data.draw(st.sampled_from([None, *found])))

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        found = [one.id for one in self.store.summaries.list(self.session) if not one.compacted]
        if found:
            self.store.summaries.remove(data.draw(st.sampled_from(found)))

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        one = data.draw(
            st.sampled_from([message for message in self.written if message.idempotency_key] or [None])
        )
        if one is not None:
            again = self.store.messages.append(
                self.session, one.role, one.text, parts=one.parts, key=one.idempotency_key
            )
            assert again == one

    @invariant()
    def what_is_read_is_what_was_written(self) -> None:
        read = self.store.messages
        assert read.page(self.session, limit=1000) == self.written
        assert read.last(self.session, 3) == self.written[-3:]
        middle = len(self.written) // 2
        assert read.page(self.session, before=middle, limit=4) == self.written[: max(0, middle - 1)][-4:]
        assert read.count(self.session) == len(self.written)

    @invariant()
    def ranges_lie_side_by_side_and_come_from_raw_messages(self) -> None:
        before = 0
        for one in self.store.summaries.list(self.session):
            assert before < one.first_sequence <= one.last_sequence
            before = one.last_sequence
            raw = self.written[one.first_sequence - 1 : one.last_sequence]
            assert one.content_hash == hash_of(raw)
            assert one.message_count == len(raw)

    @invariant()
    def tokens_are_those_of_live_messages(self) -> None:
        session = self.store.sessions.get(self.session)
        rows = self.store._engine.execute(
            "SELECT COALESCE(SUM(tokens), 0) FROM messages WHERE session_id = ?", (self.session,)
        )
        assert session.token_count == rows[0][0]

    @invariant()
    def undoing_all_of_it_gives_the_rows_as_they_were_written(self) -> None:
        class Undone(Exception):
            pass

        with pytest.raises(Undone), self.store.transaction():
            self.store.memory.uncompact(self.session)
            assert live(self.store, self.session) == [message.sequence for message in self.written]
            raise Undone


def opened_in_memory() -> wilk.Store:
    settings = wilk.Settings(url="sqlite:///:memory:", compaction="manual")
    return wilk.open_store(settings=settings, host=Host(disabled=("wilk-audit", "wilk-tokens")))


TestLives = Lives.TestCase
TestLives.settings = hypothesis_settings(
    max_examples=40, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


@given(
    prompt=st.integers(0, 3),
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=25),
    keeps=st.lists(st.integers(0, 200), min_size=1, max_size=3),
)
@hypothesis_settings(max_examples=40)
def test_compaction_and_its_undoing_change_no_row(prompt: int, sizes: list[int], keeps: list[int]) -> None:
    with opened_in_memory() as store:
        session = store.sessions.create(max_tokens=100).id
        for _ in range(prompt):
            store.messages.append(session, "system", "Be a wolf.", tokens=3)
        for i, tokens in enumerate(sizes):
            store.messages.append(session, "user", SENTENCE.format(i), tokens=tokens)
        before = tables(store)
        for keep in sorted(keeps, reverse=True):
            store.memory.compact(session, keep_tokens=keep)
        store.memory.uncompact(session)
        assert tables(store) == before
