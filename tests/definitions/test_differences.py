"""Differences between revisions: by field, and as a diff, both for people."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk import NotFound, codec
from wilk.definitions.differences import compare


def lines(old: Any, new: Any) -> list[str]:
    return [str(change) for change in compare(old, new).changes]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": {"b": 0.1}}, {"a": {"b": 0.3}}, ["a.b: 0.1 → 0.3"]),
        ({"a": 1}, {}, ["a: removed 1"]),
        ({}, {"a": {"b": [1]}}, ['a: added {"b":[1]}']),
        ({"t": ["a", "b"]}, {"t": ["a", "x", "b"]}, ["t[1]: added x"]),
        ({"t": ["a", "b"]}, {"t": ["b"]}, ["t[0]: removed a"]),
        ({"t": [{"k": 1}]}, {"t": [{"k": 2}]}, ["t[0].k: 1 → 2"]),
        ({"a": 1}, {"a": True}, ["a: 1 → true"]),
        ({"a": "x"}, {"a": ""}, ['a: x → ""']),
        ({"a": "1"}, {"a": None}, ["a: 1 → null"]),
        ({"s": "a\nb\nc\n"}, {"s": "a\nx\nc\nd\n"}, ["s: 3 → 4 lines (2 added, 1 removed)"]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    ],
)
def test_each_change_is_told_by_its_field(old: Any, new: Any, told: list[str]) -> None:
    assert lines(old, new) == told


def test_a_long_value_is_cut_short() -> None:
    assert all(len(line) < 140 for line in lines({"a": "x" * 500}, {"a": "y" * 500}))


def test_the_diff_shows_texts_line_by_line() -> None:
    diff = compare({"s": "a\nb\n", "k": 1}, {"k": 1, "s": "a\nc\n"}).diff
    assert [line for line in diff.splitlines() if line[0] in "+-"] == ["--- old", "+++ new", "-  b", "+  c"]


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=8,
)
_definitions = st.dictionaries(st.text(max_size=3), _values, max_size=4)


@given(old=_definitions, new=_definitions)
def test_there_is_a_difference_exactly_where_the_content_differs(old: Any, new: Any) -> None:
    assert bool(compare(old, new).changes) == (codec.canonical(old) != codec.canonical(new))


def test_the_newest_revision_is_compared_with_the_one_before(store: wilk.Store) -> None:
    for version in ("1", "2", "3"):
        store.agents.save("a", {"name": "A", "version": version})
    assert str(store.agents.difference("a")) == "version: 2 → 3"
    assert str(store.agents.difference("a", old=1)) == "version: 1 → 3"
    assert str(store.agents.difference("a", old=1, new=2)) == "version: 1 → 2"


def test_a_first_revision_differs_from_nothing(store: wilk.Store) -> None:
    store.agents.save("a", {"name": "A"})
    assert store.agents.difference("a").changes == ()


def test_a_revision_that_is_not_there_is_named(store: wilk.Store) -> None:
    store.agents.save("a", {"name": "A"})
    with pytest.raises(NotFound, match="no revision 'a 7'; there are 1 to 1"):
        store.agents.difference("a", new=7)
