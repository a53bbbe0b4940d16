"""The tier on disk: the contract, damage of every kind, processes that die, a disk that is full."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import wilk
from wilk.caches import cache as cache_module
from wilk.caches import disk, snapshots
from wilk.testing import CacheSuite

NOW = 1_800_000_000_000_000


class TestDisk(CacheSuite):
    @pytest.fixture
    def tier(self) -> wilk.CacheTier:
        return next(disk.register_caches())


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[disk.Disk]:
    opened = disk.Disk(tmp_path / "x.db", wilk.CachePolicy(None, 1_000_000, 0), timeout=5)
    yield opened
    opened.close()


def damage(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


class TestDamage:
    @pytest.mark.parametrize(
        "change",
        ["value = x'00'", "value = 'text'", "key = x'6b6579'", "checksum = checksum + 1"],
    )
    def test_of_an_entry_makes_a_miss_and_the_entry_goes(
        self, tier: disk.Disk, tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        tier.set("yek", b"value", now=NOW, expires_at=None)
        damage(tmp_path / "x.db", f"UPDATE entries SET {change}")
        key = "key" if change.startswith("key") else "yek"
        assert tier.get(key, NOW) is None
        assert tier.statistics()["entries"] == 0
        assert "a damaged entry is removed" in caplog.text

    @pytest.mark.parametrize("left", [b"no database at all" * 1000, b"", b"SQLite format 3\0" + bytes(5000)])
    def test_of_the_file_makes_a_new_one(
        self, tmp_path: Path, left: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "x.db").write_bytes(left)
        opened = disk.Disk(tmp_path / "x.db", wilk.CachePolicy(None, 1_000_000, 0), timeout=5)
        opened.set("key", b"1", now=NOW, expires_at=None)
        assert opened.get("key", NOW) is not None
        opened.close()
        assert caplog.text.count("is made anew") == bool(left)

    def test_of_the_file_while_it_is_open_makes_a_new_one(
        self, tier: disk.Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number in range(500):
            tier.set(str(number), bytes(500), now=NOW, expires_at=None)
        tier._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # type: ignore[union-attr]
        tier._connection.execute("PRAGMA mmap_size = 0").fetchall()  # type: ignore[union-attr]
        with (tmp_path / "x.db").open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(100 * 4096))
        tier._connection.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
        found = [tier.get(str(number), NOW) for number in range(500)]
        assert None in found
        tier.set("key", b"1", now=NOW, expires_at=None)
        assert tier.get("key", NOW) == (b"1", NOW, None)

    @pytest.mark.parametrize("left", [b"garbage", b"x" * 100_000])
    @pytest.mark.parametrize("name", ["x.db", "x.db-wal", "x.db*"])
    def test_of_files_that_somebody_overwrites_ends_in_misses(
        self, store: wilk.Store, home: Path, left: bytes, name: str
    ) -> None:
        cache = store.cache("x")
        for number in range(300):
            cache.set(str(number), "v" * 200)
        for file in (home / "cache").glob(name):
            file.write_bytes(left)
        cache._memory.clear()
        assert {cache.get(str(number)) for number in range(300)} <= {None, "v" * 200}
        cache.set("new", 1)
        cache._memory.clear()
        assert cache.get("new") == 1
        assert cache.delete("new")
        cache.clear()
        assert cache.statistics().entries == 0

    def test_tables_of_another_version_are_made_anew(self, tmp_path: Path) -> None:
        damage(tmp_path / "x.db", "CREATE TABLE entries(other)")
        damage(tmp_path / "x.db", "PRAGMA user_version = 99")
        opened = disk.Disk(tmp_path / "x.db", wilk.CachePolicy(None, 1_000_000, 0), timeout=5)
        opened.set("key", b"1", now=NOW, expires_at=None)
        assert opened.get("key", NOW) is not None
        opened.close()

    def test_a_file_that_was_removed_is_missed_by_nobody(self, store: wilk.Store, home: Path) -> None:
        cache = store.cache("x")
        cache.set("key", 1)
        for file in (home / "cache").glob("x.db*"):
            file.unlink()
        cache._due = 0
        assert cache.get("key") is None
        cache.set("key", 2)
        with wilk.open_store(home=home) as other:
            assert other.cache("x").get("key") == 2

    def test_a_value_that_is_none_of_ours_is_removed(self, store: wilk.Store) -> None:
        cache = store.cache("x")
        storage = cache._storage
        assert storage is not None
        for blob in (b"", b"?", b"J{", b"jxx", b"J\xff"):
            storage.set("key", blob, now=store._engine.clock.now(), expires_at=None)
            assert cache.get("key", "none") == "none"
        assert storage.statistics()["entries"] == 0


WRITER = """
import sys, wilk
from pathlib import Path
from wilk.caches.disk import Disk
tier = Disk(Path(sys.argv[1]), wilk.CachePolicy(None, 500_000, 0), timeout=5)
print("begun", flush=True)
number = 0
while True:
    number += 1
    tier.set(f"key-{number % 300}", (b"%d," % number) * 300, now=number, expires_at=None, tags=["t"])
"""


class TestProcesses:
    @pytest.mark.slow
    def test_that_are_killed_amid_writes_leave_whole_entries_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "x.db"
        for turn in range(6):
            writers = [
                subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE)
                for _ in range(2)
            ]
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == b"begun\n"
            with pytest.raises(subprocess.TimeoutExpired):
                writers[0].wait(0.03 * (turn + 1))
            for writer in writers:
                writer.send_signal(signal.SIGKILL)
                writer.wait()
                assert writer.stdout is not None
                writer.stdout.close()
            tier = disk.Disk(file, wilk.CachePolicy(None, 500_000, 0), timeout=5)
            found = [tier.get(f"key-{number}", NOW) for number in range(300)]
            assert any(found)
            for one in found:
                if one is not None:
                    number = one[0].split(b",")[0]
                    assert one[0] == (number + b",") * 300
            held = tier._connection.execute("SELECT sum(size), count(*) FROM entries").fetchone()  # type: ignore[union-attr]
            totals = tier.statistics()
            assert held == (totals["bytes"], totals["entries"])
            assert totals["bytes"] <= 500_000 + 2 * 2000, "who dies before it has made room leaves one entry"
            tier.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
    @pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
    def test_after_a_fork_both_go_on(self, store: wilk.Store) -> None:
        cache = store.cache("x")
        cache.set("key", "parent")
        child = os.fork()
        if not child:
            fine = cache.get("key") == "parent"
            cache.set("child", 1)
            fine = fine and cache.get_or_compute("computed", lambda: 5) == 5
            os._exit(0 if fine else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        cache._due = 0
        assert (cache.get("child"), cache.get("computed"), cache.get("key")) == (1, 5, "parent")

    def test_another_ones_changes_are_seen_at_once_when_it_looks(self, store: wilk.Store, home: Path) -> None:
        with wilk.open_store(home=home) as other:
            mine, its = store.cache("x"), other.cache("x")
            for change in (
                lambda: its.set("key", 2),
                lambda: its.delete("key"),
                its.clear,
                lambda: its.touch("key", ttl=0),
            ):
                mine.set("key", 1)
                assert mine.get("key") == 1
                change()
                mine._due = 0  # as it is every few milliseconds
                assert mine.get("key") == its.get("key")

    def test_it_looks_every_few_milliseconds(self) -> None:
        assert cache_module.LOOK <= 0.01

    def test_a_removed_lock_file_lets_nobody_in_who_waits(self, tier: disk.Disk, tmp_path: Path) -> None:
        with tier.computing("key", 0) as mine:
            (lock,) = (tmp_path / "x.locks").iterdir()
            assert mine
        assert not lock.exists()

    def test_lock_files_of_the_dead_are_swept(self, tier: disk.Disk, tmp_path: Path) -> None:
        (tmp_path / "x.locks").mkdir()
        left = tmp_path / "x.locks" / "left"
        left.touch()
        tier.sweep(NOW)
        assert left.exists()
        os.utime(left, (1, 1))
        tier.sweep(NOW)
        assert not left.exists()


def full(cache: object) -> None:
    """Leave SQLite no page more than it has."""
    connection = cache._storage._connection  # type: ignore[attr-defined]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()


class TestFullDisk:
    def test_degrades_to_misses_and_memory(
        self, store: wilk.Store, home: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cache = store.cache("x")
        cache.set("old", "first")
        full(cache)
        for number in range(50):
            cache.set(f"key-{number}", "x" * 5000)
        cache.set("old", "y" * 5000)
        assert cache.get("old") == "y" * 5000
        cache._memory.clear()
        assert cache.get("old", "miss") == "miss"
        assert cache.get_or_compute("key-49", lambda: "again") == "again"
        assert caplog.text.count("its tier on disk fails") == 1
        with wilk.open_store(home=home) as other:
            assert other.cache("x").get("key-49") in ("again", None)

    def test_still_lets_go_of_what_is_removed(self, store: wilk.Store, home: Path) -> None:
        cache = store.cache("x")
        for number in range(200):
            cache.set(f"key-{number}", "x" * 5000)
        full(cache)
        assert cache.delete("key-1")
        cache.clear()
        with wilk.open_store(home=home) as other:
            assert [other.cache("x").get(f"key-{n}") for n in (1, 2)] == [None, None]

    def test_in_a_process_that_may_write_no_more(self, home: Path, store: wilk.Store) -> None:
        store.cache("x").set("key", "old")
        script = (
            "import resource, signal, wilk\n"
            "with wilk.open_store() as store:\n"
            "    cache = store.cache('x')\n"
            "    assert cache.get('key') == 'old'\n"
            "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
            "    cache.set('key', 'new' * 1000)\n"
            "    assert cache.get('key') == 'new' * 1000\n"
            "    assert cache.get_or_compute('other', lambda: 7) == 7\n"
            "    cache._memory.clear()\n"
            "    assert cache.get('key') is None\n"
            "    assert store.cache('another').get_or_compute('k', lambda: 1) == 1\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr


class TestWithoutADisk:
    def test_a_store_in_memory_has_caches_in_memory(self, caplog: pytest.LogCaptureFixture) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            cache = store.cache("responses")
            cache.set("key", [1])
            assert cache.get("key") == [1]
            assert cache.statistics().entries == 1
        assert caplog.text == ""

    def test_a_store_without_a_home_keeps_them_beside_its_file(self, tmp_path: Path) -> None:
        with wilk.open_store(f"sqlite:///{tmp_path}/a.db", home=None) as store:
            store.cache("x").set("key", 1)
            assert list(tmp_path.rglob("x.db"))

    def test_a_readonly_store_writes_nothing(self, store: wilk.Store, home: Path) -> None:
        with wilk.open_store(home=home, readonly=True) as reader:
            reader.cache("x").set("key", 1)
            assert reader.cache("x").get("key") == 1
        assert not (home / "cache").exists()

    def test_a_folder_that_cannot_be_written_is_told_once(
        self, store: wilk.Store, home: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (home / "cache").write_text("a file is in the way")
        for name in ("x", "y"):
            store.cache(name).set("key", name)
            assert store.cache(name).get("key") == name
        assert caplog.text.count("caches lie in memory alone") == 1

    def test_a_policy_may_keep_them_off_the_disk(self, tmp_path: Path) -> None:
        settings = wilk.Settings(
            home=tmp_path / "h", url=f"sqlite:///{tmp_path}/h/wilk.db", caches={"x": {"persistent": False}}
        )
        with wilk.open_store(settings=settings) as store:
            store.cache("x").set("key", 1)
            assert store.cache("x").get("key") == 1
        assert not (tmp_path / "h" / "cache").exists()


class TestReadsInALoop:
    """Many reads in a row share a transaction."""

    def test_end_it_when_they_stop(self, tier: disk.Disk) -> None:
        tier.set("key", b"1", now=NOW, expires_at=None)
        deadline = time.monotonic() + 20
        while not tier._snapshot_until:
            assert time.monotonic() < deadline
            tier.get("key", NOW)
        while tier._snapshot_until:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not tier._connection.in_transaction  # type: ignore[union-attr]

    @pytest.fixture
    def begun(self, tier: disk.Disk, monkeypatch: pytest.MonkeyPatch) -> disk.Disk:
        """A tier amid such a loop, in which an hour passes for nothing."""
        monkeypatch.setattr(snapshots, "LASTS", 3600.0)
        tier.set("key", b"1", now=NOW, expires_at=None)
        while not tier._snapshot_until:
            tier.get("key", NOW)
        return tier

    def test_see_what_is_written_here(self, begun: disk.Disk) -> None:
        begun.set("key", b"2", now=NOW, expires_at=None)
        assert begun.get("key", NOW) == (b"2", NOW, None)
        begun.delete(["key"])
        assert begun.get("key", NOW) is None

    def test_see_what_others_wrote_once_somebody_has_looked_or_computes(
        self, begun: disk.Disk, tmp_path: Path
    ) -> None:
        other = disk.Disk(tmp_path / "x.db", wilk.CachePolicy(None, 1_000_000, 0), timeout=5)
        other.set("key", b"2", now=NOW, expires_at=None)
        begun.version()
        assert begun.get("key", NOW) == (b"2", NOW, None)
        while not begun._snapshot_until:
            begun.get("key", NOW)
        other.set("key", b"3", now=NOW, expires_at=None)
        with begun.computing("key", 0):
            assert begun.get("key", NOW) == (b"3", NOW, None)
        other.close()

    def test_keep_nobody_from_writing(self, begun: disk.Disk, tmp_path: Path) -> None:
        other = disk.Disk(tmp_path / "x.db", wilk.CachePolicy(None, 1_000_000, 0), timeout=5)
        for number in range(100):
            other.set(str(number), b"1", now=NOW, expires_at=None)
        other.close()

    def test_last_a_few_milliseconds_at_most(self) -> None:
        assert snapshots.LASTS <= 0.01
