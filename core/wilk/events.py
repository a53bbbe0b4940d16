"""Tells plugins what happens in one store; what services hold instead of the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wilk.buses import Joined
    from wilk.engine import Engine
    from wilk.host import Host
    from wilk.records.context import Context
    from wilk.records.conversation import Message
    from wilk.records.definitions import Change, Failure
    from wilk.services.embedding.following import Following
    from wilk.store import Store


class Events:
    """The events of one store. ``before_`` runs inside the transaction and may refuse;
    the others run once the outermost transaction has committed."""

    def __init__(self, host: Host, engine: Engine) -> None:
        self._host = host
        self._engine = engine
        self.store: Store  # set by the store itself, when it has its services
        self.joined: Joined | None = None  # likewise, where there is a bus

    @property
    def following(self) -> Following:
        """What keeps passages and the queue of embedding in step; made when something is first written."""
        return self.store._following

    def saving(self, kind: str, record: Any) -> None:
        """Ask before a record is written, keep what is derived of it in step, and tell after the commit."""
        if self._host.listens("before_save"):
            self._host.before_save(self.store, kind, record)
        self.following.saved(kind, record)
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

    def archived(self, kind: str, reason: str, counts: Mapping[str, int], batch: str) -> None:
        """Tell, after the commit, that rows went into the archive."""
        if self._host.listens("after_archive"):
            self._engine.after_commit(
                lambda: self._host.after_archive(self.store, kind, reason, dict(counts), batch)
            )

    def restored(self, entries: Sequence[int], counts: Mapping[str, int]) -> None:
        """Tell, after the commit, that archived rows are back in their tables."""
        if self._host.listens("after_restore"):
            self._engine.after_commit(
                lambda: self._host.after_restore(self.store, tuple(entries), dict(counts))
            )

    def context_built(self, context: Context) -> None:
        """Tell that a context was built; after the commit, if its manifest is kept."""
        if self._host.listens("context_built"):
            self._engine.after_commit(lambda: self._host.context_built(self.store, context))

    @property
    def watch_scores(self) -> bool:
        """Whether any plugin scores messages: hot verbs ask once, not for every message."""
        return self._host.listens("score_importance")

    def scored(self, role: str, text: str, score: float) -> float:
        """The importance of a message: a plugin's, or the ``score`` of the default table."""
        if not self._host.listens("score_importance"):
            return score
        found = self._host.score_importance(self.store, role, text, score)
        return score if found is None else found

    def summarized(self, messages: Sequence[Message], longest: int) -> str | None:
        """A plugin's summary of messages, or None when no plugin makes one."""
        if not self._host.listens("summarize"):
            return None
        return self._host.summarize(self.store, messages, longest)

    def synced(self, change: Change) -> None:
        """Tell, after the commit, that a definition file was taken over: plugins, and other stores."""
        if self.joined is not None:
            joined = self.joined
            self._engine.after_commit(lambda: joined.synced(change))
        if self._host.listens("definition_synced"):
            self._engine.after_commit(lambda: self._host.definition_synced(self.store, change))

    def failed(self, failure: Failure) -> None:
        """Tell, after the commit, that a definition file could not be taken over."""
        if self._host.listens("definition_failed"):
            self._engine.after_commit(lambda: self._host.definition_failed(self.store, failure))
