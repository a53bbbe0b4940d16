"""Several processes on one store: nobody hears an error, nothing that was acknowledged is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.engines import ask

import wilk

from .indexed import check_full_text

PROCESSES = 8
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start ``workers.py`` with its arguments; whatever still runs at the end is killed."""
    running: list[subprocess.Popen[str]] = []

    def start_it(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(Path(__file__).with_name("workers.py")), *map(str, arguments)]
        running.append(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
            )
        )
        return running[-1]

    yield start_it
    for process in running:
        with process:
            process.kill()


def together(starter: Path, processes: list[subprocess.Popen[str]]) -> list[str]:
    """Let processes that said "ready" go at once; return what each printed after it."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    starter.touch()
    printed = []
    for process in processes:
        output, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
        printed.append(output)
    return printed


@pytest.mark.slow
def test_eight_write_at_once_without_an_error_or_a_lost_row(
    store: wilk.Store, home: Path, tmp_path: Path, start: Start
) -> None:
    starter = tmp_path / "go"
    shared = store.sessions.create().id
    together(starter, [start("write", home, starter, name, shared, 200) for name in range(PROCESSES)])
    found = store.messages.page(shared, limit=10_000)
    assert [message.sequence for message in found] == list(range(1, PROCESSES * 200 + 1))
    for name in range(PROCESSES):
        expected = [f"{name} {number}" for number in range(200)]
        assert [message.text for message in found if message.text.startswith(f"{name} ")] == expected
        own = store.messages.page(f"of {name}", limit=10_000)
        assert [(message.text, message.sequence) for message in own] == list(
            zip(expected, range(1, 201), strict=True)
        )
    assert store.messages.count(shared) == PROCESSES * 200


def test_eight_open_a_new_store_at_once(home: Path, tmp_path: Path, start: Start) -> None:
    starter = tmp_path / "go"
    together(starter, [start("open_new", home, starter, name) for name in range(PROCESSES)])
    with wilk.open_store(home=home) as store:
        assert {one.id for one in store.sessions.list()} == {str(name) for name in range(PROCESSES)}


def test_eight_append_under_one_key_and_write_one_row(
    store: wilk.Store, session: str, home: Path, tmp_path: Path, start: Start
) -> None:
    starter = tmp_path / "go"
    printed = together(starter, [start("append_once", home, starter, session, "k") for _ in range(PROCESSES)])
    (message,) = store.messages.page(session)
    assert {line.strip() for line in printed} == {message.id}


@pytest.mark.parametrize("after", [1, 40, 200])
def test_a_killed_writer_loses_nothing_that_was_acknowledged(
    store: wilk.Store, session: str, home: Path, start: Start, after: int
) -> None:
    writer = start("append_for_ever", home, session)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline() for _ in range(after)]
    writer.kill()
    acknowledged += writer.stdout.readlines()
    writer.wait()
    # The last line may have been cut by the kill.
    numbers = [int(line) for line in acknowledged if line.endswith("\n")]
    with wilk.open_store(home=home) as again:
        found = [int(message.text) for message in again.messages.page(session, limit=100_000)]
        assert found[: len(numbers)] == numbers == list(range(len(numbers)))
        assert len(found) - len(numbers) in (0, 1), "one may have been written and not yet told"
        calls = {call.name for call in again.tool_calls.list(session, limit=100_000)}
        assert calls == {str(number) for number in found if number % 7 == 0}, (
            "a transaction is whole or nothing"
        )
        again.messages.append(session, "user", "goes on")


def test_a_killed_writer_leaves_a_sound_database(
    store: wilk.Store, session: str, home: Path, start: Start, backend: str
) -> None:
    writer = start("append_for_ever", home, session)
    assert writer.stdout is not None
    for _ in range(30):
        writer.stdout.readline()
    writer.kill()
    writer.wait()
    if backend == "sqlite":
        assert ask(store, "PRAGMA integrity_check") == [("ok",)]
        assert ask(store, "PRAGMA foreign_key_check") == []
    check_full_text(store)


def test_ids_of_two_processes_differ_though_their_clocks_stand(start: Start) -> None:
    outputs = [process.communicate()[0].split() for process in [start("make_ids", 2000) for _ in range(2)]]
    assert len(set(outputs[0]) | set(outputs[1])) == 4000
