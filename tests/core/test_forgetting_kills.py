"""Forgetting that is killed at any point is finished by the same call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import wilk

from .canaries import held, plant
from .everything import tables

pytestmark = [pytest.mark.sqlite, pytest.mark.slow]

CHILD = """
import os, signal, sys
import wilk
from wilk.archives.jsonl import Jsonl
from wilk.backends.sqlite_erasing import SqliteErasing
from wilk.care.forgetting import copies, outside
from wilk.care.forgetting.forgetting import Forgetting, _Run

home, user, point = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(owner, name):
    whole = getattr(owner, name)
    def both(*arguments, **options):
        whole(*arguments, **options)
        die()
    setattr(owner, name, both)

if point == "amid the rows":
    after(sys.modules["wilk.care.forgetting.forgetting"], "remove")
elif point == "amid the archive":
    after(Jsonl, "_rewritten")
elif point == "behind the places":
    after(outside, "replace")
elif point == "amid a copy":
    copies._written_anew = die
elif point == "before its sums":
    copies._resum = die
elif point == "before the certificate":
    _Run._certify = die

def step(said):
    if said == point:
        die()

with wilk.open_store(home=home) as store:
    store.forgetting.run(user=user, progress=step)
"""

POINTS = (
    "amid the rows",
    "amid the archive",
    "behind the places",
    "amid a copy",
    "before its sums",
    "writing the database anew",
    "before the certificate",
)


@pytest.mark.parametrize("point", POINTS)
def test_what_was_killed_is_finished_by_the_same_call(point: str, home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text("archive: jsonl\n")
    with wilk.open_store(home=home) as store:
        store.groups.save("team", name="Team")
        bobby, alice = plant(store, "bobby"), plant(store, "alice")
        store.cache("responses").set("k", {"answer": alice.canary("cached") * 20})
        backup = store.backups.create()
        before = tables(store)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(home), alice.user, point],
        env=os.environ,
        capture_output=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    with wilk.open_store(home=home) as store:
        certificate = store.forgetting.run(user=alice.user)
        after = tables(store)
        assert certificate.status == "finished"
        assert [one.status for one in store.forgetting.certificates()] == ["finished"]
        assert store.backups.verify(backup.id).good
        for entry in store.archive.list(session=f"old-{bobby.who}-0-1234"):
            assert entry.data
        assert len(store.archive.list(session=f"old-{bobby.who}-0-1234")) == 2
    assert held(home, [*alice.canaries, alice.user, alice.session]) == {}
    for name in before.keys() - {"certificates", "forgotten", "vector_spaces", "wilk_migrations"}:
        assert set(map(repr, after[name])) <= set(map(repr, before[name])), name
    assert len(after["sessions"]) == 1
