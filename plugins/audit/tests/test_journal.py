"""What changes in a store is in its journal, and nothing else is."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

import wilk
import wilk_audit
from wilk.backends import sqlite
from wilk.cli import main
from wilk.context import strategies
from wilk.definitions import kinds
from wilk.records.definitions import Change
from wilk_audit.journal import actor, entries, journal


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WILK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WILK_AUDIT_ACTOR", "anna")


@pytest.fixture
def host() -> wilk.Host:
    return wilk.Host(wilk_audit, sqlite, kinds, entry_points=False)


@pytest.fixture
def store(host: wilk.Host) -> Iterator[wilk.Store]:
    with wilk.open_store(host=host) as store:
        yield store


def events(store: wilk.Store) -> list[str]:
    return [f"{entry.event} {entry.kind or '-'}" for entry in reversed(entries(store))]


def test_a_saved_record_has_an_entry(store: wilk.Store) -> None:
    session = store.sessions.create(name="Planning")
    entry = entries(store)[0]
    assert (entry.actor, entry.event, entry.kind) == ("anna", "saved", "session")
    assert (entry.record_id, entry.summary) == (session.id, "Planning, status active")


def test_records_without_an_id_are_named_by_what_they_are_kept_under(
    store: wilk.Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.interactions.act(store.interactions.add("why?", id="i").id, "search")
    store.raw_messages.save("c", [{"text": "hello"}])
    store.chunks.save_info("c", {"of": "mine"})
    store.state.set("k", 1)
    store.groups.add(store.groups.save("g", name="G").id, store.users.save("u", name="U").id)
    named = {entry.kind: entry.record_id for entry in entries(store)}
    assert (named["action"], named["chunk_info"], named["system_state"]) == ("i/1", "c", "k")
    assert named["membership"] == "g/u"
    assert not caplog.records


def test_an_entry_does_not_repeat_what_was_said(store: wilk.Store) -> None:
    session = store.sessions.create()
    store.messages.append(session.id, "user", "the secret plan")
    assert "secret" not in str(entries(store))


def test_a_removed_record_has_an_entry(store: wilk.Store) -> None:
    user = store.users.save(name="Ben")
    store.users.remove(user.id)
    assert events(store)[-1] == "removed user"


def test_a_kept_context_has_an_entry_and_others_have_none(store: wilk.Store, host: wilk.Host) -> None:
    host.register(strategies)
    session = store.sessions.create(max_tokens=100)
    store.messages.append(session.id, "user", "the secret plan")
    store.contexts.build(session.id)
    assert "built context" not in events(store)
    manifest = store.contexts.build(session.id, manifest=True).manifest
    entry = entries(store)[0]
    assert (entry.event, entry.kind, entry.record_id) == ("built", "context", manifest)
    assert entry.summary == f"1 messages, 8 of 100 tokens, strategy summarize, session {session.id}"


def test_what_went_into_the_archive_has_an_entry_with_its_reason_and_numbers(store: wilk.Store) -> None:
    session = store.sessions.create().id
    store.messages.extend(session, [{"role": "user"}] * 2)
    store.sessions.remove(session, reason="tidied")
    entry = next(entry for entry in entries(store) if entry.event == "archived")
    assert (entry.kind, entry.summary) == ("session", "2 message, 1 session: tidied")
    assert [one.kind for one in store.archive.list(batch=entry.record_id)] == [
        "session",
        "message",
        "message",
    ]


def test_what_came_back_has_an_entry(store: wilk.Store) -> None:
    session = store.sessions.create().id
    store.messages.append(session, "user")
    store.sessions.remove(session)
    store.archive.restore(session=session)
    assert entries(store)[0][2:] == ("restored", None, None, "1 session, 1 message, entries 1 to 2")


def test_what_another_store_took_over_is_in_its_own_journal(store: wilk.Store) -> None:
    store.host.definition_synced(store, Change("agent", "coder", "updated", "", 2, 1, elsewhere=True))
    assert not [entry for entry in entries(store) if entry.event == "synced"]


def test_a_synced_definition_has_an_entry(store: wilk.Store) -> None:
    write(store, "name: Coder")
    store.sync()
    entry = entries(store, kind="agents")[0]
    assert (entry.event, entry.record_id) == ("synced", "coder")
    assert entry.summary == "agents/coder/agent.yaml created, revision 1"


def test_a_broken_definition_has_an_entry_that_says_why(store: wilk.Store) -> None:
    write(store, "name: [")
    store.sync()
    entry = entries(store, kind="agents")[0]
    assert (entry.event, entry.record_id) == ("failed", "coder")
    assert "agents/coder/agent.yaml:" in entry.summary


def test_a_store_that_is_only_read_writes_no_entry(host: wilk.Host) -> None:
    for _ in range(2):
        with wilk.open_store(host=host) as store:
            store.sessions.list()
            assert entries(store) == []


def test_opening_and_closing_stand_around_the_changes(host: wilk.Host) -> None:
    with wilk.open_store(host=host) as store:
        store.sessions.create()
    with wilk.open_store(host=host) as store:
        assert events(store) == ["opened -", "saved session", "closed -"]


def test_a_change_that_was_rolled_back_has_no_entry(store: wilk.Store) -> None:
    with pytest.raises(wilk.NotFound), store.transaction():
        store.messages.append(store.sessions.create().id + "?", "user", "to nobody")
    assert entries(store) == []


def test_writing_an_entry_writes_no_entry(store: wilk.Store) -> None:
    store.sessions.create()
    assert events(store) == ["opened -", "saved session"]


def test_two_stores_have_two_journals(host: wilk.Host, tmp_path: Path) -> None:
    with (
        wilk.open_store(f"sqlite:///{tmp_path}/a.db", host=host) as one,
        wilk.open_store(f"sqlite:///{tmp_path}/b.db", host=host) as other,
    ):
        one.users.save(name="Ben")
        other.sessions.create()
        assert (events(one)[-1], events(other)[-1]) == ("saved user", "saved session")


@pytest.mark.parametrize("how", ["setting", "url"])
def test_a_read_only_store_is_opened_and_closed_without_a_word(
    how: str, host: wilk.Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    wilk.open_store(url, host=host).close()
    with caplog.at_level(logging.WARNING):
        opened = wilk.open_store(
            url if how == "setting" else f"{url}?readonly=1", host=host, readonly=how == "setting"
        )
        with opened as store:
            assert entries(store) == []
            with pytest.raises(wilk.ReadOnly):
                store.sessions.create()
    assert caplog.records == []


def test_the_journal_of_an_earlier_store_gets_its_table(tmp_path: Path, host: wilk.Host) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with wilk.open_store(url, host=wilk.Host(sqlite, kinds, entry_points=False)) as store:
        store.sessions.create(id="s")
    with wilk.open_store(url, host=host) as store:
        store.sessions.update("s", name="n")
        assert events(store) == ["opened -", "saved session"]


def test_the_actor_comes_from_the_settings(
    host: wilk.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WILK_AUDIT_ACTOR")
    configure(tmp_path, "plugins: {audit: {actor: build}}")
    with wilk.open_store(host=host) as store:
        store.sessions.create()
        assert entries(store)[0].actor == "build"


def test_a_user_without_a_name_is_unknown(store: wilk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.delenv("WILK_AUDIT_ACTOR")
    monkeypatch.setattr("wilk_audit.journal.getuser", nameless)
    assert actor(store) == "unknown"


def test_a_summary_with_odd_characters_is_kept(store: wilk.Store) -> None:
    journal(store).write("failed", summary="Ben\0\ud800")
    assert entries(store)[0].summary == "Ben�?"


def test_the_command_shows_the_latest_first(capsys: pytest.CaptureFixture[str], store: wilk.Store) -> None:
    session = store.sessions.create()
    store.messages.append(session.id, "user", "hello")
    assert main(["audit", "--kind", "message", "--last", "1"]) == 0
    line = capsys.readouterr().out.splitlines()
    assert len(line) == 1
    assert "anna  saved    message/" in line[0]


def test_the_command_gives_json(capsys: pytest.CaptureFixture[str], store: wilk.Store) -> None:
    store.sessions.create()
    assert main(["audit", "--json"]) == 0
    assert '"event": "saved"' in capsys.readouterr().out


def test_the_command_shows_control_characters_as_escapes(
    capsys: pytest.CaptureFixture[str], store: wilk.Store
) -> None:
    store.users.save(name="\x1b[31mred")
    main(["audit"])
    assert "\\x1b[31mred" in capsys.readouterr().out


def write(store: wilk.Store, text: str) -> None:
    assert store.home is not None
    file = store.home / "agents" / "coder" / "agent.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def configure(tmp_path: Path, text: str) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.yaml").write_text(text)


def test_what_is_forgotten_is_in_no_entry(store: wilk.Store) -> None:
    store.users.save("anna-0001", name="Anna of the wolves")
    store.users.save("bert-0002", name="Bert")
    session = store.sessions.create(user="anna-0001").id
    store.messages.append(session, "user", "hello")
    plan = store.forgetting.plan(user="anna-0001")
    assert plan.plugins["audit_entries"] >= 3
    store.forgetting.run(user="anna-0001")
    told = "\n".join(f"{entry.record_id} {entry.summary}" for entry in entries(store, last=1000))
    assert "Anna" not in told
    assert "anna-0001" not in told
    assert session not in told
    assert "Bert" in told
