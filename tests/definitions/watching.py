"""A store that follows its home folder, with what a test asks of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from wilk.definitions.watcher import Watcher
from wilk.records.definitions import Failure, SyncReport
from wilk.store import Store

PATIENCE = 20.0
"""Seconds that a loaded machine may take for what comes at once on an idle one."""

STILLNESS = 0.4
"""Seconds in which nothing happens when nothing more is to come."""


def agent_text(id: str, description: str) -> str:
    """An agent's file that is broken when a piece at its end is missing: the last quote goes."""
    head = f"name: {id}\nversion: 1.0.0\nmodel:\n  provider: openai\n  name: gpt-4\n"
    return f'{head}description: "{description}"\n'


def write_agent(home: Path, id: str, description: str = "first") -> Path:
    path = home / "agents" / id / "agent.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(agent_text(id, description))
    return path


def until(fact: Callable[[], Any], what: str = "it") -> Any:
    """Wait until a fact holds, and return it."""
    end = time.monotonic() + PATIENCE
    while not (found := fact()):
        assert time.monotonic() < end, f"{what} did not come in {PATIENCE:g} s"
        time.sleep(0.005)
    return found


class Following:
    """Counts what the watcher of a store does: each call of ``sync``, each report."""

    def __init__(self, store: Store) -> None:
        assert store.home is not None
        self.store = store
        self.home = store.home
        self.calls: list[Collection[Path] | None] = []
        self.reports: list[SyncReport] = []
        self._sync = store.catalog.sync
        store.catalog.sync = self._counted  # type: ignore[method-assign]

    def watch(self) -> Watcher:
        watcher = self.store.watch(self.reports.append)
        self.calls.clear()
        self.reports.clear()
        return watcher

    def _counted(self, paths: Collection[Path] | None = None) -> SyncReport:
        report = self._sync(paths)
        self.calls.append(paths)
        return report

    @property
    def failures(self) -> list[Failure]:
        return [failure for report in self.reports for failure in report.failures]

    def description(self, id: str) -> str | None:
        agent = self.store.catalog.find("agents", id)
        return None if agent is None else agent.description

    def revision(self, id: str) -> int:
        return self.store.catalog.get("agents", id).revision

    def alive(self, kind: str = "agents") -> set[str]:
        """The ids of all records of a kind that are not archived."""
        table = self.store.catalog.table(kind)
        return {record.id for record in table.select(table.alive())}

    def until_described(self, id: str, description: str) -> None:
        until(lambda: self.description(id) == description, f"{id}: {description}")

    def until_called(self, times: int = 1) -> None:
        until(lambda: len(self.calls) >= times, f"sync number {times}")

    def calls_in_all(self) -> int:
        """How many syncs there were, with the one whose rows can be seen, and none to come."""
        self.until_called()
        self.still()
        return len(self.calls)

    def still(self) -> None:
        """Give what should not happen time to happen."""
        time.sleep(STILLNESS)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}
