"""Snippets: the place that fits best, in one line, with the hits marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wilk.services.search.snippets import WIDTH, snippet
from wilk.services.search.words import terms, tokens

pytestmark = pytest.mark.storeless

FILLER = "and so on it goes for quite a while without any news at all " * 20


def marked(text: str, query: str, **options: int) -> list[str]:
    piece = snippet(text, terms(query), **options)
    return [piece.text[begin:end] for begin, end in piece.marks]


def test_a_short_text_is_its_own_snippet() -> None:
    piece = snippet("The quick brown fox", terms("BROWN"))
    assert (piece.text, piece.marks) == ("The quick brown fox", ((10, 15),))


def test_the_hit_is_in_it_wherever_it_lies_in_a_long_text() -> None:
    piece = snippet(f"{FILLER}the wolf howls {FILLER}", terms("wolf"))
    assert "the wolf howls" in piece.text
    assert piece.text.startswith("…")
    assert piece.text.endswith("…")
    assert len(piece.text) <= WIDTH + 2


def test_the_place_with_the_most_of_the_words_is_taken() -> None:
    text = f"one wolf {FILLER} a wolf howls at night {FILLER} another wolf"
    assert marked(text, "wolf howls night") == ["wolf", "howls", "night"]


def test_a_word_that_weighs_more_is_shown_rather_than_two_that_weigh_little() -> None:
    text = f"the and {FILLER.replace('and', 'or')} wolf"
    piece = snippet(text, terms("the and wolf"), [0.1, 0.1, 5.0])
    assert [piece.text[begin:end] for begin, end in piece.marks] == ["wolf"]


def test_a_text_without_a_hit_gives_its_beginning() -> None:
    piece = snippet(f"At first {FILLER}", terms("wolf"))
    assert piece.text.startswith("At first")
    assert piece.marks == ()


def test_line_breaks_become_blanks_and_marks_stay_where_they_belong() -> None:
    piece = snippet("one\n\n\ttwo   wolf\r\nhowls", terms("wolf howls"))
    assert piece.text == "one two wolf howls"
    assert [piece.text[begin:end] for begin, end in piece.marks] == ["wolf", "howls"]


def test_hits_are_marked_whatever_their_case_and_accents() -> None:
    assert marked("Die ÄPFEL, e\u0301cole", "apfel ECOLE") == ["ÄPFEL", "e\u0301cole"]


def test_parts_of_a_script_without_spaces_are_marked() -> None:
    assert marked("我喜欢学习编程语言", "编程") == ["编程"]


def test_a_text_of_one_endless_word_is_cut() -> None:
    piece = snippet("x" * 10_000, terms("wolf"))
    assert len(piece.text) <= WIDTH + 2


def test_a_cut_does_not_part_an_accent_from_its_letter() -> None:
    piece = snippet("e\u0301" * 1000, terms("wolf"), width=11)
    assert piece.text.rstrip("…").endswith("\u0301")


@given(
    before=st.text(max_size=600),
    word=st.sampled_from(["wolf", "Éclair", "snake_case", "编程"]),
    after=st.text(max_size=600),
    width=st.integers(20, 300),
)
def test_a_planted_word_is_always_marked(before: str, word: str, after: str, width: int) -> None:
    piece = snippet(f"{before} {word} {after}", terms(word), width=width)
    hits = [piece.text[begin:end] for begin, end in piece.marks]
    assert any(hit == word or tokens(hit) == tokens(word) for hit in hits)
    assert len(piece.text) <= width + 2
    assert "\n" not in piece.text


@given(text=st.text(), query=st.text())
def test_any_text_and_any_query_give_a_snippet_with_marks_inside_of_it(text: str, query: str) -> None:
    piece = snippet(text, terms(query))
    last = 0
    for begin, end in piece.marks:
        assert last <= begin < end <= len(piece.text)
        last = end
