"""Merging definitions by fields: laws that hold for any three of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wilk.definitions.merging import merge

pytestmark = pytest.mark.storeless

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
DEFINITIONS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.sampled_from("klmn"), VALUES, max_size=4)


@given(DEFINITIONS, DEFINITIONS)
def test_what_one_side_alone_changed_is_taken_from_it(base: dict[str, Any], changed: dict[str, Any]) -> None:
    assert merge(base, changed, base) == (changed, [])
    assert merge(base, base, changed) == (changed, [])


@given(DEFINITIONS, DEFINITIONS)
def test_the_same_change_on_both_sides_is_no_clash(base: dict[str, Any], changed: dict[str, Any]) -> None:
    assert merge(base, changed, changed) == (changed, [])


@given(DEFINITIONS, DEFINITIONS, DEFINITIONS)
def test_sides_clash_whichever_is_the_local_one(
    base: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    there, back = merge(base, one, other), merge(base, other, one)
    assert sorted(there.clashes) == sorted(back.clashes)
    if not there.clashes:
        assert there.definition == back.definition


@given(DEFINITIONS, DEFINITIONS, DEFINITIONS)
def test_only_clashes_depend_on_who_wins(
    base: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    mine, theirs = merge(base, one, other), merge(base, one, other, local_wins=False)
    assert mine.clashes == theirs.clashes
    if mine.definition != theirs.definition:
        assert mine.clashes


@given(DEFINITIONS, DEFINITIONS, DEFINITIONS)
def test_changes_of_different_fields_never_clash(
    base: dict[str, Any], one: dict[str, Any], other: dict[str, Any]
) -> None:
    local = {**base, **{f"1{key}": value for key, value in one.items()}}
    theirs = {**base, **{f"2{key}": value for key, value in other.items()}}
    assert merge(base, local, theirs) == ({**local, **theirs}, [])


def test_a_field_that_one_side_removed_and_the_other_changed_clashes() -> None:
    assert merge({"a": 1}, {}, {"a": 2}) == ({}, ["a"])
    assert merge({"a": 1}, {}, {"a": 2}, local_wins=False) == ({"a": 2}, ["a"])


def test_a_clash_names_the_innermost_field() -> None:
    base = {"model": {"name": "a", "parameters": {"temperature": 0}}}
    one = {"model": {"name": "a", "parameters": {"temperature": 1}}}
    other = {"model": {"name": "b", "parameters": {"temperature": 2}}}
    merged = merge(base, one, other)
    assert merged.clashes == ["model.parameters.temperature"]
    assert merged.definition == {"model": {"name": "b", "parameters": {"temperature": 1}}}
