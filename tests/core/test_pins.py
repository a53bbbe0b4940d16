"""Pins: what a session must not forget."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk import models
from wilk.services.keeping.archiver import COMPACTED
from wilk.services.memory.pins import TYPES

pytestmark = pytest.mark.backends


class TestAdding:
    def test_add_returns_what_get_reads(self, store: wilk.Store, session: str) -> None:
        message = store.messages.append(session, "user", "never force-push").id
        pin = store.pins.add(
            session, "No force-push", type="code", source=message, importance=0.25, metadata={"a": [1]}
        )
        assert store.pins.get(pin.id) == pin
        assert (pin.session_id, pin.source_message_id, pin.importance) == (session, message, 0.25)

    @pytest.mark.parametrize("type", TYPES)
    def test_every_type_is_taken(self, store: wilk.Store, session: str, type: str) -> None:
        assert store.pins.add(session, "x", type=type).type == type

    def test_a_pin_is_of_a_user_unless_it_says_otherwise(self, store: wilk.Store, session: str) -> None:
        assert store.pins.add(session, "x").type == "user"

    def test_the_importance_comes_from_the_table(self, store: wilk.Store, session: str) -> None:
        found = {type: store.pins.add(session, "x", type=type).importance for type in TYPES}
        assert found == {**dict.fromkeys(TYPES, 0.8), "auto": 0.7}

    def test_the_setting_adds_types(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WILK_PIN_TYPES", "legal, medical")
        with wilk.open_store(home=home) as store:
            assert store.pins.add(store.sessions.create().id, "x", type="legal").type == "legal"

    def test_an_unknown_type_is_an_error_that_names_the_known_and_the_setting(
        self, store: wilk.Store, session: str
    ) -> None:
        known = r"type 'legal': one of user, manual, auto, code, concept, system .* pin_types"
        with pytest.raises(wilk.Invalid, match=known):
            store.pins.add(session, "x", type="legal")
        with pytest.raises(wilk.Invalid, match=known):
            store.pins.list(session, type="legal")

    @pytest.mark.parametrize("content", ["", " \n", None, 4, "a\0b", "a\ud800"])
    def test_content_that_cannot_be_kept_is_refused(
        self, store: wilk.Store, session: str, content: Any
    ) -> None:
        with pytest.raises(wilk.Invalid, match="content"):
            store.pins.add(session, content)

    @pytest.mark.parametrize("importance", [-0.1, 1.1, float("nan"), True, "high"])
    def test_an_importance_out_of_its_range_is_refused(
        self, store: wilk.Store, session: str, importance: Any
    ) -> None:
        with pytest.raises(wilk.Invalid, match=r"importance .* 0\.0 to 1\.0"):
            store.pins.add(session, "x", importance=importance)

    def test_an_unknown_session_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no session 'x'"):
            store.pins.add("x", "content")
        with pytest.raises(wilk.NotFound, match="no session 'x'"):
            store.pins.list("x")


class TestSource:
    def test_that_is_unknown_is_not_found(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.NotFound, match="no message 'm'"):
            store.pins.add(session, "x", source="m")

    def test_of_another_session_is_not_found(self, store: wilk.Store, session: str) -> None:
        other = store.messages.append(store.sessions.create().id, "user", "hello").id
        with pytest.raises(wilk.NotFound, match="a message of session"):
            store.pins.add(session, "x", source=other)
        assert store.pins.list(session) == []

    def test_that_was_compacted_still_belongs_to_its_session(self, store: wilk.Store, session: str) -> None:
        message = store.messages.append(session, "user", "hello").id
        store._archiver.remove("message", models.Message.id == message, reason=COMPACTED)
        assert store.pins.add(session, "x", source=message).source_message_id == message

    def test_that_was_removed_is_not_found(self, store: wilk.Store, session: str) -> None:
        message = store.messages.append(session, "user", "hello").id
        store._archiver.remove("message", models.Message.id == message, reason="removed")
        with pytest.raises(wilk.NotFound, match=f"no message {message!r}"):
            store.pins.add(session, "x", source=message)

    @pytest.mark.parametrize("reason", [COMPACTED, "removed"])
    def test_may_leave_and_the_pin_stays(self, store: wilk.Store, session: str, reason: str) -> None:
        message = store.messages.append(session, "user", "hello").id
        pin = store.pins.add(session, "x", source=message)
        store._archiver.remove("message", models.Message.id == message, reason=reason)
        assert store.pins.list(session) == [pin]


class TestReading:
    def test_the_most_important_come_first_and_of_equals_the_newest(
        self, store: wilk.Store, session: str
    ) -> None:
        for content, importance in [("a", 0.5), ("b", 0.9), ("c", 0.5), ("d", 0.7)]:
            store.pins.add(session, content, importance=importance)
        assert [pin.content for pin in store.pins.list(session)] == ["b", "d", "c", "a"]
        assert [pin.content for pin in store.pins.list(session, limit=2)] == ["b", "d"]

    def test_those_of_one_type_alone_can_be_read(self, store: wilk.Store, session: str) -> None:
        for type in TYPES:
            store.pins.add(session, type, type=type)
        assert [pin.content for pin in store.pins.list(session, type="concept")] == ["concept"]

    def test_those_of_other_sessions_are_not_read(self, store: wilk.Store, session: str) -> None:
        store.pins.add(store.sessions.create().id, "x")
        assert store.pins.list(session) == []

    def test_find_gives_none_where_get_raises(self, store: wilk.Store) -> None:
        assert store.pins.find("x") is None
        with pytest.raises(wilk.NotFound, match="no pin 'x'"):
            store.pins.get("x")


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "content": st.sampled_from(["a", "żółw", "two\nlines"]),
        "type": st.sampled_from(TYPES),
        "importance": st.floats(0, 1),
        "metadata": st.dictionaries(st.text("ab"), st.integers()),
    },
)


class TestChanging:
    @given(FIELDS)
    def test_changes_what_is_given_and_nothing_else(
        self, store: wilk.Store, session: str, fields: dict[str, Any]
    ) -> None:
        pin = store.pins.add(session, "before", metadata={"x": 1})
        changed = store.pins.update(pin.id, **fields)
        assert changed == pin._replace(**fields, updated_at=changed.updated_at)
        assert store.pins.get(pin.id) == changed

    def test_notes_when(self, timed: wilk.Store, now: Any) -> None:
        pin = timed.pins.add(timed.sessions.create().id, "x")
        now.pass_by(seconds=5)
        changed = timed.pins.update(pin.id, content="y")
        assert changed.created_at == pin.created_at
        assert (changed.updated_at - pin.updated_at).total_seconds() == 5

    @pytest.mark.parametrize("fields", [{"content": " "}, {"type": "x"}, {"importance": 2}, {"metadata": 3}])
    def test_refuses_what_adding_refuses(
        self, store: wilk.Store, session: str, fields: dict[str, Any]
    ) -> None:
        pin = store.pins.add(session, "x")
        with pytest.raises(wilk.Invalid, match=next(iter(fields))):
            store.pins.update(pin.id, **fields)
        assert store.pins.get(pin.id) == pin

    def test_an_unknown_pin_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no pin 'x'"):
            store.pins.update("x", content="y")


class TestRemoving:
    def test_archives_the_whole_row_with_the_reason(self, store: wilk.Store, session: str) -> None:
        pin = store.pins.add(session, "x", metadata={"a": 1})
        assert store.pins.remove(pin.id, reason="outdated") == pin
        assert store.pins.find(pin.id) is None
        (entry,) = store.archive.list(kind="pin")
        assert (entry.record_id, entry.session_id, entry.reason) == (pin.id, session, "outdated")
        assert entry.data["content"] == "x"

    def test_a_session_takes_its_pins_along(self, store: wilk.Store, session: str) -> None:
        pin = store.pins.add(session, "x")
        store.sessions.remove(session)
        assert store.pins.find(pin.id) is None
        assert [entry.record_id for entry in store.archive.list(kind="pin")] == [pin.id]

    def test_a_session_that_is_saved_again_keeps_them(self, store: wilk.Store, session: str) -> None:
        pin = store.pins.add(session, "x")
        store.sessions.update(session, name="other")
        assert store.pins.list(session) == [pin]


def test_a_rolled_back_pin_is_not_there(store: wilk.Store, session: str) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.pins.add(session, "x")
        raise ZeroDivisionError
    assert store.pins.list(session) == []


def test_plugins_hear_of_pins(plugged: Any) -> None:
    heard: list[tuple[str, str, str]] = []

    class Ears:
        @wilk.hookimpl
        def before_save(self, kind: str, record: Any) -> None:
            if kind == "pin" and "secret" in record.content:
                raise wilk.Rejected("no secrets")

        @wilk.hookimpl
        def after_save(self, kind: str, record: Any) -> None:
            heard.append(("saved", kind, getattr(record, "content", "")))

        @wilk.hookimpl
        def after_delete(self, kind: str, record: Any) -> None:
            heard.append(("removed", kind, record.content))

    store = plugged(Ears())
    session = store.sessions.create().id
    heard.clear()
    pin = store.pins.add(session, "x")
    store.pins.update(pin.id, content="y")
    with pytest.raises(wilk.Rejected):
        store.pins.update(pin.id, content="secret")
    store.pins.remove(pin.id)
    assert heard == [("saved", "pin", "x"), ("saved", "pin", "y"), ("removed", "pin", "y")]


@pytest.mark.sqlite
def test_a_pin_lies_in_the_file(store: wilk.Store, session: str, home: Path) -> None:
    store.pins.add(session, "żółw")
    with closing(sqlite3.connect(home / "wilk.db")) as file:
        assert file.execute("SELECT content, importance FROM pins").fetchall() == [("żółw", 0.8)]
