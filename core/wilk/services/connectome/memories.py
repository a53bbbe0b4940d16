"""Memories: what was compressed from conversations, consolidated, or noted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from wilk import clock, codec, models
from wilk.contracts import Tokenizer
from wilk.engine import Engine
from wilk.errors import Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.connectome import Memory
from wilk.records.decoding import decoder
from wilk.services import batches, checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import identifier, optional
from wilk.services.checks import limit as limits
from wilk.services.connectome.said import text_of
from wilk.services.keeping.archiver import Archiver

COMPRESSED = "compressed"
"""The kind of memories that a conversation was compressed into."""

_SOURCES = ("source_chunks", "source_chunk_ids", "sources")
_ITERATIONS = ("compression_iteration", "iteration")
_KEPT = ("id", "conversation_id", "memory_id", "created_at")
_decoded = decoder(Memory, original="content")


def memory_id(agent: str, ids: Iterable[str]) -> str:
    """The id that Connectome gives to an agent's memory of some elements, in whichever order they come."""
    from hashlib import md5

    said = f"{agent}_{'_'.join(sorted(ids))}"
    return "mem_" + md5(said.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()[:12]


class Memories:
    """The memories of a store, in the order in which they were first kept."""

    def __init__(
        self, engine: Engine, events: Events, archiver: Archiver, tokenizer: Callable[[], Tokenizer]
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._tokenizer = tokenizer

    def add(
        self,
        content: str,
        *,
        kind: str = "note",
        conversation: str | None = None,
        memory_id: str | None = None,
        data: Any = None,
        agent: str | None = None,
        user: str | None = None,
        session: str | None = None,
        importance: float = 0.5,
        confidence: float = 1.0,
        sources: Sequence[Any] = (),
        iteration: int = 0,
        interaction: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Memory:
        """Keep a memory. One of the same ``conversation`` and ``memory_id`` is replaced, and keeps its place.

        ``importance`` and ``confidence`` are 0.0–1.0; ``data`` is kept as it came; ``sources`` are the ids
        that the memory was made from, ``iteration`` how often it was compressed. Any text can be ``content``:
        NUL and lone surrogates, which not every database keeps, come back as they were.
        """
        if memory_id is not None and conversation is None:
            raise Invalid(f"memory_id {memory_id!r} is an id within a conversation; give conversation too")
        clean = _clean(content)
        engine = self._engine
        with engine.transaction():
            now = clock.to_datetime(engine.clock.now())
            memory = Memory(
                id=engine.clock.new_id(),
                kind=identifier("kind", kind, longest=64),
                conversation_id=optional("conversation", conversation),
                memory_id=optional("memory_id", memory_id),
                content=content,
                data=data,
                agent_id=optional("agent", agent),
                user_id=optional("user", user),
                session_id=optional("session", session),
                importance=checks.fraction("importance", importance),
                confidence=checks.fraction("confidence", confidence),
                tokens=self._tokenizer().count(clean, None),
                sources=checks.sequence("sources", sources),
                iteration=checks.whole("iteration", iteration),
                interaction_id=optional("interaction", interaction),
                metadata=checks.mapping("metadata", metadata),
                created_at=now,
                updated_at=now,
            )
            if memory_id is not None:
                rows = engine.fetch("memories.named", _named, (conversation, memory_id))
                if rows:
                    memory = memory._replace(id=rows[0][0], created_at=clock.to_datetime(rows[0][1]))
            statement, values = engine.statement("memories.save", _save), _values(memory)
            engine.execute(statement.sql, [values[name] for name in statement.names])
            self._events.saving("memory", memory)
            return memory

    def extend(self, memories: Iterable[Mapping[str, Any]]) -> Sequence[Memory]:
        """Keep many memories in one transaction: all of them, or none.

        Each is an object with ``content`` and whatever else :meth:`add` takes, by the same names.
        """
        return batches.added(self._engine, self.add, "memories", memories)

    def save_sequence(
        self,
        conversation: str,
        memory_id: str,
        data: Any,
        *,
        agent: str | None = None,
        sources: Sequence[Any] | Unset = UNSET,
        iteration: int | Unset = UNSET,
        importance: float = 0.5,
        metadata: Mapping[str, Any] | None = None,
    ) -> Memory:
        """Keep a memory that a conversation was compressed into: Connectome's sequence of six messages.

        ``data`` is kept as it came; the content is the text in it. What is not given is taken from it:
        ``sources`` from ``source_chunks``, ``iteration`` from ``compression_iteration``.
        """
        known: Mapping[Any, Any] = data if isinstance(data, Mapping) else {}
        if sources is UNSET:
            sources = next((found for key in _SOURCES if isinstance(found := known.get(key), list)), [])
        if iteration is UNSET:
            iteration = next((n for key in _ITERATIONS if type(n := known.get(key)) is int and n >= 0), 0)
        return self.add(
            text_of(data), kind=COMPRESSED, conversation=conversation, memory_id=memory_id, data=data,
            agent=agent, sources=sources, iteration=iteration, importance=importance, metadata=metadata,
        )  # fmt: skip

    def get(self, id: str) -> Memory:
        """Return the memory; raises NotFound."""
        memory = self.find(id)
        if memory is None:
            raise NotFound("memory", id)
        return memory

    def find(self, id: str) -> Memory | None:
        """Return the memory, or None."""
        return next(iter(_decoded(self._engine.fetch("memories.find", _find, (id,)))), None)

    def list(
        self,
        *,
        kind: str | None = None,
        conversation: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        session: str | None = None,
        oldest: bool = False,
        limit: int | None = 100,
    ) -> Sequence[Memory]:
        """List memories, the latest first, or the ``oldest`` first; all of them with ``limit=None``."""
        if limit is not None and not oldest and kind is conversation is agent is user is session is None:
            return _decoded(self._engine.fetch("memories.list", _list, (limits(limit),)))
        memory = models.Memory
        query = memory.select(*_read()).order_by(memory.pk if oldest else memory.pk.desc())
        wanted = (
            (memory.kind, kind),
            (memory.conversation_id, conversation),
            (memory.agent_id, agent),
            (memory.user_id, user),
            (memory.session_id, session),
        )
        for field, value in wanted:
            if value is not None:
                query = query.where(field == value)
        if limit is not None:
            query = query.limit(limits(limit))
        return _decoded(self._engine.select(query))

    def update(
        self,
        id: str,
        *,
        content: str | Unset = UNSET,
        data: Any | Unset = UNSET,
        importance: float | Unset = UNSET,
        confidence: float | Unset = UNSET,
        sources: Sequence[Any] | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> Memory:
        """Change the given fields of a memory; raises NotFound."""
        with self._engine.transaction():
            memory = self.get(id)
            if data is not UNSET:
                memory = memory._replace(data=data)
            if content is not UNSET:
                tokens = self._tokenizer().count(_clean(content), None)
                memory = memory._replace(content=content, tokens=tokens)
            if importance is not UNSET:
                memory = memory._replace(importance=checks.fraction("importance", importance))
            if confidence is not UNSET:
                memory = memory._replace(confidence=checks.fraction("confidence", confidence))
            if sources is not UNSET:
                memory = memory._replace(sources=checks.sequence("sources", sources))
            if metadata is not UNSET:
                memory = memory._replace(metadata=checks.mapping("metadata", metadata))
            memory = memory._replace(updated_at=clock.to_datetime(self._engine.clock.now()))
            clean, original = codec.storable_text(memory.content)
            changed = {
                field: value
                for field, value in zip(_fields(), memory._replace(content=clean), strict=True)
                if field.name not in _KEPT
            }
            changed[models.Memory.original] = original
            self._engine.run(models.Memory.update(changed).where(models.Memory.id == id))
            self._events.saving("memory", memory)
            return memory

    def remove(self, id: str, *, reason: str = "removed") -> Memory:
        """Archive and remove a memory; return its last state. Raises NotFound."""
        with self._engine.transaction():
            memory = self.get(id)
            self._archiver.remove("memory", models.Memory.id == id, reason=reason)
            self._events.deleted("memory", memory)
            return memory


def _clean(content: str) -> str:
    """Content as every engine keeps it."""
    if not isinstance(content, str):
        raise Invalid(f"content is {type(content).__name__}, not text; anything else goes into data=")
    return codec.storable_text(content)[0]


def _values(memory: Memory) -> dict[str, Any]:
    """What a memory is kept as, by field."""
    clean, original = codec.storable_text(memory.content)
    values = [*memory._replace(content=clean), original]
    return {field.name: field.db_value(value) for field, value in zip(_read(), values, strict=True)}


def _save() -> Any:
    """Insert, or replace the one of the same name. Without a name nothing can be in the way."""
    memory = models.Memory
    return memory.insert({field: param(field.name) for field in _read()}).on_conflict(
        conflict_target=[memory.conversation_id, memory.memory_id],
        conflict_where=memory.conversation_id.is_null(False),
        preserve=[field for field in _read() if field.name not in _KEPT],
    )


def _named() -> Any:
    memory = models.Memory
    return memory.select(memory.id, memory.created_at).where(
        memory.conversation_id == param("conversation"), memory.memory_id == param("memory")
    )


def _find() -> Any:
    return models.Memory.select(*_read()).where(models.Memory.id == param("id"))


def _list() -> Any:
    return models.Memory.select(*_read()).order_by(models.Memory.pk.desc()).limit(param("limit"))


def _fields() -> list[Any]:
    return models.fields_of(models.Memory, Memory)


def _read() -> list[Any]:
    """What a memory is read and written by: the last is its content as it came, if that differs."""
    return [*_fields(), models.Memory.original]
