"""Contexts: what goes in under a budget, in which order, by which rule, and what stays out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

import wilk
from wilk import hookimpl, models
from wilk.context.packing import OVERHEAD
from wilk.records.context import Context

pytestmark = pytest.mark.backends

Plugged = Callable[..., wilk.Store]


class Letters:
    """A tokenizer that counts characters, so that budgets can be read off the texts."""

    @hookimpl
    def register_tokenizers(self) -> Any:
        yield wilk.Tokenizer(name="letters", count=lambda text, model: len(text))


@pytest.fixture
def letters(plugged: Plugged) -> wilk.Store:
    return plugged(Letters())


def talk(store: wilk.Store, n: int, **options: Any) -> str:
    """A session of n messages of six letters each: ten tokens with what a message costs."""
    session = store.sessions.create(**options).id
    store.messages.extend(
        session,
        [
            {"role": "assistant" if i % 2 else "user", "text": f"m{i:05}", "importance": 0.5}
            for i in range(1, n + 1)
        ],
    )
    return session


def add(store: wilk.Store, model: Any, **values: Any) -> str:
    id = values.setdefault("id", store._engine.clock.new_id())
    now = store._engine.clock.now()
    values = {"created_at": now, **({"updated_at": now} if hasattr(model, "updated_at") else {}), **values}
    with store.transaction():
        store._engine.run(model.insert(values))
    return id


def summary(
    store: wilk.Store, session: str, first: int, last: int, text: str, importance: float = 0.5
) -> str:
    return add(
        store, models.Summary, session=session, first_sequence=first, last_sequence=last,
        message_count=last - first + 1, text=text, tokens=1, importance=importance, method="given",
        compacted=False, content_hash="",
    )  # fmt: skip


def pin(store: wilk.Store, session: str, content: str, importance: float = 0.5) -> str:
    return add(store, models.Pin, session=session, content=content, type="code", importance=importance)


def block(store: wilk.Store, kind: str, owner: str, label: str, value: str) -> str:
    return add(
        store, models.Block, owner_kind=kind, owner_id=owner, label=label, value=value, max_tokens=100,
        read_only=False,
    )  # fmt: skip


def sequences(context: Context) -> list[int | None]:
    return [item.first for item in context.items if item.kind == "message"]


def why(context: Context, sequence: int) -> str:
    """The rule that kept a message out."""
    (one,) = [
        one for one in context.left_out
        if one.kind == "message" and one.first is not None and one.first <= sequence <= (one.last or 0)
    ]  # fmt: skip
    return one.rule


class TestTheBudget:
    def test_is_the_sessions_unless_another_is_given(self, letters: wilk.Store) -> None:
        session = talk(letters, 9, max_tokens=40, context_strategy="discard")
        assert sequences(letters.contexts.build(session)) == [6, 7, 8, 9]
        assert sequences(letters.contexts.build(session, max_tokens=29)) == [8, 9]

    def test_is_counted_again_whatever_is_kept_with_a_message(self, letters: wilk.Store) -> None:
        session = letters.sessions.create(max_tokens=100, context_strategy="discard").id
        letters.messages.append(session, "user", "x" * 90, tokens=1)
        letters.messages.append(session, "user", "y" * 50, tokens=1)
        assert sequences(letters.contexts.build(session)) == [2]

    def test_counts_parts_and_calls_as_json(self, letters: wilk.Store) -> None:
        session = letters.sessions.create().id
        letters.messages.append(
            session, "assistant", "hi", parts=[{"a": 1}], metadata={"tool_calls": [{"id": "x"}]}
        )
        context = letters.contexts.build(session)
        assert context.total_tokens == OVERHEAD + 2 + len('[{"a":1}]') + len('{"tool_calls":[{"id":"x"}]}')

    def test_is_counted_for_the_model(self, plugged: Plugged) -> None:
        class Two:
            @hookimpl
            def register_tokenizers(self) -> Any:
                yield wilk.Tokenizer(name="two", count=lambda text, model: 100 if model == "big" else 1)

        store = plugged(Two())
        session = talk(store, 1, model="small")
        assert store.contexts.build(session).total_tokens == 1 + OVERHEAD
        assert store.contexts.build(session, model="big").total_tokens == 100 + OVERHEAD

    @pytest.mark.parametrize("tokens", [0, -1, 1.5, True, "9"])
    def test_is_a_whole_number_from_1(self, store: wilk.Store, session: str, tokens: Any) -> None:
        with pytest.raises(wilk.Invalid, match="max_tokens"):
            store.contexts.build(session, max_tokens=tokens)

    def test_that_floors_exceed_is_told_part_by_part(self, letters: wilk.Store) -> None:
        session = talk(letters, 3)
        pin(letters, session, "x" * 30)
        with pytest.raises(wilk.OverBudget) as caught:
            letters.contexts.build(session, max_tokens=60, system="be brief")
        assert str(caught.value) == (
            "what the context must hold takes 71 tokens and max_tokens is 60: system prompt 12, pins 49, "
            "newest turn 10; raise max_tokens, or shorten what is too long"
        )

    def test_of_an_unknown_session_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no session 'x'"):
            store.contexts.build("x")

    def test_of_an_empty_session_holds_the_floors(self, store: wilk.Store, session: str) -> None:
        assert store.contexts.build(session).messages == []
        assert store.contexts.build(session, system="hi").messages == [{"role": "system", "content": "hi"}]


class TestTheFloors:
    def test_come_in_order_system_blocks_pins_summaries_messages(self, letters: wilk.Store) -> None:
        session = talk(letters, 4)
        summary(letters, session, 1, 2, "S")
        pin(letters, session, "P")
        block(letters, "session", session, "task", "B")
        context = letters.contexts.build(session, system="X", strategy="summarize")
        assert [item.text for item in context.items] == [
            "X", "Working memory (task):\nB", "Pinned (code): P", "Summary of messages 1-2: S", "m00003", "m00004",
        ]  # fmt: skip
        assert [item.role for item in context.items] == ["system"] * 4 + ["assistant", "user"]

    def test_take_the_argument_then_the_persona_then_the_first_agent(self, store: wilk.Store) -> None:
        store.personas.save("p", {"name": "p", "prompt": "I am p"})
        model = {"provider": "openai", "name": "gpt-4"}
        store.agents.save("a", {"name": "a", "model": model, "prompts": {"system": "I am a"}})
        both = store.sessions.create(persona="p", agents=["a"]).id
        agent = store.sessions.create(agents=["a", "b"]).id
        assert store.contexts.build(both, system="I am I").items[0].text == "I am I"
        assert store.contexts.build(both).items[0][:2] == ("system", "p")
        assert store.contexts.build(both).items[0].text == "I am p"
        assert store.contexts.build(agent).items[0].text == "I am a"
        assert store.contexts.build(agent, system="").items == []

    def test_hold_the_leading_system_messages_and_no_later_ones(self, letters: wilk.Store) -> None:
        session = letters.sessions.create(context_strategy="discard").id
        for role in ("system", "developer", "user", "system", "user"):
            letters.messages.append(session, role, "m00000")
        context = letters.contexts.build(session, max_tokens=30)
        assert [(item.kind, item.first, item.rule) for item in context.items] == [
            ("system", 1, "leading"), ("system", 2, "leading"), ("message", 5, "newest"),
        ]  # fmt: skip

    def test_hold_the_working_memory_of_all_that_take_part(self, store: wilk.Store) -> None:
        store.users.save("u", name="U")
        session = store.sessions.create(user="u", agents=["a", "b"]).id
        for kind, owner in (("store", ""), ("user", "u"), ("agent", "b"), ("agent", "a"), ("session", session),
                            ("agent", "stranger"), ("user", "other")):  # fmt: skip
            block(store, kind, owner, kind, f"of {owner or 'all'}")
        block(store, "user", "u", "nothing", "")
        texts = [item.text.splitlines()[1] for item in store.contexts.build(session).items]
        assert texts == [f"of {session}", "of a", "of b", "of u", "of all"]

    def test_hold_all_pins_the_most_important_first_then_the_latest(
        self, store: wilk.Store, session: str
    ) -> None:
        for text, importance in (("old", 0.5), ("new", 0.5), ("top", 0.9)):
            pin(store, session, text, importance)
        pin(store, store.sessions.create().id, "of another session", 1.0)
        texts = [item.text for item in store.contexts.build(session).items]
        assert texts == ["Pinned (code): top", "Pinned (code): new", "Pinned (code): old"]

    def test_hold_the_newest_turn_whole(self, letters: wilk.Store) -> None:
        session = talk(letters, 2)
        letters.messages.append(session, "assistant", "", parts=[{"type": "tool_use", "id": "a"}])
        letters.messages.append(session, "tool", "x", parts=[{"type": "tool_result", "tool_use_id": "a"}])
        needed = sum(item.tokens for item in letters.contexts.build(session).items if item.rule == "newest")
        context = letters.contexts.build(session, max_tokens=needed)
        assert sequences(context) == [3, 4]
        with pytest.raises(wilk.OverBudget, match="newest turn"):
            letters.contexts.build(session, max_tokens=needed - 1)


class TestToolMessages:
    def test_are_sent_with_the_ids_that_pair_them(self, store: wilk.Store, session: str) -> None:
        calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        store.messages.append(session, "assistant", metadata={"tool_calls": calls, "model": "x"})
        store.messages.append(session, "tool", "found", metadata={"tool_call_id": "a"})
        store.messages.append(session, "user", "thanks")
        assert store.contexts.build(session).messages == [
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "content": "found", "tool_call_id": "a"},
            {"role": "user", "content": "thanks"},
        ]

    def test_that_lost_their_call_are_left_out_with_a_rule(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "tool", "x", parts=[{"type": "tool_result", "tool_use_id": "a"}])
        store.messages.append(session, "assistant", "", parts=[{"type": "tool_use", "id": "b"}])
        store.messages.append(session, "user", "go on")
        context = store.contexts.build(session)
        assert (sequences(context), why(context, 1), why(context, 2)) == (
            [3],
            "orphan_result",
            "call_unanswered",
        )


class TestDiscard:
    def test_takes_the_newest_that_fit_without_a_gap(self, letters: wilk.Store) -> None:
        session = letters.sessions.create().id
        for length in (1, 50, 6, 6):
            letters.messages.append(session, "user", "x" * length)
        context = letters.contexts.build(session, strategy="discard", max_tokens=60)
        assert sequences(context) == [3, 4]
        assert (why(context, 2), why(context, 1)) == ("no_room", "not_reached")

    def test_says_of_what_was_not_looked_at_how_much_it_is(self, letters: wilk.Store) -> None:
        context = letters.contexts.build(talk(letters, 100), strategy="discard", max_tokens=30)
        assert [(one.first, one.last, one.messages) for one in context.left_out] == [(1, 97, 97)]


class TestSummarize:
    def test_takes_summaries_by_importance_into_a_fifth_then_the_newest(self, letters: wilk.Store) -> None:
        session = talk(letters, 30)
        summary(letters, session, 1, 5, "a" * 10, 0.5)
        summary(letters, session, 6, 10, "b" * 10, 0.9)
        summary(letters, session, 11, 15, "c" * 10, 0.7)
        context = letters.contexts.build(session, strategy="summarize", max_tokens=440)
        taken = [item.text[-1] for item in context.items if item.kind == "summary"]
        assert taken == ["b", "c"]  # two in the fifth; the messages of the third are there themselves
        assert sequences(context) == [*range(1, 6), *range(16, 31)]

    def test_leaves_out_what_a_summary_stands_for(self, letters: wilk.Store) -> None:
        session = talk(letters, 20)
        summary(letters, session, 1, 10, "s")
        context = letters.contexts.build(session, strategy="summarize", max_tokens=500)
        assert sequences(context) == list(range(11, 21))
        assert why(context, 5) == "summarized"

    def test_takes_no_summary_of_messages_that_are_there(self, letters: wilk.Store) -> None:
        session = talk(letters, 4)
        summary(letters, session, 1, 2, "s" * 50)
        context = letters.contexts.build(session, strategy="summarize", max_tokens=300)
        assert sequences(context) == [1, 2, 3, 4]
        assert [(one.kind, one.rule) for one in context.left_out] == [("summary", "in_full")]

    def test_gives_what_is_left_to_more_summaries(self, letters: wilk.Store) -> None:
        session = talk(letters, 3)
        with letters.transaction():  # as compaction does it
            letters._archiver.remove(
                "message", models.Message.sequence <= 2, reason="consolidated_to_working"
            )
        summary(letters, session, 1, 2, "s" * 50)
        context = letters.contexts.build(session, strategy="summarize", max_tokens=120)
        assert [item.kind for item in context.items] == ["summary", "message"]
        assert (context.total_tokens, sequences(context)) == (10 + 79, [3])


class TestHybrid:
    def test_keeps_a_twentieth_free(self, letters: wilk.Store) -> None:
        context = letters.contexts.build(talk(letters, 300), strategy="hybrid", max_tokens=1000)
        assert context.total_tokens == 950

    def test_takes_older_messages_that_matter(self, letters: wilk.Store) -> None:
        session = talk(letters, 5)
        letters.messages.append(session, "user", "m00006", importance=0.8)
        letters.messages.append(session, "user", "m00007", importance=0.79)
        letters.messages.extend(session, [{"role": "user", "text": "m00000", "importance": 0.1}] * 93)
        context = letters.contexts.build(session, strategy="hybrid", max_tokens=200)
        assert (context.items[0].first, context.items[0].rule) == (6, "important")
        assert 7 not in sequences(context)

    def test_takes_no_more_of_them_than_three_tenths(self, letters: wilk.Store) -> None:
        session = letters.sessions.create().id
        letters.messages.extend(session, [{"role": "user", "text": "m00000", "importance": 0.9}] * 100)
        context = letters.contexts.build(session, strategy="hybrid", max_tokens=1000)
        by_rule = {
            rule: sum(i.tokens for i in context.items if i.rule == rule) for rule in ("important", "recent")
        }
        assert (by_rule["important"], by_rule["recent"]) == (300, 640)

    def test_takes_a_tool_exchange_that_matters_whole(self, letters: wilk.Store) -> None:
        session = talk(letters, 2)
        letters.messages.append(
            session, "assistant", "", parts=[{"type": "tool_use", "id": "a"}], importance=0.9
        )
        letters.messages.append(session, "tool", "x", parts=[{"type": "tool_result", "tool_use_id": "a"}])
        letters.messages.extend(session, [{"role": "user", "text": "m00000", "importance": 0.1}] * 100)
        context = letters.contexts.build(session, strategy="hybrid", max_tokens=500)
        assert sequences(context)[:2] == [3, 4]

    def test_finds_older_messages_of_this_session_by_the_query(self, letters: wilk.Store) -> None:
        session = talk(letters, 3)
        letters.messages.append(session, "user", "the whale is white")
        letters.messages.append(talk(letters, 1), "user", "the whale is blue")
        letters.messages.extend(session, [{"role": "user", "text": "m00000", "importance": 0.1}] * 100)
        without = letters.contexts.build(session, strategy="hybrid", max_tokens=200)
        context = letters.contexts.build(session, strategy="hybrid", max_tokens=200, query="whale")
        assert 4 not in sequences(without)
        assert [item.text for item in context.items if item.rule == "relevant"] == ["the whale is white"]

    def test_gives_shares_that_are_not_used_to_the_newest(self, letters: wilk.Store) -> None:
        context = letters.contexts.build(talk(letters, 100), strategy="hybrid", max_tokens=400)
        assert sequences(context) == list(range(63, 101))

    @pytest.mark.sqlite  # its planner
    def test_reads_what_matters_by_its_own_index(self, letters: wilk.Store) -> None:
        session = talk(letters, 3)
        letters.contexts.build(session, strategy="hybrid")
        sql = letters._engine._statements["contexts.important"].sql
        plan = letters._engine.execute(f"EXPLAIN QUERY PLAN {sql}", (session, 0, 9, 9))
        assert "0.8" in sql
        assert any("importance" in str(row) and "USING INDEX" in str(row) for row in plan), plan
        assert not any("TEMP B-TREE" in str(row) for row in plan), plan


class TestPluginsStrategies:
    def test_fill_a_context(self, plugged: Plugged) -> None:
        class Longest:
            @hookimpl
            def register_strategies(self) -> Any:
                yield wilk.Strategy("longest", self.fill)

            def fill(self, packing: Any) -> None:
                for unit in sorted(packing.recent(), key=lambda unit: -unit.tokens):
                    packing.take(unit, "the longest")

        store = plugged(Letters(), Longest())
        session = store.sessions.create(context_strategy="longest").id
        for length in (30, 1, 40, 2, 3):
            store.messages.append(session, "user", "x" * length)
        context = store.contexts.build(session, max_tokens=89)
        assert (context.strategy, sequences(context)) == ("longest", [1, 3, 5])

    def test_cannot_exceed_the_budget(self, plugged: Plugged) -> None:
        class Greedy:
            @hookimpl
            def register_strategies(self) -> Any:
                yield wilk.Strategy("greedy", self.fill)

            def fill(self, packing: Any) -> None:
                self.taken = [packing.take(unit, "all of it") for unit in packing.recent()]

        greedy = Greedy()
        store = plugged(Letters(), greedy)
        context = store.contexts.build(talk(store, 20), strategy="greedy", max_tokens=45)
        assert context.total_tokens == 40
        assert greedy.taken.count(True) == 3

    def test_cannot_bring_what_was_not_offered(self, plugged: Plugged) -> None:
        class Forger:
            @hookimpl
            def register_strategies(self) -> Any:
                yield wilk.Strategy("forger", self.fill)

            def fill(self, packing: Any) -> None:
                for unit in packing.recent():
                    packing.take(unit._replace(items=[unit.items[0]._replace(id="mine", tokens=0)]), "x")

        store = plugged(Forger())
        with pytest.raises(wilk.Invalid, match="was not offered"):
            store.contexts.build(talk(store, 3), strategy="forger")

    def test_take_a_unit_once(self, plugged: Plugged) -> None:
        class Twice:
            @hookimpl
            def register_strategies(self) -> Any:
                yield wilk.Strategy("twice", self.fill)

            def fill(self, packing: Any) -> None:
                unit = next(packing.recent())
                self.taken = [packing.take(unit, "once"), packing.take(unit, "again")]

        twice = Twice()
        store = plugged(Letters(), twice)
        assert store.contexts.build(talk(store, 3), strategy="twice").total_tokens == 20
        assert twice.taken == [True, False]

    def test_say_why_they_leave_something(self, plugged: Plugged) -> None:
        class Picky:
            @hookimpl
            def register_strategies(self) -> Any:
                yield wilk.Strategy("picky", self.fill)

            def fill(self, packing: Any) -> None:
                for unit in packing.recent():
                    packing.leave(unit, "it is not to my taste")

        store = plugged(Picky())
        context = store.contexts.build(talk(store, 3), strategy="picky")
        assert (sequences(context), why(context, 1)) == ([3], "it is not to my taste")

    def test_that_fail_are_named(self, plugged: Plugged) -> None:
        class Broken:
            @hookimpl
            def register_strategies(self) -> Any:
                yield wilk.Strategy("broken", lambda packing: 1 / 0)  # type: ignore[arg-type]

        store = plugged(Broken())
        with pytest.raises(wilk.PluginError, match="the strategy 'broken' failed: ZeroDivisionError"):
            store.contexts.build(talk(store, 1), strategy="broken")

    def test_that_nobody_offers_are_an_error_with_the_names_there_are(
        self, store: wilk.Store, session: str
    ) -> None:
        with pytest.raises(
            wilk.PluginError, match="no plugin offers the strategy 'x'; there is discard, hybrid, summarize"
        ):
            store.contexts.build(session, strategy="x")

    def test_are_names_that_sessions_take(self, plugged: Plugged) -> None:
        class Mine:
            @hookimpl
            def register_strategies(self) -> Any:
                yield wilk.Strategy("mine", lambda packing: None)

        store = plugged(Mine())
        session = store.sessions.create(context_strategy="mine")
        assert store.sessions.update(session.id, context_strategy="discard").context_strategy == "discard"
        with pytest.raises(wilk.Invalid, match="one of discard, summarize, hybrid, mine is wanted"):
            store.sessions.create(context_strategy="yours")


class TestReading:
    @pytest.mark.parametrize("strategy", ["discard", "summarize", "hybrid"])
    def test_takes_no_more_rows_than_the_budget_needs(
        self, letters: wilk.Store, monkeypatch: pytest.MonkeyPatch, strategy: str
    ) -> None:
        session = talk(letters, 100)
        read: list[int] = []
        walk = letters._engine.walk

        def counted(name: str, *arguments: Any) -> Any:
            for row in walk(name, *arguments):
                if name == "contexts.recent":
                    read.append(row[1])
                yield row

        monkeypatch.setattr(letters._engine, "walk", counted)
        context = letters.contexts.build(session, strategy=strategy, max_tokens=100)
        assert len(read) <= len(sequences(context)) + 1

    def test_works_on_a_readonly_store(self, store: wilk.Store) -> None:
        session = talk(store, 3)
        with wilk.open_store(readonly=True) as reader:
            assert sequences(reader.contexts.build(session)) == [1, 2, 3]
            with pytest.raises(wilk.ReadOnly):
                reader.contexts.build(session, manifest=True)

    def test_sees_what_the_own_transaction_wrote(self, store: wilk.Store, session: str) -> None:
        with store.transaction():
            store.messages.append(session, "user", "new")
            assert store.contexts.build(session).messages == [{"role": "user", "content": "new"}]

    def test_leaves_nothing_open_behind_an_error(self, store: wilk.Store) -> None:
        session = talk(store, 3)
        with pytest.raises(wilk.OverBudget):
            store.contexts.build(session, max_tokens=1)
        store.messages.append(session, "user", "still writable")

    def test_gives_back_every_code_point(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "a\0b\ud800", parts=[float("inf"), {"$wilk": 1}])
        (message,) = store.contexts.build(session).messages
        assert message == {"role": "user", "content": "a\0b\ud800", "parts": [float("inf"), {"$wilk": 1}]}

    def test_never_reads_the_archive(self, letters: wilk.Store) -> None:
        session = talk(letters, 4)
        with letters.transaction():
            letters._archiver.remove(
                "message", models.Message.sequence <= 2, reason="consolidated_to_working"
            )
        context = letters.contexts.build(session, strategy="hybrid", query="m00001")
        assert sequences(context) == [3, 4]


def test_statements_are_logged_without_what_they_say(
    store: wilk.Store, caplog: pytest.LogCaptureFixture
) -> None:
    session = talk(store, 1)
    with caplog.at_level(logging.DEBUG):
        store.contexts.build(session)
    assert "m00001" not in caplog.text
