"""Patterns: what was seen, how often, how sure that is; and how they become lasting knowledge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk

pytestmark = pytest.mark.backends

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20).filter(str.strip)
JSON = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | WORDS
    | st.lists(WORDS, max_size=2)
)
PATTERNS = st.fixed_dictionaries(
    {"name": WORDS},
    optional={
        "pattern_type": WORDS,
        "description": st.none() | WORDS,
        "sequence": st.lists(JSON, max_size=3),
        "frequency": st.integers(0, 2**63 - 1),
        "confidence": st.floats(0, 1),
        "sources": st.lists(WORDS, max_size=3),
        "metadata": st.dictionaries(WORDS, JSON, max_size=3),
    },
)


@given(PATTERNS)
@settings(max_examples=30)
def test_any_pattern_comes_back_as_it_was(store: wilk.Store, given: dict[str, Any]) -> None:
    kept = store.patterns.add(**given)
    assert {name: getattr(kept, name) for name in given} == given
    assert store.patterns.get(kept.id) == kept
    store.patterns.remove(kept.id)
    assert store.patterns.find(kept.id) is None
    store.archive.restore(kind="pattern", record=kept.id)
    assert store.patterns.get(kept.id) == kept


@given(st.floats(0, 1), st.lists(st.tuples(st.booleans(), st.integers(1, 50)), max_size=6))
@settings(max_examples=40)
def test_a_confidence_stays_in_its_range_and_a_frequency_counts(
    store: wilk.Store, confidence: float, seen: list[tuple[bool, int]]
) -> None:
    pattern = store.patterns.add("p", confidence=confidence)
    for success, times in seen:
        before = pattern
        pattern = store.patterns.observe(pattern.id, success=success, times=times)
        assert 0.0 <= pattern.confidence <= 1.0
        assert (
            (pattern.confidence >= before.confidence - 1e-12)
            if success
            else (pattern.confidence <= before.confidence)
        )
    assert pattern.frequency == 1 + sum(times for _, times in seen)


class TestObserving:
    def test_moves_the_confidence_a_tenth_of_the_way(self, store: wilk.Store) -> None:
        id = store.patterns.add("p", confidence=0.5).id
        assert store.patterns.observe(id).confidence == pytest.approx(0.55)
        assert store.patterns.observe(id, success=False).confidence == pytest.approx(0.495)

    def test_several_times_at_once_is_the_same_as_one_by_one(self, store: wilk.Store) -> None:
        one, other = store.patterns.add("p").id, store.patterns.add("q").id
        for _ in range(4):
            store.patterns.observe(one)
        together = store.patterns.observe(other, times=4)
        assert store.patterns.get(one).confidence == pytest.approx(together.confidence)
        assert store.patterns.get(one).frequency == together.frequency

    def test_keeps_each_source_once(self, store: wilk.Store) -> None:
        id = store.patterns.add("p", sources=["a"]).id
        store.patterns.observe(id, sources=["a", "b"])
        assert store.patterns.get(id).sources == ["a", "b"]

    def test_an_unknown_pattern_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no pattern 'x'"):
            store.patterns.observe("x")

    @pytest.mark.parametrize("times", [0, -1, 1.5, True])
    def test_is_at_least_once(self, store: wilk.Store, times: Any) -> None:
        id = store.patterns.add("p").id
        with pytest.raises(wilk.Invalid, match=r"^times .*: a whole number from 1"):
            store.patterns.observe(id, times=times)


class TestListing:
    def test_the_surest_come_first_then_the_most_frequent(self, store: wilk.Store) -> None:
        for name, confidence, frequency in (("a", 0.2, 9), ("b", 0.9, 1), ("c", 0.2, 10)):
            store.patterns.add(name, confidence=confidence, frequency=frequency)
        assert [one.name for one in store.patterns.list()] == ["b", "c", "a"]
        assert [one.name for one in store.patterns.list(limit=1)] == ["b"]

    def test_filters_by_type_and_confidence(self, store: wilk.Store) -> None:
        store.patterns.add("a", pattern_type="x", confidence=0.7)
        store.patterns.add("b", pattern_type="x", confidence=0.6)
        store.patterns.add("c", pattern_type="y", confidence=0.9)
        assert [one.name for one in store.patterns.list(pattern_type="x", min_confidence=0.7)] == ["a"]

    def test_a_confidence_out_of_range_is_refused(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match=r"^min_confidence 2: a number from 0\.0 to 1\.0"):
            store.patterns.list(min_confidence=2)


class TestChanging:
    def test_changes_what_is_given_and_nothing_else(self, store: wilk.Store) -> None:
        kept = store.patterns.add("p", sequence=[1])
        changed = store.patterns.update(kept.id, description="d", metadata={"a": 1})
        assert changed == kept._replace(description="d", metadata={"a": 1}, updated_at=changed.updated_at)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""),
            ("pattern_type", " "),
            ("frequency", -1),
            ("confidence", 1.01),
            ("sequence", "ab"),
            ("sources", [1]),
        ],
    )
    def test_a_bad_value_is_named(self, store: wilk.Store, field: str, value: Any) -> None:
        id = store.patterns.add("p").id
        with pytest.raises(wilk.Invalid, match=f"^{field}"):
            store.patterns.update(id, **{field: value})
        with pytest.raises(wilk.Invalid, match=f"^{field}"):
            store.patterns.add(**{"name": "q", field: value})

    def test_an_id_that_is_taken_is_a_conflict(self, store: wilk.Store) -> None:
        store.patterns.add("p", id="i")
        with pytest.raises(wilk.Conflict, match="a pattern 'i' already"):
            store.patterns.add("q", id="i")


class TestArchiving:
    def test_promoting_tells_the_reason(self, store: wilk.Store) -> None:
        kept = store.patterns.add("p")
        assert store.patterns.promote(kept.id, into="m") == kept
        (entry,) = store.archive.list(kind="pattern")
        assert (entry.record_id, entry.reason, entry.batch) == (kept.id, "promoted_to_semantic", "m")
        assert store.patterns.list() == []

    def test_counts_what_went(self, store: wilk.Store) -> None:
        ids = [store.patterns.add(name).id for name in "abc"]
        assert store.patterns.archive([*ids[:2], "x"], reason="old") == 2
        assert [one.name for one in store.patterns.list()] == ["c"]
