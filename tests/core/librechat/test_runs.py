"""Runs of the import of LibreChat: again, interrupted, dry, and with what has changed since."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.core.librechat import documents, large
from tests.core.librechat.conftest import rows
from tests.core.librechat.documents import agent, at, conversation, everything, message, user

import wilk
from wilk.records.transfer import MigrationResult, Progress

pytestmark = pytest.mark.sqlite
Take = Callable[..., MigrationResult]


def test_a_second_run_changes_nothing(take: Take, store: wilk.Store) -> None:
    take(everything())
    before = rows(store, times=True)
    result = take(everything())
    assert rows(store, times=True) == before
    assert all(one.created == one.updated == one.failed == 0 for one in result.kinds)


def changed(collection: str, **more: Any) -> dict[str, list[dict[str, Any]]]:
    source = everything()
    source[collection][0] = {**source[collection][0], **more}
    return source


@pytest.mark.parametrize(
    ("name", "table", "more"),
    [
        ("users", "users", {"name": "Anna Berg"}),
        ("presets", "presets", {"temperature": 0.3}),
        ("files", "documents", {"usage": 2}),
        ("memoryentries", "memories", {"value": "She likes long answers."}),
        ("conversations", "sessions", {"title": "Another name"}),
        ("messages", "messages", {"text": "What is 2+2?"}),
    ],
)
def test_a_document_that_has_changed_changes_its_row_alone(
    take: Take, store: wilk.Store, name: str, table: str, more: dict[str, Any]
) -> None:
    take(everything())
    before = rows(store)
    take(changed(name, **more))
    after = rows(store)
    both = {kind: [row for row in after[kind] if row not in before[kind]] for kind in before}
    assert len(both.pop(table)) == 1
    both.pop("archive")
    both.pop("revisions")
    assert sum(map(len, both.values())) <= (1 if name == "messages" else 0)


def test_a_message_that_has_changed_is_in_the_archive_as_it_was(take: Take, store: wilk.Store) -> None:
    take(everything())
    take(changed("messages", text="What is 2+2?"))
    assert store.messages.get("u-1").text == "What is 2+2?"
    (entry,) = store.archive.list(kind="message")
    assert entry.reason == "changed in its source"


def test_an_agent_that_has_changed_has_one_revision_more(take: Take, store: wilk.Store) -> None:
    take({"agents": [agent()]})
    before = len(store.agents.history("agent_reviewer"))
    take({"agents": [agent(instructions="You review prose.")]})
    assert len(store.agents.history("agent_reviewer")) == before + 1
    assert store.agents.get("agent_reviewer").definition["prompts"]["system"] == "You review prose."


def test_messages_that_are_new_in_the_source_are_added(take: Take, store: wilk.Store) -> None:
    take({"conversations": [conversation()], "messages": [message("u1")]})
    take({"conversations": [conversation()], "messages": [message("u1"), message("a1", "u1", minute=11)]})
    assert [one.id for one in store.messages.last("c-1")] == ["u1", "a1"]


def test_what_was_written_here_since_stays(take: Take, store: wilk.Store) -> None:
    take({"messages": [message("u1")]})
    store.messages.append("c-1", "user", "written here")
    take({"messages": [message("u1"), message("a1", "u1", minute=11)]})
    assert [one.text for one in store.messages.last("c-1")][-1] == "written here"
    assert [one.leaf_id for one in store.branches.list("c-1")] == ["a1"]


def test_collections_may_come_one_after_the_other(take: Take, store: wilk.Store) -> None:
    take({"conversations": [conversation(isArchived=True)]})
    take({"messages": [message("u1"), message("a1", "u1", minute=11)]})
    session = store.sessions.get("c-1")
    assert (session.name, session.status, session.message_count) == ("A first talk", "archived", 2)


def test_a_conversation_may_come_after_its_messages(take: Take, store: wilk.Store) -> None:
    take({"messages": [message("u1"), message("a1", "u1", minute=11)]})
    take({"conversations": [conversation()]})
    session = store.sessions.get("c-1")
    assert (session.name, session.message_count) == ("A first talk", 2)


def test_a_dry_run_tells_what_would_be_and_writes_nothing(take: Take, store: wilk.Store, home: Path) -> None:
    before = rows(store)
    result = take(everything(), dry_run=True)
    assert {one.kind: one.created for one in result.kinds}["agents"] == 2
    assert rows(store) == before
    assert not (home / "agents").exists() or not list((home / "agents").iterdir())


def test_progress_reaches_the_end(store: wilk.Store, tmp_path: Path) -> None:
    seen: list[Progress] = []
    store.imports.run("librechat", documents.write(tmp_path / "dump", everything()), progress=seen.append)
    read = [one for one in seen if one.step == "reading"]
    assert read[-1].done == read[-1].of > 0
    assert seen[-1].step == "writing"


def test_all_of_it_may_belong_to_one_user_here(store: wilk.Store, tmp_path: Path) -> None:
    store.users.save("me", name="Me")
    folder = documents.write(tmp_path / "dump", everything())
    store.imports.run("librechat", folder, user="me")
    assert {one.user_id for one in store.sessions.list()} == {"me"}
    assert [one.id for one in store.users.list()] == ["me"]


def test_a_store_without_a_folder_takes_everything_too(tmp_path: Path) -> None:
    folder = documents.write(tmp_path / "dump", everything())
    with wilk.open_store(f"sqlite:///{tmp_path}/bare.db") as store:
        assert store.imports.run("librechat", folder).failed == 0
        assert store.agents.get("agent_reviewer").name == "Reviewer"


RUN = """
    import sys
    import wilk
    with wilk.open_store(home=sys.argv[1]) as store:
        def tell(progress):
            if progress.kind == sys.argv[3]:
                print("there", flush=True)
        result = store.imports.run("librechat", sys.argv[2], progress=tell)
        print("done", result.failed, flush=True)
"""


def start(home: Path, source: Path, kind: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(RUN), str(home), str(source), kind]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "after"), [("agents", 0.0), ("sessions", 0.2)])
def test_a_run_that_is_killed_goes_on_and_ends_as_one_that_was_not(
    tmp_path: Path, kind: str, after: float
) -> None:
    versions = [{"name": "n", "provider": "p", "model": "m", "instructions": str(n), "updatedAt": at(n)}
                for n in range(10)]  # fmt: skip
    agents = [agent(f"agent_{n}", _id=documents.oid(n), name=f"N{n}", versions=versions) for n in range(12)]
    source = large.write(tmp_path / "source", 3000)
    documents.write(source, {"users": [user()], "agents": agents})
    with start(tmp_path / "home", source, kind) as process:
        assert process.stdout is not None
        assert "there" in process.stdout.readline()
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
    for name in ("home", "whole"):
        with start(tmp_path / name, source, "-") as again:
            out, _ = again.communicate(timeout=120)
        assert out.splitlines()[-1] == "done 0"
    with wilk.open_store(home=tmp_path / "home") as killed, wilk.open_store(home=tmp_path / "whole") as whole:
        assert killed.sync().changes == ()
        assert rows(killed) == rows(whole)


MEASURE = """
    import resource, sys
    import wilk
    with wilk.open_store(home=sys.argv[1]) as store:
        store.imports.run("librechat", sys.argv[2] + "/small")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = store.imports.run("librechat", sys.argv[2] + "/large")
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        count = {one.kind: one.created for one in result.kinds}["messages"]
        print(count, (after - before) // 1024)
"""


@pytest.mark.slow
def test_sixty_thousand_messages_take_no_more_memory_than_two_thousand(tmp_path: Path) -> None:
    large.write(tmp_path / "small", 2_000)
    large.write(tmp_path / "large", 60_000)
    command = [sys.executable, "-c", textwrap.dedent(MEASURE), str(tmp_path / "home"), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, megabytes = map(int, out.split())
    assert count == 58_000
    assert megabytes < 60
