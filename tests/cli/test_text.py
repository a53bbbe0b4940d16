"""Text for terminals: widths, cutting, and characters that must not get there."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wilk.cli import text
from wilk.cli.output import Output, Styled

HARMFUL = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u202e", "\u2066", "\ud800"]


@given(st.text(), st.integers(1, 40))
def test_what_is_shortened_fits(content: str, limit: int) -> None:
    assert text.width(text.shortened(content, limit)) <= limit


@given(st.text(), st.integers(0, 40), st.booleans())
def test_what_is_padded_is_as_wide_as_asked(content: str, extra: int, right: bool) -> None:
    columns = text.width(content) + extra
    assert text.width(text.padded(content, columns, right=right)) == columns


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(HARMFUL))))
def test_a_line_has_no_control_characters(content: str) -> None:
    assert not set(text.one_line(content)) & set(HARMFUL)


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(HARMFUL))))
def test_lines_keep_line_breaks_and_tabs_alone(content: str) -> None:
    assert not set(text.lines(content)) & (set(HARMFUL) - {"\n", "\t"})


@given(st.text(st.characters(blacklist_categories=["C", "Z"])))
def test_printable_text_stays_as_it_is(content: str) -> None:
    assert text.one_line(content) == text.lines(content) == content


@pytest.mark.parametrize(
    ("content", "columns"), [("abc", 3), ("漢字", 4), ("e\u0301", 1), ("Ａ", 2), ("", 0)]
)
def test_width_is_what_a_terminal_needs(content: str, columns: int) -> None:
    assert text.width(content) == columns


def test_columns_of_a_table_are_aligned_by_width() -> None:
    stream = io.StringIO()
    Output(stream).table(["A", "B"], [["漢字", "x"], ["ab", "y"]])
    lines = stream.getvalue().splitlines()
    assert [text.width(line[: line.index(end)]) for line, end in zip(lines, "Bxy", strict=True)] == [6, 6, 6]


def test_a_heading_over_no_rows_is_still_there() -> None:
    stream = io.StringIO()
    Output(stream).table(["A"], [])
    assert stream.getvalue() == "A\n"


def test_styles_do_not_reach_a_pipe() -> None:
    stream = io.StringIO()
    Output(stream).line(Styled("x", "red"))
    assert stream.getvalue() == "x\n"


def test_json_keeps_lone_surrogates_as_escapes() -> None:
    stream = io.StringIO()
    Output(stream, json=True).document({"text": "\ud800"})
    assert '"\\ud800"' in stream.getvalue()
