"""The life cycle of a session's messages: summarized, scored, archived, and brought back.

What a summary stands for goes into the archive and still belongs to its session: reading verbs find
it there. The system prompt at the beginning stays live, and so does the newest turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import Conflict, NotFound
from wilk.events import Events
from wilk.records.memory import MemoryStatus, Summary
from wilk.services.memory import importance as scoring
from wilk.services.memory.compaction import ALL, Compaction
from wilk.services.memory.summaries import Summaries


class Memory:
    """What becomes of the messages of all sessions of a store."""

    def __init__(self, engine: Engine, events: Events, compaction: Compaction, summaries: Summaries) -> None:
        self._engine = engine
        self._events = events
        self._compaction = compaction
        self._summaries = summaries

    def needs_compaction(self, session_id: str) -> bool:
        """Tell whether live messages take more than three quarters of a session's ``max_tokens``, as
        contexts count them, or are more than the setting ``compact_messages``.

        With ``compaction: summarize`` nothing is archived, so that only messages count which no
        summary covers.
        """
        return self._compaction.due(session_id)

    def compact(
        self,
        session_id: str,
        *,
        keep_tokens: int | None = None,
        keep_messages: int | None = None,
        last: int | None = None,
        archive: bool = True,
    ) -> Summary | None:
        """Summarize the oldest messages of a session and archive them; return the latest summary.

        The newest messages stay, at most ``keep_tokens`` and ``keep_messages`` of them (neither given:
        half of the session's ``max_tokens`` with its system prompt, and half of the setting
        ``compact_messages``); or all after the sequence ``last``. A tool's call and its results stay
        together, the newest turn stays whatever its length. Each summary stands for at most
        ``max_tokens`` of messages. With ``archive=False`` messages stay where they are. Returns None
        when there is nothing to summarize. Writing is one transaction for each summary, begun once it
        is made.
        """
        return self._compaction.compact(session_id, keep_tokens, keep_messages, last, archive=archive)

    def uncompact(self, session_id: str, *, summary: str | None = None) -> Sequence[Summary]:
        """Bring archived messages back exactly as they were, and archive their summaries.

        Without ``summary`` all of the session's. Returns the summaries. Raises NotFound, and Conflict
        for a summary that is not compacted.
        """
        with self._engine.transaction():
            self._compaction.session(session_id)
            if summary is None:
                chosen = [one for one in self._summaries.list(session_id, limit=ALL) if one.compacted]
            else:
                one = self._summaries.get(summary)
                if one.session_id != session_id:
                    raise NotFound("summary", summary, f"it belongs to session {one.session_id!r}")
                if not one.compacted:
                    raise Conflict(
                        f"the messages of summary {summary!r} are not archived; "
                        "store.summaries.remove takes it away"
                    )
                chosen = [one]
            for one in reversed(chosen):  # what was done last is undone first
                self._compaction.bring_back(one)
            return chosen

    def rescore(self, session_id: str) -> int:
        """Score all live messages of a session anew, by a plugin or wilk's table; return how many changed.

        An importance that was given with a message is replaced as well.
        """
        self._compaction.session(session_id)
        changed: list[tuple[float, str, float]] = []
        last = 0
        while rows := self._engine.select(_scores(session_id, last)):
            last = rows[-1][1]
            for id, _, role, text, before in rows:
                score = self._events.scored(role, text, scoring.score(role, text))
                if score != before:
                    changed.append((score, id, before))
        with self._engine.transaction():
            self._compaction.write_scores(changed)
        return len(changed)

    def status(self, session_id: str) -> MemoryStatus:
        """Tell how a session stands: what is live, what is summarized, and whether compaction is due."""
        with self._engine.snapshot():
            session = self._compaction.session(session_id)
            summaries = self._summaries.list(session_id, limit=ALL)
            live = self._compaction.live_count(session_id)
            return MemoryStatus(
                session_id=session_id,
                messages=session.message_count,
                live_messages=live,
                compacted_messages=session.message_count - live,
                live_tokens=session.token_count,
                max_tokens=session.max_tokens,
                summaries=len(summaries),
                summary_tokens=sum(one.tokens for one in summaries),
                summarized_to=_covered_to(summaries),
                needs_compaction=self.needs_compaction(session_id),
            )


def _covered_to(summaries: Sequence[Summary]) -> int:
    covered = 0
    for one in summaries:
        if one.first_sequence > covered + 1:
            break
        covered = one.last_sequence
    return covered


def _scores(session_id: str, after: int) -> Any:
    message = models.Message
    return (
        message.select(message.id, message.sequence, message.role, message.text, message.importance)
        .where(message.session == session_id, message.sequence > after)
        .order_by(message.sequence)
        .limit(500)
    )
