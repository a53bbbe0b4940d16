"""``wilk backup``: what it shows, when it asks, and what it does where the store cannot be opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as library

from .conftest import Result

Run = Callable[..., Result]

pytestmark = pytest.mark.sqlite


@pytest.fixture
def talk(good: Run) -> None:
    """A home folder with a session, and a backup of it."""
    good("init")
    good("sessions", "new", "talk", "--use")
    good("messages", "add", "user", "hello")
    good("backup", "create", "--name", "first")


def test_tells_what_was_made(good: Run) -> None:
    good("init")
    shown = good("backup", "create", "--name", "first").out
    assert shown.startswith("made backup ")
    assert "-first: " in shown
    assert "tried and found good" in shown


def test_gives_the_id_alone_if_quiet(good: Run, home: Path) -> None:
    id = good("backup", "create", "--quiet").out.strip()
    assert (home / "backups" / id / "manifest.json").exists()


def test_lists_backups_and_whether_they_are_whole(good: Run, talk: None) -> None:
    heading, line = good("backup", "list").out.splitlines()
    assert heading.split() == ["ID", "MADE", "WHY", "ROWS", "SIZE", "SCHEMA"]
    assert line.split()[0].endswith("-first")
    assert line.split()[-1] == "good"


def test_says_how_to_make_one_where_there_is_none(good: Run) -> None:
    assert "`wilk backup create` makes one" in good("backup", "list").out


def test_names_what_is_bad(wilk: Run, talk: None, home: Path) -> None:
    (file,) = home.glob("backups/*/wilk.db")
    file.write_bytes(file.read_bytes()[:-1])
    listed = wilk("backup", "list")
    assert listed.out.splitlines()[1].split()[-1] == "bad"
    assert "wilk.db: is " in listed.err
    tried = wilk("backup", "verify", "--all")
    assert tried.code == 1
    assert "wilk.db: is " in tried.err


def test_tries_backups(good: Run, talk: None) -> None:
    assert good("backup", "verify", "first").out.startswith("good ")
    (one,) = good("backup", "verify", "--all", "--json").json
    assert (one["good"], one["problems"]) == (True, [])


def test_wants_to_know_which_ones_to_try(wilk: Run, talk: None) -> None:
    for arguments in ((), ("first", "--all")):
        done = wilk("backup", "verify", *arguments)
        assert (done.code, "--all" in done.err) == (2, True)


def test_puts_back_what_was_there(good: Run, talk: None) -> None:
    good("messages", "add", "user", "since")
    shown = good("backup", "restore", "first", "--yes").out.splitlines()
    assert shown[0].startswith("restored backup ")
    assert shown[-1].startswith("what was there before is backup ")
    assert "since" not in good("messages", "list").out
    safety = shown[-1].rpartition(" ")[2]
    good("backup", "restore", safety, "--yes")
    assert "since" in good("messages", "list").out


def test_asks_before_it_changes_the_store(wilk: Run, talk: None) -> None:
    done = wilk("backup", "restore", "first")
    assert (done.code, "--yes" in done.err) == (2, True)


def test_restores_into_a_new_home_folder_without_asking(good: Run, talk: None, tmp_path: Path) -> None:
    good("backup", "restore", "first", "--to", str(tmp_path / "new"))
    assert "hello" in good("messages", "list", "--home", str(tmp_path / "new"), "--session", "talk").out


def test_restores_into_another_database(good: Run, talk: None, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    assert good("backup", "restore", "first", "--to", url, "--json").json["into"] == url
    with library.open_store(url) as store:
        assert [one.name for one in store.sessions.list()] == ["talk"]


def test_tells_what_may_have_been_meant(wilk: Run, talk: None) -> None:
    for verb in ("restore", "remove"):
        done = wilk("backup", verb, "frist", "--yes")
        assert (done.code, "did you mean first?" in done.err) == (1, True)


def test_removes_one_once_that_is_said(wilk: Run, good: Run, talk: None) -> None:
    assert wilk("backup", "remove", "first").code == 2
    good("backup", "remove", "first", "--yes")
    assert good("backup", "list", "--json").json == []


def test_prunes_those_that_were_made_by_themselves(good: Run, talk: None) -> None:
    for _ in range(3):
        good("backup", "restore", "first", "--yes")
    assert len(good("backup", "prune", "--keep", "1", "--dry-run", "--json").json) == 2
    assert good("backup", "prune", "--keep", "1", "--yes").out.startswith("removed 2 backups")
    assert "nothing to remove" in good("backup", "prune", "--keep", "1").out
    assert sorted(one["why"] for one in good("backup", "list", "--json").json) == ["before-restore", "manual"]


def test_uses_another_folder_if_told(good: Run, tmp_path: Path) -> None:
    folder = str(tmp_path / "elsewhere")
    good("backup", "create", "--folder", folder, "--url", f"sqlite:///{tmp_path}/x.db")
    assert (
        len(good("backup", "list", "--folder", folder, "--url", f"sqlite:///{tmp_path}/x.db", "--json").json)
        == 1
    )
    assert good("backup", "list", "--json").json == []


class TestADamagedDatabase:
    @pytest.fixture(autouse=True)
    def _damaged(self, talk: None, home: Path) -> None:
        (home / "wilk.db").write_bytes(b"this is no database" * 1000)

    def test_leaves_the_list_and_the_trial_as_they_are(self, good: Run) -> None:
        assert len(good("backup", "list", "--json").json) == 1
        assert good("backup", "verify", "first").out.startswith("good ")

    def test_is_told_of_with_the_way_out(self, wilk: Run, home: Path) -> None:
        done = wilk("backup", "restore", "first", "--yes")
        assert (done.code, "--aside" in done.err) == (1, True)
        assert (home / "wilk.db").read_bytes().startswith(b"this is no database")

    def test_is_moved_aside_and_the_backup_put_in_its_place(self, good: Run, home: Path) -> None:
        good("backup", "restore", "first", "--yes", "--aside")
        assert "hello" in good("messages", "list").out
        assert (home / "wilk.db.damaged").read_bytes().startswith(b"this is no database")

    def test_that_was_moved_aside_is_not_taken_for_an_empty_store(self, wilk: Run, home: Path) -> None:
        from wilk.care.backups.restoring import set_aside

        set_aside(library.settings.load(), "first")
        done = wilk("messages", "list", "--session", "talk")
        assert (done.code, "was interrupted" in done.err) == (1, True)
        assert wilk("backup", "restore", "first", "--yes").code == 0
        assert "hello" in wilk("messages", "list", "--session", "talk").out
