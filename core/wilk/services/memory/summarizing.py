"""How a summary is made: the range that it may have, its text, and the row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from wilk import clock, codec, models
from wilk.context import summarizer
from wilk.context.packing import OVERHEAD
from wilk.contracts import Tokenizer
from wilk.engine import Engine
from wilk.errors import Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.conversation import Message
from wilk.records.memory import Summary
from wilk.services.conversation.message_rows import message as as_message
from wilk.services.conversation.transcript import Transcript
from wilk.services.memory import importance as scoring
from wilk.services.memory.cuts import Line, leading

logger = logging.getLogger("wilk.summaries")

GIVEN = "given"
"""The method of a summary whose text was handed over."""
PLUGIN = "plugin"
"""The method of a summary that a plugin made."""
EXTRACTIVE = "extractive"
"""The method of a summary of chosen sentences."""
SHARE = 0.1
"""The part of a session's budget that one summary takes at most."""
_SAMPLE = 8_000
_TRIES = 4


class Range(NamedTuple):
    """Raw messages that a summary is to stand for, and the hash by which they are known again."""

    session_id: str
    first: int
    last: int
    messages: Sequence[Message]
    content_hash: str


class Written(NamedTuple):
    """The text of a summary, and who made it."""

    text: str
    method: str


class Summarizing:
    """The steps of making a summary, which the verbs and compaction take."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        transcript: Transcript,
        tokenizer: Callable[[], Tokenizer],
    ) -> None:
        self._engine = engine
        self._events = events
        self._transcript = transcript
        self._tokenizer = tokenizer

    def covered(self, session_id: str) -> Sequence[tuple[int, int, bool]]:
        """What is covered: first and last sequence and whether it is compacted, in order."""
        rows = self._engine.fetch("summaries.covered", _covered, (session_id,))
        return [(first, last, bool(compacted)) for first, last, compacted in rows]

    def plan(self, session_id: str, first: int | None, last: int) -> Range:
        """Read the range that a summary up to ``last`` stands for; raises Invalid for one it cannot have."""
        for name, value in (("first", first), ("last", last)):
            if value is not None and type(value) is not int:
                raise Invalid(f"{name} {value!r}: a sequence, which is a whole number, is wanted")
        with self._engine.snapshot():
            rows = self._engine.fetch("sessions.extent", _extent, (session_id,))
            if not rows:
                raise NotFound("session", session_id)
            newest: int = rows[0][0]
            begin, end = self.free(session_id, newest)
            if begin > newest:
                raise Invalid(f"session {session_id!r} has no messages that no summary covers")
            if first is not None and first != begin:
                raise Invalid(f"first {first}: {begin} is wanted, the first that no summary covers")
            if not begin <= last <= end:
                raise Invalid(f"last {last}: a sequence from {begin} to {end} is wanted")
            return self.read(session_id, begin, last)

    def free(self, session_id: str, newest: int) -> tuple[int, int]:
        """The first range that no summary covers, up to the session's newest sequence."""
        return next(iter(self.uncovered(session_id, newest)), (newest + 1, newest))

    def uncovered(self, session_id: str, newest: int) -> Sequence[tuple[int, int]]:
        """The ranges that no summary covers, up to the session's newest sequence, in order."""
        found, begin = [], 1
        for first, last, _ in self.covered(session_id):
            if first > begin:
                found.append((begin, first - 1))
            begin = last + 1
        return [*found, (begin, newest)] if begin <= newest else found

    def read(self, session_id: str, first: int, last: int) -> Range:
        """Read the raw messages of a range."""
        messages = [as_message(row) for row in self._transcript.between(session_id, first, last)]
        if not messages:
            raise Invalid(f"session {session_id!r} has no messages from {first} to {last} any more")
        return Range(session_id, first, last, messages, hash_of(messages))

    def written(self, planned: Range) -> Written:
        """Make a summary: a plugin's if it passes the checks, else of the messages' own sentences.

        As it stands in a context it takes a tenth of the session's budget at most, so that two fit
        into the share that contexts have for summaries; of a very small budget it may take more. The
        system prompt at the beginning is left out: it stays where it is.
        """
        lead = leading([Line.of_message(message) for message in planned.messages])
        said = planned.messages[lead:] or planned.messages
        count, room = self._room(planned)
        most = self._characters(said, count, room)
        text = self._events.summarized(said, summarizer.room(said, most))
        if text is not None:
            text = codec.storable_text(text)[0].strip()
            fault = summarizer.fault(text, said, most)
            if fault is None:
                return Written(text, PLUGIN)
            logger.warning(
                "a plugin's summary of messages %d to %d of session %s is not used: %s",
                said[0].sequence,
                said[-1].sequence,
                said[0].session_id,
                fault,
            )
        return Written(_extracted(said, most, count, room), EXTRACTIVE)

    def _room(self, planned: Range) -> tuple[Callable[[str], int], int]:
        """What counts tokens for a session's model, and how many of them a summary's text may have."""
        rows = self._engine.fetch("sessions.extent", _extent, (planned.session_id,))
        # One that was removed meanwhile has no budget, which shows when the summary is written.
        _, model, max_tokens = rows[0] if rows else (0, None, 1)
        tokenizer = self._tokenizer()

        def count(text: str) -> int:
            return tokenizer.count(text, model)

        share = max_tokens * SHARE
        return count, int(
            max(share - OVERHEAD - count(summarizer.heading(planned.first, planned.last)), share / 2)
        )

    def _characters(self, said: Sequence[Message], count: Callable[[str], int], room: int) -> int | None:
        """So many tokens in characters, by how many of these texts make a token."""
        sample = "\n".join(map(summarizer.text_of, said))[:_SAMPLE]
        tokens = count(sample)
        return int(room * len(sample) / tokens) if tokens > 0 else None

    def stands(self, planned: Range) -> bool:
        """Whether a range is still the next one, with the same messages. Inside of a transaction."""
        rows = self._engine.fetch("sessions.extent", _extent, (planned.session_id,))
        if not rows:
            return False
        begin, end = self.free(planned.session_id, rows[0][0])
        if begin != planned.first or end < planned.last:
            return False
        return self.read(planned.session_id, planned.first, planned.last).content_hash == planned.content_hash

    def insert(
        self,
        planned: Range,
        written: Written,
        *,
        importance: float = scoring.SUMMARY,
        metadata: Mapping[str, Any] | None = None,
        compacted: bool = False,
    ) -> Summary:
        """Write a summary. Inside of a transaction."""
        rows = self._engine.fetch("sessions.extent", _extent, (planned.session_id,))
        summary = Summary(
            id=self._engine.clock.new_id(),
            session_id=planned.session_id,
            first_sequence=planned.first,
            last_sequence=planned.last,
            message_count=len(planned.messages),
            text=written.text,
            tokens=self._tokenizer().count(written.text, rows[0][1]),
            importance=importance,
            method=written.method,
            compacted=compacted,
            content_hash=planned.content_hash,
            metadata=dict(metadata or {}),
            created_at=clock.to_datetime(self._engine.clock.now()),
        )
        fields = models.fields_of(models.Summary, Summary)
        self._engine.run(models.Summary.insert(dict(zip(fields, summary, strict=True))))
        self._events.saving("summary", summary)
        return summary


def _extracted(said: Sequence[Message], most: int | None, count: Callable[[str], int], room: int) -> str:
    """A summary of the messages' own sentences, of at most so many tokens where that can be."""
    for _ in range(_TRIES):
        text = codec.storable_text(summarizer.summarize(said, most))[0]
        if (tokens := count(text)) <= room or len(text) <= summarizer.LEAST:
            break
        most = min(len(text) - 1, int(len(text) * room / tokens))  # denser than the sample
    return text


def hash_of(messages: Sequence[Any]) -> str:
    """The SHA-256 of raw messages: their ids, texts and parts."""
    return codec.content_hash(
        [
            [message.id, message.text] if message.parts is None else [message.id, message.text, message.parts]
            for message in messages
        ]
    )


def _covered() -> Any:
    summary = models.Summary
    return (
        summary.select(summary.first_sequence, summary.last_sequence, summary.compacted)
        .where(summary.session == param("session"))
        .order_by(summary.first_sequence)
    )


def _extent() -> Any:
    session = models.Session
    return session.select(session.last_sequence, session.model, session.max_tokens).where(
        session.id == param("session")
    )
