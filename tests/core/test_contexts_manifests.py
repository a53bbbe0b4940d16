"""Manifests: receipts of contexts, replayed byte for byte, compared in plain words."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

import wilk
from wilk import hookimpl, models

from .test_contexts import Letters, pin, sequences, summary, talk

pytestmark = pytest.mark.backends


@pytest.fixture
def letters(plugged: Any) -> wilk.Store:
    opened: wilk.Store = plugged(Letters())
    return opened


def kept(store: wilk.Store, session: str, **options: Any) -> str:
    """The id of a manifest of a context that is built now."""
    id = store.contexts.build(session, manifest=True, **options).manifest
    assert id is not None
    return id


def compact(store: wilk.Store, session: str, upto: int) -> None:
    """Put a summary in the place of messages, as compaction does."""
    condition = (models.Message.session == session) & (models.Message.sequence <= upto)
    with store.transaction():
        store._archiver.remove("message", condition, reason="consolidated_to_working")
    summary(store, session, 1, upto, "in short")


class TestAManifest:
    def test_tells_what_went_in_and_what_stayed_out(self, letters: wilk.Store) -> None:
        session = talk(letters, 5)
        context = letters.contexts.build(session, strategy="discard", max_tokens=25, manifest=True)
        manifest = letters.contexts.manifest(context.manifest or "")
        assert [(one["first"], one["rule"], one["tokens"]) for one in manifest.items] == [
            (4, "recent", 10), (5, "newest", 10),
        ]  # fmt: skip
        assert [(one["first"], one["last"], one["rule"]) for one in manifest.left_out] == [
            (1, 2, "not_reached"), (3, 3, "no_room"),
        ]  # fmt: skip
        assert [one["hash"] for one in manifest.items] == [item.hash for item in context.items]
        assert (manifest.strategy, manifest.tokenizer, manifest.total_tokens) == ("discard", "letters", 20)
        assert manifest.request == {"strategy": "discard", "max_tokens": 25}

    def test_opens_to_the_context_that_was_built(self, letters: wilk.Store) -> None:
        session = talk(letters, 5)
        pin(letters, session, "x")
        calls = [{"id": "a"}]
        letters.messages.append(
            session, "assistant", "a\0\ud800", parts=[None], metadata={"tool_calls": calls}
        )
        context = letters.contexts.build(session, manifest=True, system="be brief")
        assert letters.contexts.reopen(context.manifest or "") == context
        assert letters.contexts.messages_of(context.manifest or "") == context.messages

    def test_is_one_of_the_sessions_the_latest_first(self, letters: wilk.Store) -> None:
        session = talk(letters, 2)
        ids = [kept(letters, session) for _ in range(3)]
        kept(letters, talk(letters, 1))
        assert [one.id for one in letters.contexts.manifests(session, limit=2)] == [ids[2], ids[1]]

    def test_keeps_a_message_once_however_many_mention_it(self, letters: wilk.Store) -> None:
        session = talk(letters, 20)
        for _ in range(5):
            kept(letters, session)
        assert len(letters._engine.rows(models.Blob.select())) == 20

    def test_is_not_kept_unless_asked_for(self, letters: wilk.Store) -> None:
        session = talk(letters, 2)
        assert letters.contexts.build(session).manifest is None
        assert letters.contexts.manifests(session) == []

    def test_of_an_unknown_session_or_id_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no session 'x'"):
            store.contexts.manifests("x")
        for verb in (store.contexts.manifest, store.contexts.replay, store.contexts.remove):
            with pytest.raises(wilk.NotFound, match="no manifest 'x'"):
                verb("x")

    def test_that_is_rolled_back_leaves_nothing(self, letters: wilk.Store) -> None:
        session = talk(letters, 2)
        with pytest.raises(ZeroDivisionError), letters.transaction():
            kept(letters, session)
            raise ZeroDivisionError
        assert letters.contexts.manifests(session) == []
        assert letters._engine.rows(models.Blob.select()) == []


class TestReplay:
    def test_gives_the_bytes_of_the_messages(self, letters: wilk.Store) -> None:
        session = talk(letters, 2)
        context = letters.contexts.build(session, manifest=True)
        data = letters.contexts.replay(context.manifest or "")
        assert data == context.data
        assert data == b'[{"content":"m00001","role":"assistant"},{"content":"m00002","role":"user"}]'

    def test_is_the_same_after_everything_else_has_changed(self, letters: wilk.Store) -> None:
        session = talk(letters, 10)
        pinned = pin(letters, session, "as it was")
        id = kept(letters, session, system="be brief")
        before = letters.contexts.replay(id)
        with letters.transaction():
            letters._engine.run(
                models.Pin.update({models.Pin.content: "otherwise"}).where(models.Pin.id == pinned)
            )
        assert letters.contexts.build(session, system="be brief").data != before
        assert letters.contexts.replay(id) == before
        compact(letters, session, 8)
        assert letters.contexts.replay(id) == before
        letters.sessions.remove(session)
        assert letters.contexts.replay(id) == before
        assert letters.contexts.reopen(id).data == before

    def test_is_the_same_after_the_manifest_was_archived(self, letters: wilk.Store) -> None:
        session = talk(letters, 3)
        id = kept(letters, session)
        before = letters.contexts.replay(id)
        assert letters.contexts.remove(id).id == id
        with pytest.raises(wilk.NotFound):
            letters.contexts.manifest(id)
        assert letters.contexts.replay(id) == before

    def test_names_a_content_that_is_damaged_or_missing(self, letters: wilk.Store) -> None:
        session = talk(letters, 2)
        id = kept(letters, session)
        hash = letters.contexts.manifest(id).items[1]["hash"]
        with letters.transaction():
            letters._engine.run(models.Blob.update({models.Blob.data: "{}"}).where(models.Blob.hash == hash))
        with pytest.raises(
            wilk.BackendError, match=f"manifest '{id}', item 2: the content {hash} is damaged"
        ):
            letters.contexts.replay(id)
        with letters.transaction():
            letters._engine.run(models.Blob.update({models.Blob.hash: "x"}).where(models.Blob.hash == hash))
        with pytest.raises(wilk.BackendError, match=f"{hash} is missing"):
            letters.contexts.reopen(id)

    def test_names_a_manifest_whose_items_were_changed(self, letters: wilk.Store) -> None:
        id = kept(letters, talk(letters, 3))
        items = letters.contexts.manifest(id).items
        with letters.transaction():
            letters._engine.run(models.Manifest.update({models.Manifest.items: items[::-1]}))
        with pytest.raises(wilk.BackendError, match="is damaged"):
            letters.contexts.replay(id)

    def test_is_what_the_hash_of_the_manifest_says(self, letters: wilk.Store) -> None:
        id = kept(letters, talk(letters, 3))
        data = letters.contexts.replay(id)
        assert hashlib.sha256(data).hexdigest() == letters.contexts.manifest(id).content_hash


class TestDiff:
    def said(self, store: wilk.Store, a: str, b: str) -> list[str]:
        return str(store.contexts.diff(a, b)).splitlines()

    def test_of_equals_says_that_nothing_differs(self, letters: wilk.Store) -> None:
        session = talk(letters, 3)
        assert self.said(letters, kept(letters, session), kept(letters, session)) == ["3 items are the same"]

    def test_tells_what_a_smaller_budget_pushed_out(self, letters: wilk.Store) -> None:
        session = talk(letters, 4, context_strategy="discard")
        said = self.said(
            letters, kept(letters, session, max_tokens=40), kept(letters, session, max_tokens=25)
        )
        assert said == [
            "the budget changed from 40 to 25",
            "message 1 (assistant: m00001) was in A and is not in B: left out by rule not_reached: "
            "older than what the budget reached",
            "message 2 (user: m00002) was in A and is not in B: left out by rule no_room: "
            "it did not fit into what was left of the budget",
            "2 items are the same",
        ]

    def test_tells_what_is_new_since(self, letters: wilk.Store) -> None:
        session = talk(letters, 2)
        a = kept(letters, session)
        letters.messages.append(session, "user", "more")
        assert self.said(letters, a, kept(letters, session)) == [
            "the session had 2 messages, then 3",
            "message 3 (user: more) is in B and was not in A: it was written since",
            "2 items are the same",
        ]

    def test_names_the_summary_that_now_stands_for_a_message(self, letters: wilk.Store) -> None:
        session = talk(letters, 4, context_strategy="summarize")
        a = kept(letters, session)
        compact(letters, session, 3)
        gone = letters.contexts.diff(a, kept(letters, session)).gone
        assert [(one.first, one.why) for one in gone] == [
            (n, "the summary of messages 1-3 stands for it") for n in (1, 2, 3)
        ]

    def test_tells_that_a_message_was_archived(self, letters: wilk.Store) -> None:
        session = talk(letters, 4)
        a = kept(letters, session)
        with letters.transaction():
            letters._archiver.remove("message", models.Message.sequence == 2, reason="retention")
        (gone,) = letters.contexts.diff(a, kept(letters, session)).gone
        assert (gone.first, gone.why) == (2, "it was archived since (reason retention)")

    def test_tells_why_it_was_and_not_what_came_of_it_later(self, letters: wilk.Store) -> None:
        session = talk(letters, 6, context_strategy="discard")
        a, b = kept(letters, session), kept(letters, session, max_tokens=25)
        before = letters.contexts.diff(a, b).gone
        letters.memory.compact(session, last=4)
        assert letters.contexts.diff(a, b).gone == before
        c = kept(letters, session)
        archived = letters.contexts.diff(a, c).gone
        assert {one.why for one in archived} == {"it was archived since (reason consolidated_to_working)"}
        letters.memory.uncompact(session)
        assert letters.contexts.diff(a, c).gone == archived

    def test_tells_of_a_pin_that_was_set_later(self, letters: wilk.Store) -> None:
        session = talk(letters, 1)
        a = kept(letters, session)
        id = pin(letters, session, "one")
        b = kept(letters, session)
        assert [one.why for one in letters.contexts.diff(b, a).gone] == ["it was not there yet"]
        letters.pins.remove(id)
        assert [one.why for one in letters.contexts.diff(b, a).gone] == ["it was not there yet"]

    def test_tells_of_pins_that_changed_or_went(self, letters: wilk.Store) -> None:
        session = talk(letters, 1)
        changed, removed = pin(letters, session, "one"), pin(letters, session, "two")
        a = kept(letters, session)
        with letters.transaction():
            letters._engine.run(
                models.Pin.update({models.Pin.content: "three"}).where(models.Pin.id == changed)
            )
            letters._archiver.remove("pin", models.Pin.id == removed, reason="removed")
        difference = letters.contexts.diff(a, kept(letters, session))
        assert {one.text: one.why for one in difference.gone} == {
            "Pinned (code): one": "its text was changed",
            "Pinned (code): two": "it was archived since (reason removed)",
        }
        assert [one.text for one in difference.came] == ["Pinned (code): three"]

    def test_tells_that_settings_changed(self, letters: wilk.Store) -> None:
        session = talk(letters, 1, context_strategy="discard", model="one")
        a = kept(letters, session, system="x")
        said = self.said(letters, a, kept(letters, session, system="y", strategy="hybrid", model="two"))
        assert said[:4] == [
            "the strategy changed from discard to hybrid",
            "the model changed from one to two",
            "the system prompt (x) was in A and is not in B: its text was changed",
            "the system prompt (y) is in B and was not in A: put in by rule system_argument: "
            "the system prompt that was given",
        ]


class TestStats:
    def test_count_what_a_session_holds_and_how_the_budget_is_used(self, letters: wilk.Store) -> None:
        session = talk(letters, 5, max_tokens=500)
        pin(letters, session, "x")
        compact(letters, session, 3)
        kept(letters, session)
        stats = letters.contexts.stats(session)
        assert (stats.messages, stats.archived, stats.summaries, stats.pins, stats.manifests) == (
            2,
            3,
            1,
            1,
            1,
        )
        assert (stats.tokens, stats.max_tokens) == (12, 500)
        assert set(stats.used) == {"pin", "summary", "message"}
        assert stats.problem is None

    def test_say_why_no_context_can_be_built(self, letters: wilk.Store) -> None:
        stats = letters.contexts.stats(talk(letters, 1, max_tokens=1))
        assert stats.used == {}
        assert "max_tokens is 1" in (stats.problem or "")


class TestExplain:
    def test_builds_for_a_session_and_opens_a_manifest(self, letters: wilk.Store) -> None:
        session = talk(letters, 3)
        context = letters.contexts.build(session, manifest=True, max_tokens=20)
        assert letters.contexts.explain(context.manifest or "") == context
        assert sequences(letters.contexts.explain(session)) == [1, 2, 3]
        with pytest.raises(wilk.NotFound, match="no manifest 'x'"):
            letters.contexts.explain("x")


def test_saves_and_removals_are_told(plugged: Any) -> None:
    told: list[tuple[str, str]] = []

    class Listener:
        @hookimpl
        def after_save(self, kind: str, record: Any) -> None:
            if kind == "manifest":
                told.append(("saved", record.id))

        @hookimpl
        def after_delete(self, kind: str, record: Any) -> None:
            told.append((f"removed {kind}", record.id))

    store = plugged(Listener())
    id = kept(store, talk(store, 1))
    store.contexts.remove(id)
    assert told == [("saved", id), ("removed manifest", id)]
