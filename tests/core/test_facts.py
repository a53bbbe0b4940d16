"""Facts: when they hold, and when they were known."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk import clock, models
from wilk.services.keeping.archiver import COMPACTED

pytestmark = pytest.mark.backends

DAY = timedelta(days=1)
NOON = datetime(2027, 1, 15, 12, tzinfo=UTC)


def objects(facts: Any) -> list[Any]:
    return [fact.object for fact in facts]


class TestAdding:
    def test_add_returns_what_get_reads(self, store: wilk.Store, session: str) -> None:
        store.users.save("ann", name="Ann")
        message = store.messages.append(session, "user", "I moved to Oslo").id
        fact = store.facts.add(
            "Ann", "lives in", {"city": "Oslo"}, valid_from=NOON, valid_to=NOON + DAY, confidence=0.5,
            user="ann", agent="coder", session=session, source=message, interaction="i", metadata={"a": 1},
        )  # fmt: skip
        assert store.facts.get(fact.id) == fact
        assert fact[1:10] == (
            "Ann", "lives in", {"city": "Oslo"}, "ann", "coder", session, 0.5, NOON, NOON + DAY,
        )  # fmt: skip
        assert fact[11:] == (None, None, message, "i", {"a": 1})

    @pytest.mark.parametrize("value", [None, 0, 1.5, True, "x", [1, {"a": None}], {}, 2**70])
    def test_the_object_is_any_json(self, store: wilk.Store, value: Any) -> None:
        assert store.facts.get(store.facts.add("a", "b", value).id).object == value

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("subject", ""),
            ("subject", 4),
            ("predicate", " "),
            ("predicate", "a\0"),
            ("confidence", 1.1),
            ("confidence", float("nan")),
            ("confidence", True),
            ("valid_from", datetime(2027, 1, 1)),
            ("valid_to", datetime(2027, 1, 1)),
            ("valid_from", 5),
            ("metadata", 3),
            ("agent", ""),
            ("interaction", ""),
        ],
    )
    def test_what_cannot_be_kept_is_refused(self, store: wilk.Store, field: str, value: Any) -> None:
        with pytest.raises(wilk.Invalid, match=field):
            store.facts.add(**{"subject": "a", "predicate": "b", "object": 1, field: value})
        assert store.facts.history("a") == []

    @pytest.mark.parametrize("length", [timedelta(0), -DAY])
    def test_an_interval_ends_after_it_begins(self, store: wilk.Store, length: timedelta) -> None:
        with pytest.raises(wilk.Invalid, match="valid_to .* a time after valid_from 2027-01-15T12:00:00"):
            store.facts.add("a", "b", 1, valid_from=NOON, valid_to=NOON + length)

    def test_a_time_of_another_zone_is_the_same_moment(self, store: wilk.Store) -> None:
        there = NOON.astimezone(timezone(timedelta(hours=5)))
        fact = store.facts.add("a", "b", 1, valid_from=there)
        assert (fact.valid_from, fact.valid_from and fact.valid_from.tzinfo) == (NOON, UTC)

    @pytest.mark.parametrize("of", ["user", "session", "source"])
    def test_what_it_refers_to_must_be_there(self, store: wilk.Store, of: str) -> None:
        given: dict[str, Any] = {of: "x"}
        with pytest.raises(wilk.NotFound, match=f"no {of.replace('source', 'message')} 'x'"):
            store.facts.add("a", "b", 1, **given)

    def test_a_source_is_of_the_session_that_is_given(self, store: wilk.Store, session: str) -> None:
        other = store.messages.append(store.sessions.create().id, "user", "x").id
        assert store.facts.add("a", "b", 1, source=other).source_message_id == other
        with pytest.raises(wilk.NotFound, match="a message of session"):
            store.facts.add("a", "b", 1, source=other, session=session)

    def test_a_source_may_be_compacted(self, store: wilk.Store, session: str) -> None:
        message = store.messages.append(session, "user", "x").id
        store._archiver.remove("message", models.Message.id == message, reason=COMPACTED)
        assert store.facts.add("a", "b", 1, source=message, session=session).source_message_id == message


class TestTwoTimes:
    def test_a_fact_holds_from_its_first_moment_until_just_before_its_last(self, store: wilk.Store) -> None:
        store.facts.add("a", "b", 1, valid_from=NOON, valid_to=NOON + DAY)
        moment = timedelta(microseconds=1)
        held = [
            len(store.facts.list("a", valid_at=at))
            for at in (NOON - moment, NOON, NOON + DAY - moment, NOON + DAY)
        ]
        assert held == [0, 1, 1, 0]

    def test_without_times_it_always_holds(self, store: wilk.Store) -> None:
        store.facts.add("a", "b", 1)
        assert len(store.facts.list("a", valid_at=datetime(1, 1, 2, tzinfo=UTC))) == 1

    def test_what_holds_now_is_asked_unless_another_time_is_given(self, timed: wilk.Store, now: Any) -> None:
        today = clock.to_datetime(now.now)
        timed.facts.add("a", "b", "until tomorrow", valid_to=today + DAY)
        timed.facts.add("a", "b", "from tomorrow", valid_from=today + DAY)
        assert objects(timed.facts.list("a")) == ["until tomorrow"]
        now.pass_by(days=1)
        assert objects(timed.facts.list("a")) == ["from tomorrow"]

    def test_a_retracted_fact_is_known_to_whoever_asks_about_before(
        self, timed: wilk.Store, now: Any
    ) -> None:
        fact = timed.facts.add("a", "b", 1)
        now.pass_by(days=1)
        gone = timed.facts.retract(fact.id)
        assert gone.retracted_at == fact.recorded_at + DAY
        assert timed.facts.get(fact.id) == gone
        assert timed.facts.list("a") == []
        assert timed.facts.list("a", known_at=gone.retracted_at) == []
        assert timed.facts.list("a", known_at=gone.retracted_at - timedelta(microseconds=1)) == [gone]
        assert timed.facts.list("a", known_at=fact.recorded_at - timedelta(microseconds=1)) == []

    def test_a_correction_takes_the_place_at_one_moment(self, timed: wilk.Store, now: Any) -> None:
        first = timed.facts.add("Ann", "lives in", "Gdansk", confidence=0.5, metadata={"a": 1})
        now.pass_by(days=1)
        second = timed.facts.correct(first.id, object="Oslo", valid_from=NOON)
        old = timed.facts.get(first.id)
        assert (old.replaced_by, old.retracted_at) == (second.id, second.recorded_at)
        assert second == first._replace(
            id=second.id, object="Oslo", valid_from=NOON, recorded_at=first.recorded_at + DAY
        )
        assert timed.facts.history("Ann", "lives in") == [old, second]

    def test_a_correction_may_give_none(self, store: wilk.Store) -> None:
        fact = store.facts.add("a", "b", 1, valid_from=NOON, valid_to=NOON + DAY)
        assert store.facts.correct(fact.id, object=None, valid_to=None)[3:10:6] == (None, None)

    def test_a_correction_is_checked_as_an_addition_is(self, store: wilk.Store) -> None:
        fact = store.facts.add("a", "b", 1, valid_from=NOON)
        with pytest.raises(wilk.Invalid, match="valid_to"):
            store.facts.correct(fact.id, valid_to=NOON - DAY)
        with pytest.raises(wilk.NotFound, match="no message 'm'"):
            store.facts.correct(fact.id, source="m")
        assert store.facts.history("a") == [fact]

    def test_what_was_retracted_is_neither_retracted_nor_corrected(self, store: wilk.Store) -> None:
        fact = store.facts.add("a", "b", 1)
        new = store.facts.correct(fact.id, object=2)
        for verb in (store.facts.retract, store.facts.correct):
            with pytest.raises(wilk.Conflict, match=f"retracted already; '{new.id}' took its place"):
                verb(fact.id)

    def test_a_clock_that_goes_back_ends_no_belief_before_it_began(self, timed: wilk.Store, now: Any) -> None:
        fact = timed.facts.add("a", "b", 1)
        now.pass_by(days=-1)
        assert timed.facts.retract(fact.id).retracted_at == fact.recorded_at

    @pytest.mark.parametrize("at", ["valid_at", "known_at"])
    def test_naive_times_are_refused(self, store: wilk.Store, at: str) -> None:
        given: dict[str, Any] = {at: datetime(2027, 1, 1)}
        with pytest.raises(wilk.Invalid, match=at):
            store.facts.list(**given)

    def test_an_unknown_fact_is_not_found(self, store: wilk.Store) -> None:
        assert store.facts.find("x") is None
        for verb in (store.facts.get, store.facts.retract, store.facts.correct, store.facts.remove):
            with pytest.raises(wilk.NotFound, match="no fact 'x'"):
                verb("x")


class TestListing:
    def test_filters_by_what_is_given(self, store: wilk.Store, session: str) -> None:
        store.facts.add("a", "p", 1, agent="x")
        store.facts.add("a", "q", 2, session=session)
        store.facts.add("b", "p", 3)
        assert objects(store.facts.list("a")) == [1, 2]
        assert objects(store.facts.list(predicate="p")) == [1, 3]
        assert objects(store.facts.list(agent="x")) == [1]
        assert objects(store.facts.list(session=session)) == [2]
        assert objects(store.facts.list("a", limit=1)) == [1]

    def test_what_holds_side_by_side_comes_the_latest_first(self, store: wilk.Store) -> None:
        for city in ("Gdansk", "Oslo"):
            store.facts.add("Ann", "knows", city)
        assert objects(store.facts.list("Ann", predicate="knows")) == ["Oslo", "Gdansk"]

    def test_users_see_their_own(self, store: wilk.Store) -> None:
        for user in ("ann", "bob"):
            store.users.save(user, name=user)
            store.facts.add("team", "is", user, user=user)
        store.facts.add("team", "is", "nobody's")
        for read in (store.facts.list, store.facts.history):
            assert objects(read("team", user="ann")) == ["ann"]
            assert objects(read("team", user=None)) == ["nobody's"]
            assert sorted(objects(read("team"))) == ["ann", "bob", "nobody's"]

    def test_a_removed_fact_is_archived(self, store: wilk.Store) -> None:
        fact = store.facts.add("a", "b", {"x": 1})
        assert store.facts.remove(fact.id, reason="wrong person") == fact
        assert store.facts.history("a") == []
        (entry,) = store.archive.list(kind="fact")
        assert (entry.record_id, entry.reason, json.loads(entry.data["object"])) == (
            fact.id, "wrong person", {"x": 1},
        )  # fmt: skip


# -- a store of facts against a list of them -------------------------------------------------


class Version(NamedTuple):
    """A fact as the model has it: two intervals, in days, None for open."""

    object: int
    valid: tuple[int | None, int | None]
    known: tuple[int, int | None]


def covers(interval: tuple[int | None, int | None], at: int) -> bool:
    begin, end = interval
    return (begin is None or begin <= at) and (end is None or at < end)


DAYS = st.none() | st.integers(0, 6)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "retract", "correct"]), st.integers(0, 5), DAYS, DAYS, st.integers(0, 2)
    ),
    max_size=12,
)


@pytest.mark.slow
@given(STEPS)
def test_as_of_equals_a_list_of_versions(timed: wilk.Store, now: Any, steps: list[Any]) -> None:
    """Whatever is added, retracted and corrected, each question about two days has the model's answer."""
    start = NOON.replace(hour=0)
    subject = timed._engine.clock.new_id()  # one for each example, for they share a store
    now.now = clock.to_microseconds(start)
    model: dict[str, Version] = {}

    def day(number: int | None) -> datetime | None:
        return None if number is None else start + number * DAY

    today = 0
    for number, (step, which, begin, end, passed) in enumerate(steps):
        today += passed
        now.now = clock.to_microseconds(start + today * DAY)
        sound = begin is None or end is None or begin < end
        if step == "add":
            if sound:
                fact = timed.facts.add(subject, "p", number, valid_from=day(begin), valid_to=day(end))
                model[fact.id] = Version(number, (begin, end), (today, None))
            continue
        believed = [id for id, version in model.items() if version.known[1] is None]
        if not believed:
            continue
        id = believed[which % len(believed)]
        if step == "retract":
            timed.facts.retract(id)
        elif sound:
            fact = timed.facts.correct(id, object=number, valid_from=day(begin), valid_to=day(end))
            model[fact.id] = Version(number, (begin, end), (today, None))
        else:
            continue
        model[id] = model[id]._replace(known=(model[id].known[0], today))

    for known in range(today + 2):
        for valid in range(-1, 8):
            expected = {
                id for id, one in model.items() if covers(one.known, known) and covers(one.valid, valid)
            }
            found = timed.facts.list(subject, valid_at=day(valid), known_at=day(known))
            assert {fact.id for fact in found} == expected, (known, valid)
    assert [fact.object for fact in timed.facts.history(subject)] == [one.object for one in model.values()]
