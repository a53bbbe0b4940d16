"""Restoring: what left comes back as it was, or nothing does and the error says why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk
from wilk import models
from wilk.services.keeping.archiver import COMPACTED
from wilk.services.keeping.kinds import KINDS

from .everything import condition, fill, keys, tables

pytestmark = pytest.mark.backends


def compact(store: wilk.Store, session: str, before: int) -> None:
    """Archive messages as compaction does."""
    store._archiver.remove(
        "message",
        (models.Message.session == session) & (models.Message.sequence < before),
        reason=COMPACTED,
    )


def counts(store: wilk.Store, session: str) -> tuple[int, int]:
    """A session's messages and tokens as it counts them."""
    found = store.sessions.get(session)
    return found.message_count, found.token_count


@pytest.fixture
def full(store: wilk.Store) -> wilk.Store:
    """A store with rows of every kind."""
    fill(store)
    return store


class TestASession:
    def test_comes_back_with_all_that_left_with_it(self, full: wilk.Store) -> None:
        before = tables(full)
        full.sessions.remove("session-0")
        assert full.sessions.find("session-0") is None
        restored = full.archive.restore(session="session-0")
        assert restored == {
            "session": 1, "message": 4, "branch_message": 2, "block": 1, "pin": 2, "summary": 2, "manifest": 2, "tool_call": 2,
            "vector": 4,
        }  # fmt: skip
        assert tables(full) == before

    def test_is_found_by_its_text_again(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "needle")
        store.sessions.remove(session)
        assert store.messages.search("needle") == []
        store.archive.restore(session=session)
        assert len(store.messages.search("needle")) == 1

    def test_comes_back_alone_of_a_batch_with_others(self, full: wilk.Store) -> None:
        full._archiver.remove("session", models.Session.id.in_(["session-0", "session-1"]), reason="both")
        assert full.archive.restore(session="session-1")["session"] == 1
        assert [one.id for one in full.sessions.list()] == ["session-1"]
        assert full.archive.restore(session="session-0")["message"] == 4

    def test_leaves_its_compacted_messages_in_the_archive(self, store: wilk.Store, session: str) -> None:
        store.messages.extend(session, [{"role": "user", "tokens": 10} for _ in range(6)])
        compact(store, session, 4)
        assert counts(store, session) == (6, 30)
        store.sessions.remove(session)
        store.archive.restore(session=session)
        assert counts(store, session) == (6, 30)
        assert store.archive.count(session=session, reason=COMPACTED) == 3

    def test_that_was_compacted_comes_back_with_its_summaries(self, store: wilk.Store, session: str) -> None:
        turns = [{"role": role, "text": f"words {n}"} for n in range(8) for role in ("user", "assistant")]
        store.messages.extend(session, turns)
        before = store.messages.page(session)
        store.memory.compact(session, keep_messages=4)
        rows, summaries = tables(store), store.summaries.list(session)
        store.sessions.remove(session)
        store.archive.restore(session=session)
        assert tables(store) == rows
        assert store.summaries.list(session) == summaries != []
        assert store.messages.page(session) == before
        store.memory.uncompact(session)
        assert counts(store, session)[0] == len(tables(store)["messages"]) == 16

    def test_counts_what_it_has_when_it_comes_back_without_its_messages(
        self, store: wilk.Store, session: str
    ) -> None:
        store.messages.extend(session, [{"role": "user", "tokens": 10} for _ in range(6)])
        compact(store, session, 3)
        store.sessions.remove(session)
        (entry,) = store.archive.list(kind="session")
        store.archive.restore(entry.id)
        assert counts(store, session) == (2, 0)
        messages = [one.id for one in store.archive.list(kind="message", reason="removed")]
        store.archive.restore(messages)
        assert counts(store, session) == (6, 40)

    def test_of_schema_1_gets_its_tokens_counted(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", tokens=7)
        store.sessions.remove(session)
        from wilk import codec

        (entry,) = store.archive.list(kind="session")
        old = {name: value for name, value in entry.data.items() if name != "token_count"}
        store._engine.run(
            models.ArchiveEntry.update({models.ArchiveEntry.data: old}).where(
                models.ArchiveEntry.pk == entry.id
            )
        )
        assert "token_count" not in codec.loads(codec.dumps(store.archive.get(entry.id).data))
        store.archive.restore(session=session)
        assert counts(store, session) == (1, 7)


class TestMessages:
    @pytest.fixture
    def ids(self, store: wilk.Store, session: str) -> list[str]:
        return [one.id for one in store.messages.extend(session, [{"role": "user", "tokens": 5}] * 5)]

    def archived(self, store: wilk.Store, id: str, reason: str = "old") -> int:
        store._archiver.remove("message", models.Message.id == id, reason=reason)
        return store.archive.list(kind="message", limit=1)[0].id

    def test_count_for_their_session_again(self, store: wilk.Store, session: str, ids: list[str]) -> None:
        entry = self.archived(store, ids[1])
        assert counts(store, session) == (4, 20)
        store.archive.restore(entry)
        assert counts(store, session) == (5, 25)
        assert [one.sequence for one in store.messages.page(session)] == [1, 2, 3, 4, 5]

    def test_that_were_compacted_were_counted_all_along(
        self, store: wilk.Store, session: str, ids: list[str]
    ) -> None:
        entry = self.archived(store, ids[0], COMPACTED)
        assert counts(store, session) == (5, 20)
        store.archive.restore(entry)
        assert counts(store, session) == (5, 25)

    def test_get_another_number_of_the_engine_only_when_theirs_is_taken(
        self, store: wilk.Store, session: str, ids: list[str]
    ) -> None:
        before = tables(store)["messages"]
        first, last = self.archived(store, ids[0]), self.archived(store, ids[4])
        other = store.messages.append(session, "user", "new")  # takes the number of the last
        store.archive.restore([first, last])
        rows = tables(store)["messages"]
        assert [row for row in rows if row[1] not in (ids[4], other.id)] == [
            row for row in before if row[1] != ids[4]
        ]
        numbers = [row[0] for row in rows]
        assert len(numbers) == len(set(numbers)) == 6
        assert [row[1:] for row in rows if row[1] == ids[4]] == [
            row[1:] for row in before if row[1] == ids[4]
        ]
        assert store.messages.find(ids[4]) is not None

    def test_whose_session_is_not_there_say_what_to_restore_first(
        self, store: wilk.Store, session: str, ids: list[str]
    ) -> None:
        entry = self.archived(store, ids[0])
        store.sessions.remove(session)
        (parent,) = store.archive.list(kind="session")
        with pytest.raises(wilk.Conflict, match=f"restore it first: archive entry {parent.id}"):
            store.archive.restore(entry)
        assert store.archive.get(entry).restored_at is None


class TestAnEarlierSession:
    """The id of a session that was removed may be given to another one."""

    @pytest.fixture
    def again(self, store: wilk.Store) -> wilk.Store:
        """A store whose session ``s`` is another one than that of before, which had more."""
        store.sessions.create(id="s")
        store.messages.extend("s", [{"role": "user", "text": str(n)} for n in range(20)])
        store.pins.remove(store.pins.add("s", "old").id)
        store.memory.compact("s", keep_messages=5)
        store.sessions.remove("s")
        store.messages.append(store.sessions.create(id="s").id, "user", "new")
        return store

    @pytest.mark.parametrize("kind", ["message", "pin", "summary"])
    def test_keeps_its_rows_from_the_later_one(self, again: wilk.Store, kind: str) -> None:
        entry = again.archive.list(kind=kind, session="s", limit=1)[0]
        (left,) = again.archive.list(kind="session", record="s")
        with pytest.raises(wilk.Conflict, match=f"of archive entry {left.id}, and not to the one that has"):
            again.archive.restore(entry.id)

    def test_gets_its_rows_when_it_is_back(self, again: wilk.Store) -> None:
        left = again.archive.list(kind="session", record="s")[0]
        again.sessions.remove("s")
        again.archive.restore(left.id)
        again.archive.restore([one.id for one in again.archive.list(batch=left.batch)])
        assert again.archive.restore(kind="pin", record=again.archive.list(kind="pin")[0].record_id)
        assert [one.text for one in again.messages.page("s", limit=100)] == [str(n) for n in range(20)]
        assert counts(again, "s")[0] == 20

    def test_does_not_count_for_the_later_one(self, again: wilk.Store) -> None:
        again.sessions.remove("s")
        again.archive.restore(again.archive.list(kind="session", record="s")[0].id)
        assert counts(again, "s") == (0, 0)


def test_a_summary_does_not_come_back_over_another(store: wilk.Store, session: str) -> None:
    store.messages.extend(session, [{"role": "user", "text": str(n)} for n in range(20)])
    made = [store.summaries.add(session, last=last).id for last in (10, 20)]
    for id in made:
        store.summaries.remove(id)
    store.summaries.add(session, last=20)
    with pytest.raises(wilk.Conflict, match="covers messages 1 to 20 of session .*only one of them"):
        store.archive.restore(kind="summary", record=made[1])
    assert len(store.summaries.list(session)) == 1


class TestOthers:
    def test_a_user_comes_back_with_memberships_and_blocks(self, full: wilk.Store) -> None:
        before = tables(full)
        full._archiver.remove("user", models.User.id == "user-1", reason="left")
        assert full.archive.restore(kind="user", record="user-1") == {"user": 1, "membership": 1}
        assert tables(full) == before

    def test_only_what_hung_on_the_record_comes_with_it(self, full: wilk.Store) -> None:
        full._archiver.remove(
            "interaction", models.Interaction.id.in_(["interaction-0", "interaction-1"]), reason="x"
        )
        assert full.archive.restore(kind="interaction", record="interaction-1") == {"interaction": 1}
        assert full.archive.restore(kind="interaction", record="interaction-0") == {
            "interaction": 1,
            "action": 3,
        }

    def test_a_batch_comes_back_whole(self, full: wilk.Store) -> None:
        before = tables(full)
        full._archiver.remove("document", models.Document.id == "document-0", reason="x")
        batch = full.archive.list(limit=1)[0].batch
        assert full.archive.restore(batch=batch) == {
            "document": 1, "memory": 3, "chunk_info": 1, "chunk": 3, "raw_message": 3,
        }  # fmt: skip
        assert tables(full) == before


class TestWhatStandsInTheWay:
    def test_an_entry_that_is_not_there(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no archive entry '5'"):
            store.archive.restore([5])
        with pytest.raises(wilk.NotFound, match="no archived session 'x'"):
            store.archive.restore(session="x")
        with pytest.raises(wilk.NotFound, match="no archived batch 'x'"):
            store.archive.restore(batch="x")

    @pytest.mark.parametrize(
        "options",
        [{}, {"ids": 1, "session": "s"}, {"kind": "user"}, {"record": "u"}, {"batch": "b", "session": "s"}],
    )
    def test_a_call_that_does_not_say_what(self, store: wilk.Store, options: dict[str, Any]) -> None:
        with pytest.raises(wilk.Invalid, match="restore takes ids, or kind and record, or batch, or session"):
            store.archive.restore(**options)

    @pytest.mark.parametrize("ids", [["1"], [True], [1.0]])
    def test_an_id_that_is_no_number(self, store: wilk.Store, ids: Any) -> None:
        with pytest.raises(wilk.Invalid, match="a whole number is wanted"):
            store.archive.restore(ids)

    def test_a_record_that_is_back(self, store: wilk.Store) -> None:
        store.users.save("ann", name="Ann")
        store.users.remove("ann")
        store.archive.restore(kind="user", record="ann")
        with pytest.raises(wilk.Conflict, match="user 'ann' is restored already"):
            store.archive.restore(kind="user", record="ann")
        with pytest.raises(wilk.Conflict, match=r"archive entry 1 \(user 'ann'\) is restored already"):
            store.archive.restore(1)

    def test_a_record_that_was_made_again(self, store: wilk.Store) -> None:
        store.users.save("ann", name="Ann")
        store.users.remove("ann")
        store.users.save("ann", name="Another")
        with pytest.raises(wilk.Conflict, match="there is a user 'ann' again"):
            store.archive.restore(1)
        assert store.users.get("ann").name == "Another"

    def test_a_value_that_another_record_took(self, store: wilk.Store) -> None:
        store.users.save("ann", name="Ann", external_id="1")
        store.users.remove("ann")
        store.users.save("bob", name="Bob", external_id="1")
        with pytest.raises(wilk.Conflict, match="a user cannot come back"):
            store.archive.restore(1)

    def test_two_entries_of_one_record(self, store: wilk.Store) -> None:
        for _ in range(2):
            store.users.save("ann", name="Ann")
            store.users.remove("ann")
        with pytest.raises(wilk.Conflict, match="twice"):
            store.archive.restore([1, 2])
        assert store.archive.restore(kind="user", record="ann") == {"user": 1}
        assert store.archive.get(2).restored_at is not None

    def test_nothing_comes_back_when_one_of_many_cannot(self, store: wilk.Store) -> None:
        for name in ("ann", "bob"):
            store.users.save(name, name=name)
            store.users.remove(name)
        store.users.save("ann", name="Another")
        with pytest.raises(wilk.Conflict):
            store.archive.restore([1, 2])
        assert store.users.find("bob") is None
        assert store.archive.count() == 2


def test_an_entry_tells_when_it_was_restored_and_holds_no_data_any_more(store: wilk.Store) -> None:
    store.users.save("ann", name="Ann")
    store.users.remove("ann")
    store.archive.restore(1)
    entry = store.archive.get(1)
    assert entry.restored_at is not None
    assert entry.data == {}
    assert store.archive.list() == []
    assert store.archive.list(restored=True) == store.archive.list(restored=None) == [entry]


def test_a_restoring_that_is_rolled_back_restores_nothing(store: wilk.Store) -> None:
    store.users.save("ann", name="Ann")
    store.users.remove("ann")
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.archive.restore(1)
        1 / 0  # noqa: B018
    assert store.users.find("ann") is None
    assert store.archive.get(1).data["name"] == "Ann"


@pytest.fixture(scope="module")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("filled")
    with wilk.open_store(home=home, host=wilk.Host(disabled=["wilk-audit", "wilk-tokens"])) as store:
        fill(store)
    return home / "wilk.db"


@pytest.fixture
def copies(_filled: Path, tmp_path: Path) -> Callable[[], Path]:
    """Gives a fresh copy of a full store's database in a home of its own, each time it is called."""
    number = 0

    def copy() -> Path:
        nonlocal number
        number += 1
        home = tmp_path / f"home-{number}"
        home.mkdir()
        shutil.copy(_filled, home / "wilk.db")
        return home

    return copy


removals = st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 9)), min_size=1, max_size=8)


def rows(of: dict[str, list[tuple[Any, ...]]]) -> int:
    """How many rows there are, those that are derived left out."""
    return sum(len(found) for name, found in of.items() if name not in ("passages", "vector_tags"))


@pytest.mark.slow
@pytest.mark.parametrize("archive", ["table", "jsonl"])
@settings(max_examples=40)
@given(removed=removals, how=st.sampled_from(["each", "ids"]), compacting=st.booleans())
def test_archiving_and_restoring_changes_nothing(
    copies: Any,
    monkeypatch: pytest.MonkeyPatch,
    archive: str,
    removed: list[tuple[str, int]],
    how: str,
    compacting: bool,
) -> None:
    """For any records of any kinds: afterwards every table holds what it held."""
    monkeypatch.setenv("WILK_ARCHIVE", archive)
    with wilk.open_store(home=copies()) as store:
        if compacting:
            compact(store, "session-0", 3)
        before = tables(store)
        entries = store.archive.count()
        for name, number in removed:
            there = keys(store, name)
            if there:
                try:
                    chosen = condition(name, there[number % len(there)])
                    store._archiver.remove(name, chosen, reason="test")
                except wilk.Conflict:
                    assert name == "user"  # sessions are theirs
        store.archive.flush()
        gone = store.archive.count() - entries
        assert rows(before) - rows(tables(store)) == gone
        left = store.archive.list(reason="test", limit=1000)
        if how == "ids" and left:
            store.archive.restore([entry.id for entry in left])
        elif left:
            for batch in dict.fromkeys(entry.batch for entry in left):
                store.archive.restore(batch=batch)
        assert tables(store) == before
