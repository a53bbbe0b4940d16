"""Full text on PostgreSQL: what is found, whatever the server, and that writing never fails for it."""

from __future__ import annotations

import random
import string
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.servers.postgres import PostgresServer

import wilk
from wilk.services.search.words import tokens

_PAIRS = [
    ("Ёлка", "елка"),
    ("ёлка", "ЁЛКА"),
    ("É", "e"),
    ("naïve", "NAIVE"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("İstanbul", "istanbul"),
    ("Straße", "STRASSE".lower().replace("ss", "ß")),
    ("foo-bar", "foo"),
    ("foo-bar", "bar"),
    ("see /a/foo.txt", "foo"),
    ("see /a/foo.txt", "txt"),
    ("http://example.org/p?q=1", "example"),
    ("http://example.org/p?q=1", "q"),
    ("mail ada@example.org", "ada"),
    ("v1.2.3-rc", "rc"),
    ("-5 and 3.14", "14"),
    ("x\u2014y", "y"),
    ("a<b>bold</b>&amp;", "bold"),
    ("snake_case", "snake_case"),
    ("snake_case", "case"),
    ("smile\U0001f642here", "smile"),
    ("हिन्दी भाषा", "हिन्दी"),
    ("한국어", "한국어"),
    ("10²", "10²"),
]


@pytest.fixture(scope="module", params=["", "TEMPLATE template0 LOCALE 'C'"], ids=["locale", "C"])
def url(server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database for all these tests, in each server's own locale and without one."""
    server.execute(f"CREATE DATABASE words {request.param}")
    try:
        yield server.url("words")
    finally:
        server.execute("DROP DATABASE words WITH (FORCE)")


@pytest.fixture
def plain(url: str) -> Iterator[Any]:
    """What a person does without wilk."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def found(store: wilk.Store, query: str, session: str) -> list[str]:
    return [hit.message.text for hit in store.messages.search(query, session=session, limit=1000)]


def in_step(plain: Any) -> bool:
    """Whether the index holds the words of every text, and no others."""
    return not plain.execute(
        "SELECT pk FROM messages FULL JOIN messages_words USING (pk) "
        "WHERE words IS DISTINCT FROM wilk_words(text)"
    ).fetchall()


@pytest.mark.parametrize(("text", "query"), _PAIRS)
def test_a_word_is_found_whatever_its_case_accents_and_neighbours(
    store: wilk.Store, session: str, text: str, query: str
) -> None:
    store.messages.append(session, "user", text)
    assert found(store, query, session) == [text]
    assert [hit.record.text for hit in store.search(query, session=session)] == [text]


def test_a_part_of_a_word_and_words_in_another_order_are_not_found(store: wilk.Store, session: str) -> None:
    store.messages.append(session, "user", "snake_case of wolves")
    assert [found(store, query, session) for query in ("wolve", "case_snake", "cases")] == [[], [], []]


@pytest.mark.parametrize(
    "query",
    [
        "'",
        '"',
        "\\",
        "%",
        "%s",
        "a & b | !c",
        "foo:* <-> bar",
        "(",
        ":A",
        "'; DROP TABLE messages; --",
        "a\\'b",
        "\U0001f642",
        "x" * 100_000,
        "x " * 50_000,
        " ".join(map(str, range(20_000))),
        "a_b " * 2000,
        "²",
        "é" * 9000,
    ],
)
def test_any_input_is_a_query(store: wilk.Store, session: str, query: str) -> None:
    text = query[:10_000]
    store.messages.append(session, "user", text)
    assert text in found(store, query, session)
    engine = store._engine
    assert engine.full_text is not None
    for any_word in (False, True):
        matching = engine.full_text.matching(query, "messages", any_word=any_word)
        if matching is not None:  # the text was cut, so that not all words of the longest are there
            assert engine.select(matching) or (len(query) > len(text) and not any_word)


def test_one_of_several_words_is_enough_where_that_is_asked(store: wilk.Store, session: str) -> None:
    one = store.messages.append(session, "user", "quagga").id
    store.messages.append(session, "user", "zebra")
    engine = store._engine
    assert engine.full_text is not None
    matching = engine.full_text.matching("quagga okapi_deer", "messages", any_word=True)
    assert len(engine.select(matching)) == 1
    assert store.search("quagga okapi", session=session)[0].id == one


def test_a_rare_word_counts_more_than_a_common_one(store: wilk.Store, session: str) -> None:
    store.messages.extend(
        session, [{"role": "user", "text": f"vole number {n} vole vole"} for n in range(50)]
    )
    store.messages.append(session, "user", "one axolotl among several others")
    engine = store._engine
    assert engine.full_text is not None
    hits = engine.full_text.matching("vole axolotl", "messages", any_word=True).alias("hits")
    from peewee import Select

    best = engine.select(Select([hits], [hits.c.pk]).order_by(hits.c.rank).limit(1))[0][0]
    assert engine.execute("SELECT text FROM messages WHERE pk = %s", (best,)) == [
        ("one axolotl among several others",)
    ]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.text(st.sampled_from("aBéÉёЙßſıİςΣمه\u0651\u0301\u093fहनあ日한①²_-.'\"\\%& "), max_size=9),
        max_size=6,
    )
)
def test_a_text_is_found_by_each_of_its_words(store: wilk.Store, session: str, words: list[str]) -> None:
    text = " ".join(words)
    store.messages.append(session, "user", text)
    for word in text.split():
        if tokens(word):
            assert text in found(store, word, session)


# -- what writing goes through ------------------------------------------------------------


def test_a_text_of_more_words_than_fit_is_kept_and_found_by_its_beginning(
    store: wilk.Store, session: str, plain: Any
) -> None:
    chance = random.Random(5)
    words = ["".join(chance.choices(string.ascii_lowercase, k=12)) for _ in range(160_000)]
    message = store.messages.append(session, "user", " ".join(words))
    assert store.messages.get(message.id).text == message.text
    assert len(found(store, words[0], session)) == len(found(store, words[60_000], session)) == 1
    assert found(store, words[0][:5], session) == []
    assert in_step(plain)


def test_a_word_of_many_kilobytes_is_kept_and_found(store: wilk.Store, session: str) -> None:
    text = "before " + "é" * 5000 + " " + "x" * 5000 + " behind"
    store.messages.append(session, "user", text)
    assert found(store, "behind before", session) == [text]
    assert found(store, "é" * 5000, session) == [text]
    assert found(store, "x" * 5000, session) == [text]


def test_words_behind_one_another_are_found_at_the_end_of_a_long_text(
    store: wilk.Store, session: str
) -> None:
    text = "and so on, " * 20_000 + "the end_of_it"
    store.messages.append(session, "user", text)
    assert found(store, "end_of_it", session) == [text]
    assert found(store, "of_end_it", session) == []
    store.messages.append(session, "user", "a_b " + "a c b " * 300 + "c_a")
    assert len(found(store, "c_a", session)) == 1


def test_what_others_write_delete_and_change_is_followed(store: wilk.Store, session: str, plain: Any) -> None:
    store.messages.append(session, "user", "ocelot")
    plain.execute("SET search_path = pg_catalog")  # nothing of wilk's is found by its bare name
    plain.execute("UPDATE public.messages SET text = 'Márgay' WHERE text = 'ocelot'")
    plain.execute(
        "INSERT INTO public.messages (id, session_id, sequence, role, text, tokens, importance, created_at) "
        "SELECT 'by-hand', session_id, 99, role, 'caracal', tokens, importance, created_at "
        "FROM public.messages WHERE text = 'Márgay'"
    )
    plain.execute("SET search_path = public")
    assert found(store, "ocelot", session) == []
    assert found(store, "margay", session) == ["Márgay"]
    assert found(store, "caracal", session) == ["caracal"]
    plain.execute("DELETE FROM messages WHERE id = 'by-hand'")
    assert found(store, "caracal", session) == []
    assert in_step(plain)


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE messages_words",
        "DROP INDEX messages_words_index",
        "DROP TRIGGER messages_words_row ON messages; UPDATE messages SET text = 'changed'",
        "ALTER TABLE messages DISABLE TRIGGER messages_words_row; UPDATE messages SET text = 'changed'",
        "DELETE FROM messages_words",
        "INSERT INTO messages_words VALUES (-1, '')",
        "DROP FUNCTION wilk_holds",
        "COMMENT ON FUNCTION wilk_folded(text) IS NULL",
        "SELECT 1",
    ],
)
def test_what_is_missing_is_put_back(store: wilk.Store, session: str, plain: Any, damage: str) -> None:
    store.messages.append(session, "user", "serval_cat")
    for statement in damage.split("; "):
        plain.execute(statement)
    engine = store._engine
    assert engine.full_text is not None
    with store.transaction():
        engine.full_text.install(engine.database)
    (text,) = [
        text for (text,) in engine.execute("SELECT text FROM messages WHERE session_id = %s", (session,))
    ]
    assert found(store, text, session) == [text]
    store.messages.append(session, "user", "after")
    assert found(store, "after", session) == ["after"]
    assert in_step(plain)


def test_an_index_that_is_whole_is_left_as_it_is(store: wilk.Store, session: str, plain: Any) -> None:
    store.messages.append(session, "user", "serval")
    node = "SELECT pg_relation_filenode('messages_words'), pg_relation_filenode('messages_words_index')"
    before = plain.execute(node).fetchone()
    with store.transaction():
        store._engine.full_text.install(store._engine.database)  # type: ignore[union-attr]
    assert plain.execute(node).fetchone() == before


def test_a_store_in_a_schema_of_its_own_has_an_index_of_its_own(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as plain:
        plain.execute('CREATE SCHEMA IF NOT EXISTS "Own ""one"')
    with wilk.open_store(url + "?schema=Own%20%22one") as store:
        session = store.sessions.create().id
        store.messages.append(session, "user", "lynx_lynx")
        assert found(store, "lynx_lynx", session) == ["lynx_lynx"]


def test_a_dump_brings_the_index_along(
    store: wilk.Store, session: str, url: str, server: PostgresServer
) -> None:
    store.messages.append(session, "user", "jaguarundi")
    dump = subprocess.run(
        [server.programs / "pg_dump", url], capture_output=True, text=True, check=True
    ).stdout
    with server.database("template0") as again:
        restore = [str(server.programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", again]
        subprocess.run(restore, input=dump, text=True, check=True, capture_output=True)
        with wilk.open_store(again) as other:
            assert found(other, "jaguarundi", session) == ["jaguarundi"]
