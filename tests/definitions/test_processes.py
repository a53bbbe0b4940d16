"""Several processes over one folder: each change is taken over once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import wilk

SYNC = """
import sys, time, wilk
with wilk.open_store(home=sys.argv[1]) as store:
    print("ready", flush=True)
    for line in sys.stdin:
        print(len(store.sync().changes), flush=True)
"""


def test_processes_that_sync_at_once_make_one_revision_of_each_save(store: wilk.Store, home: Path) -> None:
    file = home / "agents/a/agent.yaml"
    file.parent.mkdir(parents=True)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", SYNC, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    try:
        pipes = [(other.stdin, other.stdout) for other in others if other.stdin and other.stdout]
        for _, answers in pipes:
            assert answers.readline() == "ready\n"
        taken = []
        for number in range(10):
            file.write_text(f"name: a\nversion: 'v{number}'\n")
            for orders, _ in pipes:
                orders.write("sync\n")
                orders.flush()
            taken.append(sum(int(answers.readline()) for _, answers in pipes))
        assert taken == [1] * 10
    finally:
        for other in others:
            other.communicate()
    assert [revision.version for revision in store.agents.history("a")] == [
        f"v{number}" for number in range(10)
    ]
