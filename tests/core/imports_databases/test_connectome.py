"""Connectome: its folder and its database give the same, less what storage added."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.core.imports_databases import databases
from tests.core.imports_databases.databases import CONVERSATION, MEMORY

import wilk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A storage folder as the file backend leaves it."""
    folder = tmp_path / "storage_data"
    added = {"_storage_metadata": {"stored_at": "now", "version": 1}}
    contents = {
        "conversations/stars/current.json": {**CONVERSATION, **added},
        "conversations/stars/raw_messages.json": [
            {"role": "user", "content": "Look up"}, {"role": "assistant", "content": "I do"}
        ],
        "conversations/stars/chunks.json": {"chunks": [], **added},
        "conversations/stars/memories.json": [MEMORY],
        "conversations/alone/raw_messages.json": {"messages": ["still here"], **added},
        "agents/watcher/reasoning_chains.json": [{"agent_response": "yes"}],
        "cache/k.json": {"value": 1},
        "system/timeline_state_x.json": {"now": 3, **added},
        "conversations/stars/current_20250501.backup.json": {"old": True},
        "conversations/stars/current.json.backup": {"old": True},
    }  # fmt: skip
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    (folder / "conversations" / "broken").mkdir()
    (folder / "conversations" / "broken" / "current.json").write_text("{")
    return folder


def check(store: wilk.Store) -> None:
    document = store.documents.get("stars")
    assert document.data == CONVERSATION
    assert list(document.data) == ["zeta", "chatTitle", "alpha"]
    assert (document.kind, document.title) == ("conversation", "Stars")
    assert [one.data["content"] for one in store.raw_messages.list("stars")] == ["Look up", "I do"]
    (memory,) = store.memories.list(conversation="stars")
    assert (memory.memory_id, memory.sources, memory.iteration) == ("mem_1", ["k1"], 2)
    assert (memory.content, memory.data) == ("Keep the stars", MEMORY)
    assert [one.data for one in store.reasoning.recent("watcher")] == [{"agent_response": "yes"}]
    assert store.state.get("timeline_state_x").data == {"now": 3}
    info = store.chunks.info("stars")
    assert (info.data if hasattr(info, "data") else info) == {"chunks": []}


def test_a_folder_comes_over(store: wilk.Store, folder: Path) -> None:
    result = store.imports.run("auto", folder)
    check(store)
    assert [one.data for one in store.raw_messages.list("alone")] == ["still here"]
    assert result.lost_fields == {"_storage_metadata": 4}


def test_backups_and_caches_are_left_and_counted(store: wilk.Store, folder: Path) -> None:
    result = store.imports.run("connectome", folder)
    assert result.skipped == {
        "an earlier version of a file, kept as a backup": 2,
        "caches are computed again": 1,
    }


def test_a_broken_file_is_reported_by_its_name(store: wilk.Store, folder: Path) -> None:
    result = store.imports.run("connectome", folder)
    assert [(one.id, one.path) for one in result.errors] == [("broken", "conversations/broken/current.json")]


def test_a_database_comes_over(store: wilk.Store, tmp_path: Path) -> None:
    result = store.imports.run("auto", databases.connectome(tmp_path / "connectome.db"))
    check(store)
    assert [one.data for one in store.raw_messages.list("broken")] == ["still here"]
    assert {(one.kind, one.id) for one in result.errors} == {
        ("documents", "broken"),
        ("reasoning_chains", "watcher"),
    }


def test_times_of_rows_stay(store: wilk.Store, tmp_path: Path) -> None:
    store.imports.run("connectome", databases.connectome(tmp_path / "connectome.db"))
    assert store.documents.get("stars").created_at.isoformat() == "2025-05-01T10:00:00+00:00"


def test_a_conversation_that_changed_keeps_what_belongs_to_it(store: wilk.Store, folder: Path) -> None:
    store.imports.run("connectome", folder)
    (folder / "conversations/stars/current.json").write_text('{"chatTitle": "Moons"}')
    again = store.imports.run("connectome", folder)
    assert (again.created, again.updated) == (0, 1)
    assert store.documents.get("stars").title == "Moons"
    assert len(store.raw_messages.list("stars")) == 2
    assert len(store.memories.list(conversation="stars")) == 1


def test_what_is_here_already_is_not_written_over(store: wilk.Store, folder: Path) -> None:
    store.documents.save("stars", {"mine": True})
    store.imports.run("connectome", folder)
    assert store.documents.get("stars").data == {"mine": True}
    (other,) = [id for id in store.documents.ids(kind="conversation") if id != "stars"]
    assert store.documents.get(other).data == CONVERSATION
    assert len(store.raw_messages.list(other)) == 2


def test_ids_that_leave_the_folder_are_only_names(store: wilk.Store, tmp_path: Path) -> None:
    path = databases.connectome(tmp_path / "connectome.db")
    databases.change(
        path, "UPDATE conversations SET conversation_id = '../../etc/x' WHERE conversation_id = 'stars'"
    )
    store.imports.run("connectome", path)
    assert store.documents.get("../../etc/x").data == CONVERSATION
