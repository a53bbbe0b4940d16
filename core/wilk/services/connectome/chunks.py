"""Chunks: the parts of a conversation that are compressed, each as one, and what came of them.

The rule is Connectome's: parts of about 4000 tokens, before a tail of about 30 000 that stays as
it is, and a question stays with its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from wilk import clock, codec, models
from wilk.contracts import Tokenizer
from wilk.engine import Engine
from wilk.errors import NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.connectome import Chunk, ChunkInfo, RawMessage
from wilk.records.decoding import decoder
from wilk.services import checks
from wilk.services.checks import identifier
from wilk.services.connectome.raw_messages import RawMessages, hashes
from wilk.services.connectome.said import counted
from wilk.services.keeping.archiver import Archiver

_IDS = ("uuid", "id", "message_id")
_decoded = decoder(Chunk)
_decoded_info = decoder(ChunkInfo)


class _Turn(NamedTuple):
    """Messages that stay together, and their tokens."""

    messages: list[RawMessage]
    tokens: int


class Chunks:
    """The chunks of all conversations of a store."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        archiver: Archiver,
        raw_messages: RawMessages,
        tokenizer: Callable[[], Tokenizer],
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._raw = raw_messages
        self._tokenizer = tokenizer

    def divide(
        self, conversation_id: str, *, chunk_tokens: int = 4000, tail_tokens: int = 30_000
    ) -> Sequence[Chunk]:
        """Divide a conversation's raw messages, and return all its chunks.

        A chunk holds at most ``chunk_tokens``, or a single turn that has more. The last
        ``tail_tokens`` and the last turn, which may still grow, are in no chunk, nor is what does not
        fill one yet. Chunks stay as they are while messages are appended; from the first one on whose
        messages have changed, they are archived and made anew.
        """
        identifier("conversation_id", conversation_id)
        checks.whole("chunk_tokens", chunk_tokens, least=1)
        checks.whole("tail_tokens", tail_tokens)
        with self._engine.transaction():
            kept = self._sound(conversation_id)
            start = kept[-1].last + 1 if kept else 0
            turns = self._turns(conversation_id, start)
            new = [
                self._chunk(conversation_id, len(kept) + number, group)
                for number, group in enumerate(_groups(_before_tail(turns, tail_tokens), chunk_tokens))
            ]
            if new:
                rows = [[f.db_value(v) for f, v in zip(_fields(), one, strict=True)] for one in new]
                self._engine.insert_many(self._engine.statement("chunks.insert", _insert), rows)
                for one in new:
                    self._events.saving("chunk", one)
            return [*kept, *new]

    def get(self, id: str) -> Chunk:
        """Return the chunk; raises NotFound."""
        chunk = self.find(id)
        if chunk is None:
            raise NotFound("chunk", id)
        return chunk

    def find(self, id: str) -> Chunk | None:
        """Return the chunk, or None."""
        query = models.Chunk.select(*_fields()).where(models.Chunk.id == id)
        return next(iter(_decoded(self._engine.select(query))), None)

    def list(self, conversation_id: str) -> Sequence[Chunk]:
        """List a conversation's chunks in their order."""
        return _decoded(self._engine.fetch("chunks.list", _list, (conversation_id,)))

    def link(self, id: str, memory_id: str | None) -> Chunk:
        """Note which memory of ``store.memories`` a chunk was compressed into; None takes it back.

        Raises NotFound for an unknown chunk or memory.
        """
        with self._engine.transaction():
            chunk = self.get(id)._replace(memory_id=memory_id)
            if memory_id is not None and not self._engine.rows(
                models.Memory.select(models.Memory.id).where(models.Memory.id == memory_id)
            ):
                raise NotFound("memory", memory_id)
            self._engine.run(models.Chunk.update(memory_id=memory_id).where(models.Chunk.id == id))
            self._events.saving("chunk", chunk)
            return chunk

    def info(self, conversation_id: str) -> Any:
        """Return what an application keeps on the chunks of a conversation, or None."""
        rows = self._engine.fetch("chunks.info", _info, (conversation_id,))
        return _decoded_info(rows)[0].data if rows else None

    def save_info(self, conversation_id: str, data: Any) -> ChunkInfo:
        """Keep an application's own decisions on the chunks of a conversation as they came."""
        identifier("conversation_id", conversation_id)
        text = codec.dumps(data, "data")
        engine = self._engine
        with engine.transaction():
            now = engine.clock.now()
            rows = engine.fetch("chunks.info", _info, (conversation_id,))
            row = (conversation_id, text, rows[0][2] if rows else now, now)
            engine.execute(engine.statement("chunks.save_info", _save_info).sql, row)
            info = _decoded_info([row])[0]
            self._events.saving("chunk_info", info)
            return info

    # -- dividing -------------------------------------------------------------------------

    def _sound(self, conversation_id: str) -> Sequence[Chunk]:
        """The chunks whose messages are as they were; those from the first other one on are archived."""
        kept = self.list(conversation_id)
        present = hashes(self._engine, conversation_id)
        for number, chunk in enumerate(kept):
            of_chunk = [present.get(position) for position in range(chunk.first, chunk.last + 1)]
            if codec.content_hash(of_chunk) != chunk.content_hash:
                model = models.Chunk
                stale = (model.conversation_id == conversation_id) & (model.position >= chunk.position)
                self._archiver.remove("chunk", stale, reason="the messages changed")
                for gone in kept[number:]:
                    self._events.deleted("chunk", gone)
                return kept[:number]
        return kept

    def _turns(self, conversation_id: str, start: int) -> Sequence[_Turn]:
        count = self._tokenizer().count
        return [
            _Turn(messages, sum(count(counted(one.data), None) for one in messages))
            for messages in _together(self._raw.list(conversation_id, after=start - 1))
        ]

    def _chunk(self, conversation_id: str, position: int, turns: Sequence[_Turn]) -> Chunk:
        messages = [message for turn in turns for message in turn.messages]
        named = [_own_id(message.data) for message in messages]
        return Chunk(
            id=self._engine.clock.new_id(),
            conversation_id=conversation_id,
            position=position,
            first=messages[0].position,
            last=messages[-1].position,
            tokens=sum(turn.tokens for turn in turns),
            content_hash=codec.content_hash([message.content_hash for message in messages]),
            memory_id=None,
            metadata={"messages": named} if any(named) else {},
            created_at=clock.to_datetime(self._engine.clock.now()),
        )


def _together(messages: Sequence[RawMessage]) -> Iterator[list[RawMessage]]:
    """Put a question with all up to its answer, and the results of tools with what called them."""
    turn: list[RawMessage] = []
    unanswered = False
    for message in messages:
        role = message.data.get("role") if isinstance(message.data, Mapping) else None
        results = role in ("tool", "function") or _has_results(message.data)
        if turn and not results and (not unanswered or role == "user"):
            yield turn
            turn = []
        turn.append(message)
        unanswered = (unanswered or role == "user") and role != "assistant"
    if turn:
        yield turn


def _has_results(data: Any) -> bool:
    """Whether a message hands over results of tools: some providers let the user say them."""
    parts = data.get("content") if isinstance(data, Mapping) else None
    return isinstance(parts, list) and any(
        isinstance(part, Mapping) and part.get("type") == "tool_result" for part in parts
    )


def _before_tail(turns: Sequence[_Turn], tail_tokens: int) -> Sequence[_Turn]:
    end = max(0, len(turns) - 1)  # the last turn may still grow
    held = sum(turn.tokens for turn in turns[end:])
    while end and held < tail_tokens:
        end -= 1
        held += turns[end].tokens
    return turns[:end]


def _groups(turns: Sequence[_Turn], chunk_tokens: int) -> Iterator[list[_Turn]]:
    """Full groups of turns: each is followed by a turn that it has no room for, or has no room at all."""
    group: list[_Turn] = []
    held = 0
    for turn in turns:
        if group and held + turn.tokens > chunk_tokens:
            yield group
            group, held = [], 0
        group.append(turn)
        held += turn.tokens
        if held >= chunk_tokens:
            yield group
            group, held = [], 0


def _own_id(data: Any) -> str | None:
    if isinstance(data, Mapping):
        return next((id for key in _IDS if isinstance(id := data.get(key), str)), None)
    return None


def _insert() -> Any:
    return models.Chunk.insert({field: param(field.name) for field in _fields()})


def _list() -> Any:
    chunk = models.Chunk
    chosen = chunk.select(*_fields()).where(chunk.conversation_id == param("conversation"))
    return chosen.order_by(chunk.position)


def _info() -> Any:
    info = models.ChunkInfo
    fields = models.fields_of(info, ChunkInfo)
    return info.select(*fields).where(info.conversation_id == param("conversation"))


def _save_info() -> Any:
    info = models.ChunkInfo
    fields = models.fields_of(info, ChunkInfo)
    return info.insert({field: param(field.name) for field in fields}).on_conflict(
        conflict_target=[info.conversation_id], preserve=[info.data, info.updated_at]
    )


def _fields() -> list[Any]:
    return models.fields_of(models.Chunk, Chunk)
