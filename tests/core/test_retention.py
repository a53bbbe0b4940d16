"""Retention: what the rules take, that a plan says so beforehand, and what they leave alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk import amounts
from wilk.services.keeping.kinds import KINDS
from wilk.services.keeping.retention_rules import rules_of

from .everything import fill, keys, tables


def sessions(store: wilk.Store) -> list[str]:
    return sorted(one.id for one in store.sessions.list())


def create(store: wilk.Store, now: Any, *ids: str, days: float = 1, saved: bool = False) -> None:
    """Make sessions, the first of them longest ago, so many days apart."""
    for id in ids:
        store.sessions.create(id=id, saved=saved)
        now.pass_by(days=days)


class TestRules:
    def test_by_age_take_what_is_older(self, timed: wilk.Store, now: Any) -> None:
        create(timed, now, "a", "b", "c")
        timed.retention.run({"session": {"age": "2d"}})
        assert sessions(timed) == ["b", "c"]  # b is two days old, and no older

    def test_by_count_keep_the_newest(self, timed: wilk.Store, now: Any) -> None:
        create(timed, now, "c", "b", "a")
        timed.retention.run({"session": {"count": 2}})
        assert sessions(timed) == ["a", "b"]

    def test_by_count_decide_ties_by_key(self, timed: wilk.Store, now: Any) -> None:
        create(timed, now, "c", "b", "a", days=0)
        timed.retention.run({"session": {"count": 1}})
        assert sessions(timed) == ["c"]

    def test_by_bytes_keep_the_newest_that_fit(self, timed: wilk.Store, now: Any) -> None:
        create(timed, now, "a", "b", "c")
        timed.retention.run({"session": {"count": 0}})
        sizes = {entry.record_id: entry.size or 0 for entry in timed.archive.list()}
        timed.archive.restore([1, 2, 3])
        timed.retention.run({"session": {"bytes": sizes["c"] + sizes["b"] - 1}})
        assert sessions(timed) == ["c"]
        timed.archive.restore(session="b")
        timed.retention.run({"session": {"bytes": sizes["c"] + sizes["b"]}})
        assert sessions(timed) == ["b", "c"]

    def test_by_count_per_session_leave_each_its_newest(self, timed: wilk.Store, now: Any) -> None:
        for session in ("a", "b"):
            timed.sessions.create(id=session)
            for n in range(4):
                timed.tool_calls.start(session, f"t{n}")
                now.pass_by(seconds=1)
        timed.retention.run({"tool_call": {"count": 2, "per": "session"}})
        assert [(one.session_id, one.name) for one in timed.tool_calls.list()] == [
            ("b", "t3"), ("b", "t2"), ("a", "t3"), ("a", "t2"),
        ]  # fmt: skip

    def test_of_one_kind_add_up(self, timed: wilk.Store, now: Any) -> None:
        create(timed, now, "a", "b", "c", "d")
        plan = timed.retention.run({"session": {"count": 1, "age": "3d"}})
        assert [(step.rule, step.records) for step in plan.steps] == [("age 3d", 1), ("count 1", 2)]

    def test_for_saved_sessions_and_others_differ(self, timed: wilk.Store, now: Any) -> None:
        create(timed, now, "temporary")
        create(timed, now, "saved", saved=True)
        timed.retention.run({"session": {"age": "0s", "saved": False}})
        assert sessions(timed) == ["saved"]

    def test_for_temporary_sessions_go_by_their_last_activity(self, timed: wilk.Store, now: Any) -> None:
        create(timed, now, "quiet", "busy", days=20)
        create(timed, now, "saved", saved=True, days=20)
        timed.messages.append("busy", "user")
        timed.retention.run({"temporary_sessions": "30d"})
        assert sessions(timed) == ["busy", "saved"]
        assert timed.archive.list()[0].reason == "retention: temporary_sessions 30d"

    def test_leave_the_current_session_alone(self, timed: wilk.Store, now: Any) -> None:
        create(timed, now, "a", "b")
        timed.sessions.use("a")
        timed.retention.run({"session": {"age": "0s"}})
        assert sessions(timed) == ["a"]

    def test_work_for_a_store_without_a_home_folder(self) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            store.sessions.create()
            assert store.retention.run({"session": {"count": 0}}).rows == 1

    def test_for_messages_leave_instructions_alone_and_counts_right(
        self, timed: wilk.Store, now: Any
    ) -> None:
        session = timed.sessions.create().id
        for role in ("system", "user", "developer", "assistant", "user"):
            timed.messages.append(session, role, tokens=10)
            now.pass_by(days=1)
        timed.retention.run({"message": {"age": "2d"}})
        assert [one.role for one in timed.messages.page(session)] == [
            "system",
            "developer",
            "assistant",
            "user",
        ]
        kept = timed.sessions.get(session)
        assert (kept.message_count, kept.token_count) == (4, 40)

    def test_take_what_hangs_on_a_record_with_it(self, store: wilk.Store) -> None:
        fill(store)
        (step,) = store.retention.run({"session": {"count": 1}}).steps
        assert step.records == 1
        assert step.also["message"] == 4
        assert len(keys(store, "message")) == 4

    def test_may_cover_every_kind_but_people_and_summaries(self, store: wilk.Store) -> None:
        fill(store)
        kept = {"user", "group", "membership", "summary", "vector", "installation"}
        covered = [name for name in KINDS if name not in kept]
        store.retention.run({name: {"count": 0} for name in covered if name != "session"})
        left = {name for name in KINDS if keys(store, name)}
        assert left == {*kept, "session"}


class TestPlans:
    RULES = (
        {"session": {"count": 1}, "tool_call": {"count": 1}, "message": {"age": "0s"}},
        {"message": {"count": 2, "per": "session"}, "manifest": {"bytes": 10}, "pin": {"count": 0}},
        {
            "document": {"age": "1d"},
            "memory": {"count": 1},
            "chunk": {"count": 1},
            "raw_message": {"count": 0},
        },
        {"interaction": {"count": 1, "bytes": "1B"}, "action": {"count": 0}, "world_model": {"count": 0}},
        {"memory": {"count": 2, "per": "session"}, "session": {"age": "0s"}, "fact": {"count": 0}},
    )

    @pytest.mark.parametrize("rules", RULES)
    def test_tell_exactly_what_a_run_then_does(self, store: wilk.Store, rules: Any) -> None:
        fill(store)
        before = tables(store, archive=True)
        plan = store.retention.plan(rules)
        assert tables(store, archive=True) == before
        assert plan.rows > 0
        assert store.retention.run(rules) == plan
        assert store.archive.count() == plan.rows
        assert sum(one.size for one in store.archive.statistics()) == plan.size

    @pytest.mark.parametrize("rules", RULES)
    def test_find_nothing_left_after_a_run(self, store: wilk.Store, rules: Any) -> None:
        fill(store)
        store.retention.run(rules)
        assert store.retention.plan(rules).rows == 0

    def test_tell_the_oldest_and_the_newest(self, timed: wilk.Store, now: Any) -> None:
        create(timed, now, "a", "b", "c")
        (step,) = timed.retention.plan({"session": {"count": 1}}).steps
        assert (step.oldest, step.newest) == (
            timed.sessions.get("a").updated_at,
            timed.sessions.get("b").updated_at,
        )

    def test_of_a_readonly_store_can_be_made(self, store: wilk.Store, home: Path) -> None:
        store.sessions.create()
        with wilk.open_store(home=home, readonly=True) as reader:
            assert reader.retention.plan({"session": {"count": 0}}).rows == 1
            with pytest.raises(wilk.ReadOnly):
                reader.retention.run({"session": {"count": 0}})


class TestRuns:
    def test_name_the_rule_in_the_archive(self, store: wilk.Store) -> None:
        fill(store)
        store.retention.run(
            {"pin": {"count": 1}, "tool_call": {"age": timedelta(days=1)}, "manifest": {"bytes": "1B"}}
        )
        assert {entry.reason for entry in store.archive.list()} == {
            "retention: count 1", "retention: age 1d", "retention: bytes 1B",
        }  # fmt: skip

    def test_that_break_off_are_taken_up_by_the_next(
        self, store: wilk.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for n in range(50):
            store.sessions.create(id=str(n))
        remove, times = store._archiver.remove, 0

        def breaking(*args: Any, **options: Any) -> Any:
            nonlocal times
            times += 1
            if times == 2:
                raise KeyboardInterrupt
            return remove(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(store._archiver, "remove", breaking)
            with pytest.raises(KeyboardInterrupt):
                store.retention.run({"session": {"count": 5}})
        left = len(store.sessions.list(limit=100))
        assert 5 < left < 50
        assert store.retention.run({"session": {"count": 5}}).rows == left - 5
        assert len(store.sessions.list(limit=100)) == 5

    def test_can_be_undone_batch_by_batch(self, store: wilk.Store) -> None:
        fill(store)
        before = tables(store)
        store.retention.run({"session": {"count": 0}, "document": {"count": 0}})
        for batch in {entry.batch for entry in store.archive.list(limit=1000)}:
            store.archive.restore(batch=batch)
        assert tables(store) == before


class TestSettings:
    def test_are_the_rules_when_none_are_given(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        (home / "config.yaml").write_text("retention: {session: {count: 1}, temporary_sessions: 30d}\n")
        with wilk.open_store(home=home) as store:
            for _ in range(3):
                store.sessions.create()
            assert [(step.rule, step.records) for step in store.retention.run().steps] == [
                ("temporary_sessions 30d", 0), ("count 1", 2),
            ]  # fmt: skip

    def test_without_rules_nothing_goes(self, store: wilk.Store) -> None:
        store.sessions.create()
        assert store.retention.run().steps == ()

    def test_that_are_bad_name_the_file(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        (home / "config.yaml").write_text("retention: {session: {age: 90}}\nretention_interval: 0\n")
        with (
            wilk.open_store(home=home) as store,
            pytest.raises(
                wilk.SettingsError, match=r"config\.yaml: retention: session: age: 90: a span of time"
            ),
        ):
            store.retention.plan()


class TestToolCalls:
    """A tool call and its results go together or not at all."""

    @pytest.fixture
    def calls(self, store: wilk.Store) -> str:
        """The id of a session with a call at 2 that two messages answer, and one at 6 with one answer."""
        session = store.sessions.create().id
        asked = [{"type": "tool_call", "id": "a"}, {"type": "tool_call", "id": "b"}]
        store.messages.extend(
            session,
            [
                {"role": "user", "text": "look"},
                {"role": "assistant", "parts": asked},
                {"role": "tool", "parts": [{"type": "tool_result", "tool_call_id": "a"}]},
                {"role": "tool", "parts": [{"type": "tool_result", "tool_call_id": "b"}]},
                {"role": "user", "text": "again"},
                {"role": "assistant", "metadata": {"tool_calls": [{"id": "c"}]}},
                {"role": "tool", "text": "found", "metadata": {"tool_call_id": "c"}},
                {"role": "assistant", "text": "there"},
            ],
        )
        return session

    @pytest.mark.parametrize("per", [{}, {"per": "session"}])
    @pytest.mark.parametrize(
        ("count", "left"), [(8, 8), (7, 7), (6, 7), (5, 7), (4, 4), (3, 3), (2, 3), (1, 1), (0, 0)]
    )
    def test_are_not_parted_from_their_results(
        self, store: wilk.Store, calls: str, count: int, left: int, per: dict[str, Any]
    ) -> None:
        rules = {"message": {"count": count, **per}}
        plan = store.retention.plan(rules)
        assert store.retention.run(rules) == plan
        kept = [message.sequence for message in store.messages.page(calls)]
        assert kept == list(range(9 - left, 9))
        assert store.retention.run(rules).steps[0].records == 0


@pytest.mark.parametrize("age", ["999999999d", timedelta.max])
def test_an_age_beyond_all_times_takes_nothing(store: wilk.Store, session: str, age: Any) -> None:
    rules = {"session": {"age": age}, "message": {"age": age}}
    assert [step.records for step in store.retention.run(rules).steps] == [0, 0]


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ([], "a mapping from kinds to rules"),
        ({"sesion": {"age": "1d"}}, "'sesion' is no kind; one of session,"),
        ({"user": {"age": "1d"}}, "people stay until they are removed by name"),
        ({"summary": {"age": "1d"}}, "summaries stand for messages"),
        ({"session": "90d"}, "a mapping is wanted, such as {age: 90d}"),
        ({"session": {"saved": True}}, "age, count or bytes is wanted"),
        ({"session": {"ages": "1d"}}, "'ages' is no key of a rule; age, count, bytes, per, saved are"),
        ({"session": {"age": 90}}, "session: age: 90: a span of time is wanted"),
        ({"session": {"age": "1 month"}}, "a span of time is wanted"),
        ({"session": {"count": -1}}, "count: -1: a whole number from 0"),
        ({"session": {"count": 2**63}}, "a whole number from 0"),
        ({"session": {"count": True}}, "count: True: a whole number from 0"),
        ({"session": {"bytes": "50"}}, "a size is wanted"),
        ({"session": {"count": 1, "per": "session"}}, "per: 'session': session is wanted, beside count"),
        ({"message": {"age": "1d", "per": "session"}}, "beside count"),
        ({"pattern": {"count": 1, "per": "session"}}, "for a kind that has sessions"),
        ({"message": {"age": "1d", "saved": True}}, "for the kind session alone"),
        ({"temporary_sessions": 30}, "temporary_sessions: 30: a span of time is wanted"),
    ],
)
def test_a_bad_rule_says_what_is_wanted(store: wilk.Store, rules: Any, says: str) -> None:
    with pytest.raises(wilk.Invalid) as caught:
        store.retention.plan(rules)
    assert says in str(caught.value)


def test_rules_run_from_kinds_to_what_hangs_on_them() -> None:
    rules = rules_of(
        {"message": {"count": 1}, "tool_call": {"bytes": 1, "age": "1d"}, "session": {"age": "1d"}}
    )
    assert [(rule.kind, rule.text) for rule in rules] == [
        ("session", "age 1d"), ("message", "count 1"), ("tool_call", "age 1d"), ("tool_call", "bytes 1"),
    ]  # fmt: skip


class TestAmounts:
    @given(st.timedeltas(timedelta(0), timedelta(days=10_000)))
    def test_a_span_is_read_as_it_is_written(self, span: timedelta) -> None:
        assert amounts.span(amounts.written_span(span)) == span

    @pytest.mark.parametrize(
        ("text", "seconds"), [("45s", 45), ("90m", 5400), ("12h", 43200), ("30d", 2_592_000), ("2w", 1_209_600),
                              ("1.5h", 5400), ("0s", 0), ("3 d", 259_200)],
    )  # fmt: skip
    def test_spans(self, text: str, seconds: int) -> None:
        assert amounts.span(text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        ("text", "size"), [("0B", 0), ("50MB", 50_000_000), ("1 GiB", 2**30), ("1.5kb", 1500), (7, 7)]
    )
    def test_sizes(self, text: Any, size: int) -> None:
        assert amounts.size(text) == size

    @pytest.mark.parametrize("value", ["", "30", 30, 1.5, "-1d", "1D", "1y", "d", "1e3d", "٣d", None, True,
                                       timedelta(-1), "999999999999999w"])  # fmt: skip
    def test_what_is_no_span_is_refused(self, value: Any) -> None:
        with pytest.raises(wilk.Invalid):
            amounts.span(value)

    @pytest.mark.parametrize("value", ["", "30", -1, 1.5, "-1MB", "1M", "MB", "1MBs", None, True])
    def test_what_is_no_size_is_refused(self, value: Any) -> None:
        with pytest.raises(wilk.Invalid):
            amounts.size(value)

    @pytest.mark.parametrize(
        ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (2 * 10**12, "2.0 TB")]
    )
    def test_sizes_for_people(self, size: int, text: str) -> None:
        assert amounts.written_size(size) == text
