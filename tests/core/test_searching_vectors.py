"""Search with an embedder: words and vectors fused, and full text when vectors fail."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.embedding import Bag

import wilk
from wilk.host import Host
from wilk.services.embedding.passages import KINDS
from wilk.services.search import searching

MEANING = {"hound": "dog", "puppy": "dog", "automobile": "car", "vehicle": "car"}


class Thesaurus(Bag):
    """The hashed words of a text, where words of one meaning are one."""

    def open(self, settings: Any, model: str | None) -> Any:
        opened = super().open(settings, model)
        embed = opened.embed

        def by_meaning(texts: Any, *, query: bool = False) -> Any:
            return embed(
                [" ".join(MEANING.get(word, word) for word in text.lower().split()) for text in texts],
                query=query,
            )

        opened.embed = by_meaning
        return opened


@pytest.fixture
def embedder() -> Thesaurus:
    return Thesaurus()


@pytest.fixture
def opened(home: Path, embedder: Thesaurus, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("WILK_EMBEDDER", "bag")
    with wilk.open_store(home=home, host=Host(embedder, entry_points=True)) as store:
        yield store


@pytest.fixture
def session(opened: wilk.Store) -> str:
    return opened.sessions.create().id


def say(store: wilk.Store, session: str, *texts: str) -> list[str]:
    """Write messages, and wait for their vectors; return their ids."""
    ids = [store.messages.append(session, "user", text).id for text in texts]
    assert store.settle()
    return ids


def texts(found: list[Any]) -> list[str]:
    return [one.record.text for one in found]


def test_a_record_is_found_by_its_meaning_without_any_of_the_words(opened: wilk.Store, session: str) -> None:
    say(opened, session, "the hound sleeps", "the tax office wrote")
    (one,) = opened.search("puppy")
    assert one.record.text == "the hound sleeps"
    assert [(reason.by, reason.rank) for reason in one.reasons] == [("vector", 1)]
    assert 0 < one.reasons[0].value <= 1
    assert one.marks == ()


def test_words_and_meaning_add_up(opened: wilk.Store, session: str) -> None:
    say(opened, session, "a dog barks", "my hound sleeps", "the tax office wrote")
    first, second = opened.search("dog")
    assert (first.record.text, second.record.text) == ("a dog barks", "my hound sleeps")
    assert [reason.by for reason in first.reasons] == ["text", "vector"]
    assert first.score == pytest.approx(sum(reason.share for reason in first.reasons))


def test_a_text_with_all_words_comes_before_whatever_is_near(opened: wilk.Store, session: str) -> None:
    near = [f"dog dog dog {n}" for n in range(30)]
    say(opened, session, "hound number X-1387 and what else there was to say about it that day", *near)
    assert opened.search("hound X-1387")[0].record.text.startswith("hound number X-1387")


def test_neighbours_that_are_far_away_are_not_found(opened: wilk.Store, session: str) -> None:
    say(opened, session, "a dog barks", "taxes are due", "rain in the night")
    assert texts(opened.search("dog")) == ["a dog barks"]


def test_every_kind_is_found_by_its_meaning(opened: wilk.Store, session: str) -> None:
    say(opened, session, "vehicle")
    opened.pins.add(session, "vehicle")
    opened.memories.add("vehicle", session=session)
    opened.documents.save("d", {"text": "vehicle"})
    opened.facts.add("vehicle", "is", "vehicle")
    opened.summaries.add(session, "vehicle", first=1, last=1)
    opened.interactions.add("vehicle", session=session)
    opened.patterns.add("vehicle")
    opened.settle()
    assert {one.kind for one in opened.search("automobile", kinds=KINDS)} == set(KINDS)
    assert {one.kind for one in opened.search("automobile", kinds=["pin"])} == {"pin"}


def test_a_record_of_several_parts_is_found_once_and_shows_the_nearest(opened: wilk.Store) -> None:
    opened.documents.save("d", {"a": "taxes " * 200, "b": "hound " * 200, "c": "rain " * 200})
    opened.settle()
    (one,) = opened.search("puppy")
    assert "hound" in one.snippet


def test_of_a_long_message_the_nearest_part_is_shown(opened: wilk.Store, session: str) -> None:
    say(opened, session, "taxes " * 200 + "\n\n" + "hound " * 300, "rain")
    assert "hound hound" in opened.search("puppy")[0].snippet


def test_sessions_and_users_bound_what_vectors_find(opened: wilk.Store) -> None:
    for user in ("ann", "bob"):
        opened.users.save(user, name=user)
        own = opened.sessions.create(user=user, id=f"of-{user}").id
        opened.pins.add(own, f"{user} has a hound")
        say(opened, own, f"the hound of {user}")
    for scope in ({"session": "of-ann"}, {"user": "ann"}):
        found = opened.search("puppy", **scope)
        assert {one.kind for one in found} == {"message", "pin"}
        assert {one.session_id for one in found} == {"of-ann"}
    assert opened.search("puppy", session="of-ann", user="bob") == []


def test_removed_records_are_not_found_and_restored_ones_are(opened: wilk.Store, session: str) -> None:
    say(opened, session, "the hound sleeps")
    pin = opened.pins.add(session, "my hound").id
    opened.settle()
    opened.pins.remove(pin)
    assert {one.kind for one in opened.search("puppy")} == {"message"}
    opened.sessions.remove(session)
    assert opened.search("puppy") == []
    opened.archive.restore(session=session)
    assert {one.kind for one in opened.search("puppy")} == {"message"}


def test_a_changed_record_is_never_shown_by_what_it_said(opened: wilk.Store, session: str) -> None:
    pin = opened.pins.add(session, "my hound").id
    opened.settle()
    opened.pins.update(pin, content="taxes")
    assert all(one.snippet == "taxes" for one in opened.search("puppy"))
    opened.settle()
    assert opened.search("puppy") == []


def test_what_has_no_vector_yet_is_found_by_its_words(
    opened: wilk.Store, session: str, embedder: Thesaurus
) -> None:
    embedder.error = wilk.BackendError("no network")
    opened.messages.append(session, "user", "the hound sleeps")
    opened.settle()
    assert texts(opened.search("hound")) == ["the hound sleeps"]


def test_an_embedder_that_fails_leaves_full_text(
    opened: wilk.Store, session: str, embedder: Thesaurus
) -> None:
    say(opened, session, "the hound sleeps", "a dog barks")
    embedder.error = wilk.BackendError("no network")
    assert texts(opened.search("hound")) == ["the hound sleeps"]


def test_an_index_that_fails_leaves_full_text_and_is_told_once(
    opened: wilk.Store, session: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    say(opened, session, "the hound sleeps", "a dog barks")

    def broken(*_: Any, **__: Any) -> Any:
        raise wilk.BackendError("the index is broken")

    monkeypatch.setattr(opened._neighbours, "nearest", broken)
    for _ in range(2):
        assert texts(opened.search("hound")) == ["the hound sleeps"]
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert [one.name for one in warnings] == ["wilk.search"]


def test_without_an_embedder_the_same_call_is_full_text(
    opened: wilk.Store, session: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(opened, session, "the hound sleeps", "a dog barks")
    monkeypatch.setenv("WILK_EMBEDDER", "none")
    with wilk.open_store(home=home) as other:
        assert texts(other.search("hound")) == ["the hound sleeps"]
        assert other.search("puppy") == []


def test_a_record_that_vanishes_before_it_is_read_makes_room_for_the_next(
    opened: wilk.Store, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = say(opened, session, *(f"dog {n}" for n in range(6)))
    search = opened._searching
    records = search._records

    def without_the_newest(keys: Any) -> Any:
        return {key: one for key, one in records(keys).items() if key[1] != ids[-1]}

    monkeypatch.setattr(search, "_records", without_the_newest)
    found = opened.search("dog", limit=3)
    assert len(found) == 3
    assert ids[-1] not in {one.id for one in found}


def test_worthless_vectors_do_not_spoil_what_words_find(
    opened: wilk.Store, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [f"note {n} about item-{n}" for n in range(80)]
    ids = say(opened, session, *said)
    with_vectors = {}
    real = opened._neighbours.nearest

    def by_lot(space: Any, query: Any, k: int, **options: Any) -> Any:
        hits = real(space, query, k, **options)
        return [
            replaced._replace(record_id=ids[(place * 37 + place // 80) % 80], score=1 - place / 100)
            for place, replaced in enumerate(hits)
        ]

    monkeypatch.setattr(opened._neighbours, "nearest", by_lot)
    for n in range(0, 80, 9):
        with_vectors[n] = opened.search(f"about item-{n}")[0].record.text
    assert with_vectors == {n: said[n] for n in with_vectors}


def test_the_query_is_embedded_once_for_all_kinds(
    opened: wilk.Store, session: str, embedder: Thesaurus
) -> None:
    say(opened, session, "a dog")
    opened.pins.add(session, "a dog")
    opened.settle()
    opened.search("puppy", kinds=KINDS)
    assert len(embedder.asked) == 1


def test_weights_fall_with_the_distance_and_with_the_words_that_are_missing() -> None:
    near = [searching._Near(("message", str(n)), 0, 1 - n / 100) for n in range(60)]
    weights = [entry.weight for entry in searching._by_vector(near)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == searching.VECTORS
    assert len(weights) < 60


def test_a_readonly_store_searches_vectors(opened: wilk.Store, session: str, home: Path,
                                           embedder: Thesaurus) -> None:  # fmt: skip
    say(opened, session, "the hound sleeps")
    settings = replace(opened.settings, readonly=True)
    with wilk.open_store(settings=settings, host=Host(embedder)) as reader:
        assert texts(reader.search("puppy")) == ["the hound sleeps"]


def test_a_transaction_searches_what_it_wrote(opened: wilk.Store, session: str) -> None:
    say(opened, session, "the hound sleeps")
    with opened.transaction():
        opened.messages.append(session, "user", "a hound barks")
        assert set(texts(opened.search("hound"))) == {"a hound barks", "the hound sleeps"}


def test_threads_search_at_the_same_time(opened: wilk.Store, session: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    say(opened, session, *(f"hound {n}" for n in range(20)))

    def search(_: int) -> int:
        found = len(opened.search("puppy"))
        opened._engine.release()
        return found

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(search, range(12))) == {20}
