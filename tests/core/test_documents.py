"""Documents and raw messages: kept as they came, written no more than needed, gone together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk import hookimpl

pytestmark = pytest.mark.backends

CHAT = {
    "chatTitle": "Slow login",
    "unknownKey": {"z": 1, "a": [None, {"deep": True}]},
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    "model": "gpt-4",
}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal down to the order of keys, where NaN equals NaN."""
    return json.dumps(one) == json.dumps(other)


class TestDocuments:
    def test_come_back_as_they_came_down_to_the_order_of_keys(self, store: wilk.Store) -> None:
        store.documents.save("c", CHAT)
        assert same(store.documents.get("c").data, CHAT)

    @given(
        data=st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(st.characters(exclude_categories=[])),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner, max_size=4)
            ),
            max_leaves=12,
        )
    )
    def test_hold_any_json(self, store: wilk.Store, data: Any) -> None:
        store.documents.save("c", data)
        assert same(store.documents.get("c").data, data)

    def test_what_save_returns_is_what_get_reads(self, store: wilk.Store) -> None:
        saved = store.documents.save("c", CHAT, kind="note", user="ann", metadata={"a": 1})
        assert saved == store.documents.get("c")

    def test_take_their_title_from_the_data(self, store: wilk.Store) -> None:
        assert store.documents.save("c", CHAT).title == "Slow login"
        assert store.documents.save("d", CHAT, title="Mine").title == "Mine"

    def test_saving_again_changes_what_is_given_and_nothing_else(self, store: wilk.Store) -> None:
        first = store.documents.save("c", {"a": 1}, title="T", user="ann", metadata={"m": 1})
        second = store.documents.save("c", {"a": 2})
        assert second._replace(data=None, content_hash="", updated_at=first.updated_at) == first._replace(
            data=None, content_hash=""
        )

    @pytest.mark.sqlite  # it counts by a number that SQLite keeps
    def test_what_is_as_it_was_is_not_written_again(self, timed: wilk.Store, now: Any) -> None:
        first = timed.documents.save("c", CHAT, metadata={"m": 1})
        changes = timed._engine.database.connection().total_changes
        now.pass_by(seconds=1)
        assert timed.documents.save("c", dict(CHAT)) == first
        assert timed._engine.database.connection().total_changes == changes

    def test_another_order_of_keys_is_another_content(self, store: wilk.Store) -> None:
        store.documents.save("c", {"a": 1, "b": 2})
        store.documents.save("c", {"b": 2, "a": 1})
        assert list(store.documents.get("c").data) == ["b", "a"]

    def test_one_of_another_kind_is_in_the_way(self, store: wilk.Store) -> None:
        store.documents.save("c", 1, kind="note")
        with pytest.raises(wilk.Conflict, match="is a note"):
            store.documents.save("c", 2, kind="conversation")
        assert store.documents.save("c", 3).kind == "note"

    def test_lists_go_by_id_and_filter(self, store: wilk.Store) -> None:
        for id in "dbac":
            store.documents.save(id, id, kind="note" if id == "d" else "conversation", user=id)
        assert [one.id for one in store.documents.list(after="a", limit=2)] == ["b", "c"]
        assert [one.id for one in store.documents.list(kind="note")] == ["d"]
        assert [one.id for one in store.documents.list(user="b")] == ["b"]

    def test_ids_come_in_the_order_of_first_saving(self, timed: wilk.Store, now: Any) -> None:
        for id in "bca":
            timed.documents.save(id, id)
            now.pass_by(seconds=1)
        timed.documents.save("b", "again")
        assert timed.documents.ids() == ["b", "c", "a"]

    @pytest.mark.parametrize("id", ["", "a\0b", "a\ud800b", "x" * 1001, 7])
    def test_an_id_that_no_engine_keeps_is_refused(self, store: wilk.Store, id: Any) -> None:
        with pytest.raises(wilk.Invalid, match="id"):
            store.documents.save(id, {})

    def test_what_json_cannot_hold_is_refused_with_its_path(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotStorable, match=r"a\.1"):
            store.documents.save("c", {"a": [0, b"bytes"]})
        assert store.documents.find("c") is None

    def test_removing_a_conversation_archives_all_of_it_as_one(self, store: wilk.Store) -> None:
        store.documents.save("c", CHAT)
        store.documents.save("other", CHAT)
        for id in ("c", "other"):
            store.raw_messages.save(id, [{"role": "user", "content": "x" * 99}] * 4)
            store.chunks.divide(id, chunk_tokens=20, tail_tokens=0)
            store.chunks.save_info(id, {})
            store.memories.save_sequence(id, "m", {"summary": "s"})
        assert store.documents.remove("c").data == CHAT
        entries = store.archive.list()
        assert {entry.kind for entry in entries} == {
            "document", "raw_message", "chunk", "chunk_info", "memory",
        }  # fmt: skip
        assert len({entry.batch for entry in entries}) == 1
        assert store.raw_messages.list("c") == store.chunks.list("c") == []
        assert store.raw_messages.count("other") == 4
        assert len(store.memories.list()) == 1

    def test_what_was_removed_can_be_restored_as_it_was(self, store: wilk.Store) -> None:
        store.documents.save("c", CHAT, user="ann", metadata={"m": float("inf")})
        store.raw_messages.save("c", [{"role": "user", "content": "x" * 99, "z": 1, "a": "\0"}] * 4)
        store.chunks.divide("c", chunk_tokens=20, tail_tokens=0)
        store.chunks.save_info("c", {"z": 1, "a": 2})
        for id in "mln":
            store.memories.save_sequence("c", id, {"summary": id})

        def kept() -> tuple[Any, ...]:
            return (
                store.documents.get("c"),
                store.raw_messages.list("c"),
                store.chunks.list("c"),
                store.chunks.info("c"),
                store.memories.list(conversation="c", oldest=True),
            )

        before = kept()
        store.documents.remove("c")
        store.archive.restore(batch=store.archive.list()[0].batch)
        assert kept() == before

    def test_clearing_takes_what_has_no_document_too(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", [1, 2])
        store.memories.add("m", conversation="c")
        assert store.documents.clear("c") == {"raw_message": 2, "memory": 1}
        assert len({entry.batch for entry in store.archive.list()}) == 1
        assert store.documents.clear("c") == {}

    def test_what_is_nested_too_deeply_is_refused(self, store: wilk.Store) -> None:
        deep: Any = []
        for _ in range(400):
            deep = [deep]
        with pytest.raises(wilk.NotStorable, match="nested deeper"):
            store.documents.save("c", deep)

    def test_one_that_is_not_there_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no document 'c'"):
            store.documents.get("c")
        with pytest.raises(wilk.NotFound):
            store.documents.remove("c")

    def test_a_plugin_may_refuse_one(self, plugged: Any) -> None:
        class Guard:
            @hookimpl
            def before_save(self, kind: str, record: Any) -> None:
                if kind == "document" and "secret" in record.data:
                    raise wilk.Rejected("no secrets")

        store = plugged(Guard())
        with pytest.raises(wilk.Rejected):
            store.documents.save("c", {"secret": 1})
        assert store.documents.find("c") is None


class TestRawMessages:
    def test_come_back_in_their_order(self, store: wilk.Store) -> None:
        messages = [{"b": n, "a": [n]} for n in range(250)]
        assert store.raw_messages.save("c", messages) == 250
        assert [one.data for one in store.raw_messages.list("c")] == messages

    @pytest.mark.sqlite  # dito
    def test_a_longer_conversation_writes_what_is_new(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", list(range(100)))
        connection = store._engine.database.connection()
        before = connection.total_changes
        assert store.raw_messages.save("c", list(range(103))) == 3
        assert connection.total_changes - before == 3

    def test_a_changed_message_alone_is_written(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", ["a", "b", "c"])
        kept = store.raw_messages.list("c")
        assert store.raw_messages.save("c", ["a", "B", "c"]) == 1
        found = store.raw_messages.list("c")
        assert [one.data for one in found] == ["a", "B", "c"]
        assert (found[0], found[2]) == (kept[0], kept[2])

    def test_what_there_is_too_much_of_is_archived(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", ["a", "b", "c"])
        assert store.raw_messages.save("c", ["a"]) == 0
        assert [one.data for one in store.raw_messages.list("c")] == ["a"]
        assert sorted(entry.record_id for entry in store.archive.list(kind="raw_message")) == ["c/1", "c/2"]

    @given(first=st.lists(st.integers(0, 2), max_size=8), second=st.lists(st.integers(0, 2), max_size=8))
    def test_saving_leaves_just_these(self, store: wilk.Store, first: list[int], second: list[int]) -> None:
        store.raw_messages.save("c", first)
        written = store.raw_messages.save("c", second)
        assert [one.data for one in store.raw_messages.list("c")] == second
        assert store.raw_messages.count("c") == len(second)
        same_place = sum(one == other for one, other in zip(first, second, strict=False))
        assert written == len(second) - same_place

    def test_append_goes_on_at_the_end(self, store: wilk.Store) -> None:
        assert store.raw_messages.append("c", {"n": 0}).position == 0
        store.raw_messages.save("c", [{"n": 0}, {"n": 1}])
        assert store.raw_messages.append("c", {"n": 2}) == store.raw_messages.list("c")[2]

    def test_pages_go_by_position(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", list("abcd"))
        assert [one.data for one in store.raw_messages.list("c", after=0, limit=2)] == ["b", "c"]

    def test_a_message_that_cannot_be_kept_leaves_all_as_it_was(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", ["a"])
        with pytest.raises(wilk.NotStorable):
            store.raw_messages.save("c", ["b", object()])
        assert [one.data for one in store.raw_messages.list("c")] == ["a"]

    def test_one_object_is_no_list_of_messages(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="a list is wanted"):
            store.raw_messages.save("c", {"role": "user"})

    def test_removed_ones_are_archived(self, store: wilk.Store) -> None:
        store.raw_messages.save("c", ["a", "b"])
        assert store.raw_messages.remove("c") == 2
        assert store.raw_messages.list("c") == []
        assert len(store.archive.list(kind="raw_message")) == 2
