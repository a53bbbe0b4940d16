"""The reader of pages: equal to SQLite on sound files, and at its wits' end without a crash on others."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wilk.care.recovering import log
from wilk.care.recovering.image import Image
from wilk.care.recovering.layouts import Known
from wilk.care.recovering.pages import Unread, record, varint
from wilk.care.recovering.salvage import Salvage, Taken

pytestmark = pytest.mark.storeless

NOTHING = Known({}, [], {})
VALUES = (
    st.none()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=50)
    | st.text("ab", min_size=400, max_size=5000)
    | st.binary(max_size=3000)
)


def read(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table, by the reader."""
    image = Image(file)
    try:
        salvage = Salvage(image, NOTHING)
        return {
            name: sorted((one.number, *one.values) for one in salvage.rows(found) if isinstance(one, Taken))
            for name, found in salvage.tables.items()
        }
    finally:
        image.close()


@settings(max_examples=25, deadline=None)
@given(
    rows=st.dictionaries(
        st.integers(-(1 << 63), (1 << 63) - 1), st.tuples(VALUES, VALUES, VALUES), max_size=40
    ),
    size=st.sampled_from([512, 1024, 4096, 65536]),
    vacuum=st.booleans(),
    encoding=st.sampled_from(["UTF-8", "UTF-16le", "UTF-16be"]),
)
def test_it_reads_what_sqlite_reads(
    tmp_path_factory: pytest.TempPathFactory,
    rows: dict[int, tuple[Any, ...]],
    size: int,
    vacuum: bool,
    encoding: str,
) -> None:
    file = tmp_path_factory.mktemp("pages") / "x.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"PRAGMA page_size = {size}")
        connection.execute(f"PRAGMA auto_vacuum = {int(vacuum)}")
        connection.execute(f"PRAGMA encoding = '{encoding}'")
        connection.execute("CREATE TABLE things (a, b, c)")
        connection.executemany(
            "INSERT INTO things (rowid, a, b, c) VALUES (?, ?, ?, ?)",
            [(key, *row) for key, row in rows.items()],
        )
    with closing(sqlite3.connect(file)) as connection:
        wanted = connection.execute("SELECT rowid, * FROM things ORDER BY rowid").fetchall()
    image = Image(file)
    salvage = Salvage(image, NOTHING)
    found = [
        (one.number, *one.values) for one in salvage.rows(salvage.tables["things"]) if isinstance(one, Taken)
    ]
    image.close()
    assert sorted(found, key=lambda row: row[0]) == wanted
    assert salvage.faults == 0


def test_columns_that_came_later_have_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE things (id TEXT PRIMARY KEY, a INTEGER NOT NULL)")
        connection.execute("INSERT INTO things VALUES ('x', 1)")
        connection.execute("ALTER TABLE things ADD COLUMN b TEXT NOT NULL DEFAULT 'none'")
        connection.execute("ALTER TABLE things ADD COLUMN c REAL")
    assert read(file) == {"things": [(1, "x", 1, "none", None)]}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file with two tables, indexes, long values, and free pages."""
    file = tmp_path_factory.mktemp("sample") / "x.db"
    rng = random.Random(1)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA page_size = 512")
        connection.execute("CREATE TABLE things (id TEXT PRIMARY KEY, words TEXT, number REAL)")
        connection.execute("CREATE TABLE others (pk INTEGER NOT NULL PRIMARY KEY, data BLOB) ")
        connection.execute("CREATE INDEX by_words ON things (words)")
        for n in range(200):
            connection.execute(
                "INSERT INTO things VALUES (?, ?, ?)", (f"id {n}", "x" * rng.randint(1, 900), n)
            )
            connection.execute("INSERT INTO others VALUES (?, ?)", (n, rng.randbytes(rng.randint(1, 300))))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM things WHERE rowid % 3 = 0")
    return file


def _survives(file: Path) -> None:
    image = Image(file)
    try:
        if image.is_database:
            salvage = Salvage(image, NOTHING)
            for found in salvage.tables.values():
                for _ in salvage.rows(found):
                    pass
    finally:
        image.close()


@pytest.mark.parametrize("seed", range(25))
def test_no_damage_makes_it_crash_or_go_on_for_ever(sample: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    file = Path(shutil.copy(sample, tmp_path / "x.db"))
    data = bytearray(file.read_bytes())
    for _ in range(rng.choice([1, 5, 50, 500])):
        # Bytes of heads and of pointers are hit more often than those of texts.
        page = rng.randrange(len(data) // 512)
        place = page * 512 + (rng.randrange(12) if rng.random() < 0.6 else rng.randrange(512))
        data[place] = rng.choice([0, 1, 2, 5, 10, 13, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    if rng.random() < 0.3:
        del data[rng.randrange(len(data)) :]
    file.write_bytes(data)
    _survives(file)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 700))
def test_no_damage_at_all(sample: Path, tmp_path: Path, seed: int) -> None:
    test_no_damage_makes_it_crash_or_go_on_for_ever(sample, tmp_path, seed)


def test_a_tree_that_leads_back_to_itself_ends(sample: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(sample, tmp_path / "x.db"))
    data = bytearray(file.read_bytes())
    for page in range(len(data) // 512):
        start = page * 512
        if data[start] in (2, 5):  # its last child is itself, and so is every other one's
            data[start + 8 : start + 12] = (page + 1).to_bytes(4, "big")
    file.write_bytes(data)
    _survives(file)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), size=st.integers(0, 300))
def test_bytes_that_are_no_record_are_refused(data: bytes, size: int) -> None:
    try:
        values = record(data, size, "utf-8")
    except Unread:
        return
    assert len(values) <= len(data)


@given(value=st.integers(0, (1 << 64) - 1))
def test_numbers_of_all_lengths_are_read(value: int) -> None:
    assert varint(_varint(value) + b"rest", 0) == (value, len(_varint(value)))


def _varint(value: int) -> bytes:
    if value >= 1 << 56:
        high = value >> 8
        return bytes([high >> 7 * n & 0x7F | 0x80 for n in range(7, -1, -1)]) + bytes([value & 0xFF])
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F | 0x80)
    return bytes(reversed(groups))


@pytest.mark.parametrize("seed", range(20))
def test_no_log_makes_it_crash(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    file = tmp_path / "x.db"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("CREATE TABLE things (a)")
    for n in range(5):
        with connection:
            connection.execute("INSERT INTO things VALUES (?)", ("x" * 3000 * n,))
    wal = Path(shutil.copy(tmp_path / "x.db-wal", tmp_path / "copy-wal"))
    connection.close()
    data = bytearray(wal.read_bytes())
    whole = len(log.Log(wal)._frames)
    for _ in range(rng.choice([1, 3, 30])):
        data[rng.randrange(len(data) if rng.random() < 0.5 else 60)] = rng.randrange(256)
    del data[rng.randrange(len(data)) :]
    wal.write_bytes(data)
    assert len(log.Log(wal)._frames) <= whole
