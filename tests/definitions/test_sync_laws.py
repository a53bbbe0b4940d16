"""The law of syncing: whatever happened to the files, syncing by steps ends where a fresh sync does."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk

# Names differ from file to file: who of two gets one name depends on who came first.
_IDS = ["a", "b", "c"]
_STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(_IDS), st.integers(0, 3)),
    st.tuples(st.just("break"), st.sampled_from(_IDS), st.just(0)),
    st.tuples(st.just("delete"), st.sampled_from(_IDS), st.just(0)),
    st.tuples(st.just("rename"), st.sampled_from(_IDS), st.integers(0, 2)),
    st.tuples(st.just("swap"), st.sampled_from(_IDS), st.integers(0, 2)),
    st.tuples(st.just("comment"), st.sampled_from(_IDS), st.just(0)),
    st.tuples(st.just("hide"), st.just("a"), st.just(0)),
    st.tuples(st.just("sync"), st.just("a"), st.just(0)),
    st.tuples(st.just("sync path"), st.sampled_from(_IDS), st.just(0)),
)


def act(home: Path, step: tuple[str, str, int], number: int) -> None:
    verb, id, value = step
    file = home / "agents" / id / "agent.yaml"
    if verb == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"name: name-{id}-{number}\nversion: 'v{value}'\n")
    elif verb == "break" and file.exists():
        file.write_text("name: [")
    elif verb == "delete" and file.parent.exists():
        shutil.rmtree(file.parent)
    elif verb == "rename" and file.parent.exists():
        other = home / "agents" / _IDS[value]
        if not other.exists():
            file.parent.rename(other)
    elif verb == "swap" and file.exists():
        other = home / "agents" / _IDS[value] / "agent.yaml"
        if other.exists() and other != file:
            mine, theirs = file.read_text(), other.read_text()
            file.write_text(theirs)
            other.write_text(mine)
    elif verb == "comment" and file.exists():
        file.write_text(file.read_text() + "# more\n")
    elif verb == "hide":
        if (home / "agents").exists() and not (home / "aside").exists():
            (home / "agents").rename(home / "aside")
        elif (home / "aside").exists() and not (home / "agents").exists():
            (home / "aside").rename(home / "agents")


def good(store: wilk.Store, home: Path) -> dict[str, Any]:
    """What the tables hold of the files that are sound: broken ones keep what they had before."""
    states = {file.id: file.state for file in store.definitions.files("agents")}
    return {
        agent.id: (agent.name, agent.version, agent.content_hash, agent.is_installed)
        for agent in store.agents.list()
        if states[agent.id] == "ok"
    }


def states(store: wilk.Store) -> dict[str, tuple[str, str | None]]:
    return {
        file.path: (file.state, file.error) for file in store.definitions.files() if file.state != "missing"
    }


@pytest.mark.slow
@settings(max_examples=60)
@given(steps=st.lists(_STEPS, max_size=14))
def test_syncing_by_steps_ends_where_a_fresh_sync_does(steps: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        with wilk.open_store(f"sqlite:///{folder}/a.db", home=home) as store:
            for number, step in enumerate(steps):
                act(home, step, number)
                if step[0] == "sync":
                    store.sync()
                elif step[0] == "sync path":
                    store.sync([home / "agents" / step[1] / "agent.yaml"])
            store.sync()
            # A broken file's record may still hold a name that it had when it was sound.
            clashes = [
                error
                for state, error in states(store).values()
                if state == "broken" and "already" in str(error)
            ]
            if clashes:
                return
            with wilk.open_store(f"sqlite:///{folder}/b.db", home=home) as fresh:
                fresh.sync()
                assert good(store, home) == good(fresh, home)
                assert states(store) == states(fresh)
            assert store.sync().changes == ()
            for agent in store.agents.list(archived=True):
                numbers = [revision.number for revision in store.agents.history(agent.id)]
                assert numbers == list(range(1, agent.revision + 1))
                assert store.agents.history(agent.id)[-1].content_hash == agent.content_hash
