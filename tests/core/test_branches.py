"""Branches: other ways that a conversation went, kept beside the visible one, shown and forked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import wilk

pytestmark = pytest.mark.backends


@pytest.fixture
def store(backend: str) -> Iterator[wilk.Store]:
    with wilk.open_store() as store:
        store.sessions.create(id="talk", max_tokens=10_000)
        for n in range(1, 5):
            store.messages.append("talk", "user" if n % 2 else "assistant", f"say {n}", id=f"m{n}")
        yield store


def visible(store: wilk.Store) -> list[str]:
    return [message.id for message in store.messages.last("talk")]


def test_a_branch_stays_out_of_the_conversation(store: wilk.Store) -> None:
    store.branches.add("talk", "assistant", "another answer", parent="m1", id="b1")
    assert visible(store) == ["m1", "m2", "m3", "m4"]
    assert store.messages.count("talk") == 4
    assert [item.text for item in store.contexts.build("talk", max_tokens=1000).items if item.kind == "message"] == [
        "say 1", "say 2", "say 3", "say 4",
    ]  # fmt: skip


def test_branches_are_listed_by_their_last_message(store: wilk.Store) -> None:
    store.branches.add("talk", "assistant", "another", parent="m1", id="b1")
    store.branches.add(
        "talk", "user", "and on", parent="b1", id="b2", created_at=datetime(2030, 1, 1, tzinfo=UTC)
    )
    store.branches.add("talk", "user", "a root of its own", parent=None, id="c1")
    found = store.branches.list("talk")
    assert [(one.leaf_id, one.fork_id, one.messages, one.text) for one in found] == [
        ("b2", "m1", 2, "another"),
        ("c1", None, 1, "a root of its own"),
    ]


def test_the_way_to_a_message_is_read_from_its_root(store: wilk.Store) -> None:
    store.branches.add("talk", "assistant", "another", parent="m1", id="b1")
    assert [one.id for one in store.branches.messages("talk", "b1")] == ["m1", "b1"]
    assert [one.id for one in store.branches.messages("talk", "m3")] == ["m1", "m2", "m3"]


def test_a_branch_comes_back_as_it_was_written(store: wilk.Store) -> None:
    odd = "a\0b\ud800"
    made = store.branches.add(
        "talk", "assistant", odd, parent="m1", parts=[{"type": "text", "text": odd}], agent="coder", model="gpt-4",
        tokens=7, importance=0.9, metadata={"n": 2**70},
    )  # fmt: skip
    assert store.branches.get(made.id) == made
    assert (made.text, made.parts, made.metadata) == (odd, [{"type": "text", "text": odd}], {"n": 2**70})
    assert store.branches.find("nowhere") is None
    with pytest.raises(wilk.NotFound, match="no branch message 'nowhere'"):
        store.branches.get("nowhere")


class TestShow:
    def test_the_branch_is_the_conversation_and_the_other_way_round(self, store: wilk.Store) -> None:
        store.branches.add("talk", "assistant", "another", parent="m1", id="b1")
        session = store.branches.show("talk", "b1")
        assert visible(store) == ["m1", "b1"]
        assert (session.message_count, session.last_sequence) == (2, 5)
        (branch,) = store.branches.list("talk")
        assert (branch.leaf_id, branch.fork_id, branch.messages) == ("m4", "m1", 3)
        store.branches.show("talk", "m4")
        assert visible(store) == ["m1", "m2", "m3", "m4"]
        assert store.sessions.get("talk").message_count == 4

    def test_the_conversation_goes_on_behind_it(self, store: wilk.Store) -> None:
        store.branches.add("talk", "assistant", "another", parent="m1", id="b1")
        store.branches.show("talk", "b1")
        store.messages.append("talk", "user", "and now?", id="m5")
        assert visible(store) == ["m1", "b1", "m5"]
        assert [one.id for one in store.messages.page("talk", after=1)] == ["b1", "m5"]
        assert [hit.message.id for hit in store.messages.search("another")] == ["b1"]

    def test_what_is_visible_already_stays(self, store: wilk.Store) -> None:
        before = store.sessions.get("talk")
        assert store.branches.show("talk", "m4") == before
        assert store.archive.list() == []

    def test_a_root_of_its_own_hides_all_of_it(self, store: wilk.Store) -> None:
        store.branches.add("talk", "user", "from the start", parent=None, id="c1")
        store.branches.show("talk", "c1")
        assert visible(store) == ["c1"]
        assert [one.id for one in store.branches.messages("talk", "m4")] == ["m1", "m2", "m3", "m4"]

    def test_messages_that_a_summary_stands_for_are_not_hidden(self, store: wilk.Store) -> None:
        store.branches.add("talk", "assistant", "another", parent="m1", id="b1")
        store.summaries.add("talk", "all of it", first=1, last=3)
        with pytest.raises(wilk.Conflict, match="stands for messages behind the fork"):
            store.branches.show("talk", "b1")
        assert visible(store) == ["m1", "m2", "m3", "m4"]


class TestFork:
    def test_a_branch_becomes_a_session_of_its_own(self, store: wilk.Store) -> None:
        store.branches.add("talk", "assistant", "another", parent="m1", id="b1")
        forked = store.branches.fork("talk", "b1", name="other")
        copies = store.messages.last(forked.id)
        assert [(one.text, one.origin_id) for one in copies] == [("say 1", "m1"), ("another", "b1")]
        assert copies[1].parent_id == copies[0].id
        assert (forked.name, forked.fork_of, forked.fork_sequence, forked.message_count) == (
            "other",
            "talk",
            1,
            2,
        )
        assert visible(store) == ["m1", "m2", "m3", "m4"]


class TestRefusals:
    def test_a_parent_that_is_not_there(self, store: wilk.Store) -> None:
        store.sessions.create(id="other")
        store.messages.append("other", "user", "x", id="x1")
        for parent in ("nowhere", "x1"):
            with pytest.raises(wilk.NotFound, match=f"no message '{parent}'"):
                store.branches.add("talk", "user", "y", parent=parent)

    def test_an_id_that_is_taken(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Conflict, match="there is a message 'm2' already"):
            store.branches.add("talk", "user", "y", parent="m1", id="m2")

    @pytest.mark.parametrize("verb", ["list", "messages", "show", "fork"])
    def test_what_is_not_there(self, verb: str, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound):
            getattr(store.branches, verb)("nowhere", *([] if verb == "list" else ["m1"]))
        if verb != "list":
            with pytest.raises(wilk.NotFound, match="no message 'nowhere'"):
                getattr(store.branches, verb)("talk", "nowhere")


def test_branches_go_into_the_archive_with_their_session_and_come_back(store: wilk.Store) -> None:
    store.branches.add("talk", "assistant", "another", parent="m1", id="b1")
    store.sessions.remove("talk")
    assert store.branches.find("b1") is None
    store.archive.restore(session="talk")
    assert store.branches.get("b1").text == "another"


def test_a_chain_of_five_thousand_is_walked(store: wilk.Store) -> None:
    parent = "m1"
    with store.transaction():
        for n in range(5_000):
            parent = f"b{n}"
            store._branch_rows.extend(
                "talk",
                [
                    {
                        "id": parent,
                        "role": "user",
                        "text": "x",
                        "parent": f"b{n - 1}" if n else "m1",
                        "tokens": 1,
                    }
                ],
            )
    assert store.branches.list("talk")[0].messages == 5_000
    assert len(store.branches.messages("talk", parent)) == 5_001


def test_a_message_that_is_visible_again_is_the_one_of_its_key(store: wilk.Store) -> None:
    store.sessions.create(id="keys")
    store.messages.append("keys", "user", "question", id="k1")
    first = store.messages.append("keys", "assistant", "answer", id="k2", key="once", interaction="i1")
    store.branches.add("keys", "assistant", "another", parent="k1", id="k3")
    store.branches.show("keys", "k3")
    store.branches.show("keys", "k2")
    again = store.messages.append("keys", "assistant", "answer", key="once", interaction="i1")
    assert (again.id, again.interaction_id, again.idempotency_key) == (first.id, "i1", "once")
    assert store.messages.count("keys") == 2


def test_a_key_that_another_message_took_meanwhile_stays_its(store: wilk.Store) -> None:
    store.sessions.create(id="keys")
    store.messages.append("keys", "user", "question", id="k1")
    store.messages.append("keys", "assistant", "answer", id="k2", key="once")
    store.branches.add("keys", "user", "of its own", parent=None, id="r1")
    store.branches.show("keys", "r1")
    store.messages.append("keys", "assistant", "other", id="r2", key="once")
    store.branches.add("keys", "assistant", "third", parent="r2", id="r3")
    store.branches.show("keys", "k2")
    assert store.messages.get("k2").idempotency_key == "once"
    store.branches.show("keys", "r3")
    assert [one.idempotency_key for one in store.messages.last("keys")] == [None, "once", None]


def test_the_way_out_is_told_where_a_summary_stands_for_what_would_go(store: wilk.Store) -> None:
    store.sessions.create(id="long", max_tokens=600)
    for n in range(60):
        store.messages.append(
            "long", "user", f"wolf {n} howls at the moon, again and again and again", id=f"w{n}"
        )
    store.settle()
    if not store.summaries.list("long"):
        store.memory.compact("long")
    store.branches.add("long", "assistant", "alt", parent="w1", id="alt")
    with pytest.raises(wilk.Conflict, match="wilk memory uncompact"):
        store.branches.show("long", "alt")
    store.memory.uncompact("long")
    for summary in store.summaries.list("long"):
        store.summaries.remove(summary.id)
    store.branches.show("long", "alt")
    assert [one.id for one in store.messages.last("long")] == ["w0", "w1", "alt"]
