"""A message as the engine holds it: the order of its columns, and its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from wilk import codec, models
from wilk.clock import EPOCH
from wilk.records.conversation import Message

COLUMNS = (
    "id", "session_id", "sequence", "role", "text", "original", "parts", "agent_id", "model", "tokens",
    "importance", "interaction_id", "idempotency_key", "parent_id", "origin_id", "metadata", "created_at",
)  # fmt: skip
"""The columns of a row, as :func:`columns` orders the model's fields: known without the models."""

_MICROSECOND = timedelta(microseconds=1)


def columns() -> list[Any]:
    """The columns of a message as it is read and written: all but the engine's own key."""
    return [field for field in models.Message._meta.sorted_fields if field is not models.Message.pk]


def row_of(archived: Mapping[str, Any]) -> tuple[Any, ...]:
    """The row of a message whose columns come from the archive."""
    return tuple([archived.get(name) for name in COLUMNS])


def message(row: Sequence[Any]) -> Message:
    """Turn a row of ``columns()`` into a record. Written out, because it runs for every row read."""
    if row[5] is None and row[6] is None and row[15] is None and type(row[16]) is int and type(row[4]) is str:
        # Plain text, as nearly all rows are.
        return Message._make((*row[:5], *row[6:15], {}, EPOCH + row[16] * _MICROSECOND))
    (
        id, session_id, sequence, role, text, original, parts, agent_id, model, tokens, importance,
        interaction_id, key, parent_id, origin_id, metadata, created_at,
    ) = row  # fmt: skip
    return Message(
        id,
        session_id,
        sequence,
        role,
        text_of(text) if original is None else codec.original_text(original),
        None if parts is None else codec.kept(parts, list),
        agent_id,
        model,
        tokens,
        importance,
        interaction_id,
        key,
        parent_id,
        origin_id,
        codec.kept(metadata, dict) if metadata else {},
        EPOCH + created_at * _MICROSECOND if type(created_at) is int else EPOCH,
    )


def text_of(value: Any) -> str:
    """A text, also where somebody wrote something else past wilk."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
