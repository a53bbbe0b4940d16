"""wilk's own JSON Lines: what is exported and imported is the same store, and what is wrong is told by line."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import BESIDE

import wilk
from wilk import Invalid, models
from wilk.care.tombstones import Tombstones
from wilk.errors import NotFound
from wilk.host import Host
from wilk.records.transfer import MigrationResult
from wilk.transfer.own.form import DERIVED, shapes
from wilk.transfer.own.meaning import COLUMNS, TABLES
from wilk.transfer.reading.sources import Source

from .moving import fill, rows
from .test_move import Folder, Trees

SECRET = "sk-canary-5b1f"


def kept(store: wilk.Store) -> dict[str, list[Any]]:
    """Every row of every table that an export holds; runs of imports are each store's own."""
    return {name: found for name, found in rows(store).items() if name not in {*DERIVED, "imports"}}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def rewritten(file: Path, change: Callable[[list[bytes]], list[bytes]]) -> Path:
    changed = file.with_name(f"changed-{file.name}")
    changed.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
    return changed


def told(result: MigrationResult) -> str:
    return " | ".join(f"{one.kind} {one.id}: {one.error}" for one in result.errors)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder whose store has rows of every table."""
    home = tmp_path_factory.mktemp("filled") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WILK_DISABLED_PLUGINS", ",".join(BESIDE))
        with wilk.open_store(home=home) as store:
            fill(store)
    return home


@pytest.fixture
def full(filled: Path, tmp_path: Path) -> Iterator[wilk.Store]:
    """A store with rows of every table, and files."""
    shutil.copytree(filled, tmp_path / "full")
    with wilk.open_store(home=tmp_path / "full") as opened:
        yield opened


@pytest.fixture
def exported(full: wilk.Store, tmp_path: Path) -> Path:
    full.exports.run("json", tmp_path / "all.jsonl")
    return tmp_path / "all.jsonl"


class TestThereAndBack:
    pytestmark = pytest.mark.sqlite

    def test_every_row_is_the_same(self, full: wilk.Store, exported: Path, store: wilk.Store) -> None:
        result = store.imports.run("json", exported)
        assert (result.failed, result.skipped, result.warnings, result.lost_fields) == (0, {}, {}, {})
        assert kept(store) == kept(full)

    def test_a_packed_file_gives_the_same(self, full: wilk.Store, store: wilk.Store, tmp_path: Path) -> None:
        full.exports.run("json", tmp_path / "all.jsonl.gz")
        assert gzip.decompress((tmp_path / "all.jsonl.gz").read_bytes()).startswith(b'{"header"')
        store.imports.run("json", tmp_path / "all.jsonl.gz")
        assert kept(store) == kept(full)

    def test_definition_files_are_the_same_byte_for_byte(
        self, full: wilk.Store, store: wilk.Store, tmp_path: Path
    ) -> None:
        assert full.home
        assert store.home
        agent = full.home / "agents" / "coder" / "agent.yaml"
        agent.write_text("# mine\n" + agent.read_text() + "\n\n", encoding="utf-8")
        (agent.parent / "tools").mkdir()
        (agent.parent / "tools" / "look.py").write_text("def look():\n    '''Look.'''\n")
        (agent.parent / "tools" / "icon.png").write_bytes(b"\x89PNG\xff\0")
        full.sync()
        full.exports.run("json", tmp_path / "all.jsonl")
        store.imports.run("json", tmp_path / "all.jsonl")
        paths = ["agents/coder/agent.yaml", "agents/coder/tools/look.py", "agents/coder/tools/icon.png",
                 "prompts/review.yaml", "personas/wolf.yaml", "presets/calm.yaml", "mcp-servers.json"]  # fmt: skip
        for path in paths:
            assert (store.home / path).read_bytes() == (full.home / path).read_bytes()
        assert store.sync().changes == ()

    def test_a_second_import_changes_nothing(self, exported: Path, store: wilk.Store) -> None:
        store.imports.run("json", exported)
        before = kept(store)
        result = store.imports.run("json", exported)
        assert (result.created, result.updated, result.failed) == (0, 0, 0)
        assert kept(store) == before

    def test_exporting_what_was_imported_gives_the_same_lines(
        self, exported: Path, store: wilk.Store, tmp_path: Path
    ) -> None:
        store.imports.run("json", exported)
        store.exports.run("json", tmp_path / "again.jsonl")
        again, before = (
            [one for one in lines(file)[1:-1] if one.get("table") != "imports"]
            for file in (tmp_path / "again.jsonl", exported)
        )
        assert again == before

    def test_what_was_imported_is_found_by_its_words(self, exported: Path, store: wilk.Store) -> None:
        store.imports.run("json", exported)
        assert store.messages.search("wolf")
        assert {one.kind for one in store.search("wolves")} >= {"memory", "fact"}

    def test_vectors_are_found_by_their_metadata(self, exported: Path, store: wilk.Store) -> None:
        store.imports.run("json", exported)
        assert [one.id for one in store.vectors.search("own", [1.0, 0.0], where={"deep.n": 1})] == ["a/1"]

    def test_what_is_written_later_gets_a_number_of_its_own(self, exported: Path, store: wilk.Store) -> None:
        store.imports.run("json", exported)
        assert store.messages.append("talk", "user", "next").sequence == 3
        store.memories.add("next")

    def test_rows_that_an_archive_outside_has_are_in_the_file(
        self, tmp_path: Path, store: wilk.Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WILK_ARCHIVE", "jsonl")
        with wilk.open_store(home=tmp_path / "outside") as outside:
            outside.sessions.create(id="gone")
            outside.messages.append("gone", "user", "archived wolf")
            outside.sessions.remove("gone")
            outside.archive.flush()
            assert rows(outside)["archive"][0][-2] != "None"
            outside.exports.run("json", tmp_path / "all.jsonl")
        store.imports.run("json", tmp_path / "all.jsonl")
        assert store.archive.restore(session="gone") == {"session": 1, "message": 1}
        assert store.messages.last("gone")[0].text == "archived wolf"

    def test_rows_of_a_plugin_go_along(self, planted: wilk.Store, store: wilk.Store, tmp_path: Path) -> None:
        planted.exports.run("json", tmp_path / "trees.jsonl")
        with wilk.open_store(
            home=tmp_path / "b", host=Host(Trees(tmp_path / "b-trees"), disabled=BESIDE)
        ) as other:
            result = other.imports.run("json", tmp_path / "trees.jsonl")
            assert result.failed == 0
            assert folders(other) == folders(planted)
        result = store.imports.run("json", tmp_path / "trees.jsonl")
        assert result.lost_fields == {"tables.folders": 3}
        assert "install the plugin" in "".join(result.warnings)

    @pytest.fixture
    def planted(self, tmp_path: Path) -> Iterator[wilk.Store]:
        """A store with a tree of a plugin, in which every folder lies in the one that comes behind it."""
        host = Host(Trees(tmp_path / "trees"), disabled=BESIDE)
        with wilk.open_store(home=tmp_path / "planted", host=host) as opened:
            with opened.transaction():
                for number in (3, 2, 1):
                    Folder.insert(
                        id=f"{number}", parent=None if number == 3 else f"{number + 1}", notes={"n": number},
                        price="1.50", moment="2026-11-21 10:00:00", token="0" * 32,
                    ).execute()  # fmt: skip
            yield opened


def folders(store: wilk.Store) -> list[Any]:
    with store.reading():
        return list(Folder.select().order_by(Folder.id).tuples())


class TestWithRowsThere:
    pytestmark = pytest.mark.sqlite

    def test_rows_that_differ_are_told_and_left(self, exported: Path, store: wilk.Store) -> None:
        store.users.save("ada", name="Another Ada")
        result = store.imports.run("json", exported)
        assert result.failed == 1
        assert "differs in" in told(result)
        assert "ada@" not in told(result)
        assert store.users.get("ada").name == "Another Ada"
        assert store.sessions.get("talk").user_id == "ada"

    def test_rows_that_differ_are_written_over_on_request(self, exported: Path, store: wilk.Store) -> None:
        store.users.save("ada", name="Another Ada")
        result = store.imports.run("json", exported, options={"replace": "yes"})
        assert result.updated == 1
        assert store.users.get("ada").name == "Ada"
        assert [one.data["name"] for one in store.archive.list(kind="user", record="ada")] == ["Another Ada"]

    def test_rows_of_the_store_and_rows_that_come_get_different_numbers(
        self, full: wilk.Store, exported: Path, store: wilk.Store
    ) -> None:
        store.sessions.create(id="mine")
        for number in range(5):
            store.messages.append("mine", "user", f"mine {number}")
            store.memories.add(f"mine {number}")
        assert store.imports.run("json", exported).failed == 0
        assert [one.text for one in store.messages.last("mine", 5)] == [f"mine {n}" for n in range(5)]
        assert [one.id for one in store.messages.page("talk")] == ["m1", "m2"]
        assert len(store.memories.list()) == 5 + len(full.memories.list())

    def test_a_file_of_ones_own_is_left(self, exported: Path, store: wilk.Store) -> None:
        store.prompts.save("review", {"name": "Mine", "user_template": "Mine"})
        result = store.imports.run("json", exported)
        assert "prompts/review.yaml" in told(result)
        assert store.prompts.get("review").name == "Mine"

    def test_a_dry_run_writes_nothing(self, exported: Path, store: wilk.Store) -> None:
        before = rows(store)
        result = store.imports.run("json", exported, dry_run=True)
        assert result.created > 100
        assert rows(store) == before
        assert store.home
        assert not (store.home / "agents" / "coder").exists()

    def test_what_was_forgotten_does_not_come_back(self, exported: Path, store: wilk.Store) -> None:
        with store.transaction():
            Tombstones(store._engine).put("c", [("session", "long"), ("message", "m2")])
        result = store.imports.run("json", exported)
        assert sum(result.skipped.values()) > 10
        assert store.sessions.find("long") is None
        assert [one.id for one in store.messages.page("talk")] == ["m1"]

    def test_nothing_belongs_to_another_user_than_before(self, exported: Path, store: wilk.Store) -> None:
        store.users.save("bob", name="Bob")
        with pytest.raises(Invalid, match="without a user"):
            store.imports.run("json", exported, user="bob")


class TestWhatIsWrong:
    pytestmark = pytest.mark.sqlite

    def test_a_newer_version_is_refused_with_the_way_out(self, exported: Path, store: wilk.Store) -> None:
        def newer(found: list[bytes]) -> list[bytes]:
            return [found[0].replace(b'"version":1,', b'"version":2,', 1), *found[1:]]

        with pytest.raises(Invalid, match="install a newer wilk"):
            store.imports.run("json", rewritten(exported, newer))

    def test_a_file_that_was_cut_off_is_told_and_what_is_there_is_taken(
        self, exported: Path, store: wilk.Store
    ) -> None:
        cut = exported.with_name("cut.jsonl")
        cut.write_bytes(exported.read_bytes()[:-3000])
        result = store.imports.run("json", cut)
        assert "cut off" in told(result)
        assert result.created > 50
        assert store.imports.run("json", exported).failed == 0

    def test_a_packed_file_that_was_cut_off_is_told(
        self, full: wilk.Store, store: wilk.Store, tmp_path: Path
    ) -> None:
        full.exports.run("json", tmp_path / "all.jsonl.gz")
        (tmp_path / "cut.jsonl.gz").write_bytes((tmp_path / "all.jsonl.gz").read_bytes()[:-400])
        assert "cut off" in told(store.imports.run("json", tmp_path / "cut.jsonl.gz"))

    def test_a_bad_line_is_told_by_its_number_and_the_others_are_taken(
        self, exported: Path, store: wilk.Store
    ) -> None:
        bad = 1 + next(n for n, line in enumerate(lines(exported)) if line.get("table") == "patterns")

        def broken(found: list[bytes]) -> list[bytes]:
            found[bad - 1] = b'{"table":"patterns","row":{"id":\n'
            return found

        result = store.imports.run("json", rewritten(exported, broken))
        assert f"lines line {bad}: no JSON" in told(result)
        assert "hash" in told(result)
        assert store.messages.page("talk")
        assert store.patterns.list() == []

    def test_a_changed_row_is_told_by_the_hash_of_its_table(self, exported: Path, store: wilk.Store) -> None:
        def changed(found: list[bytes]) -> list[bytes]:
            return [line.replace(b"What is a wolf?", b"What is a bear?") for line in found]

        result = store.imports.run("json", rewritten(exported, changed))
        assert "messages all rows" in told(result)

    def test_a_value_of_the_wrong_kind_is_told_by_line_and_column(
        self, exported: Path, store: wilk.Store
    ) -> None:
        def wrong(found: list[bytes]) -> list[bytes]:
            return [line.replace(b'"tokens":7', b'"tokens":"7"') for line in found]

        assert "tokens: str is no integer" in told(store.imports.run("json", rewritten(exported, wrong)))

    @pytest.mark.parametrize(
        "path", ["../out.yaml", "/etc/x", "agents/../../x/agent.yaml", "wilk.db", "agents/a/.x"]
    )
    def test_a_file_outside_of_its_place_is_refused(
        self, exported: Path, store: wilk.Store, path: str
    ) -> None:
        def outside(found: list[bytes]) -> list[bytes]:
            return [*found[:-1], json.dumps({"file": path, "text": "x"}).encode() + b"\n", found[-1]]

        assert "no place of definitions" in told(store.imports.run("json", rewritten(exported, outside)))

    def test_another_file_is_refused_by_what_it_misses(self, store: wilk.Store, tmp_path: Path) -> None:
        (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
        with pytest.raises(Invalid, match="header"):
            store.imports.run("json", tmp_path / "other.jsonl")

    def test_it_is_recognised(self, exported: Path, store: wilk.Store) -> None:
        source = Source([exported])
        assert store.host.importer("json").recognize(source) == "wilk's JSON Lines"

    @pytest.mark.slow
    def test_a_run_that_was_killed_goes_on(self, filled: Path, tmp_path: Path) -> None:
        """SIGKILL in the middle of an import; a second run makes the store complete."""
        shutil.copytree(filled, tmp_path / "full")
        with wilk.open_store(home=tmp_path / "full") as full:
            full.messages.extend(
                "talk", [{"role": "user", "text": f"wolf {n} " * 50, "tokens": 1} for n in range(4000)]
            )
            full.exports.run("json", tmp_path / "all.jsonl")
            expected = kept(full)
        script = f"import wilk\nwith wilk.open_store(home={str(tmp_path / 'new')!r}) as s:\n s.imports.run('json', {str(tmp_path / 'all.jsonl')!r})"
        child = subprocess.Popen([sys.executable, "-c", script])
        database = tmp_path / "new" / "wilk.db"
        while child.poll() is None and not _has(database, "messages"):
            time.sleep(0.01)
        child.kill()
        child.wait()
        with wilk.open_store(home=tmp_path / "new") as new:
            assert new.imports.run("json", tmp_path / "all.jsonl").failed == 0
            assert kept(new) == expected


def _has(database: Path, table: str) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return bool(connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall())
    except sqlite3.Error:
        return False


class TestSecrets:
    pytestmark = pytest.mark.sqlite

    @pytest.fixture
    def secretive(self, store: wilk.Store) -> wilk.Store:
        """A store whose files hold secrets."""
        assert store.home
        (store.home / "config.yaml").write_text(
            f"# api_key: {SECRET}\nregistries:\n  team:\n    url: https://me:{SECRET}@example.org/\n    token: {SECRET}\n"
        )
        servers = {"mcpServers": {"files": {"command": "serve", "env": {"FILES_KEY": SECRET}}}}
        (store.home / "mcp-servers.json").write_text(json.dumps(servers))
        (store.home / "prompts").mkdir(exist_ok=True)
        (store.home / "prompts" / "broken.yaml").write_text(f"name: [\n  api_key: {SECRET}\n")
        (store.home / "agents" / "a").mkdir(parents=True)
        (store.home / "agents" / "a" / "agent.yaml").write_text("name: A\n")
        (store.home / "agents" / "a" / ".env").write_text(f"KEY={SECRET}\n")
        store.sync()
        return store

    def test_are_in_no_byte_of_the_file_and_told_as_lost(self, secretive: wilk.Store, tmp_path: Path) -> None:
        done = secretive.exports.run("json", tmp_path / "all.jsonl")
        assert SECRET.encode() not in (tmp_path / "all.jsonl").read_bytes()
        assert SECRET not in repr(done)
        assert set(done.lost) == {
            "files.config.yaml: secrets", "files.mcp-servers.json: secrets", "files.prompts/broken.yaml",
        }  # fmt: skip

    def test_stay_in_the_files_of_the_store_that_has_them(
        self, secretive: wilk.Store, tmp_path: Path
    ) -> None:
        assert secretive.home
        before = (secretive.home / "config.yaml").read_bytes()
        secretive.exports.run("json", tmp_path / "all.jsonl")
        result = secretive.imports.run("json", tmp_path / "all.jsonl", options={"replace": "yes"})
        assert (secretive.home / "config.yaml").read_bytes() == before
        assert result.failed == 0

    def test_are_asked_for_where_they_are_missing(self, secretive: wilk.Store, tmp_path: Path) -> None:
        secretive.exports.run("json", tmp_path / "all.jsonl")
        with wilk.open_store(home=tmp_path / "other") as other:
            result = other.imports.run("json", tmp_path / "all.jsonl")
            assert "mcp-servers.json: secrets were left out" in "".join(result.warnings)
            assert kept(other) == kept(secretive)


class TestTheFile:
    pytestmark = pytest.mark.sqlite

    def test_begins_with_what_it_is(self, exported: Path) -> None:
        header = lines(exported)[0]["header"]
        assert (header["format"], header["version"], header["wilk"]) == ("wilk", 1, wilk.__version__)
        assert header["schema"] == max(
            file.stem for file in Path(wilk.__file__).parent.glob("migrations/0*.py")
        )
        messages = next(one for one in header["tables"] if one["name"] == "messages")
        assert {"name": "text", "type": "text", "about": "the text"} in messages["columns"]

    def test_ends_with_counts(self, full: wilk.Store, exported: Path) -> None:
        trailer = lines(exported)[-1]["trailer"]
        assert {name: one["rows"] for name, one in trailer["tables"].items()} == {
            name: len(found) for name, found in rows(full).items() if found and name not in DERIVED
        }
        assert trailer["lines"] == len(lines(exported))

    def test_has_json_as_json_and_times_as_dates(self, exported: Path) -> None:
        row = next(
            one["row"]
            for one in lines(exported)
            if one.get("table") == "messages" and one["row"]["id"] == "m2"
        )
        assert row["metadata"] == {"a": [1, None]}
        assert row["created_at"].endswith("Z")
        assert row["original"] == '"a\\u0000b \\ud800"'

    def test_is_readable_by_its_owner_alone(self, exported: Path) -> None:
        assert exported.stat().st_mode & 0o777 == 0o600

    def test_is_one_state_of_the_store_while_others_write(self, store: wilk.Store, tmp_path: Path) -> None:
        store.sessions.create(id="talk")
        store.messages.extend(
            "talk", [{"role": "user", "text": f"wolf {n}", "tokens": 1} for n in range(2000)]
        )
        script = (
            f"import wilk\nwith wilk.open_store(home={str(store.home)!r}) as s:\n"
            " print('ready', flush=True)\n"
            " for n in range(3000): s.messages.append('talk', 'user', 'more', tokens=1)"
        )
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout
            child.stdout.readline()
            store.exports.run("json", tmp_path / "all.jsonl")
        finally:
            child.kill()
            child.wait()
            child.stdout.close()
        found = lines(tmp_path / "all.jsonl")
        session = next(one["row"] for one in found if one.get("table") == "sessions")
        archived = sum(one.get("table") == "archive" and one["row"]["kind"] == "message" for one in found)
        assert sum(one.get("table") == "messages" for one in found) + archived == session["message_count"]

    def test_holds_values_that_their_columns_are_not_made_for(
        self, store: wilk.Store, tmp_path: Path
    ) -> None:
        store.sessions.create(id="talk")
        for number in range(3):
            store.messages.append("talk", "user", f"m{number}", id=f"m{number}")
        with store.transaction():
            run = store._engine.execute
            run(
                "UPDATE messages SET metadata = '{broken', tokens = 'seven', importance = 9e999 WHERE id = 'm0'"
            )
            run(
                "UPDATE messages SET text = x'ff00', created_at = 99999999999999999, parts = x'01' WHERE id = 'm1'"
            )
            run("UPDATE sessions SET metadata = ?", ("[" * 5000 + "]" * 5000,))
        store.exports.run("json", tmp_path / "all.jsonl")
        with wilk.open_store(home=tmp_path / "other") as other:
            assert other.imports.run("json", tmp_path / "all.jsonl").failed == 0
            query = "SELECT * FROM messages ORDER BY pk"
            assert other._engine.execute(query) == store._engine.execute(query)
            query = "SELECT metadata FROM sessions"
            assert other._engine.execute(query) == store._engine.execute(query)

    def test_goes_without_rows_that_cannot_be_read_and_tells_of_them(
        self, store: wilk.Store, tmp_path: Path
    ) -> None:
        store.sessions.create(id="talk")
        for number in range(3):
            store.messages.append("talk", "user", f"m{number}", id=f"m{number}")
        with store.transaction():
            store._engine.execute("UPDATE messages SET model = CAST(x'ff80' AS TEXT) WHERE id = 'm1'")
        done = store.exports.run("json", tmp_path / "all.jsonl")
        assert done.lost == {"messages": 1}
        ids = [one["row"]["id"] for one in lines(tmp_path / "all.jsonl") if one.get("table") == "messages"]
        assert ids == ["m0", "m2"]

    def test_is_not_there_when_writing_it_fails(
        self, full: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full_disk(*_: Any) -> bytes:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("wilk.transfer.exporters.json.line_of", full_disk)
        with pytest.raises(OSError, match="space"):
            full.exports.run("json", tmp_path / "all.jsonl")
        assert not [one.name for one in tmp_path.iterdir() if "all.jsonl" in one.name]


class TestAChoice:
    pytestmark = pytest.mark.sqlite

    def test_of_a_session_has_what_hangs_on_it_and_what_it_refers_to(
        self, full: wilk.Store, store: wilk.Store, tmp_path: Path
    ) -> None:
        full.exports.run("json", tmp_path / "talk.jsonl", sessions=["talk"])
        result = store.imports.run("json", tmp_path / "talk.jsonl")
        assert result.failed == 0
        assert [one.id for one in store.sessions.list()] == ["talk"]
        assert store.messages.page("talk") == full.messages.page("talk")
        assert store.tool_calls.list("talk") == full.tool_calls.list("talk")
        assert store.users.list() == full.users.list()
        assert store.personas.get("wolf") == full.personas.get("wolf")
        assert store.agents.get("coder").definition == full.agents.get("coder").definition
        assert store.prompts.list() == []

    def test_of_a_user_has_the_users_records(
        self, full: wilk.Store, store: wilk.Store, tmp_path: Path
    ) -> None:
        full.exports.run("json", tmp_path / "ada.jsonl", user="ada")
        assert store.imports.run("json", tmp_path / "ada.jsonl").failed == 0
        assert store.facts.history("ada", "likes") == full.facts.history("ada", "likes")
        assert store.memories.list(user="ada") == full.memories.list(user="ada")
        assert store.interactions.actions("i1") == full.interactions.actions("i1")
        assert store.preferences.list(user="ada") == full.preferences.list(user="ada")
        assert store.raw_messages.list("doc") == full.raw_messages.list("doc")
        assert store.sessions.find("long") is None

    def test_with_contexts_and_summaries_is_whole(
        self, full: wilk.Store, store: wilk.Store, tmp_path: Path
    ) -> None:
        full.exports.run("json", tmp_path / "long.jsonl", sessions=["long"])
        assert store.imports.run("json", tmp_path / "long.jsonl").failed == 0
        assert store.messages.page("long") == full.messages.page("long")
        manifest = full.contexts.manifests("long")[0]
        assert store.contexts.messages_of(manifest.id) == full.contexts.messages_of(manifest.id)
        large = full.tool_calls.list("long", name="read")[0]
        assert store.tool_calls.result(large.id) == full.tool_calls.result(large.id)

    def test_of_a_session_that_is_not_there_is_refused(self, store: wilk.Store, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            store.exports.run("json", tmp_path / "x.jsonl", sessions=["nowhere"])


@pytest.mark.backends
def test_every_backend_gives_what_the_others_take(store: wilk.Store, elsewhere: str, tmp_path: Path) -> None:
    fill(store)
    store.exports.run("json", tmp_path / "all.jsonl")
    with wilk.open_store(elsewhere, home=tmp_path / "other") as other:
        result = other.imports.run("json", tmp_path / "all.jsonl")
        assert result.failed == 0
        assert kept(other) == kept(store)
        assert other.imports.run("json", tmp_path / "all.jsonl").created == 0


@pytest.mark.storeless
def test_every_table_and_column_has_its_meaning() -> None:
    known = shapes(())
    assert set(known) == set(TABLES)
    assert {name for shape in known.values() for name in shape.names} == set(COLUMNS)


@pytest.mark.storeless
def test_every_table_is_in_the_form_or_made_again() -> None:
    every = {model._meta.table_name for model in models.every()} - {"moves"}
    assert every == {*TABLES, *DERIVED}
