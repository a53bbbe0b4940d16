"""What is known of the definitions of other stores: which revision was told of, and which were missed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from wilk.errors import InvalidDefinition, WilkError
from wilk.records.definitions import Change

if TYPE_CHECKING:
    from wilk.definitions.catalog import Catalog

_log = logging.getLogger("wilk.definitions")


class State(NamedTuple):
    """How far a definition is."""

    revision: int
    archived: bool


class News:
    """The state of every definition as it was last told of, to be compared with the tables."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()  # nothing is read under it, for readers may wait for each other
        self._states: dict[tuple[str, str], State] = {}
        self._begun = False

    def begin(self) -> None:
        """Read how things stand: what changes from now on is news."""
        if self._begun:
            return
        now = self._now()
        with self._lock:
            if not self._begun:
                self._states = now | self._states
                self._begun = True

    def forked(self) -> None:
        """In a forked child: a thread of the parent may have been at it."""
        self._lock = threading.Lock()

    def known(self, changes: Iterable[Change]) -> None:
        """Take note of changes."""
        with self._lock:
            for change in changes:
                self._states[change.kind, change.id] = State(change.revision, change.action == "archived")

    def fresh(self, changes: list[Change]) -> list[Change]:
        """Those of the changes that were not told of before, in their order; they are known now."""
        self.begin()
        found = []
        with self._lock:
            for change in changes:
                state = State(change.revision, change.action == "archived")
                before = self._states.get((change.kind, change.id))
                if before != state and (before is None or before.revision <= change.revision):
                    self._states[change.kind, change.id] = state
                    found.append(change)
        return found

    def missed(self) -> list[Change]:
        """What the tables hold that was never told of; it is known now."""
        self.begin()
        now = self._now()
        places = self._catalog.places()
        found = []
        with self._lock:
            before, self._states = self._states, now
        for (kind, id), state in now.items():
            old = before.get((kind, id))
            action = _action(old, state)
            if action is not None:
                path = places[kind].path(id)
                found.append(Change(kind, id, action, path, state.revision, old and old.revision, True))
        return found

    def compare(self, change: Change) -> None:
        """Warn of a file of this machine that says something else than the row that another store changed.

        Neither is written over: the file is the truth here, and is taken over when it is next changed.
        """
        catalog = self._catalog
        if catalog.home is None or change.kind not in catalog.places():
            return
        try:
            definition = catalog.read(change.kind, change.id)
        except InvalidDefinition:
            return  # a broken file is told of elsewhere
        except WilkError:
            return  # there is no file, or its name is no good here
        from wilk.definitions.loading import content_of

        record = catalog.find(change.kind, change.id)
        kind = catalog.places()[change.kind].kind
        if record is not None and content_of(kind, change.id, definition).hash == record.content_hash:
            return
        path = catalog.places()[change.kind].path(change.id)
        _log.warning(
            "%s %s: another store has %s it (revision %d), and the file %s of this machine says something "
            "else; it stays as it is, and is taken over when it is next changed",
            change.kind, change.id, change.action, change.revision, path,
        )  # fmt: skip

    def _now(self) -> dict[tuple[str, str], State]:
        return {
            (kind, id): State(revision, archived) for kind, id, revision, archived in self._catalog.states()
        }


def _action(old: State | None, new: State) -> str | None:
    """What became of a definition; None for nothing, or nothing that anybody could still see."""
    if old is None:
        return None if new.archived else "created"
    if old.archived != new.archived:
        return "archived" if new.archived else "restored"
    return "updated" if old.revision != new.revision and not new.archived else None
