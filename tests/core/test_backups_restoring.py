"""Restoring: what is put back and what goes, what is kept from coming back, and what others see of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.conftest import BESIDE

import wilk
from wilk import models
from wilk.care.backups import places
from wilk.host import Host

from .moving import fill

pytestmark = pytest.mark.sqlite

SCHEMAS = Path(__file__).parent / "schemas"
Opens = Callable[..., wilk.Store]


def persona(home: Path, name: str, text: str = "You are a wolf.") -> Path:
    file = home / f"personas/{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"name: {name}\nprompt: {text}\n")
    return file


class TestFiles:
    def test_are_as_they_were(self, home: Path) -> None:
        changed, removed = persona(home, "changed"), persona(home, "removed")
        with wilk.open_store() as store:
            store.sync()
            store.backups.create(name="first")
            persona(home, "changed", "You are a bear.")
            removed.unlink()
            added = persona(home, "added")
            store.sync()
            done = store.backups.restore("first")
            assert (done.written, done.removed) == (2, 1)
            assert "wolf" in changed.read_text()
            assert removed.exists()
            assert not added.exists()
            assert [one.id for one in store.personas.list()] == ["changed", "removed"]
            assert store.personas.get("changed").prompt == "You are a wolf."
            assert store.sync().changes == ()

    def test_that_were_added_lie_in_the_safety_copy(self, home: Path) -> None:
        with wilk.open_store() as store:
            store.backups.create(name="first")
            persona(home, "added")
            store.sync()
            safety = store.backups.restore("first").safety
            assert safety is not None
            assert (home / "backups" / safety / "home/personas/added.yaml").exists()
            store.backups.restore(safety)
            assert store.personas.get("added").name == "added"

    def test_of_tools_come_back_with_their_mode(self, home: Path) -> None:
        tool = home / "agents/wolf/tools/howl.sh"
        tool.parent.mkdir(parents=True)
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
        with wilk.open_store() as store:
            store.backups.create(name="first")
            shutil.rmtree(home / "agents")
            store.backups.restore("first")
        assert tool.stat().st_mode & 0o777 == 0o755

    def test_the_current_session_is_that_of_then(self) -> None:
        with wilk.open_store() as store:
            store.sessions.use(store.sessions.create(id="then").id)
            store.backups.create(name="first")
            store.sessions.use(store.sessions.create(id="now").id)
            store.backups.restore("first")
            current = store.sessions.current()
            assert current is not None
            assert current.id == "then"

    def test_settings_that_name_another_database_stay(self, home: Path, tmp_path: Path) -> None:
        config = home / "config.yaml"
        home.mkdir()
        config.write_text(f"url: sqlite:///{home}/wilk.db\nmax_tokens: 100\n")
        with wilk.open_store() as store:
            store.backups.create(name="first")
        config.write_text(f"url: sqlite:///{tmp_path}/other.db\n")
        with wilk.open_store() as store:
            done = store.backups.restore("first")
        assert "other.db" in config.read_text()
        assert any("config.yaml stays as it is" in note for note in done.notes)

    def test_settings_that_name_the_same_come_back(self, home: Path) -> None:
        home.mkdir()
        (home / "config.yaml").write_text("max_tokens: 100\n")
        with wilk.open_store() as store:
            store.backups.create(name="first")
            (home / "config.yaml").write_text("max_tokens: 200\n")
            store.backups.restore("first")
        assert (home / "config.yaml").read_text() == "max_tokens: 100\n"

    def test_a_new_home_folder_names_its_own_database(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home.mkdir()
        (home / "config.yaml").write_text(f"url: sqlite:///{home}/wilk.db\n")
        with wilk.open_store() as store:
            store.sessions.create(id="talk")
            store.backups.create(name="first")
            store.backups.restore("first", to=tmp_path / "new")
            with wilk.open_store(home=tmp_path / "new") as new:
                new.sessions.remove("talk")
            assert store.sessions.find("talk") is not None

    def test_a_folder_that_is_in_use_is_refused(self, home: Path) -> None:
        with wilk.open_store() as store:
            store.backups.create(name="first")
            with pytest.raises(wilk.Conflict, match="not empty"):
                store.backups.restore("first", to=home)

    def test_a_database_with_rows_is_refused(self, tmp_path: Path) -> None:
        with wilk.open_store(f"sqlite:///{tmp_path}/used.db") as used:
            used.sessions.create(id="theirs")
        with wilk.open_store() as store:
            store.sessions.create(id="talk")
            store.backups.create(name="first")
            with pytest.raises(wilk.Conflict, match="holds rows"):
                store.backups.restore("first", to=f"sqlite:///{tmp_path}/used.db")
        with wilk.open_store(f"sqlite:///{tmp_path}/used.db") as used:
            assert [one.id for one in used.sessions.list()] == ["theirs"]


class TestArchives:
    @pytest.fixture(autouse=True)
    def _in_files(self, home: Path) -> None:
        home.mkdir()
        (home / "config.yaml").write_text("archive: jsonl\n")

    def archived(self, store: wilk.Store, id: str) -> None:
        store.sessions.create(id=id)
        store.messages.append(id, "user", f"text of {id}")
        store.sessions.remove(id)
        store.settle()

    @pytest.mark.parametrize("loss", ["nothing", "files", "folder"])
    def test_rows_in_them_can_be_brought_back(self, home: Path, loss: str) -> None:
        with wilk.open_store() as store:
            self.archived(store, "first")
            store.backups.create(name="first")
            self.archived(store, "second")
            if loss == "files":
                for file in (home / "archive").glob("*.gz"):
                    file.unlink()
            elif loss == "folder":
                shutil.rmtree(home / "archive")
            store.backups.restore("first")
            store.archive.restore(session="first")
            assert [one.text for one in store.messages.last("first")] == ["text of first"]

    def test_they_are_written_to_after_a_restore(self) -> None:
        with wilk.open_store() as store, wilk.open_store() as other:
            self.archived(store, "first")
            other.archive.get(other.archive.list()[0].id)
            store.backups.create(name="first")
            self.archived(other, "second")
            store.backups.restore("first")
            for id, one in (("third", other), ("fourth", store)):
                self.archived(one, id)
            for id in ("first", "third", "fourth"):
                other.archive.restore(session=id)
                assert [one.text for one in store.messages.last(id)] == [f"text of {id}"]

    def test_they_go_into_a_new_home_folder(self, tmp_path: Path) -> None:
        with wilk.open_store() as store:
            self.archived(store, "first")
            store.backups.create(name="first")
            store.backups.restore("first", to=tmp_path / "new")
        with wilk.open_store(home=tmp_path / "new") as new:
            new.archive.restore(session="first")
            assert [one.text for one in new.messages.last("first")] == ["text of first"]


class TestSchemas:
    @pytest.mark.parametrize("released", ["0001_initial", "0003_search"])
    def test_an_older_one_is_migrated(self, home: Path, released: str) -> None:
        home.mkdir()
        shutil.copy(SCHEMAS / f"{released}.db", home / "wilk.db")
        (home / "wilk.db").chmod(0o600)
        with wilk.open_store() as store:
            (old,) = store.backups.list()
            assert (old.why, old.schema["wilk"]) == ("before-migration", released)
            assert store.backups.verify(old.id).good
            sessions = {one.id for one in store.sessions.list()}
            for id in sessions:
                store.sessions.remove(id)
            done = store.backups.restore(old.id)
            assert {one.id for one in store.sessions.list()} == sessions
            assert any(name.startswith("wilk 0005") for name in done.migrated)

    def test_a_newer_one_is_refused_and_nothing_is_changed(self, home: Path, tmp_path: Path) -> None:
        with wilk.open_store() as store:
            with closing(sqlite3.connect(home / "wilk.db")) as connection:
                connection.execute("UPDATE wilk_migrations SET name = '0099_future' WHERE name = '0005_care'")
                connection.commit()
            store.backups.create(name="future")
            with closing(sqlite3.connect(home / "wilk.db")) as connection:
                connection.execute("UPDATE wilk_migrations SET name = '0005_care' WHERE name = '0099_future'")
                connection.commit()
            store.sessions.create(id="since")
            for to in (None, tmp_path / "new", f"sqlite:///{tmp_path}/x.db"):
                with pytest.raises(wilk.SchemaError, match=r"newer wilk .*0099_future"):
                    store.backups.restore("future", to=to)
            assert store.sessions.find("since") is not None
            assert not (tmp_path / "new").exists()


class TestWhatWasForgotten:
    def test_is_not_forgotten_to_be_forgotten(self) -> None:
        with wilk.open_store() as store:
            store.backups.create(name="first")
            with store.transaction():
                for model, row in (
                    (models.Certificate, {"id": "c", "report": {"n": 1}, "created_at": 1}),
                    (
                        models.Forgotten,
                        {"kind": "user", "hash": "h", "certificate_id": "c", "forgotten_at": 1},
                    ),
                ):
                    fields = {getattr(model, name): value for name, value in row.items()}
                    store._engine.run(model.insert(fields))
            store.backups.restore("first")
            assert store._engine.execute("SELECT hash, certificate_id FROM forgotten") == [("h", "c")]
            assert store._engine.execute("SELECT id FROM certificates") == [("c",)]

    def test_does_not_come_back(self, tmp_path: Path) -> None:
        with wilk.open_store() as store:
            store.users.save("anna", name="Anna")
            store.sessions.create(id="hers", user="anna")
            store.messages.append("hers", "user", "a canary of hers")
            store.sessions.create(id="other")
            store.backups.create(name="first")
            kept = Path(store.backups.get("first").folder)
            away = tmp_path / "away"
            shutil.copytree(kept, away)
            store.forgetting.run(user="anna")
            shutil.rmtree(kept)
            shutil.copytree(away, kept)
            store.backups.restore("first")
            assert store.users.find("anna") is None
            assert [one.id for one in store.sessions.list()] == ["other"]


class TestOthers:
    def test_see_what_was_put_back(self) -> None:
        with wilk.open_store() as store, wilk.open_store() as other:
            store.sessions.create(id="talk")
            store.backups.create(name="first")
            other.sessions.create(id="since")
            assert other.sessions.get("talk").id == "talk"
            store.backups.restore("first")
            assert [one.id for one in other.sessions.list()] == ["talk"]
            other.messages.append("talk", "user", "goes on")
            assert store.messages.last("talk", 1)[0].text == "goes on"

    def test_find_vectors_by_the_rows_that_were_put_back(self) -> None:
        with wilk.open_store() as store, wilk.open_store() as other:
            store.vectors.add("own", "a", [1.0, 0.0], model="m")
            store.backups.create(name="first")
            store.vectors.add("own", "b", [0.0, 1.0], model="m")
            assert [hit.id for hit in other.vectors.search("own", [0.0, 1.0])] == ["b", "a"]
            store.backups.restore("first")
            store.vectors.add("own", "c", [0.0, 1.0], model="m")
            for one in (store, other):
                assert [hit.id for hit in one.vectors.search("own", [0.0, 1.0])] == ["c", "a"]

    def test_caches_are_emptied(self) -> None:
        with wilk.open_store() as store:
            store.backups.create(name="first")
            store.cache("own").set("of rows that are gone", {"n": 1})
            store.backups.restore("first")
            assert store.cache("own").get("of rows that are gone") is None

    def test_indexes_of_rows_that_are_gone_are_removed(self, home: Path) -> None:
        (home / "indexes" / "no-token-of-any-space").mkdir(parents=True)
        with wilk.open_store() as store:
            store.backups.create(name="first")
            store.backups.restore("first")
        assert not (home / "indexes" / "no-token-of-any-space").exists()

    def test_wait_for_a_writer_and_tell_when_that_takes_too_long(self, hurried: None) -> None:
        with wilk.open_store() as store, wilk.open_store() as other:
            store.backups.create(name="first")
            with other.transaction():
                other.sessions.create(id="writing")
                with pytest.raises(wilk.WilkError):
                    store.backups.restore("first")


class TestAmidARestore:
    @pytest.fixture
    def interrupted(self, home: Path) -> str:
        """A home folder in which a restore was broken off; the backup's id."""
        with wilk.open_store() as store:
            store.sessions.create(id="talk")
            made = store.backups.create(name="first")
            safety = store.backups.create(why="before-restore")
            places.Marker(home).set(made.id, safety.id, home / "backups")
            return made.id

    def test_a_store_cannot_be_opened_and_tells_what_to_do(self, interrupted: str) -> None:
        for readonly in (False, True):
            with pytest.raises(
                wilk.Conflict, match=f"`wilk backup restore {interrupted}` again, or .*before-restore"
            ):
                wilk.open_store(readonly=readonly)

    def test_a_store_is_told_to_wait_while_it_goes_on(self, interrupted: str, home: Path) -> None:
        with places.alone(home / "backups", 1), pytest.raises(wilk.Busy, match="is being restored"):
            wilk.open_store()

    def test_the_same_restore_makes_it_whole_and_keeps_the_first_safety_copy(self, interrupted: str) -> None:
        from wilk.cli import main

        assert main(["backup", "restore", interrupted, "--yes", "--quiet"]) == 0
        with wilk.open_store() as store:
            assert store.sessions.find("talk") is not None
            assert [one.why for one in store.backups.list()].count("before-restore") == 1


def test_a_page_size_of_another_database_is_no_hindrance(home: Path, plugged: Opens) -> None:
    home.mkdir()
    with closing(sqlite3.connect(home / "wilk.db")) as connection:
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("VACUUM")
    with plugged() as store:
        fill(store)
        count = len(store.sessions.list())
        made = store.backups.create(name="first")
        file = Path(made.folder) / "wilk.db"
        plain = home / "backups" / "wilk-before-x.db"
        shutil.copy(file, plain)
        with closing(sqlite3.connect(plain, isolation_level=None)) as connection:
            connection.execute("PRAGMA page_size = 1024")
            connection.execute("VACUUM")
        store.sessions.create(id="since")
        store.backups.restore("wilk-before-x")
        assert len(store.sessions.list()) == count
        assert store._engine.execute("PRAGMA page_size") == [(8192,)]
        assert store._engine.execute("PRAGMA integrity_check") == [("ok",)]


def test_plugins_tables_come_along(home: Path) -> None:
    home.mkdir()
    with wilk.open_store(host=Host(disabled=[name for name in BESIDE if name != "wilk-audit"])) as store:
        store.sessions.create(id="talk")
        made = store.backups.create()
        assert "audit" in made.schema
        store.backups.restore(made.id)
