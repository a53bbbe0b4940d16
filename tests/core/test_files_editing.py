"""What people do to the files of a store: it is taken over, told of, and never lost."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.test_files_rebuilding import forget_index, rows

import wilk
from wilk.host import Host

SESSION = "sessions/talk/session.json"
MESSAGES = "sessions/talk/messages/000001.json"
PAPER = "conversations/paper/current.json"


def opened(base: Path, options: str = "") -> wilk.Store:
    return wilk.open_store(f"files:///{base}{options}", host=Host(disabled=("wilk-audit",)))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def store(base: Path) -> Iterator[wilk.Store]:
    with opened(base) as store:
        store.sessions.create(id="talk", name="A talk")
        store.messages.extend("talk", [{"role": "user", "text": f"message {n}"} for n in range(3)])
        store.documents.save("paper", {"title": "Paper", "text": "wolves"})
        yield store


def edit(file: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file as a program would that a person uses."""
    value = json.loads(file.read_text())
    file.write_text(json.dumps(change(value) or value, indent=4))


def texts(store: wilk.Store) -> list[str]:
    return [message.text for message in store.messages.last("talk")]


# -- what is edited -----------------------------------------------------------------------


def test_an_edited_file_is_taken_over_by_a_sync(store: wilk.Store, base: Path) -> None:
    edit(base / SESSION, lambda row: row.update(name="Another"))
    report = store.sync()
    assert [(change.kind, change.id, change.action) for change in report.changes] == [
        ("session", "talk", "updated")
    ]
    assert store.sessions.get("talk").name == "Another"


def test_an_edited_file_is_taken_over_at_the_next_opening(store: wilk.Store, base: Path) -> None:
    store.close()
    edit(base / SESSION, lambda row: row.update(name="Another"))
    with opened(base) as again:
        assert again.sessions.get("talk").name == "Another"


def test_a_persons_way_of_writing_stays(store: wilk.Store, base: Path) -> None:
    edit(base / SESSION, lambda row: row.update(name="Another"))
    before = (base / SESSION).read_text()
    store.sync()
    assert (base / SESSION).read_text() == before


def test_an_edit_that_changes_no_row_is_no_change(store: wilk.Store, base: Path) -> None:
    edit(base / SESSION, lambda row: None)
    assert (store.sync().changes, store.sync().parsed) == ((), 0)


def test_keys_that_no_column_has_survive(store: wilk.Store, base: Path) -> None:
    edit(base / SESSION, lambda row: row.update(mood={"good": True}))
    store.sync()
    store.sessions.update("talk", name="Renamed")
    row = json.loads((base / SESSION).read_text())
    assert (row["name"], row["mood"]) == ("Renamed", {"good": True})


def test_keys_that_no_column_has_survive_the_loss_of_the_index(store: wilk.Store, base: Path) -> None:
    edit(base / SESSION, lambda row: row.update(mood="good"))
    store.close()
    forget_index(base)
    with opened(base) as again:
        again.sessions.update("talk", name="Renamed")
    assert json.loads((base / SESSION).read_text())["mood"] == "good"


def test_an_edited_document_is_found_by_its_new_words(store: wilk.Store, base: Path) -> None:
    edit(base / PAPER, lambda row: row.update(text="foxes"))
    store.sync()
    assert (len(store.search("foxes")), store.search("wolves")) == (1, [])


def test_an_edited_document_has_the_hash_of_what_it_says(store: wilk.Store, base: Path) -> None:
    before = store.documents.get("paper")
    edit(base / PAPER, lambda row: row.update(text="foxes"))
    store.sync()
    store.documents.save("paper", before.data)
    assert store.documents.get("paper").data["text"] == "wolves"


def test_an_edited_message_is_found_by_its_new_words(store: wilk.Store, base: Path) -> None:
    edit(base / MESSAGES, lambda messages: messages[1].update(text="a bear"))
    store.sync()
    assert [hit.message.sequence for hit in store.messages.search("bear")] == [2]


def test_a_message_written_by_hand_is_counted(store: wilk.Store, base: Path) -> None:
    new = {
        "id": "mine",
        "session_id": "talk",
        "sequence": 4,
        "role": "user",
        "text": "mine",
        "tokens": 7,
        "importance": 0.5,
    }
    edit(base / MESSAGES, lambda messages: [*messages, new])
    before = store.sessions.get("talk")
    store.sync()
    after = store.sessions.get("talk")
    assert (after.message_count, after.token_count - before.token_count) == (4, 7)
    assert store.messages.append("talk", "user", "next").sequence == 5


def test_what_was_made_up_is_in_the_file_afterwards(store: wilk.Store, base: Path) -> None:
    file = base / "conversations" / "own" / "current.json"
    file.parent.mkdir()
    file.write_text('{"chatTitle": "T"}')
    store.sync()
    assert json.loads(file.read_text())["_storage_metadata"]["id"] == "own"
    before = rows(store)
    store.close()
    forget_index(base)
    with opened(base) as again:
        assert rows(again) == before


def test_a_folder_of_conversations_without_a_store_becomes_one(tmp_path: Path) -> None:
    for name in ("conv_001", "conv_002"):
        folder = tmp_path / "tree" / "conversations" / name
        folder.mkdir(parents=True)
        (folder / "current.json").write_text(json.dumps({"chatTitle": name, "messages": [{"n": 1}]}))
    with opened(tmp_path / "tree") as store:
        assert [one.id for one in store.documents.list()] == ["conv_001", "conv_002"]
        assert [one.title for one in store.documents.list()] == ["conv_001", "conv_002"]
        assert store.documents.get("conv_001").data == {"chatTitle": "conv_001", "messages": [{"n": 1}]}


def test_a_file_that_is_none_of_wilks_is_left_alone(store: wilk.Store, base: Path) -> None:
    for name in ("README.json", "conversations/paper/notes.json", "sessions/talk/notes.md"):
        (base / name).write_text("mine")
    assert store.sync().failures == ()
    store.sessions.remove("talk")
    assert (base / "sessions/talk/notes.md").read_text() == "mine"


# -- what is deleted ----------------------------------------------------------------------


def test_rows_of_a_deleted_file_are_archived(store: wilk.Store, base: Path) -> None:
    (base / PAPER).unlink()
    report = store.sync()
    assert [(change.kind, change.action) for change in report.changes] == [("document", "archived")]
    assert store.documents.find("paper") is None
    assert [entry.reason for entry in store.archive.list(kind="document")] == ["file_deleted"]
    store.archive.restore(kind="document", record="paper")
    assert store.documents.get("paper").data["text"] == "wolves"
    assert (base / PAPER).exists()


def test_a_deleted_folder_is_archived_with_all_that_was_in_it(store: wilk.Store, base: Path) -> None:
    shutil.rmtree(base / "sessions" / "talk")
    store.sync()
    assert store.sessions.find("talk") is None
    store.archive.restore(session="talk")
    assert texts(store) == ["message 0", "message 1", "message 2"]


def test_a_row_removed_from_its_file_is_archived(store: wilk.Store, base: Path) -> None:
    edit(base / MESSAGES, lambda messages: messages[:1] + messages[2:])
    store.sync()
    assert texts(store) == ["message 0", "message 2"]
    assert store.sessions.get("talk").message_count == 2
    assert [entry.position for entry in store.archive.list(kind="message")] == [2]


def test_a_file_of_rows_that_is_split_loses_none(store: wilk.Store, base: Path) -> None:
    rows = json.loads((base / MESSAGES).read_text())
    (base / MESSAGES).write_text(json.dumps(rows[:1]))
    (base / MESSAGES).with_name("000002.json").write_text(json.dumps(rows[1:]))
    assert store.sync().changes == ()
    assert texts(store) == ["message 0", "message 1", "message 2"]
    assert store.archive.list() == []


def test_a_file_whose_rows_are_never_removed_is_put_back(store: wilk.Store, base: Path) -> None:
    (base / PAPER).unlink()
    store.sync()
    entries = base / "archive" / "entries.json"
    before = entries.read_bytes()
    entries.unlink()
    report = store.sync()
    assert len(report.failures) == 1
    assert entries.read_bytes() == before


# -- what is broken -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text[:-20], "line "),
        (lambda text: text.replace('"saved": false', '"saved": "no"'), "line 5: saved: true or false is wanted"),
        (lambda text: text.replace('"status": "active",', ""), "line 1: the key 'status' is missing"),
        (lambda text: text.replace('"max_tokens": 8192', '"max_tokens": 1e3'), "max_tokens: a whole number"),
        (lambda text: text.replace('"id": "talk"', '"id": "other"'), "line 2: what says this belongs into sessions/other"),
        (lambda text: text.replace('"name": "A talk"', '"name": "A", "name": "B"'), "stands twice"),
        (lambda text: text.replace('"name": "A talk"', '"name": "\\ud800"'), "lone surrogate"),
        (lambda text: text.replace('"created_at": "', '"created_at": "x'), "created_at: "),
        (lambda text: "[]", "an object is wanted"),
        (lambda text: text.replace('"saved"', '"user_id": "nobody", "saved"'), "refused"),
    ],
)  # fmt: skip
def test_a_broken_file_keeps_the_last_good_rows_and_says_what_is_wrong(
    change: Callable[[str], str],
    problem: str,
    store: wilk.Store,
    base: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = store.sessions.get("talk")
    good = (base / SESSION).read_text()
    (base / SESSION).write_text(change(good))
    with caplog.at_level(logging.ERROR, "wilk.files"):
        report = store.sync()
    assert [failure.path for failure in report.failures] == [SESSION]
    assert problem in report.failures[0].problems[0]
    assert problem in caplog.text
    assert store.sessions.get("talk") == before


def test_the_line_of_a_wrong_row_is_told(store: wilk.Store, base: Path) -> None:
    text = (base / MESSAGES).read_text()
    (base / MESSAGES).write_text(text.replace('"sequence": 2', '"sequence": "two"'))
    wanted = text[: text.index('"sequence": 2')].count("\n") + 1
    assert f"line {wanted}: sequence: a whole number is wanted" in store.sync().failures[0].problems[0]


def test_a_broken_file_heals_on_the_next_good_save(store: wilk.Store, base: Path) -> None:
    good = (base / SESSION).read_text()
    (base / SESSION).write_text(good[:-20])
    assert len(store.sync().failures) == 1
    (base / SESSION).write_text(good.replace("A talk", "Healed"))
    assert store.sync().failures == ()
    assert store.sessions.get("talk").name == "Healed"


def test_a_broken_file_is_kept_beside_before_it_is_written_over(store: wilk.Store, base: Path) -> None:
    broken = (base / SESSION).read_text()[:-20]
    (base / SESSION).write_text(broken)
    store.sync()
    store.sessions.update("talk", name="Written")
    assert json.loads((base / SESSION).read_text())["name"] == "Written"
    assert [file.read_text() for file in (base / SESSION).parent.glob("*.edited")] == [broken]


def test_a_broken_file_outlives_the_loss_of_the_index(store: wilk.Store, base: Path) -> None:
    broken = (base / PAPER).read_text()[:-20]
    (base / PAPER).write_text(broken)
    store.close()
    forget_index(base)
    with opened(base) as again:
        assert again.documents.find("paper") is None
        assert (base / PAPER).read_text() == broken
        (base / PAPER).write_text('{"text": "healed"}')
        again.sync()
        assert again.documents.get("paper").data == {"text": "healed"}


def test_what_refers_to_a_broken_file_waits_for_it(store: wilk.Store, base: Path) -> None:
    good = (base / SESSION).read_text()
    (base / SESSION).write_text(good[:-20])
    store.close()
    forget_index(base)
    with opened(base) as again:
        assert again.sessions.find("talk") is None
        (base / SESSION).write_text(good)
        again.sync()
        assert texts(again) == ["message 0", "message 1", "message 2"]


def test_a_broken_file_outlives_a_migration(store: wilk.Store, base: Path) -> None:
    broken = (base / PAPER).read_text()[:-20]
    (base / PAPER).write_text(broken)
    (base / SESSION).write_text("{")
    store.sync()
    store.close()
    (base / "schema.json").unlink()  # so that all is looked through, as after a migration
    with opened(base) as again:
        again._followed._writer.everything = True  # type: ignore[union-attr]
        again.messages.append("talk", "user", "next")
    assert (base / PAPER).read_text() == broken
    assert list((base / PAPER).parent.glob("*.edited")) == []


def test_what_a_person_left_out_is_made_up_when_the_index_is_built_again(
    store: wilk.Store, base: Path
) -> None:
    new = {
        "id": "mine",
        "session_id": "talk",
        "sequence": 4,
        "role": "user",
        "text": "mine",
        "tokens": 7,
        "importance": 0.5,
    }
    store.close()
    edit(base / MESSAGES, lambda messages: [*messages, new])
    forget_index(base)
    with opened(base) as again:
        assert texts(again)[-1] == "mine"
        before = rows(again)
    forget_index(base)
    with opened(base) as again:
        assert rows(again) == before


def test_an_index_that_is_removed_under_an_open_store_is_noticed(store: wilk.Store, base: Path) -> None:
    forget_index(base)
    before = (base / SESSION).read_bytes()
    with pytest.raises(wilk.BackendError, match="open it again"):
        store.sessions.update("talk", name="lost")
    with pytest.raises(wilk.BackendError, match="open it again"):
        store.sync()
    assert (base / SESSION).read_bytes() == before


# -- edits beside the store's own writes --------------------------------------------------


def test_an_edit_in_a_file_that_a_transaction_writes_is_taken_over_with_it(
    store: wilk.Store, base: Path
) -> None:
    edit(base / MESSAGES, lambda messages: messages[1].update(text="by hand"))
    store.messages.append("talk", "user", "by the store")
    assert texts(store) == ["message 0", "by hand", "message 2", "by the store"]
    assert [row["text"] for row in json.loads((base / MESSAGES).read_text())] == texts(store)


def test_a_row_that_both_have_changed_is_the_stores_and_the_persons_is_kept(
    store: wilk.Store, base: Path
) -> None:
    edit(base / SESSION, lambda row: row.update(name="by hand"))
    store.sessions.update("talk", name="by the store")
    assert store.sessions.get("talk").name == "by the store"
    kept = [json.loads(file.read_text()) for file in (base / SESSION).parent.glob("*.edited")]
    assert [row["name"] for row in kept] == ["by hand"]


def test_a_row_of_many_that_both_have_changed_is_the_stores_and_the_persons_is_kept(
    store: wilk.Store, base: Path
) -> None:
    mine = {"id": "mine", "sequence": 4, "text": "by hand"}
    edit(base / MESSAGES, lambda messages: messages.append({**messages[-1], **mine, "pk": 1000}))
    store.messages.append("talk", "user", "by the store")
    assert texts(store)[3:] == ["by the store"]
    (kept,) = (base / MESSAGES).parent.glob("*.edited")
    assert json.loads(kept.read_text())[3]["text"] == "by hand"


def test_an_edit_saved_while_the_index_commits_is_kept_beside(
    store: wilk.Store, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = store._engine.database
    commit = database.commit

    def slow() -> None:
        edit(base / SESSION, lambda row: row.update(name="by hand"))
        commit()

    with monkeypatch.context() as patch:
        patch.setattr(database, "commit", slow)
        store.sessions.update("talk", name="by the store")
    (kept,) = (base / SESSION).parent.glob("*.edited")
    assert json.loads(kept.read_text())["name"] == "by hand"
    assert json.loads((base / SESSION).read_text())["name"] == "by the store"


def test_a_file_removed_just_before_it_is_written_is_there_again(store: wilk.Store, base: Path) -> None:
    (base / MESSAGES).unlink()
    store.messages.append("talk", "user", "next")
    assert len(json.loads((base / MESSAGES).read_text())) == 4
    assert store.sync().changes == ()


# -- earlier versions ---------------------------------------------------------------------


def test_earlier_versions_of_a_document_are_kept_up_to_a_number(base: Path) -> None:
    with opened(base, "?backups=3") as store:
        for number in range(6):
            store.documents.save("paper", {"n": number})
    kept = sorted((base / "backups/conversations/paper").iterdir())
    assert [json.loads(file.read_text())["n"] for file in kept] == [2, 3, 4]


def test_no_versions_are_kept_where_none_are_wanted(base: Path) -> None:
    with opened(base, "?backups=0") as store:
        store.documents.save("paper", {"n": 1})
        store.documents.save("paper", {"n": 2})
    assert not (base / "backups").exists()


def test_a_removed_document_leaves_its_last_version(store: wilk.Store, base: Path) -> None:
    store.documents.remove("paper")
    kept = list((base / "backups/conversations/paper").iterdir())
    assert [json.loads(file.read_text())["text"] for file in kept] == ["wolves"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("files:///", "names no folder"),
        ("files:////tmp/x?prety=1", "unknown option prety"),
        ("files:////tmp/x?pretty=maybe", "pretty is 1 or 0"),
        ("files:////tmp/x?backups=-1", "backups is a whole number from 0"),
    ],
)
def test_a_url_that_says_nothing_sensible_is_refused(url: str, problem: str) -> None:
    with pytest.raises(wilk.SettingsError, match=problem):
        wilk.open_store(url)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(wilk.SettingsError, match="is a file"):
        opened(tmp_path / "file")


# -- watching -----------------------------------------------------------------------------


def _until(true: Callable[[], Any]) -> None:
    import time

    limit = time.monotonic() + 20
    while not true():
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.02)


@pytest.mark.parametrize("polling", ["auto", "always"])
def test_a_watched_tree_follows_edits(
    polling: str, base: Path, store: wilk.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    monkeypatch.delenv("WILK_HOME")
    monkeypatch.setenv("WILK_WATCH_POLLING", polling)
    monkeypatch.setenv("WILK_WATCH_POLLING_INTERVAL", "0.05")
    reports: list[Any] = []
    with opened(base) as again:
        watcher = again.watch(reports.append)
        assert watcher.mode in (("polling",) if polling == "always" else ("native", "polling"))
        edit(base / SESSION, lambda row: row.update(name="Watched"))
        _until(lambda: again.sessions.get("talk").name == "Watched")
        shutil.rmtree(base / "conversations" / "paper")
        _until(lambda: again.documents.find("paper") is None)
        new = base / "conversations" / "new"
        new.mkdir()
        (new / "current.json").write_text('{"text": "new"}')
        _until(lambda: again.documents.find("new"))
        watcher.stop()
        assert watcher.mode == "stopped"
    assert {change.action for report in reports for change in report.changes} == {
        "updated",
        "archived",
        "created",
    }


def test_watching_definition_files_watches_the_tree_as_well(
    store: wilk.Store, base: Path, home: Path
) -> None:
    home.mkdir()
    with store.watch():
        edit(base / SESSION, lambda row: row.update(name="Watched"))
        _until(lambda: store.sessions.get("talk").name == "Watched")
    edit(base / SESSION, lambda row: row.update(name="Later"))
    assert store.sessions.get("talk").name == "Watched"


def test_a_watched_tree_takes_no_own_write_for_an_edit(store: wilk.Store) -> None:
    reports: list[Any] = []
    watcher = store.watch(reports.append)
    for number in range(10):
        store.messages.append("talk", "user", str(number))
    watcher.stop()
    assert reports == []
    assert (
        list(Path(store._engine.execute("PRAGMA database_list")[0][2]).parent.parent.rglob("*.edited")) == []
    )
