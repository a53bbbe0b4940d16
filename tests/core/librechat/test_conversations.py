"""Conversations of LibreChat: trees of messages, whichever way they stand in the source."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.core.librechat.documents import ANNA, BELA, at, conversation, message, oid, user

import wilk
from wilk.records.transfer import MigrationResult

pytestmark = pytest.mark.sqlite
Take = Callable[..., MigrationResult]

PAST, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)


def talk(*messages: Mapping[str, Any], **more: Any) -> dict[str, list[Any]]:
    return {"conversations": [conversation(**more)], "messages": [*messages]}


def shown(store: wilk.Store, id: str = "c-1") -> list[str]:
    return [one.id for one in store.messages.last(id, 10_000)]


def leaves(store: wilk.Store, id: str = "c-1") -> list[str]:
    return sorted(one.leaf_id for one in store.branches.list(id))


def test_the_latest_leaf_is_the_visible_branch_and_the_others_are_branches(
    take: Take, store: wilk.Store
) -> None:
    take(talk(message("u1", minute=1), message("a1", "u1", minute=2), message("a2", "u1", minute=5),
              message("u2", "a1", minute=4)))  # fmt: skip
    assert shown(store) == ["u1", "a2"]
    assert leaves(store) == ["u2"]
    assert [one.id for one in store.branches.messages("c-1", "u2")] == ["u1", "a1", "u2"]


def test_children_may_stand_before_their_parents(take: Take, store: wilk.Store) -> None:
    take(talk(message("u2", "a1", minute=3), message("a1", "u1", minute=2), message("u1", minute=1)))
    assert shown(store) == ["u1", "a1", "u2"]


def test_a_message_whose_parent_is_not_there_begins_a_branch_with_a_warning(
    take: Take, store: wilk.Store
) -> None:
    result = take(talk(message("u1", minute=1), message("a9", "gone", minute=2)))
    assert shown(store) == ["a9"]
    assert leaves(store) == ["u1"]
    assert any("parent is not there" in text for text in result.warnings)


def test_a_message_that_is_its_own_parent_is_kept_with_a_warning(take: Take, store: wilk.Store) -> None:
    result = take(talk(message("u1", "u1")))
    assert shown(store) == ["u1"]
    assert any("circle" in text for text in result.warnings)


def test_messages_in_a_circle_are_kept_with_a_warning(take: Take, store: wilk.Store) -> None:
    result = take(talk(message("u1", "a1", minute=1), message("a1", "u1", minute=2)))
    assert len(shown(store)) == 2
    assert any("circle" in text for text in result.warnings)


def test_a_chain_of_five_thousand_messages_is_one_visible_branch(take: Take, store: wilk.Store) -> None:
    chain = [
        message(f"u{n}", f"u{n - 1}" if n else "00000000-0000-0000-0000-000000000000", minute=n, _id=oid(n))
        for n in range(5000)
    ]
    take(talk(*reversed(chain)))
    assert shown(store) == [f"u{n}" for n in range(5000)]


def test_one_id_of_a_message_with_two_users_is_two_messages(take: Take, store: wilk.Store) -> None:
    his: dict[str, Any] = {"user": str(BELA), "conversationId": "c-2"}
    take({
        "users": [user(), user(BELA, "Bela Orth")],
        "conversations": [conversation(), conversation("c-2", str(BELA))],
        "messages": [message("u1", text="hers"), message("u1", text="his", **his)],
    })  # fmt: skip
    assert store.messages.last("c-1")[0].text == "hers"
    assert store.messages.last("c-2")[0].text == "his"
    assert store.messages.last("c-2")[0].metadata["imported_id"] == "u1"


def test_one_id_of_a_conversation_with_two_users_is_two_sessions(take: Take, store: wilk.Store) -> None:
    take({
        "conversations": [conversation(), conversation(user=str(BELA))],
        "messages": [message("u1", text="hers"), message("u2", text="his", user=str(BELA))],
    })  # fmt: skip
    texts = {one.user_id: store.messages.last(one.id)[0].text for one in store.sessions.list()}
    assert texts == {str(ANNA): "hers", str(BELA): "his"}


def test_siblings_of_one_moment_are_ordered_by_the_ids_of_their_documents(
    take: Take, store: wilk.Store
) -> None:
    take(talk(message("u1", minute=1), message("a2", "u1", minute=2, _id=oid(9)),
              message("a1", "u1", minute=2, _id=oid(5))))  # fmt: skip
    assert shown(store) == ["u1", "a2"]


def test_a_message_without_a_time_has_that_of_its_document(take: Take, store: wilk.Store) -> None:
    document = message("u1")
    del document["createdAt"]
    take(talk(document))
    assert store.messages.get("u1").created_at == datetime.fromtimestamp(0x65B00000, UTC)


def test_a_temporary_conversation_that_has_expired_is_skipped(take: Take, store: wilk.Store) -> None:
    gone: dict[str, Any] = {"expiredAt": PAST, "isTemporary": True}
    result = take(talk(message("u1", **gone), **gone))
    assert store.sessions.find("c-1") is None
    assert sum(result.skipped.values()) == 2


def test_a_temporary_conversation_that_has_expired_comes_over_where_that_is_wanted(
    take: Take, store: wilk.Store
) -> None:
    take(talk(message("u1", expiredAt=PAST), expiredAt=PAST), temporary="include")
    assert shown(store) == ["u1"]


def test_a_temporary_conversation_of_today_is_an_unsaved_session(take: Take, store: wilk.Store) -> None:
    take(talk(message("u1", expiredAt=FUTURE), expiredAt=FUTURE))
    assert store.sessions.get("c-1").saved is False


def test_a_word_that_the_option_does_not_know_is_refused(take: Take) -> None:
    with pytest.raises(wilk.Invalid, match="skip, include"):
        take(talk(), temporary="maybe")


def test_a_conversation_that_only_messages_know_is_a_session(take: Take, store: wilk.Store) -> None:
    take({"messages": [message("u1"), message("a1", "u1", minute=11)]})
    assert shown(store) == ["u1", "a1"]


def test_a_message_without_a_user_belongs_to_the_conversation_of_its_id(
    take: Take, store: wilk.Store
) -> None:
    take(talk(message("u1", minute=1), message("a1", "u1", minute=2, user=None)))
    assert shown(store) == ["u1", "a1"]


def test_a_conversation_without_messages_is_an_empty_session(take: Take, store: wilk.Store) -> None:
    take(talk())
    assert shown(store) == []


def test_what_a_conversation_says_is_what_its_session_says(take: Take, store: wilk.Store) -> None:
    take(talk(message("u1"), isArchived=True))
    session = store.sessions.get("c-1")
    assert (session.name, session.model, session.max_tokens, session.status, session.user_id) == (
        "A first talk", "gpt-4o", 16000, "archived", str(ANNA),
    )  # fmt: skip
    assert (session.created_at, session.updated_at) == (at(10), at(12))
    assert session.metadata["librechat"]["tags"] == ["work"]
    assert session.metadata["librechat"]["promptPrefix"] == "Be brief."


def test_a_message_without_a_conversation_is_reported_and_the_others_go_on(
    take: Take, store: wilk.Store
) -> None:
    result = take(talk(message("u0", conversationId=None), message("u1")))
    assert [(one.kind, one.id) for one in result.errors] == [("messages", "u0")]
    assert shown(store) == ["u1"]


def test_a_message_that_is_there_twice_counts_once(take: Take, store: wilk.Store) -> None:
    result = take(talk(message("u1", text="first"), message("u1", text="second")))
    assert [one.text for one in store.messages.last("c-1")] == ["first"]
    assert any("more than once" in text for text in result.warnings)


def test_texts_that_no_engine_holds_come_over_as_they_are(take: Take, store: wilk.Store) -> None:
    text = 'NUL \0, half \ud83d, whole \U0001f600, {"$oid": "x"}'
    take(talk(message("u1", text=text, odd={"$where": 1, "n": float("nan"), "big": 2**63})))
    one = store.messages.get("u1")
    assert one.text == text
    assert one.metadata["librechat"]["odd"] == {
        "$where": 1, "n": {"$numberDouble": "NaN"}, "big": 2**63,
    }  # fmt: skip


def test_feedback_and_files_stay_with_their_message(take: Take, store: wilk.Store) -> None:
    take(talk(message("a1", feedback={"rating": "thumbsDown"}, files=[{"file_id": "f"}])))
    kept = store.messages.get("a1").metadata["librechat"]
    assert kept["feedback"] == {"rating": "thumbsDown"}
    assert kept["files"] == [{"file_id": "f"}]


def test_the_log_never_has_what_was_said(
    take: Take, store: wilk.Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="wilk.transfer")
    take(talk(message("u1", text="between us"), message("a9", "gone", "quite private")))
    assert "between us" not in caplog.text
    assert "quite private" not in caplog.text
