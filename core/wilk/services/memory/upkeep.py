"""Compaction that runs by itself: what an append tells, and the job behind the verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wilk.engine import Engine
from wilk.errors import NotFound

if TYPE_CHECKING:
    from wilk.services.memory.compaction import Compaction
    from wilk.settings import Settings

_REMEMBERED = 10_000


class Upkeep:
    """Hears of appends, and has sessions compacted that are over their limits, after the commit.

    ``later`` runs a job off the caller's path, one at a time for a key.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        later: Callable[[str, Callable[[], object]], object],
        compaction: Callable[[], Compaction],
    ) -> None:
        self._engine = engine
        self._most = 0 if settings.compaction == "manual" else settings.compact_messages
        self._off = settings.compaction == "manual"
        self._later = later
        self._compaction = compaction
        self._enough: dict[str, int] = {}  # how many messages a session may have before a look is worth it

    def appended(self, session_id: str, messages: int, tokens: int, max_tokens: int, strategy: str) -> None:
        """Hear how many messages a session has in all, and how many tokens are live of how many."""
        if tokens <= max_tokens and not (self._most and messages > self._enough.get(session_id, self._most)):
            return
        if not self._off and strategy != "discard":
            self._engine.after_commit(
                lambda: self._later(f"compact:{session_id}", lambda: self._run(session_id))
            )

    def _run(self, session_id: str) -> None:
        compaction = self._compaction()
        try:
            compaction.upkeep(session_id)
            if self._most:
                messages = compaction.session(session_id).message_count
                counted, _ = compaction.counted(session_id)
                if len(self._enough) >= _REMEMBERED:
                    self._enough.clear()
                self._enough[session_id] = messages + max(0, self._most - counted)
        except NotFound:
            self._enough.pop(session_id, None)  # the session was removed meanwhile
