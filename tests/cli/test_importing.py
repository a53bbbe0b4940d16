"""``wilk import``, ``wilk export`` and ``wilk branches``: what they print, and what they end with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as library

from .conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    """A ChatGPT export of one conversation with a branch."""
    mapping = {"root": {"id": "root", "message": None, "parent": None, "children": ["q"]}}
    for id, parent, role, text, children in (
        ("q", "root", "user", "Is there a wolf?", ["a", "b"]),
        ("a", "q", "assistant", "There is one.", []),
        ("b", "q", "assistant", "There are two.", []),
    ):
        message = {
            "id": id, "author": {"role": role}, "create_time": 1_700_000_000.5,
            "content": {"content_type": "text", "parts": [text]}, "metadata": {},
        }  # fmt: skip
        mapping[id] = {"id": id, "message": message, "parent": parent, "children": children}
    conversation = {
        "title": "Wolves", "create_time": 1_700_000_000.0, "update_time": 1_700_000_001.0,
        "conversation_id": "c1", "id": "c1", "current_node": "b", "mapping": mapping,
    }  # fmt: skip
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([conversation, {"title": "broken"}]))
    return file


def test_a_table_of_what_became_of_it(wilk: Run, chat: Path) -> None:
    found = wilk("import", "chatgpt", str(chat))
    assert found.code == 1  # one conversation is broken
    lines = found.out.splitlines()
    assert lines[0].split() == ["KIND", "READ", "NEW", "CHANGED", "UNCHANGED", "LEFT", "OUT", "FAILED"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:] if line[:1].isalpha()}
    assert rows["messages"] == ["3", "3", "0", "0", "0", "0"]
    assert rows["sessions"] == ["2", "1", "0", "0", "0", "1"]
    assert "wilk: error: 1 records could not be taken over:" in found.err


def test_again_and_dry(wilk: Run, chat: Path) -> None:
    dry = wilk("import", "chatgpt", str(chat), "--dry-run")
    assert "Nothing was written (--dry-run)" in dry.out
    wilk("import", "auto", str(chat))
    again = wilk("import", "auto", str(chat), "--json").json
    assert (again["success"], again["failed"], again["updated"], again["dry_run"]) == (1, 1, 0, False)


def test_the_branch_of_it(wilk: Run, good: Run, chat: Path) -> None:
    wilk("import", "chatgpt", str(chat))
    assert good("branches", "list", "-s", "Wolves").out.splitlines()[1].split()[2:-1] == [
        "1", "assistant", "There", "is", "one.",
    ]  # fmt: skip
    leaf = good("branches", "list", "-s", "Wolves", "--json").json[0]["leaf_id"]
    assert "There is one." in good("branches", "show", leaf, "-s", "Wolves").out
    assert "shows that branch now: 2 messages" in good("branches", "switch", leaf, "-s", "Wolves").out
    assert "There is one." in good("messages", "list", "-s", "Wolves").out
    other = good("branches", "list", "-s", "Wolves", "--json").json[0]["leaf_id"]
    assert "has the 2 messages of that branch" in good("branches", "fork", other, "-s", "Wolves").out


def test_a_conversation_without_branches(good: Run) -> None:
    good("sessions", "new", "talk", "--use")
    assert good("branches", "list").out == "no branches: this conversation went one way\n"


def test_the_importers_there_are(good: Run) -> None:
    shown = good("import").out
    assert "librechat" in shown
    assert "wilk import auto SOURCE finds out which of them it is" in shown
    assert {"chatgpt", "claude", "llm"} <= {one["name"] for one in good("import", "--json").json}


def test_the_imports_so_far(wilk: Run, good: Run, chat: Path) -> None:
    assert good("import", "--runs").out == "nothing was imported so far\n"
    wilk("import", "chatgpt", str(chat))
    assert good("import", "--runs").out.splitlines()[1].split()[:2] == ["chatgpt", "finished"]
    assert good("import", "--runs", "--json").json[0]["result"]["failed"] == 1


def test_nothing_to_import_from(wilk: Run) -> None:
    found = wilk("import", "chatgpt")
    assert (found.code, found.err) == (2, "wilk: error: name what to import: wilk import chatgpt FILE\n")


def test_an_option_that_there_is_not(wilk: Run, chat: Path) -> None:
    found = wilk("import", "chatgpt", str(chat), "-o", "colour=red")
    assert found.code == 1
    assert "chatgpt has no option 'colour'" in found.err


def test_an_export_is_written_once(wilk: Run, good: Run, chat: Path, tmp_path: Path) -> None:
    wilk("import", "chatgpt", str(chat))
    target = tmp_path / "all.jsonl"
    assert f"Written to {target}" in good("export", "json", str(target)).out
    refused = wilk("export", "json", str(target))
    assert refused.code == 1
    assert "is there already; name another file, or let it be replaced (--replace)" in refused.err
    assert good("export", "json", str(target), "--replace", "--json").json["target"] == str(target)


def test_an_export_of_one_session(wilk: Run, good: Run, chat: Path, tmp_path: Path) -> None:
    wilk("import", "chatgpt", str(chat))
    with library.open_store() as store:
        id = store.sessions.list()[0].id
    good("export", "markdown", str(tmp_path / "one.md"), "--session", id)
    assert "There are two." in (tmp_path / "one.md").read_text()


def test_an_export_of_what_is_not_there(wilk: Run, tmp_path: Path) -> None:
    found = wilk("export", "json", str(tmp_path / "x.jsonl"), "--session", "nowhere")
    assert (found.code, "no session 'nowhere'" in found.err) == (1, True)
    assert not (tmp_path / "x.jsonl").exists()
    assert wilk("export", "json").code == 2


def test_a_file_in_place_of_what_it_is_from_is_told(wilk: Run, chat: Path) -> None:
    found = wilk("import", str(chat))
    assert found.code == 2
    assert f"wilk import auto {chat}" in found.err


def test_an_export_goes_into_a_file_and_nowhere_else(wilk: Run, tmp_path: Path) -> None:
    found = wilk("export", "json", "-")
    assert (found.code, "into a file or folder" in found.err) == (2, True)
    os.mkfifo(tmp_path / "pipe")
    for replacing in ((), ("--replace",)):
        found = wilk("export", "json", str(tmp_path / "pipe"), *replacing)
        assert (found.code, "neither a file nor a folder" in found.err or not replacing) == (1, True)
    assert (tmp_path / "pipe").is_fifo()


def test_options_may_stand_between_what_is_named(wilk: Run, good: Run, chat: Path, tmp_path: Path) -> None:
    found = wilk("import", "chatgpt", "--dry-run", str(chat), "-q")
    assert "unknown" not in found.err
    good("sessions", "new", "talk", "--use")
    good("messages", "add", "user", "--importance", "0.9", "Is there a wolf?")
    assert "Is there a wolf?" in good("messages", "list").out
    good("export", "json", "-q", str(tmp_path / "all.jsonl"))
    assert (tmp_path / "all.jsonl").is_file()
    assert "unknown arguments: more" in wilk("export", "json", "-q", str(tmp_path / "x"), "more").err
