"""Summaries: ranges of a session in few words, always made from its raw messages.

Ranges lie side by side over the session's sequence: a new summary begins at the first sequence that
none covers and ends before the next one, so that none overlap, and what one summary leaves out the
next takes up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound, Protected
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.decoding import decoder
from wilk.records.memory import Summary
from wilk.services.checks import filled, mapping
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver
from wilk.services.memory import importance as scoring
from wilk.services.memory.summarizing import GIVEN, Summarizing, Written

_decoded = decoder(Summary)


class Summaries:
    """The summaries of all sessions of a store."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        archiver: Archiver,
        summarizing: Summarizing,
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._summarizing = summarizing

    def add(
        self,
        session_id: str,
        text: str | None = None,
        *,
        first: int | None = None,
        last: int,
        importance: float = scoring.SUMMARY,
        metadata: Mapping[str, Any] | None = None,
        method: str | None = None,
    ) -> Summary:
        """Summarize a session from the first sequence that no summary covers up to ``last``, inclusive.

        Without ``text`` a plugin makes it (hook ``summarize``), or else the sentences that say most
        are taken; both from the raw messages, also those that lie in the archive. ``method`` names
        who made a given text. The messages stay where they are. Raises NotFound for an unknown
        session, and Invalid for a range that is not the next one.
        """
        score = scoring.check(importance)
        about = mapping("metadata", metadata)
        if text is not None:
            filled("text", text)
        elif method is not None:
            raise Invalid(f"method {method!r}: it names who made text=, and none is given")
        given = None if text is None else Written(text, GIVEN if method is None else filled("method", method))
        for _ in range(2):
            planned = self._summarizing.plan(session_id, first, last)
            written = given or self._summarizing.written(planned)
            with self._engine.transaction():
                if self._summarizing.stands(planned):
                    return self._summarizing.insert(planned, written, importance=score, metadata=about)
        raise Conflict(f"session {session_id!r} is being summarized by somebody else; list its summaries")

    def get(self, id: str) -> Summary:
        """Return the summary; raises NotFound."""
        summary = self.find(id)
        if summary is None:
            raise NotFound("summary", id)
        return summary

    def find(self, id: str) -> Summary | None:
        """Return the summary, or None."""
        return next(iter(_decoded(self._engine.fetch("summaries.find", _find, (id,)))), None)

    def list(self, session_id: str, *, limit: int = 1000) -> Sequence[Summary]:
        """List the summaries of a session, in the order of what they cover."""
        return _decoded(self._engine.fetch("summaries.list", _list, (session_id, limits(limit))))

    def remove(self, id: str, *, reason: str = "removed") -> Summary:
        """Archive and remove a summary; its range is summarized anew when there is reason to.

        Raises Protected for one whose messages lie in the archive: ``store.memory.uncompact`` first.
        """
        with self._engine.transaction():
            summary = self.get(id)
            if summary.compacted:
                raise Protected(
                    f"summary {id!r} stands for archived messages {summary.first_sequence} to "
                    f"{summary.last_sequence}; bring them back first with "
                    f"store.memory.uncompact({summary.session_id!r}, summary={id!r})"
                )
            self._archiver.remove("summary", models.Summary.id == id, reason=reason)
            self._events.deleted("summary", summary)
            return summary


def _select() -> Any:
    return models.Summary.select(*models.fields_of(models.Summary, Summary))


def _find() -> Any:
    return _select().where(models.Summary.id == param("id"))


def _list() -> Any:
    query = _select().where(models.Summary.session == param("session"))
    return query.order_by(models.Summary.first_sequence).limit(param("limit"))
