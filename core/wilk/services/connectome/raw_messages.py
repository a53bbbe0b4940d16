"""Raw messages: the uncompressed messages of a conversation, kept as they came for compressing anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from wilk import codec, models
from wilk.engine import Engine
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.connectome import RawMessage
from wilk.records.decoding import decoder
from wilk.services import checks
from wilk.services.checks import identifier
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver

_decoded = decoder(RawMessage)


class RawMessages:
    """The raw messages of all conversations of a store."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def save(self, conversation_id: str, messages: Iterable[Any]) -> int:
        """Make these the messages of a conversation; those that stay as they were are not written.

        Messages that there are too many of are archived. Returns how many were written.
        """
        identifier("conversation_id", conversation_id)
        messages = checks.sequence("messages", messages)
        texts = [codec.dumps(message, f"messages.{i}") for i, message in enumerate(messages)]
        engine = self._engine
        with engine.transaction():
            kept = hashes(engine, conversation_id)
            now = engine.clock.now()
            rows = []
            for position, text in enumerate(texts):
                hash = codec.text_hash(text)
                if kept.get(position) != hash:
                    rows.append((conversation_id, position, text, hash, now))
            if rows:
                engine.insert_many(engine.statement("raw_messages.save", _save), rows)
            if any(position >= len(texts) for position in kept):
                raw = models.RawMessage
                excess = (raw.conversation_id == conversation_id) & (raw.position >= len(texts))
                self._archiver.remove("raw_message", excess, reason="the conversation became shorter")
            self._tell(rows)
        return len(rows)

    def append(self, conversation_id: str, message: Any) -> RawMessage:
        """Write one message at the end of a conversation."""
        identifier("conversation_id", conversation_id)
        text = codec.dumps(message, "message")
        engine = self._engine
        with engine.transaction():
            last = engine.fetch("raw_messages.last", _last, (conversation_id, 1))
            position = last[0][0] + 1 if last else 0
            row = (conversation_id, position, text, codec.text_hash(text), engine.clock.now())
            engine.execute(engine.statement("raw_messages.insert", _insert).sql, row)
            self._tell([row])
            return _decoded([row])[0]

    def list(
        self, conversation_id: str, *, after: int | None = None, limit: int | None = None
    ) -> Sequence[RawMessage]:
        """List a conversation's messages by position, all of them unless there is a ``limit``;
        ``after`` is the last position of the page before."""
        start = -1 if after is None else after
        if limit is None:
            return _decoded(self._engine.fetch("raw_messages.all", _after, (conversation_id, start)))
        page = (conversation_id, start, limits(limit))
        return _decoded(self._engine.fetch("raw_messages.page", _page, page))

    def count(self, conversation_id: str) -> int:
        """Count a conversation's raw messages."""
        last = self._engine.fetch("raw_messages.last", _last, (conversation_id, 1))
        count: int = last[0][0] + 1 if last else 0  # positions have no gaps
        return count

    def remove(self, conversation_id: str, *, reason: str = "removed") -> int:
        """Archive and remove all raw messages of a conversation; return how many there were."""
        chosen = models.RawMessage.conversation_id == conversation_id
        return self._archiver.remove("raw_message", chosen, reason=reason).get("raw_message", 0)

    def _tell(self, rows: Sequence[Sequence[Any]]) -> None:
        if self._events.watch_saves:
            for message in _decoded(rows):
                self._events.saving("raw_message", message)


def hashes(engine: Engine, conversation_id: str) -> dict[int, str]:
    """The hashes of a conversation's messages, by position."""
    return dict(engine.fetch("raw_messages.hashes", _hashes, (conversation_id,)))


def _insert() -> Any:
    return models.RawMessage.insert({field: param(field.name) for field in _fields()})


def _save() -> Any:
    raw = models.RawMessage
    return _insert().on_conflict(
        conflict_target=[raw.conversation_id, raw.position],
        preserve=[raw.data, raw.content_hash, raw.created_at],
    )


def _hashes() -> Any:
    raw = models.RawMessage
    chosen = raw.select(raw.position, raw.content_hash).where(raw.conversation_id == param("conversation"))
    return chosen.order_by(raw.position)


def _last() -> Any:
    raw = models.RawMessage
    chosen = raw.select(raw.position).where(raw.conversation_id == param("conversation"))
    return chosen.order_by(raw.position.desc()).limit(param("limit"))


def _after() -> Any:
    raw = models.RawMessage
    chosen = raw.select(*_fields()).where(
        raw.conversation_id == param("conversation"), raw.position > param("after")
    )
    return chosen.order_by(raw.position)


def _page() -> Any:
    return _after().limit(param("limit"))


def _fields() -> list[Any]:
    return models.fields_of(models.RawMessage, RawMessage)
