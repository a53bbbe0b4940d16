"""Records of the Connectome family: documents, raw messages, chunks, memories, reasoning, state."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Document(NamedTuple):
    """A document kept as it came: unknown keys and the order of keys are those of ``data``."""

    id: str
    kind: str
    title: str | None
    data: Any
    content_hash: str
    user_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class RawMessage(NamedTuple):
    """One uncompressed message of a conversation; ``position`` counts from 0."""

    conversation_id: str
    position: int
    data: Any
    content_hash: str
    created_at: datetime


class Chunk(NamedTuple):
    """A run of raw messages, positions ``first`` to ``last`` inclusive, compressed as one."""

    id: str
    conversation_id: str
    position: int
    first: int
    last: int
    tokens: int
    content_hash: str
    memory_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime


class ChunkInfo(NamedTuple):
    """An application's own decisions on the chunks of a conversation, kept as they came."""

    conversation_id: str
    data: Any
    created_at: datetime
    updated_at: datetime


class Memory(NamedTuple):
    """Something remembered.

    ``kind`` is ``note``, ``compressed`` (a conversation's, with ``memory_id``), ``working``,
    ``episodic`` or ``semantic``; ``sources`` are the ids that it was made from; ``iteration`` how
    often it was compressed.
    """

    id: str
    kind: str
    conversation_id: str | None
    memory_id: str | None
    content: str
    data: Any
    agent_id: str | None
    user_id: str | None
    session_id: str | None
    importance: float
    confidence: float
    tokens: int
    sources: list[Any]
    iteration: int
    interaction_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class ReasoningChain(NamedTuple):
    """What an agent thought and did in one turn, kept as it came."""

    id: str
    agent_id: str
    session_id: str | None
    data: Any
    created_at: datetime


class SystemState(NamedTuple):
    """One value of an application's own state."""

    key: str
    data: Any
    created_at: datetime
    updated_at: datetime
