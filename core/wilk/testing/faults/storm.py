"""What many threads and processes do to one store at once, and what must be there afterwards."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.errors import Busy

if TYPE_CHECKING:
    from wilk.store import Store
    from wilk.testing.faults.recording import Seen

THREADS = 8
EACH = 6
"""How many threads a process has, and how often each of them writes."""


def prepare(store: Store, tag: str) -> None:
    """Make what all write to: a session, and a number that is counted up."""
    store.sessions.create(id=tag)
    store.state.set(tag, 0)


def act(job: Mapping[str, Any], report: Any) -> None:
    """Take part in the storm, as a process of its own."""
    from wilk.store import open_store
    from wilk.testing.faults.plugins import host, settings_of

    with open_store(settings=settings_of(job), host=host(job)) as store:
        report("open")
        while not Path(job["go"]).exists():  # all begin at once
            time.sleep(0.001)
        together(store, job["tag"], job["writer"], report)
    report("closed")


def together(store: Store, tag: str, name: str, report: Callable[..., None]) -> None:
    """Write from several threads; report how each write ended."""

    def work(thread: int) -> None:
        for number in range(EACH):
            id = f"{tag}-{name}-{thread}-{number}"
            counts = number % 3 == 2
            try:
                _count_up(store, tag) if counts else _write(store, tag, id)
            except Busy:
                report("busy", id=id, counts=counts)
            except BaseException as error:
                report("failed", id=id, counts=counts, error=f"{type(error).__name__}: {error}")
            else:
                report("done", id=id, counts=counts)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _write(store: Store, tag: str, id: str) -> None:
    store.messages.append(tag, "user", id, id=id, tokens=1)


def _count_up(store: Store, tag: str) -> None:
    with store.transaction():
        number = store.state.get(tag).data
        time.sleep(0.002)  # others would like to come in between
        store.state.set(tag, number + 1)


def check(store: Store, tag: str, said: Iterable[Mapping[str, Any]], seen: Seen) -> None:
    """Compare what is there with what was acknowledged and what was refused."""
    during = "in the storm"
    told = [one for one in said if "id" in one]
    messages = store.messages.page(tag, limit=100_000)
    there = Counter(message.id for message in messages)
    for one in told:
        if one["said"] == "failed":
            seen.found("unclear", one["error"], f"{during}, writing {one['id']}")
        if one["counts"]:
            continue
        count = there.pop(one["id"], 0)
        if one["said"] == "done" and not count:
            seen.found("lost", f"message {one['id']}", during)
        if one["said"] == "busy" and count:
            seen.found("half", f"message {one['id']}", f"refused as Busy {during}")
        if count > 1:
            seen.found("doubled", f"message {one['id']} ({count} times)", during)
    for id in there:
        seen.found("half", f"message {id}", f"which nobody wrote, {during}")
    sequences = [message.sequence for message in messages]
    if sequences != [*range(1, len(sequences) + 1)]:
        gaps = [(a, b) for a, b in zip([0, *sequences], sequences, strict=False) if b != a + 1]
        seen.found("changed", f"the sequence: after {gaps[0][0]} comes {gaps[0][1]}", during)
    session = store.sessions.get(tag)
    if session.message_count != len(messages):
        seen.found(
            "changed", f"session {tag} counts {session.message_count} of {len(messages)} messages", during
        )
    counted = sum(one["said"] == "done" for one in told if one["counts"])
    number = store.state.get(tag).data
    if number != counted:
        kind = "lost" if number < counted else "half"
        seen.found(kind, f"{abs(counted - number)} of {counted} additions to state {tag}", during)
