"""Records of the learning family: interactions, actions, patterns, feedback, preferences, world models."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from wilk.records.archive import Archived
from wilk.records.connectome import Memory
from wilk.records.conversation import Message, ToolCall


class Interaction(NamedTuple):
    """One exchange with a user. ``id`` is the correlation id that messages and archive entries carry;
    ``feedback_type`` is ``approval``, ``correction``, ``followup``, ``clarification`` or ``none``."""

    id: str
    session_id: str | None
    user_id: str | None
    agent_id: str | None
    user_query: str
    query_context: Mapping[str, Any]
    ai_interpretation: str | None
    planned_actions: list[Any]
    confidence: float | None
    active_role: str | None
    tokens_used: int | None
    user_feedback: str | None
    feedback_type: str
    success: bool | None
    tags: list[Any]
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class Action(NamedTuple):
    """One action taken in an interaction; ``position`` counts from 1."""

    interaction_id: str
    position: int
    action_type: str
    target: str | None
    details: Mapping[str, Any]
    status: str
    result: Any
    error: str | None
    created_at: datetime


class Pattern(NamedTuple):
    """Something that was seen ``frequency`` times; ``confidence`` is 0.0–1.0."""

    id: str
    name: str
    pattern_type: str
    description: str | None
    sequence: list[Any]
    frequency: int
    confidence: float
    sources: list[Any]
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class Feedback(NamedTuple):
    """What somebody said of an interaction, or in general, and whether it was applied."""

    id: str
    type: str
    message: str
    context: Mapping[str, Any]
    interaction_id: str | None
    applied: bool
    created_at: datetime
    applied_at: datetime | None


class Preference(NamedTuple):
    """What a user (or, without one, everybody) prefers."""

    id: str
    user_id: str | None
    category: str
    key: str
    value: Any
    confidence: float
    source: str | None
    created_at: datetime
    updated_at: datetime


class WorldModel(NamedTuple):
    """What is believed of a domain: entities, relations and goals, as lists of objects."""

    id: str
    session_id: str | None
    domain: str
    domain_confidence: float
    interaction_count: int
    entities: list[Any]
    relations: list[Any]
    goals: list[Any]
    metrics: Mapping[str, Any]
    discovered_entity_types: list[Any]
    discovered_relation_types: list[Any]
    constraints: list[Any]
    is_active: bool
    merged_from: list[Any]
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class WorldModelSnapshot(NamedTuple):
    """A world model as it was when ``trigger_event`` happened."""

    id: str
    world_model_id: str
    data: Mapping[str, Any]
    trigger_event: str | None
    created_at: datetime


class Related(NamedTuple):
    """What carries one correlation id: what is live, and the archived rows.

    ``tool_calls`` are those of the messages.
    """

    interaction: Interaction | None
    actions: Sequence[Action]
    messages: Sequence[Message]
    tool_calls: Sequence[ToolCall]
    feedback: Sequence[Feedback]
    memories: Sequence[Memory]
    archived: Sequence[Archived]


class ConsolidationStep(NamedTuple):
    """What waits for one step of consolidation, of one user and one agent.

    ``step`` is ``working``, ``episodic`` or ``semantic``: the kind of memory that is made, one of
    each ``needed`` records. ``due`` says how many can be made now. ``held`` records are not sure
    enough to go on, or were restored while the memory that was made from them is there.
    """

    step: str
    user_id: str | None
    agent_id: str | None
    waiting: int
    needed: int
    due: int
    held: int


class ConsolidationReport(NamedTuple):
    """What a consolidation did: ids of the memories and patterns that were made or seen again, and
    how many interactions and memories went into the archive for them."""

    working: Sequence[str]
    episodic: Sequence[str]
    semantic: Sequence[str]
    patterns: Sequence[str]
    interactions: int
    memories: int


class ConsolidationStatistics(NamedTuple):
    """How many records there are on each step; ``archived`` counts those that went on, by reason."""

    interactions: int
    working: int
    episodic: int
    semantic: int
    patterns: int
    archived: Mapping[str, int]
