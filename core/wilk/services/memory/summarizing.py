"""How a summary is made: the range that it may have, its text, and the row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from wilk import clock, codec, models
from wilk.context import summarizer
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
        begin = 1
        for first, last, _ in self.covered(session_id):
            if first > begin:
                return begin, first - 1
            begin = last + 1
        return begin, newest

    def read(self, session_id: str, first: int, last: int) -> Range:
        """Read the raw messages of a range."""
        messages = [as_message(row) for row in self._transcript.between(session_id, first, last)]
        if not messages:
            raise Invalid(f"session {session_id!r} has no messages from {first} to {last} any more")
        return Range(session_id, first, last, messages, hash_of(messages))

    def written(self, planned: Range) -> Written:
        """Make a summary: a plugin's if it passes the checks, else of the messages' own sentences.

        It takes about a tenth of the session's budget at most, so that two fit into the share that
        contexts have for summaries. The system prompt at the beginning is left out: it stays where
        it is.
        """
        lead = leading([Line.of_message(message) for message in planned.messages])
        said = planned.messages[lead:] or planned.messages
        most = self._most(planned.session_id, said)
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
        return Written(codec.storable_text(summarizer.summarize(said, most))[0], EXTRACTIVE)

    def _most(self, session_id: str, said: Sequence[Message]) -> int | None:
        """A tenth of the session's budget in characters, by how many of these texts make a token."""
        rows = self._engine.fetch("sessions.extent", _extent, (session_id,))
        if not rows:
            return None  # removed meanwhile, which shows when the summary is written
        _, model, max_tokens = rows[0]
        sample = "\n".join(message.text for message in said)[:_SAMPLE]
        tokens = self._tokenizer().count(sample, model)
        return int(max_tokens * SHARE * len(sample) / tokens) if tokens else None

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


def hash_of(messages: Sequence[Message]) -> str:
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
