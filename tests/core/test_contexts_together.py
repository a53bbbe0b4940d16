"""Contexts built while others write: each is one state of the session, a prefix without a gap."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import wilk
from wilk import models

from .test_contexts import summary

BUILDERS, WRITERS, EACH = 2, 10, 20

SCRIPT = """
import sys, wilk
home, session, deed = sys.argv[1:]
with wilk.open_store(home=home) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(20):
        if deed == "append":
            store.messages.append(session, "user", f"message {number}")
        else:
            context = store.contexts.build(session, manifest=deed == "keep")
            places = [item.first for item in context.items]
            assert places == list(range(1, context.last_sequence + 1)), (places, context.last_sequence)
            if context.manifest:
                assert store.contexts.replay(context.manifest) == context.data
"""


def test_threads_that_append_and_build_at_once_see_whole_states(store: wilk.Store) -> None:
    session = store.sessions.create(max_tokens=100_000, context_strategy="discard").id
    faults: list[BaseException] = []
    begin = threading.Barrier(BUILDERS + WRITERS)

    def append() -> None:
        begin.wait()
        for number in range(EACH):
            store.messages.append(session, "user", f"message {number}")

    def build(keep: bool) -> None:
        begin.wait()
        for _ in range(EACH):
            context = store.contexts.build(session, manifest=keep)
            assert [item.first for item in context.items] == list(range(1, context.last_sequence + 1))
            if context.manifest is not None:
                assert store.contexts.replay(context.manifest) == context.data

    def run(work: object, *arguments: object) -> None:
        try:
            work(*arguments)  # type: ignore[operator]
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=(append,)) for _ in range(WRITERS)]
    threads += [threading.Thread(target=run, args=(build, bool(number))) for number in range(BUILDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert store.contexts.build(session).last_sequence == WRITERS * EACH


@pytest.mark.slow
def test_processes_that_append_and_build_at_once_see_whole_states(store: wilk.Store, home: Path) -> None:
    session = store.sessions.create(max_tokens=100_000, context_strategy="discard").id
    deeds = ["build", "keep", *["append"] * WRITERS]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(home), session, deed],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for deed in deeds
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert (process.returncode, errors) == (0, "")
    finally:
        for process in processes:
            with process:
                process.kill()
    assert store.contexts.build(session).last_sequence == WRITERS * EACH


def test_a_context_never_holds_a_message_and_its_summary_while_they_change_places(store: wilk.Store) -> None:
    """Compaction moves messages and writes their summary in one transaction: a build sees both or neither."""
    session = store.sessions.create(max_tokens=100_000, context_strategy="summarize").id
    store.messages.extend(session, [{"role": "user", "text": f"message {n}"} for n in range(1, 61)])
    faults: list[str] = []
    done = threading.Event()

    def build() -> None:
        while not done.is_set():
            context = store.contexts.build(session)
            covered = [n for item in context.items for n in range(item.first or 0, (item.last or 0) + 1)]
            if covered != list(range(1, 61)):
                faults.append(str(covered))

    thread = threading.Thread(target=build)
    thread.start()
    try:
        for first in range(1, 51, 10):
            last = first + 9
            condition = (models.Message.session == session) & (models.Message.sequence <= last)
            with store.transaction():
                store._archiver.remove("message", condition, reason="consolidated_to_working")
                summary(store, session, first, last, "in short")
    finally:
        done.set()
        thread.join()
    assert faults == []
