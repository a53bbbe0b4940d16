"""Whatever moment a process dies or a disk is full: tree and index say the same, and nothing told is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from peewee import OperationalError
from tests.core.test_files_rebuilding import forget_index, rows, texts

import wilk
from wilk.backends.files import journal
from wilk.host import Host

SCRIPT = Path(__file__).with_name("files_killed.py")


def opened(base: Path) -> wilk.Store:
    return wilk.open_store(f"files:///{base}", host=Host(disabled=("wilk-audit",)))


def prepare(base: Path) -> None:
    with opened(base) as store:
        store.sessions.create(id="talk")
        store.messages.append("talk", "user", "zero")
        store.documents.save("paper", {"text": "first"})
        store.sessions.create(id="old")
        store.messages.extend("old", [{"role": "user", "text": str(n)} for n in range(3)])
        store.pins.add("old", "a pin")


def state(store: wilk.Store) -> tuple[list[str], Any, bool, int]:
    """What the work changes: messages, the document, whether the old session is there, what is archived."""
    return (
        [message.text for message in store.messages.last("talk")],
        store.documents.get("paper").data["text"],
        store.sessions.find("old") is not None,
        len(store.archive.list(limit=1000)),
    )


def check(found: tuple[list[str], Any, bool, int], done: list[str]) -> None:
    """All that was told is there; what was not is there as a whole, or not at all."""
    messages, document, old, archived = found
    steps = [messages[:1] == ["zero"], "one" in messages, "two" in messages, not old]
    assert messages == ["zero", "one", "two"][: len(messages)]
    assert (document == "second") == ("two" in messages)
    assert archived == (0 if old else 5)
    assert steps == sorted(steps, reverse=True)
    for told, there in zip(("one", "two", "removed"), steps[1:], strict=True):
        assert there or told not in done


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, if there is such a place: a process that is killed leaves the same there."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_a_process_killed_at_any_step_leaves_all_or_nothing_of_each_change(quick: Path) -> None:
    prepare(quick / "prepared")
    folder = quick / "killed"
    folder.mkdir()
    subprocess.run([sys.executable, str(SCRIPT), str(quick / "prepared"), str(folder)], check=True)
    killed = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: int(path.name))
    assert len(killed) > 30
    for number, base in enumerate(killed[:-1]):
        noted = base.with_name(f"{base.name}.done")
        done = noted.read_text().split() if noted.exists() else []
        if number % 2:
            forget_index(base)
        with opened(base) as store:
            check(state(store), done)
            before = rows(store)
            assert store.sync().parsed == 0
        if number % 4 == 0:
            forget_index(base)
            with opened(base) as store:
                assert rows(store) == before
        shutil.rmtree(base)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[wilk.Store]:
    prepare(tmp_path / "tree")
    with opened(tmp_path / "tree") as store:
        yield store


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["open 1", "open 2", "open 3", "open 4", "fsync 1", "fsync 2", "replace 1"])
def test_a_disk_that_is_full_undoes_the_transaction_in_both(
    step: str, store: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = rows(store), texts(tmp_path / "tree")
    name, _, number = step.partition(" ")
    real, calls = getattr(os, name), iter(range(1, 100))

    def filling(*arguments: Any, **more: Any) -> Any:
        if name == "open" and not arguments[1] & os.O_CREAT:
            return real(*arguments, **more)
        if next(calls) >= int(number):
            _full()
        return real(*arguments, **more)

    with monkeypatch.context() as patch, pytest.raises(wilk.BackendError, match="No space left"):
        patch.setattr(os, name, filling)
        with store.transaction():
            store.documents.save("paper", {"text": "second"})
            store.messages.append("talk", "user", "one")
    assert (rows(store), texts(tmp_path / "tree")) == (before, files)
    assert {file.suffix for file in (tmp_path / "tree" / ".journal").iterdir()} <= {"", ".done"}
    store.messages.append("talk", "user", "after")
    assert store.messages.last("talk", 1)[0].text == "after"


def test_a_file_that_cannot_be_put_in_place_is_by_the_next_commit(
    store: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tree" / "conversations" / "paper" / "current.json"
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_finish", _full)
        store.documents.save("paper", {"text": "second"})
    assert "first" in file.read_text()
    store.messages.append("talk", "user", "another")
    assert "second" in file.read_text()


def test_what_was_committed_and_not_put_in_place_survives_the_loss_of_the_index(
    store: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_finish", _full)
        store.documents.save("paper", {"text": "second"})
    store.close()
    forget_index(tmp_path / "tree")
    with opened(tmp_path / "tree") as again:
        assert again.documents.get("paper").data == {"text": "second"}


def _crash(store: wilk.Store, base: Path) -> None:
    """Leave the files of a store as a process does that is killed: journals are there yet."""
    shutil.copytree(base / ".journal", base.with_name("journal"))
    store.close()
    shutil.rmtree(base / ".journal")
    base.with_name("journal").replace(base / ".journal")


def _without_power(base: Path) -> None:
    """As if the machine had been switched off: files that were not made safe are empty, or as before."""
    for file in (base / ".journal").glob("*.done"):
        lines = file.read_text().splitlines()
        *steps, end = [json.loads(line) for line in lines]
        file.write_text("\n".join([*lines[:-1], json.dumps({**end, "boot": "another"})]) + "\n")
        for path, *_ in steps:
            if (base / path).exists():
                (base / path).write_bytes(b"")


@pytest.mark.parametrize("indexed", [True, False])
def test_a_loss_of_power_loses_nothing_that_was_told(
    indexed: bool, store: wilk.Store, tmp_path: Path
) -> None:
    base = tmp_path / "tree"
    store.messages.append("talk", "user", "one")
    store.documents.save("paper", {"text": "second"})
    store.sessions.remove("old")
    before, files = rows(store), texts(base)
    _crash(store, base)
    _without_power(base)
    if not indexed:
        forget_index(base)
    with opened(base) as again:
        assert (rows(again), texts(base)) == (before, files)
        assert again.sync().changes == ()


def test_an_edit_after_a_crash_is_taken_for_an_edit(store: wilk.Store, tmp_path: Path) -> None:
    file = tmp_path / "tree" / "conversations" / "paper" / "current.json"
    store.documents.save("paper", {"text": "second"})
    _crash(store, tmp_path / "tree")
    assert list((tmp_path / "tree" / ".journal").glob("*.done"))
    file.write_text(file.read_text().replace("second", "by hand"))
    with opened(tmp_path / "tree") as again:
        assert again.documents.get("paper").data == {"text": "by hand"}


@pytest.mark.parametrize("boot", [None, "another"])
def test_an_edit_after_a_crash_and_a_new_start_of_the_machine_is_taken_for_an_edit(
    boot: str | None, store: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tree" / "conversations" / "paper" / "current.json"
    store.documents.save("paper", {"text": "second"})
    _crash(store, tmp_path / "tree")
    file.write_text(file.read_text().replace("second", "by hand"))
    monkeypatch.setattr(journal, "_boot", lambda: boot)
    with opened(tmp_path / "tree") as again:
        assert again.documents.get("paper").data == {"text": "by hand"}
    assert [one.name for one in file.parent.iterdir()] == ["current.json"]


def test_a_file_deleted_after_closing_and_a_new_start_of_the_machine_is_deleted(
    store: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.documents.save("paper", {"text": "second"})
    store.close()
    (tmp_path / "tree" / "conversations" / "paper" / "current.json").unlink()
    monkeypatch.setattr(journal, "_boot", lambda: "another")
    with opened(tmp_path / "tree") as again:
        assert again.documents.list() == []


@pytest.mark.parametrize("damage", ["none", "emptied", "not there"])
@pytest.mark.parametrize("boot", [None, "another"])
def test_a_loss_of_power_amid_putting_files_in_place_loses_nothing_that_was_committed(
    boot: str | None, damage: str, store: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "tree"
    file = base / "conversations" / "paper" / "current.json"
    store.documents.save("paper", {"text": "second"})
    real = Path.replace

    def dying(source: Path, target: Path) -> Path:
        if damage == "not there" or target.suffix == ".done":
            raise OSError(errno.EIO, "gone")
        return real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_finish", _dying(dying))
        store.documents.save("paper", {"text": "third"})
    _crash(store, base)
    assert list((base / ".journal").glob("*.json"))
    if damage == "emptied":
        file.write_bytes(b"")
    if damage == "not there":
        for temporary in (base / ".journal").glob("*-*.new"):
            temporary.write_bytes(b"")
    monkeypatch.setattr(journal, "_boot", lambda: boot)
    with opened(base) as again:
        assert again.documents.get("paper").data == {"text": "third"}
        assert "third" in file.read_text()
    if damage != "emptied":  # what is written twice leaves a copy
        assert [one.name for one in file.parent.iterdir()] == ["current.json"]


def _dying(replace: Any) -> Any:
    """What puts files in place, with another way to rename them."""
    finish = journal._finish

    def finishing(*arguments: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            finish(*arguments)

    return finishing


def test_an_edit_made_before_a_commit_was_finished_is_kept_beside(
    store: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tree" / "conversations" / "paper" / "current.json"
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_finish", _full)
        store.documents.save("paper", {"text": "second"})
    store.close()
    file.write_text(file.read_text().replace("first", "by hand"))
    with opened(tmp_path / "tree") as again:
        assert again.documents.get("paper").data == {"text": "second"}
    (kept,) = file.parent.glob("*.edited")
    assert "by hand" in kept.read_text()


def test_a_commit_that_the_index_took_and_the_driver_says_has_failed_stands(
    store: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "tree"
    store.messages.extend("talk", [{"role": "user", "text": str(number)} for number in range(99)])
    with monkeypatch.context() as patch:
        _fails_after_the_index(store, base, patch)
        store.messages.append("talk", "user", "stands")  # the first of another file
    assert store.messages.last("talk", 1)[0].text == "stands"
    assert store.sync().changes == ()
    assert sorted(file.name for file in (base / "sessions/talk/messages").iterdir()) == [
        "000001.json",
        "000101.json",
    ]
    store.messages.append("talk", "user", "next")
    before = rows(store)
    assert len(before["messages"]) == 105
    assert store.archive.list() == []
    store.close()
    forget_index(base)
    with opened(base) as again:
        assert rows(again) == before


def _fails_after_the_index(store: wilk.Store, base: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the next commit write the index alone, as a disk does that is full just then.

    SQLite commits databases that are attached to each other one by one, and says that it failed.
    """
    database, execute = store._engine.database, store._engine.execute
    commit = database.commit

    def half() -> None:
        with closing(sqlite3.connect(base / ".index" / "tree.db")) as other:
            earlier = {name: other.execute(f"SELECT * FROM {name}").fetchall() for name in ("seen", "parts")}
        commit()
        for name, kept in earlier.items():
            execute(f"DELETE FROM tree.{name}")
            store._engine.execute_many(
                f"INSERT INTO tree.{name} VALUES ({', '.join('?' * len(kept[0]))})", kept
            )
        raise OperationalError("database or disk is full")

    patch.setattr(database, "commit", half)


def test_journals_do_not_pile_up(store: wilk.Store, tmp_path: Path) -> None:
    for number in range(journal.MOST + 10):
        store.state.set("number", number)
    assert len(list((tmp_path / "tree" / ".journal").iterdir())) <= journal.MOST + 2


def test_a_savepoint_that_is_rolled_back_leaves_no_file(store: wilk.Store, tmp_path: Path) -> None:
    with store.transaction():
        with pytest.raises(wilk.NotFound), store.transaction():
            store.documents.save("undone", {})
            store.messages.append("nobody", "user")
        store.documents.save("kept", {"a": 1})
    assert sorted(path.name for path in (tmp_path / "tree" / "conversations").iterdir()) == ["kept", "paper"]


def test_a_commit_that_the_index_refuses_leaves_the_files_as_they_were(
    store: wilk.Store, tmp_path: Path
) -> None:
    files = texts(tmp_path / "tree")
    with pytest.raises(wilk.Conflict), store.transaction():
        store._engine.execute("PRAGMA defer_foreign_keys = ON")
        store._engine.execute("DELETE FROM sessions WHERE id = 'talk'")
    assert texts(tmp_path / "tree") == files
    assert store.sessions.get("talk").message_count == 1
    assert {file.suffix for file in (tmp_path / "tree" / ".journal").iterdir()} <= {"", ".done"}


@pytest.mark.parametrize("late", [True, False])
def test_ctrl_c_while_a_change_commits_leaves_files_and_index_the_same(
    late: bool, store: wilk.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = store._engine.database
    commit = database.commit

    def interrupted() -> None:
        if late:
            commit()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(database, "commit", interrupted)
        store.messages.append("talk", "user", "one")
    found = [message.text for message in store.messages.last("talk")]
    assert found == (["zero", "one"] if late else ["zero"])
    assert store.sync().changes == ()
    assert [message.text for message in store.messages.last("talk")] == found
    before = rows(store)
    store.close()
    forget_index(tmp_path / "tree")
    with opened(tmp_path / "tree") as again:
        assert rows(again) == before


WRITER = """
import sys, wilk
from wilk.host import Host
with wilk.open_store(sys.argv[1], host=Host(disabled=("wilk-audit",))) as store:
    for number in range(int(sys.argv[3])):
        store.messages.append("talk", "user", f"{sys.argv[2]} {number}")
        print(number, flush=True)
"""


def _process(base: Path, name: str, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, f"files:///{base}", name, str(number)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_take_turns_and_see_each_other(store: wilk.Store, tmp_path: Path) -> None:
    others = [_process(tmp_path / "tree", name, 60) for name in ("a", "b")]
    for number in range(60):
        store.messages.append("talk", "user", f"mine {number}")
    for other in others:
        other.communicate()
    assert [other.returncode for other in others] == [0, 0]
    assert [message.sequence for message in store.messages.page("talk", limit=300)] == [*range(1, 182)]
    before = rows(store)
    store.close()
    forget_index(tmp_path / "tree")
    with opened(tmp_path / "tree") as again:
        assert rows(again) == before


@pytest.mark.slow
def test_a_killed_process_leaves_the_other_working(store: wilk.Store, tmp_path: Path) -> None:
    told = 0
    for _ in range(3):
        other = _process(tmp_path / "tree", "other", 1000)
        assert other.stdout is not None
        for _ in range(10):
            other.stdout.readline()
            told += 1
            store.messages.append("talk", "user", "mine")
        other.kill()
        told += len(other.communicate()[0].split())
    found = [message.text for message in store.messages.page("talk", limit=5000)]
    assert found.count("mine") == 30
    assert sum(text.startswith("other") for text in found) in range(told, told + 4)
    before = rows(store)
    store.close()
    forget_index(tmp_path / "tree")
    with opened(tmp_path / "tree") as again:
        assert rows(again) == before
