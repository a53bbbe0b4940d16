"""``store.search``: any input is a query, the best comes first, and only what is there is found."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import wilk
from wilk.host import Host
from wilk.services.embedding.passages import KINDS


def found(store: wilk.Store, query: str, **options: Any) -> list[str]:
    """The snippets of what is found."""
    return [one.snippet for one in store.search(query, **options)]


def kinds(store: wilk.Store, query: str, **options: Any) -> set[str]:
    return {one.kind for one in store.search(query, **options)}


def one_of_each(store: wilk.Store, word: str) -> dict[str, str]:
    """A record of each kind that holds a word, by kind, and their ids."""
    store.users.save("ann", name="Ann")
    session = store.sessions.create(user="ann").id
    store.messages.append(session, "user", "what a summary is made of")
    return {
        "message": store.messages.append(session, "user", f"message {word}").id,
        "memory": store.memories.add(f"memory {word}", session=session).id,
        "pin": store.pins.add(session, f"pin {word}").id,
        "document": store.documents.save("doc", {"body": [f"document {word}"]}, user="ann").id,
        "summary": store.summaries.add(session, f"summary {word}", first=1, last=1).id,
        "fact": store.facts.add("ann", "likes", f"fact {word}", session=session).id,
        "interaction": store.interactions.add(f"interaction {word}", session=session, user="ann").id,
        "pattern": store.patterns.add(f"pattern {word}").id,
    }


class TestQueries:
    @given(query=st.text(st.characters(), max_size=60))
    @example('"')
    @example("a OR")
    @example("text:x NEAR(a b) * ^ - + ( ) { }")
    @example("NEAR/2 AND NOT")
    @example("🎉 👩‍👩‍👧")
    @example("\ud800")
    @example("数\0据")
    @example("%_\\")
    @example("'; DROP TABLE messages; --")
    @example("\u0301")
    @example("ⅷ ² ½")
    @settings(max_examples=60)
    def test_any_string_is_valid(self, store: wilk.Store, session: str, query: str) -> None:
        store.pins.add(session, "one pin")
        assert isinstance(store.search(query, kinds=KINDS), list)

    @pytest.mark.parametrize(
        "query",
        ["word " * 2_000, "数据" * 5_000, '"' * 10_000, "x" * 10_000, " ".join(map(str, range(3_000))),
         "🎉" * 10_000, "a_" * 5_000, "e\u0301" * 5_000],
    )  # fmt: skip
    def test_a_very_long_string_is_valid(self, store: wilk.Store, session: str, query: str) -> None:
        store.messages.append(session, "user", "hello")
        assert store.search(query) == []

    @pytest.mark.parametrize("query", ["", "   ", "\t\n"])
    def test_a_blank_query_finds_nothing(self, store: wilk.Store, session: str, query: str) -> None:
        store.messages.append(session, "user", "hello")
        assert store.search(query) == []

    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("The Quick brown fox", "QUICK"),
            ("Crème brûlée", "creme brulee"),
            ("see snake_case here", "snake_case"),
            ("use AND or NOT", "NOT use"),
            ("path core/wilk/store.py", "core/wilk/store.py"),
            ("我喜欢学习编程语言", "学习编程"),
            ("ภาษาไทยไม่มีช่องว่าง", "ไม่มี"),
            ("混合 English 文本", "english 文本"),
            ("really?! 100 %", "?!"),
            ("hooray 🎉", "🎉"),
            ("हिन्दी भाषा", "भाषा"),
            ("wolf \0 howls", "howls"),
            ("wolf \ud800 howls", "howls"),
        ],
    )
    @pytest.mark.parametrize("kind", ["message", "document"])
    def test_words_are_found_whatever_their_script(
        self, store: wilk.Store, session: str, kind: str, text: str, query: str
    ) -> None:
        if kind == "message":
            store.messages.append(session, "user", text)
        else:
            store.documents.save("d", {"text": text})
        (one,) = store.search(query)
        assert one.kind == kind
        assert one.marks

    @pytest.mark.parametrize("text", ["thanks🙂", "great🤗", "wow👍🏽", "🤖great", "nice🫶ok"])
    def test_a_word_beside_an_emoji_is_found(self, store: wilk.Store, session: str, text: str) -> None:
        store.messages.append(session, "user", text)
        word = next(word for word in ("thanks", "great", "wow", "nice") if word in text)
        (one,) = store.search(word)
        assert [one.snippet[begin:end] for begin, end in one.marks] == [word]

    def test_words_with_signs_for_vowels_are_found_as_a_whole(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "हिन्दी भाषा")
        store.messages.append(session, "user", "द ह न")
        (one,) = store.search("हिन्दी")
        assert [one.snippet[begin:end] for begin, end in one.marks] == ["हिन्दी"]

    @given(
        text=st.text(
            st.sampled_from("aA ßİſ_'*\"-日アم\u0301\u0338\u093f\u0651\u200d👩🙂²①ςΣ한é\ud800\0"), max_size=20
        ),
        query=st.text(st.sampled_from("aA ßİſ_'*\"-日アم\u0301\u093f\u200d👩🙂²①ςΣ한é"), max_size=8),
    )
    def test_what_a_message_says_finds_it(
        self, store: wilk.Store, session: str, text: str, query: str
    ) -> None:
        message = store.messages.append(session, "user", f"{text} {query}")
        found = {one.id for one in store.search(query, limit=10_000)}
        assert (message.id in found) == bool(query.replace("\0", "").strip())

    @pytest.mark.parametrize("limit", [2**31, 2**62, 2**63 - 1])
    def test_any_limit_is_valid(self, store: wilk.Store, session: str, limit: int) -> None:
        store.messages.append(session, "user", "wolf")
        assert found(store, "wolf", limit=limit) == ["wolf"]

    def test_an_unknown_kind_is_refused_with_the_choices(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="kinds 'messages': one of message, memory, pin, document"):
            store.search("x", kinds=["messages"])

    def test_a_kind_that_is_a_text_is_refused(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="a list is wanted"):
            store.search("x", kinds="message")

    @pytest.mark.parametrize("limit", [-1, 1.5, True, None])
    def test_a_limit_that_is_no_number_is_refused(self, store: wilk.Store, limit: Any) -> None:
        with pytest.raises(wilk.Invalid, match="limit"):
            store.search("x", limit=limit)

    def test_what_is_no_text_is_refused(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="text is int"):
            store.search(7)  # type: ignore[arg-type]


class TestOrder:
    def test_what_holds_all_words_comes_before_what_holds_some(self, store: wilk.Store, session: str) -> None:
        both = "red " + "and many other words " * 20 + "blue"
        for text in ("red red red", both, "blue blue"):
            store.messages.append(session, "user", text)
        assert next(one.record.text for one in store.search("red blue")) == both
        assert len(store.search("red blue")) == 3

    def test_what_holds_the_rarer_word_comes_before_what_holds_the_commoner_one(
        self, store: wilk.Store, session: str
    ) -> None:
        store.messages.extend(session, [{"role": "user", "text": "common word"}] * 20)
        store.messages.append(session, "user", "rare word")
        assert found(store, "common rare")[0] == "rare word"

    def test_a_short_text_that_is_about_the_word_comes_first(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "wolf " + "and many other words " * 20)
        store.messages.append(session, "user", "wolf wolf")
        assert found(store, "wolf")[0] == "wolf wolf"

    def test_of_equals_the_newest_comes_first(self, store: wilk.Store, session: str) -> None:
        ids = [store.messages.append(session, "user", "wolf").id for _ in range(5)]
        assert [one.id for one in store.search("wolf")] == ids[::-1]

    def test_kinds_of_records_are_compared_with_each_other(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "wolf " + "and many other words " * 20)
        pin = store.pins.add(session, "wolf wolf").id
        assert store.search("wolf")[0].id == pin

    def test_a_record_of_many_passages_is_found_once_by_its_best(self, store: wilk.Store) -> None:
        body = ["wolf " + "and so on " * 200, "wolf wolf wolf"]
        store.documents.save("d", {"body": body})
        (one,) = store.search("wolf")
        assert one.snippet.endswith("wolf wolf wolf")

    def test_a_record_of_very_many_passages_does_not_keep_others_out(
        self, store: wilk.Store, session: str
    ) -> None:
        store.pins.add(session, "an old wolf among so many other words that it is the last of them all")
        body = [f"wolf {number} " + "wolf " * 280 for number in range(300)]
        store.documents.save("d", {"body": body})
        assert [one.kind for one in store.search("wolf")] == ["document", "pin"]
        store.documents.save("d", {"body": [f"狼 {number} " + "狼 " * 500 for number in range(300)]})
        store.pins.add(session, "狼")
        assert {one.kind for one in store.search("狼")} == {"document", "pin"}

    def test_limit_bounds_what_is_found(self, store: wilk.Store, session: str) -> None:
        store.messages.extend(session, [{"role": "user", "text": "wolf"}] * 90)
        assert [len(store.search("wolf", limit=n)) for n in (0, 3, 100)] == [0, 3, 90]

    def test_the_first_ones_are_the_same_whatever_the_limit(self, store: wilk.Store, session: str) -> None:
        store.messages.extend(session, [{"role": "user", "text": "wolf " * (n % 7 + 1)} for n in range(50)])
        every = [one.id for one in store.search("wolf", limit=50)]
        assert [one.id for one in store.search("wolf", limit=5)] == every[:5]


class TestFound:
    def test_every_kind_is_found_by_its_record(self, store: wilk.Store) -> None:
        ids = one_of_each(store, "wolf")
        assert {one.kind: one.id for one in store.search("wolf", kinds=KINDS)} == ids

    def test_by_default_neither_interactions_nor_patterns(self, store: wilk.Store) -> None:
        one_of_each(store, "wolf")
        assert kinds(store, "wolf") == {"message", "memory", "pin", "document", "summary", "fact"}

    def test_records_come_typed_as_their_verbs_give_them(self, store: wilk.Store) -> None:
        ids = one_of_each(store, "wolf")
        nouns = {
            "message": store.messages, "memory": store.memories, "pin": store.pins,
            "document": store.documents, "summary": store.summaries, "fact": store.facts,
            "interaction": store.interactions, "pattern": store.patterns,
        }  # fmt: skip
        for one in store.search("wolf", kinds=KINDS):
            assert one.record == nouns[one.kind].get(ids[one.kind])  # type: ignore[attr-defined]
            assert one.created_at is not None

    def test_marks_are_the_places_of_the_words_in_the_snippet(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "A grey Wolf howls")
        (one,) = store.search("wolf grey")
        assert [one.snippet[begin:end] for begin, end in one.marks] == ["grey", "Wolf"]

    def test_the_score_is_the_sum_of_its_reasons(self, store: wilk.Store) -> None:
        one_of_each(store, "wolf")
        for one in store.search("wolf", kinds=KINDS):
            assert one.score == sum(reason.share for reason in one.reasons)
            assert [reason.by for reason in one.reasons] == ["text"]

    def test_a_word_far_down_in_a_long_message_is_shown(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "and so on " * 5_000 + "the wolf howls")
        assert found(store, "wolf")[0].endswith("the wolf howls")

    def test_what_is_found_can_be_written_as_json(self, store: wilk.Store, session: str) -> None:
        from wilk.cli.output import as_json

        store.messages.append(session, "user", "wolf \ud800")
        (one,) = store.search("wolf")
        assert json.loads(json.dumps(as_json(one._replace(record=None))))["snippet"] == "wolf ?"


class TestScope:
    @pytest.mark.parametrize("word", ["wolf", "狼"])
    def test_results_never_cross_the_session(self, store: wilk.Store, word: str) -> None:
        mine, other = store.sessions.create().id, store.sessions.create().id
        for id in (mine, other):
            store.messages.append(id, "user", f"{word} of {id}")
            store.pins.add(id, f"pinned {word} of {id}")
        assert len(store.search(word, session=mine)) == 2
        assert {one.session_id for one in store.search(word, session=mine)} == {mine}

    @pytest.mark.parametrize("word", ["wolf", "狼"])
    def test_results_never_cross_the_user(self, store: wilk.Store, word: str) -> None:
        for user in ("u_1", "u%1", "ux1"):
            store.users.save(user, name=user)
            session = store.sessions.create(user=user).id
            store.messages.append(session, "user", f"{word} of {user}")
            store.pins.add(session, f"pinned {word} of {user}")
            store.documents.save(f"doc-{user}", {"text": f"{word} in a document of {user}"}, user=user)
        store.messages.append(store.sessions.create().id, "user", f"{word} of nobody")
        texts = found(store, word, user="u_1")
        assert len(texts) == 3
        assert all("u_1" in text for text in texts)

    def test_the_session_and_the_user_must_both_fit(self, store: wilk.Store) -> None:
        store.users.save("ada", name="Ada")
        store.users.save("bob", name="Bob")
        of_ada = store.sessions.create(user="ada").id
        store.messages.append(of_ada, "user", "wolf")
        store.pins.add(of_ada, "wolf")
        assert store.search("wolf", session=of_ada, user="bob") == []
        assert len(store.search("wolf", session=of_ada, user="ada")) == 2

    def test_an_unknown_session_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no session 'x'"):
            store.search("wolf", session="x")

    def test_what_names_a_session_of_another_program_is_found_by_it(self, store: wilk.Store) -> None:
        store.interactions.add("why does the wolf howl", session="elsewhere")
        assert kinds(store, "wolf", kinds=["interaction"], session="elsewhere") == {"interaction"}

    def test_a_session_without_a_hit_gives_nothing(self, store: wilk.Store, session: str) -> None:
        assert store.search("wolf", session=session) == []

    def test_kinds_bound_what_is_found(self, store: wilk.Store) -> None:
        one_of_each(store, "wolf")
        for kind in KINDS:
            assert kinds(store, "wolf", kinds=[kind]) == {kind}
        assert store.search("wolf", kinds=[]) == []


class TestWhatIsThere:
    @pytest.mark.parametrize("word", ["wolf", "狼"])
    def test_removed_records_are_not_found(self, store: wilk.Store, word: str) -> None:
        ids = one_of_each(store, word)
        store.memories.remove(ids["memory"])
        store.pins.remove(ids["pin"])
        store.documents.remove(ids["document"])
        store.summaries.remove(ids["summary"])
        store.facts.remove(ids["fact"])
        store.interactions.remove(ids["interaction"])
        store.patterns.remove(ids["pattern"])
        assert kinds(store, word, kinds=KINDS) == {"message"}

    def test_a_removed_session_takes_what_belongs_to_it_along_and_restoring_brings_it_back(
        self, store: wilk.Store
    ) -> None:
        session = store.sessions.create().id
        store.messages.append(session, "user", "wolf")
        store.pins.add(session, "wolf")
        store.sessions.remove(session)
        assert store.search("wolf") == []
        store.archive.restore(session=session)
        assert kinds(store, "wolf") == {"message", "pin"}

    def test_compacted_messages_are_not_found_but_their_summary_is(
        self, store: wilk.Store, session: str
    ) -> None:
        store.messages.extend(session, [{"role": "user", "text": f"wolf {n}"} for n in range(10)])
        store.summaries.add(session, "many wolves", first=1, last=9)
        store.memory.compact(session, last=9)
        assert found(store, "wolf") == ["wolf 9"]
        assert kinds(store, "wolves") == {"summary"}
        store.memory.uncompact(session)
        assert len(found(store, "wolf")) == 10

    def test_a_retracted_fact_is_not_found(self, store: wilk.Store) -> None:
        fact = store.facts.add("wolf", "eats", "grass")
        store.facts.retract(fact.id)
        assert store.search("wolf") == []

    def test_a_changed_record_is_found_by_what_it_says_now(self, store: wilk.Store, session: str) -> None:
        pin = store.pins.add(session, "wolf").id
        store.pins.update(pin, content="bear")
        assert (store.search("wolf"), found(store, "bear")) == ([], ["bear"])

    def test_a_rolled_back_record_is_not_found(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.messages.append(session, "user", "wolf")
            store.pins.add(session, "wolf")
            assert len(store.search("wolf")) == 2
            raise ZeroDivisionError
        assert store.search("wolf") == []

    def test_a_readonly_store_is_searched(self, store: wilk.Store, session: str, home: Path) -> None:
        store.messages.append(session, "user", "wolf")
        store.pins.add(session, "wolf")
        with wilk.open_store(home=home, readonly=True) as reader:
            assert kinds(reader, "wolf") == {"message", "pin"}

    def test_a_store_in_memory_is_searched(self) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            store.messages.append(store.sessions.create().id, "user", "wolf")
            assert kinds(store, "wolf") == {"message"}

    def test_what_another_process_wrote_is_found_and_what_it_removed_is_not(
        self, store: wilk.Store, session: str
    ) -> None:
        pin = store.pins.add(session, "an old wolf").id
        assert found(store, "wolf") == ["an old wolf"]
        script = (
            "import sys, wilk\n"
            "with wilk.open_store() as store:\n"
            "    print(len(store.search('wolf')))\n"
            "    store.pins.remove(sys.argv[2])\n"
            "    store.messages.append(sys.argv[1], 'user', 'a new wolf')\n"
        )
        other = subprocess.run(
            [sys.executable, "-c", script, session, pin], capture_output=True, text=True, check=True
        )
        assert other.stdout == "1\n"
        assert found(store, "wolf") == ["a new wolf"]

    def test_records_from_before_there_were_passages_are_found(self, store: wilk.Store, home: Path) -> None:
        one_of_each(store, "wolf")
        with store.transaction():
            store._engine.execute("DELETE FROM passages")
            store._engine.execute("DELETE FROM indexed_kinds")
        store.close()
        with wilk.open_store(home=home, readonly=True) as reader:
            assert kinds(reader, "wolf", kinds=KINDS) == {"message"}
        with wilk.open_store(home=home) as opened:
            assert kinds(opened, "wolf", kinds=KINDS) == set(KINDS)

    @given(data=st.data())
    @settings(max_examples=25)
    def test_a_planted_word_finds_exactly_the_live_records_that_hold_it(
        self, store: wilk.Store, data: st.DataObject
    ) -> None:
        session = store.sessions.create().id
        words = st.sampled_from(["wolf", "Bär", "snake_case", "编程", "owl"])
        live: dict[str, set[str]] = {}
        for text in data.draw(st.lists(st.lists(words, min_size=1, max_size=4), max_size=8)):
            as_pin = data.draw(st.booleans())
            said = " ".join(text)
            made = store.pins.add(session, said) if as_pin else store.messages.append(session, "user", said)
            if as_pin and data.draw(st.booleans()):
                store.pins.remove(made.id)
            else:
                live[made.id] = set(text)
        for word in ("wolf", "BAR", "snake_case", "编程", "owl"):
            meant = {"BAR": "Bär"}.get(word, word)
            hits = {one.id for one in store.search(word, session=session, limit=100)}
            assert hits == {id for id, text in live.items() if meant in text}, word


class TestWithoutAnIndex:
    """An engine that cannot search text gives the same answer: texts are compared."""

    @pytest.fixture
    def bare(self, store: wilk.Store) -> Callable[[], None]:
        def take_away() -> None:
            store._engine.full_text = None

        return take_away

    @given(data=st.data())
    @settings(max_examples=25)
    def test_the_same_records_are_found_in_the_same_order(
        self, store: wilk.Store, data: st.DataObject
    ) -> None:
        session = store.sessions.create().id
        words = st.sampled_from(["red", "Red", "blue", "été", "snake_case", "case", "编程", "x编程y", "sky!"])
        texts = st.lists(words, min_size=1, max_size=6).map(" ".join)
        for text in data.draw(st.lists(texts, max_size=8)):
            store.messages.append(session, "user", text)
            store.pins.add(session, text + " red")
        query = data.draw(texts)
        index = store._engine.full_text
        with_index = [one.id for one in store.search(query, session=session, limit=100)]
        store._engine.full_text = None
        try:
            without = [one.id for one in store.search(query, session=session, limit=100)]
        finally:
            store._engine.full_text = index
        assert set(with_index) == set(without)

    @pytest.mark.parametrize("query", ["wolf", "WOLF 狼", "狼", "?!", "nothing"])
    def test_words_pieces_and_signs_are_compared(
        self, store: wilk.Store, session: str, bare: Callable[[], None], query: str
    ) -> None:
        for text in ("wolf 狼 ?!", "wolfhound", "no"):
            store.messages.append(session, "user", text)
        bare()
        assert found(store, query) == ([] if query == "nothing" else ["wolf 狼 ?!"])

    def test_rows_are_read_page_by_page(
        self, store: wilk.Store, session: str, bare: Callable[[], None]
    ) -> None:
        store.messages.append(session, "user", "wolf")
        for _ in range(5):  # in so few to each, no summary takes their place
            other = store.sessions.create().id
            store.messages.extend(other, [{"role": "user", "text": "no"}] * 500)
        bare()
        assert found(store, "wolf") == ["wolf"]


class TestCost:
    def statements(self, store: wilk.Store, caplog: Any, query: str, **options: Any) -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "wilk.statements"):
            store.search(query, **options)
        return [record.getMessage() for record in caplog.records if "SELECT" in record.getMessage()]

    @pytest.fixture
    def verbose(self, home: Path, store: wilk.Store) -> Any:
        with wilk.open_store(settings=replace(store.settings, verbose=True)) as opened:
            yield opened

    def test_statements_do_not_grow_with_what_is_found(self, verbose: wilk.Store, caplog: Any) -> None:
        session = verbose.sessions.create().id
        verbose.messages.append(session, "user", "wolf howls")
        verbose.search("wolf howls")
        few = len(self.statements(verbose, caplog, "wolf howls"))
        verbose.messages.extend(session, [{"role": "user", "text": "wolf howls"}] * 30)
        assert len(self.statements(verbose, caplog, "wolf howls")) <= few

    def test_statements_do_not_grow_with_the_words(self, verbose: wilk.Store, caplog: Any) -> None:
        session = verbose.sessions.create().id
        verbose.messages.append(session, "user", "wolf howls at night and so do the others")
        verbose.search("wolf")
        two = self.statements(verbose, caplog, "wolf sleeps")
        assert len(self.statements(verbose, caplog, "wolf howls at night and so do no others")) == len(two)

    def test_common_words_are_found_in_a_session_among_many(
        self, store: wilk.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wilk.services.search.candidates.COUNTED", 20)
        ids = [store.sessions.create().id for _ in range(3)]
        for number in range(40):
            for id in ids:
                store.messages.append(id, "user", f"common words {number}")
        for query in ("common", "common words", "common nowhere"):
            hits = store.search(query, session=ids[1], limit=50)
            assert {one.session_id for one in hits} == {ids[1]}
            assert len(hits) == 40
            assert hits[0].record.text == "common words 39"
        assert store.search("common", user="nobody") == []

    @pytest.mark.sqlite
    def test_a_common_word_does_not_have_every_row_ranked(
        self, store: wilk.Store, session: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wilk.services.search.candidates.COUNTED", 50)
        store.messages.extend(session, [{"role": "user", "text": f"common {n}"} for n in range(200)])
        store.messages.append(session, "user", "common rareword")
        asked: list[str] = []
        execute = store._engine.execute

        def told(sql: str, parameters: Any = ()) -> Any:
            if 'ORDER BY "hits"."rank"' in sql:
                asked.extend(one for one in parameters if isinstance(one, str))
            return execute(sql, parameters)

        monkeypatch.setattr(store._engine, "execute", told)
        assert found(store, "common rareword")[0] == "common rareword"
        assert asked[0] == '"rareword"'  # what is ranked; the common word is only looked up
        asked.clear()
        newest = [one.record.text for one in store.search("common", limit=3)]
        assert newest == ["common 199", "common 198", "common 197"] or newest[0] == "common rareword"
        assert not any("common" in one for one in asked)


def test_an_awaited_search_does_not_wait_for_tools_that_run_long(
    store: wilk.Store, session: str, run: Callable[[Any], Any]
) -> None:
    store.messages.append(session, "user", "the wolf howls")
    going = threading.Event()

    def slow() -> str:
        assert going.wait(20)
        return "done"

    class Plugin:
        @wilk.hookimpl
        def register_tools(self) -> list[wilk.Tool]:
            return [wilk.Tool("slow", slow)]

    async def awaited() -> Any:
        async with wilk.open_async_store(host=Host(Plugin(), entry_points=True)) as other:
            running = [asyncio.create_task(other.tools.run("slow", session=session)) for _ in range(20)]
            await asyncio.sleep(0.05)
            try:
                return await asyncio.wait_for(other.search("wolf"), 10)
            finally:
                going.set()
                await asyncio.gather(*running)

    assert len(run(awaited())) == 1


def test_search_is_awaited_with_the_same_answer(
    store: wilk.Store, session: str, run: Callable[[Any], Any]
) -> None:
    store.messages.append(session, "user", "the wolf howls")
    store.pins.add(session, "never feed the wolf")

    async def awaited() -> Any:
        async with wilk.open_async_store() as other:
            async with other.transaction():
                await other.pins.add(session, "a wolf amid a transaction")
                amid = await other.search("wolf", kinds=["pin"])
            assert len(amid) == 2
            return await other.search("wolf", session=session, limit=5)

    assert run(awaited()) == store.search("wolf", session=session, limit=5)
