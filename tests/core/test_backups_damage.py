"""A backup that is damaged is called bad, whatever was done to it; one that cannot be written leaves nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wilk
from wilk.care.backups import manifest
from wilk.care.backups.shelf import Shelf

pytestmark = pytest.mark.sqlite

_FULL = """
import resource, signal, sys, wilk
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with wilk.open_store() as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    try:
        store.backups.create()
    except wilk.WilkError as error:
        print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a backup of rows, definitions and an archive."""
    home = tmp_path_factory.mktemp("made") / "home"
    (home / "personas").mkdir(parents=True)
    for name in ("wolf", "bear"):
        (home / f"personas/{name}.yaml").write_text(f"name: {name}\nprompt: You are a {name}.\n")
    (home / "config.yaml").write_text("archive: jsonl\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WILK_DISABLED_PLUGINS", "wilk-audit")
        with wilk.open_store(home=home) as store:
            store.sync()
            for id in ("talk", "gone"):
                store.sessions.create(id=id)
                store.messages.extend(id, [{"role": "user", "text": f"wolf {n}"} for n in range(200)])
            store.sessions.remove("gone")
            store.settle()
            store.backups.create(name="first")
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))


def folder(home: Path) -> Path:
    (found,) = (home / "backups").glob("*-first")
    return found


def verdicts(home: Path) -> tuple[bool, list[str]]:
    """Whether the list calls it good, and what a trial finds."""
    shelf = Shelf(wilk.settings.load(home=home))
    return shelf.list()[0].good, list(shelf.verify(folder(home).name).problems)


FILES = (
    "wilk.db",
    "manifest.json",
    "SHA256SUMS",
    "home/personas/wolf.yaml",
    "home/config.yaml",
    "archive/jsonl/000001.jsonl.gz",
)


def test_the_files_are_those_that_are_damaged_here(made: Path) -> None:
    assert {*manifest.below(folder(made))} == {*FILES, "home/personas/bear.yaml"}


class TestEveryFile:
    @pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("name", FILES)
    def test_with_a_flipped_bit_is_found(self, home: Path, name: str, place: float) -> None:
        file = folder(home) / name
        data = bytearray(file.read_bytes())
        data[int(place * (len(data) - 1))] ^= 0x01
        file.write_bytes(data)
        good, problems = verdicts(home)
        assert not good
        assert problems

    @pytest.mark.parametrize("name", FILES)
    def test_that_is_cut_short_is_found(self, home: Path, name: str) -> None:
        file = folder(home) / name
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        good, problems = verdicts(home)
        assert not good
        assert problems

    @pytest.mark.parametrize("name", FILES)
    def test_that_is_missing_is_found_and_named(self, home: Path, name: str) -> None:
        (folder(home) / name).unlink()
        good, problems = verdicts(home)
        assert not good
        assert f"{name}" in problems[0]

    def test_that_is_empty_is_found(self, home: Path) -> None:
        (folder(home) / "wilk.db").write_bytes(b"")
        good, problems = verdicts(home)
        assert not good
        assert "wilk.db: is 0 bytes" in problems[0]


class TestOneThatWasTamperedWith:
    def test_two_files_that_are_swapped_are_found(self, home: Path) -> None:
        one, other = (folder(home) / f"home/personas/{name}.yaml" for name in ("wolf", "bear"))
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
        good, problems = verdicts(home)
        assert not good
        assert len(problems) == 2

    def test_manifests_of_two_backups_that_are_swapped_are_found(self, home: Path) -> None:
        with wilk.open_store(home=home) as store:
            other = Path(store.backups.create().folder)
            for name in ("manifest.json", "SHA256SUMS"):
                mine, theirs = (folder(home) / name).read_bytes(), (other / name).read_bytes()
                (folder(home) / name).write_bytes(theirs)
                (other / name).write_bytes(mine)
            assert [one.good for one in store.backups.list()] == [False, False]
            told = store.backups.verify(folder(home).name).problems
            assert f"its manifest is that of {other.name}" in told

    def test_databases_of_two_backups_that_are_swapped_are_found(self, home: Path) -> None:
        with wilk.open_store(home=home) as store:
            store.messages.append("talk", "user", "more")
            other = Path(store.backups.create().folder)
            mine, theirs = folder(home) / "wilk.db", other / "wilk.db"
            mine.rename(home / "between")
            theirs.rename(mine)
            (home / "between").rename(theirs)
            assert [one.good for one in store.backups.list()] == [False, False]
            assert any("messages: 201 rows instead of 200" in text for text in verdicts(home)[1])

    def test_a_flipped_bit_is_found_though_the_time_of_the_file_was_put_back(self, home: Path) -> None:
        import os

        file = folder(home) / "wilk.db"
        before = file.stat()
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 0x10
        file.write_bytes(data)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        with wilk.open_store(home=home) as store:
            assert not store.backups.verify("first").good

    def test_what_lies_beside_the_copy_as_if_it_were_a_part_of_it_is_found(self, home: Path) -> None:
        (folder(home) / "wilk.db-wal").write_bytes(b"x" * 64)
        assert verdicts(home)[1] == ["wilk.db-wal: does not belong there"]

    def test_a_manifest_that_leads_out_of_the_folder_is_refused(self, home: Path) -> None:
        for path in ("home/../../../x", "/etc/x", "home\\..\\x"):
            assert not manifest.safe(path)
        assert manifest.safe("home/personas/wolf.yaml")

    def test_a_newer_form_is_named(self, home: Path) -> None:
        file = folder(home) / "manifest.json"
        file.write_text(file.read_text().replace('"format": 1', '"format": 7'))
        assert "format 7" in verdicts(home)[1][0]


def test_a_damaged_one_is_not_restored_and_nothing_is_changed(home: Path) -> None:
    (folder(home) / "home/personas/wolf.yaml").unlink()
    with wilk.open_store(home=home) as store:
        store.messages.append("talk", "user", "since")
        with pytest.raises(wilk.BackendError, match=r"is bad, and was not restored: home/personas/wolf.yaml"):
            store.backups.restore("first")
        assert store.messages.last("talk", 1)[0].text == "since"
        assert len(store.backups.list()) == 1


@pytest.mark.parametrize("free", [0, 100_000, 500_000])
def test_a_full_disk_leaves_no_half_backup(home: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILK_HOME", str(home))
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(free)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("BackendError"), done.stderr
    assert [path.name for path in (home / "backups").iterdir() if path.is_dir()] == [folder(home).name]
    with wilk.open_store(home=home) as store:
        assert store.messages.last("talk", 1)[0].text == "wolf 199"
        assert store.backups.create().good


def test_a_copy_that_is_not_what_was_copied_is_thrown_away(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial reads what lies on the disk, and not what was handed to it."""
    written = manifest.write

    def damaging(place: Path, made: manifest.Manifest) -> None:
        written(place, made)
        data = bytearray((place / "wilk.db").read_bytes())
        data[len(data) // 2] ^= 0xFF
        (place / "wilk.db").write_bytes(data)

    monkeypatch.setattr(manifest, "write", damaging)
    with wilk.open_store(home=home) as store:
        with pytest.raises(wilk.BackendError, match="not sound, and was thrown away"):
            store.backups.create()
        assert len(store.backups.list()) == 1


def test_rows_that_refer_to_nothing_are_kept_as_they_are_and_named(home: Path) -> None:
    """A store in which something is wrong is the one that wants a backup before it is mended."""
    with wilk.open_store(home=home) as store:
        store._engine.execute("PRAGMA foreign_keys = off")
        store._engine.execute("UPDATE messages SET session_id = 'nowhere' WHERE sequence = 3")
        made = store.backups.create()
        assert made.notes == (
            "as it is in the store: 1 rows of messages refer to sessions that are not there",
        )
        assert store.backups.verify(made.id).good


def test_a_damaged_database_makes_no_backup(home: Path) -> None:
    file = home / "wilk.db"
    data = bytearray(file.read_bytes())
    for page in range(20, len(data) // 4096, 3):
        data[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    with wilk.open_store(home=home) as store:
        file.write_bytes(data)
        with pytest.raises(wilk.BackendError):
            store.backups.create()
        assert len(store.backups.list()) == 1
