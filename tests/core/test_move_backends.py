"""Rows moved between SQLite, PostgreSQL and files: every value comes back as it was."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from tests.conftest import BESIDE
from tests.servers.postgres import PostgresServer

import wilk
from wilk.records.transfer import Difference

from .moving import fill, rows, talk

pytestmark = pytest.mark.sqlite  # the addresses are those of all backends, whichever runs the other tests
SCRIPT = Path(__file__).with_name("moving_killed.py")


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WILK_HOME")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with rows of every table, which the tests only read."""
    file = tmp_path_factory.mktemp("filled") / "filled.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WILK_DISABLED_PLUGINS", ",".join(BESIDE))
        with wilk.open_store(f"sqlite:///{file}") as store:
            fill(store)
    return f"sqlite:///{file}"


@pytest.fixture
def server(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a new database on a server."""
    with postgres.database() as url:
        yield url


class TestEveryValue:
    def test_survives_the_way_over_all_backends(self, filled: str, server: str, tmp_path: Path) -> None:
        way = [filled, server, f"files:///{tmp_path}/files", f"sqlite:///{tmp_path}/back.db"]
        hashes = []
        for source, target in pairwise(way):
            with wilk.open_store(source) as store:
                moved = store.move(target)
                assert rows(store)["messages"]
            assert moved.copied == moved.rows
            hashes.append([one.hash for one in moved.kinds])
        with wilk.open_store(filled) as first, wilk.open_store(way[-1]) as last:
            assert rows(last) == rows(first)
            assert [row[0] for row in last._engine.execute("SELECT data FROM vectors ORDER BY pk")] == [
                row[0] for row in first._engine.execute("SELECT data FROM vectors ORDER BY pk")
            ]
        assert hashes[1:] == hashes[:-1]

    def test_can_be_compared_between_engines(self, filled: str, server: str) -> None:
        with wilk.open_store(filled) as store:
            store.move(server)
            assert store.compare(server).equal
            with wilk.open_store(server) as other:
                other.users.save("ada", name="Somebody else")
            assert store.compare(server).differences == (Difference("users", ("ada",), "different"),)


class TestOnFiles:
    def test_the_files_alone_hold_what_was_moved(self, filled: str, tmp_path: Path) -> None:
        derived = {
            "cache_entries",
            "indexed_kinds",
            "passages",
            "pending_vectors",
            "registry_packages",
            "vector_tags",
        }
        with wilk.open_store(filled) as store:
            store.move(f"files:///{tmp_path}/files")
            shutil.rmtree(tmp_path / "files" / ".index")
            with wilk.open_store(f"files:///{tmp_path}/files") as new:
                there = rows(new)
                assert {name: there[name] for name in there.keys() - derived} == {
                    name: found for name, found in rows(store).items() if name not in derived
                }


class TestOnPostgres:
    def test_new_rows_get_numbers_behind_those_moved(self, filled: str, server: str) -> None:
        with wilk.open_store(filled) as store:
            store.move(server)
        with wilk.open_store(server) as new:
            last = max(row[0] for row in new._engine.execute("SELECT pk FROM messages"))
            new.messages.append("talk", "user", "more", id="new")
            new.memories.add("Ada has a wolf")
            new.vectors.add("other", "x", [1.0], model="m")
            new.sessions.remove("hostile")
            assert new._engine.execute("SELECT pk FROM messages WHERE id = 'new'") == [(last + 1,)]

    def test_moved_rows_are_found_by_their_words(self, filled: str, server: str) -> None:
        with wilk.open_store(filled) as store:
            store.move(server)
            expected = sorted(hit.message.id for hit in store.messages.search("WOLF"))
        with wilk.open_store(server) as new:
            assert sorted(hit.message.id for hit in new.messages.search("wolf")) == expected != []

    def test_a_schema_is_a_database_of_its_own(self, filled: str, server: str, tmp_path: Path) -> None:
        with wilk.open_store(filled) as store:
            store.move(server)
        with wilk.open_store(server) as first:
            with pytest.raises(wilk.Conflict, match="is the very database"):
                first.move(server.replace("127.0.0.1", "localhost"))
            assert first.move(f"{server}?schema=second").equal

    def test_what_it_cannot_hold_is_named_with_its_column(self, server: str, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/old.db"
        with wilk.open_store(url) as store:
            talk(store, 5)
            talk(store, 5, "odd")
            with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
                connection.execute("UPDATE sessions SET name = 'a' || char(0) || 'b' WHERE id = 'odd'")
                connection.execute("UPDATE messages SET tokens = 'many' WHERE pk = 3")
            with pytest.raises(wilk.MoveFailed) as caught:
                store.move(server)
            told = str(caught.value)
            assert "sessions \"odd\": name: 'a\\x00b': text with NUL" in told
            assert "messages 3: tokens: 'many' is str, not int" in told
            with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
                connection.execute("UPDATE sessions SET name = 'ab' WHERE id = 'odd'")
                connection.execute("UPDATE messages SET tokens = 1 WHERE pk = 3")
            assert store.move(server).copied == 7
        with wilk.open_store(url) as store, wilk.open_store(server) as new:
            assert rows(new) == rows(store)

    def test_a_database_that_is_not_there_is_named(self, filled: str, server: str) -> None:
        with wilk.open_store(filled) as store, pytest.raises(wilk.BackendError, match="nowhere"):
            store.move(server.rpartition("/")[0] + "/nowhere")


def moving(source: str, target: str, boundary: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), source, target, str(boundary)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class TestKilled:
    @pytest.fixture(params=["sqlite", "postgresql", "files"])
    def target(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        if request.param == "postgresql":
            return str(request.getfixturevalue("server"))
        return f"{request.param}:///{tmp_path}/new"

    @pytest.fixture
    def source(self, tmp_path: Path) -> str:
        url = f"sqlite:///{tmp_path}/old.db"
        with wilk.open_store(url) as store:
            store.users.save("u", name="U")
            talk(store, 300)
            store.pins.add("talk", "pinned")
        return url

    @pytest.mark.slow
    def test_again_and_again_it_goes_on(self, source: str, server: str) -> None:
        """Each run goes on where the one before was killed, and comes some boundaries further than that."""
        for boundary in range(1, 60, 2):
            process = moving(source, server, boundary)
            _, errors = process.communicate()
            assert process.returncode in (0, -signal.SIGKILL), errors
            if process.returncode == 0:
                break
        assert boundary > 5
        self._check(source, server)

    @pytest.mark.slow
    def test_at_any_moment_it_goes_on(self, source: str, target: str) -> None:
        pace = random.Random(7)
        for _ in range(4):
            process = moving(source, target)
            time.sleep(pace.uniform(0.3, 0.9))
            process.kill()
            _, errors = process.communicate()
            assert process.returncode in (0, -signal.SIGKILL), errors
        self._check(source, target)

    def _check(self, source: str, target: str) -> None:
        with wilk.open_store(source) as store:
            assert store.move(target).equal
            with wilk.open_store(target) as new:
                assert rows(new) == rows(store)


@pytest.mark.slow
def test_every_boundary_of_a_move_is_survived(tmp_path: Path) -> None:
    source = f"sqlite:///{tmp_path}/old.db"
    with wilk.open_store(source) as store:
        store.users.save("u", name="U")
        talk(store, 60)
    process = moving(source, f"sqlite:///{tmp_path}/whole.db")
    passed = int(process.communicate()[0])
    assert passed > 8
    killed = [f"sqlite:///{tmp_path}/killed-{boundary}.db" for boundary in range(1, passed + 1)]
    for start in range(0, passed, 4):
        processes = [moving(source, killed[n], n + 1) for n in range(start, min(start + 4, passed))]
        for process in processes:
            process.communicate()
            assert process.returncode == -signal.SIGKILL
    with wilk.open_store(source, readonly=True) as store:
        expected = rows(store)
        for target in killed:
            assert store.move(target).equal
            with wilk.open_store(target, readonly=True) as new:
                assert rows(new) == expected
