"""Preferences: a user's own, everybody's, and what holds for a user."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk

pytestmark = pytest.mark.backends

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).filter(str.strip)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OWNERS = st.none() | st.sampled_from(["u", "v", "u%", "U"])


@given(WORDS, JSON, WORDS, OWNERS, st.floats(0, 1), st.none() | WORDS)
@settings(max_examples=40)
def test_any_preference_comes_back_as_it_was(
    store: wilk.Store,
    key: str,
    value: Any,
    category: str,
    user: str | None,
    confidence: float,
    source: str | None,
) -> None:
    kept = store.preferences.set(
        key, value, category=category, user=user, confidence=confidence, source=source
    )
    assert (kept.key, kept.value, kept.category, kept.user_id) == (key, value, category, user)
    assert (kept.confidence, kept.source) == (confidence, source)
    assert store.preferences.get(key, category=category, user=user) == kept
    store.preferences.remove(key, category=category, user=user)
    assert store.preferences.find(key, category=category, user=user) is None
    store.archive.restore(kind="preference", record=kept.id)
    assert store.preferences.get(key, category=category, user=user) == kept


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), OWNERS, st.integers()), max_size=12))
@settings(max_examples=25)
def test_the_last_value_of_each_owner_holds_and_nobody_elses(
    home: Any, given: list[tuple[str, str, str | None, int]]
) -> None:
    with wilk.open_store("sqlite:///:memory:") as store:
        expected = {}
        for key, category, user, value in given:
            store.preferences.set(key, value, category=category, user=user)
            expected[user, category, key] = value
        for user in (None, "u", "v", "u%", "U"):
            found = {
                (one.user_id, one.category, one.key): one.value for one in store.preferences.list(user=user)
            }
            assert found == {at: value for at, value in expected.items() if at[0] == user}
        held = {(one.category, one.key): one.value for one in store.preferences.of("u")}
        shared = {at[1:]: value for at, value in expected.items() if at[0] is None}
        own = {at[1:]: value for at, value in expected.items() if at[0] == "u"}
        assert held == shared | own


def test_setting_again_keeps_the_id_and_the_first_time(timed: wilk.Store, now: Any) -> None:
    first = timed.preferences.set("theme", "dark", user="u")
    now.pass_by(seconds=1)
    second = timed.preferences.set("theme", "light", user="u", confidence=0.9, source="asked")
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert (second.value, second.confidence, second.source) == ("light", 0.9, "asked")
    assert second.updated_at > first.updated_at


def test_everybodys_is_not_taken_for_a_users(store: wilk.Store) -> None:
    store.preferences.set("theme", "dark")
    assert store.preferences.find("theme", user="u") is None
    assert [one.value for one in store.preferences.of("u")] == ["dark"]


def test_lists_one_category(store: wilk.Store) -> None:
    store.preferences.set("b", 1, category="x")
    store.preferences.set("a", 2, category="x")
    store.preferences.set("c", 3, category="y")
    assert [one.key for one in store.preferences.list(category="x")] == ["a", "b"]
    assert [one.key for one in store.preferences.list(limit=2)] == ["a", "b"]


@pytest.mark.parametrize(
    "given", [{"key": ""}, {"category": " "}, {"confidence": -0.1}, {"source": 5}, {"user": ""}]
)
def test_an_error_names_the_field(store: wilk.Store, given: dict[str, Any]) -> None:
    with pytest.raises(wilk.Invalid, match=f"^{next(iter(given))} "):
        store.preferences.set(**({"key": "k", "value": 1} | given))


def test_an_unknown_one_is_not_found(store: wilk.Store) -> None:
    store.preferences.set("theme", "dark", user="u")
    with pytest.raises(wilk.NotFound, match="no preference 'theme'; category 'general', user None"):
        store.preferences.remove("theme")
