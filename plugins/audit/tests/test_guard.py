"""What matches a configured pattern does not get into the store."""

from pathlib import Path

import pytest

import wilk
import wilk_audit
from wilk.backends import sqlite
from wilk.definitions import kinds

KEY = "sk-" + "a" * 24


@pytest.fixture
def store(tmp_path: Path) -> wilk.Store:
    return opened(tmp_path, "plugins: {audit: {refuse: ['sk-[A-Za-z0-9]{20,}']}}")


def opened(home: Path, config: str) -> wilk.Store:
    (home / "config.yaml").write_text(config)
    return wilk.open_store(home=home, host=wilk.Host(wilk_audit, sqlite, kinds, entry_points=False))


def test_a_record_that_matches_is_refused(store: wilk.Store) -> None:
    with store, pytest.raises(wilk.Rejected, match="its name matches"):
        store.users.save(name=f"my key is {KEY}")


def test_a_refused_message_leaves_nothing_behind(store: wilk.Store) -> None:
    with store:
        session = store.sessions.create()
        with pytest.raises(wilk.Rejected):
            store.messages.append(session.id, "user", KEY)
        assert (store.messages.last(session.id), store.sessions.get(session.id).last_sequence) == ([], 0)


def test_one_refused_message_refuses_the_batch(store: wilk.Store) -> None:
    with store:
        session = store.sessions.create()
        with pytest.raises(wilk.Rejected):
            store.messages.extend(
                session.id, [{"role": "user", "text": "fine"}, {"role": "user", "text": KEY}]
            )
        assert store.messages.count(session.id) == 0


@pytest.mark.parametrize("parts", [[{"text": KEY}], [{KEY: 1}], [["deep", [KEY]]]])
def test_structured_content_is_looked_through(store: wilk.Store, parts: list[object]) -> None:
    with store:
        session = store.sessions.create()
        with pytest.raises(wilk.Rejected, match="its parts matches"):
            store.messages.append(session.id, "user", "see parts", parts=parts)


def test_the_refusal_does_not_repeat_the_secret(store: wilk.Store) -> None:
    with store, pytest.raises(wilk.Rejected) as refusal:
        store.users.save(name=KEY)
    assert KEY not in str(refusal.value)


def test_a_definition_file_that_matches_is_not_taken_over(store: wilk.Store, tmp_path: Path) -> None:
    file = tmp_path / "prompts" / "p.yaml"
    file.parent.mkdir()
    file.write_text(f"system: use {KEY}")
    with store:
        assert len(store.sync().failures) == 1
        assert store.prompts.find("p") is None


def test_what_does_not_match_is_written(store: wilk.Store) -> None:
    with store:
        assert store.users.save(name="sk-short").name == "sk-short"


def test_a_pattern_that_is_none_refuses_every_record(tmp_path: Path) -> None:
    with (
        opened(tmp_path, "plugins: {audit: {refuse: ['(']}}") as store,
        pytest.raises(wilk.SettingsError, match=r"plugins\.audit\.refuse"),
    ):
        store.sessions.create()


def test_one_pattern_may_stand_without_a_list(tmp_path: Path) -> None:
    with (
        opened(tmp_path, "plugins: {audit: {refuse: 'hush'}}") as store,
        pytest.raises(wilk.Rejected),
    ):
        store.users.save(name="hush")
