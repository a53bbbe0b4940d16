"""Killed at every commit and every write to a file, nothing is lost and nothing is doubled."""

from __future__ import annotations

import gzip
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.engines import ask
from tests.places import Places

import wilk
from wilk import codec
from wilk.services.keeping.archiver import COMPACTED

from .indexed import check_full_text

SCRIPT = Path(__file__).with_name("crashing.py")
WORKS = ("compact", "uncompact", "remove", "restore", "retention")
Rows = dict[tuple[str, str], dict[str, Any]]

# A session's own counts and times follow what happens to its messages.
_FOLLOWING = {"token_count", "message_count", "updated_at"}
_KINDS = {"session": "sessions", "message": "messages", "tool_call": "tool_calls", "pin": "pins",
          "summary": "summaries", "manifest": "manifests"}  # fmt: skip


@pytest.fixture(scope="module", params=["table", "jsonl"])
def template(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, places: Places
) -> dict[str, Path]:
    """A home folder per work, as it is just before the work is done."""
    folder = tmp_path_factory.mktemp(f"crashes-{request.param}")
    home = folder / "home"
    places.make(home, f"archive: {request.param}\ncompaction: manual\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.delenv("WILK_URL", raising=False)
        patch.setenv("WILK_DISABLED_PLUGINS", "wilk-audit,wilk-tokens,wilk-keywords,wilk-openai")
        past = [0]
        month_ago = wilk.Clock(lambda: wilk.Clock().now() - past[0])
        with wilk.open_store(home=home, clock=month_ago) as store:
            past[0] = timedelta(days=30) // timedelta(microseconds=1)
            _talk(store, store.sessions.create(id="old").id)
            past[0] = 0
            _talk(store, store.sessions.create(id="talk", saved=True).id)
            store.sessions.create(id="other", saved=True)
        homes = {"compact": home, "remove": home, "retention": home}
        for work, done in (("uncompact", "compact"), ("restore", "remove")):
            homes[work] = folder / work
            places.copy(home, homes[work])
            _run(homes[work], done, 0)
    return homes


def _talk(store: wilk.Store, session: str) -> None:
    """A session with everything that a session can have."""
    store.messages.append(session, "system", "You are a wolf.")
    for number in range(20):
        asked = store.messages.append(session, "user", f"What is number {number}? I want to know it all.")
        store.pins.add(session, f"pin {number}", source=asked.id) if number % 7 == 0 else None
        call = store.tool_calls.start(session, "count", {"n": number}, message=asked.id)
        store.tool_calls.finish(call.id, result=number)
        store.messages.append(
            session, "assistant", f"The solution is {number}, because I counted to {number}."
        )
    store.contexts.build(session, manifest=True)


def _run(home: Path, work: str, boundary: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(home), work, str(boundary)],
        capture_output=True,
        text=True,
        check=False,
    )


def live(home: Path) -> Rows:
    """The rows that lie in their tables, by kind and id."""
    found: Rows = {}
    with wilk.open_store(home=home, readonly=True) as store:
        for kind, table in _KINDS.items():
            with store.reading():
                columns = [column.name for column in store._engine.database.get_columns(table)]
            for values in ask(store, f"SELECT {', '.join(columns)} FROM {table}"):
                row = dict(zip(columns, values, strict=True))
                found[kind, row["id"]] = _comparable(kind, row)
    return found


@contextmanager
def opened(home: Path) -> Iterator[wilk.Store]:
    with wilk.open_store(home=home) as store:
        yield store


def archived(home: Path) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    """The rows that lie in the archive and are not back in their tables."""
    with opened(home) as store:
        entries = store.archive.list(limit=100_000)
        return [
            ((entry.kind, entry.record_id), _comparable(entry.kind, dict(entry.data)))
            for entry in entries
            if entry.restored_at is None
        ]


def _comparable(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    left_out = _FOLLOWING if kind == "session" else {"pk"}
    return {name: value for name, value in row.items() if name not in left_out}


def check_sound(home: Path) -> None:
    """What a doctor would look at: the file, its references, the counts, the ranges of summaries."""
    with opened(home) as store:
        if store.settings.url.startswith("sqlite:"):
            assert ask(store, "PRAGMA integrity_check") == [("ok",)]
            assert ask(store, "PRAGMA foreign_key_check") == []
        for session, count, tokens in ask(store, "SELECT id, message_count, token_count FROM sessions"):
            ((rows, held),) = ask(
                store,
                "SELECT count(*), coalesce(sum(tokens), 0) FROM messages WHERE session_id = ?",
                (session,),
            )
            ((compacted,),) = ask(
                store,
                "SELECT count(*) FROM archive WHERE session_id = ? AND kind = 'message' AND reason = ? "
                "AND restored_at IS NULL",
                (session, COMPACTED),
            )
            assert (count, tokens) == (rows + compacted, held), session
            ranges = ask(
                store,
                "SELECT first_sequence, last_sequence FROM summaries WHERE session_id = ? ORDER BY 1",
                (session,),
            )
            assert all(one[1] + 1 == other[0] for one, other in pairwise(ranges))
        check_full_text(store)
        for session in store.sessions.list():
            sequences = [message.sequence for message in store.messages.page(session.id, limit=1000)]
            assert sequences == list(range(1, session.last_sequence + 1))


def check_nothing_lost_or_doubled(home: Path, before: Rows) -> None:
    lines = [
        line
        for file in sorted((home / "archive").glob("*.gz"))
        for line in gzip.decompress(file.read_bytes()).splitlines()
    ]
    assert len(set(lines)) == len(lines), "a row lies in the files of the archive twice"
    there = live(home)
    gone = archived(home)
    assert len({key for key, _ in gone}) == len(gone), "a row lies in the archive twice"
    assert not there.keys() & {key for key, _ in gone}, "a row lies in its table and in the archive"
    kept = there | dict(gone)
    assert before.keys() <= kept.keys(), "rows are lost"
    for key, row in before.items():
        if key[0] != "summary":
            assert codec.canonical(kept[key]) == codec.canonical(row), key


@pytest.mark.slow
@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("work", WORKS)
def test_killed_at_every_boundary(
    work: str, template: dict[str, Path], tmp_path: Path, places: Places
) -> None:
    start = template[work]
    before = live(start) | dict(archived(start))
    whole = tmp_path / "whole"
    places.copy(start, whole)
    done = _run(whole, work, 0)
    assert done.returncode == 0, done.stderr
    boundaries = int(done.stdout)
    assert boundaries >= 2
    expected = live(whole).keys()
    killed = 0
    for boundary in count(1):
        home = tmp_path / f"at {boundary}"
        places.copy(start, home)
        run = _run(home, work, boundary)
        if run.returncode == 0:
            break  # it came by fewer; how many differs by what the store's own thread does at once
        assert run.returncode == -signal.SIGKILL, f"boundary {boundary}: {run.stderr}"
        killed += 1
        check_sound(home)
        check_nothing_lost_or_doubled(home, before)
        again = _run(home, work, 0)
        assert again.returncode == 0, f"after boundary {boundary}: {again.stderr}"
        check_sound(home)
        check_nothing_lost_or_doubled(home, before)
        assert {key for key in live(home) if key[0] != "summary"} == {
            key for key in expected if key[0] != "summary"
        }
        shutil.rmtree(home)
    assert killed >= boundaries / 2
