"""Feedback: what somebody said, and whether it was applied."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk

pytestmark = pytest.mark.backends

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20).filter(str.strip)
OBJECTS = st.dictionaries(WORDS, st.none() | st.booleans() | st.integers() | WORDS, max_size=3)


@given(WORDS, WORDS, OBJECTS, st.none() | WORDS)
@settings(max_examples=30)
def test_any_feedback_comes_back_as_it_was(
    store: wilk.Store, type: str, message: str, context: dict[str, Any], interaction: str | None
) -> None:
    kept = store.feedback.add(type, message, context=context, interaction=interaction)
    assert (kept.type, kept.message, kept.context, kept.interaction_id) == (
        type,
        message,
        context,
        interaction,
    )
    assert (kept.applied, kept.applied_at) == (False, None)
    assert store.feedback.get(kept.id) == kept
    store.feedback.remove(kept.id)
    assert store.feedback.find(kept.id) is None
    store.archive.restore(kind="feedback", record=kept.id)
    assert store.feedback.get(kept.id) == kept


def test_applying_tells_when(timed: wilk.Store, now: Any) -> None:
    kept = timed.feedback.add("correct", "use tabs")
    now.pass_by(seconds=5)
    applied = timed.feedback.mark_applied(kept.id)
    assert applied.applied
    assert applied.applied_at is not None
    assert (applied.applied_at - kept.created_at).total_seconds() == 5
    now.pass_by(seconds=5)
    assert timed.feedback.mark_applied(kept.id) == applied == timed.feedback.get(kept.id)


def test_lists_the_latest_first_and_filters(store: wilk.Store) -> None:
    first = store.feedback.add("correct", "a", interaction="i")
    second = store.feedback.add("prefer", "b", created_at=datetime(2020, 1, 1, tzinfo=UTC))
    third = store.feedback.mark_applied(store.feedback.add("correct", "c").id)
    assert store.feedback.list() == [third, first, second]
    assert store.feedback.list(type="correct", limit=1) == [third]
    assert store.feedback.list(applied=False) == [first, second]
    assert store.feedback.list(interaction="i") == [first]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"type": ""}, "type ''"),
        ({"message": " "}, "message ' '"),
        ({"message": "a\0"}, "message"),
        ({"context": []}, "context"),
        ({"created_at": "soon"}, "created_at 'soon'"),
    ],
)
def test_an_error_names_the_field(store: wilk.Store, given: dict[str, Any], named: str) -> None:
    with pytest.raises(wilk.Invalid, match=f"^{named}"):
        store.feedback.add(**({"type": "t", "message": "m"} | given))


def test_unknown_feedback_is_not_found(store: wilk.Store) -> None:
    for verb in (store.feedback.get, store.feedback.mark_applied, store.feedback.remove):
        with pytest.raises(wilk.NotFound, match="no feedback 'x'"):
            verb("x")
    assert store.feedback.find("x") is None
