"""Consolidation: interactions become memories, nothing is lost or doubled, and nobody's are mixed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk
from wilk import hookimpl
from wilk.host import Host
from wilk.services.keeping.archiver import Archiver

OWNERS = st.tuples(st.sampled_from([None, "u", "v"]), st.sampled_from([None, "a"]))


def fill(store: wilk.Store, count: int, **options: Any) -> list[str]:
    """Add interactions; return their ids."""
    return [store.interactions.add(f"question {n}", **options).id for n in range(count)]


def memories(store: wilk.Store, kind: str) -> list[Any]:
    return list(store.memories.list(kind=kind, oldest=True, limit=None))


def archived(store: wilk.Store, kind: str) -> list[str]:
    return [entry.record_id for entry in store.archive.list(kind=kind, limit=10_000)]


class TestSteps:
    def test_ten_interactions_become_one_working_memory(self, store: wilk.Store) -> None:
        ids = fill(store, 10)
        report = store.consolidation.run()
        (memory,) = memories(store, "working")
        assert memory.sources == ids
        assert (report.working, report.interactions) == ([memory.id], 10)
        assert store.interactions.list() == []
        assert {entry.reason for entry in store.archive.list()} == {"consolidated_to_working"}

    def test_what_was_restored_is_not_consolidated_again_while_its_memory_is_there(
        self, store: wilk.Store
    ) -> None:
        fill(store, 10)
        (memory,) = store.consolidation.run().working
        store.archive.restore(batch=memory)
        assert store.consolidation.run().working == []
        (step,) = [step for step in store.consolidation.plan() if step.step == "working"]
        assert (step.waiting, step.held, step.due) == (10, 10, 0)
        fill(store, 10)
        assert len(store.consolidation.run().working) == 1
        assert len(store.interactions.list()) == 10
        store.memories.remove(memory)
        assert len(store.consolidation.run().working) == 1

    def test_nor_when_that_memory_was_consolidated_itself(self, store: wilk.Store) -> None:
        fill(store, 50)
        report = store.consolidation.run()
        store.archive.restore(batch=report.working[0])
        assert store.consolidation.run() == ([], [], [], [], 0, 0)

    def test_nine_do_not(self, store: wilk.Store) -> None:
        fill(store, 9)
        assert store.consolidation.run() == ([], [], [], [], 0, 0)
        assert len(store.interactions.list()) == 9

    def test_the_oldest_go_first(self, store: wilk.Store) -> None:
        ids = [
            store.interactions.add(str(day), created_at=datetime(2026, 1, day, tzinfo=UTC)).id
            for day in (3, 1, 4, 2, 5)
        ]
        store.consolidation.run(interactions=2)
        assert [memory.sources for memory in memories(store, "working")] == [
            [ids[1], ids[3]],
            [ids[0], ids[2]],
        ]
        assert [one.id for one in store.interactions.list()] == [ids[4]]

    def test_five_working_memories_become_an_episodic_one(self, store: wilk.Store) -> None:
        fill(store, 50)
        report = store.consolidation.run()
        (episode,) = memories(store, "episodic")
        assert (episode.sources, report.episodic) == (report.working, [episode.id])
        assert len(report.working) == report.memories == 5
        assert memories(store, "working") == []
        assert {one.reason for one in store.archive.list(kind="memory")} == {"consolidated_to_episodic"}
        assert episode.data["interactions"] == 50

    def test_ten_sure_episodic_memories_become_a_semantic_one(self, store: wilk.Store) -> None:
        fill(store, 20, success=True)
        report = store.consolidation.run(interactions=1, working=2)
        (knowledge,) = memories(store, "semantic")
        assert (knowledge.sources, knowledge.confidence) == (report.episodic, 1.0)
        assert memories(store, "episodic") == []
        reasons = Counter(one.reason for one in store.archive.list(kind="memory"))
        assert reasons == {"consolidated_to_episodic": 20, "promoted_to_semantic": 10}

    def test_what_is_not_sure_enough_stays_episodic(self, store: wilk.Store) -> None:
        fill(store, 20, confidence=0.69)
        store.consolidation.run(interactions=1, working=2)
        assert (len(memories(store, "episodic")), memories(store, "semantic")) == (10, [])
        (step,) = [one for one in store.consolidation.plan() if one.step == "semantic"]
        assert (step.waiting, step.held, step.due) == (10, 10, 0)

    def test_the_least_confidence_is_enough(self, store: wilk.Store) -> None:
        fill(store, 100, confidence=0.7)
        store.consolidation.run(interactions=2, working=5)
        assert [memory.confidence for memory in memories(store, "semantic")] == [0.7]

    def test_a_session_can_be_taken_alone(self, store: wilk.Store) -> None:
        ids = fill(store, 2, session="s")
        fill(store, 2, session="t")
        store.consolidation.run(session="s", interactions=2)
        (memory,) = memories(store, "working")
        assert (memory.sources, memory.session_id) == (ids, "s")
        assert {one.session_id for one in store.interactions.list()} == {"t"}

    def test_a_memory_of_several_sessions_belongs_to_none(self, store: wilk.Store) -> None:
        for session in ("s", "t"):
            fill(store, 1, session=session)
        store.consolidation.run(interactions=2)
        assert [memory.session_id for memory in memories(store, "working")] == [None]

    def test_a_user_can_be_taken_alone(self, store: wilk.Store) -> None:
        fill(store, 2, user="u")
        fill(store, 2, user="v")
        store.consolidation.run(user="v", interactions=2)
        assert [memory.user_id for memory in memories(store, "working")] == ["v"]

    @pytest.mark.parametrize(
        "given", [{"interactions": 0}, {"working": -1}, {"episodic": 1.5}, {"min_confidence": 2}]
    )
    def test_a_bad_number_is_named(self, store: wilk.Store, given: dict[str, Any]) -> None:
        ((name, value),) = given.items()
        with pytest.raises(wilk.Invalid, match=f"^{name} {value}: "):
            store.consolidation.run(**given)
        with pytest.raises(wilk.Invalid, match=f"^{name} {value}: "):
            store.consolidation.plan(**given)


class TestLaws:
    @given(st.lists(st.tuples(OWNERS, st.sampled_from([None, "s", "t"])), max_size=40), st.integers(1, 7))
    @settings(max_examples=25)
    def test_every_interaction_is_live_or_in_one_working_memory_of_its_own_user(
        self, given: list[tuple[tuple[str | None, str | None], str | None]], size: int
    ) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            owner = {}
            for (user, agent), session in given:
                owner[store.interactions.add("q", user=user, agent=agent, session=session).id] = (user, agent)
            report = store.consolidation.run(interactions=size, working=1000)
            live = [one.id for one in store.interactions.list(limit=1000)]
            made = memories(store, "working")
            sources = [id for memory in made for id in memory.sources]
            assert sorted(live + sources) == sorted(owner)
            assert sorted(sources) == sorted(archived(store, "interaction"))
            for memory in made:
                assert len(memory.sources) == size
                assert {owner[id] for id in memory.sources} == {(memory.user_id, memory.agent_id)}
            assert all(count < size for count in Counter(owner[id] for id in live).values())
            assert (report.interactions, len(report.working)) == (len(sources), len(made))

    @given(st.lists(OWNERS, max_size=60), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
    @settings(max_examples=20)
    def test_every_interaction_is_below_exactly_one_memory_and_can_be_fetched_from_it(
        self, given: list[tuple[str | None, str | None]], one: int, two: int, three: int
    ) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            ids = [store.interactions.add("q", user=user, agent=agent).id for user, agent in given]
            store.consolidation.run(interactions=one, working=two, episodic=three, min_confidence=0.0)

            def below(memory_id: str) -> Iterator[str]:
                for entry in store.consolidation.sources(memory_id):
                    if entry.kind == "interaction":
                        yield entry.record_id
                    else:
                        yield from below(entry.record_id)

            found = [id for memory in store.memories.list(limit=None) for id in below(memory.id)]
            assert sorted(found + [one.id for one in store.interactions.list(limit=1000)]) == sorted(ids)

    @given(st.integers(0, 30), st.integers(1, 6))
    @settings(max_examples=15)
    def test_restoring_brings_every_interaction_back_as_it_was(self, count: int, size: int) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            for number in range(count):
                store.interactions.add(
                    f"q{number}",
                    tags=["x"],
                    confidence=number / 30,
                    actions=[{"action_type": "read"}] * (number % 3),
                )
            before = store.interactions.list(limit=100)
            actions = [store.interactions.actions(one.id) for one in before]
            for memory in store.consolidation.run(interactions=size, working=100).working:
                store.archive.restore(batch=memory)
            assert store.interactions.list(limit=100) == before
            assert [store.interactions.actions(one.id) for one in before] == actions

    @given(st.integers(0, 25), st.integers(1, 5), st.integers(1, 3))
    @settings(max_examples=15)
    def test_a_second_run_finds_nothing_to_do(self, count: int, one: int, two: int) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            fill(store, count, success=True)
            store.consolidation.run(interactions=one, working=two)
            assert not any(store.consolidation.run(interactions=one, working=two))
            assert not any(step.due for step in store.consolidation.plan(interactions=one, working=two))

    @given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans() | st.none()), min_size=1, max_size=12))
    @settings(max_examples=15)
    def test_the_same_interactions_give_the_same_words(self, given: list[tuple[str, bool | None]]) -> None:
        said = []
        for _ in range(2):
            with wilk.open_store(
                "sqlite:///:memory:", clock=wilk.Clock(lambda: 1_800_000_000_000_000)
            ) as store:
                for query, success in given:
                    store.interactions.add(query, success=success, actions=[{"action_type": query}] * 2)
                store.consolidation.run(interactions=len(given))
                said.append([(memory.content, memory.data) for memory in memories(store, "working")])
        assert said[0] == said[1]
        assert said[0]


class TestWhatIsSaid:
    def test_counts_and_the_users_own_words(self, store: wilk.Store) -> None:
        day = {"created_at": "2026-01-31T12:00:00Z"}
        for number in range(3):
            store.interactions.add(
                "How do I sort a list?", success=number > 0, tags=["python"], tokens_used=10, **day,
                actions=[{"action_type": "search"}, {"action_type": "answer"}],
            )  # fmt: skip
        store.interactions.add(
            "Use\n tabs " + "x" * 300, feedback_type="correction", user_feedback="tabs, not blanks", **day
        )
        store.consolidation.run(interactions=4)
        (memory,) = memories(store, "working")
        assert memory.content == (
            "4 interactions, 2026-01-31.\n"
            "Succeeded: 2 of 3.\n"
            "Asked:\n"
            "- How do I sort a list? (3 times)\n"
            f"- Use tabs {'x' * 150}…\n"
            "Corrected:\n"
            "- tabs, not blanks\n"
            "Actions: search (3 times), answer (3 times).\n"
            "Again and again: search > answer (3 times).\n"
            "Feedback: correction.\n"
            "Tags: python (3 times)."
        )
        assert memory.data["tokens"] == 30
        assert memory.tokens == store.count_tokens(memory.content)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({}, 0.5),
            ({"success": True}, 1.0),
            ({"success": False}, 0.0),
            ({"confidence": 0.4}, 0.4),
            ({"confidence": 0.5, "success": True}, 0.75),
            ({"feedback_type": "approval"}, 1.0),
            ({"feedback_type": "correction", "success": True}, 0.5),
            ({"feedback_type": "followup"}, 0.5),
        ],
    )
    def test_how_sure_it_is_follows_from_what_is_known(
        self, store: wilk.Store, given: dict[str, Any], expected: float
    ) -> None:
        fill(store, 2, **given)
        store.consolidation.run(interactions=2)
        assert [memory.confidence for memory in memories(store, "working")] == [expected]

    def test_knowledge_keeps_what_its_episodes_share(self, store: wilk.Store) -> None:
        for number in range(4):
            store.interactions.add("q", success=True, tags=["always", f"once {number}"])
        store.consolidation.run(interactions=1, working=1, episodic=4)
        (knowledge,) = memories(store, "semantic")
        assert knowledge.data["tags"] == {"always": 4}
        assert "4 episodic memories of 4 interactions" in knowledge.content

    def test_memories_that_were_noted_by_hand_are_taken_along(self, store: wilk.Store) -> None:
        for text in ("the user likes tea", "the user lives in Kraków"):
            store.memories.add(
                text, kind="working", data={"first": 5, "tags": "x"} if "tea" in text else None
            )
        store.consolidation.run(working=2)
        (episode,) = memories(store, "episodic")
        assert "lives in Kraków" in episode.content


class TestPatterns:
    def test_a_sequence_that_recurs_becomes_a_pattern(self, store: wilk.Store) -> None:
        steps = [{"action_type": name} for name in ("search", "read", "edit")]
        good = [store.interactions.add("q", actions=steps, success=True).id for _ in range(2)]
        bad = store.interactions.add("q", actions=[*steps, {"action_type": "undo"}], success=False).id
        report = store.consolidation.run(interactions=3)
        (pattern,) = store.patterns.list()
        assert (pattern.name, pattern.sequence) == ("search > read > edit", ["search", "read", "edit"])
        assert (pattern.frequency, pattern.sources, pattern.pattern_type) == (
            3,
            [*good, bad],
            "action_sequence",
        )
        assert pattern.confidence == pytest.approx((1 - 0.5 * 0.9**2) * 0.9)
        assert report.patterns == [pattern.id]

    def test_one_that_is_seen_again_is_counted_on(self, store: wilk.Store) -> None:
        steps = [{"action_type": "read"}, {"action_type": "edit"}]
        fill(store, 4, actions=steps)
        report = store.consolidation.run(interactions=2)
        (pattern,) = store.patterns.list()
        assert (pattern.frequency, len(report.patterns)) == (4, 1)

    def test_those_of_one_user_are_not_anothers(self, store: wilk.Store) -> None:
        steps = [{"action_type": "read"}, {"action_type": "edit"}]
        for user in ("u", "v"):
            fill(store, 2, actions=steps, user=user)
        store.consolidation.run(interactions=2)
        assert sorted(one.metadata["user"] for one in store.patterns.list()) == ["u", "v"]

    def test_a_part_is_told_only_where_it_stands_alone_as_well(self, store: wilk.Store) -> None:
        for names in ("abc", "abc", "ab"):
            store.interactions.add("q", actions=[{"action_type": name} for name in names])
        store.consolidation.run(interactions=3)
        assert {one.name: one.frequency for one in store.patterns.list()} == {"a > b": 3, "a > b > c": 2}

    def test_interactions_of_a_thousand_actions_give_a_few_patterns(self, store: wilk.Store) -> None:
        for _ in range(2):
            store.interactions.add("q", actions=[{"action_type": str(n)} for n in range(1000)])
        assert len(store.consolidation.run(interactions=2).patterns) == 20


class TestPlanAndStatistics:
    def test_a_plan_tells_what_is_due_and_changes_nothing(self, store: wilk.Store) -> None:
        fill(store, 25, user="u", agent="a")
        fill(store, 3)
        assert store.consolidation.plan() == [
            ("working", "u", "a", 25, 10, 2, 0), ("working", None, None, 3, 10, 0, 0),
        ]  # fmt: skip
        assert len(store.interactions.list()) == 28

    def test_statistics_count_each_step(self, store: wilk.Store) -> None:
        fill(store, 32)
        store.consolidation.run(working=2)
        assert store.consolidation.statistics() == (
            2, 1, 1, 0, 0,
            {"consolidated_to_working": 30, "consolidated_to_episodic": 2, "promoted_to_semantic": 0},
        )  # fmt: skip

    def test_sources_are_in_the_order_of_time(self, store: wilk.Store) -> None:
        ids = fill(store, 3)
        (memory,) = store.consolidation.run(interactions=3).working
        found = store.consolidation.sources(memory)
        assert [entry.record_id for entry in found] == ids
        assert found[0].data["user_query"] == "question 0"


class TestSafety:
    def test_a_step_that_fails_changes_nothing(
        self, store: wilk.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ids = fill(store, 4, actions=[{"action_type": "a"}, {"action_type": "b"}])

        def fail(*args: Any, **options: Any) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(Archiver, "remove", fail)
            store.consolidation.run(interactions=4)
        assert (memories(store, "working"), store.patterns.list(), store.archive.list()) == ([], [], [])
        assert len(store.interactions.list()) == 4
        store.consolidation.run(interactions=4)
        assert [memory.sources for memory in memories(store, "working")] == [ids]

    def test_a_plugin_that_refuses_a_memory_keeps_the_interactions(self, plugged: Any) -> None:
        class Full:
            @hookimpl
            def before_save(self, kind: str, record: Any) -> None:
                if kind == "memory":
                    raise wilk.Rejected("no more memories")

        store = plugged(Full())
        fill(store, 2)
        with pytest.raises(wilk.Rejected):
            store.consolidation.run(interactions=2)
        assert (len(store.interactions.list()), store.archive.list()) == (2, [])

    def test_a_plugin_hears_of_what_went(self, plugged: Any) -> None:
        class Ears:
            def __init__(self) -> None:
                self.heard: Counter[str] = Counter()

            @hookimpl
            def after_delete(self, kind: str, record: Any) -> None:
                self.heard[kind] += 1

        ears = Ears()
        store = plugged(ears)
        fill(store, 4)
        store.consolidation.run(interactions=2, working=2)
        assert ears.heard == {"interaction": 4, "memory": 2}

    def test_threads_that_run_at_once_take_each_interaction_once(self, store: wilk.Store) -> None:
        ids = fill(store, 60)
        errors: list[BaseException] = []

        def work() -> None:
            try:
                store.consolidation.run(interactions=3, working=100)
            except BaseException as error:
                errors.append(error)
            finally:
                store._engine.release()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert sorted(id for memory in memories(store, "working") for id in memory.sources) == sorted(ids)

    @pytest.mark.slow
    def test_processes_that_run_at_once_take_each_interaction_once(
        self, home: Path, store: wilk.Store
    ) -> None:
        ids = fill(store, 120)
        starter = home / "go"
        script = (
            "import sys, time, pathlib, wilk\n"
            "with wilk.open_store(home=sys.argv[1]) as store:\n"
            "    print('ready', flush=True)\n"
            "    while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.001)\n"
            "    report = store.consolidation.run(interactions=3)\n"
            "    print(report.interactions, flush=True)\n"
        )
        with ExitStack() as stack:
            started = [
                stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-c", script, str(home), str(starter)],
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
                for _ in range(3)
            ]
            for process in started:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            starter.touch()
            told = [int(process.communicate(timeout=60)[0]) for process in started]
        assert sum(told) == len(ids)
        assert sorted(archived(store, "interaction")) == sorted(ids)
        assert len(memories(store, "episodic")) == 8

    @pytest.mark.slow
    def test_a_process_that_is_killed_loses_and_doubles_nothing(self, home: Path, store: wilk.Store) -> None:
        ids = fill(store, 90)
        script = (
            "import os, sys, wilk\n"
            "class Killer:\n"
            "    left = 7\n"
            "    @wilk.hookimpl\n"
            "    def before_save(self, kind, record):\n"
            "        Killer.left -= kind == 'memory'\n"
            "        if not Killer.left: os.kill(os.getpid(), 9)\n"
            "with wilk.open_store(home=sys.argv[1], host=wilk.Host(Killer())) as store:\n"
            "    store.consolidation.run(interactions=3, working=100)\n"
        )
        done = subprocess.run([sys.executable, "-c", script, str(home)], check=False)
        assert done.returncode == -9
        made = memories(store, "working")
        live = [one.id for one in store.interactions.list(limit=1000)]
        assert len(made) == 6
        assert sorted(live + [id for memory in made for id in memory.sources]) == sorted(ids)
        assert sorted(archived(store, "interaction")) == sorted(set(ids) - set(live))


class TestByItself:
    def open(self, home: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> wilk.Store:
        for name, value in variables.items():
            monkeypatch.setenv(f"WILK_{name.upper()}", value)
        return wilk.open_store(home=home, host=Host())

    def test_by_hand_is_the_default(self, store: wilk.Store) -> None:
        fill(store, 10)
        assert store.settle()
        assert memories(store, "working") == []

    def test_on_the_tenth_interaction_where_the_settings_say_so(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.open(home, monkeypatch, consolidation="auto") as store:
            fill(store, 9)
            fill(store, 1, user="u")
            assert store.settle()
            assert memories(store, "working") == []
            fill(store, 1)
            assert store.settle()
            assert len(memories(store, "working")) == 1
            assert len(store.interactions.list()) == 1

    def test_not_for_interactions_that_are_rolled_back(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with self.open(home, monkeypatch, consolidation="auto") as store:
            with pytest.raises(ZeroDivisionError), store.transaction():
                fill(store, 10)
                raise ZeroDivisionError
            assert store.settle()
            assert (memories(store, "working"), store.interactions.list()) == ([], [])

    def test_on_a_timer_where_the_settings_say_so(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with self.open(home, monkeypatch, consolidation="timer", consolidation_interval="0.02") as store:
            with store.transaction():
                fill(store, 10)
            assert self.made(store)

    def test_on_a_timer_that_a_program_starts_and_stops(self, store: wilk.Store) -> None:
        store.consolidation.start(0.02)
        with store.transaction():
            fill(store, 10)
        assert self.made(store)
        store.consolidation.stop()
        store.consolidation.stop()

    def test_a_stopped_timer_does_nothing_more(self, store: wilk.Store) -> None:
        store.consolidation.start(3600)
        store.consolidation.stop()
        assert store._worker._repeated == {}

    @pytest.mark.parametrize("every", [0, -1, True, float("nan"), "1"])
    def test_a_timer_takes_seconds(self, store: wilk.Store, every: Any) -> None:
        with pytest.raises(wilk.Invalid, match=f"^every {every!r}: a number of seconds above 0"):
            store.consolidation.start(every)

    def test_a_store_for_reading_has_no_timer(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wilk.open_store(home=home).close()
        monkeypatch.setenv("WILK_CONSOLIDATION", "timer")
        with wilk.open_store(home=home, readonly=True) as store:
            assert store._worker._repeated == {}

    def made(self, store: wilk.Store) -> bool:
        waiting = threading.Event()
        return any(memories(store, "working") or waiting.wait(0.01) for _ in range(3000))
