"""Sources: files, folders and ZIPs of strangers, and databases that are in use."""

from __future__ import annotations

import gzip
import os
import socket
import sqlite3
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.transfer.reading import folders, sources, unpacking
from wilk.transfer.reading.sources import Source

pytestmark = [pytest.mark.storeless, pytest.mark.filterwarnings("ignore:Duplicate name")]


@pytest.fixture
def source() -> Iterator[Callable[..., Source]]:
    opened: list[Source] = []

    def make(*places: Path | str) -> Source:
        opened.append(Source(list(places)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def zipped(
    path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], packed: int = zipfile.ZIP_DEFLATED
) -> Path:
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def contents(source: Source) -> dict[str, bytes]:
    found = {}
    for file in source.files:
        with file.open() as opened:
            found[file.name] = opened.read()
    return found


# -- ZIPs -----------------------------------------------------------------------------------------


def test_names_that_lead_elsewhere_lead_nowhere(tmp_path: Path, source: Any) -> None:
    names = [
        "../../up.json", "/etc/passwd", "C:\\Windows\\win.ini", "..\\..\\back.json", "a/./b/../c.json", "NUL",
        "bell\x07\x1b[31m.json", "\\\\server\\share\\x.json", "....//up2.json",
    ]  # fmt: skip
    made = zipped(tmp_path / "bad.zip", *[(zipfile.ZipInfo(name), b"{}") for name in names])
    before = sorted(tmp_path.iterdir())
    opened = source(made)
    assert [file.name for file in opened.files] == sorted([
        "up.json", "etc/passwd", "Windows/win.ini", "back.json", "a/b/c.json", "NUL",
        "bell\ufffd\ufffd[31m.json", "server/share/x.json", "..../up2.json",
    ])  # fmt: skip
    assert set(contents(opened).values()) == {b"{}"}
    assert sorted(tmp_path.iterdir()) == before
    assert all(file.path is None for file in opened.files)


def test_a_name_is_cut_at_its_nul(tmp_path: Path, source: Any) -> None:
    made = zipped(tmp_path / "nul.zip", ("conversationsX.json", b"{}"))
    made.write_bytes(made.read_bytes().replace(b"conversationsX.json", b"conversations\0.json"))
    (file,) = source(made).files
    assert file.name == "conversations"


def test_members_of_one_name_are_all_read_and_told(tmp_path: Path, source: Any) -> None:
    made = zipped(tmp_path / "two.zip", ("a/conversations.json", b"1"), ("a/conversations.json", b"2"))
    opened = source(made)
    found = opened.find("conversations*.json")
    assert sorted(file.head() for file in found) == [b"1", b"2"]
    assert opened.remarks == ["two.zip holds a/conversations.json 2 times; all of them are read"]


def test_parts_of_an_export_come_in_the_order_of_their_names(tmp_path: Path, source: Any) -> None:
    names = [f"export/conversations-{number:03}.json" for number in (2, 0, 10, 1)]
    made = zipped(tmp_path / "x.zip", *[(name, b"[]") for name in names], ("user.json", b"{}"))
    assert [file.name for file in source(made).find("conversations*.json")] == sorted(names)


def test_links_in_a_zip_are_left_out_and_told(tmp_path: Path, source: Any) -> None:
    link = zipfile.ZipInfo("passwd")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    opened = source(zipped(tmp_path / "x.zip", (link, b"/etc/passwd"), ("a.json", b"{}")))
    assert [file.name for file in opened.files] == ["a.json"]
    assert opened.remarks == ["x.zip: passwd is a link; it is left out"]


def test_what_a_mac_adds_is_no_part_of_it(tmp_path: Path, source: Any) -> None:
    made = zipped(
        tmp_path / "x.zip", ("__MACOSX/._a.json", b"x"), (".DS_Store", b"x"), ("a.json", b"{}"), ("d/", b"")
    )
    assert [file.name for file in source(made).files] == ["a.json"]


def test_an_encrypted_member_is_refused_with_what_to_do(tmp_path: Path, source: Any) -> None:
    made = zipped(tmp_path / "x.zip", ("a.json", b"{}"))
    data = bytearray(made.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    made.write_bytes(data)
    with pytest.raises(wilk.Invalid, match=r"a.json in x.zip is encrypted; unpack it with its password"):
        source(made).files[0].head()


def test_a_way_of_packing_that_python_does_not_know_is_told(tmp_path: Path, source: Any) -> None:
    made = zipped(tmp_path / "x.zip", ("a.json", b"{}"))
    data = bytearray(made.read_bytes())
    struct.pack_into("<H", data, data.index(b"PK\x03\x04") + 8, 97)
    struct.pack_into("<H", data, data.index(b"PK\x01\x02") + 10, 97)
    made.write_bytes(data)
    with pytest.raises(wilk.Invalid, match="unpack it and import the folder"):
        source(made).files[0].head()


def test_a_zip_bomb_is_refused_before_it_is_read(
    tmp_path: Path, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wilk.transfer.reading.zips.ALWAYS_FINE", 2**20)
    made = zipped(tmp_path / "x.zip", *[(f"{number}.json", bytes(2**19)) for number in range(3)])
    with pytest.raises(wilk.Invalid, match="over 200 times its size"):
        _ = source(made).files


@pytest.mark.parametrize("inner", ["plain", "gzip in a zip", "gzip of gzip"])
def test_what_unpacks_to_too_much_stops(
    inner: str, tmp_path: Path, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "ALWAYS_FINE", 2**20)
    bomb = gzip.compress(bytes(2**24))
    if inner == "plain":
        made = tmp_path / "x.gz"
        made.write_bytes(bomb)
    elif inner == "gzip in a zip":
        made = zipped(tmp_path / "x.zip", ("a.gz", bomb))
    else:
        made = tmp_path / "x.gz"
        made.write_bytes(gzip.compress(bomb))
    (file,) = source(made).files
    if inner == "gzip of gzip":  # it is unpacked once
        with file.open() as opened:
            assert opened.read() == bomb
        return
    with file.open() as opened, pytest.raises(wilk.Invalid, match="unpacks to over 200 times its size"):
        while opened.read(2**16):
            pass


def test_a_zip_within_a_zip_is_not_opened(tmp_path: Path, source: Any) -> None:
    inner = zipped(tmp_path / "inner.zip", ("a.json", b"{}"))
    (file,) = source(zipped(tmp_path / "x.zip", ("inner.zip", inner.read_bytes()))).files
    assert file.name == "inner.zip"
    assert file.head() == inner.read_bytes()


def test_members_that_overlap_are_refused(tmp_path: Path, source: Any) -> None:
    made = zipped(
        tmp_path / "x.zip", ("a.json", b"x" * 1000), ("b.json", b"y" * 1000), packed=zipfile.ZIP_STORED
    )
    data = bytearray(made.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    struct.pack_into("<I", data, second + 42, 10)
    made.write_bytes(data)
    with pytest.raises(wilk.Invalid, match="members of it overlap"):
        _ = source(made).files


@pytest.mark.parametrize("cut", [10, 60, -1, -30])
def test_a_damaged_zip_is_told_as_such(cut: int, tmp_path: Path, source: Any) -> None:
    made = zipped(tmp_path / "x.zip", ("conversations.json", b"[]" * 100))
    made.write_bytes(made.read_bytes()[:cut])
    with pytest.raises(wilk.Invalid, match=r"x.zip is no sound ZIP .*download or pack it again"):
        _ = source(made).files


def test_a_member_that_is_damaged_ends_early_and_is_told(tmp_path: Path, source: Any) -> None:
    made = zipped(tmp_path / "x.zip", ("a.json", os.urandom(300_000)), packed=zipfile.ZIP_STORED)
    data = bytearray(made.read_bytes())
    data[150_000] ^= 1
    made.write_bytes(data)
    opened = source(made)
    assert len(contents(opened)["a.json"]) >= 262_144
    assert opened.remarks == ["a.json: it is damaged (BadZipFile); what could be unpacked is read"]


def test_an_empty_zip_has_no_files(tmp_path: Path, source: Any) -> None:
    assert source(zipped(tmp_path / "x.zip")).files == []


# -- gzip -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "read", "remark"),
    [
        (gzip.compress(b"one") + gzip.compress(b"two"), b"onetwo", None),
        (gzip.compress(b"one") + b"\0\0\0\0", b"one", None),
        (gzip.compress(b"one") + b"garbage", b"one", "something follows its end"),
        (gzip.compress(b"one" * 1000)[:-12], None, "it is cut off"),
        (gzip.compress(b"one")[:5], b"", "it is cut off"),
        (gzip.compress(b"one" * 9)[:10] + b"\xff" * 20, b"", "it is damaged"),
    ],
    ids=["two members", "padding", "garbage", "cut off", "cut off at once", "damaged"],
)
def test_gzip_is_read_as_far_as_it_goes(
    data: bytes, read: bytes | None, remark: str | None, tmp_path: Path, source: Any
) -> None:
    (tmp_path / "a.json.gz").write_bytes(data)
    opened = source(tmp_path)
    found = contents(opened)["a.json.gz"]
    assert found == read if read is not None else (b"one" * 1000).startswith(found)
    assert len(opened.remarks) == (remark is not None)
    if remark is not None:
        assert opened.remarks[0].startswith(f"a.json.gz: {remark}")


def test_progress_is_told_in_bytes_of_the_packed_file(tmp_path: Path, source: Any) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(os.urandom(2**20)))
    (file,) = source(tmp_path).files
    places: list[int] = []
    with file.open(places.append) as opened:
        opened.read()
    assert places == sorted(places)
    assert places[-1] == file.size


# -- folders --------------------------------------------------------------------------------------


def test_only_regular_files_of_a_folder_are_opened(tmp_path: Path, source: Any) -> None:
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.json").write_bytes(b"{}")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "b.json").write_bytes(b"secret")
    os.mkfifo(folder / "pipe.json")
    listening = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(folder)  # names of sockets are short
    try:
        listening.bind("socket.json")
    finally:
        os.chdir(before)
    (folder / "out.json").symlink_to(tmp_path / "secret" / "b.json")
    (folder / "outside").symlink_to(tmp_path / "secret")
    (folder / "in.json").symlink_to(folder / "sub" / "a.json")
    (folder / "round").symlink_to(folder)
    (folder / "nowhere").symlink_to("nothing")
    opened = source(folder)
    try:
        assert contents(opened) == {"sub/a.json": b"{}"}
        assert [remark.split(":")[0] for remark in opened.remarks] == [
            "nowhere", "out.json", "outside", "pipe.json", "socket.json"
        ]  # fmt: skip
    finally:
        listening.close()


def test_a_link_that_is_named_is_followed(tmp_path: Path, source: Any) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a.json").write_bytes(b"{}")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    assert [file.name for file in source(tmp_path / "link").files] == ["a.json"]


def test_a_device_is_no_source(source: Any) -> None:
    with pytest.raises(wilk.Invalid, match="neither a file nor a folder"):
        _ = source("/dev/zero").files


def test_a_folder_of_too_many_files_is_refused_and_none_left_out(
    tmp_path: Path, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        (tmp_path / f"{number}.json").touch()
    monkeypatch.setattr(folders, "MOST_FILES", 30)
    assert len(source(tmp_path).files) == 30
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.json").touch()
    with pytest.raises(wilk.Invalid, match="over 30 files"):
        _ = source(tmp_path).files


def test_a_file_that_may_not_be_read_is_told_and_the_others_are_read(
    tmp_path: Path, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    (tmp_path / "shut.json").write_bytes(b"{}")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "shut" not in str(path) and access(path, mode))
    opened = source(tmp_path)
    assert list(contents(opened)) == ["a.json"]
    assert opened.remarks == ["shut.json: it may not be read; it is left out"]


def test_a_file_that_goes_away_is_an_error_that_names_it(tmp_path: Path, source: Any) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    opened = source(tmp_path)
    (file,) = opened.files
    (tmp_path / "a.json").unlink()
    with pytest.raises(wilk.Invalid, match=r"a.json cannot be read: No such file"):
        file.open()
    assert opened.databases() == []


def test_names_that_are_no_text_are_shown_as_such(tmp_path: Path, source: Any) -> None:
    path = os.fsencode(tmp_path) + b"/a\xff\x1b.json"
    Path(os.fsdecode(path)).write_bytes(b"{}")
    (file,) = source(tmp_path).files
    assert file.name == "a\ufffd\ufffd.json"
    assert file.head() == b"{}"


def test_what_is_not_there_is_not_found(tmp_path: Path, source: Any) -> None:
    with pytest.raises(wilk.NotFound, match="no file or folder"):
        _ = source(tmp_path / "nothing").files


# -- SQLite ---------------------------------------------------------------------------------------


def filled(path: Path, *, mode: str = "wal", rows: int = 100) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute("CREATE TABLE logs (id INTEGER PRIMARY KEY, text)")
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO logs (text) VALUES (?)", [(f"log {number}",) for number in range(rows)]
    )
    connection.execute("COMMIT")
    return connection


def state(folder: Path) -> dict[str, bytes]:
    """Every byte of a folder but the index of a WAL, in which those who read take part."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


def count(source: Source) -> int:
    (file,) = source.databases()
    with source.database(file) as connection:
        return int(connection.execute("SELECT count(*) FROM logs").fetchone()[0])


def test_a_database_with_a_live_wal_is_read_whole_and_not_changed(tmp_path: Path, source: Any) -> None:
    writer = filled(tmp_path / "logs.db")
    before = state(tmp_path)
    assert "logs.db-wal" in before
    assert count(source(tmp_path)) == 100
    assert count(source(tmp_path / "logs.db")) == 100
    assert state(tmp_path) == before
    writer.execute("INSERT INTO logs (text) VALUES ('more')")
    assert count(source(tmp_path)) == 101
    writer.close()


def test_reading_goes_on_while_another_program_writes(tmp_path: Path, source: Any) -> None:
    writer = filled(tmp_path / "logs.db")
    opened = source(tmp_path)
    (file,) = opened.databases()
    with opened.database(file) as connection:
        rows = connection.execute("SELECT id FROM logs")
        assert rows.fetchone() == (1,)
        writer.execute("INSERT INTO logs (text) VALUES ('meanwhile')")
        assert len(rows.fetchall()) == 99
    writer.close()


def test_nothing_can_be_written_through_it(tmp_path: Path, source: Any) -> None:
    filled(tmp_path / "logs.db").close()
    opened = source(tmp_path)
    with pytest.raises(wilk.Invalid, match="readonly"), opened.database(opened.files[0]) as connection:
        connection.execute("DELETE FROM logs")


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_at_rest_is_read_without_a_trace(mode: str, tmp_path: Path, source: Any) -> None:
    filled(tmp_path / "logs.db", mode=mode).close()
    before = sorted(path.name for path in tmp_path.iterdir()), state(tmp_path)
    assert count(source(tmp_path)) == 100
    assert (sorted(path.name for path in tmp_path.iterdir()), state(tmp_path)) == before


KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = " + sys.argv[2])
connection.execute("CREATE TABLE logs (id INTEGER PRIMARY KEY, text)")
connection.execute("BEGIN")
connection.executemany("INSERT INTO logs (text) VALUES (?)", [("x" * 500,)] * 100)
connection.execute("COMMIT")
if sys.argv[2] == "delete":
    connection.execute("PRAGMA cache_size = 5")
    connection.execute("BEGIN")
    connection.execute("UPDATE logs SET text = 'half done'")
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("mode", "index"), [("wal", True), ("wal", False), ("delete", True)])
def test_what_a_killed_program_left_is_read_and_not_changed(
    mode: str, index: bool, tmp_path: Path, source: Any
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(folder / "logs.db"), mode], check=False)
    if not index:
        (folder / "logs.db-shm").unlink()
    names, before = sorted(path.name for path in folder.iterdir()), state(folder)
    assert len(names) >= 2
    opened = source(folder)
    (file,) = opened.databases()
    with opened.database(file) as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT text) FROM logs").fetchone()
    assert rows == (100, 1)
    assert sorted(path.name for path in folder.iterdir()) == names
    assert state(folder) == before


def test_a_wal_in_a_folder_that_cannot_be_written_is_read(
    tmp_path: Path, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = filled(tmp_path / "logs.db")
    connect = sqlite3.connect

    class Refusing:
        """What SQLite gives where it may neither make nor lock the index of the WAL."""

        def execute(self, statement: str) -> None:
            raise sqlite3.OperationalError("unable to open database file")

        def close(self) -> None: ...

    def refusing(address: Any, **options: Any) -> Any:
        return Refusing() if "mode=ro" in str(address) else connect(address, **options)

    monkeypatch.setattr(sources.sqlite3, "connect", refusing)
    before = state(tmp_path)
    assert count(source(tmp_path)) == 100
    assert state(tmp_path) == before
    writer.close()


def test_a_copy_that_another_program_wrote_in_is_made_again(
    tmp_path: Path, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(folder / "logs.db"), "wal"], check=False)
    (folder / "logs.db-shm").unlink()
    copyfile, times = sources.shutil.copyfile, [2]

    def disturbed(path: Path, target: str) -> None:
        copyfile(path, target)
        if times[0]:
            times[0] -= 1
            os.utime(path, ns=(times[0], times[0]))

    monkeypatch.setattr(sources.shutil, "copyfile", disturbed)
    assert count(source(folder)) == 100
    assert times[0] == 0
    times[0] = 99
    with pytest.raises(wilk.Invalid, match="changes while it is read"):
        count(source(folder))


def test_a_database_within_a_zip_is_read_from_a_copy_that_goes_away(
    tmp_path: Path, source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "logs.db").close()
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    opened = Source([zipped(tmp_path / "x.zip", ("data/logs.db", (tmp_path / "logs.db").read_bytes()))])
    assert count(opened) == 100
    assert "SQLite database with the tables logs" in opened.describe()
    opened.close()
    assert list((tmp_path / "t").iterdir()) == []


def test_a_damaged_database_is_an_error_that_says_so(tmp_path: Path, source: Any) -> None:
    filled(tmp_path / "logs.db", mode="delete", rows=5000).close()
    data = bytearray((tmp_path / "logs.db").read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    (tmp_path / "logs.db").write_bytes(data)
    with pytest.raises(wilk.Invalid, match=r"logs.db cannot be read as an SQLite database: .*malformed"):
        count(source(tmp_path))
    (tmp_path / "logs.db").write_bytes(data[:100])
    assert "logs.db" in source(tmp_path / "logs.db").describe()


def test_a_table_that_is_not_there_is_no_traceback(tmp_path: Path, source: Any) -> None:
    filled(tmp_path / "logs.db").close()
    opened = source(tmp_path)
    with (
        pytest.raises(wilk.Invalid, match="no such table: chats"),
        opened.database(opened.files[0]) as connection,
    ):
        connection.execute("SELECT * FROM chats")


# -- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("mongodb://host/db", "mongodb://host/db"),
        ("mongodb://me:secret@a,b:27018/db?tls=true", "mongodb://me:***@a,b:27018/db?tls=true"),
        ("mongodb://me@host/db", "mongodb://me@host/db"),
        ("mongodb://me:se/cr@et@host/db", "mongodb://me:***@host/db"),
        ("mongodb://host/db?authToken=x&a=b", "mongodb://host/db?authToken=***&a=b"),
    ],
)
def test_addresses_are_shown_without_what_is_secret(address: str, shown: str) -> None:
    opened = Source([address])
    assert opened.text == shown
    assert opened.files == []
    assert opened.describe() == f"the address {shown}"


@pytest.mark.parametrize(
    "address", ["mongodb:/me:canary@host/db", " mongodb://me:canary@h", "mongodb:me:canary@h/db"]
)
def test_an_address_that_is_misspelt_is_not_looked_for_as_a_file(address: str) -> None:
    with pytest.raises(wilk.Invalid, match="written as scheme://") as raised:
        Source([address])
    assert "canary" not in str(raised.value)


def test_an_address_is_one_in_capitals_too() -> None:
    assert Source(["MongoDB://me:canary@host/db"]).text == "MongoDB://me:***@host/db"


def test_an_address_stands_alone(tmp_path: Path) -> None:
    with pytest.raises(wilk.Invalid, match="leave out the other sources"):
        Source(["mongodb://host/db", tmp_path])


def test_without_the_plugin_the_error_says_how_to_install_it() -> None:
    host = wilk.Host(entry_points=False)
    for ask in (None, host.source_kind):
        with pytest.raises(wilk.PluginError, match="pip install wilk-mongo"):
            Source(["mongodb://me:secret@host/db"], ask).documents()


def test_a_path_has_no_collections_to_ask_for(tmp_path: Path) -> None:
    with pytest.raises(wilk.Invalid, match="is no address"):
        Source([tmp_path]).documents()


def test_a_file_says_of_itself_why_nobody_knows_it(tmp_path: Path) -> None:
    (tmp_path / "none.json").touch()
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0")
    (tmp_path / "list.csv").write_text("id,name\n")
    told = {one.name: Source((str(one),)).describe() for one in tmp_path.iterdir()}
    assert told == {
        "none.json": "none.json, which is empty",
        "photo.jpg": "photo.jpg, whose bytes are no text",
        "list.csv": "list.csv",
    }


def test_a_folder_of_which_nothing_can_be_read_is_not_called_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    told = Source((str(tmp_path),)).describe()
    assert told.startswith("a folder of which nothing can be read (pipe: it is no file but a pipe")
