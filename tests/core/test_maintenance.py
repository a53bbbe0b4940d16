"""Maintenance: what each step tells and does, on every backend; while others write; and of damaged files."""

from __future__ import annotations

import random
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.core.damage import overwrite, pages_of

import wilk
from wilk import Conflict, Invalid, Store
from wilk.backends.sqlite_maintenance import holders
from wilk.care.maintenance import unused_blobs
from wilk.records.care import Maintained, Maintenance


def step(found: Maintenance, name: str) -> Maintained:
    return next(one for one in found.steps if one.step == name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "place" / "wilk.db"


def fill(store: Store, messages: int = 200) -> str:
    session = store.sessions.create(name="long").id
    with store.transaction():
        for n in range(messages):
            store.messages.append(session, role="user", text=f"Sentence {n} " + "of many words " * 20)
    store.settle()
    return session


@pytest.mark.backends
class TestEverywhere:
    def test_a_healthy_store_is_told_to_be_so(self, store: Store) -> None:
        fill(store, 20)
        found = store.maintain()
        assert found.result == "ok", found
        assert {one.step for one in found.steps} >= {
            "integrity",
            "foreign-keys",
            "analyze",
            "vacuum",
            "blobs",
        }

    def test_no_row_is_changed(self, store: Store) -> None:
        session = fill(store, 20)
        before = store.messages.last(session, 100)
        names = [one.name for one in store._maintainer.steps]
        store.maintain(names)
        assert store.messages.last(session, 100) == before
        assert store.search("Sentence", kinds=["message"])

    def test_quick_does_the_short_steps_alone(self, store: Store) -> None:
        quick = {one.step for one in store.maintain(quick=True).steps}
        assert quick == {one.name for one in store._maintainer.steps if one.quick}
        assert quick < {one.step for one in store.maintain().steps}

    def test_what_keeps_others_out_is_done_only_when_it_is_named(self, store: Store) -> None:
        assert "compact" not in {one.step for one in store.maintain().steps}
        assert [one.step for one in store.maintain(["compact"]).steps] == ["compact"]

    def test_a_step_that_there_is_none_of_is_refused_with_those_there_are(self, store: Store) -> None:
        with pytest.raises(Invalid, match="'polish'.*integrity"):
            store.maintain(["polish"])

    def test_within_a_transaction_it_is_refused(self, store: Store) -> None:
        with store.transaction(), pytest.raises(Conflict, match="outside of transactions"):
            store.maintain()

    def test_progress_names_each_step(self, store: Store) -> None:
        told: list[str] = []
        found = store.maintain(progress=lambda one: told.append(one.kind))
        assert told == [one.step for one in found.steps]

    def test_sizes_of_tables_are_told_before_and_after(self, store: Store) -> None:
        fill(store, 50)
        found = store.maintain()
        sizes = {one.table: one for one in found.tables}
        assert sizes["messages"].before > 10_000
        assert sizes["messages"].after > 10_000
        assert found.bytes_before

    def test_contents_that_records_name_are_no_leftovers(self, store: Store) -> None:
        session = fill(store, 3)
        call = store.tool_calls.start(session, "read", {"path": "x"})
        store.tool_calls.finish(call.id, result="long result " * 20_000)
        store.contexts.build(session)
        assert unused_blobs(store._engine).said in (
            "every kept content belongs to a record",
            "nothing is kept apart from its record",
        )

    def test_contents_that_nothing_names_are_told_and_stay(self, store: Store) -> None:
        with store.transaction():
            store._engine.run(
                wilk.models.Blob.insert({"hash": "a" * 64, "data": "left", "size": 4, "created_at": 1})  # type: ignore[attr-defined]
            )
        found = step(store.maintain(["blobs"]), "blobs")
        assert found.said.startswith("1 kept contents (4 B) belong to no record")
        assert store._engine.execute("SELECT count(*) FROM blobs")[0][0] == 1


@pytest.mark.sqlite
class TestSqlite:
    def test_a_damaged_file_is_found_and_the_way_out_told(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            fill(store)
        (page, *_) = pages_of(file, "name = 'messages' AND pagetype = 'leaf'")
        overwrite(file, [page], random.Random(1))
        with wilk.open_store(f"sqlite:///{file}") as store:
            found = step(store.maintain(["integrity"]), "integrity")
        assert found.result == "found"
        assert "wilk recover" in found.said
        assert found.details

    @pytest.mark.parametrize("quick", [True, False])
    def test_an_index_that_lost_a_row_is_found_by_the_full_check(self, file: Path, quick: bool) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            fill(store, 20)
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("PRAGMA writable_schema = 1")
            connection.execute(
                "CREATE TABLE aside AS SELECT name, sql FROM sqlite_master WHERE name = 'facts_user_id_subject'"
            )
            connection.execute("UPDATE sqlite_master SET type = 'trash' WHERE 0")
            ((root,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages_id'")
            connection.execute("DROP TABLE aside")
        data = bytearray(file.read_bytes())
        data[(root - 1) * 4096 : root * 4096] = b"\x0a" + bytes(4) + (4096).to_bytes(2, "big") + bytes(4089)
        file.write_bytes(data)
        with wilk.open_store(f"sqlite:///{file}") as store:
            found = step(store.maintain(["integrity"], quick=quick), "integrity")
            assert found.result == ("ok" if quick else "found")
            store.maintain(["reindex"])
            assert step(store.maintain(["integrity"]), "integrity").result == "ok"

    def test_rows_without_parents_are_counted(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            session = fill(store, 5)
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("DELETE FROM sessions WHERE id = ?", (session,))
        with wilk.open_store(f"sqlite:///{file}") as store:
            found = step(store.maintain(quick=True), "foreign-keys")
        assert found.result == "found"
        assert "5 of messages refer to sessions" in found.details

    def test_full_text_that_differs_is_made_anew(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            fill(store, 5)
            store._engine.execute("INSERT INTO messages_fts(messages_fts) VALUES ('delete-all')")
            assert not store.search("Sentence", kinds=["message"])
            found = step(store.maintain(["full-text"]), "full-text")
            assert "messages_fts" in found.details[0]
            assert store.search("Sentence", kinds=["message"])

    @pytest.mark.slow
    def test_compacting_gives_free_pages_back(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            session = fill(store, 1000)
            with store.transaction():
                store._engine.execute("DELETE FROM messages WHERE session_id = ?", (session,))
                store._engine.execute("DELETE FROM archive")
            told = step(store.maintain(["vacuum"]), "vacuum")
            assert told.result == "found"
            assert "compact" in told.said
            found = store.maintain(["compact", "checkpoint"])
            assert found.bytes_before is not None
            assert found.bytes_after is not None
            assert found.bytes_after < found.bytes_before / 2
            assert found.free_after == 0

    def test_compacting_leaves_no_log_as_large_as_the_file(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            found = store.maintain(["compact"])
            assert step(found, "compact").result == "ok"
            assert file.with_name(f"{file.name}-wal").stat().st_size == 0

    def test_compacting_without_room_does_nothing(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            fill(store, 50)
            monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
            found = step(store.maintain(["compact"]), "compact")
        assert found.result == "skipped"
        assert "nothing was done" in found.said

    @pytest.mark.slow
    def test_a_file_with_auto_vacuum_gives_back_without_being_written_anew(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            session = fill(store, 300)
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode = delete")
            connection.execute("PRAGMA auto_vacuum = incremental")
            connection.execute("VACUUM")
        with wilk.open_store(f"sqlite:///{file}") as store:
            with store.transaction():
                store._engine.execute("DELETE FROM messages WHERE session_id = ?", (session,))
            found = step(store.maintain(["vacuum"]), "vacuum")
            assert "given back" in found.said
            assert store._engine.execute("PRAGMA freelist_count")[0][0] == 0

    def test_the_log_is_taken_over(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            fill(store, 100)
            assert file.with_name("wilk.db-wal").stat().st_size
            assert step(store.maintain(["checkpoint"]), "checkpoint").result == "ok"
            assert not file.with_name("wilk.db-wal").stat().st_size

    def test_a_reader_that_holds_the_log_back_is_told_of(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}?timeout=0.2") as store:
            fill(store, 10)
            with closing(sqlite3.connect(file)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM messages").fetchall()
                fill(store, 10)
                found = store.maintain(["checkpoint"])
                assert step(found, "checkpoint").result == "busy"
                assert found.result == "busy"
            assert step(store.maintain(["checkpoint"]), "checkpoint").result == "ok"

    def test_a_writer_makes_steps_busy_and_ends_none_of_the_others(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}?timeout=0.1") as store:
            fill(store, 10)
            with closing(sqlite3.connect(file, isolation_level=None)) as writer:
                writer.execute("BEGIN IMMEDIATE")
                found = store.maintain()
                writer.execute("ROLLBACK")
        results = {one.step: one.result for one in found.steps}
        assert results["reindex"] == "busy"
        assert results["integrity"] == results["blobs"] == "ok"

    @pytest.mark.slow
    def test_it_runs_while_others_write(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            session = fill(store, 50)
            stop, written = threading.Event(), []

            def write() -> None:
                while not stop.is_set():
                    written.append(store.messages.append(session, role="user", text="and on").id)
                store._engine.release()

            writer = threading.Thread(target=write)
            writer.start()
            try:
                found = store.maintain()
            finally:
                stop.set()
                writer.join()
            assert {one.result for one in found.steps} <= {"ok", "busy", "skipped"}
            assert {one.id for one in store.messages.last(session, len(written))} == set(written)
            assert step(store.maintain(["integrity"]), "integrity").result == "ok"

    def test_a_store_that_is_only_read_is_only_checked(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            fill(store, 5)
        with wilk.open_store(f"sqlite:///{file}", readonly=True) as store:
            results = {one.step: one.result for one in store.maintain().steps}
        assert results["integrity"] == results["foreign-keys"] == "ok"
        assert results["reindex"] == results["checkpoint"] == "skipped"

    def test_others_that_have_the_file_open_are_named(self, file: Path) -> None:
        with wilk.open_store(f"sqlite:///{file}") as store:
            fill(store, 1)
        assert holders(file) == ()


class TestFiles:
    pytestmark = pytest.mark.storeless

    def test_files_that_are_not_as_the_index_has_them_are_told(self, tmp_path: Path) -> None:
        base = tmp_path / "store"
        with wilk.open_store(f"files:///{base}") as store:
            user = store.users.save(name="Anna").id
            assert step(store.maintain(["tree"]), "tree").result == "ok"
            (changed,) = (path for path in base.rglob("*.json") if user in path.read_text())
            changed.write_text(changed.read_text().replace("Anna", "Ania"))
            found = step(store.maintain(["tree"]), "tree")
            assert found.result == "found"
            assert found.details == (
                f"{changed.relative_to(base).as_posix()}: it was changed, and is not taken over yet",
            )
            store.sync()
            assert step(store.maintain(["tree"]), "tree").result == "ok"

    @pytest.mark.slow
    def test_a_damaged_index_may_be_thrown_away(self, tmp_path: Path) -> None:
        base = tmp_path / "store"
        with wilk.open_store(f"files:///{base}") as store:
            fill(store, 100)
            index = store._backend.maintenance()._tree.index  # type: ignore[misc, attr-defined]
        pages = pages_of(index, "name = 'messages' AND pagetype = 'leaf'")
        overwrite(index, pages[1:2], random.Random(1))
        with wilk.open_store(f"files:///{base}") as store:
            found = step(store.maintain(["integrity"]), "integrity")
        assert found.result == "found"
        assert "nothing is lost by that" in found.said
