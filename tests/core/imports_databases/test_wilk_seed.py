"""The folder ~/.wilk of the Wilk seed: its database, and the definitions beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.imports_databases import databases
from tests.core.imports_databases.databases import Kept

import wilk

AGENT = "name: reviewer\nversion: 1.2.0\nmodel:\n  provider: openai\n  name: gpt-4\nprompts:\n  system: Read code.\n"


def seed(folder: Path) -> Path:
    """A folder as the seed lays it out."""
    folder = folder / "dot-wilk"
    contents = {
        "agents/reviewer/agent.yaml": AGENT,
        "agents/reviewer/tools/run.js": "canary",
        "agents/torn/agent.yaml": "name: [torn\n",
        "prompts/review.yaml": "system: You review.\nuser_template: 'Code: {code}'\n",
        "cache/responses/1.json": "{}",
        "sessions/current.json": "{}",
    }
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    databases.wilk_seed(folder / "wilk.db")
    return folder


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, _new_database: Path) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("seed")
    with databases.kept("auto", folder, _new_database, seed(folder)) as found:
        yield found


def test_agents_of_files_and_of_the_database_alone_come(kept: Kept) -> None:
    assert {agent.id for agent in kept.store.agents.list()} == {"reviewer", "lone"}
    reviewer = kept.store.agents.get("reviewer")
    assert (reviewer.version, reviewer.provider) == ("1.2.0", "openai")  # the file's, not the row's


def test_prompts_come(kept: Kept) -> None:
    assert kept.store.prompts.get("review").user_template == "Code: {code}"


def test_a_definition_that_cannot_be_read_is_reported_by_its_place(kept: Kept) -> None:
    (error,) = kept.result.errors
    assert (error.kind, error.id, error.path) == ("agents", "torn", "agents/torn/agent.yaml")
    assert ":1:" in error.error or ":2:" in error.error


def test_a_session_has_its_agents_folder_and_budget(kept: Kept) -> None:
    session = kept.store.sessions.get("w1")
    assert (session.active_agents, session.working_directory) == (["reviewer"], "/home/x")
    assert (session.max_tokens, session.model) == (8192, "gpt-4")


def test_messages_of_one_second_stay_in_their_order(kept: Kept) -> None:
    messages = kept.store.messages.last("w1", 9)
    assert [(one.text, one.agent_id) for one in messages] == [("First", None), ("Second", "reviewer")]
    assert (messages[0].metadata["mood"], messages[1].tokens) == ("calm", 12)
    assert messages[1].metadata["unreadable"] == "{broken"


def test_messages_whose_session_is_gone_come_too(kept: Kept) -> None:
    assert [one.text for one in kept.store.messages.last("gone", 9)] == ["Nobody's"]


def test_other_files_are_counted(kept: Kept) -> None:
    assert kept.result.skipped == {
        "files beside definitions are not taken over; copy those you want": 2,
        "caches are computed again": 1,
        "it is fetched or derived again": 1,
    }


@pytest.mark.sqlite
def test_a_store_of_wilk_s_own_is_not_taken_for_it(store: wilk.Store, tmp_path: Path) -> None:
    with wilk.open_store(home=tmp_path / "other") as other:
        other.sessions.create(id="s")
    assert store.imports.recognize(tmp_path / "other" / "wilk.db") == []
