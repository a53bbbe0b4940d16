"""Working memory: labelled blocks with a limit, of a session, an agent, a user or the store."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk

pytestmark = pytest.mark.backends

OWNERS: list[dict[str, str]] = [{}, {"session": "s"}, {"agent": "coder"}, {"user": "ann"}]


@pytest.fixture
def owners(store: wilk.Store) -> wilk.Store:
    """A store in which each owner of ``OWNERS`` is known."""
    store.users.save("ann", name="Ann")
    store.sessions.create(id="s", user="ann", agents=["coder", "tester", "coder"])
    return store


each_owner = pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: next(iter(owner), "store"))


class TestSetting:
    @each_owner
    def test_a_block_is_read_as_it_was_set(self, owners: wilk.Store, owner: dict[str, str]) -> None:
        block = owners.blocks.set(
            "human", "Likes tea", description="who", max_tokens=9, read_only=True, metadata={"a": 1}, **owner
        )
        assert owners.blocks.get("human", **owner) == owners.blocks.find("human", **owner) == block
        assert (block.owner_kind, block.owner_id) == next(iter(owner.items()), ("store", ""))
        assert block[3:9] == ("human", "Likes tea", "who", 9, True, {"a": 1})

    def test_a_new_block_may_hold_500_tokens_and_be_written(self, store: wilk.Store) -> None:
        block = store.blocks.set("human")
        assert block[3:9] == ("human", "", None, 500, False, {})

    def test_setting_again_changes_what_is_given_and_nothing_else(self, timed: wilk.Store, now: Any) -> None:
        first = timed.blocks.set("human", "tea", description="who", max_tokens=9, metadata={"a": 1})
        now.pass_by(seconds=1)
        second = timed.blocks.set("human", "coffee")
        assert second == first._replace(value="coffee", updated_at=second.updated_at)
        assert second.updated_at > second.created_at == first.created_at

    def test_the_same_label_of_another_owner_is_another_block(self, owners: wilk.Store) -> None:
        for owner in OWNERS:
            owners.blocks.set("human", str(owner), **owner)
        assert [owners.blocks.get("human", **owner).value for owner in OWNERS] == list(map(str, OWNERS))

    def test_two_owners_are_one_too_many(self, owners: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="session and user: a block has one owner"):
            owners.blocks.set("human", "x", session="s", user="ann")

    @pytest.mark.parametrize("owner", [{"session": "x"}, {"user": "x"}])
    def test_an_unknown_owner_is_not_found(self, store: wilk.Store, owner: dict[str, str]) -> None:
        with pytest.raises(wilk.NotFound, match=f"no {next(iter(owner))} 'x'"):
            store.blocks.set("human", "x", **owner)
        assert store.blocks.list(**owner) == []

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("label", ""),
            ("label", "a\0"),
            ("label", "x" * 201),
            ("value", None),
            ("value", "\ud800"),
            ("description", " "),
            ("max_tokens", 0),
            ("max_tokens", True),
            ("read_only", 1),
            ("metadata", []),
            ("agent", ""),
        ],
    )
    def test_what_cannot_be_kept_is_refused(self, store: wilk.Store, field: str, value: Any) -> None:
        with pytest.raises(wilk.Invalid, match=field):
            store.blocks.set(**{"label": "human", field: value})
        assert store.blocks.list() == []


class TestLimit:
    def test_a_value_over_it_is_refused_with_the_numbers(self, store: wilk.Store) -> None:
        value = "word " * 100
        tokens = store.count_tokens(value)
        with pytest.raises(wilk.Invalid, match=f"'human' has {tokens} tokens, {tokens - 50} over .* 50;"):
            store.blocks.set("human", value, max_tokens=50)
        assert store.blocks.find("human") is None

    def test_a_value_that_just_fits_is_kept(self, store: wilk.Store) -> None:
        value = "word " * 100
        assert store.blocks.set("human", value, max_tokens=store.count_tokens(value)).value == value

    def test_counts_after_appending_and_replacing(self, store: wilk.Store) -> None:
        block = store.blocks.set("human", "short", max_tokens=5)
        with pytest.raises(wilk.Invalid, match="over its limit of 5"):
            store.blocks.append("human", " and much longer than that")
        with pytest.raises(wilk.Invalid, match="over its limit of 5"):
            store.blocks.replace("human", "short", "much longer than five tokens")
        assert store.blocks.get("human") == block

    def test_cannot_be_set_below_what_is_there(self, store: wilk.Store) -> None:
        store.blocks.set("human", "word " * 20)
        with pytest.raises(wilk.Invalid, match="over its limit of 3"):
            store.blocks.set("human", max_tokens=3)
        assert store.blocks.get("human").max_tokens == 500

    def test_is_counted_by_the_tokenizer_of_the_store(self, plugged: Any) -> None:
        class Words:
            @wilk.hookimpl
            def register_tokenizers(self) -> Any:
                yield wilk.Tokenizer(name="words", count=lambda text, model: len(text.split()))

        store = plugged(Words())
        store.blocks.set("human", "a b c", max_tokens=3)
        with pytest.raises(wilk.Invalid, match="has 4 tokens"):
            store.blocks.append("human", " d")


class TestEditing:
    def test_appends_as_it_stands(self, store: wilk.Store) -> None:
        store.blocks.set("human", "tea")
        assert store.blocks.append("human", "\nand milk").value == "tea\nand milk"

    def test_replaces_what_stands_there_once(self, store: wilk.Store) -> None:
        store.blocks.set("human", "likes tea, not milk")
        assert store.blocks.replace("human", "tea", "coffee").value == "likes coffee, not milk"

    @given(st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=3), st.text("abc", max_size=3))
    def test_replaces_when_it_is_clear_what_is_meant_and_else_refuses(
        self, store: wilk.Store, value: str, old: str, new: str
    ) -> None:
        block = store.blocks.set("law", value)
        places = [i for i in range(len(value)) if value.startswith(old, i)]
        if len(places) == 1:
            expected = value[: places[0]] + new + value[places[0] + len(old) :]
            assert store.blocks.replace("law", old, new).value == expected
        else:
            fault = f"stands {len(places)} times" if places else "does not stand"
            with pytest.raises(wilk.Invalid, match=fault):
                store.blocks.replace("law", old, new)
            assert store.blocks.get("law") == block

    @pytest.mark.parametrize("old", ["", None])
    def test_replaces_nothing_by_nothing(self, store: wilk.Store, old: Any) -> None:
        store.blocks.set("human", "tea")
        with pytest.raises(wilk.Invalid, match="old"):
            store.blocks.replace("human", old, "x")

    def test_an_unknown_block_is_not_found(self, owners: wilk.Store) -> None:
        owners.blocks.set("human", "x", session="s")
        for call in (
            lambda: owners.blocks.append("human", "x", user="ann"),
            lambda: owners.blocks.replace("human", "x", "y", user="ann"),
            lambda: owners.blocks.get("human", user="ann"),
            lambda: owners.blocks.remove("human", user="ann"),
        ):
            with pytest.raises(wilk.NotFound, match="no block 'human'; user 'ann' has none of that label"):
                call()
        assert owners.blocks.find("human", user="ann") is None

    def test_threads_that_append_at_once_lose_nothing(self, store: wilk.Store) -> None:
        store.blocks.set("log", "")

        def write(letter: str) -> None:
            for _ in range(10):
                store.blocks.append("log", letter)
            store._engine.release()

        threads = [threading.Thread(target=write, args=(letter,)) for letter in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(store.blocks.get("log").value) == sorted("abc" * 10)


class TestReadOnly:
    def test_refuses_every_write(self, store: wilk.Store) -> None:
        block = store.blocks.set("rules", "be kind", read_only=True)
        for call in (
            lambda: store.blocks.set("rules", "x"),
            lambda: store.blocks.set("rules", max_tokens=9, read_only=True),
            lambda: store.blocks.append("rules", "x"),
            lambda: store.blocks.replace("rules", "kind", "x"),
            lambda: store.blocks.remove("rules"),
        ):
            with pytest.raises(wilk.Protected, match="'rules' is read-only; .* read_only=False"):
                call()
        assert store.blocks.get("rules") == block

    def test_ends_where_a_write_says_so(self, store: wilk.Store) -> None:
        store.blocks.set("rules", "be kind", read_only=True)
        assert store.blocks.set("rules", "be fair", read_only=False).value == "be fair"
        assert store.blocks.append("rules", "!").value == "be fair!"


class TestListing:
    @each_owner
    def test_gives_the_blocks_of_an_owner_by_label(self, owners: wilk.Store, owner: dict[str, str]) -> None:
        for one in OWNERS:
            for label in ("b", "a"):
                owners.blocks.set(label, str(one), **one)
        found = owners.blocks.list(**owner)
        assert [(block.label, block.value) for block in found] == [("a", str(owner)), ("b", str(owner))]
        assert len(owners.blocks.list(limit=1, **owner)) == 1

    def test_for_a_session_gives_all_that_concern_it(self, owners: wilk.Store) -> None:
        owners.users.save("bob", name="Bob")
        other = owners.sessions.create().id
        for label, owner in [
            ("own", {"session": "s"}),
            ("tester", {"agent": "tester"}),
            ("coder", {"agent": "coder"}),
            ("user", {"user": "ann"}),
            ("all", {}),
            ("another agent's", {"agent": "writer"}),
            ("another user's", {"user": "bob"}),
            ("another session's", {"session": other}),
        ]:
            owners.blocks.set(label, "x", **owner)
        found = [block.label for block in owners.blocks.for_session("s")]
        assert found == ["all", "user", "coder", "tester", "own"]
        assert [block.label for block in owners.blocks.for_session(other)] == ["all", "another session's"]

    def test_for_an_unknown_session_is_not_found(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="no session 'x'"):
            store.blocks.for_session("x")


class TestRemoving:
    def test_archives_the_block(self, owners: wilk.Store) -> None:
        block = owners.blocks.set("human", "x", user="ann")
        assert owners.blocks.remove("human", user="ann", reason="outdated") == block
        assert owners.blocks.find("human", user="ann") is None
        (entry,) = owners.archive.list(kind="block")
        assert (entry.record_id, entry.reason, entry.data["value"]) == (block.id, "outdated", "x")

    def test_a_removed_session_takes_its_own_along_and_no_others(self, owners: wilk.Store) -> None:
        for owner in OWNERS:
            owners.blocks.set("human", "x", read_only=True, **owner)
        owners.sessions.remove("s")
        left = [owner for owner in OWNERS if owners.blocks.find("human", **owner)]
        assert left == [owner for owner in OWNERS if "session" not in owner]

    def test_a_removed_user_takes_theirs_along(self, store: wilk.Store) -> None:
        store.users.save("ann", name="Ann")
        block = store.blocks.set("human", "x", user="ann")
        store.users.remove("ann")
        assert [entry.record_id for entry in store.archive.list(kind="block")] == [block.id]
