"""A move carries every row of every table, goes on where it was, and writes over nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import peewee
import pytest
from tests.conftest import BESIDE

import wilk
from wilk import Backend, ModelSet, hookimpl, models
from wilk.definitions.settings_file import set_setting
from wilk.host import Host
from wilk.models.base import JsonField, Model
from wilk.records.transfer import Difference, Progress
from wilk.transfer.moves import moving
from wilk.transfer.moves.hashing import Tally
from wilk.transfer.moves.tables import tables

from .moving import fill, rows, talk

pytestmark = pytest.mark.sqlite


class Stop(Exception):
    """What ends a move on the way."""


def stopped_after(batches: int) -> Callable[[Progress], None]:
    """A progress that ends a move when so many batches are copied."""
    left = [batches]

    def progress(now: Progress) -> None:
        if now.step == "copying" and now.done:
            left[0] -= 1
            if left[0] < 0:
                raise Stop

    return progress


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with rows of every table."""
    file = tmp_path_factory.mktemp("filled") / "filled.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WILK_DISABLED_PLUGINS", ",".join(BESIDE))
        with wilk.open_store(f"sqlite:///{file}") as store:
            fill(store)
    return file


@pytest.fixture
def full(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[wilk.Store]:
    """A store with rows of every table."""
    monkeypatch.delenv("WILK_HOME")
    shutil.copy(filled, tmp_path / "full.db")
    with wilk.open_store(f"sqlite:///{tmp_path}/full.db") as opened:
        yield opened


@pytest.fixture
def to(tmp_path: Path) -> str:
    """Where no database is yet."""
    return f"sqlite:///{tmp_path}/new.db"


@pytest.fixture
def writer(store: wilk.Store) -> Iterator[wilk.Store]:
    """Another process's store, as it were, over the database of ``store``."""
    with wilk.open_store() as opened:
        yield opened


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of at most ten rows, so that a few hundred make many batches."""
    monkeypatch.setattr("wilk.transfer.moves.ends._MOST", 10)


class TestEveryRow:
    def test_of_every_table_is_there(self, full: wilk.Store, to: str) -> None:
        moved = full.move(to)
        with wilk.open_store(to) as new:
            assert rows(new) == rows(full)
        assert moved.equal
        assert moved.copied == moved.rows == sum(map(len, rows(full).values()))

    def test_is_looked_for_in_every_table_that_the_database_has(self, full: wilk.Store) -> None:
        with full.reading():
            there = set(full._engine.database.get_tables())
        there -= {name for name in there if "_fts" in name or name.endswith("_migrations")}
        assert {table.name for table in tables(())} == there - {"moves"}

    def test_is_there_for_the_verbs(self, full: wilk.Store, to: str) -> None:
        full.move(to)
        with wilk.open_store(to) as new:
            assert new.messages.page("hostile") == full.messages.page("hostile")
            assert new.archive.list() == full.archive.list()
            assert new.archive.restore(record="removed", kind="session") == {"session": 1, "message": 1}

    def test_is_found_by_its_words(self, store: wilk.Store, to: str) -> None:
        talk(store, 30)
        store.move(to)
        with wilk.open_store(to) as new:
            assert len(new.messages.search("wolf")) == len(store.messages.search("wolf")) > 0

    def test_that_is_written_later_gets_a_number_of_its_own(self, store: wilk.Store, to: str) -> None:
        talk(store, 3)
        store.move(to)
        with wilk.open_store(to) as new:
            assert new.messages.append("talk", "user").sequence == 4

    def test_is_told_to_no_plugin(self, store: wilk.Store, to: str) -> None:
        class Told:
            def __init__(self) -> None:
                self.saved: list[str] = []
                self.opened = 0

            @hookimpl
            def after_save(self, kind: str) -> None:
                self.saved.append(kind)

            @hookimpl
            def store_opened(self) -> None:
                self.opened += 1

        talk(store, 3)
        told = Told()
        store.host.register(told)
        store.move(to)
        assert (told.saved, told.opened) == ([], 0)

    def test_is_counted_with_its_hash(self, full: wilk.Store, to: str) -> None:
        moved = {one.kind: one for one in full.move(to).kinds}
        tally = Tally()
        tally.add(full._engine.select(models.SystemState.select().order_by(models.SystemState.key.desc())))
        assert moved["system_state"].hash == moved["system_state"].hash_there == tally.state
        assert moved["system_state"].hash != moved["messages"].hash

    def test_is_read_from_a_store_that_cannot_be_written(self, full: wilk.Store, to: str) -> None:
        file = Path(full.settings.url.removeprefix("sqlite:///"))
        full.close()
        before = file.read_bytes()
        with wilk.open_store(full.settings.url, readonly=True) as reader:
            assert reader.move(to).equal
        assert file.read_bytes() == before

    def test_is_moved_from_memory(self, to: str) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            talk(store, 5)
            assert store.move(to).rows == 6

    def test_can_be_moved_on_a_store_that_is_awaited(
        self, store: wilk.Store, to: str, run: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as awaited:
                await awaited.sessions.create(id="s")
                told: list[Progress] = []
                assert (await awaited.move(to, progress=told.append)).copied == 1
                assert (await awaited.compare(to)).equal
                assert told[-1] == Progress("comparing", "", 1, 1)

        run(scenario())

    @pytest.mark.slow
    def test_goes_through_little_memory(self, store: wilk.Store, to: str) -> None:
        store.sessions.create(id="s", max_tokens=10**9)
        for start in range(0, 100_000, 10_000):
            store.messages.extend(
                "s",
                [{"role": "user", "text": f"what the wolf said, number {start + n}"} for n in range(10_000)],
            )
        tracemalloc.start()
        try:
            assert store.move(to).copied == 100_001
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 16_000_000

    def test_that_is_large_makes_the_pages_smaller(self, store: wilk.Store, to: str) -> None:
        for number in range(150):
            store.documents.save(f"d{number:03}", {"text": "x" * 400_000})
        tracemalloc.start()
        try:
            store.move(to)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 150 * 400_000


class TestWritingOverNothing:
    def test_a_target_with_rows_is_refused_and_left_as_it_was(self, store: wilk.Store, to: str) -> None:
        talk(store, 3)
        with wilk.open_store(to) as other:
            talk(other, 5)
            before = rows(other)
            with pytest.raises(
                wilk.Conflict, match=r"holds rows \(sessions 1, messages 5\).*name another one"
            ):
                store.move(to)
            assert rows(other) == before

    def test_a_target_with_rows_of_another_move_is_refused(
        self, store: wilk.Store, full: wilk.Store, to: str
    ) -> None:
        full.move(to)
        with pytest.raises(wilk.Conflict, match=r"holds what was moved from another database \(.*full\.db\)"):
            store.move(to)

    def test_a_target_in_memory_is_refused(self, full: wilk.Store) -> None:
        with pytest.raises(
            wilk.Conflict, match="sqlite:///:memory: is in memory, and would end with the move"
        ):
            full.move("sqlite:///:memory:")

    @pytest.mark.parametrize("name", ["sqlite:///:memory:", "sqlite:///same.db"])
    def test_databases_of_one_name_are_told_apart(
        self, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / "one")
        with wilk.open_store(name) as first:
            talk(first, 3)
            first.move(to)
        monkeypatch.chdir(tmp_path / "two")
        with wilk.open_store(name) as second:
            talk(second, 5)
            with pytest.raises(wilk.Conflict, match="from another database"):
                second.move(to)

    @pytest.mark.parametrize("way", ["same", "relative", "link", "hard link"])
    def test_a_database_is_not_moved_onto_itself(
        self, full: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        name = f"{tmp_path}/full.db"
        if way == "relative":
            monkeypatch.chdir(tmp_path)
            name = "full.db"
        elif way != "same":
            name = f"{tmp_path}/other.db"
            (os.symlink if way == "link" else os.link)(tmp_path / "full.db", name)
        with pytest.raises(wilk.Conflict, match="is the very database"):
            full.move(f"sqlite:///{name}")

    def test_a_target_that_was_written_to_after_the_move_is_refused(self, store: wilk.Store, to: str) -> None:
        talk(store, 3)
        store.move(to)
        with wilk.open_store(to) as new:
            new.messages.append("talk", "user", "new")
        with pytest.raises(wilk.Conflict, match="messages 4 instead of 3"):
            store.move(to)

    def test_a_target_whose_rows_were_changed_after_the_move_is_refused(
        self, store: wilk.Store, to: str
    ) -> None:
        talk(store, 3)
        store.move(to)
        with wilk.open_store(to) as new:
            new.sessions.update("talk", name="mine")
        talk(store, 1)
        with pytest.raises(wilk.Conflict, match=r"sessions of .* was written to by others"):
            store.move(to)
        with wilk.open_store(to) as new:
            assert new.sessions.get("talk").name == "mine"

    def test_a_row_that_others_change_while_it_goes_on_is_not_written_over(
        self, store: wilk.Store, to: str
    ) -> None:
        talk(store, 3)
        done: list[int] = []

        def progress(now: Progress) -> None:
            if now.step == "comparing" and not done:
                done.append(1)
                with wilk.open_store(to) as new:
                    new.sessions.update("talk", name="mine")

        with pytest.raises(wilk.Conflict, match=r"sessions of .* was written to by others"):
            store.move(to, progress=progress)

    def test_two_moves_at_once_do_not_mix(self, store: wilk.Store, to: str, small_pages: None) -> None:
        talk(store, 100)
        other: list[bool] = []

        def progress(now: Progress) -> None:
            if now.kind == "messages" and now.done > 20 and not other:
                other.append(store.move(to).equal)

        with pytest.raises(wilk.Conflict, match="another process moves into"):
            store.move(to, progress=progress)
        assert other == [True]
        assert store.compare(to).equal

    def test_a_readonly_target_is_refused(self, store: wilk.Store, to: str) -> None:
        wilk.open_store(to).close()
        with pytest.raises(wilk.ReadOnly, match="cannot be moved there"):
            store.move(f"{to}?readonly=1")

    def test_what_is_not_committed_is_not_moved(self, store: wilk.Store, to: str) -> None:
        with store.transaction(), pytest.raises(wilk.Conflict, match="end the transaction"):
            store.move(to)


class TestGoingOn:
    @pytest.mark.parametrize("batches", range(0, 14, 2))
    def test_after_an_interruption_copies_what_is_missing(
        self, store: wilk.Store, to: str, small_pages: None, batches: int
    ) -> None:
        talk(store, 100)
        with pytest.raises(Stop):
            store.move(to, progress=stopped_after(batches))
        with closing(sqlite3.connect(to.removeprefix("sqlite:///"))) as connection:
            ((there,),) = connection.execute(
                "SELECT (SELECT COUNT(*) FROM messages) + (SELECT COUNT(*) FROM sessions)"
            )
        moved = store.move(to)
        assert (moved.copied, moved.rows, moved.equal) == (101 - there, 101, True)
        with wilk.open_store(to) as new:
            assert rows(new) == rows(store)

    def test_notices_what_changed_in_the_source_since(
        self, store: wilk.Store, to: str, small_pages: None
    ) -> None:
        talk(store, 100)
        talk(store, 20, "gone")
        store.users.save("u", name="before")
        with pytest.raises(Stop):
            store.move(to, progress=stopped_after(13))
        store.sessions.remove("gone")
        store.users.save("u", name="after")
        store.users.save("v", name="new")
        store.sessions.update("talk", name="changed", user="v")
        talk(store, 5)
        assert store.move(to).equal
        with wilk.open_store(to) as new:
            assert rows(new) == rows(store)
            assert new.sessions.find("gone") is None

    def test_lets_rows_swap_names_that_only_one_may_have(self, store: wilk.Store, to: str) -> None:
        names = {id: f"of {id}" for id in "abcde"}
        text = {store.prompts: {"system": "x"}, store.personas: {"prompt": "x"}}
        for kind in (store.prompts, store.personas):
            for id, name in names.items():
                kind.save(id, {"name": name, **text[kind]})
        store.sessions.create(persona="a")
        store.move(to)
        for kind in (store.prompts, store.personas):
            for id, name in (
                ("a", "passing"),
                ("b", "of a"),
                ("c", "of b"),
                ("a", "of c"),
                ("d", "of nobody"),
            ):
                kind.save(id, {"name": name, **text[kind]})
        assert store.move(to).equal
        with wilk.open_store(to) as new:
            assert [one.name for one in new.prompts.list()] == [one.name for one in store.prompts.list()]
            assert [one.name for one in new.personas.list()] == [one.name for one in store.personas.list()]

    def test_takes_a_removed_parent_and_its_rows_away(
        self, store: wilk.Store, to: str, small_pages: None
    ) -> None:
        talk(store, 30)
        store.pins.add("talk", "pinned")
        store.move(to)
        store.sessions.remove("talk")
        assert store.move(to).equal
        with wilk.open_store(to) as new:
            assert rows(new) == rows(store)
            assert new.messages.search("wolf") == []

    def test_finds_a_row_that_came_back_under_another_number(self, store: wilk.Store, to: str) -> None:
        talk(store, 3)
        store.move(to)
        store.sessions.remove("talk")
        talk(store, 1, "other")
        store.archive.restore(record="talk", kind="session")
        assert store.move(to).equal
        with wilk.open_store(to) as new:
            assert rows(new) == rows(store)

    def test_after_it_has_ended_catches_up_with_what_is_new(self, store: wilk.Store, to: str) -> None:
        talk(store, 10)
        store.move(to)
        talk(store, 5)
        moved = store.move(to)
        assert {one.kind: one.copied for one in moved.kinds if one.copied} == {"messages": 5, "sessions": 1}

    def test_catches_up_with_a_writer(
        self, store: wilk.Store, writer: wilk.Store, to: str, small_pages: None
    ) -> None:
        talk(store, 60)
        left = list(range(3))

        def progress(now: Progress) -> None:
            if left and now.kind == "messages" and now.done > 30:
                left.pop()
                talk(writer, 10)
                writer.sessions.update("talk", name=f"at {len(left)}")

        moved = store.move(to, progress=progress)
        assert (moved.rows, moved.equal) == (91, True)
        assert moved.passes > 1
        with wilk.open_store(to) as new:
            assert rows(new) == rows(store)

    def test_ends_where_a_writer_never_does(self, store: wilk.Store, writer: wilk.Store, to: str) -> None:
        talk(store, 5)
        with pytest.raises(
            wilk.Busy, match=r"5 passes found changed rows, the last one sessions 1, messages 1"
        ):
            store.move(to, progress=lambda now: None if now.kind else talk(writer, 1))
        assert store.move(to).equal

    def test_goes_on_from_the_same_file_by_another_name(
        self, full: wilk.Store, to: str, tmp_path: Path
    ) -> None:
        with pytest.raises(Stop):
            full.move(to, progress=stopped_after(3))
        (tmp_path / "link.db").symlink_to(tmp_path / "full.db")
        with wilk.open_store(f"sqlite:///{tmp_path}/link.db") as linked:
            assert linked.move(to).equal


class TestRowsThatAreRefused:
    def test_are_named_with_their_column_and_nothing_else_stays_behind(
        self, store: wilk.Store, to: str
    ) -> None:
        """A reference that leads nowhere: files that were written with foreign keys off have such."""
        talk(store, 5)
        talk(store, 5, "odd")
        with (
            closing(sqlite3.connect(store.settings.url.removeprefix("sqlite:///"))) as connection,
            connection,
        ):
            connection.execute("UPDATE sessions SET user_id = 'nobody' WHERE id = 'odd'")
        with pytest.raises(
            wilk.MoveFailed, match=r'sessions "odd": user_id: it refers to .nobody.'
        ) as caught:
            store.move(to)
        assert "Nothing was switched over" in str(caught.value)
        reason = "user_id: it refers to 'nobody', which is not there in users"
        assert caught.value.differences[0] == Difference("sessions", ("odd",), "missing", reason)
        assert {one.kind for one in caught.value.differences} == {"sessions", "messages"}
        with wilk.open_store(to) as new:
            assert new.messages.count("talk") == 5
        store.users.save("nobody", name="Nobody")
        assert store.move(to).copied > 0
        assert store.compare(to).equal


class TestComparing:
    def test_tells_which_rows_differ_and_writes_nothing(self, store: wilk.Store, to: str) -> None:
        talk(store, 4)
        store.users.save("u", name="U")
        store.move(to)
        with wilk.open_store(to) as new:
            new.users.save("v", name="V")
            new.users.save("u", name="other")
        talk(store, 1)
        before = Path(to.removeprefix("sqlite:///")).read_bytes()
        compared = store.compare(to)
        assert set(compared.differences) == {
            Difference("users", ("u",), "different"),
            Difference("users", ("v",), "extra"),
            Difference("sessions", ("talk",), "different"),
            Difference("messages", (5,), "missing"),
        }
        assert not compared.equal
        assert [one.kind for one in compared.kinds if not one.equal] == ["users", "sessions", "messages"]
        assert Path(to.removeprefix("sqlite:///")).read_bytes() == before

    def test_of_a_database_that_is_not_there_makes_none(self, store: wilk.Store, to: str) -> None:
        with pytest.raises(wilk.NotFound):
            store.compare(to)
        assert not Path(to.removeprefix("sqlite:///")).exists()


class Folder(Model):
    """A tree: a folder lies in another one."""

    id = peewee.TextField(primary_key=True)
    parent = peewee.ForeignKeyField("self", null=True, on_delete="RESTRICT")
    boss = peewee.TextField(null=True)
    notes = JsonField()
    moment = peewee.DateTimeField(null=True)
    price = peewee.DecimalField(null=True)
    token = peewee.UUIDField(null=True)

    class Meta:
        table_name = "folders"


class Trees:
    """A plugin with a table that refers to itself, and columns of Peewee's own kinds."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "0001_folders.py").write_text(
            "def up(migrator, db):\n"
            "    db.execute_sql('CREATE TABLE folders (id TEXT PRIMARY KEY, parent_id TEXT REFERENCES folders(id),"
            " boss TEXT, notes TEXT, moment TEXT, price TEXT, token TEXT)')\n"
        )
        self._folder = folder

    @hookimpl
    def register_models(self) -> Iterator[ModelSet]:
        yield ModelSet("trees", lambda: (Folder,), self._folder)


class TestPlugins:
    @pytest.fixture
    def planted(self, plugged: Callable[..., wilk.Store], tmp_path: Path) -> wilk.Store:
        """A store with a tree in which every folder lies in the one that comes behind it."""
        store = plugged(Trees(tmp_path / "trees"))
        with store.transaction():
            for number in reversed(range(120)):
                Folder.insert(
                    id=f"{number:03}",
                    parent=f"{number + 1:03}" if number < 119 else None,
                    notes={"n": number},
                    price="1.50",
                    moment="2026-11-21 10:00:00",
                    token="0" * 32,
                ).execute()
        return store

    def test_have_their_rows_moved_and_rows_may_refer_to_later_ones(
        self, planted: wilk.Store, to: str, tmp_path: Path
    ) -> None:
        moved = planted.move(to)
        assert {one.kind: one.rows_there for one in moved.kinds}["folders"] == 120
        with wilk.open_store(to, host=Host(Trees(tmp_path / "trees"), disabled=BESIDE)) as opened:
            query = Folder.select().order_by(Folder.id)
            assert opened._engine.rows(query) == planted._engine.rows(query)
            assert opened._engine.execute("PRAGMA foreign_key_check") == []

    def test_that_are_not_installed_any_more_are_named(
        self, planted: wilk.Store, home: Path, to: str
    ) -> None:
        planted.close()
        with wilk.open_store(home=home) as store:
            with pytest.raises(wilk.Conflict, match="holds tables of trees, which is not installed"):
                store.move(to)
            assert store.move(to, without=["trees"]).equal

    def test_offer_backends_that_rows_can_be_moved_through(self, full: wilk.Store, tmp_path: Path) -> None:
        class Plain:
            """A backend that hands over a Peewee database, and nothing else."""

            @hookimpl
            def register_backends(self) -> Iterator[Backend]:
                def opened(url: str, settings: wilk.Settings) -> peewee.Database:
                    return peewee.SqliteDatabase(url.removeprefix("plain://"), pragmas={"foreign_keys": 1})

                yield Backend("plain", opened, {"persistent"}, "a Peewee database")

        there, back = f"plain://{tmp_path}/plain.db", f"sqlite:///{tmp_path}/back.db"
        host = Host(Plain(), disabled=BESIDE)
        with wilk.open_store(settings=replace(full.settings), host=host) as first:
            out = first.move(there)
        with wilk.open_store(there, host=host) as second:
            home = second.move(back)
        assert [one.hash for one in out.kinds] == [one.hash_there for one in home.kinds]
        with wilk.open_store(back) as new:
            assert rows(new) == rows(full)


class TestFilesOfTheHomeFolder:
    def test_go_with_the_new_database(self, home: Path, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WILK_ARCHIVE", "jsonl")
        with wilk.open_store() as store:
            talk(store, 3)
            store.sessions.remove("talk")
            store.archive.flush()
            store.agents.save("coder", {"name": "Coder"})
            store.move(to)
        with wilk.open_store(to, home=home) as new:
            new.archive.restore(record="talk", kind="session")
            assert new.messages.count("talk") == 3
            assert new.sync().changes == ()
            assert new.agents.get("coder").name == "Coder"


class TestSwitching:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (b"", b"url: 'sqlite:////x.db'\n"),
            (b"# all defaults\n# url: ''", b"# all defaults\n# url: ''\n\nurl: 'sqlite:////x.db'\n"),
            (b"timeout: 5  # seconds\n", b"timeout: 5  # seconds\nurl: sqlite:////x.db\n"),
            (b"url: sqlite:////old.db  # here\ntimeout: 5\n", b"url: sqlite:////x.db  # here\ntimeout: 5\n"),
        ],
        ids=["empty", "comments", "added", "changed"],
    )
    def test_changes_one_line_of_the_settings(self, tmp_path: Path, before: bytes, after: bytes) -> None:
        file = tmp_path / "config.yaml"
        file.write_bytes(before)
        set_setting(file, "url", "sqlite:////x.db")
        assert file.read_bytes().replace(b"'", b"") == after.replace(b"'", b"")

    def test_leaves_broken_settings_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "config.yaml"
        file.write_bytes(b"timeout: [5\n")
        with pytest.raises(wilk.Invalid, match="is broken"):
            set_setting(file, "url", "sqlite:////x.db")
        assert file.read_bytes() == b"timeout: [5\n"


def test_tables_stand_behind_those_that_they_refer_to() -> None:
    there: set[Any] = set()
    for table in tables(()):
        for field in table.fields:
            if isinstance(field, peewee.ForeignKeyField):
                assert field.rel_model in there
        there.add(table.model)
    assert moving.PASSES > 1
