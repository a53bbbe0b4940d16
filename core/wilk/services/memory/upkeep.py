"""Compaction that runs by itself: what an append tells, and the job behind the verbs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wilk.context.budget import is_full
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
        # What of a session does not count for its limits, as of the last look: messages and tokens.
        self._apart: dict[str, tuple[int, int]] = {}

    def appended(self, session_id: str, messages: int, tokens: int, max_tokens: int, strategy: str) -> None:
        """Hear how many messages a session has in all, and how many tokens are live of how many."""
        if self._off or strategy == "discard":
            return
        apart = self._apart.get(session_id)
        if apart is not None:
            messages, tokens = messages - apart[0], tokens - apart[1]
        if is_full(messages, tokens, max_tokens) or 0 < self._most < messages:
            self._engine.after_commit(
                lambda: self._later(f"compact:{session_id}", lambda: self._run(session_id))
            )

    def _run(self, session_id: str) -> None:
        compaction = self._compaction()
        try:
            compaction.upkeep(session_id)
            session = compaction.session(session_id)
            messages, tokens = compaction.counted(session_id)
            if len(self._apart) >= _REMEMBERED:
                self._apart.clear()
            self._apart[session_id] = (session.message_count - messages, session.token_count - tokens)
        except NotFound:
            self._apart.pop(session_id, None)  # the session was removed meanwhile
