"""What the other processes of the tests do: ``python workers.py NAME HOME ARGUMENT…``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import wilk


def wait_for(starter: str) -> None:
    """Begin together with the others: all of them wait until the file is there."""
    while not Path(starter).exists():
        time.sleep(0.001)


def write(home: str, starter: str, name: str, shared: str, count: str) -> None:
    """Append to a shared session and to one of its own, in turns."""
    with wilk.open_store(home=home) as store:
        own = store.sessions.create(id=f"of {name}").id
        print("ready", flush=True)
        wait_for(starter)
        for number in range(int(count)):
            store.messages.append(shared, "user", f"{name} {number}")
            store.messages.append(own, "user", f"{name} {number}")


def open_new(home: str, starter: str, name: str) -> None:
    """Open a store that is not there yet, together with others, and write to it."""
    print("ready", flush=True)
    wait_for(starter)
    with wilk.open_store(home=home) as store:
        store.messages.append(store.sessions.create(id=name).id, "user", name)


def append_once(home: str, starter: str, session: str, key: str) -> None:
    """Append one message under a key that others use as well, and tell its id."""
    with wilk.open_store(home=home) as store:
        print("ready", flush=True)
        wait_for(starter)
        print(store.messages.append(session, "user", "same", key=key).id)


def append_for_ever(home: str, session: str) -> None:
    """Append until killed; tell each number once its append has returned."""
    with wilk.open_store(home=home) as store:
        number = 0
        while True:
            if number % 7:
                store.messages.append(session, "user", str(number))
            else:
                with store.transaction():
                    store.messages.append(session, "user", str(number))
                    store.tool_calls.start(session, str(number))
            print(number, flush=True)
            number += 1


def make_ids(count: str) -> None:
    clock = wilk.Clock(lambda: 1_800_000_000_000_000)
    print("\n".join(clock.new_id() for _ in range(int(count))))


WORK: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (write, open_new, append_once, append_for_ever, make_ids)
}

if __name__ == "__main__":
    WORK[sys.argv[1]](*sys.argv[2:])
