"""Recovery: damaged in many ways, compared with the original row by row, and the losses counted."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.core.damage import (
    PAGE,
    build,
    columns,
    free_pages,
    overwrite,
    pages_of,
    places,
    rows_of,
)

import wilk
from wilk import BackendError, Conflict, NotFound, SchemaError
from wilk.care.recovering import ASIDE
from wilk.records.recovery import Recovered

pytestmark = pytest.mark.sqlite

SCHEMAS = Path(__file__).parent / "schemas"
COUNTS = ("message_count", "token_count", "last_sequence")


class Original:
    """The database as it was before anything happened to it."""

    def __init__(self, file: Path) -> None:
        build(file)
        self.file = file
        self.rows = rows_of(file)
        self.places = places(file)
        self.columns = columns(file)
        self.pages = file.stat().st_size // PAGE
        self.free = set(free_pages(file))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    return Original(tmp_path_factory.mktemp("original") / "wilk.db")


@pytest.fixture
def damaged(original: Original, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    folder = tmp_path / "place"
    folder.mkdir()
    return Path(shutil.copy(original.file, folder / "damaged.db"))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir(exist_ok=True)
    return folder / "new.db"


def aside_of(new: Path) -> list[dict[str, Any]]:
    file = new.with_name(new.name + ASIDE)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def compare(
    original: Original, new: Path, found: Recovered, bad: set[int], *, how: str = "random"
) -> dict[str, int]:
    """Check every row; return what is gone of each table.

    Rows on whole pages must be there as they were, or set aside; others too, but for those of which a page
    was exchanged for a sound one of another row, which nothing in the file can tell.
    """
    rows, aside = rows_of(new), aside_of(new)
    put = {(one["table"], one["row"]) for one in aside}
    tables = {one.table: one for one in found.tables}
    torn = any(
        t.made or (t.table in ("messages", "archive") and (t.lost or not t.exact)) for t in found.tables
    )
    gone = {}
    for table, known in original.rows.items():
        there = {number: row for number, row in rows[table].items() if not is_placeholder(row)}
        made = tables[table].made if table in tables else 0
        extra = there.keys() - known.keys()
        assert len(extra) <= made, (table, extra)
        # Its root may have been exchanged for a sound page of its own, and its index too.
        unknown = how == "other" and bool(bad & set(pages_of(original.file, _root_of(table))))
        for number, values in known.items():
            intact = not original.places[table][number] & bad
            if number not in there:
                assert not intact or (table, number) in put or unknown, (table, number)
            elif (table, number) not in put and (intact or how != "other"):
                compared = [
                    (column, one, other)
                    for column, one, other in zip(original.columns[table], values, there[number], strict=True)
                    if one != other and not (table == "sessions" and column in COUNTS and torn)
                ]
                assert not compared, (table, number, compared)
        gone[table] = len(known.keys() - there.keys())
        if table in tables and tables[table].exact and not made and not unknown:
            assert tables[table].lost == gone[table], table
    return {table: count for table, count in gone.items() if count}


def _root_of(table: str) -> str:
    return f"path = '/' AND name = '{table}'"


def is_placeholder(row: tuple[Any, ...]) -> bool:
    return '{"recovered":["all of it: the row was lost"]}' in row


def is_sound(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as connection:
        sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return sound and not connection.execute("PRAGMA foreign_key_check").fetchall()


def leaves(original: Original, table: str) -> list[int]:
    return pages_of(original.file, f"name = '{table}' AND pagetype = 'leaf'")


class TestHealthy:
    def test_a_healthy_file_is_copied_row_by_row(self, original: Original, damaged: Path, new: Path) -> None:
        found = wilk.recover(damaged, new)
        assert found.healthy
        assert rows_of(new) == original.rows

    def test_the_damaged_file_and_its_folder_stay_as_they_were(self, damaged: Path, new: Path) -> None:
        overwrite(damaged, [40], random.Random(1))
        before, modified = damaged.read_bytes(), damaged.stat().st_mtime_ns
        wilk.recover(damaged, new)
        assert new.stat().st_mode & 0o777 == 0o600
        assert damaged.read_bytes() == before
        assert damaged.stat().st_mtime_ns == modified
        assert {file.name for file in damaged.parent.iterdir()} <= {
            "damaged.db",
            "new.db",
            "new.db" + ASIDE,
        }


class TestPages:
    @pytest.mark.parametrize(
        "how", ["random", *(pytest.param(how, marks=pytest.mark.slow) for how in ("zero", "other"))]
    )
    def test_rows_on_whole_pages_come_back_and_no_removed_one_does(
        self, original: Original, damaged: Path, new: Path, how: str
    ) -> None:
        rng = random.Random(f"quick {how}")
        bad = rng.sample(range(2, original.pages + 1), 12)
        overwrite(damaged, bad, rng, how)
        found = wilk.recover(damaged, new)
        compare(original, new, found, set(bad), how=how)
        assert is_sound(new)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(40))
    def test_rows_on_whole_pages_come_back_whatever_is_hit(
        self, original: Original, damaged: Path, new: Path, seed: int
    ) -> None:
        rng = random.Random(seed)
        bad = rng.sample(range(1, original.pages + 1), rng.choice([1, 2, 5, 12, 30, 80]))
        how = ("random", "zero", "other")[seed % 3]
        overwrite(damaged, bad, rng, how)
        found = wilk.recover(damaged, new)
        compare(original, new, found, set(bad), how=how)
        assert is_sound(new)

    def test_a_lost_page_of_messages_costs_its_rows_and_no_other(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        page = leaves(original, "messages")[3]
        mine = {number for number, on in original.places["messages"].items() if page in on}
        overwrite(damaged, [page], random.Random(2))
        found = wilk.recover(damaged, new)
        table = next(one for one in found.tables if one.table == "messages")
        assert original.rows["messages"].keys() - rows_of(new)["messages"].keys() == mine
        assert (table.lost, table.exact) == (len(mine), True)

    @pytest.mark.slow
    def test_the_ids_of_lost_rows_are_told(self, original: Original, damaged: Path, new: Path) -> None:
        page = leaves(original, "messages")[3]
        overwrite(damaged, [page], random.Random(2))
        table = next(one for one in wilk.recover(damaged, new).tables if one.table == "messages")
        ids = {
            original.rows["messages"][number][1]
            for number, on in original.places["messages"].items()
            if page in on
        }
        assert set(table.names) == ids

    def test_sessions_that_lost_messages_are_named_and_count_what_they_have(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        overwrite(damaged, leaves(original, "messages")[3:5], random.Random(2))
        found = wilk.recover(damaged, new)
        assert found.sessions
        with wilk.open_store(f"sqlite:///{new}") as store:
            for one in found.sessions:
                assert store.sessions.get(one.id).message_count == one.found < one.said

    def test_a_lost_root_leaves_every_row_that_hung_on_it(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        roots = pages_of(original.file, "path = '/' AND name IN ('messages', 'facts', 'memories')")
        overwrite(damaged, roots, random.Random(3))
        found = wilk.recover(damaged, new)
        assert compare(original, new, found, set(roots)) == {}
        assert sum(one.scavenged for one in found.tables) > 300

    @pytest.mark.slow
    def test_a_page_that_lies_in_anothers_place_is_not_taken_for_its(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        data = bytearray(damaged.read_bytes())
        there, other = leaves(original, "facts")[1], leaves(original, "memories")[0]
        data[(there - 1) * PAGE : there * PAGE] = data[(other - 1) * PAGE : other * PAGE]
        damaged.write_bytes(data)
        found = wilk.recover(damaged, new)
        assert compare(original, new, found, {there})["facts"] > 0

    def test_lost_sessions_get_placeholders_and_keep_their_messages(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        overwrite(damaged, leaves(original, "sessions"), random.Random(4))
        found = wilk.recover(damaged, new)
        table = next(one for one in found.tables if one.table == "sessions")
        assert table.rows == 0 < table.made
        assert rows_of(new)["messages"].keys() == original.rows["messages"].keys()
        with wilk.open_store(f"sqlite:///{new}") as store:
            made = max(store.sessions.list(limit=100), key=lambda one: one.message_count)
            assert made.name == f"recovered {made.id}"
            assert made.message_count >= len(store.messages.last(made.id, 1000)) > 0
            store.messages.append(made.id, role="user", text="It goes on")

    def test_a_long_text_whose_end_is_lost_keeps_its_beginning(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        number, chain = next(
            (number, on) for number, on in original.places["messages"].items() if len(on) > 2
        )
        (leaf,) = chain & set(leaves(original, "messages"))
        last = max(chain - {leaf})
        overwrite(damaged, [last], random.Random(5), "zero")
        wilk.recover(damaged, new)
        text = original.columns["messages"].index("text")
        place = original.columns["messages"].index("metadata")
        row = rows_of(new)["messages"][number]
        whole = original.rows["messages"][number][text]
        assert whole.startswith(row[text])
        assert 0 < len(row[text]) < len(whole)
        assert "text: its end is lost" in json.loads(row[place])["recovered"]
        assert aside_of(new)[0]["row"] == number

    def test_nothing_in_memory_of_free_pages_comes_back_when_their_list_is_lost(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        roots = pages_of(original.file, "path = '/' AND name = 'messages'")
        overwrite(damaged, roots, random.Random(6))
        data = bytearray(damaged.read_bytes())
        data[32:40] = bytes(8)  # the head of the list of free pages, and its length
        data[36:40] = (3).to_bytes(4, "big")
        damaged.write_bytes(data)
        found = wilk.recover(damaged, new)
        assert any("list of free pages" in note for note in found.notes)
        assert compare(original, new, found, set(roots)) == {}


class TestHeaderAndSchema:
    @pytest.mark.slow
    def test_a_header_of_zeros_costs_no_row(self, original: Original, damaged: Path, new: Path) -> None:
        data = bytearray(damaged.read_bytes())
        data[:100] = bytes(100)
        damaged.write_bytes(data)
        found = wilk.recover(damaged, new)
        assert compare(original, new, found, set()) == {}
        assert any("header" in note for note in found.notes)

    def test_a_first_page_of_zeros_costs_no_row(self, original: Original, damaged: Path, new: Path) -> None:
        overwrite(damaged, [1], random.Random(1), "zero")
        assert compare(original, new, wilk.recover(damaged, new), {1}) == {}

    @pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 8))])
    def test_a_lost_page_of_the_schema_costs_no_row(
        self, original: Original, damaged: Path, new: Path, seed: int
    ) -> None:
        pages = pages_of(original.file, "name = 'sqlite_schema' AND pagetype = 'leaf'")
        rng = random.Random(seed)
        bad = rng.sample(pages, 2)
        overwrite(damaged, bad, rng)
        found = wilk.recover(damaged, new)
        assert compare(original, new, found, set(bad)) == {}
        assert any("list of tables" in note for note in found.notes)

    def test_the_whole_schema_may_be_lost(self, original: Original, damaged: Path, new: Path) -> None:
        bad = pages_of(original.file, "name = 'sqlite_schema'")
        overwrite(damaged, bad, random.Random(8))
        found = wilk.recover(damaged, new)
        compare(original, new, found, set(bad))
        tables = {one.table: one for one in found.tables}
        assert tables["messages"].rows == len(original.rows["messages"])

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [1024, 16384])
    def test_pages_of_another_size_are_found_without_a_header(
        self, original: Original, tmp_path: Path, new: Path, size: int
    ) -> None:
        damaged = tmp_path / "other.db"
        with closing(sqlite3.connect(original.file)) as one, closing(sqlite3.connect(damaged)) as other:
            other.execute(f"PRAGMA page_size = {size}")
            other.execute("VACUUM")
            one.execute("VACUUM INTO ?", (str(tmp_path / "into.db"),))
        with closing(sqlite3.connect(tmp_path / "into.db")) as connection:
            connection.execute(f"PRAGMA page_size = {size}")
            connection.execute("VACUUM")
        damaged = tmp_path / "into.db"
        data = bytearray(damaged.read_bytes())
        data[:100] = bytes(100)
        damaged.write_bytes(data)
        found = wilk.recover(damaged, new)
        assert rows_of(new)["messages"] == original.rows["messages"]
        assert not found.lost


class TestTruncated:
    @pytest.mark.parametrize("part", [0.3, pytest.param(0.9, marks=pytest.mark.slow)])
    def test_what_is_left_of_a_truncated_file_comes_back(
        self, original: Original, damaged: Path, new: Path, part: float
    ) -> None:
        self._cut(original, damaged, new, int(original.pages * PAGE * part))

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(25))
    def test_at_any_length(self, original: Original, damaged: Path, new: Path, seed: int) -> None:
        self._cut(original, damaged, new, random.Random(seed).randrange(60 * PAGE, original.pages * PAGE))

    def _cut(self, original: Original, damaged: Path, new: Path, length: int) -> None:
        with damaged.open("r+b") as opened:
            opened.truncate(length)
        found = wilk.recover(damaged, new)
        compare(original, new, found, set(range(length // PAGE + 1, original.pages + 1)))
        assert is_sound(new)

    def test_an_empty_file_is_refused(self, tmp_path: Path, new: Path) -> None:
        empty = tmp_path / "empty.db"
        empty.touch()
        with pytest.raises(BackendError, match="no SQLite database"):
            wilk.recover(empty, new)


class TestValues:
    def _message(self, original: Original) -> tuple[int, str]:
        number = next(number for number, on in original.places["messages"].items() if len(on) == 1)
        return number, original.rows["messages"][number][original.columns["messages"].index("text")]

    def _recovered(self, original: Original, new: Path, number: int) -> dict[str, Any]:
        return dict(zip(original.columns["messages"], rows_of(new)["messages"][number], strict=True))

    def test_text_that_is_not_utf_8_comes_over_with_a_mark(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        number, text = self._message(original)
        with closing(sqlite3.connect(damaged)) as connection, connection:
            connection.execute(
                "UPDATE messages SET text = CAST(? AS TEXT) WHERE pk = ?",
                (b"caf\xe9 " + text.encode(), number),
            )
        overwrite(damaged, leaves(original, "facts")[1:2], random.Random(1))
        wilk.recover(damaged, new)
        row = self._recovered(original, new, number)
        assert row["text"] == "caf� " + text
        assert json.loads(row["metadata"])["recovered"][0].startswith("text: it is not UTF-8")
        assert "base64" in next(one for one in aside_of(new) if one["row"] == number)["values"]["text"]

    def test_json_that_is_broken_is_left_out_and_kept_aside(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        number, _ = self._message(original)
        with closing(sqlite3.connect(damaged)) as connection, connection:
            connection.execute("UPDATE messages SET parts = '[{\"type\": ' WHERE pk = ?", (number,))
        overwrite(damaged, leaves(original, "facts")[1:2], random.Random(1))
        found = wilk.recover(damaged, new)
        assert self._recovered(original, new, number)["parts"] is None
        assert next(one for one in aside_of(new) if one["row"] == number)["values"]["parts"] == '[{"type": '
        assert next(one for one in found.tables if one.table == "messages").changed == 1

    @pytest.mark.slow
    def test_full_text_and_passages_are_made_again(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        bad = pages_of(original.file, "name LIKE 'messages_fts_data' OR name = 'passages'")
        overwrite(damaged, bad, random.Random(1))
        found = wilk.recover(damaged, new)
        assert found.lost == 0
        with wilk.open_store(f"sqlite:///{new}") as store:
            assert store.search("Sentence", kinds=["message"])
            assert store.search("remembered", kinds=["memory"])

    def test_tables_of_plugins_that_are_not_there_come_over(
        self, original: Original, damaged: Path, new: Path
    ) -> None:
        with closing(sqlite3.connect(damaged)) as connection, connection:
            connection.execute("CREATE TABLE somebodys (id TEXT PRIMARY KEY, number INTEGER NOT NULL)")
            connection.execute("CREATE TABLE paired (a TEXT, b TEXT, c, PRIMARY KEY (b, a)) WITHOUT ROWID")
            connection.execute("INSERT INTO somebodys VALUES ('one', 1), ('two', 2)")
            connection.execute("INSERT INTO paired VALUES ('x', 'y', 3.5), ('p', 'q', NULL)")
        overwrite(damaged, leaves(original, "facts")[1:2], random.Random(1))
        wilk.recover(damaged, new)
        with closing(sqlite3.connect(new)) as connection:
            assert connection.execute("SELECT * FROM somebodys ORDER BY 1").fetchall() == [
                ("one", 1),
                ("two", 2),
            ]
            assert connection.execute("SELECT * FROM paired ORDER BY 1").fetchall() == [
                ("p", "q", None),
                ("x", "y", 3.5),
            ]


class TestEarlierSchemas:
    @pytest.mark.slow
    @pytest.mark.parametrize("schema", sorted(file.stem for file in SCHEMAS.glob("*.db")))
    def test_a_database_of_an_earlier_release_is_recovered_and_migrated(
        self, tmp_path: Path, new: Path, schema: str
    ) -> None:
        damaged = Path(shutil.copy(SCHEMAS / f"{schema}.db", tmp_path / "damaged.db"))
        whole = Path(shutil.copy(damaged, tmp_path / "whole.db"))
        with wilk.open_store(f"sqlite:///{whole}"):
            pass
        roots = pages_of(damaged, "path = '/' AND name IN ('agents', 'sqlite_autoindex_agents_1')")
        overwrite(damaged, roots, random.Random(1), size=512)
        wilk.recover(damaged, new)
        rows, wanted = rows_of(new), rows_of(whole)
        for table in wanted.keys() - {"agents"}:
            assert rows[table] == wanted[table], table


class TestLog:
    """The write-ahead log beside the file."""

    @pytest.fixture
    def busy(self, tmp_path: Path) -> Path:
        """A copy of a file and its log, taken while the store was open."""
        file = tmp_path / "open" / "wilk.db"
        with wilk.open_store(f"sqlite:///{file}") as store:
            session = store.sessions.create(name="first").id
            with store.transaction():
                for n in range(50):
                    store.messages.append(session, role="user", text=f"before {n}")
            store._engine.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for n in range(50):
                store.messages.append(session, role="user", text=f"after {n}")
            for name in ("", "-wal"):
                shutil.copy(file.with_name(file.name + name), tmp_path / f"damaged.db{name}")
        return tmp_path / "damaged.db"

    def _texts(self, file: Path) -> list[str]:
        with closing(sqlite3.connect(file)) as connection:
            return [text for (text,) in connection.execute("SELECT text FROM messages ORDER BY pk")]

    def test_what_only_the_log_holds_comes_over(self, busy: Path, new: Path) -> None:
        assert wilk.recover(busy, new).healthy
        assert len(self._texts(new)) == 100

    def test_with_a_damaged_file_too(self, busy: Path, new: Path) -> None:
        overwrite(busy, [1], random.Random(1), "zero")
        wilk.recover(busy, new)
        assert len(self._texts(new)) == 100

    def test_without_the_log_what_was_before_it_comes_over(self, busy: Path, new: Path) -> None:
        busy.with_name("damaged.db-wal").unlink()
        wilk.recover(busy, new)
        assert self._texts(new) == [f"before {n}" for n in range(50)]

    def test_a_log_that_is_cut_off_counts_up_to_its_last_commit(self, busy: Path, new: Path) -> None:
        log = busy.with_name("damaged.db-wal")
        log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
        wilk.recover(busy, new)
        texts = self._texts(new)
        assert 50 < len(texts) < 100
        assert texts == [f"before {n}" for n in range(50)] + [f"after {n}" for n in range(len(texts) - 50)]

    def test_a_log_that_is_damaged_counts_up_to_the_damage(self, busy: Path, new: Path) -> None:
        log = busy.with_name("damaged.db-wal")
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 0x55
        log.write_bytes(data)
        found = wilk.recover(busy, new)
        assert 50 < len(self._texts(new)) < 100
        assert any("frames of the write-ahead log were left out" in note for note in found.notes)

    def test_a_log_of_another_file_is_left_out(self, original: Original, busy: Path, new: Path) -> None:
        damaged = busy.with_name("other.db")
        shutil.copy(original.file, damaged)
        shutil.copy(busy.with_name("damaged.db-wal"), damaged.with_name("other.db-wal"))
        found = wilk.recover(damaged, new)
        assert rows_of(new) == original.rows
        assert any("does not belong" in note for note in found.notes)

    def test_a_log_that_is_none_is_left_out(self, original: Original, damaged: Path, new: Path) -> None:
        damaged.with_name("damaged.db-wal").write_bytes(random.Random(1).randbytes(20_000))
        found = wilk.recover(damaged, new)
        assert rows_of(new) == original.rows
        assert any("not that of a log" in note for note in found.notes)


def test_a_transaction_that_its_journal_tells_of_is_undone(
    original: Original, tmp_path: Path, new: Path
) -> None:
    file, damaged = Path(shutil.copy(original.file, tmp_path / "busy.db")), new.with_name("damaged.db")
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = delete")
        connection.execute("PRAGMA cache_size = 5")  # so that pages are written before the commit
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE facts SET predicate = predicate || ' no more'")
        connection.execute("UPDATE archive SET reason = 'half done'")
        shutil.copy(file, damaged)
        shutil.copy(file.with_name("busy.db-journal"), damaged.with_name("damaged.db-journal"))
        connection.execute("ROLLBACK")
    assert damaged.read_bytes() != original.file.read_bytes()
    found = wilk.recover(damaged, new)
    assert rows_of(new) == original.rows
    assert any("undone" in note for note in found.notes)


class TestRefusals:
    def test_a_new_file_that_is_there_is_left_alone(self, damaged: Path, new: Path) -> None:
        new.write_text("mine")
        with pytest.raises(Conflict, match="is there already"):
            wilk.recover(damaged, new)
        assert new.read_text() == "mine"

    def test_a_file_that_is_not_there(self, tmp_path: Path, new: Path) -> None:
        with pytest.raises(NotFound):
            wilk.recover(tmp_path / "none.db", new)

    def test_an_encrypted_file_is_refused(self, tmp_path: Path, new: Path) -> None:
        file = tmp_path / "secret.db"
        file.write_bytes(random.Random(9).randbytes(400_000))
        with pytest.raises(BackendError, match="encrypted, or of another kind"):
            wilk.recover(file, new)
        assert not new.exists()

    @pytest.mark.parametrize("torn", [False, True])
    def test_another_programs_database_is_refused(self, tmp_path: Path, new: Path, torn: bool) -> None:
        file = tmp_path / "theirs.db"
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("CREATE TABLE songs (title TEXT, artist TEXT)")
            connection.executemany("INSERT INTO songs VALUES (?, ?)", [("a" * 50, "b" * 50)] * 500)
        if torn:
            overwrite(file, [4], random.Random(1))
        with pytest.raises(SchemaError, match="no table of wilk's"):
            wilk.recover(file, new)

    def test_a_newer_wilks_database_is_refused(self, original: Original, damaged: Path, new: Path) -> None:
        with closing(sqlite3.connect(damaged)) as connection, connection:
            connection.execute("UPDATE wilk_migrations SET name = '9999_later' WHERE name LIKE '0001%'")
        overwrite(damaged, leaves(original, "facts")[1:2], random.Random(1))
        with pytest.raises(SchemaError, match="newer wilk"):
            wilk.recover(damaged, new)

    def test_the_folder_of_a_store_on_files_is_told_its_own_way(self, tmp_path: Path, new: Path) -> None:
        with pytest.raises(Conflict, match="can be thrown away"):
            wilk.recover(tmp_path, new)

    @pytest.mark.slow
    def test_a_full_disk_leaves_nothing_behind(self, damaged: Path, new: Path) -> None:
        overwrite(damaged, [40], random.Random(1))
        code = (
            "import resource, signal, sys, wilk\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)\n"
            "try:\n    wilk.recover(sys.argv[1], sys.argv[2])\n"
            "except wilk.BackendError as error:\n    print(error)\n"
        )
        before = damaged.read_bytes()
        size = damaged.stat().st_size
        for room in (size // 2, size * 9 // 10, size + 4 * PAGE):
            done = subprocess.run(
                [sys.executable, "-c", code, str(damaged), str(new), str(room)],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            left = {file.name for file in damaged.parent.iterdir()}
            if "could not be recovered" in done.stdout or "cannot be copied" in done.stdout:
                assert left == {"damaged.db"}
            else:
                assert not done.stdout
                assert left >= {"damaged.db", "new.db"}
                assert is_sound(new)
        assert damaged.read_bytes() == before

    def test_a_file_that_cannot_be_written_at_all(self, damaged: Path, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="folder"):
            wilk.recover(damaged, tmp_path / "nowhere" / "new.db")


def test_progress_is_told(original: Original, damaged: Path, new: Path) -> None:
    overwrite(damaged, leaves(original, "facts")[1:2], random.Random(1))
    told: list[Any] = []
    wilk.recover(damaged, new, progress=told.append)
    assert told
    assert all(0 <= one.done <= one.of for one in told)
