"""Passages: which text of a record is searched, and how a long one is parted."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk import codec
from wilk.services.embedding.passages import (
    LONGEST,
    MOST,
    PARTS_OF_OUTPUT,
    _joined,
    of_message,
    parted,
    passages,
)

from .indexed import check_passages

TEXT = st.text(alphabet=st.sampled_from("ab \n.!?。\0\ud800é"), max_size=400)


class Color(Enum):
    RED = "red"


@given(text=TEXT, longest=st.integers(1, 40))
def test_pieces_are_short_and_lose_no_word(text: str, longest: int) -> None:
    pieces = parted(text, longest)
    assert all(0 < len(piece) <= longest and piece.strip() == piece for piece in pieces)
    if len(pieces) < MOST:
        assert "".join("".join(pieces).split()) == "".join(text.split())


def test_a_text_is_parted_at_paragraphs_before_sentences_before_words() -> None:
    assert parted("one two. three\n\nfour five", 20) == ["one two. three", "four five"]
    assert parted("one two. three. four five", 20) == ["one two. three.", "four five"]
    assert parted("one two three four five", 20) == ["one two three four", "five"]
    assert parted("x" * 50, 20) == ["x" * 20, "x" * 20, "x" * 10]


def test_of_a_very_long_text_the_beginning_is_searched() -> None:
    assert len(passages("word " * LONGEST * MOST)) == MOST


def test_blank_texts_have_no_passages() -> None:
    assert passages("") == passages(" \n\t ") == []


def test_of_a_tools_output_a_few_passages_get_vectors() -> None:
    text = "a line\n" * 5000
    assert len(of_message("tool", text)) == PARTS_OF_OUTPUT
    assert of_message("user", text) == passages(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"b": "two", "a": ["one", {"x": "deep"}], "n": 7, "f": 0.5, "t": True, "z": None},
            "two\none\ndeep\n7\n0.5",
        ),
        ("plain", "plain"),
        (["", "  ", "kept"], "kept"),
        ({"id": UUID(int=1), "color": Color.RED}, f"{UUID(int=1)}\nred"),
        (MappingProxyType({"a": ("b", "c")}), "b\nc"),
        ({"blob": "x" * 600, "words": "many words " * 100}, ("many words " * 100)),
        ([float("nan"), float("inf"), 2**70, 10**5000], ""),
    ],
)
def test_what_a_person_would_read_is_the_text_of_a_value(value: Any, text: str) -> None:
    assert _joined(value) == text


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.uuids() | st.sampled_from(Color),
        lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(TEXT, inner),
        max_leaves=20,
    )
)
def test_a_value_says_the_same_before_it_is_kept_and_after(value: Any) -> None:
    """So that passages which are made anew are those that were made when the record was written."""
    kept = codec.loads(codec.dumps(value))
    assert passages(_joined(value)) == passages(_joined(kept))


def test_a_value_may_nest_deeply() -> None:
    value: Any = "deep"
    for _ in range(5000):
        value = [value]
    assert _joined(value) == "deep"


def test_the_kinds_say_what_a_person_would_search(store: wilk.Store, session: str) -> None:
    store.memories.add("what was noted", data={"other": "data"})
    store.memories.add("", data={"sequence": ["only", "data"]})
    store.pins.add(session, "a pin")
    store.documents.save("d", {"title": "A title", "body": "and a body"})
    store.messages.append(session, "user", "hello")
    store.summaries.add(session, "a summary", last=1)
    fact = store.facts.add("wolf", "eats", {"what": "meat"})
    store.interactions.add("a question")
    store.patterns.add("a name", description="told", sequence=[{"step": "first"}, "second"])
    rows = store._engine.execute("SELECT kind, text FROM passages ORDER BY pk")
    assert rows == [
        ("memory", "what was noted"),
        ("memory", "only\ndata"),
        ("pin", "a pin"),
        ("document", "A title\n\nA title\nand a body"),
        ("summary", "a summary"),
        ("fact", "wolf eats meat"),
        ("interaction", "a question"),
        ("pattern", "a name\ntold\nfirst\nsecond"),
    ]
    store.facts.retract(fact.id)
    assert store._engine.execute("SELECT text FROM passages WHERE kind = 'fact'") == []
    check_passages(store)


def test_passages_know_the_session_and_the_user_of_their_record(store: wilk.Store, session: str) -> None:
    store.users.save("ann", name="Ann")
    store.memories.add("a memory", session=session, user="ann")
    store.documents.save("d", "text", user="ann")
    rows = store._engine.execute("SELECT kind, session_id, user_id FROM passages ORDER BY pk")
    assert rows == [("memory", session, "ann"), ("document", None, "ann")]
