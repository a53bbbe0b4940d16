"""A process that writes until its input ends: ``python backups_worker.py SESSION FILE``.

It appends messages to its session, and notes in the file how many of them have been acknowledged. Every
tenth time it removes a session of its own with what is in it, and reads back what it has written last.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress

import wilk


def work(session: str, acknowledged: int) -> None:
    number = 0
    with wilk.open_store() as store:
        if store.sessions.find(session) is None:
            store.sessions.create(id=session)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while not select.select([sys.stdin], [], [], 0)[0]:
            number += 1
            store.messages.append(session, "user", f"{session} {number}", metadata={"n": number})
            os.pwrite(acknowledged, f"{number:>12}".encode(), 0)
            if number % 10 == 0:
                other = store.sessions.create(metadata={"of": session}).id
                with suppress(wilk.NotFound):  # a restore has taken it away in between
                    store.messages.extend(other, [{"role": "user", "text": "goes"} for _ in range(3)])
                    store.sessions.remove(other)
                assert store.messages.last(session, 1)


if __name__ == "__main__":
    work(sys.argv[1], os.open(sys.argv[2], os.O_CREAT | os.O_RDWR, 0o600))
