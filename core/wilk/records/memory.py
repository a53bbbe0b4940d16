"""Records of the memory family: summaries, pins, working-memory blocks, facts, manifests."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Summary(NamedTuple):
    """A range of a session, ``first_sequence`` to ``last_sequence`` inclusive, in few words.

    ``message_count`` is how many messages the range held; ``compacted`` tells whether they lie in
    the archive; ``method`` names the summarizer, or is ``given``; ``content_hash`` is of the raw
    messages that it was made from.
    """

    id: str
    session_id: str
    first_sequence: int
    last_sequence: int
    message_count: int
    text: str
    tokens: int
    importance: float
    method: str
    compacted: bool
    content_hash: str
    metadata: Mapping[str, Any]
    created_at: datetime


class Pin(NamedTuple):
    """Something that a session must not forget. ``importance`` is 0.0–1.0."""

    id: str
    session_id: str
    content: str
    type: str
    source_message_id: str | None
    importance: float
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class Block(NamedTuple):
    """A labelled piece of working memory, at most ``max_tokens`` long.

    ``owner_kind`` is ``session``, ``agent``, ``user`` or ``store`` (whose ``owner_id`` is empty).
    """

    id: str
    owner_kind: str
    owner_id: str
    label: str
    value: str
    description: str | None
    max_tokens: int
    read_only: bool
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class Fact(NamedTuple):
    """A statement with two times.

    It holds in the world from ``valid_from`` until ``valid_to`` (None: open); the store believed it
    from ``recorded_at`` until ``retracted_at``. ``replaced_by`` is the fact that took its place.
    """

    id: str
    subject: str
    predicate: str
    object: Any
    user_id: str | None
    agent_id: str | None
    session_id: str | None
    confidence: float
    valid_from: datetime | None
    valid_to: datetime | None
    recorded_at: datetime
    retracted_at: datetime | None
    replaced_by: str | None
    source_message_id: str | None
    interaction_id: str | None
    metadata: Mapping[str, Any]


class Manifest(NamedTuple):
    """The receipt of one context, as ``services/memory/contexts.py`` describes its items."""

    id: str
    session_id: str
    strategy: str
    tokenizer: str
    model: str | None
    max_tokens: int
    total_tokens: int
    last_sequence: int
    request: Mapping[str, Any]
    items: list[Any]
    left_out: list[Any]
    content_hash: str
    created_at: datetime


class MemoryStatus(NamedTuple):
    """How a session stands. ``summarized_to`` is the last sequence that summaries cover from the
    beginning on, 0 for none; ``live_tokens`` counts what is not compacted."""

    session_id: str
    messages: int
    live_messages: int
    compacted_messages: int
    live_tokens: int
    max_tokens: int
    summaries: int
    summary_tokens: int
    summarized_to: int
    needs_compaction: bool
