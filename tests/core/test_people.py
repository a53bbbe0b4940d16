"""Users, groups and memberships."""

from __future__ import annotations

from typing import Any

import pytest

import wilk

pytestmark = pytest.mark.backends


@pytest.fixture(params=["users", "groups"])
def noun(request: pytest.FixtureRequest, store: wilk.Store) -> Any:
    return getattr(store, request.param)


class TestUsersAndGroups:
    def test_save_returns_what_get_reads(self, noun: Any) -> None:
        saved = noun.save("x", name="Name", external_id="e", metadata={"a": [1]})
        assert noun.get("x") == saved

    def test_save_without_an_id_gives_one(self, noun: Any) -> None:
        assert noun.get(noun.save(name="Name").id).name == "Name"

    def test_save_again_changes_and_keeps_the_time_of_creation(self, timed: wilk.Store, now: Any) -> None:
        first = timed.users.save("x", name="Name")
        now.pass_by(seconds=1)
        second = timed.users.save("x", name="Other")
        assert (second.name, second.created_at) == ("Other", first.created_at)
        assert second.updated_at > first.updated_at

    def test_an_external_id_that_is_taken_is_a_conflict(self, noun: Any) -> None:
        noun.save("x", name="Name", external_id="e")
        with pytest.raises(wilk.Conflict, match="external_id 'e'"):
            noun.save("y", name="Other", external_id="e")
        assert noun.find("y") is None

    def test_none_of_them_needs_an_external_id(self, noun: Any) -> None:
        noun.save("x", name="Name")
        noun.save("y", name="Name")
        assert [one.id for one in noun.list()] == ["x", "y"]

    @pytest.mark.parametrize("name", ["", "  ", None])
    def test_a_blank_name_is_refused(self, noun: Any, name: Any) -> None:
        with pytest.raises(wilk.Invalid, match="name"):
            noun.save("x", name=name)

    def test_an_unknown_one_is_not_found(self, noun: Any) -> None:
        with pytest.raises(wilk.NotFound):
            noun.get("x")
        assert noun.find("x") is None

    def test_lists_page_by_id(self, noun: Any) -> None:
        for id in "abc":
            noun.save(id, name=id)
        assert [one.id for one in noun.list(limit=2)] == ["a", "b"]
        assert [one.id for one in noun.list(after="b")] == ["c"]

    def test_remove_archives(self, noun: Any, store: wilk.Store) -> None:
        noun.save("x", name="Name")
        noun.remove("x", reason="left")
        (entry,) = store.archive.list()
        assert (entry.record_id, entry.reason, entry.data["name"]) == ("x", "left", "Name")
        assert noun.find("x") is None

    def test_remove_is_refused_while_sessions_are_theirs(self, noun: Any, store: wilk.Store) -> None:
        kind = "user" if noun is store.users else "group"
        noun.save("x", name="Name")
        session = store.sessions.create(**{kind: "x"}).id  # type: ignore[arg-type]
        with pytest.raises(wilk.Protected, match=f"{kind} 'x'"):
            noun.remove("x")
        store.sessions.remove(session)
        noun.remove("x")
        assert noun.find("x") is None

    def test_remove_archives_memberships(self, noun: Any, store: wilk.Store) -> None:
        store.users.save("x", name="Name")
        store.groups.save("x", name="Name")
        store.groups.add("x", "x", role="owner")
        noun.remove("x")
        (entry,) = store.archive.list(kind="membership")
        assert (entry.record_id, entry.data["role"]) == ("x/x", "owner")
        assert store.groups.of("x") == []


class TestWhatIsAUsers:
    @pytest.fixture
    def anna(self, store: wilk.Store) -> wilk.Store:
        """A store with something of every kind of a user's, and the same of another user."""
        for user in ("anna", "bob"):
            store.users.save(user, name=user)
            store.groups.add(store.groups.save("g", name="G").id, user)
            store.blocks.set("about", "likes tea", user=user)
            store.facts.add(user, "likes", "tea", user=user)
            store.preferences.set("theme", "dark", user=user)
            store.interactions.act(store.interactions.add("why?", id=f"i-{user}", user=user).id, "search")
            store.documents.save(f"d-{user}", {"a": 1}, user=user)
            store.raw_messages.save(f"d-{user}", [{"text": "hello"}])
            store.memories.add("noted", user=user, conversation=f"d-{user}")
        return store

    def test_goes_with_them_and_comes_back_with_them(self, anna: wilk.Store) -> None:
        anna.users.remove("anna")
        gone = {entry.kind for entry in anna.archive.list(limit=1000)}
        assert gone == {
            "user", "membership", "block", "fact", "preference", "interaction", "action", "document",
            "raw_message", "memory",
        }  # fmt: skip
        assert [one.user_id for one in anna.facts.list()] == ["bob"]
        assert anna.interactions.find("i-anna") is None
        assert anna.documents.find("d-bob") is not None
        assert anna.archive.restore(kind="user", record="anna") == dict.fromkeys(gone, 1)
        assert anna.interactions.actions("i-anna")
        assert len(anna.memories.list(user="anna")) == 1


class TestMemberships:
    @pytest.fixture(autouse=True)
    def _people(self, store: wilk.Store) -> None:
        for id in ("ada", "bob"):
            store.users.save(id, name=id)
        for id in ("red", "blue"):
            store.groups.save(id, name=id)

    def test_members_are_listed_with_their_roles(self, store: wilk.Store) -> None:
        store.groups.add("red", "bob")
        store.groups.add("red", "ada", role="owner")
        store.groups.add("blue", "ada")
        assert [(one.user_id, one.role) for one in store.groups.members("red")] == [
            ("ada", "owner"),
            ("bob", "member"),
        ]

    def test_groups_of_a_user_are_listed(self, store: wilk.Store) -> None:
        store.groups.add("red", "ada")
        store.groups.add("blue", "ada")
        assert [one.group_id for one in store.groups.of("ada")] == ["blue", "red"]

    def test_adding_again_changes_the_role(self, store: wilk.Store) -> None:
        store.groups.add("red", "ada")
        assert store.groups.add("red", "ada", role="owner").role == "owner"
        assert len(store.groups.members("red")) == 1

    @pytest.mark.parametrize(("group", "user"), [("x", "ada"), ("red", "x")])
    def test_adding_needs_both(self, store: wilk.Store, group: str, user: str) -> None:
        with pytest.raises(wilk.NotFound, match="'x'"):
            store.groups.add(group, user)

    def test_dropping_archives(self, store: wilk.Store) -> None:
        store.groups.add("red", "ada")
        store.groups.drop("red", "ada")
        assert store.groups.members("red") == []
        assert [entry.record_id for entry in store.archive.list()] == ["red/ada"]

    def test_dropping_someone_who_is_not_in_it_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="red/ada"):
            store.groups.drop("red", "ada")

    def test_members_of_an_unknown_group_are_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound):
            store.groups.members("x")
