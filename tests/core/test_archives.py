"""Archives outside of the database: what is handed over, when, and what happens when that fails."""

from __future__ import annotations

import gzip
import json
import logging
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk import contracts
from wilk.archives import jsonl as jsonl_module
from wilk.archives.jsonl import Jsonl
from wilk.archives.members import offsets, packed, unpacked
from wilk.host import Host
from wilk.testing import ArchiveSuite


@pytest.fixture
def jsonl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stores that are opened from now on keep archived rows in files."""
    monkeypatch.setenv("WILK_ARCHIVE", "jsonl")


@pytest.fixture
def filing(jsonl: None, home: Path) -> Iterator[wilk.Store]:
    """A store that keeps archived rows in files."""
    with wilk.open_store(home=home) as store:
        yield store


def remove_users(store: wilk.Store, *names: str) -> None:
    with store.transaction():
        for name in names:
            store.users.save(name, name=name.title())
            store.users.remove(name, reason="gone")


def rows(store: wilk.Store) -> list[tuple[Any, ...]]:
    """Each entry's record, whether its data lies in the table, and its place without the checksum."""
    found = store._engine.execute("SELECT record_id, data IS NOT NULL, place FROM archive ORDER BY pk")
    return [(*row, place and place.rpartition(":")[0]) for *row, place in found]


def lines(home: Path) -> list[dict[str, Any]]:
    """What anybody reads off the files."""
    files = sorted((home / "archive").glob("*.gz"))
    return [json.loads(line) for file in files for line in gzip.open(file, "rt", encoding="utf-8")]


class TestFiles:
    def test_take_over_what_was_removed(self, filing: wilk.Store, home: Path) -> None:
        remove_users(filing, "ann", "bob")
        assert filing.settle()
        assert rows(filing) == [("ann", 0, "jsonl:000001:0:0"), ("bob", 0, "jsonl:000001:0:1")]
        assert [line["record_id"] for line in lines(home)] == ["ann", "bob"]

    def test_tell_what_each_row_is(self, filing: wilk.Store, home: Path) -> None:
        remove_users(filing, "ann")
        filing.settle()
        (line,) = lines(home)
        entry = filing.archive.get(1)
        assert line == {
            "entry": 1, "kind": "user", "record_id": "ann", "session_id": None, "reason": "gone",
            "interaction_id": None, "archived_at": entry.archived_at.isoformat(), "batch": entry.batch,
            "data": dict(entry.data),
        }  # fmt: skip

    def test_are_read_as_the_table_is(self, filing: wilk.Store) -> None:
        remove_users(filing, "ann", "bob")
        before = filing.archive.list()
        filing.settle()
        assert filing.archive.list() == before
        assert filing.archive.get(2) == before[0]
        ((place,),) = filing._engine.execute("SELECT place FROM archive WHERE record_id = 'bob'")
        assert filing._archiver.read([(None, place)])[0]["name"] == "Bob"

    def test_give_their_rows_back(self, filing: wilk.Store) -> None:
        remove_users(filing, "ann")
        filing.settle()
        filing.archive.restore(1)
        assert filing.users.get("ann").name == "Ann"
        assert filing.archive.get(1).data == {}
        assert rows(filing) == [("ann", 0, "jsonl:000001:0:0")]

    def test_are_private(self, filing: wilk.Store, home: Path) -> None:
        remove_users(filing, "ann")
        filing.settle()
        assert (home / "archive").stat().st_mode & 0o777 == 0o700
        assert (home / "archive" / "000001.jsonl.gz").stat().st_mode & 0o777 == 0o600

    @pytest.mark.skipif(sys.platform == "win32", reason="zcat is not there")
    def test_can_be_read_with_zcat(self, filing: wilk.Store, home: Path) -> None:
        for name in ("ann", "bob"):
            remove_users(filing, name)
            filing.settle()
        shown = subprocess.check_output(["zcat", home / "archive" / "000001.jsonl.gz"], text=True)
        assert [json.loads(line)["record_id"] for line in shown.splitlines()] == ["ann", "bob"]

    def test_follow_each_other_by_size(self, home: Path, jsonl: None) -> None:
        home.mkdir(mode=0o700)
        (home / "config.yaml").write_text("plugins: {jsonl: {file_size: 100 B}}\n")
        with wilk.open_store(home=home) as store:
            for name in ("ann", "bob", "cid"):
                remove_users(store, name)
                store.settle()
            assert [row[2] for row in rows(store)] == [f"jsonl:00000{n}:0:0" for n in (1, 2, 3)]
            assert [entry.data["id"] for entry in store.archive.list()] == ["cid", "bob", "ann"]

    def test_hold_nothing_of_what_was_rolled_back(self, filing: wilk.Store, home: Path) -> None:
        with pytest.raises(ZeroDivisionError), filing.transaction():
            remove_users(filing, "ann")
            1 / 0  # noqa: B018
        filing.settle()
        assert not (home / "archive").exists()

    def test_take_more_rows_than_make_one_member(self, filing: wilk.Store, home: Path) -> None:
        session = filing.sessions.create(id="s").id
        filing.messages.extend(session, [{"role": "user", "text": str(n)} for n in range(1200)])
        filing.sessions.remove(session)
        filing.settle()
        assert len(list(offsets(home / "archive" / "000001.jsonl.gz"))) == 3
        assert [line["data"].get("text") for line in lines(home)][:1200] == [str(n) for n in range(1200)]
        assert filing.archive.restore(session=session) == {"session": 1, "message": 1200}

    def test_go_where_the_settings_say(self, home: Path, tmp_path: Path, jsonl: None) -> None:
        home.mkdir(mode=0o700)
        (home / "config.yaml").write_text(f"plugins: {{jsonl: {{folder: '{tmp_path / 'far'}'}}}}\n")
        with wilk.open_store(home=home) as store:
            remove_users(store, "ann")
            store.settle()
        assert (tmp_path / "far" / "000001.jsonl.gz").exists()


class TestSettings:
    def test_a_store_without_a_home_folder_says_what_to_do(
        self, jsonl: None, tmp_path: Path, monkeypatch: Any
    ) -> None:
        monkeypatch.delenv("WILK_HOME")
        with pytest.raises(wilk.SettingsError, match="this store has none; open it with home="):
            wilk.open_store(f"sqlite:///{tmp_path}/x.db")

    def test_an_archive_that_nobody_offers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WILK_ARCHIVE", "tape")
        with pytest.raises(
            wilk.PluginError, match="no plugin offers the archive 'tape'; there is jsonl, table"
        ):
            wilk.open_store()

    @pytest.mark.parametrize("options", ["{folder: 3}", "{file_size: many}", "{colour: red}"])
    def test_a_bad_option(self, home: Path, jsonl: None, options: str) -> None:
        home.mkdir(mode=0o700)
        (home / "config.yaml").write_text(f"plugins: {{jsonl: {options}}}\n")
        with pytest.raises(wilk.SettingsError, match="plugins: jsonl: "):
            wilk.open_store(home=home)

    def test_turned_back_to_the_table_what_lies_in_files_is_read(
        self, filing: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        remove_users(filing, "ann")
        filing.close()
        monkeypatch.setenv("WILK_ARCHIVE", "table")
        with wilk.open_store(home=home) as store:
            remove_users(store, "bob")
            assert [row[2] for row in rows(store)] == ["jsonl:000001:0:0", None]
            assert [entry.data["id"] for entry in store.archive.list()] == ["bob", "ann"]
            assert store.archive.flush() == 0
            assert store.archive.restore([1, 2]) == {"user": 2}

    def test_turned_to_files_what_lies_in_the_table_goes_there(
        self, store: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        remove_users(store, "ann")
        store.close()
        monkeypatch.setenv("WILK_ARCHIVE", "jsonl")
        with wilk.open_store(home=home) as filing:
            filing.settle()
            assert rows(filing) == [("ann", 0, "jsonl:000001:0:0")]


class TestTrouble:
    def test_a_full_disk_leaves_rows_in_the_table_until_it_has_room(
        self, filing: wilk.Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("wilk.archives.jsonl.os.fsync", full)
            with caplog.at_level(logging.ERROR, "wilk.worker"):
                remove_users(filing, "ann")
                filing.settle()
            assert "No space left" in caplog.text
            assert rows(filing) == [("ann", 1, None)]
            assert filing.users.find("ann") is None
            with pytest.raises(wilk.BackendError, match="No space left"):
                filing.archive.flush()
        remove_users(filing, "bob")
        filing.settle()
        assert [row[2] for row in rows(filing)] == ["jsonl:000001:0:0", "jsonl:000001:0:1"]

    def test_a_crash_between_file_and_table_repeats_nothing(
        self, filing: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from wilk.services.keeping.outbox import Outbox

        with monkeypatch.context() as patch:
            patch.setattr(Outbox, "_note", lambda *_: 1 / 0)
            remove_users(filing, "ann", "bob")
            filing.settle()
        assert [row[1:] for row in rows(filing)] == [(1, None), (1, None)]
        filing.close()
        with wilk.open_store(home=home) as store:
            remove_users(store, "cid")
            store.settle()
            assert [row[2] for row in rows(store)][:2] == ["jsonl:000001:0:0", "jsonl:000001:0:1"]
            assert [line["record_id"] for line in lines(home)] == ["ann", "bob", "cid"]
            assert [entry.data["id"] for entry in store.archive.list()] == ["cid", "bob", "ann"]

    def test_what_is_no_row_is_named_and_not_shown(self, filing: wilk.Store, home: Path) -> None:
        remove_users(filing, "ann")
        filing.settle()
        line = b'{"secret"'
        (home / "archive" / "000002.jsonl.gz").write_bytes(packed(line + b"\n"))
        place = f"jsonl:000002:0:0:{crc32(line):08x}"
        with pytest.raises(wilk.BackendError, match="archive 'jsonl': what lies at .* is no row$") as caught:
            filing._archiver.read([(None, place)])
        assert caught.value.__cause__ is None

    def test_crash_after_crash_repeats_nothing(
        self, filing: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from wilk.services.keeping.outbox import Outbox

        with monkeypatch.context() as patch:
            patch.setattr(Outbox, "_note", lambda *_: 1 / 0)
            for name in ("ann", "bob", "cid"):
                remove_users(filing, name)
                filing.settle()
        assert filing.archive.flush() == 3
        assert [line["record_id"] for line in lines(home)] == ["ann", "bob", "cid"]

    def test_a_database_that_was_set_back_loses_nothing_to_old_numbers(
        self, filing: wilk.Store, home: Path, elsewhere: str
    ) -> None:
        remove_users(filing, "ann")
        filing.close()
        with wilk.open_store(elsewhere, home=home) as store:
            remove_users(store, "bob")  # has the entry number that ann had
            store.settle()
            assert store.archive.get(1).data["id"] == "bob"
        assert [line["record_id"] for line in lines(home)] == ["ann", "bob"]

    @pytest.mark.parametrize("left", [1, 10, 30, 3000])
    def test_a_torn_tail_is_cut_off(self, filing: wilk.Store, home: Path, left: int) -> None:
        remove_users(filing, "ann")
        filing.close()
        file = home / "archive" / "000001.jsonl.gz"
        whole = file.read_bytes()
        file.write_bytes(whole + packed(random.Random(1).randbytes(4000))[:left])
        with wilk.open_store(home=home) as store:
            remove_users(store, "bob")
            store.settle()
            assert [row[2] for row in rows(store)][1] == f"jsonl:000001:{len(whole)}:0"
        assert [line["record_id"] for line in lines(home)] == ["ann", "bob"]

    def test_zeros_that_a_crash_left_are_cut_off(self, filing: wilk.Store, home: Path) -> None:
        remove_users(filing, "ann")
        filing.close()
        file = home / "archive" / "000001.jsonl.gz"
        file.write_bytes(file.read_bytes() + bytes(500))
        with wilk.open_store(home=home) as store:
            remove_users(store, "bob")
            store.settle()
        assert [line["record_id"] for line in lines(home)] == ["ann", "bob"]

    def test_a_file_with_something_else_is_left_as_it_is(self, filing: wilk.Store, home: Path) -> None:
        remove_users(filing, "ann")
        filing.close()
        file = home / "archive" / "000001.jsonl.gz"
        foreign = file.read_bytes() + gzip.compress(b'{"record_id": "own"}\n')
        file.write_bytes(foreign)
        with wilk.open_store(home=home) as store:
            remove_users(store, "bob")
            store.settle()
            assert [entry.data["id"] for entry in store.archive.list()] == ["bob", "ann"]
        assert file.read_bytes() == foreign
        assert [line["record_id"] for line in lines(home)] == ["ann", "own", "bob"]

    def test_a_damaged_member_is_an_error_that_names_the_file(self, filing: wilk.Store, home: Path) -> None:
        remove_users(filing, "ann")
        filing.close()
        file = home / "archive" / "000001.jsonl.gz"
        damaged = bytearray(file.read_bytes())
        damaged[60] ^= 255
        file.write_bytes(damaged)
        with wilk.open_store(home=home) as store:
            with pytest.raises(wilk.BackendError, match="000001.jsonl.gz cannot be read at byte 0"):
                store.archive.get(1)
            file.unlink()
            with pytest.raises(wilk.BackendError, match="000001.jsonl.gz is missing; put it back"):
                store.archive.get(1)

    def test_flush_waits_for_the_end_of_a_transaction(self, filing: wilk.Store) -> None:
        with filing.transaction():
            remove_users(filing, "ann")
            with pytest.raises(wilk.Invalid, match="not inside a transaction"):
                filing.archive.flush()

    def test_a_removal_while_the_store_closes_waits_for_the_next(self, home: Path, jsonl: None) -> None:
        class Late:
            @wilk.hookimpl
            def store_closing(self, store: wilk.Store) -> None:
                remove_users(store, "ann")

        wilk.open_store(home=home, host=Host(Late())).close()
        with wilk.open_store(home=home) as store:
            store.settle()
            assert rows(store) == [("ann", 0, "jsonl:000001:0:0")]


@pytest.mark.slow
def test_processes_that_hand_over_at_once_keep_every_row_once(home: Path, jsonl: None) -> None:
    wilk.open_store(home=home).close()
    script = (
        "import sys, wilk\n"
        "with wilk.open_store(home=sys.argv[1]) as store:\n"
        "    for n in range(15):\n"
        "        store.users.save(f'{sys.argv[2]}-{n}', name='x')\n"
        "        store.users.remove(f'{sys.argv[2]}-{n}')\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(home), str(n)]) for n in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with wilk.open_store(home=home) as store:
        store.settle()
        assert {(row[1], row[2] is None) for row in rows(store)} == {(0, False)}
        assert len({entry.data["id"] for entry in store.archive.list()}) == 45
    assert len(lines(home)) == 45


class TestJsonl:
    def storage(self, folder: Path, file_size: int = 1000) -> Jsonl:
        return Jsonl(folder, file_size=file_size, timeout=0.1)

    @given(
        pieces=st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=4), max_size=6),
        size=st.integers(1, 200),
    )
    def test_what_is_appended_is_read(
        self, tmp_path_factory: pytest.TempPathFactory, pieces: list[list[bytes]], size: int
    ) -> None:
        folder = tmp_path_factory.mktemp("a")
        kept: dict[str, bytes] = {}
        number = 0
        for piece in pieces:
            entries = []
            for data in piece:
                number += 1
                entries.append((number, json.dumps([number, data.hex()]).encode()))
            places = self.storage(folder, size).append(entries)
            kept |= dict(zip(places, [line for _, line in entries], strict=True))
        assert len(kept) == number
        assert self.storage(folder).read(list(kept)) == list(kept.values())

    def test_one_at_a_time_has_it_to_itself(self, tmp_path: Path) -> None:
        storage = self.storage(tmp_path)
        with storage.exclusive(), pytest.raises(wilk.Busy, match="another process held"), storage.exclusive():
            pass
        with storage.exclusive():
            pass

    @pytest.mark.parametrize(
        "place",
        [
            "",
            "1:2",
            "000001:0:0",
            "000001:0:7:0",
            "000001:x:0:0",
            "000001:0:0:x",
            "000001:0:0:0",
            "000009:0:0:0",
        ],
    )
    def test_a_place_that_there_is_not(self, tmp_path: Path, place: str) -> None:
        storage = self.storage(tmp_path)
        storage.append([(1, b"{}")])
        with pytest.raises(wilk.BackendError):
            storage.read([place])

    def test_another_row_in_its_place_is_not_taken_for_a_row(self, tmp_path: Path) -> None:
        (place,) = self.storage(tmp_path).append([(1, b'{"a":1}')])
        (tmp_path / "000001.jsonl.gz").unlink()
        self.storage(tmp_path).append([(2, b'{"a":2}')])
        with pytest.raises(wilk.BackendError, match=r"000001\.jsonl\.gz is another file"):
            self.storage(tmp_path).read([place])

    @pytest.mark.parametrize("member", [0, 1, 2])
    def test_a_damaged_length_cuts_nothing_off(self, tmp_path: Path, member: int) -> None:
        places = [self.storage(tmp_path).append([(n, b'{"n":%d}' % n)])[0] for n in range(4)]
        file = tmp_path / "000001.jsonl.gz"
        damaged = bytearray(file.read_bytes())
        damaged[list(offsets(file))[member][0] + 18] ^= 1  # 64 KB more than there are
        file.write_bytes(damaged)
        places += self.storage(tmp_path).append([(4, b'{"n":4}')])
        assert file.read_bytes() == damaged
        assert self.storage(tmp_path).read(places) == [b'{"n":%d}' % n for n in range(5)]

    def test_other_files_beside_are_none_of_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "999999 copy.jsonl.gz").touch()
        assert self.storage(tmp_path).append([(1, b"{}")])[0].startswith("000001:0:0:")

    @pytest.mark.parametrize("lock", [False, True])
    def test_a_place_that_cannot_be_had_is_named(self, tmp_path: Path, lock: bool) -> None:
        place = tmp_path / "a" / "lock" if lock else tmp_path / "a"
        place.mkdir(parents=True) if lock else place.touch()
        storage = self.storage(tmp_path / "a")
        with pytest.raises(wilk.BackendError, match=f"{place} cannot be written: "), storage.exclusive():
            pass

    def test_a_member_tells_its_length(self, tmp_path: Path) -> None:
        file = tmp_path / "f"
        file.write_bytes(packed(b"one") + packed(b"") + packed(b"three"))
        found = list(offsets(file))
        assert [unpacked(file, start) for start, _ in found] == [b"one", b"", b"three"]
        assert found[-1][1] == file.stat().st_size
        assert gzip.decompress(file.read_bytes()) == b"onethree"


class TestContract(ArchiveSuite):
    """The embedded archive keeps the contract that any plugin's has to keep."""

    @pytest.fixture
    def archive(self) -> contracts.Archive:
        (archive,) = jsonl_module.register_archives()
        return archive
