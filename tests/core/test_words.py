"""The words of a query: parted, folded and counted as the index of SQLite does it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wilk.services.search.words import MOST, Text, places, terms, tokens

pytestmark = pytest.mark.storeless


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Quick brown QUICK", ["Quick", "brown"]),
        ('a "phrase" AND NOT (this*)', ["a", "phrase", "AND", "NOT", "this"]),
        ("snake_case auth.py", ["snake_case", "auth", "py"]),
        ("混合 text 文本", ["混合", "text", "文本"]),
        ("?! 🎉", ["?!", "🎉"]),
        ("word 🎉", ["word"]),
        ("_ __", ["_", "__"]),
        ("", []),
    ],
)
def test_a_query_is_parted_into_its_distinct_words(text: str, words: list[str]) -> None:
    assert [term.text for term in terms(text)] == words


def test_of_a_long_query_the_longest_words_count() -> None:
    query = " ".join([*(f"a{n}" for n in range(100)), *(f"longer{n}" for n in range(MOST))])
    assert [term.text for term in terms(query)] == [f"longer{n}" for n in range(MOST)]


def test_signs_for_vowels_belong_to_their_word() -> None:
    assert [term.text for term in terms("हिन्दी भाषा")] == ["हिन्दी", "भाषा"]
    assert terms("हिन्दी")[0].tokens == ("ह", "न", "द")
    assert [term.text for term in terms("مُحَمَّد")] == ["مُحَمَّد"]


def test_a_word_of_very_many_parts_counts_by_the_first_of_them() -> None:
    (term,) = terms("_".join(f"p{n}" for n in range(2000)))
    assert len(term.tokens) == 32
    assert term.text == "_".join(f"p{n}" for n in range(32))


@given(text=st.text())
def test_any_text_has_a_bounded_number_of_terms_none_of_them_empty(text: str) -> None:
    found = terms(text * 20)
    assert len(found) <= MOST
    assert all(term.text and all(term.tokens) for term in found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("École", "ecole"),
        (unicodedata.normalize("NFD", "École"), "ecole"),
        ("ЁЛКА", "елка"),
        ("ΟΔΟΣ", "οδοσ"),
        ("İstanbul", "istanbul"),
    ],
)
def test_words_are_one_whatever_their_case_and_accents(one: str, other: str) -> None:
    assert tokens(one) == tokens(other) == [tokens(other)[0]]


def test_a_word_of_parts_is_counted_where_its_parts_follow_each_other() -> None:
    (term,) = terms("snake_case")
    assert Text("snake_case, a snake case, a case of snake").count(term) == 2


def test_what_is_compared_as_it_stands_is_counted_within_words_too() -> None:
    (term,) = terms("编程")
    assert Text("学习编程语言, 编程").count(term) == 2


@given(text=st.text(), query=st.text(min_size=1))
def test_places_lie_in_order_within_the_text_and_hold_the_term(text: str, query: str) -> None:
    text += query
    wanted = terms(query)
    last = 0
    for begin, end, number in places(text, wanted):
        assert last <= begin < end <= len(text)
        held = tokens(text[begin:end])
        assert held == list(wanted[number].tokens) if wanted[number].tokens else held is not None
        last = end


@given(words=st.lists(st.sampled_from(["red", "Red", "blue", "été", "sky"]), max_size=9))
def test_as_many_places_are_found_as_words_are_counted(words: list[str]) -> None:
    text = " ".join(words)
    for term in terms("red blue ETE"):
        assert len(places(text, [term])) == Text(text).count(term)
