"""Full text: any input is a query, words match whatever their case and accents, filters hold."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import wilk


def found(store: wilk.Store, query: str, **options: object) -> list[str]:
    return [hit.message.text for hit in store.messages.search(query, **options)]  # type: ignore[arg-type]


@given(query=st.text(st.characters(), max_size=60))
@example('"')
@example("a OR")
@example("text:x NEAR(a b) * ^ - + ( ) { }")
@example("\ud800")
@example("数\0据")
@example("%_\\")
@example("'; DROP TABLE messages; --")
def test_any_string_is_a_valid_query(store: wilk.Store, query: str) -> None:
    assert isinstance(store.messages.search(query), list)


@pytest.mark.parametrize("query", ["word " * 5_000, "数" * 60_000, '"' * 60_000, "x" * 200_000])
def test_a_very_long_string_is_a_valid_query(store: wilk.Store, query: str) -> None:
    assert store.messages.search(query) == []


@pytest.mark.parametrize("query", ["", "   ", "\t\n"])
def test_a_blank_query_finds_nothing(store: wilk.Store, session: str, query: str) -> None:
    store.messages.append(session, "user", "hello")
    assert store.messages.search(query) == []


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The Quick brown fox", "QUICK"),
        ("Crème brûlée", "creme brulee"),
        ("creme brulee", "CRÈME"),
        ("Äpfel", "apfel"),
        (unicodedata.normalize("NFC", "école"), unicodedata.normalize("NFD", "école")),
        (unicodedata.normalize("NFD", "école"), unicodedata.normalize("NFC", "école")),
        ("ЁЛКА", "ёлка"),
        ("हिन्दी भाषा", "भाषा"),
        ("see snake_case here", "snake_case"),
        ("c++ and c#", "c++"),
        ("version 3.11.7", "3.11.7"),
        ("mail ada@example.org", "ada@example.org"),
        ("use AND or NOT", "NOT use"),
        ("path core/wilk/store.py", "core/wilk/store.py"),
    ],
)
def test_words_are_found_whatever_their_case_accents_and_marks(
    store: wilk.Store, session: str, text: str, query: str
) -> None:
    store.messages.append(session, "user", text)
    assert found(store, query) == [text]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("我喜欢学习编程语言", "学习编程"),
        ("日本語のテキスト検索", "テキスト"),
        ("ภาษาไทยไม่มีช่องว่าง", "ไม่มี"),
        ("混合 English 文本", "文本"),
    ],
)
def test_text_without_spaces_between_words_is_found_in_the_middle(
    store: wilk.Store, session: str, text: str, query: str
) -> None:
    store.messages.append(session, "user", text)
    assert found(store, query) == [text]


def test_input_without_a_word_is_compared_as_it_stands(store: wilk.Store, session: str) -> None:
    store.messages.append(session, "user", "really?! 100 %")
    store.messages.append(session, "user", "really 100")
    assert (found(store, "?!"), found(store, "%"), found(store, "_")) == (
        ["really?! 100 %"],
        ["really?! 100 %"],
        [],
    )


def test_every_word_must_be_there(store: wilk.Store, session: str) -> None:
    store.messages.append(session, "user", "red green")
    store.messages.append(session, "user", "red blue")
    assert found(store, "blue red") == ["red blue"]


def test_part_of_a_word_is_not_the_word(store: wilk.Store, session: str) -> None:
    store.messages.append(session, "user", "wolfhound")
    assert found(store, "wolf") == []


def test_the_best_match_comes_first(store: wilk.Store, session: str) -> None:
    store.messages.append(session, "user", "wolf " + "and many other words " * 20)
    store.messages.append(session, "user", "wolf wolf")
    assert found(store, "wolf")[0] == "wolf wolf"


def test_limit_bounds_what_is_found(store: wilk.Store, session: str) -> None:
    store.messages.extend(session, [{"role": "user", "text": "wolf"}] * 5)
    assert len(store.messages.search("wolf", limit=3)) == 3


@pytest.mark.parametrize("text", ["wolf \0 howls", "wolf \ud800 howls"])
def test_text_that_no_engine_holds_is_searchable_and_comes_back_as_it_was(
    store: wilk.Store, session: str, text: str
) -> None:
    store.messages.append(session, "user", text)
    assert found(store, "howls") == [text]


def test_a_removed_session_is_not_found_any_more(store: wilk.Store, session: str) -> None:
    store.messages.append(session, "user", "wolf")
    store.sessions.remove(session)
    assert found(store, "wolf") == []


def test_a_rolled_back_message_is_not_found(store: wilk.Store, session: str) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.messages.append(session, "user", "wolf")
        raise ZeroDivisionError
    assert found(store, "wolf") == []


@pytest.mark.parametrize("query", ["wolf", "狼"], ids=["indexed", "compared"])
def test_results_never_cross_the_session(store: wilk.Store, query: str) -> None:
    mine, other = store.sessions.create().id, store.sessions.create().id
    for id in (mine, other):
        store.messages.append(id, "user", f"{query} in {id}")
    assert found(store, query, session=mine) == [f"{query} in {mine}"]


@pytest.mark.parametrize("query", ["wolf", "狼"], ids=["indexed", "compared"])
def test_results_never_cross_the_user(store: wilk.Store, query: str) -> None:
    for user in ("u_1", "u%1", "ux1"):
        store.users.save(user, name=user)
        store.messages.append(store.sessions.create(user=user).id, "user", f"{query} of {user}")
    store.messages.append(store.sessions.create().id, "user", f"{query} of nobody")
    assert found(store, query, user="u_1") == [f"{query} of u_1"]


def test_the_session_and_the_user_must_both_fit(store: wilk.Store) -> None:
    store.users.save("ada", name="Ada")
    store.users.save("bob", name="Bob")
    of_ada = store.sessions.create(user="ada").id
    store.messages.append(of_ada, "user", "wolf")
    assert found(store, "wolf", session=of_ada, user="bob") == []
