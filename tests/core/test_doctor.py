"""The doctor: each kind of damage is planted past wilk, found, mended, and the mending undone to the same rows."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.care.doctor.patient import Patient
from wilk.transfer.moves.hashing import Tally

pytestmark = pytest.mark.sqlite

# What repairs write about themselves, and what is made anew of other rows.
BESIDE = {"repairs", "archive", "passages", "pending_vectors", "vector_tags", "indexed_kinds"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[wilk.Store]:
    with wilk.open_store(home=home) as store:
        store.users.save("ada", name="Ada")
        store.sessions.create(id="talk", user="ada", metadata={"a": 1})
        for n in range(5):
            store.messages.append("talk", "user", f"wolf {n}", id=f"m{n}", metadata={"n": n})
        store.pins.add("talk", "wolves", source="m1")
        call = store.tool_calls.start("talk", "search", {"q": 1}, message="m2")
        store.tool_calls.finish(call.id, result=[1])
        store.memories.add("Ada likes wolves", user="ada")
        assert store.search("wolves")  # passages are made
        store.vectors.add("own", "x", [1.0, 0.0], model="m")
        yield store


def damage(home: Path, *statements: str | tuple[str, Any]) -> None:
    """Write past wilk, as another program could."""
    with closing(sqlite3.connect(home / "wilk.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = off")
        for statement in statements:
            sql, values = statement if isinstance(statement, tuple) else (statement, ())
            connection.execute(sql, values)


def hashes(store: wilk.Store) -> dict[str, str]:
    """The hash of every table, whatever its values are."""
    patient = Patient(store)
    found = {}
    for table in patient.tables:
        if table.name not in BESIDE:
            tally = Tally()
            tally.add(tuple(row.values()) for row in patient.rows(table))
            found[table.name] = f"{tally.rows} {tally.state}"
    return found


DAMAGES: dict[str, tuple[str, list[str | tuple[str, Any]]]] = {
    "a message of a session that is gone": (
        "references",
        ["INSERT INTO messages (id, session_id, sequence, role, text, tokens, importance, created_at) "
         "VALUES ('orphan', 'nowhere', 1, 'user', 'x', 1, 0.5, 1)"],
    ),
    "a session of a user who is gone": ("references", ["DELETE FROM users"]),
    "a pin of a message that is nowhere": ("references", ["UPDATE pins SET source_message_id = 'nowhere'"]),
    "a branch that follows nothing": (
        "references",
        ["INSERT INTO branch_messages (id, session_id, parent_id, role, text, tokens, importance, created_at) "
         "VALUES ('b', 'talk', 'nowhere', 'user', 'x', 1, 0.5, 1)"],
    ),
    "a count that is wrong": ("counts", ["UPDATE sessions SET message_count = 77, token_count = -1"]),
    "a sequence that would come again": ("counts", ["UPDATE sessions SET last_sequence = 2"]),
    "a collection that does not count right": ("counts", ["UPDATE vector_spaces SET count = 9, last_number = 0"]),
    "JSON that is none": ("poisoned", ["UPDATE messages SET metadata = '{\"a\": ' WHERE id = 'm1'"]),
    "JSON of another kind": ("poisoned", ["UPDATE sessions SET metadata = '[1]'"]),
    "text where a number belongs": ("poisoned", ["UPDATE messages SET tokens = 'many' WHERE id = 'm3'"]),
    "bytes where text belongs": ("poisoned", ["UPDATE messages SET text = x'ff00fe' WHERE id = 'm3'"]),
    "text that is no UTF-8": ("poisoned", ["UPDATE messages SET text = CAST(x'41ff42' AS TEXT) WHERE id = 'm3'"]),
    "a time that is none": ("poisoned", ["UPDATE messages SET created_at = 9223372036854775807 WHERE id = 'm3'"]),
    "a call that never ended": (
        "tools", ["UPDATE tool_calls SET status = 'running', finished_at = NULL, started_at = 1"]
    ),
    "a vector of another size": ("embeddings", ["UPDATE vectors SET data = x'00000000'"]),
    "a vector of a record that is gone": (
        "embeddings",
        ["INSERT INTO vectors (space_id, number, kind, record_id, part, data, created_at) "
         "VALUES (1, 5, 'memory', 'nowhere', 0, x'0000803f00000000', 1)",
         "UPDATE vector_spaces SET count = 2, last_number = 5"],
    ),
    "a passage that says something else": ("search", ["UPDATE passages SET text = 'sheep' WHERE kind = 'memory'"]),
    "a passage of a record that is gone": (
        "search",
        ["INSERT INTO passages (kind, record_id, part, text) VALUES ('memory', 'nowhere', 0, 'sheep')"],
    ),
    "an index that is missing": ("schema", ["DROP INDEX messages_session_id_sequence"]),
    "an import that never ended": (
        "unfinished",
        ["INSERT INTO imports (id, importer, source, status, started_at) VALUES ('i', 'x', 'y', 'running', 1)"],
    ),
}  # fmt: skip


def test_a_store_that_is_well_has_nothing_to_find(store: wilk.Store) -> None:
    found = store.doctor.examine()
    assert (found.findings, found.well, len(found.checks)) == ([], True, 15)


@pytest.mark.parametrize("case", DAMAGES)
def test_damage_is_found_mended_and_the_mending_undone(case: str, store: wilk.Store, home: Path) -> None:
    check, statements = DAMAGES[case]
    store.settle()
    damage(home, *statements)
    before = hashes(store)
    findings = store.doctor.examine().findings
    mendable = [one.check for one in findings if one.remedy]
    assert mendable[:1] == [check], findings  # others may follow from it

    done = store.doctor.repair()
    assert [one.check for one in done.mended] == mendable
    assert store.doctor.examine().findings == list(done.left)
    if done.batch is not None:
        assert store.doctor.undo(done.batch) >= 1
        assert hashes(store) == before
        assert store.doctor.repairs()[0].undone_at is not None
        with pytest.raises(wilk.Conflict, match="undone already"):
            store.doctor.undo(done.batch)


def test_a_repair_that_was_worked_upon_since_is_not_undone(store: wilk.Store, home: Path) -> None:
    damage(home, "UPDATE sessions SET message_count = 77")
    batch = store.doctor.repair().batch
    assert batch is not None
    store.messages.append("talk", "user", "more")
    before = hashes(store)
    with pytest.raises(wilk.Conflict, match="changed since"):
        store.doctor.undo(batch)
    assert hashes(store) == before


def test_what_was_unreadable_is_kept_beside_its_repair(store: wilk.Store, home: Path) -> None:
    damage(home, "UPDATE messages SET metadata = '{broken' WHERE id = 'm1'")
    store.doctor.repair(["poisoned"])
    assert store.messages.get("m1").metadata == {"unreadable": "{broken"}
    assert [message.id for message in store.messages.last("talk")] == [f"m{n}" for n in range(5)]


def test_an_orphan_goes_into_the_archive(store: wilk.Store, home: Path) -> None:
    damage(home, *DAMAGES["a message of a session that is gone"][1])
    store.doctor.repair(["references"])
    (entry,) = store.archive.list(kind="message")
    assert (entry.record_id, entry.reason) == ("orphan", "doctor: its session was not there")


def test_broken_pairs_of_tool_calls_are_told(store: wilk.Store) -> None:
    call = [{"type": "tool_call", "id": "c1", "name": "search", "arguments": {}}]
    store.messages.append("talk", "assistant", parts=call)
    store.messages.append("talk", "user", "never mind")
    (finding,) = store.doctor.examine().findings
    assert (finding.check, finding.remedy, finding.records) == ("tools", None, ["talk"])
    assert "1 tool calls without a result, 0 results without a call" in finding.what


def test_the_turn_to_answer_may_be_open(store: wilk.Store) -> None:
    call = [{"type": "tool_call", "id": "c1", "name": "search", "arguments": {}}]
    store.messages.append("talk", "assistant", parts=call)
    assert store.doctor.examine().well


def test_a_lost_content_is_told(store: wilk.Store, home: Path) -> None:
    call = store.tool_calls.start("talk", "read")
    store.tool_calls.finish(call.id, result="line\n" * 10_000)
    damage(home, "DELETE FROM blobs")
    (finding,) = store.doctor.examine(["contents"]).findings
    assert (finding.severity, finding.remedy, finding.records) == ("error", None, [call.id])


def test_unreadable_definitions_are_told(store: wilk.Store, home: Path) -> None:
    folder = home / "agents" / "bad"
    folder.mkdir(parents=True)
    (folder / "agent.yaml").write_text("name: [")
    (finding,) = store.doctor.examine().findings
    assert (finding.check, finding.records) == ("definitions", ["agents/bad/agent.yaml"])


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
def test_what_others_can_read_is_closed_and_opened_again(store: wilk.Store, home: Path) -> None:
    (home / "wilk.db").chmod(0o644)
    home.chmod(0o777)
    done = store.doctor.repair()
    assert [one.check for one in done.mended] == ["permissions"]
    assert (home.stat().st_mode & 0o777, (home / "wilk.db").stat().st_mode & 0o777) == (0o755, 0o600)
    assert done.batch is not None
    store.doctor.undo(done.batch)
    assert (home.stat().st_mode & 0o777, (home / "wilk.db").stat().st_mode & 0o777) == (0o777, 0o644)


def test_only_the_checks_asked_for_are_made(store: wilk.Store, home: Path) -> None:
    damage(home, "UPDATE sessions SET message_count = 77", "UPDATE pins SET source_message_id = 'nowhere'")
    assert [one.check for one in store.doctor.examine(["counts"]).findings] == ["counts"]
    store.doctor.repair(["counts"])
    assert [one.check for one in store.doctor.examine().findings] == ["references"]


def test_a_check_that_there_is_not_is_told(store: wilk.Store) -> None:
    with pytest.raises(wilk.Invalid, match="no check 'nose'; there are integrity"):
        store.doctor.examine(["nose"])
    with pytest.raises(wilk.Invalid, match="a list of names"):
        store.doctor.examine("nose")


def test_a_reader_may_examine_and_not_repair(store: wilk.Store, home: Path) -> None:
    store.close()
    with wilk.open_store(home=home, readonly=True) as reader:
        assert reader.doctor.examine().well
        with pytest.raises(wilk.ReadOnly):
            reader.doctor.repair()


def test_a_repair_is_no_part_of_a_transaction(store: wilk.Store) -> None:
    with pytest.raises(wilk.Conflict), store.transaction():
        store.doctor.repair()


def test_an_unknown_repair_is_told(store: wilk.Store) -> None:
    with pytest.raises(wilk.NotFound, match="no repair 'x'"):
        store.doctor.undo("x")


def test_an_index_of_words_that_knows_less_is_made_anew(store: wilk.Store, home: Path) -> None:
    damage(home, "INSERT INTO messages_fts(messages_fts) VALUES ('delete-all')")
    assert store.messages.search("wolf") == []
    done = store.doctor.repair()
    assert [one.check for one in done.mended] == ["full_text"]
    assert len(store.messages.search("wolf")) == 5
    assert store.doctor.examine().well


def test_a_damaged_file_is_told(store: wilk.Store, home: Path) -> None:
    for n in range(200):
        store.messages.append("talk", "user", f"wolf {n} " * 50)
    store.close()
    data = bytearray((home / "wilk.db").read_bytes())
    data[60 * 4096 : 64 * 4096] = b"\xa5" * (4 * 4096)
    (home / "wilk.db").write_bytes(data)
    with wilk.open_store(home=home) as damaged:
        (finding, *_) = damaged.doctor.examine(["integrity"]).findings
        with pytest.raises(wilk.Conflict, match="nothing is mended: the file is damaged"):
            damaged.doctor.repair()
    assert (finding.check, finding.severity, finding.remedy) == ("integrity", "error", None)
    assert "wilk recover" in finding.what


def test_a_bad_backup_is_told(store: wilk.Store) -> None:
    made = store.backups.create(name="b")
    Path(made.folder, "wilk.db").write_bytes(b"no database")
    (finding,) = store.doctor.examine().findings
    assert (finding.check, finding.records) == ("backups", [made.id])


@pytest.mark.slow
def test_a_long_log_is_emptied(store: wilk.Store, home: Path) -> None:
    with closing(sqlite3.connect(home / "wilk.db", isolation_level=None)) as other:
        other.execute("PRAGMA wal_autocheckpoint = 0")
        for _ in range(70):
            other.execute("UPDATE sessions SET recap = hex(randomblob(500000))")
        other.execute("UPDATE sessions SET recap = NULL")
    assert [one.check for one in store.doctor.examine().findings] == ["log"]
    store.doctor.repair()
    assert (home / "wilk.db-wal").stat().st_size == 0
    assert store.doctor.examine().well


def test_what_goes_with_an_orphan_comes_back_when_that_is_undone(store: wilk.Store, home: Path) -> None:
    damage(
        home,
        "INSERT INTO messages (id, session_id, sequence, role, text, tokens, importance, created_at) "
        "VALUES ('orphan', 'nowhere', 1, 'user', 'x', 1, 0.5, 1)",
        "INSERT INTO vectors (space_id, number, kind, record_id, part, data, created_at) "
        "VALUES (1, 5, 'message', 'orphan', 0, x'0000803f00000000', 1)",
        "UPDATE vector_spaces SET count = 2, last_number = 5",
    )
    before = hashes(store)
    batch = store.doctor.repair(["references"]).batch
    assert hashes(store)["vectors"] != before["vectors"]
    assert store.doctor.undo(str(batch)) >= 2
    assert hashes(store) == before


def test_a_table_that_was_made_is_not_taken_away_with_rows(store: wilk.Store, home: Path) -> None:
    damage(home, "DROP TABLE feedback")
    batch = str(store.doctor.repair(["schema"]).batch)
    store.feedback.add("correct", "Very good")
    with pytest.raises(wilk.Conflict, match="feedback holds rows by now"):
        store.doctor.undo(batch)
    assert len(store.feedback.list()) == 1


def test_a_file_that_is_gone_does_not_keep_a_repair_from_being_undone(store: wilk.Store, home: Path) -> None:
    loose = home / "old.db"
    loose.touch()
    loose.chmod(0o644)
    batch = str(store.doctor.repair(["permissions"]).batch)
    loose.unlink()
    assert store.doctor.undo(batch) == 1


def test_who_writes_meanwhile_is_not_taken_for_damage(
    store: wilk.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import Thread

    rows = Patient.rows

    def and_another_writes(self: Patient, table: Any) -> Iterator[dict[str, Any]]:
        if table.name == "sessions":
            writer = Thread(target=store.messages.append, args=("talk", "user", "one more"))
            writer.start()
            writer.join()
        yield from rows(self, table)

    monkeypatch.setattr(Patient, "rows", and_another_writes)
    assert store.doctor.examine(["counts"]).well
    assert store.messages.count("talk") == 6


def test_an_undoing_that_is_refused_opens_no_file(store: wilk.Store, home: Path) -> None:
    damage(home, "UPDATE sessions SET message_count = 77")
    loose = home / "old.db"
    loose.touch()
    loose.chmod(0o644)
    batch = str(store.doctor.repair(["counts", "permissions"]).batch)
    store.messages.append("talk", "user", "one more")
    with pytest.raises(wilk.Conflict, match="changed since"):
        store.doctor.undo(batch)
    assert loose.stat().st_mode & 0o777 == 0o600


def test_pairs_of_tool_calls_are_told_however_many_pages_of_messages_there_are(
    store: wilk.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wilk.care.doctor.checks import tools

    monkeypatch.setattr(tools, "_PAGE", 2)
    for session in ("a", "b", "c"):
        store.sessions.create(id=session)
        for n in range(3):
            call = {"type": "tool_call", "id": f"{session}{n}", "name": "x", "arguments": {}}
            store.messages.append(session, "assistant", parts=[call])
            if (session, n) != ("b", 1):
                result = {"type": "tool_result", "tool_call_id": f"{session}{n}", "content": "y"}
                store.messages.append(session, "tool", parts=[result])
    (finding,) = store.doctor.examine(["tools"]).findings
    assert (finding.records, "1 tool calls without a result" in finding.what) == (["b"], True)
