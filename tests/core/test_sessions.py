"""Sessions: settings, lists, forks, removal, and which one is current."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk.records.conversation import Message

pytestmark = pytest.mark.backends


def ids(sessions: Any) -> list[str]:
    return [session.id for session in sessions]


def say(store: wilk.Store, session: str, n: int) -> list[Message]:
    return store.messages.extend(session, [{"role": "user", "text": str(k)} for k in range(1, n + 1)])


class TestCreate:
    def test_returns_what_get_reads(self, store: wilk.Store) -> None:
        store.users.save("u", name="Ada")
        store.groups.save("g", name="Team")
        made = store.sessions.create(
            id="s",
            name="talk",
            working_directory=Path("/work"),
            agents=["coder", "tester"],
            model="m",
            context_strategy="hybrid",
            max_tokens=1000,
            recap="so far",
            context_file=Path("/ctx.json"),
            user="u",
            group="g",
            saved=True,
            metadata={"a": [1, {"b": None}]},
        )
        assert store.sessions.get("s") == made
        assert (made.working_directory, made.context_file) == ("/work", "/ctx.json")

    def test_takes_what_is_not_given_from_the_settings(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WILK_DEFAULT_MODEL", "mistral")
        monkeypatch.setenv("WILK_MAX_TOKENS", "123")
        monkeypatch.setenv("WILK_CONTEXT_STRATEGY", "discard")
        with wilk.open_store(home=home) as store:
            made = store.sessions.create()
        assert (made.model, made.max_tokens, made.context_strategy) == ("mistral", 123, "discard")

    def test_is_temporary_unless_told_otherwise(self, store: wilk.Store) -> None:
        assert store.sessions.create().saved is False

    def test_with_an_id_that_is_taken_is_a_conflict(self, store: wilk.Store) -> None:
        store.sessions.create(id="s", name="first")
        with pytest.raises(wilk.Conflict, match="session 's' already"):
            store.sessions.create(id="s", name="second")
        assert store.sessions.get("s").name == "first"

    @pytest.mark.parametrize("field", ["user", "group", "persona"])
    def test_for_someone_unknown_is_not_found(self, store: wilk.Store, field: str) -> None:
        with pytest.raises(wilk.NotFound, match=f"no {field} 'x'"):
            store.sessions.create(**{field: "x"})  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("context_strategy", "magic"),
            ("max_tokens", 0),
            ("max_tokens", True),
            ("agents", "coder"),
            ("agents", [1]),
            ("id", ""),
            ("id", "x" * 201),
        ],
    )
    def test_names_the_field_that_is_wrong(self, store: wilk.Store, field: str, value: Any) -> None:
        with pytest.raises(wilk.Invalid, match=field):
            store.sessions.create(**{field: value})

    def test_of_text_that_no_engine_holds_is_refused_clearly(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="lone surrogate"):
            store.sessions.create(name="\ud800")


class TestUpdate:
    def test_changes_the_given_fields_and_no_other(self, store: wilk.Store) -> None:
        before = store.sessions.create(name="a", recap="r", agents=["x"], metadata={"k": 1})
        after = store.sessions.update(before.id, name="b", status="paused")
        assert after == before._replace(name="b", status="paused", updated_at=after.updated_at)

    def test_takes_none_as_a_value(self, store: wilk.Store) -> None:
        made = store.sessions.create(name="a", recap="r")
        assert store.sessions.update(made.id, recap=None).recap is None

    def test_of_an_unknown_session_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound):
            store.sessions.update("x", name="b")

    def test_refuses_an_unknown_status_and_names_the_known(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.Invalid, match="status 'gone': one of active"):
            store.sessions.update(session, status="gone")

    def test_refuses_a_user_who_is_not_there(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.NotFound, match="no user 'x'"):
            store.sessions.update(session, user="x")

    def test_save_keeps_for_good_and_undoes_it(self, store: wilk.Store, session: str) -> None:
        assert store.sessions.save(session).saved is True
        assert store.sessions.save(session, saved=False).saved is False


class TestLists:
    def test_the_latest_activity_comes_first(self, timed: wilk.Store, now: Any) -> None:
        made = []
        for _ in range(3):
            now.pass_by(seconds=1)
            made.append(timed.sessions.create().id)
        now.pass_by(seconds=1)
        timed.messages.append(made[0], "user")
        assert ids(timed.sessions.list()) == [made[0], made[2], made[1]]

    def test_pages_hold_each_session_once_though_times_are_equal(self, timed: wilk.Store) -> None:
        made = {timed.sessions.create().id for _ in range(7)}
        seen: list[str] = []
        while page := timed.sessions.list(limit=3, after=seen[-1] if seen else None):
            seen += ids(page)
        assert (set(seen), len(seen)) == (made, 7)

    def test_filters_by_saved(self, store: wilk.Store) -> None:
        kept, temporary = store.sessions.create(saved=True).id, store.sessions.create().id
        assert ids(store.sessions.list(saved=True)) == [kept]
        assert ids(store.sessions.list(saved=False)) == [temporary]

    def test_filters_by_status(self, store: wilk.Store) -> None:
        paused = store.sessions.create().id
        store.sessions.create()
        store.sessions.update(paused, status="paused")
        assert ids(store.sessions.list(status="paused")) == [paused]

    def test_recent_counts_the_messages(self, store: wilk.Store, session: str) -> None:
        say(store, session, 3)
        assert [one.message_count for one in store.sessions.recent()] == [3]

    def test_recent_leaves_out_what_is_older_than_its_days(self, timed: wilk.Store, now: Any) -> None:
        timed.sessions.create()
        now.pass_by(days=7)
        young = timed.sessions.create().id
        assert ids(timed.sessions.recent(days=7)) == [young]

    def test_recent_gives_at_most_ten(self, store: wilk.Store) -> None:
        for _ in range(12):
            store.sessions.create()
        assert len(store.sessions.recent()) == 10

    def test_recent_of_a_user_is_only_theirs(self, store: wilk.Store) -> None:
        for user in ("a", "b"):
            store.users.save(user, name=user)
            store.sessions.create(id=f"of {user}", user=user)
        assert ids(store.sessions.recent(user="a")) == ["of a"]

    _names = st.text("ab_%*?[]\\'\"", min_size=1, max_size=6)

    @given(names=st.sets(_names, min_size=2, max_size=6))
    def test_a_user_never_sees_a_session_of_another(self, store: wilk.Store, names: set[str]) -> None:
        for name in names:
            store.users.save(name, name="n")
            store.groups.save(name, name="n")
            store.sessions.create(user=name, group=name, name=name)
        for name in names:
            assert {one.user_id for one in store.sessions.list(user=name)} == {name}
            assert {one.group_id for one in store.sessions.list(group=name)} == {name}
            assert {one.user_id for one in store.sessions.recent(user=name)} == {name}


class TestFork:
    def test_copies_text_order_and_origin(self, store: wilk.Store, session: str) -> None:
        source = say(store, session, 3)
        fork = store.sessions.fork(session)
        copies = store.messages.page(fork.id)
        assert [(one.text, one.sequence, one.origin_id) for one in copies] == [
            (one.text, one.sequence, one.id) for one in source
        ]

    def test_gives_copies_ids_of_their_own(self, store: wilk.Store, session: str) -> None:
        source = {one.id for one in say(store, session, 3)}
        fork = store.sessions.fork(session)
        assert source.isdisjoint(one.id for one in store.messages.page(fork.id))

    def test_at_a_sequence_copies_up_to_it(self, store: wilk.Store, session: str) -> None:
        say(store, session, 5)
        fork = store.sessions.fork(session, at=2)
        assert (fork.fork_of, fork.fork_sequence, fork.message_count, fork.last_sequence) == (
            session,
            2,
            2,
            2,
        )
        assert store.messages.append(fork.id, "user").sequence == 3

    def test_at_0_is_empty(self, store: wilk.Store, session: str) -> None:
        say(store, session, 2)
        fork = store.sessions.fork(session, at=0)
        assert store.messages.page(fork.id) == []

    @pytest.mark.parametrize("at", [-1, 4])
    def test_at_a_sequence_that_is_not_there_is_refused(
        self, store: wilk.Store, session: str, at: int
    ) -> None:
        say(store, session, 3)
        with pytest.raises(wilk.Invalid, match="messages up to 3"):
            store.sessions.fork(session, at=at)

    def test_leaves_the_source_as_it_was(self, store: wilk.Store, session: str) -> None:
        before = say(store, session, 3)
        fork = store.sessions.fork(session)
        store.messages.append(fork.id, "user", "only here")
        assert (store.messages.page(session), store.messages.count(session)) == (before, 3)

    def test_keeps_every_column_of_a_message(self, store: wilk.Store, session: str) -> None:
        source = store.messages.append(
            session,
            "critic",
            "t\0\ud800",
            parts=[float("inf")],
            agent="a",
            model="m",
            tokens=3,
            importance=0.1,
            interaction="i",
            key="k",
            metadata={"x": 2**80},
        )
        (copy,) = store.messages.page(store.sessions.fork(session).id)
        assert copy == source._replace(id=copy.id, session_id=copy.session_id, origin_id=source.id)

    def test_points_parents_at_the_copies(self, store: wilk.Store, session: str) -> None:
        first = store.messages.append(session, "user")
        store.messages.append(session, "assistant", parent=first.id)
        one, two = store.messages.page(store.sessions.fork(session).id)
        assert two.parent_id == one.id

    def test_takes_along_the_tool_calls_of_copied_messages_only(
        self, store: wilk.Store, session: str
    ) -> None:
        first, second = say(store, session, 2)
        done = store.tool_calls.start(session, "search", {"q": [1]}, message=first.id, call_id="c1")
        done = store.tool_calls.finish(done.id, result={"hits": 0})
        store.tool_calls.start(session, "late", message=second.id)
        store.tool_calls.start(session, "loose")
        fork = store.sessions.fork(session, at=1)
        (copied,) = store.messages.page(fork.id)
        (call,) = store.tool_calls.list(fork.id)
        assert call == done._replace(id=call.id, session_id=fork.id, message_id=copied.id)

    def test_of_a_fork_keeps_the_whole_line(self, store: wilk.Store, session: str) -> None:
        say(store, session, 2)
        child = store.sessions.fork(session)
        store.messages.append(child.id, "user", "3")
        grandchild = store.sessions.fork(child.id)
        assert [one.text for one in store.messages.page(grandchild.id)] == ["1", "2", "3"]
        assert (grandchild.fork_of, grandchild.fork_sequence) == (child.id, 3)

    def test_outlives_the_removal_of_its_source(self, store: wilk.Store, session: str) -> None:
        say(store, session, 2)
        fork = store.sessions.fork(session)
        store.sessions.remove(session)
        assert [one.text for one in store.messages.page(fork.id)] == ["1", "2"]
        assert store.sessions.get(fork.id).fork_of == session

    def test_copies_more_messages_than_one_batch(self, store: wilk.Store, session: str) -> None:
        say(store, session, 2105)
        fork = store.sessions.fork(session)
        copies = store.messages.page(fork.id, limit=3000)
        assert [one.text for one in copies] == [str(number) for number in range(1, 2106)]
        assert fork.message_count == 2105

    def test_copies_are_searchable(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "wolf")
        fork = store.sessions.fork(session)
        assert len(store.messages.search("wolf", session=fork.id)) == 1

    def test_keys_of_copies_make_retries_harmless_there_too(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "hello", key="k")
        fork = store.sessions.fork(session)
        store.messages.append(fork.id, "user", "hello", key="k")
        assert store.messages.count(fork.id) == 1

    def test_takes_a_name(self, store: wilk.Store, session: str) -> None:
        assert (store.sessions.fork(session).name, store.sessions.fork(session, name="b").name) == (
            "talk",
            "b",
        )

    def test_of_an_unknown_session_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound):
            store.sessions.fork("x")


class TestRemove:
    def test_returns_the_last_state(self, store: wilk.Store, session: str) -> None:
        say(store, session, 2)
        before = store.sessions.get(session)
        assert store.sessions.remove(session) == before

    def test_makes_it_not_found(self, store: wilk.Store, session: str) -> None:
        store.sessions.remove(session)
        assert store.sessions.find(session) is None
        with pytest.raises(wilk.NotFound):
            store.sessions.remove(session)

    def test_leaves_other_sessions_alone(self, store: wilk.Store, session: str) -> None:
        other = store.sessions.create().id
        say(store, other, 2)
        store.sessions.remove(session)
        assert store.messages.count(other) == 2

    def test_frees_its_id_for_a_new_one(self, store: wilk.Store) -> None:
        store.sessions.create(id="s")
        store.sessions.remove("s")
        assert store.sessions.create(id="s").message_count == 0


class TestCurrent:
    def test_is_none_at_first(self, store: wilk.Store) -> None:
        assert store.sessions.current() is None

    def test_is_what_was_used_last(self, store: wilk.Store, session: str) -> None:
        store.sessions.use(store.sessions.create().id)
        store.sessions.use(session)
        assert store.sessions.current() == store.sessions.get(session)

    def test_is_none_after_its_removal(self, store: wilk.Store, session: str) -> None:
        store.sessions.use(session)
        store.sessions.remove(session)
        assert store.sessions.current() is None

    def test_is_kept_in_a_file_that_people_can_read(
        self, store: wilk.Store, session: str, home: Path
    ) -> None:
        store.sessions.use(session)
        kept = json.loads((home / "sessions" / "current.json").read_text())
        assert kept == {"session": session, "name": "talk"}

    def test_cannot_be_an_unknown_session(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound):
            store.sessions.use("x")

    def test_in_a_broken_file_is_an_error_that_names_the_file(self, store: wilk.Store, home: Path) -> None:
        (home / "sessions").mkdir()
        (home / "sessions" / "current.json").write_text("{")
        with pytest.raises(wilk.Invalid, match=r"current\.json: line 1"):
            store.sessions.current()

    def test_needs_a_home_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WILK_HOME")
        with wilk.open_store(f"sqlite:///{tmp_path}/x.db") as store:
            session = store.sessions.create().id
            with pytest.raises(wilk.Invalid, match="home="):
                store.sessions.use(session)
