"""Records of the conversation family: sessions, messages, tool calls."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple


class Session(NamedTuple):
    """A conversation and its settings.

    ``last_sequence`` is the number of its newest message, ``message_count`` how many it holds.
    ``token_count`` is the tokens of the messages that are not compacted.
    ``saved`` False makes it temporary. ``updated_at`` is the time of the last activity.
    """

    id: str
    name: str | None
    status: str
    saved: bool
    working_directory: str | None
    active_agents: list[str]
    persona_id: str | None
    model: str
    context_strategy: str
    max_tokens: int
    recap: str | None
    context_file: str | None
    user_id: str | None
    group_id: str | None
    fork_of: str | None
    fork_sequence: int | None
    last_sequence: int
    message_count: int
    token_count: int
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class Message(NamedTuple):
    """One message. ``sequence`` counts from 1 within its session and never repeats.

    ``text`` is what is searched and counted; ``parts`` the structured content, if any.
    ``importance`` is 0.0–1.0. ``origin_id`` names the message that a fork copied.
    """

    id: str
    session_id: str
    sequence: int
    role: str
    text: str
    parts: Sequence[Any] | None
    agent_id: str | None
    model: str | None
    tokens: int
    importance: float
    interaction_id: str | None
    idempotency_key: str | None
    parent_id: str | None
    origin_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime


class ToolCall(NamedTuple):
    """One call of a tool: ``status`` is ``running``, ``ok`` or ``error``; ``duration`` seconds.

    Of a large result ``result`` is the beginning, as text; ``result_hash`` and ``result_size`` (bytes) are
    those of the whole, which ``store.tool_calls.result(id)`` gives.
    """

    id: str
    session_id: str
    message_id: str | None
    call_id: str | None
    agent_id: str | None
    name: str
    arguments: Any
    result: Any
    status: str
    error: str | None
    duration: float | None
    metadata: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime | None
    result_hash: str | None = None
    result_size: int | None = None


class AgentUsage(NamedTuple):
    """How much an agent was used: messages, tokens in all and on average, first and last time."""

    agent_id: str
    messages: int
    tokens: int
    average_tokens: float
    first_at: datetime
    last_at: datetime


class SearchHit(NamedTuple):
    """A message that full text found; ``rank`` is the engine's, smaller is better."""

    message: Message
    rank: float


class ToolInfo(NamedTuple):
    """A tool as a list shows it.

    ``origin`` is a plugin and its package, or a file below the home folder; ``agent_id`` is set for
    an agent's own. ``status`` is ``ready``, ``off`` (its file is not run, by the setting ``custom_tools``),
    ``broken`` or ``hidden`` (another of that name goes first); ``problem`` tells why it is not ready.
    """

    name: str
    summary: str
    parameters: Mapping[str, Any]
    origin: str
    agent_id: str | None
    status: str
    problem: str | None


class BranchMessage(NamedTuple):
    """A message that is not on the visible branch of its session. It has no sequence."""

    id: str
    session_id: str
    parent_id: str | None
    role: str
    text: str
    parts: Sequence[Any] | None
    agent_id: str | None
    model: str | None
    tokens: int
    importance: float
    metadata: Mapping[str, Any]
    created_at: datetime


class Branch(NamedTuple):
    """A way from a root to a message without children that is not the visible one.

    ``leaf_id`` names it; ``fork_id`` is the last message that it has in common with the visible branch (None:
    it has a root of its own); ``messages`` counts those behind that one, of which ``text`` is the first.
    """

    leaf_id: str
    session_id: str
    fork_id: str | None
    messages: int
    role: str
    text: str
    created_at: datetime
