"""Models of the Connectome family: documents, raw messages, chunks, memories, reasoning, state, cache.

Conversations here have ids of the application's own, which need not be those of sessions.
"""

from __future__ import annotations

from peewee import AutoField, CompositeKey, FloatField, IntegerField, TextField

from wilk.models.base import JsonField, Model, TimeField


class Document(Model):
    """A whole conversation, or any other document, kept as it came."""

    id = TextField(primary_key=True)
    kind = TextField()
    title = TextField(null=True)
    data = JsonField()
    content_hash = TextField()
    user_id = TextField(null=True)
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "documents"


class RawMessage(Model):
    pk = AutoField()
    conversation_id = TextField()
    position = IntegerField()
    data = JsonField()
    content_hash = TextField()
    created_at = TimeField()

    class Meta:
        table_name = "raw_messages"


class ChunkInfo(Model):
    """An application's own decisions on chunks, kept as they came."""

    conversation_id = TextField(primary_key=True)
    data = JsonField()
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "chunk_info"


class Chunk(Model):
    """A run of raw messages that is compressed as one; ``first`` and ``last`` are positions."""

    id = TextField(primary_key=True)
    conversation_id = TextField()
    position = IntegerField()
    first = IntegerField()
    last = IntegerField()
    tokens = IntegerField()
    content_hash = TextField()
    memory_id = TextField(null=True)
    metadata = JsonField(empty=dict)
    created_at = TimeField()

    class Meta:
        table_name = "chunks"


class Memory(Model):
    """Something remembered: compressed from a conversation, consolidated, or noted."""

    pk = AutoField()
    id = TextField(unique=True)
    kind = TextField()
    conversation_id = TextField(null=True)
    memory_id = TextField(null=True)  # the application's own id, unique in the conversation
    content = TextField()
    original = TextField(null=True)  # the content as it came, when an engine could not hold it
    data = JsonField()
    agent_id = TextField(null=True)
    user_id = TextField(null=True)
    session_id = TextField(null=True)
    importance = FloatField()
    confidence = FloatField()
    tokens = IntegerField()
    sources = JsonField(empty=list)
    iteration = IntegerField()
    interaction_id = TextField(null=True)
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "memories"


class ReasoningChain(Model):
    pk = AutoField()
    id = TextField(unique=True)
    agent_id = TextField()
    session_id = TextField(null=True)
    data = JsonField()
    created_at = TimeField()

    class Meta:
        table_name = "reasoning_chains"


class SystemState(Model):
    key = TextField(primary_key=True)
    data = JsonField()
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "system_state"


class CacheEntry(Model):
    """A value that can be computed again. The one table whose rows go without being archived."""

    namespace = TextField()
    key = TextField()
    data = JsonField()
    created_at = TimeField()
    expires_at = TimeField(null=True)

    class Meta:
        table_name = "cache_entries"
        primary_key = CompositeKey("namespace", "key")


Document.add_index(Document.kind, Document.updated_at)
Document.add_index(Document.user_id, Document.updated_at, where=Document.user_id.is_null(False))
RawMessage.add_index(RawMessage.conversation_id, RawMessage.position, unique=True)
Chunk.add_index(Chunk.conversation_id, Chunk.position, unique=True)
Memory.add_index(
    Memory.conversation_id, Memory.memory_id, unique=True, where=Memory.conversation_id.is_null(False)
)
Memory.add_index(Memory.kind, Memory.pk)
Memory.add_index(Memory.user_id, Memory.pk, where=Memory.user_id.is_null(False))
Memory.add_index(Memory.agent_id, Memory.pk, where=Memory.agent_id.is_null(False))
Memory.add_index(Memory.interaction_id, where=Memory.interaction_id.is_null(False))
ReasoningChain.add_index(ReasoningChain.agent_id, ReasoningChain.pk)
CacheEntry.add_index(CacheEntry.expires_at, where=CacheEntry.expires_at.is_null(False))
