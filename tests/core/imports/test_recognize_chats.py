"""Importers of chats know their own sources, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.core.imports.chat_exports import every_source, lines, places, put, written

import wilk
from wilk.errors import Invalid

NAMES = ("chatgpt", "claude", "claude-code", "open-webui", "chatbotui", "letta")


@pytest.mark.parametrize("name", NAMES)
def test_a_source_is_known_by_its_own_importer_alone(store: wilk.Store, tmp_path: Path, name: str) -> None:
    for form, path in every_source(tmp_path / "sources")[name]:
        known = [one.importer for one in store.imports.recognize(path)]
        assert known == [name], form


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", "[1, 2]", "no JSON", '{"mapping": 1}', '[{"title": "x", "mapping": "none"}]',
        '{"agents": {}, "blocks": []}', '{"history": [], "version": 4, "conversationId": "x"}',
        '[{"chat_messages"', "\x00\x01\x02", '{"docs": [], "name": "x"}', '{"start_url": "/", "files": ["a.zip"]}',
        '{"conversationId": "c", "endpoint": "openAI", "messagesTree": [{"messageId": "m", "children": []}]}',
        '{"conversationId": "c", "title": "New Chat", "messages": []}\n{"conversationId": "d"}',
        '[{"id": "agent_1", "tools": [], "agent_ids": [], "versions": []}]',
        '{"data": {"chats": [{"chatID": "x", "messages": []}]}}', '{"sessionId": "s", "type": "event"}',
    ],
)  # fmt: skip
def test_what_is_nobodys_is_not_claimed(store: wilk.Store, tmp_path: Path, content: str) -> None:
    path = tmp_path / "thing.json"
    path.write_text(content)
    claimed = {one.importer for one in store.imports.recognize(path)} & set(NAMES)
    assert claimed <= ({"claude"} if content == '[{"chat_messages"' else set())


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_source_is_told_with_what_is_wanted(store: wilk.Store, tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "recipe.json", {"flour": 500})
    with pytest.raises(Invalid, match=r"recipe\.json.*Wanted: "):
        store.imports.run(name, path)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_is_told_as_such(store: wilk.Store, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid, match="an empty folder"):
        store.imports.run(name, tmp_path / "empty")


@pytest.mark.parametrize("name", NAMES)
def test_an_address_is_not_taken_for_a_file(store: wilk.Store, name: str) -> None:
    with pytest.raises(Invalid, match=r"example\.org"):
        store.imports.run(name, "https://example.org/export.zip")


@pytest.mark.parametrize("name", NAMES)
def test_auto_finds_the_importer(store: wilk.Store, tmp_path: Path, name: str) -> None:
    for form, path in every_source(tmp_path / "sources")[name]:
        if form != "a manifest":
            assert store.imports.run("auto", path, dry_run=True).importer == name


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_counts_and_writes_nothing(store: wilk.Store, tmp_path: Path, name: str) -> None:
    path = every_source(tmp_path / "sources")[name][0][1]
    told = store.imports.run(name, path, dry_run=True)
    assert told.created > 0
    assert (list(store.sessions.list()), list(store.imports.list())) == ([], [])


@pytest.mark.parametrize("name", NAMES)
def test_a_second_run_changes_nothing(store: wilk.Store, tmp_path: Path, name: str) -> None:
    for form, path in every_source(tmp_path / "sources")[name]:
        if form == "a manifest":
            continue
        first = store.imports.run(name, path)
        again = store.imports.run(name, path)
        assert (first.failed, first.errors) == (0, ()), form
        assert (again.created, again.updated, again.failed) == (0, 0, 0), form


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_odd_values_everywhere_break_nothing(store: wilk.Store, tmp_path: Path, name: str) -> None:
    """Each value of a source is in turn another one; what cannot be read is told."""
    import json

    from tests.core.imports.chat_exports import code_session

    source = every_source(tmp_path / "sources")[name][0][1]
    value = code_session() if name == "claude-code" else json.loads(source.read_text())
    odd = [None, 7, "t\0e\ud800xt", [], {}, [None, "x", {"type": 3}], {"a": {"b": [1]}}, True, -1.5e300]
    path = tmp_path / source.name
    kept = 0
    for number, place in enumerate(places(value)):
        changed = json.loads(json.dumps(value))
        put(changed, place, odd[number % len(odd)])
        (lines if name == "claude-code" else written)(path, changed)
        if not store.imports.recognize(path):
            continue
        store.imports.run(name, path, dry_run=number % 7 != 0)
        kept += 1
    assert kept > 20
