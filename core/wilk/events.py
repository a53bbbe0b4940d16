"""Tells plugins what happens in one store; what services hold instead of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wilk.engine import Engine
    from wilk.host import Host
    from wilk.records.definitions import Change, Failure
    from wilk.store import Store


class Events:
    """The events of one store. ``before_`` runs inside the transaction and may refuse;
    the others run once the outermost transaction has committed."""

    def __init__(self, host: Host, engine: Engine) -> None:
        self._host = host
        self._engine = engine
        self.store: Store  # set by the store itself, when it has its services

    def saving(self, kind: str, record: Any) -> None:
        """Ask before a record is written, and tell after it is committed."""
        if self._host.listens("before_save"):
            self._host.before_save(self.store, kind, record)
        if self._host.listens("after_save"):
            self._engine.after_commit(lambda: self._host.after_save(self.store, kind, record))

    @property
    def watch_saves(self) -> bool:
        """Whether any plugin wants to hear of saves: hot verbs skip making what nobody hears."""
        return self._host.listens("before_save") or self._host.listens("after_save")

    @property
    def watch_deletes(self) -> bool:
        """Whether any plugin wants to hear of what is removed."""
        return self._host.listens("after_delete")

    def deleted(self, kind: str, record: Any) -> None:
        """Tell, after the commit, that a record was archived and removed."""
        if self._host.listens("after_delete"):
            self._engine.after_commit(lambda: self._host.after_delete(self.store, kind, record))

    def synced(self, change: Change) -> None:
        """Tell, after the commit, that a definition file was taken over."""
        if self._host.listens("definition_synced"):
            self._engine.after_commit(lambda: self._host.definition_synced(self.store, change))

    def failed(self, failure: Failure) -> None:
        """Tell, after the commit, that a definition file could not be taken over."""
        if self._host.listens("definition_failed"):
            self._engine.after_commit(lambda: self._host.definition_failed(self.store, failure))
