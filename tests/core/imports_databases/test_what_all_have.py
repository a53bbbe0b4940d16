"""What is so for every database that is read: it stays as it is, and a second run writes only what changed."""

from __future__ import annotations

import json
import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest
from tests.core.imports_databases import databases
from tests.core.imports_databases.databases import MADE

import wilk
from wilk import Invalid

NAMES = list(MADE)
IN_SQLITE = [name for name in NAMES if name != "typingcloud"]


def made(name: str, folder: Path) -> Path:
    file, make = MADE[name]
    return make(folder / file)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_recognized_as_what_it_is_and_as_nothing_else(
    name: str, store: wilk.Store, tmp_path: Path
) -> None:
    found = store.imports.recognize(made(name, tmp_path))
    assert [one.importer for one in found] == [name]


@pytest.mark.parametrize("name", IN_SQLITE)
def test_another_s_database_is_refused_with_the_tables_seen(
    name: str, store: wilk.Store, tmp_path: Path
) -> None:
    for other in IN_SQLITE:
        if other == name:
            continue
        path = made(other, tmp_path)
        with sqlite3.connect(path) as connection:
            ((table,),) = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' LIMIT 1"
            )
        connection.close()
        with pytest.raises(Invalid, match=table):
            store.imports.run(name, path)
        path.unlink()


@pytest.mark.parametrize("name", NAMES)
def test_the_source_keeps_every_byte(name: str, store: wilk.Store, tmp_path: Path) -> None:
    path = made(name, tmp_path)
    before = sha256(path.read_bytes()).digest()
    assert store.imports.run(name, path).created
    assert sha256(path.read_bytes()).digest() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_second_run_writes_nothing(name: str, store: wilk.Store, tmp_path: Path) -> None:
    path = made(name, tmp_path)
    first = store.imports.run(name, path)
    again = store.imports.run(name, path)
    assert (again.created, again.updated) == (0, 0)
    assert again.failed == first.failed
    assert again.lost_fields == first.lost_fields


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_counts_the_same_and_writes_nothing(name: str, store: wilk.Store, tmp_path: Path) -> None:
    path = made(name, tmp_path)
    dry = store.imports.run(name, path, dry_run=True)
    assert list(store.sessions.list()) == []
    assert list(store.documents.list()) == []
    real = store.imports.run(name, path)
    kinds = {"messages", "tool_calls"}
    told = {(one.kind, one.read) for one in dry.kinds if one.kind not in kinds}
    assert told == {(one.kind, one.read) for one in real.kinds if one.kind not in kinds}


@pytest.mark.parametrize("name", IN_SQLITE)
def test_what_a_live_program_has_only_in_its_wal_is_read(
    name: str, store: wilk.Store, tmp_path: Path
) -> None:
    path = made(name, tmp_path)
    writer = sqlite3.connect(path)
    try:
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("CREATE TABLE only_in_the_wal (a)")
        writer.execute("INSERT INTO only_in_the_wal VALUES (1)")
        writer.commit()
        before = sha256(path.read_bytes()).digest()
        result = store.imports.run(name, path)
        assert result.lost_fields["table only_in_the_wal"] == 1
        assert sha256(path.read_bytes()).digest() == before
        writer.execute("INSERT INTO only_in_the_wal VALUES (2)")  # it goes on writing
        writer.commit()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("llm", "UPDATE threads SET name = 'Renamed' WHERE id = 't1'"),
        ("openai-agents", "UPDATE agent_sessions SET updated_at = '2026-01-01'"),
        ("connectome", 'UPDATE memories SET memory_data = \'{"content": "new"}\''),
        ("kalito", "UPDATE sessions SET recap = 'Another' WHERE id = 'garden'"),
        ("chatai", "UPDATE memories SET content = 'Ann sails.' WHERE id = 1"),
        ("bicamrl", "UPDATE patterns SET frequency = 5"),
        ("wilk", "UPDATE sessions SET name = 'Renamed'"),
    ],
)
def test_a_changed_row_updates_that_one_and_no_other(
    name: str, statement: str, store: wilk.Store, tmp_path: Path
) -> None:
    path = made(name, tmp_path)
    store.imports.run(name, path)
    databases.change(path, statement)
    again = store.imports.run(name, path)
    assert (again.created, again.updated) == (0, 1)


def test_rows_that_come_later_are_added(store: wilk.Store, tmp_path: Path) -> None:
    path = made("kalito", tmp_path)
    store.imports.run("kalito", path)
    databases.change(
        path, "INSERT INTO messages (session_id, role, text) VALUES ('boat', 'user', 'Land ahoy')"
    )
    again = store.imports.run("kalito", path)
    assert [message.text for message in store.messages.last("boat", 5)][-1] == "Land ahoy"
    assert [(one.kind, one.created) for one in again.kinds if one.created] == [("messages", 1)]


def test_a_zone_that_is_not_known_is_named(store: wilk.Store, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"Mars/Olympus.*Europe/Vienna"):
        store.imports.run("kalito", made("kalito", tmp_path), options={"timezone": "Mars/Olympus"})


def test_times_without_a_zone_are_told_of_and_taken_as_the_option_says(
    store: wilk.Store, tmp_path: Path
) -> None:
    path = made("kalito", tmp_path)
    result = store.imports.run("kalito", path, options={"timezone": "Europe/Warsaw"})
    assert any("Europe/Warsaw" in warning for warning in result.warnings)
    garden = store.sessions.get("garden")
    assert garden.created_at.isoformat() == "2025-03-01T09:00:00+00:00"
    assert garden.updated_at.isoformat() == "2025-03-01T11:00:00+00:00"  # which has a zone
    assert garden.metadata["kalito"]["timezone"] == "Europe/Warsaw"


def test_text_that_is_no_utf8_does_not_stop_the_others(store: wilk.Store, tmp_path: Path) -> None:
    path = made("kalito", tmp_path)
    databases.change(path, "UPDATE messages SET text = CAST(x'ff41' AS TEXT) WHERE id = 2")
    result = store.imports.run("kalito", path)
    texts = [message.text for message in store.messages.last("garden", 20)]
    assert len(texts) == 12
    assert texts[1].endswith("A")
    assert result.status == "finished"


def test_odd_json_keeps_all_that_it_says(store: wilk.Store, tmp_path: Path) -> None:
    path = made("connectome", tmp_path)
    odd = '{"a": NaN, "b": 9223372036854775808, "c": "\\ud800 \\u0000", "d": 1, "d": 2}'
    databases.change(path, "UPDATE conversations SET data = ? WHERE conversation_id = 'stars'", odd)
    databases.change(path, "UPDATE raw_messages SET message_data = ? WHERE id = 1", odd)
    store.imports.run("connectome", path)
    data = store.documents.get("stars").data
    assert data["a"] != data["a"]
    assert (data["b"], data["c"], data["d"]) == (2**63, "\ud800 \0", 2)
    assert store.raw_messages.list("stars")[0].data["b"] == 2**63


def test_a_damaged_database_is_an_error_that_names_it(store: wilk.Store, tmp_path: Path) -> None:
    path = made("kalito", tmp_path)
    raw = bytearray(path.read_bytes())
    raw[4096 : 4096 * 3] = b"\xff" * 4096 * 2
    path.write_bytes(raw)
    with pytest.raises(Invalid, match=r"kalito\.db"):
        store.imports.run("kalito", path)


def test_a_damaged_page_takes_only_the_sessions_on_it(store: wilk.Store, tmp_path: Path) -> None:
    path = databases.database(tmp_path / "kalito.db", databases.KALITO, {
        "sessions": [(f"s{n}", None, None, None, None, None, None, 1) for n in range(20)],
        "messages": [(None, f"s{n // 10}", "user", f"Line {n} " + "x" * 900, None, None, None, None)
                     for n in range(200)],
    })  # fmt: skip
    databases.change(path, "CREATE INDEX by_session ON messages (session_id, created_at)")
    raw = bytearray(path.read_bytes())
    at = raw.index(b"Line 105 ") // 4096 * 4096
    raw[at : at + 64] = b"\xff" * 64
    path.write_bytes(raw)
    result = store.imports.run("kalito", path)
    assert {one.id for one in result.errors} == {"s10"}
    assert len(list(store.sessions.list())) == 19


def test_json_that_is_too_deep_is_reported_and_the_others_come(store: wilk.Store, tmp_path: Path) -> None:
    path = made("connectome", tmp_path)
    databases.change(path, "UPDATE raw_messages SET message_data = ? WHERE id = 1", "[" * 190 + "]" * 190)
    databases.change(path, "UPDATE raw_messages SET message_data = ? WHERE id = 2", "[" * 5000 + "]" * 5000)
    result = store.imports.run("connectome", path)
    assert result.status == "finished"
    assert {one.kind for one in result.errors} >= {"raw_messages"}
    assert store.documents.get("stars").data == databases.CONVERSATION


def test_what_belongs_to_a_user_here_is_that_user_s(store: wilk.Store, tmp_path: Path) -> None:
    store.users.save("me", name="Me")
    store.imports.run("chatai", made("chatai", tmp_path), user="me")
    store.imports.run("bicamrl", made("bicamrl", tmp_path), user="me")
    assert {one.user_id for one in store.memories.list()} == {"me"}
    assert {one.user_id for one in store.interactions.list()} == {"me"}
    assert [user.id for user in store.users.list()] == ["me"]


def test_all_of_them_come_into_one_store(store: wilk.Store, tmp_path: Path) -> None:
    for name in NAMES:
        store.imports.run(name, made(name, tmp_path))
    assert {run.importer for run in store.imports.list()} == set(NAMES)
    again = [store.imports.run(name, tmp_path / MADE[name][0]) for name in NAMES]
    assert [(one.created, one.updated) for one in again] == [(0, 0)] * len(NAMES)


@pytest.mark.parametrize(
    ("name", "statement", "kept"),
    [
        ("openai-agents", "UPDATE agent_sessions SET created_at = '2024-01-01 00:00:00'", "sessions"),
        ("chatai", "UPDATE memories SET timestamp = timestamp + 1", "memories"),
        ("bicamrl", "UPDATE patterns SET created_at = '2024-01-01'", "patterns"),
    ],
)
def test_rows_of_two_databases_that_have_one_number_do_not_take_each_other_s_place(
    name: str, statement: str, kept: str, store: wilk.Store, tmp_path: Path
) -> None:
    first = made(name, tmp_path)
    store.imports.run(name, first)
    before = len(list(getattr(store, kept).list()))
    databases.change(first, statement)
    again = store.imports.run(name, first)
    assert again.updated == 0
    assert len(list(getattr(store, kept).list())) > before


def test_a_report_can_be_kept_as_json(store: wilk.Store, tmp_path: Path) -> None:
    for name in NAMES:
        store.imports.run(name, made(name, tmp_path))
    for run in store.imports.list():
        assert run.result is not None
        assert json.dumps(run.result)
