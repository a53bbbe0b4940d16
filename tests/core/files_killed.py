"""Kills a process at each step of its work on a tree: ``python files_killed.py PREPARED FOLDER``.

Steps are counted at whatever touches a file, and at the commits of the index. For the n-th step a copy of
the tree ``PREPARED`` is made in ``FOLDER/n``, and a child works on it until it comes to that step. What it
was told is done is in ``FOLDER/n.done``. Ends when a child comes to no such step.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

import wilk
from wilk import transactions
from wilk.host import Host

_left = 0


def _step() -> None:
    global _left
    _left -= 1
    if not _left:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch() -> None:
    for name in ("fsync", "replace", "unlink", "link"):
        setattr(os, name, _before(getattr(os, name)))
    leave = transactions.Transaction._leave

    def leaving(transaction: Any, *arguments: Any) -> None:
        _step()
        leave(transaction, *arguments)
        _step()

    transactions.Transaction._leave = leaving  # type: ignore[method-assign]
    # Between the commit of the index and the first file that is put in place.
    finish = wilk.backends.files.writing.Staging.finish  # type: ignore[attr-defined]

    def finishing(staging: Any) -> None:
        _step()
        finish(staging)

    wilk.backends.files.writing.Staging.finish = finishing  # type: ignore[attr-defined]


def _before(call: Any) -> Any:
    def called(*arguments: Any, **more: Any) -> Any:
        _step()
        return call(*arguments, **more)

    return called


def work(base: Path, done: Path) -> None:
    def tell(what: str) -> None:
        with done.open("a") as file:
            file.write(what + "\n")

    with wilk.open_store(f"files:///{base}", host=Host(disabled=("wilk-audit",))) as store:
        _watch()
        store.messages.append("talk", "user", "one")
        tell("one")
        with store.transaction():
            store.documents.save("paper", {"text": "second"})
            store.messages.append("talk", "user", "two")
        tell("two")
        store.sessions.remove("old")
        tell("removed")


def main(prepared: Path, folder: Path) -> None:

    global _left
    for number in count(1):
        base = folder / str(number)
        shutil.copytree(prepared, base)
        child = os.fork()
        if not child:
            try:
                _left = number
                work(base, folder / f"{number}.done")
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
