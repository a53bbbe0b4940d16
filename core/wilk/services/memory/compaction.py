"""Compaction: which messages go, in one transaction for each summary, and how they come back."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from wilk import models
from wilk.context.budget import OVERHEAD, is_full
from wilk.engine import Engine
from wilk.errors import Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.memory import Summary
from wilk.services.conversation.message_rows import message as as_message
from wilk.services.conversation.transcript import Transcript
from wilk.services.keeping.archiver import COMPACTED, Archiver
from wilk.services.memory import cuts
from wilk.services.memory import importance as scoring
from wilk.services.memory.summaries import Summaries
from wilk.services.memory.summarizing import Range, Summarizing
from wilk.settings import Settings

UNCOMPACTED = "uncompacted"
"""The reason of summaries whose messages were brought back."""

_RESCORED = "rescored"
"""The key in a summary's metadata of the scores that were changed with it: id → before and after."""


class SessionState(NamedTuple):
    """What compaction has to know of a session."""

    last_sequence: int
    message_count: int
    token_count: int
    max_tokens: int


class Compaction:
    """Compacts the sessions of a store, and undoes it."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        settings: Settings,
        archiver: Archiver,
        transcript: Transcript,
        summaries: Summaries,
        summarizing: Summarizing,
    ) -> None:
        self._engine = engine
        self._events = events
        self._settings = settings
        self._archiver = archiver
        self._transcript = transcript
        self._summaries = summaries
        self._summarizing = summarizing

    def due(self, session_id: str) -> bool:
        """Tell whether a session is over one of its limits."""
        with self._engine.snapshot():
            session = self.session(session_id)
            most = self._settings.compact_messages
            if not most and not is_full(session.message_count, session.token_count, session.max_tokens):
                return False
            messages, tokens = self.counted(session_id)
            return is_full(messages, tokens, session.max_tokens) or 0 < most < messages

    def counted(self, session_id: str) -> tuple[int, int]:
        """How many messages of a session count for its limits, and their tokens: live ones, and with
        ``compaction: summarize`` of these the ones that no summary covers."""
        session = self.session(session_id)
        if self._settings.compaction != "summarize":
            return self.live_count(session_id), session.token_count
        messages = tokens = 0
        for first, last in self._summarizing.uncovered(session_id, session.last_sequence):
            count, sum = self._live_in(session_id, first, last)
            messages += count
            tokens += sum
        return messages, tokens

    def upkeep(self, session_id: str) -> Summary | None:
        """Compact a session if it needs to be, as the setting ``compaction`` says.

        Runs by itself after appends. What would bring next to nothing is put off.
        """
        if self._settings.compaction == "manual" or not self.due(session_id):
            return None
        archive = self._settings.compaction == "auto"
        return self.compact(session_id, None, None, None, archive=archive, thrifty=True)

    # -- compaction -----------------------------------------------------------------------

    def compact(
        self,
        session_id: str,
        keep_tokens: int | None,
        keep_messages: int | None,
        last: int | None,
        *,
        archive: bool,
        thrifty: bool = False,
    ) -> Summary | None:
        """Make and archive what ``Memory.compact`` describes; ``thrifty`` puts off what brings little."""
        for name, value in (
            ("keep_tokens", keep_tokens),
            ("keep_messages", keep_messages),
            ("last", last),
        ):
            if value is not None and (type(value) is not int or value < 0):
                raise Invalid(f"{name} {value!r}: a whole number from 0 is wanted")
        with self._engine.snapshot():
            session = self.session(session_id)
            lines = [cuts.Line.of(row) for row in self._engine.fetch("memory.lines", _lines, (session_id,))]
            covered = self._summarizing.covered(session_id)
        lead = cuts.leading(lines)
        places = cuts.places(lines, lead)
        if last is not None and keep_tokens is keep_messages is None:
            wanted = max((i for i in range(len(lines)) if lines[i].sequence <= last), default=-1)
            place = max((i for i in places if i <= wanted), default=None)
        else:
            wanted = self._first_to_go(session, lines, lead, keep_tokens, keep_messages)
            if wanted < lead:
                return None
            place = min((i for i in places if i >= wanted), default=max(places, default=None))
            if last is not None and place is not None:
                place = max((i for i in places if i <= place and lines[i].sequence <= last), default=None)
        if archive:
            place = _before_other(lines, places, place, covered)
        if place is None or (thrifty and self._brings_little(session, lines[lead : place + 1])):
            return None
        target = lines[place].sequence
        kept = lines[place + 1].sequence
        made = self._archive_covered(session_id, target, lead) if archive else None
        attempts = 2
        while attempts:
            planned = self._next(session_id, target, session.max_tokens, lines, places)
            if planned is None:
                break
            written = self._summarizing.written(planned)
            scores = self._new_scores(session_id, kept)
            about = {_RESCORED: {id: [before, after] for after, id, before in scores}} if scores else {}
            with self._engine.transaction():
                if not self._summarizing.stands(planned):
                    attempts -= 1  # another process is at it; it may have left something
                    continue
                made = self._summarizing.insert(planned, written, metadata=about, compacted=archive)
                self.write_scores(scores)
                if archive:
                    self._archive(made, lead)
        return made

    def _first_to_go(
        self,
        session: SessionState,
        lines: Sequence[cuts.Line],
        lead: int,
        keep_tokens: int | None,
        keep_messages: int | None,
    ) -> int:
        """The place of the last message that has to go; one before ``lead`` when none has to."""
        each = 0
        if keep_tokens is keep_messages is None:
            each = OVERHEAD
            prompt = sum(line.tokens + each for line in lines[:lead])
            keep_tokens = max(0, session.max_tokens // 2 - prompt)
            if self._settings.compact_messages:
                keep_messages = self._settings.compact_messages // 2
        kept = accumulate(line.tokens + each for line in reversed(lines[lead:]))
        fit = 0
        for count, tokens in enumerate(kept, 1):
            if (keep_tokens is not None and tokens > keep_tokens) or (
                keep_messages is not None and count > keep_messages
            ):
                break
            fit = count
        return len(lines) - 1 - fit

    def _brings_little(self, session: SessionState, lines: Sequence[cuts.Line]) -> bool:
        """Whether so few messages would go that the same is due again at once: a prompt or a turn of
        nearly the whole budget leaves no room for others."""
        most = self._settings.compact_messages
        cost = sum(line.tokens + OVERHEAD for line in lines)
        return cost < session.max_tokens // 8 and (not most or len(lines) < most // 8)

    def _next(
        self, session_id: str, target: int, most: int, lines: Sequence[cuts.Line], places: Sequence[int]
    ) -> Range | None:
        """Read the next range up to the target that is to be summarized: at most so many tokens, if
        the first of its units has not more."""
        with self._engine.snapshot():
            begin, end = self._summarizing.free(session_id, target)
            end = min(end, target)
            if begin > end:
                return None
            first = bisect_left(lines, begin, key=_sequence)
            tokens = 0
            for place in range(first, bisect_right(lines, end, key=_sequence)):
                tokens += lines[place].tokens
                if tokens > most:
                    here = places[bisect_left(places, first) : bisect_right(places, place)]
                    fitting = [one for one in here if one < place] or here
                    if fitting:
                        end = lines[fitting[-1]].sequence
                        break
            return self._summarizing.read(session_id, begin, end)

    def _archive_covered(self, session_id: str, target: int, lead: int) -> Summary | None:
        """Archive the messages of summaries that were made before, without archiving."""
        made = None
        for one in self._summaries.list(session_id, limit=ALL):
            if one.compacted or one.last_sequence > target:
                continue
            with self._engine.transaction():
                current = self._summaries.find(one.id)
                if current is None or current.compacted:
                    continue
                summary = models.Summary
                self._engine.run(summary.update({summary.compacted: True}).where(summary.id == one.id))
                made = current._replace(compacted=True)
                self._archive(made, lead)
                self._events.saving("summary", made)
        return made

    def _archive(self, summary: Summary, lead: int) -> None:
        """Archive what a summary stands for, but for the ``lead`` messages at the session's beginning
        that are its system prompt. Others may have come back since that was read; they go too."""
        message = models.Message
        self._archiver.remove(
            "message",
            (message.session == summary.session_id)
            & (message.sequence >= max(summary.first_sequence, lead + 1))
            & (message.sequence <= summary.last_sequence),
            reason=COMPACTED,
            batch=summary.id,
        )

    def bring_back(self, summary: Summary) -> None:
        """Restore what a summary stands for, and archive it. Inside of a transaction."""
        entry: Any = models.ArchiveEntry
        lying = entry.select(entry.pk).where(entry.batch == summary.id, entry.restored_at.is_null())
        if self._engine.rows(lying.limit(1)):
            self._archiver.restore(batch=summary.id)
        scores: Mapping[str, Sequence[float]] = summary.metadata.get(_RESCORED) or {}
        self.write_scores([(before, id, after) for id, (before, after) in scores.items()])
        self._hand_on(summary, scores)
        one: Any = models.Summary
        self._engine.run(one.update({one.compacted: False}).where(one.id == summary.id))
        self._archiver.remove("summary", one.id == summary.id, reason=UNCOMPACTED)
        self._events.deleted("summary", summary)

    def _hand_on(self, summary: Summary, scores: Mapping[str, Sequence[float]]) -> None:
        """Note changed scores of messages that were archived since with the summaries of these: with
        them they come back, and then have the score that they had at first."""
        entry: Any = models.ArchiveEntry
        ids = list(scores)
        handed: dict[str, dict[str, Sequence[float]]] = {}
        for start in range(0, len(ids), _IDS):
            lying = entry.select(entry.batch, entry.record_id).where(
                entry.kind == "message",
                entry.record_id.in_(ids[start : start + _IDS]),
                entry.session_id == summary.session_id,
                entry.restored_at.is_null(),
            )
            for batch, id in self._engine.select(lying):
                handed.setdefault(batch, {})[id] = scores[id]
        one: Any = models.Summary
        for other, some in handed.items():
            if (found := self._summaries.find(other)) is not None:
                noted = {**(found.metadata.get(_RESCORED) or {}), **some}
                self._engine.run(
                    one.update({one.metadata: {**found.metadata, _RESCORED: noted}}).where(one.id == other)
                )

    # -- scores ---------------------------------------------------------------------------

    def _new_scores(self, session_id: str, first: int) -> list[tuple[float, str, float]]:
        """What a plugin says of the messages that stay and have the table's score: new, id, before.

        A score that was given, or came from a plugin, is left alone.
        """
        if not self._events.watch_scores:
            return []
        changed = []
        for row in self._transcript.between(session_id, first, self.session(session_id).last_sequence):
            message = as_message(row)
            table = scoring.score(message.role, message.text)
            if message.importance == table:
                score = self._events.scored(message.role, message.text, table)
                if score != table:
                    changed.append((score, message.id, table))
        return changed

    def write_scores(self, scores: Sequence[tuple[float, str, float]]) -> None:
        """Write scores, each where the one before is still there. Inside of a transaction."""
        if scores:
            self._engine.execute_many(self._engine.statement("messages.rescore", _rescore).sql, scores)

    # -- reading --------------------------------------------------------------------------

    def session(self, session_id: str) -> SessionState:
        """Return how a session stands; raises NotFound."""
        rows = self._engine.fetch("memory.session", _of_session, (session_id,))
        if not rows:
            raise NotFound("session", session_id)
        return SessionState(*rows[0])

    def live_count(self, session_id: str) -> int:
        """Count the messages of a session that are not archived."""
        count: int = self._engine.fetch("memory.live", _live, (session_id,))[0][0]
        return count

    def _live_in(self, session_id: str, first: int, last: int) -> tuple[int, int]:
        count, tokens = self._engine.fetch("memory.live_in", _live_in, (session_id, first, last))[0]
        return count, int(tokens or 0)


ALL = 1_000_000
_IDS = 500


def _sequence(line: cuts.Line) -> int:
    return line.sequence


def _before_other(
    lines: Sequence[cuts.Line],
    places: Sequence[int],
    place: int | None,
    covered: Sequence[tuple[int, int, bool]],
) -> int | None:
    """The last place that does not cut through a summary whose messages are live."""
    while place is not None:
        sequence = lines[place].sequence
        through = next((first for first, last, _ in covered if first <= sequence < last), None)
        if through is None:
            return place
        place = max((i for i in places if lines[i].sequence < through), default=None)
    return None


# -- statements, compiled once per store ---------------------------------------------------


def _of_session() -> Any:
    session = models.Session
    return session.select(*[getattr(session, name) for name in SessionState._fields]).where(
        session.id == param("id")
    )


def _lines() -> Any:
    message = models.Message
    return (
        message.select(message.sequence, message.role, message.tokens, message.parts, message.metadata)
        .where(message.session == param("session"))
        .order_by(message.sequence)
    )


def _live() -> Any:
    from peewee import fn  # with Peewee; see wilk.models

    message = models.Message
    return message.select(fn.COUNT(message.sequence)).where(message.session == param("session"))


def _live_in() -> Any:
    from peewee import fn  # with Peewee; see wilk.models

    message = models.Message
    return message.select(fn.COUNT(message.sequence), fn.SUM(message.tokens)).where(
        message.session == param("session"),
        message.sequence >= param("first"),
        message.sequence <= param("last"),
    )


def _rescore() -> Any:
    message = models.Message
    return message.update({message.importance: param("score")}).where(
        message.id == param("id"), message.importance == param("before")
    )
