"""Interactions: what is kept of an exchange, how it is found again, and all that carries its id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk
from wilk import hookimpl
from wilk.services.learning.interactions import FEEDBACK_TYPES

pytestmark = pytest.mark.backends

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
WORDS = TEXTS.filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
FRACTIONS = st.none() | st.floats(0, 1)
TIMES = st.datetimes(
    datetime(1970, 1, 1),
    datetime(2200, 1, 1),
    timezones=st.just(UTC),
)
ACTIONS = st.fixed_dictionaries(
    {"action_type": WORDS},
    optional={
        "target": st.none() | TEXTS,
        "details": OBJECTS,
        "status": WORDS,
        "result": JSON,
        "error": st.none() | TEXTS,
        "created_at": TIMES,
    },
)
INTERACTIONS = st.fixed_dictionaries(
    {"user_query": TEXTS},
    optional={
        "session": st.none() | WORDS,
        "user": st.none() | WORDS,
        "agent": st.none() | WORDS,
        "query_context": OBJECTS,
        "ai_interpretation": st.none() | TEXTS,
        "planned_actions": st.lists(JSON, max_size=3),
        "confidence": FRACTIONS,
        "active_role": st.none() | TEXTS,
        "actions": st.lists(ACTIONS, max_size=3),
        "tokens_used": st.none() | st.integers(0, 2**63 - 1),
        "user_feedback": st.none() | TEXTS,
        "feedback_type": st.sampled_from(FEEDBACK_TYPES),
        "success": st.none() | st.booleans(),
        "tags": st.lists(WORDS, max_size=3),
        "metadata": OBJECTS,
        "created_at": TIMES,
    },
)
NAMES = {"session": "session_id", "user": "user_id", "agent": "agent_id"}


@given(INTERACTIONS)
@settings(max_examples=40)
def test_any_interaction_comes_back_as_it_was(store: wilk.Store, given: dict[str, Any]) -> None:
    given = dict(given)
    query = given.pop("user_query")
    kept = store.interactions.add(query, **given)
    assert store.interactions.get(kept.id) == kept
    assert kept.user_query == query
    actions = given.pop("actions", [])
    assert {name: getattr(kept, NAMES.get(name, name)) for name in given} == given
    found = store.interactions.actions(kept.id)
    assert [one.position for one in found] == list(range(1, len(actions) + 1))
    assert [
        {name: getattr(one, name) for name in taken} for one, taken in zip(found, actions, strict=True)
    ] == actions


@given(INTERACTIONS)
@settings(max_examples=15)
def test_any_interaction_comes_back_from_the_archive(store: wilk.Store, given: dict[str, Any]) -> None:
    given = dict(given)
    kept = store.interactions.add(given.pop("user_query"), **given)
    actions = store.interactions.actions(kept.id)
    store.interactions.remove(kept.id)
    assert (store.interactions.find(kept.id), store.interactions.actions(kept.id)) == (None, [])
    (entry,) = store.archive.list(kind="interaction", limit=1)
    store.archive.restore(batch=entry.batch)
    assert (store.interactions.get(kept.id), store.interactions.actions(kept.id)) == (kept, actions)


class TestAdding:
    def test_takes_the_correlation_id_that_is_given(self, store: wilk.Store) -> None:
        assert store.interactions.add("hi", id="i").id == "i"

    def test_an_id_that_is_taken_is_a_conflict(self, store: wilk.Store) -> None:
        store.interactions.add("one", id="i")
        with pytest.raises(wilk.Conflict, match="an interaction 'i' already"):
            store.interactions.add("two", id="i", actions=[{"action_type": "x"}])
        assert store.interactions.get("i").user_query == "one"
        assert store.interactions.actions("i") == []

    def test_what_no_database_keeps_comes_back_all_the_same(self, store: wilk.Store) -> None:
        asked = store.interactions.add("a\0b\ud800")
        assert store.interactions.get(asked.id) == asked
        assert [one.user_query for one in store.interactions.list()] == ["a\0b\ud800"]
        assert store.interactions.related(asked.id).interaction == asked
        assert store.interactions.search("a\0b") == [asked]
        assert store.interactions.update(asked.id, user_query="plain").user_query == "plain"
        assert store.interactions.get(asked.id).user_query == "plain"

    def test_a_bad_action_keeps_nothing(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match=r"^actions\.1\.action_type None"):
            store.interactions.add("hi", actions=[{"action_type": "x"}, {"target": "y"}])
        assert store.interactions.list() == []

    @pytest.mark.parametrize(
        ("field", "value", "wanted"),
        [
            ("confidence", 1.5, "from 0.0 to 1.0"),
            ("confidence", float("nan"), "from 0.0 to 1.0"),
            ("confidence", True, "from 0.0 to 1.0"),
            ("confidence", "high", "from 0.0 to 1.0"),
            ("tokens_used", -1, "from 0"),
            ("tokens_used", 1.5, "from 0"),
            ("tokens_used", 2**63, "from 0"),
            ("feedback_type", "praise", "approval, correction, followup, clarification, none"),
            ("success", "yes", "True or False"),
            ("tags", "work", "a list"),
            ("planned_actions", {"a": 1}, "a list"),
            ("query_context", [1], "an object"),
            ("metadata", "x", "an object"),
            ("ai_interpretation", 5, "a text"),
            ("created_at", datetime(2026, 1, 1), "ISO 8601 text with a zone"),
            ("created_at", "2026-01-01", "ISO 8601 text with a zone"),
            ("created_at", "yesterday", "ISO 8601 text with a zone"),
            ("created_at", 5, "ISO 8601 text with a zone"),
        ],
    )
    def test_an_error_names_field_value_and_range(
        self, store: wilk.Store, field: str, value: Any, wanted: str
    ) -> None:
        with pytest.raises(wilk.Invalid) as caught:
            store.interactions.add("hi", **{field: value})
        assert str(caught.value).startswith(f"{field} {value!r}: ")
        assert wanted in str(caught.value)

    def test_an_action_with_an_unknown_key_is_refused(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match=r"actions\.0\.tool: there is no such key; known: action_type"):
            store.interactions.add("hi", actions=[{"action_type": "x", "tool": "y"}])

    def test_takes_times_as_iso_text(self, store: wilk.Store) -> None:
        kept = store.interactions.add("hi", created_at="2026-01-31T12:00:00.5+02:00")
        assert kept.created_at == datetime(2026, 1, 31, 10, 0, 0, 500_000, UTC)

    def test_a_plugin_may_refuse_it(self, plugged: Any) -> None:
        class Strict:
            @hookimpl
            def before_save(self, kind: str, record: Any) -> None:
                if kind == "interaction":
                    raise wilk.Rejected(f"not {record.user_query}")

        store = plugged(Strict())
        with pytest.raises(wilk.Rejected, match="not hi"):
            store.interactions.add("hi")
        assert store.interactions.list() == []


class TestChanging:
    def test_changes_what_is_given_and_nothing_else(self, timed: wilk.Store, now: Any) -> None:
        kept = timed.interactions.add("hi", confidence=0.4, tags=["a"])
        now.pass_by(seconds=1)
        changed = timed.interactions.update(kept.id, success=True, confidence=None)
        assert changed == kept._replace(success=True, confidence=None, updated_at=changed.updated_at)
        assert changed.updated_at == kept.updated_at + timedelta(seconds=1)
        assert timed.interactions.get(kept.id) == changed

    def test_an_unknown_one_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="`wilk archive list --kind interaction`"):
            store.interactions.update("x", success=True)

    def test_a_bad_value_changes_nothing(self, store: wilk.Store) -> None:
        kept = store.interactions.add("hi")
        with pytest.raises(wilk.Invalid, match="feedback_type 'x'"):
            store.interactions.update(kept.id, success=True, feedback_type="x")
        assert store.interactions.get(kept.id) == kept

    def test_actions_follow_each_other(self, store: wilk.Store) -> None:
        id = store.interactions.add("hi", actions=[{"action_type": "read"}]).id
        store.interactions.act(
            id, "edit", target="a.py", details={"line": 3}, result=[1], status="failed", error="no"
        )
        found = store.interactions.actions(id)
        assert [(one.position, one.action_type) for one in found] == [(1, "read"), (2, "edit")]
        assert (found[1].target, found[1].details, found[1].result) == ("a.py", {"line": 3}, [1])
        assert (found[1].status, found[1].error) == ("failed", "no")

    def test_an_action_needs_its_interaction(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no interaction 'x'"):
            store.interactions.act("x", "read")

    def test_an_action_needs_a_type(self, store: wilk.Store) -> None:
        id = store.interactions.add("hi").id
        with pytest.raises(wilk.Invalid, match="^action_type ' '"):
            store.interactions.act(id, " ")


class TestFinding:
    def test_lists_the_latest_first_up_to_a_limit(self, store: wilk.Store) -> None:
        for query in "abc":
            store.interactions.add(query)
        assert [one.user_query for one in store.interactions.recent(2)] == ["c", "b"]

    def test_filters_by_every_field(self, store: wilk.Store) -> None:
        store.interactions.add(
            "it", session="s", user="u", agent="a", feedback_type="approval", success=True, tags=["x", "y"],
            created_at="2026-02-01T00:00:00Z",
        )  # fmt: skip
        store.interactions.add("other", success=False, tags=["yy"], created_at="2026-01-01T00:00:00Z")
        for wanted in (
            {"session": "s"}, {"user": "u"}, {"agent": "a"}, {"feedback_type": "approval"}, {"success": True},
            {"tag": "y"}, {"since": "2026-01-02T00:00:00Z"}, {"since": datetime(2026, 2, 1, tzinfo=UTC)},
        ):  # fmt: skip
            assert [one.user_query for one in store.interactions.list(**wanted)] == ["it"], wanted  # type: ignore[arg-type]

    def test_a_tag_is_looked_for_beyond_the_first_page(
        self, store: wilk.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wilk.services.learning.interactions._CHUNK", 3)
        for number in range(10):
            store.interactions.add(str(number), tags=["even"] if number % 2 == 0 else [])
        found = store.interactions.list(tag="even", limit=4)
        assert [one.user_query for one in found] == ["8", "6", "4", "2"]

    def test_a_search_wants_every_word_anywhere(self, store: wilk.Store) -> None:
        store.interactions.add("How do I read a file in Python?")
        store.interactions.add("Read the news")
        assert [one.user_query for one in store.interactions.search("python READ")] == [
            "How do I read a file in Python?"
        ]

    @pytest.mark.parametrize("text", ["100%", "a_b", "\\", "'; --", '"', "*", "AND NOT"])
    def test_nothing_in_a_search_is_an_operator(self, store: wilk.Store, text: str) -> None:
        store.interactions.add("100 axb ordinary")
        kept = store.interactions.add(f"with {text} in it")
        assert store.interactions.search(text) == [kept]

    @given(st.text(max_size=20))
    @settings(max_examples=40)
    def test_any_text_may_be_searched_for(self, store: wilk.Store, text: str) -> None:
        store.interactions.search(text)

    def test_a_search_for_nothing_finds_nothing(self, store: wilk.Store) -> None:
        store.interactions.add("hi")
        assert store.interactions.search(" \t ") == []

    def test_a_search_keeps_users_apart(self, store: wilk.Store) -> None:
        mine = store.interactions.add("hello", user="u")
        store.interactions.add("hello", user="v")
        assert store.interactions.search("hello", user="u") == [mine]

    @pytest.mark.parametrize("limit", [-1, True, 1.0])
    def test_a_bad_limit_is_refused(self, store: wilk.Store, limit: Any) -> None:
        with pytest.raises(wilk.Invalid, match="^limit"):
            store.interactions.list(limit=limit)


class TestCorrelation:
    def test_one_id_finds_all_that_belongs_to_it(self, store: wilk.Store, session: str) -> None:
        kept = store.interactions.add("hi", id="i", actions=[{"action_type": "read"}])
        message = store.messages.append(session, "user", "hi", interaction="i")
        call = store.tool_calls.start(session, "search", message=message.id)
        said = store.feedback.add("correct", "wrong", interaction="i")
        memory = store.memories.add("noted", interaction="i")
        store.messages.append(session, "user", "other", interaction="j")
        store.feedback.add("correct", "other", interaction="j")
        found = store.interactions.related("i")
        assert found == (kept, store.interactions.actions("i"), [message], [call], [said], [memory], [])

    def test_archived_rows_are_found_by_it(self, store: wilk.Store) -> None:
        store.interactions.add("hi", id="i", actions=[{"action_type": "read"}])
        store.feedback.remove(store.feedback.add("correct", "wrong", interaction="i").id)
        store.interactions.archive(["i"], reason="consolidated_to_working")
        found = store.interactions.related("i")
        assert (found.interaction, found.actions, found.feedback) == (None, [], [])
        assert [(one.kind, one.interaction_id) for one in found.archived] == [
            ("feedback", "i"), ("action", "i"), ("interaction", "i"),
        ]  # fmt: skip

    def test_one_that_was_consolidated_tells_its_memory(self, store: wilk.Store) -> None:
        ids = [store.interactions.add("hi").id for _ in range(2)]
        (memory,) = store.consolidation.run(interactions=2).working
        assert [one.id for one in store.interactions.related(ids[1]).memories] == [memory]

    def test_an_id_that_nothing_carries_finds_nothing(self, store: wilk.Store) -> None:
        assert not any(store.interactions.related("x"))


class TestArchiving:
    def test_by_id_takes_the_actions_along(self, store: wilk.Store) -> None:
        for id in "abc":
            store.interactions.add(id, id=id, actions=[{"action_type": "read"}])
        assert store.interactions.archive(["a", "c", "x"], reason="tidied", into="m") == 2
        assert [one.id for one in store.interactions.list()] == ["b"]
        entries = store.archive.list(reason="tidied")
        assert sorted((one.kind, one.interaction_id) for one in entries) == [
            ("action", "a"), ("action", "c"), ("interaction", "a"), ("interaction", "c"),
        ]  # fmt: skip
        assert {one.batch for one in entries} == {"m"}

    def test_by_age_takes_what_is_older(self, store: wilk.Store) -> None:
        for day in (1, 2, 3):
            store.interactions.add(str(day), created_at=datetime(2026, 1, day, tzinfo=UTC))
        assert store.interactions.archive(before="2026-01-03T00:00:00Z") == 2
        assert [one.user_query for one in store.interactions.list()] == ["3"]
        assert {one.reason for one in store.archive.list()} == {"consolidated_to_working"}

    def test_many_go_in_one_batch(self, store: wilk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("wilk.services.learning.interactions._CHUNK", 2)
        ids = [store.interactions.add("x").id for _ in range(5)]
        assert store.interactions.archive(ids, reason="tidied") == 5
        assert len({one.batch for one in store.archive.list()}) == 1

    def test_nothing_goes_without_a_reason(self, store: wilk.Store) -> None:
        id = store.interactions.add("hi").id
        with pytest.raises(wilk.Invalid, match="^reason ' '"):
            store.interactions.archive([id], reason=" ")
        assert store.interactions.find(id) is not None

    def test_a_text_is_not_a_list_of_ids(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="^ids 'abc': a list"):
            store.interactions.archive("abc")

    def test_a_plugin_hears_of_each(self, plugged: Any) -> None:
        class Ears:
            def __init__(self) -> None:
                self.heard: list[tuple[str, str]] = []

            @hookimpl
            def after_delete(self, kind: str, record: Any) -> None:
                self.heard.append((kind, record.id))

        ears = Ears()
        store = plugged(ears)
        store.interactions.add("hi", id="i")
        store.interactions.archive(["i"])
        assert ears.heard == [("interaction", "i")]


def test_a_store_that_is_opened_again_still_has_them(home: Path) -> None:
    with wilk.open_store(home=home) as first:
        kept = first.interactions.add("hi", actions=[{"action_type": "x"}])
    with wilk.open_store(home=home) as second:
        assert second.interactions.list() == [kept]
        assert len(second.interactions.actions(kept.id)) == 1
