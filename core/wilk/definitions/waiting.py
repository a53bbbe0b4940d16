"""What is still to be done to files: a transaction writes rows at once, and files once it commits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any
from weakref import ref


class Late:
    """What one call is to do to files after the commit; ``Engine.after_commit`` runs and owns it.

    ``definitions`` has what will be in each file, by path; None for a file that goes. ``act``
    gets the paths that no later call has taken over.
    """

    def __init__(
        self,
        waiting: Waiting,
        definitions: Mapping[str, dict[str, Any] | None],
        act: Callable[[Collection[str]], None],
    ) -> None:
        self.definitions = dict(definitions)
        self._waiting = waiting
        self._act = act

    def __call__(self) -> None:
        paths = self._waiting.leave(self)
        if paths:
            self._act(paths)


class Waiting(threading.local):
    """Each thread's files that wait for its commit. Until then a sync would undo their rows.

    Only the engine holds on to a Late. It drops one when its transaction, or its savepoint, is
    rolled back, and with that it is gone from here as well.
    """

    def __init__(self) -> None:
        self._lates: list[ref[Late]] = []

    def add(self, late: Late) -> None:
        """Let the paths of a call wait. It goes before earlier calls for the same paths."""
        self._lates = [*map(ref, self._living()), ref(late)]

    def leave(self, late: Late) -> set[str]:
        """Let a call wait no longer, and return the paths that are for it to write."""
        mine = {path for path in late.definitions if self._last(path) is late}
        self._lates = [ref(other) for other in self._living() if other is not late]
        return mine

    def forget(self, paths: Collection[str]) -> None:
        """Write no more what waits for these paths: they have been written since."""
        for late in self._living():
            for path in paths:
                late.definitions.pop(path, None)

    def paths(self) -> set[str]:
        """The paths whose files do not hold yet what their rows do."""
        return {path for late in self._living() for path in late.definitions}

    def definition(self, path: str) -> dict[str, Any] | None:
        """What is to be written to a path; None when nothing waits, or the file is to go."""
        late = self._last(path)
        return None if late is None else late.definitions[path]

    def _last(self, path: str) -> Late | None:
        return next((late for late in reversed(self._living()) if path in late.definitions), None)

    def _living(self) -> list[Late]:
        return [late for held in self._lates if (late := held()) is not None]
