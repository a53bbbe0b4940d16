"""A program whose system prompt follows ``agent.yaml`` as it is edited, without a restart."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from queue import SimpleQueue

import wilk
from wilk.records.definitions import SyncReport


def main(argv: Sequence[str] | None = None) -> int:
    """Show the system prompt of an agent, and show it again whenever its file has changed."""
    parser = argparse.ArgumentParser(prog="wilk-reload", description=__doc__)
    parser.add_argument("agent", help="the agent's id, that is its folder's name")
    parser.add_argument("--home", help="the home folder (WILK_HOME, else ~/.wilk)")
    arguments = parser.parse_args(argv)
    reports: SimpleQueue[SyncReport] = SimpleQueue()
    try:
        with wilk.open_store(home=arguments.home) as store, store.watch(reports.put):
            shown = show(store, arguments.agent, None)
            while True:  # a real program serves requests here, with `prompt(store, id)`
                report = reports.get()
                if any((change.kind, change.id) == ("agents", arguments.agent) for change in report.changes):
                    shown = show(store, arguments.agent, shown)
                for failure in report.failures:
                    print(f"kept the last good one: {failure.problems[0]}", flush=True)
    except KeyboardInterrupt:
        return 0
    except wilk.WilkError as error:
        parser.exit(1, f"wilk-reload: {error}\n")


def show(store: wilk.Store, id: str, shown: int | None) -> int | None:
    """Print the system prompt, unless its revision is the one shown last; return the revision."""
    agent = store.agents.find(id)
    if agent is None:
        print(f"there is no agent {id!r} yet", flush=True)
        return None
    if agent.revision != shown:
        print(f"revision {agent.revision}: {agent.definition['prompts']['system']}", flush=True)
    return agent.revision
